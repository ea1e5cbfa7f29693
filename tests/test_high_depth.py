"""Deep samples against shades worked out by hand."""

import io
import struct
import warnings
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from tests.support.drawing import encoded, picture
from unifex.core import image_error
from unifex.core.high_depth import Told, to_eight_bits
from unifex.core.images import ImageError, decode

GREY = np.asarray(picture("signs/stripes", 1).convert("L"))
COLOURED = np.asarray(picture("signs/stripes", 1))


def tiff(values: np.ndarray, **options) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, values, **options)
    return stream.getvalue()


def shades(data: bytes) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return np.asarray(decode(data).image.convert("L")).astype(int)


def row(*values: float, kind: str) -> np.ndarray:
    return np.array([values], kind)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (row(0, 32896, 65535, kind="u2"), [0, 128, 255]),  # true 16 bits: / 257
        (row(0, 2048, 4095, kind="u2"), [0, 128, 255]),  # twelve in sixteen: / 4095 * 255
        (row(0, 100, 255, kind="u2"), [0, 100, 255]),  # eight in sixteen
        (row(0, 1, kind="u2"), [0, 255]),  # a mask
        (row(0, 100, 200, kind="i2"), [0, 100, 200]),  # eight in signed sixteen
        (row(-1000, 0, 1000, kind="i2"), [0, 128, 255]),  # (v + 1000) / 2000 * 255 = 127.5
        (row(-128, 0, 127, kind="i1"), [0, 128, 255]),
        (row(0, 500_000, 1_000_000, kind="u4"), [0, 128, 255]),  # no usual depth: by the greatest
        (row(0, 0.5, 1, kind="f4"), [0, 128, 255]),
        (row(0, 0.25, 0.75, kind="f8"), [0, 64, 191]),  # fractions of 1 are not stretched
        (row(0, 0.6, 1.2, kind="f4"), [0, 128, 255]),
        (row(300, 350, 500, kind="f8"), [0, 64, 255]),  # 50 / 200 * 255 = 63.75
        (row(0, 100, 255, kind="f4"), [0, 100, 255]),  # whole numbers up to 255 are shades
        (row(0, 0.001, 0.002, kind="f2"), [0, 128, 255]),  # too dark to be a picture
        (row(1000, 1000, kind="f4"), [128, 128]),
        (row(-7, -7, kind="i2"), [128, 128]),
        (row(np.nan, np.nan, kind="f4"), [128, 128]),
        (row(-9999, 300, 301.5, 303, kind="f4"), [0, 0, 128, 255]),  # ground between 300 and 303
        (row(-32768, 0, 50, 100, kind="i2"), [0, 0, 128, 255]),
        (row(0, 2, 4, 3.4e38, kind="f4"), [0, 128, 255, 255]),
        (row(np.nan, 300, 301.5, 303, kind="f4"), [0, 0, 128, 255]),
        (row(-np.inf, 300, 301.5, 303, np.inf, kind="f8"), [0, 0, 128, 255, 255]),
        (row(0, 0.5 + 1j, kind="c8"), [0, 255]),
        (row(0, 1, 1, kind="?"), [0, 255, 255]),
    ],
)
def test_black_and_white_by_hand(values, expected):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.abs(to_eight_bits(values)[0].astype(int) - expected).max() <= 1


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (Told(), [0, 64, 191, 255]),  # ten bits hold them
        (Told(bits=12), [0, 16, 48, 64]),  # / 4095
        (Told(bits=16), [0, 1, 3, 4]),  # / 65535
        (Told(low=256, high=768), [0, 0, 255, 255]),
        (Told(low=5000, high=6000), [0, 64, 191, 255]),  # of other numbers than these
        (Told(no_data=1023), [0, 85, 255, 255]),  # the rest by their own: / 768
        (Told(white_is_zero=True), [255, 191, 64, 0]),
    ],
)
def test_the_file_has_the_first_word(told, expected):
    assert np.abs(to_eight_bits(row(0, 256, 768, 1023, kind="u2"), told)[0].astype(int) - expected).max() <= 1


@pytest.mark.parametrize("share", [0.05, 0.4, 0.9])
@pytest.mark.parametrize("mark", [-9999, -32768, 3.4028235e38, -3.4028235e38, 9.96921e36, np.nan, np.inf])
def test_the_ground_is_seen_whatever_marks_what_is_missing(mark, share):
    height, width = np.mgrid[0:60, 0:80]
    ground = (300 + 3 * height + width).astype(np.float32)
    ground[: int(60 * share)] = mark
    seen = shades(tiff(ground))[int(60 * share) :]
    assert (seen.min(), seen.max()) == (0, 255)
    assert np.all(np.diff(seen, axis=1) >= 0)


def test_a_few_hot_pixels_do_not_darken_the_rest():
    values = np.linspace(0, 2, 40_000, dtype=np.float32).reshape(200, 200)
    values[0, :3] = 500, 600, 700
    assert shades(tiff(values))[1:].max() == 255


@pytest.mark.parametrize(
    "options",
    [{"compression": "zlib"}, {"compression": "zlib", "predictor": True}, {"byteorder": ">"}, {"bigtiff": True},
     {"tile": (32, 32)}, {"rowsperstrip": 7}],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["u2", "u4"])
def test_tiff_however_it_is_stored(options, kind):
    assert np.array_equal(shades(tiff(GREY.astype(kind) * 257, photometric="minisblack", **options)), GREY)


@pytest.mark.parametrize("scale", [(np.uint16, 257), (np.float32, 1 / 255), (np.float64, 1 / 255)])
@pytest.mark.parametrize("planar", [False, True])
def test_tiff_in_colour(scale, planar):
    kind, factor = scale
    values = (COLOURED * np.float64(factor)).astype(kind)
    stored = np.moveaxis(values, -1, 0) if planar else values
    data = tiff(stored, photometric="rgb", planarconfig="separate" if planar else "contig")
    assert np.abs(np.asarray(decode(data).image).astype(int) - COLOURED).max() <= 1


def test_tiff_says_more_than_its_samples():
    assert np.array_equal(shades(tiff(65535 - GREY.astype("u2") * 257, photometric="miniswhite")), GREY)
    no_data = GREY.astype("u2") + 1000
    no_data[:20] = 0
    seen = shades(tiff(no_data, extratags=[(42113, "s", 0, "0", True)]))
    assert (seen[20:].min(), seen[20:].max()) == (0, 255)
    beyond = shades(tiff(GREY.astype("f4") + 0.5, extratags=[(42113, "s", 0, "-1.7976931348623157e+308", True)]))
    assert (beyond.min(), beyond.max()) == (0, 255)
    said = shades(tiff(GREY.astype("u2"), extratags=[(340, "H", 1, 0, True), (341, "H", 1, 1020, True)]))
    assert np.abs(said - GREY / 4).max() <= 1


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_pillow_helps_with_compressions_that_tifffile_lacks(compression):
    data = encoded(Image.fromarray(GREY.astype(np.float32) / 255), "TIFF", compression=compression)
    assert np.abs(shades(data) - GREY).max() <= 1


def test_a_compression_that_nothing_reads_is_named():
    data = bytearray(tiff(COLOURED.astype("f4"), photometric="rgb", compression="zlib"))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        at = file.pages[0].tags[259].valueoffset
    data[at : at + 2] = struct.pack("<H", 34887)
    with pytest.raises(ImageError, match=r"LERC compression of float32 samples: `pip install imagecodecs`"):
        decode(bytes(data))


def png16(values: np.ndarray, kind: int, significant: int = 0) -> bytes:
    """A 16-bit PNG of uint16 [H, W, C]; ``kind`` is its colour type."""
    lines = b"".join(b"\0" + line.astype(">u2").tobytes() for line in values)
    chunks = {b"IHDR": struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, kind, 0, 0, 0)}
    chunks |= {b"sBIT": bytes([significant] * values.shape[2])} if significant else {}
    chunks |= {b"IDAT": zlib.compress(lines), b"IEND": b""}
    framed = (struct.pack(">I", len(b)) + n + b + struct.pack(">I", zlib.crc32(n + b)) for n, b in chunks.items())
    return b"\x89PNG\r\n\x1a\n" + b"".join(framed)


@pytest.mark.parametrize("factor", [1, 16, 64, 257])
def test_png_of_sixteen_bits_that_holds_fewer(factor):
    opaque = np.full((*GREY.shape, 1), min(65535, 256 * factor - 1))
    for values, kind in ((COLOURED, 2), (GREY[..., None], 0)):
        deep = values.astype(np.uint16) * factor
        for stored, form in ((deep, kind), (np.dstack([deep, opaque]), kind + 4)):
            seen = np.asarray(decode(png16(stored, form)).image).astype(int)
            assert np.abs(seen - values).max() <= 1


def test_png_says_how_many_bits_count():
    values = (GREY.astype(np.uint16) * 4)[..., None]  # eight bits and two more
    assert np.abs(shades(png16(values, 0)) - GREY).max() <= 1
    assert np.abs(shades(png16(values, 0, significant=12)) - GREY / 4).max() <= 1


def test_pages_and_previews_are_told():
    page = Image.fromarray(COLOURED)
    assert decode(encoded(page, "TIFF")).note == ""
    assert "first of its pages" in decode(encoded(page, "TIFF", save_all=True, append_images=[page])).note
    assert "first of its pages" in decode(tiff(np.stack([GREY.astype("f4")] * 3), photometric="minisblack")).note
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as writer:
        writer.write(COLOURED, photometric="rgb", subifds=1, subfiletype=1)
        writer.write(np.zeros((60, 80), np.uint16), photometric=32803, subfiletype=0)
    assert "preview" in decode(stream.getvalue()).note


def test_a_fourth_band_is_opacity_only_where_the_file_says_so():
    infrared = np.full((*GREY.shape, 1), 3, np.uint16)
    bands = np.dstack([COLOURED.astype(np.uint16) * 257, infrared])
    for extra, expected in (("unspecified", COLOURED), ("unassalpha", np.full_like(COLOURED, 255))):
        seen = np.asarray(decode(tiff(bands, photometric="rgb", extrasamples=[extra])).image).astype(int)
        assert np.abs(seen - expected).max() <= 1
    many = tiff(np.dstack([COLOURED, COLOURED]), photometric="minisblack", planarconfig="contig")
    assert np.array_equal(np.asarray(decode(many).image), COLOURED)


def test_deep_colours_of_another_kind_are_not_taken_for_rgb():
    inks = np.zeros((*GREY.shape, 4), np.uint16)
    inks[..., 0] = 65535
    assert decode(tiff(inks, photometric="separated")).image.getpixel((5, 5)) == (0, 255, 255)
    with pytest.raises(ImageError, match="CIELAB colours: nothing here reads it") as refused:
        decode(tiff(COLOURED.astype(np.uint16), photometric="cielab"))
    assert refused.value.remedy == image_error.CONVERTED
