"""Near-copies in a gallery, in groups: similar is not duplicate, so that there are levels, each with its own test.

Candidates are the neighbours, which are there already. Whether two are one picture is seen on their thumbnails
(:mod:`unifex.core.looks`), and kept by content: only what is new is compared again.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unifex.core import derived, images
from unifex.core.arrays import positions_of
from unifex.core.derived import Origin
from unifex.core.language import to_say
from unifex.core.looks import LOOK, SIDE, look, same_picture
from unifex.core.progress import Work
from unifex.gallery.neighbours import Neighbours
from unifex.gallery.snapshot import ItemTable

BYTES, PICTURE, ALIKE = "bytes", "picture", "alike"
LEVELS = {  # each holds what the ones before it hold
    BYTES: to_say("same bytes"),
    PICTURE: to_say("same picture: of another size, crop, compression or light"),
    ALIKE: to_say("very alike"),
}
CANDIDATE, VERY_ALIKE = 0.45, 0.9  # cosines: from where on thumbnails are compared, and what is very alike
WORKERS = 8


@dataclass(frozen=True)
class Duplicates:
    """Groups of near-copies among the items ``ids`` int64 [N], ascending.

    ``groups``: level -> int64 [N], equal for items of one group: the position of its first item.
    """

    ids: np.ndarray
    groups: Mapping[str, np.ndarray]

    def listed(self, level: str) -> list[np.ndarray]:
        """The ids int64 [n] of every group of two or more, the largest first."""
        of = self.groups[level]
        order = np.argsort(of, kind="stable")
        _, starts, counts = np.unique(of[order], return_index=True, return_counts=True)
        found = [self.ids[order[start : start + count]] for start, count in zip(starts, counts) if count > 1]
        return sorted(found, key=lambda group: -len(group))

    def level_of(self, item: int, other: int) -> str:
        """The strictest level at which two items are in one group; empty when there is none."""
        a, b = np.searchsorted(self.ids, [item, other])
        return next((level for level in LEVELS if self.groups[level][a] == self.groups[level][b]), "")


@dataclass(frozen=True)
class Compared:
    """Pairs of images that were looked at: ``pairs`` S16 [P, 2], how their hashes begin; ``same`` bool [P]."""

    pairs: np.ndarray
    same: np.ndarray

    @classmethod
    def read(cls, path: Path, origin: Origin) -> Compared:
        """What :meth:`write` wrote; none without a file of this origin that is whole."""
        stored = derived.read_arrays(path, origin)
        return cls(**stored) if stored else cls(np.zeros((0, 2), "S16"), np.zeros(0, bool))

    def write(self, path: Path, origin: Origin) -> None:
        """Keep them beside the embeddings."""
        derived.write_arrays(path, origin, **self.__dict__)

    def known(self, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which ``pairs`` S16 [Q, 2] are among them, and which of these are the same: bool [Q] each."""
        if not len(self.pairs):
            return np.zeros(len(pairs), bool), np.zeros(len(pairs), bool)
        there, wanted = _keys(self.pairs), _keys(pairs)
        order = np.argsort(there, kind="stable")  # as they are kept they ascend already, which is quick
        at = np.minimum(np.searchsorted(there, wanted, sorter=order), len(there) - 1)
        done = there[order[at]] == wanted
        return done, done & self.same[order[at]]


def _keys(pairs: np.ndarray) -> np.ndarray:
    """S32 [P] of S16 [P, 2]."""
    return np.ascontiguousarray(pairs).view("S32").reshape(-1)


def compare(
    columns: ItemTable,
    near: Neighbours,
    picture: Callable[[str], bytes],
    known: Compared,
    distinct: Iterable[tuple[int, int]],
    keep: Callable[[Compared], object],
) -> Work[Compared]:
    """Look at the pairs of images that are neighbours and alike enough; ``picture``: a hash's thumbnail, JPEG bytes.
    ``keep`` is given what was compared, at the end, or where this is closed: from there on it goes on as ``known``.

    Two that are in one group anyway are not compared: of a hundred copies that would be thousands of pairs.
    ``distinct`` as in :func:`group`; where it says something of a group, every pair of it counts.
    """
    images_of, first = np.unique(columns.items["content"], return_index=True)
    pictures = columns.pictures
    rows, places = np.nonzero(near.found & (near.scores >= CANDIDATE))
    pairs = np.column_stack([pictures[rows], pictures[near.positions[rows, places]]])
    pairs = np.unique(np.sort(pairs, axis=1), axis=0)
    hashes = images_of[pairs]
    done, same = known.known(hashes)
    groups = _Groups(np.arange(len(images_of)), pictures[_apart(columns, distinct)].tolist())
    for a, b in pairs[done & same].tolist():
        groups.join(a, b)
    waiting = np.flatnonzero(~done)
    new = waiting[np.array([groups.between(a, b) is not None for a, b in pairs[waiting].tolist()], bool)]
    used = np.unique(pairs[new])
    among, places = pairs[new].tolist(), np.searchsorted(used, pairs[new])

    def tell(rows: np.ndarray, agree: np.ndarray) -> None:
        same[new[rows]] = agree
        done[new[rows]] = looked.there[places[rows]].all(1)  # a picture may come back, with its disk
        for row in rows[agree].tolist():
            groups.join(*among[row])

    with _Looks(columns.sha256s(first[used]), picture) as looked:
        try:
            yield from same_picture(looked.looks, places, looked.see, lambda row: groups.between(*among[row]), tell)
        finally:
            compared = Compared(hashes[done], same[done])
            keep(compared)
    return compared


def _apart(columns: ItemTable, distinct: Iterable[tuple[int, int]]) -> np.ndarray:
    """Positions int64 [n, 2] of pairs of ids that are both there."""
    apart = positions_of(columns.ids, np.array(list(distinct), np.int64).reshape(-1, 2))
    return apart[(apart >= 0).all(1)]


class _Looks:
    """Pictures as they are compared: ``looks`` :data:`LOOK` [n], filled as they are asked for, and which are ``there``,
    bool [n]."""

    def __init__(self, hashes: list[str], picture: Callable[[str], bytes]):
        self._hashes, self._picture = hashes, picture
        self.looks, self.there = np.zeros(len(hashes), LOOK), np.zeros(len(hashes), bool)
        self._pool = ThreadPoolExecutor(min(WORKERS, os.cpu_count() or 1))

    def __enter__(self) -> _Looks:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    def see(self, places: np.ndarray) -> None:
        """Look at the pictures at these places, int64 [m]."""
        list(self._pool.map(self._see, places.tolist()))

    def _see(self, place: int) -> None:
        with contextlib.suppress(images.ImageError):  # its thumbnail is lost, and the image, too
            self.looks[place] = look(images.decode(self._picture(self._hashes[place]), at_least=SIDE).image)
            self.there[place] = True


def group(columns: ItemTable, near: Neighbours, compared: Compared, distinct: Iterable[tuple[int, int]]) -> Duplicates:
    """Groups of every level. ``distinct``: ids of items that are no copies of each other, whatever they look like."""
    of_bytes = np.unique(columns.copies, return_index=True)[1][columns.copies]
    contents, first = np.unique(columns.items["content"], return_index=True)
    groups = _Groups(of_bytes, _apart(columns, distinct).tolist())
    shown = first[columns.pictures]
    for at in np.flatnonzero(shown != of_bytes).tolist():  # something was written into one of two copies
        groups.join(at, int(shown[at]))
    for a, b in first[np.searchsorted(contents, compared.pairs[compared.same])].tolist():
        groups.join(a, b)
    of_picture = groups.settled()
    groups.take_alike(near, of_picture)
    return Duplicates(columns.ids, {BYTES: of_bytes, PICTURE: of_picture, ALIKE: groups.settled()})


class _Groups:
    """Groups that are joined, but for those that are to stay apart. A group is its first position."""

    def __init__(self, of: np.ndarray, apart: Iterable[tuple[int, int]]):
        self._parent = of.tolist()
        self._apart: dict[int, set[int]] = {}
        for a, b in apart:
            self._keep_apart(self._parent[a], self._parent[b])

    def join(self, a: int, b: int) -> bool:
        """Make one group of those of two positions, unless they are to stay apart; whether they are one."""
        first, second = sorted((self._root(a), self._root(b)))
        if first == second:
            return True
        if second in self._apart.get(first, ()):
            return False
        self._parent[second] = first
        for other in self._apart.pop(second, ()):
            self._apart[other].discard(second)
            self._keep_apart(first, other)
        return True

    def between(self, a: int, b: int) -> tuple[int, int] | None:
        """The groups of two positions, None where that is one; where something of it is to stay apart, every position
        counts as a group."""
        first, second = self._root(a), self._root(b)
        if first != second:
            return first, second
        return (a, b) if self._apart.get(first) else None

    def take_alike(self, near: Neighbours, of: np.ndarray) -> None:
        """Join what is very alike: around one group each, so that likeness does not lead from one thing to another."""
        rows, places = np.nonzero(near.found & (near.scores >= VERY_ALIKE))
        pairs = np.column_stack([of[rows], of[near.positions[rows, places]]])
        pairs = np.unique(np.concatenate([pairs, pairs[:, ::-1]]), axis=0)
        pairs = pairs[pairs[:, 0] != pairs[:, 1]]
        leaders, starts, counts = np.unique(pairs[:, 0], return_index=True, return_counts=True)
        taken: set[int] = set()
        for at in np.argsort(-counts, kind="stable").tolist():  # whoever has most around it first
            leader = int(leaders[at])
            if leader in taken:
                continue
            members = set(pairs[starts[at] : starts[at] + counts[at], 1].tolist()) - taken
            taken |= {leader, *(member for member in sorted(members) if self.join(leader, member))}

    def settled(self) -> np.ndarray:
        """The group of every position: int64 [N]."""
        return np.array([self._root(at) for at in range(len(self._parent))], np.int64)

    def _root(self, at: int) -> int:
        while self._parent[at] != at:
            self._parent[at] = at = self._parent[self._parent[at]]
        return at

    def _keep_apart(self, a: int, b: int) -> None:
        if a != b:  # the same bytes are one picture, whatever is said
            self._apart.setdefault(a, set()).add(b)
            self._apart.setdefault(b, set()).add(a)
