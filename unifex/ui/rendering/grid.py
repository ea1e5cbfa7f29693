"""What `assets/grid.js` draws: items as JSON, which is a tenth of the markup."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from unifex.core import dates
from unifex.core.language import say
from unifex.core.text import number
from unifex.gallery.gallery import Gallery, Record
from unifex.retrieval.hits import Hit
from unifex.ui.server.picture_addresses import version
from unifex.ui.view import View

COPIES = 100  # that a hit names


@dataclass(frozen=True)
class GridItem:
    """An item as a card. ``v`` names its picture; ``score`` -1..1 and ``chance`` 0..1 are a hit's, and ``by``, what a
    further column says that hits are ordered by; ``copied``: so many near-copies are folded into it, ``copies`` are the
    ids of the first of them."""

    id: int
    v: str
    label: str
    domain: str
    path: str
    tags: tuple[str, ...] | None = None
    score: float | None = None
    chance: float | None = None
    by: str | float | None = None
    copied: int | None = None
    copies: tuple[int, ...] | None = None

    @classmethod
    def of(cls, record: Record, score: float | None = None, chance: float | None = None) -> GridItem:
        """An item, or what was found of it."""
        return cls(
            record.id, version(record), record.label, record.domain, record.path, record.tags or None, score, chance
        )

    @classmethod
    def of_hit(cls, hit: Hit, order: str = "") -> GridItem:
        """What was found, in an order as a :class:`View` says it."""
        chance = None if hit.probability is None else round(hit.probability, 2)
        item = cls.of(hit.record, round(hit.score, 4), chance)
        if order[:1] in ("+", "-"):
            item = replace(item, by=_sortable(hit.record.labels.extra.get(order[1:], "")))
        if hit.copies:
            item = replace(item, copied=len(hit.copies), copies=hit.copies[:COPIES])
        return item

    def as_json(self) -> dict[str, Any]:
        """Only what is known."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def _sortable(text: str) -> str | float:
    """A number as one, a date in the one form whose texts are in the order of time."""
    if not np.isnan(value := number(text)):
        return value
    begins = dates.beginning(text)
    return begins.isoformat() if begins else text


@dataclass(frozen=True)
class Rights:
    """What whoever sees items of a gallery may do: change it; have its image files, too."""

    editable: bool = False
    files: bool = False


def hits_grid(
    gallery: Gallery, hits: Iterable[Hit], rights: Rights, view: View, question: str, answer: int, more: bool
) -> str:
    """Hits, best first, and what the page needs to put them into the order of a view. ``answer`` tells this answer
    from others, also to the same ``question``; there may be ``more`` hits, which are asked for by it."""
    items = [GridItem.of_hit(hit, view.order) for hit in hits]
    shown = {"id": gallery.config.id, "question": question, "answer": answer, "more": more}
    return _grid(gallery.name, "hits", items, **asdict(rights), **shown)


def further_hits(hits: Iterable[Hit], view: View, answer: int, more: bool) -> str:
    """Those that follow the hits of an answer."""
    items = [GridItem.of_hit(hit, view.order).as_json() for hit in hits]
    return json.dumps({"answer": answer, "items": items, "more": more}, ensure_ascii=False)


def no_further_hits(answer: int, number: int) -> str:
    """That they cannot be found, this time: no two ``number`` are equal, so that the page hears of each."""
    return json.dumps({"answer": answer, "failed": number})


def samples_grid(gallery: str, records: Iterable[Record]) -> str:
    """Items to begin with, for who has no query yet."""
    lead = say("Drop an image into the box, or start with one of these:")
    return _grid(gallery, "samples", map(GridItem.of, records), lead=lead)


def listed_grid(gallery: str, records: Iterable[Record], rights: Rights) -> str:
    """Some items, in their order."""
    return _grid(gallery, "items", map(GridItem.of, records), **asdict(rights))


def whole_grid(gallery: Gallery, total: int, rights: Rights, view: str = "") -> str:
    """The ``total`` items of a gallery that a view (as JSON) shows, which the page asks for as one scrolls."""
    snapshot = gallery.snapshot()
    nothing = say("Nothing is left: remove a filter.") if len(snapshot) else say("Nothing is here yet: add images.")
    lead = "" if total else nothing
    told = {
        "id": gallery.config.id,
        "total": total,
        "version": f"{gallery.config.id} {snapshot.columns.version}",
        "view": view,
        "lead": lead,
        **asdict(rights),
    }
    return json.dumps({"gallery": gallery.name, "kind": "items", **told}, ensure_ascii=False)


def _grid(gallery: str, kind: str, items: Iterable[GridItem], **more: Any) -> str:
    drawn = [item.as_json() for item in items]
    return json.dumps({"gallery": gallery, "kind": kind, "items": drawn, **more}, ensure_ascii=False)
