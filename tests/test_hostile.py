"""One folder with 32 hostile or odd files beside 24 good pictures: one clear reason each, everything else indexed."""

import io
import os
import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image

from tests.support.drawing import encoded, picture
from tests.support.galleries import run_index
from unifex.gallery.gallery import Gallery

JPEG = encoded(picture("shapes/disc", 0), "JPEG", quality=90)
PNG = encoded(picture("shapes/disc", 0), "PNG")
LINK, FIFO, UNREADABLE = object(), object(), object()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, pixels: bytes = b"") -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")


def jpeg_with(width: int, height: int) -> bytes:
    """A JPEG whose header claims another size."""
    at = JPEG.find(b"\xff\xc0") + 5
    return JPEG[:at] + struct.pack(">HH", height, width) + JPEG[at + 4 :]


HOSTILE: dict[str, tuple[object, str]] = {
    "empty.jpg": (b"", "empty file"),
    "text.jpg": (b"just some words", "not an image"),
    "html.png": (b"<html><script>alert(1)</script></html>", "not an image"),
    "zeros.png": (b"\0" * 4096, "not an image"),
    "random.webp": (bytes(range(256)) * 20, "not an image"),
    "vector.svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image"),
    "script.eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage", "not an image"),
    "page.pdf": (b"%PDF-1.4\n%%EOF", "not an image"),
    "notes.txt": (b"hello", "not an image"),
    "movie.mp4": (b"\0\0\0\x18ftypmp42" + b"\0" * 100, "video"),
    "program.exe": (b"MZ" + b"\0" * 100, "not an image"),
    "archive.zip": (b"PK\3\4" + b"\0" * 50, "archive inside the source"),
    "packed.tar.gz": (b"\x1f\x8b\x08" + b"\0" * 50, "archive inside the source"),
    "half.jpg": (JPEG[: len(JPEG) // 2], "truncated"),
    "half.png": (PNG[: len(PNG) // 2], "truncated"),
    "half.webp": (encoded(picture("shapes/disc", 0), "WEBP")[:200], "damaged|truncated"),
    "half.gif": (encoded(picture("shapes/disc", 0), "GIF")[:300], "damaged|truncated"),
    "half.tif": (encoded(picture("shapes/disc", 0), "TIFF")[:2000], "damaged|truncated|not an image"),
    "half.bmp": (encoded(picture("shapes/disc", 0), "BMP")[:2000], "damaged|truncated"),
    "half.avif": (encoded(picture("shapes/disc", 0), "AVIF")[:300], "damaged|truncated|not an image"),
    "header only.jpg": (JPEG[:20], "damaged|truncated|not an image"),
    "signature only.png": (b"\x89PNG\r\n\x1a\n", "damaged|truncated"),
    "bomb.png": (png(50_000, 50_000), "megapixels"),
    "bomb.jpg": (jpeg_with(65_000, 65_000), "megapixels"),
    "bomb.gif": (b"GIF89a" + struct.pack("<HH", 65_535, 65_535) + b"\0\0\0;", "megapixels|damaged"),
    "hair.png": (png(1, 100_000, b"\0\0\0\0" * 100_000), "too thin"),
    "broken data.png": (png(64, 64, b"\0" * 100), "truncated|damaged"),
    "no data.png": (PNG[:33] + chunk(b"IEND", b""), "truncated|damaged"),
    ".hidden.jpg": (JPEG, "hidden file"),
    "link.jpg": (LINK, "symbolic link"),
    "pipe.jpg": (FIFO, "not a regular file"),
    "<img src=x onerror=alert(1)>.jpg": (b"<script>", "not an image"),
}


def with_icc_and_exif() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 99
    return encoded(picture("signs/cross", 7), "JPEG", icc_profile=b"rubbish" * 50, exif=exif)


def multi_page() -> bytes:
    stream = io.BytesIO()
    picture("shapes/disc", 1).save(stream, "TIFF", save_all=True, append_images=[picture("signs/cross", 1)] * 3)
    return stream.getvalue()


ODD_BUT_GOOD = {
    "jpeg called.png": JPEG + b"x",
    "png without extension": PNG + b"\0",
    "UPPER.JPG": encoded(picture("shapes/square", 90), "JPEG"),
    "polyglot.jpg": JPEG + b"<html><script>alert(1)</script>PK\x03\x04",
    "rubbish profile.jpg": with_icc_and_exif(),
    "pages.tiff": multi_page(),
    "one pixel.png": encoded(Image.new("RGB", (1, 1), "red")),
    "tab\tname.png": encoded(picture("shapes/square", 91)),
}


@pytest.fixture
def hostile(folder: Path) -> Path:
    for name, (content, _) in HOSTILE.items():
        path = folder / name
        if content is LINK:
            path.symlink_to("/etc/hostname")
        elif content is FIFO:
            os.mkfifo(path)
        else:
            path.write_bytes(content)
    for name, content in ODD_BUT_GOOD.items():
        (folder / name).write_bytes(content)
    return folder


def test_one_reason_each_and_everything_else_indexed(tmp_path, hostile, embedder):
    import re

    assert len(HOSTILE) >= 30
    gallery = Gallery.create(tmp_path / "g", embedder)
    report = run_index(gallery, hostile)
    reasons = {refused.path: refused.reason for refused in report.failed}
    assert len(reasons) == len(report.failed) == len(HOSTILE)
    assert set(reasons) == set(HOSTILE)
    wrong = {name: reasons[name] for name, (_, reason) in HOSTILE.items() if not re.search(reason, reasons[name])}
    assert not wrong
    assert report.items == 24 + len(ODD_BUT_GOOD)
    assert {refused.path: refused.reason for refused in gallery.skipped()} == reasons
    assert all(len(reason) < 150 and "\n" not in reason for reason in reasons.values())
    assert len(run_index(gallery, hostile).failed) == len(HOSTILE)
