"""More and less like this: what marks on hits are worth, by drawn users of a manifest.

    python -m benchmarks.feedback MANIFEST.csv

A user searches, marks the first five hits that are not marked yet (more like it when the label is right, else less) and
sees the new ranking; three times. mAP is the mean average precision over the whole ranking, marked items included: what
is liked first, what is not last, which is all that the row "no feedback" does. "Of the rest" leaves out what is marked,
and stands beside the same measure of the ranking that nobody marked.

Weights are chosen on the manifest's train rows: three folds, each a neck trained without a third of the classes, which
then search for each other. The table is of the query rows against the index rows, with the bundled model.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TypeVar

import numpy as np

from benchmarks.recipes import BEST, make_folds, trained
from unifex.core.progress import finish
from unifex.core.vectors import l2_normalize
from unifex.gallery.gallery import Gallery
from unifex.gallery.indexing import index
from unifex.models.embedder import Embedder
from unifex.retrieval.feedback import NEAREST_DISLIKED, WEIGHTS, MarkedQuery, Weights, nearest_scores

ROUNDS, MARKS = 3, 5
DIM = 256
T = TypeVar("T")
Scorer = Callable[[np.ndarray, MarkedQuery], np.ndarray]  # items [N, d], and the query so far: a score an item


def by_rocchio(weights: Weights) -> Scorer:
    """Similarity to Rocchio's sum."""
    return lambda items, marked: items @ marked.moved(weights)[0]


def by_nearest(weight: float) -> Scorer:
    """The nearest liked, less so much of the nearest disliked."""
    return lambda items, marked: nearest_scores(
        items, np.concatenate([marked.shown, marked.liked]), marked.disliked, weight
    )


def by_relevance_score(items: np.ndarray, marked: MarkedQuery) -> np.ndarray:
    """Giacinto and Roli's: d(disliked) / (d(liked) + d(disliked)); without a dislike the nearest liked."""
    liked = _distances(items, np.concatenate([marked.shown, marked.liked]))
    if not len(marked.disliked):
        return -liked
    disliked = _distances(items, marked.disliked)
    return disliked / np.maximum(liked + disliked, 1e-12)


def _distances(items: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Euclidean, to the nearest of the others."""
    return np.sqrt(np.maximum(2 - 2 * (items @ others.T).max(axis=1), 0))


def unmoved(items: np.ndarray, marked: MarkedQuery) -> np.ndarray:
    """Nobody learns from marks."""
    return items @ marked.shown[0]


ROCCHIO = [Weights(1, liked, disliked) for liked, disliked in product((0.5, 1, 2, 4), (0, 0.25, 0.5))]
NEAREST = (0, 0.25, 0.5, 0.75)


@dataclass(frozen=True)
class Trial:
    """Embeddings and classes of queries [Q] and items [N]."""

    queries: np.ndarray
    items: np.ndarray
    query_classes: np.ndarray
    item_classes: np.ndarray


@dataclass(frozen=True)
class Gain:
    """After each round, float64 [Q, rounds + 1]: mAP, mAP of what is not marked, and that without feedback."""

    whole: np.ndarray
    rest: np.ndarray
    rest_before: np.ndarray


def main() -> None:
    """Embed, choose weights on train rows, print the table of the query rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    manifest = parser.parse_args().manifest
    with tempfile.TemporaryDirectory() as scratch:
        gallery = Gallery.create(Path(scratch) / "all", Embedder.load())
        finish(index(gallery, str(manifest)))
        folds, test = list(train_trials(gallery)), test_trial(gallery)
    weights, nearest = (
        best(folds, {w: by_rocchio(w) for w in ROCCHIO}),
        best(folds, {w: by_nearest(w) for w in NEAREST}),
    )
    print(f"chosen on train rows: Rocchio {weights} (the program's: {WEIGHTS}), nearest {nearest} ({NEAREST_DISLIKED})")
    print(f"{len(test.queries)} queries, {len(test.items)} items; mAP after rounds of {MARKS} marks, and of the rest")
    print("| ranking | 0 | 1 | 2 | 3 | gain 1 | 2 | 3 | of the rest, before -> after: 1 | 2 | 3 |")
    print("| --- " * 11 + "|")
    for name, scorer in {
        "no feedback": unmoved,
        f"Rocchio {weights.query:g}, {weights.liked:g}, {weights.disliked:g}": by_rocchio(weights),
        f"nearest marked, {nearest:g}": by_nearest(nearest),
        "nearest marked, Giacinto and Roli": by_relevance_score,
    }.items():
        print_row(name, simulate(test, scorer))


def train_trials(gallery: Gallery) -> Iterator[Trial]:
    """A trial of each fold of classes of the train rows, with a neck that was trained without them."""
    columns = gallery.snapshot().columns
    features = gallery.features(columns.sha256s())
    for fold in make_folds(columns, np.flatnonzero(columns.splits.texts == "train")):
        if not fold.domains_left_out:
            neck = trained(BEST, fold.train, columns, features, None)
            rows = fold.unseen.queries, fold.unseen.items
            yield Trial(*(neck.embed(features[own], DIM) for own in rows), *(columns.classes[own] for own in rows))


def test_trial(gallery: Gallery) -> Trial:
    """The manifest's query rows against its index rows."""
    snapshot = gallery.snapshot()
    splits, classes = snapshot.columns.splits.texts, snapshot.columns.classes
    rows = [np.flatnonzero(splits == name) for name in ("query", "index")]
    embeddings = l2_normalize(snapshot.embeddings, DIM)
    return Trial(*(embeddings[own] for own in rows), *(classes[own] for own in rows))


def best(trials: list[Trial], scorers: dict[T, Scorer]) -> T:
    """What the scorer is called that has the highest mean mAP over trials and rounds."""
    return max(scorers, key=lambda name: np.mean([np.nanmean(simulate(t, scorers[name]).whole[:, 1:]) for t in trials]))


def simulate(trial: Trial, scorer: Scorer) -> Gain:
    """Every query with its user."""
    rounds = [_one(trial, row, scorer) for row in range(len(trial.queries))]
    return Gain(*np.array(rounds).transpose(1, 0, 2))


def _one(trial: Trial, row: int, scorer: Scorer) -> np.ndarray:
    """The three figures of :class:`Gain` of one query: float64 [3, rounds + 1]."""
    query, right = trial.queries[row : row + 1], trial.item_classes == trial.query_classes[row]
    unmarked = order = np.argsort(-(trial.items @ query[0]), kind="stable")
    figures, marked = np.full((3, ROUNDS + 1), np.nan), np.zeros(0, np.int64)
    figures[:, 0] = average_precision(right[order])
    for round in range(1, ROUNDS + 1):
        marked = np.concatenate([marked, order[~np.isin(order, marked)][:MARKS]])
        liked, disliked = marked[right[marked]], marked[~right[marked]]
        scores = scorer(trial.items, MarkedQuery(query, trial.items[liked], trial.items[disliked]))
        order = np.argsort(-scores, kind="stable")
        rest, before = (ranking[~np.isin(ranking, marked)] for ranking in (order, unmarked))
        order = np.concatenate([liked, rest, disliked])
        figures[:, round] = [average_precision(right[ranking]) for ranking in (order, rest, before)]
    return figures


def average_precision(right: np.ndarray) -> float:
    """Of a whole ranking, bool [N] best first; NaN when nothing is right."""
    places = np.flatnonzero(right)
    return float(np.mean(np.arange(1, len(places) + 1) / (places + 1))) if len(places) else np.nan


def print_row(name: str, gain: Gain) -> None:
    """Means over the queries that have a value."""
    whole, rest, before = (np.nanmean(values, axis=0) for values in (gain.whole, gain.rest, gain.rest_before))
    cells = [f"{value:.3f}" for value in whole] + [f"{value - whole[0]:+.3f}" for value in whole[1:]]
    cells += [f"{old:.3f} -> {new:.3f}" for old, new in zip(before[1:], rest[1:])]
    print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
