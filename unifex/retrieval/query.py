"""What is searched for. Whatever else a query is to be (a part of an image, say) is a field of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from unifex.core import ranges
from unifex.core.errors import UnifexError
from unifex.gallery.gallery import Gallery, GalleryError, Record
from unifex.models.embedder import ImageLike

MAX_TEXT = 1000  # characters; towers read the first 64 or 77 tokens


@dataclass(frozen=True)
class Query:
    """One thing: shown by ``images`` (files, bytes or pictures) or ``items`` of the gallery (ids), said by ``text``.

    ``text_weight``: with both, 0 is what is shown only, 1 the text only. Raises ``UnifexError`` where the text is blank
    or too long, or the weight is out of its range.
    """

    images: tuple[ImageLike, ...] = ()
    items: tuple[int, ...] = ()
    text: str = ""
    text_weight: float = 0.5

    def __post_init__(self) -> None:
        if self.text and not 0 < len(self.text.strip()) <= MAX_TEXT:
            raise UnifexError(f"give 1 to {MAX_TEXT} characters of words")
        ranges.BALANCE.check(self.text_weight)

    def __bool__(self) -> bool:
        """There is something to search with."""
        return bool(self.images or self.items or self.text)

    @property
    def shows(self) -> bool:
        """There is an image of it."""
        return bool(self.images or self.items)

    def features(self, gallery: Gallery) -> np.ndarray:
        """Backbone features float [n, D] of what shows it, one an image; an item's are those that are kept.

        Raises ``images.ImageError`` for what is no image, ``GalleryError`` when items are no longer there.
        """
        parts = []
        if self.items:
            records = self.records(gallery)
            parts.append(gallery.features([record.sha256 for record in records]))
        if self.images:
            parts.append(gallery.embedder.features(self.images))
        return np.concatenate(parts)

    def records(self, gallery: Gallery) -> list[Record]:
        """Its items, as far as they are in the gallery. Raises ``GalleryError`` when none is."""
        records = gallery.records(self.items)
        if not records:
            raise GalleryError("the item is no longer in the gallery")
        return records
