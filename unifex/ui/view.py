"""Which items of a gallery the page shows and in which order, as its filter bar says: JSON, which anybody may send."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, TypeGuard

from unifex.core import dates
from unifex.core.errors import UnifexError
from unifex.core.json_text import parse_json
from unifex.core.language import say
from unifex.core.text import number
from unifex.gallery.gallery import Gallery
from unifex.retrieval.conditions import Condition
from unifex.retrieval.filters import FACETS, Filters

MOST_CHOSEN, MOST_CHARACTERS = 200, 16_000  # a view is part of addresses
COLUMN = "column "  # how facets of further columns begin
# A number, a date as :mod:`unifex.core.dates` has them, or none; ``>2020`` and ``<2020``: without that year, be it a
# number or a date, as the column has it.
End = float | str | None
_BEYOND = re.compile(r"[<>]\d{4}", re.ASCII)


@dataclass(frozen=True)
class View:
    """``chosen``: names by facet, any of which has to hold; ``between``: least and most of numbers, or dates, by facet.

    ``order``: empty as found, or one of :data:`unifex.retrieval.browsing.ORDERS`, or ``+COLUMN``, ``-COLUMN``;
    ``grouped``: hits of one label stand together. Facets are those of :func:`unifex.retrieval.facets.facets`.
    """

    gallery: str = ""
    chosen: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    between: Mapping[str, tuple[End, End]] = field(default_factory=dict)
    order: str = ""
    grouped: bool = False

    @classmethod
    def parse(cls, text: str) -> View:
        """Raises ``UnifexError`` for anything that :meth:`as_json` does not give."""
        try:
            if len(text) > MOST_CHARACTERS:
                raise ValueError("too long")
            told = parse_json(text) if text else {}
            chosen = {_facet(name): _names(names) for name, names in told.get("chosen", {}).items()}
            between = {_facet(name, COLUMN): _ends(ends) for name, ends in told.get("between", {}).items()}
            gallery, order = told.get("gallery", ""), told.get("order", "")
            if not (isinstance(gallery, str) and isinstance(order, str)):
                raise TypeError("no text")
            view = cls(gallery, chosen, between, order, bool(told.get("grouped")))
            if view.length > MOST_CHOSEN:
                raise ValueError("too many")
        except (ValueError, TypeError, AttributeError, OverflowError) as error:
            raise UnifexError(say("these filters cannot be read; clear them, or reload the page")) from error
        return view

    @classmethod
    def of(cls, gallery: str, filters: Filters, order: str = "", grouped: bool = False) -> View:
        """The view whose filters find what these do; of single items and similarities a view says nothing."""
        chosen = {facet: names for facet, field in FACETS.items() if (names := getattr(filters, field))}
        between: dict[str, tuple[End, End]] = {}
        for condition in filters.where:
            facet = COLUMN + condition.column
            if condition.is_range:
                between[facet] = _narrowed(between.get(facet, (None, None)), condition)
            else:
                chosen[facet] = (*chosen.get(facet, ()), condition.value)
        return cls(gallery, chosen, between, order, grouped)

    def as_json(self) -> str:
        """Only what is said."""
        said = {name: value for name, value in vars(self).items() if value}
        return json.dumps(said, ensure_ascii=False)

    def told_as(self, text: str) -> str:
        """:meth:`as_json`, but ``text`` itself where it says the same: what a handler gives back as it read it is not
        written over what somebody has changed since (:mod:`unifex.ui.listening`)."""
        return text if text and View.parse(text) == self else self.as_json()

    @property
    def length(self) -> int:
        """How many filters it has."""
        return sum(map(len, self.chosen.values())) + len(self.between)

    @property
    def filters(self) -> Filters:
        """What may be shown."""
        named: dict[str, Any] = {FACETS[facet]: names for facet, names in self.chosen.items() if facet in FACETS}
        return Filters(**named, where=tuple(self._conditions()))

    def _conditions(self) -> Iterable[Condition]:
        for facet, names in self.chosen.items():
            if facet not in FACETS:
                yield from (Condition(facet.removeprefix(COLUMN), "=", name) for name in names)
        for facet, ends in self.between.items():
            for comparison, end in zip((">=", "<="), ends):
                if _is_beyond(end):
                    yield Condition(facet.removeprefix(COLUMN), end[0], end[1:])
                elif end is not None:
                    yield Condition(facet.removeprefix(COLUMN), comparison, str(end))

    def for_anybody(self, public: bool) -> View:
        """Itself. Raises ``UnifexError`` where strangers ask what further columns say, which is the owner's to know."""
        by_column = [*self.between, *(facet for facet in self.chosen if facet not in FACETS)]
        if public and (by_column or self.order[:1] in ("+", "-")):
            raise UnifexError(say("what further columns say is the owner's to know; clear the filters"))
        return self

    def narrowed_as(self, other: View) -> View:
        """Another's filters, in its own order."""
        return replace(self, gallery=other.gallery, chosen=other.chosen, between=other.between)

    def within(self, gallery: str | None) -> View:
        """Itself, or of another gallery what is said of any."""
        same = self.gallery in ("", gallery)
        return replace(self, gallery=gallery or "") if same else View(gallery or "", grouped=self.grouped)

    def carried_to(self, gallery: Gallery) -> View:
        """What of it can be said of a gallery: itself, or of another one the names that this one has, too."""
        if self.gallery in ("", gallery.name):
            return replace(self, gallery=gallery.name)
        columns = gallery.snapshot().columns
        there = {"domain": columns.domains, "split": columns.splits, "label": columns.labels}
        left = {
            facet: kept
            for facet, names in self.chosen.items()
            if facet in there and (kept := tuple(name for name in names if name in set(there[facet].names)))
        }
        return View(gallery.name, left, order="" if self.order[:1] in ("+", "-") else self.order, grouped=self.grouped)


def _narrowed(ends: tuple[End, End], condition: Condition) -> tuple[End, End]:
    """What of a range a further comparison leaves; both ends belong to it."""
    (low, high), end = ends, _inclusive(condition)
    if condition.comparison in (">", ">="):
        return max((one for one in (low, end) if one is not None), key=lambda one: _rank(one, last=False)), high
    return low, min((one for one in (high, end) if one is not None), key=lambda one: _rank(one, last=True))


def _is_beyond(end: End) -> TypeGuard[str]:
    return isinstance(end, str) and bool(_BEYOND.fullmatch(end))


def _inclusive(condition: Condition) -> float | str:
    """The end that a comparison says, itself in the range but for years alone."""
    value, period, beyond = condition.value, dates.period(condition.value), condition.comparison in (">", "<")
    if beyond and _is_beyond(text := condition.comparison + value):
        return text
    if period is None and not math.isnan(end := number(value)):
        return math.nextafter(end, math.inf if condition.comparison == ">" else -math.inf) if beyond else end
    if period is None or not beyond:
        return value
    if condition.comparison == ">":  # the next moment after all that the date says
        next_one = min(period.last, datetime.max - dates.MOMENT) + dates.MOMENT
    else:
        next_one = max(period.first, datetime.min + dates.MOMENT) - dates.MOMENT
    return next_one.isoformat(timespec="microseconds")


def _rank(end: float | str, last: bool) -> tuple[float, timedelta]:
    """What ends are ordered by, numbers among years; ``last``: a date ends with all that it says."""
    if _is_beyond(end):
        return float(end[1:]), timedelta.max if end[0] == ">" else timedelta.min
    if not math.isnan(plain := number(str(end))):
        return plain, timedelta.max if last else timedelta.min
    period = dates.period(str(end))
    moment = datetime.min if period is None else period.last if last else period.first
    return moment.year, moment - datetime(moment.year, 1, 1)


def _facet(name: str, *beginnings: str) -> str:
    if not name.startswith(beginnings or COLUMN) and (beginnings or name not in FACETS):
        raise ValueError("no facet")
    return name


def _names(names: Any) -> tuple[str, ...]:
    if not isinstance(names, list) or not names or not all(isinstance(name, str) and name for name in names):
        raise TypeError("no names")
    return tuple(dict.fromkeys(names))


def _ends(ends: Any) -> tuple[End, End]:
    low, high = map(_end, ends)
    return low, high


def _end(end: Any) -> End:
    if end is None or _is_beyond(end) or (isinstance(end, str) and dates.beginning(end)):
        return end
    if isinstance(end, str) or not math.isfinite(end):
        raise ValueError("no number, nor a date")
    return float(end)
