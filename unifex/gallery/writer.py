"""Changing a gallery: what may be done while holding its lock. Made by ``Gallery.write``.

A batch is durable when its shard is on disk **and** its rows are committed in one transaction, in this order; a shard
without rows is rubbish of a killed writer, and the next writer sweeps it away.
"""

from __future__ import annotations

import hashlib
import io
import re
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from unifex.core import derived, disk
from unifex.core.derived import Origin
from unifex.core.files import note_checksum, write_atomically
from unifex.data.item import Item, Options, Skipped, Source
from unifex.data.locations import relocated
from unifex.data.sources import open_source
from unifex.gallery import corrections
from unifex.gallery.corrections import Correction
from unifex.gallery.listings import Listing, settle

if TYPE_CHECKING:
    from unifex.gallery.gallery import Gallery

SHARD_ROWS = 8192
FEW_SHARDS = 8
_DIGEST = re.compile(r"[0-9a-f]{64}")
GONE = "gone:"  # begins the uri of an item whose place shows something else, until its content is found elsewhere


@dataclass(frozen=True)
class Embedded:
    """An item ready to be committed. ``features`` is None when the gallery has them already for this hash."""

    item: Item
    sha256: str
    width: int = 0
    height: int = 0
    bytes: int = 0
    features: np.ndarray | None = None
    thumbnail: bytes = b""
    original: bytes = b""
    original_suffix: str = ""

    @property
    def original_name(self) -> str:
        """File name of the kept bytes; empty when they are not kept."""
        return self.sha256 + self.original_suffix if self.original_suffix else ""


@dataclass(frozen=True)
class Stored:
    """What a source needs to know of an item that is there already."""

    id: int
    uri: str
    path: str
    sha256: str
    stamp: str

    @property
    def place(self) -> tuple[str, str, str]:
        """Where it lies, and what was found there when it was indexed: uri, stamp, sha256."""
        return self.uri, self.stamp, self.sha256


@dataclass(frozen=True)
class Registered:
    """A source of a gallery. ``options``: what else is needed to open it again, as text. ``items`` that it lists."""

    id: int
    spec: str
    keep: bool
    complete: bool
    options: str
    items: int

    @property
    def reading(self) -> Options:
        """How its files were read."""
        return Options.from_json(self.options) if self.options else Options(self.keep)

    def open(self) -> Source:
        """Open it again, as it was opened. Raises ``SourceError``."""
        return open_source(self.spec, options=self.reading)


@dataclass(frozen=True)
class Unlisted:
    """What came of a source that has something no more: items ``removed``, and ``relabelled`` as others say."""

    removed: int
    relabelled: int


@dataclass(frozen=True)
class Relocated:
    """``sources`` and ``items`` that are at the new place now; ``joined`` had been indexed there already."""

    sources: int
    items: int
    joined: int


class Writer:
    """One holder of the lock. Every method leaves the gallery whole, even when killed half way."""

    def __init__(self, gallery: Gallery):
        self.gallery = gallery

    def sweep(self) -> None:
        """Delete what a killed writer left: shards without rows, files of images that were never committed."""
        dirty = self.gallery.folder / ".writing"
        if dirty.exists():
            self.drop_left()
            with self.gallery.connect() as database:
                shards = {row[0] for row in database.execute("SELECT id FROM shards")}
                hashes = {row[0] for row in database.execute("SELECT sha256 FROM features")}
            folder = self.gallery.folder
            for path in [*folder.glob("features/*"), *folder.glob("*.tmp")]:
                if path.suffix != ".npy" or int(path.stem) not in shards:
                    path.unlink()
            for path in [file for kind in ("thumbs", "originals", "views") for file in folder.glob(f"{kind}/*/*")]:
                if path.name.partition(".")[0] not in hashes:
                    path.unlink()
        dirty.touch()

    def close(self) -> None:
        """Everything is committed: the next writer need not look for rubbish, and a reader can check the items."""
        folder = self.gallery.folder
        note_checksum(folder / "items.sqlite", self.gallery.config.id)
        (folder / ".writing").unlink(missing_ok=True)

    def begin_source(self, spec: str, keep: bool, options: str = "", by_layout: bool = False) -> int:
        """Note that this source is being indexed; its id. ``options`` are kept with it, see :class:`Registered`.

        ``by_layout``: its labels are the names of folders, see :mod:`unifex.gallery.listings`.
        """
        with self.gallery.connect() as database:
            database.execute(
                "INSERT INTO sources (spec, keep, complete, options, by_layout) VALUES (?, ?, 0, ?, ?) "
                "ON CONFLICT (spec) DO UPDATE SET complete = 0, keep = excluded.keep, options = excluded.options, "
                "by_layout = excluded.by_layout",
                (spec, keep, options, by_layout),
            )
            return _one(database, "SELECT id FROM sources WHERE spec = ?", spec)

    def finish_source(self, source: int) -> None:
        """The whole source has been seen."""
        with self.gallery.connect() as database:
            database.execute("UPDATE sources SET complete = 1 WHERE id = ?", (source,))

    def stored(self) -> dict[str, Stored]:
        """What is there already, by uri."""
        with self.gallery.connect() as database:
            rows = database.execute("SELECT id, uri, path, sha256, stamp FROM items")
            return {row[1]: Stored(*row) for row in rows}

    def listed(self, source: int) -> dict[int, tuple[str, str, str, str]]:
        """(path, label, domain, split) as a source said of its items, by id."""
        query = "SELECT item, path, label, domain, split FROM listings WHERE source = ?"
        with self.gallery.connect() as database:
            return {row[0]: row[1:] for row in database.execute(query, (source,))}

    def stored_hashes(self) -> set[str]:
        """sha256 of every image whose features are kept."""
        with self.gallery.connect() as database:
            return {row[0] for row in database.execute("SELECT sha256 FROM features")}

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
        fresh = {entry.sha256: entry for entry in batch if entry.features is not None}
        disk.check(self.gallery.folder, sum(len(entry.original) + len(entry.thumbnail) for entry in fresh.values()))
        with self.gallery.connect() as database:
            for sha256 in [h for h in fresh if _one(database, "SELECT 1 FROM features WHERE sha256 = ?", h)]:
                del fresh[sha256]
            sizes = {entry.sha256: self._write_files(entry) for entry in fresh.values()}
            shard = self._new_shard(database, [entry.features for entry in fresh.values()]) if fresh else 0
            database.executemany(
                "INSERT INTO features (sha256, shard, row, width, height, bytes, original, stored) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (e.sha256, shard, row, e.width, e.height, e.bytes, e.original_name, sizes[e.sha256])
                    for row, e in enumerate(fresh.values())
                ],
            )
            for entry in (*batch, *(entry for _, entry in moved)):
                if entry.original and entry.sha256 not in fresh:
                    self._keep_original(database, entry)
            self._vacate(database, {e.item.uri: 0 for e in batch} | {e.item.uri: item for item, e in moved})
            for item, entry in moved:
                self._move(database, item, entry.item.uri, entry.item.stamp)
            new = [(item, entry.item) for item, entry in zip(self._insert(database, source, batch), batch)]
            found = [(item, entry.item) for item, entry in moved]
            self._list(database, source, [*new, *found])
            relabelled = self._settle(database, [item for item, _ in found])
            self._adopt_corrections(database, batch)
            database.executemany(
                "INSERT OR REPLACE INTO refused VALUES (?, ?, ?)", [(source, r.path, r.reason) for r in refused]
            )
            database.execute("UPDATE state SET version = version + 1")
        return relabelled

    @staticmethod
    def _insert(database: sqlite3.Connection, source: int, batch: Sequence[Embedded]) -> list[int]:
        """Ids of new items; a replaced one is new as well: an id always means the same image."""
        query = (
            "INSERT INTO items (uri, path, sha256, label, domain, split, stamp, source) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
        )
        rows = (
            (e.item.uri, e.item.path, e.sha256, e.item.label, e.item.domain, e.item.split, e.item.stamp, source)
            for e in batch
        )
        return [database.execute(query, row).lastrowid for row in rows]

    def leave(self, items: Iterable[int]) -> None:
        """The places of these items show something else: they go with :meth:`drop_left`, unless they are found."""
        with self.gallery.connect() as database:
            for item in items:
                self._get_out(database, item)

    def _vacate(self, database: sqlite3.Connection, wanted: dict[str, int]) -> None:
        """Whoever is at these places, but for the item that is to be there, gets out of the way."""
        for uri, stays in wanted.items():
            there = _one(database, "SELECT id FROM items WHERE uri = ?", uri)
            if there not in (None, stays):
                self._get_out(database, there)

    def _get_out(self, database: sqlite3.Connection, item: int) -> None:
        uri = _one(database, "SELECT uri FROM items WHERE id = ?", item)
        self._call(database, item, f"{GONE}{item}:{uri}")

    @staticmethod
    def _call(database: sqlite3.Connection, item: int, uri: str) -> None:
        """Give an item another uri; what people said of it goes with it."""
        before = _one(database, "SELECT uri FROM items WHERE id = ?", item)
        database.execute("UPDATE items SET uri = ? WHERE id = ?", (uri, item))
        database.execute("UPDATE OR REPLACE corrections SET uri = ? WHERE uri = ?", (uri, before))
        database.execute("UPDATE OR REPLACE corrections SET other_uri = ? WHERE other_uri = ?", (uri, before))

    def _move(self, database: sqlite3.Connection, item: int, uri: str, stamp: str) -> None:
        """An item is found at another place. What folders said of the old one no longer holds; lists know better."""
        self._call(database, item, uri)
        database.execute("UPDATE items SET stamp = ? WHERE id = ?", (stamp, item))
        database.execute(
            "DELETE FROM listings WHERE item = ? AND source IN (SELECT id FROM sources WHERE by_layout)", (item,)
        )

    @staticmethod
    def _list(database: sqlite3.Connection, source: int, items: Iterable[tuple[int, Item]]) -> None:
        """Note what a source says of items by id. Saying the same again is nothing new."""
        now = _one(database, "SELECT version FROM state")
        database.executemany(
            "INSERT INTO listings VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (item, source) DO UPDATE SET "
            "path = excluded.path, label = excluded.label, domain = excluded.domain, split = excluded.split, "
            "since = CASE WHEN (label, domain, split) = (excluded.label, excluded.domain, excluded.split) "
            "THEN since ELSE excluded.since END",
            [(item, source, i.path, i.label, i.domain, i.split, now) for item, i in items],
        )

    @staticmethod
    def _settle(database: sqlite3.Connection, items: Iterable[int]) -> int:
        """Give items the path and labels that follow from what is listed of them; how many labels changed."""
        listings = (
            "SELECT source, path, label, domain, split, since, COALESCE(by_layout, 0) "
            "FROM listings LEFT JOIN sources ON sources.id = source WHERE item = ?"
        )
        relabelled = 0
        for item in items:
            said = settle([Listing(*row) for row in database.execute(listings, (item,))])
            query = "SELECT uri, source, path, label, domain, split FROM items WHERE id = ?"
            uri, source, path, *labels = database.execute(query, (item,)).fetchone()
            relabelled += tuple(labels) != said.labels
            if (source, path, *labels) != (said.source, said.path, *said.labels):
                database.execute(
                    "UPDATE items SET source = ?, path = ?, label = ?, domain = ?, split = ? WHERE id = ?",
                    (said.source, said.path, *said.labels, item),
                )
            if path != said.path:
                database.execute("UPDATE corrections SET path = ? WHERE uri = ?", (said.path, uri))
                database.execute("UPDATE corrections SET other_path = ? WHERE other_uri = ?", (said.path, uri))
        return relabelled

    @staticmethod
    def _adopt_corrections(database: sqlite3.Connection, batch: Sequence[Embedded]) -> None:
        """A correction belongs to an image: one whose item is no more goes to a new item of the same image."""
        orphans = database.execute(
            "SELECT sha256, kind, uri, other_uri FROM corrections WHERE NOT EXISTS "
            "(SELECT 1 FROM items WHERE items.uri = corrections.uri AND items.sha256 = corrections.sha256)"
        ).fetchall()
        new = {entry.sha256: entry.item for entry in reversed(batch)} if orphans else {}
        for sha256, *said in orphans:
            if item := new.get(sha256):
                database.execute(
                    "UPDATE OR IGNORE corrections SET uri = ?, path = ? WHERE kind = ? AND uri = ? AND other_uri = ?",
                    (item.uri, item.path, *said),
                )

    def drop_left(self) -> None:
        """Remove items whose place shows something else and whose content was found nowhere.

        What lists said of such a place they say of what is there now.
        """
        with self.gallery.connect() as database:
            left = database.execute("SELECT id, uri FROM items WHERE uri GLOB ?", (f"{GONE}*",)).fetchall()
            for item, uri in left:
                place = uri.removeprefix(f"{GONE}{item}:")
                database.execute("UPDATE OR IGNORE corrections SET uri = ? WHERE uri = ?", (place, uri))
                database.execute("UPDATE OR IGNORE corrections SET other_uri = ? WHERE other_uri = ?", (place, uri))
                successor = _one(database, "SELECT id FROM items WHERE uri = ?", place)
                if successor:
                    database.execute("UPDATE OR IGNORE listings SET item = ? WHERE item = ?", (successor, item))
                    self._settle(database, [successor])
            self._delete(database, [item for item, _ in left])
            database.execute("UPDATE state SET version = version + ?", (bool(left),))

    def forget_refusals(self, source: int) -> None:
        """Start a source's report anew."""
        with self.gallery.connect() as database:
            database.execute("DELETE FROM refused WHERE source = ?", (source,))

    def list_items(self, source: int, items: Sequence[tuple[Stored, Item]]) -> int:
        """Take over what a source says of items whose image is unchanged; how many labels changed."""
        with self.gallery.connect() as database:
            stamps = [(new.stamp, old.id) for old, new in items if old.uri == new.uri]
            database.executemany("UPDATE items SET stamp = ? WHERE id = ?", stamps)
            self._list(database, source, [(old.id, new) for old, new in items])
            relabelled = self._settle(database, [old.id for old, _ in items])
            database.execute("UPDATE state SET version = version + 1")
        return relabelled

    def unlist(self, source: int, items: Sequence[int], gone: Iterable[int] = ()) -> Unlisted:
        """A source has these items no more: those that no other has, or that are ``gone``, are removed."""
        gone = set(gone)
        with self.gallery.connect() as database:
            database.executemany("DELETE FROM listings WHERE source = ? AND item = ?", [(source, i) for i in items])
            listed = "SELECT 1 FROM listings WHERE item = ?"
            left = [item for item in items if item not in gone and _one(database, listed, item)]
            relabelled = self._settle(database, left)
        return Unlisted(self.remove(set(items).difference(left)), relabelled)

    def covered(self, source: int) -> list[Registered]:
        """Other sources, all of whose items this one has as well, by layout or by list as they have them."""
        query = """SELECT id FROM sources WHERE id != :this AND NOT EXISTS (
            SELECT 1 FROM listings AS theirs WHERE theirs.source = sources.id AND (
                by_layout != (SELECT by_layout FROM sources WHERE id = :this) OR NOT EXISTS (
                    SELECT 1 FROM listings AS ours WHERE ours.item = theirs.item AND ours.source = :this)))"""
        with self.gallery.connect() as database:
            found = {row[0] for row in database.execute(query, {"this": source})}
        return [known for known in self.gallery.sources() if known.id in found]

    def forget_source(self, source: int) -> Unlisted:
        """Forget a source, with the items that no other has. Their image files stay."""
        outcome = self.unlist(source, list(self.listed(source)))
        with self.gallery.connect() as database:
            database.execute("DELETE FROM refused WHERE source = ?", (source,))
            database.execute("DELETE FROM sources WHERE id = ?", (source,))
        return outcome

    def relocate(self, old: str, new: str) -> Relocated:
        """All that lay at or below the place ``old`` lies at ``new``. An item that was indexed there, too, is one."""
        joined = 0
        there_now: list[int] = []
        with self.gallery.connect() as database:
            rows = database.execute("SELECT id, uri, sha256 FROM items").fetchall()
            moving = {item: (uri, sha256) for item, text, sha256 in rows if (uri := relocated(text, old, new))}
            there = {uri: (item, sha256) for item, uri, sha256 in rows if item not in moving}
            for item in moving:
                self._get_out(database, item)  # first all of them: one may be where another is to be
            for item, (uri, sha256) in moving.items():
                other, content = there.get(uri, (None, None))
                if other is None:
                    self._call(database, item, uri)
                    there_now.append(item)
                    continue
                stays, goes = (item, other) if content == sha256 else (other, item)
                joined += 1
                there_now.append(stays)
                self._join(database, stays, goes)
                self._call(database, stays, uri)
            sources = 0
            for source, text in database.execute("SELECT id, spec FROM sources").fetchall():
                if spec := relocated(text, old, new):
                    sources += 1
                    self._relocate_source(database, source, spec)
            self._settle(database, there_now)
            database.execute("UPDATE state SET version = version + 1")
        self.drop_unused_images()
        return Relocated(sources, len(moving), joined)

    def _join(self, database: sqlite3.Connection, stays: int, goes: int) -> None:
        """Two items turn out to be one: what was said of the one that goes is said of the other, where that is free."""
        uris = [_one(database, "SELECT uri FROM items WHERE id = ?", item) for item in (stays, goes)]
        database.execute("UPDATE OR IGNORE corrections SET uri = ? WHERE uri = ?", uris)
        database.execute("UPDATE OR IGNORE listings SET item = ? WHERE item = ?", (stays, goes))
        self._delete(database, [goes])

    @staticmethod
    def _relocate_source(database: sqlite3.Connection, source: int, spec: str) -> None:
        there = _one(database, "SELECT id FROM sources WHERE spec = ?", spec)
        if there is not None:
            for table in ("listings", "refused"):
                database.execute(f"UPDATE OR REPLACE {table} SET source = ? WHERE source = ?", (source, there))
            database.execute("DELETE FROM sources WHERE id = ?", (there,))
        database.execute("UPDATE sources SET spec = ? WHERE id = ?", (spec, source))

    def correct(self, said: Iterable[Correction]) -> None:
        """Store corrections; one that says otherwise of the same item replaces what was said before."""
        marks = ", ".join("?" * len(corrections.COLUMNS))
        with self.gallery.connect() as database:
            database.executemany(
                f"INSERT OR REPLACE INTO corrections ({', '.join(corrections.COLUMNS)}) VALUES ({marks})",
                [tuple(getattr(correction, name) for name in corrections.COLUMNS) for correction in said],
            )
            database.execute("UPDATE state SET version = version + 1")

    def undo(self, said: Iterable[Correction]) -> None:
        """Take corrections back; the items are again as their source has them."""
        with self.gallery.connect() as database:
            database.executemany(
                "DELETE FROM corrections WHERE kind = ? AND uri = ? AND other_uri = ?",
                [(correction.kind, correction.uri, correction.other_uri) for correction in said],
            )
            database.execute("UPDATE state SET version = version + 1")

    def remove(self, ids: Iterable[int]) -> int:
        """Remove items, and with the last item of an image all that is kept of that; how many went."""
        with self.gallery.connect() as database:
            before = _one(database, "SELECT COUNT(*) FROM items")
            self._delete(database, ids)
            database.execute("UPDATE state SET version = version + 1")
            after = _one(database, "SELECT COUNT(*) FROM items")
        self.drop_unused_images()
        return before - after

    @staticmethod
    def _delete(database: sqlite3.Connection, items: Iterable[int]) -> None:
        rows = [(int(item),) for item in items]
        database.executemany("DELETE FROM items WHERE id = ?", rows)
        database.executemany("DELETE FROM listings WHERE item = ?", rows)

    def drop_unused_images(self) -> None:
        """Forget every image that no item shows any more, and rewrite the shards it was in."""
        with self.gallery.connect() as database:
            unused = database.execute(
                "SELECT sha256, shard, original FROM features "
                "WHERE NOT EXISTS (SELECT 1 FROM items WHERE items.sha256 = features.sha256)"
            ).fetchall()
            database.executemany("DELETE FROM features WHERE sha256 = ?", [(row[0],) for row in unused])
        self._rewrite({row[1] for row in unused})
        for sha256, _, original in unused:
            for path in (*self.gallery.thumbnail_paths(sha256), self.gallery.views_path(sha256)):
                path.unlink(missing_ok=True)
            if original:
                self.gallery.original_path(sha256, original).unlink(missing_ok=True)

    def merge_small_shards(self) -> None:
        """Join the shards that many small additions left, in the order of their rows."""
        with self.gallery.connect() as database:
            small = [row[0] for row in database.execute("SELECT id FROM shards WHERE rows <= ?", (SHARD_ROWS // 2,))]
        if len(small) > FEW_SHARDS:
            self._rewrite(set(small))

    def _rewrite(self, shards: set[int]) -> None:
        """Put the live rows of these shards into new ones; old files go after the transaction that forgets them."""
        if not shards:
            return
        marks = ",".join("?" * len(shards))
        with self.gallery.connect() as database:
            rows = database.execute(
                f"SELECT sha256, shard, row FROM features WHERE shard IN ({marks}) ORDER BY shard, row", sorted(shards)
            ).fetchall()
            for start in range(0, len(rows), SHARD_ROWS):
                block = rows[start : start + SHARD_ROWS]
                kept = [self.gallery.load_shard(shard)[row] for _, shard, row in block]
                new = self._new_shard(database, kept)
                database.executemany(
                    "UPDATE features SET shard = ?, row = ? WHERE sha256 = ?",
                    [(new, place, sha256) for place, (sha256, _, _) in enumerate(block)],
                )
            database.execute(f"DELETE FROM shards WHERE id IN ({marks})", sorted(shards))
        for shard in shards:
            self.gallery.shard_path(shard).unlink(missing_ok=True)

    def _new_shard(self, database: sqlite3.Connection, features: Sequence[np.ndarray]) -> int:
        data = io.BytesIO()
        np.save(data, np.asarray(features, np.float16))
        checksum = hashlib.sha256(data.getbuffer()).hexdigest()
        values = (len(features), checksum)
        shard = database.execute("INSERT INTO shards (rows, checksum) VALUES (?, ?)", values).lastrowid
        write_atomically(self.gallery.shard_path(shard), data.getbuffer())
        return shard

    def _write_files(self, entry: Embedded) -> int:
        """Bytes on disk."""
        path = self.gallery.thumbnail_paths(entry.sha256)[0]
        disk.make_folder(path.parent)
        derived.write_bytes(path, entry.thumbnail, thumbnail_origin(entry.sha256), durable=False)
        return path.stat().st_size + (self._write_original(entry) if entry.original else 0)

    def _write_original(self, entry: Embedded) -> int:
        path = self.gallery.original_path(entry.sha256, entry.original_name)
        disk.make_folder(path.parent)
        write_atomically(path, entry.original)
        return len(entry.original)

    def _keep_original(self, database: sqlite3.Connection, entry: Embedded) -> None:
        """Of an image that is known from a file, and is now also at a place that cannot be opened later."""
        if not _one(database, "SELECT COALESCE(original, '') FROM features WHERE sha256 = ?", entry.sha256):
            size = self._write_original(entry)
            database.execute(
                "UPDATE features SET original = ?, stored = stored + ? WHERE sha256 = ?",
                (entry.original_name, size, entry.sha256),
            )


def is_digest(text: object) -> bool:
    """Whether something is a sha256 as it is written here, and so may be part of a file's name."""
    return isinstance(text, str) and bool(_DIGEST.fullmatch(text))


def thumbnail_origin(sha256: str) -> Origin:
    """What the thumbnail of an image is stamped with."""
    return Origin("thumbnail", content=sha256)


def _one(database: sqlite3.Connection, query: str, *values):
    row = database.execute(query, values).fetchone()
    return row[0] if row else None
