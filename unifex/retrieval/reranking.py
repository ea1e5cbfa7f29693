"""Context re-ranking: the gallery's own neighbourhood improves its answers. Labels are never used.

Every candidate is replaced by the weighted mean of itself and its nearest neighbours (database-side augmentation,
Turcot and Lowe 2009), and the query by that of itself and its nearest candidates (alpha query expansion, Radenovic,
Tolias, Chum 2019, section 3.4); weights are similarity ** 3. Only a shortlist is treated so, hence nothing but the
neighbours is kept, and items added later take part at once.
"""

from __future__ import annotations

import numpy as np

from unifex.core.vectors import l2_normalize
from unifex.gallery.neighbours import Neighbours
from unifex.vector_index.exact import Groups, VectorIndex, rank

NEAREST = 2
ALPHA = 3
SHORTLIST = 256  # candidates a query, at least
SHORTLIST_PER_HIT = 4
BLOCK_VALUES = 1 << 22


def search_in_context(
    index: VectorIndex,
    neighbours: Neighbours,
    queries: np.ndarray,
    k: int,
    allowed: np.ndarray | None = None,
    groups: Groups | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """As :meth:`VectorIndex.search`, re-ranked: (cosine of expanded query and augmented item, position).

    ``groups`` also keeps a query's own group out of the augmentation of its candidates.
    """
    depth = max(SHORTLIST, SHORTLIST_PER_HIT * k)
    block = max(1, BLOCK_VALUES // (depth * index.embeddings.shape[1]))
    parts = []
    for start in range(0, len(queries), block):
        rows = slice(start, start + block)
        own = groups and (groups[0][rows], groups[1])
        _, positions = index.search(queries[rows], depth, allowed, own)
        parts.append(_rerank(index.embeddings, neighbours, queries[rows], positions, k, own))
    if not parts:
        return np.zeros((0, k), np.float32), np.zeros((0, k), np.int64)
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


def _rerank(embeddings, neighbours, queries, positions, k, groups) -> tuple[np.ndarray, np.ndarray]:
    augmented = augment(embeddings, neighbours, positions, groups)
    missing = positions < 0
    scores = np.where(missing, -np.inf, np.einsum("qd,qcd->qc", queries, augmented))
    nearest = np.argsort(-scores, axis=1, kind="stable")[:, :NEAREST]
    weights = np.maximum(np.take_along_axis(scores, nearest, 1), 0) ** ALPHA
    expanded = queries + np.einsum("qn,qnd->qd", weights, np.take_along_axis(augmented, nearest[..., None], 1))
    expanded = l2_normalize(expanded, expanded.shape[1])
    final = np.einsum("qd,qcd->qc", expanded.astype(np.float64), augmented)
    return rank(final, positions, missing, k)


def augment(
    embeddings: np.ndarray, neighbours: Neighbours, positions: np.ndarray, groups: Groups | None = None
) -> np.ndarray:
    """Embeddings of the items at ``positions`` [Q, c], each averaged with its 2 nearest: float32 [Q, c, d], norm 1."""
    near, weights = neighbours.positions[positions], neighbours.scores[positions]
    usable = near >= 0
    if groups is not None:
        usable &= groups[1][near] != groups[0][:, None, None]
    chosen = np.argsort(~usable, axis=2, kind="stable")[..., :NEAREST]
    near, usable = np.take_along_axis(near, chosen, 2), np.take_along_axis(usable, chosen, 2)
    weights = np.where(usable, np.maximum(np.take_along_axis(weights, chosen, 2), 0), 0) ** ALPHA
    mixed = embeddings[positions] + np.einsum("qcn,qcnd->qcd", weights, embeddings[near])
    return l2_normalize(mixed, mixed.shape[-1])
