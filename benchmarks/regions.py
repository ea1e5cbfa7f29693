"""Pictures within pictures: how often the first hit is right with the whole, the true box, and the program's own box.

    python -m benchmarks.regions MANIFEST.csv [--each 60]

The gallery is the manifest's index split. Each query is drawn by code from one of its pictures, which is the right
answer: on a phone's screen (status bar, text, buttons, light or dark), on a monitor that was photographed (bezel, desk,
slightly turned, noise), as one of four of a collage, and on a shelf among other things; what stands around it is of the
train split. Plain queries are the pictures of the query split, of which a hit of their label is right.
"""

from __future__ import annotations

import argparse
import csv
import io
import random
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from benchmarks.table import Row, tell
from unifex.core import images
from unifex.core.progress import finish
from unifex.core.regions import WHOLE, Region
from unifex.gallery.gallery import Gallery
from unifex.gallery.indexing import index
from unifex.models.embedder import Embedder
from unifex.models.image_like import Crop
from unifex.retrieval.hits import SearchResult
from unifex.retrieval.search import search
from unifex.retrieval.suggestions import suggest

INK = (("white", "black"), ("black", "white"), ((242, 242, 247), (20, 20, 20)), ((18, 24, 33), (230, 230, 230)))
WORDS = "the of a shop new today price read more share saved since quiet river light house two blue paper we".split()
Picture = Image.Image


@dataclass(frozen=True)
class Drawn:
    """A query's JPEG, and where in it the picture is that it was drawn from."""

    data: bytes
    region: Region = WHOLE


def phone(picture: Picture, others: list[Picture], rng: random.Random) -> Drawn:
    """A screenshot: bars, a heading, the picture, text, buttons; light or dark."""
    width, height = rng.choice([(720, 1280), (720, 1560), (828, 1792), (1080, 1920)])
    ground, ink = rng.choice(INK)
    screen = Image.new("RGB", (width, height), ground)
    draw, unit = ImageDraw.Draw(screen), width // 36
    _text(draw, (unit, unit // 2), "9:41", unit, ink)
    draw.rectangle((width - 4 * unit, unit // 2, width - 2 * unit, unit * 3 // 2), outline=ink, width=2)
    y = 3 * unit
    if rng.random() < 0.7:
        draw.rectangle((0, y, width, y + 3 * unit), _colour(rng) if rng.random() < 0.5 else ground)
        _text(draw, (unit, y + unit), _words(rng, 3), unit * 3 // 2, ink)
        y += 3 * unit
    for _ in range(rng.randrange(0, 4)):
        y += 2 * unit
        _text(draw, (unit, y), _words(rng, 6), unit, ink)
    margin = rng.choice([0, 0, unit, 2 * unit])
    shown = _fit(picture, width - 2 * margin, height * 6 // 10)
    box = _paste(screen, shown, ((width - shown.width) // 2, y + 3 * unit))
    y = box[3] + unit
    for _ in range(rng.randrange(2, 9)):
        y += 2 * unit
        if y < height - 6 * unit:
            _text(draw, (unit, y), _words(rng, rng.randrange(3, 8)), unit, ink)
    for x in range(4):
        draw.ellipse([width * (2 * x + 1) // 8 - unit, height - 4 * unit, width * (2 * x + 1) // 8 + unit,
                      height - 2 * unit], outline=ink, width=3)  # fmt: skip
    return _saved(screen, box, rng)


def monitor(picture: Picture, others: list[Picture], rng: random.Random) -> Drawn:
    """A photograph of a monitor: the picture fills its screen or stands on it; bezel, desk, a turn, noise."""
    width, height = 1200, 900
    scene = _wall(rng, width, height)
    w, h = rng.randrange(560, 860), rng.randrange(420, 640)
    shown = _fit(picture, w, h)
    if rng.random() < 0.5:
        w, h = shown.size
    x, y = (width - w) // 2 + rng.randrange(-80, 81), (height - h) // 2 + rng.randrange(-60, 61)
    bezel = rng.randrange(10, 30)
    draw, dark = ImageDraw.Draw(scene), rng.randrange(10, 60)
    draw.rectangle((x - bezel, y - bezel, x + w + bezel, y + h + 2 * bezel), (dark,) * 3)
    draw.rectangle((x + w // 2 - 60, y + h + 2 * bezel, x + w // 2 + 60, height), (dark + 20,) * 3)
    draw.rectangle((x, y, x + w - 1, y + h - 1), rng.choice([(0, 0, 0), (250, 250, 250), (40, 70, 110)]))
    box = _paste(scene, shown, (x + (w - shown.width) // 2, y + (h - shown.height) // 2))
    angle = rng.uniform(-1.5, 1.5)
    scene = scene.rotate(angle, Image.Resampling.BICUBIC, fillcolor=(120, 110, 100)).filter(ImageFilter.GaussianBlur(1))
    noise = np.random.default_rng(rng.randrange(2**31)).normal(0, 5, (height, width, 1))
    light = np.linspace(rng.uniform(0.8, 1), rng.uniform(0.8, 1), width)[None, :, None]
    pixels = np.clip(np.asarray(scene) * light + noise, 0, 255).astype(np.uint8)
    return _saved(Image.fromarray(pixels), _turned(box, angle, (width, height)), rng)


def collage(picture: Picture, others: list[Picture], rng: random.Random) -> Drawn:
    """Two rows of two: the picture and three that the gallery has not; with and without space between."""
    side, gap = 420, rng.choice([0, 6, 16])
    ground, at = rng.choice([(255, 255, 255), (0, 0, 0), (200, 190, 180)]), rng.randrange(4)
    sheet = Image.new("RGB", (2 * side + 3 * gap, 2 * side + 3 * gap), ground)
    filled, boxes = rng.random() < 0.5, []
    for place, shown in enumerate([*others[:at], picture, *others[at:3]]):
        left, top = gap + (place % 2) * (side + gap), gap + (place // 2) * (side + gap)
        shown = shown.resize((side, side), Image.Resampling.BICUBIC) if filled else _fit(shown, side, side)
        boxes.append(_paste(sheet, shown, (left + (side - shown.width) // 2, top + (side - shown.height) // 2)))
    return _saved(sheet, boxes[at], rng)


def shelf(picture: Picture, others: list[Picture], rng: random.Random) -> Drawn:
    """The picture on boards, among and before other things that overlap each other."""
    width, height = 1200, 900
    scene = _wall(rng, width, height)
    draw = ImageDraw.Draw(scene)
    for row in range(3):
        foot = (row + 1) * height // 3 - 20
        draw.rectangle((0, foot, width, foot + 20), (110, 80, 50))
        x = rng.randrange(-60, 30)
        while x < width:
            shown = _fit(rng.choice(others), rng.randrange(120, 240), rng.randrange(150, 260))
            _paste(scene, shown, (x, foot - shown.height))
            x += shown.width + rng.randrange(-20, 40)
    shown = _fit(picture, rng.randrange(300, 460), rng.randrange(300, 460))
    x, y = rng.randrange(20, width - shown.width - 20), rng.randrange(20, height - shown.height - 20)
    return _saved(scene, _paste(scene, shown, (x, y)), rng)


Draw = Callable[[Picture, list[Picture], random.Random], Drawn]
KINDS: dict[str, Draw] = {
    "phone": phone, "monitor": monitor, "collage": collage, "shelf": shelf,
}  # fmt: skip


def _words(rng: random.Random, count: int) -> str:
    return " ".join(rng.choice(WORDS) for _ in range(count)).capitalize()


def _text(draw: ImageDraw.ImageDraw, at: tuple[int, int], text: str, size: int, ink) -> None:
    draw.text(at, text, ink, ImageFont.load_default(size))


def _colour(rng: random.Random) -> tuple[int, ...]:
    return tuple(rng.randrange(30, 230) for _ in range(3))


def _fit(picture: Picture, width: int, height: int) -> Picture:
    scale = min(width / picture.width, height / picture.height)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    return picture.resize(size, Image.Resampling.BICUBIC)


def _paste(onto: Picture, picture: Picture, at: tuple[int, int]) -> tuple[int, int, int, int]:
    onto.paste(picture, at)
    return at[0], at[1], at[0] + picture.width, at[1] + picture.height


def _wall(rng: random.Random, width: int, height: int) -> Picture:
    """A ground that is nowhere of one colour: a soft gradient."""
    corners = np.array([[_colour(rng) for _ in range(2)] for _ in range(2)], np.uint8)
    return Image.fromarray(corners).resize((width, height), Image.Resampling.BICUBIC)


def _turned(box: tuple[int, int, int, int], angle: float, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The smallest upright box around one that was turned by ``angle`` degrees about the middle of ``size``."""
    centre, radians = np.array(size) / 2, np.deg2rad(angle)
    turn = np.array([[np.cos(radians), -np.sin(radians)], [np.sin(radians), np.cos(radians)]])
    corners = np.array([[x, y] for x in box[::2] for y in box[1::2]])
    corners = (corners - centre) @ turn + centre
    (left, upper), (right, lower) = corners.min(0).round().astype(int), corners.max(0).round().astype(int)
    return max(0, left), max(0, upper), min(size[0], right), min(size[1], lower)


def _saved(image: Picture, box: tuple[int, int, int, int] | None, rng: random.Random) -> Drawn:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=rng.randrange(70, 95))
    return Drawn(stream.getvalue(), Region.of_pixels(_within(box, image.size), image.size) if box else WHOLE)


def _within(box: tuple[int, int, int, int], size: tuple[int, int]) -> tuple[int, int, int, int]:
    return max(0, box[0]), max(0, box[1]), min(size[0], box[2]), min(size[1], box[3])


def main() -> None:
    """Draw, search three ways, print shares of right first hits."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--each", type=int, default=60, help="queries of each kind")
    arguments = parser.parse_args()
    whole, true, own = compared(KINDS, arguments.manifest, arguments.each)
    plain_whole, plain_own = by_label(arguments.manifest)
    tell(
        Row("parts, the true box: recall@1", f"{true:.3f}", f"whole {whole:.3f}", true, 0.9),
        Row("parts, the program's box: recall@1", f"{own:.3f}", f"whole {whole:.3f}", own, 0.7),
        Row("plain queries, beside the whole", f"{plain_own:.3f}", f"{plain_whole:.3f}", plain_own / plain_whole, 1),
    )


def compared(kinds: Mapping[str, Draw], manifest: Path, each: int) -> tuple[float, float, float]:
    """Print a line a kind; the mean shares of right first hits of the whole, the true box and the program's own."""
    root, split = _read(manifest)
    with tempfile.TemporaryDirectory() as scratch:
        gallery = _gallery(Path(scratch), root, split["index"])
        shares = [_line(kind, *_judged(kind, draw, gallery, root, split, each)) for kind, draw in kinds.items()]
    whole, true, own = np.mean(shares, 0).tolist()
    return whole, true, own


def by_label(manifest: Path) -> tuple[float, float]:
    """Of plain queries the shares whose first hit has their label: with the whole, and where a part may be taken."""
    root, split = _read(manifest)
    with tempfile.TemporaryDirectory() as scratch:
        gallery = _gallery(Path(scratch), root, split["index"])
        right, seconds = [], []
        for row in split["query"]:
            whole, own, spent = _both(gallery, (root / row["path"]).read_bytes())
            right.append([found.hits[0].label == row["label"] for found in (whole, whole, own)])
            seconds.append(spent)
    whole, _, own = _line("plain, by label", right, seconds).tolist()
    return whole, own


def _read(manifest: Path) -> tuple[Path, dict[str, list[dict[str, str]]]]:
    """Where its paths begin, and its rows by split."""
    with manifest.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return manifest.resolve().parent, {
        name: [row for row in rows if row["split"] == name] for name in ("train", "query", "index")
    }


def _gallery(scratch: Path, root: Path, rows: list[dict[str, str]]) -> Gallery:
    listed = scratch / "index.csv"
    with listed.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["path", "domain", "label"], extrasaction="ignore")
        writer.writeheader()
        writer.writerows({**row, "path": str(root / row["path"])} for row in rows)
    gallery = Gallery.create(scratch / "g", Embedder.load())
    finish(index(gallery, str(listed)))
    return gallery


def _judged(
    kind: str, draw: Draw, gallery: Gallery, root: Path, split: dict, each: int
) -> tuple[list[list[bool]], list[float]]:
    """Right or not with the whole, the true box and the program's own, of each query; seconds that the last took."""
    judged, seconds = [], []
    for row in random.Random(kind).sample(split["index"], each):
        rng = random.Random(f"{kind} {row['path']}")
        others = [images.decode((root / o["path"]).read_bytes()).image for o in rng.sample(split["train"], 12)]
        query = draw(images.decode((root / row["path"]).read_bytes()).image, others, rng)
        whole, own, spent = _both(gallery, query.data)
        true = search(gallery, [Crop(query.data, query.region)], 1)
        judged.append([found.hits[0].record.uri == (root / row["path"]).as_posix() for found in (whole, true, own)])
        seconds.append(spent)
    return judged, seconds


def _both(gallery: Gallery, data: bytes) -> tuple[SearchResult, SearchResult, float]:
    """What the whole finds; what is found where the program may take a part, and how long it took to look for one."""
    whole = search(gallery, [data], 1)
    started = time.perf_counter()
    part = suggest(gallery, data, whole, 1)
    return whole, part.result if part else whole, time.perf_counter() - started


def _line(kind: str, judged: list[list[bool]], seconds: list[float]) -> np.ndarray:
    """Print and return the three shares."""
    shares = np.mean(judged, 0)
    whole, true, own = shares
    print(
        f"{kind:16} {len(judged):4} queries, recall@1: whole {whole:.3f}, true box {true:.3f}, its own {own:.3f}; "
        f"looked for in {1000 * np.median(seconds):.0f} ms", flush=True
    )  # fmt: skip
    return shares


if __name__ == "__main__":
    main()
