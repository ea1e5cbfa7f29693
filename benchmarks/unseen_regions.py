"""The figures of :mod:`benchmarks.regions` on kinds of pictures within pictures that nothing was tuned on.

    python -m benchmarks.unseen_regions MANIFEST.csv [--each 40]

Other layouts, borders, grounds and sizes, and things that are no upright rectangle: a screen in landscape with rounded
corners, a photograph of a print in perspective, a strip and a grid of nine mostly without space between, and a stall of
turned and round things, one of which stands before the one that is looked for.
"""

from __future__ import annotations

import argparse
import io
import random
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from benchmarks.regions import Draw, Drawn, Picture, compared
from benchmarks.table import Row, tell
from unifex.core.regions import Region

Box = tuple[int, int, int, int]


def screen(picture: Picture, others: list[Picture], rng: random.Random) -> Drawn:
    """A tablet's or computer's: a column of text or of other pictures beside it, rounded corners, a tinted ground."""
    width, height = rng.choice([(1366, 768), (1024, 768), (1180, 820), (640, 960)])
    ground = tuple(rng.randrange(200, 256) for _ in range(3)) if rng.random() < 0.6 else (32, 33, 36)
    image = Image.new("RGB", (width, height), ground)
    draw, side = ImageDraw.Draw(image), rng.choice([0, width // 5, width // 4])
    draw.rectangle((0, 0, width, rng.randrange(28, 70)), tuple(c * 3 // 4 for c in ground))
    for number in range(4 if side else 0):
        _place(image, _within(others[number], side - 30, height // 6), (12, 90 + number * (height // 5)))
    shown = _within(picture, (width - side) * rng.uniform(0.45, 0.85), height * rng.uniform(0.45, 0.75))
    x, y = side + rng.randrange(10, max(11, width - side - shown.width - 10)), rng.randrange(75, height - shown.height)
    box = _place(image, shown, (x, y), _rounded(shown.size, rng.choice([0, 12, 28])))
    for line in range(y + shown.height + 14, height - 14, 22):
        draw.rectangle((x, line, x + rng.randrange(80, max(81, shown.width)), line + 7), (128, 128, 128))
    return _written(image, box, rng, rng.choice(["PNG", "JPEG"]))


def printed(picture: Picture, others: list[Picture], rng: random.Random) -> Drawn:
    """A photograph of a print with a white edge on a table: seen from the side, turned, lit unevenly."""
    size = rng.choice([(1280, 960), (900, 1200)])
    table = _ground(rng, size)
    shown = _within(picture, size[0] * rng.uniform(0.4, 0.7), size[1] * rng.uniform(0.4, 0.7))
    edge = rng.choice([0, 12, 30])
    sheet = Image.new("RGB", (shown.width + 2 * edge, shown.height + 2 * edge), (245, 243, 238))
    sheet.paste(shown, (edge, edge))
    at = np.array([rng.randrange(30, size[0] - sheet.width), rng.randrange(30, size[1] - sheet.height)])
    corners = at + np.array([(0, 0), (sheet.width, 0), (sheet.width, sheet.height), (0, sheet.height)])
    jitter = np.array([[rng.uniform(-0.05, 0.05) * side for side in sheet.size] for _ in range(4)])
    moved = np.clip(corners + jitter, 0, size)
    seen = Image.composite(_warped(sheet, moved, size), table, _warped(Image.new("L", sheet.size, 255), moved, size))
    light = np.linspace(rng.uniform(0.6, 1.1), rng.uniform(0.6, 1.1), size[1])[:, None, None]
    noise = np.random.default_rng(rng.randrange(2**31)).normal(0, 4, (size[1], size[0], 3))
    pixels = np.clip(np.asarray(seen.filter(ImageFilter.GaussianBlur(0.8))) * light + noise, 0, 255).astype(np.uint8)
    (left, upper), (right, lower) = moved.min(0).astype(int), moved.max(0).astype(int)
    return _written(Image.fromarray(pixels), (int(left), int(upper), int(right), int(lower)), rng)


def mosaic(picture: Picture, others: list[Picture], rng: random.Random) -> Drawn:
    """A strip of three, a grid of nine, one large beside two small: mostly without space between."""
    gap, width, height = rng.choice([0, 0, 3, 24]), 960, rng.choice([640, 960])
    layouts = [
        [(i / 3, 0, 1 / 3, 1) for i in range(3)],
        [(i % 3 / 3, i // 3 / 3, 1 / 3, 1 / 3) for i in range(9)],
        [(0, 0, 0.6, 1), (0.6, 0, 0.4, 0.5), (0.6, 0.5, 0.4, 0.5)],
    ]
    places = rng.choice(layouts)
    at, image, box = rng.randrange(len(places)), Image.new("RGB", (width, height), _colour(rng)), (0, 0, 1, 1)
    for number, (x, y, w, h) in enumerate(places):
        panel = max(1, round(w * width) - gap), max(1, round(h * height) - gap)
        filled = _placed(
            image, picture if number == at else others[number], panel, (round(x * width), round(y * height))
        )
        box = filled if number == at else box
    return _written(image, box, rng)


def stand(picture: Picture, others: list[Picture], rng: random.Random) -> Drawn:
    """A stall: turned, round and upright things over each other; the picture is one of them, partly covered perhaps."""
    width, height = rng.choice([(1280, 960), (960, 1280), (1100, 1100)])
    scene = _ground(rng, (width, height))
    for _ in range(rng.randrange(14, 26)):
        thing = _within(rng.choice(others), rng.randrange(150, 300), rng.randrange(150, 300))
        _turn_in(scene, thing, (rng.randrange(-60, width - 60), rng.randrange(-60, height - 60)), rng)
    shown = _within(picture, *(rng.uniform(0.28, 0.5) * min(width, height),) * 2)
    x, y = rng.randrange(width - shown.width), rng.randrange(height - shown.height)
    box = _turn_in(scene, shown, (x, y), rng)
    thing = _within(rng.choice(others), 130, 130)  # before a corner of it
    _place(scene, thing, (x - thing.width // 2, y + shown.height - thing.height // 2))
    return _written(scene, box, rng)


UNSEEN: dict[str, Draw] = {
    "screen": screen, "print": printed, "mosaic": mosaic, "stand": stand,
}  # fmt: skip


def _colour(rng: random.Random) -> tuple[int, ...]:
    return tuple(rng.randrange(256) for _ in range(3))


def _within(picture: Picture, width: float, height: float) -> Picture:
    scale = min(width / picture.width, height / picture.height)
    return picture.resize([max(24, round(scale * side)) for side in picture.size], Image.Resampling.LANCZOS)


def _rounded(size: tuple[int, int], radius: int) -> Picture:
    mask = Image.new("L", size)
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, size[0] - 1, size[1] - 1), radius, 255)
    return mask


def _place(onto: Picture, picture: Picture, at: tuple[int, int], mask: Picture | None = None) -> Box:
    onto.paste(picture, at, mask)
    right, lower = min(onto.width, at[0] + picture.width), min(onto.height, at[1] + picture.height)
    return max(0, at[0]), max(0, at[1]), right, lower


def _placed(onto: Picture, picture: Picture, panel: tuple[int, int], at: tuple[int, int]) -> Box:
    """Fill a panel as galleries do: cut to its shape about the middle."""
    scale = max(panel[0] / picture.width, panel[1] / picture.height)
    large = picture.resize([max(side, round(scale * own)) for side, own in zip(panel, picture.size)])
    left, upper = (large.width - panel[0]) // 2, (large.height - panel[1]) // 2
    return _place(onto, large.crop((left, upper, left + panel[0], upper + panel[1])), at)


def _turn_in(onto: Picture, picture: Picture, at: tuple[int, int], rng: random.Random) -> Box:
    """Lay it there: turned by up to 12 degrees, round, or upright."""
    mask = Image.new("L", picture.size, 255)
    shape = rng.choice(["turned", "round", "upright"])
    if shape == "round":
        mask = Image.new("L", picture.size)
        ImageDraw.Draw(mask).ellipse((0, 0, picture.width - 1, picture.height - 1), 255)
    angle = rng.uniform(-12, 12) if shape == "turned" else 0
    turned, mask = (one.rotate(angle, Image.Resampling.BICUBIC, expand=True) for one in (picture, mask))
    return _place(onto, turned, at, mask)


def _ground(rng: random.Random, size: tuple[int, int]) -> Picture:
    """Streaks of two colours, as of wood or cloth."""
    noise = np.random.default_rng(rng.randrange(2**31)).random((size[1] // 8, 6))
    streaks = Image.fromarray((255 * noise).astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)
    return Image.composite(Image.new("RGB", size, _colour(rng)), Image.new("RGB", size, _colour(rng)), streaks)


def _warped(picture: Picture, corners: np.ndarray, size: tuple[int, int]) -> Picture:
    """In perspective: its corners, clockwise from the upper left, come to ``corners`` float [4, 2] of ``size``."""
    w, h = picture.size
    rows, values = [], []
    for (x, y), (u, v) in zip(corners.tolist(), [(0, 0), (w, 0), (w, h), (0, h)]):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    solved = np.linalg.solve(np.array(rows), np.array(values)).tolist()
    return picture.transform(size, Image.Transform.PERSPECTIVE, solved, Image.Resampling.BICUBIC)


def _written(image: Picture, box: Box, rng: random.Random, kind: str = "JPEG") -> Drawn:
    stream = io.BytesIO()
    image.save(stream, kind, **({"quality": rng.randrange(55, 96)} if kind == "JPEG" else {}))
    return Drawn(stream.getvalue(), Region.of_pixels(box, image.size))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--each", type=int, default=40, help="queries of each kind")
    arguments = parser.parse_args()
    whole, true, own = compared(UNSEEN, arguments.manifest, arguments.each)
    tell(
        Row("unseen kinds, the true box: recall@1", f"{true:.3f}", f"whole {whole:.3f}", true, 0.9),
        Row("unseen kinds, the program's box: recall@1", f"{own:.3f}", f"whole {whole:.3f}", own, 0.7),
    )


if __name__ == "__main__":
    main()
