"""TIFF files that Pillow cannot read, or reads without what they say: other than 8-bit unsigned samples.

tifffile reads the numbers as they are stored; a compression that needs ``imagecodecs`` is left to Pillow where it can.
"""

from __future__ import annotations

import contextlib
import io
import logging
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from PIL import TiffImagePlugin

from unifex.core.errors import UnifexError
from unifex.core.high_depth import Told
from unifex.core.language import say

if TYPE_CHECKING:
    from tifffile import TiffPage

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
UNSIGNED = (1, 4)  # sample formats: unsigned, undefined
_SUBFILE, _BITS, _ORIENTATION, _STRIP_ROWS, _TILE_WIDTH, _TILE_LENGTH = 254, 258, 274, 278, 322, 323
_SUB_IFDS, _FORMAT, _PROFILE, _DNG = 330, 339, 34675, 50706
_LOW_HIGH = ((340, 341), (280, 281))  # SMinSampleValue and SMaxSampleValue, MinSampleValue and MaxSampleValue
_NO_DATA = 42113
_GREY_OR_RGB = (0, 1, 2)  # of PhotometricInterpretation: white is zero, black is zero, RGB
_COLOUR_FILTER = 32803
_OPACITY = (1, 2)  # of ExtraSamples; others are bands, infrared and the like
_SILENCE = logging.NullHandler()  # what is wrong with a file stands in its refusal


class TiffError(UnifexError):
    """A TIFF whose samples cannot be read; the message says why."""


def is_deep(opened: TiffImagePlugin.TiffImageFile) -> bool:
    """Whether the samples of an opened TIFF are other than unsigned integers of up to 8 bits."""
    tags = opened.tag_v2
    return max(_numbers(tags.get(_BITS), 1)) > 8 or any(kind not in UNSIGNED for kind in _numbers(tags.get(_FORMAT), 1))


def note(opened: TiffImagePlugin.TiffImageFile) -> str:
    """What else the file holds that is not shown; empty for a TIFF of one picture."""
    tags = opened.tag_v2
    reduced = bool(_numbers(tags.get(_SUBFILE), 0)[0] & 1)
    if _DNG in tags or (reduced and _SUB_IFDS in tags):
        return say("camera raw file: only the preview inside was used")
    return say("only the first of its pages was used") if opened.is_animated else ""


def buffer(opened: TiffImagePlugin.TiffImageFile) -> int:
    """Bytes that decoding a strip or tile takes; a tile may be far larger than the picture."""
    tags = opened.tag_v2
    tile = tags.get(_TILE_WIDTH, opened.width), tags.get(_TILE_LENGTH, min(tags.get(_STRIP_ROWS, 1), opened.height))
    return 4 * int(tile[0]) * int(tile[1])


@contextlib.contextmanager
def first_page(data: bytes) -> Iterator[TiffPage]:
    """The first page as tifffile knows it. Raises :class:`TiffError` when nothing here reads its kind of samples."""
    import tifffile

    logging.getLogger("tifffile").addHandler(_SILENCE)
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages.first
        _kind(page)
        yield page


def memory(page: TiffPage) -> int:
    """Bytes that :func:`samples` takes, and a picture made of them."""
    return page.nbytes + 2 * page.size + math.prod(page.chunks) * _kind(page).itemsize


def samples(page: TiffPage) -> np.ndarray:
    """[H, W] or [H, W, 2 | 3 | 4], grey or RGB, the last of two or four being opacity; of many bands the first three.

    Raises :class:`TiffError` for other colours and without a decompressor, and whatever tifffile raises on rubbish.
    """
    if page.photometric == _COLOUR_FILTER:
        raise TiffError(say("camera raw file without a preview"))
    if page.photometric not in _GREY_OR_RGB:
        colours = _name(page.photometric)
        kind = _kind(page).name
        raise TiffError(
            say("TIFF of {kind} samples in {colours} colours: nothing here reads it", kind=kind, colours=colours)
        )
    try:
        values = page.asarray(maxworkers=1)
    except (ValueError, NotImplementedError, ImportError) as error:
        if "imagecodecs" not in str(error) and not isinstance(error, ImportError):
            raise
        raise TiffError(
            say(
                "TIFF with {compression} compression of {kind} samples: `pip install imagecodecs` to read it",
                compression=_name(page.compression),
                kind=_kind(page).name,
            )
        ) from error
    if "S" not in page.axes:
        return values
    values = np.moveaxis(values, page.axes.index("S"), -1)
    colours = 3 if values.shape[2] >= 3 else 1
    has_opacity = values.shape[2] > colours and page.extrasamples[:1] and page.extrasamples[0] in _OPACITY
    values = values[..., : colours + bool(has_opacity)]
    return values if values.shape[2] > 1 else values[..., 0]


def _kind(page: TiffPage) -> np.dtype:
    """Of its samples. Raises :class:`TiffError` for what nothing here reads."""
    if page.dtype is None or not {*page.axes} <= {*"SYX"}:
        bits = page.bitspersample
        raise TiffError(say("TIFF of {bits}-bit samples ({axes}): nothing here reads it", bits=bits, axes=page.axes))
    return page.dtype


def _name(code: int) -> str:
    """Of a tag's value, as far as tifffile knows it."""
    return getattr(code, "name", str(code))


def orientation(page: TiffPage) -> int:
    """As EXIF numbers it; 1 is upright."""
    return _numbers(page.tags.valueof(_ORIENTATION), 1)[0]


def profile(page: TiffPage) -> bytes | None:
    """Its ICC profile."""
    return page.tags.valueof(_PROFILE)


def told(page: TiffPage) -> Told:
    """What the tags say of the samples."""
    tags = {tag.code: tag.value for tag in page.tags.values()}
    bits = max(_numbers(page.bitspersample, 0))
    kind = _kind(page)
    range_said = next((pair for pair in (_range(tags, codes, kind) for codes in _LOW_HIGH) if pair), (None, None))
    return Told(
        bits if bits < 8 * kind.itemsize else 0,
        *range_said,
        no_data=_number(tags.get(_NO_DATA)),
        white_is_zero=int(page.photometric) == 0,
    )


def _range(tags: dict, codes: tuple[int, int], kind: np.dtype) -> tuple[float, float] | None:
    """Black and white as the tags say; None when they say nothing, or only what the type says anyhow."""
    if codes[1] not in tags:
        return None
    low, high = min(_numbers(tags.get(codes[0]), 0)), max(_numbers(tags[codes[1]], 0))
    whole_type = kind.kind in "iu" and high >= np.iinfo(kind).max
    return (float(low), float(high)) if np.isfinite(high - low) and high > low and not whole_type else None


def _numbers(value: object, default: float) -> tuple:
    """A tag's value as a tuple of at least one number."""
    values = value if isinstance(value, tuple) else (value,)
    return tuple(default if number is None else number for number in values) or (default,)


def _number(text: object) -> float | None:
    try:
        return float(str(text).strip("\0 "))
    except ValueError:
        return None
