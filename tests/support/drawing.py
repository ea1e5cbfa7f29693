"""Small labelled pictures, drawn by code: the only images that the tests need."""

from __future__ import annotations

import io
import random
import struct
import zlib
from pathlib import Path

from PIL import Image, ImageDraw

LABELS = {"shapes/disc": "ellipse", "shapes/square": "rectangle", "signs/cross": "cross", "signs/stripes": "stripes"}


def picture(label: str, view: int, side: int = 160) -> Image.Image:
    """One view of one label: its figure in varied place, size and colour on a plain ground."""
    rng = random.Random(f"{label}-{view}")
    image = Image.new("RGB", (side, side), tuple(rng.randrange(190, 250) for _ in range(3)))
    draw = ImageDraw.Draw(image)
    ink = tuple(rng.randrange(0, 110) for _ in range(3))
    r = rng.randrange(side // 4, side // 3)
    x, y = (rng.randrange(r, side - r) for _ in range(2))
    kind = LABELS[label]
    if kind == "cross":
        draw.rectangle((x - r, y - r // 5, x + r, y + r // 5), ink)
        draw.rectangle((x - r // 5, y - r, x + r // 5, y + r), ink)
    elif kind == "stripes":
        for offset in range(-r, r, max(4, r // 3)):
            draw.rectangle((x + offset, y - r, x + offset + r // 8, y + r), ink)
    else:
        getattr(draw, kind)((x - r, y - r, x + r, y + r), ink)
    return image


def encoded(image: Image.Image, format: str = "PNG", **options) -> bytes:
    """The image as a file's bytes."""
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG that says it has so many pixels, and has none."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    end = struct.pack(">I", 0) + b"IEND" + struct.pack(">I", zlib.crc32(b"IEND"))
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body)) + end


def write_folder(root: Path, views: int = 6, side: int = 160) -> Path:
    """``root/domain/label/view.png`` for all labels; large ones take a while to index, and are packed at once."""
    for label in LABELS:
        (root / label).mkdir(parents=True)
        for view in range(views):
            (root / label / f"{view}.png").write_bytes(encoded(picture(label, view, side), compress_level=1))
    return root
