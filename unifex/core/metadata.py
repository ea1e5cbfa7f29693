"""What an image file says of itself beside its picture: when, where and by which camera it was taken, how it was rated,
which words it was given. :data:`COLUMNS` is the table of what is read: a further column is a line there.

EXIF, XMP and IPTC may be broken, or made to harm: what cannot be read is left out, never an error; sizes are bounded.
"""

from __future__ import annotations

import io
import json
import math
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import IO, Any

from PIL import ExifTags, Image, IptcImagePlugin

from unifex.core import dates
from unifex.core.json_text import parse_json
from unifex.core.text import number, printable
from unifex.core.xmp import Xmp, read_xmp

TAKEN = "taken"  # what the further column of the date is called
PLACE = ("latitude", "longitude")  # ... those that tell where somebody was
MOST_TEXT = 100  # characters of a column
MOST_KEYWORDS, LONGEST_KEYWORD = 30, 60  # of an item; characters
MOST_RATING = 5
_MOST_IPTC = 2**20  # bytes
_LEAST = 10  # characters of a day: a year alone is no date of a camera
_FIRST_PHOTOGRAPH = datetime(1826, 1, 1)
_UNSET = frozenset((datetime(1904, 1, 1), datetime(1970, 1, 1)))  # where clocks begin that nobody has set
_UNREADABLE = (
    OSError, ValueError, SyntaxError, LookupError, TypeError, ArithmeticError, AttributeError, struct.error,
    Image.DecompressionBombError,
)  # fmt: skip
_RATING, _XP_KEYWORDS = 0x4746, 0x9C9E  # tags of Windows in EXIF
_IPTC_KEYWORDS, _IPTC_CHARSET, _UTF8 = (2, 25), (1, 90), b"\x1b%G"
_HOLD = frozenset(("exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp", "photoshop"))  # of Pillow's info
_places = True


@dataclass(frozen=True)
class FileMetadata:
    """``columns``: texts by the name of the further column, none of them empty; ``keywords``: see :func:`keywords`."""

    columns: Mapping[str, str] = field(default_factory=dict)
    keywords: tuple[str, ...] = ()

    @property
    def row(self) -> tuple[str, str]:
        """As a database keeps it: the date, and the other columns as JSON (empty without any)."""
        others = {name: text for name, text in self.columns.items() if name != TAKEN}
        return self.columns.get(TAKEN, ""), json.dumps(others, ensure_ascii=False) if others else ""


def columns_of_row(taken: object, others: object) -> dict[str, str]:
    """The columns of :attr:`FileMetadata.row`; what somebody has damaged, and what is no column, is none."""
    found = {TAKEN: taken} if taken and isinstance(taken, str) else {}
    try:
        told = parse_json(others) if others and isinstance(others, str) else {}
    except ValueError:
        return found
    named = told if isinstance(told, dict) else {}
    return found | {name: text for name in _OTHERS if isinstance(text := named.get(name), str) and text}


def set_places(are_read: bool) -> None:
    """Whether it is read from now on in this process where pictures were taken; a server for strangers does not."""
    global _places
    _places = are_read


def read(image: Image.Image) -> FileMetadata:
    """All that a loaded image says. Of a PNG it is told once it is loaded: what stands behind the pixels would be read
    through them."""
    return _all_of(_Opened(image))


def read_header(file: Path | bytes) -> FileMetadata:
    """:func:`read` of a file, or of its bytes, of which only the header is read."""
    source: IO[bytes] | Path = io.BytesIO(file) if isinstance(file, bytes) else file
    try:
        with Image.open(source) as image:
            return _all_of(_Opened(image, image.format != "PNG" or "exif" in image.info))
    except _UNREADABLE:
        return FileMetadata()


def keywords(texts: Iterable[str]) -> tuple[str, ...]:
    """Words that can be tags, each once in whatever case, in order: one with commas is several, too long ones are none,
    and so is what comes after :data:`MOST_KEYWORDS`."""
    found: dict[str, str] = {}
    for text in texts:
        for part in text.split(","):
            word = printable(" ".join(part.split()))  # where it breaks its line it has a space
            if word and len(word) <= LONGEST_KEYWORD:
                found.setdefault(word.casefold(), word)
        if len(found) >= MOST_KEYWORDS:
            break
    return tuple(found.values())[:MOST_KEYWORDS]


class _Opened:
    """An image with what it holds beside its pixels; ``exif``: whether EXIF can be had without loading it."""

    def __init__(self, image: Image.Image, exif: bool = True):
        self.image, self._has_exif = image, exif

    @cached_property
    def exif(self) -> Image.Exif:
        return self.image.getexif() if self._has_exif else Image.Exif()

    def ifd(self, which: ExifTags.IFD) -> dict[int, Any]:
        return self.exif.get_ifd(which) if which in self.exif else {}

    @cached_property
    def place(self) -> tuple[float, float] | None:
        """Latitude and longitude in degrees, north and east positive; None for what is no place."""
        gps = self.ifd(ExifTags.IFD.GPSInfo)
        north = _degrees(gps, ExifTags.GPS.GPSLatitude, ExifTags.GPS.GPSLatitudeRef, "NS", 90)
        east = _degrees(gps, ExifTags.GPS.GPSLongitude, ExifTags.GPS.GPSLongitudeRef, "EW", 180)
        return (north, east) if north or east else None  # both zero: nobody has set it

    @cached_property
    def xmp(self) -> Xmp:
        packet = self.image.info.get("xmp") or self.image.info.get("XML:com.adobe.xmp") or b""
        return read_xmp(packet.encode() if isinstance(packet, str) else bytes(packet))

    @property
    def iptc(self) -> Mapping[tuple[int, int], bytes | list[bytes]]:
        photoshop = self.image.info.get("photoshop")
        if not photoshop and self.image.format != "TIFF":
            return {}
        if isinstance(photoshop, dict) and len(photoshop.get(0x0404) or b"") > _MOST_IPTC:
            return {}
        return IptcImagePlugin.getiptcinfo(self.image) or {}  # type: ignore[arg-type]


def _all_of(opened: _Opened) -> FileMetadata:
    if opened.image.format != "TIFF" and _HOLD.isdisjoint(opened.image.info):
        return FileMetadata()
    columns: dict[str, str] = {}
    for column in COLUMNS:
        if column.name in PLACE and not _places:
            continue
        try:
            if text := column.read(opened):
                columns[column.name] = text
        except _UNREADABLE:
            continue
    return FileMetadata(columns, keywords(_words(opened)))


def _taken(opened: _Opened) -> str:
    """By the camera's clock: ``2021-03-04 10:20:30``, or the day alone; empty for what cannot be.

    A tag that says no date is as one that is not there.
    """
    own, exif = opened.ifd(ExifTags.IFD.Exif), opened.exif
    said = (own.get(ExifTags.Base.DateTimeOriginal), own.get(ExifTags.Base.DateTimeDigitized))
    return next(filter(None, map(_moment, (*said, exif.get(ExifTags.Base.DateTime)))), "")


def _moment(said: object) -> str:
    text = str(said or "").strip("\0 ")
    when = dates.beginning(text) if len(text) >= _LEAST else None
    if when is None or when in _UNSET or not _FIRST_PHOTOGRAPH <= when <= datetime.now() + timedelta(days=1):
        return ""
    return f"{when:%Y-%m-%d %H:%M:%S}" if len(text) > _LEAST else f"{when:%Y-%m-%d}"


def _camera(opened: _Opened) -> str:
    """Maker and model; the maker once."""
    maker, model = (_plain(opened.exif.get(tag)) for tag in (ExifTags.Base.Make, ExifTags.Base.Model))
    repeated = not maker or model.casefold().startswith(maker.split()[0].casefold())
    return (model if model and repeated else f"{maker} {model}".strip())[:MOST_TEXT]


def _plain(value: object) -> str:
    return " ".join(printable(value.partition("\0")[0]).split()) if isinstance(value, str) else ""


def _degrees(gps: Mapping[int, Any], where: int, side: int, sides: str, most: int) -> float:
    """Raises for what is no such angle, and where it is not said on which side of zero it is."""
    said = gps[side]
    sign = (1, -1)[sides.index((said.decode("ascii") if isinstance(said, bytes) else said).strip("\0 ").upper()[:1])]
    degrees, minutes, seconds = map(float, (*gps[where], 0, 0)[:3])
    angle = degrees + minutes / 60 + seconds / 3600
    if not (math.isfinite(angle) and 0 <= angle <= most and min(degrees, minutes, seconds) >= 0):
        raise ValueError("no angle")
    return sign * angle


def _coordinate(which: int) -> Callable[[_Opened], str]:
    return lambda opened: f"{opened.place[which]:.6f}".rstrip("0").rstrip(".") if opened.place else ""


def _rating(opened: _Opened) -> str:
    """0 to 5 stars; -1, which rejects a picture, is none."""
    for said in (opened.xmp.rating, str(opened.exif.get(_RATING, ""))):
        if 0 <= (stars := number(said)) <= MOST_RATING:
            return f"{stars:g}"
    return ""


def _words(opened: _Opened) -> Iterator[str]:
    """Of each of the three places where programs write them."""
    for of_place in (_words_of_xmp, _words_of_iptc, _words_of_windows):
        try:
            yield from of_place(opened)
        except _UNREADABLE:
            continue


def _words_of_xmp(opened: _Opened) -> Iterable[str]:
    return opened.xmp.subjects


def _words_of_iptc(opened: _Opened) -> Iterable[str]:
    iptc = opened.iptc
    said = iptc.get(_IPTC_KEYWORDS, ())
    coded = iptc.get(_IPTC_CHARSET) == _UTF8
    for word in [said] if isinstance(said, bytes) else said:
        try:
            yield word.decode()
        except UnicodeDecodeError:
            yield word.decode(errors="replace") if coded else word.decode("latin-1")


def _words_of_windows(opened: _Opened) -> Iterable[str]:
    said = opened.exif.get(_XP_KEYWORDS, b"")
    return bytes(said).decode("utf-16-le", errors="replace").strip("\0").split(";")


@dataclass(frozen=True)
class _Column:
    """A further column, and how it is read; of what raises there is nothing to tell."""

    name: str
    read: Callable[[_Opened], str]


COLUMNS = (
    _Column(TAKEN, _taken),
    _Column("camera", _camera),
    _Column(PLACE[0], _coordinate(0)),
    _Column(PLACE[1], _coordinate(1)),
    _Column("rating", _rating),
)
_OTHERS = tuple(column.name for column in COLUMNS if column.name != TAKEN)
