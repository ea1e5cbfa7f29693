"""What operating systems do differently: on Windows a file that is open cannot be replaced, moved or deleted."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ON_WINDOWS = os.name == "nt"
WAIT_SECONDS, TRIES = 0.05, 40  # for a reader of a file that is to be replaced
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
MAX_NAME = 80  # bytes of what a gallery or a model is called


def replace(source: Path, target: Path) -> None:
    """``source`` becomes ``target``. On Windows a reader is waited for, two seconds at most. Raises OSError."""
    for _ in range(TRIES if ON_WINDOWS else 0):
        with contextlib.suppress(PermissionError):
            source.replace(target)
            return
        time.sleep(WAIT_SECONDS)
    source.replace(target)


def delete(path: Path) -> None:
    """Delete a file that nothing names any more; on Windows one that is still mapped into memory stays where it is."""
    with contextlib.suppress(PermissionError) if ON_WINDOWS else contextlib.nullcontext():
        path.unlink(missing_ok=True)


def is_name(text: str) -> bool:
    """Whether a gallery or a model can be called so, as a folder can everywhere, but for :func:`is_device`."""
    return bool(re.fullmatch(r"\w[\w .()+-]*", text)) and len(text.encode()) <= MAX_NAME


def numbered(name: str, between: str = "-", last: str = "") -> Iterator[str]:
    """``name`` with what comes ``last``, and with 2, 3 ... behind that; what is longer than a name may be loses the end
    of ``name``."""
    for ending in itertools.chain([last], (f"{last}{between}{number}" for number in itertools.count(2))):
        whole = name.encode()
        cut = whole[: MAX_NAME - len(ending.encode())]
        yield (name if cut == whole else cut.decode(errors="ignore").rstrip(" (.")) + ending


def is_device(name: str) -> bool:
    """Whether Windows, on Windows, takes a name for that of a device, as it does ``com1`` and ``nul.jpg``."""
    return ON_WINDOWS and bool(_DEVICE.fullmatch(name))


def file_name(name: str) -> str:
    """A file's name as it can be written here: on Windows without ``<>:"|?*``, dots at its end and names of devices."""
    if not ON_WINDOWS:
        return name
    name = re.sub(r'[<>:"|?*\x00-\x1f]', "_", name).rstrip(". ") or "_"
    return f"_{name}" if is_device(name) else name


@contextlib.contextmanager
def interrupted_once() -> Iterator[None]:
    """Ctrl+C ends the block, and pressed again while it ends it does nothing: what was done is being kept then.

    Only the main thread hears of Ctrl+C, and a program that does so in a way of its own goes on doing it.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return
    presses: list[int] = []

    def pressed(number: int, frame: Any) -> None:
        presses.append(number)
        if len(presses) == 1:
            before(number, frame)

    signal.signal(signal.SIGINT, pressed)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def terminated_as_interrupted() -> Iterator[list[int]]:
    """SIGTERM (``kill``, ``timeout``, a service that is stopped) and a terminal that is closed do what Ctrl+C does, so
    that what was begun is cleared away; which of them came.

    For a program of our own: one that hears of them already, or wants not to, does so on, as do processes it forks.
    """
    came: list[int] = []
    own = os.getpid()

    def end(number: int, frame: Any) -> None:
        if os.getpid() != own:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        came.append(number)
        pressed = signal.getsignal(signal.SIGINT)
        if callable(pressed):
            pressed(number, frame)
        elif len(came) == 1:
            raise KeyboardInterrupt

    in_main = threading.current_thread() is threading.main_thread()
    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if in_main and hasattr(signal, name)]
    ours = [number for number in numbers if signal.getsignal(number) is signal.SIG_DFL]
    for number in ours:
        signal.signal(number, end)
    try:
        yield came
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def memory_bytes() -> int | None:
    """How much memory this computer has; None where the system does not tell (Windows)."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
