"""Words -> hits: words, or words and images, against the kept features.

A backbone with a text tower puts words and images into one space, which is that of its *features*: a neck was trained
on images alone, so words do not go through it. Every item is compared; features are already in memory after the first.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from unifex.core import ranges
from unifex.core.errors import UnifexError
from unifex.core.vectors import l2_normalize
from unifex.gallery.gallery import Gallery
from unifex.models.embedder import ImageLike
from unifex.retrieval.search import Filters, SearchResult, hits_at
from unifex.vector_index.metric import similarities

BLOCK_ROWS = 8192
MAX_WORDS = 1000  # characters; towers read the first 64 or 77 tokens


def search_words(
    gallery: Gallery,
    words: str,
    pictures: Sequence[ImageLike] = (),
    items: Sequence[int] = (),
    k: int = 10,
    filters: Filters = Filters(),
    balance: float = 0.5,
) -> SearchResult:
    """Search with words; with images or items besides, for what is like these *and* what the words say.

    ``balance``: 0 is images only, 1 is words only. The two kinds of similarity spread differently over a gallery, so
    each counts in units of its own standard deviation there. Raises ``UnifexError`` for no words, ``BackboneError``
    when the backbone has no text tower, ``images.ImageError`` for a query that is no image.
    """
    words = words.strip()
    if not words or len(words) > MAX_WORDS:
        raise UnifexError(f"give 1 to {MAX_WORDS} characters of words")
    k, balance = ranges.HITS.check(k), ranges.BALANCE.check(balance)
    if filters.false_accept_rate is not None:
        raise UnifexError("trust is told from images that search for each other; it says nothing about words")
    started = time.perf_counter()
    query = gallery.embedder.words([words])
    parts, weights = [query], [1.0]
    if pictures or items:
        shown = gallery.embedder.features(pictures) if pictures else _features_of(gallery, items)
        parts, weights = [*parts, _mean_direction(shown)], [balance, 1 - balance]
    embedded = time.perf_counter()
    snapshot = gallery.snapshot()
    features = gallery.derived.unit_features(snapshot)
    if len(parts) > 1 and len(features):
        spreads = np.maximum(_cosines(features, np.concatenate(parts)).std(axis=1), 1e-6)
        weights = [weight / spread for weight, spread in zip(weights, spreads)]
    query = l2_normalize(sum(weight * part for weight, part in zip(weights, parts)), query.shape[1])
    scores = _cosines(features, query)[0]
    mask = filters.mask(snapshot)
    candidates = np.flatnonzero(mask) if mask is not None else np.arange(len(scores))
    candidates = candidates[~np.isin(snapshot.columns.ids[candidates], list(items))]
    best = candidates[np.argsort(-scores[candidates], kind="stable")[:k]]
    return SearchResult(
        hits=hits_at(gallery, snapshot, best, scores[best], filters.least_score),
        context=False,
        out_of_gallery=None,
        items=len(snapshot),
        searched=filters.searched(snapshot),
        model=gallery.embedder.backbone.title,
        index=f"exact, {features.shape[1]}-d features",
        dim=features.shape[1],
        embed_seconds=embedded - started,
        search_seconds=time.perf_counter() - embedded,
    )


def _features_of(gallery: Gallery, items: Sequence[int]) -> np.ndarray:
    return gallery.features([record.sha256 for record in gallery.records(items)]).astype(np.float32)


def _mean_direction(features: np.ndarray) -> np.ndarray:
    """[n, D] -> [1, D], L2 norm 1."""
    dim = features.shape[1]
    return l2_normalize(l2_normalize(features, dim).mean(axis=0, keepdims=True), dim)


def _cosines(features: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """float16 [N, D] and float32 [q, D] -> float32 [q, N], without a float32 copy of everything."""
    blocks = (features[start : start + BLOCK_ROWS] for start in range(0, len(features), BLOCK_ROWS))
    parts = [similarities(queries, block.astype(np.float32)) for block in blocks]
    return np.concatenate(parts, axis=1) if parts else np.zeros((len(queries), 0), np.float32)
