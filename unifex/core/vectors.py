"""Vectors of length one: what embeddings are, whatever their dimension."""

from __future__ import annotations

import numpy as np


def l2_normalize(embeddings: np.ndarray, dim: int) -> np.ndarray:
    """The first ``dim`` values of every row, L2-normalised: [N, D] -> float32 [N, dim]. Zero rows stay zero."""
    cut = embeddings[..., :dim]
    norms = np.sqrt(np.einsum("...i,...i->...", cut, cut, dtype=np.float64))[..., None]
    return np.divide(cut, norms, out=np.zeros(cut.shape), where=norms > 0).astype(np.float32)
