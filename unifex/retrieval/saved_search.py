"""A search that is kept: all that decides what it finds, and how far that was seen.

A query by an image that is not in the gallery is kept as backbone features: every neck can embed them, another backbone
cannot, and that is said. What a file says may be a stranger's word, of a gallery that came in a bundle.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from unifex.core import ranges, thumbnails
from unifex.core.errors import UnifexError
from unifex.core.language import say
from unifex.core.regions import WHOLE, Region
from unifex.core.text import printable, reason
from unifex.gallery.duplicates import LEVELS
from unifex.gallery.gallery import Gallery
from unifex.models.image_like import Crop, opened
from unifex.retrieval.conditions import Condition
from unifex.retrieval.filters import Filters
from unifex.retrieval.hits import Hit, SearchResult
from unifex.retrieval.query import Known, Query
from unifex.retrieval.search import search

MOST_NAME, MOST_TEXT, MOST_PICTURE = 80, 10_000, 60_000  # characters
PICTURE_SIZE = 96  # pixels of what is kept to know a query by


@dataclass(frozen=True)
class SavedSearch:
    """``order`` and ``grouped``: how the page lists the hits; ``picture``: a small one of a query that is not in the
    gallery, as a data URI; ``seen``: the last id that the gallery had when somebody looked at what it finds."""

    id: str
    name: str
    query: Query
    filters: Filters = Filters()
    k: int = 20
    rerank: bool = False
    fold: str = ""
    order: str = ""
    grouped: bool = False
    picture: str = ""
    seen: int = 0

    @classmethod
    def new(cls, gallery: Gallery, name: str, query: Query, picture: str = "", **more: Any) -> SavedSearch:
        """Of a query, whose images become features; ``picture`` where they are features already. Items that show it
        beside images become features, too, and are left out of what is found, as they were.

        Raises ``UnifexError`` without a name or for no query, and ``images.ImageError``.
        """
        name = checked_name(name)
        if not query:
            raise UnifexError(say("there is nothing to save yet: search with an image or with words first"))
        if query.images:
            features = replace(query, text="", more=(), less=()).features(gallery)
            picture = _picture_of(query)
            filters = more.get("filters", Filters())
            more["filters"] = replace(filters, exclude=filters.exclude | frozenset(query.items))
            query = replace(query, images=(), items=(), regions=(), known=Known.of(gallery, features))
        return cls(secrets.token_hex(6), name, query, picture=picture, seen=last_id(gallery), **more)

    def find(self, gallery: Gallery) -> SearchResult:
        """What it finds now. Raises as :func:`~unifex.retrieval.search.search` does."""
        return search(gallery, self.query, self.k, self.filters, rerank=self.rerank, fold=self.fold)

    def asks_the_same(self, other: SavedSearch) -> bool:
        """Whether another one finds the same, and lists it the same way."""
        own = replace(self, **{name: getattr(other, name) for name in ("id", "name", "picture", "seen")})
        return own.as_stored() == other.as_stored()

    def is_new(self, hit: Hit) -> bool:
        """Whether a hit came after it was looked at last."""
        return hit.record.id > self.seen

    def count_new(self, gallery: Gallery) -> int:
        """How many of its hits are new. Nothing is searched where nothing came."""
        return sum(map(self.is_new, self.find(gallery).hits)) if last_id(gallery) > self.seen else 0

    def news(self, gallery: Gallery) -> tuple[int, str]:
        """:meth:`count_new`, and why it cannot be run here: empty where it can."""
        try:
            return self.count_new(gallery), ""
        except UnifexError as error:
            return 0, reason(error)

    def as_stored(self) -> dict[str, Any]:
        """As JSON data."""
        query, filters = self.query, self.filters
        known = query.known and [query.known.backbone_hash, _packed(query.known.features)]
        return {
            **{name: value for name, value in vars(self).items() if name not in ("query", "filters")},
            "query": {
                **{name: getattr(query, name) for name in ("items", "text", "text_weight", "more", "less", "feedback")},
                "known": known,
                "regions": [str(region) for region in query.regions],
            },
            "filters": {
                **asdict(replace(filters, where=())),
                "exclude": sorted(filters.exclude),
                "within": sorted(filters.within),
                "where": [[one.column, one.comparison, one.value] for one in filters.where],
            },
        }

    @classmethod
    def of_stored(cls, stored: dict[str, Any]) -> SavedSearch:
        """What :meth:`as_stored` gave. Raises ``UnifexError``, ValueError, TypeError, LookupError or OverflowError."""
        query, known = stored["query"], stored["query"]["known"]
        return cls(
            _id(stored["id"]),
            checked_name(_text(stored["name"])),
            Query(
                items=_ids(query["items"]),
                text=_text(query["text"]),
                text_weight=ranges.BALANCE.check(query["text_weight"]),
                regions=tuple(map(Region.parse, _texts(query["regions"]))),
                more=_ids(query["more"]),
                less=_ids(query["less"]),
                feedback=_text(query["feedback"]),
                known=Known(_unpacked(known[1]), _text(known[0])) if known else None,
            ),
            Filters(**{name: read(stored["filters"][name]) for name, read in _FILTERS.items()}),
            ranges.HITS.check(stored["k"]),
            bool(stored["rerank"]),
            _level(stored["fold"]),
            _text(stored.get("order", "")),
            bool(stored.get("grouped")),
            _small(stored["picture"]),
            int(stored["seen"]),
        )


def checked_name(name: str) -> str:
    """A name as it is kept. Raises ``UnifexError`` for none, or one that is too long."""
    name = printable(name).strip()
    if not 0 < len(name) <= MOST_NAME:
        raise UnifexError(say("give the search a name of 1 to {most} characters", most=MOST_NAME))
    return name


def last_id(gallery: Gallery) -> int:
    """The highest id of its items, 0 where there is none."""
    return int(gallery.snapshot().columns.ids.max(initial=0))


def _picture_of(query: Query) -> str:
    image, region = query.images[0], next(iter(query.regions), WHOLE)
    shown = opened(image if isinstance(image, Crop) else Crop(image, region), PICTURE_SIZE)
    return thumbnails.data_uri(thumbnails.thumbnail(shown, PICTURE_SIZE))


def _packed(features: np.ndarray) -> list[Any]:
    return [list(features.shape), base64.b64encode(np.ascontiguousarray(features, "<f4").tobytes()).decode()]


def _unpacked(packed: list[Any]) -> np.ndarray:
    shape, data = packed
    features = np.frombuffer(base64.b64decode(data), "<f4").reshape(*map(int, shape))
    if features.ndim != 2 or not features.size or not np.isfinite(features).all():
        raise ValueError(f"no features: {json.dumps(shape)[:40]}")
    return features


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > MOST_TEXT:
        raise TypeError(f"no text of at most {MOST_TEXT:,} characters")
    return value


def _texts(values: Any) -> tuple[str, ...]:
    if not isinstance(values, list):
        raise TypeError("no list")
    return tuple(map(_text, values))


def _id(value: Any) -> str:
    if not re.fullmatch(r"[0-9a-f]{12}", _text(value)):
        raise ValueError("no id of a search")
    return value


def _ids(values: Any) -> tuple[int, ...]:
    ids = tuple(map(int, values))
    if not all(0 <= id < 2**63 for id in ids):
        raise ValueError("no ids of items")
    return ids


def _level(value: Any) -> str:
    if value and value not in LEVELS:
        raise ValueError("no level of near-copies")
    return value or ""


def _small(picture: Any) -> str:
    """A picture that the page may show: one that lies in the text itself, and nothing that leads elsewhere."""
    if not isinstance(picture, str) or len(picture) > MOST_PICTURE:
        return ""
    return picture if re.fullmatch(r"data:image/(jpeg|webp);base64,[\w+/=]+", picture, re.A) else ""


def _condition(stored: Any) -> Condition:
    """From its three parts; earlier versions kept its text."""
    return Condition.parse(_text(stored)) if isinstance(stored, str) else Condition.checked(*_texts(stored))


def _optional(check: Callable[[Any], float]) -> Callable[[Any], float | None]:
    return lambda value: None if value is None else check(value)


_FILTERS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("domains", "splits", "labels", "folders", "tags"), _texts),
    "min_score": _optional(ranges.SIMILARITY.check),
    "false_accept_rate": _optional(float),
    "exclude": lambda ids: frozenset(_ids(ids)),
    "within": lambda ids: frozenset(_ids(ids)),
    "where": lambda conditions: tuple(map(_condition, conditions)),
}
