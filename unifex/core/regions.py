"""A part of a picture: a box that is relative, so that it means the same at every size the picture is decoded to."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from unifex.core import ranges
from unifex.core.errors import UnifexError
from unifex.core.language import say

MAX_REGIONS = 16  # of one query: each of them costs as much as an image
AUTO = "auto"  # in place of a box: the part that is found where the whole is not
_ROUNDING = 1e-6  # 0.7 + 0.3 may be a little more than 1


class RegionError(UnifexError):
    """A box that is none, or is not within its picture; the message says how one is written."""


@dataclass(frozen=True)
class Region:
    """A box of an upright picture: left edge ``x``, upper edge ``y``, width ``w`` and height ``h``, each 0 to 1 of it.

    Raises :class:`RegionError` for a box without width or height, or that reaches over an edge, and ``UnifexError``
    for what is no number from 0 to 1.
    """

    x: float
    y: float
    w: float
    h: float

    def __post_init__(self) -> None:
        for value in (self.x, self.y, self.w, self.h):
            ranges.COORDINATE.check(value)
        if not (self.w and self.h):
            raise RegionError(say("the box {self} is empty: width and height must be more than 0", self=self))
        if max(self.x + self.w, self.y + self.h) > 1 + _ROUNDING:
            raise RegionError(
                say("the box {self} reaches over the picture: x + width and y + height must be at most 1", self=self)
            )

    def __str__(self) -> str:
        """As :meth:`parse` reads it, to a millionth."""
        return ",".join(f"{value:.6f}".rstrip("0").rstrip(".") for value in (self.x, self.y, self.w, self.h))

    @classmethod
    def parse(cls, text: str) -> Region:
        """The box that ``x,y,w,h`` is. Raises as the class does."""
        values = [ranges.COORDINATE.check(part) for part in text.split(",")]
        if len(values) != 4:
            raise RegionError(
                say("a box is x,y,width,height, each 0 to 1 of the picture, not {text!r}", text=text[:40])
            )
        return cls(*values)

    @classmethod
    def parse_all(cls, text: str) -> tuple[Region, ...]:
        """Several of them, with spaces or ``;`` between; none of an empty text. Raises as the class does."""
        return tuple(map(cls.parse, re.split(r"[;\s]+", text.strip("; \t\n")) if text.strip("; \t\n") else ()))

    @classmethod
    def of_pixels(cls, box: tuple[int, int, int, int], size: tuple[int, int]) -> Region:
        """The box (left, upper, right, lower) in pixels of a picture of ``size`` (width, height)."""
        (left, upper, right, lower), (width, height) = box, size
        return cls(left / width, upper / height, (right - left) / width, (lower - upper) / height)

    def pixels(self, size: tuple[int, int]) -> tuple[int, int, int, int]:
        """(left, upper, right, lower) at ``size`` (width, height), rounded to whole pixels; at least one of them."""
        across, down = _span(self.x, self.w, size[0]), _span(self.y, self.h, size[1])
        return across[0], down[0], across[1], down[1]

    def whole_side(self, side: int) -> int:
        """How many pixels the picture's sides must have so that this part's have ``side``."""
        return math.ceil(side / max(_ROUNDING, min(self.w, self.h)))


def _span(start: float, length: float, pixels: int) -> tuple[int, int]:
    first = min(round(start * pixels), pixels - 1)
    return first, max(first + 1, min(round((start + length) * pixels), pixels))


WHOLE = Region(0.0, 0.0, 1.0, 1.0)
