"""Images -> what a gallery keeps of them: hash, features, thumbnail; and what that will take for a whole source."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from unifex.core import images, thumbnails
from unifex.core.language import say
from unifex.core.metadata import FileMetadata, read_header
from unifex.core.vectors import are_finite_halves
from unifex.data.frame_names import file_name
from unifex.data.item import Item, Skipped, Source, Unread
from unifex.data.sources import open_source
from unifex.data.tree import camera
from unifex.data.video import beginnings
from unifex.gallery.errors import GalleryError
from unifex.gallery.records import Embedded
from unifex.models.embedder import NOT_FINITE, Embedder

TRIAL_IMAGES = 20
ROW_BYTES = 600  # an item's row and index entries in SQLite, measured


def embed_items(embedder: Embedder, items: list[Item], known: set[str]) -> list[Embedded | Skipped]:
    """Read, hash, decode and embed a few items; an image whose hash is ``known`` is not decoded again."""
    outcomes: list[Embedded | Skipped] = []
    pixels: list[np.ndarray] = []
    waiting: list[tuple[int, Embedded]] = []
    for item in items:
        try:
            data = item.read()
        except (OSError, images.ImageError) as error:
            reason = (
                say("cannot be read ({reason})", reason=error.strerror) if isinstance(error, OSError) else str(error)
            )
            outcomes.append(Unread(item.path, reason))
            continue
        sha256 = images.content_hash(data)
        if sha256 in known:
            outcomes.append(_with_original(Embedded(item, sha256, said=read_header(data)), data))
            continue
        try:
            picture = images.decode(data, at_least=embedder.backbone.preprocessing.size)
        except images.ImageError as error:
            told = str(error)
            if whose := camera(item.path):
                told = say("{camera}, of which only the preview is read: {reason}", camera=whose, reason=error)
            outcomes.append(Unread(item.path, told))
            continue
        if picture.note and not camera(item.path):
            item = replace(item, notes=(*item.notes, picture.note))
        pixels.append(embedder.backbone.preprocessing.to_input(picture.image))
        thumbnail = thumbnails.thumbnail(picture.image)
        size = picture.width, picture.height, len(data)
        entry = Embedded(item, sha256, *size, thumbnail=thumbnail, said=picture.said)
        waiting.append((len(outcomes), _with_original(entry, data)))
        outcomes.append(entry)
    if pixels:
        made = embedder.engine.bulk(np.stack(pixels))
        for (place, entry), features, sound in zip(waiting, made, are_finite_halves(made)):
            outcomes[place] = replace(entry, features=features) if sound else Unread(entry.item.path, say(NOT_FINITE))
    return outcomes


def features_again(embedder: Embedder, image: Image.Image, path: str) -> np.ndarray:
    """Features [D] of a picture of the item ``path``. Raises ``GalleryError`` where they cannot be kept."""
    made = embedder.engine.bulk(embedder.backbone.preprocessing.to_input(image)[None])
    if not are_finite_halves(made).all():
        raise GalleryError(f"'{path}': {say(NOT_FINITE)}")
    return made[0]


def said_by_file(item: Item) -> FileMetadata | None:
    """What an item's file says of it, by its header; None where that cannot be read now."""
    try:
        return read_header(Path(item.uri) if os.path.isabs(item.uri) else item.read())
    except (OSError, images.ImageError):
        return None


def _with_original(entry: Embedded, data: bytes) -> Embedded:
    """With the bytes of an image whose place cannot be opened later."""
    if not entry.item.keep:
        return entry
    suffix = PurePosixPath(file_name(entry.item.path)).suffix.lower()[:8]
    return replace(entry, original=data, original_suffix=suffix or ".img")


@dataclass(frozen=True)
class Forecast:
    """What indexing a source would take, from a trial on a few of its images."""

    images: int
    tried: int
    refused: int
    seconds: float
    bytes: int


def forecast(embedder: Embedder, source: str | Source, trial: int = TRIAL_IMAGES) -> Forecast:
    """Time and disk that indexing would take, from embedding ``trial`` images spread over the source."""
    source = open_source(source) if isinstance(source, str) else source
    count = source.count()
    step = max(1, (count or trial) // trial)
    chosen = list(islice(islice(beginnings(source), 0, None, step), trial))
    items = [found for found in chosen if isinstance(found, Item)]
    embed_items(embedder, items[:1], set())  # the first image prepares the engine
    started = time.monotonic()
    with ThreadPoolExecutor(embedder.engine.workers) as pool:
        outcomes = [out for outs in pool.map(lambda item: embed_items(embedder, [item], set()), items) for out in outs]
    seconds = time.monotonic() - started
    embedded = [outcome for outcome in outcomes if isinstance(outcome, Embedded)]
    share = len(embedded) / max(1, len(chosen))
    expected = round((count or len(chosen)) * share)
    files = sum(len(entry.thumbnail) + len(entry.original) for entry in embedded) / max(1, len(embedded))
    layers = 2 * embedder.backbone.feature_dim + 4 * embedder.default_dim + ROW_BYTES
    return Forecast(
        images=expected,
        tried=len(chosen),
        refused=len(chosen) - len(embedded),
        seconds=seconds / max(1, len(embedded)) * expected,
        bytes=round(expected * (files + layers)),
    )
