"""Features that stay on disk: a table over a gallery's mapped shards, read where it is looked at."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

BLOCK_ROWS = 16_384


@dataclass(frozen=True)
class FeatureTable:
    """Float16 [N, D] as arrays are, for rows; row i is ``rows[i]`` of the shard ``shards[i]``, which ``load`` maps.

    ``fingerprint`` is equal for equal content.
    """

    shards: np.ndarray
    rows: np.ndarray
    dim: int
    load: Callable[[int], np.ndarray]
    fingerprint: str

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def shape(self) -> tuple[int, int]:
        """(N, D)."""
        return len(self.rows), self.dim

    def __getitem__(self, wanted: np.ndarray | slice) -> np.ndarray:
        """Float16 [len(wanted), D], in memory."""
        shards, rows = self.shards[wanted], self.rows[wanted]
        found = np.empty((len(rows), self.dim), np.float16)
        for shard in np.unique(shards):
            chosen = shards == shard
            found[chosen] = self.load(int(shard))[rows[chosen]]
        return found

    def part(self, wanted: np.ndarray) -> FeatureTable:
        """Some rows of it, still on disk."""
        chosen = hashlib.sha256(np.asarray(wanted, np.int64).tobytes()).hexdigest()
        digest = f"{self.fingerprint}-{chosen}"
        return replace(self, shards=self.shards[wanted], rows=self.rows[wanted], fingerprint=digest)


Features = np.ndarray | FeatureTable


def part(features: Features, rows: np.ndarray) -> Features:
    """Some rows, in memory only if the whole is."""
    return features.part(rows) if isinstance(features, FeatureTable) else features[rows]


def blocks(features: Features, block_rows: int = BLOCK_ROWS) -> Iterator[tuple[slice, np.ndarray]]:
    """All rows in order, so many at a time that they fit into memory."""
    for start in range(0, len(features), block_rows):
        rows = slice(start, start + block_rows)
        yield rows, features[rows]
