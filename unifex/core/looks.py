"""Whether two pictures are one, of another size, crop, compression or light, or within a frame.

Both are looked at small. One is read through a window of the other, which is found roughly by trying some, and then by
Gauss-Newton steps on its place and size (Lucas and Kanade 1981; the additive form of Baker and Matthews 2004, section
2.1, without rotation). Light and contrast are taken out by normalising. A mirrored picture is another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from unifex.core.progress import Stage, Work

SIDE, COLOUR_SIDE = 48, 24
LOOK = np.dtype([("grey", "u1", (SIDE, SIDE)), ("colour", "u1", (2, COLOUR_SIDE, COLOUR_SIDE))])
# Windows that are tried along either axis: (where it starts, how long it is), in shares of the side.
TRIED = ((0.0, 1.0), *((start, 0.9) for start in (0.0, 0.05, 0.1)), *((start, 0.8) for start in (0.0, 0.1, 0.2)))
ROUGH, MIDDLE, FINE, COLOURS = 12, 16, 32, 12  # pixels of a side that are compared
STEPS = {MIDDLE: 3, FINE: 4}
SHORTEST, BEYOND, LONGEST_STEP = 0.65, 0.02, 0.15  # of a window; how far it may reach over the edge
DAMPING = 1e-3
TILE, WORST_TILES, NOISE = 8, 4, 3.0  # pixels; NOISE in levels of grey
# What is the same picture, chosen on drawn variants (benchmarks/duplicates.py).
LEAST_ROUGH, LEAST_CORRELATION, LEAST_DETAIL, MOST_COLOUR, GAINS = 0.75, 0.98, 0.6, 6.0, (0.55, 1.8)
BLOCK = 512


def look(image: Image.Image) -> np.ndarray:
    """What is compared of an RGB picture: :data:`LOOK`, a scalar."""
    light, *colours = image.resize((SIDE, SIDE), Image.Resampling.BILINEAR).convert("YCbCr").split()
    found = np.zeros((), LOOK)
    found["grey"] = light
    for place, colour in enumerate(colours):
        found["colour"][place] = colour.resize((COLOUR_SIDE, COLOUR_SIDE), Image.Resampling.BOX)
    return found


def same_picture(
    looks: np.ndarray, pairs: np.ndarray, known: Callable[[int], bool], tell: Callable[[int], object]
) -> Work[np.ndarray]:
    """Which ``pairs`` int64 [P, 2] of ``looks`` (:data:`LOOK` [N]) are one picture: int8 [P], 1 for yes, 0 for no.

    Those that are likely come first; a pair (its place) that is one is told at once, and one that is ``known`` to be
    by then is -1: it was not compared. Pictures in which there is nothing to see (of one colour) are none.
    """
    rough, windows, turned = yield from _rough(looks, pairs)
    pairs = np.where(turned[:, None], pairs[:, ::-1], pairs)
    same = np.zeros(len(pairs), np.int8)
    worth = np.argsort(-rough, kind="stable")[: int((rough >= LEAST_ROUGH).sum())]
    stage = Stage("comparing pictures", len(worth), "pairs")
    for start in range(0, len(worth), BLOCK):
        yield stage.at(start)
        rows = worth[start : start + BLOCK]
        needless = np.array([known(row) for row in rows.tolist()], bool)
        same[rows[needless]] = -1
        rows = rows[~needless]
        if not len(rows):
            continue
        same[rows] = _align(looks[pairs[rows, 0]], looks[pairs[rows, 1]], windows[rows]).agrees
        for row in rows[same[rows] == 1].tolist():
            tell(row)
    return same


@dataclass(frozen=True)
class _Alignment:
    """How well pairs agree, an array [P] each: ``correlation`` of light, -1..1, ``detail``, that in the worst parts;
    ``gain``, the contrast of the second beside the first; ``colour``, the difference in levels, root mean square."""

    correlation: np.ndarray
    detail: np.ndarray
    gain: np.ndarray
    colour: np.ndarray

    @property
    def agrees(self) -> np.ndarray:
        """bool [P]."""
        of_one_light = (self.gain >= GAINS[0]) & (self.gain <= GAINS[1]) & (self.colour <= MOST_COLOUR)
        return of_one_light & (self.correlation >= LEAST_CORRELATION) & (self.detail >= LEAST_DETAIL)


def _rough(looks: np.ndarray, pairs: np.ndarray) -> Work[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """The best correlation [P] of one of a pair with the windows :data:`TRIED` of the other, this window [P, 4]: left,
    width, top, height; and whether it is the second's, bool [P]. The windows of a picture are read once."""
    starts, lengths = np.array(TRIED, np.float32).T
    readers = _readers(starts, lengths, ROUGH, SIDE).reshape(-1, SIDE)
    grey, owners, partners = looks["grey"], pairs.T.reshape(-1), pairs[:, ::-1].T.reshape(-1)
    plain = np.concatenate([np.zeros((0, ROUGH, ROUGH), np.float32), *(_whole(part, ROUGH) for part in _blocks(grey))])
    plain = _normalized(plain).reshape(len(looks), ROUGH**2)
    order = np.argsort(owners, kind="stable")
    bounds = np.searchsorted(owners[order], np.arange(len(looks) + 1))
    best, which = np.zeros(len(owners), np.float32), np.zeros(len(owners), np.int64)
    stage = Stage("comparing pictures roughly", len(looks), "pictures")
    for number, part in enumerate(_blocks(grey)):
        yield stage.at(number * BLOCK)
        windows = np.matmul(np.matmul(readers, part.astype(np.float32)), readers.T)
        windows = windows.reshape(-1, len(TRIED), ROUGH, len(TRIED), ROUGH).transpose(0, 1, 3, 2, 4)
        windows = windows.reshape(len(part), -1, ROUGH**2)
        spread = np.einsum("nwp,nwp->nw", windows, windows) - ROUGH**2 * windows.mean(2) ** 2
        for row, owner in enumerate(range(number * BLOCK, number * BLOCK + len(part))):
            mine = order[bounds[owner] : bounds[owner + 1]]
            if len(mine):
                found = plain[partners[mine]] @ windows[row].T / np.sqrt(np.maximum(spread[row], 1.0))
                which[mine], best[mine] = found.argmax(1), found.max(1)
    (there, back), (first, second) = best.reshape(2, -1), which.reshape(2, -1)
    turned, tried = back > there, np.array(TRIED, np.float32)
    which = np.where(turned, second, first)
    windows = np.concatenate([tried[which % len(TRIED)], tried[which // len(TRIED)]], axis=1)
    return np.maximum(there, back), windows, turned


def _blocks(values: np.ndarray) -> list[np.ndarray]:
    return [values[start : start + BLOCK] for start in range(0, len(values), BLOCK)]


def _align(first: np.ndarray, second: np.ndarray, windows: np.ndarray) -> _Alignment:
    """Pairs of looks, both [P], from where the second roughly is in the first."""
    a, b = first["grey"].astype(np.float32), second["grey"].astype(np.float32)
    correlation = np.zeros(len(a), np.float32)
    for count, steps in STEPS.items():
        correlation, windows = _refine(a, _normalized(_whole(b, count)), windows, count, steps)
    seen, wanted = (_centred(of) for of in (_read(a, windows, FINE), _whole(b, FINE)))
    gain = (seen * wanted).sum((1, 2)) / np.maximum((seen * seen).sum((1, 2)), 1.0)
    detail = _detail(seen * gain[:, None, None], wanted)
    return _Alignment(correlation, detail, gain, _colour_difference(first["colour"], second["colour"], windows, gain))


def _refine(
    a: np.ndarray, wanted: np.ndarray, windows: np.ndarray, count: int, steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """The best correlation [P] with ``wanted`` [P, count, count] on the way, and its windows of ``a``."""
    windows = windows.astype(np.float32)
    best, kept = np.full(len(a), -1, np.float32), windows.copy()
    for step in range(steps + 1):
        seen = _normalized(_read(a, windows, count))
        agree = (seen * wanted).sum((1, 2))
        better = agree > best
        best[better], kept[better] = agree[better], windows[better]
        if step < steps:
            windows = _moved(windows, _move(seen, wanted))
    return best, kept


def _move(seen: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The Gauss-Newton step [P, 4]: shift and growth of each window across, then down, in shares of it."""
    count = seen.shape[1]
    along = ((np.arange(count) + 0.5) / count - 0.5).astype(np.float32)
    across, down = np.gradient(seen, axis=2) * count, np.gradient(seen, axis=1) * count
    slopes = np.stack([across, across * along, down, down * along[:, None]], 1).reshape(len(seen), 4, -1)
    flat = seen.reshape(len(seen), -1, 1)
    slopes -= slopes.mean(2, keepdims=True)
    slopes -= np.matmul(slopes, flat) * flat.transpose(0, 2, 1)  # what normalising takes out again
    curvature = np.matmul(slopes, slopes.transpose(0, 2, 1))
    damping = DAMPING * np.trace(curvature, axis1=1, axis2=2) + 1e-6
    curvature += damping[:, None, None] * np.eye(4, dtype=np.float32)
    step = np.linalg.solve(curvature, np.matmul(slopes, (wanted - seen).reshape(len(seen), -1, 1)))[..., 0]
    return np.clip(step, -LONGEST_STEP, LONGEST_STEP)


def _moved(windows: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Windows after a step, no smaller than may be and within the picture."""
    start, length, shift, growth = windows[:, ::2], windows[:, 1::2], step[:, ::2], step[:, 1::2]
    centre = start + length * (0.5 + shift)
    length = np.clip(length * (1 + growth), SHORTEST, 1 + BEYOND)
    centre = np.clip(centre, length / 2 - BEYOND, 1 + BEYOND - length / 2)
    return np.stack([centre - length / 2, length], axis=2).reshape(len(windows), 4)


def _detail(seen: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Correlation [P] within tiles, the mean of the worst few. Both [P, FINE, FINE]; noise is no difference."""
    a, b = _tiles(seen), _tiles(wanted)
    floor = NOISE**2
    of_a, of_b, of_both = (a * a).mean(2) + floor, (b * b).mean(2) + floor, (a * b).mean(2) + floor
    return np.sort(of_both / np.sqrt(of_a * of_b), axis=1)[:, :WORST_TILES].mean(1)


def _tiles(pictures: np.ndarray) -> np.ndarray:
    """[P, tiles, pixels], each centred."""
    count = FINE // TILE
    tiles = pictures.reshape(-1, count, TILE, count, TILE).transpose(0, 1, 3, 2, 4).reshape(-1, count**2, TILE**2)
    return tiles - tiles.mean(2, keepdims=True)


def _colour_difference(first: np.ndarray, second: np.ndarray, windows: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """Levels [P] by which colours uint8 [P, 2, COLOUR_SIDE, COLOUR_SIDE] differ, at this gain or at none."""
    total = np.zeros(len(first), np.float32)
    for axis in (0, 1):
        a, b = (of[:, axis].astype(np.float32) - 128 for of in (first, second))
        seen, wanted = _read(a, windows, COLOURS), _whole(b, COLOURS)
        total += np.minimum(*(((seen * by - wanted) ** 2).mean((1, 2)) for by in (1.0, gain[:, None, None])))
    return np.sqrt(total)


def _read(pictures: np.ndarray, windows: np.ndarray, count: int) -> np.ndarray:
    """Windows [P, 4] of square pictures [P, side, side]: [P, count, count]."""
    left, width, top, height = windows.T
    side = pictures.shape[-1]
    rows = np.matmul(_readers(top, height, count, side), pictures)
    return np.matmul(rows, _readers(left, width, count, side).transpose(0, 2, 1))


def _whole(pictures: np.ndarray, count: int) -> np.ndarray:
    """The same of all there is."""
    reader = _readers(np.zeros(1, np.float32), np.ones(1, np.float32), count, pictures.shape[-1])[0]
    return np.matmul(np.matmul(reader, pictures.astype(np.float32)), reader.T)


def _readers(starts: np.ndarray, lengths: np.ndarray, count: int, side: int) -> np.ndarray:
    """Matrices float32 [P, count, side] that read ``count`` pixels from windows of a row: weighted by nearness."""
    reach = np.maximum(lengths * (side / count), 1.0)[:, None, None]
    places = (starts[:, None] + lengths[:, None] * ((np.arange(count, dtype=np.float32) + 0.5) / count))[..., None]
    away = np.abs(np.arange(side, dtype=np.float32) + 0.5 - places * side)
    weights = np.maximum(1 - away / reach, 0).astype(np.float32)
    return weights / np.maximum(weights.sum(2, keepdims=True), 1e-6)


def _centred(pictures: np.ndarray) -> np.ndarray:
    return pictures - pictures.mean((1, 2), keepdims=True)


def _normalized(pictures: np.ndarray) -> np.ndarray:
    """Each with mean 0 and norm 1; one of a single colour is 0."""
    centred = _centred(pictures)
    return centred / np.maximum(np.sqrt((centred * centred).sum((1, 2), keepdims=True)), 1e-3)
