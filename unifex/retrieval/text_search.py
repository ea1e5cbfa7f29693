"""Text -> hits: text, or text and images, against the kept features.

A backbone with a text tower puts text and images into one space, which is that of its *features*: a neck was trained
on images alone, so text does not go through it. Every item is compared; features are already in memory after the first.
"""

from __future__ import annotations

import time

import numpy as np

from unifex.core.errors import UnifexError
from unifex.core.vectors import l2_normalize
from unifex.gallery.gallery import Gallery
from unifex.retrieval import folding
from unifex.retrieval.feedback import WEIGHTS, Marks
from unifex.retrieval.filters import Filters
from unifex.retrieval.hits import SearchResult, hits_at
from unifex.retrieval.query import Query
from unifex.vector_index.metric import similarities

BLOCK_ROWS = 8192


def search_by_text(gallery: Gallery, query: Query, k: int, filters: Filters, fold: str = "") -> SearchResult:
    """What the query's text says; with images or items besides, what is like these *and* what the text says.

    The two kinds of similarity spread differently over a gallery, so each counts in units of its own standard deviation
    there; so do the means of what is marked as more, and less, like it, with Rocchio's weights. Raises as
    :func:`unifex.retrieval.search.search` does.
    """
    if filters.false_accept_rate is not None:
        raise UnifexError("trust is told from images that search for each other; it says nothing about words")
    started = time.perf_counter()
    parts, weights = [gallery.embedder.embed_text([query.text.strip()])], [1.0]
    if query.shows:
        shown = query.features(gallery).astype(np.float32)
        parts, weights = [*parts, _mean_direction(shown)], [query.text_weight, 1 - query.text_weight]
    embedded = time.perf_counter()
    snapshot = gallery.snapshot()
    features = gallery.derived.unit_features(snapshot)
    marks = Marks.of(query, snapshot)
    for positions, weight in ((marks.liked, WEIGHTS.liked), (marks.disliked, -WEIGHTS.disliked)):
        if len(positions):
            parts, weights = [*parts, _mean_direction(features[positions].astype(np.float32))], [*weights, weight]
    vectors = np.concatenate(parts)
    if len(parts) > 1 and len(features):
        spreads = np.maximum(_cosines(features, vectors).std(axis=1), 1e-6)
        weights = [weight / spread for weight, spread in zip(weights, spreads)]
    mixed = sum((weight * part for weight, part in zip(weights, parts)), np.zeros_like(parts[0]))
    scores = _cosines(features, l2_normalize(mixed, features.shape[1]))[0]
    mask = filters.mask(snapshot)
    candidates = np.flatnonzero(mask) if mask is not None else np.arange(len(scores))
    best = candidates[np.argsort(-scores[candidates], kind="stable")]
    duplicates = folding.duplicates_of(gallery, snapshot, fold)
    best = (best[folding.first_of_each(duplicates.groups[fold][best])] if duplicates else best)[:k]
    hits = hits_at(gallery, snapshot, best, scores[best], filters.lowest_score)
    return SearchResult(
        hits=folding.fold(hits, duplicates, fold, mask) if duplicates else hits,
        reranked=False,
        out_of_gallery=None,
        items=len(snapshot),
        searched=filters.searched(snapshot),
        model=gallery.embedder.backbone.title,
        index=f"exact, {features.shape[1]}-d features",
        dim=features.shape[1],
        embed_seconds=embedded - started,
        search_seconds=time.perf_counter() - embedded,
    )


def _mean_direction(features: np.ndarray) -> np.ndarray:
    """[n, D] -> [1, D], L2 norm 1."""
    dim = features.shape[1]
    return l2_normalize(l2_normalize(features, dim).mean(axis=0, keepdims=True), dim)


def _cosines(features: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """float16 [N, D] and float32 [q, D] -> float32 [q, N], without a float32 copy of everything."""
    blocks = (features[start : start + BLOCK_ROWS] for start in range(0, len(features), BLOCK_ROWS))
    parts = [similarities(queries, block.astype(np.float32)) for block in blocks]
    return np.concatenate(parts, axis=1) if parts else np.zeros((len(queries), 0), np.float32)
