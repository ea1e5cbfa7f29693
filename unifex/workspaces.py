"""Visitors of a public server: each has a private folder of galleries and models, with limits and an end.

A visitor is known by a token that the server made and signed. On disk stands its hash, so that nothing there, nor in
a message or a log, lets anybody become that visitor.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from unifex import uploads
from unifex.gallery import GalleryError
from unifex.images import ImageError
from unifex.indexes import Indexes
from unifex.sources import Item, Options, Refused, Source
from unifex.text import size

VISITORS = ".visitors"
_KEY, _USED, _TRAININGS, _DOOMED = "key", "used", "trainings", ".deleted-"
NO_VISITOR = (
    "this browser keeps no cookie for this page, so that nothing can be kept for you alone; open the page in a tab of "
    "its own, or allow its cookie"
)


@dataclass(frozen=True)
class Limits:
    """What one visitor may keep: images, bytes on disk, trainings of so many seconds each; all of it for ``seconds``
    after the last use."""

    images: int
    bytes: int
    trainings: int
    training_seconds: float
    seconds: float


@dataclass(frozen=True)
class Usage:
    """What a visitor keeps now, without uploads that wait to be indexed."""

    images: int
    bytes: int
    trainings: int


class Workspace:
    """One visitor's folder. Nothing is on disk before something is kept."""

    def __init__(self, folder: Path, builtin: Indexes, limits: Limits):
        self.folder = folder
        self.limits = limits
        self.closed = False
        self.indexes = Indexes(folder, builtin)

    def touch(self) -> None:
        """It is in use: its end moves away. Raises :class:`GalleryError` when it has been deleted."""
        if self.closed:
            raise GalleryError("your data was deleted; reload the page")
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (self.folder / _USED).touch()

    @property
    def expires(self) -> float:
        """When it is deleted, if nobody uses it (seconds since the epoch)."""
        try:
            return (self.folder / _USED).stat().st_mtime + self.limits.seconds
        except OSError:
            return time.time() + self.limits.seconds

    def usage(self) -> Usage:
        """What is kept now."""
        own = [name for name in self.indexes.names() if (self.folder / name).is_dir()]
        return Usage(
            sum(len(self.indexes.get(name)) for name in own),
            _bytes_below(self.folder) - _bytes_below(self.folder / uploads.STAGE),
            _bytes(self.folder / _TRAININGS),
        )

    def check_room(self) -> None:
        """Raises :class:`GalleryError` when uploads that wait and what is kept are more than twice what may be kept."""
        used = _bytes_below(self.folder)
        if used > 2 * self.limits.bytes:
            raise GalleryError(
                f"{size(used)} of yours are here, and this server keeps {size(self.limits.bytes)} for a visitor: "
                "delete a gallery or all of your data, or run UniFEx yourself"
            )

    def begin_training(self) -> None:
        """Count one. Raises :class:`GalleryError` when there were enough."""
        if _bytes(self.folder / _TRAININGS) >= self.limits.trainings:
            raise GalleryError(
                f"this server trains {self.limits.trainings} times for a visitor; run UniFEx yourself to train more"
            )
        self.touch()
        with (self.folder / _TRAININGS).open("ab") as file:
            file.write(b"x")

    def limited(self, source: Source) -> Source:
        """The source as far as it fits; the rest is refused, each with the reason."""
        usage = self.usage()
        return _Limited(self, source, usage.images, usage.bytes)


@dataclass
class _Limited:
    workspace: Workspace
    source: Source
    images: int
    bytes: int

    @property
    def spec(self) -> str:
        return self.source.spec

    @property
    def options(self) -> Options:
        return self.source.options

    @property
    def by_layout(self) -> bool:
        return getattr(self.source, "by_layout", False)

    def count(self) -> int | None:
        return self.source.count()

    def __iter__(self) -> Iterator[Item | Refused]:
        known = self.images
        for found in self.source:
            if self.workspace.closed:
                raise GalleryError("your data was deleted; reload the page")
            if isinstance(found, Refused):
                yield found
            elif known >= self.workspace.limits.images:
                yield Refused(found.path, f"more than the {self.workspace.limits.images:,} images of a visitor")
            else:
                known += 1
                yield replace(found, read=partial(self._read, found))

    def _read(self, item: Item) -> bytes:
        data = item.read()
        self.bytes += len(data)
        if self.bytes > self.workspace.limits.bytes:
            raise ImageError(f"more than the {size(self.workspace.limits.bytes)} of a visitor")
        return data


class Workspaces:
    """All visitors of a server. ``folder`` is the server's own ``indexes/``, whose galleries everybody may read."""

    def __init__(self, builtin: Indexes, limits: Limits):
        self.folder = builtin.folder / VISITORS
        self.builtin = builtin
        self.limits = limits
        self.nobody = Indexes(self.folder / ".nobody", builtin, NO_VISITOR)
        self._open: dict[str, Workspace] = {}
        self._lock = threading.Lock()
        self._key = self._read_key()

    def _read_key(self) -> bytes:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self.folder / _KEY
        with contextlib.suppress(FileExistsError):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(secrets.token_bytes(32))
        return path.read_bytes()

    def new_token(self) -> str:
        """A token that nobody has and nobody can guess."""
        name = secrets.token_urlsafe(32)
        return f"{name}.{self._signature(name)}"

    def _signature(self, name: str) -> str:
        return hmac.new(self._key, name.encode(), hashlib.sha256).hexdigest()

    def visitor(self, token: str | None) -> str:
        """Who holds this token; empty when this server did not make it."""
        name, _, signature = (token or "").partition(".")
        genuine = hmac.compare_digest(self._signature(name).encode(), signature.encode())
        return hashlib.sha256(name.encode()).hexdigest() if genuine else ""

    def of(self, visitor: str) -> Workspace:
        """The workspace of a visitor that :meth:`visitor` named."""
        with self._lock:
            workspace = self._open.get(visitor)
            if workspace is None or workspace.closed:
                self._open[visitor] = workspace = Workspace(self.folder / visitor, self.builtin, self.limits)
            return workspace

    def count(self) -> int:
        """How many keep something."""
        return sum(1 for _ in self.folder.glob(f"*/{_USED}"))

    def forget(self, visitor: str) -> None:
        """Delete all that is kept for a visitor, at once; what is running for that visitor ends."""
        with self._lock:
            workspace = self._open.pop(visitor, None)
        if workspace:
            workspace.closed = True
        folder = self.folder / visitor
        doomed = folder.with_name(f"{_DOOMED}{visitor}-{secrets.token_hex(4)}")
        with contextlib.suppress(FileNotFoundError):
            folder.rename(doomed)  # at once for everybody who looks, however long deleting takes
        shutil.rmtree(doomed, ignore_errors=True)

    def sweep(self) -> list[str]:
        """Delete what has come to its end, and what is left of deletions; the visitors whose end it was."""
        for doomed in self.folder.glob(f"{_DOOMED}*"):
            shutil.rmtree(doomed, ignore_errors=True)
        ended = []
        for folder in self.folder.glob("[!.]*/"):
            if self._last_use(folder) + self.limits.seconds < time.time():
                self.forget(folder.name)
                ended.append(folder.name)
        with self._lock:  # who only looked leaves nothing in memory, either
            self._open = {visitor: open for visitor, open in self._open.items() if open.folder.exists()}
        return ended

    @staticmethod
    def _last_use(folder: Path) -> float:
        used = folder / _USED
        return (used if used.exists() else folder).stat().st_mtime


def _bytes_below(folder: Path) -> int:
    return sum(_bytes(path) for path in folder.rglob("*"))


def _bytes(path: Path) -> int:
    """Size of a file; 0 for a folder and for what went meanwhile."""
    try:
        return path.stat().st_size if path.is_file() else 0
    except OSError:
        return 0
