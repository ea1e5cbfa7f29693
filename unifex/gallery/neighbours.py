"""The nearest other items of every item: what the map, label errors, duplicates and context re-ranking are made from.

They follow from the embeddings, so they are a cache like these. Items that came since the last time are searched for,
and offered to the others; only items that lost a neighbour are searched for again. So adding to a gallery costs
(added x all), not (all x all).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unifex.core import derived
from unifex.core.arrays import positions_of
from unifex.core.derived import Origin
from unifex.core.language import to_say
from unifex.core.progress import Stage, Work, finish
from unifex.vector_index import index_types
from unifex.vector_index.exact import VectorIndex
from unifex.vector_index.matches import Exclusion, Matches

NEIGHBOURS = 15
SEARCHED_AT_ONCE = 2048


@dataclass(frozen=True)
class Neighbours(Matches):
    """The nearest others of every item: :class:`Matches` [N, 15]. What is the same picture is not among its own."""


def find(index: VectorIndex, copies: np.ndarray, rows: np.ndarray | None = None) -> Work[Neighbours]:
    """Neighbours of the items at ``rows`` (all when None) among all; ``copies`` int [N]: equal for identical images.

    Of thousands of copies, or of files of the same pixels, a few are searched for, since each has to look past all the
    others."""
    rows = np.arange(len(copies)) if rows is None else rows
    near = Neighbours.none(len(rows), NEIGHBOURS)
    stage = Stage(to_say("finding neighbours"), len(rows), to_say("items"))
    for start in range(0, len(rows), SEARCHED_AT_ONCE):
        yield stage.at(start)
        block = rows[start : start + SEARCHED_AT_ONCE]
        near.put(slice(start, start + len(block)), _nearest(index, copies, index.embeddings[block], copies[block]))
    return near


def _nearest(index: VectorIndex, copies: np.ndarray, embeddings: np.ndarray, own: np.ndarray) -> Matches:
    """The 15 items of the index, of which ``copies`` int [N] are one picture, that are nearest to each of these
    ``embeddings`` [n, d] and not of its ``own`` int [n]. It is searched for once for all that ask the same.

    Where many pictures have the very same embedding, those that are not among the first themselves find these.
    """
    alike = np.unique(_marks(embeddings), return_inverse=True)[1]
    _, one, of = np.unique(own * len(own) + alike, return_index=True, return_inverse=True)
    embeddings, own, alike = embeddings[one], own[one], alike[one]
    near, left = Neighbours.none(len(one), NEIGHBOURS), np.ones(len(one), bool)
    for crowd in np.flatnonzero(np.bincount(alike) > NEIGHBOURS + 1):
        rows = np.flatnonzero(alike == crowd)
        first = index.search(embeddings[rows[:1]], NEIGHBOURS, alone=True)
        near.put(rows, first.at(np.zeros(len(rows), int)))
        left[rows] = np.isin(own[rows], copies[first.positions])
    near.put(left, index.search(embeddings[left], NEIGHBOURS, Exclusion(None, own[left], copies), alone=True))
    return near.at(of)


class NeighboursAsked:
    """The same of the items that somebody asks about, found then and known from then on: all of a large gallery take
    minutes, and a search looks at some hundred. Memory is taken as items become known."""

    def __init__(self, index: VectorIndex, copies: np.ndarray):
        self._index, self._copies = index, copies
        self._known = np.zeros(len(copies), bool)
        self._scores = np.zeros((len(copies), NEIGHBOURS), np.float32)
        self._positions = np.zeros((len(copies), NEIGHBOURS), np.int64)

    def at(self, rows: np.ndarray) -> Matches:
        """As :meth:`Neighbours.at`, of the items at ``rows`` int64 of any shape; of a row -1 it says anything."""
        asked = np.unique(rows[rows >= 0])
        new = asked[~self._known[asked]]
        if len(new):
            found = finish(find(self._index, self._copies, new))
            self._scores[new], self._positions[new] = found.scores, found.positions
            self._known[new] = True  # last: others look at it meanwhile
        return Matches(self._scores[rows], self._positions[rows])


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


def update(index: VectorIndex, ids: np.ndarray, copies: np.ndarray, kept: Kept | None) -> Work[Neighbours]:
    """Neighbours of all items, from those ``kept`` as far as they still hold. ``ids`` ascend; of
    the same ids the same are ``copies``, but that earlier versions kept a picture that was written into as its own
    neighbour."""
    known = positions_of(kept.ids, ids) if kept else np.full(len(ids), -1)
    new = np.flatnonzero(known < 0)
    if kept is None or len(new) > len(ids) // 4:
        return (yield from find(index, copies))
    old = np.flatnonzero(known >= 0)
    near = kept.near[known[old]]
    positions = np.where(near >= 0, positions_of(ids, near), -1)
    scores = kept.scores[known[old]].copy()
    own = (positions >= 0) & (copies[positions] == copies[old, None])
    lost = ((near >= 0) & (positions < 0) | own).any(1)
    again = np.sort(np.concatenate([new, old[lost]]))
    whole = Neighbours.none(len(ids), NEIGHBOURS)
    whole.put(old, Matches(scores, positions))
    whole.put(again, (yield from find(index, copies, again)))
    if len(new):
        _offer(index, copies, old[~lost], new, whole)
    return whole


@dataclass(frozen=True)
class Groups:
    """Items that show one image: ``first`` int64 [G], ascending positions; ``of`` int64 [N], every item's group."""

    first: np.ndarray
    of: np.ndarray


def same_image(copies: np.ndarray, embeddings: np.ndarray) -> Groups:
    """Items with the same bytes, or with the very same embedding float32 [N, d]: another file of the same pixels."""
    starts = range(0, len(copies), SEARCHED_AT_ONCE)
    marks = [_marks(embeddings[start : start + SEARCHED_AT_ONCE]) for start in starts]
    marks = np.concatenate([np.zeros(0, np.uint64), *marks])
    marks = marks[_first_of(copies)]  # whatever rounding does, the same bytes are one image
    first = _first_of(np.unique(marks, return_inverse=True)[1])
    return Groups(np.unique(first), np.unique(first, return_inverse=True)[1])


def _marks(embeddings: np.ndarray) -> np.ndarray:
    """uint64 [n]: equal for the very same embeddings [n, d], and never for two others that somebody will see."""
    weights = np.random.default_rng(0).integers(1, 2**63, embeddings.shape[1], np.uint64)
    return (np.ascontiguousarray(embeddings).view(np.uint32) * weights).sum(1)


def _first_of(codes: np.ndarray) -> np.ndarray:
    """For every position the first with the same code: int64 [N]."""
    _, first, of = np.unique(codes, return_index=True, return_inverse=True)
    return first[of]


def between(near: Neighbours, groups: Groups, embeddings: np.ndarray) -> Work[Neighbours]:
    """Neighbours of each group's first item among the firsts of the other groups, from those of all items.

    Only items of whose neighbours two show one image are searched for again.
    """
    first = groups.first
    found = near.positions[first]
    whole = Neighbours(near.scores[first].copy(), np.where(found >= 0, groups.of[found], -1))
    ordered = np.sort(np.column_stack([np.arange(len(first)), whole.positions]), axis=1)
    again = np.flatnonzero(((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any(1))
    if len(again):
        index = index_types.build(np.ascontiguousarray(embeddings[first]), "flat")
        whole.put(again, (yield from find(index, np.arange(len(first)), again)))
    return whole


def _offer(index: VectorIndex, copies: np.ndarray, old: np.ndarray, new: np.ndarray, whole: Neighbours) -> None:
    """Let new items take the places of farther neighbours in the rows of old ones."""
    among_new = index_types.build(np.ascontiguousarray(index.embeddings[new]))
    for start in range(0, len(old), SEARCHED_AT_ONCE):
        rows = old[start : start + SEARCHED_AT_ONCE]
        added = _nearest(among_new, copies[new], index.embeddings[rows], copies[rows]).within(new)
        whole.put(rows, whole.at(rows).beside(added).top_k(NEIGHBOURS))
