"""A gallery on disk: items, their backbone features, and what is derived from those.

Two layers are kept: ``items.sqlite`` (labels, hashes, where the features lie) and ``features/*.npy`` (float16 shards).
Embeddings and the FAISS index follow from them and the neck (``snapshot``); ``writer`` changes a gallery.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import os
import re
import sqlite3
import threading
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from unifex.core import derived, disk, images
from unifex.core.derived import Origin
from unifex.core.errors import UnifexError
from unifex.core.files import (
    agrees_with_checksum,
    drop_checksum,
    file_hash,
    new_folder,
    verify,
    with_checksum,
    write_atomically,
)
from unifex.core.progress import Work, finish
from unifex.core.text import reason
from unifex.core.vectors import l2_normalize
from unifex.data import locations
from unifex.data.item import Skipped
from unifex.gallery import corrections, listings, neighbours, snapshot
from unifex.gallery.calibration import Calibration, CalibrationError, calibrate
from unifex.gallery.corrections import Correction
from unifex.gallery.neighbours import Kept, Neighbours
from unifex.gallery.snapshot import ItemsGone, Snapshot
from unifex.gallery.writer import Registered, Writer, is_digest, thumbnail_origin
from unifex.models.embedder import Embedder
from unifex.models.feature_table import FeatureTable
from unifex.vector_index.exact import VectorIndex

SCHEMA = 1
_MEASURED = ("thumbs", "originals")  # folders whose sizes are noted image by image
_SQLITE_CODES = {sqlite3.SQLITE_FULL: errno.ENOSPC, sqlite3.SQLITE_READONLY: errno.EROFS}
LOCK_SECONDS = 0.2  # more than whoever only looks whether it is being written holds the lock
log = logging.getLogger("unifex")

_TABLES = """
CREATE TABLE IF NOT EXISTS state (version INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS sources (
    id INTEGER PRIMARY KEY, spec TEXT UNIQUE NOT NULL, keep INTEGER NOT NULL, complete INTEGER NOT NULL,
    options TEXT NOT NULL DEFAULT '', by_layout INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS shards (
    id INTEGER PRIMARY KEY AUTOINCREMENT, rows INTEGER NOT NULL, checksum TEXT NOT NULL DEFAULT '');
CREATE TABLE IF NOT EXISTS features (
    sha256 TEXT PRIMARY KEY, shard INTEGER NOT NULL, row INTEGER NOT NULL,
    width INTEGER NOT NULL, height INTEGER NOT NULL, bytes INTEGER NOT NULL, original TEXT,
    stored INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS items (
    id INTEGER PRIMARY KEY AUTOINCREMENT, uri TEXT UNIQUE NOT NULL, path TEXT NOT NULL, sha256 TEXT NOT NULL,
    label TEXT NOT NULL, domain TEXT NOT NULL, split TEXT NOT NULL, stamp TEXT NOT NULL, source INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS refused (
    source INTEGER NOT NULL, path TEXT NOT NULL, reason TEXT NOT NULL, PRIMARY KEY (source, path)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS items_sha256 ON items (sha256);
CREATE INDEX IF NOT EXISTS items_path ON items (path);
CREATE INDEX IF NOT EXISTS features_shard ON features (shard);
CREATE INDEX IF NOT EXISTS features_unmeasured ON features (sha256) WHERE stored IS NULL;
"""
_TABLES += corrections.TABLE + corrections.INDICES + listings.TABLE
# What galleries of earlier versions lack: a writer adds it, and until then readers see it as if it were there.
_LATER_COLUMNS = {
    "shards": {"checksum": "TEXT NOT NULL DEFAULT ''"},
    "sources": {"options": "TEXT NOT NULL DEFAULT ''", "by_layout": "INTEGER NOT NULL DEFAULT 0"},
    "features": {"stored": "INTEGER"},
}
_LATER_TABLES = {
    "shown": re.sub("CREATE (TABLE|VIEW)", r"CREATE TEMP \1", corrections.TABLE),
    "listings": f"CREATE TEMP VIEW listings AS {listings.OF_ITEMS};",
}


class GalleryError(UnifexError):
    """A gallery that is missing, busy, damaged or of another model; the message names the remedy."""


class GalleryBusy(GalleryError):
    """Somebody else is writing the gallery."""


@dataclass(frozen=True)
class GalleryConfig:
    """``gallery.json``: which model the gallery is searched with; ``previous``: with which it was before that.

    ``store``: where its vectors are searched, see :func:`unifex.vector_index.index_types.of_store`; empty for FAISS.
    ``collection``: what the names of its collections there begin with.
    """

    id: str
    model: str
    backbone: str
    backbone_hash: str
    neck_hash: str
    dim: int
    previous: str = ""
    store: str = ""
    collection: str = ""
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        wrong = [name for name, kind in self.__annotations__.items() if type(getattr(self, name)).__name__ != kind]
        if wrong or self.dim < 1 or not re.fullmatch(r"[0-9a-f]{32}", self.id):
            raise ValueError(f"its {' and '.join(wrong or ['id or dim'])} cannot be right")
        if self.store and not re.fullmatch(r"unifex_[0-9a-f]{32}", self.collection):
            raise ValueError("its collection is not its own")  # whatever begins with its name is dropped with it


@dataclass(frozen=True)
class Record:
    """One item as it is stored. ``original``: file name of the kept bytes, empty when ``uri`` is the place."""

    id: int
    uri: str
    path: str
    sha256: str
    label: str
    domain: str
    split: str
    width: int
    height: int
    bytes: int
    original: str


@dataclass(frozen=True)
class Facts:
    """What there is to know about a gallery at a glance. ``bytes`` on disk; ``unfinished`` are source specs."""

    name: str
    items: int
    images: int
    domains: dict[str, int]
    labels: int
    splits: dict[str, int]
    refused: int
    corrections: int
    model: str
    backbone: str
    dim: int
    bytes: int
    unfinished: list[str]


@dataclass(frozen=True)
class _Counts:
    """Items by domain and by split, and how many labels there are, as committed at ``version``."""

    version: int
    domains: dict[str, int]
    splits: dict[str, int]
    labels: int


class Gallery:
    """One gallery. Any number of readers, one writer at a time (:meth:`write`), across threads and processes."""

    def __init__(self, folder: Path, config: GalleryConfig, embedder: Embedder | None = None):
        self.folder = folder
        self.config = self.stored_config = config
        self._embedder = embedder
        self._snapshot: Snapshot | None = None
        self._calibration: Calibration | None = None
        self._uncalibrated: tuple[tuple, str] | None = None
        self._neighbours: tuple[Snapshot, Neighbours] | None = None
        self._counted: _Counts | None = None
        self._at_dim: dict[int, tuple[Snapshot, VectorIndex]] = {}
        self._unit_features: tuple[Snapshot, np.ndarray] | None = None
        self._lock = threading.RLock()
        self._neighbours_lock, self._calibration_lock = threading.Lock(), threading.Lock()
        self._features_lock = threading.Lock()
        self._has_own_schema = False  # until that was looked at
        self._sound: set[int] = set()  # shards whose checksum was right
        self._is_earlier = True  # until it is known that its schema is the present one

    # --- opening -------------------------------------------------------------------------------------------------

    @classmethod
    def create(cls, folder: str | Path, embedder: Embedder, dim: int | None = None) -> Gallery:
        """Make an empty gallery. Raises :class:`GalleryError` if the folder is there already."""
        folder = Path(folder)
        dim = embedder.neck.check_dim(dim or embedder.default_dim)
        config = GalleryConfig(
            id=uuid.uuid4().hex,
            model=embedder.name,
            backbone=embedder.backbone.id,
            backbone_hash=embedder.backbone.weight_hash(),
            neck_hash=embedder.neck.hash,
            dim=dim,
        )
        try:
            with new_folder(folder) as new:
                (new / "features").mkdir()
                gallery = cls(new, config, embedder)
                with gallery.connect() as database:
                    make_tables(database)
                gallery.keep_config()
        except OSError as error:
            raise GalleryError(f"gallery '{folder.name}' cannot be made: {reason(error)}") from error
        gallery.folder = folder
        return gallery

    @classmethod
    def open(cls, folder: str | Path, embedder: Embedder | None = None) -> Gallery:
        """Open a gallery, with another model if one is given.

        Another backbone raises :class:`GalleryError`, since its features would have to be computed from the images;
        another neck is taken over, and the embeddings follow at the next search.
        """
        folder = Path(folder)
        config = read_config(folder)
        gallery = cls(folder, config, embedder)
        if embedder:
            gallery._adopt(embedder)
        return gallery

    def _adopt(self, embedder: Embedder) -> None:
        """Take over a model: its neck may be another than the one that the kept embeddings are from."""
        config = self.config
        if embedder.backbone.weight_hash() != config.backbone_hash:
            raise GalleryError(
                f"gallery '{self.name}' holds features of backbone '{config.backbone}' ({config.backbone_hash}), "
                f"model '{embedder.name}' needs '{embedder.backbone.id}' ({embedder.backbone.weight_hash()}): "
                "use the gallery's own model or index the images again under another name"
            )
        if (embedder.name, embedder.neck.hash) != (config.model, config.neck_hash):
            dim = config.dim if config.dim in embedder.neck.dims else embedder.default_dim
            previous = config.previous if embedder.name == config.model else config.model
            self.config = replace(config, model=embedder.name, neck_hash=embedder.neck.hash, dim=dim, previous=previous)

    @classmethod
    def open_or_create(cls, folder: str | Path, embedder: Embedder) -> Gallery:
        """Open the gallery, or make it if it is not there."""
        if (Path(folder) / "gallery.json").exists():
            return cls.open(folder, embedder)
        return cls.create(folder, embedder)

    def is_of(self, embedder: Embedder | None) -> bool:
        """Whether it was opened with this model (with its own when None)."""
        if embedder is None:
            return self._embedder is None or self.config == self.stored_config
        return (self.config.model, self.config.neck_hash) == (embedder.name, embedder.neck.hash)

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name

    @cached_property
    def embedder(self) -> Embedder:
        """The model the gallery was opened with, else its own, which may have been trained anew since."""
        embedder = self._embedder or Embedder.load(self.config.model, models=self.folder.parent / "models")
        self._adopt(embedder)
        return embedder

    def origin(self, kind: str, model: str = "", content: str = "") -> Origin:
        """What a file is stamped with that is derived from this gallery."""
        return Origin(kind, self.config.id, model, content)

    @property
    def model_key(self) -> str:
        """What embeddings depend on, but for the images: the neck and the dimension."""
        return f"{self.config.neck_hash}-{self.config.dim}"

    def keep_config(self) -> None:
        """Make the configuration that it is used with its own, on disk. By a writer."""
        write_atomically(self.folder / "gallery.json", with_checksum(self.config.__dict__))
        self.stored_config = self.config

    @property
    def is_visited(self) -> bool:
        """Whether it was opened with another model than its own: looking changes nothing on disk."""
        return self.config.model != self.stored_config.model

    def _bring_up_to_date(self) -> None:
        """Add what a gallery of an earlier version lacks. By a writer."""
        with self.connect(as_it_is=True) as database:
            missing = _missing_columns(database)
            for table, columns in missing.items():
                for column, kind in columns.items():
                    database.execute(f"ALTER TABLE {table} ADD COLUMN {column} {kind}")
                if "by_layout" in columns:
                    specs = [row[0] for row in database.execute("SELECT spec FROM sources")]
                    rows = [
                        (spec,)
                        for spec in specs
                        if locations.path_of(spec) and not spec.lower().endswith((".csv", ".tsv"))
                    ]
                    database.executemany("UPDATE sources SET by_layout = 1 WHERE spec = ?", rows)
            database.executescript(_TABLES)
            if "sources" in missing:
                _straighten(database)
            if not database.execute("SELECT 1 FROM listings").fetchone():
                database.execute(f"INSERT INTO listings {listings.OF_ITEMS}")
            unmeasured = self._unmeasured(database)
            database.executemany(
                "UPDATE features SET stored = ? WHERE sha256 = ?", [(n, h) for h, n in unmeasured.items()]
            )
        self._is_earlier = False

    @contextlib.contextmanager
    def connect(self, as_it_is: bool = False) -> Iterator[sqlite3.Connection]:
        """A connection for one piece of work, which is one transaction.

        What a gallery of an earlier version lacks is seen as if it were there, unless it is wanted ``as_it_is``.
        """
        path = self.folder / "items.sqlite"
        disk.check_open(path)
        if not path.exists() and (self.folder / "gallery.json").exists():
            raise GalleryError(f"gallery '{self.name}' has lost its items.sqlite; index its images again")
        database = sqlite3.connect(path, timeout=30, check_same_thread=False)
        database.execute("PRAGMA trusted_schema = OFF")  # the folder may be another's
        try:
            with database:
                self._check_schema(database)
                if self._is_earlier and not as_it_is:
                    self._is_earlier = _stand_in(database)
                yield database
        except sqlite3.DatabaseError as error:
            if code := _SQLITE_CODES.get(getattr(error, "sqlite_errorcode", 0) & 0xFF):
                raise OSError(code, os.strerror(code), str(path)) from error
            text = str(error).partition("\n")[0][:200]
            raise GalleryError(f"gallery '{self.name}': items.sqlite: {text}") from error
        except UnicodeDecodeError as error:  # of what SQLite would have said
            raise GalleryError(f"gallery '{self.name}': items.sqlite is damaged") from error
        finally:
            database.close()

    def _check_schema(self, database: sqlite3.Connection) -> None:
        """Once: the folder may be somebody else's."""
        if self._has_own_schema:
            return
        try:
            check_schema(database)
            made = database.execute("SELECT 1 FROM main.sqlite_master").fetchone()
            if made and not database.execute("SELECT 1 FROM main.state WHERE typeof(version) = 'integer'").fetchone():
                raise ValueError("state without a version")
        except ValueError as error:
            raise GalleryError(
                f"gallery '{self.name}': items.sqlite holds a {error} that this program did not make: it is damaged, "
                "of a newer version (update UniFEx), or not to be trusted"
            ) from error
        self._has_own_schema = True

    # --- reading -------------------------------------------------------------------------------------------------

    def __bool__(self) -> bool:
        """There is a gallery, whatever is in it: asking that must not count its items."""
        return True

    def __len__(self) -> int:
        with self.connect() as database:
            return database.execute("SELECT COUNT(*) FROM shown").fetchone()[0]

    def records(self, ids: Sequence[int] | np.ndarray) -> list[Record]:
        """The items with these ids, in this order; ids that are no longer there are left out."""
        query = """SELECT id, uri, path, sha256, label, domain, split, width, height, bytes, COALESCE(original, '')
                   FROM shown JOIN features USING (sha256) WHERE id = ?"""
        with self.connect() as database:
            database.execute("BEGIN")  # one lock, not one an item
            rows = [database.execute(query, (int(i),)).fetchone() for i in ids]
        return [Record(*row) for row in rows if row]

    def item_at(self, path: str) -> Record:
        """The item of this path or uri. Raises :class:`GalleryError` when there is none, or more than one."""
        with self.connect() as database:
            found = database.execute("SELECT id FROM shown WHERE path = ? OR uri = ?", (path, path)).fetchall()
        if len(found) != 1:
            what = "no item" if not found else f"{len(found)} items (name one by its uri)"
            raise GalleryError(f"gallery '{self.name}' has {what} '{path}'")
        return self.records([found[0][0]])[0]

    def refused(self) -> list[Skipped]:
        """Everything in its sources that could not be indexed, and why."""
        with self.connect() as database:
            return [Skipped(*row) for row in database.execute("SELECT path, reason FROM refused ORDER BY source, path")]

    def ids_of_paths(self, paths: Iterable[str]) -> dict[str, list[int]]:
        """path or uri -> ids of the items it names (an empty list where it names none)."""
        query = "SELECT id FROM items WHERE path = ? OR uri = ? ORDER BY id"
        with self.connect() as database:
            return {p: [row[0] for row in database.execute(query, (p, p))] for p in paths}

    def ids_of_uris(self, uris: Iterable[str]) -> dict[str, int]:
        """uri -> id of the items that are there."""
        with self.connect() as database:
            rows = [database.execute("SELECT uri, id FROM shown WHERE uri = ?", (uri,)).fetchone() for uri in uris]
        return dict(row for row in rows if row)

    def corrections(self) -> list[Correction]:
        """What people said of its items, by kind and path."""
        query = f"SELECT {', '.join(corrections.COLUMNS)} FROM corrections ORDER BY kind, path, other_path"
        with self.connect() as database:
            return [Correction(*row) for row in database.execute(query)]

    def sources(self) -> list[Registered]:
        """What it was indexed from, in the order of the first time."""
        query = (
            "SELECT id, spec, keep, complete, options, (SELECT COUNT(*) FROM listings WHERE source = sources.id) "
            "FROM sources ORDER BY id"
        )
        with self.connect() as database:
            rows = database.execute(query).fetchall()
        return [Registered(id, spec, bool(keep), bool(complete), *rest) for id, spec, keep, complete, *rest in rows]

    def uris(self) -> set[str]:
        """Where every item comes from."""
        with self.connect() as database:
            return {row[0] for row in database.execute("SELECT uri FROM items")}

    def unfinished(self) -> list[tuple[str, bool]]:
        """Sources whose indexing was cut off: (spec, keep)."""
        with self.connect() as database:
            rows = database.execute("SELECT spec, keep FROM sources WHERE NOT complete ORDER BY id").fetchall()
        return [(spec, bool(keep)) for spec, keep in rows]

    def original(self, record: Record) -> bytes:
        """The image file's bytes. Raises :class:`GalleryError` when it was moved, deleted or changed since.

        Only what was indexed comes out, wherever the database says that it lies.
        """
        path = self.original_path(record.sha256, record.original) if record.original else Path(record.uri)
        if not path.is_absolute() and not record.original:
            raise GalleryError(f"the image is not on this computer ({record.path})")
        try:
            if not path.is_file() or path.stat().st_size > images.MAX_BYTES:
                raise GalleryError(f"the image file is no longer there ({record.path})")
            data = path.read_bytes()
        except OSError as error:
            raise GalleryError(f"the image file is no longer there ({error.strerror}: {record.path})") from error
        if images.content_hash(data) != record.sha256:
            changed = "that was kept is damaged" if record.original else "file changed since; index it again"
            raise GalleryError(f"the image {changed} ({record.path})")
        return data

    def thumbnail(self, sha256: str) -> bytes:
        """JPEG bytes (WebP in a gallery of an earlier version); empty when they are lost, and the image as well."""
        path, earlier = self.thumbnail_paths(sha256)
        data = derived.read_bytes(path, thumbnail_origin(sha256))
        if data is None:
            data = _of_earlier_version(path) or _of_earlier_version(earlier) or self._thumbnail_anew(sha256)
        return data

    def _thumbnail_anew(self, sha256: str) -> bytes:
        with self.connect() as database:
            found = database.execute("SELECT id FROM shown WHERE sha256 = ?", (sha256,)).fetchone()
        try:
            original = self.original(self.records(found)[0]) if found else b""
            data = images.thumbnail(images.decode(original, at_least=images.THUMBNAIL_SIZE).image)
        except (GalleryError, images.ImageError):
            return b""
        path = self.thumbnail_paths(sha256)[0]
        with contextlib.suppress(OSError):  # of a disk that can only be read, it is made each time
            disk.make_folder(path.parent)
            derived.write_bytes(path, data, thumbnail_origin(sha256), durable=False)
        return data

    def features(self, hashes: Sequence[str]) -> np.ndarray:
        """Backbone features float16 [len(hashes), D] of stored images. Raises ``ItemsGone``."""
        with self.connect() as database:
            database.execute("BEGIN")  # no writer may take a shard away in between
            return self._table(database, hashes)[:]

    def feature_table(self, hashes: Sequence[str]) -> FeatureTable:
        """The same, read from disk where it is looked at: for more than memory holds, while nobody writes."""
        with self.connect() as database:
            return self._table(database, hashes)

    def _table(self, database: sqlite3.Connection, hashes: Sequence[str]) -> FeatureTable:
        query = "SELECT shard, row FROM features WHERE sha256 = ?"
        places = [database.execute(query, (sha256,)).fetchone() for sha256 in hashes]
        if None in places:
            raise ItemsGone(self.name)
        shards, rows = np.array(places, np.int64).reshape(-1, 2).T
        content = hashlib.sha256("".join([self.config.backbone_hash, *hashes]).encode()).hexdigest()
        return FeatureTable(shards, rows, self.embedder.backbone.feature_dim, self._load_features, content)

    def _load_features(self, shard: int) -> np.ndarray:
        """:meth:`load_shard`, of the backbone. Raises :class:`GalleryError` as well for features of another."""
        features, width = self.load_shard(shard), self.embedder.backbone.feature_dim
        if (features.dtype, *features.shape[1:]) != (np.float16, width):
            raise GalleryError(
                f"gallery '{self.name}': features/{self.shard_path(shard).name} holds {features.dtype} "
                f"{features.shape}, its backbone gives {width}; index its images again under another name"
            )
        return features

    def unit_features(self, current: Snapshot) -> np.ndarray:
        """Features float16 [N, D] of a snapshot's items, L2 norm 1, in memory: what words are compared with."""
        with self._features_lock:
            if self._unit_features is None or self._unit_features[0] is not current:
                features = self.features([sha256.decode() for sha256 in current.columns.hashes])
                for start in range(0, len(features), snapshot.EMBED_ROWS):
                    block = features[start : start + snapshot.EMBED_ROWS]
                    block[:] = l2_normalize(block.astype(np.float32), block.shape[1])
                self._unit_features = (current, features)
            return self._unit_features[1]

    def snapshot(self) -> Snapshot:
        """The gallery as it is committed now. Cheap when nothing changed; only new images are embedded."""
        with self._lock:
            _ = self.embedder  # settles which neck
            self._snapshot = snapshot.take(self, self._snapshot)
            return self._snapshot

    def embed_afresh(self) -> Work[Snapshot]:
        """:meth:`snapshot` with every item embedded anew: for a gallery opened with another neck."""
        _ = self.embedder
        self._snapshot = yield from snapshot.rebuild(self)
        return self._snapshot

    def index(self, dim: int | None = None) -> tuple[Snapshot, VectorIndex]:
        """The snapshot and an index over its embeddings at ``dim`` (default: the gallery's own)."""
        current = self.snapshot()
        return current, self.index_of(current, dim)

    def index_of(self, current: Snapshot, dim: int | None = None) -> VectorIndex:
        """An index over a snapshot's embeddings at ``dim``."""
        if dim in (None, self.config.dim):
            return current.index
        with self._lock:
            if self._at_dim.get(dim, (None,))[0] is not current:
                self._at_dim[dim] = (current, snapshot.at_dim(self, current, dim))
            return self._at_dim[dim][1]

    def find_neighbours(self, current: Snapshot | None = None) -> Work[Neighbours]:
        """The neighbours of every item in the snapshot (``current``: in this one); at once when nothing changed since
        the last time."""
        current = self.snapshot() if current is None else current
        known = self._neighbours
        if known and known[0] is current:
            return known[1]
        path, ids = self.folder / "neighbours.npz", current.columns.ids
        origin = self.origin("neighbours", self.model_key)
        kept = Kept.read(path, origin, current.columns.items)
        found = yield from neighbours.update(current.index, ids, current.columns.copies, kept)
        self._neighbours = (current, found)
        if kept is None or not np.array_equal(kept.ids, ids):
            near = np.where(found.positions >= 0, ids[found.positions], -1) if len(ids) else found.positions
            self._keep(Kept(current.columns.items, near, found.scores), path, origin)
        return found

    def _keep(self, made: Kept | Calibration, path: Path, origin: Origin) -> None:
        """Write what can be made again; on a read-only disk it has to be, and where another model only looks."""
        try:
            if not self.is_visited:
                made.write(path, origin)
        except OSError as error:
            log.warning("gallery '%s': %s is not kept: %s", self.name, path.name, reason(error))

    def neighbours(self) -> tuple[Snapshot, Neighbours]:
        """The snapshot and :meth:`find_neighbours` of it, waited for."""
        with self._neighbours_lock:  # its own: nobody's search waits for it
            found = finish(self.find_neighbours())
            return self._neighbours[0], found

    def calibration(self, current: Snapshot | None = None) -> Calibration:
        """What similarity means here (in ``current``). Raises ``CalibrationError`` when the labels cannot tell.

        While the gallery is being written the last one serves, lest every commit costs the next search a new one.
        """
        current = current or self.snapshot()
        with self._calibration_lock:
            labelling, neck = current.columns.labelling, (current.neck_hash, self.config.dim)
            if self._uncalibrated and self._uncalibrated[0] == (labelling, neck):
                raise CalibrationError(self._uncalibrated[1])
            origin = self.origin("calibration", self.model_key)
            if self._calibration is None:
                self._calibration = Calibration.read(self.folder / "calibration.json", origin)
            known = self._calibration
            if known is None or (known.neck_hash, known.dim) != neck:
                known = None
            being_written = (self.folder / ".writing").exists()
            if known is None or (known.labelling != labelling and not being_written):
                try:
                    self._calibration = known = calibrate(current)
                except CalibrationError as error:
                    self._uncalibrated = (labelling, neck), str(error)
                    raise
                self._keep(known, self.folder / "calibration.json", origin)
            return known

    def facts(self) -> Facts:
        """Counts, model and size on disk. Items are counted once a version, and of images sizes are noted."""
        with self.connect() as database:
            one = lambda query: database.execute(query).fetchone()[0]  # noqa: E731
            counts = self._count(database)
            measured, unmeasured = "SELECT SUM(stored) FROM features", "SELECT 1 FROM features WHERE stored IS NULL"
            noted = None if database.execute(unmeasured).fetchone() else one(measured) or 0
            return Facts(
                name=self.name,
                items=sum(counts.domains.values()),
                images=one("SELECT COUNT(*) FROM features"),
                domains=counts.domains,
                labels=counts.labels,
                splits=counts.splits,
                refused=one("SELECT COUNT(*) FROM refused"),
                corrections=one("SELECT COUNT(*) FROM corrections"),
                model=self.config.model,
                backbone=self.config.backbone,
                dim=self.config.dim,
                bytes=_bytes_below(self.folder) if noted is None else noted + _bytes_below(self.folder, *_MEASURED),
                unfinished=[spec for spec, _ in self.unfinished()],
            )

    def _count(self, database: sqlite3.Connection) -> _Counts:
        database.execute("BEGIN")  # both reads see one commit
        version = database.execute("SELECT version FROM state").fetchone()[0]
        if self._counted is None or self._counted.version != version:
            self.check_items()
            found = Counter(database.execute("SELECT domain, split, label FROM shown"))
            domains, splits = Counter(), Counter()
            for (domain, split, _), count in found.items():
                domains[domain] += count
                splits[split] += count
            labels = len({(domain, label) for domain, _, label in found if label})
            self._counted = _Counts(version, dict(sorted(domains.items())), dict(sorted(splits.items())), labels)
        return self._counted

    def _unmeasured(self, database: sqlite3.Connection) -> dict[str, int]:
        """sha256 -> bytes on disk of the images for which nobody noted them."""
        rows = database.execute("SELECT sha256, COALESCE(original, '') FROM features WHERE stored IS NULL").fetchall()
        found = {}
        for sha256, original in rows:
            paths = [*self.thumbnail_paths(sha256), *([self.original_path(sha256, original)] if original else [])]
            found[sha256] = sum(path.stat().st_size for path in paths if path.is_file())
        return found

    # --- writing -------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def write(self) -> Iterator[Writer]:
        """The right to change the gallery. Raises :class:`GalleryBusy` when another writer has it,
        :class:`GalleryError` when it is not there any more, ``disk.FolderClosed`` where nothing is kept any more."""
        disk.check_open(self.folder)
        if not (self.folder / "gallery.json").is_file() or read_config(self.folder).id != self.config.id:
            raise GalleryError(f"gallery '{self.name}' was deleted or renamed meanwhile; choose it again")
        lock = FileLock(self.folder / ".lock", timeout=LOCK_SECONDS)
        try:
            lock.acquire()
        except Timeout:
            raise GalleryBusy(
                f"gallery '{self.name}' is being written by another process or tab; wait until it is done, or cancel it"
            ) from None
        try:
            drop_checksum(self.folder / "items.sqlite")
            self._bring_up_to_date()
            writer = Writer(self)
            writer.sweep()
            try:
                yield writer
            except GeneratorExit:  # cancelled between two commits: nothing is half done
                writer.close()
                raise
            writer.close()
        finally:
            lock.release()

    def is_being_written(self) -> bool:
        """Whether somebody, here or in another process, holds the right to change it now."""
        try:
            with FileLock(self.folder / ".lock", timeout=0):
                return False
        except Timeout:
            return True

    # --- files ---------------------------------------------------------------------------------------------------

    def shard_path(self, shard: int) -> Path:
        """Where the features of a shard lie."""
        return self.folder / "features" / f"{shard:05d}.npy"

    def load_shard(self, shard: int) -> np.ndarray:
        """Features float16 [rows, D] of a shard, mapped, checked once. Raises :class:`GalleryError` when damaged."""
        path = self.shard_path(shard)
        try:
            if shard not in self._sound:
                if (checksum := self._checksum(shard)) and file_hash(path) != checksum:
                    raise ValueError("its checksum is wrong")
                self._sound.add(shard)
            return np.load(path, mmap_mode="r")
        except (OSError, ValueError) as error:
            raise GalleryError(
                f"gallery '{self.name}': features/{path.name} is damaged ({reason(error)}); "
                "index its images again under another name"
            ) from error

    def _checksum(self, shard: int) -> str:
        with self.connect() as database:
            row = database.execute("SELECT checksum FROM shards WHERE id = ?", (shard,)).fetchone()
        return row[0] if row else ""

    def check_items(self) -> None:
        """Raises :class:`GalleryError` when items.sqlite is not what the last writer left."""
        try:
            if agrees_with_checksum(self.folder / "items.sqlite", self.config.id):
                return
        except (ValueError, KeyError) as error:  # the seal itself is damaged: SQLite's own checks have to do
            log.warning("gallery '%s': items.json: %s; the items are not checked", self.name, error)
            return
        raise GalleryError(
            f"gallery '{self.name}': items.sqlite is damaged (its checksum is wrong); "
            "index its images again under another name"
        )

    def thumbnail_paths(self, sha256: str) -> tuple[Path, Path]:
        """Where the thumbnail of an image lies, and where one of an earlier version may lie instead."""
        folder = self._place("thumbs", sha256)
        return folder / f"{sha256}.jpg", folder / f"{sha256}.webp"

    def views_path(self, sha256: str) -> Path:
        """Where the features of an image's other views lie (:mod:`unifex.training.augment`)."""
        return self._place("views", sha256) / f"{sha256}.npy"

    def original_path(self, sha256: str, name: str) -> Path:
        """Where the kept bytes of an image lie. Raises :class:`GalleryError` for a name that no writer gives."""
        if not re.fullmatch(re.escape(sha256) + r"\.[^/\\\0]{1,7}", name):
            raise GalleryError(f"gallery '{self.name}': items.sqlite names a file '{name[:80]}' that is not its own")
        return self._place("originals", sha256) / name

    def _place(self, kind: str, sha256: str) -> Path:
        """The folder of an image's file. Raises :class:`GalleryError` for a hash that is none, but a path."""
        if not is_digest(sha256):
            raise GalleryError(f"gallery '{self.name}': items.sqlite has '{sha256[:80]}' for an image's sha256")
        return self.folder / kind / sha256[:2]


def make_tables(database: sqlite3.Connection) -> None:
    """Fill an empty database with the tables of an empty gallery."""
    database.executescript(_TABLES)
    database.execute("INSERT INTO state VALUES (0)")


_OF_SQLITE = {("table", name) for name in ("sqlite_sequence", "sqlite_stat1", "sqlite_stat4")}


@cache
def _schema() -> dict[tuple[str, str], tuple[frozenset[str], str]]:
    """(type, name) -> columns and, of a view, what it says: all that a gallery's database may have."""
    with contextlib.closing(sqlite3.connect(":memory:")) as database:
        make_tables(database)
        return {(kind, name): (columns, sql if kind == "view" else "") for kind, name, columns, sql in _parts(database)}


def _parts(database: sqlite3.Connection) -> Iterator[tuple[str, str, frozenset[str], str]]:
    """Type, name, columns and text of what a database has, but for indices. Raises ValueError for what may be code."""
    for kind, name, sql in database.execute("SELECT type, name, sql FROM main.sqlite_master").fetchall():
        if kind == "index":
            continue
        words = " ".join(str(sql).split())
        columns = database.execute("SELECT name, hidden FROM pragma_table_xinfo(?)", (name,)).fetchall()
        if kind == "trigger" or words.upper().startswith("CREATE VIRTUAL") or any(hidden for _, hidden in columns):
            raise ValueError(f"{kind} '{str(name)[:40]}'")
        yield kind, name, frozenset(column for column, _ in columns), words


def check_schema(database: sqlite3.Connection) -> None:
    """Raises ValueError for a database with parts that no gallery has: they could be code of who made it."""
    known = _schema()
    for kind, name, columns, sql in _parts(database):
        if (kind, name) in _OF_SQLITE:
            continue
        expected = known.get((kind, name))
        if expected is None or not columns <= expected[0] or (kind == "view" and sql != expected[1]):
            raise ValueError(f"{kind} '{name[:40]}'")


def _of_earlier_version(path: Path) -> bytes:
    """The bytes of a thumbnail from before these were stamped, if it can be decoded."""
    try:
        data = path.read_bytes()
        images.decode(data)
        return b"" if derived.has_fingerprint(data) else data
    except (OSError, images.ImageError):
        return b""


def _missing_columns(database: sqlite3.Connection) -> dict[str, dict[str, str]]:
    """Table -> its columns that a gallery of an earlier version lacks; a new one's tables have them all."""
    missing = {}
    for table, columns in _LATER_COLUMNS.items():
        there = {row[1] for row in database.execute(f"PRAGMA main.table_info({table})")}
        missing[table] = {name: kind for name, kind in columns.items() if there and name not in there}
    return {table: columns for table, columns in missing.items() if columns}


def _straighten(database: sqlite3.Connection) -> None:
    """Give places that tables of earlier versions named by a detour (``/a/../b``) the uri that they have now."""
    rows = database.execute("SELECT uri FROM items WHERE uri LIKE '/%/../%'").fetchall()
    straight = [(os.path.normpath(uri), uri) for (uri,) in rows]
    database.executemany("UPDATE OR IGNORE items SET uri = ? WHERE uri = ?", straight)
    for column in ("uri", "other_uri"):
        database.executemany(f"UPDATE OR IGNORE corrections SET {column} = ? WHERE {column} = ?", straight)


def _stand_in(database: sqlite3.Connection) -> bool:
    """Let a reader see what a gallery of an earlier version lacks; whether it lacks anything."""
    missing = _missing_columns(database)
    for table, columns in missing.items():
        values = ", ".join(f"{kind.partition('DEFAULT ')[2] or 'NULL'} AS {name}" for name, kind in columns.items())
        database.execute(f"CREATE TEMP VIEW {table} AS SELECT *, {values} FROM main.{table}")
    there = {row[0] for row in database.execute("SELECT name FROM main.sqlite_master")}
    scripts = [script for table, script in _LATER_TABLES.items() if there and table not in there]
    for script in scripts:
        database.executescript(script)
    return bool(missing or scripts)


def _bytes_below(folder: Path, *but: str) -> int:
    """Of all files in a folder, without these folders in it."""
    total = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                total += 0 if entry.name in but else _bytes_below(Path(entry.path))
                continue
            with contextlib.suppress(FileNotFoundError):  # somebody is writing
                total += entry.stat(follow_symlinks=False).st_size
    return total


def read_config(folder: Path) -> GalleryConfig:
    """``gallery.json`` of a folder. Raises :class:`GalleryError` when there is none, or none that can be used."""
    path = folder / "gallery.json"
    try:
        values = verify(path.read_bytes())
        if values["schema"] != SCHEMA:
            raise GalleryError(f"gallery '{folder.name}' has format {values['schema']}, this program reads {SCHEMA}")
        return GalleryConfig(**values)
    except FileNotFoundError:
        if not (folder / "items.sqlite").exists():
            raise GalleryError(f"no gallery '{folder.name}' in {folder.parent.name}") from None
        raise GalleryError(
            f"gallery '{folder.name}' has lost its gallery.json; delete it and index its images again"
        ) from None
    except PermissionError as error:
        raise GalleryError(f"gallery '{folder.name}' cannot be opened: {reason(error)}") from error
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise GalleryError(
            f"gallery '{folder.name}': gallery.json is damaged ({reason(error)}); "
            "index its images again under another name"
        ) from error
