"""mMP@5, the score of the Google Universal Image Embedding Challenge, and its per-domain figures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

CUTOFF = 5


@dataclass(frozen=True)
class Evaluation:
    """Scores in 0..1. ``skipped`` queries have no relevant item in the index and count nowhere else."""

    dim: int
    queries: int
    skipped: int
    mmp5: float
    macro_mmp5: float
    domains: dict[str, float]


def precision_at_5(
    query: np.ndarray, query_labels: np.ndarray, index: np.ndarray, index_labels: np.ndarray, block: int = 512
) -> np.ndarray:
    """mMP@5 of every query, float64 [Q]; NaN where no index item is relevant.

    ``query`` [Q, d] and ``index`` [N, d] are L2-normalised; labels are arrays of anything comparable. The score of a
    query with n relevant items is (relevant among its first m hits) / m with m = min(n, 5). Equal similarities are
    ordered by position in the index.
    """
    names, codes = np.unique(np.concatenate([query_labels, index_labels]), return_inverse=True)
    query_codes, index_codes = codes[: len(query)], codes[len(query) :]
    relevant = np.bincount(index_codes, minlength=len(names))[query_codes]
    depth = np.minimum(relevant, CUTOFF)
    top = min(CUTOFF, len(index))
    scores = np.full(len(query), np.nan)
    for start in range(0, len(query), block):
        rows = slice(start, start + block)
        hits = np.argsort(-(query[rows] @ index.T), axis=1, kind="stable")[:, :top]
        right = index_codes[hits] == query_codes[rows, None]
        counted = np.arange(top) < depth[rows, None]
        with np.errstate(invalid="ignore"):
            scores[rows] = (right & counted).sum(1) / depth[rows]
    return scores


def summarise(scores: np.ndarray, domains: np.ndarray, dim: int) -> Evaluation:
    """Mean over queries, mean per domain and the mean of those, of :func:`precision_at_5`'s scores."""
    kept = ~np.isnan(scores)
    per_domain = {str(name): float(scores[kept & (domains == name)].mean()) for name in np.unique(domains[kept])}
    return Evaluation(
        dim=dim,
        queries=int(kept.sum()),
        skipped=int((~kept).sum()),
        mmp5=float(scores[kept].mean()) if kept.any() else float("nan"),
        macro_mmp5=float(np.mean(list(per_domain.values()))) if per_domain else float("nan"),
        domains=per_domain,
    )
