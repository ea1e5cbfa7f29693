"""Nearest neighbours: a shortlist, then exact similarities in one order everywhere."""

from __future__ import annotations

from dataclasses import dataclass

import faiss
import numpy as np

from unifex.vector_index.candidates import FLAT_LIMIT, Flat, Lists, Shortlist

RECALL_QUERIES = 200
RECALL_AT = 10
SLACK = 8  # candidates beyond k, so that ties at the end can be told
FEW = 64  # candidates that are ranked exactly at once; of more, the best are picked in float32 first
TIE = 1e-5  # float32 similarities are this exact
BLOCK_VALUES = 1 << 23  # candidates x dimensions that are rescored at once
EVERYTHING = float("inf")

Groups = tuple[np.ndarray, np.ndarray]  # group of every query [Q] and of every item [N]


@dataclass(frozen=True)
class _Asked:
    """What :meth:`VectorIndex.search` was asked."""

    queries: np.ndarray
    allowed: np.ndarray | None
    groups: Groups | None

    def part(self, rows: np.ndarray | slice) -> _Asked:
        """Some of the queries."""
        return _Asked(self.queries[rows], self.allowed, self.groups and (self.groups[0][rows], self.groups[1]))


@dataclass(frozen=True)
class VectorIndex:
    """``embeddings`` float32 [N, d], L2 norm 1, in memory or mapped, and who proposes candidates among them."""

    embeddings: np.ndarray
    shortlist: Shortlist

    def search(
        self,
        queries: np.ndarray,
        k: int,
        allowed: np.ndarray | None = None,
        groups: Groups | None = None,
        effort: float = 1,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Best ``k`` positions of every query [Q, d]: similarities float32 [Q, w] and positions int64 [Q, w].

        ``allowed``: bool [N]; only those are searched, so that a filter never loses a hit. ``groups``: an item of a
        query's own group is not found by it. ``effort``: :data:`EVERYTHING` looks at every part of the index. w is
        ``k``, or the number of allowed items when that is smaller; a row that has fewer ends with -inf and -1. Ordered
        by similarity (in float64, rounded to float32), then by position: FAISS alone lets equal similarities come as
        they may, and rounds them differently in different batches.
        """
        count = len(self.embeddings) if allowed is None else int(allowed.sum())
        width = min(k, count)
        if not (width and len(queries)):
            return np.zeros((len(queries), width), np.float32), np.zeros((len(queries), width), np.int64)
        asked, depth = _Asked(queries, allowed, groups), self.shortlist.depth(width + SLACK)
        depth, effort = (depth, effort) if depth < count else (count, EVERYTHING)
        scores, positions, settled = self._in_blocks(asked, width, depth, effort)
        waiting = np.flatnonzero(~settled)
        while len(waiting) and depth < count:  # rows with many equals, or with many of their own group
            depth, effort = (4 * depth, 4 * effort) if 4 * depth < count else (count, EVERYTHING)
            found = self._in_blocks(asked.part(waiting), width, depth, effort)
            scores[waiting], positions[waiting], settled = found
            waiting = waiting[~settled]
        return scores, positions

    def _in_blocks(
        self, asked: _Asked, width: int, depth: int, effort: float
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """:meth:`_among` for few enough queries at a time."""
        size = max(1, BLOCK_VALUES // (depth * self.embeddings.shape[1]))
        if len(asked.queries) <= size:
            return self._among(asked, width, depth, effort)
        parts = (asked.part(slice(start, start + size)) for start in range(0, len(asked.queries), size))
        return tuple(np.concatenate(found) for found in zip(*(self._among(p, width, depth, effort) for p in parts)))

    def _among(self, asked: _Asked, width: int, depth: int, effort: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The best ``width`` among ``depth`` candidates, and bool [Q]: whether more candidates cannot change that."""
        queries = asked.queries
        rough, candidates = self.shortlist.nearest(queries, depth, asked.allowed, effort)
        left_out, enough = candidates < 0, True
        if asked.groups is not None:
            own = asked.groups[1][candidates] == asked.groups[0][:, None]
            left_out, enough = left_out | own, own.sum(1) <= depth // 2
        if not self.shortlist.exact:
            candidates, left_out = self._best(queries, candidates, left_out, max(width + SLACK, FEW))
        scores, positions = rank(similarities(queries, self.embeddings, candidates), candidates, left_out, width)
        if self.shortlist.exact:
            return scores, positions, scores[:, -1] > rough[:, -1] + TIE
        # Where most candidates are of the own group, the rest is too few to have been chosen well.
        return scores, positions, enough & (positions[:, -1] >= 0)

    def _best(
        self, queries: np.ndarray, candidates: np.ndarray, left_out: np.ndarray, width: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """The best ``width`` of many candidates in float32, which is quicker than to rank them all exactly."""
        if candidates.shape[1] <= width:
            return candidates, left_out
        rough = np.matmul(self.embeddings[candidates], queries[:, :, None])[..., 0]
        rough[left_out] = -np.inf
        best = np.argpartition(-rough, width - 1, axis=1)[:, :width]
        rows = np.arange(len(best))[:, None]
        return candidates[rows, best], left_out[rows, best]


def build(embeddings: np.ndarray, flat_limit: int | None = None, keys: np.ndarray | None = None) -> VectorIndex:
    """Index float32 [N, d] embeddings in the way that fits their number: exact up to ``flat_limit`` of them.

    ``keys``: ascending int64 [N]; an index of which some were added or removed can then be had from this one.
    """
    if len(embeddings) <= (FLAT_LIMIT if flat_limit is None else flat_limit):
        return VectorIndex(embeddings, Flat.of(embeddings))
    keys = np.arange(len(embeddings)) if keys is None else keys
    rows = np.random.default_rng(0).choice(len(embeddings), min(RECALL_QUERIES, len(embeddings)), False)
    queries = embeddings[np.sort(rows)]
    nearest = faiss.knn(queries, embeddings, min(RECALL_AT, len(keys)), metric=faiss.METRIC_INNER_PRODUCT)[1]
    return VectorIndex(embeddings, Lists.of(embeddings, keys, queries, nearest))


def renewed(last: Shortlist, embeddings: np.ndarray, keys: np.ndarray) -> VectorIndex:
    """As :func:`build`, from the shortlist of an index of which vectors were removed, or to which some were added."""
    if isinstance(last, Lists) and (moved := last.moved_to(embeddings, keys)):
        return VectorIndex(embeddings, moved)
    return build(embeddings, keys=keys)


def similarities(queries: np.ndarray, embeddings: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Cosine of every query [Q, d] with its candidates at ``positions`` [Q, c]: float32 [Q, c], the same in any batch.

    Both are L2-normalised float32; the sum is in float64, so that equal vectors have equal similarities.
    """
    chosen = embeddings[positions].astype(np.float64)
    return np.einsum("qd,qcd->qc", queries.astype(np.float64), chosen).astype(np.float32)


def rank(scores: np.ndarray, positions: np.ndarray, left_out: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """The first ``width`` of scores and positions [Q, c] by score, then position; what is left out is -inf and -1."""
    if left_out.any():
        scores, positions = np.where(left_out, np.float32(-np.inf), scores), np.where(left_out, -1, positions)
    order = np.lexsort((positions, -scores), axis=1)[:, :width]
    rows = np.arange(len(order))[:, None]
    return scores[rows, order], positions[rows, order]
