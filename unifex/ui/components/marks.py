"""What somebody has marked among the hits as more, or less, like what is searched for."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, replace

from unifex.core.json_text import parse_json
from unifex.core.language import say
from unifex.retrieval.query import FEEDBACK
from unifex.ui.page_state import as_told, item_id

KINDS = ("more", "less")


@dataclass(frozen=True)
class Marks:
    """Ids of items of a gallery. They count for the query they were made ``about``, and for no other; how, says
    ``feedback``, one of :data:`~unifex.retrieval.query.FEEDBACK`."""

    gallery: str = ""
    about: Hashable = ()
    more: tuple[int, ...] = ()
    less: tuple[int, ...] = ()
    feedback: str = FEEDBACK[0]

    def __bool__(self) -> bool:
        return bool(self.more or self.less)

    def of(self, gallery: str, about: Hashable) -> Marks:
        """Those that count for a query in a gallery."""
        return self if (self.gallery, self.about) == (gallery, about) else Marks(gallery, about)

    def add(self, kind: str, ids: Iterable[int]) -> Marks:
        """With these, too: the last mark of an item counts."""
        added = tuple(ids)
        other = KINDS[1 - KINDS.index(kind)]
        left = tuple(item for item in getattr(self, other) if item not in added)
        return replace(self, **{kind: tuple(dict.fromkeys([*getattr(self, kind), *added])), other: left})

    @property
    def text(self) -> str:
        """What undoes them says."""
        return say(
            "Marked: {more} more like it, {less} less. Forget the marks", more=len(self.more), less=len(self.less)
        )


def marks_told(told: str) -> tuple[str, str, list[int]]:
    """Kind of mark, gallery and ids that a signal tells of. Raises ``UnifexError`` for anything else."""
    with as_told():
        kind, gallery, ids, _ = parse_json(told)
        return KINDS[KINDS.index(kind)], str(gallery), [item_id(item) for item in ids]
