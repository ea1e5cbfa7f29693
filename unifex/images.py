"""Bytes -> a safe RGB image, and the few things made from one: network input, thumbnail, preview.

Everything that reads a picture goes through :func:`decode`, so that a file, its upload and its copy in an archive
all give the same pixels, the same refusals and the same hash.
"""

from __future__ import annotations

import base64
import hashlib
import io
import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import ExifTags, Image, ImageFile, ImageOps

from unifex.errors import UnifexError

try:  # HEIC/HEIF is an extra: `pip install pillow-heif`
    import pillow_heif

    pillow_heif.register_heif_opener()
    HEIC_AVAILABLE = True
except ImportError:
    HEIC_AVAILABLE = False

MAX_BYTES = 256 * 2**20
MAX_PIXELS = 200_000_000  # a 200 megapixel phone camera still passes; decoded RGB stays below 600 MB
MAX_ASPECT = 100  # 1 x 100,000 pixels shows nothing once it is fitted to a square
THUMBNAIL_SIZE = 192
PREVIEW_SIZE = 1280
WHITE = (255, 255, 255)
REDUCING_GAP = 3.0  # very large images are shrunk by a mean of boxes to three times the size first: much faster

# Only raster decoders without a scripting language behind them (Pillow would hand EPS to Ghostscript).
_WANTED = ("JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF", "PPM")
Image.init()  # Pillow registers its plugins lazily, and a format that is not registered cannot be asked for
FORMATS = tuple(name for name in _WANTED if name in Image.OPEN)
EXTENSIONS = frozenset(
    ".jpg .jpeg .jpe .jfif .mpo .png .apng .webp .gif .bmp .dib .tif .tiff .avif .avifs "
    ".heic .heif .hif .ppm .pgm .pbm .pnm".split()
)
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"BM", b"II*\0", b"MM\0*")
_ISO_BRANDS = {b"avif", b"avis", b"heic", b"heix", b"hevc", b"hevx", b"mif1", b"msf1", b"heim", b"heis"}
_QUARTER_TURNS = (5, 6, 7, 8)  # EXIF orientations that swap width and height

warnings.filterwarnings("ignore", module=r"PIL\.")  # broken EXIF and ICC blocks warn, and do not matter here
ImageFile.LOAD_TRUNCATED_IMAGES = False  # a truncated file is refused, not shown with a grey lower half
Image.MAX_IMAGE_PIXELS = None  # our own limit is checked on the header, before a pixel is decoded


class ImageError(UnifexError):
    """An image that cannot or must not be read; the message is the reason, fit for a report."""


@dataclass(frozen=True)
class Picture:
    """A decoded image. ``image`` is RGB, upright, and may be smaller than ``width`` x ``height`` (JPEG draft)."""

    image: Image.Image
    width: int
    height: int


@dataclass(frozen=True)
class Preprocessing:
    """How an image becomes the network's input.

    ``size``: side of the square in pixels. ``fit``: ``squash`` ignores the aspect ratio, ``crop`` keeps the centre of
    an image whose short side is ``size / crop_fraction``, ``pad`` keeps all of it on a ``fill`` ground (0-255 RGB).
    ``mean`` and ``std`` are in units of 1 (0-1 pixels) and are applied inside the network's graph.
    """

    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    fit: Literal["squash", "crop", "pad"] = "pad"
    interpolation: Literal["bilinear", "bicubic", "lanczos"] = "bicubic"
    crop_fraction: float = 1.0
    fill: tuple[int, int, int] = WHITE


def content_hash(data: bytes) -> str:
    """sha256 of a file's bytes, in hexadecimal: the identity of an image."""
    return hashlib.sha256(data).hexdigest()


def looks_like_image(head: bytes) -> bool:
    """Whether the first 32 bytes of a file are those of a format that :func:`decode` reads."""
    if head[:4] == b"RIFF":
        return head[8:12] == b"WEBP"
    if head[4:8] == b"ftyp":
        return head[8:12] in _ISO_BRANDS
    if head[:1] == b"P" and head[1:2] in b"123456":
        return head[2:3].isspace()
    return head.startswith(_SIGNATURES)


def decode(data: bytes, at_least: int | None = None) -> Picture:
    """Decode one image file.

    ``at_least``: both sides of the result may shrink down to this many pixels (JPEG is then decoded at 1/2, 1/4 or
    1/8 scale, which is several times faster). First frame of animations, EXIF turn applied, transparency on white,
    CMYK, palette, grey and 16-bit reduced to 8-bit RGB.

    Raises :class:`ImageError` with the reason: empty, not an image, truncated, too large, too thin.
    """
    if not data:
        raise ImageError("empty file (0 bytes)")
    if len(data) > MAX_BYTES:
        raise ImageError(f"larger than {MAX_BYTES // 2**20} MiB")
    try:
        return _decode(data, at_least)
    except ImageError:
        raise
    except (MemoryError, RecursionError) as error:
        raise ImageError("needs more memory to decode than is allowed") from error
    except Exception as error:  # decoders raise many kinds on rubbish; every one of them means the same here
        raise ImageError(_reason(error, data)) from error


def _decode(data: bytes, at_least: int | None) -> Picture:
    with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
        width, height = opened.size
        _check_size(width, height)
        if at_least and opened.format in ("JPEG", "MPO"):
            opened.draft("RGB", (at_least, at_least))
        opened.seek(0)
        opened.load()
        if opened.getexif().get(ExifTags.Base.Orientation, 1) in _QUARTER_TURNS:
            width, height = height, width
        return Picture(upright_rgb(opened), width, height)


def upright_rgb(image: Image.Image) -> Image.Image:
    """An opened image as :func:`decode` would give it: EXIF turn applied, RGB, transparency on white."""
    return _to_rgb(ImageOps.exif_transpose(image))


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise ImageError(f"{width} x {height} pixels: more than {MAX_PIXELS // 10**6} megapixels")
    if max(width, height) > MAX_ASPECT * max(1, min(width, height)):
        raise ImageError(f"{width} x {height} pixels: too thin to show anything")


def _reason(error: Exception, data: bytes) -> str:
    text = str(error)
    if "truncated" in text or "unexpected end" in text.lower() or "Truncated" in text:
        return "truncated file"
    if isinstance(error, Image.UnidentifiedImageError):
        if data[4:8] == b"ftyp" and not HEIC_AVAILABLE:
            return "HEIC image: `pip install pillow-heif` to read it"
        return "damaged image" if looks_like_image(data[:32]) else "not an image"
    return f"damaged image ({text[:80] or type(error).__name__})"


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith(("I", "F")):
        return _high_depth_to_grey(image).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        image = image.convert("RGBA")
        ground = Image.new("RGBA", image.size, (*WHITE, 255))
        return Image.alpha_composite(ground, image).convert("RGB")
    return image.convert("RGB")


def _high_depth_to_grey(image: Image.Image) -> Image.Image:
    """16-bit integers lose their low byte; 32-bit and float pictures have no agreed range and are stretched."""
    values = np.asarray(image).astype(np.float32)
    if image.mode.startswith("I;16") or (image.mode == "I" and 255 < values.max() <= 65535):
        return Image.fromarray((values / 257 + 0.5).astype(np.uint8))
    values = np.nan_to_num(values, posinf=0, neginf=0)
    low, high = float(values.min()), float(values.max())
    if 0 <= low and high <= 255:
        return Image.fromarray((values * (255 if high <= 1 else 1)).astype(np.uint8))
    return Image.fromarray(((values - low) / (high - low) * 255).astype(np.uint8))


def to_input(image: Image.Image, prep: Preprocessing) -> np.ndarray:
    """Fit an RGB image to the network's square: uint8 ``[size, size, 3]``, not normalised."""
    resample = Image.Resampling[prep.interpolation.upper()]
    return np.asarray(_FITS[prep.fit](image, prep, resample))


def _squash(image: Image.Image, prep: Preprocessing, resample: Image.Resampling) -> Image.Image:
    return _resize(image, (prep.size, prep.size), resample)


def _crop(image: Image.Image, prep: Preprocessing, resample: Image.Resampling) -> Image.Image:
    scale = prep.size / prep.crop_fraction / min(image.size)
    image = _resize(image, tuple(max(prep.size, round(side * scale)) for side in image.size), resample)
    left, top = ((side - prep.size) // 2 for side in image.size)
    return image.crop((left, top, left + prep.size, top + prep.size))


def _pad(image: Image.Image, prep: Preprocessing, resample: Image.Resampling) -> Image.Image:
    scale = prep.size / max(image.size)
    image = _resize(image, tuple(max(1, round(side * scale)) for side in image.size), resample)
    if image.size == (prep.size, prep.size):
        return image
    square = Image.new("RGB", (prep.size, prep.size), prep.fill)
    square.paste(image, ((prep.size - image.width) // 2, (prep.size - image.height) // 2))
    return square


_FITS = {"squash": _squash, "crop": _crop, "pad": _pad}


def _resize(image: Image.Image, size: tuple[int, int], resample: Image.Resampling) -> Image.Image:
    return image if image.size == size else image.resize(size, resample, reducing_gap=REDUCING_GAP)


def thumbnail(image: Image.Image, size: int = THUMBNAIL_SIZE, quality: int = 80) -> bytes:
    """JPEG bytes of the RGB image shrunk to fit ``size`` x ``size`` pixels, without any metadata.

    WebP would save a sixth of the bytes and take six times as long, a tenth of all indexing.
    """
    scale = min(1.0, size / max(image.size))
    small = _resize(image, tuple(max(1, round(side * scale)) for side in image.size), Image.Resampling.BILINEAR)
    stream = io.BytesIO()
    small.save(stream, "JPEG", quality=quality, exif=b"", icc_profile=b"", comment=b"", xmp=b"")
    return stream.getvalue()


def data_uri(picture: bytes) -> str:
    """What :func:`thumbnail` made as the ``src`` of an <img>."""
    return f"data:{media_type(picture)};base64,{base64.b64encode(picture).decode()}"


def media_type(picture: bytes) -> str:
    """Of what :func:`thumbnail` makes, or made: thumbnails used to be WebP."""
    return "image/webp" if picture[:4] == b"RIFF" else "image/jpeg"
