"""Colours of any profile -> sRGB, what every backbone was trained on and every page shows.

Most pictures have no profile or sRGB's, and pass untouched. A profile that cannot be used is ignored, as browsers do.
"""

from __future__ import annotations

import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

SPACES = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK"}  # Pillow's mode -> a profile's space
MAX_PROFILE = 4 * 2**20  # bytes; those of printing presses have one or two million
ALIKE = 3  # of 255: profiles that differ less from sRGB are sRGB, written by somebody else
_INTENT = ImageCms.Intent.RELATIVE_COLORIMETRIC
_FLAGS = ImageCms.Flags.BLACKPOINTCOMPENSATION


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """An RGB, grey or CMYK image in sRGB; the same object where nothing changes."""
    transform = _needed(profile, image.mode)
    return transform.apply(image) if transform else image


def from_lab(image: Image.Image) -> Image.Image:
    """A CIE Lab image in sRGB, which Pillow does not convert."""
    return ImageCms.buildTransform(ImageCms.createProfile("LAB"), _srgb(), "LAB", "RGB", _INTENT).apply(image)


def keeps(profile: bytes | None, mode: str) -> bool:
    """Whether an image of this mode stays as it is: its profile is sRGB's, of another kind of image, or broken."""
    return _needed(profile, mode) is None


def _needed(profile: bytes | None, mode: str) -> ImageCms.ImageCmsTransform | None:
    if not profile or len(profile) > MAX_PROFILE or mode not in SPACES:
        return None
    return _transform(profile, mode)


@lru_cache(maxsize=16)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if getattr(opened.profile, "xcolor_space", "").strip() != SPACES[mode]:
            return None
        made = ImageCms.buildTransform(opened, _srgb(), mode, "RGB", _INTENT, _FLAGS)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
    return None if mode != "CMYK" and _changes_nothing(made, mode) else made


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    steps = np.arange(0, 256, 15, dtype=np.uint8)
    cube = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(len(steps), -1, 3)
    before = Image.fromarray(cube).convert(mode)
    after = transform.apply(before).convert("RGB")
    return np.abs(np.asarray(after, int) - np.asarray(before.convert("RGB"), int)).max() <= ALIKE


@lru_cache(maxsize=1)
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
