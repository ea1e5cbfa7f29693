"""A program at a terminal: all that it prints can be printed, and every end has its sentence and its exit code."""

from __future__ import annotations

import io
import json
import os
import select
import sys
from collections.abc import Callable
from typing import Any

from unifex.core.text import explain

# As shells say it of a program that Ctrl+C ended, and of one whose reader (`| head`) has gone.
FAILED, STOPPED, UNREAD = 1, 130, 141


def run(program: Callable[[], int], stopped: str) -> int:
    """The exit code of a program: its own, or that of how it ended; after Ctrl+C it says what was ``stopped``.

    Nothing that is raised leaves it: each is a sentence on stderr, and a defect of the program has its traceback there.
    """
    for stream in _streams():  # a name that the terminal's encoding does not have is printed in ASCII
        stream.reconfigure(errors="backslashreplace")
    try:
        try:
            code = program()
        except KeyboardInterrupt:
            print(f"\nunifex: stopped; {stopped}", file=sys.stderr)
            code = STOPPED
        except Exception as error:
            if isinstance(error, BrokenPipeError) and _reader_has_gone():
                return UNREAD
            print(f"unifex: {explain(error).sentence}", file=sys.stderr)
            code = FAILED
        for stream in _streams():
            stream.flush()
        return code
    except BrokenPipeError:
        return UNREAD
    except OSError as error:
        print(f"unifex: {explain(error).sentence}", file=sys.stderr)
        return FAILED
    finally:
        _drop_what_cannot_be_written()


def print_json(answer: dict[str, Any]) -> None:
    """One line on stdout; in ASCII where stdout cannot take all of Unicode, which is the same JSON."""
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    print(json.dumps(answer, ensure_ascii=encoding.lower().replace("-", "") != "utf8"))


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
