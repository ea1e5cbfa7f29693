"""What is told of a gallery that long work has made or changed, however long after that and whatever it is called by
then: an open gallery cannot be asked once it was renamed or deleted."""

from __future__ import annotations

from dataclasses import dataclass

from unifex.core.progress import Work
from unifex.core.text import plural
from unifex.gallery.gallery import Gallery


@dataclass(frozen=True)
class Counted:
    """A gallery's name, and how many items it had when the work ended."""

    name: str
    count: int

    @property
    def items(self) -> str:
        """How many, for people."""
        return plural(self.count, "item", "items")


def counted(work: Work[Gallery]) -> Work[Counted]:
    """The work, whose result can be kept."""
    gallery = yield from work
    return Counted(gallery.name, len(gallery))
