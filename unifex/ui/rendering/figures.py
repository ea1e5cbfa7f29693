"""Tables of figures (``figures.html``), sorted by a click on a head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from unifex.core.language import say, thousands
from unifex.evaluation.metrics import Estimate


@dataclass(frozen=True)
class Cell:
    """``value`` is what is sorted by; ``note`` follows in small, ``interval`` is drawn in the place of text.

    ``opens``: what a press on the row shows, as `assets/evaluate.js` tells Python.
    Long text is shortened; the whole of it is shown on hover.
    """

    value: float | str
    text: str = ""
    note: str = ""
    strong: bool = False
    interval: Estimate | None = None
    opens: str = ""


@dataclass(frozen=True)
class Table:
    """A table under its ``name``, which is its id."""

    name: str
    heads: Sequence[str]
    rows: Sequence[Sequence[Cell]]

    @property
    def kinds(self) -> list[str]:
        """By column: words wrap and numbers do not."""
        if not self.rows:
            return [""] * len(self.heads)
        return ["words" if isinstance(cell.value, str) else "" for cell in self.rows[0]]


def named(text: str, without: str = "–") -> Cell:
    """A label or a name; ``without`` stands for an empty one."""
    return Cell(text, text or without)


def count(value: int) -> Cell:
    """A whole number."""
    return Cell(value, thousands(value))


def number(value: float) -> Cell:
    """A figure with three digits."""
    return Cell(-1, "–") if np.isnan(value) else Cell(value, f"{value:.3f}")


def interval(score: Estimate) -> Cell:
    """A 95% interval, drawn and written."""
    return Cell(score.value, interval=score)


def gain(change: Estimate | None) -> Cell:
    """A difference with its 95% interval, and what that means; None where there is nothing to compare with."""
    if change is None:
        return Cell(0.0, "–")
    word = say("better") if change.low > 0 else say("worse") if change.high < 0 else say("no clear difference")
    return Cell(
        change.value,
        f"{change.value:+.3f}",
        say("{low:+.3f} to {high:+.3f}, {word}", low=change.low, high=change.high, word=word),
    )
