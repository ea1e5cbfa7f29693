"""Items of a gallery that somebody has chosen in a grid."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from unifex.core.errors import UnifexError
from unifex.core.json_text import parse_json
from unifex.core.language import say
from unifex.gallery.gallery import Gallery
from unifex.ui.page_state import as_told, item_id
from unifex.ui.view import View

Listed = Callable[[Gallery, View], np.ndarray]
MOST = 10_000  # items that a page names one by one


class MeantOthers(UnifexError):
    """All were chosen, and the gallery has others by now."""


@dataclass(frozen=True)
class Chosen:
    """The items with these ids or, ``all_but``, all that a view shows of the gallery without these: ``count`` of them,
    as the page said to whoever chose."""

    ids: tuple[int, ...]
    all_but: bool = False
    view: View = View()
    count: int = 0

    @classmethod
    def told(cls, value: Any) -> Chosen:
        """From what the grid says: a list of ids, or ``{"but": [...], "view": VIEW, "count": N}``. Raises
        ``UnifexError``."""
        with as_told():
            all_but = isinstance(value, dict)
            named = value["but"] if all_but else value
            if not isinstance(named, list):
                raise TypeError("no list")
            ids = tuple(map(item_id, named[: MOST + 1]))
            view = View.parse(str(value.get("view", ""))) if all_but else View()
            count = int(value["count"]) if all_but else len(ids)
        if len(ids) > MOST or not (ids or all_but):
            raise UnifexError(say("choose 1 to {most:,} images, or all (Ctrl+A)", most=MOST))
        return cls(ids, all_but, view, count)

    def of(self, gallery: Gallery, listed: Listed) -> list[int]:
        """The ids in a gallery as it is now; of named ones also those that are no more. ``listed`` tells what a view
        shows. Raises ``UnifexError``, where all are other than those that were meant :class:`MeantOthers`."""
        if not self.all_but:
            return list(self.ids)
        there = listed(gallery, self.view)
        meant = there[~np.isin(there, self.ids)].tolist()
        if len(meant) != self.count:
            raise MeantOthers(
                say(
                    "{count:,} were chosen, {now:,} would be now: the gallery has changed; look once more",
                    count=self.count,
                    now=len(meant),
                )
            )
        return meant


def chosen_told(told: str) -> tuple[str, Chosen]:
    """Gallery and chosen items that a signal tells of (action, gallery, items, text). Raises ``UnifexError``."""
    with as_told():
        _, gallery, chosen, _ = parse_json(told)
        return str(gallery), Chosen.told(chosen)
