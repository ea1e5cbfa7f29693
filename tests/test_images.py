import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.drawing import encoded, picture
from unifex import images
from unifex.images import ImageError, Preprocessing, decode, to_input

RED = Image.new("RGB", (40, 30), (200, 30, 20))
HALF = (0.5, 0.5, 0.5)


def pixel(data: bytes, at=(5, 5)) -> tuple[int, ...]:
    return decode(data).image.getpixel(at)


@pytest.mark.parametrize(
    ("format", "options"),
    [("PNG", {}), ("JPEG", {"quality": 95}), ("WEBP", {"lossless": True}), ("GIF", {}), ("BMP", {}), ("TIFF", {}),
     ("TIFF", {"compression": "tiff_lzw"}), ("AVIF", {"quality": 95}), ("PPM", {})],
)  # fmt: skip
def test_formats_give_the_same_picture(format, options):
    data = encoded(RED, format, **options)
    decoded = decode(data)
    assert (decoded.width, decoded.height) == (40, 30)
    assert np.abs(np.array(decoded.image, int) - np.array(RED, int)).max() <= 6
    assert images.looks_like_image(data[:32])


def test_heic_is_read_when_its_library_is_there():
    pytest.importorskip("pillow_heif")
    assert np.abs(np.array(pixel(encoded(RED, "HEIF", quality=95))) - (200, 30, 20)).max() <= 8


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation):
    upright = Image.new("RGB", (60, 40), "white")
    upright.paste((250, 0, 0), (0, 0, 20, 20))  # a red corner at the top left
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Pillow's transpose that the camera's turn would need
    stored = upright if orientation == 1 else upright.transpose(Image.Transpose(undo[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    decoded = decode(encoded(stored, "PNG", exif=exif))
    assert (decoded.width, decoded.height) == (60, 40) == decoded.image.size
    assert decoded.image.getpixel((5, 5)) == (250, 0, 0)


def test_exif_turn_of_a_draft_jpeg_keeps_the_full_size():
    exif = Image.Exif()
    exif[0x0112] = 6
    decoded = decode(encoded(Image.new("RGB", (1600, 800), "navy"), "JPEG", exif=exif), at_least=200)
    assert (decoded.width, decoded.height) == (800, 1600)
    assert decoded.image.size == (200, 400)


def test_cmyk_grey_palette_and_bilevel():
    assert np.abs(np.array(pixel(encoded(RED.convert("CMYK"), "JPEG", quality=95))) - (200, 30, 20)).max() < 12
    assert pixel(encoded(RED.convert("L"))) == (80, 80, 80)
    assert pixel(encoded(RED.convert("P", palette=Image.Palette.ADAPTIVE))) == (200, 30, 20)
    assert pixel(encoded(Image.new("1", (40, 30), 1))) == (255, 255, 255)


def test_sixteen_bit_and_float():
    deep = Image.fromarray(np.full((30, 40), 32896, np.uint16))  # 32896 / 257 = 128
    assert pixel(encoded(deep)) == (128, 128, 128)
    assert pixel(encoded(deep, "TIFF")) == (128, 128, 128)
    assert pixel(encoded(Image.fromarray(np.full((30, 40), 0.5, np.float32)), "TIFF")) == (127, 127, 127)
    stretched = Image.fromarray(np.linspace(-5, 5, 1200, dtype=np.float32).reshape(30, 40))
    values = np.array(decode(encoded(stretched, "TIFF")).image)
    assert values.min() == 0
    assert values.max() == 255


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_becomes_white(mode):
    clear = Image.new("RGBA", (40, 30), (0, 0, 0, 0))
    data = encoded(clear.convert(mode), transparency=0) if mode == "P" else encoded(clear.convert(mode))
    assert pixel(data) == (255, 255, 255)


def test_first_frame_of_an_animation():
    stream = io.BytesIO()
    RED.save(stream, "GIF", save_all=True, append_images=[Image.new("RGB", (40, 30), "blue")] * 3)
    assert pixel(stream.getvalue())[0] > 150


def _png_header(width: int, height: int) -> bytes:
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    end = struct.pack(">I", 0) + b"IEND" + struct.pack(">I", zlib.crc32(b"IEND"))
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body)) + end


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"hello, this is text", "not an image"),
        (encoded(picture("shapes/disc", 0), "JPEG")[:-400], "truncated"),
        (encoded(picture("shapes/disc", 0), "PNG")[:300], "truncated"),
        (encoded(picture("signs/cross", 0), "WEBP")[:100], "damaged|truncated"),
        (_png_header(60_000, 60_000), "megapixels"),
        (_png_header(1, 100_000), "too thin"),
        (b"\xff\xd8\xff" + b"\0" * 200, "damaged"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "not an image"),
    ],
)
def test_bad_files_are_refused_with_the_reason(data, reason):
    with pytest.raises(ImageError, match=reason):
        decode(data)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"]), st.data())
def test_a_mutated_file_is_read_or_refused_never_more(format, data):
    original = bytearray(encoded(picture("signs/stripes", 1, side=48), format))
    for _ in range(data.draw(st.integers(1, 6))):
        original[data.draw(st.integers(0, len(original) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(len(original) // 2, len(original)))
    try:
        assert decode(bytes(original[:cut])).image.mode == "RGB"
    except ImageError:
        return


def test_draft_decoding_looks_the_same(photographs):
    large = photographs[0].resize((1804, 1200), Image.Resampling.LANCZOS)
    data = encoded(large, "JPEG", quality=92)
    prep = Preprocessing(224, HALF, HALF)
    whole = to_input(decode(data).image, prep).astype(int)
    draft = to_input(decode(data, at_least=224).image, prep).astype(int)
    assert decode(data, at_least=224).image.width < 1804
    assert np.abs(whole - draft).mean() < 2


def test_squash_crop_and_pad():
    wide = Image.new("RGB", (200, 100), "white")
    wide.paste((250, 0, 0), (0, 0, 50, 100))  # the left quarter is red
    squash = to_input(wide, Preprocessing(40, HALF, HALF, fit="squash"))
    crop = to_input(wide, Preprocessing(40, HALF, HALF, fit="crop"))
    pad = to_input(wide, Preprocessing(40, HALF, HALF, fit="pad", fill=(0, 0, 255)))
    assert squash.shape == crop.shape == pad.shape == (40, 40, 3)
    assert squash.dtype == np.uint8
    assert tuple(squash[20, 4]) == (250, 0, 0)
    assert tuple(crop[20, 4]) == (255, 255, 255)  # the red quarter is cut away
    assert tuple(pad[2, 20]) == tuple(pad[37, 20]) == (0, 0, 255)
    assert tuple(pad[20, 4]) == (250, 0, 0)


@given(st.integers(1, 300), st.integers(1, 300), st.sampled_from(["squash", "crop", "pad"]))
@settings(max_examples=60, deadline=None)
def test_every_size_fits(width, height, fit):
    image = Image.new("RGB", (width, height), "green")
    assert to_input(image, Preprocessing(32, HALF, HALF, fit=fit)).shape == (32, 32, 3)


@pytest.mark.parametrize("side", [900, 100])
def test_thumbnail_is_small_jpeg_without_metadata(side):
    exif = Image.Exif()
    exif[0x010E] = "secret place"
    told = {"exif": exif, "comment": "secret comment", "xmp": b"<secret/>", "icc_profile": b"secret profile"}
    data = encoded(picture("shapes/disc", 0, side=side), "JPEG", **told)
    assert data.count(b"secret") == 4
    data = images.thumbnail(images.decode(data).image)
    opened = Image.open(io.BytesIO(data))
    assert opened.format == "JPEG"
    assert max(opened.size) == min(side, images.THUMBNAIL_SIZE)
    assert not opened.getexif()
    assert b"secret" not in data


def test_content_hash_is_sha256():
    assert images.content_hash(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
