"""Visitors of a public server: each has a private folder of galleries and models, with limits and an end.

A visitor is known by a token that the server made and signed. On disk stands its hash, so that nothing there, nor in
a message or a log, lets anybody become that visitor.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import logging
import os
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from filelock import FileLock, Timeout

from unifex.core import disk
from unifex.core.disk import BLOCK_BYTES, DELETED, blocks
from unifex.core.images import ImageError
from unifex.core.language import say, to_say
from unifex.core.text import size
from unifex.data import uploads
from unifex.data.item import Item, Options, Skipped, Source
from unifex.gallery.gallery import Gallery, GalleryError
from unifex.gallery.library import Library
from unifex.models.graphs import cache_directory
from unifex.ui.server.quotas import Limits
from unifex.ui.server.visitor_files import VisitorFiles

log = logging.getLogger(__name__)
VISITORS = ".visitors"
FILES_PER_IMAGE = 2  # so many uploads may wait for each image that may be kept
ENTRIES_PER_IMAGE = 4  # so many entries of a source are looked at for each
THUMBNAIL_BYTES = 2 * BLOCK_BYTES  # with its folder
_KEY_BYTES, _KEY_LOCK = 32, ".key-lock"
_KEY, _USED, _TRAININGS, _DOOMED, _FILES, _SERVING = "key", "used", "trainings", ".deleted-", ".files", ".serving"
NO_VISITOR = to_say(
    "this browser keeps no cookie for this page, so that nothing can be kept for you alone; open the page in a tab of "
    "its own, or allow its cookie"
)


@dataclass(frozen=True)
class Usage:
    """What a visitor keeps now, without uploads that wait to be indexed."""

    images: int
    bytes: int
    trainings: int


class Workspace:
    """One visitor's folder. Nothing is on disk before something is kept."""

    def __init__(self, folder: Path, builtin: Library, limits: Limits):
        self.folder = folder
        self.limits = limits
        self.closed = False
        self.library = Library(folder, builtin)
        self._lock = threading.Lock()
        self._readers: set[_Limited] = set()
        self._taken = Usage(0, 0, 0)

    def touch(self) -> None:
        """It is in use: its end moves away. Raises :class:`GalleryError` when it has been deleted."""
        if self.closed:
            raise GalleryError(say(DELETED))
        disk.reopen(self.folder)  # whoever comes back begins anew
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
        return Usage(
            sum(count for count in self.library.survey(len, own=True) if isinstance(count, int)),
            disk.taken_by(self.folder)[0] - disk.taken_by(self.folder / uploads.STAGE)[0],
            _count(self.folder / _TRAININGS),
        )

    def check_room(self) -> None:
        """Raises :class:`GalleryError` when uploads that wait and what is kept are more than twice what may be kept."""
        used = disk.taken_by(self.folder)[0]
        if used > 2 * self.limits.bytes:
            raise GalleryError(
                say(
                    "{size} of yours are here, and this server keeps {size2} for a visitor: delete a gallery or "
                    "all of your data, or run UniFEx yourself",
                    size=size(used),
                    size2=size(self.limits.bytes),
                )
            )

    def check_fits(self, images: int, bytes: int) -> None:
        """Raises :class:`GalleryError` when so much more is more than may be kept."""
        used = self.usage()
        if used.images + images > self.limits.images or used.bytes + bytes > self.limits.bytes:
            raise GalleryError(
                say(
                    "that is more than the {images:,} images or {size} that this server keeps for a visitor: "
                    "choose fewer, or run UniFEx yourself",
                    images=self.limits.images,
                    size=size(self.limits.bytes),
                )
            )

    def check_trainings(self) -> None:
        """Raises :class:`GalleryError` when there were enough."""
        if _count(self.folder / _TRAININGS) >= self.limits.trainings:
            raise GalleryError(
                say(
                    "this server trains {trainings} times for a visitor; run UniFEx yourself to train more",
                    trainings=self.limits.trainings,
                )
            )

    def count_training(self) -> None:
        """There was one more. Raises as :meth:`check_trainings`."""
        with self._lock:
            self.check_trainings()
            self.touch()
            with (self.folder / _TRAININGS).open("ab") as file:
                file.write(b"x")

    def limited(self, source: Source, gallery: Gallery | None = None) -> _Limited:
        """The source as far as it fits; the rest is refused, each with the reason. It is closed by whoever reads it,
        once all of it is committed.

        All sources that are being read share one count, which begins with what is kept and goes on until the last of
        them is closed: what one has taken and not yet committed, no other takes. What is in ``gallery`` already was
        counted when it came.
        """
        return _Limited(self, source, gallery)

    def begin(self, reader: _Limited) -> None:
        """It is being read."""
        with self._lock:
            if not self._readers:
                self._taken = self.usage()
            self._readers.add(reader)

    def end(self, reader: _Limited) -> None:
        """It is not read any more."""
        with self._lock:
            self._readers.discard(reader)

    def take(self, images: int, bytes: int) -> str:
        """Count it; why it may not be, if there is too much already."""
        with self._lock:
            taken = replace(self._taken, images=self._taken.images + images, bytes=self._taken.bytes + bytes)
            if images and taken.images > self.limits.images:
                return say("more than the {images:,} images of a visitor", images=self.limits.images)
            if bytes and taken.bytes > self.limits.bytes:
                return say("more than the {size} of a visitor", size=size(self.limits.bytes))
            self._taken = taken
            return ""


@dataclass(eq=False)
class _Limited:
    workspace: Workspace
    source: Source
    gallery: Gallery | None = None

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

    def __iter__(self) -> Iterator[Item | Skipped]:
        self.workspace.begin(self)
        there = self.gallery.database.uris() if self.gallery else set()
        most = max(100, ENTRIES_PER_IMAGE * self.workspace.limits.images)
        for number, found in enumerate(self.source):
            if self.workspace.closed:
                raise GalleryError(say(DELETED))
            if number >= most:
                raise GalleryError(
                    say(
                        "more than {most:,} files and rows, which this server does not look at for a visitor", most=most
                    )
                )
            if isinstance(found, Skipped):
                yield found
            elif refusal := self.workspace.take(images=found.uri not in there, bytes=0):
                yield Skipped(found.path, refusal)
            else:
                yield replace(found, read=partial(self._read, found))

    def close(self) -> None:
        """What was taken of it is committed, or never will be."""
        self.workspace.end(self)

    def _read(self, item: Item) -> bytes:
        data = item.read()
        if refusal := self.workspace.take(images=0, bytes=blocks(len(data)) + BLOCK_BYTES + THUMBNAIL_BYTES):
            raise ImageError(refusal)
        return data


class Workspaces:
    """All visitors of a server. ``builtin`` are the server's own galleries, which everybody may read.

    ``end_jobs`` is called with a visitor whose data goes: it ends what runs for that visitor, and waits for it.
    """

    def __init__(self, builtin: Library, limits: Limits, end_jobs: Callable[[str], None] = lambda visitor: None):
        self.folder = _place_of(builtin.folder / VISITORS)
        self.builtin = builtin
        self.limits = limits
        self.end_jobs = end_jobs
        self.files = VisitorFiles(
            self.folder / _FILES, 2 * limits.bytes, max(1000, FILES_PER_IMAGE * limits.images), limits.bytes
        )
        self.nobody = Library(self.folder / ".nobody", builtin, NO_VISITOR)
        self._open: dict[str, Workspace] = {}
        self._lock = threading.Lock()
        self._key = self._read_key()

    def _read_key(self) -> bytes:
        """What tokens are signed with, made once. One that was not written to its end would be anybody's."""
        path = self.folder / _KEY
        if key := _whole_key(path):
            return key
        with FileLock(self.folder / _KEY_LOCK):  # of servers that begin together one makes it for all
            if key := _whole_key(path):
                return key
            written = path.with_name(".key-new")
            written.unlink(missing_ok=True)
            with os.fdopen(os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(key := secrets.token_bytes(_KEY_BYTES))
                file.flush()
                os.fsync(file.fileno())
            written.replace(path)
            return key

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
        """Delete all that is kept for a visitor, at once; what is running for that visitor ends and keeps nothing."""
        with self._lock:
            workspace = self._open.pop(visitor, None)
        if workspace:
            workspace.closed = True
        folder = self.folder / visitor
        disk.close(folder)
        self.end_jobs(visitor)
        self.files.forget(visitor)
        doomed = folder.with_name(f"{_DOOMED}{visitor}-{secrets.token_hex(4)}")
        with contextlib.suppress(FileNotFoundError):
            folder.rename(doomed)  # at once for everybody who looks, however long deleting takes
        shutil.rmtree(doomed, ignore_errors=True)

    def begin(self) -> None:
        """Before the first visitor comes: delete all that no workspace waits for. Where another process serves the
        same folder, that is its own to know."""
        self._serving = FileLock(self.folder / _SERVING, timeout=0)
        try:
            self._serving.acquire()
        except Timeout:
            return
        self.sweep()
        self.files.sweep(self.limits.seconds, is_left=lambda name: not (self.folder / name).is_dir())
        for folder in self.folder.glob("[!.]*/"):
            library = Library(folder)
            library.sweep(0)
            uploads.sweep(folder, library.unfinished(), 0)

    def sweep(self) -> None:
        """Delete what has come to its end, and what is left of deletions."""
        for doomed in self.folder.glob(f"{_DOOMED}*"):
            shutil.rmtree(doomed, ignore_errors=True)
        for folder in self.folder.glob("[!.]*/"):
            if self._last_use(folder) + self.limits.seconds < time.time():
                self.forget(folder.name)
        self.files.sweep(self.limits.seconds)
        with self._lock:  # who only looked leaves nothing in memory, either
            self._open = {visitor: open for visitor, open in self._open.items() if open.folder.exists()}

    @staticmethod
    def _last_use(folder: Path) -> float:
        used = folder / _USED
        return (used if used.exists() else folder).stat().st_mtime


def _whole_key(path: Path) -> bytes:
    """Empty where there is none that was written to its end."""
    with contextlib.suppress(FileNotFoundError):
        key = path.read_bytes()
        return key if len(key) == _KEY_BYTES else b""
    return b""


def _place_of(folder: Path) -> Path:
    """Where visitors' data lies: in the library, or of one that can only be read, in the user's cache."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        if not disk.is_read_only(error):
            return folder
    place = cache_directory() / "visitors" / hashlib.sha256(str(folder.absolute()).encode()).hexdigest()[:16]
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    log.warning("what visitors keep lies in '%s'", place)
    return place


def _count(path: Path) -> int:
    """How many bytes are in a file that may not be there."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
