"""Neighbourhood re-ranking: the gallery's own neighbourhood improves its answers. Labels are never used.

Every candidate is replaced by the weighted mean of itself and its nearest neighbours (database-side augmentation,
Turcot and Lowe 2009), and the query by that of itself and its nearest candidates (alpha query expansion, Radenovic,
Tolias, Chum 2019, section 3.4); weights are similarity ** 3. Only the first candidates are treated so,
hence nothing but the neighbours is kept, and items added later take part at once.
"""

from __future__ import annotations

import numpy as np

from unifex.core.vectors import l2_normalize
from unifex.gallery.neighbours import Neighbours
from unifex.vector_index.exact import VectorIndex
from unifex.vector_index.matches import NOTHING, Exclusion, Matches
from unifex.vector_index.metric import similarities_of_pairs

NEAREST = 2
ALPHA = 3
MIN_CANDIDATES = 256  # a query
CANDIDATES_PER_HIT = 4
BLOCK_VALUES = 1 << 22


def search_reranked(
    index: VectorIndex, neighbours: Neighbours, queries: np.ndarray, k: int, excluded: Exclusion = NOTHING
) -> Matches:
    """As :meth:`VectorIndex.search`, re-ranked: scores float64 are cosines of expanded query and augmented item.

    ``excluded`` also keeps a query's own group out of the augmentation of its candidates.
    """
    n_candidates = max(MIN_CANDIDATES, CANDIDATES_PER_HIT * k)
    block = max(1, BLOCK_VALUES // (n_candidates * index.embeddings.shape[1]))
    parts = []
    for start in range(0, len(queries), block):
        rows = slice(start, start + block)
        candidates = index.search(queries[rows], n_candidates, excluded.at(rows))
        parts.append(_rerank(index.embeddings, neighbours, queries[rows], candidates, k, excluded.at(rows)))
    return Matches.concatenate(parts) if parts else Matches.none(0, k)


def _rerank(
    embeddings: np.ndarray,
    neighbours: Neighbours,
    queries: np.ndarray,
    candidates: Matches,
    k: int,
    excluded: Exclusion,
) -> Matches:
    augmented = augment(embeddings, neighbours, candidates.positions, excluded)
    scores = np.where(candidates.found, similarities_of_pairs(queries, augmented), -np.inf)
    nearest = np.argsort(-scores, axis=1, kind="stable")[:, :NEAREST]
    weights = np.maximum(np.take_along_axis(scores, nearest, 1), 0) ** ALPHA
    expanded = queries + np.einsum("qn,qnd->qd", weights, np.take_along_axis(augmented, nearest[..., None], 1))
    expanded = l2_normalize(expanded, expanded.shape[1])
    return Matches(similarities_of_pairs(expanded.astype(np.float64), augmented), candidates.positions).top_k(k)


def augment(
    embeddings: np.ndarray, neighbours: Neighbours, positions: np.ndarray, excluded: Exclusion = NOTHING
) -> np.ndarray:
    """Embeddings of the items at ``positions`` [Q, c], each averaged with its 2 nearest: float32 [Q, c, d], norm 1."""
    near, weights = neighbours.positions[positions], neighbours.scores[positions]
    usable = near >= 0
    if (own := excluded.of_own_group(near)) is not None:
        usable &= ~own
    chosen = np.argsort(~usable, axis=2, kind="stable")[..., :NEAREST]
    near, usable = np.take_along_axis(near, chosen, 2), np.take_along_axis(usable, chosen, 2)
    weights = np.where(usable, np.maximum(np.take_along_axis(weights, chosen, 2), 0), 0) ** ALPHA
    mixed = embeddings[positions] + np.einsum("qcn,qcnd->qcd", weights, embeddings[near])
    return l2_normalize(mixed, mixed.shape[-1])
