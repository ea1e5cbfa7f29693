"""An image -> the boxes in it that are pictures of their own: of a screenshot, a collage, a photographed screen.

Two signs are read from a small copy. Rows and columns of one colour stand between things (cut again and again, as the
recursive XY-cut of Nagy and Seth 1984 does with pages), and straight edges that close a rectangle stand around them.
Where neither is, as of a thing on a shelf, there are windows that cover the picture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from unifex.core import images
from unifex.core.language import to_say
from unifex.core.regions import Region
from unifex.models.image_like import read

SEEN_SIDE = 512  # pixels that are decoded to look for boxes; more show no more of them
SIDE = 256  # pixels of the small copy's longer side
WINDOWS = (0.52, 0.36)  # their sides, of that of a square as large as the picture; half of each lies in the next
MAX_PROPOSALS = 10
MOST_ALONG = 16  # windows side by side
_LEVELS = 22  # colours of a row that lie within are one colour, of 0..255
_EDGE = 10  # neighbours that differ by more are an edge
_LEAST_SIDE, _LEAST_AREA, _MOST_AREA = 0.08, 0.015, 0.97  # of the picture
_DEPTH = 6  # cuts within cuts
_LINES = 26  # the longest straight edges of each direction that are tried as sides
_RUN = 0.1  # of the picture that an edge is straight for, at least
_CLOSED, _LEAST_CLOSED = 0.72, 0.3  # of a rectangle's sides that are edges: on average, and of each
_ENDS, _REACH = 0.4, 0.05  # how much it counts that sides go on beyond the corners, for this share of the picture
_SIZE = 0.04  # how much it counts to be twice as large
_TRIED = 300  # of the best, before those that are one are joined
_SAME = 0.85  # intersection over union of two boxes that are one

_Box = tuple[int, int, int, int]  # left, upper, right, lower
_Found = tuple[_Box, str]  # and why

BORDER = to_say("inside an even border")
PANEL = to_say("one of several parts")
FRAME = to_say("inside straight edges")
WINDOW = to_say("a closer look")


@dataclass(frozen=True)
class Proposal:
    """A part of a picture that may be one of its own; ``reason`` says to people why: "inside an even border"."""

    region: Region
    reason: str


def propose(image: Image.Image | bytes | str | Path) -> list[Proposal]:
    """At most :data:`MAX_PROPOSALS` parts of an image, the most likely first; none of a plain picture.

    Deterministic; some 15 ms besides decoding. Raises ``images.ImageError`` for what is no image.
    """
    pixels = np.asarray(_small(seen(image))).astype(np.int16)
    height, width = pixels.shape[:2]
    cut: list[_Found] = []
    _cut(pixels, (0, 0, width, height), _DEPTH, cut)
    cut.sort(key=lambda found: _area(found[0]), reverse=True)
    chosen: dict[_Box, str] = {}
    for box, reason in _interleaved([(box, FRAME) for box in _rectangles(pixels)], cut):
        if _counts(box, width, height) and all(_overlap(box, other) < _SAME for other in chosen):
            chosen[box] = reason
    found = [Proposal(Region.of_pixels(box, (width, height)), reason) for box, reason in chosen.items()]
    return found[:MAX_PROPOSALS]


def windows(size: tuple[int, int]) -> list[Proposal]:
    """Squares of the sides :data:`WINDOWS` that cover a picture of ``size`` (width, height): some 36."""
    found = []
    for side in sorted({min(*size, share * math.sqrt(size[0] * size[1])) for share in WINDOWS}, reverse=True):
        across, down = ((_starts(length, side) / length).tolist() for length in size)
        w, h = (side / length for length in size)
        found += [Proposal(Region(x, y, min(w, 1 - x), min(h, 1 - y)), WINDOW) for y in down for x in across]
    return found


def _starts(length: int, side: float) -> np.ndarray:
    """Where windows of a side begin in a length, so that half of each lies in the next: float64 [n], ascending."""
    count = 1 + math.ceil(2 * (length - side) / side)
    return np.linspace(0, length - side, min(count, MOST_ALONG))


def seen(image: Image.Image | bytes | str | Path, side: int = SEEN_SIDE) -> Image.Image:
    """An image upright and in RGB; a file's at as many pixels as leave ``side`` of its shorter one, or a few more.

    Raises ``images.ImageError`` for what is no image.
    """
    if isinstance(image, Image.Image):
        return images.upright_rgb(image)
    return images.decode(image if isinstance(image, bytes) else read(image), side).image


def _small(image: Image.Image) -> Image.Image:
    scale = SIDE / max(image.size)
    if scale >= 1:
        return image
    width, height = (max(1, round(side * scale)) for side in image.size)
    return image.resize((width, height), Image.Resampling.BOX)


def _interleaved(first: list[_Found], second: list[_Found]) -> list[_Found]:
    taking_turns = [box for both in zip(first, second) for box in both]
    shorter = min(len(first), len(second))
    return [*taking_turns, *first[shorter:], *second[shorter:]]


def _counts(box: _Box, width: int, height: int) -> bool:
    large = min((box[2] - box[0]) / width, (box[3] - box[1]) / height) >= _LEAST_SIDE
    return large and _LEAST_AREA <= _area(box) / (width * height) <= _MOST_AREA


def _area(box: _Box) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])


def _overlap(a: _Box, b: _Box) -> float:
    """Intersection over union."""
    across, down = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(0, across) * max(0, down)
    return shared / (_area(a) + _area(b) - shared)


def _cut(pixels: np.ndarray, box: _Box, depth: int, found: list[_Found]) -> None:
    """Add the parts of a box that rows or columns of one colour leave, and theirs."""
    left, upper, right, lower = box
    inside = pixels[upper:lower, left:right]
    if not depth or min(inside.shape[:2]) < 8:
        return
    rows, columns = _spans(_busy(inside, 1)), _spans(_busy(inside, 0))
    if rows == [(0, lower - upper)] and columns == [(0, right - left)]:
        return
    along_rows = len(rows) > 1 or len(columns) < 2  # of both, rows come first: pages run downwards
    spans = [(0, a, right - left, b) for a, b in rows] if along_rows else [(a, 0, b, lower - upper) for a, b in columns]
    for x1, y1, x2, y2 in spans:
        part = left + x1, upper + y1, left + x2, upper + y2
        found.append((part, PANEL if len(spans) > 1 else BORDER))
        _cut(pixels, part, depth - 1, found)


def _busy(pixels: np.ndarray, axis: int) -> np.ndarray:
    """Bool: which rows (axis 1) or columns (0) have more than one colour."""
    return (pixels.max(axis) - pixels.min(axis)).max(-1) > _LEVELS


def _spans(busy: np.ndarray) -> list[tuple[int, int]]:
    """[start, end) of the runs of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], busy, [False]]).astype(np.int8)))
    return [(start, end) for start, end in edges.reshape(-1, 2).tolist()]


def _rectangles(pixels: np.ndarray) -> list[_Box]:
    """Boxes whose four sides are straight edges, first those best closed whose sides end at the corners."""
    upright, level = _straight(pixels), _straight(pixels.transpose(1, 0, 2))
    height, width = pixels.shape[:2]
    (left, right), (upper, lower) = _pairs(_longest(upright), width), _pairs(_longest(level), height)
    down = np.concatenate([np.zeros((1, width + 1), np.float32), upright.cumsum(0)])  # [H + 1, W + 1]
    along = np.concatenate([np.zeros((1, height + 1), np.float32), level.cumsum(0)])
    sides = [_share(down[:, x], upper, lower) for x in (left, right)]  # [pairs of y, pairs of x] each
    sides += [_share(along[:, y], left, right).T for y in (upper, lower)]
    closed = np.mean(sides, 0) * (np.min(sides, 0) > _LEAST_CLOSED)
    rows, columns = np.nonzero(closed >= _CLOSED)
    boxes = np.stack([left[columns], upper[rows], right[columns], lower[rows]], 1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1) / (width * height)
    beyond = sum(_beyond(down, boxes[:, x], boxes[:, 1], boxes[:, 3]) for x in (0, 2))
    beyond = beyond + sum(_beyond(along, boxes[:, y], boxes[:, 0], boxes[:, 2]) for y in (1, 3))
    score = closed[rows, columns] - _ENDS * beyond / 4 + _SIZE * np.log2(areas)
    return _distinct(boxes[np.argsort(-score, kind="stable")[:_TRIED]])


def _share(sums: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Of cumulated edges [S + 1, lines]: the share that is edge from ``start`` to ``end`` [pairs]: [pairs, lines]."""
    return (sums[end] - sums[start]) / (end - start)[:, None]


def _beyond(sums: np.ndarray, line: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """How much of a line's two continuations beyond a box is edge, 0 to 1: [boxes]."""
    last, reach = len(sums) - 1, max(3, round(_REACH * len(sums)))
    before = sums[np.maximum(start - 2, 0), line] - sums[np.maximum(start - 2 - reach, 0), line]
    after = sums[np.minimum(end + 2 + reach, last), line] - sums[np.minimum(end + 2, last), line]
    return (before + after) / (2 * reach)


def _distinct(boxes: np.ndarray) -> list[_Box]:
    """The first of those that are one, at most twice as many as are proposed."""
    chosen: list[_Box] = []
    while len(boxes) and len(chosen) < 2 * MAX_PROPOSALS:
        first = boxes[0]
        chosen.append(tuple(first.tolist()))
        shared = np.minimum(boxes[:, 2:], first[2:]) - np.maximum(boxes[:, :2], first[:2])
        shared = shared.clip(0).prod(1)
        areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
        boxes = boxes[shared / (areas + areas[0] - shared) < _SAME]
    return chosen


def _straight(pixels: np.ndarray) -> np.ndarray:
    """float [H, W + 1]: 1 where an upright edge that is long and straight, or the picture's own, is before a column."""
    height, width = pixels.shape[:2]
    edge = np.zeros((height, width + 1), bool)
    edge[:, 1:width] = np.abs(np.diff(pixels, axis=1)).max(2) > _EDGE
    near = edge.copy()
    near[:, 1:] |= edge[:, :-1]
    near[:, :-1] |= edge[:, 1:]  # a picture that is turned a little
    run = max(3, round(_RUN * height))
    total = np.concatenate([np.zeros((1, width + 1)), near.cumsum(0)])
    starts = (total[run:] - total[:-run]) >= 0.9 * run  # of windows of that length
    counts = np.concatenate([np.zeros((1, width + 1)), starts.cumsum(0)])
    last = np.arange(height)
    straight = counts[np.minimum(last + 1, len(starts))] - counts[np.maximum(0, last - run + 1)] > 0
    straight[:, [0, width]] = True
    return straight.astype(np.float32)


def _longest(straight: np.ndarray) -> np.ndarray:
    """Where the longest edges are, ascending; of neighbours the longest."""
    length = straight.sum(0)
    padded = np.concatenate([[0], length, [0]])
    peak = (length >= padded[:-2]) & (length > padded[2:]) & (length > 0)
    places = np.flatnonzero(peak)
    return np.sort(places[np.argsort(-length[places], kind="stable")[:_LINES]])


def _pairs(places: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Every two that are far enough from each other: the lower and the higher."""
    first, second = np.triu_indices(len(places), 1)
    far = places[second] - places[first] >= _LEAST_SIDE * side
    return places[first[far]], places[second[far]]
