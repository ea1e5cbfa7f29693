"""Groups of near-copies as people look at them: which one is worth keeping, and leaving out the rest."""

from __future__ import annotations

import itertools
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from unifex.core.arrays import positions_of
from unifex.core.language import say
from unifex.core.progress import Work
from unifex.core.tables import to_csv
from unifex.core.text import what_there_is
from unifex.gallery import corrections
from unifex.gallery.corrections import Correction
from unifex.gallery.duplicates import LEVELS, Duplicates
from unifex.gallery.errors import GalleryError
from unifex.gallery.gallery import Gallery
from unifex.gallery.records import Record
from unifex.gallery.snapshot import Snapshot

TOLD = ("path", "uri", "label", "domain", "width", "height", "bytes")  # of an item
MOST_APART = 64  # items of a group whose every pair is remembered


@dataclass(frozen=True)
class Copy:
    """An item of a group. ``level``: how near it is to the one that is kept; ``similarity``: cosine to that, -1..1."""

    record: Record
    level: str
    similarity: float


@dataclass(frozen=True)
class CopyGroup:
    """Near-copies of one another: what is worth keeping, and the others, those that are nearest to it first."""

    kept: Record
    others: tuple[Copy, ...]

    def as_json(self) -> dict[str, Any]:
        """As the command line gives it."""
        return {"keep": _told(self.kept), "copies": [_told(c.record) | _nearness(c) for c in self.others]}


def _told(record: Record) -> dict[str, Any]:
    return {name: getattr(record, name) for name in TOLD}


def _nearness(copy: Copy) -> dict[str, Any]:
    return {"level": copy.level, "score": round(copy.similarity, 6)}


def copy_groups(gallery: Gallery, level: str) -> Work[list[CopyGroup]]:
    """The groups of a gallery at a level of ``LEVELS``, the largest first.

    Of each what has most pixels is worth keeping, then what has most bytes, then what came first. Raises
    :class:`GalleryError` for a level that there is not.
    """
    check_level(level)
    snapshot = gallery.snapshot()
    duplicates = yield from gallery.find_duplicates(snapshot)
    return described(gallery, snapshot, duplicates, duplicates.listed(level))


def check_level(level: str) -> None:
    """Raises :class:`GalleryError` for a level that there is not."""
    if level not in LEVELS:
        raise GalleryError(
            say("no level '{level}' of near-copies; {there}", level=level, there=what_there_is(LEVELS, level))
        )


def described(
    gallery: Gallery,
    snapshot: Snapshot,
    duplicates: Duplicates,
    listed: Sequence[np.ndarray],
    preferred: Container[int] = (),
) -> list[CopyGroup]:
    """Groups of ids ``listed`` int64 [n], all of them in the ``snapshot``, in this order, as people look at them.

    What is ``preferred`` is kept rather than what is largest.
    """
    records = {record.id: record for record in gallery.records(np.concatenate(listed) if listed else [])}
    nearness = list(LEVELS).index
    found = []
    for ids in listed:
        items = [records[item] for item in ids.tolist() if item in records]
        if len(items) < 2:  # removed meanwhile
            continue
        kept = min(items, key=lambda one: (one.id not in preferred, -one.width * one.height, -one.bytes, one.id))
        others = [record for record in items if record is not kept]
        at = np.searchsorted(snapshot.columns.ids, [kept.id, *(record.id for record in others)])
        similarities = (snapshot.embeddings[at[1:]] @ snapshot.embeddings[at[0]]).tolist()
        levels = [duplicates.level_of(kept.id, record.id) for record in others]
        copies = sorted(map(Copy, others, levels, similarities), key=lambda c: (nearness(c.level), -c.similarity))
        found.append(CopyGroup(kept, tuple(copies)))
    return found


def left(gallery: Gallery, snapshot: Snapshot, duplicates: Duplicates, level: str) -> list[np.ndarray]:
    """The ids int64 [n] of every group, but for what was left out, or told to be no copy, since they were found."""
    apart = {frozenset(pair) for pair in gallery.database.marked_pairs("distinct")}
    told = {item for pair in apart for item in pair}
    gone = not np.isin(duplicates.ids, snapshot.columns.ids).all()
    groups = []
    for ids in duplicates.listed(level):
        if gone:
            ids = ids[positions_of(snapshot.columns.ids, ids) >= 0]
        if told.intersection(ids.tolist()):
            others = ids.tolist()
            alike = [any(one != other and {one, other} not in apart for other in others) for one in others]
            ids = ids[np.array(alike, bool)]
        if len(ids) > 1:
            groups.append(ids)
    return groups


def tell_apart(gallery: Gallery, group: CopyGroup) -> list[Correction]:
    """Remember that the items of a group are no copies of each other, but for those of the same bytes; what was said.

    Raises :class:`GalleryError` for more than :data:`MOST_APART`, and for a group of nothing but the same bytes.
    """
    items = [group.kept, *(copy.record for copy in group.others)]
    if len(items) > MOST_APART:
        raise GalleryError(
            say("a group of {count:,} is too large to be told apart; leave out what is a copy first", count=len(items))
        )
    pairs = [(a, b) for a, b in itertools.combinations(items, 2) if a.sha256 != b.sha256]
    if not pairs:
        raise GalleryError(say("all of them have the same bytes: they are copies"))
    said = [corrections.distinct(a, b) for a, b in pairs]
    with gallery.write() as writer:
        writer.correct(said)
    return said


def leave_out(gallery: Gallery, groups: Iterable[CopyGroup]) -> list[Correction]:
    """Keep one of each group and leave out the rest, which can be undone as every correction; what was said.

    Raises ``GalleryBusy`` while another writes.
    """
    said = [corrections.drop(copy.record) for group in groups for copy in group.others]
    if said:
        with gallery.write() as writer:
            writer.correct(said)
    return said


def as_csv(groups: Iterable[CopyGroup]) -> str:
    """One line an item with a header, the one worth keeping first; cells that a spreadsheet would run are harmless."""
    rows = []
    for number, group in enumerate(groups, start=1):
        rows.append([number, "yes", "", "", *_told(group.kept).values()])
        rows += [[number, "no", *_nearness(copy).values(), *_told(copy.record).values()] for copy in group.others]
    return to_csv(("group", "keep", "level", "score", *TOLD), rows)
