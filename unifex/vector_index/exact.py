"""Nearest neighbours: candidates from an index type, then exact similarities in one order everywhere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from unifex.vector_index.candidates import EVERYTHING, CandidateIndex
from unifex.vector_index.matches import NOTHING, Exclusion, Matches, Rows
from unifex.vector_index.metric import exact_similarities, similarities, similarities_of_pairs

FIRST, FURTHER = 100, 10  # an answer grows from so many, by this factor, so that a longer one begins with a shorter one
SLACK = 8  # candidates beyond k, so that ties at the end can be told
FEW = 64  # candidates that are ranked exactly at once; of more, the best are picked in float32 first
TIE = 1e-5  # float32 similarities are this exact
BLOCK_VALUES = 1 << 23  # candidates x dimensions that are rescored at once
BLOCK_ITEMS = 8192  # that are compared with many queries at once
DEEP = 256  # candidates from which on it may be quicker to rank all items
RANKED_AT_ONCE = 1 << 23  # queries x items


@dataclass(frozen=True)
class SearchRequest:
    """What :meth:`VectorIndex.search` was asked: ``n_candidates`` and ``budget`` as its index type has them."""

    queries: np.ndarray
    k: int
    excluded: Exclusion
    n_candidates: int
    budget: float

    def at(self, rows: Rows) -> SearchRequest:
        """For some of the queries."""
        return SearchRequest(self.queries[rows], self.k, self.excluded.at(rows), self.n_candidates, self.budget)

    def deeper(self, items: int) -> SearchRequest:
        """With four times the candidates and budget, until every one of ``items`` is looked at."""
        everything = 4 * self.n_candidates >= items
        n_candidates, budget = (items, EVERYTHING) if everything else (4 * self.n_candidates, 4 * self.budget)
        return SearchRequest(self.queries, self.k, self.excluded, n_candidates, budget)

    def is_deep(self, items: int) -> bool:
        """Whether all ``items`` are sooner ranked at once than so many candidates of each query looked up one by one:
        of many queries that takes a thirtieth of the time, but all items are read first."""
        return self.n_candidates >= max(DEEP, items / 32 + items / len(self.queries))


@dataclass(frozen=True)
class VectorIndex:
    """``embeddings`` float32 [N, d], L2 norm 1, in memory or mapped, and who proposes candidates among them."""

    embeddings: np.ndarray
    candidates: CandidateIndex

    def search(
        self, queries: np.ndarray, k: int, excluded: Exclusion = NOTHING, budget: float = 1, alone: bool = False
    ) -> Matches:
        """Best ``k`` of every query [Q, d]: :class:`Matches` [Q, w]; w is ``k``, or what the mask leaves if fewer.

        ``budget``: how many times the usual part of the index is looked at, :data:`EVERYTHING` at all of it. A row that
        has fewer ends with -inf and -1. Ordered by similarity (in float64, rounded to float32), then by position: FAISS
        alone lets equal similarities come as they may, and rounds them differently in different batches.

        Who asks for more finds the same ones first. So, where more candidates find what fewer have missed, it comes
        behind what these have found: behind the first hundred, which are in order, and behind the first thousand.
        An answer that stands ``alone``, of which nobody asks for more, takes two thirds of the time.
        """
        items = excluded.count(len(self.embeddings))
        k = min(k, items)
        if not (k and len(queries)):
            return Matches.none(len(queries), k)
        if self.candidates.exact or alone:
            return self._best_of(queries, k, excluded, budget, items)
        count = min(FIRST, items)
        found = self._best_of(queries, count, excluded, budget, items)
        while count < k:
            count = min(FURTHER * count, items)
            found = found.followed_by(self._best_of(queries, count, excluded, budget, items))
        return Matches(found.scores[:, :k], found.positions[:, :k])

    def _best_of(self, queries: np.ndarray, k: int, excluded: Exclusion, budget: float, items: int) -> Matches:
        """:meth:`search` at once, among so many ``items``."""
        n_candidates = self.candidates.n_candidates(k + SLACK)
        n_candidates, budget = (n_candidates, budget) if n_candidates < items else (items, EVERYTHING)
        request = SearchRequest(queries, k, excluded, n_candidates, budget)
        matches, settled = self._in_blocks(request)
        waiting = np.flatnonzero(~settled)
        while len(waiting) and request.n_candidates < items:  # rows with many equals, or with many of their own group
            request = request.deeper(items)
            found, settled = self._in_blocks(request.at(waiting))
            matches.put(waiting, found)
            waiting = waiting[~settled]
        return matches

    def _in_blocks(self, request: SearchRequest) -> tuple[Matches, np.ndarray]:
        """:meth:`_among` for few enough queries at a time, or :meth:`_among_all` where that is quicker."""
        items, dim = self.embeddings.shape
        answer, size = self._among, max(1, BLOCK_VALUES // (request.n_candidates * dim))
        if self.candidates.exact and request.is_deep(items):
            answer, size = self._among_all, max(1, RANKED_AT_ONCE // items)
        if len(request.queries) <= size:
            return answer(request)
        starts = range(0, len(request.queries), size)
        matches, settled = zip(*(answer(request.at(slice(start, start + size))) for start in starts))
        return Matches.concatenate(matches), np.concatenate(settled)

    def _among_all(self, request: SearchRequest) -> tuple[Matches, np.ndarray]:
        """As :meth:`_among`, but every item is compared, in float64, and all are sorted: nothing is left to settle."""
        matches = rank_all(request.queries, request.k, self.embeddings, request.excluded)
        return matches, np.ones(len(matches), bool)

    def _among(self, request: SearchRequest) -> tuple[Matches, np.ndarray]:
        """The best ``k`` among the candidates, and bool [Q]: whether more candidates cannot change that."""
        queries, n_candidates, k = request.queries, request.n_candidates, request.k
        rough = self.candidates.search(queries, n_candidates, request.excluded.mask, request.budget)
        candidates, own, enough = rough.positions, request.excluded.of_own_group(rough.positions), np.True_
        excluded = candidates < 0
        if own is not None:
            excluded, enough = excluded | own, own.sum(1) <= n_candidates // 2
        if not self.candidates.exact:
            candidates, excluded = self._best(queries, candidates, excluded, max(k + SLACK, FEW))
        scores = exact_similarities(queries, self.embeddings, candidates)
        matches = Matches(scores, candidates).top_k(k, excluded)
        if self.candidates.exact:
            return matches, matches.scores[:, -1] > rough.scores[:, -1] + TIE
        # Where most candidates are of the own group, the rest is too few to have been chosen well.
        return matches, enough & (matches.positions[:, -1] >= 0)

    def _best(
        self, queries: np.ndarray, candidates: np.ndarray, excluded: np.ndarray, count: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """The best ``count`` of many candidates in float32, which is quicker than to rank them all exactly."""
        if candidates.shape[1] <= count:
            return candidates, excluded
        rough = similarities_of_pairs(queries, self.embeddings[candidates])
        rough[excluded] = -np.inf
        best = np.argpartition(-rough, count - 1, axis=1)[:, :count]
        rows = np.arange(len(best))[:, None]
        return candidates[rows, best], excluded[rows, best]


def nearest_of_all(queries: np.ndarray, k: int, embeddings: np.ndarray, excluded: Exclusion) -> Matches:
    """As :meth:`VectorIndex.search` of many queries [Q, d], every item looked at and compared in float32: of hundreds
    of hits of each, that is quicker than any index."""
    found = Matches.none(len(queries), min(k, excluded.count(len(embeddings))))
    items = np.arange(len(embeddings)) if excluded.mask is None else np.flatnonzero(excluded.mask)
    for start in range(0, len(items), BLOCK_ITEMS):
        block = items[start : start + BLOCK_ITEMS]
        alike = similarities(queries, embeddings[block])
        own = excluded.of_own_group(np.broadcast_to(block, alike.shape))
        if own is not None:
            alike[own] = -np.inf
        width = min(k, len(block))
        best = np.argpartition(alike, -width, axis=1)[:, -width:]
        scores = np.take_along_axis(alike, best, 1)
        found = found.beside(Matches(scores, np.where(np.isfinite(scores), block[best], -1))).top_k(
            found.scores.shape[1]
        )
    return found


def rank_all(queries: np.ndarray, k: int, embeddings: np.ndarray, excluded: Exclusion) -> Matches:
    """As :meth:`VectorIndex.search` of many queries [Q, d] that ask for many items each."""
    items = np.arange(len(embeddings)) if excluded.mask is None else np.flatnonzero(excluded.mask)
    scores, wide = np.empty((len(queries), len(items)), np.float32), queries.astype(np.float64)
    for start in range(0, len(items), BLOCK_ITEMS):
        block = embeddings[items[start : start + BLOCK_ITEMS]].astype(np.float64)
        scores[:, start : start + BLOCK_ITEMS] = similarities(wide, block)
    own = excluded.of_own_group(items[None])
    if own is not None:
        scores[own] = -np.inf
    first = _order(scores)[:, :k]
    scores = np.take_along_axis(scores, first, 1)
    return Matches(scores, np.where(np.isfinite(scores), items[first], -1))


def _order(scores: np.ndarray) -> np.ndarray:
    """int64 [Q, n] of float32 [Q, n]: where the highest is, and so on; of equals the first comes first.

    Sorted are whole numbers with the place behind the score, which takes a twentieth of the time of an argsort.
    """
    bits = (scores + np.float32(0)).view(np.int32)  # 0 for -0
    ascending = np.where(bits < 0, bits ^ np.int32(0x7FFFFFFF), bits)
    keys = (~ascending).astype(np.int64) << 32
    keys |= np.arange(scores.shape[1])
    keys.sort(axis=1)
    keys &= 0xFFFFFFFF
    return keys


def best_outside(
    queries: np.ndarray, own: np.ndarray, embeddings: np.ndarray, groups: np.ndarray, mask: np.ndarray | None = None
) -> np.ndarray:
    """float32 [Q]: the similarity of what is nearest to every query [Q, d] and not of its ``own`` group int [Q].

    Every item is looked at, ``groups`` int [N], of which there may be millions in one group; -inf where nothing is
    left. ``mask`` bool [N]: what may be found.
    """
    order = np.argsort(own, kind="stable")
    queries = queries[order]
    asked, first = np.unique(own[order], return_index=True)
    last = np.append(first[1:], len(own))
    best = np.full(len(queries), -np.inf, np.float32)
    items = np.arange(len(embeddings)) if mask is None else np.flatnonzero(mask)
    for start in range(0, len(items), BLOCK_ITEMS):
        block = items[start : start + BLOCK_ITEMS]
        alike = similarities(queries, embeddings[block])
        place = np.searchsorted(asked, groups[block])
        columns = np.flatnonzero(np.isin(groups[block], asked))
        columns = columns[np.argsort(place[columns], kind="stable")]
        present, starts = np.unique(place[columns], return_index=True)
        for group, own_columns in zip(present, np.split(columns, starts[1:])):
            alike[first[group] : last[group], own_columns] = -np.inf
        np.maximum(best, alike.max(axis=1, initial=-np.inf), out=best)
    result = np.empty_like(best)
    result[order] = best
    return result
