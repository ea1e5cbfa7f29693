"""Changing a gallery: what may be done while holding its lock, and how it is held."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple
from operator import attrgetter

from filelock import Timeout

from unifex.core import disk
from unifex.core.errors import UnifexError
from unifex.core.files import drop_checksum, note_checksum
from unifex.core.language import say
from unifex.core.locks import lock_in_folder
from unifex.core.metadata import FileMetadata
from unifex.data.item import Item, Skipped
from unifex.gallery import corrections, item_rows, tags
from unifex.gallery.corrections import Correction
from unifex.gallery.database import Database
from unifex.gallery.errors import GalleryBusy, NoSuchGallery
from unifex.gallery.features import Comparison
from unifex.gallery.image_store import ImageStore
from unifex.gallery.item_rows import GONE, one
from unifex.gallery.records import Embedded, Ended, Registered, Relocated, Stored, Unlisted

LOCK_SECONDS = 0.2  # more than whoever only looks whether it is being written holds the lock


class Writer:
    """One holder of the lock. Every method leaves the gallery whole, even when killed half way."""

    def __init__(self, database: Database):
        self._database = database
        self._images = ImageStore(database)
        self._is_tidy = True
        self._since: int | None = None  # the first item that it added

    @contextlib.contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        """A transaction after which readers see another gallery."""
        with self._database.connect() as connection:
            yield connection
            _commit(connection)

    def begin(self) -> None:
        """Bring a gallery of an earlier version up to date, and clean up what a killed writer left."""
        self._database.check_form()  # what is damaged keeps the checksum that tells it
        drop_checksum(self._database.path)
        self._database.migrate()
        self._images.measure()
        if self._database.writing_path.exists():
            self.drop_left()
            self._tidy(self._images.drop_unused)
            self._images.clean_up()
        self._database.writing_path.touch()

    def close(self) -> None:
        """Everything is committed: the next writer need not look for rubbish, and a reader can check the items."""
        self._tidy(lambda: note_checksum(self._database.path, self._database.id))
        if self._is_tidy:
            self._database.complaints.over()
            self._database.writing_path.unlink(missing_ok=True)

    def _tidy(self, up: Callable[[], None]) -> None:
        """What is asked for is committed; where the disk has no room to tidy up, the next writer does. What is damaged
        is told when it is read, and no writer mends it."""
        try:
            up()
        except (NoSuchGallery, disk.FolderClosed):
            raise
        except (OSError, UnifexError) as error:
            self._is_tidy &= isinstance(error, UnifexError)
            self._database.complaints.tell(self._database.name, " is tidied up later", error)

    def begin_source(self, spec: str, keep: bool, options: str = "", by_layout: bool = False) -> int:
        """Note that this source is being indexed; its id. ``options`` are kept with it, see :class:`Registered`.

        ``by_layout``: its labels are the names of folders, see :mod:`unifex.gallery.listings`.
        """
        with self._database.connect() as connection:
            connection.execute(
                "INSERT INTO sources (id, spec, keep, complete, options, by_layout) VALUES (?, ?, ?, 0, ?, ?) "
                "ON CONFLICT (spec) DO UPDATE SET complete = 0, keep = excluded.keep, options = excluded.options, "
                "by_layout = excluded.by_layout",
                (item_rows.new_source(connection), spec, keep, options, by_layout),
            )
            return one(connection, "SELECT id FROM sources WHERE spec = ?", spec)

    def take_back_source(self, source: int, before: Registered | None) -> None:
        """It will not be indexed after all: it is as it was ``before`` :meth:`begin_source`, where it was known."""
        with self._database.connect() as connection:
            item_rows.take_back_source(connection, source, before)

    def finish_source(self, source: int, options: str | None = None) -> None:
        """The whole source has been seen; ``options`` are kept with it from now on."""
        with self._database.connect() as connection:
            finish = "UPDATE sources SET complete = 1, options = COALESCE(?, options) WHERE id = ?"
            connection.execute(finish, (options, source))

    def stored(self) -> dict[str, Stored]:
        """What is there already, by uri."""
        with self._database.connect() as connection:
            rows = connection.execute("SELECT id, uri, path, sha256, stamp FROM items")
            return {row[1]: Stored(*row) for row in rows}

    def listed(self, source: int) -> dict[int, tuple[str, ...]]:
        """The path, ``Labels.row`` and tags that a source said of its items, by id."""
        query = "SELECT item, path, label, domain, split, extra, tags FROM listings WHERE source = ?"
        with self._database.connect() as connection:
            return {row[0]: row[1:] for row in connection.execute(query, (source,))}

    def stored_hashes(self) -> set[str]:
        """sha256 of every image whose features are kept."""
        with self._database.connect() as connection:
            return {row[0] for row in connection.execute("SELECT sha256 FROM features")}

    def commit(
        self,
        source: int,
        batch: Sequence[Embedded],
        refused: Sequence[Skipped] = (),
        moved: Sequence[tuple[int, Embedded]] = (),
    ) -> int:
        """Make a batch durable; images already known are not stored. ``moved``: ids of items and where they are now.

        How many of the moved have other labels than before. An item that was at the place of another gets out of its
        way until :meth:`drop_left`.
        """
        everything = [*batch, *(entry for _, entry in moved)]
        new = {entry.sha256: entry for entry in batch if entry.features is not None}
        disk.check(self._database.folder, sum(len(entry.original) + len(entry.thumbnail) for entry in new.values()))
        with self._database.connect() as connection:
            self._images.add(connection, everything)
            wanted = {e.item.uri: 0 for e in batch} | {e.item.uri: item for item, e in moved}
            vacated = item_rows.vacate(connection, wanted)
            for item, entry in moved:
                item_rows.move(connection, item, entry.item.uri, entry.item.stamp)
            inserted = [(item, entry.item) for item, entry in zip(item_rows.insert(connection, source, batch), batch)]
            if self._since is None and inserted:
                self._since = inserted[0][0]
            found = [(item, entry.item) for item, entry in moved]
            item_rows.list_items(connection, source, [*inserted, *found])
            words = ((id, tag) for (id, _), e in zip(inserted, batch) if e.said for tag in e.said.keywords)
            tags.give(connection, words)
            relabelled = item_rows.settle(connection, [item for item, _ in found])
            item_rows.adopt_corrections(connection, batch)
            tags.adopt(connection, {item.sha256: id for (id, _), item in zip(reversed(inserted), reversed(batch))})
            connection.executemany(
                "INSERT OR REPLACE INTO refused VALUES (?, ?, ?)", [(source, r.path, r.reason) for r in refused]
            )
            _commit(connection, only_adds=not (moved or vacated))
        return relabelled

    def leave(self, items: Iterable[int]) -> None:
        """The places of these items show something else: they go with :meth:`drop_left`, unless they are found."""
        with self._database.connect() as connection:
            for item in items:
                item_rows.make_way(connection, item)

    def drop_left(self) -> Ended:
        """Remove items whose place shows something else and whose content was found nowhere.

        What lists said of such a place they say of what is there now. Where that is the same picture, of a file of
        which only what is not seen has changed, as a rating, it is the same item.
        """
        compare = Comparison(self._database)
        with self._database.connect() as connection:
            query = "SELECT id, uri, path, sha256 FROM items WHERE uri GLOB ? ORDER BY id"
            left = connection.execute(query, (f"{GONE}*",)).fetchall()
            found = self._found_again(connection, [item for item, *_ in left])
            ended, left = Ended(moved=found), [row for row in left if row[0] not in found]
            for item, uri, _, sha256 in reversed(left):  # of several of one picture the oldest stays
                now = item_rows.at(connection, _place_of(item, uri))
                if now and compare.is_one_picture(connection, sha256, now[1]):
                    item_rows.succeed(connection, item, now[0])
            for item, uri, path, sha256 in left:
                if one(connection, "SELECT uri FROM items WHERE id = ?", item) == uri:
                    successor, _ = item_rows.at(connection, _place_of(item, uri)) or (None, "")
                    if successor:
                        item_rows.inherit(connection, item, successor)
                    ended = ended.and_of(path, *item_rows.said_of(connection, item, successor))
                    item_rows.say_of(connection, (uri, sha256), (_place_of(item, uri), sha256), "IGNORE")
                    item_rows.delete(connection, [item])
            if item_rows.delete_unlisted(connection) or left or found:
                _commit(connection)
        return ended

    def find_again(self, items: Sequence[int]) -> frozenset[int]:
        """Which of these items, that were not found at their places, are among those that it added: they moved."""
        if not items:
            return frozenset()
        with self._change() as connection:
            return self._found_again(connection, items)

    def _found_again(self, connection: sqlite3.Connection, items: Sequence[int]) -> frozenset[int]:
        since = self._since
        return frozenset(item for item in items if since is not None and item_rows.find_again(connection, item, since))

    def forget_refusals(self, source: int) -> None:
        """Start a source's report anew."""
        with self._database.connect() as connection:
            connection.execute("DELETE FROM refused WHERE source = ?", (source,))

    def list_items(self, source: int, items: Sequence[tuple[Stored, Item]]) -> int:
        """Take over what a source says of items whose image is unchanged; how many labels changed."""
        with self._change() as connection:
            stamps = [(new.stamp, old.id) for old, new in items if old.uri == new.uri]
            connection.executemany("UPDATE items SET stamp = ? WHERE id = ?", stamps)
            item_rows.list_items(connection, source, [(old.id, new) for old, new in items])
            relabelled = item_rows.settle(connection, [old.id for old, _ in items])
        return relabelled

    def unasked(self) -> set[str]:
        """sha256 of every image of which nobody has looked yet what its file says."""
        with self._database.connect() as connection:
            return {row[0] for row in connection.execute("SELECT sha256 FROM features WHERE metadata IS NULL")}

    def describe(self, said: Mapping[str, FileMetadata]) -> None:
        """Note what the files of images say, by sha256; keywords become tags."""
        with self._change() as connection:
            connection.executemany(
                "UPDATE features SET taken = COALESCE(taken, ?), metadata = ?, keywords = ? "
                "WHERE sha256 = ? AND metadata IS NULL",
                [(*metadata.row, tags.as_row(metadata.keywords), sha256) for sha256, metadata in said.items()],
            )
            for sha256, metadata in said.items():
                if metadata.keywords:
                    items = connection.execute("SELECT id FROM items WHERE sha256 = ?", (sha256,)).fetchall()
                    tags.give(connection, ((item, tag) for (item,) in items for tag in metadata.keywords))

    def unlist(self, source: int, items: Sequence[int], gone: Iterable[int] = ()) -> Unlisted:
        """A source has these items no more: those that no other has, or that are ``gone``, are removed."""
        with self._change() as connection:
            outcome = self._unlist(connection, source, items, set(gone))
        self._tidy(self._images.drop_unused)
        return outcome

    @staticmethod
    def _unlist(connection: sqlite3.Connection, source: int, items: Sequence[int], gone: Collection[int]) -> Unlisted:
        item_rows.unlist(connection, source, items)
        listed = "SELECT 1 FROM listings WHERE item = ?"
        left = [item for item in items if item not in gone and one(connection, listed, item)]
        relabelled = item_rows.settle(connection, left)
        unlisted = set(items).difference(left)
        item_rows.delete(connection, unlisted)
        return Unlisted(len(unlisted), relabelled)

    def covered(self, source: int) -> list[Registered]:
        """Other sources, all of whose items this one has as well, by layout or by list as they have them."""
        query = """SELECT id FROM sources WHERE id != :this AND NOT EXISTS (
            SELECT 1 FROM listings AS theirs WHERE theirs.source = sources.id AND (
                by_layout != (SELECT by_layout FROM sources WHERE id = :this) OR NOT EXISTS (
                    SELECT 1 FROM listings AS ours WHERE ours.item = theirs.item AND ours.source = :this)))"""
        with self._database.connect() as connection:
            found = {row[0] for row in connection.execute(query, {"this": source})}
        return [known for known in self._database.sources() if known.id in found]

    def forget_source(self, source: int) -> Unlisted:
        """Forget a source, with the items that no other has. Their image files stay."""
        items = list(self.listed(source))
        with self._change() as connection:
            outcome = self._unlist(connection, source, items, ())
            connection.execute("DELETE FROM refused WHERE source = ?", (source,))
            connection.execute("DELETE FROM sources WHERE id = ?", (source,))
        self._tidy(self._images.drop_unused)
        return outcome

    def relocate(self, relocated: Callable[[str], str | None]) -> Relocated:
        """What lay at a place lies elsewhere, as ``relocated`` says of uris and specs; None: that stays. An item that
        was indexed there, too, is one."""
        joined = 0
        there_now: list[int] = []
        with self._change() as connection:
            rows = connection.execute("SELECT id, uri, sha256 FROM items").fetchall()
            moving = {item: (uri, sha256) for item, text, sha256 in rows if (uri := relocated(text))}
            there = {uri: (item, sha256) for item, uri, sha256 in rows if item not in moving}
            for item in moving:
                item_rows.make_way(connection, item)  # first all of them: one may be where another is to be
            for item, (uri, sha256) in moving.items():
                other, content = there.get(uri, (None, None))
                if other is None:
                    item_rows.rename(connection, item, uri)
                    there_now.append(item)
                    continue
                stays, goes = (item, other) if content == sha256 else (other, item)
                joined += 1
                there_now.append(stays)
                item_rows.join(connection, stays, goes)
                item_rows.rename(connection, stays, uri)
            known = connection.execute("SELECT id, spec FROM sources").fetchall()
            sources = {source: spec for source, text in known if (spec := relocated(text))}
            item_rows.relocate_sources(connection, sources)
            item_rows.settle(connection, there_now)
        self._tidy(self._images.drop_unused)
        return Relocated(len(sources), len(moving), joined)

    def correct(self, said: Iterable[Correction]) -> None:
        """Store corrections; one that says otherwise of the same image at its place replaces what was said before."""
        with self._change() as connection:
            connection.executemany(corrections.STORE, [astuple(correction) for correction in said])

    def undo(self, said: Iterable[Correction]) -> None:
        """Take corrections back; the items are again as their source has them."""
        with self._change() as connection:
            connection.executemany(corrections.TAKE_BACK, map(attrgetter(*corrections.KEY), said))

    def tag(self, ids: Iterable[int], names: Sequence[str]) -> None:
        """Items have these tags (:func:`tags.parse` makes them), too. Raises ``UnifexError`` for too many."""
        with self._change() as connection:
            tags.add(connection, ids, names)

    def copy_tags(self, ids: Iterable[int], names: Sequence[str]) -> None:
        """Items have these tags, too, which they have in another gallery: however many."""
        with self._change() as connection:
            tags.copy(connection, ids, names)

    def untag(self, ids: Iterable[int], names: Sequence[str]) -> None:
        """Items have these tags no more."""
        with self._change() as connection:
            tags.take_away(connection, ids, names)

    def remove(self, ids: Iterable[int]) -> int:
        """Remove items, and with the last item of an image all that is kept of that; how many went."""
        with self._change() as connection:
            before = one(connection, "SELECT COUNT(*) FROM items")
            item_rows.delete(connection, ids)
            after = one(connection, "SELECT COUNT(*) FROM items")
        self._tidy(self._images.drop_unused)
        return before - after

    def tidy(self) -> Ended:
        """After many changes: drop what was left at its place, join small shards, forget images that none shows."""
        ended = self.drop_left()
        self._tidy(self._images.merge_small_shards)
        self._tidy(self._images.drop_unused)
        return ended


def _place_of(item: int, uri: str) -> str:
    """Where an item was that is at it no more."""
    return uri.removeprefix(f"{GONE}{item}:")


def _commit(connection: sqlite3.Connection, only_adds: bool = False) -> None:
    """Count what the transaction did; ``only_adds``: items that were there are as they were."""
    changed = "changed" if only_adds else "version + 1"
    connection.execute(f"UPDATE state SET version = version + 1, changed = {changed}")


@contextlib.contextmanager
def writing(database: Database) -> Iterator[Writer]:
    """The right to change a gallery. Raises :class:`GalleryBusy` when another writer has it, :class:`NoSuchGallery`
    when it was deleted, and ``NotWritable``."""
    try:
        with disk.writing_in(database.folder):
            lock = lock_in_folder(database.lock_path, timeout=LOCK_SECONDS)
            lock.acquire()
    except FileNotFoundError:
        raise NoSuchGallery.any_more(database.name) from None
    except Timeout:
        raise GalleryBusy(
            say(
                "gallery '{name}' is being written by another process or tab; wait until it is done, or cancel it",
                name=database.name,
            )
        ) from None
    try:
        writer = Writer(database)
        with disk.writing_in(database.folder):  # what holds no more than a lock may be written all the same
            writer.begin()
        try:
            yield writer
        except (GeneratorExit, KeyboardInterrupt, UnifexError):  # between two commits: nothing is half done
            with contextlib.suppress(OSError, UnifexError):  # where it is there no more, that is what is told
                writer.close()
            raise
        writer.close()
    finally:
        lock.release()
