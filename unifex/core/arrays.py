"""Small questions to arrays that many ask: where an id stands, which few of many are taken."""

from __future__ import annotations

from itertools import pairwise

import numpy as np


def positions_of(ascending: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Where ``wanted`` [...] stand in ``ascending`` [N]: int64 [...], -1 where they do not."""
    if not len(ascending):
        return np.full(np.shape(wanted), -1)
    positions = np.minimum(np.searchsorted(ascending, wanted), len(ascending) - 1)
    return np.where(ascending[positions] == wanted, positions, -1)


def copy_rows(source: np.ndarray, rows: np.ndarray, target: np.ndarray, places: np.ndarray) -> None:
    """``target[places] = source[rows]``, both int64 [n]: what follows each other in both is copied at once, without
    the copy in between that NumPy makes: of a million embeddings a gigabyte."""
    breaks = np.flatnonzero((np.diff(rows) != 1) | (np.diff(places) != 1)) + 1
    for start, stop in pairwise([0, *breaks.tolist(), len(rows)] if len(rows) else []):
        row, place, length = rows[start], places[start], stop - start
        target[place : place + length] = source[row : row + length]


def sample(count: int, at_most: int, seed: int = 0) -> np.ndarray:
    """``at_most`` of the positions 0 .. ``count`` - 1, drawn by ``seed``, each once, in ascending order: int64."""
    if count <= at_most:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, at_most, replace=False))


def highest(scores: np.ndarray, mask: np.ndarray | None, k: int) -> np.ndarray:
    """The positions of the ``k`` highest of [N] that ``mask`` bool [N] leaves, equal ones by position: int64 [<= k]."""
    candidates = np.arange(len(scores)) if mask is None else np.flatnonzero(mask)
    if k < len(candidates):
        least = np.partition(scores[candidates], -k)[-k]
        candidates = candidates[scores[candidates] >= least]
    return candidates[np.argsort(-scores[candidates], kind="stable")][:k]
