"""Where this process may write: nowhere below a folder that was closed, and not on the last bytes of a disk.

Whoever writes a file that stays asks :func:`check`: :mod:`unifex.core.files` for whole files and folders, a gallery for
its database. A folder is closed before it is deleted, so that what is still running for it makes nothing of it anew.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from unifex.core.errors import UnifexError
from unifex.core.language import say, to_say

BLOCK_BYTES = 4096  # a file, or a folder, takes so much of a disk at least
SPARE_BYTES = 10**9  # what a public server leaves alone
DELETED = to_say("your data was deleted; reload the page")
_closed: set[Path] = set()
_spare: list[int] = [0]


class FolderClosed(UnifexError):
    """Something was going to be kept where everything has been deleted."""


class NotWritable(UnifexError, OSError):
    """The system lets this process write nothing here; what is there can be read."""


@contextlib.contextmanager
def writing_in(folder: Path) -> Iterator[None]:
    """For what is tried first where something is to be written: a lock, a scratch file, which are nobody's words.

    Raises :class:`NotWritable` where the system refuses it.
    """
    try:
        yield
    except OSError as error:
        if isinstance(error, NotWritable) or not is_read_only(error):
            raise
        refused = NotWritable(
            say(
                "nothing can be written in '{folder}' ({reason}): ask for the right to, or name a folder where you may "
                "write (of galleries and models: --library, UNIFEX_LIBRARY)",
                folder=folder.absolute().name,
                reason=error.strerror,
            ),
            command=str(folder),  # whole at the command line alone: strangers read what a page says
        )
        refused.errno = error.errno
        raise refused from error


def keep_free(bytes: int) -> None:
    """From now on this process leaves the last ``bytes`` of every disk alone."""
    _spare[0] = bytes


def close(folder: Path) -> None:
    """Nothing is written below ``folder`` any more."""
    _closed.add(folder.absolute())


def reopen(folder: Path) -> None:
    """It may be written there again."""
    _closed.discard(folder.absolute())


def check_open(path: Path) -> None:
    """Raises :class:`FolderClosed` below a folder that was closed."""
    path = path.absolute()
    if _closed and not _closed.isdisjoint((path, *path.parents)):
        raise FolderClosed(say(DELETED))


def check(path: Path, bytes: int = 0) -> None:
    """``bytes`` are going to be written to ``path``.

    Raises :class:`FolderClosed` below a folder that was closed, OSError (``ENOSPC``) when too little would be left.
    """
    check_open(path)
    if _spare[0] and free(path) < bytes + _spare[0]:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def make_folder(path: Path, within: Path | None = None) -> None:
    """A folder with all above it, if it is not there; ``within`` another one that has to be there, since what was
    deleted or renamed meanwhile is not to be begun anew.

    Raises as :func:`check` does, FileNotFoundError when ``within`` is gone.
    """
    check(path)
    if within is None:
        path.mkdir(parents=True, exist_ok=True)
        return
    for below in reversed([*path.parents[: len(path.relative_to(within).parts) - 1]]):
        below.mkdir(exist_ok=True)
    path.mkdir(exist_ok=True)


def is_read_only(error: OSError) -> bool:
    """Whether nothing can be written there, by this process or at all: what is there can be read all the same."""
    return error.errno in (errno.EROFS, errno.EACCES, errno.EPERM)


def changed(path: Path) -> int:
    """When a file was written last, in nanoseconds; 0 where there is none (any more)."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def free(path: Path) -> int:
    """Bytes that are free on the disk that ``path`` is on, or would be."""
    path = path.absolute()
    there = next(folder for folder in (path, *path.parents) if folder.exists())
    return shutil.disk_usage(there).free


def blocks(size: int) -> int:
    """What a file of ``size`` bytes takes of a disk."""
    return max(1, -(-size // BLOCK_BYTES)) * BLOCK_BYTES


def taken_by(folder: Path) -> tuple[int, int]:
    """What lies below a folder: bytes of the disk, and how many files and folders. Others may write there meanwhile."""
    sizes = [_taken(Path(place, name)) for place, folders, files in os.walk(folder) for name in (*folders, *files)]
    return sum(sizes), len(sizes)


def _taken(path: Path) -> int:
    """Of a file or folder; 0 for what went meanwhile."""
    try:
        found = path.lstat()
    except OSError:
        return 0
    return max(found.st_size, found.st_blocks * 512, BLOCK_BYTES)
