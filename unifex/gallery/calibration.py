"""Calibration: the probability that a hit of a similarity is right in one gallery, and from where on to trust a match.

Both come from the gallery's own labels. Items search for the others (right and wrong hits give the probability, by
similarity and by rank: a label has so many images, and what comes behind them is wrong, however alike), and search with
everything of their own label taken away: what they then find best is what a query finds whose thing is not in the
gallery. A model tells classes that it was trained on better from others, so where enough of other classes is there,
only that stands for what it has never seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from unifex.core import derived
from unifex.core.arrays import positions_of, sample
from unifex.core.derived import Origin
from unifex.core.errors import UnifexError
from unifex.core.language import say
from unifex.gallery.snapshot import ItemTable, Snapshot
from unifex.vector_index.exact import best_outside, nearest_of_all
from unifex.vector_index.matches import Exclusion, Matches

MAX_QUERIES, FEWEST_QUERIES = 2000, 500
MOST_COMPARED = (
    40_000_000  # queries x items: of more than 20,000 items fewer search, lest the next search waits for them
)
HITS_EACH = 160
FEWEST_PAIRS = 20
LEAST_LIKELY = 0.15  # that the first hit is right; below, the thing is called a stranger to the gallery
FEWEST_UNKNOWN = 100  # queries of classes that the model was not trained on; fewer tell nothing of one in a hundred
WANTED_UNKNOWN = 400  # of these, where there are as many: however few search, and however few of them are such
PERCENTILES = 1000
LITTLE, LEAST_ITEMS = 0.05, 1000  # of the items, so that a calibration serves on; of fewer items it takes no time
STEPS = 50
RIDGE = 1e-6
_STORED_AS = {"out_of_gallery": "strangers", "in_gallery": "natives"}  # in calibration.json
_FITTED = "by rank"  # what `hit` and `first` are; a kept calibration that was fitted otherwise is made anew


class CalibrationError(UnifexError):
    """A gallery whose labels cannot tell right from wrong; the message says what is missing."""


class HitsCannotTell(CalibrationError):
    """The same, as the hits of its items show, which takes long to see. ``fingerprint``: of what they are hits, as
    :attr:`Calibration.fingerprint` is."""

    def __init__(self, why: str, fingerprint: tuple[str, str, int] = ("", "", 0)):
        super().__init__(why)
        self.fingerprint = fingerprint


@dataclass(frozen=True)
class Calibration:
    """Logistic fits and quantiles of the similarities (-1..1) that were found.

    ``hit``: the probability that a hit is right, as coefficients of its similarity, the logarithm of its rank, the
    square of that, and one; ranks of more than ``deepest`` count as that. ``first``: slope and intercept of the
    probability that the first hit is right, from its similarity, when as many things are not in the gallery as are.
    ``out_of_gallery``: quantiles of the best similarity of queries whose label is not in the gallery, ``in_gallery``:
    of the right first hits of queries whose label is; of ``pairs`` hits. ``labelling`` (of the columns), ``neck_hash``
    and ``dim`` say what was calibrated.
    """

    hit: tuple[float, ...]
    deepest: float
    first: tuple[float, ...]
    out_of_gallery: tuple[float, ...]
    in_gallery: tuple[float, ...]
    pairs: int
    labelling: str
    neck_hash: str
    dim: int

    @property
    def fingerprint(self) -> tuple[str, str, int]:
        """Equal for equal calibrations of a gallery: its labelling, the neck, and the dimension."""
        return self.labelling, self.neck_hash, self.dim

    def probability(self, similarity: np.ndarray | float, rank: np.ndarray | int = 1) -> np.ndarray:
        """Probability 0..1 that a hit of this cosine similarity, at this rank from 1, is right, when the gallery has
        the thing."""
        return _logistic(self.hit, *_of_hits(similarity, np.minimum(rank, self.deepest)))

    def probability_of_first(self, best_similarity: float) -> float:
        """Probability 0..1 that the first hit is right, when as many things are not in the gallery as are: never above
        that when all are, which few labels may tell otherwise."""
        return float(min(_logistic(self.first, best_similarity), self.probability(best_similarity)))

    def is_stranger(self, best_similarity: float) -> bool:
        """Whether a query's thing is probably not in the gallery: even what is most alike is hardly it. Where what is
        most alike says nothing of that, nothing is said."""
        return self.first[0] > 0 and self.probability_of_first(best_similarity) < LEAST_LIKELY

    def chances(
        self, similarities: np.ndarray, best_similarity: float | None = None, ranks: np.ndarray | None = None
    ) -> np.ndarray:
        """Probabilities 0..1 of hits with these similarities [k]. ``best_similarity``: what a query found best in the
        whole gallery; of a stranger no hit is likely. ``ranks`` [k], from 1: where they stand in the whole gallery;
        without, they are the first. All similarities are those of one image (``MarkedQuery.as_one``)."""
        found = self.probability(similarities, np.arange(1, len(similarities) + 1) if ranks is None else ranks)
        if best_similarity is None or not self.is_stranger(best_similarity):
            return found
        return np.minimum(found, self.probability_of_first(best_similarity))

    def threshold(self, false_accept_rate: float) -> float:
        """The similarity that only this share (0..1) of queries reaches whose thing is not in the gallery. Raises
        ``UnifexError`` for a share outside of that."""
        if not 0 < false_accept_rate <= 1:
            raise UnifexError(
                say(
                    "false accepts must be between 0 and 100 %, not {false_accept_rate:g} %",
                    false_accept_rate=100 * false_accept_rate,
                )
            )
        return float(np.quantile(self.out_of_gallery, 1 - false_accept_rate))

    def kept(self, threshold: float) -> float:
        """The share (0..1) of right first hits that are at least this similar."""
        return float(np.mean(np.asarray(self.in_gallery) >= threshold))

    def write(self, path: Path, origin: Origin) -> None:
        """Keep it beside the embeddings."""
        values = {_STORED_AS.get(name, name): value for name, value in asdict(self).items()}
        derived.write_json(path, values, replace(origin, content=_FITTED))

    @classmethod
    def read(cls, path: Path, origin: Origin) -> Calibration | None:
        """What :meth:`write` wrote; None when there is none of this origin that is whole."""
        values = derived.read_json(path, replace(origin, content=_FITTED))
        if values is None:
            return None
        stored: dict[str, Any] = {field.name: values[_STORED_AS.get(field.name, field.name)] for field in fields(cls)}
        tuples: dict[str, Any] = {name: tuple(value) for name, value in stored.items() if isinstance(value, list)}
        return cls(**stored | tuples)


@dataclass(frozen=True)
class Labelled:
    """What is said of which items where a calibration is fitted: ``ids`` int64 [L] of those with a label, ascending,
    and ``said`` int64 [L], equal (in this process) for items of one label in one domain. ``items``: of how many."""

    ids: np.ndarray
    said: np.ndarray
    items: int

    @classmethod
    def of(cls, columns: ItemTable) -> Labelled:
        """Of a table."""
        labelled = columns.classes >= 0
        domains, labels = (
            np.fromiter(map(hash, of.names), np.int64, len(of.names))[of.codes[labelled]]
            for of in (columns.domains, columns.labels)
        )
        return cls(columns.ids[labelled], 31 * domains + labels, len(columns.ids))

    def is_nearly(self, now: Labelled) -> bool:
        """Whether little came, went or was relabelled until now: of what has a label, or had one, and of how many items
        there are, among which a hit stands the further down the fewer have one."""
        at = positions_of(self.ids, now.ids)
        both = int((at >= 0).sum())
        same = int((self.said[at[at >= 0]] == now.said[at >= 0]).sum())
        changed, grown = len(self.ids) + len(now.ids) - both - same, abs(now.items - self.items)
        most = max(self.items, now.items)
        return most >= LEAST_ITEMS and grown < LITTLE * most and changed < LITTLE * max(len(self.ids), len(now.ids))


def calibrate(snapshot: Snapshot, trained_on: Sequence[int] | np.ndarray = ()) -> Calibration:
    """Fit the snapshot's similarities. ``trained_on``: which of its classes the model has learned.

    Raises :class:`CalibrationError` when its labels do not suffice.
    """
    classes = snapshot.columns.classes
    labelled = classes >= 0
    if len(np.unique(classes[labelled])) < 2:
        raise CalibrationError(say("what similarity means is told from labels, and this gallery has not two of them"))
    if _most_right(classes[labelled], snapshot.columns.copies[labelled]) < FEWEST_PAIRS:
        raise CalibrationError(
            say(
                "what similarity means is told from different pictures of one label, and there are hardly any two here;"
                " add images of each label"
            )
        )
    new = labelled & ~np.isin(classes, trained_on)
    queries, drawn = _queries(labelled, new)
    embeddings, mask = snapshot.embeddings[queries], None if labelled.all() else labelled
    excluded = Exclusion.own(snapshot.columns.copies, queries, mask)
    matches = nearest_of_all(embeddings, HITS_EACH, snapshot.embeddings, excluded)
    right = matches.found & (classes[matches.positions] == classes[queries, None])
    hit, deepest = _fit_hits(matches.at(drawn), right[drawn], labelled.mean())
    new = new[queries]
    if (new & right.any(1)).sum() < FEWEST_UNKNOWN:  # classes of one image are no measure of what is there
        new = drawn
    out_of_gallery = best_outside(embeddings[new], classes[queries[new]], snapshot.embeddings, classes, mask)
    return Calibration(
        hit=hit,
        deepest=deepest,
        first=_fit_first(matches.scores, right, right.any(1) & new, out_of_gallery),
        out_of_gallery=_quantiles(out_of_gallery),
        in_gallery=_quantiles(matches.scores[drawn & right[:, 0], 0]),
        pairs=int(matches.found[drawn].sum()),
        labelling=snapshot.columns.labelling,
        neck_hash=snapshot.neck_hash,
        dim=snapshot.embeddings.shape[1],
    )


def _most_right(classes: np.ndarray, copies: np.ndarray) -> int:
    """How many right hits items of these ``classes`` int [L] could have at most, which do not find their ``copies``."""
    pairs = np.unique(np.column_stack([classes, copies]), axis=0, return_counts=True)[1]
    return int((np.unique(classes, return_counts=True)[1] ** 2).sum() - (pairs**2).sum())


def _queries(labelled: np.ndarray, new: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The items that search, int64 [Q], and which of them, bool [Q], were drawn from all that are ``labelled`` bool
    [N]. The others are more of those that are ``new`` bool [N] to the model, where these were drawn too seldom."""
    every = np.flatnonzero(labelled)
    most = min(MAX_QUERIES, max(FEWEST_QUERIES, MOST_COMPARED // len(labelled)))
    drawn = every[sample(len(every), most)]
    rest = np.setdiff1d(np.flatnonzero(new), drawn, assume_unique=True)
    further = rest[sample(len(rest), max(0, WANTED_UNKNOWN - int(new[drawn].sum())))]
    queries = np.concatenate([drawn, further])
    return queries, np.arange(len(queries)) < len(drawn)


def _fit_hits(matches: Matches, right: np.ndarray, labelled: float) -> tuple[tuple[float, ...], float]:
    """``Calibration.hit`` and ``deepest`` of what items found among the labelled ones, bool [Q, w]: what of it is
    right. Only this share of all is ``labelled``, so that among all they stand further down. The first hits count as
    much as all that are twice as deep, lest the many behind them, nearly all wrong, be all that is fitted.

    Raises :class:`HitsCannotTell`.
    """
    found = matches.found
    wins, losses = right.sum(), (found & ~right).sum()
    if min(wins, losses) < FEWEST_PAIRS:
        raise HitsCannotTell(
            say(
                "what similarity means is told from right and wrong hits: this gallery gives {wins} and "
                "{losses}, at least {fewest} of each are needed; add images of each label",
                wins=wins,
                losses=losses,
                fewest=FEWEST_PAIRS,
            )
        )
    ranks = np.broadcast_to(1 + np.arange(found.shape[1]) / labelled, found.shape)[found]
    scores, right, weights = matches.scores[found], right[found], 1 / ranks
    if fit_probability(scores, right, weights)[0] <= 0:
        raise HitsCannotTell(
            say(
                "what similarity means is told from right and wrong hits: right ones are no more alike here than "
                "wrong ones"
            )
        )
    seen = np.column_stack(_of_hits(scores, ranks))
    fitted = fit_probability(seen, right, weights)
    if fitted[0] < 0:  # what the rank says already, similarity need not
        fitted = (0.0, *fit_probability(seen[:, 1:], right, weights))
    return fitted, float(ranks.max())


def _fit_first(scores: np.ndarray, right: np.ndarray, rows: np.ndarray, outside: np.ndarray) -> tuple[float, ...]:
    """``Calibration.first``: of the hits of queries [Q, w], of which ``rows`` bool [Q] count, and of what is best
    ``outside`` the own label of as many."""
    outside = outside[np.isfinite(outside)]
    best = np.concatenate([scores[rows, 0], outside])
    weights = np.concatenate([np.ones(rows.sum()), np.full(len(outside), rows.sum() / len(outside))])
    return fit_probability(best, np.concatenate([right[rows, 0], np.zeros(len(outside), bool)]), weights)


def _of_hits(similarity: np.ndarray | float, rank: np.ndarray | float) -> tuple[np.ndarray | float, ...]:
    """What a hit is judged by."""
    depth = np.log(rank)
    return similarity, depth, depth**2


def _logistic(fitted: tuple[float, ...], *values: np.ndarray | float) -> np.ndarray:
    """Of one value for each coefficient; the last of ``fitted`` is the intercept."""
    weighed = sum(coefficient * np.asarray(value, np.float64) for coefficient, value in zip(fitted, values))
    return 1 / (1 + np.exp(-(weighed + fitted[-1])))


def _quantiles(values: np.ndarray) -> tuple[float, ...]:
    values = values[np.isfinite(values)]
    if len(values) > PERCENTILES:
        values = np.quantile(values, np.linspace(0, 1, PERCENTILES + 1))
    return tuple(round(float(value), 6) for value in np.sort(values))


def fit_probability(values: np.ndarray, right: np.ndarray, weights: np.ndarray | None = None) -> tuple[float, ...]:
    """The logistic probability of being ``right`` bool [n], from values [n] or [n, m]: a coefficient of each, and an
    intercept, by Newton's method (Platt 1999, with his smoothed targets). ``weights`` [n]: how much each counts."""
    counts = np.ones(len(right)) if weights is None else weights
    wins, losses = right.sum(), (~right).sum()
    targets = np.where(right, (wins + 1) / (wins + 2), 1 / (losses + 2))
    design = np.column_stack([values.astype(np.float64), np.ones(len(values))])
    fitted = np.zeros(design.shape[1])
    for _ in range(STEPS):
        probability = 1 / (1 + np.exp(-design @ fitted))
        gradient = design.T @ (counts * (probability - targets))
        spread = counts * probability * (1 - probability)
        step = np.linalg.solve(design.T @ (design * spread[:, None]) + RIDGE * np.eye(len(fitted)), gradient)
        fitted -= step
        if np.abs(step).max() < 1e-9:
            break
    return tuple(map(float, fitted))
