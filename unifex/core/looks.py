"""Whether two pictures are one, of another size, crop, compression or light, or within a frame.

Both are looked at small. One is read through a window of the other, which is found roughly by trying some, and then by
Gauss-Newton steps on its place and size (Lucas and Kanade 1981; the additive form of Baker and Matthews 2004, section
2.1, without rotation). Light and contrast are taken out by normalising. A mirrored picture is another.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from unifex.core.language import to_say
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
BLOCK = 256  # pictures that are read at once


def look(image: Image.Image) -> np.ndarray:
    """What is compared of an RGB picture: :data:`LOOK`, a scalar."""
    light, *colours = image.resize((SIDE, SIDE), Image.Resampling.BILINEAR).convert("YCbCr").split()
    found = np.zeros((), LOOK)
    found["grey"] = light
    for place, colour in enumerate(colours):
        found["colour"][place] = colour.resize((COLOUR_SIDE, COLOUR_SIDE), Image.Resampling.BOX)
    return found


def same_picture(
    looks: np.ndarray,
    pairs: np.ndarray,
    see: Callable[[np.ndarray], object],
    groups: Callable[[int], tuple[int, int] | None],
    tell: Callable[[np.ndarray, np.ndarray], object],
) -> Work[None]:
    """Tell which ``pairs`` int64 [P, 2] of ``looks`` (:data:`LOOK` [N]) are one picture.

    ``see``: fills the looks at these places, before they are read. ``tell`` is given places of pairs int64 [n], and
    whether each is one picture, bool [n], as soon as both are read: little is lost where this is closed midway.
    ``groups``: of a pair, those that its pictures are in by now; None where they are known to be one, which is neither
    compared nor told. Of what is read at once the likely come first. Pictures in which there is nothing to see (of one
    colour) are none.
    """
    rough, order = _Rough(looks, pairs), _beside_each_other(len(looks), pairs)
    both_read = np.argsort(order, kind="stable")[pairs].max(1, initial=0)
    rows = np.argsort(both_read, kind="stable")
    bounds = np.searchsorted(both_read[rows], np.arange(0, len(looks) + BLOCK, BLOCK))
    stage = Stage(to_say("comparing pictures"), len(looks), to_say("pictures"))
    for number, start in enumerate(range(0, len(looks), BLOCK)):
        yield stage.at(start)
        rough.read(order[start : start + BLOCK], see)
        _settle(rough, rows[bounds[number] : bounds[number + 1]], groups, tell)


def _settle(
    rough: _Rough,
    rows: np.ndarray,
    groups: Callable[[int], tuple[int, int] | None],
    tell: Callable[[np.ndarray, np.ndarray], object],
) -> None:
    """Compare pairs of which both pictures were read roughly, and tell."""
    likeness, windows, pairs = rough.of(rows)
    likely = likeness >= LEAST_ROUGH
    tell(rows[~likely], np.zeros((~likely).sum(), bool))
    waiting = np.flatnonzero(likely)[np.argsort(-likeness[likely], kind="stable")]
    while len(waiting):
        now, waiting = _joining(waiting, [groups(row) for row in rows[waiting].tolist()])
        if len(now):
            first, second = rough.looks[pairs[now, 0]], rough.looks[pairs[now, 1]]
            tell(rows[now], _align(first, second, windows[now]).agrees)


def _joining(places: np.ndarray, ends: list[tuple[int, int] | None]) -> tuple[np.ndarray, np.ndarray]:
    """Which of these pairs, at most :data:`BLOCK`, each join other groups (Kruskal 1956), and the rest: if those are
    one picture each, most of these are known to be, too. Few are filled up with such, which costs nothing."""
    parents: dict[int, int] = {}

    def root(group: int) -> int:
        while (above := parents.get(group, group)) != group:
            group = above
        return group

    now, later = [], []
    for place, pair in zip(places.tolist(), ends):
        if pair is None:
            continue
        one, other = map(root, pair)
        if one == other or len(now) == BLOCK:
            later.append(place)
        else:
            parents[one] = other
            now.append(place)
    few = max(0, BLOCK // 4 - len(now))
    return np.array(now + later[:few], np.int64), np.array(later[few:], np.int64)


def _beside_each_other(count: int, pairs: np.ndarray) -> np.ndarray:
    """The places int64 [count] of pictures, breadth first along ``pairs``: what is compared is read soon after."""
    ends = np.concatenate([pairs, pairs[:, ::-1]])
    ends = ends[np.argsort(ends[:, 0], kind="stable")]
    starts, partners = np.searchsorted(ends[:, 0], np.arange(count + 1)).tolist(), ends[:, 1].tolist()
    order: list[int] = []
    waiting, met = deque[int](), bytearray(count)
    for first in range(count):
        waiting += () if met[first] else (first,)
        met[first] = True
        while waiting:
            place = waiting.popleft()
            order.append(place)
            for other in partners[starts[place] : starts[place + 1]]:
                if not met[other]:
                    met[other] = True
                    waiting.append(other)
    return np.array(order, np.int64)


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


class _Rough:
    """How alike pairs are at a look, by the best of the windows :data:`TRIED` of either in the other, which are read
    once a picture: the correlation [2P], and the window by number, of each pair there and back."""

    def __init__(self, looks: np.ndarray, pairs: np.ndarray):
        self.looks, self._pairs = looks, pairs
        starts, lengths = np.array(TRIED, np.float32).T
        self._readers = _readers(starts, lengths, ROUGH, SIDE).reshape(-1, SIDE)
        owners, self._partners = pairs.T.reshape(-1), pairs[:, ::-1].T.reshape(-1)
        self._order = np.argsort(owners, kind="stable")
        self._bounds = np.searchsorted(owners[self._order], np.arange(len(looks) + 1))
        self._plain = np.zeros((len(looks), ROUGH**2), np.float32)
        self._seen = np.zeros(len(looks), bool)
        self._best, self._which = np.zeros(len(owners), np.float32), np.zeros(len(owners), np.int64)

    def read(self, places: np.ndarray, see: Callable[[np.ndarray], object]) -> None:
        """Try the windows of these pictures on all that they are compared with."""
        mine = [self._order[self._bounds[place] : self._bounds[place + 1]] for place in places.tolist()]
        self._see(np.concatenate([places, *(self._partners[rows] for rows in mine)]), see)
        grey = self.looks["grey"][places].astype(np.float32)
        windows = np.matmul(np.matmul(self._readers, grey), self._readers.T)
        windows = windows.reshape(-1, len(TRIED), ROUGH, len(TRIED), ROUGH).transpose(0, 1, 3, 2, 4)
        windows = windows.reshape(len(places), -1, ROUGH**2)
        spread = np.einsum("nwp,nwp->nw", windows, windows) - ROUGH**2 * windows.mean(2) ** 2
        for at, rows in enumerate(mine):
            if len(rows):
                found = self._plain[self._partners[rows]] @ windows[at].T / np.sqrt(np.maximum(spread[at], 1.0))
                self._which[rows], self._best[rows] = found.argmax(1), found.max(1)

    def _see(self, places: np.ndarray, see: Callable[[np.ndarray], object]) -> None:
        new = np.unique(places[~self._seen[places]])
        see(new)
        self._seen[new] = True
        for part in _blocks(new):
            self._plain[part] = _normalized(_whole(self.looks["grey"][part], ROUGH)).reshape(len(part), -1)

    def of(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The best correlation [n] of these pairs, its window [n, 4] (left, width, top, height) of the first of a pair,
        and the pairs int64 [n, 2], turned where it is one of the second."""
        there, back = rows, rows + len(self._pairs)
        turned, tried = self._best[back] > self._best[there], np.array(TRIED, np.float32)
        which = np.where(turned, self._which[back], self._which[there])
        windows = np.concatenate([tried[which % len(TRIED)], tried[which // len(TRIED)]], axis=1)
        pairs = np.where(turned[:, None], self._pairs[rows, ::-1], self._pairs[rows])
        return np.maximum(self._best[there], self._best[back]), windows, pairs


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
