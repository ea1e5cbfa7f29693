"""The nearest other items of every item: what the map, label errors, duplicates and context re-ranking are made from.

They follow from the embeddings, so they are a cache like these. Items that came since the last time are searched for,
and offered to the others; only items that lost a neighbour are searched for again. So adding to a gallery costs
(added x all), not (all x all).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unifex.core import derived
from unifex.core.derived import Origin
from unifex.vector_index import exact
from unifex.vector_index.exact import VectorIndex

NEIGHBOURS = 15
SEARCHED_AT_ONCE = 2048


@dataclass(frozen=True)
class Neighbours:
    """The nearest others of every item, best first: positions int64 [N, 15] (-1: no more), cosines float32 [N, 15].

    An item's byte-identical copies are not among its own.
    """

    positions: np.ndarray
    scores: np.ndarray


@dataclass(frozen=True)
class Searched:
    """``done`` of ``total`` items have their neighbours."""

    done: int
    total: int


def find(index: VectorIndex, copies: np.ndarray, rows: np.ndarray | None = None) -> Iterator[Searched | Neighbours]:
    """Neighbours of the items at ``rows`` (all when None) among all; ``copies`` int [N]: equal for identical images."""
    rows = np.arange(len(copies)) if rows is None else rows
    positions = np.full((len(rows), NEIGHBOURS), -1, np.int64)
    scores = np.full((len(rows), NEIGHBOURS), -np.inf, np.float32)
    for start in range(0, len(rows), SEARCHED_AT_ONCE):
        yield Searched(start, len(rows))
        block = rows[start : start + SEARCHED_AT_ONCE]
        found = index.search(index.embeddings[block], NEIGHBOURS, groups=(copies[block], copies))
        width = found[0].shape[1]
        scores[start : start + len(block), :width], positions[start : start + len(block), :width] = found
    yield Neighbours(positions, scores)


@dataclass(frozen=True)
class Kept:
    """Neighbours by item id, as they lie on disk: of which items (``snapshot.ITEM`` [N]), neighbour ids int64 [N, 15],
    cosines."""

    items: np.ndarray
    near: np.ndarray
    scores: np.ndarray

    @property
    def ids(self) -> np.ndarray:
        """int64 [N], ascending."""
        return self.items["id"]

    @classmethod
    def read(cls, path: Path, origin: Origin, items: np.ndarray) -> Kept | None:
        """What :meth:`write` wrote, if it is of the gallery that has these ``items`` now."""
        stored = derived.read_arrays(path, origin)
        return cls(**stored) if stored and derived.items_agree(stored["items"], items) else None

    def write(self, path: Path, origin: Origin) -> None:
        """Keep them beside the embeddings."""
        derived.write_arrays(path, origin, **self.__dict__)


def update(
    index: VectorIndex, ids: np.ndarray, copies: np.ndarray, kept: Kept | None
) -> Iterator[Searched | Neighbours]:
    """Neighbours of all items, from those ``kept`` as far as they still hold. ``ids`` ascend."""
    known = _places(kept.ids, ids) if kept else np.full(len(ids), -1)
    new = np.flatnonzero(known < 0)
    if kept is None or len(new) > len(ids) // 4:
        yield from find(index, copies)
        return
    old = np.flatnonzero(known >= 0)
    near = kept.near[known[old]]
    positions = np.where(near >= 0, _places(ids, near), -1)
    scores = kept.scores[known[old]].copy()
    lost = ((near >= 0) & (positions < 0)).any(1)
    again = np.sort(np.concatenate([new, old[lost]]))
    whole = Neighbours(np.full((len(ids), NEIGHBOURS), -1, np.int64), np.full((len(ids), NEIGHBOURS), -np.inf, "f4"))
    whole.positions[old], whole.scores[old] = positions, scores
    for event in find(index, copies, again):
        if isinstance(event, Searched):
            yield event
        else:
            whole.positions[again], whole.scores[again] = event.positions, event.scores
    if len(new):
        _offer(index, copies, old[~lost], new, whole)
    yield whole


@dataclass(frozen=True)
class Groups:
    """Items that show one image: ``first`` int64 [G], ascending positions; ``of`` int64 [N], every item's group."""

    first: np.ndarray
    of: np.ndarray


def same_image(copies: np.ndarray, embeddings: np.ndarray) -> Groups:
    """Items with the same bytes, or with the very same embedding float32 [N, d]: another file of the same pixels."""
    weights = np.random.default_rng(0).integers(1, 2**63, embeddings.shape[1], np.uint64)
    blocks = (embeddings[start : start + SEARCHED_AT_ONCE] for start in range(0, len(copies), SEARCHED_AT_ONCE))
    marks = [(np.ascontiguousarray(block).view(np.uint32) * weights).sum(1) for block in blocks]
    marks = np.concatenate([np.zeros(0, np.uint64), *marks])
    marks = marks[_first_of(copies)]  # whatever rounding does, the same bytes are one image
    first = _first_of(np.unique(marks, return_inverse=True)[1])
    return Groups(np.unique(first), np.unique(first, return_inverse=True)[1])


def _first_of(codes: np.ndarray) -> np.ndarray:
    """For every position the first with the same code: int64 [N]."""
    _, first, of = np.unique(codes, return_index=True, return_inverse=True)
    return first[of]


def between(near: Neighbours, groups: Groups, embeddings: np.ndarray) -> Iterator[Searched | Neighbours]:
    """Neighbours of each group's first item among the firsts of the other groups, from those of all items.

    Only items of whose neighbours two show one image are searched for again.
    """
    first = groups.first
    found = near.positions[first]
    whole = Neighbours(np.where(found >= 0, groups.of[found], -1), near.scores[first].copy())
    ordered = np.sort(np.column_stack([np.arange(len(first)), whole.positions]), axis=1)
    again = np.flatnonzero(((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any(1))
    if len(again):
        vectors_of_first = np.ascontiguousarray(embeddings[first])
        index = exact.build(vectors_of_first, flat_limit=len(first))
        for event in find(index, np.arange(len(first)), again):
            if isinstance(event, Searched):
                yield event
            else:
                whole.positions[again], whole.scores[again] = event.positions, event.scores
    yield whole


def _places(ids: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Where ``wanted`` stand in ascending ``ids``; -1 where they do not."""
    if not len(ids):
        return np.full(wanted.shape, -1)
    places = np.minimum(np.searchsorted(ids, wanted), len(ids) - 1)
    return np.where(ids[places] == wanted, places, -1)


def _offer(index: VectorIndex, copies: np.ndarray, old: np.ndarray, new: np.ndarray, whole: Neighbours) -> None:
    """Let new items take the places of farther neighbours in the rows of old ones."""
    among_new = exact.build(np.ascontiguousarray(index.embeddings[new]))
    for start in range(0, len(old), SEARCHED_AT_ONCE):
        rows = old[start : start + SEARCHED_AT_ONCE]
        scores, places = among_new.search(index.embeddings[rows], NEIGHBOURS, groups=(copies[rows], copies[new]))
        positions = np.where(places >= 0, new[places], -1)
        both = np.hstack([whole.positions[rows], positions]), np.hstack([whole.scores[rows], scores])
        whole.scores[rows], whole.positions[rows] = exact.rank(both[1], both[0], both[0] < 0, NEIGHBOURS)
