"""Where the page finds pictures of items: addresses relative to the page, which :mod:`unifex.ui.item_routes` serves.

An address names the picture's content, so that a browser keeps what it was given.
"""

from __future__ import annotations

from urllib.parse import quote

from unifex.gallery.gallery import Record

THUMBNAIL, PREVIEW, ITEMS, TAGS, CHOSEN, FACETS = "thumb", "picture", "items", "tags", "chosen", "facets"
PATHS = tuple(f"/{kind}/" for kind in (THUMBNAIL, PREVIEW, ITEMS, TAGS))  # how they begin


def version(record: Record) -> str:
    """Tells an item's picture from any other that it had."""
    return record.sha256[:16]


def address(kind: str, gallery: str, record: Record) -> str:
    """Where a picture of an item is: its :data:`THUMBNAIL`, or a :data:`PREVIEW` of the image."""
    return f"{kind}/{quote(gallery, safe='')}/{record.id}?v={version(record)}"
