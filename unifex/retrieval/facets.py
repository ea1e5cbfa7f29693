"""What there is to filter by, and how many items each choice would leave."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from unifex.gallery.gallery import Gallery
from unifex.gallery.snapshot import CategoricalColumn
from unifex.gallery.tags import TagColumn
from unifex.retrieval.conditions import numbers
from unifex.retrieval.filters import Filters

MOST = 100  # names of a facet


@dataclass(frozen=True)
class Facet:
    """``name``: ``domain``, ``split``, ``label``, ``tag``, ``folder`` or ``column NAME``.

    ``counts``: items by name, most first, at most :data:`MOST`; of ``names`` that there are. ``low`` and ``high``: of
    the numbers, where all that is there is one; else None.
    """

    name: str
    counts: Mapping[str, int]
    names: int
    low: float | None = None
    high: float | None = None


def facets(gallery: Gallery, filters: Filters = Filters()) -> list[Facet]:
    """All facets of a gallery, each counted among what the *other* facets' filters leave, so that its own choice can be
    changed. A folder counts what lies below it, too. What has no name is not counted, nor is similarity looked at."""
    snapshot = gallery.snapshot()
    columns, further = snapshot.columns, snapshot.further
    parts = list(filters.parts(snapshot))

    def left(facet: str) -> np.ndarray:
        others = [mask for name, mask in parts if name != facet]
        return np.logical_and.reduce(others) if others else np.ones(len(snapshot), bool)

    named = {"domain": columns.domains, "split": columns.splits, "label": columns.labels}
    named |= {f"column {name}": column for name, column in further.extra.items()}
    found = [_facet(name, column, _counts(column, left(name))) for name, column in named.items()]
    found.append(_facet("tag", further.tags, further.tags.counts(left("tag"))))
    below = _below(further.folders, _counts(further.folders, left("folder")))
    return [*found, Facet("folder", dict(below.most_common(MOST)), len(below))]


def _counts(column: CategoricalColumn, left: np.ndarray) -> np.ndarray:
    """int64 [len(names)] of the items that are left."""
    return np.bincount(column.codes[left], minlength=len(column.names))


def _facet(name: str, column: CategoricalColumn | TagColumn, counts: np.ndarray) -> Facet:
    there = np.flatnonzero((counts > 0) & (column.names != ""))
    most = there[np.argsort(-counts[there], kind="stable")[:MOST]]
    by_name = {str(column.names[code]): int(counts[code]) for code in most}
    values = numbers(column.names[there]) if name.startswith("column ") else np.zeros(0)
    ends = (float(values.min()), float(values.max())) if len(values) and not np.isnan(values).any() else (None, None)
    return Facet(name, by_name, len(there), *ends)


def _below(column: CategoricalColumn, counts: np.ndarray) -> Counter[str]:
    """Items by folder, each in all folders above it, too."""
    total: Counter[str] = Counter()
    for code in np.flatnonzero(counts):
        folder = str(column.names[code])
        while folder:
            total[folder] += int(counts[code])
            folder = folder.rpartition("/")[0]
    return total
