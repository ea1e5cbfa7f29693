"""The numbers that people give, each with what it is and from where to where it goes.

One table for the options of the command line, the fields of the page and what is sent over HTTP, so that none of them
takes what another refuses: not a number, infinite, negative, huge or of the wrong kind.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from unifex.core.errors import UnifexError
from unifex.core.language import say


@dataclass(frozen=True)
class Range:
    """From ``low`` to ``high``, both included; whole numbers where ``low`` is one. An option of this type is read."""

    what: str
    low: float
    high: float
    unit: str = ""

    def check(self, value: Any) -> Any:
        """The number that ``value`` (a number, or its text) is. Raises ``UnifexError`` naming what is allowed."""
        number = self._number(value)
        if number is None or not self.low <= number <= self.high or (isinstance(value, float) and number != value):
            raise UnifexError(
                say(
                    "{what} must be {allowed}, not {value!r}",
                    what=self.what,
                    allowed=self.allowed,
                    value=str(value)[:40],
                )
            )
        return number

    @property
    def allowed(self) -> str:
        """``0 to 1``, ``a whole number, 1 to 1000 hits``."""
        whole = "a whole number, " if isinstance(self.low, int) else ""
        return f"{whole}{self.low} to {self.high}{f' {self.unit}' if self.unit else ''}"

    def _number(self, value: Any) -> Any:
        try:
            return type(self.low)(value)
        except (TypeError, ValueError, OverflowError):
            return None

    def __call__(self, text: str) -> Any:
        return self.check(text)


HITS = Range("k", 1, 1000, "hits")
SIMILARITY = Range("the least similarity", -1.0, 1.0)
COORDINATE = Range("each of a box's x, y, width and height", 0.0, 1.0, "of the picture")
BALANCE = Range("the balance", 0.0, 1.0, "(images to words)")
FALSE_ACCEPT_RATE = Range("the share of false accepts", 0.0001, 100.0, "%")
DIMENSION = Range("the length of the embeddings", 1, 65536)
SEED = Range("the seed", 0, 2**31 - 1)
HELD_OUT = Range("the share of classes to hold out", 0.0, 0.99)
IMAGE_SIDE = Range("the side of the images", 1, 4096, "pixels")
CLASSES = Range("the number of classes of a domain", 0, 10**9, "(0: all)")
MIN_IMAGES = Range("the least number of images of a class", 1, 10**9)
MAX_IMAGES = Range("the largest number of images of a class", 0, 10**9, "(0: all)")
PORT = Range("the port", 0, 65535, "(0: any that is free)")
VISITOR_IMAGES = Range("a visitor's images", 1, 10**9)
VISITOR_MEGABYTES = Range("a visitor's room", 1, 10**9, "MB")
VISITOR_TRAININGS = Range("a visitor's trainings", 0, 10**6)
VISITOR_MINUTES = Range("a training's time", 0.01, 1e6, "minutes")
VISITOR_HOURS = Range("the time after which a visitor's data is deleted", 0.001, 1e6, "hours")
QUIET = Range("the rest of a folder", 0.1, 3600.0, "seconds")
RATE = Range("a visitor's requests", 1, 10**9, "a minute")
