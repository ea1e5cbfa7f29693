"""A gallery as searches see it: embeddings and FAISS index in memory, and their copy on disk for a quick start.

An item's id always means the same image, so embeddings are kept by id: whatever changed in the gallery, only ids that
have none yet are embedded. The copy on disk is a cache of that: derived files that are of the same items, or of no use.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from unifex.core import derived
from unifex.core.errors import UnifexError
from unifex.core.progress import Stage, Work, finish
from unifex.core.text import printable, reason
from unifex.core.vectors import l2_normalize
from unifex.data.curation import lookalikes
from unifex.vector_index import index_types
from unifex.vector_index.candidates import CandidateIndex, Place, Vectors
from unifex.vector_index.exact import VectorIndex

if TYPE_CHECKING:
    from unifex.gallery.gallery import Gallery, GalleryConfig

EMBED_ROWS = 8192
log = logging.getLogger("unifex")
ATTEMPTS = 5


@dataclass(frozen=True)
class CategoricalColumn:
    """A text column: item i has the text ``names[codes[i]]``; ``names`` is sorted, ``codes`` int64 [N]."""

    names: np.ndarray
    codes: np.ndarray

    @classmethod
    def of(cls, texts: Sequence[str]) -> CategoricalColumn:
        """From one text an item."""
        names, codes = np.unique(np.array(texts, object), return_inverse=True) if texts else (_EMPTY, _EMPTY)
        return cls(names, codes.astype(np.int64))

    @property
    def texts(self) -> np.ndarray:
        """One text an item, object [N]."""
        return self.names[self.codes] if len(self.codes) else _EMPTY

    def among(self, texts: Sequence[str]) -> np.ndarray:
        """bool [N]: which items have one of these texts."""
        wanted = set(map(printable, texts))  # in whichever Unicode form they were typed, or indexed long ago
        return np.array([printable(name) in wanted for name in self.names], bool)[self.codes]


_EMPTY = np.zeros(0, object)
ITEM = np.dtype([("id", "<i8"), ("content", "S16")])  # the first 64 bits of an image's hash tell it from others


@dataclass(frozen=True)
class ItemTable:
    """The items as committed at ``version``, by ascending id: ids int64 [N], hashes bytes S64 [N], texts."""

    version: int
    ids: np.ndarray
    hashes: np.ndarray
    domains: CategoricalColumn
    splits: CategoricalColumn
    labels: CategoricalColumn

    @cached_property
    def items(self) -> np.ndarray:
        """:data:`ITEM` [N]: which images derived files are of."""
        items = np.empty(len(self.ids), ITEM)
        items["id"], items["content"] = self.ids, self.hashes.astype("S16")
        return items

    @cached_property
    def labelling(self) -> str:
        """A fingerprint of the images and their labels, domains included."""
        names = json.dumps([self.domains.names.tolist(), self.labels.names.tolist()]).encode()
        return derived.digest(self.hashes, self.domains.codes, self.labels.codes, names)

    @cached_property
    def copies(self) -> np.ndarray:
        """int64 [N]: equal for items that show byte-identical images."""
        return np.unique(self.hashes, return_inverse=True)[1]

    @cached_property
    def classes(self) -> np.ndarray:
        """int64 [N]: equal for items of one label in one domain; -1 without a label."""
        codes = self.domains.codes * max(1, len(self.labels.names)) + self.labels.codes
        return np.where(self.labels.texts == "", -1, codes)

    @cached_property
    def lookalikes(self) -> list[list[str]]:
        """Groups of classes, as ``domain/label``, whose names differ only in case, Unicode form or spaces."""
        _, first = np.unique(self.classes, return_index=True)
        domains, labels = self.domains.texts[first], self.labels.texts[first]
        return lookalikes(f"{domain}/{label}" if domain else label for domain, label in zip(domains, labels) if label)


@dataclass(frozen=True)
class Snapshot:
    """Position i of every column and of ``index`` is one item."""

    columns: ItemTable
    neck_hash: str
    index: VectorIndex

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
        except ItemsGone:  # between reading the items and reading their features
            continue
    raise UnifexError(f"gallery '{gallery.name}' changes faster than it can be read; try again")


class ItemsGone(UnifexError):
    """A writer has removed items while something was done with them."""

    def __init__(self, gallery: str):
        super().__init__(f"items of gallery '{gallery}' were removed meanwhile; do it again")


class _Known(NamedTuple):
    """What is there to start from: :data:`ITEM` [M], their embeddings, and who proposes candidates among these."""

    items: np.ndarray
    embeddings: np.ndarray
    candidates: CandidateIndex | None


def _take(gallery: Gallery, last: Snapshot | None) -> Snapshot:
    columns = _read_columns(gallery)
    neck_hash = gallery.config.neck_hash
    if last and last.neck_hash == neck_hash:
        known = _Known(last.columns.items, last.embeddings, last.index.candidates)
    else:
        known = _read_saved(gallery, columns)
    if known and np.array_equal(known.items, columns.items):  # labels alone changed, if anything
        embeddings = known.embeddings
    else:
        embeddings = finish(_embed(gallery, columns, known))
    taken = Snapshot(columns, neck_hash, _index(gallery, columns, embeddings, known))
    if known is None and len(taken) and gallery.config == gallery.stored_config:
        try:
            _write(gallery, taken)
        except OSError as error:
            log.warning("gallery '%s': its embeddings are not kept: %s", gallery.name, reason(error))
    return taken


def _index(gallery: Gallery, columns: ItemTable, embeddings: np.ndarray, known: _Known | None = None) -> VectorIndex:
    """Over a gallery's embeddings, in its store; from what is known where that is quicker."""
    config = gallery.config
    vectors = Vectors(embeddings, columns.ids, columns.domains.texts, columns.splits.texts, columns.version)
    place = Place(config.store, gallery.folder, collection_name(config))
    return index_types.of(vectors, index_types.of_store(config.store), place, known and known.candidates)


def collection_name(config: GalleryConfig) -> str:
    """What the collection of a gallery's embeddings is called in its store."""
    return f"{config.collection}_{config.neck_hash[:16]}_{config.dim}"


def rebuild(gallery: Gallery) -> Work[Snapshot]:
    """The gallery as it is now, every item embedded anew."""
    columns = _read_columns(gallery)
    embeddings = yield from _embed(gallery, columns)
    return Snapshot(columns, gallery.config.neck_hash, _index(gallery, columns, embeddings))


def at_dim(gallery: Gallery, snapshot: Snapshot, dim: int) -> VectorIndex:
    """An index over ``dim``-d embeddings: the prefix of the snapshot's, or made from the features when wider."""
    if dim <= gallery.config.dim:
        return index_types.build(l2_normalize(snapshot.embeddings, dim))
    features = gallery.features([sha256.decode() for sha256 in snapshot.columns.hashes])
    return index_types.build(gallery.embedder.neck.embed(features, dim))


def save(gallery: Gallery, adopted: bool = False) -> None:
    """Keep embeddings and index on disk.

    What another model than the gallery's own makes of it stays in memory, unless it is ``adopted``.
    """
    snapshot = gallery.snapshot()
    if gallery.is_visited and not adopted:
        return
    _write(gallery, snapshot)
    if kind := index_types.of_store(gallery.config.store):
        name = collection_name(gallery.config)
        kind.forget(gallery.config.store, gallery.folder, gallery.config.collection, but=name)


def _write(gallery: Gallery, snapshot: Snapshot) -> None:
    """Every file says which items it is of, so that those of two processes that write at a time are not mixed."""
    folder, items = gallery.folder, snapshot.columns.items
    origin = partial(gallery.origin, model=gallery.model_key, content=derived.digest(items))
    derived.write_array(folder / "embeddings.npy", snapshot.embeddings, origin("embeddings"))
    derived.write_array(folder / "ids.npy", items, gallery.origin("ids"))
    candidates, path = snapshot.index.candidates, folder / "index.faiss"
    values = candidates.save(path, partial(derived.write, origin=origin("index")))
    if values is None:
        path.unlink(missing_ok=True)
    derived.write_json(folder / "derived.json", {candidates.kind: values}, origin("lists"))


def _version(gallery: Gallery) -> int:
    with gallery.connect() as database:
        return database.execute("SELECT version FROM state").fetchone()[0]


def _read_columns(gallery: Gallery) -> ItemTable:
    with gallery.connect() as database:
        database.execute("BEGIN")  # both reads see one commit
        version = database.execute("SELECT version FROM state").fetchone()[0]
        rows = database.execute("SELECT id, sha256, domain, split, label FROM shown ORDER BY id").fetchall()
    ids, hashes, *texts = zip(*rows) if rows else [()] * 5
    return ItemTable(version, np.array(ids, np.int64), np.array(hashes, "S64"), *map(CategoricalColumn.of, texts))


def _read_saved(gallery: Gallery, columns: ItemTable) -> _Known | None:
    """What :func:`save` wrote, or None when there are none of these items and this neck that can be used.

    What is damaged is made anew from the features. Beside a kept index or a store, embeddings stay on disk.
    """
    folder = gallery.folder
    items = derived.read_array(folder / "ids.npy", gallery.origin("ids"))
    if items is None or items.dtype != ITEM or not derived.items_agree(items, columns.items):
        return None
    origin = partial(gallery.origin, model=gallery.model_key, content=derived.digest(items))
    settings = derived.read_json(folder / "derived.json", origin("lists"))
    if settings is None:
        return None
    load = index_types.loader(settings, keys=np.ascontiguousarray(items["id"]))
    looked_up = bool(load or gallery.config.store)
    embeddings = derived.read_array(folder / "embeddings.npy", origin("embeddings"), looked_up)
    if embeddings is None or embeddings.shape != (len(items), gallery.config.dim):
        return None
    if not load:
        return _Known(items, embeddings, None)
    index = derived.read(folder / "index.faiss", load, origin("index"))
    return index and _Known(items, embeddings, index)


def _embed(gallery: Gallery, columns: ItemTable, known: _Known | None = None) -> Work[np.ndarray]:
    """Embeddings float32 [N, dim] of all items, taken from those already known by id, computed for the rest."""
    result = np.empty((len(columns.ids), gallery.config.dim), np.float32)
    new = np.ones(len(columns.ids), bool)
    if known and len(known.items):
        places = np.minimum(np.searchsorted(known.items["id"], columns.ids), len(known.items) - 1)
        new = known.items["id"][places] != columns.ids
        result[~new] = known.embeddings[places[~new]]
    missing = np.flatnonzero(new)
    stage = Stage("embedding", len(missing), "items")
    for start in range(0, len(missing), EMBED_ROWS):
        yield stage.at(start)
        block = missing[start : start + EMBED_ROWS]
        features = gallery.features([sha256.decode() for sha256 in columns.hashes[block]])
        result[block] = gallery.embedder.neck.embed(features, gallery.config.dim)
    return result
