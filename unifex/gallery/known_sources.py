"""Sources that a gallery was indexed from, as people name them: which is meant, and how one is forgotten."""

from __future__ import annotations

from collections.abc import Iterable

from unifex.core.language import say
from unifex.data import locations
from unifex.gallery.errors import GalleryError
from unifex.gallery.gallery import Gallery
from unifex.gallery.records import Registered


def forget(gallery: Gallery, source: str) -> int:
    """Forget a source, with all items that no other source has; how many of these. Image files and corrections stay.

    Raises ``GalleryError`` when the gallery was not indexed from there, or is busy.
    """
    known = find_source(gallery, source)
    with gallery.write() as writer:
        removed = writer.forget_source(known.id).removed
        gallery.derived.refresh()
    return removed


def find_source(gallery: Gallery, text: str) -> Registered:
    """A source of a gallery, however its path is written. Raises ``GalleryError`` that lists those there are."""
    known = {source.spec: source for source in gallery.sources()}
    try:
        return known[locations.known_as(text, known)]
    except (KeyError, ValueError):  # a path with a NUL is none at all
        raise GalleryError(
            say(
                "gallery '{name}' was not indexed from '{text}' (but from {known})",
                name=gallery.name,
                text=text,
                known=listing(known),
            )
        ) from None


def first_item(gallery: Gallery, source: Registered) -> str:
    """The path of the first item that a source lists; empty where it lists none."""
    with gallery.database.connect() as database:
        query = "SELECT path FROM listings WHERE source = ? ORDER BY item LIMIT 1"
        return next((path for (path,) in database.execute(query, [source.id])), "")


def listing(specs: Iterable[str]) -> str:
    """Sources as a sentence names them."""
    return ", ".join(f"'{spec}'" for spec in specs) or "nothing yet"
