"""Queries and index items of a gallery, and what is relevant to what."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from unifex.core.arrays import positions_of
from unifex.core.language import say
from unifex.evaluation.protocols import PROTOCOLS, EvalProtocol, EvaluationError
from unifex.gallery.gallery import Gallery
from unifex.gallery.snapshot import ItemTable
from unifex.vector_index.matches import Exclusion


@dataclass(frozen=True)
class QueryIndexSplit:
    """Who is searched for among whom. ``queries`` [Q] and ``items`` [M] are positions in ``columns``.

    ``groups`` and ``omitted``: see :class:`~unifex.evaluation.protocols.Division`. ``same``: pairs of positions [P, 2]
    that show the same thing whatever their labels say, each once either way round.
    """

    protocol: EvalProtocol
    columns: ItemTable
    queries: np.ndarray
    items: np.ndarray
    groups: np.ndarray | None
    same: np.ndarray
    omitted: dict[str, int]

    @cached_property
    def domains(self) -> np.ndarray:
        """Domain of every query, object [Q]."""
        return self.columns.domains.texts[self.queries]

    @cached_property
    def item_domains(self) -> np.ndarray:
        """Domain of every index item, object [M]."""
        return self.columns.domains.texts[self.items]

    def excluded(self, rows: np.ndarray) -> Exclusion:
        """What the queries ``rows`` may not find among the index items."""
        if self.groups is None:
            return Exclusion()
        return Exclusion(None, self.groups[self.queries[rows]], self.groups[self.items])

    def is_of(self, gallery: Gallery) -> bool:
        """Whether the gallery still has these items, and what is said of them: what was measured would be so again."""
        columns = gallery.snapshot().columns
        return (
            np.array_equal(columns.ids, self.columns.ids)
            and columns.labelling == self.columns.labelling
            and np.array_equal(columns.splits.texts, self.columns.splits.texts)
            and np.array_equal(pairs_marked_same(gallery, columns), self.same)
        )

    def relevant(self) -> np.ndarray:
        """How many index items are relevant to each query: int64 [Q]."""
        classes, queries = self.columns.classes, self.queries
        count = np.bincount(classes[self.items], minlength=int(classes.max()) + 1)[classes[queries]]
        if self.groups is not None:  # of its own class, itself and its copies cannot be found
            keys = classes * (int(self.groups.max()) + 1) + self.groups
            count = count - _occurrences(keys[self.items], keys[queries])
        a, b = self.same.T
        counts = np.isin(b, self.items) & (classes[a] != classes[b])
        if self.groups is not None:
            counts &= self.groups[a] != self.groups[b]
        return count + np.bincount(a[counts], minlength=len(classes))[queries]

    def is_match(self, rows: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Whether the hits at ``positions`` (in columns, -1 for none) of queries ``rows`` are relevant: bool."""
        classes, queries = self.columns.classes, self.queries[rows, None]
        matches = classes[positions] == classes[queries]
        if len(self.same):
            keys = self.same[:, 0] * len(classes) + self.same[:, 1]
            matches |= np.isin(queries * len(classes) + positions, keys)
        return matches & (positions >= 0)


def split_of(gallery: Gallery, protocol: EvalProtocol = EvalProtocol()) -> QueryIndexSplit:
    """Queries and index of a gallery. Raises :class:`EvaluationError` that says what the gallery lacks."""
    columns = gallery.snapshot().columns
    try:
        return divide(columns, protocol, pairs_marked_same(gallery, columns))
    except EvaluationError as lack:
        raise EvaluationError(say("gallery '{name}' {lack}", name=gallery.name, lack=lack)) from None


def divide(columns: ItemTable, protocol: EvalProtocol, same: np.ndarray) -> QueryIndexSplit:
    """Queries and index of a table; ``same``: see :class:`QueryIndexSplit`. Raises :class:`EvaluationError`."""
    division = PROTOCOLS[protocol.kind].divide(columns, protocol)
    labelled = columns.classes >= 0
    if not labelled.any():
        raise EvaluationError(
            say(
                "has no labels to measure with; index a folder that is laid out as label/image or "
                "domain/label/image, or a CSV with a label column"
            )
        )
    omitted = {"no label": int((~labelled).sum())} | division.omitted
    protocol = replace(protocol, kind=division.kind)
    split = QueryIndexSplit(protocol, columns, division.queries, division.items, division.groups, same, omitted)
    if not split.relevant().any():
        without = split.groups is not None and not protocol.copies
        of_copies = say("; copies of one file do not count") if without else ""
        raise EvaluationError(
            say(
                "has nothing to measure with: no query's label stands in the index again{of_copies}; add "
                "more images of the same labels",
                of_copies=of_copies,
            )
        )
    return split


def _occurrences(values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """How often each of ``wanted`` stands in ``values``."""
    ordered = np.sort(values)
    return np.searchsorted(ordered, wanted, "right") - np.searchsorted(ordered, wanted, "left")


def pairs_marked_same(gallery: Gallery, columns: ItemTable) -> np.ndarray:
    """Positions [P, 2] of the pairs that were marked as the same thing, both ways round."""
    marked = np.array(gallery.database.marked_pairs("same"), np.int64).reshape(-1, 2)
    pairs = positions_of(columns.ids, marked)
    pairs = pairs[(pairs >= 0).all(1)]
    return np.unique(np.concatenate([pairs, pairs[:, ::-1]]), axis=0)
