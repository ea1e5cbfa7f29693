"""When a folder has changed and come to rest, so that a gallery can follow it.

What is told is only that something changed: indexing finds out what, as it does at any other time.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import ModuleType

from unifex.core.errors import UnifexError
from unifex.data import locations

_TOLD_NOTHING = ("nfs", "cifs", "smb", "fuse", "9p", "afs", "ceph", "vboxsf")  # others change them unnoticed
MOUNTS = Path("/proc/mounts")


class Moment(Enum):
    """What is to be done: index the folder, or tell that it cannot be listed and is waited for."""

    RESTED = "rested"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True)
class Patience:
    """A folder has come to rest after ``quiet`` seconds without a change; ``longest``, since it may never do.

    Where it is polled, that happens every ``poll`` seconds.
    """

    quiet: float = 2.0
    longest: float = 60.0
    poll: float = 1.0


def moments(folder: Path, ignored: Path, polls: bool = False, patience: Patience = Patience()) -> Iterator[Moment]:
    """Without an end, when there is something to do; the first at once, for what changed before.

    ``ignored`` is where galleries are written, which may lie in ``folder``. ``polls``: also where the system tells of
    changes. A folder with nothing in it is as a disk that is not mounted. Raises ``UnifexError`` without watchfiles.
    """
    notifying = require_watchfiles()
    while True:
        if not _can_be_listed(folder):
            yield Moment.UNREACHABLE
            while not _can_be_listed(folder):
                time.sleep(patience.quiet)
        yield from _while_there(notifying, folder, ignored.resolve(), polls or must_be_polled(folder), patience)


def _while_there(
    notifying: ModuleType, folder: Path, ignored: Path, polls: bool, patience: Patience
) -> Iterator[Moment]:
    there, changed = locations.identity(str(folder)), time.monotonic()
    quiet = max(patience.quiet, 2 * patience.poll) if polls else patience.quiet
    bursts = notifying.watch(
        folder,
        watch_filter=lambda _, path: not Path(path).is_relative_to(ignored),
        debounce=200,
        rust_timeout=round(1000 * quiet),
        yield_on_timeout=True,
        force_polling=polls or None,
        poll_delay_ms=round(1000 * patience.poll),
        ignore_permission_denied=True,
    )
    try:
        for burst in bursts:
            if locations.identity(str(folder)) != there or not _can_be_listed(folder):
                return
            changed = changed or (time.monotonic() if burst else 0)
            if changed and (not burst or time.monotonic() - changed > patience.longest):
                changed = 0
                yield Moment.RESTED
    except FileNotFoundError:  # it went just now
        return
    finally:
        bursts.close()


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


def require_watchfiles() -> ModuleType:
    """What tells of changes. Raises ``UnifexError`` where it is not installed."""
    try:
        import watchfiles
    except ImportError as error:
        raise UnifexError("watching needs what is not installed: pip install 'unifex[watch]'") from error
    return watchfiles
