"""What there is to filter by, and how many items each choice would leave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from unifex.core import dates
from unifex.core.text import number
from unifex.gallery.gallery import Gallery
from unifex.gallery.snapshot import CategoricalColumn
from unifex.retrieval.filters import Filters

MOST = 100  # names of a facet


@dataclass(frozen=True)
class Facet:
    """``name``: ``domain``, ``split``, ``label``, ``tag``, ``folder`` or ``column NAME``.

    ``counts``: items by name, most first, at most :data:`MOST`; of ``names`` that there are. ``low`` and ``high``: of
    the numbers, where all that is there is one; where all is dates, the first and the last day, as ``2021-03-04``; else
    None.
    """

    name: str
    counts: Mapping[str, int]
    names: int
    low: float | str | None = None
    high: float | str | None = None


def facets(gallery: Gallery, filters: Filters = Filters(), part: str = "") -> list[Facet]:
    """All facets of a gallery, each counted among what the *other* facets' filters leave, so that its own choice can be
    changed. A folder counts what lies below it, too. What has no name is not counted, nor is similarity looked at.

    ``part``: of names alone that contain it, in whatever case.
    """
    snapshot = gallery.snapshot()
    columns, further = snapshot.columns, snapshot.further
    parts = [("", np.ones(len(snapshot), bool)), *filters.parts(snapshot)]

    def left(facet: str) -> np.ndarray:
        return np.logical_and.reduce([mask for name, mask in parts if name != facet])

    def counted(facet: str, column: CategoricalColumn) -> np.ndarray:
        return np.bincount(column.codes[left(facet)], minlength=len(column.names))

    named = {"domain": columns.domains, "split": columns.splits, "label": columns.labels}
    found = [_facet(name, column.names, counted(name, column), part) for name, column in named.items()]
    for name, column in further.extra.items():
        counts = counted(f"column {name}", column)
        found.append(_facet(f"column {name}", column.names, counts, part, column))
    found.append(_facet("tag", further.tags.names, further.tags.counts(left("tag")), part))
    return [*found, _facet("folder", further.tree.names, further.tree.counts(counted("folder", further.folders)), part)]


def _facet(
    name: str, names: np.ndarray, counts: np.ndarray, part: str, column: CategoricalColumn | None = None
) -> Facet:
    """``names`` sorted, and the further ``column`` that they are of, which may hold numbers or dates."""
    empty = int(len(names) > 0 and names[0] == "")  # the empty name comes first
    there = empty + np.flatnonzero(counts[empty:])
    if part:
        there = there[np.array([part.casefold() in text.casefold() for text in names[there]], bool)]
    least = np.partition(counts[there], -MOST)[-MOST] if len(there) > MOST else 0
    chosen = np.concatenate([there[counts[there] > least], there[counts[there] == least][:MOST]])
    most = chosen[np.argsort(-counts[chosen], kind="stable")[:MOST]]
    by_name = {str(names[code]): int(counts[code]) for code in most}
    return Facet(name, by_name, len(there), *(_ends(column, there) if column and len(there) else ()))


def _ends(column: CategoricalColumn, there: np.ndarray) -> tuple[float, float] | tuple[str, str] | tuple[()]:
    """The least and the most of what is there (codes int64 [n], at least one), where all of it is numbers, or dates."""
    one = str(column.names[there[0]])  # mostly tells, and the others need not be read
    if not np.isnan(number(one)) and not np.isnan(values := column.numbers[there]).any():
        return float(values.min()), float(values.max())
    if dates.beginning(one) and not np.isnat(moments := column.moments[there]).any():
        first, last = np.datetime_as_string([moments.min(), moments.max()], unit="D").tolist()
        return first, last
    return ()
