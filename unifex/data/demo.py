"""The synthetic demo gallery: 11 domains, 4 instances each, 6 views an instance, drawn by code.

It gives a new user something to search before any image of their own is there. Every instance is drawn once, flat, on
a transparent canvas, from its lines in ``demo_drawings.txt``; a view turns, tilts, scales, lights and partly covers it
before one of several backgrounds. Drawings use a 100 x 100 coordinate system and the generator's fixed seed, so every
machine gets the same pictures.
"""

from __future__ import annotations

import io
import math
import random
import shlex
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache, partial
from pathlib import Path

from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont

from unifex.data.item import Item, Labels, Options, SourceKind

SPEC = "demo:"
SIDE = 320  # of a view, in pixels
VIEWS = 6
_CANVAS = 400
_UNIT = _CANVAS / 100

_DRAWINGS = Path(__file__).with_name("demo_drawings.txt")
_TEXTS = frozenset(("fill", "line", "outline", "text"))  # of what a drawing names, that is no number

Colour = str


def _named(word: str) -> tuple[str, str | float]:
    name, _, value = word.partition("=")
    return name, value if name in _TEXTS else float(value)


class Pen:
    """Draws on a transparent square in units of 1/100 of its side."""

    def __init__(self) -> None:
        self.image = Image.new("RGBA", (_CANVAS, _CANVAS))
        self._draw = ImageDraw.Draw(self.image)

    def draw(self, line: str) -> None:
        """One line of a drawing: the name of an action below, its points, and ``name=value`` for the rest."""
        action, *words = shlex.split(line)
        points = [float(word) for word in words if "=" not in word]
        getattr(self, action)(*points, **dict(map(_named, (word for word in words if "=" in word))))

    @staticmethod
    def _scaled(points: Sequence[float]) -> list[float]:
        return [value * _UNIT for value in points]

    def box(
        self, *points: float, fill: Colour, radius: float = 0, line: Colour | None = None, width: float = 0
    ) -> None:
        self._draw.rounded_rectangle(
            self._scaled(points), radius * _UNIT, fill, line, max(1, round(width * _UNIT)) if line else 0
        )

    def disc(self, x: float, y: float, r: float, fill: Colour, ry: float | None = None) -> None:
        ry = r if ry is None else ry
        self._draw.ellipse(self._scaled((x - r, y - ry, x + r, y + ry)), fill)

    def ring(self, x: float, y: float, r: float, line: Colour, width: float) -> None:
        self._draw.ellipse(self._scaled((x - r, y - r, x + r, y + r)), None, line, round(width * _UNIT))

    def shape(self, *points: float, fill: Colour) -> None:
        self._draw.polygon(self._scaled(points), fill)

    def line(self, *points: float, fill: Colour, width: float) -> None:
        self._draw.line(self._scaled(points), fill, round(width * _UNIT), joint="curve")

    def arc(self, *points: float, start: float, end: float, fill: Colour, width: float) -> None:
        self._draw.arc(self._scaled(points), start, end, fill, round(width * _UNIT))

    def pie(self, *points: float, start: float, end: float, fill: Colour) -> None:
        self._draw.pieslice(self._scaled(points), start, end, fill)

    def text(self, x: float, y: float, text: str, size: float, fill: Colour, outline: Colour | None = None) -> None:
        font = ImageFont.load_default(size * _UNIT)
        stroke = round(size * _UNIT / 14) if outline else 0
        self._draw.text((x * _UNIT, y * _UNIT), text, fill, font, "mm", stroke_width=stroke, stroke_fill=outline)


@cache
def drawings() -> dict[str, dict[str, list[str]]]:
    """Domain -> label -> the lines of its drawing."""
    found: dict[str, dict[str, list[str]]] = {}
    lines: list[str] = []
    for line in _DRAWINGS.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            domain, label = line.strip("[]").split("/")
            lines = found.setdefault(domain, {}).setdefault(label, [])
        elif line and not line.startswith("#"):
            lines.append(line)
    return found


class Demo:
    """The drawn pictures as a source. The first view of every instance is a query, the others are the index."""

    spec = SPEC
    options = Options(keep=True)

    def count(self) -> int:
        """11 domains x 4 instances x 6 views."""
        return sum(map(len, drawings().values())) * VIEWS

    def __iter__(self) -> Iterator[Item]:
        for domain, labels in drawings().items():
            for variant, label in enumerate(labels):
                for view in range(VIEWS):
                    path = f"{domain}/{label}/{view}.jpg"
                    yield Item(
                        uri=f"{SPEC}{path}",
                        path=path,
                        read=partial(render, domain, variant, view),
                        labels=Labels(label, domain, "query" if view == 0 else "index"),
                        stamp="1",
                        keep=True,
                    )


DEMO = SourceKind("the demo", "", "Pictures that are drawn here.", lambda spec, options: Demo(), prefix=SPEC)


def render(domain: str, variant: int, view: int) -> bytes:
    """JPEG bytes of one view of one instance."""
    rng = random.Random(f"{domain}/{variant}/{view}")
    scene = _background(rng)
    _place(scene, _drawn(domain, variant), rng, plain=view == 0)
    if view % 3 == 2:
        _occlude(scene, rng)
    scene = _light(scene, rng)
    stream = io.BytesIO()
    scene.save(stream, "JPEG", quality=88)
    return stream.getvalue()


@lru_cache(8)
def _drawn(domain: str, variant: int) -> Image.Image:
    """An instance, flat, on a transparent canvas."""
    pen = Pen()
    for line in list(drawings()[domain].values())[variant]:
        pen.draw(line)
    return pen.image


def _background(rng: random.Random) -> Image.Image:
    """A soft two-colour gradient with a few shapes, as a shelf, a wall or a sky would give."""
    hue = rng.randrange(360)
    first, second = (
        f"hsl({(hue + shift) % 360}, {rng.randrange(12, 46)}%, {rng.randrange(62, 92)}%)" for shift in (0, 40)
    )
    side = SIDE // 4  # drawn small and enlarged, which softens every edge
    corners = Image.new("RGB", (2, 2), first)
    corners.paste(second, (rng.randrange(2), 1, 2, 2))
    scene = corners.resize((side, side), Image.Resampling.BILINEAR)
    draw = ImageDraw.Draw(scene, "RGBA")
    for _ in range(rng.randrange(3, 8)):
        x, y, r = rng.randrange(side), rng.randrange(side), rng.randrange(5, 28)
        shade = (255, 255, 255, 50) if rng.random() < 0.5 else (40, 40, 60, 28)
        (draw.ellipse if rng.random() < 0.5 else draw.rectangle)((x - r, y - r, x + r, y + r), shade)
    if rng.random() < 0.5:
        draw.rectangle((0, int(side * 0.8), side, side), (60, 45, 30, 70))
    return scene.resize((SIDE, SIDE), Image.Resampling.BICUBIC)


def _place(scene: Image.Image, drawing: Image.Image, rng: random.Random, plain: bool) -> None:
    """Tilt (a perspective), turn, scale and set the drawing down, with a shadow."""
    bend = 0 if plain else rng.uniform(0.02, 0.16)
    lean = rng.choice((-1, 1))
    angle = 0 if plain else rng.uniform(-22, 22)
    side = int(SIDE * (0.82 if plain else rng.uniform(0.5, 0.9)))
    turned = math.cos(math.radians(abs(angle))) + math.sin(math.radians(abs(angle)))  # times as wide as before
    size = round(side / turned)  # first of all: what is small is bent and turned in half of the time
    drawing = drawing.resize((size, size), Image.Resampling.BICUBIC, reducing_gap=2)
    left, right = (bend * size, 0) if lean > 0 else (0, bend * size)
    quad = (0, -left, 0, size + left, size, size + right, size, -right)
    drawing = drawing.transform(drawing.size, Image.Transform.QUAD, quad, Image.Resampling.BILINEAR)
    drawing = drawing.rotate(angle, Image.Resampling.BILINEAR, expand=True)
    side = drawing.width
    room = SIDE - side
    x, y = (room // 2, room // 2) if plain else (rng.randint(0, room), rng.randint(0, room))
    shadow = Image.new("RGBA", drawing.size, (0, 0, 0, 0))
    shadow.paste((20, 20, 30, 90), mask=drawing.getchannel("A").filter(ImageFilter.BoxBlur(6)))
    scene.paste(shadow, (x + 6, y + 8), shadow)
    scene.paste(drawing, (x, y), drawing)


def _occlude(scene: Image.Image, rng: random.Random) -> None:
    """Something in front, at an edge: a post, a sheet of paper, a ball."""
    draw = ImageDraw.Draw(scene, "RGBA")
    colour = tuple(rng.randrange(40, 220) for _ in range(3))
    at, width = rng.randrange(SIDE), rng.randrange(18, 44)
    kind = rng.randrange(3)
    if kind == 0:
        draw.rectangle((at, 0, at + width, SIDE), colour)
    elif kind == 1:
        draw.polygon((0, SIDE, 0, SIDE - 3 * width, 4 * width, SIDE), colour)
    else:
        draw.ellipse((at - 50, SIDE - 80, at + 50, SIDE + 20), colour)


def _light(scene: Image.Image, rng: random.Random) -> Image.Image:
    """Exposure, contrast and warmth of another lamp."""
    scene = ImageEnhance.Brightness(scene).enhance(rng.uniform(0.72, 1.18))
    scene = ImageEnhance.Contrast(scene).enhance(rng.uniform(0.8, 1.15))
    return ImageEnhance.Color(scene).enhance(rng.uniform(0.7, 1.2))
