"""The main job: a source of images -> items of a gallery, resumable at any moment, with progress.

An item is an image at a place. What is found at another place, and at its own no more, has moved and stays the same
item; a source says what it knows of an item, and takes nothing away that others know (:mod:`unifex.gallery.listings`).

Reading, hashing, decoding, the backbone and the thumbnail of one image are one task of a small thread pool (all of
them release Python's lock), so that decoding overlaps with inference. Results are committed in the source's order.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from unifex.core.language import say, to_say
from unifex.core.metadata import FileMetadata
from unifex.core.progress import Stage, Step, Work
from unifex.data import locations
from unifex.data.frame_names import video_of
from unifex.data.item import Item, Skipped, Source, SourceError
from unifex.data.locations import Place
from unifex.data.sources import open_source
from unifex.data.video import Video, entries, unfolded
from unifex.gallery import naming
from unifex.gallery.embedding import embed_items, said_by_file
from unifex.gallery.gallery import Gallery
from unifex.gallery.index_report import Counts, IndexReport, PruneRefused
from unifex.gallery.known_items import KnownItems, cannot_be_looked_at
from unifex.gallery.known_videos import KnownVideos
from unifex.gallery.read_ahead import ReadAhead
from unifex.gallery.records import Asked, Embedded, Registered, Stored
from unifex.gallery.writer import Writer

STAYS = to_say("what was indexed there before stays")


@dataclass(frozen=True)
class Pace:
    """When a batch is committed, after so many images or seconds, and when progress is told.

    ``window_images`` are read ahead: enough work for the pool while a batch is being committed.
    """

    commit_images: int = 512
    commit_seconds: float = 5.0
    report_seconds: float = 0.2
    window_images: int = 128


def index(
    gallery: Gallery,
    source: str | Source,
    prune: bool = False,
    prune_all: bool = False,
    rehash: bool = False,
    pace: Pace = Pace(),
) -> Work[IndexReport]:
    """Add a source's images to a gallery.

    Unchanged items are skipped without being read; ``rehash`` reads all, for changes that kept size and time. Closing
    the generator commits what was done; indexing the same source again goes on from there. ``prune`` removes items
    that are no longer in this source, but nothing that could not be looked at; ``prune_all`` also when less than half
    is left. All three are kept with the source until it is finished. Raises ``SourceError``, ``GalleryError``, and
    :class:`PruneRefused` when all is indexed, nothing removed.
    """
    source = open_source(source) if isinstance(source, str) else source
    source = _as_known(gallery, source)
    with gallery.write() as writer:
        run = _Run(gallery, writer, source, Asked(prune, prune_all, rehash), pace)
        try:
            yield from run.steps()
            run.check_still_there()
            run.find_again()
            run.forget_the_old()
            refusal = run.refuse_prune() if prune and not prune_all else None
            pruned = run.prune() if run.prunes and not refusal else 0
            writer.finish_source(run.source_id, source.options.to_json())  # all that was asked for is done
        finally:
            run.stop()
    if refusal:
        raise refusal
    counts = run.counts
    return IndexReport(
        gallery.name,
        len(gallery),
        counts.added,
        counts.skipped,
        len(run.replaced) + pruned,
        counts.failed,
        run.seconds(),
        counts.moved,
        counts.relabelled,
        0 if run.prunes else len(run.gone()),
        counts.remarks(),
        naming.count_left_out(gallery.database),
    )


def _as_known(gallery: Gallery, source: Source) -> Source:
    """The source under the path that the gallery knows it by, lest another spelling make it a second one."""
    spec = locations.known_as(source.spec, (known.spec for known in gallery.sources()))
    return source if spec == source.spec else open_source(spec, options=source.options)


def _begin(writer: Writer, source: Source, asked: Asked) -> int:
    options, by_layout = source.options, getattr(source, "by_layout", False)
    return writer.begin_source(source.spec, options.keep, asked.beside(options), by_layout)


def announce(
    gallery: Gallery, source: Source, asked: Asked = Asked(), is_wanted: Callable[[], bool] = lambda: False
) -> Callable[[], None]:
    """A source is going to be indexed: should the program end before its turn comes, it is known as unfinished. What
    takes that back, unless it ``is_wanted`` by then.

    Both raise ``GalleryBusy`` while the gallery is being written.
    """
    source = _as_known(gallery, source)
    before = next((known for known in gallery.sources() if known.spec == source.spec), None)
    with gallery.write() as writer:
        announced = _begin(writer, source, asked)
    after = _registered(gallery, announced)

    def take_back() -> None:
        with gallery.write() as writer:
            if _registered(gallery, announced) == after and not is_wanted():  # else somebody has asked since
                writer.take_back_source(announced, before)

    return take_back


def _registered(gallery: Gallery, source: int) -> Registered | None:
    return next((known for known in gallery.sources() if known.id == source), None)


class _Run:
    """One pass over a source, with its thread pool, its uncommitted batch and its counts."""

    def __init__(self, gallery: Gallery, writer: Writer, source: Source, asked: Asked, pace: Pace):
        self.gallery, self.writer, self.source, self.pace = gallery, writer, source, pace
        self.rehash, self.prunes = asked.rehash, asked.prunes
        self.counts = Counts()
        self.replaced: set[int] = set()  # frames of videos that have others now
        self.source_id = _begin(writer, source, asked)
        self._identity = locations.identity(source.spec)
        self._embedder = gallery.embedder
        self._known = KnownItems(writer, self.source_id, [known.spec for known in gallery.sources()])
        self._hashes = writer.stored_hashes()
        self._unasked = writer.unasked()
        self._said: dict[str, FileMetadata] = {}  # by images that were indexed before anybody looked
        self._met = self._unchanged = 0  # of what is there already: found again, and not read since it is as it was
        self._seen: set[str] = set()
        self._unread: set[str] = set()  # paths of which nobody knows what lies at or below them
        self._lost_rows = False  # there are rows of which nobody knows which images they name
        self._videos = KnownVideos(self._known, self._seen, self._unread, asked.rehash)
        self._failure: SourceError | None = None
        self._batch: list[Embedded] = []
        self._refused: list[Skipped] = []
        self._staying: list[tuple[int, Stored | None]] = []  # by its number among those that failed, what was there
        self._found_elsewhere: set[int] = set()  # ids of items that have moved
        self._touched: list[tuple[Stored, Item]] = []
        self._moved: list[tuple[int, Embedded]] = []
        self._left: list[int] = []
        self._started = self._committed = self._reported = time.monotonic()
        self._pool = ThreadPoolExecutor(self._embedder.engine.workers, thread_name_prefix="unifex-index")
        self._ahead = ReadAhead(getattr(source, "requests", 1))
        self._pending: deque[tuple[list[Item], Future[list[Embedded | Skipped]]]] = deque()

    def seconds(self) -> float:
        return time.monotonic() - self._started

    def steps(self) -> Iterator[Step]:
        """Read, embed and commit the whole source."""
        self.writer.forget_refusals(self.source_id)
        stage = Stage("", self.source.count() or 0, to_say("images"))
        yield self._step(stage)
        window = max(1, self.pace.window_images // self._embedder.engine.batch_size)
        for chunk in self._chunks():
            begun = self._ahead.begin(chunk)
            self._pending.append((chunk, self._pool.submit(embed_items, self._embedder, begun, self._hashes)))
            while len(self._pending) >= window:
                self._collect()
            yield from self._report(stage)
        while self._pending:
            self._collect()
            yield from self._report(stage)
        self._commit()
        if self._failure:
            raise self._failure
        stage.total = self.counts.done
        yield self._step(stage)

    def _report(self, stage: Stage) -> Iterator[Step]:
        """Progress, where it is time for it; who cancels ends the run there."""
        if time.monotonic() - self._reported > self.pace.report_seconds:
            self._reported = time.monotonic()
            yield self._step(stage)

    def _step(self, stage: Stage) -> Step:
        counts, rate = self.counts, self.counts.added / max(self.seconds(), 1e-9)
        told = {"added": counts.added, "skipped": counts.skipped, "failed": len(counts.failed)}
        note = say("{added:,} added, {skipped:,} there already, {failed:,} left out", **told)
        note = " · ".join([note, say("{rate:.0f} images/s", rate=rate)]) if rate >= 1 else note
        return stage.at(counts.done, note, self._unchanged, self._unchanged_to_come(stage.total - counts.done))

    def _unchanged_to_come(self, left: int) -> int:
        """How many of those that are left need not be read: as many of the known ones as were unchanged until now."""
        known = max(0, len(self._known.listed) - self._met)
        return min(left, known * self._unchanged // self._met if self._met else known)

    def _chunks(self) -> Iterator[list[Item]]:
        """New and changed items, as many at a time as the engine wants; an empty list keeps progress going."""
        chunk: list[Item] = []
        for found in self._found():
            if isinstance(found, Skipped):
                self._refuse(found, self._known.by_path.get(found.path))
            elif found.uri in self._seen:
                self._refuse(Skipped(found.path, say("the same file as another entry")), None)
            elif self._is_new(found):
                chunk.append(found)
            if len(chunk) == self._embedder.engine.batch_size:
                yield chunk
                chunk = []
            elif time.monotonic() - self._reported > self.pace.report_seconds:
                yield []
        if chunk:
            yield chunk

    def _found(self) -> Iterator[Item | Skipped]:
        """What the source has until it ends or fails, which is told when all that came before is kept."""
        try:
            yield from unfolded(entries(self.source), self._videos.known, self._video_met)
        except SourceError as error:
            self._failure = error

    def _video_met(self, video: Video) -> None:
        for stored in self._videos.left(video):
            self._known.make_room(stored.uri)
            self._left.append(stored.id)
            self.replaced.add(stored.id)

    def _is_new(self, item: Item) -> bool:
        self._seen.add(item.uri)
        stored = self._known.at(item.uri)
        self._met += stored is not None
        if self.rehash or stored is None or stored.stamp != item.stamp:
            return True
        self._unchanged += 1
        self.counts.note(item)
        self._skip(stored, item)
        return False

    def _skip(self, stored: Stored, item: Item) -> None:
        """The item is there and unchanged; what the source says of it may be new."""
        self.counts.done += 1
        self.counts.skipped += 1
        if self._known.is_news(stored, item):
            self._touched.append((stored, item))
        if stored.sha256 in self._unasked and (said := said_by_file(item)) is not None:
            self._unasked.discard(stored.sha256)
            self._said[stored.sha256] = said

    def _refuse(self, refused: Skipped, stored: Stored | None) -> None:
        """``stored``: the item that was there. While a file is there it is not gone, whatever has become of it."""
        self._lost_rows |= refused.of_any
        if refused.unread or (stored and self._known.places.look(*stored.place) is Place.CHANGED):
            self._unread.add(refused.path)
        if self._stays(refused, stored):
            self._staying.append((len(self.counts.failed), stored))
        self.counts.done += 1
        self.counts.failed.append(refused)
        self._refused.append(refused)

    def _tell_what_stays(self) -> None:
        """Of refused files, where it is known what became of what was there: it may have been found elsewhere."""
        for number, stored in self._staying:
            if stored is None or stored.id not in self._found_elsewhere:
                refused = self.counts.failed[number]
                self.counts.failed[number] = told = replace(refused, reason=f"{refused.reason}; {say(STAYS)}")
                self._refused.append(told)

    def _stays(self, refused: Skipped, stored: Stored | None) -> bool:
        if stored is None:
            return refused.unread and self._videos.has(refused.path)
        return not self.prunes or not self._is_gone(refused.path, stored)

    def _collect(self) -> None:
        chunk, future = self._pending.popleft()
        for item, outcome in zip(chunk, future.result()):
            stored = self._known.at(item.uri)
            if isinstance(outcome, Skipped):
                self._refuse(outcome, stored)
                continue
            self.counts.note(outcome.item)
            if stored and stored.sha256 == outcome.sha256:  # only touched
                self._skip(stored, item)
            elif moved := self._known.moved_to(item, outcome.sha256):
                self.counts.done += 1
                self.counts.moved += 1
                self.replaced.discard(moved.id)
                self._found_elsewhere.add(moved.id)
                self._moved.append((moved.id, outcome))
            elif item.keep and (same := self._known.called_the_same(item, outcome.sha256)):
                self._skip(same, item)
            else:
                self.counts.done += 1
                self.counts.added += 1
                self._known.make_room(item.uri)
                self._batch.append(outcome)
        if len(self._batch) >= self.pace.commit_images or time.monotonic() - self._committed > self.pace.commit_seconds:
            self._commit()

    def _commit(self) -> None:
        if self._left:
            self.writer.leave(self._left)
        if self._said:
            self.writer.describe(self._said)
            self._said = {}
        if self._touched:
            self.counts.relabelled += self.writer.list_items(self.source_id, self._touched)
        if self._batch or self._refused or self._moved:
            self.counts.relabelled += self.writer.commit(self.source_id, self._batch, self._refused, self._moved)
        self._hashes.update(entry.sha256 for entry in self._batch)
        self._batch, self._refused, self._touched, self._moved, self._left = [], [], [], [], []
        if moved := self._known.moved_after_all():
            self._found_again(self.writer.find_again(moved))
        self._committed = time.monotonic()

    def check_still_there(self) -> None:
        """Raises ``SourceError`` when the source's folder went while it was read: it is not finished."""
        if locations.identity(self.source.spec) != self._identity:
            raise SourceError.went(self.source.spec)

    def find_again(self) -> None:
        """What the source has no more where nobody can look, and brought anew under another name, has moved."""
        lost = [stored.id for stored in self.gone() if self._known.places.look(*stored.place) is Place.UNKNOWN]
        self._found_again(self.writer.find_again(lost))

    def _found_again(self, items: Collection[int]) -> None:
        self._known.found(items)
        self.counts.added -= len(items)
        self.counts.moved += len(items)

    def gone(self) -> list[Stored]:
        """What the source had and has no more; nothing of what could not be looked at, or was relocated out of it."""
        return [stored for path, stored in self._known.not_found() if self._is_gone(path, stored)]

    def _is_gone(self, path: str, stored: Stored) -> bool:
        if self._is_unread(path) or cannot_be_looked_at(stored) or self._was_relocated(stored):
            return False
        return not self._lost_rows or self._known.places.look(*stored.place) is Place.ABSENT

    def _was_relocated(self, stored: Stored) -> bool:
        place = self.source.spec
        outside = getattr(self.source, "by_layout", False) and locations.relocated(stored.uri, place, place) is None
        return outside and self._known.places.look(*stored.place) is Place.SAME

    def _is_unread(self, path: str) -> bool:
        places = (path, video_of(path), *PurePosixPath(path).parents)
        return "" in self._unread or any(str(place) in self._unread for place in places)

    def refuse_prune(self) -> PruneRefused | None:
        """Why nothing should be removed unless it is meant: less than half is left."""
        gone, known = len(self.gone()), len(self._known.listed)
        return PruneRefused(self.source.spec, known, gone) if 2 * gone > known else None

    def prune(self) -> int:
        """Remove what this source no longer has; how many items."""
        gone = self.gone()
        absent = [stored.id for stored in gone if self._known.places.look(*stored.place) is Place.ABSENT]
        outcome = self.writer.unlist(self.source_id, [stored.id for stored in gone], absent)
        self.counts.relabelled += outcome.relabelled
        return outcome.removed

    def forget_the_old(self) -> None:
        """A source that is no longer there, and all of whose items this one has, is no source any more."""
        covered = self.writer.covered(self.source_id)
        listed = self.gallery.database.listed_items() if covered else {}
        for known in covered:
            place = locations.path_of(known.spec)
            had_items = known.id in listed or (known.complete and self.counts.moved)
            if had_items and place and not (place.exists() and place == place.resolve()):
                self.counts.relabelled += self.writer.forget_source(known.id).relabelled

    def stop(self) -> None:
        """Keep what is finished, drop what is not, leave the gallery ready to search."""
        self._ahead.stop()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._tell_what_stays()
        self._commit()
        self.counts.ended = ended = self.writer.tidy()
        self._found_again(ended.moved)
        self.gallery.derived.save()
