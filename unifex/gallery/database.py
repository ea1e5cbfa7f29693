"""A gallery's database and files: ``items.sqlite`` (labels, hashes, where the features lie), shards and pictures.

It reads; :mod:`unifex.gallery.writer` changes. Its folder may be somebody else's, so that nothing in it is trusted.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from filelock import Timeout

from unifex.core import disk
from unifex.core.files import agrees_with_checksum, file_hash, noted_checksum
from unifex.core.language import say, to_say
from unifex.core.locks import lock_in_folder
from unifex.core.metadata import PLACE, columns_of_row
from unifex.core.text import reason, spellings
from unifex.data.item import Labels, Skipped
from unifex.gallery import config, corrections, item_columns, schema, tags
from unifex.gallery.complaints import Complaints
from unifex.gallery.corrections import Correction
from unifex.gallery.errors import GalleryError, NoSuchGallery, damaged, lost, strange, unusable
from unifex.gallery.item_columns import version
from unifex.gallery.records import Counts, Record, Registered
from unifex.gallery.replacement import Replacement
from unifex.gallery.snapshot import FurtherColumns, ItemTable

FILE = "items.sqlite"
_SQLITE_CODES = {sqlite3.SQLITE_FULL: errno.ENOSPC, sqlite3.SQLITE_READONLY: errno.EROFS}
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_LACKING = ("no such table", "no such column")  # which SQLite has no code for
_DIGEST = re.compile(r"[0-9a-f]{64}")
log = logging.getLogger("unifex")


def is_digest(text: object) -> bool:
    """Whether something is a sha256 as it is written here, and so may be part of a file's name."""
    return isinstance(text, str) and bool(_DIGEST.fullmatch(text))


class Database:
    """The items of the gallery ``id`` in a folder, their features and their files."""

    def __init__(self, folder: Path, id: str):
        self.folder, self.id = folder, id
        self.path = folder / FILE
        self._checked: set[str | int] = set()  # "schema", and shards whose checksum was right
        self._stand_ins: tuple[int, str] | None = None  # of which form of the tables, see `_stand_in`
        self.complaints = Complaints()
        self.replacement = Replacement(self.path)

    @property
    def name(self) -> str:
        """The gallery's, which is the folder's."""
        return self.folder.name

    # --- the database ----------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def connect(self, as_it_is: bool = False) -> Iterator[sqlite3.Connection]:
        """A connection for one piece of work, which is one transaction.

        What a gallery of an earlier version lacks is seen as if it were there, unless it is wanted ``as_it_is``. Raises
        :class:`GalleryError` for a database that is lost, damaged, of a later version, or not to be trusted.
        """
        disk.check_open(self.path)
        self._check_there()
        try:
            opened = contextlib.closing(sqlite3.connect(self.path, timeout=30, check_same_thread=False))
            with opened as database, database:
                database.execute("PRAGMA trusted_schema = OFF")
                self._check_schema(database)
                if not as_it_is:
                    self._stand_in(database)
                yield database
        except sqlite3.DatabaseError as error:
            raise self._reason(error) from error
        except UnicodeDecodeError as error:  # of what SQLite would have said
            raise damaged(self.name, FILE) from error

    def _check_there(self) -> None:
        """Raises :class:`GalleryError` where it is lost: SQLite would make an empty one."""
        if not self.path.exists() and self._is_made():
            raise lost(self.name, FILE)

    def _is_made(self) -> bool:
        """Whether it is a whole gallery: what is being made has its configuration last."""
        return (self.folder / config.FILE).exists()

    def _reason(self, error: sqlite3.DatabaseError) -> Exception:
        """What to raise where SQLite cannot go on."""
        if not self.folder.exists():
            return NoSuchGallery.any_more(self.name)
        code, text = getattr(error, "sqlite_errorcode", 0) & 0xFF, str(error).partition("\n")[0][:200]
        if errno := _SQLITE_CODES.get(code):
            return OSError(errno, os.strerror(errno), str(self.path))
        if code in _DAMAGED or text.startswith(_LACKING):
            return damaged(self.name, FILE)
        return unusable(self.name, FILE, text)

    def _check_schema(self, database: sqlite3.Connection) -> None:
        """Once: the folder may be somebody else's."""
        if "schema" in self._checked:
            return
        try:
            schema.check_version(database)
        except ValueError as error:
            raise unusable(self.name, FILE, str(error)) from error
        try:
            schema.check_schema(database)
        except ValueError as error:
            raise strange(self.name, FILE, str(error)) from error
        there = database.execute("SELECT 1 FROM main.sqlite_master").fetchone()
        counted = there and database.execute("SELECT 1 FROM main.state WHERE typeof(version) = 'integer'").fetchone()
        if not counted and (there or self._is_made()):
            raise damaged(self.name, FILE)
        self._checked.add("schema")

    def _stand_in(self, database: sqlite3.Connection) -> None:
        """Let a reader see what a gallery of an earlier version lacks, until a writer adds it."""
        if self._stand_ins and not self._stand_ins[1]:
            return  # it lacks nothing, and never will again
        form = database.execute("PRAGMA main.schema_version").fetchone()[0]  # which SQLite counts up with every change
        if self._stand_ins is None or form != self._stand_ins[0]:
            self._stand_ins = form, schema.stand_ins(database)
        database.executescript(self._stand_ins[1])

    def migrate(self) -> None:
        """Add what a gallery of an earlier version lacks. By a writer."""
        with self.connect(as_it_is=True) as database:
            schema.migrate(database)

    def check_form(self) -> None:
        """Raises :class:`GalleryError` for a database that cannot be opened, see :meth:`connect`."""
        with self.connect(as_it_is=True) as database:
            version(database)

    def check_items(self) -> None:
        """Raises :class:`GalleryError` when the database is not what the last writer left."""
        self._check_there()
        try:
            if agrees_with_checksum(self.path, self.id):
                return
        except (ValueError, KeyError) as error:  # the note itself is damaged: SQLite's own checks have to do
            log.warning("gallery '%s': items.json: %s; the items are not checked", self.name, error)
            return
        raise damaged(self.name, FILE)

    def is_being_written(self) -> bool:
        """Whether somebody, here or in another process, holds the right to change it now."""
        try:
            with lock_in_folder(self.lock_path, timeout=0):
                return False
        except Timeout:
            return True
        except OSError as error:
            if not (isinstance(error, FileNotFoundError) or disk.is_read_only(error)):
                raise
            return self.writing_path.exists()

    def checksum(self) -> str:
        """What the last writer noted of all that is committed; empty while somebody writes, or where it is damaged."""
        with contextlib.suppress(ValueError, KeyError):
            return noted_checksum(self.path, self.id) or ""
        return ""

    def version(self) -> int:
        """Which commit is the last: it grows with each."""
        before = self.replacement.version
        with self.connect() as database:
            return self.replacement.saw(version(database), before)

    # --- items -----------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        with self.connect() as database:
            return database.execute("SELECT COUNT(*) FROM shown").fetchone()[0]

    def has_items(self) -> bool:
        """Whether there are any, of however many: counting ten million takes seconds."""
        with self.connect() as database:
            return bool(database.execute("SELECT EXISTS (SELECT 1 FROM shown)").fetchone()[0])

    def records(self, ids: Sequence[int] | np.ndarray) -> list[Record]:
        """The items with these ids, in this order; ids that are no longer there are left out."""
        query = f"""SELECT shown.label, shown.domain, shown.split, items.extra, taken, metadata, {tags.OF_ITEM},
                       shown.id, shown.uri, shown.path, shown.sha256, width, height, bytes, COALESCE(original, '')
                   FROM shown JOIN items USING (id) JOIN features ON features.sha256 = shown.sha256
                   WHERE shown.id = ?"""
        with self.connect() as database:
            database.execute("BEGIN")  # one lock, not one an item
            rows = [database.execute(query, (int(i),)).fetchone() for i in ids]
        try:
            return [
                Record(id, uri, path, sha256, _labels(*said), *rest, tags=tags.of_row(tagged))
                for said, tagged, id, uri, path, sha256, *rest in ((row[:6], *row[6:]) for row in filter(None, rows))
            ]
        except ValueError as error:
            raise damaged(self.name, FILE) from error

    def find(
        self, names: Iterable[str], by: Sequence[str] = ("path", "uri"), dropped: bool = False
    ) -> dict[str, list[int]]:
        """Name -> ids of the items that it names ``by`` these columns, ascending (an empty list where it names none).

        ``dropped``: also those that a correction leaves out. A name may be spelled as on a Mac.
        """
        condition = " OR ".join(f"{column} = :name" for column in by)
        query = f"SELECT id FROM {'items' if dropped else 'shown'} WHERE {condition} ORDER BY id"
        with self.connect() as database:
            rows = {name: (database.execute(query, {"name": n}).fetchall() for n in spellings(name)) for name in names}
            return {name: [row[0] for row in next(filter(None, found), ())] for name, found in rows.items()}

    def item_table(self, known: ItemTable | None = None) -> ItemTable:
        """All items as they are committed now, most of which may be ``known`` from an earlier commit."""
        with self.connect() as database:
            database.execute("BEGIN")  # all reads see one commit
            return item_columns.item_table(database, known)

    def ids_by_path(self) -> np.ndarray:
        """The ids int64 [N] of all items, in the order of their paths, in whatever case."""
        query = "SELECT id FROM shown ORDER BY path COLLATE NOCASE, id"
        with self.connect() as database:
            return np.array([row[0] for row in database.execute(query)], np.int64)

    def tag_column(self, ids: np.ndarray) -> tags.TagColumn:
        """Of the items with these ascending ids, as they are committed now."""
        with self.connect() as database:
            return tags.TagColumn.of(ids, database.execute(tags.SHOWN).fetchall())

    def further_columns(
        self, ids: np.ndarray, known: tuple[int, FurtherColumns] | None = None
    ) -> tuple[int, FurtherColumns]:
        """Of the items with these ascending ids, as they are committed now, and the version that this is. ``known``:
        an earlier one, and what it was of the first of them."""
        with self.connect() as database:
            database.execute("BEGIN")  # all reads see one commit
            try:
                return version(database), item_columns.further_columns(database, ids, known)
            except ValueError as error:
                raise damaged(self.name, FILE) from error

    def placed(self) -> int:
        """How many images say where they were taken."""
        with self.connect() as database:
            rows = database.execute("SELECT metadata FROM features WHERE metadata > ''")
            return sum(PLACE[0] in columns_of_row("", metadata) for (metadata,) in rows)

    def tags(self) -> dict[str, int]:
        """How many items have each tag, by tag in alphabetical order."""
        with self.connect() as database:
            return dict(sorted(Counter(tag for _, tag in database.execute(tags.SHOWN)).items()))

    def counts(self) -> Counts:
        """Of all items. Raises :class:`GalleryError` when they are not what the last writer left."""
        self.check_items()
        with self.connect() as database:
            counted = Counter(database.execute("SELECT domain, split, label FROM shown"))
        domains, splits = Counter(), Counter()
        for (domain, split, _), count in counted.items():
            domains[domain] += count
            splits[split] += count
        labels = len({label for _, _, label in counted if label})
        return Counts(dict(sorted(domains.items())), dict(sorted(splits.items())), labels, *self.images())

    def images(self) -> tuple[int, int | None]:
        """How many different ones its items show, and the bytes of all on disk; None while these are not noted."""
        with self.connect() as database:
            query = f"SELECT COUNT(*), COUNT(stored), SUM(stored), ({corrections.HIDDEN_IMAGES}) FROM features"
            count, noted, stored, hidden = database.execute(query).fetchone()
        return count - hidden, stored or 0 if noted == count else None

    def corrections(self) -> list[Correction]:
        """What people said of its items, by kind and path."""
        query = f"SELECT {', '.join(corrections.COLUMNS)} FROM corrections ORDER BY kind, path, other_path"
        with self.connect() as database:
            return [Correction(*row) for row in database.execute(query)]

    def idle_corrections(self) -> frozenset[Correction]:
        """Those that do not apply: an image that they are of is not there now, at its place or at all."""
        with self.connect() as database:
            return frozenset(Correction(*row) for row in database.execute(corrections.IDLE))

    def source_labels(self) -> dict[int, str]:
        """What its source says of each item whose label somebody corrected: id -> label."""
        relabelled = "corrections USING (uri, sha256) WHERE kind = 'relabel' ORDER BY items.id"
        with self.connect() as database:
            return dict(database.execute(f"SELECT items.id, items.label FROM items JOIN {relabelled}").fetchall())

    def marked_pairs(self, kind: str) -> list[tuple[int, int]]:
        """The ids of both items of each correction of two items: that are there, left out or not."""
        with self.connect() as database:
            return database.execute(corrections.PAIRS, (kind,)).fetchall()

    def skipped(self) -> list[Skipped]:
        """Everything in its sources that could not be indexed, and why."""
        with self.connect() as database:
            return [Skipped(*row) for row in database.execute("SELECT path, reason FROM refused ORDER BY source, path")]

    def sources(self) -> list[Registered]:
        """What it was indexed from, in the order of the first time."""
        with self.connect() as database:
            query = "SELECT id, spec, options, keep, complete, by_layout FROM sources ORDER BY id"
            rows = database.execute(query).fetchall()
        return [Registered(*row[:3], *map(bool, row[3:])) for row in rows]

    def listed_items(self) -> dict[int, int]:
        """How many items each source lists that lists any, by its id."""
        with self.connect() as database:
            return dict(database.execute("SELECT source, COUNT(*) FROM listings GROUP BY source"))

    def unfinished(self) -> list[str]:
        """The specs of sources whose indexing was cut off."""
        with self.connect() as database:
            return [row[0] for row in database.execute("SELECT spec FROM sources WHERE NOT complete ORDER BY id")]

    def uris(self) -> set[str]:
        """Where every item comes from."""
        with self.connect() as database:
            return {row[0] for row in database.execute("SELECT uri FROM items")}

    # --- files -----------------------------------------------------------------------------------------------------

    @property
    def lock_path(self) -> Path:
        """Who holds it may write."""
        return self.folder / ".lock"

    @property
    def writing_path(self) -> Path:
        """It is there while the gallery is being written, and after a writer was killed."""
        return self.folder / ".writing"

    def shard_path(self, shard: int) -> Path:
        """Where the features of a shard lie."""
        return self.folder / "features" / f"{shard:05d}.npy"

    def thumbnail_paths(self, sha256: str) -> tuple[Path, Path]:
        """Where the thumbnail of an image lies, and where one of an earlier version may lie instead."""
        folder = self._folder_of("thumbs", sha256)
        return folder / f"{sha256}.jpg", folder / f"{sha256}.webp"

    def views_path(self, sha256: str) -> Path:
        """Where the features of an image's other views lie (:mod:`unifex.training.augment`)."""
        return self._folder_of("views", sha256) / f"{sha256}.npy"

    def original_path(self, sha256: str, name: str) -> Path:
        """Where the kept bytes of an image lie. Raises :class:`GalleryError` for a name that no writer gives."""
        if not re.fullmatch(re.escape(sha256) + r"\.[^/\\\0]{1,7}", name):
            raise self._odd(to_say("gallery '{name}': {file} names a file '{odd}' that is not its own"), name)
        return self._folder_of("originals", sha256) / name

    def _folder_of(self, kind: str, sha256: str) -> Path:
        """The folder of an image's file. Raises :class:`GalleryError` for a hash that is none, but a path."""
        if not is_digest(sha256):
            raise self._odd(to_say("gallery '{name}': {file} has '{odd}' for an image's sha256"), sha256)
        return self.folder / kind / sha256[:2]

    def _odd(self, told: str, odd: str) -> GalleryError:
        return GalleryError(say(told, name=self.name, file=FILE, odd=odd[:80]))

    def load_shard(self, shard: int) -> np.ndarray:
        """Features float16 [rows, D] of a shard, mapped, checked once. Raises :class:`GalleryError` when damaged."""
        path = self.shard_path(shard)
        try:
            if shard not in self._checked:
                if (checksum := self._checksum(shard)) and file_hash(path) != checksum:
                    raise ValueError(say("its checksum is wrong"))
                self._checked.add(shard)
            return np.load(path, mmap_mode="r")
        except (OSError, ValueError) as error:
            if not self.folder.exists():
                raise NoSuchGallery.any_more(self.name) from error
            raise damaged(self.name, f"features/{path.name}", reason(error)) from error

    def _checksum(self, shard: int) -> str:
        with self.connect() as database:
            row = database.execute("SELECT checksum FROM shards WHERE id = ?", (shard,)).fetchone()
        return row[0] if row else ""


def _labels(label: str, domain: str, split: str, extra: str, taken: object, others: object) -> Labels:
    """Of a row, with what the file says where it has no column of that name. Raises ValueError for damaged ones."""
    labels = Labels.from_row(label, domain, split, extra)
    for column, text in columns_of_row(taken, others).items():
        labels = labels.with_further(column, text)
    return labels
