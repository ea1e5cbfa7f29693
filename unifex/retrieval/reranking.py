"""Neighbourhood re-ranking: the gallery's own neighbourhood improves its answers. Labels are never used.

Every candidate is replaced by the weighted mean of itself and its nearest neighbours (database-side augmentation,
Turcot and Lowe 2009), and the query by that of itself and its nearest candidates (alpha query expansion, Radenovic,
Tolias, Chum 2019, section 3.4); weights are similarity ** 3. What is near to many is near to a query by chance more
often: how far a candidate is from the query is measured by how far its own neighbours are from it (local scaling,
Zelnik-Manor and Perona 2004, section 3; the query's own scale is the same for all). Neighbours as near as views of one
thing count no more than others: they make a burst, which is to be found, and no hub. No candidate is farther than it
was before all this, so that the very image is found first.
Only the first candidates are treated so, the others follow as they were: nothing but the neighbours is kept, items
added later take part at once, and who asks for more hits gets the same ones first.

Words are one step away from an image: an item that they fit is one whose neighbours they fit, too. And what any words
fit is taken back: of how well they fit a candidate, half of how well the 5 likeliest of many usual texts do (nearest
neighbor normalization, Chowdhury et al. 2024, arXiv 2410.24114).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from unifex.core.arrays import highest
from unifex.core.vectors import l2_normalize
from unifex.gallery.neighbours import Neighbours, NeighboursAsked
from unifex.vector_index.exact import VectorIndex
from unifex.vector_index.matches import NOTHING, Exclusion, Matches
from unifex.vector_index.metric import similarities_of_pairs

NEAREST = 2
ALPHA = 3
NEAREST_OF_WORDS = 5
LIKELIEST_TEXTS = 5
USUAL_SHARE = 0.5
SAME_THING = 0.7  # cosine
CANDIDATES = 64  # a query; with four times as many it finds no more
BLOCK_VALUES = 1 << 22
_BELOW = 4.0  # what two cosines, or one less half of another, are never apart


def search_reranked(
    index: VectorIndex,
    neighbours: Neighbours | NeighboursAsked,
    queries: np.ndarray,
    k: int,
    excluded: Exclusion = NOTHING,
) -> Matches:
    """As :meth:`VectorIndex.search`, re-ranked: scores float64 are cosines of expanded query and augmented item, or of
    query and item where these are nearer. They do not descend, since crowded items are ranked lower.

    ``excluded`` also keeps a query's own group out of its candidates' neighbourhoods.
    """
    block = max(1, BLOCK_VALUES // (CANDIDATES * index.embeddings.shape[1]))
    parts = []
    for start in range(0, len(queries), block):
        rows = slice(start, start + block)
        found = index.search(queries[rows], max(CANDIDATES, k), excluded.at(rows))
        first = Matches(found.scores[:, :CANDIDATES], found.positions[:, :CANDIDATES])
        others = Matches(found.scores[:, CANDIDATES:k], found.positions[:, CANDIDATES:k])
        parts.append(_rerank(index.embeddings, neighbours, queries[rows], first, k, excluded.at(rows)).beside(others))
    return Matches.concatenate(parts) if parts else Matches.none(0, k)


def of_words(
    scores: np.ndarray,
    features: Callable[[np.ndarray], np.ndarray],
    neighbours: Neighbours | NeighboursAsked,
    usual: np.ndarray,
    mask: np.ndarray | None = None,
) -> np.ndarray:
    """What items are ranked by, float64 [N], of how well words fit them, ``scores`` float32 [N], -1 to 1.

    ``features(positions)`` [n, D] and the texts ``usual`` [m, D] have L2 norm 1; m may be 0. Candidates are the first
    that ``mask`` bool [N] leaves; others come after them.
    """
    first = highest(scores, mask, CANDIDATES)
    fit = _averaged(scores, neighbours.at(first), first)
    if len(usual):
        likeliest = np.sort(features(first) @ usual.T, axis=1)[:, -LIKELIEST_TEXTS:]
        fit -= USUAL_SHARE * likeliest.mean(axis=1)
    rank = scores.astype(np.float64) - _BELOW
    rank[first] = fit
    return rank


def _averaged(scores: np.ndarray, near: Matches, rows: np.ndarray) -> np.ndarray:
    """How well words fit the items at ``rows`` int [n], each averaged with its 5 nearest of ``near``, weighted by
    similarity ** 3: float32 [n]."""
    positions = near.positions[:, :NEAREST_OF_WORDS]
    weights = np.where(positions >= 0, np.maximum(near.scores[:, :NEAREST_OF_WORDS], 0), 0) ** ALPHA
    return (scores[rows] + (weights * scores[positions]).sum(axis=1)) / (1 + weights.sum(axis=1))


def _rerank(
    embeddings: np.ndarray,
    neighbours: Neighbours | NeighboursAsked,
    queries: np.ndarray,
    candidates: Matches,
    k: int,
    excluded: Exclusion,
) -> Matches:
    near, usable = _neighbourhoods(neighbours, candidates.positions, excluded)
    augmented = _augment(embeddings, candidates.positions, near, usable)
    scale = np.sqrt(1 - _nearness(near.scores, usable))
    scores = np.where(candidates.found, similarities_of_pairs(queries, augmented), -np.inf)
    nearest = np.argsort((1 - scores) / scale, axis=1, kind="stable")[:, :NEAREST]
    weights = np.maximum(np.take_along_axis(scores, nearest, 1), 0) ** ALPHA
    expanded = queries + np.einsum("qn,qnd->qd", weights, np.take_along_axis(augmented, nearest[..., None], 1))
    expanded = l2_normalize(expanded, expanded.shape[1])
    similarities = np.maximum(similarities_of_pairs(expanded.astype(np.float64), augmented), candidates.scores)
    return Matches(similarities, candidates.positions).top_k(k, by=-np.maximum(1 - similarities, 0) / scale)


def _neighbourhoods(
    neighbours: Neighbours | NeighboursAsked, positions: np.ndarray, excluded: Exclusion
) -> tuple[Matches, np.ndarray]:
    """Neighbours of the items at ``positions`` [Q, c], and which of them count: [Q, c, 15]."""
    near = neighbours.at(positions)
    usable = near.found
    if (own := excluded.of_own_group(near.positions)) is not None:
        usable &= ~own
    return near, usable


def _nearness(scores: np.ndarray, usable: np.ndarray) -> np.ndarray:
    """The mean cosine of items and their neighbours, as far as these show other things: float32 [Q, c], at most 0.7."""
    nearness = np.where(usable, np.minimum(scores, np.float32(SAME_THING)), 0).sum(2)
    return nearness / np.maximum(usable.sum(2), 1).astype(np.float32)


def _augment(embeddings: np.ndarray, positions: np.ndarray, near: Matches, usable: np.ndarray) -> np.ndarray:
    """Embeddings of the items at ``positions`` [Q, c], each averaged with its 2 nearest: float32 [Q, c, d], norm 1."""
    chosen = np.argsort(~usable, axis=2, kind="stable")[..., :NEAREST]
    at, usable = np.take_along_axis(near.positions, chosen, 2), np.take_along_axis(usable, chosen, 2)
    weights = np.where(usable, np.maximum(np.take_along_axis(near.scores, chosen, 2), 0), 0) ** ALPHA
    mixed = embeddings[positions] + np.einsum("qcn,qcnd->qcd", weights, embeddings[at])
    return l2_normalize(mixed, mixed.shape[-1])
