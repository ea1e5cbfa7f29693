"""What an image file says of itself beside its picture."""

from __future__ import annotations

import io
from datetime import datetime

from PIL import ExifTags, Image

_UNREADABLE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)


def taken(data: bytes) -> datetime | None:
    """When a camera took the image of this file, by the camera's clock; None where the file does not say."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            exif = image.getexif()
            first = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.DateTimeOriginal)
            said = str(first or exif.get(ExifTags.Base.DateTime)).strip("\0 ")
            return datetime.strptime(said, "%Y:%m:%d %H:%M:%S")
    except _UNREADABLE:
        return None
