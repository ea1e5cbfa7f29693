"""Near-copies folded: of each group the best hit is shown, and says how many more there are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from unifex.core.errors import UnifexError
from unifex.core.language import say
from unifex.core.progress import finish
from unifex.gallery.duplicates import LEVELS, Duplicates
from unifex.gallery.gallery import Gallery
from unifex.gallery.snapshot import Snapshot
from unifex.retrieval.hits import Hit
from unifex.vector_index.matches import Matches

DEEPER = 4


def duplicates_of(gallery: Gallery, snapshot: Snapshot, level: str) -> Duplicates | None:
    """What hits are folded by, waited for; None for no ``level``. Raises ``UnifexError`` for one that there is not."""
    if level and level not in LEVELS:
        raise UnifexError(
            say("no level '{level}' of near-copies; there are: {known}", level=level, known=", ".join(LEVELS))
        )
    return finish(gallery.find_duplicates(snapshot)) if level else None


def find_enough(
    find: Callable[[int], Matches],
    k: int,
    most: int,
    counts: Callable[[np.ndarray], np.ndarray],
    groups: np.ndarray | None = None,
) -> np.ndarray:
    """The first ``k`` positions that count for one query: int64 [<= k]. Of those in one of ``groups`` (int64 [N], of
    every item) the best does.

    ``find`` gives so many matches of it, best first, of at most ``most`` that there are: more until there are enough.
    ``counts`` tells of positions int64 [n] whether they count: bool [n].
    """
    depth = k
    while True:
        matches = find(depth)
        positions = matches.positions[matches.found]
        chosen = positions[counts(positions)]
        chosen = chosen if groups is None else chosen[first_of_each(groups[chosen])]
        if len(chosen) >= k or len(positions) < depth or depth >= most:
            return chosen[:k]
        depth = min(most, DEEPER * depth)


def first_of_each(groups: np.ndarray) -> np.ndarray:
    """Where each group of int64 [n] stands first: ascending places."""
    return np.sort(np.unique(groups, return_index=True)[1])


def fold(hits: Sequence[Hit], duplicates: Duplicates, level: str, mask: np.ndarray | None = None) -> list[Hit]:
    """Hits, best first, with those of one group at ``level`` folded into the best of them; ranks begin at 1 again.

    ``copies``: the others of its group, found or not, that ``mask`` bool [N] (None: all) lets be found.
    """
    groups = duplicates.groups[level]
    places = np.searchsorted(duplicates.ids, [hit.record.id for hit in hits])
    allowed = np.ones(len(groups), bool) if mask is None else mask
    folded = []
    for rank, at in enumerate(first_of_each(groups[places]), start=1):
        others = np.flatnonzero((groups == groups[places[at]]) & allowed)
        copies = duplicates.ids[others[others != places[at]]].tolist()
        folded.append(replace(hits[at], rank=rank, copies=tuple(copies)))
    return folded
