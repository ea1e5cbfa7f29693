"""An RGB image -> a network's input: resized, and fitted to its square."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from unifex.core import ranges

_Fit = Callable[[Image.Image, "Preprocessing", Image.Resampling], Image.Image]
WHITE = (255, 255, 255)
AS_IT_IS = (1 / 255, 1 / 255, 1 / 255)  # the ``std`` of a network that takes 0-255
INTERPOLATIONS = ("bilinear", "bicubic", "lanczos")
LEAST_CROP = 0.1
REDUCING_GAP = 3.0  # very large images are shrunk by a mean of boxes to three times the size first: much faster


@dataclass(frozen=True)
class Preprocessing:
    """How an image becomes the network's input.

    ``size``: side of the square in pixels. ``fit``, of :data:`FITS`: ``squash`` ignores the aspect ratio, ``crop``
    keeps the centre of an image whose short side is ``size / crop_fraction``, ``pad`` keeps all of it on a ``fill``
    ground (0-255 RGB). ``interpolation``: ``bilinear``, ``bicubic`` or ``lanczos``.
    ``mean`` and ``std`` are in units of 1 (0-1 pixels) and are applied inside the network's graph. A backbone that
    needs its image otherwise has, in its own file, a class of this with another :meth:`to_input`, and a ``fit`` of
    its own name, which its features' fingerprint holds.
    """

    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    fit: str = "pad"
    interpolation: str = "bicubic"
    crop_fraction: float = 1.0
    fill: tuple[int, int, int] = WHITE

    def to_input(self, image: Image.Image) -> np.ndarray:
        """Fit an RGB image to the network's square: uint8 ``[size, size, 3]``, not normalised."""
        resample = Image.Resampling[self.interpolation.upper()]
        return np.asarray(FITS[self.fit](image, self, resample))

    def fitting(self) -> dict[str, Any]:
        """How an image is fitted, as JSON values: what a network needs to be told that normalises inside."""
        told = {name: getattr(self, name) for name in ("size", "fit", "interpolation", "crop_fraction")}
        return {**told, "fill": list(self.fill)}

    @classmethod
    def fitted(cls, said: Mapping[str, Any]) -> Preprocessing:
        """By what :meth:`fitting` tells, and otherwise as the image is, 0-255. Raises ValueError, TypeError, KeyError
        and ``UnifexError`` for values that nothing is fitted by: a file of others may say them."""
        size, crop = ranges.IMAGE_SIDE.check(said["size"]), float(said["crop_fraction"])
        red, green, blue = fill = tuple(int(value) for value in said["fill"])
        if said["fit"] not in FITS or said["interpolation"] not in INTERPOLATIONS:
            raise ValueError(f"no way to fit an image: {said['fit']!r}, {said['interpolation']!r}"[:80])
        if not (LEAST_CROP <= crop <= 1 and all(0 <= value <= 255 for value in fill)):
            raise ValueError(f"no part or no ground of an image: {crop}, {fill}"[:80])
        return cls(size, (0, 0, 0), AS_IT_IS, said["fit"], said["interpolation"], crop, (red, green, blue))


def _squash(image: Image.Image, prep: Preprocessing, resample: Image.Resampling) -> Image.Image:
    return resize(image, (prep.size, prep.size), resample)


def _crop(image: Image.Image, prep: Preprocessing, resample: Image.Resampling) -> Image.Image:
    scale = prep.size / prep.crop_fraction / min(image.size)
    width, height = (max(prep.size, round(side * scale)) for side in image.size)
    image = resize(image, (width, height), resample)
    left, top = ((side - prep.size) // 2 for side in image.size)
    return image.crop((left, top, left + prep.size, top + prep.size))


def _pad(image: Image.Image, prep: Preprocessing, resample: Image.Resampling) -> Image.Image:
    scale = prep.size / max(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    image = resize(image, (width, height), resample)
    if image.size == (prep.size, prep.size):
        return image
    square = Image.new("RGB", (prep.size, prep.size), prep.fill)
    square.paste(image, ((prep.size - image.width) // 2, (prep.size - image.height) // 2))
    return square


FITS: dict[str, _Fit] = {"squash": _squash, "crop": _crop, "pad": _pad}


def resize(image: Image.Image, size: tuple[int, int], resample: Image.Resampling) -> Image.Image:
    """The image at another size in pixels, (width, height); itself when it has that."""
    return image if image.size == size else image.resize(size, resample, reducing_gap=REDUCING_GAP)
