"""An image as whoever calls has it: a file, its bytes, an opened picture, or a part of one of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from unifex.core import images
from unifex.core.images import ImageError
from unifex.core.regions import WHOLE, Region
from unifex.core.text import reason

_WHAT = "give the path of a file, the bytes of one, a PIL image or a Crop of these"


@dataclass(frozen=True)
class Crop:
    """The ``region`` of an image: embedded as if it were an image of its own."""

    image: Image.Image | bytes | str | Path
    region: Region


ImageLike = Image.Image | bytes | str | Path | Crop


def several(given: ImageLike | Iterable[ImageLike]) -> list[ImageLike]:
    """One image, or whatever gives some, as a list. Raises ``images.ImageError`` for what is neither."""
    if isinstance(given, ImageLike):
        return [given]
    if not isinstance(given, Iterable) or hasattr(given, "read"):
        raise ImageError(f"{type(given).__name__} is no image: {_WHAT}")
    return list(given)


def opened(picture: ImageLike, at_least: int) -> Image.Image:
    """The upright RGB image, its shorter side of ``at_least`` pixels where it has so many. Raises ``images.ImageError``
    with the reason, of a file with its name."""
    image, region = (picture.image, picture.region) if isinstance(picture, Crop) else (picture, WHOLE)
    if isinstance(image, Image.Image):
        if 0 in image.size:
            raise ImageError(f"{image.width} x {image.height} pixels: there is nothing to see")
        return images.cut(images.upright_rgb(image), region)
    if not isinstance(image, bytes | str | Path):
        raise ImageError(f"{type(image).__name__} is no image: {_WHAT}")
    if image == "":
        raise ImageError(f"no image is named: {_WHAT}")
    if isinstance(image, bytes):
        return images.decode(image, at_least, region).image
    data = read(image)
    try:
        return images.decode(data, at_least, region).image
    except ImageError as error:
        raise ImageError(f"{Path(image).name}: {error}", error.remedy) from error


def read(file: str | Path) -> bytes:
    """All of a file. Raises ``images.ImageError`` where it is not there, or cannot be read."""
    try:
        return Path(file).read_bytes()
    except (OSError, ValueError) as error:  # the latter of a name that no file can have
        raise ImageError(reason(error)) from error
