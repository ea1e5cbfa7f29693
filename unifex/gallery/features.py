"""The features that a gallery keeps: rows of its shards, by the hash of the image."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Sequence

import numpy as np

from unifex.core.language import say
from unifex.gallery.config import GalleryModel
from unifex.gallery.database import Database
from unifex.gallery.errors import GalleryError, ItemsGone
from unifex.models.feature_table import FeatureTable


class StoredFeatures:
    """Backbone features float16 [N, D] of stored images."""

    def __init__(self, database: Database, model: GalleryModel):
        self._database, self._model = database, model

    def read(self, hashes: Sequence[str]) -> np.ndarray:
        """Features float16 [len(hashes), D], in memory. Raises ``ItemsGone``."""
        with self._database.connect() as connection:
            connection.execute("BEGIN")  # no writer may take a shard away in between
            return self._table(connection, hashes)[:]

    def table(self, hashes: Sequence[str]) -> FeatureTable:
        """The same, read from disk where it is looked at: for more than memory holds, while nobody writes."""
        with self._database.connect() as connection:
            return self._table(connection, hashes)

    def _table(self, connection: sqlite3.Connection, hashes: Sequence[str]) -> FeatureTable:
        query = "SELECT shard, row FROM features WHERE sha256 = ?"
        rows = [connection.execute(query, (sha256,)).fetchone() for sha256 in hashes]
        if None in rows:
            raise ItemsGone(self._database.name)
        shards, rows = np.array(rows, np.int64).reshape(-1, 2).T
        content = hashlib.sha256("".join([self._model.config.backbone_hash, *hashes]).encode()).hexdigest()
        return FeatureTable(shards, rows, self._model.embedder.backbone.feature_dim, self._load, content)

    def _load(self, shard: int) -> np.ndarray:
        """A shard of the backbone's features. Raises :class:`GalleryError` for a damaged one, or one of another."""
        features, width = self._database.load_shard(shard), self._model.embedder.backbone.feature_dim
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
