"""A query -> hits."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from unifex.core import ranges
from unifex.core.errors import UnifexError
from unifex.core.text import printable, what_there_is
from unifex.core.vectors import l2_normalize
from unifex.gallery.calibration import Calibration, CalibrationError
from unifex.gallery.gallery import Gallery, GalleryError, Record
from unifex.gallery.snapshot import Snapshot
from unifex.models.embedder import ImageLike
from unifex.retrieval import reranking
from unifex.vector_index.matches import Exclusion
from unifex.vector_index.metric import exact_similarities


@dataclass(frozen=True)
class Hit:
    """An item that was found. ``rank`` from 1; ``score`` is the cosine similarity, -1 to 1.

    ``probability``: 0..1 that it is right, as the gallery's labels tell; None when they cannot.
    """

    rank: int
    score: float
    record: Record
    probability: float | None = None

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
            "chance": None if self.probability is None else round(self.probability, 4),
        }


@dataclass(frozen=True)
class Filters:
    """What may be found: only these domains, splits and items (all when empty), at least this similarity.

    ``false_accept_rate``: only hits that no more than this share (0..1) of queries reach whose thing is not in the
    gallery.
    """

    domains: tuple[str, ...] = ()
    splits: tuple[str, ...] = ()
    min_score: float | None = None
    exclude: frozenset[int] = frozenset()
    within: frozenset[int] = frozenset()
    false_accept_rate: float | None = None

    def __post_init__(self) -> None:
        if self.min_score is not None:
            ranges.SIMILARITY.check(self.min_score)
        if self.false_accept_rate is not None:
            ranges.FALSE_ACCEPT_RATE.check(100 * self.false_accept_rate)

    def check_known(self, gallery: Gallery) -> None:
        """Raises ``UnifexError`` for a domain or split that no item has: for who typed it, which is not "no hits"."""
        columns = gallery.snapshot().columns
        for what, there, wanted in (
            ("domain", columns.domains.names, self.domains),
            ("split", columns.splits.names, self.splits),
        ):
            for name in wanted:
                if printable(name) not in map(printable, there):
                    raise UnifexError(f"no {what} '{name}' in gallery '{gallery.name}'; {what_there_is(there, name)}")

    @property
    def least_score(self) -> float:
        """``min_score``, or minus infinity."""
        return -np.inf if self.min_score is None else self.min_score

    @property
    def partial(self) -> bool:
        """Whether a part of a gallery is searched only."""
        return bool(self.domains or self.splits or self.within)

    def searched(self, snapshot: Snapshot) -> int:
        """Among how many items; those that are the query itself count, though they are not among the hits."""
        return int(replace(self, exclude=frozenset()).mask(snapshot).sum()) if self.partial else len(snapshot)

    def mask(self, snapshot: Snapshot) -> np.ndarray | None:
        """bool [N], or None when everything is."""
        if not (self.partial or self.exclude):
            return None
        columns = snapshot.columns
        mask = np.ones(len(snapshot), bool)
        if self.domains:
            mask &= columns.domains.among(self.domains)
        if self.splits:
            mask &= columns.splits.among(self.splits)
        if self.within:
            mask &= np.isin(columns.ids, list(self.within))
        if self.exclude:
            mask &= ~np.isin(columns.ids, list(self.exclude))
        return mask


@dataclass(frozen=True)
class SearchResult:
    """Hits, best first, and what was searched in how many seconds.

    ``out_of_gallery``: True when even what is most alike is so little alike that the query's thing is probably not
    in the gallery; None when only a part of it was searched, or its labels cannot tell. ``searched``: how many of
    the gallery's ``items`` the filters left to search among.
    """

    hits: list[Hit]
    context: bool
    out_of_gallery: bool | None
    items: int
    searched: int
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
    context: bool = False,
) -> SearchResult:
    """Search with one image, or with several of the same thing (the mean of their embeddings).

    ``context``: re-rank by the gallery's own neighbourhood; the similarities stay those of the images. Raises
    ``images.ImageError`` for a query that is no image, ``DimensionError`` for an unknown ``dim``, ``UnifexError`` for
    ``k`` outside 1..1000, for no query, or for ``false_accept_rate`` in a gallery whose labels cannot tell.
    """
    if not pictures:
        raise UnifexError("no query image given")
    started = time.perf_counter()
    features = gallery.embedder.features(list(pictures))
    return search_features(gallery, features, k, filters, dim, context, time.perf_counter() - started)


def search_items(
    gallery: Gallery,
    ids: Sequence[int],
    k: int = 10,
    filters: Filters = Filters(),
    dim: int | None = None,
    context: bool = False,
) -> SearchResult:
    """Search with items of the gallery itself, from their kept features; they are not among the hits."""
    records = gallery.records(ids)
    if not records:
        raise GalleryError("the item is no longer in the gallery")
    started = time.perf_counter()
    features = gallery.features([record.sha256 for record in records])
    without = replace(filters, exclude=filters.exclude | frozenset(ids))
    return search_features(gallery, features, k, without, dim, context, time.perf_counter() - started)


def search_features(
    gallery: Gallery,
    features: np.ndarray,
    k: int,
    filters: Filters,
    dim: int | None,
    context: bool = False,
    embed_seconds: float = 0.0,
) -> SearchResult:
    """Search with backbone features [n, D] of one or several images of the same thing."""
    k = ranges.HITS.check(k)
    dim = gallery.embedder.neck.check_dim(dim or gallery.config.dim)
    snapshot, near = gallery.neighbours() if context else (gallery.snapshot(), None)
    index = gallery.index_of(snapshot, dim)
    started = time.perf_counter()
    query = l2_normalize(gallery.embedder.neck.embed(features, dim).mean(axis=0, keepdims=True), dim)
    excluded = Exclusion(filters.mask(snapshot))
    if near is None:
        matches = index.search(query, k, excluded)
    else:
        matches = reranking.search_reranked(index, near, query, k, excluded)
    positions = matches.positions[matches.found]
    scores = exact_similarities(query, index.embeddings, positions[None])[0]
    calibration = _calibration(gallery, snapshot, dim, required=filters.false_accept_rate is not None)
    least = -np.inf if filters.false_accept_rate is None else calibration.threshold(filters.false_accept_rate)
    tells = calibration and not filters.partial
    return SearchResult(
        hits=hits_at(gallery, snapshot, positions, scores, max(least, filters.least_score), calibration),
        context=context,
        out_of_gallery=calibration.probability_in_gallery(scores.max(initial=-1)) < 0.5 if tells else None,
        items=len(snapshot),
        searched=filters.searched(snapshot),
        model=gallery.embedder.name,
        index=index.candidates.title,
        dim=dim,
        embed_seconds=embed_seconds,
        search_seconds=time.perf_counter() - started,
    )


def hits_at(
    gallery: Gallery,
    snapshot: Snapshot,
    positions: np.ndarray,
    scores: np.ndarray,
    least: float,
    calibration: Calibration | None = None,
) -> list[Hit]:
    """The items at these positions of the snapshot, best first, whose score is at least ``least``."""
    ids, scores = snapshot.columns.ids[positions[scores >= least]].tolist(), scores[scores >= least].tolist()
    records = {record.id: record for record in gallery.records(ids)}
    alive = [(records[item], score) for item, score in zip(ids, scores) if item in records]
    probability = (lambda score: float(calibration.probability(score))) if calibration else (lambda score: None)
    return [Hit(rank, score, record, probability(score)) for rank, (record, score) in enumerate(alive, start=1)]


def _calibration(gallery: Gallery, snapshot: Snapshot, dim: int, required: bool) -> Calibration | None:
    """What similarity means here; fitted for the gallery's own dimension only."""
    try:
        if dim != gallery.config.dim:
            raise CalibrationError(f"trust is told for the gallery's own {gallery.config.dim}-d embeddings only")
        return gallery.calibration(snapshot)
    except CalibrationError:
        if required:
            raise
        return None
