"""What `assets/grid.js` draws: items as JSON, which is a tenth of the markup."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from unifex.gallery.gallery import Gallery, Record
from unifex.retrieval.hits import Hit
from unifex.ui.server.picture_addresses import version


@dataclass(frozen=True)
class GridItem:
    """An item as a card. ``v`` names its picture; ``score`` -1..1 and ``chance`` 0..1 are a hit's."""

    id: int
    v: str
    label: str
    domain: str
    path: str
    tags: tuple[str, ...] | None = None
    score: float | None = None
    chance: float | None = None

    @classmethod
    def of(cls, record: Record, score: float | None = None, chance: float | None = None) -> GridItem:
        """An item, or what was found of it."""
        return cls(
            record.id, version(record), record.label, record.domain, record.path, record.tags or None, score, chance
        )

    def as_json(self) -> dict[str, int | str | float | tuple[str, ...]]:
        """Only what is known."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def hits_grid(gallery: str, hits: Iterable[Hit], editable: bool = False) -> str:
    """Hits, best first; ``editable``: whoever sees them may change the gallery."""
    items = [GridItem.of(hit.record, round(hit.score, 4), _rounded(hit)) for hit in hits]
    return _grid(gallery, "hits", items, editable=editable)


def samples_grid(gallery: str, records: Iterable[Record]) -> str:
    """Items to begin with, for who has no query yet."""
    lead = "Drop an image into the box, or start with one of these:"
    return _grid(gallery, "samples", map(GridItem.of, records), lead=lead)


def listed_grid(gallery: str, records: Iterable[Record], editable: bool = False) -> str:
    """Some items, in their order."""
    return _grid(gallery, "items", map(GridItem.of, records), editable=editable)


def whole_grid(gallery: Gallery, editable: bool = False) -> str:
    """All items of a gallery, which the page asks for as one scrolls."""
    snapshot = gallery.snapshot()
    told = {"total": len(snapshot), "version": snapshot.columns.version, "editable": editable}
    return json.dumps({"gallery": gallery.name, "kind": "items", **told}, ensure_ascii=False)


def _rounded(hit: Hit) -> float | None:
    return None if hit.probability is None else round(hit.probability, 2)


def _grid(gallery: str, kind: str, items: Iterable[GridItem], **more: str | bool) -> str:
    drawn = [item.as_json() for item in items]
    return json.dumps({"gallery": gallery, "kind": kind, "items": drawn, **more}, ensure_ascii=False)
