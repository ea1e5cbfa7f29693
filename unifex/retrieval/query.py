"""What is searched for. Whatever else a query is to be is a field of it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from unifex.core import ranges
from unifex.core.errors import UnifexError
from unifex.core.language import say
from unifex.core.regions import MAX_REGIONS, Region, RegionError
from unifex.core.text import either
from unifex.gallery import naming
from unifex.gallery.gallery import Gallery, GalleryError, Record
from unifex.models.image_like import Crop, ImageLike

MAX_TEXT = 1000  # characters; towers read the first 64 or 77 tokens
MAX_MARKS = 200  # of a kind
FEEDBACK = ("rocchio", "nearest")  # how marks count, the default first: `unifex.retrieval.feedback`


@dataclass(frozen=True)
class Known:
    """Backbone features float32 [n, D] of images that are not at hand, and the weight hash of their backbone."""

    features: np.ndarray = field(compare=False)
    backbone_hash: str

    @classmethod
    def of(cls, gallery: Gallery, features: np.ndarray) -> Known:
        """Features that the gallery's backbone gave."""
        return cls(features.astype(np.float32), gallery.config.backbone_hash)

    def for_gallery(self, gallery: Gallery) -> np.ndarray:
        """The features. Raises ``GalleryError`` where they are of another backbone than the gallery's."""
        if (self.backbone_hash, self.features.shape[1]) != (
            gallery.config.backbone_hash,
            gallery.embedder.backbone.feature_dim,
        ):
            raise GalleryError(
                say(
                    "this search was saved with another backbone than '{backbone}': search with its image again, "
                    "and save that",
                    backbone=gallery.config.backbone,
                )
            )
        return self.features


@dataclass(frozen=True)
class Query:
    """One thing: shown by ``images`` (files, bytes or pictures) or ``items`` of the gallery (ids), said by ``text``.

    ``text_weight``: with both, 0 is what is shown only, 1 the text only. ``regions``: parts of each of the images and
    items to search with, in place of the whole; a ``Crop`` among the images stays what it is. ``more`` and ``less``:
    ids of the gallery's items that were marked as more, or less, like it; those that went count no more. ``more`` alone
    is a query, too. ``feedback``: how marks count, of :data:`FEEDBACK`. ``known``: features of further images. Raises
    ``UnifexError`` where the text is blank or too long, the weight is out of its range, there are too many regions or
    marks, regions of nothing that is shown, or an item that is marked both ways.
    """

    images: tuple[ImageLike, ...] = ()
    items: tuple[int, ...] = ()
    text: str = ""
    text_weight: float = 0.5
    regions: tuple[Region, ...] = ()
    more: tuple[int, ...] = ()
    less: tuple[int, ...] = ()
    feedback: str = FEEDBACK[0]
    known: Known | None = None

    def __post_init__(self) -> None:
        if self.text and not 0 < len(self.text.strip()) <= MAX_TEXT:
            raise UnifexError(say("give 1 to {most} characters of words", most=MAX_TEXT))
        ranges.BALANCE.check(self.text_weight)
        if self.regions and not self.shows:
            raise RegionError(say("a box is part of an image: give the image, too"))
        if len(self.regions) > MAX_REGIONS:
            raise RegionError(
                say(
                    "a query has at most {most} boxes, not {count}",
                    most=MAX_REGIONS,
                    count=len(self.regions),
                )
            )
        if self.feedback not in FEEDBACK:
            raise UnifexError(
                say(
                    "feedback must be {known}, not {feedback!r}",
                    known=either(FEEDBACK),
                    feedback=str(self.feedback)[:40],
                )
            )
        if max(len(self.more), len(self.less)) > MAX_MARKS:
            raise UnifexError(
                say(
                    "at most {most} items can be marked as more, and as less, like it; take some away",
                    most=MAX_MARKS,
                )
            )
        if set(self.more) & set(self.less):
            raise UnifexError(say("an item is marked as more and as less like it; take one of the marks away"))
        if self.feedback == "nearest" and self.text:
            raise UnifexError(
                say("marks count by the nearest where images are compared, not words; leave feedback as it is")
            )

    def __bool__(self) -> bool:
        """There is something to search with."""
        return bool(self.shows or self.text or self.more)

    def check_known(self, gallery: Gallery) -> None:
        """Raises ``GalleryError`` for ids that no item has: for who wrote them. Marks that are kept with a gallery
        outlive its items, and count no more then."""
        wanted = dict.fromkeys((*self.items, *self.more, *self.less))
        there = {record.id for record in gallery.records(list(wanted))}
        if missing := [item for item in wanted if item not in there]:
            raise naming.missing_error(gallery.database, missing)

    @property
    def shows(self) -> bool:
        """There is an image of it."""
        return bool(self.images or self.items or self.known)

    @property
    def lone_image(self) -> ImageLike | None:
        """The image that is all there is of it: no other, no box, no words, no mark."""
        return self.images[0] if len(self.images) == 1 and not (self.items or self._besides) else None

    @property
    def lone_item(self) -> int | None:
        """The item that is all there is of it, as :attr:`lone_image` says."""
        return self.items[0] if len(self.items) == 1 and not (self.images or self._besides) else None

    @property
    def _besides(self) -> bool:
        return bool(self.known or self.regions or self.text or self.more or self.less)

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
        if self.known:
            parts.append(self.known.for_gallery(gallery))
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
            raise GalleryError(say("the item is no longer in the gallery"))
        return records
