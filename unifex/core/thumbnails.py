"""Small pictures for people: an item's thumbnail, which is kept, and the preview, which is made when asked for."""

from __future__ import annotations

import base64
import io

from PIL import Image

from unifex.core import images
from unifex.core.preprocessing import resize

THUMBNAIL_SIZE = 192  # pixels: the longer side of what is kept from now on; those that are there keep theirs
PREVIEW_SIZE = 1280


def thumbnail(image: Image.Image, size: int = THUMBNAIL_SIZE, quality: int = 80) -> bytes:
    """JPEG bytes of the RGB image shrunk to fit ``size`` x ``size`` pixels, without any metadata.

    WebP would save a sixth of the bytes and take six times as long, a tenth of all indexing.
    """
    scale = min(1.0, size / max(image.size))
    width, height = (max(1, round(side * scale)) for side in image.size)
    small = resize(image, (width, height), Image.Resampling.BILINEAR)
    stream = io.BytesIO()
    small.save(stream, "JPEG", quality=quality, exif=b"", icc_profile=b"", comment=b"", xmp=b"")
    return stream.getvalue()


def preview(data: bytes) -> bytes:
    """JPEG bytes of an image file, larger, without any metadata. Raises :class:`ImageError`."""
    return thumbnail(images.decode(data, at_least=PREVIEW_SIZE).image, PREVIEW_SIZE, quality=85)


def checked_thumbnail(data: bytes) -> bytes:
    """A thumbnail that somebody else made, as :func:`thumbnail` makes them: made again unless it is a small JPEG with
    nothing but its picture. Raises :class:`ImageError`."""
    rough = images.decode(data, at_least=THUMBNAIL_SIZE // 8)  # which reads all of it, and is quicker
    if _is_plain_jpeg(data) and max(rough.width, rough.height) <= THUMBNAIL_SIZE:
        return data
    return thumbnail(images.decode(data, at_least=THUMBNAIL_SIZE).image)


def _is_plain_jpeg(data: bytes) -> bool:
    """Whether a JPEG that can be decoded has no metadata, and nothing behind its end."""
    at = 2
    while data[:2] == b"\xff\xd8" and at + 4 < len(data) and data[at] == 0xFF and data[at + 1] not in _METADATA:
        if data[at + 1] == _PICTURE_DATA:
            return data.find(b"\xff\xd9", at) == len(data) - 2
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return False


_METADATA, _PICTURE_DATA = {*range(0xE1, 0xF0), 0xFE}, 0xDA  # markers of JPEG


def data_uri(picture: bytes) -> str:
    """What :func:`thumbnail` made as the ``src`` of an <img>."""
    return f"data:{media_type(picture)};base64,{base64.b64encode(picture).decode()}"


def media_type(picture: bytes) -> str:
    """Of what :func:`thumbnail` makes, or made: thumbnails used to be WebP."""
    return "image/webp" if picture[:4] == b"RIFF" else "image/jpeg"
