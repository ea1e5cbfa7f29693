"""A gallery as another backbone sees it: the same items, corrections and tags, with features made anew from the images.

It becomes a gallery of its own, beside the one it was made from, since features of two backbones cannot be compared.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np

from unifex.core.files import with_checksum, write_atomically
from unifex.core.language import say, to_say
from unifex.core.progress import Stage, Work
from unifex.data.item import Labels
from unifex.gallery import pictures
from unifex.gallery.config import FILE, GalleryConfig
from unifex.gallery.database import FILE as ITEMS
from unifex.gallery.embedding import features_again
from unifex.gallery.errors import GalleryError
from unifex.gallery.gallery import Gallery, new_gallery
from unifex.gallery.library import Library
from unifex.gallery.records import Record
from unifex.models import zoo
from unifex.models.embedder import Embedder, keep_model

AT_ONCE = 64  # images between two steps
KEPT = ("thumbs", "originals")  # folders that any backbone can use
OF_BACKBONE = ("features", "views")  # folders that another model on the very same backbone can use, too


class _Place(NamedTuple):
    """An image, and where its features lie."""

    record: Record
    shard: int
    row: int


def index_anew(library: Library, name: str, new: str, embedder: Embedder) -> Work[Gallery]:
    """Make gallery ``new`` of all that ``name`` holds, to be searched with ``embedder``; ``name`` stays as it is.

    Closing the generator leaves nothing behind. Raises ``GalleryError`` when an image is no longer there, when the name
    is taken, or when the gallery is busy.
    """
    gallery, target = library.writable(name), library.place(new)
    if target.exists() or target.name in library.names():
        raise GalleryError(say("there is a gallery '{name}' already; choose another name", name=target.name))
    keep_model(embedder, library.models)
    with new_gallery(target) as folder, gallery.write():
        is_same = zoo.makes_the_same(embedder.backbone, gallery.config.backbone, gallery.config.backbone_hash)
        yield from _take_over(gallery.folder, folder, (*KEPT, *OF_BACKBONE) if is_same else KEPT)
        with gallery.database.connect() as theirs, closing(sqlite3.connect(folder / ITEMS)) as own:
            theirs.backup(own)
        if not is_same:
            yield from _write_features(gallery, embedder, folder)
        write_atomically(folder / FILE, with_checksum(asdict(GalleryConfig.new(embedder))))
    made = library.get(target.name, embedder)
    with made.write():
        made.derived.save()
    return made


def _take_over(source: Path, target: Path, kept: tuple[str, ...]) -> Work[None]:
    """The folders ``kept``, with a step after every :data:`AT_ONCE` files, and after each that has to be copied."""
    folders = [(Path(at), names) for name in kept for at, _, names in os.walk(source / name, followlinks=True)]
    stage = Stage(to_say("taking over what is kept"), sum(len(names) for _, names in folders), to_say("files"))
    done = 0
    for at, names in folders:
        own = target / at.relative_to(source)
        own.mkdir()
        for name in names:
            done += 1
            if not _is_linked(at / name, own / name) or done % AT_ONCE == 0:
                yield stage.at(done)


def _is_linked(source: Path, target: Path) -> bool:
    """One file at two places, where the disk can; what is written later is renamed into place, and so is another.
    False where it had to be copied."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
        return False
    return True


def _write_features(gallery: Gallery, embedder: Embedder, folder: Path) -> Work[None]:
    """Shards with the same rows as the gallery's."""
    (folder / "features").mkdir()
    places, done = list(_places(gallery)), 0
    looking = Stage(to_say("looking for the images"), len(places), to_say("images"))
    for number, place in enumerate(places):  # before hours of work, not at its turn
        if number % AT_ONCE == 0:
            yield looking.at(number)
        pictures.check_there(gallery.database, place.record)
    stage = Stage(to_say("indexing anew"), len(places), to_say("images"))
    with (
        closing(sqlite3.connect(folder / ITEMS)) as database,
        ThreadPoolExecutor(embedder.engine.workers) as threads,
    ):
        with database:
            database.execute("DELETE FROM features WHERE sha256 NOT IN (SELECT sha256 FROM items)")
            database.execute("DELETE FROM shards WHERE id NOT IN (SELECT shard FROM features)")
        sizes = dict(database.execute("SELECT id, rows FROM shards"))
        for shard, group in groupby(places, lambda place: place.shard):
            own = list(group)
            features = np.zeros((sizes[shard], embedder.backbone.feature_dim), np.float16)
            for start in range(0, len(own), AT_ONCE):
                yield stage.at(done)
                block = own[start : start + AT_ONCE]
                made = threads.map(lambda place: _features_of(gallery, embedder, place.record), block)
                features[[place.row for place in block]] = np.stack(list(made))
                done += len(block)
            data = io.BytesIO()
            np.save(data, features)
            write_atomically(folder / "features" / f"{shard:05d}.npy", data.getbuffer())
            checksum = hashlib.sha256(data.getbuffer()).hexdigest()
            with database:
                database.execute("UPDATE shards SET checksum = ? WHERE id = ?", (checksum, shard))


def _features_of(gallery: Gallery, embedder: Embedder, record: Record) -> np.ndarray:
    image = pictures.decoded(gallery.database, record, embedder.backbone.preprocessing.size)
    return features_again(embedder, image, record.path)


def _places(gallery: Gallery) -> Iterator[_Place]:
    """Every image that has features, also those that a correction leaves out, in the order of shards and rows."""
    with gallery.database.connect() as database:
        rows = database.execute(
            "SELECT MIN(items.id), uri, path, features.sha256, width, height, bytes, COALESCE(original, ''), shard, "
            "row FROM features JOIN items USING (sha256) GROUP BY features.sha256 ORDER BY shard, row"
        ).fetchall()
    for id, uri, path, sha256, width, height, size, original, shard, row in rows:
        yield _Place(Record(id, uri, path, sha256, Labels(), width, height, size, original), shard, row)
