"""The last value of each kind, kept in memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")


class Memo:
    """The last value of each kind, with the fingerprint of what it was made from. One at a time makes one of a kind."""

    def __init__(self) -> None:
        self._values: dict[Hashable, tuple[Hashable, Any]] = {}
        self._locks: dict[Hashable, threading.RLock] = {}

    def making(self, kind: Hashable) -> threading.RLock:
        """The lock of whoever makes a value of this kind; nobody who wants another kind waits for it."""
        return self._locks.setdefault(kind, threading.RLock())

    def last(self, kind: Hashable, fingerprint: Hashable = None) -> Any:
        """The last value, if it has this fingerprint (whichever when None); else None."""
        known = self._values.get(kind)
        return known[1] if known and fingerprint in (None, known[0]) else None

    def put(self, kind: Hashable, fingerprint: Hashable, value: T) -> T:
        """Remember a value, and forget the last one."""
        self._values[kind] = fingerprint, value
        return value

    def get(self, kind: Hashable, fingerprint: Hashable, make: Callable[[], T]) -> T:
        """The value with this fingerprint, made unless it is the last one."""
        with self.making(kind):
            known = self.last(kind, fingerprint)
            return self.put(kind, fingerprint, make()) if known is None else known
