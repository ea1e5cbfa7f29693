"""An item as a button: its thumbnail, its name, and a badge in the corner.

Pictures come by address, and a browser keeps them; what is shown is without an image's metadata.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from unifex.core.language import say
from unifex.core.templates import render
from unifex.gallery.gallery import Gallery, Record
from unifex.ui.server.picture_addresses import THUMBNAIL, address


@dataclass(frozen=True)
class Card:
    """An item of the gallery of this name. ``badge`` stands in the corner, ``described`` is what it says to who hears
    it, ``kind`` is a CSS class of its own."""

    record: Record
    gallery: str
    badge: str = ""
    described: str = ""
    kind: str = ""

    @property
    def spoken(self) -> str:
        """The card in words."""
        domain = self.record.domain or say("no domain")
        return ", ".join(part for part in (self.record.name, domain, self.described) if part)

    @property
    def picture(self) -> str:
        """The thumbnail as the ``src`` of an <img>."""
        return address(THUMBNAIL, self.gallery, self.record)


def cards_of(gallery: Gallery, records: Iterable[Record]) -> list[Card]:
    """Items of a gallery as they are."""
    return [Card(record, gallery.name) for record in records]


def of_gallery(name: str, markup: Markup) -> Markup:
    """Markup whose cards are items of this gallery: the page can open them."""
    return render("of_gallery.html", name=name, markup=markup)


class CardCache:
    """Cards by position among ``ids``; each item is read once. Raises ``GalleryError`` for one that went meanwhile."""

    def __init__(self, gallery: Gallery, ids: np.ndarray):
        self.gallery, self.ids = gallery, ids
        self._known: dict[int, Card] = {}

    def __call__(self, position: int) -> Card:
        if position not in self._known:
            self._known[position] = Card(self.gallery.record(self.ids[position]), self.gallery.name)
        return self._known[position]
