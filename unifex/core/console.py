"""A program at a terminal: all that it prints can be printed, and every end has its sentence and its exit code."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import select
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from unifex.core.progress import Result, Step, Work, finish
from unifex.core.text import duration, explain

# As shells say it of a program that Ctrl+C ended, and of one whose reader (`| head`) has gone.
FAILED, STOPPED, UNREAD = 1, 130, 141
KEPT = "what was done is kept, the same command goes on from here"


def run(program: Callable[[], int], stopped: str) -> int:
    """The exit code of a program: its own, or that of how it ended; after Ctrl+C it says what was ``stopped``, if the
    ``KeyboardInterrupt`` does not say it.

    Nothing that is raised leaves it: each is a sentence on stderr, and a defect of the program has its traceback there.
    """
    _lead_nowhere_what_is_closed()
    for stream in _streams():  # a name that the terminal's encoding does not have is printed in ASCII
        stream.reconfigure(errors="backslashreplace")
    try:
        try:
            code = program()
        except KeyboardInterrupt as stop:
            print(f"\nunifex: stopped; {str(stop) or stopped}", file=sys.stderr)
            code = STOPPED
        except Exception as error:
            if isinstance(error, BrokenPipeError) and _reader_has_gone():
                return UNREAD
            command = getattr(error, "command", "")
            print(f"unifex: {explain(error).sentence}{f' (here: {command})' if command else ''}", file=sys.stderr)
            code = FAILED
        for stream in _streams():
            stream.flush()
        return code
    except BrokenPipeError:
        return UNREAD
    except OSError as error:
        with contextlib.suppress(OSError):  # it may be stderr that cannot be written
            print(f"unifex: {explain(error).sentence}", file=sys.stderr)
        return FAILED
    finally:
        _drop_what_cannot_be_written()


def log_with_times(name: str) -> None:
    """What a server logs under this name stands on stderr with its time: when something was is half of what it says."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger(name)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)


def print_json(answer: dict[str, Any]) -> None:
    """One line on stdout; in ASCII where stdout cannot take all of Unicode, which is the same JSON."""
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    print(json.dumps(answer, ensure_ascii=encoding.lower().replace("-", "") != "utf8"))


def watched(work: Work[Result], goes_on: bool = False) -> Result:
    """The result of long work, whose steps are told on stderr: over and over in one line of a terminal; to a log file
    the first and the last of every stage that says more than counts. ``goes_on``: stopped, it keeps what it did."""
    line = _StepLine()
    try:
        return finish(work, line.show)
    except KeyboardInterrupt as stop:
        if goes_on:
            raise KeyboardInterrupt(KEPT) from stop
        raise
    finally:
        line.end()


class _StepLine:
    """Where long work is, in one line."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._last: Step | None = None
        self._kept: Step | None = None  # has a line of its own

    def show(self, step: Step) -> None:
        """Another step of it."""
        begins = self._last is None or self._last.stage != step.stage
        if begins:
            self._keep()
        self._last = step
        if self._terminal:
            width = shutil.get_terminal_size().columns - 1
            print(f"\r{_line(step)[:width]:{width}}", end="", file=sys.stderr, flush=True)
        elif begins:
            self._keep()

    def end(self) -> None:
        """No more of them."""
        self._keep()
        if self._terminal and self._last and self._last is not self._kept:
            print(file=sys.stderr)

    def _keep(self) -> None:
        """The last step stays to be read, if it says more than counts."""
        if self._last and self._last.note and self._last is not self._kept:
            print("" if self._terminal else _line(self._last), file=sys.stderr, flush=True)
            self._kept = self._last


def _line(step: Step) -> str:
    count = f"{step.done:,}{f' of {step.total:,}' if step.total else ''} {step.unit}".strip()
    left = f"{duration(step.seconds_left)} left" if step.seconds_left else ""
    counts = " · ".join(part for part in (count if step.done or step.total else "", step.note, left) if part)
    return f"{step.stage}: {counts}" if step.stage and counts else step.stage or counts


def _lead_nowhere_what_is_closed() -> None:
    """A stream that a shell closed (``2>&-``): else the next file that is opened stands in its place."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 it is that from now on


def _streams() -> list[io.TextIOWrapper]:
    return [stream for stream in (sys.stdout, sys.stderr) if isinstance(stream, io.TextIOWrapper)]


def _reader_has_gone() -> bool:
    """Whether it is our own output that nobody reads; a pipe to a worker may break, too."""
    if not hasattr(select, "poll"):
        return True
    poller = select.poll()
    for stream in _streams():
        poller.register(stream.fileno(), 0)
    return bool(poller.poll(0))


def _drop_what_cannot_be_written() -> None:
    """Else Python tries once more at its own end, and tells of it in its own words."""
    for stream in _streams():
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
