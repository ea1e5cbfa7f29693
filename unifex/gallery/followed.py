"""Which galleries follow their folders: a file beside the items of one says so, and goes where the gallery goes.

It is no part of ``gallery.json`` or ``items.sqlite``: it can be set while the gallery is being written, and a packed
gallery leaves it behind, since its folders are somebody else's.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from unifex.core.files import write_atomically
from unifex.data import locations
from unifex.data.sources import is_called_a_file
from unifex.gallery.gallery import Gallery
from unifex.gallery.records import Registered

FILE = "followed"


def is_followed(gallery: Path) -> bool:
    """Whether the gallery in a folder follows its folders."""
    return (gallery / FILE).exists()


def set_followed(gallery: Path, on: bool) -> None:
    """From now on it does, or does not. Raises OSError."""
    if on:
        write_atomically(gallery / FILE, b"")
    else:
        (gallery / FILE).unlink(missing_ok=True)


def folders(gallery: Gallery) -> list[Registered]:
    """Its sources that can be followed: folders of this computer, also where a disk is not mounted now."""
    return [source for source in gallery.sources() if not source.keep and _is_folder(source.spec)]


def coming_back(gallery: Gallery, ids: Collection[int]) -> list[int]:
    """Which of these items its folders would bring back if they were removed: their files are there, and followed."""
    if not is_followed(gallery.folder):
        return []
    sources, wanted = [(source.id,) for source in folders(gallery)], set(ids)
    with gallery.database.connect() as connection:
        query = "SELECT id, uri FROM listings JOIN items ON items.id = item WHERE listings.source = ?"
        listed = [row for source in sources for row in connection.execute(query, source)]
    return sorted({item for item, uri in listed if item in wanted and locations.is_there(uri)})


def _is_folder(spec: str) -> bool:
    path = locations.path_of(spec)
    if path is None or Path(spec) != path:
        return False
    return path.is_dir() if path.exists() else not is_called_a_file(path)
