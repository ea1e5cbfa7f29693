"""The items of a gallery that a filter leaves, one after the other in an order that people look for things by."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable

import numpy as np

from unifex.core.arrays import positions_of
from unifex.core.errors import UnifexError
from unifex.core.text import either
from unifex.gallery.gallery import Gallery
from unifex.gallery.snapshot import Snapshot
from unifex.retrieval.filters import Filters

KEPT = 8  # listings; one of a million items is 8 MB


def _by_label(gallery: Gallery, snapshot: Snapshot) -> np.ndarray:
    labels = snapshot.columns.labels
    return np.lexsort((labels.codes, labels.names[labels.codes] == "" if len(labels.names) else labels.codes))


def _by_path(gallery: Gallery, snapshot: Snapshot) -> np.ndarray:
    positions = positions_of(snapshot.columns.ids, gallery.database.ids_by_path())
    return positions[positions >= 0]


# Positions int64 [N] of a snapshot's items in each order; another one is a line here.
ORDERS: dict[str, Callable[[Gallery, Snapshot], np.ndarray]] = {
    "": lambda _, snapshot: np.arange(len(snapshot)),
    "label": _by_label,
    "path": _by_path,
    "newest": lambda _, snapshot: np.arange(len(snapshot))[::-1],
}


class Listings:
    """What was listed lately, so that each of the many parts that a page asks for is a slice."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, np.ndarray] = OrderedDict()
        self._lock = threading.Lock()

    def ids(self, gallery: Gallery, filters: Filters = Filters(), order: str = "") -> np.ndarray:
        """The ids int64 [n] of what ``filters`` leave; ``order`` is one of :data:`ORDERS`: as it was added, by label
        (those without one last), by path, or what was added last first. Raises ``UnifexError`` for any other."""
        if order not in ORDERS:
            raise UnifexError(f"no order '{order[:40]}'; there are: {either([*filter(None, ORDERS)])}")
        snapshot = gallery.snapshot()
        if not order and not filters.partial:
            return snapshot.columns.ids
        made_of = gallery.folder, snapshot.fingerprint, order

        def left() -> np.ndarray:
            positions = self._memo(made_of, lambda: ORDERS[order](gallery, snapshot))
            mask = filters.mask(snapshot)
            return snapshot.columns.ids[positions if mask is None else positions[mask[positions]]]

        return self._memo((*made_of, filters), left)

    def _memo(self, key: Hashable, make: Callable[[], np.ndarray]) -> np.ndarray:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        made = make()
        with self._lock:
            self._kept[key] = made
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return made
