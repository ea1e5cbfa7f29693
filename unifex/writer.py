"""Changing a gallery: what may be done while holding its lock. Made by ``Gallery.write``.

A batch is durable when its shard is on disk **and** its rows are committed in one transaction, in this order; a shard
without rows is rubbish of a killed writer, and the next writer sweeps it away.
"""

from __future__ import annotations

import hashlib
import io
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from unifex import corrections, derived, disk
from unifex.corrections import Correction
from unifex.derived import Origin
from unifex.soundness import break_seal, seal_file, write_atomically
from unifex.sources import Item, Refused

if TYPE_CHECKING:
    from unifex.gallery import Gallery

SHARD_ROWS = 8192
FEW_SHARDS = 8


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
    """What a source needs to know of an item that is there already. ``labels``: (label, domain, split)."""

    id: int
    path: str
    sha256: str
    stamp: str
    labels: tuple[str, str, str]


class Writer:
    """One holder of the lock. Every method leaves the gallery whole, even when killed half way."""

    def __init__(self, gallery: Gallery):
        self.gallery = gallery

    def sweep(self) -> None:
        """Delete what a killed writer left: shards without rows, files of images that were never committed."""
        dirty = self.gallery.folder / ".writing"
        break_seal(self.gallery.folder / "items.sqlite")
        if dirty.exists():
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
        seal_file(folder / "items.sqlite", self.gallery.config.id)
        (folder / ".writing").unlink(missing_ok=True)

    def begin_source(self, spec: str, keep: bool) -> int:
        """Note that this source is being indexed; its id."""
        with self.gallery.connect() as database:
            database.execute(
                "INSERT INTO sources (spec, keep, complete) VALUES (?, ?, 0) "
                "ON CONFLICT (spec) DO UPDATE SET complete = 0, keep = excluded.keep",
                (spec, keep),
            )
            return database.execute("SELECT id FROM sources WHERE spec = ?", (spec,)).fetchone()[0]

    def finish_source(self, source: int) -> None:
        """The whole source has been seen."""
        with self.gallery.connect() as database:
            database.execute("UPDATE sources SET complete = 1 WHERE id = ?", (source,))

    def stored(self) -> dict[str, Stored]:
        """What is there already, by uri."""
        with self.gallery.connect() as database:
            rows = database.execute("SELECT uri, id, path, sha256, stamp, label, domain, split FROM items")
            return {row[0]: Stored(*row[1:5], labels=row[5:]) for row in rows}

    def stored_hashes(self) -> set[str]:
        """sha256 of every image whose features are kept."""
        with self.gallery.connect() as database:
            return {row[0] for row in database.execute("SELECT sha256 FROM features")}

    def commit(self, source: int, batch: Sequence[Embedded], refused: Sequence[Refused] = ()) -> None:
        """Make a batch durable. An item whose uri is there already is replaced; images already known are not stored."""
        fresh = {entry.sha256: entry for entry in batch if entry.features is not None}
        disk.check(self.gallery.folder, sum(len(entry.original) + len(entry.thumbnail) for entry in fresh.values()))
        with self.gallery.connect() as database:
            for sha256 in [h for h in fresh if _one(database, "SELECT 1 FROM features WHERE sha256 = ?", h)]:
                del fresh[sha256]
            for entry in fresh.values():
                self._write_files(entry)
            shard = self._new_shard(database, [entry.features for entry in fresh.values()]) if fresh else 0
            database.executemany(
                "INSERT INTO features VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    (e.sha256, shard, row, e.width, e.height, e.bytes, e.original_name)
                    for row, e in enumerate(fresh.values())
                ],
            )
            database.executemany(  # a replaced item gets a new id: an id always means the same image
                "INSERT OR REPLACE INTO items (uri, path, sha256, label, domain, split, stamp, source) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (e.item.uri, e.item.path, e.sha256, e.item.label, e.item.domain, e.item.split, e.item.stamp, source)
                    for e in batch
                ],
            )
            database.executemany(
                "INSERT OR REPLACE INTO refused VALUES (?, ?, ?)", [(source, r.path, r.reason) for r in refused]
            )
            database.execute("UPDATE state SET version = version + 1")

    def forget_refusals(self, source: int) -> None:
        """Start a source's report anew."""
        with self.gallery.connect() as database:
            database.execute("DELETE FROM refused WHERE source = ?", (source,))

    def touch(self, items: Iterable[tuple[Stored, Item]]) -> None:
        """Take over labels and stamps that a source now gives for items whose image is unchanged."""
        rows = [(new.label, new.domain, new.split, new.stamp, old.id) for old, new in items]
        with self.gallery.connect() as database:
            database.executemany("UPDATE items SET label = ?, domain = ?, split = ?, stamp = ? WHERE id = ?", rows)
            database.execute("UPDATE state SET version = version + 1")

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

    def ids_of_source(self, source: int) -> dict[str, int]:
        """uri -> id of the items that came from a source."""
        with self.gallery.connect() as database:
            return dict(database.execute("SELECT uri, id FROM items WHERE source = ?", (source,)).fetchall())

    def ids_of_paths(self, paths: Iterable[str]) -> dict[str, list[int]]:
        """path or uri -> ids of the items it names (an empty list where it names none)."""
        query = "SELECT id FROM items WHERE path = ? OR uri = ? ORDER BY id"
        with self.gallery.connect() as database:
            return {p: [row[0] for row in database.execute(query, (p, p))] for p in paths}

    def remove(self, ids: Iterable[int]) -> int:
        """Remove items, and with the last item of an image all that is kept of that; how many went."""
        with self.gallery.connect() as database:
            before = _one(database, "SELECT COUNT(*) FROM items")
            database.executemany("DELETE FROM items WHERE id = ?", [(int(i),) for i in ids])
            database.execute("UPDATE state SET version = version + 1")
            after = _one(database, "SELECT COUNT(*) FROM items")
        self.drop_unused_images()
        return before - after

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

    def _write_files(self, entry: Embedded) -> None:
        path = self.gallery.thumbnail_paths(entry.sha256)[0]
        disk.make_folder(path.parent)
        derived.write_bytes(path, entry.thumbnail, thumbnail_origin(entry.sha256), durable=False)
        if entry.original:
            path = self.gallery.original_path(entry.sha256, entry.original_name)
            disk.make_folder(path.parent)
            write_atomically(path, entry.original)


def thumbnail_origin(sha256: str) -> Origin:
    """What the thumbnail of an image is stamped with."""
    return Origin("thumbnail", content=sha256)


def _one(database: sqlite3.Connection, query: str, *values):
    row = database.execute(query, values).fetchone()
    return row[0] if row else None
