"""What a page keeps between two events, beside what its fields show."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from unifex.core.errors import UnifexError
from unifex.core.json_text import parse_json
from unifex.core.language import say
from unifex.retrieval.query import Query

_NUMBERS = itertools.count(1)


@contextlib.contextmanager
def as_told() -> Iterator[None]:
    """What a page tells is read in it. Raises ``UnifexError`` for what no page of today's tells."""
    try:
        yield
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        raise UnifexError(say("the page said what cannot be read; reload it")) from error


@dataclass(frozen=True)
class Wish:
    """That something is to be searched (or shown) anew: no two are equal."""

    number: int = 0

    @classmethod
    def new(cls) -> Wish:
        """One more."""
        return cls(next(_NUMBERS))


@dataclass(frozen=True)
class Selection:
    """Items of a gallery that were chosen, by id."""

    gallery: str = ""
    ids: tuple[int, ...] = ()

    @classmethod
    def told(cls, text: str) -> Selection:
        """As the page tells of it. Raises ``UnifexError`` for what is none."""
        with as_told():
            gallery, ids, *_ = parse_json(text) if text else ("", ())
            return cls(str(gallery), tuple(map(item_id, ids)))

    def as_json(self) -> str:
        """As the page is told of it; empty where nothing is chosen."""
        return json.dumps([self.gallery, self.ids], ensure_ascii=False) if self.ids else ""

    def of(self, gallery: str | None) -> tuple[int, ...]:
        """The ids, if they are of this gallery."""
        return self.ids if self.gallery == gallery else ()

    def called(self, before: str, now: str) -> Selection:
        """The same items, where their gallery was called ``before`` and is called otherwise now."""
        return replace(self, gallery=now) if self.gallery == before else self


@dataclass(frozen=True)
class LastResult:
    """What the last search was for, and what it found: ids of the hits, best first."""

    gallery: str = ""
    query: Query = Query()
    ids: tuple[int, ...] = ()


def item_id(value: Any) -> int:
    """What a page calls an item. Raises TypeError and ValueError for what no item can be called."""
    try:
        item = int(value)
    except OverflowError as error:  # of what JSON has for infinity
        raise ValueError("no item") from error
    if not 0 <= item < 2**63:
        raise ValueError("no item")
    return item
