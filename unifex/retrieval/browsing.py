"""The items of a gallery that a filter leaves, one after the other in an order that people look for things by."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable

import numpy as np
from cachetools import LRUCache

from unifex.core.arrays import positions_of
from unifex.core.errors import UnifexError
from unifex.core.language import say, to_say
from unifex.core.text import either, shortened
from unifex.gallery.gallery import Gallery
from unifex.gallery.snapshot import Snapshot
from unifex.retrieval.filters import Filters, lacking

KEPT = 8  # listings; one of a million items is 8 MB


def _by_label(gallery: Gallery, snapshot: Snapshot) -> np.ndarray:
    labels = snapshot.columns.labels
    return np.lexsort((labels.codes, labels.names[labels.codes] == "" if len(labels.names) else labels.codes))


def _by_path(gallery: Gallery, snapshot: Snapshot) -> np.ndarray:
    positions = positions_of(snapshot.columns.ids, gallery.database.ids_by_path())
    return positions[positions >= 0]


def _by_column(snapshot: Snapshot, order: str) -> np.ndarray:
    """Numbers, then dates in the order of time, then texts, least or most first; what has none of them comes last."""
    column = snapshot.further.extra.get(order[1:])
    if column is None:
        return np.arange(len(snapshot))
    numbers, moments = column.numbers, column.moments
    kinds = np.where(~np.isnan(numbers), 0, np.where(~np.isnat(moments), 1, 2))
    ranks = np.empty(len(kinds), np.int64)
    ranks[np.lexsort((np.arange(len(kinds)), moments, np.nan_to_num(numbers), kinds))] = np.arange(len(kinds))
    empty = np.array(column.names == "", bool)
    ranks = np.where(empty, len(ranks), ranks if order[0] == "+" else -ranks)
    return np.argsort(ranks[column.codes], kind="stable")


def check_order(gallery: Gallery, order: str) -> None:
    """Raises ``UnifexError`` for a further column that no item has: for who typed it. The page goes on without it."""
    columns, wanted = gallery.snapshot().further.extra, order[1:]
    if order[:1] in ("+", "-") and wanted not in columns:
        no_column = to_say("no column '{name}' to order by in gallery '{gallery}'; {there}")
        raise lacking(gallery, no_column, shortened(wanted), columns)


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
        self._kept: LRUCache[Hashable, np.ndarray] = LRUCache(KEPT)
        self._lock = threading.Lock()

    def ids(self, gallery: Gallery, filters: Filters = Filters(), order: str = "") -> np.ndarray:
        """The ids int64 [n] of what ``filters`` leave; ``order`` is one of :data:`ORDERS`: as it was added, by label
        (those without one last), by path, or what was added last first; or ``+COLUMN`` or ``-COLUMN``: by a further
        column, least or most first, what has nothing there last. Raises ``UnifexError`` for any other."""
        by_column = order[:1] in ("+", "-")
        if order not in ORDERS and not by_column:
            raise UnifexError(
                say(
                    "no order '{order}'; there are: {value}, where COLUMN is one of the further columns",
                    order=order[:40], value=either([*filter(None, ORDERS), "+COLUMN", "-COLUMN"]),
                )
            )  # fmt: skip
        snapshot = gallery.snapshot()
        if not order and not filters.partial:
            return snapshot.columns.ids
        made_of = gallery.folder, gallery.config.id, snapshot.fingerprint, order

        def left() -> np.ndarray:
            positions = self._memo(
                made_of, lambda: _by_column(snapshot, order) if by_column else ORDERS[order](gallery, snapshot)
            )
            mask = filters.mask(snapshot)
            return snapshot.columns.ids[positions if mask is None else positions[mask[positions]]]

        return self._memo((*made_of, filters), left)

    def _memo(self, key: Hashable, make: Callable[[], np.ndarray]) -> np.ndarray:
        with self._lock:
            known = self._kept.get(key)
        if known is None:
            known = make()
            with self._lock:
                self._kept[key] = known
        return known
