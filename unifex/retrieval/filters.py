"""What a search may find."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from unifex.core import ranges
from unifex.core.errors import UnifexError
from unifex.core.language import say, to_say
from unifex.core.text import printable, what_there_is
from unifex.gallery.gallery import Gallery
from unifex.gallery.snapshot import CategoricalColumn, Snapshot
from unifex.retrieval.conditions import Condition
from unifex.vector_index.matches import Exclusion

# Facets, as they are offered, and the fields of a filter that they are; further columns come after them.
FACETS = {"label": "labels", "domain": "domains", "tag": "tags", "folder": "folders", "split": "splits"}


@dataclass(frozen=True)
class Filters:
    """What may be found: only these domains, splits and items (all when empty), at least this similarity.

    ``false_accept_rate``: only hits that no more than this share (0..1) of queries reach whose thing is not in the
    gallery. ``labels``: only these, in whichever domain; ``folders``: only what lies in these or below, by path;
    ``where``: of further columns; of one column any of its ``=`` has to hold, and all else. ``tags``: what has any of
    these.
    """

    domains: tuple[str, ...] = ()
    splits: tuple[str, ...] = ()
    min_score: float | None = None
    exclude: frozenset[int] = frozenset()
    within: frozenset[int] = frozenset()
    false_accept_rate: float | None = None
    labels: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    where: tuple[Condition, ...] = ()
    tags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.min_score is not None:
            ranges.SIMILARITY.check(self.min_score)
        if self.false_accept_rate is not None:
            ranges.FALSE_ACCEPT_RATE.check(100 * self.false_accept_rate)

    def check_known(self, gallery: Gallery) -> None:
        """Raises ``UnifexError`` for what no item has: for who typed it, which is not "no hits"."""
        snapshot = gallery.snapshot()
        columns = snapshot.columns
        for sentence, there, wanted in (
            (to_say("no domain '{name}' in gallery '{gallery}'; {there}"), columns.domains.names, self.domains),
            (to_say("no split '{name}' in gallery '{gallery}'; {there}"), columns.splits.names, self.splits),
            (to_say("no label '{name}' in gallery '{gallery}'; {there}"), columns.labels.names, self.labels),
        ):
            for name in wanted:
                if printable(name) not in map(printable, there):
                    raise lacking(gallery, sentence, name, there)
        if not self._reads_further:
            return
        further = snapshot.further
        for name in self.tags:
            if not further.tags.among([name]).any():
                no_tag = to_say("no tag '{name}' in gallery '{gallery}'; {there}")
                raise lacking(gallery, no_tag, name, further.tags.names)
        for name in self.folders:
            if not in_folders(further.folders, [name]).any():
                no_folder = to_say("no folder '{name}' in gallery '{gallery}'; {there}")
                raise lacking(gallery, no_folder, name, further.folders.names)
        for condition in self.where:
            self._check_condition(gallery, further.extra, condition)

    @staticmethod
    def _check_condition(gallery: Gallery, extra: Mapping[str, CategoricalColumn], condition: Condition) -> None:
        column = extra.get(condition.column)
        if column is None:
            no_column = to_say("no column '{name}' in gallery '{gallery}'; {there}")
            raise lacking(gallery, no_column, condition.column, extra)
        if condition.is_range and not condition.is_comparable(column):
            raise UnifexError(
                say(
                    "column '{column}' holds nothing to compare with '{value}'; {there}",
                    column=condition.column,
                    value=condition.value,
                    there=what_there_is(column.names),
                )
            )
        if not condition.is_range and not condition.holds(column).any():
            there = what_there_is(column.names, condition.value)
            raise UnifexError(
                say(
                    "no '{value}' in column '{column}'; {there}",
                    value=condition.value,
                    column=condition.column,
                    there=there,
                )
            )

    @property
    def lowest_score(self) -> float:
        """``min_score``, or minus infinity."""
        return -np.inf if self.min_score is None else self.min_score

    @property
    def partial(self) -> bool:
        """Whether a part of a gallery is searched only."""
        return bool(self.domains or self.splits or self.within or self.labels or self._reads_further)

    @property
    def _reads_further(self) -> bool:
        return bool(self.folders or self.where or self.tags)

    def searched(self, snapshot: Snapshot) -> int:
        """Among how many items; those that are the query itself count, though they are not among the hits."""
        return Exclusion(replace(self, exclude=frozenset()).mask(snapshot)).count(len(snapshot))

    def mask(self, snapshot: Snapshot) -> np.ndarray | None:
        """bool [N], or None when everything is."""
        if not (self.partial or self.exclude):
            return None
        return np.logical_and.reduce([mask for _, mask in self.parts(snapshot)])

    def parts(self, snapshot: Snapshot) -> Iterator[tuple[str, np.ndarray]]:
        """What each part leaves, bool [N], by the facet that it is of: all of them have to hold.

        Facets are ``domain``, ``split``, ``label``, ``tag``, ``folder`` and ``column NAME``; of single items it is
        empty.
        """
        columns = snapshot.columns
        for facet, column, wanted in (
            ("domain", columns.domains, self.domains),
            ("split", columns.splits, self.splits),
            ("label", columns.labels, self.labels),
        ):
            if wanted:
                yield facet, column.among(wanted)
        if self.within:
            yield "", np.isin(columns.ids, list(self.within))
        if self.exclude:
            yield "", ~np.isin(columns.ids, list(self.exclude))
        if self._reads_further:
            further = snapshot.further
            if self.tags:
                yield "tag", further.tags.among(self.tags)
            if self.folders:
                yield "folder", in_folders(further.folders, self.folders)
            for name, conditions in self._by_column().items():
                column = further.extra.get(name)
                left = np.zeros(len(snapshot), bool) if column is None else _hold(conditions, column)
                yield f"column {name}", left

    def _by_column(self) -> dict[str, list[Condition]]:
        grouped = defaultdict(list)
        for condition in self.where:
            grouped[condition.column].append(condition)
        return grouped


def lacking(gallery: Gallery, sentence: str, name: str, there: Iterable[str]) -> UnifexError:
    """That a gallery has nothing of this name, and what there is instead."""
    return UnifexError(say(sentence, name=name, gallery=gallery.name, there=what_there_is(there, name)))


def in_folders(column: CategoricalColumn, folders: Sequence[str]) -> np.ndarray:
    """bool [N]: which items lie in one of these folders, or below."""
    wanted = tuple(f"{printable(folder).rstrip('/')}/" for folder in folders)  # one may begin with a slash
    inside = [f"{name}/".startswith(wanted) for name in column.printed]
    return np.array(inside, bool)[column.codes]


def _hold(conditions: Sequence[Condition], column: CategoricalColumn) -> np.ndarray:
    """bool [N]: any equality, if there is one, and every comparison."""
    equal = [condition.holds(column) for condition in conditions if not condition.is_range]
    compared = [condition.holds(column) for condition in conditions if condition.is_range]
    return np.logical_and.reduce([*compared, *([np.logical_or.reduce(equal)] if equal else [])])[column.codes]
