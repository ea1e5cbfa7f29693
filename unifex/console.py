"""A program at a terminal: every end has its sentence and its exit code."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable

from unifex.text import explain

FAILED, STOPPED = 1, 130  # the second is what shells say of a program that Ctrl+C ended


def run(program: Callable[[], int], stopped: str) -> int:
    """The exit code of a program: its own, or 1 when it failed, or 130 after Ctrl+C, which says what was ``stopped``.

    Nothing that is raised leaves it: each is a sentence on stderr, and a defect of the program has its traceback there.
    """
    warnings.filterwarnings("ignore", module=r"PIL\.")  # broken EXIF and ICC blocks, which do not matter here
    try:
        return program()
    except KeyboardInterrupt:
        print(f"\nunifex: stopped; {stopped}", file=sys.stderr)
        return STOPPED
    except Exception as error:
        print(f"unifex: {explain(error).sentence}", file=sys.stderr)
        return FAILED
