"""The main job: a source of images -> items of a gallery, resumable at any moment, with progress.

Reading, hashing, decoding, the backbone and the thumbnail of one image are one task of a small thread pool (all of
them release Python's lock), so that decoding overlaps with inference. Results are committed in the source's order.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import PurePosixPath

import numpy as np

from unifex import images, snapshot
from unifex.embedder import Embedder
from unifex.gallery import Gallery
from unifex.sources import Item, Refused, Source, open_source
from unifex.writer import Embedded, Stored, Writer

COMMIT_IMAGES = 512
COMMIT_SECONDS = 5.0
REPORT_SECONDS = 0.2
WINDOW_IMAGES = 128  # enough work for the pool while a batch is being committed
TRIAL_IMAGES = 20
ROW_BYTES = 600  # an item's row and index entries in SQLite, measured


@dataclass(frozen=True)
class Progress:
    """``total`` is None for sources that cannot be counted. ``seconds_left`` is None until it can be told."""

    done: int
    total: int | None
    added: int
    skipped: int
    failed: int
    seconds: float

    @property
    def images_per_second(self) -> float:
        """New images embedded a second so far."""
        return self.added / self.seconds if self.seconds else 0.0

    @property
    def seconds_left(self) -> float | None:
        """At the speed so far."""
        if not self.total or not self.done:
            return None
        return self.seconds / self.done * max(0, self.total - self.done)


@dataclass(frozen=True)
class IndexReport:
    """The outcome. ``skipped`` were there already and unchanged, ``removed`` are gone from the source (prune)."""

    gallery: str
    items: int
    added: int
    skipped: int
    removed: int
    failed: list[Refused]
    seconds: float


@dataclass(frozen=True)
class Forecast:
    """What indexing a source would take, from a trial on a few of its images."""

    images: int
    tried: int
    refused: int
    seconds: float
    bytes: int


@dataclass
class _Counts:
    done: int = 0
    added: int = 0
    skipped: int = 0
    failed: list[Refused] = field(default_factory=list)


def index(gallery: Gallery, source: str | Source, prune: bool = False) -> Iterator[Progress | IndexReport]:
    """Add a source's images to a gallery; yields :class:`Progress`, and an :class:`IndexReport` last.

    Unchanged items are skipped without being read. Closing the generator commits what was done; indexing the same
    source again goes on from there. ``prune`` removes items that came from this source and are no longer in it.
    Raises ``SourceError`` and ``GalleryError``.
    """
    source = open_source(source) if isinstance(source, str) else source
    with gallery.write() as writer:
        run = _Run(gallery, writer, source)
        try:
            yield from run.events()
            removed = run.prune() if prune else 0
            writer.finish_source(run.source_id)
        finally:
            run.stop()
    yield IndexReport(
        gallery.name, len(gallery), run.counts.added, run.counts.skipped, removed, run.counts.failed, run.seconds()
    )


class _Run:
    """One pass over a source, with its thread pool, its uncommitted batch and its counts."""

    def __init__(self, gallery: Gallery, writer: Writer, source: Source):
        self.gallery, self.writer, self.source = gallery, writer, source
        self.counts = _Counts()
        self.source_id = writer.begin_source(source.spec, source.options.keep)
        self._embedder = gallery.embedder
        self._stored = writer.stored()
        self._contents = {(stored.path, stored.sha256) for stored in self._stored.values()}
        self._hashes = writer.stored_hashes()
        self._seen: set[str] = set()
        self._batch: list[Embedded] = []
        self._refused: list[Refused] = []
        self._touched: list[tuple[Stored, Item]] = []
        self._started = self._committed = self._reported = time.monotonic()
        self._pool = ThreadPoolExecutor(self._embedder.engine.workers, thread_name_prefix="unifex-index")
        self._pending: deque[Future[list[Embedded | Refused]]] = deque()

    def seconds(self) -> float:
        return time.monotonic() - self._started

    def events(self) -> Iterator[Progress]:
        self.writer.forget_refusals(self.source_id)
        total = self.source.count()
        yield self._progress(total)
        window = max(1, WINDOW_IMAGES // self._embedder.engine.batch_size)
        for chunk in self._chunks():
            self._pending.append(self._pool.submit(embed_items, self._embedder, chunk, self._hashes))
            while len(self._pending) >= window:
                self._collect()
            if time.monotonic() - self._reported > REPORT_SECONDS:
                self._reported = time.monotonic()
                yield self._progress(total)
        while self._pending:
            self._collect()
        self._commit()
        yield self._progress(self.counts.done)

    def _progress(self, total: int | None) -> Progress:
        counts = self.counts
        return Progress(counts.done, total, counts.added, counts.skipped, len(counts.failed), self.seconds())

    def _chunks(self) -> Iterator[list[Item]]:
        """New and changed items, as many at a time as the engine wants; an empty list keeps progress going."""
        chunk: list[Item] = []
        for found in self.source:
            if isinstance(found, Refused):
                self._refuse(found)
            elif self._is_new(found):
                chunk.append(found)
            if len(chunk) == self._embedder.engine.batch_size:
                yield chunk
                chunk = []
            elif time.monotonic() - self._reported > REPORT_SECONDS:
                yield []
        if chunk:
            yield chunk

    def _is_new(self, item: Item) -> bool:
        self._seen.add(item.uri)
        stored = self._stored.get(item.uri)
        if stored is None or stored.stamp != item.stamp:
            return True
        if stored.labels != (item.label, item.domain, item.split):
            self._touched.append((stored, item))
        self._skip()
        return False

    def _skip(self) -> None:
        self.counts.done += 1
        self.counts.skipped += 1

    def _is_unchanged(self, entry: Embedded) -> bool:
        """A file that was only touched, or an upload that the gallery has kept before."""
        stored = self._stored.get(entry.item.uri)
        if stored and stored.sha256 == entry.sha256:
            self._touched.append((stored, entry.item))
            return True
        return entry.item.keep and (entry.item.path, entry.sha256) in self._contents

    def _refuse(self, refused: Refused) -> None:
        self.counts.done += 1
        self.counts.failed.append(refused)
        self._refused.append(refused)

    def _collect(self) -> None:
        for outcome in self._pending.popleft().result():
            if isinstance(outcome, Refused):
                self._refuse(outcome)
                continue
            if self._is_unchanged(outcome):
                self._skip()
                continue
            self.counts.done += 1
            self.counts.added += 1
            self._batch.append(outcome)
        if len(self._batch) >= COMMIT_IMAGES or time.monotonic() - self._committed > COMMIT_SECONDS:
            self._commit()

    def _commit(self) -> None:
        if self._touched:
            self.writer.touch(self._touched)
        if self._batch or self._refused:
            self.writer.commit(self.source_id, self._batch, self._refused)
        self._hashes.update(entry.sha256 for entry in self._batch)
        self._batch, self._refused, self._touched = [], [], []
        self._committed = time.monotonic()

    def prune(self) -> int:
        """Remove what this source no longer has."""
        stored = self.writer.ids_of_source(self.source_id)
        return self.writer.remove(stored[uri] for uri in stored.keys() - self._seen)

    def stop(self) -> None:
        """Keep what is finished, drop what is not, leave the gallery ready to search."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._commit()
        self.writer.merge_small_shards()
        self.writer.drop_unused_images()
        snapshot.save(self.gallery)


def embed_items(embedder: Embedder, items: list[Item], known: set[str]) -> list[Embedded | Refused]:
    """Read, hash, decode and embed a few items; an image whose hash is ``known`` is not decoded again."""
    outcomes: list[Embedded | Refused] = []
    pixels: list[np.ndarray] = []
    waiting: list[int] = []
    for item in items:
        try:
            data = item.read()
            sha256 = images.content_hash(data)
            if sha256 in known:
                outcomes.append(Embedded(item, sha256))
                continue
            picture = images.decode(data, at_least=embedder.backbone.preprocessing.size)
        except images.ImageError as error:
            outcomes.append(Refused(item.path, str(error)))
            continue
        except OSError as error:
            outcomes.append(Refused(item.path, f"cannot be read ({error.strerror})"))
            continue
        pixels.append(images.to_input(picture.image, embedder.backbone.preprocessing))
        waiting.append(len(outcomes))
        outcomes.append(_without_features(item, sha256, picture, data))
    if pixels:
        for place, features in zip(waiting, embedder.engine.bulk(np.stack(pixels))):
            outcomes[place] = Embedded(**{**outcomes[place].__dict__, "features": features})
    return outcomes


def _without_features(item: Item, sha256: str, picture: images.Picture, data: bytes) -> Embedded:
    return Embedded(
        item=item,
        sha256=sha256,
        width=picture.width,
        height=picture.height,
        bytes=len(data),
        thumbnail=images.thumbnail(picture.image),
        original=data if item.keep else b"",
        original_suffix=PurePosixPath(item.path).suffix.lower()[:8] or ".img" if item.keep else "",
    )


def forecast(embedder: Embedder, source: str | Source, trial: int = TRIAL_IMAGES) -> Forecast:
    """Time and disk that indexing would take, from embedding ``trial`` images spread over the source."""
    source = open_source(source) if isinstance(source, str) else source
    count = source.count()
    step = max(1, (count or trial) // trial)
    chosen = list(islice(islice(source, 0, None, step), trial))
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
