"""What is searched for. Whatever else a query is to be is a field of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from unifex.core import ranges
from unifex.core.errors import UnifexError
from unifex.core.regions import MAX_REGIONS, Region, RegionError
from unifex.gallery.gallery import Gallery, GalleryError, Record
from unifex.models.embedder import Crop, ImageLike

MAX_TEXT = 1000  # characters; towers read the first 64 or 77 tokens


@dataclass(frozen=True)
class Query:
    """One thing: shown by ``images`` (files, bytes or pictures) or ``items`` of the gallery (ids), said by ``text``.

    ``text_weight``: with both, 0 is what is shown only, 1 the text only. ``regions``: parts of each of the images and
    items to search with, in place of the whole; a ``Crop`` among the images stays what it is. Raises ``UnifexError``
    where the text is blank or too long, the weight is out of its range, or there are too many regions, or none to see.
    """

    images: tuple[ImageLike, ...] = ()
    items: tuple[int, ...] = ()
    text: str = ""
    text_weight: float = 0.5
    regions: tuple[Region, ...] = ()

    def __post_init__(self) -> None:
        if self.text and not 0 < len(self.text.strip()) <= MAX_TEXT:
            raise UnifexError(f"give 1 to {MAX_TEXT} characters of words")
        ranges.BALANCE.check(self.text_weight)
        if self.regions and not self.shows:
            raise RegionError("a box is part of an image: give the image, too")
        if len(self.regions) > MAX_REGIONS:
            raise RegionError(f"a query has at most {MAX_REGIONS} boxes, not {len(self.regions)}")

    def __bool__(self) -> bool:
        """There is something to search with."""
        return bool(self.images or self.items or self.text)

    @property
    def shows(self) -> bool:
        """There is an image of it."""
        return bool(self.images or self.items)

    def features(self, gallery: Gallery) -> np.ndarray:
        """Backbone features float [n, D] of what shows it, one an image or region; an item's are those that are kept.

        Raises ``images.ImageError`` for what is no image, ``GalleryError`` when items are no longer there, or for
        regions of an item whose image is not.
        """
        parts, pictures = [], list(self.images)
        if self.items and self.regions:
            pictures += [gallery.original(record) for record in self.records(gallery)]
        elif self.items:
            parts.append(gallery.features([record.sha256 for record in self.records(gallery)]))
        if pictures:
            parts.append(gallery.embedder.features([shown for picture in pictures for shown in self._shown(picture)]))
        return np.concatenate(parts)

    def _shown(self, picture: ImageLike) -> list[ImageLike]:
        if isinstance(picture, Crop) or not self.regions:
            return [picture]
        return [Crop(picture, region) for region in self.regions]

    def records(self, gallery: Gallery) -> list[Record]:
        """Its items, as far as they are in the gallery. Raises ``GalleryError`` when none is."""
        records = gallery.records(self.items)
        if not records:
            raise GalleryError("the item is no longer in the gallery")
        return records
