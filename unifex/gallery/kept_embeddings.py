"""The embeddings of a gallery on disk, and the items they are of: what is added is all that is written.

Beside lists of candidates, or a store, they are read where they lie and take no memory.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from unifex.core import derived, disk
from unifex.core.derived import Origin
from unifex.core.locks import lock_in_folder
from unifex.core.row_file import NO_ROWS, RowFile, Rows
from unifex.gallery.snapshot import ITEM

OF_EARLIER_VERSIONS = "embeddings.npy", "ids.npy"


@dataclass(frozen=True)
class _Described:
    """What counts of either file."""

    items: Rows
    embeddings: Rows


@dataclass(frozen=True)
class Kept:
    """What was there at one moment: ``items``, and ``embeddings(mapped)`` of these, or None when those cannot be used.

    Where another has written others meanwhile, they cannot.
    """

    items: np.ndarray
    embeddings: Callable[[bool], np.ndarray | None]


class KeptEmbeddings:
    """Embeddings float32 [N, ``dim``] and :data:`ITEM` [N], by ascending id, in files of a ``folder``.

    ``origin``: of which gallery and model they are. Whoever changes them holds a lock; nobody needs it to read them.
    """

    def __init__(self, folder: Path, origin: Origin, dim: int):
        self._folder, self._origin = folder, origin
        self._description = folder / "embeddings.json"
        self._items = RowFile(folder / "ids.rows", replace(origin, kind="ids"), ITEM)
        self._embeddings = RowFile(folder / "embeddings.rows", origin, np.dtype(np.float32), (dim,))
        self._checked = NO_ROWS  # of the embeddings, by this process

    def read(self) -> Kept | None:
        """What is there; None when it cannot be used."""
        described = self._described()
        items = None if described is None else self._items.read(described.items)
        return None if described is None or items is None else Kept(items, partial(self._read_embeddings, described))

    def write(self, items: np.ndarray, embeddings: np.ndarray) -> None:
        """Keep these: beside what is there, only what came is written. Raises OSError."""
        with self._changing():
            if self._grown(items, lambda start: embeddings[start:]) is not None:
                return
            self._description.unlink(missing_ok=True)  # it tells of no other files, though this is killed half way
            self._describe(_Described(self._items.write(items), self._embeddings.write(embeddings)))
            for name in OF_EARLIER_VERSIONS:
                (self._folder / name).unlink(missing_ok=True)

    def grow(self, items: np.ndarray, rest: Callable[[int], np.ndarray]) -> np.ndarray | None:
        """The embeddings of ``items``, mapped, after ``rest(n)`` was written behind the ``n`` that are there.

        None when what is there is not of the first of these items, or damaged: all have to be written. Raises OSError,
        and whatever ``rest`` does.
        """
        with self._changing():
            return self._grown(items, rest)

    def _grown(self, items: np.ndarray, rest: Callable[[int], np.ndarray]) -> np.ndarray | None:
        described, kept = self._described(), self.read()
        if described is None or kept is None or not np.array_equal(kept.items, items[: len(kept.items)]):
            return None
        # Under the lock the file is the one that is described, so what was checked of it need not be again.
        found, new = self._embeddings.read(described.embeddings, True, self._checked), items[len(kept.items) :]
        if found is None:
            return None
        self._checked = described.embeddings
        if not len(new):
            return found
        more = rest(len(kept.items))
        with derived.made_anew_if_useless(self._description):
            of_items = self._items.append(described.items, new)
            described = _Described(of_items, self._embeddings.append(described.embeddings, more))
            self._describe(described)
            return self._embeddings.load(described.embeddings, mapped=True)
        return None

    def _read_embeddings(self, described: _Described, mapped: bool) -> np.ndarray | None:
        found = self._embeddings.read(described.embeddings, mapped)
        if found is not None:
            self._checked = described.embeddings
        return found

    def _describe(self, described: _Described) -> None:
        derived.write_json(self._description, asdict(described), self._origin)
        self._checked = described.embeddings

    def _described(self) -> _Described | None:
        with derived.made_anew_if_useless(self._description):
            if values := derived.read_json(self._description, self._origin):
                return _Described(*(Rows.of(values[name]) for name in ("items", "embeddings")))
        return None

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        disk.check(self._description)
        with lock_in_folder(self._folder / ".embeddings.lock"):
            yield
