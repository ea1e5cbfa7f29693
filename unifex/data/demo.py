"""The synthetic demo gallery: 11 domains, 4 instances each, 6 views an instance, drawn by code.

It gives a new user something to search before any image of their own is there. Every instance is drawn once, flat, on
a transparent canvas (one function a domain, four variants); a view turns, tilts, scales, lights and partly covers it
before one of several backgrounds. Drawings use a 100 x 100 coordinate system and the generator's fixed seed, so every
machine gets the same pictures.
"""

from __future__ import annotations

import io
import math
import random
from collections.abc import Callable, Iterator
from functools import partial

from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont

from unifex.data.item import Item, Labels, Options, SourceKind

SPEC = "demo:"
SIDE = 320  # of a view, in pixels
VIEWS = 6
_CANVAS = 400
_UNIT = _CANVAS / 100

Colour = str


class Pen:
    """Draws on a transparent square in units of 1/100 of its side."""

    def __init__(self) -> None:
        self.image = Image.new("RGBA", (_CANVAS, _CANVAS))
        self._draw = ImageDraw.Draw(self.image)

    @staticmethod
    def _scaled(points) -> list[float]:
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


def _apparel(pen: Pen, variant: int) -> None:
    if variant == 3:  # a handbag
        pen.arc(30, 8, 70, 66, start=180, end=360, fill="#5b2a1d", width=4)
        pen.shape(18, 40, 82, 40, 90, 90, 10, 90, fill="#a4452c")
        pen.shape(18, 40, 82, 40, 66, 62, 34, 62, fill="#c65a3a")
        pen.disc(50, 62, 5, "#f2c14e")
        return
    body, trim, mark = (
        ("#e4572e", "#fff3e0", "stripes"),
        ("#2e86ab", "#f6f5ae", "star"),
        ("#3b8c4a", "#e8f5e9", "dots"),
    )[variant]
    pen.shape(30, 14, 8, 30, 16, 50, 28, 44, 28, 90, 72, 90, 72, 44, 84, 50, 92, 30, 70, 14, fill=body)
    pen.disc(50, 14, 13, trim, 8)
    pen.disc(50, 12, 10, "#20202022", 6)
    if mark == "stripes":
        for y in range(44, 88, 11):
            pen.box(28, y, 72, y + 5, fill=trim)
    elif mark == "star":
        points = [
            50 + radius * trig(math.radians(36 * i))
            for i in range(10)
            for radius in (17 if i % 2 == 0 else 7,)
            for trig in (math.sin, lambda a: -math.cos(a) + 0.6)
        ]
        pen.shape(*points, fill=trim)
    else:
        for i in range(12):
            pen.disc(35 + 10 * (i % 4), 48 + 13 * (i // 4), 3.2, trim)


def _packaged(pen: Pen, variant: int) -> None:
    if variant == 0:  # a can
        pen.box(28, 12, 72, 92, fill="#c1121f", radius=6)
        pen.disc(50, 13, 22, "#adb5bd", 5)
        pen.disc(50, 90, 22, "#8d0e18", 5)
        pen.shape(28, 66, 72, 40, 72, 58, 28, 84, fill="#fdf0d5")
        pen.text(50, 36, "FIZZ", 15, "#fdf0d5")
    elif variant == 1:  # a milk carton
        pen.shape(28, 34, 40, 12, 60, 12, 72, 34, fill="#cfe8ff")
        pen.box(38, 6, 62, 14, fill="#9cc8f0")
        pen.box(28, 34, 72, 94, fill="#ffffff")
        pen.box(28, 62, 72, 94, fill="#2a6fbb")
        pen.text(50, 47, "MILK", 14, "#2a6fbb")
        pen.disc(50, 78, 9, "#ffffff", 6)
    elif variant == 2:  # a cereal box
        pen.box(22, 8, 78, 94, fill="#ffb703", radius=1)
        pen.text(50, 22, "OATY", 15, "#023047")
        pen.disc(50, 64, 22, "#fb8500", 14)
        pen.disc(50, 60, 18, "#fffbe6", 9)
        for i in range(7):
            pen.ring(40 + 3.4 * i, 59 + 3 * math.sin(i * 2), 3, "#b5651d", 1.6)
    else:  # a green bottle
        pen.box(44, 6, 56, 30, fill="#1b6b3a")
        pen.box(43, 4, 57, 11, fill="#e9c46a")
        pen.box(34, 28, 66, 94, fill="#1b6b3a", radius=9)
        pen.box(34, 48, 66, 80, fill="#f4f1de")
        pen.text(50, 59, "OLIVA", 9, "#1b4332")
        pen.disc(50, 71, 5, "#6a994e")


def _landmarks(pen: Pen, variant: int) -> None:
    if variant == 0:  # a lattice tower
        pen.shape(48, 4, 52, 4, 60, 50, 76, 96, 66, 96, 50, 66, 34, 96, 24, 96, 40, 50, fill="#6b4f3a")
        for y in (26, 46, 62):
            pen.box(50 - y / 3.6, y, 50 + y / 3.6, y + 3.5, fill="#4a3628")
        pen.pie(36, 70, 64, 110, start=180, end=360, fill="#00000000")
    elif variant == 1:  # a temple with columns
        pen.shape(8, 36, 50, 12, 92, 36, fill="#d9c9a3")
        pen.box(10, 36, 90, 43, fill="#b8a67c")
        for i in range(6):
            pen.box(14 + 13 * i, 43, 21 + 13 * i, 84, fill="#e8dcc0")
        pen.box(8, 84, 92, 90, fill="#b8a67c")
        pen.box(4, 90, 96, 95, fill="#a08c60")
    elif variant == 2:  # a red suspension bridge
        pen.line(2, 40, 26, 12, 50, 52, 74, 12, 98, 40, fill="#b02a1c", width=2)
        for x in range(6, 98, 6):
            top = 12 + abs(abs(x - 50) - 24) * 1.5
            pen.line(x, min(top, 58), x, 64, fill="#c8503c", width=0.8)
        for x in (26, 74):
            pen.box(x - 3, 8, x + 3, 92, fill="#c0392b")
            pen.box(x - 3, 28, x + 3, 32, fill="#8e2a1d")
        pen.box(0, 62, 100, 68, fill="#a93226")
    else:  # an onion-domed church
        pen.box(22, 54, 78, 95, fill="#c44536")
        for x, height, hue in ((30, 40, "#2a9d8f"), (70, 40, "#e9c46a"), (50, 24, "#3a86ff")):
            pen.box(x - 7, height + 8, x + 7, 95, fill="#e07a5f")
            pen.disc(x, height + 4, 9, hue, 10)
            pen.shape(x - 4, height - 3, x, height - 16, x + 4, height - 3, fill=hue)
        pen.pie(42, 74, 58, 106, start=180, end=360, fill="#4a2c2a")


def _furniture(pen: Pen, variant: int) -> None:
    if variant == 0:  # an armchair
        pen.box(24, 20, 76, 70, fill="#2a9d8f", radius=12)
        pen.box(14, 44, 30, 84, fill="#21867a", radius=7)
        pen.box(70, 44, 86, 84, fill="#21867a", radius=7)
        pen.box(26, 58, 74, 80, fill="#3bb8a8", radius=5)
        for x in (22, 74):
            pen.box(x, 84, x + 4, 94, fill="#5b3a1e")
    elif variant == 1:  # a floor lamp
        pen.shape(34, 10, 66, 10, 78, 40, 22, 40, fill="#f4d35e")
        pen.box(48.5, 40, 51.5, 90, fill="#3d3d3d")
        pen.disc(50, 92, 18, "#3d3d3d", 4)
    elif variant == 2:  # a chest of drawers
        pen.box(16, 24, 84, 86, fill="#8d5a35", radius=2)
        for y in (29, 48, 67):
            pen.box(21, y, 79, y + 15, fill="#b07a4f", radius=1)
            pen.disc(50, y + 7.5, 2.4, "#f1e3c8")
        for x in (19, 76):
            pen.box(x, 86, x + 5, 95, fill="#6b4226")
    else:  # a striped vase with a plant
        for angle in range(-60, 61, 30):
            tip = (50 + 36 * math.sin(math.radians(angle)), 50 - 42 * math.cos(math.radians(angle)))
            pen.shape(47, 52, *tip, 53, 52, fill="#3a7d44")
            pen.disc(*tip, 6, "#52a35f")
        pen.shape(34, 50, 66, 50, 74, 72, 62, 95, 38, 95, 26, 72, fill="#e76f51")
        pen.shape(28, 64, 72, 64, 74, 72, 26, 72, fill="#f8edeb")


def _storefronts(pen: Pen, variant: int) -> None:
    wall, awning, sign, name = (
        ("#f2cc8f", "#e07a5f", "#3d405b", "BAKERY"),
        ("#cad2c5", "#354f52", "#2f3e46", "BOOKS"),
        ("#ffc8dd", "#cdb4db", "#7b2cbf", "FLOWERS"),
        ("#a2d2ff", "#1d3557", "#e63946", "BARBER"),
    )[variant]
    pen.box(4, 6, 96, 96, fill=wall)
    pen.box(10, 10, 90, 27, fill=sign, radius=2)
    pen.text(50, 18.5, name, 12, "#ffffff")
    for i in range(8):
        pen.shape(
            8 + 10.5 * i,
            31,
            18.5 + 10.5 * i,
            31,
            17.5 + 10.5 * i,
            45,
            9 + 10.5 * i,
            45,
            fill=awning if i % 2 else "#fff",
        )
    pen.box(12, 50, 56, 86, fill="#dff3ff", line="#55606e", width=1.5)
    pen.box(64, 50, 86, 96, fill=sign)
    pen.box(68, 55, 82, 74, fill="#dff3ff")
    for i in range(4):
        goods = (pen.disc, lambda x, y, r, f: pen.box(x - r, y - r * 1.6, x + r, y + r, fill=f))[variant % 2]
        goods(20 + 9.5 * i, 78, 4, ("#d68c45", "#bc4b51", "#5b8e7d", "#8cb369")[(i + variant) % 4])


def _dishes(pen: Pen, variant: int) -> None:
    pen.disc(50, 52, 44, "#f4f4f0")
    pen.disc(50, 52, 36, "#e2e2dc")
    if variant == 0:  # fried eggs and tomatoes
        for x, y in ((40, 46), (60, 60)):
            pen.disc(x, y, 15, "#ffffff", 13)
            pen.disc(x, y, 6.5, "#ffb703")
        for x, y in ((66, 38), (34, 66), (44, 74)):
            pen.disc(x, y, 6, "#d62828")
    elif variant == 1:  # a pizza
        pen.disc(50, 52, 34, "#c8893b")
        pen.disc(50, 52, 30, "#f6c445")
        for i in range(9):
            pen.disc(
                50 + 20 * math.cos(i * 2.4) * (0.4 + i / 14),
                52 + 20 * math.sin(i * 2.4) * (0.4 + i / 14),
                4.6,
                "#b3261e",
            )
        for angle in range(0, 180, 45):
            dx, dy = 34 * math.cos(math.radians(angle)), 34 * math.sin(math.radians(angle))
            pen.line(50 - dx, 52 - dy, 50 + dx, 52 + dy, fill="#c8893b", width=0.8)
    elif variant == 2:  # sushi
        for i in range(6):
            x, y = 30 + 20 * (i % 3), 40 + 24 * (i // 3)
            pen.disc(x, y, 9.5, "#1e2d24")
            pen.disc(x, y, 7.5, "#fbfbf5")
            pen.disc(x, y, 3.6, ("#ff7043", "#7cb342")[i % 2])
    else:  # a green salad
        for i in range(26):
            angle, radius = i * 2.39996, 5.6 * math.sqrt(i)
            pen.disc(
                50 + radius * math.cos(angle),
                52 + radius * math.sin(angle),
                8,
                ("#588157", "#a3b18a", "#3a5a40")[i % 3],
                6,
            )
        for x, y in ((42, 44), (60, 50), (48, 64)):
            pen.disc(x, y, 5.5, "#e63946")
            pen.disc(x, y, 3.6, "#ff8fa3")


def _artwork(pen: Pen, variant: int) -> None:
    pen.box(6, 8, 94, 92, fill=("#8c6a3f", "#2b2b2b", "#c9a44c", "#5a3a22")[variant])
    pen.box(12, 14, 88, 86, fill=("#10255e", "#f5f0e1", "#f7d6bf", "#dce9ef")[variant])
    if variant == 0:  # swirls over a village at night
        for x, y, r in ((30, 30, 9), (58, 26, 6), (76, 36, 8), (44, 46, 5)):
            for ring in range(3):
                pen.ring(x, y, r * (1 - 0.3 * ring), ("#f4d35e", "#8ecae6", "#fff3b0")[ring], 1.3)
        pen.shape(12, 86, 12, 68, 34, 60, 60, 70, 88, 62, 88, 86, fill="#1b4332")
        pen.shape(18, 86, 22, 38, 28, 86, fill="#081c15")
    elif variant == 1:  # blocks in primary colours
        pen.box(12, 14, 40, 46, fill="#d62828")
        pen.box(62, 60, 88, 86, fill="#1d4ed8")
        pen.box(12, 72, 30, 86, fill="#f7b801")
        for points in ((40, 14, 43, 86), (12, 46, 88, 49), (60, 49, 63, 86), (12, 70, 40, 73)):
            pen.box(*points, fill="#111111")
    elif variant == 2:  # a portrait
        pen.disc(50, 40, 22, "#3b2417", 24)
        pen.shape(22, 86, 34, 62, 66, 62, 78, 86, fill="#3a5a40")
        pen.disc(50, 46, 14, "#f1c9a5", 18)
        for x in (44, 56):
            pen.disc(x, 43, 1.8, "#2b2b2b")
        pen.arc(44, 48, 56, 57, start=20, end=160, fill="#a44a3f", width=1.2)
    else:  # a wave
        pen.shape(12, 60, 30, 30, 52, 24, 64, 36, 52, 38, 44, 50, 56, 66, 88, 70, 88, 86, 12, 86, fill="#1d4e89")
        for i in range(7):
            pen.disc(30 + 5.6 * i, 31 + (i - 3) ** 2 * 0.5, 3.4, "#ffffff")
        pen.shape(60, 74, 70, 56, 80, 74, fill="#7d8fa3")
        pen.shape(67, 61, 70, 56, 73, 61, fill="#ffffff")


def _toys(pen: Pen, variant: int) -> None:
    if variant == 0:  # a teddy bear
        for x in (30, 70):
            pen.disc(x, 20, 9, "#8d5524")
            pen.disc(x, 88, 12, "#8d5524", 8)
        pen.disc(50, 70, 26, "#a9682f", 24)
        pen.disc(50, 74, 15, "#e0b07c", 14)
        pen.disc(50, 34, 24, "#a9682f", 22)
        pen.disc(50, 42, 11, "#e0b07c", 8)
        for x in (41, 59):
            pen.disc(x, 30, 2.6, "#1b1b1b")
        pen.disc(50, 38, 3.4, "#1b1b1b", 2.6)
    elif variant == 1:  # a rubber duck
        pen.disc(54, 66, 34, "#ffd60a", 24)
        pen.disc(34, 36, 20, "#ffd60a")
        pen.shape(6, 38, 18, 32, 18, 46, fill="#fb8500")
        pen.disc(30, 32, 3, "#1b1b1b")
        pen.disc(62, 64, 15, "#f2b800", 10)
    elif variant == 2:  # building blocks
        for x, y, hue in ((14, 62, "#e63946"), (50, 62, "#1d74d8"), (32, 34, "#2a9d3f")):
            pen.box(x, y, x + 36, y + 28, fill=hue, radius=2)
            for i in range(2):
                pen.box(x + 5 + 16 * i, y - 5, x + 15 + 16 * i, y + 1, fill=hue, radius=1.5)
                pen.box(x + 5 + 16 * i, y - 5, x + 15 + 16 * i, y - 3, fill="#ffffff66", radius=1.5)
    else:  # a robot
        pen.line(50, 6, 50, 18, fill="#6c757d", width=2)
        pen.disc(50, 6, 4, "#e63946")
        pen.box(30, 16, 70, 44, fill="#adb5bd", radius=5)
        for x in (41, 59):
            pen.disc(x, 28, 5.5, "#00b4d8")
        pen.box(40, 37, 60, 40, fill="#495057")
        pen.box(26, 47, 74, 80, fill="#868e96", radius=4)
        for i in range(3):
            pen.disc(38 + 12 * i, 58, 3.6, ("#ffd60a", "#80ed99", "#ff6b6b")[i])
        for x in (16, 76):
            pen.box(x, 50, x + 8, 74, fill="#adb5bd", radius=3)
        for x in (34, 56):
            pen.box(x, 80, x + 10, 94, fill="#adb5bd", radius=2)


def _memes(pen: Pen, variant: int) -> None:
    ground, top, bottom = (
        ("#7ec8e3", "ONE DOES NOT", "SIMPLY SORT PHOTOS"),
        ("#ffd166", "SUCH SEARCH", "MUCH VECTOR"),
        ("#9bc53d", "FOUND IT", "ON PAGE ONE"),
        ("#c3aed6", "NOT SURE IF CAT", "OR EMBEDDING"),
    )[variant]
    pen.box(4, 4, 96, 96, fill=ground)
    skin = ("#f2c9a1", "#d9a566", "#7cb518", "#8a8a8a")[variant]
    if variant in (1, 3):  # ears
        for x in (30, 70):
            pen.shape(x - 9, 38, x + (x - 50) * 0.3, 18, x + 9, 38, fill=skin)
    pen.disc(50, 52, 25, skin, 24)
    for x in (41, 59):
        pen.disc(x, 47, 5, "#ffffff", 5 if variant != 3 else 2.4)
        pen.disc(x + 1, 47, 2.4, "#111111", 2.4 if variant != 3 else 1.6)
    if variant == 2:
        pen.pie(36, 48, 64, 72, start=0, end=180, fill="#7a1f1f")
    else:
        pen.line(41, 63, 50, 65 if variant else 61, 59, 63, fill="#5b2a1d", width=1.8)
    pen.text(50, 13, top, 9.5, "#ffffff", "#000000")
    pen.text(50, 88, bottom, 8 if len(bottom) > 14 else 9.5, "#ffffff", "#000000")


def _illustrations(pen: Pen, variant: int) -> None:
    if variant == 0:  # a rocket
        pen.shape(40, 70, 60, 70, 50, 97, fill="#ff9f1c")
        pen.shape(30, 76, 38, 48, 62, 48, 70, 76, fill="#e63946")
        pen.disc(50, 44, 15, "#f1faee", 36)
        pen.disc(50, 36, 7.5, "#457b9d")
        pen.disc(50, 36, 5, "#a8dadc")
    elif variant == 1:  # a sun behind mountains
        pen.disc(50, 46, 28, "#f9c74f")
        pen.shape(4, 92, 34, 40, 62, 92, fill="#577590")
        pen.shape(36, 92, 68, 48, 98, 92, fill="#43aa8b")
        pen.shape(27, 52, 34, 40, 41, 53, fill="#ffffff")
    elif variant == 2:  # an owl
        pen.disc(50, 56, 30, "#6d4c41", 38)
        for x in (37, 63):
            pen.shape(x - 11, 28, x + (x - 50) * 0.8, 8, x + 11, 30, fill="#6d4c41")
            pen.disc(x, 42, 13, "#fff8e1")
            pen.disc(x, 42, 6, "#212121")
        pen.shape(45, 50, 55, 50, 50, 60, fill="#ffb300")
        for i in range(9):
            pen.arc(
                34 + 11 * (i % 3),
                62 + 8 * (i // 3),
                45 + 11 * (i % 3),
                71 + 8 * (i // 3),
                start=0,
                end=180,
                fill="#d7ccc8",
                width=1.2,
            )
    else:  # a cactus
        pen.box(42, 14, 58, 80, fill="#2d9d6a", radius=8)
        pen.box(20, 36, 30, 58, fill="#2d9d6a", radius=5)
        pen.box(20, 50, 46, 59, fill="#2d9d6a", radius=4)
        pen.box(70, 28, 80, 52, fill="#2d9d6a", radius=5)
        pen.box(54, 44, 80, 53, fill="#2d9d6a", radius=4)
        pen.shape(30, 76, 70, 76, 64, 96, 36, 96, fill="#d1603d")
        pen.disc(50, 13, 5, "#ff70a6")


def _cars(pen: Pen, variant: int) -> None:
    body, dark = (("#d00000", "#6a040f"), ("#ffba08", "#7f5539"), ("#1b4965", "#0b2535"), ("#74c69d", "#2d6a4f"))[
        variant
    ]
    if variant == 0:  # a coupe
        pen.shape(2, 68, 8, 56, 30, 52, 44, 38, 66, 38, 84, 52, 96, 56, 98, 70, fill=body)
        pen.shape(36, 52, 46, 42, 55, 42, 55, 52, fill="#cfe8ff")
        pen.shape(58, 52, 58, 42, 65, 42, 76, 52, fill="#cfe8ff")
    elif variant == 1:  # a bus
        pen.box(4, 28, 96, 72, fill=body, radius=5)
        for i in range(5):
            pen.box(9 + 16 * i, 34, 21 + 16 * i, 49, fill="#dff3ff", radius=1)
        pen.box(4, 56, 96, 60, fill=dark)
    elif variant == 2:  # a pick-up
        pen.box(4, 52, 96, 72, fill=body, radius=3)
        pen.shape(40, 54, 46, 34, 68, 34, 76, 54, fill=body)
        pen.shape(46, 52, 50, 39, 65, 39, 71, 52, fill="#cfe8ff")
        pen.box(4, 46, 40, 54, fill=dark)
    else:  # a beetle
        pen.pie(10, 30, 90, 112, start=180, end=360, fill=body)
        pen.pie(28, 36, 72, 84, start=180, end=360, fill="#dff3ff")
        pen.box(49, 36, 52, 62, fill=body)
        pen.box(10, 60, 90, 73, fill=body)
    pen.disc(95, 62, 2.6, "#fff3b0")
    for x in (24, 76):
        pen.disc(x, 72, 11, "#1c1c1c")
        pen.disc(x, 72, 5, "#ced4da")


_DOMAINS: dict[str, tuple[Callable[[Pen, int], None], tuple[str, str, str, str]]] = {
    "apparel & accessories": (_apparel, ("striped shirt", "star shirt", "dotted shirt", "leather bag")),
    "packaged goods": (_packaged, ("fizz can", "milk carton", "cereal box", "olive oil")),
    "landmarks": (_landmarks, ("lattice tower", "column temple", "red bridge", "domed church")),
    "furniture & home decor": (_furniture, ("teal armchair", "floor lamp", "drawer chest", "potted plant")),
    "storefronts": (_storefronts, ("bakery", "book shop", "flower shop", "barber shop")),
    "dishes": (_dishes, ("fried eggs", "pizza", "sushi", "green salad")),
    "artwork": (_artwork, ("night swirls", "primary blocks", "portrait", "great wave")),
    "toys": (_toys, ("teddy bear", "rubber duck", "building blocks", "robot")),
    "memes": (_memes, ("does not simply", "such search", "found it", "not sure if")),
    "illustrations": (_illustrations, ("rocket", "sun and mountains", "owl", "cactus")),
    "cars": (_cars, ("red coupe", "yellow bus", "blue pick-up", "green beetle")),
}


class Demo:
    """The drawn pictures as a source. The first view of every instance is a query, the others are the index."""

    spec = SPEC
    options = Options(keep=True)

    def count(self) -> int:
        """11 domains x 4 instances x 6 views."""
        return len(_DOMAINS) * 4 * VIEWS

    def __iter__(self) -> Iterator[Item]:
        for domain, (_, labels) in _DOMAINS.items():
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
    pen = Pen()
    _DOMAINS[domain][0](pen, variant)
    scene = _background(rng)
    _place(scene, pen.image, rng, plain=view == 0)
    if view % 3 == 2:
        _occlude(scene, rng)
    scene = _light(scene, rng)
    stream = io.BytesIO()
    scene.save(stream, "JPEG", quality=88)
    return stream.getvalue()


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
    bend = 0 if plain else rng.uniform(0.02, 0.16) * _CANVAS
    lean = rng.choice((-1, 1))
    left, right = (bend, 0) if lean > 0 else (0, bend)
    quad = (0, -left, 0, _CANVAS + left, _CANVAS, _CANVAS + right, _CANVAS, -right)
    drawing = drawing.transform(drawing.size, Image.Transform.QUAD, quad, Image.Resampling.BICUBIC)
    drawing = drawing.rotate(0 if plain else rng.uniform(-22, 22), Image.Resampling.BICUBIC, expand=True)
    side = int(SIDE * (0.82 if plain else rng.uniform(0.5, 0.9)))
    drawing = drawing.resize((side, side), Image.Resampling.BICUBIC)
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
