"""What the frozen part of a backbone makes of images, computed once and kept on disk for a deep training.

A row of the file is one view of one image: the map that goes into the first block that learns, as float16. What is done
is noted beside it, so that a training that was stopped or killed goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from unifex.core import disk, system
from unifex.core.files import write_atomically
from unifex.core.json_text import parse_json
from unifex.core.language import say, to_say
from unifex.core.progress import Stage, Work
from unifex.core.text import size as bytes_text
from unifex.gallery import pictures
from unifex.gallery.gallery import Gallery, GalleryError, Record
from unifex.models.backbones import BackboneSpec
from unifex.training.augment import VIEWS_VERSION, draw_view

AT_ONCE = 32  # images between two steps
NOTED_SECONDS = 10.0
SPARE_SHARE = 0.9  # of the free disk that maps may take


@dataclass(frozen=True)
class Views:
    """What is kept: of every image of ``train`` itself and ``count`` views drawn by ``seed``, of those of ``measured``
    that are not among them themselves alone. Both are positions in a gallery's columns."""

    train: np.ndarray
    measured: np.ndarray
    count: int
    seed: int

    @cached_property
    def positions(self) -> np.ndarray:
        """Of all images of which anything is kept, ascending."""
        return np.union1d(self.train, self.measured)

    @cached_property
    def sizes(self) -> np.ndarray:
        """How many views each has, itself counted, int64 [N]."""
        return np.where(np.isin(self.positions, self.train), 1 + self.count, 1)

    @cached_property
    def first(self) -> np.ndarray:
        """The row of each image itself, int64 [N]."""
        return np.cumsum(self.sizes) - self.sizes

    def __len__(self) -> int:
        return int(self.sizes.sum())

    def rows(self, positions: np.ndarray, numbers: np.ndarray | int = 0) -> np.ndarray:
        """Where view ``numbers`` of images lie."""
        return self.first[np.searchsorted(self.positions, positions)] + numbers


@dataclass(frozen=True, eq=False)
class KeptMaps:
    """``maps``: float16 [len(views), ...], on disk. ``fingerprint`` is equal for equal content."""

    views: Views
    maps: np.ndarray
    fingerprint: str

    def read(self, positions: np.ndarray, numbers: np.ndarray | int = 0) -> np.ndarray:
        """Maps float16 [n, ...] of view ``numbers`` (0: the image itself) of images, by position."""
        return self.maps[self.views.rows(positions, numbers)]


@dataclass(frozen=True)
class FrozenPart:
    """What comes before the last ``blocks`` of a backbone. ``run``: uint8 [B, size, size, 3] -> float16 [B, *shape];
    ``workers`` threads may call it at the same time."""

    blocks: int
    shape: tuple[int, ...]
    run: Callable[[np.ndarray], np.ndarray]
    workers: int


def check_room(path: Path, rows: int, row_bytes: int) -> int:
    """Bytes that so many maps take. Raises :class:`GalleryError` when the disk has not so much beside what is there."""
    needed, there = rows * row_bytes, path.stat().st_blocks * 512 if path.exists() else 0
    free = disk.free(path) + there
    if needed > SPARE_SHARE * free:
        raise GalleryError(
            say(
                "deep training keeps {needed} of maps in {name} while it runs, and {free} are free: make "
                "room, or take fewer crops and mirror images, or fewer images of a class",
                needed=bytes_text(needed),
                name=path.parent.name,
                free=bytes_text(free),
            ),
            command="--augmentations, --max-images",
        )
    return needed


def keep_maps(
    gallery: Gallery, records: Sequence[Record], views: Views, frozen: FrozenPart, path: Path, note: str = ""
) -> Work[KeptMaps]:
    """Compute what is missing; ``records`` are the items at ``views.positions``, ``note`` stands in every step.

    Raises :class:`GalleryError` when an image is gone.
    """
    of = _fingerprint(gallery.embedder.backbone, records, views, frozen.blocks)
    done = _done(path, of, len(views), frozen.shape)
    disk.make_folder(path.parent)
    maps = np.lib.format.open_memmap(path, "r+" if done else "w+", np.float16, (len(views), *frozen.shape))
    note = say("{size} on disk", size=bytes_text(maps.nbytes)) + (note and f" · {note}")
    stage, noted = Stage(to_say("frozen part"), len(views), to_say("views"), done), time.monotonic()
    with ThreadPoolExecutor(frozen.workers) as threads:
        try:
            for start in range(int(np.searchsorted(views.first, done)), len(records), AT_ONCE):
                yield stage.at(done, note)
                some = range(start, min(start + AT_ONCE, len(records)))
                for made in threads.map(lambda at: _maps_of(gallery, records[at], views, at, frozen), some):
                    maps[done : done + len(made)] = made
                    done += len(made)
                if time.monotonic() - noted > NOTED_SECONDS:
                    _note(path, maps, of, done)
                    noted = time.monotonic()
        finally:
            _note(path, maps, of, done)
    return KeptMaps(views, np.load(path, mmap_mode="r"), of)


def delete_maps(path: Path) -> None:
    """They are not needed any more."""
    for each in (path, _progress(path)):
        system.delete(each)


def _maps_of(gallery: Gallery, record: Record, views: Views, at: int, frozen: FrozenPart) -> np.ndarray:
    """Float16 [views of this image, ...]."""
    prep = gallery.embedder.backbone.preprocessing
    image = pictures.decoded(gallery.database, record, prep.size)
    drawn = [draw_view(image, record.sha256, number, views.seed) for number in range(int(views.sizes[at]))]
    return frozen.run(np.stack([prep.to_input(view) for view in drawn]))


def _fingerprint(backbone: BackboneSpec, records: Sequence[Record], views: Views, blocks: int) -> str:
    """sha256 of all that the maps depend on, and of their order."""
    made = [VIEWS_VERSION, backbone.weight_hash(), blocks, views.count, views.seed, views.sizes.tolist()]
    return hashlib.sha256(json.dumps([made, [record.sha256 for record in records]]).encode()).hexdigest()


def _progress(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _note(path: Path, maps: np.memmap, of: str, done: int) -> None:
    """So many rows are on disk."""
    maps.flush()
    write_atomically(_progress(path), json.dumps({"of": of, "done": done}).encode())


def _done(path: Path, of: str, rows: int, shape: tuple[int, ...]) -> int:
    """How many rows of just these maps are there."""
    try:
        noted = parse_json(_progress(path).read_text(encoding="utf-8"))
        there = np.load(path, mmap_mode="r")
        fits = noted["of"] == of and (there.dtype, there.shape) == (np.float16, (rows, *shape))
        return min(int(noted["done"]), rows) if fits else 0
    except (OSError, ValueError, TypeError, KeyError, EOFError):
        return 0
