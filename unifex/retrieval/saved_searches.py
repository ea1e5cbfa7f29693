"""Searches that are kept beside a gallery: by name, with all that decides what they find, and how far they were seen.

They lie in the library of whoever saved them, named by the gallery's id: so they stay when the gallery is renamed, and
a visitor's never lie in a gallery of the server's. A query by an image that is not in the gallery is kept as backbone
features: every neck can embed them, another backbone cannot, and that is said.
"""

from __future__ import annotations

import base64
import json
import logging
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from unifex.core import disk
from unifex.core.errors import UnifexError
from unifex.core.files import verify, with_checksum, write_atomically
from unifex.core.regions import Region
from unifex.core.text import printable, what_there_is
from unifex.gallery.gallery import Gallery
from unifex.gallery.library import SEARCHES, Library
from unifex.retrieval.conditions import Condition
from unifex.retrieval.filters import Filters
from unifex.retrieval.hits import SearchResult
from unifex.retrieval.query import Known, Query
from unifex.retrieval.search import search

MOST, MOST_NAME, MOST_BYTES = 100, 80, 8 << 20
log = logging.getLogger("unifex")


@dataclass(frozen=True)
class SavedSearch:
    """``address``: how the page calls it; ``picture``: a small one of the query, as a data URI; ``seen``: the last id
    that the gallery had when somebody looked at what it finds."""

    id: str
    name: str
    query: Query
    filters: Filters = Filters()
    k: int = 20
    rerank: bool = False
    fold: str = ""
    address: str = ""
    picture: str = ""
    seen: int = 0

    @classmethod
    def new(cls, gallery: Gallery, name: str, query: Query, **more: Any) -> SavedSearch:
        """Of a query, whose images become features. Raises ``UnifexError`` without a name, or for no query."""
        if not query:
            raise UnifexError("there is nothing to save yet: search with an image or with words first")
        if query.images:
            features = replace(query, items=(), text="", more=(), less=()).features(gallery)
            query = replace(query, images=(), regions=(), known=Known.of(gallery, features))
        return cls(secrets.token_hex(6), checked_name(name), query, seen=_last(gallery), **more)

    def find(self, gallery: Gallery) -> SearchResult:
        """What it finds now. Raises as :func:`~unifex.retrieval.search.search` does."""
        return search(gallery, self.query, self.k, self.filters, rerank=self.rerank, fold=self.fold)

    def count_new(self, gallery: Gallery) -> int:
        """How many of its hits came after it was looked at last. Nothing is searched where nothing came."""
        if _last(gallery) <= self.seen:
            return 0
        return sum(hit.record.id > self.seen for hit in self.find(gallery).hits)

    def as_stored(self) -> dict[str, Any]:
        """As JSON data."""
        query, filters = self.query, self.filters
        known = query.known and [query.known.backbone_hash, _packed(query.known.features)]
        return {
            **{
                name: getattr(self, name)
                for name in ("id", "name", "k", "rerank", "fold", "address", "picture", "seen")
            },
            "query": {
                **{name: getattr(query, name) for name in ("items", "text", "text_weight", "more", "less", "feedback")},
                "known": known,
                "regions": [str(region) for region in query.regions],
            },
            "filters": {
                **asdict(replace(filters, where=())),
                "exclude": sorted(filters.exclude),
                "within": sorted(filters.within),
                "where": [f"{one.column}{one.comparison}{one.value}" for one in filters.where],
            },
        }

    @classmethod
    def of_stored(cls, stored: dict[str, Any]) -> SavedSearch:
        """What :meth:`as_stored` gave. Raises ``UnifexError``, ValueError, TypeError or LookupError for all else."""
        query: dict[str, Any] = dict(stored["query"])
        filters: dict[str, Any] = dict(stored["filters"])
        if known := query.pop("known"):
            query["known"] = Known(_unpacked(known[1]), str(known[0]))
        query["regions"] = tuple(map(Region.parse, query["regions"]))
        for name in ("items", "more", "less"):
            query[name] = tuple(map(int, query[name]))
        for name in ("exclude", "within"):
            filters[name] = frozenset(map(int, filters[name]))
        filters["where"] = [Condition.parse(text) for text in filters["where"]]
        filters = {name: tuple(value) if isinstance(value, list) else value for name, value in filters.items()}
        return cls(**{**stored, "query": Query(**query), "filters": Filters(**filters)})


class SavedSearches:
    """Those of a gallery, in a library."""

    def __init__(self, library: Library, gallery: Gallery):
        self.path = library.folder / SEARCHES / f"{gallery.config.id}.json"
        self.gallery = gallery

    def all(self) -> list[SavedSearch]:
        """By name; what cannot be read is logged and left out."""
        try:
            if self.path.stat().st_size > MOST_BYTES:
                raise ValueError("too large")
            stored = verify(self.path.read_bytes(), required=True)["searches"]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, KeyError) as error:
            log.warning("saved searches of '%s' cannot be read: %s", self.gallery.name, error)
            return []
        found = []
        for one in stored:
            try:
                found.append(SavedSearch.of_stored(one))
            except (UnifexError, ValueError, TypeError, LookupError) as error:
                log.warning("a saved search of '%s' is left out: %s", self.gallery.name, error)
        return sorted(found, key=lambda one: one.name.casefold())

    def get(self, name: str) -> SavedSearch:
        """By name or id. Raises ``UnifexError``."""
        found = {key: one for one in self.all() for key in (one.name, one.id)}
        if name not in found:
            names = [one.name for one in self.all()]
            raise UnifexError(f"no saved search '{name[:80]}' of '{self.gallery.name}'; {what_there_is(names, name)}")
        return found[name]

    def add(self, saved: SavedSearch) -> None:
        """Keep one; of the same name, it takes the other's place. Raises ``UnifexError`` for too many."""
        with self._changing() as kept:
            kept[:] = [one for one in kept if one.name != saved.name] + [saved]
            if len(kept) > MOST:
                raise UnifexError(f"at most {MOST} searches of a gallery can be saved; delete some")

    def rename(self, id: str, name: str) -> None:
        """Raises ``UnifexError`` for a name that is taken or none, or where it is gone."""
        name = checked_name(name)
        if any(one.name == name and one.id != id for one in self.all()):
            raise UnifexError(f"there is a saved search '{name}' already; give another name")
        self._change(id, lambda one: replace(one, name=name))

    def see(self, id: str) -> None:
        """Somebody looks at what it finds: nothing of that is new any more."""
        self._change(id, lambda one: replace(one, seen=_last(self.gallery)))

    def delete(self, id: str) -> None:
        """It is not kept any more."""
        with self._changing() as kept:
            kept[:] = [one for one in kept if one.id != id]

    def _change(self, id: str, change: Callable[[SavedSearch], SavedSearch]) -> None:
        with self._changing() as kept:
            if all(one.id != id for one in kept):
                raise UnifexError("that saved search is not there any more")
            kept[:] = [change(one) if one.id == id else one for one in kept]

    @contextmanager
    def _changing(self) -> Iterator[list[SavedSearch]]:
        """All of them, to be changed; written when the block ends."""
        disk.make_folder(self.path.parent)
        try:
            with FileLock(self.path.with_suffix(".lock"), timeout=10):
                kept = self.all()
                yield kept
                data = with_checksum({"searches": [one.as_stored() for one in kept]})
                if len(data) > MOST_BYTES:
                    raise UnifexError("the saved searches are too large; delete some")
                write_atomically(self.path, data)
        except Timeout:
            raise UnifexError("the saved searches are being written; try again") from None


def checked_name(name: str) -> str:
    """A name as it is kept. Raises ``UnifexError`` for none, or one that is too long."""
    name = printable(name).strip()
    if not 0 < len(name) <= MOST_NAME:
        raise UnifexError(f"give the search a name of 1 to {MOST_NAME} characters")
    return name


def _last(gallery: Gallery) -> int:
    return int(gallery.snapshot().columns.ids.max(initial=0))


def _packed(features: np.ndarray) -> list[Any]:
    return [list(features.shape), base64.b64encode(np.ascontiguousarray(features, "<f4").tobytes()).decode()]


def _unpacked(packed: list[Any]) -> np.ndarray:
    shape, data = packed
    features = np.frombuffer(base64.b64decode(data), "<f4").reshape(*map(int, shape))
    if features.ndim != 2 or not np.isfinite(features).all():
        raise ValueError(f"no features: {json.dumps(shape)[:40]}")
    return features
