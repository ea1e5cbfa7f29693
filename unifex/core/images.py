"""Bytes -> a safe RGB image.

Everything that reads a picture goes through :func:`decode`, so that a file, its upload and its copy in an archive
all give the same pixels, the same refusals and the same hash. Nothing of Pillow's is switched for the whole process:
our limits are checked on the header, before a pixel is decoded.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pillow_heif
from PIL import ExifTags, Image

from unifex.core import colour, image_error, metadata, tiff
from unifex.core.high_depth import Told, to_eight_bits
from unifex.core.image_error import ImageError
from unifex.core.language import say
from unifex.core.metadata import FileMetadata
from unifex.core.preprocessing import REDUCING_GAP, WHITE
from unifex.core.regions import WHOLE, Region

pillow_heif.register_heif_opener()

MAX_BYTES = 256 * 2**20
MAX_ASPECT = 100  # 1 x 100,000 pixels shows nothing once it is fitted to a square
STRIP_PIXELS = 2**20  # a big picture is turned to RGB in strips of so many


@dataclass(frozen=True)
class Limits:
    """What one picture may cost. ``memory``: bytes while it is decoded, told from its header; of those that take more
    than ``big``, one is decoded at a time."""

    pixels: int = 200_000_000  # a JPEG of a 200 megapixel phone camera still passes: it is decoded at a fraction
    memory: int = 600 * 10**6  # 150 megapixels of a PNG, 60 of a HEIC, 37 of a WebP
    big: int = 100 * 10**6


PUBLIC_LIMITS = Limits(memory=256 * 10**6)  # for strangers: 64 megapixels of a PNG, 25 of a HEIC, 16 of a WebP


@dataclass(frozen=True)
class Format:
    """A kind of file: what people call it, its names in Pillow, its extensions."""

    name: str
    plugins: tuple[str, ...]
    extensions: str


# Only raster decoders without a scripting language behind them (Pillow would hand EPS to Ghostscript).
_WANTED = (
    Format("JPEG", ("JPEG", "MPO"), ".jpg .jpeg .jpe .jfif .mpo"),
    Format("PNG", ("PNG",), ".png .apng"),
    Format("WebP", ("WEBP",), ".webp"),
    Format("GIF", ("GIF",), ".gif"),
    Format("BMP", ("BMP",), ".bmp .dib"),
    Format("TIFF", ("TIFF",), ".tif .tiff"),
    Format("AVIF", ("AVIF",), ".avif .avifs"),
    Format("HEIC", ("HEIF",), ".heic .heics .heif .heifs .hif"),
    Format("PPM", ("PPM",), ".ppm .pgm .pbm .pnm"),
)
Image.init()  # Pillow registers its plugins lazily, and a format that is not registered cannot be asked for
FORMATS = tuple(kind for kind in _WANTED if kind.plugins[0] in Image.OPEN)
FORMAT_NAMES = ", ".join(kind.name for kind in FORMATS[:-1]) + f" or {FORMATS[-1].name}"
EXTENSIONS = frozenset(extension for kind in _WANTED for extension in kind.extensions.split())
_PLUGINS = tuple(plugin for kind in FORMATS for plugin in kind.plugins if plugin in Image.OPEN)
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"BM", *tiff.MAGIC)
_ISO_BRANDS = {b"avif", b"avis", b"heic", b"heix", b"hevc", b"hevx", b"mif1", b"msf1", b"heim", b"heis"}
_TURNS = {  # EXIF orientation -> how to undo it
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip
_QUARTER_TURNS = (5, 6, 7, 8)  # those that swap width and height
# Bytes a pixel in Pillow's memory and, of high depth, while it is scaled; others 4.
_MODE_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 8, "I;16L": 8, "I;16B": 8, "I": 16, "F": 16}
# Bytes a pixel that a decoder holds beside Pillow's: frames and their copies.
_DECODER_BYTES = {"WEBP": 12, "AVIF": 6, "HEIF": 6, "BMP": 3, "PPM": 4}  # measured
_DARK = 63  # 16-bit colours are read as their high bytes; a picture of which none is higher has fewer bits
_DEEP_COLOUR_BYTES = 22  # a pixel of those, read twice

_limits = Limits()
_one_big = threading.Lock()


@dataclass(frozen=True)
class Picture:
    """A decoded image. ``image`` is sRGB, upright, and may be smaller than ``width`` x ``height``.

    ``note`` tells what the file has that was not taken: pages, the raw data behind a preview; mostly empty. ``said``:
    what else the file says of it.
    """

    image: Image.Image
    width: int
    height: int
    note: str = ""
    said: FileMetadata = FileMetadata()


def set_limits(limits: Limits) -> None:
    """What pictures may cost from now on in this process; a server for strangers takes :data:`PUBLIC_LIMITS`."""
    global _limits
    _limits = limits


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


def decode(data: bytes, at_least: int | None = None, region: Region = WHOLE) -> Picture:
    """Decode one image file, or the ``region`` of its upright picture as if that were a file of its own.

    ``at_least``: both sides of the result may shrink down to this many pixels (JPEG is then decoded at 1/2, 1/4 or
    1/8 scale, which is several times faster). First frame of animations and first page, turned upright, colours in
    sRGB, transparency on white; CMYK, palette, grey and samples of any depth become 8-bit RGB.

    Raises :class:`ImageError` with the reason: empty, not an image, truncated, too large, too thin.
    """
    if not data:
        raise ImageError(say("empty file (0 bytes)"), image_error.WHOLE_FILE)
    if len(data) > MAX_BYTES:
        raise ImageError(say("larger than {most} MiB", most=MAX_BYTES // 2**20), image_error.SMALLER)
    with _refusals(data):
        picture = _decode(data, at_least and region.whole_side(at_least))
        return picture if region == WHOLE else _part(picture, region)


@contextlib.contextmanager
def _refusals(data: bytes = b"") -> Iterator[None]:
    """Whatever is raised while an image (``data``, where it is a file's) is read, as :class:`ImageError`."""
    try:
        yield
    except ImageError:
        raise
    except tiff.TiffError as error:
        raise ImageError(str(error), image_error.CONVERTED) from error
    except Image.DecompressionBombError as error:  # of a TIFF or GIF, where Pillow looks again
        raise ImageError(say("more pixels than Pillow decodes"), image_error.SMALLER) from error
    except (MemoryError, RecursionError) as error:
        raise ImageError(say("needs more memory to decode than is allowed"), image_error.SMALLER) from error
    except Exception as error:  # decoders raise many kinds on rubbish; every one of them means the same here
        raise _told(error, data) from error


def cut(image: Image.Image, region: Region) -> Image.Image:
    """The region of an upright picture; all of it is the picture itself. Raises :class:`ImageError` if too thin."""
    if region == WHOLE:
        return image
    part = image.crop(region.pixels(image.size))
    _check_size(*part.size)
    return part


def upright_rgb(image: Image.Image) -> Image.Image:
    """An opened image as :func:`decode` would give it: turned upright, sRGB, transparency on white. Raises
    :class:`ImageError` where it cannot be read to its end."""
    with _refusals():
        return _upright(_rgb(image), _exif_orientation(image))


def _decode(data: bytes, at_least: int | None) -> Picture:
    try:
        opened = _open(data)
    except Image.UnidentifiedImageError:
        if not data.startswith(tiff.MAGIC):
            raise
        return _deep_tiff(data, at_least)
    with opened:
        width, height = opened.size
        _check_size(width, height)
        note = tiff.note(opened) if opened.format == "TIFF" else ""
        if opened.format == "TIFF" and tiff.is_deep(opened) and opened.mode != "CMYK":
            return replace(_deep_tiff(data, at_least, opened, note), said=metadata.read(opened))
        if at_least and opened.format in ("JPEG", "MPO"):
            opened.draft("RGB", (at_least, at_least))
        with _room_for(_memory(opened, data, width * height), (width, height)):
            opened.load()
            orientation = _orientation(opened, data)
            image = _reduced_rgb(_of_eight_bits(opened, data), at_least)
        said = metadata.read(opened)
    picture = _picture(image, (width, height), orientation if opened.format != "TIFF" else 1, note)
    return replace(picture, said=said)


def _picture(image: Image.Image, size: tuple[int, int], orientation: int, note: str) -> Picture:
    width, height = size[::-1] if orientation in _QUARTER_TURNS else size
    return Picture(_upright(image, orientation), width, height, note)


def _part(picture: Picture, region: Region) -> Picture:
    left, upper, right, lower = region.pixels((picture.width, picture.height))
    return Picture(cut(picture.image, region), right - left, lower - upper, picture.note)


def _open(data: bytes) -> Any:
    """As ``Image.open``, without Pillow's limit of pixels, which is one for the whole process."""
    for plugin in _PLUGINS:
        factory, accept = Image.OPEN[plugin]
        if accept and accept(data[:16]) is not True:
            continue
        try:
            return factory(io.BytesIO(data), "")
        except (SyntaxError, IndexError, TypeError, struct.error):
            continue  # Pillow's own way of saying "not mine"
    raise Image.UnidentifiedImageError


def _check_size(width: int, height: int) -> None:
    if width * height > _limits.pixels:
        most = _limits.pixels // 10**6
        raise ImageError(say(image_error.TOO_MANY_PIXELS, width=width, height=height, most=most), image_error.SMALLER)
    if max(width, height) > MAX_ASPECT * max(1, min(width, height)):
        raise ImageError(say(image_error.TOO_THIN, width=width, height=height), image_error.LESS_THIN)


@contextlib.contextmanager
def _room_for(memory: int, size: tuple[int, int]) -> Iterator[None]:
    """Big pictures one after the other, too big ones not at all; ``memory`` in bytes."""
    if memory > _limits.memory:
        taken = {"needed": memory / 1e6, "allowed": _limits.memory / 1e6}
        raise ImageError(say(image_error.TOO_MUCH_MEMORY, width=size[0], height=size[1], **taken))
    with _one_big if memory > _limits.big else contextlib.nullcontext():
        yield


def _memory(opened: Any, data: bytes, pixels: int) -> int:
    """Bytes that decoding takes, after ``draft``; ``pixels`` are those before it."""
    if _can_be_read_deep(opened, data):
        return _DEEP_COLOUR_BYTES * pixels
    needed = opened.width * opened.height * (_MODE_BYTES.get(opened.mode, 4) + _DECODER_BYTES.get(opened.format, 0))
    if opened.info.get("progressive"):  # the coefficients of the whole picture wait for the last scan
        sampled = [across * down for _, across, down, _ in opened.layer]
        needed += 2 * pixels * sum(sampled) // max(sampled)
    return needed + (tiff.buffer(opened) if opened.format == "TIFF" else 0)


def _orientation(opened: Any, data: bytes) -> int:
    """The turn that is still to be undone, as EXIF numbers it."""
    if opened.format == "HEIF":  # its library obeys the container and forgets EXIF, which counts where that is silent
        return 1 if _turns_itself(data) else opened.info.get("original_orientation") or 1
    return _exif_orientation(opened)


def _exif_orientation(image: Image.Image) -> int:
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except (SyntaxError, ValueError, OSError, LookupError, TypeError, struct.error):
        return 1  # EXIF that cannot be read says nothing of a picture that can


def _turns_itself(data: bytes) -> bool:
    at = data.find(b"meta")
    meta = data[at : at - 4 + int.from_bytes(data[at - 4 : at], "big")]
    return b"irot" in meta or b"imir" in meta


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    return image.transpose(_TURNS[orientation]) if orientation in _TURNS else image


def _deep_tiff(data: bytes, at_least: int | None, opened: Any | None = None, note: str = "") -> Picture:
    """A TIFF of high depth, by tifffile; where that lacks a decompressor by Pillow's ``opened``."""
    with tiff.first_page(data) as page:
        size = page.imagewidth, page.imagelength
        _check_size(*size)
        with _room_for(tiff.memory(page), size):
            try:
                values, orientation = tiff.samples(page), tiff.orientation(page)
            except tiff.TiffError:
                if opened is None:
                    raise
                opened.load()
                values, orientation = np.asarray(opened), 1  # Pillow turns a TIFF itself
            size = values.shape[1::-1]
            image = Image.fromarray(to_eight_bits(values, tiff.told(page)))
            del values
            image.info["icc_profile"] = tiff.profile(page)
            return _picture(_reduced_rgb(image, at_least), size, orientation, note)


def _of_eight_bits(opened: Any, data: bytes) -> Image.Image:
    """The loaded picture, with its deeper samples scaled to 8 bits: as a whole, since they have one black and white."""
    if opened.mode.startswith(("I", "F")):
        values = np.asarray(opened)
    elif _can_be_read_deep(opened, data) and max(high for _, high in opened.getextrema()[:3]) <= _DARK:
        values = _all_sixteen_bits(opened, data)
    else:
        return opened
    image = Image.fromarray(to_eight_bits(values, Told(_significant_bits(data) if opened.format == "PNG" else 0)))
    image.info["icc_profile"] = opened.info.get("icc_profile")
    return image


def _can_be_read_deep(opened: Any, data: bytes) -> bool:
    """Whether it is a PNG of 16-bit colours, and small enough to be read in full where it is too dark otherwise."""
    fits = _DEEP_COLOUR_BYTES * opened.width * opened.height <= _limits.memory
    return opened.format == "PNG" and data[24] == 16 and opened.mode in ("RGB", "RGBA") and fits


def _all_sixteen_bits(opened: Any, data: bytes) -> np.ndarray:
    """A PNG's colours, of which Pillow keeps the high bytes: uint16 [H, W, 2 | 3 | 4]."""
    again = _open(data)
    tile = again.tile[0]
    if tile.args == "LA;16B":  # all four bytes as if they were colours
        again.tile = [tile._replace(args="RGBA")]
        both = np.asarray(again).astype(np.uint16)
        return both[..., ::2] << 8 | both[..., 1::2]
    again.tile = [tile._replace(args=tile.args.removesuffix("16B") + "16L")]  # takes the other byte of each
    return np.asarray(opened).astype(np.uint16) << 8 | np.asarray(again)


def _significant_bits(data: bytes) -> int:
    """What a PNG's sBIT chunk says; 0 without one."""
    head = data[: data.find(b"IDAT")]
    at = head.find(b"sBIT")
    return max(head[at + 4 : at + 4 + int.from_bytes(head[at - 4 : at], "big")], default=0) if at > 0 else 0


def _reduced_rgb(image: Image.Image, at_least: int | None) -> Image.Image:
    """The whole image as :func:`_rgb`; a big one in strips, each shrunk at once, so that it is never held twice."""
    profile, plain = image.info.get("icc_profile"), image.mode == "RGB" and "transparency" not in image.info
    if plain and colour.keeps(profile, "RGB"):
        return image
    factor = max(1, int(min(image.size) / (at_least * REDUCING_GAP))) if at_least else 1
    if 4 * image.width * image.height <= _limits.big:
        flat = _flat(image)  # colours are converted slowly: of fewer pixels
        flat = flat if colour.keeps(profile, flat.mode) else flat.reduce(factor)
    else:
        flat = _flat_by_strips(image, factor)
    return colour.to_srgb(flat, profile).convert("RGB")


def _flat_by_strips(image: Image.Image, factor: int) -> Image.Image:
    rows = max(1, STRIP_PIXELS // image.width // factor) * factor
    out: Any = None
    for top in range(0, image.height, rows):
        strip = _flat(image.crop((0, top, image.width, min(image.height, top + rows)))).reduce(factor)
        out = out or Image.new(strip.mode, (-(-image.width // factor), -(-image.height // factor)))
        out.paste(strip, (0, top // factor))
    return out


def _rgb(image: Image.Image) -> Image.Image:
    """Any image as sRGB on white, not turned."""
    return colour.to_srgb(_flat(image), image.info.get("icc_profile")).convert("RGB")


def _flat(image: Image.Image) -> Image.Image:
    """Any image as 8-bit RGB, grey or CMYK in its own colours, on white."""
    if image.mode.startswith(("I", "F")):
        image = Image.fromarray(to_eight_bits(np.asarray(image)))
    grey = image.mode in ("1", "L", "LA", "La")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        image = image.convert("LA") if image.mode == "La" else image  # which is all that Pillow makes of it
        image = image.convert("RGBA")
        ground = Image.new("RGBA", image.size, (*WHITE, 255))
        image = Image.alpha_composite(ground, image).convert("RGB")
    elif image.mode == "LAB":
        return colour.from_lab(image)
    elif image.mode not in ("RGB", "CMYK", "L"):
        image = image.convert("RGB")
    return image.convert("L") if grey else image


def _told(error: Exception, data: bytes) -> ImageError:
    text = str(error)
    if any(sign in text.lower() for sign in ("truncated", "unexpected end", "failed to read")):
        return ImageError(say("truncated file"), image_error.WHOLE_FILE)
    if isinstance(error, Image.UnidentifiedImageError):
        damaged = looks_like_image(data[:32])
        told = say("damaged image") if damaged else say("not an image")
        return ImageError(told, image_error.WHOLE_FILE if damaged else image_error.ANOTHER_FORMAT)
    of_a_decoder = isinstance(error, OSError | SyntaxError | ValueError | RuntimeError | EOFError) and text
    told = say("damaged image ({reason})", reason=text[:80]) if of_a_decoder else say("damaged image")
    return ImageError(told, image_error.WHOLE_FILE)
