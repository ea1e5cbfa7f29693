"""Augmentations of a gallery's images for training, mirror images and crops; their features are kept with the gallery.

An augmentation is fixed by the image's hash and its number: features computed once serve every training to come. The
views of a deep training are drawn by its seed, and kept with it alone.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from unifex.core import derived, disk
from unifex.core.derived import Origin
from unifex.core.language import to_say
from unifex.core.progress import Stage, Work
from unifex.gallery import pictures
from unifex.gallery.embedding import features_again
from unifex.gallery.gallery import Gallery, Record

AREA = (0.55, 0.95)  # of the image, that a crop keeps
VIEW_AREA = (0.6, 1.0)
VIEW_LIGHT = (0.7, 1.3)  # brightness and contrast of a view, as a factor
VIEW_COLOUR = (0.6, 1.4)  # its saturation
VIEWS_VERSION = 1  # raise it when views are drawn otherwise: kept maps of them depend on it
AT_ONCE = 64


def augment(image: Image.Image, sha256: str, number: int) -> Image.Image:
    """Augmentation ``number`` (from 0) of an RGB image: its mirror image, then crops, every second mirrored."""
    if number == 0:
        return ImageOps.mirror(image)
    crop = _crop(image, AREA, random.Random(f"{sha256}-{number}"))
    return ImageOps.mirror(crop) if number % 2 else crop


def draw_view(image: Image.Image, sha256: str, number: int, seed: int) -> Image.Image:
    """View ``number`` of an RGB image: 0 is the image itself, others are crops of 60 to 100 % of its area in another
    light and colour, every second mirrored on average."""
    if number == 0:
        return image
    drawn = random.Random(f"{seed}-{sha256}-{number}")
    view = _crop(image, VIEW_AREA, drawn)
    view = ImageOps.mirror(view) if drawn.random() < 0.5 else view
    view = ImageEnhance.Brightness(view).enhance(drawn.uniform(*VIEW_LIGHT))
    view = ImageEnhance.Contrast(view).enhance(drawn.uniform(*VIEW_LIGHT))
    return ImageEnhance.Color(view).enhance(drawn.uniform(*VIEW_COLOUR))


def _crop(image: Image.Image, area: tuple[float, float], drawn: random.Random) -> Image.Image:
    """A part of the image's shape, at a place that is drawn."""
    side = drawn.uniform(*area) ** 0.5
    width, height = (max(1, round(length * side)) for length in image.size)
    left, top = drawn.randint(0, image.width - width), drawn.randint(0, image.height - height)
    return image.crop((left, top, left + width, top + height))


def augmented_features(gallery: Gallery, records: Sequence[Record], count: int) -> Work[np.ndarray]:
    """Features float16 [len(records), count, D] of every item's first ``count`` augmentations; only new ones are made.

    Raises ``GalleryError`` when an image file is no longer there.
    """
    result = np.empty((len(records), count, gallery.embedder.backbone.feature_dim), np.float16)
    stage = Stage(to_say("crops and mirror images"), len(records), to_say("images"))
    with ThreadPoolExecutor(gallery.embedder.engine.workers) as threads:
        for start in range(0, len(records), AT_ONCE):
            yield stage.at(start)
            block = records[start : start + AT_ONCE]
            made = threads.map(lambda record: _features_of(gallery, record, count), block)
            result[start : start + len(block)] = np.stack(list(made))
    return result


def _features_of(gallery: Gallery, record: Record, count: int) -> np.ndarray:
    """Kept features of the augmentations [count, D], completed where there are fewer."""
    path = gallery.database.views_path(record.sha256)
    origin = Origin("views", "", gallery.config.backbone_hash, record.sha256)
    known = derived.read_array(path, origin)
    if known is None:
        known = np.empty((0, gallery.embedder.backbone.feature_dim), np.float16)
    if len(known) < count:
        image = pictures.decoded(gallery.database, record, gallery.embedder.backbone.preprocessing.size)
        new = [augment(image, record.sha256, number) for number in range(len(known), count)]
        made = [features_again(gallery.embedder, one, record.path) for one in new]
        known = np.concatenate([known, np.stack(made).astype(np.float16)])
        disk.make_folder(path.parent, within=gallery.folder)
        derived.write_array(path, known, origin)
    return known[:count]
