"""Features of length one of a snapshot's items, which words are compared with: read where they lie.

Of a million images they are 3.2 GB. They are gone through as they lie on disk, by all cores, a block at a time that
stays in a core's cache: as quick as from memory, and what came last costs no more than what came first.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from unifex.core.vectors import l2_normalize, widen
from unifex.gallery.features import StoredFeatures
from unifex.gallery.snapshot import ItemTable
from unifex.models.feature_table import FeatureTable
from unifex.vector_index.metric import similarities

BLOCK_VALUES = 1 << 18  # whose float32 stays in a core's cache
GONE = np.float32(-1)  # no item is less like anything


@dataclass(frozen=True)
class UnitFeatures:
    """Of the items of ``columns``, by position."""

    stored: StoredFeatures
    columns: ItemTable

    @property
    def shape(self) -> tuple[int, int]:
        """(N, D)."""
        return len(self.columns.ids), self.stored.dim

    def __len__(self) -> int:
        return len(self.columns.ids)

    def __getitem__(self, positions: np.ndarray | slice) -> np.ndarray:
        """float32 [n, D] of the items at these positions; zeros for one that was removed."""
        with self.stored.lying(self.columns) as places:
            shards, rows = places.shards[positions], places.rows[positions]
            there = shards >= 0
            found = np.zeros((len(rows), self.stored.dim), np.float32)
            features = FeatureTable(shards[there], rows[there], self.stored.dim, self.stored.load, "")[:]
            found[there] = l2_normalize(features, self.stored.dim)
        return found

    def cosines(self, queries: np.ndarray) -> np.ndarray:
        """Of queries float32 [q, D], L2 norm 1, with all items: float32 [q, N]; :data:`GONE` for what was removed."""
        found = np.full((len(queries), len(self)), GONE, np.float32)
        with self.stored.lying(self.columns) as places:

            def compare(shard: int) -> None:
                positions, rows = places.by_shard[shard]
                found[:, positions] = _cosines(queries, np.asarray(self.stored.load(shard)))[:, rows]

            if len(places.by_shard) < 2:
                list(map(compare, places.by_shard))
            else:
                with ThreadPoolExecutor(os.cpu_count()) as pool:  # numpy lets go of Python's lock
                    list(pool.map(compare, places.by_shard))
        return found


def _cosines(queries: np.ndarray, features: np.ndarray) -> np.ndarray:
    """float32 [q, D], L2 norm 1, and float16 [n, D] -> float32 [q, n]; 0 for a feature that is 0."""
    cosines = np.empty((len(queries), len(features)), np.float32)
    rows_at_once = max(1, BLOCK_VALUES // features.shape[1])
    wide = np.empty((rows_at_once, features.shape[1]), np.float32)
    for start in range(0, len(features), rows_at_once):
        rows = slice(start, start + rows_at_once)
        block = widen(features[rows], wide[: len(features[rows])])
        lengths = np.sqrt(np.einsum("nd,nd->n", block, block))
        cosines[:, rows] = similarities(queries, block) / np.maximum(lengths, np.finfo(np.float32).tiny)
    return cosines
