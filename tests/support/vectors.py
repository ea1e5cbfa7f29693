"""Vectors as necks give them, without pictures."""

from __future__ import annotations

import numpy as np

from unifex.core.vectors import l2_normalize


def clustered(rows: int, seed: int = 0) -> np.ndarray:
    """Embeddings as necks give them: alike in groups, and most of what there is to tell in the first dimensions."""
    rng = np.random.default_rng(seed)
    scale = np.linspace(1.5, 0.3, 256, dtype=np.float32)
    centres = np.random.default_rng(0).standard_normal((300, 256)).astype(np.float32) * scale
    noise = rng.standard_normal((rows, 256)).astype(np.float32) * scale
    return l2_normalize(centres[rng.integers(0, 300, rows)] + 0.7 * noise, 256)


def overlap(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.mean([len(set(a) & set(b)) / len(b) for a, b in zip(found, expected)]))
