"""A query -> hits."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from unifex.embedder import ImageLike
from unifex.gallery import Gallery, GalleryError, Record
from unifex.neck import truncate
from unifex.snapshot import Snapshot

MAX_HITS = 1000


@dataclass(frozen=True)
class Hit:
    """An item that was found. ``rank`` from 1; ``score`` is the cosine similarity, -1 to 1."""

    rank: int
    score: float
    record: Record

    @property
    def path(self) -> str:
        """How its source calls the item."""
        return self.record.path

    @property
    def label(self) -> str:
        """Its class or instance; empty when unknown."""
        return self.record.label

    @property
    def domain(self) -> str:
        """Its domain; empty when unknown."""
        return self.record.domain

    def as_json(self) -> dict[str, Any]:
        """As the command line and the served endpoint give it."""
        return {
            "rank": self.rank,
            "path": self.path,
            "uri": self.record.uri,
            "label": self.label,
            "domain": self.domain,
            "score": round(self.score, 6),
        }


@dataclass(frozen=True)
class Filters:
    """What may be found: only these domains and splits (all when empty), at least this similarity."""

    domains: tuple[str, ...] = ()
    splits: tuple[str, ...] = ()
    min_score: float | None = None
    exclude: frozenset[int] = frozenset()

    def allowed(self, snapshot: Snapshot) -> np.ndarray | None:
        """bool [N], or None when everything is."""
        if not (self.domains or self.splits or self.exclude):
            return None
        columns = snapshot.columns
        allowed = np.ones(len(snapshot), bool)
        if self.domains:
            allowed &= columns.domains.among(self.domains)
        if self.splits:
            allowed &= columns.splits.among(self.splits)
        if self.exclude:
            allowed &= ~np.isin(columns.ids, list(self.exclude))
        return allowed


@dataclass(frozen=True)
class SearchResult:
    """Hits, best first, and what was searched in how many seconds."""

    hits: list[Hit]
    items: int
    model: str
    index: str
    dim: int
    embed_seconds: float
    search_seconds: float


def search(
    gallery: Gallery,
    pictures: Sequence[ImageLike],
    k: int = 10,
    filters: Filters = Filters(),
    dim: int | None = None,
) -> SearchResult:
    """Search with one image, or with several of the same thing (the mean of their embeddings).

    Raises ``images.ImageError`` for a query that is no image, ``DimensionError`` for an unknown ``dim``, ValueError
    for ``k`` outside 1..1000 or no query.
    """
    if not pictures:
        raise ValueError("no query image given")
    started = time.perf_counter()
    features = gallery.embedder.features(list(pictures))
    return search_features(gallery, features, k, filters, dim, embed_seconds=time.perf_counter() - started)


def search_items(
    gallery: Gallery, ids: Sequence[int], k: int = 10, filters: Filters = Filters(), dim: int | None = None
) -> SearchResult:
    """Search with items of the gallery itself, from their kept features; they are not among the hits."""
    records = gallery.records(ids)
    if not records:
        raise GalleryError("the item is no longer in the gallery")
    started = time.perf_counter()
    features = gallery.features([record.sha256 for record in records])
    without = Filters(filters.domains, filters.splits, filters.min_score, filters.exclude | frozenset(ids))
    return search_features(gallery, features, k, without, dim, embed_seconds=time.perf_counter() - started)


def search_features(
    gallery: Gallery,
    features: np.ndarray,
    k: int,
    filters: Filters,
    dim: int | None,
    embed_seconds: float = 0.0,
) -> SearchResult:
    """Search with backbone features [n, D] of one or several images of the same thing."""
    if not 1 <= k <= MAX_HITS:
        raise ValueError(f"k must be 1 to {MAX_HITS}, not {k}")
    dim = gallery.embedder.neck.check_dim(dim or gallery.config.dim)
    snapshot, index = gallery.index(dim)
    started = time.perf_counter()
    query = truncate(gallery.embedder.neck.embed(features, dim).mean(axis=0, keepdims=True), dim)
    scores, positions = index.search(query, k, filters.allowed(snapshot))
    found = [
        (int(snapshot.columns.ids[position]), float(score))
        for score, position in zip(scores[0], positions[0])
        if filters.min_score is None or score >= filters.min_score
    ]
    records = {record.id: record for record in gallery.records([item for item, _ in found])}
    alive = [(records[item], score) for item, score in found if item in records]
    hits = [Hit(rank, score, record) for rank, (record, score) in enumerate(alive, start=1)]
    return SearchResult(
        hits=hits,
        items=len(snapshot),
        model=gallery.embedder.name,
        index=index.kind,
        dim=dim,
        embed_seconds=embed_seconds,
        search_seconds=time.perf_counter() - started,
    )
