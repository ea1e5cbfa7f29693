"""What a page keeps between two events, beside what its fields show."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

_NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class Wish:
    """That something is to be searched (or shown) anew: no two are equal."""

    number: int = 0

    @classmethod
    def new(cls) -> Wish:
        """One more."""
        return cls(next(_NUMBERS))


@dataclass(frozen=True)
class Selection:
    """Items that were chosen on the map of a gallery, by id."""

    gallery: str = ""
    ids: tuple[int, ...] = ()

    def of(self, gallery: str | None) -> tuple[int, ...]:
        """The ids, if they are of this gallery."""
        return self.ids if self.gallery == gallery else ()


@dataclass(frozen=True)
class LastResult:
    """What the last search found: ids of the hits, best first, and their similarities."""

    gallery: str = ""
    ids: tuple[int, ...] = ()
    scores: tuple[float, ...] = ()
