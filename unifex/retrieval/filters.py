"""What a search may find."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from unifex.core import ranges
from unifex.core.errors import UnifexError
from unifex.core.text import printable, what_there_is
from unifex.gallery.gallery import Gallery
from unifex.gallery.snapshot import Snapshot
from unifex.vector_index.matches import Exclusion


@dataclass(frozen=True)
class Filters:
    """What may be found: only these domains, splits and items (all when empty), at least this similarity.

    ``false_accept_rate``: only hits that no more than this share (0..1) of queries reach whose thing is not in the
    gallery.
    """

    domains: tuple[str, ...] = ()
    splits: tuple[str, ...] = ()
    min_score: float | None = None
    exclude: frozenset[int] = frozenset()
    within: frozenset[int] = frozenset()
    false_accept_rate: float | None = None

    def __post_init__(self) -> None:
        if self.min_score is not None:
            ranges.SIMILARITY.check(self.min_score)
        if self.false_accept_rate is not None:
            ranges.FALSE_ACCEPT_RATE.check(100 * self.false_accept_rate)

    def check_known(self, gallery: Gallery) -> None:
        """Raises ``UnifexError`` for a domain or split that no item has: for who typed it, which is not "no hits"."""
        columns = gallery.snapshot().columns
        for what, there, wanted in (
            ("domain", columns.domains.names, self.domains),
            ("split", columns.splits.names, self.splits),
        ):
            for name in wanted:
                if printable(name) not in map(printable, there):
                    raise UnifexError(f"no {what} '{name}' in gallery '{gallery.name}'; {what_there_is(there, name)}")

    @property
    def lowest_score(self) -> float:
        """``min_score``, or minus infinity."""
        return -np.inf if self.min_score is None else self.min_score

    @property
    def partial(self) -> bool:
        """Whether a part of a gallery is searched only."""
        return bool(self.domains or self.splits or self.within)

    def searched(self, snapshot: Snapshot) -> int:
        """Among how many items; those that are the query itself count, though they are not among the hits."""
        return Exclusion(replace(self, exclude=frozenset()).mask(snapshot)).count(len(snapshot))

    def mask(self, snapshot: Snapshot) -> np.ndarray | None:
        """bool [N], or None when everything is."""
        if not (self.partial or self.exclude):
            return None
        columns = snapshot.columns
        mask = np.ones(len(snapshot), bool)
        if self.domains:
            mask &= columns.domains.among(self.domains)
        if self.splits:
            mask &= columns.splits.among(self.splits)
        if self.within:
            mask &= np.isin(columns.ids, list(self.within))
        if self.exclude:
            mask &= ~np.isin(columns.ids, list(self.exclude))
        return mask
