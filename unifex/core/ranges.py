"""The numbers that people give, each with what it is and from where to where it goes.

One table for the options of the command line, the fields of the page and what is sent over HTTP, so that none of them
takes what another refuses: not a number, infinite, negative, huge or of the wrong kind.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from unifex.core.errors import UnifexError
from unifex.core.language import say, to_say


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
                    what=say(self.what),
                    allowed=self.allowed,
                    value=str(value)[:40],
                )
            )
        return number

    @property
    def allowed(self) -> str:
        """``0 to 1``, ``a whole number, 1 to 1000 hits``."""
        span = say("{low} to {high}", low=self.low, high=self.high)
        span = f"{span} {say(self.unit)}" if self.unit else span
        return say("a whole number, {span}", span=span) if isinstance(self.low, int) else span

    def _number(self, value: Any) -> Any:
        try:
            return type(self.low)(value)
        except (TypeError, ValueError, OverflowError):
            return None

    def __call__(self, text: str) -> Any:
        return self.check(text)


HITS = Range("k", 1, 1000, to_say("hits"))
SIMILARITY = Range(to_say("the least similarity"), -1.0, 1.0)
COORDINATE = Range(to_say("each of a box's x, y, width and height"), 0.0, 1.0, to_say("of the picture"))
BALANCE = Range(to_say("the balance"), 0.0, 1.0, to_say("(images to words)"))
FALSE_ACCEPT_RATE = Range(to_say("the share of false accepts"), 0.0001, 100.0, "%")
DIMENSION = Range(to_say("the length of the embeddings"), 1, 65536)
SEED = Range(to_say("the seed"), 0, 2**31 - 1)
HELD_OUT = Range(to_say("the share of classes to hold out"), 0.0, 0.99)
IMAGE_SIDE = Range(to_say("the side of the images"), 1, 4096, to_say("pixels"))
CLASSES = Range(to_say("the number of classes of a domain"), 0, 10**9, to_say("(0: all)"))
MIN_IMAGES = Range(to_say("the least number of images of a class"), 1, 10**9)
MAX_IMAGES = Range(to_say("the largest number of images of a class"), 0, 10**9, to_say("(0: all)"))
PORT = Range(to_say("the port"), 0, 65535, to_say("(0: any that is free)"))
VISITOR_IMAGES = Range(to_say("a visitor's images"), 1, 10**9)
VISITOR_MEGABYTES = Range(to_say("a visitor's room"), 1, 10**9, "MB")
VISITOR_TRAININGS = Range(to_say("a visitor's trainings"), 0, 10**6)
VISITOR_MINUTES = Range(to_say("a training's time"), 0.01, 1e6, to_say("minutes"))
VISITOR_HOURS = Range(to_say("the time after which a visitor's data is deleted"), 0.001, 1e6, to_say("hours"))
QUIET = Range(to_say("the rest of a folder"), 0.1, 3600.0, to_say("seconds"))
RATE = Range(to_say("a visitor's requests"), 1, 10**9, to_say("a minute"))
