"""A gallery as searches see it: embeddings and FAISS index in memory, and their copy on disk for a quick start.

An item's id always means the same image, so embeddings are kept by id: whatever changed in the gallery, only ids that
have none yet are embedded. The copy on disk is a cache of that and needs no bookkeeping beyond the neck it is from.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from unifex import milvus, vectors
from unifex.errors import UnifexError
from unifex.neck import truncate
from unifex.shortlists import Lists, Shortlist
from unifex.soundness import file_hash, save_array, sealed, unsealed, write_atomically

if TYPE_CHECKING:
    from pathlib import Path

    from unifex.gallery import Gallery, GalleryConfig

EMBED_ROWS = 8192
log = logging.getLogger("unifex")
ATTEMPTS = 5


@dataclass(frozen=True)
class Category:
    """A text column: item i has the text ``names[codes[i]]``; ``names`` is sorted, ``codes`` int64 [N]."""

    names: np.ndarray
    codes: np.ndarray

    @classmethod
    def of(cls, texts: Sequence[str]) -> Category:
        """From one text an item."""
        names, codes = np.unique(np.array(texts, object), return_inverse=True) if texts else (_EMPTY, _EMPTY)
        return cls(names, codes.astype(np.int64))

    @property
    def texts(self) -> np.ndarray:
        """One text an item, object [N]."""
        return self.names[self.codes] if len(self.codes) else _EMPTY

    def among(self, texts: Sequence[str]) -> np.ndarray:
        """bool [N]: which items have one of these texts."""
        return np.isin(self.names.astype(str), texts)[self.codes]


_EMPTY = np.zeros(0, object)


@dataclass(frozen=True)
class Columns:
    """The items as committed at ``version``, by ascending id: ids int64 [N], hashes bytes S64 [N], texts."""

    version: int
    ids: np.ndarray
    hashes: np.ndarray
    domains: Category
    splits: Category
    labels: Category

    @cached_property
    def copies(self) -> np.ndarray:
        """int64 [N]: equal for items that show byte-identical images."""
        return np.unique(self.hashes, return_inverse=True)[1]

    @cached_property
    def classes(self) -> np.ndarray:
        """int64 [N]: equal for items of one label in one domain; -1 without a label."""
        codes = self.domains.codes * max(1, len(self.labels.names)) + self.labels.codes
        return np.where(self.labels.texts == "", -1, codes)


@dataclass(frozen=True)
class Snapshot:
    """Position i of every column and of ``index`` is one item."""

    columns: Columns
    neck_hash: str
    index: vectors.VectorIndex

    def __len__(self) -> int:
        return len(self.columns.ids)

    @property
    def embeddings(self) -> np.ndarray:
        """float32 [N, dim], L2 norm 1."""
        return self.index.embeddings


def take(gallery: Gallery, last: Snapshot | None) -> Snapshot:
    """The gallery as it is now; ``last`` itself when nothing changed since."""
    for _ in range(ATTEMPTS):
        if last and last.neck_hash == gallery.config.neck_hash and last.columns.version == _version(gallery):
            return last
        if last is None:
            gallery.check_items()
        try:
            return _take(gallery, last)
        except KeyError:  # a writer removed an image between reading the items and reading their features
            continue
    raise UnifexError(f"gallery '{gallery.name}' changes faster than it can be read; try again")


class _Known(NamedTuple):
    """What is there to start from: ids int64 [M], their embeddings, and who proposes candidates among these."""

    ids: np.ndarray
    embeddings: np.ndarray
    shortlist: Shortlist | None


def _take(gallery: Gallery, last: Snapshot | None) -> Snapshot:
    columns = _read_columns(gallery)
    neck_hash = gallery.config.neck_hash
    if last and last.neck_hash == neck_hash:
        known = _Known(last.columns.ids, last.embeddings, last.index.shortlist)
    else:
        known = _read_saved(gallery)
    if known and np.array_equal(known.ids, columns.ids):  # labels alone changed, if anything
        embeddings = known.embeddings
    else:
        *_, embeddings = _embed(gallery, columns, known)
    return Snapshot(columns, neck_hash, _index(gallery, columns, embeddings, known))


def _index(
    gallery: Gallery, columns: Columns, embeddings: np.ndarray, known: _Known | None = None
) -> vectors.VectorIndex:
    """Over a gallery's embeddings, in its store; from what is known where that is quicker."""
    config = gallery.config
    if config.store:
        rows = milvus.Rows(columns.version, columns.ids, columns.domains.texts, columns.splits.texts, embeddings)
        return vectors.VectorIndex(
            embeddings, milvus.follow(config.store, gallery.folder, collection_name(config), rows)
        )
    if known is None or known.shortlist is None:
        return vectors.build(embeddings, keys=columns.ids)
    if known.embeddings is embeddings:
        return vectors.VectorIndex(embeddings, known.shortlist)
    return vectors.renewed(known.shortlist, embeddings, columns.ids)


def collection_name(config: GalleryConfig) -> str:
    """What the collection of a gallery's embeddings is called in Milvus."""
    return f"{config.collection}_{config.neck_hash[:16]}_{config.dim}"


@dataclass(frozen=True)
class Embedding:
    """``done`` of ``total`` items are embedded with another neck."""

    done: int
    total: int


def take_afresh(gallery: Gallery) -> Iterator[Embedding | Snapshot]:
    """The gallery as it is now, every item embedded anew, in steps."""
    columns = _read_columns(gallery)
    for event in _embed(gallery, columns):
        if isinstance(event, Embedding):
            yield event
    yield Snapshot(columns, gallery.config.neck_hash, _index(gallery, columns, event))


def at_dim(gallery: Gallery, snapshot: Snapshot, dim: int) -> vectors.VectorIndex:
    """An index over ``dim``-d embeddings: the prefix of the snapshot's, or made from the features when wider."""
    if dim <= gallery.config.dim:
        return vectors.build(truncate(snapshot.embeddings, dim))
    features = gallery.features([sha256.decode() for sha256 in snapshot.columns.hashes])
    return vectors.build(gallery.embedder.neck.embed(features, dim))


def save(gallery: Gallery) -> None:
    """Keep embeddings and index on disk. The stamp goes first and comes last: files without it are not trusted."""
    snapshot = gallery.snapshot()
    stamp = gallery.folder / "derived.json"
    stamp.unlink(missing_ok=True)
    save_array(gallery.folder / "embeddings.npy", snapshot.embeddings)
    save_array(gallery.folder / "ids.npy", snapshot.columns.ids)
    lists, index = None, gallery.folder / "index.faiss"
    if isinstance(snapshot.index.shortlist, Lists):
        lists = snapshot.index.shortlist.save(index)
    else:  # rebuilding a flat index is as quick as reading one
        index.unlink(missing_ok=True)
    if gallery.config.store:
        name = collection_name(gallery.config)
        milvus.forget(gallery.config.store, gallery.folder, gallery.config.collection, but=name)
    hashes = {name: file_hash(gallery.folder / name) for name in _files(lists)}
    write_atomically(stamp, sealed({"neck_hash": snapshot.neck_hash, "lists": lists, "files": hashes}))


def _files(lists: dict | None) -> tuple[str, ...]:
    return ("embeddings.npy", "ids.npy", "index.faiss") if lists else ("embeddings.npy", "ids.npy")


def _version(gallery: Gallery) -> int:
    with gallery.connect() as database:
        return database.execute("SELECT version FROM state").fetchone()[0]


def _read_columns(gallery: Gallery) -> Columns:
    with gallery.connect() as database:
        database.execute("BEGIN")  # both reads see one commit
        version = database.execute("SELECT version FROM state").fetchone()[0]
        rows = database.execute("SELECT id, sha256, domain, split, label FROM shown ORDER BY id").fetchall()
    ids, hashes, *texts = zip(*rows) if rows else [()] * 5
    return Columns(version, np.array(ids, np.int64), np.array(hashes, "S64"), *map(Category.of, texts))


def _read_saved(gallery: Gallery) -> _Known | None:
    """What :func:`save` wrote, or None when there are none of this neck that can be used.

    What is damaged is made anew from the features. Beside lists or a store, embeddings stay on disk.
    """
    folder: Path = gallery.folder
    try:
        stamp = unsealed((folder / "derived.json").read_bytes())
        lists = stamp["lists"]
        if any(file_hash(folder / name) != stamp["files"][name] for name in _files(lists)):
            log.warning("gallery '%s': what was derived from it is damaged and is made anew", gallery.name)
            return None
        ids = np.load(folder / "ids.npy")
        looked_up = lists or gallery.config.store
        embeddings = np.load(folder / "embeddings.npy", mmap_mode="r" if looked_up else None)
        if stamp["neck_hash"] != gallery.config.neck_hash or embeddings.shape != (len(ids), gallery.config.dim):
            return None
        return _Known(ids, embeddings, lists and Lists.load(folder / "index.faiss", ids, lists))
    except (OSError, ValueError, EOFError, KeyError, TypeError, RuntimeError):
        return None


def _embed(gallery: Gallery, columns: Columns, known: _Known | None = None) -> Iterator[Embedding | np.ndarray]:
    """Embeddings [N, dim] of all items, taken from those already known by id, computed for the rest; last."""
    result = np.empty((len(columns.ids), gallery.config.dim), np.float32)
    new = np.ones(len(columns.ids), bool)
    if known and len(known.ids):
        places = np.minimum(np.searchsorted(known.ids, columns.ids), len(known.ids) - 1)
        new = known.ids[places] != columns.ids
        result[~new] = known.embeddings[places[~new]]
    missing = np.flatnonzero(new)
    for start in range(0, len(missing), EMBED_ROWS):
        yield Embedding(start, len(missing))
        block = missing[start : start + EMBED_ROWS]
        features = gallery.features([sha256.decode() for sha256 in columns.hashes[block]])
        result[block] = gallery.embedder.neck.embed(features, gallery.config.dim)
    yield result
