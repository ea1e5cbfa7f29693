"""What an image file says of itself beside its picture: when it was taken, and nothing else (not where)."""

from __future__ import annotations

import io
import struct
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO

from PIL import ExifTags, Image

from unifex.core import dates

TAKEN = "taken"  # what the further column is called
_LEAST = 10  # characters of a day: a year alone is no date of a camera
_FIRST_PHOTOGRAPH = datetime(1826, 1, 1)
_UNSET = frozenset((datetime(1904, 1, 1), datetime(1970, 1, 1)))  # where clocks begin that nobody has set
_UNREADABLE = (
    OSError, ValueError, SyntaxError, LookupError, TypeError, ArithmeticError, struct.error,
    Image.DecompressionBombError,
)  # fmt: skip


def taken(image: Image.Image) -> str:
    """When a camera took an opened image, by the camera's clock: ``2021-03-04 10:20:30``, or the day alone.

    Empty where the file does not say, or says what cannot be; never an error. Of a PNG it is told once it is loaded:
    what stands behind the pixels would be read through them.
    """
    try:
        exif = image.getexif()
        own = exif.get_ifd(ExifTags.IFD.Exif)
        said = (own.get(ExifTags.Base.DateTimeOriginal), own.get(ExifTags.Base.DateTimeDigitized))
        text = next((str(text) for text in (*said, exif.get(ExifTags.Base.DateTime)) if text), "").strip("\0 ")
    except _UNREADABLE:
        return ""
    when = dates.beginning(text) if len(text) >= _LEAST else None
    if when is None or when in _UNSET or not _FIRST_PHOTOGRAPH <= when <= datetime.now() + timedelta(days=1):
        return ""
    return f"{when:%Y-%m-%d %H:%M:%S}" if len(text) > _LEAST else f"{when:%Y-%m-%d}"


def taken_by_header(file: Path | bytes) -> str:
    """:func:`taken` of a file, or of its bytes, of which only the header is read."""
    source: IO[bytes] | Path = io.BytesIO(file) if isinstance(file, bytes) else file
    try:
        with Image.open(source) as image:
            return taken(image) if image.format != "PNG" or "exif" in image.info else ""
    except _UNREADABLE:
        return ""
