"""When a folder has changed and come to rest, so that a gallery can follow it.

What is told is only that something changed: indexing finds out what, as it does at any other time. Where the system
tells of changes, watchfiles hears of them; where it does not, or watchfiles is not installed, the folder is polled.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from pathlib import Path
from types import ModuleType

from unifex.data import locations
from unifex.data.tree import GALLERY_FILES, is_service, service

_TOLD_NOTHING = ("nfs", "cifs", "smb", "fuse", "9p", "afs", "ceph", "vboxsf")  # others change them unnoticed
MOUNTS = Path("/proc/mounts")
REMEDY = "pip install 'unifex[watch]'"
PAUSE = 9.0  # times as long as it took to look at a folder, until it is looked at again
log = logging.getLogger("unifex")


class Moment(Enum):
    """What is to be done: index the folder, or tell that it cannot be listed and is waited for."""

    RESTED = "rested"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True)
class Patience:
    """A folder has come to rest after ``quiet`` seconds without a change; ``longest``, since it may never do.

    Where it is polled, that happens every ``poll`` seconds; where looking takes long, a tenth of the time.
    """

    quiet: float = 2.0
    longest: float = 60.0
    poll: float = 1.0


@dataclass(frozen=True)
class _Watch:
    """What is watched, and how. ``stop`` ends it."""

    folder: Path
    library: Path
    polls: bool
    patience: Patience
    stop: threading.Event

    @cached_property
    def root(self) -> Path:
        """The folder, wherever links lead."""
        return self.folder.resolve()

    def ignores(self, path: Path) -> bool:
        """Whether what is at a path below the root is no picture, but a gallery's or a system's."""
        below = path.relative_to(self.root)
        on_the_way = (self.root / place for place in (below, *below.parents) if place.name)
        return self._is_of_library(path) or is_service(below.as_posix()) or any(map(_is_gallery, on_the_way))

    def enters(self, folder: Path) -> bool:
        """Whether there may be pictures in a folder of one where there may be; a gallery is known when it is listed."""
        return not (self._is_of_library(folder) or service(folder.name))

    def _is_of_library(self, path: Path) -> bool:
        """One that holds the folder, or is it, has more in it than galleries."""
        within = self.library != self.root and self.library.is_relative_to(self.root)
        return within and path.is_relative_to(self.library)


def _is_gallery(folder: Path) -> bool:
    return all((folder / name).exists() for name in GALLERY_FILES)


def moments(
    folder: Path,
    library: Path,
    polls: bool = False,
    patience: Patience = Patience(),
    stop: threading.Event | None = None,
) -> Iterator[Moment]:
    """When there is something to do, until ``stop`` is set; the first at once, for what changed before.

    ``library`` is where galleries are written, which may lie in ``folder`` or hold it. ``polls``: also where the system
    tells of changes. A folder with nothing in it is as a disk that is not mounted.
    """
    stop = stop or threading.Event()
    while not stop.is_set():
        if not _can_be_listed(folder):
            yield Moment.UNREACHABLE
            while not _can_be_listed(folder):
                if stop.wait(patience.quiet):
                    return
        polled = polls or watchfiles() is None or must_be_polled(folder)
        yield from _while_there(_Watch(folder, library.resolve(), polled, patience, stop))


def _while_there(watch: _Watch) -> Iterator[Moment]:
    there, changed = locations.identity(str(watch.folder)), time.monotonic()
    changes = _changes(watch)
    try:
        for change in changes:
            if locations.identity(str(watch.folder)) != there or not _can_be_listed(watch.folder):
                return
            changed = changed or (time.monotonic() if change else 0)
            if changed and (not change or time.monotonic() - changed > watch.patience.longest):
                changed = 0
                yield Moment.RESTED
    except FileNotFoundError:  # it went just now
        return
    finally:
        changes.close()


def _changes(watch: _Watch) -> Generator[bool]:
    """True at every change, False after every ``quiet`` seconds without one. Raises FileNotFoundError."""
    if not watch.polls and (notifying := watchfiles()):
        try:
            yield from _told(notifying, watch)
            return
        except FileNotFoundError:
            raise
        except Exception as error:  # the system tells of no more folders than it is set to; the library raises its own
            log.warning("'%s' is polled: %s", watch.folder, error)
    yield from _polled(watch)


def _told(notifying: ModuleType, watch: _Watch) -> Generator[bool]:
    bursts = notifying.watch(
        watch.root,
        watch_filter=lambda _, path: not watch.ignores(Path(path)),
        debounce=200,
        rust_timeout=round(1000 * watch.patience.quiet),
        yield_on_timeout=True,
        ignore_permission_denied=True,
        stop_event=watch.stop,
    )
    try:
        for burst in bursts:
            yield bool(burst)
    finally:
        bursts.close()


def _polled(watch: _Watch) -> Generator[bool]:
    """Not by watchfiles, under which the whole program stands still while a slow drive is listed for the first time."""
    known, rested = None, time.monotonic()
    while True:
        began = time.monotonic()
        now = _fingerprint(watch)
        ended = time.monotonic()
        if watch.stop.is_set():
            return
        if now != known or ended - rested >= watch.patience.quiet:
            yield now != known
            known, rested = now, ended
        if watch.stop.wait(max(watch.patience.poll, min(PAUSE * (ended - began), watch.patience.longest))):
            return


def _fingerprint(watch: _Watch) -> int:
    """Another number when a file below the folder came, went or changed."""
    total = 0
    for place, folders, files in os.walk(watch.root):
        if watch.stop.is_set():
            break
        if all(name in files for name in GALLERY_FILES):
            folders.clear()
            continue
        folders[:] = [name for name in folders if watch.enters(Path(place, name))]
        for name in files:
            try:
                status = os.stat(path := os.path.join(place, name))
            except OSError:  # it went just now, or is a link that leads nowhere
                continue
            total += hash((path, status.st_size, status.st_mtime_ns, status.st_ino))
    return total


def must_be_polled(folder: Path) -> bool:
    """Whether it lies on a drive of the network, or another of which the system does not tell all changes."""
    try:
        mounts = [line.split()[1:3] for line in MOUNTS.read_text(errors="replace").splitlines()]
    except OSError:
        return False
    place = folder.resolve()
    above = [(at, kind) for at, kind in mounts if place.is_relative_to(at.replace("\\040", " "))]
    return max(above, key=lambda mount: len(mount[0]), default=("", ""))[1].startswith(_TOLD_NOTHING)


def _can_be_listed(folder: Path) -> bool:
    try:
        with os.scandir(folder) as entries:
            return next(entries, None) is not None
    except OSError:
        return False


def watchfiles() -> ModuleType | None:
    """What the system's word of changes is heard by; None where it is not installed."""
    try:
        import watchfiles
    except ImportError:
        return None
    return watchfiles
