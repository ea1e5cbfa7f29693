"""A query -> hits."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache

import numpy as np

from unifex.core import ranges
from unifex.core.errors import UnifexError
from unifex.core.language import say
from unifex.gallery.calibration import Calibration, CalibrationError
from unifex.gallery.gallery import Gallery
from unifex.gallery.snapshot import Snapshot
from unifex.models.image_like import ImageLike
from unifex.retrieval import folding, reranking, text_search
from unifex.retrieval.feedback import MarkedQuery, Marks
from unifex.retrieval.filters import Filters
from unifex.retrieval.hits import SearchResult, hits_at
from unifex.retrieval.query import Query
from unifex.vector_index.exact import VectorIndex
from unifex.vector_index.matches import Exclusion, Matches
from unifex.vector_index.metric import exact_similarities

DEEPEST = 1000  # ranks that are told apart: to find ten times as many hits takes a large gallery ten times as long
Find = Callable[[int], Matches]  # so many matches of one query, best first


def search(
    gallery: Gallery,
    query: Query | Sequence[ImageLike],
    k: int = 10,
    filters: Filters = Filters(),
    dim: int | None = None,
    rerank: bool = False,
    fold: str = "",
) -> SearchResult:
    """The ``k`` items that are most like a query, or like the mean of several images of the same thing.

    A query of images alone may be given as these. Items of the gallery that are searched with, or marked as less like
    it, are not among the hits. Marks move the query; similarities are those of what it shows and what is more like it.
    ``dim``: of the embeddings, default the gallery's own. ``rerank``: by the gallery's own neighbourhood; similarities
    stay those of the query, and what is ranked by the nearest mark, or found by text with images or marks, stays as it
    is. Text is compared with features, whatever ``dim``.
    ``fold``: near-copies of this level (``duplicates.LEVELS``) are one hit, so that there are ``k`` of different ones;
    the first time in a gallery, its pictures are compared.

    Raises ``images.ImageError`` for a query that is no image, ``DimensionError`` for an unknown ``dim``,
    ``BackboneError`` for text where the backbone has no text tower, ``UnifexError`` for ``k`` outside 1..1000, for
    nothing to search with, or for a ``false_accept_rate`` where labels cannot tell.
    """
    query = query if isinstance(query, Query) else Query(images=tuple(query))
    if not query:
        raise UnifexError(say("no query image given, nor words"))
    hidden = filters.exclude | frozenset(query.items) | frozenset(query.less)
    k, filters = ranges.HITS.check(k), replace(filters, exclude=hidden)
    dim = gallery.dim_of(dim)  # text needs none, and yet none that is not there
    if query.text:
        return text_search.search_by_text(gallery, query, k, filters, rerank, fold)
    started = time.perf_counter()
    features = _features(gallery, query) if query.shows else None
    seconds = time.perf_counter() - started
    return _search(gallery, query, features, k, filters, dim, rerank, fold, embed_seconds=seconds)


def _features(gallery: Gallery, query: Query) -> np.ndarray:
    """Backbone features [n, D] of what the query shows. While a network is made ready for it, the gallery is read: of a
    million items that takes twice as long."""
    if gallery.embedder.is_ready:
        return query.features(gallery)
    with ThreadPoolExecutor(1) as thread:
        thread.submit(gallery.snapshot)  # what is wrong with it is told when it is asked for
        return query.features(gallery)


def _search(
    gallery: Gallery,
    query: Query,
    features: np.ndarray | None,
    k: int,
    filters: Filters,
    dim: int,
    rerank: bool,
    fold: str,
    embed_seconds: float,
) -> SearchResult:
    """With backbone features [n, D] of one or several images of the same thing; None where marks are all there is."""
    by_nearest = query.feedback == "nearest" and bool(query.more or query.less)
    snapshot = gallery.snapshot()
    near = gallery.derived.neighbours_for_search(snapshot, dim) if rerank and not by_nearest else None
    duplicates = folding.duplicates_of(gallery, snapshot, fold)
    index = gallery.index_of(snapshot, dim)
    started = time.perf_counter()
    marked = _marked(gallery, query, features, snapshot, index)
    excluded = Exclusion(filters.mask(snapshot))
    alike = cache(lambda depth: index.search(marked.wanted, depth, excluded))
    if by_nearest:
        find = lambda depth: marked.search_nearest(index, depth, excluded)  # noqa: E731
    elif near is not None:
        find = lambda depth: reranking.search_reranked(index, near, marked.moved(), depth, excluded)  # noqa: E731
    elif len(marked.disliked):
        find = lambda depth: index.search(marked.moved(), depth, excluded)  # noqa: E731
    else:
        find = alike
    calibration, rate = _calibration(gallery, snapshot, dim, filters.false_accept_rate), filters.false_accept_rate
    trusted_from = None if calibration is None or rate is None else calibration.threshold(rate) / marked.as_one
    least = filters.lowest_score if trusted_from is None else max(filters.lowest_score, trusted_from)
    positions = _first(index, marked, find, alike, k, least, duplicates.groups[fold] if duplicates else None)
    scores = exact_similarities(marked.wanted, index.embeddings, positions[None])[0]
    is_whole = not filters.partial and filters.exclude <= {*query.items, *query.less}
    stranger, chances = None, None
    if calibration:
        own = Exclusion(Filters(exclude=frozenset({*query.items, *query.less})).mask(snapshot))
        liked = Marks.of(query, snapshot).liked
        ranked = alike if is_whole else lambda depth: index.search(marked.wanted, depth, own)
        whole = _passed(ranked, scores, max(k, len(liked) + 1), min(int(calibration.deepest), DEEPEST))
        best, chances = _told(calibration, marked, whole, liked, positions, scores)
        stranger = calibration.is_stranger(best) if is_whole and not len(liked) else None
    hits = hits_at(gallery, snapshot, positions, scores, chances)
    return SearchResult(
        hits=folding.fold(hits, duplicates, fold, excluded.mask) if duplicates else hits,
        reranked=near is not None,
        out_of_gallery=stranger,
        items=len(snapshot),
        searched=filters.searched(snapshot),
        model=gallery.embedder.name,
        index=index.candidates.title,
        dim=dim,
        embed_seconds=embed_seconds,
        search_seconds=time.perf_counter() - started,
        trusted_from=trusted_from,
        best=float(alike(k).scores.max(initial=-1)),
    )


def _passed(find: Find, scores: np.ndarray, depth: int, deepest: int) -> Matches:
    """What ``find`` ranks first by similarity, until hits with these ``scores`` [k] are passed: at least so deep, and
    not ``deepest``, where none is worth more time. What stands further down, as among few of millions, is told the
    chance of that rank, which is a little more than its own."""
    while True:
        found = find(depth)
        width = found.positions.shape[1]
        if depth >= deepest or width < depth or found.scores.min(initial=np.inf) <= scores.min(initial=np.inf):
            return found
        depth = min(deepest, 5 * depth)


def _told(
    calibration: Calibration,
    marked: MarkedQuery,
    whole: Matches,
    liked: np.ndarray,
    positions: np.ndarray,
    scores: np.ndarray,
) -> tuple[float, np.ndarray]:
    """The best similarity in the ``whole`` gallery, as one image has it, and the chances of hits at ``positions`` with
    these ``scores``. What is ``liked`` is itself a part of what is searched with: its likeness says nothing of
    others."""
    others = whole.scores[whole.found & ~np.isin(whole.positions, liked)]
    best, seen, ranks = marked.as_one * float(others.max(initial=-1)), marked.as_one * scores, _ranks(scores, whole)
    chances = calibration.chances(seen, best, ranks)
    return best, np.where(np.isin(positions, liked), calibration.probability(seen, ranks), chances)


def _ranks(scores: np.ndarray, whole: Matches) -> np.ndarray:
    """From 1, of hits with these scores [k], in any order and of any part of a gallery, in what is most alike in the
    whole of it."""
    there, order = np.sort(-whole.scores[whole.found]), np.argsort(-scores, kind="stable")
    ranks = np.empty(len(scores), np.int64)
    ranks[order] = np.maximum(1 + np.searchsorted(there, -scores[order]), np.arange(1, len(scores) + 1))
    return ranks


def _marked(
    gallery: Gallery, query: Query, features: np.ndarray | None, snapshot: Snapshot, index: VectorIndex
) -> MarkedQuery:
    """The query and its marks at the index's dimension; of the marks the gallery has embeddings."""
    marks, dim = Marks.of(query, snapshot), index.embeddings.shape[1]
    images = np.zeros((0, dim), np.float32) if features is None else gallery.embedder.neck.embed(features, dim)
    return MarkedQuery.of(images, index.embeddings[marks.liked], index.embeddings[marks.disliked])


def _first(
    index: VectorIndex,
    marked: MarkedQuery,
    find: Find,
    alike: Find,
    k: int,
    least: float,
    groups: np.ndarray | None,
) -> np.ndarray:
    """The positions int64 [<= k] of what ``find`` ranks first among all that is at least so similar, one of each group.

    ``alike`` ranks by similarity: it tells how many there are, which ``find`` may have anywhere.
    """
    most = len(index.embeddings)

    def counts(positions: np.ndarray) -> np.ndarray:
        return exact_similarities(marked.wanted, index.embeddings, positions[None])[0] >= least

    def alike_enough(depth: int) -> Matches:
        found = alike(depth)
        return Matches(found.scores[:, found.scores[0] >= least], found.positions[:, found.scores[0] >= least])

    if find is not alike and not np.isfinite(least):
        return folding.find_enough(find, k, most, counts, groups)
    there = folding.find_enough(alike_enough, k, most, counts, groups)
    return there if find is alike else folding.find_enough(find, len(there), most, counts, groups)


def _calibration(gallery: Gallery, snapshot: Snapshot, dim: int, false_accept_rate: float | None) -> Calibration | None:
    """What similarity means here; fitted for the gallery's own dimension only. Has to be there for a rate."""
    try:
        if dim != gallery.config.dim:
            raise CalibrationError(
                say("trust is told for the gallery's own {dim}-d embeddings only", dim=gallery.config.dim)
            )
        return gallery.calibration(snapshot)
    except CalibrationError:
        if false_accept_rate is not None:
            raise
        return None
