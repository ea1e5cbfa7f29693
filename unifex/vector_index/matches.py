"""What was found for some queries, and what they may not find."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

Rows = np.ndarray | slice


@dataclass(frozen=True)
class Matches:
    """The best of every query: ``scores`` float and ``positions`` int64 [Q, k], -inf and -1 where there is no more."""

    scores: np.ndarray
    positions: np.ndarray

    @classmethod
    def none(cls, queries: int, k: int) -> Self:
        """Nothing found yet: to be filled by :meth:`put`."""
        return cls(np.full((queries, k), -np.inf, np.float32), np.full((queries, k), -1, np.int64))

    @classmethod
    def concatenate(cls, parts: Sequence[Matches]) -> Matches:
        """Those of several blocks of queries, equally wide."""
        return cls(np.concatenate([part.scores for part in parts]), np.concatenate([part.positions for part in parts]))

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def found(self) -> np.ndarray:
        """bool [Q, k]: where there is something."""
        return self.positions >= 0

    def at(self, rows: Rows) -> Matches:
        """Those of some of the queries."""
        return Matches(self.scores[rows], self.positions[rows])

    def put(self, rows: Rows, matches: Matches) -> None:
        """Set ``rows`` to other matches, as many as fit; behind fewer there is nothing more."""
        width = min(self.positions.shape[1], matches.positions.shape[1])
        self.scores[rows], self.positions[rows] = -np.inf, -1
        self.scores[rows, :width] = matches.scores[:, :width]
        self.positions[rows, :width] = matches.positions[:, :width]

    def beside(self, others: Matches) -> Matches:
        """Both, for the same queries, not in order: [Q, k + k']."""
        scores, positions = np.hstack([self.scores, others.scores]), np.hstack([self.positions, others.positions])
        return Matches(scores, positions)

    def followed_by(self, others: Matches) -> Matches:
        """Both, for the same queries, these first and what is among them but once: as wide as the ``others``."""
        both = self.beside(others)
        order = np.argsort(both.positions, axis=1, kind="stable")
        ordered, again = np.take_along_axis(both.positions, order, 1), ~both.found
        np.put_along_axis(again, order[:, 1:], (ordered[:, 1:] == ordered[:, :-1]) | (ordered[:, 1:] < 0), 1)
        chosen = np.argsort(again, axis=1, kind="stable")[:, : others.positions.shape[1]]
        there = ~np.take_along_axis(again, chosen, 1)
        scores, positions = (np.take_along_axis(values, chosen, 1) for values in (both.scores, both.positions))
        return Matches(np.where(there, scores, scores.dtype.type(-np.inf)), np.where(there, positions, -1))

    def within(self, items: np.ndarray) -> Matches:
        """Matches among the items at the positions ``items`` int64 [M], as positions among all."""
        return Matches(self.scores, np.where(self.found, items[self.positions], -1) if len(items) else self.positions)

    def top_k(self, k: int, excluded: np.ndarray | None = None, by: np.ndarray | None = None) -> Matches:
        """The first ``k`` by score, or ``by`` [Q, c], then position; the rest -inf and -1.

        ``excluded`` bool [Q, c], that of what is not there as well; by default what is not there.
        """
        gone = ~self.found if excluded is None else excluded
        scores, positions = self.scores, self.positions
        if gone.any():
            scores, positions = np.where(gone, scores.dtype.type(-np.inf), scores), np.where(gone, -1, positions)
        rank = scores if by is None else np.where(positions < 0, -np.inf, by)
        order = np.lexsort((positions, -rank), axis=1)[:, :k]
        rows = np.arange(len(order))[:, None]
        return Matches(scores[rows, order], positions[rows, order])


@dataclass(frozen=True)
class Exclusion:
    """What queries may not find; with nothing given, everything may be found.

    ``mask``: bool [N], True where an item may be found, so that a filter never loses a hit. ``query_groups`` int [Q]
    and ``item_groups`` int [N]: no query finds an item of its own group (itself, its copies, its class).
    """

    mask: np.ndarray | None = None
    query_groups: np.ndarray | None = None
    item_groups: np.ndarray | None = None

    @classmethod
    def own(cls, groups: np.ndarray, rows: Rows, mask: np.ndarray | None = None) -> Exclusion:
        """Of the items at ``rows`` that look among all: what has their own number in ``groups`` int [N]."""
        return cls(mask, groups[rows], groups)

    def at(self, rows: Rows) -> Exclusion:
        """That of some of the queries."""
        if self.query_groups is None:
            return self
        return Exclusion(self.mask, self.query_groups[rows], self.item_groups)

    def of_own_group(self, positions: np.ndarray) -> np.ndarray | None:
        """Which items at ``positions`` [Q, ...] are of their query's own group: bool, or None when there are no groups.

        The mask is not looked at: candidates are chosen within it.
        """
        if self.query_groups is None or self.item_groups is None:
            return None
        query_groups = self.query_groups.reshape(-1, *[1] * (positions.ndim - 1))
        return self.item_groups[positions] == query_groups

    def count(self, items: int) -> int:
        """How many of so many items the mask leaves."""
        return items if self.mask is None else int(self.mask.sum())


NOTHING = Exclusion()
