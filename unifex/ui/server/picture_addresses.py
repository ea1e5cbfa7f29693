"""Where the page finds pictures of items: addresses relative to the page, which :mod:`unifex.ui.item_routes` serves.

An address names the picture's content, so that a browser keeps what it was given.
"""

from __future__ import annotations

from urllib.parse import quote

from unifex.gallery.gallery import Record

THUMBNAIL, PREVIEW, PIXELS = "thumb", "picture", "pixels"
CORRECTIONS = "corrections"  # the table of what people said
VIDEO = "video"  # of which an item is a frame; on a public server there is none
COMPRESSED = rf"/({THUMBNAIL}|{PREVIEW}|{PIXELS}|{VIDEO})/[^/]+/\d+$|/\d+/thumb$"  # paths of what is so already
ITEMS, IDS, TAGS, CHOSEN, FACETS, ALIKE, LABELS = "items", "ids", "tags", "chosen", "facets", "alike", "labels"
PATHS = tuple(f"/{kind}/" for kind in (THUMBNAIL, PREVIEW, ITEMS, IDS, TAGS, LABELS))  # how they begin
WAITING_PATHS = tuple(f"/{kind}/" for kind in (PREVIEW, PIXELS, ALIKE))  # of what few are made of at once
COSTLY_PATHS = tuple(f"/{kind}/" for kind in (PIXELS, ALIKE))  # of what takes as long as a search
_PLAIN = "!'()*"  # scripts write them as they are (`encodeURIComponent`), and one address is fetched once


def version(record: Record) -> str:
    """Tells an item's picture from any other that it had."""
    return record.sha256[:16]


def address(kind: str, gallery: str, record: Record) -> str:
    """Where a picture of an item is: its :data:`THUMBNAIL`, a :data:`PREVIEW` of the image, or all :data:`PIXELS`."""
    name = quote(gallery, safe=_PLAIN)
    return f"{kind}/{name}/{record.id}?v={version(record)}"


def corrections_of(gallery: str) -> str:
    """Where the table of what was said of a gallery's items is."""
    return f"{CORRECTIONS}/{quote(gallery, safe=_PLAIN)}"
