"""How far long work has come, in one form for whoever watches: the page, the command line, a log.

Whatever takes long is a generator of :class:`Step` that returns its result. Closing it cancels the work, and its
``finally`` keeps what is done.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TypeVar

from unifex.core.system import interrupted_once

WINDOW_SECONDS = 30.0  # the pace is that of so long: long enough not to jump, and it follows when work gets slower
MARK_SECONDS = 1.0

Result = TypeVar("Result")


@dataclass(frozen=True)
class Step:
    """``stage``: what is being done, in words. ``done`` of ``total`` in ``unit``; ``total`` is 0 where it cannot be
    known. ``seconds_left`` of the stage is None until it can be told; ``note``: counts and rates, for people."""

    stage: str
    done: int = 0
    total: int = 0
    unit: str = ""
    seconds_left: float | None = None
    note: str = ""

    @property
    def share(self) -> float | None:
        """How much of this stage is done, 0 to 1; None where it cannot be known."""
        return min(1.0, self.done / self.total) if self.total else None

    @property
    def finished(self) -> Step:
        """The same stage when all of it is done: the last step may have come before."""
        return replace(self, done=max(self.done, self.total), seconds_left=None)


Work = Generator[Step, None, Result]


def finish(work: Work[Result], watch: Callable[[Step], None] | None = None) -> Result:
    """The result of long work, waited for; ``watch`` is given every step. Ctrl+C closes the work, once."""
    with interrupted_once(), closing(work):
        while True:
            try:
                step = next(work)
            except StopIteration as end:
                return end.value
            if watch:
                watch(step)


class Stage:
    """One stage of long work, which makes its steps and tells how long it still takes: at the pace of late."""

    def __init__(self, name: str, total: int = 0, unit: str = "", done: int = 0):
        """``done``: so much was there before it began, which says nothing of the pace."""
        self.name, self.total, self.unit = name, total, unit
        self._marks = deque([(time.monotonic(), done, done)])  # (when, done, of that by work), oldest first

    def at(self, done: int, note: str = "", free: int = 0, free_left: int = 0) -> Step:
        """The step at which so much is done.

        ``free`` of it took no work, as what was there already, and ``free_left`` of what is left will take none: the
        time left is that of the work that is left, at the pace of that which was done.
        """
        return Step(self.name, done, self.total, self.unit, self._seconds_left(done, done - free, free_left), note)

    def _seconds_left(self, done: int, worked: int, free_left: int) -> float | None:
        now = time.monotonic()
        if now - self._marks[-1][0] >= MARK_SECONDS:
            self._marks.append((now, done, worked))
        while len(self._marks) > 1 and now - self._marks[1][0] > WINDOW_SECONDS:
            self._marks.popleft()
        since, done_before, worked_before = self._marks[0]
        if not self.total:
            return None
        if done >= self.total:
            return 0.0
        came, left = worked - worked_before, self.total - done - free_left
        if left <= 0:  # only what takes no work, which takes its time all the same
            came, left = done - done_before, self.total - done
        return (now - since) / came * left if came > 0 else None
