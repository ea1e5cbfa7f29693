"""How far long work has come, in one form for whoever watches: the page, the command line, a log."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """``stage``: what is being done, in words. ``done`` of ``total`` in ``unit``; ``total`` is 0 where it cannot be
    known. ``seconds_left`` is None until it can be told; ``note``: counts and rates, for people."""

    stage: str
    done: int = 0
    total: int = 0
    seconds_left: float | None = None
    note: str = ""
    unit: str = ""

    @property
    def share(self) -> float | None:
        """How much of this stage is done, 0 to 1; None where it cannot be known."""
        return min(1.0, self.done / self.total) if self.total else None
