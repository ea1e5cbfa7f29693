"""Items of a gallery to take home: a table, or a zip of their image files that is made while it is sent."""

from __future__ import annotations

import re
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import PurePosixPath

from unifex.core.tables import to_csv
from unifex.core.text import reason
from unifex.gallery.errors import GalleryError
from unifex.gallery.gallery import Gallery
from unifex.gallery.records import Record
from unifex.gallery.tags import SEPARATOR

BATCH = 500  # items that are looked up at once
LONGEST = 100  # characters of a name in a zip
MISSING = "not-included.txt"
UNLABELLED = "unlabelled"
COLUMNS = ("path", "label", "domain", "split", "tags")
_FORBIDDEN = re.compile(r'[<>:"|?*\\/\x00-\x1f]')  # on some system


def records_of(gallery: Gallery, ids: Sequence[int]) -> Iterator[Record]:
    """Those that are there, some hundred in memory."""
    for start in range(0, len(ids), BATCH):
        yield from gallery.records(ids[start : start + BATCH])


def as_csv(gallery: Gallery, ids: Sequence[int]) -> Iterator[bytes]:
    """A line an item, with a header; spreadsheets know by its first bytes that it is UTF-8."""
    yield b"\xef\xbb\xbf" + to_csv(COLUMNS, ()).encode()
    for record in records_of(gallery, ids):
        row = record.path, record.label, record.domain, record.split, SEPARATOR.join(record.tags)
        yield to_csv(row, ()).encode()


def as_zip(gallery: Gallery, ids: Sequence[int], place: Callable[[Record], tuple[str, ...]]) -> Iterator[bytes]:
    """The image files of items as they were indexed, one in memory; what cannot be had stands in :data:`MISSING`.

    ``place``: the folders and the name of each, which are made safe and unique.
    """
    names, missing = _Names(), []
    sent = _Pipe()
    with zipfile.ZipFile(sent, "w", zipfile.ZIP_STORED) as archive:  # images are compressed already
        for record in records_of(gallery, ids):
            try:
                data = gallery.original(record)
            except GalleryError as error:
                missing.append(f"{record.path}: {reason(error)}")
                continue
            archive.writestr(names.free(place(record), _suffix(record)), data)
            yield sent.taken()
        if missing:
            archive.writestr(MISSING, "\n".join([*missing, ""]))
    yield sent.taken()


def as_they_lie(record: Record) -> tuple[str, ...]:
    """In the folders of its path."""
    return PurePosixPath(record.path).parts


def by_label(record: Record) -> tuple[str, ...]:
    """In a folder of its label, as ImageFolder reads it."""
    return record.label or UNLABELLED, PurePosixPath(record.path).name


def by_domain_and_label(record: Record) -> tuple[str, ...]:
    """As :func:`by_label`, where a label means something else in another domain."""
    label = record.label or UNLABELLED
    return f"{record.domain} - {label}" if record.domain else label, PurePosixPath(record.path).name


class _Names:
    """Of files in a zip: no two are the same, not even where case is none."""

    def __init__(self) -> None:
        self._taken: Counter[str] = Counter({MISSING: 1})

    def free(self, parts: Sequence[str], suffix: str) -> str:
        """A name of these parts that nobody has; with ``suffix`` where it has none."""
        name = "/".join(filter(None, map(_safe, parts))) or "image"
        stem, dot, ending = name.rpartition(".")
        if not dot or "/" in ending or len(ending) > 7:
            stem, ending = name, suffix.lstrip(".")
        free = first = f"{stem}.{ending}"
        while self._taken[free.lower()]:
            free = f"{stem} ({self._taken[first.lower()]}).{ending}"
            self._taken[first.lower()] += 1
        self._taken[free.lower()] += 1
        return free


def _safe(part: str) -> str:
    """As every system lets a file be called; nothing of what names another folder."""
    stem, dot, ending = _FORBIDDEN.sub("_", part).strip(" ").rpartition(".")
    short = f"{stem[: LONGEST - len(ending) - 1]}{dot}{ending}" if len(ending) < 8 else f"{stem}{dot}{ending}"[:LONGEST]
    return short.strip(" .")


def _suffix(record: Record) -> str:
    return PurePosixPath(record.original or record.uri).suffix.lower()[:8] or ".img"


class _Pipe:
    """A file that is written from its beginning to its end, and given away meanwhile."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        """Nothing is held."""

    def taken(self) -> bytes:
        """What was written since."""
        data = b"".join(self._parts)
        self._parts.clear()
        return data
