"""A file of rows that grows at its end: what was written once stays as it is, whoever adds.

So who has it mapped goes on reading, and only what is added is written and hashed: of a million embeddings a gigabyte
is left alone. How many rows count, and a checksum of every block of them, is kept elsewhere (:class:`Rows`); what lies
beyond them is of somebody who did not get to the end, and is written over.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from unifex.core import disk
from unifex.core.derived import Origin, made_anew_if_useless
from unifex.core.files import write_atomically_with

BLOCK_BYTES = 1 << 24
CHECKING = 2  # blocks at a time


@dataclass(frozen=True)
class Rows:
    """What of a file counts: ``count`` rows, and the sha256 of every :data:`BLOCK_BYTES` of them."""

    count: int
    digests: tuple[str, ...]

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Rows:
        """What JSON has of them."""
        return cls(values["count"], tuple(values["digests"]))


NO_ROWS = Rows(0, ())


@dataclass(frozen=True)
class RowFile:
    """Rows of ``dtype`` and ``shape`` in the file at ``path``; checksums start from ``origin``, so are of it alone."""

    path: Path
    origin: Origin
    dtype: np.dtype
    shape: tuple[int, ...] = ()

    @property
    def row_bytes(self) -> int:
        """Of one row."""
        return self.dtype.itemsize * int(np.prod(self.shape, dtype=int))

    def write(self, rows: np.ndarray) -> Rows:
        """These rows and no others, at once or not at all: who has the file mapped keeps what was there."""
        hashing = _Hashing(self.origin)

        def save(file: BinaryIO) -> None:
            hashing.write(file, rows)

        write_atomically_with(self.path, save)
        return Rows(len(rows), hashing.digests())

    def append(self, to: Rows, rows: np.ndarray) -> Rows:
        """Write rows behind those that count. One at a time may.

        Raises ValueError when what is there is not what counts, OSError when there is no room for more; then what
        counted still does.
        """
        disk.check(self.path, rows.nbytes)
        end = to.count * self.row_bytes
        whole, begun = divmod(end, BLOCK_BYTES)
        with self.path.open("r+b") as file:
            if (there := file.seek(0, os.SEEK_END)) < end:
                raise ValueError(f"{self.path.name} is cut off")
            file.seek(end - begun)
            hashing = _Hashing(self.origin, to.digests[:whole], file.read(begun))
            if hashing.digests() != to.digests:
                raise ValueError(f"{self.path.name} is damaged")
            if there > end:
                file.truncate(end)
            try:
                hashing.write(file, rows)
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                with contextlib.suppress(OSError):
                    file.truncate(end)
                raise
        return Rows(to.count + len(rows), hashing.digests())

    def read(self, rows: Rows, mapped: bool = False, checked: Rows = NO_ROWS) -> np.ndarray | None:
        """:meth:`load`, and check all blocks but those that were ``checked`` before: None, and logged, when the file is
        damaged or not there."""
        with made_anew_if_useless(self.path):
            found = self.load(rows, mapped)
            data = _bytes(found)
            known = dict(enumerate(checked.digests))
            blocks = [at for at, digest in enumerate(rows.digests) if known.get(at) != digest]
            parts = (data[at * BLOCK_BYTES : (at + 1) * BLOCK_BYTES] for at in blocks)
            with ThreadPoolExecutor(CHECKING) as threads:
                digests = list(threads.map(self._digest, parts))
            if digests != [rows.digests[at] for at in blocks] or len(rows.digests) != -(-len(data) // BLOCK_BYTES):
                raise ValueError("it is damaged, or of another gallery or model")
            return found
        return None

    def load(self, rows: Rows, mapped: bool) -> np.ndarray:
        """What counts: ``dtype`` [count, *shape], in memory or ``mapped``. Raises ValueError when it is cut off."""
        shape = rows.count, *self.shape
        with self.path.open("rb") as file:
            if file.seek(0, os.SEEK_END) < rows.count * self.row_bytes:
                raise ValueError("it is cut off")
            if not rows.count:  # nothing cannot be mapped
                return np.empty(shape, self.dtype)
            if mapped:
                return np.memmap(file, self.dtype, "r", 0, shape)
            file.seek(0)
            return np.fromfile(file, self.dtype, int(np.prod(shape))).reshape(shape)

    def _digest(self, block: memoryview) -> str:
        hashed = self.origin.hash()
        hashed.update(block)
        return hashed.hexdigest()


class _Hashing:
    """Checksums of what is written, block by block; ``begun``: the bytes of the last block that are there already."""

    def __init__(self, origin: Origin, digests: Iterable[str] = (), begun: bytes = b""):
        self._origin, self._digests = origin, list(digests)
        self._block, self._size = origin.hash(), 0
        self._update(memoryview(begun))

    def write(self, file: BinaryIO, rows: np.ndarray) -> None:
        """Write rows, and count them in."""
        data = _bytes(rows)
        for start in range(0, len(data), BLOCK_BYTES):
            file.write(data[start : start + BLOCK_BYTES])
            self._update(data[start : start + BLOCK_BYTES])

    def _update(self, data: memoryview) -> None:
        while len(data):
            part = data[: BLOCK_BYTES - self._size]
            self._block.update(part)
            self._size += len(part)
            data = data[len(part) :]
            if self._size == BLOCK_BYTES:
                self._digests.append(self._block.hexdigest())
                self._block, self._size = self._origin.hash(), 0

    def digests(self) -> tuple[str, ...]:
        """Of all blocks, the last of which may be shorter."""
        return (*self._digests, self._block.copy().hexdigest()) if self._size else tuple(self._digests)


def _bytes(rows: np.ndarray) -> memoryview:
    return np.ascontiguousarray(rows).reshape(-1).view(np.uint8).data if rows.size else memoryview(b"")
