"""Numbers of any kind -> 8 bits: which of them is black and which is white.

A sample of more than 8 bits has no agreed black and white. What the file says comes first; then what it really holds:

- whole numbers from near zero count from 0 to the top of the smallest usual depth that holds them, so that 12 bits in a
  16-bit file are seen and true 16-bit pictures stay as they are;
- fractions between 0 and 1 count from 0 to 1;
- all others are measurements (elevation, density): their own least and greatest are black and white.

Marks for "no data" (-9999, -32768, 3.4e38, NaN) lie apart from everything else and would press the rest into one shade:
they take no part, and are drawn as the nearest shade (NaN as black).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

DEPTHS = (1, 2, 4, 8, 10, 12, 14)  # bits that cameras, scanners and masks have, below those of the type itself
DARKEST = 0.25  # fractions of which none is brighter are measurements: no picture is that dark
SOUND = 1e30  # floats beyond are marks: the types' ends, netCDF's 9.97e36
SAMPLED = 250_000
MARKS = frozenset((-999, -9999, -99999, -(2**15), 1 - 2**15, 2**15 - 1, -(2**31), 2**31 - 1, -1e20, 1e20))
APART, MARK_APART = 10.0, 0.5  # times as wide as the rest: the gap before a number that marks, and before a usual mark
FEW = 1e-4  # share of hot pixels, which lie apart as well but differ among themselves
BLOCK = 2**20  # samples turned at once: a large picture is never held in float64


@dataclass(frozen=True)
class Told:
    """What a file says of its numbers. ``bits``: how many count (0: unsaid); ``low``, ``high``: black and white;
    ``no_data``: the number that means none; ``white_is_zero``: the other way round."""

    bits: int = 0
    low: float | None = None
    high: float | None = None
    no_data: float | None = None
    white_is_zero: bool = False


def to_eight_bits(values: np.ndarray, told: Told = Told()) -> np.ndarray:
    """Numbers [H, W] or [H, W, C] as uint8 of the same shape; one black and white for all channels.

    Two or four channels end with opacity, which is scaled alike. Of equal numbers all are mid-grey, unless their type
    says what they mean.
    """
    values = np.abs(values) if values.dtype.kind == "c" else values
    values = values.astype({"float16": np.float32, "bool": np.uint8}.get(values.dtype.name, values.dtype), copy=False)
    low, high = black_and_white(_without_opacity(values), told)
    scale = 255 / (high - low) if high > low else np.inf
    if not np.isfinite(scale):
        return np.full(values.shape, 128, np.uint8)
    if values.dtype == np.uint16:
        eight = _shades(np.arange(2**16), low, scale)[values]
    else:
        eight = np.empty(values.shape, np.uint8)
        for rows in _blocks(values):
            eight[rows] = _shades(values[rows], low, scale)
    return 255 - eight if told.white_is_zero else eight


def _shades(values: np.ndarray, low: float, scale: float) -> np.ndarray:
    with np.errstate(invalid="ignore", over="ignore"):
        shade = (values.astype(np.float64) - low) * scale
    return (np.clip(np.nan_to_num(shade, posinf=255, neginf=0), 0, 255) + 0.5).astype(np.uint8)


def _without_opacity(values: np.ndarray) -> np.ndarray:
    return values[..., :-1] if values.ndim == 3 and values.shape[2] in (2, 4) else values


def _blocks(values: np.ndarray) -> Iterator[slice]:
    rows = max(1, BLOCK // max(1, values[0].size))
    return (slice(top, top + rows) for top in range(0, len(values), rows))


def black_and_white(values: np.ndarray, told: Told = Told()) -> tuple[float, float]:
    """Which numbers are black and white; equal when there is nothing to tell apart."""
    if told.low is not None and told.high is not None and _mostly_within(values, told.low, told.high):
        return told.low, told.high
    low, high, marked = _extent(values, told.no_data)
    kind = values.dtype.kind
    if kind == "u" and not marked:
        return 0, max(_top(high, values.dtype), 2**told.bits - 1)
    if marked or low == high:
        return low, high
    if kind == "f" and 0 <= low and DARKEST < high <= 1:
        return 0, 1
    counted = low < high / 2 if kind == "i" else high <= 255 and _are_whole(values)
    return (0, _top(high, values.dtype)) if low >= 0 and counted else (low, high)


def _mostly_within(values: np.ndarray, low: float, high: float) -> bool:
    """What a file says of its numbers can be of other numbers, which it had once."""
    sample = _sampled(values)
    return bool(np.mean((sample >= low) & (sample <= high)) >= 0.5)


def _sampled(values: np.ndarray) -> np.ndarray:
    return values.reshape(-1)[:: max(1, values.size // SAMPLED)]


def _top(high: float, kind: np.dtype) -> float:
    """The greatest number of the smallest usual depth that holds ``high``."""
    own = np.iinfo(kind).max if kind.kind in "iu" and kind.itemsize <= 2 else 65535
    return next((top for top in (*(2**bits - 1 for bits in DEPTHS), own) if high <= top), high)


def _are_whole(values: np.ndarray) -> bool:
    return all(np.array_equal(block, np.round(block)) for block in (values[rows] for rows in _blocks(values)))


def _extent(values: np.ndarray, no_data: float | None) -> tuple[float, float, bool]:
    """Least and greatest number without those that mean "no data", and whether there are such."""
    spread = _sampled(values)
    sample = np.sort(_sound(spread, no_data)).astype(np.float64)
    ground = _ground(sample, values.dtype)
    width = float(np.ptp(ground)) if len(ground) else 0.0
    below, above = -np.inf, np.inf  # what the sample missed may lie a little outside of it, and marks far outside
    if width and values.dtype.kind != "u":
        below, above = ground[0] - APART * width, ground[-1] + APART * width
    elif len(ground) < len(sample):
        below, above = ground[0], ground[-1]
    least, greatest = np.inf, -np.inf
    for rows in _blocks(values):
        block = _sound(values[rows], no_data)
        block = block[(block >= below) & (block <= above)]
        if block.size:
            least, greatest = min(least, float(block.min())), max(greatest, float(block.max()))
    if least > greatest:
        return 0.0, 0.0, True
    marked = len(ground) < len(sample) or len(sample) < len(spread)
    return least, greatest, marked


def _sound(values: np.ndarray, no_data: float | None) -> np.ndarray:
    """Those that are numbers, one-dimensional."""
    sound = np.abs(values) < SOUND if values.dtype.kind == "f" else np.ones(values.shape, bool)
    if no_data is not None and not np.isnan(no_data):
        sound &= values != values.dtype.type(no_data) if _fits(no_data, values.dtype) else True
    return values[sound]


def _fits(number: float, kind: np.dtype) -> bool:
    least, most = (-SOUND, SOUND) if kind.kind == "f" else (np.iinfo(kind).min, np.iinfo(kind).max)
    return least <= number <= most


def _ground(ordered: np.ndarray, kind: np.dtype) -> np.ndarray:
    """Ascending numbers without the marks at their ends, which lie far from all others.

    Unsigned numbers are mostly pictures, whose black and white may lie apart: there only the type's last is a mark.
    """
    count = len(ordered)
    while len(ordered) > 2:
        gaps = np.diff(ordered)
        at = int(gaps.argmax()) + 1
        for ends, rest in ((ordered[:at], ordered[at:]), (ordered[at:], ordered[:at])):
            width = np.ptp(rest)
            if width and gaps[at - 1] > width * _apart(ends, count, kind):
                ordered = rest
                break
        else:
            return ordered
    return ordered


def _apart(ends: np.ndarray, count: int, kind: np.dtype) -> float:
    """How far from the rest, in its widths, these equal or ``count`` * FEW numbers must lie to be marks."""
    alone = ends[0] == ends[-1]
    if kind.kind == "u":
        return APART if alone and ends[0] == np.iinfo(kind).max else np.inf
    if alone and ends[0] in MARKS:
        return MARK_APART
    return APART if alone or len(ends) <= FEW * count else np.inf
