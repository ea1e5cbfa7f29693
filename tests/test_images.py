import io
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.support.drawing import encoded, picture, png_header
from unifex.core import image_error, images, thumbnails
from unifex.core.images import ImageError, decode
from unifex.core.preprocessing import Preprocessing

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


def test_heic_is_read():
    assert np.abs(np.array(pixel(encoded(RED, "HEIF", quality=95))) - (200, 30, 20)).max() <= 8


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF", "HEIF with EXIF alone"])
def test_a_turned_camera_is_turned_back_once(format, orientation):
    upright = Image.new("RGB", (64, 48), "white")
    upright.paste((250, 0, 0), (0, 0, 24, 16))  # a red corner at the top left
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Pillow's transpose that the camera's turn would need
    stored = upright if orientation == 1 else upright.transpose(Image.Transpose(undo[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    # Given as bytes, the turn is written into the container as well; given as an object into EXIF alone.
    written = exif.tobytes() if format == "HEIF" else exif
    decoded = decode(encoded(stored, format.split()[0], exif=written))
    assert (decoded.width, decoded.height) == (64, 48) == decoded.image.size
    assert np.abs(np.array(decoded.image, int) - np.array(upright, int)).mean() < 3


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_broken_exif_is_no_reason_to_refuse_a_picture(format):
    assert decode(encoded(RED, format, exif=b"Exif\0\0garbage")).width == 40


def test_a_heic_shows_its_primary_image():
    stream, file = io.BytesIO(), pillow_heif.from_pillow(Image.new("RGB", (64, 48), "blue"))
    file.add_from_pillow(Image.new("RGB", (64, 48), (200, 30, 20)))
    file.save(stream, primary_index=1)
    assert pixel(stream.getvalue())[0] > 150


def test_a_turned_tiff_of_high_depth():
    exif = Image.Exif()
    exif[0x0112] = 6
    deep = np.zeros((60, 40), np.float32)
    deep[:20, :10] = 1  # bottom left before the turn, top left after it
    decoded = decode(encoded(Image.fromarray(deep[::-1]), "TIFF", exif=exif))
    assert (decoded.width, decoded.height) == (60, 40) == decoded.image.size
    assert decoded.image.getpixel((5, 5)) == (255, 255, 255)


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
    assert pixel(encoded(Image.fromarray(np.full((30, 40), 0.5, np.float32)), "TIFF")) == (128, 128, 128)
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


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"hello, this is text", "not an image"),
        (encoded(picture("shapes/disc", 0), "JPEG")[:-400], "truncated"),
        (encoded(picture("shapes/disc", 0), "PNG")[:300], "truncated"),
        (encoded(picture("signs/cross", 0), "WEBP")[:100], "damaged|truncated"),
        (png_header(60_000, 60_000), "megapixels"),
        (png_header(1, 100_000), "too thin"),
        (b"\xff\xd8\xff" + b"\0" * 200, "damaged"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "not an image"),
    ],
)
def test_bad_files_are_refused_with_the_reason(data, reason):
    with pytest.raises(ImageError, match=reason):
        decode(data)


@pytest.mark.parametrize(
    ("data", "remedy"),
    [
        (b"", image_error.WHOLE_FILE),
        (b"hello, this is text", image_error.ANOTHER_FORMAT),
        (encoded(picture("shapes/disc", 0), "JPEG")[:-400], image_error.WHOLE_FILE),
        (b"\xff\xd8\xff" + b"\0" * 200, image_error.WHOLE_FILE),
        (png_header(60_000, 60_000), image_error.SMALLER),
        (png_header(1, 100_000), image_error.LESS_THIN),
    ],
)
def test_what_mends_a_bad_file_fits_the_reason(data, remedy):
    with pytest.raises(ImageError) as refused:
        decode(data)
    assert refused.value.remedy == remedy


def test_a_file_that_is_too_large_can_be_made_smaller(monkeypatch):
    monkeypatch.setattr(images, "MAX_BYTES", 99)
    with pytest.raises(ImageError, match="larger than") as refused:
        decode(encoded(picture("shapes/disc", 0)))
    assert refused.value.remedy == image_error.SMALLER


PEAK = """
import resource, sys
from unifex.core import images
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    print(images.decode(sys.stdin.buffer.read(), at_least=224).image.size)
except images.ImageError as error:
    print(error)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def _peak(data: bytes) -> tuple[str, int]:
    """What decoding said, and the MiB it took at most."""
    done = subprocess.run([sys.executable, "-c", PEAK], input=data, capture_output=True, check=True)
    assert not done.stderr
    said, peak = done.stdout.decode().splitlines()
    return said, int(peak)


def test_a_bomb_is_refused_before_a_pixel_is_decoded():
    said, peak = _peak(png_header(14_140, 14_140))
    assert "14140 x 14140" in said
    assert "600 MB allowed" in said
    assert peak < 50


@pytest.mark.parametrize(("mode", "held"), [("RGBA", 4), ("P", 1), ("I;16", 8)])
def test_a_big_picture_is_shrunk_before_it_is_composited(mode, held):
    options = {"transparency": 0} if mode == "P" else {}
    said, peak = _peak(encoded(Image.new(mode, (6000, 5000)), compress_level=1, **options))
    assert said.startswith("(")
    assert peak < held * 6000 * 5000 / 2**20 + 60


def test_what_decoding_takes_is_told_from_the_header(monkeypatch):
    """A progressive JPEG keeps all coefficients, a WebP several frames; a plain JPEG is decoded at a fraction."""
    monkeypatch.setattr(images, "_limits", images.Limits(memory=30 * 10**6))
    plain = Image.new("RGB", (3000, 2000), "navy")
    assert decode(encoded(plain, "JPEG"), at_least=200).width == 3000
    for format, options in (("JPEG", {"progressive": True, "subsampling": 0}), ("WEBP", {"method": 0})):
        with pytest.raises(ImageError, match=r"3000 x 2000 pixels take \d+ MB to decode, more than the 30 MB allowed"):
            decode(encoded(plain, format, **options), at_least=200)


def test_big_pictures_are_decoded_one_after_the_other(monkeypatch):
    together, most = 0, 0
    shrink = images._reduced_rgb

    def watched(image, at_least):
        nonlocal together, most
        together += 1
        for _ in range(20):  # until another one is there, if any comes
            most = max(most, together)
            if most == 1:
                time.sleep(0.005)
        together -= 1
        return shrink(image, at_least)

    monkeypatch.setattr(images, "_reduced_rgb", watched)
    data = encoded(RED)
    try:
        for big, alone in ((10**6, False), (0, True)):
            most = 0
            images.set_limits(images.Limits(big=big))
            with ThreadPoolExecutor(4) as pool:
                assert [picture.width for picture in pool.map(decode, [data] * 4)] == [40] * 4
            assert (most == 1) == alone
    finally:
        images.set_limits(images.Limits())


def test_limits_are_set_at_one_place():
    data = encoded(RED)
    images.set_limits(images.Limits(pixels=1000))
    try:
        with pytest.raises(ImageError, match="megapixels"):
            decode(data)
    finally:
        images.set_limits(images.Limits())
    assert decode(data).width == 40


def test_importing_it_changes_nothing_of_the_program_around_it():
    code = (
        "import logging, os, warnings, PIL.Image as I, PIL.ImageFile as F\n"
        "state = lambda: (I.MAX_IMAGE_PIXELS, F.LOAD_TRUNCATED_IMAGES, list(warnings.filters), dict(os.environ),"
        " logging.root.level, list(logging.root.handlers))\n"
        "import numpy, faiss\n"  # they have filters of their own
        "before = state()\nimport unifex.core.images, unifex.retrieval.search, unifex.gallery.indexing\n"
        "assert state() == before, (before, state())"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_formats_are_listed_from_one_table():
    assert images.FORMAT_NAMES.startswith("JPEG, PNG, WebP, ")
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8").replace("\n", " ")
    assert all(f"{kind.name}" in readme for kind in images.FORMATS)
    for kind in images.FORMATS:
        data = encoded(RED, kind.plugins[0])
        assert images.looks_like_image(data[:32])
        assert decode(data).width == 40


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
    whole = prep.to_input(decode(data).image).astype(int)
    draft = prep.to_input(decode(data, at_least=224).image).astype(int)
    assert decode(data, at_least=224).image.width < 1804
    assert np.abs(whole - draft).mean() < 2


def test_squash_crop_and_pad():
    wide = Image.new("RGB", (200, 100), "white")
    wide.paste((250, 0, 0), (0, 0, 50, 100))  # the left quarter is red
    squash = Preprocessing(40, HALF, HALF, fit="squash").to_input(wide)
    crop = Preprocessing(40, HALF, HALF, fit="crop").to_input(wide)
    pad = Preprocessing(40, HALF, HALF, fit="pad", fill=(0, 0, 255)).to_input(wide)
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
    assert Preprocessing(32, HALF, HALF, fit=fit).to_input(image).shape == (32, 32, 3)


@pytest.mark.parametrize("side", [900, 100])
def test_thumbnail_is_small_jpeg_without_metadata(side):
    exif = Image.Exif()
    exif[0x010E] = "secret place"
    told = {"exif": exif, "comment": "secret comment", "xmp": b"<secret/>", "icc_profile": b"secret profile"}
    data = encoded(picture("shapes/disc", 0, side=side), "JPEG", **told)
    assert data.count(b"secret") == 4
    data = thumbnails.thumbnail(images.decode(data).image)
    opened = Image.open(io.BytesIO(data))
    assert opened.format == "JPEG"
    assert max(opened.size) == min(side, thumbnails.THUMBNAIL_SIZE)
    assert not opened.getexif()
    assert b"secret" not in data


def test_content_hash_is_sha256():
    assert images.content_hash(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
