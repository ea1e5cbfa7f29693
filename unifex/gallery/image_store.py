"""The images of a gallery as they are kept: features in shards, thumbnails, and files that nobody else keeps.

A batch is durable when its shard is on disk **and** its rows are committed in one transaction, in this order; a shard
without rows is rubbish of a killed writer.
"""

from __future__ import annotations

import hashlib
import io
import re
import sqlite3
from collections.abc import Collection, Sequence

import numpy as np

from unifex.core import derived, disk, system
from unifex.core.files import UNFINISHED, drop_unfinished, write_atomically
from unifex.gallery import tags
from unifex.gallery.database import Database
from unifex.gallery.item_rows import one
from unifex.gallery.pictures import thumbnail_origin
from unifex.gallery.records import Embedded

SHARD_ROWS = 8192
FEW_SHARDS = 8


class ImageStore:
    """The images of one gallery, for its :class:`~unifex.gallery.writer.Writer`."""

    def __init__(self, database: Database):
        self._database = database

    def add(self, connection: sqlite3.Connection, batch: Sequence[Embedded]) -> None:
        """Keep the images of a batch that are not kept yet, and the bytes of those whose place cannot be opened later.

        Those of ``features`` are new, unless another writer was quicker.
        """
        fresh = {entry.sha256: entry for entry in batch if entry.features is not None}
        for sha256 in [h for h in fresh if one(connection, "SELECT 1 FROM features WHERE sha256 = ?", h)]:
            del fresh[sha256]
        sizes = {entry.sha256: self._write_files(entry) for entry in fresh.values()}
        shard = self._new_shard(connection, [entry.features for entry in fresh.values()]) if fresh else 0
        connection.executemany(
            "INSERT INTO features (sha256, shard, row, width, height, bytes, original, stored, taken, metadata, "
            "keywords) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (e.sha256, shard, row, e.width, e.height, e.bytes, e.original_name, sizes[e.sha256], *_said(e))
                for row, e in enumerate(fresh.values())
            ],
        )
        for entry in batch:
            if entry.original and entry.sha256 not in fresh:
                self._keep_original(connection, entry)

    def clean_up(self) -> None:
        """Delete what a killed writer left: shards without rows, files of images that were never committed.

        Only what has a name that writers give: programs that back up or synchronize leave files of theirs.
        """
        with self._database.connect() as connection:
            shards = {row[0] for row in connection.execute("SELECT id FROM shards")}
            hashes = {row[0] for row in connection.execute("SELECT sha256 FROM features")}
        folder = self._database.folder
        drop_unfinished(folder, 0)
        for path in folder.glob("features/*.npy*"):
            found = re.fullmatch(rf"(\d{{5,}})\.npy({UNFINISHED})?", path.name)
            if found and (found[2] or int(found[1]) not in shards):
                system.delete(path)
        for path in [file for kind in ("thumbs", "originals", "views") for file in folder.glob(f"{kind}/*/*")]:
            found = re.fullmatch(rf"([0-9a-f]{{64}})\.[^.]{{1,7}}({UNFINISHED})?", path.name)
            if found and found[1] not in hashes:
                path.unlink(missing_ok=True)

    def measure(self) -> None:
        """Note how many bytes on disk each image takes of which nobody noted it."""
        with self._database.connect() as connection:
            unmeasured = "SELECT sha256, COALESCE(original, '') FROM features WHERE stored IS NULL"
            sizes = [(self._bytes_of(*row), row[0]) for row in connection.execute(unmeasured).fetchall()]
            connection.executemany("UPDATE features SET stored = ? WHERE sha256 = ?", sizes)

    def _bytes_of(self, sha256: str, original: str) -> int:
        paths = [*self._database.thumbnail_paths(sha256)]
        paths += [self._database.original_path(sha256, original)] if original else []
        return sum(path.stat().st_size for path in paths if path.is_file())

    def drop_unused(self) -> None:
        """Forget every image that no item shows any more, and rewrite the shards that hold such, also from before."""
        with self._database.connect() as connection:
            unused = connection.execute(
                "SELECT sha256, original FROM features "
                "WHERE NOT EXISTS (SELECT 1 FROM items WHERE items.sha256 = features.sha256)"
            ).fetchall()
            connection.executemany("DELETE FROM features WHERE sha256 = ?", [(row[0],) for row in unused])
        for sha256, original in unused:  # first: there is room for new shards then
            for path in (*self._database.thumbnail_paths(sha256), self._database.views_path(sha256)):
                path.unlink(missing_ok=True)
            if original:
                self._database.original_path(sha256, original).unlink(missing_ok=True)
        with self._database.connect() as connection:
            rows = "SELECT shard, COUNT(*) AS used FROM features GROUP BY shard"
            partly = f"SELECT id FROM shards LEFT JOIN ({rows}) ON shard = id WHERE COALESCE(used, 0) < rows"
            shards = [row[0] for row in connection.execute(partly)]
        self._rewrite(shards)

    def merge_small_shards(self) -> None:
        """Join the shards that many small additions left, in the order of their rows."""
        with self._database.connect() as connection:
            small = [row[0] for row in connection.execute("SELECT id FROM shards WHERE rows <= ?", (SHARD_ROWS // 2,))]
        if len(small) > FEW_SHARDS:
            self._rewrite(small)

    def _rewrite(self, shards: Collection[int]) -> None:
        """Put the live rows of these shards into new ones; old files go after the transaction that forgets them."""
        if not shards:
            return
        for shard in shards:  # it is checked now: a transaction that outgrows SQLite's cache locks readers out
            self._database.load_shard(shard)
        marks = ",".join("?" * len(shards))
        with self._database.connect() as connection:
            rows = connection.execute(
                f"SELECT sha256, shard, row FROM features WHERE shard IN ({marks}) ORDER BY shard, row", sorted(shards)
            ).fetchall()
            for start in range(0, len(rows), SHARD_ROWS):
                block = rows[start : start + SHARD_ROWS]
                kept = [self._database.load_shard(shard)[row] for _, shard, row in block]
                new = self._new_shard(connection, kept)
                connection.executemany(
                    "UPDATE features SET shard = ?, row = ? WHERE sha256 = ?",
                    [(new, row, sha256) for row, (sha256, _, _) in enumerate(block)],
                )
            connection.execute(f"DELETE FROM shards WHERE id IN ({marks})", sorted(shards))
        for shard in shards:
            system.delete(self._database.shard_path(shard))

    def _new_shard(self, connection: sqlite3.Connection, features: Sequence[np.ndarray | None]) -> int:
        data = io.BytesIO()
        np.save(data, np.asarray(features, np.float16))
        checksum = hashlib.sha256(data.getbuffer()).hexdigest()
        values = (len(features), checksum)
        shard = connection.execute("INSERT INTO shards (rows, checksum) VALUES (?, ?)", values).lastrowid or 0
        write_atomically(self._database.shard_path(shard), data.getbuffer())
        return shard

    def _write_files(self, entry: Embedded) -> int:
        """Bytes on disk: none of an image of which embeddings alone are here."""
        thumbnail = self._write_thumbnail(entry) if entry.thumbnail else 0
        return thumbnail + (self._write_original(entry) if entry.original else 0)

    def _write_thumbnail(self, entry: Embedded) -> int:
        path = self._database.thumbnail_paths(entry.sha256)[0]
        disk.make_folder(path.parent, within=self._database.folder)
        derived.write_bytes(path, entry.thumbnail, thumbnail_origin(entry.sha256), durable=False)
        return path.stat().st_size

    def _write_original(self, entry: Embedded) -> int:
        path = self._database.original_path(entry.sha256, entry.original_name)
        disk.make_folder(path.parent, within=self._database.folder)
        write_atomically(path, entry.original)
        return len(entry.original)

    def _keep_original(self, connection: sqlite3.Connection, entry: Embedded) -> None:
        """Of an image that is known from a file, and is now also at a place that cannot be opened later."""
        if not one(connection, "SELECT COALESCE(original, '') FROM features WHERE sha256 = ?", entry.sha256):
            size = self._write_original(entry)
            connection.execute(
                "UPDATE features SET original = ?, stored = stored + ? WHERE sha256 = ?",
                (entry.original_name, size, entry.sha256),
            )


def _said(entry: Embedded) -> tuple[str | None, str | None, str | None]:
    """What its file says, as a row; nothing where nobody looked."""
    return (*entry.said.row, tags.as_row(entry.said.keywords)) if entry.said else (None, None, None)
