"""Nearest neighbours with FAISS: which index for how many vectors, exact filters, and its recall measured.

Up to :data:`FLAT_LIMIT` vectors every similarity is computed. Above, the nested embedding's 64-d prefix, in 8 bits a
value, gives a shortlist that is rescored exactly at full dimension.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import faiss
import numpy as np

from unifex.neck import truncate
from unifex.soundness import write_atomically_with

FLAT_LIMIT = 50_000  # here an exact search takes about as long as embedding the query does
PREFIX_DIM = 64
SHORTLIST = 1000  # candidates a query, at least
SHORTLIST_PER_HIT = 20
RECALL_QUERIES = 100
RECALL_AT = 10
SLACK = 8  # candidates beyond k, so that ties at the end can be told
TIE = 1e-5  # FAISS's float32 similarities are this exact
BLOCK_VALUES = 1 << 23  # candidates x dimensions that are rescored at once

Groups = tuple[np.ndarray, np.ndarray]  # group of every query [Q] and of every item [N]


@dataclass(frozen=True)
class VectorIndex:
    """``embeddings`` float32 [N, d], L2 norm 1, and the FAISS index over them (or over their prefix)."""

    embeddings: np.ndarray
    index: faiss.Index
    exact: bool
    recall: float

    @property
    def kind(self) -> str:
        """What it is, for people."""
        dim = self.embeddings.shape[1]
        return f"exact, {dim}-d" if self.exact else f"{PREFIX_DIM}-d 8-bit shortlist, rescored at {dim}-d"

    def search(
        self, queries: np.ndarray, k: int, allowed: np.ndarray | None = None, groups: Groups | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Best ``k`` positions of every query [Q, d]: similarities float32 [Q, w] and positions int64 [Q, w].

        ``allowed``: bool [N]; only those are searched, so that a filter never loses a hit. ``groups``: an item of a
        query's own group is not found by it. w is ``k``, or the number of allowed items when that is smaller; a row
        that has fewer ends with -inf and -1. Ordered by similarity (in float64, rounded to float32), then by position:
        FAISS alone lets equal similarities come as they may, and rounds them differently in different batches.
        """
        count = len(self.embeddings) if allowed is None else int(allowed.sum())
        width = min(k, count)
        scores = np.full((len(queries), width), -np.inf, np.float32)
        positions = np.full((len(queries), width), -1, np.int64)
        waiting = np.arange(len(queries)) if width else np.zeros(0, np.int64)
        depth = width + SLACK if self.exact else max(SHORTLIST, SHORTLIST_PER_HIT * k)
        parameters = _selector(allowed)
        while len(waiting):  # nearly always once; again only for rows with many equals or many of their own group
            depth = min(depth, count)
            unsettled = []
            block = max(1, BLOCK_VALUES // (depth * self.embeddings.shape[1]))
            for rows in np.split(waiting, range(block, len(waiting), block)):
                rough, candidates = self._candidates(queries[rows], depth, parameters)
                left_out = candidates < 0  # FAISS fills with these what it cannot find
                if groups:
                    left_out |= groups[1][candidates] == groups[0][rows, None]
                ranked = rank(similarities(queries[rows], self.embeddings, candidates), candidates, left_out, width)
                scores[rows], positions[rows] = ranked
                settled = (ranked[0][:, -1] > (rough[:, -1] + TIE if self.exact else -np.inf)) | (depth == count)
                unsettled.append(rows[~settled])
            waiting = np.concatenate(unsettled)
            depth *= 4
        return scores, positions

    def _candidates(self, queries: np.ndarray, depth: int, parameters) -> tuple[np.ndarray, np.ndarray]:
        """FAISS's own best ``depth``, at full length or by the prefix: similarities and positions [Q, depth]."""
        probe = queries if self.exact else truncate(queries, PREFIX_DIM)
        return self.index.search(np.ascontiguousarray(probe, np.float32), depth, params=parameters)

    def save(self, path: Path) -> None:
        """Write the FAISS part at once or not at all; the embeddings are the gallery's."""
        write_atomically_with(path, lambda file: faiss.write_index(self.index, faiss.PyCallbackIOWriter(file.write)))


def build(embeddings: np.ndarray, flat_limit: int = FLAT_LIMIT) -> VectorIndex:
    """Index float32 [N, d] embeddings in the way that fits their number, and measure its recall."""
    if len(embeddings) <= flat_limit or embeddings.shape[1] <= PREFIX_DIM:
        flat = faiss.IndexFlatIP(embeddings.shape[1])
        flat.add(embeddings)
        return VectorIndex(embeddings, flat, exact=True, recall=1.0)
    prefix = truncate(embeddings, PREFIX_DIM)
    quantised = faiss.IndexScalarQuantizer(PREFIX_DIM, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT)
    quantised.train(prefix[:: max(1, len(prefix) // 100_000)])
    quantised.add(prefix)
    unmeasured = VectorIndex(embeddings, quantised, exact=False, recall=float("nan"))
    return VectorIndex(embeddings, quantised, exact=False, recall=_recall(unmeasured))


def load(embeddings: np.ndarray, path: Path, exact: bool, recall: float) -> VectorIndex:
    """Read what :meth:`VectorIndex.save` wrote. Raises RuntimeError when it does not belong to the embeddings."""
    index = faiss.read_index(str(path))
    width = embeddings.shape[1] if exact else PREFIX_DIM
    if index.ntotal != len(embeddings) or index.d != width:
        raise RuntimeError(f"{path.name} holds {index.ntotal} x {index.d}, expected {len(embeddings)} x {width}")
    return VectorIndex(embeddings, index, exact, recall)


def _recall(index: VectorIndex) -> float:
    """Share of the exact top 10 that the index finds, over items of its own as queries."""
    rows = np.random.default_rng(0).choice(len(index.embeddings), min(RECALL_QUERIES, len(index.embeddings)), False)
    queries = index.embeddings[np.sort(rows)]
    _, found = index.search(queries, RECALL_AT)
    exact = faiss.knn(queries, index.embeddings, RECALL_AT, metric=faiss.METRIC_INNER_PRODUCT)[1]
    return float(np.mean([len(set(a) & set(b)) / RECALL_AT for a, b in zip(found, exact)]))


def similarities(queries: np.ndarray, embeddings: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Cosine of every query [Q, d] with its candidates at ``positions`` [Q, c]: float32 [Q, c], the same in any batch.

    Both are L2-normalised float32; the sum is in float64, so that equal vectors have equal similarities.
    """
    chosen = embeddings[positions].astype(np.float64)
    return np.einsum("qd,qcd->qc", queries.astype(np.float64), chosen).astype(np.float32)


def rank(scores: np.ndarray, positions: np.ndarray, left_out: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """The first ``width`` of scores and positions [Q, c] by score, then position; what is left out is -inf and -1."""
    scores = np.where(left_out, -np.inf, scores).astype(np.float32)
    positions = np.where(left_out, -1, positions)
    order = np.lexsort((positions, -scores), axis=1)[:, :width]
    return np.take_along_axis(scores, order, 1), np.take_along_axis(positions, order, 1)


def _selector(allowed: np.ndarray | None) -> faiss.SearchParameters | None:
    if allowed is None:
        return None
    selector = faiss.IDSelectorBitmap(np.packbits(allowed, bitorder="little"))
    return faiss.SearchParameters(sel=selector)
