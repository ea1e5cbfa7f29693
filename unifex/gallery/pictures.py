"""The pictures of a gallery's items: the files they were indexed from, and their thumbnails."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from PIL import Image

from unifex.core import derived, disk, images, thumbnails
from unifex.core.derived import Origin
from unifex.core.language import say
from unifex.data import frame_names, locations, store_tree
from unifex.data.item import SourceError
from unifex.data.locations import Place
from unifex.gallery.database import Database
from unifex.gallery.errors import GalleryError
from unifex.gallery.item_rows import one
from unifex.gallery.records import Record

T = TypeVar("T")


def original(database: Database, record: Record) -> bytes:
    """The image file's bytes, from disk or from its store, or those of an equal file that the gallery has. Raises
    :class:`GalleryError` when it was moved, deleted or changed since.

    Only what was indexed comes out, wherever the database says that it lies.
    """
    return _of_any(database, record, _as_it_was)


def _of_any(database: Database, record: Record, ask: Callable[[Database, Record], T]) -> T:
    """What is told of an item, or of the first that has the same bytes where that cannot be told of itself."""
    try:
        return ask(database, record)
    except GalleryError:
        equal = database.find([record.sha256], by=["sha256"], dropped=True)[record.sha256]
        for other in database.records(equal):
            if other.id != record.id:
                with contextlib.suppress(GalleryError):
                    return ask(database, other)
        raise


def _as_it_was(database: Database, record: Record) -> bytes:
    data = _of_store(record) if _is_in_store(record) else _of_disk(database, record)
    if images.content_hash(data) != record.sha256:
        if record.original:
            raise GalleryError(say("the image that was kept is damaged ({path})", path=record.path))
        raise GalleryError(say("the image file changed since; index it again ({path})", path=record.path))
    return data


def decoded(database: Database, record: Record, at_least: int) -> Image.Image:
    """Of the image file, as :func:`unifex.core.images.decode` does it. Raises :class:`GalleryError`."""
    data = original(database, record)
    try:
        return images.decode(data, at_least=at_least).image
    except images.ImageError as error:
        raise _unreadable(record, error) from error


def _unreadable(record: Record, error: Exception) -> GalleryError:
    return GalleryError(
        say("'{path}' cannot be read any more ({error}); index its source again", path=record.path, error=error)
    )


def video_file(database: Database, record: Record) -> Path:
    """The video that an item is a frame of, as it was when it was indexed. Raises :class:`GalleryError`."""
    path = frame_names.video_of(record.uri)
    with database.connect() as connection:
        stamp = str(one(connection, "SELECT stamp FROM items WHERE id = ?", record.id) or "")
    if not path or locations.look_at_video(path, stamp) is not Place.SAME:
        raise GalleryError(say("the video is no longer there as it was indexed ({path})", path=record.path))
    return Path(path)


def _is_in_store(record: Record) -> bool:
    return not record.original and store_tree.is_address(record.uri)


def _of_store(record: Record) -> bytes:
    try:
        return store_tree.read(record.uri)
    except (SourceError, images.ImageError) as error:
        raise GalleryError(
            say("the image cannot be had from its store: {reason} ({path})", reason=error, path=record.path)
        ) from error


def check_there(database: Database, record: Record) -> None:
    """Raises :class:`GalleryError` where an image file is not there any more, nor an equal one; what is in a store is
    not asked for."""
    try:
        _of_any(database, record, lambda database, record: _is_in_store(record) or _path_of(database, record))
    except GalleryError as error:
        raise _unreadable(record, error) from error


def _path_of(database: Database, record: Record) -> Path:
    path = database.original_path(record.sha256, record.original) if record.original else Path(record.uri)
    if not path.is_absolute() and not record.original:
        raise GalleryError(say("the image is not on this computer ({path})", path=record.path))
    try:
        if not path.is_file() or path.stat().st_size > images.MAX_BYTES:
            raise GalleryError(say("the image file is no longer there ({path})", path=record.path))
    except OSError as error:
        raise _gone(record, error) from error
    return path


def _of_disk(database: Database, record: Record) -> bytes:
    try:
        return _path_of(database, record).read_bytes()
    except OSError as error:
        raise _gone(record, error) from error


def _gone(record: Record, error: OSError) -> GalleryError:
    return GalleryError(
        say("the image file is no longer there ({strerror}: {path})", strerror=error.strerror, path=record.path)
    )


def thumbnail_origin(sha256: str) -> Origin:
    """The fingerprint of an image's thumbnail."""
    return Origin("thumbnail", content=sha256)


def thumbnail(database: Database, sha256: str) -> bytes:
    """JPEG bytes (WebP in a gallery of an earlier version); empty when they are lost, and the image as well."""
    path, earlier = database.thumbnail_paths(sha256)
    data = derived.read_bytes(path, thumbnail_origin(sha256))
    if data is None:
        data = _of_earlier_version(path) or _of_earlier_version(earlier) or _made_again(database, sha256)
    return data


def _of_earlier_version(path: Path) -> bytes:
    """The bytes of a thumbnail from before these had a fingerprint, if it can be decoded."""
    try:
        data = path.read_bytes()
        images.decode(data)
        return b"" if derived.has_fingerprint(data) else data
    except (OSError, images.ImageError):
        return b""


def _made_again(database: Database, sha256: str) -> bytes:
    records = database.records(database.find([sha256], by=["sha256"])[sha256][:1])
    try:
        data = original(database, records[0]) if records else b""
        data = thumbnails.thumbnail(images.decode(data, at_least=thumbnails.THUMBNAIL_SIZE).image)
    except (GalleryError, images.ImageError):
        return b""
    path = database.thumbnail_paths(sha256)[0]
    with contextlib.suppress(OSError):  # of a disk that can only be read, it is made each time
        disk.make_folder(path.parent, within=database.folder)
        derived.write_bytes(path, data, thumbnail_origin(sha256), durable=False)
    return data
