"""Colour profiles, written here byte by byte, against colours worked out with their matrices."""

import struct

import numpy as np
import pytest
from PIL import Image

from tests.support.drawing import encoded, picture
from unifex.core import colour
from unifex.core.images import decode

# Red, green and blue as XYZ under D50, one row each, as the profiles of these names have them; and the exponent.
SRGB = [[0.43607, 0.22249, 0.01392], [0.38515, 0.71687, 0.09708], [0.14307, 0.06061, 0.71410]]
SPACES = {
    "Display P3": ([[0.51512, 0.24120, -0.00105], [0.29198, 0.69225, 0.04189], [0.15710, 0.06657, 0.78407]], 2.2),
    "Adobe RGB": ([[0.60974, 0.31111, 0.01947], [0.20528, 0.62567, 0.06087], [0.14919, 0.06322, 0.74457]], 2.2),
    "ProPhoto": ([[0.79767, 0.28804, 0.0], [0.13519, 0.71188, 0.0], [0.03134, 0.00009, 0.82491]], 1.8),
}
COLOURS = [(200, 100, 50), (30, 160, 90), (90, 90, 200), (255, 255, 255), (0, 0, 0), (128, 128, 128)]


def profile(space: bytes, tags: dict[bytes, bytes], connection: bytes = b"XYZ ", kind: bytes = b"mntr") -> bytes:
    """An ICC profile, version 2.1, of these tags."""
    white = b"XYZ \0\0\0\0" + xyz(0.9642, 1.0, 0.8249)
    tags = {b"desc": b"desc\0\0\0\0\0\0\0\2A\0" + b"\0" * 78, b"cprt": b"text\0\0\0\0A\0\0\0", b"wtpt": white} | tags
    table, body = struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        table += name + struct.pack(">II", 132 + 12 * len(tags) + len(body), len(content))
        body += content + b"\0" * (-len(content) % 4)
    size = struct.pack(">I", 128 + len(table) + len(body))
    head = size + b"\0\0\0\0\2\x10\0\0" + kind + space + connection + b"\0" * 12 + b"acsp" + b"\0" * 28
    return (head + xyz(0.9642, 1.0, 0.8249)).ljust(128, b"\0") + table + body


def xyz(*numbers: float) -> bytes:
    return struct.pack(">3i", *(round(number * 65536) for number in numbers))


def curve(exponent: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(exponent * 256))


def rgb_profile(matrix, tone: bytes) -> bytes:
    rows = {name: b"XYZ \0\0\0\0" + xyz(*row) for name, row in zip((b"rXYZ", b"gXYZ", b"bXYZ"), matrix)}
    return profile(b"RGB ", rows | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), tone))


def srgb_tone() -> bytes:
    level = np.linspace(0, 1, 1024)
    linear = np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)
    return b"curv\0\0\0\0" + struct.pack(">I", 1024) + np.round(linear * 65535).astype(">u2").tobytes()


def as_srgb(rgb, matrix, exponent: float) -> np.ndarray:
    """0-255 of a space -> 0-255 of sRGB, by the book."""
    linear = np.clip((np.array(rgb) / 255) ** exponent @ np.array(matrix) @ np.linalg.inv(np.array(SRGB)), 0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP"])
def test_colours_of_wide_spaces_become_srgb(name, format):
    matrix, exponent = SPACES[name]
    options = {"lossless": True} if format == "WEBP" else {}
    for rgb in COLOURS:
        data = encoded(
            Image.new("RGB", (8, 8), rgb), format, icc_profile=rgb_profile(matrix, curve(exponent)), **options
        )
        assert np.abs(np.array(decode(data).image.getpixel((4, 4))) - as_srgb(rgb, matrix, exponent)).max() <= 3


@pytest.mark.parametrize("format", ["JPEG", "PNG", "AVIF", "HEIF"])
def test_every_format_hands_its_profile_over(format):
    matrix, exponent = SPACES["Adobe RGB"]
    data = encoded(Image.new("RGB", (64, 64), (30, 160, 90)), format, icc_profile=rgb_profile(matrix, curve(exponent)))
    assert np.abs(np.array(decode(data).image.getpixel((9, 9))) - as_srgb((30, 160, 90), matrix, exponent)).max() <= 8


def test_srgb_by_any_name_changes_no_pixel():
    image = picture("shapes/disc", 0)
    named = encoded(image, icc_profile=rgb_profile(SRGB, srgb_tone()))
    assert decode(named).image.tobytes() == image.tobytes()
    assert colour.keeps(rgb_profile(SRGB, srgb_tone()), "RGB")


def test_grey_and_transparent_pictures_have_profiles_too():
    grey = profile(b"GRAY", {b"kTRC": curve(1.0)})
    expected = as_srgb((60, 60, 60), SRGB, 1.0)  # linear light: 60 / 255 is the 133 of sRGB
    for mode, ink in (("L", 60), ("LA", (60, 255))):
        data = encoded(Image.new(mode, (8, 8), ink), icc_profile=grey)
        assert np.abs(np.array(decode(data).image.getpixel((4, 4))) - expected).max() <= 2
    matrix, exponent = SPACES["ProPhoto"]
    half = Image.new("RGBA", (8, 8), (200, 100, 50, 255))
    half.paste((0, 0, 0, 0), (0, 0, 4, 8))
    decoded = decode(encoded(half, icc_profile=rgb_profile(matrix, curve(exponent)))).image
    assert decoded.getpixel((1, 4)) == (255, 255, 255)
    assert np.abs(np.array(decoded.getpixel((6, 4))) - as_srgb((200, 100, 50), matrix, exponent)).max() <= 3


def cmyk_profile() -> bytes:
    """Black ink makes L = 0, every other ink is invisible: nothing that Pillow's own conversion would do."""
    ramp = bytes(range(256))
    grid = b"".join(bytes([0 if corner & 1 else 255, 128, 128]) for corner in range(16))
    identity = struct.pack(">9i", *(65536 * (row == column) for row in range(3) for column in range(3)))
    table = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + identity + ramp * 4 + grid + ramp * 3
    return profile(b"CMYK", {b"A2B0": table}, b"Lab ", b"prtr")


def test_inks_are_printed_by_their_profile():
    inks = Image.new("CMYK", (16, 16), (255, 0, 0, 0))
    assert decode(encoded(inks, "TIFF")).image.getpixel((5, 5)) == (0, 255, 255)
    assert min(decode(encoded(inks, "TIFF", icc_profile=cmyk_profile())).image.getpixel((5, 5))) >= 250
    black = Image.new("CMYK", (16, 16), (0, 0, 0, 255))
    assert max(decode(encoded(black, "JPEG", icc_profile=cmyk_profile())).image.getpixel((5, 5))) <= 5


@pytest.mark.parametrize(
    "broken", [b"no profile", rgb_profile(SRGB, curve(1.0))[:200], cmyk_profile(), profile(b"RGB ", {})]
)
def test_a_profile_that_does_not_fit_is_ignored(broken):
    assert decode(encoded(Image.new("RGB", (8, 8), (200, 30, 20)), icc_profile=broken)).image.getpixel((4, 4)) == (
        200,
        30,
        20,
    )


def test_an_image_that_is_handed_over_is_treated_alike():
    from unifex.core.images import upright_rgb

    image = Image.new("RGB", (8, 8), (30, 160, 90))
    matrix, exponent = SPACES["Adobe RGB"]
    image.info["icc_profile"] = rgb_profile(matrix, curve(exponent))
    assert np.abs(np.array(upright_rgb(image).getpixel((4, 4))) - as_srgb((30, 160, 90), matrix, exponent)).max() <= 3


def test_lab_without_a_profile():
    lab = Image.frombytes("LAB", (16, 16), bytes([128, 0, 0]) * 256)  # L = 50.2, no colour: the 120 of sRGB
    assert np.abs(np.array(decode(encoded(lab, "TIFF")).image.getpixel((5, 5))) - 119.7).max() <= 2


def test_a_large_picture_is_converted_after_it_is_shrunk():
    matrix, exponent = SPACES["Display P3"]
    data = encoded(Image.new("RGB", (1200, 900), (30, 160, 90)), icc_profile=rgb_profile(matrix, curve(exponent)))
    decoded = decode(data, at_least=100)
    assert (decoded.width, decoded.image.size) == (1200, (400, 300))
    assert np.abs(np.array(decoded.image.getpixel((9, 9))) - as_srgb((30, 160, 90), matrix, exponent)).max() <= 3
