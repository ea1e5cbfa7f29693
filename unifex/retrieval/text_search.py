"""Text -> hits: text, or text and images, against the kept features.

A backbone with a text tower puts text and images into one space, which is that of its *features*: a neck was trained
on images alone, so text does not go through it. Every item is compared (:mod:`unifex.gallery.unit_features`).

What is like the images *and* what the text says is found by a product: of how far above the gallery's average an item's
similarity to each is (:func:`both`). A sum lets one of the two stand in for the other: the same thing, which is not as
the words say, comes first. Psomas et al. (Instance-level composed image retrieval, 2025, arXiv 2510.25387) report twice
the mAP for a product; ``python -m benchmarks.words_and_image`` measures it.

Where words are all that is searched with, what has them in its label comes first: the backbone knows what things look
like, a label what they are called. Then, too, the gallery's own neighbourhood helps (:func:`reranking.of_words`): where
it is asked to, and always where the backbone learned from images alone and knows texts by others that are like them.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from unifex.core.arrays import highest
from unifex.core.errors import UnifexError
from unifex.core.language import say
from unifex.core.vectors import l2_normalize
from unifex.gallery.gallery import Gallery
from unifex.gallery.unit_features import UnitFeatures
from unifex.retrieval import folding, reranking
from unifex.retrieval.feedback import WEIGHTS, Marks
from unifex.retrieval.filters import Filters
from unifex.retrieval.hits import SearchResult, hits_at
from unifex.retrieval.label_names import named
from unifex.retrieval.query import Query

_LEAST_SPREAD = 1e-6
_NAMED_AHEAD = np.float64(8)  # no two ranks are so far apart (:func:`reranking.of_words`)


def search_by_text(
    gallery: Gallery, query: Query, k: int, filters: Filters, rerank: bool = False, fold: str = ""
) -> SearchResult:
    """What the query's text says; with images or items besides, what is like these *and* what the text says.

    A hit's score is the cosine of text and item or, with images, what :func:`both` makes of the two. What is marked as
    more, and less, like it moves that (:func:`_moved`). ``rerank`` changes the order of what words alone find, which a
    bundled backbone's always are in. Raises as :func:`unifex.retrieval.search.search` does.
    """
    if filters.false_accept_rate is not None:
        raise UnifexError(say("trust is told from images that search for each other; it says nothing about words"))
    started = time.perf_counter()
    sides = _sides(gallery, query)
    embedded = time.perf_counter()
    words_alone = not (query.shows or query.more or query.less)
    snapshot, usual = gallery.snapshot(), gallery.embedder.usual_texts()
    features = gallery.derived.unit_features(snapshot)
    scores = _scores(features, sides, Marks.of(query, snapshot))
    mask = filters.mask(snapshot)
    in_context = words_alone and (rerank or len(usual) > 0)
    rank = scores
    if in_context:
        near = gallery.derived.neighbours_for_search(snapshot)
        rank = reranking.of_words(scores, features.__getitem__, near, usual, mask)
    first = named(snapshot.columns.labels, query.text if words_alone else "")
    duplicates = folding.duplicates_of(gallery, snapshot, fold)
    alike = mask if filters.min_score is None else (scores >= filters.min_score) & (True if mask is None else mask)
    best = highest(rank + _NAMED_AHEAD * first, alike, len(scores) if duplicates else k)
    best = best[folding.first_of_each(duplicates.groups[fold][best])][:k] if duplicates else best
    hits = hits_at(gallery, snapshot, best, scores[best])
    return SearchResult(
        hits=folding.fold(hits, duplicates, fold, mask) if duplicates else hits,
        reranked=in_context,
        out_of_gallery=None,
        items=len(snapshot),
        searched=filters.searched(snapshot),
        model=gallery.embedder.backbone.said,
        index=say("exact, {dim}-d features", dim=features.shape[1]),
        dim=features.shape[1],
        embed_seconds=embedded - started,
        search_seconds=time.perf_counter() - embedded,
        named=int(first[best].sum()),
    )


def both(cosines: np.ndarray, weights: Sequence[float]) -> np.ndarray:
    """Of an item's similarities to each side of a query, float32 [sides, N], one: float32 [N], -1 to 1.

    Each counts by how far above its mean over all N it is, and they are multiplied, to the powers ``weights`` (> 0,
    together 1): their weighted geometric mean. To standardise them, as product of z-scores, only scales that. What is
    below the mean of a side comes after all else, by the side that it is furthest below.
    """
    above = cosines - cosines.mean(axis=1, keepdims=True)
    least = above.min(axis=0)
    logarithms = np.log(np.maximum(above, np.finfo(np.float32).tiny))
    return np.where(least > 0, np.exp(np.array(weights, np.float32) @ logarithms), least)


def _sides(gallery: Gallery, query: Query) -> list[tuple[np.ndarray, float]]:
    """What is said and what is shown, each [1, D] with L2 norm 1, and their weights; a side without weight is none."""
    said = [(gallery.embedder.embed_text([query.text.strip()]), query.text_weight if query.shows else 1.0)]
    shown = query.features(gallery).astype(np.float32) if query.shows else None
    sides = said if shown is None else [*said, (_mean_direction(shown), 1 - query.text_weight)]
    return [(direction, weight) for direction, weight in sides if weight]


def _scores(features: UnitFeatures, sides: list[tuple[np.ndarray, float]], marks: Marks) -> np.ndarray:
    """Of all items: float32 [N]."""
    if not len(features):
        return np.zeros(0, np.float32)
    marked = [
        (_mean_direction(features[positions]), weight)
        for positions, weight in ((marks.liked, WEIGHTS.liked), (marks.disliked, -WEIGHTS.disliked))
        if len(positions)
    ]
    cosines = features.cosines(np.concatenate([direction for direction, _ in [*sides, *marked]]))
    scores = cosines[0] if len(sides) == 1 else both(cosines[: len(sides)], [weight for _, weight in sides])
    return _moved(scores, cosines[len(sides) :], [weight for _, weight in marked])


def _moved(scores: np.ndarray, marked: np.ndarray, weights: Sequence[float]) -> np.ndarray:
    """Scores [N] with the similarities [marks, N] to what is marked, as Rocchio's sum weights them; their mean.

    Similarities of different kinds spread differently over a gallery, so each counts in units of the scores' spread.
    """
    if not len(marked):
        return scores
    spreads = np.maximum(marked.std(axis=1, keepdims=True), _LEAST_SPREAD)
    moving = np.array(weights, np.float32) @ ((marked - marked.mean(axis=1, keepdims=True)) / spreads)
    return (scores + scores.std() * moving) / np.float32(1 + np.abs(weights).sum())


def _mean_direction(features: np.ndarray) -> np.ndarray:
    """[n, D] -> [1, D], L2 norm 1."""
    dim = features.shape[1]
    return l2_normalize(l2_normalize(features, dim).mean(axis=0, keepdims=True), dim)
