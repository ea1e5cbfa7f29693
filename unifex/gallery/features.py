"""The features that a gallery keeps: rows of its shards, by the hash of the image."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property

import numpy as np

from unifex.core.arrays import positions_of
from unifex.core.language import say
from unifex.gallery.config import GalleryModel
from unifex.gallery.database import Database
from unifex.gallery.errors import GalleryError, ItemsGone
from unifex.gallery.snapshot import ItemTable
from unifex.models.feature_table import FeatureTable

log = logging.getLogger("unifex")
_OF_IMAGE = "SELECT shard, row FROM features WHERE sha256 = ?"


@dataclass(frozen=True)
class Places:
    """Where features lie: ascending ``ids`` int64 [N] of items, and of each ``shards`` and ``rows`` int64 [N]; both are
    -1 for one that a writer has removed."""

    ids: np.ndarray
    shards: np.ndarray
    rows: np.ndarray

    @cached_property
    def by_shard(self) -> dict[int, tuple[np.ndarray, np.ndarray]]:
        """Of every shard the positions int64 [n] of the items that are in it, and their rows."""
        order = np.argsort(self.shards, kind="stable")
        shards, first = np.unique(self.shards[order], return_index=True)
        parts = np.split(order, first[1:]) if len(shards) else []
        return {shard: (part, self.rows[part]) for shard, part in zip(shards.tolist(), parts) if shard >= 0}

    def of(self, ids: np.ndarray) -> Places:
        """Of other items, as far as they are known; -1 where they are not."""
        if np.array_equal(ids, self.ids):
            return self
        at = positions_of(self.ids, ids)  # -1 is the last, which is appended
        return Places(ids, np.append(self.shards, -1)[at], np.append(self.rows, -1)[at])


class StoredFeatures:
    """Backbone features float16 [N, D] of stored images."""

    def __init__(self, database: Database, model: GalleryModel):
        self._database, self._model = database, model
        self._places = Places(*np.zeros((3, 0), np.int64))

    @property
    def dim(self) -> int:
        """D."""
        return self._model.embedder.backbone.feature_dim

    @contextlib.contextmanager
    def lying(self, columns: ItemTable) -> Iterator[Places]:
        """Where the features of these items lie while the block lasts: no writer takes a shard away meanwhile."""
        with self._database.connect() as connection:
            connection.execute("BEGIN")
            self._places = found = _looked_up(connection, columns, self._places.of(columns.ids))
            yield found

    def read(self, hashes: Sequence[str]) -> np.ndarray:
        """Features float16 [len(hashes), D], in memory. Raises ``ItemsGone``."""
        with self._database.connect() as connection:
            connection.execute("BEGIN")  # no writer may take a shard away in between
            return self._table(connection, hashes)[:]

    def table(self, hashes: Sequence[str]) -> FeatureTable:
        """The same, read from disk where it is looked at: for more than memory holds. Its shards stay mapped, and so
        what it holds stays the same, whatever is removed or rewritten meanwhile. Raises ``ItemsGone``."""
        with self._database.connect() as connection:
            connection.execute("BEGIN")
            table = self._table(connection, hashes)
            mapped = {shard: self.load(shard) for shard in np.unique(table.shards).tolist()}
        return replace(table, load=mapped.__getitem__)

    def _table(self, connection: sqlite3.Connection, hashes: Sequence[str]) -> FeatureTable:
        rows = [connection.execute(_OF_IMAGE, (sha256,)).fetchone() for sha256 in hashes]
        if None in rows:
            raise ItemsGone(self._database.name)
        shards, rows = np.array(rows, np.int64).reshape(-1, 2).T
        content = hashlib.sha256("".join([self._model.config.backbone_hash, *hashes]).encode()).hexdigest()
        return FeatureTable(shards, rows, self.dim, self.load, content)

    def load(self, shard: int) -> np.ndarray:
        """A shard of the backbone's features, mapped. Raises :class:`GalleryError` for a damaged or another's."""
        features, width = self._database.load_shard(shard), self.dim
        if (features.dtype, *features.shape[1:]) != (np.float16, width):
            raise GalleryError(
                say(
                    "gallery '{name}': features/{shard} holds {dtype} {shape}, its backbone gives {width}; index "
                    "its images again under another name",
                    name=self._database.name,
                    shard=self._database.shard_path(shard).name,
                    dtype=features.dtype,
                    shape=features.shape,
                    width=width,
                )
            )
        return features


def are_of_one_picture(kept: np.ndarray, found: np.ndarray) -> bool:
    """Whether features [D] that a gallery keeps, and those that were found now, are of the very same pixels.

    Then float16 rounds them alike, or to the next number where a graph was made anew. One pixel of another colour
    changes some of them by a hundred such steps and more, a JPEG that is saved once more nearly all.
    """
    kept, found = np.asarray(kept, np.float16), np.asarray(found, np.float16)
    step = np.spacing(np.maximum(np.abs(kept), np.abs(found)))
    return bool((np.abs(found.astype(np.float32) - kept) <= step).all())


class Comparison:
    """Whether images that a gallery keeps features of show the very same picture; shards are opened once."""

    def __init__(self, database: Database):
        self._shard = cache(database.load_shard)

    def is_one_picture(self, connection: sqlite3.Connection, sha256: str, other: str) -> bool:
        """Of these two, as far as their features can be read: what is damaged is not known to be the same."""
        rows = [connection.execute(_OF_IMAGE, (each,)).fetchone() for each in (sha256, other)]
        if None in rows:
            return False
        try:
            kept, found = (self._shard(shard)[row] for shard, row in rows)
        except (GalleryError, IndexError) as error:
            log.debug("what was said of a picture does not go with it: %s", error)  # who reads them is told
            return False
        return kept.shape == found.shape and are_of_one_picture(kept, found)


def _looked_up(connection: sqlite3.Connection, columns: ItemTable, known: Places) -> Places:
    """The places of items, ``known`` as far as their shards are there: those that went never come back."""
    shards = [row[0] for row in connection.execute("SELECT id FROM shards")]
    if set(known.by_shard) <= set(shards) and not (known.shards < 0).any():
        return known
    missing = np.flatnonzero(~np.isin(known.shards, shards))
    found = [connection.execute(_OF_IMAGE, (sha256,)).fetchone() for sha256 in columns.sha256s(missing)]
    looked_up = np.array([row or (-1, -1) for row in found], np.int64).reshape(-1, 2)
    places = Places(known.ids, known.shards.copy(), known.rows.copy())
    places.shards[missing], places.rows[missing] = looked_up.T
    return places
