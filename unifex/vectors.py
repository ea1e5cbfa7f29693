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

FLAT_LIMIT = 50_000  # here an exact search takes about as long as embedding the query does
PREFIX_DIM = 64
SHORTLIST = 1000  # candidates a query, at least
SHORTLIST_PER_HIT = 20
RECALL_QUERIES = 100
RECALL_AT = 10


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
        self, queries: np.ndarray, k: int, allowed: np.ndarray | None = None
    ) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Best ``k`` positions of every query [Q, d]: (similarities float32, positions int64), one array a query.

        ``allowed``: bool [N]; only those are searched, so that a filter never loses a hit. Fewer than ``k`` come back
        when fewer are allowed. Ordered by similarity, then by position.
        """
        k = min(k, len(self.embeddings) if allowed is None else int(allowed.sum()))
        if k <= 0:
            return [np.zeros(0, np.float32)] * len(queries), [np.zeros(0, np.int64)] * len(queries)
        depth = k if self.exact else min(len(self.embeddings), max(SHORTLIST, SHORTLIST_PER_HIT * k))
        probe = queries if self.exact else truncate(queries, PREFIX_DIM)
        parameters = _selector(allowed)
        scores, positions = self.index.search(np.ascontiguousarray(probe, np.float32), depth, params=parameters)
        ranked = [self._rank(*row, k) for row in zip(queries, scores, positions)]
        return [scores for scores, _ in ranked], [positions for _, positions in ranked]

    def _rank(self, query: np.ndarray, scores: np.ndarray, positions: np.ndarray, k: int):
        filled = positions >= 0  # FAISS fills what it cannot find with -1
        scores, positions = scores[filled], positions[filled]
        if not self.exact:
            scores = self.embeddings[positions] @ query
        order = np.lexsort((positions, -scores))[:k]
        return scores[order], positions[order]

    def save(self, path: Path) -> None:
        """Write the FAISS part; the embeddings are the gallery's."""
        faiss.write_index(self.index, str(path))


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


def _selector(allowed: np.ndarray | None) -> faiss.SearchParameters | None:
    if allowed is None:
        return None
    selector = faiss.IDSelectorBitmap(np.packbits(allowed, bitorder="little"))
    return faiss.SearchParameters(sel=selector)
