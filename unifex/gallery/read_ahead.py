"""Reading ahead: files that are waited for, as those of a store are, come while others are embedded."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial

from unifex.data.item import Item

MOST_HELD = 256 * 2**20  # bytes that were read and are not wanted yet


class ReadAhead:
    """Reads up to ``requests`` files at once before anybody asks for them; one at a time is nothing ahead."""

    def __init__(self, requests: int):
        self._pool = ThreadPoolExecutor(requests, thread_name_prefix="unifex-read") if requests > 1 else None
        self._held = 0
        self._lock = threading.Lock()

    def begin(self, items: Sequence[Item]) -> list[Item]:
        """The items, whose bytes are on their way."""
        return list(items) if self._pool is None else [self._begun(item, self._pool) for item in items]

    def _begun(self, item: Item, pool: ThreadPoolExecutor) -> Item:
        come: list[bytes] = []  # emptied when it is wanted: what was embedded keeps its item, and must not keep bytes
        return replace(item, read=partial(self._take, item, pool.submit(self._read, item, come), come))

    def _read(self, item: Item, come: list[bytes]) -> None:
        """Nothing when too much is held already: who wants it reads it then."""
        if self._held > MOST_HELD:
            return
        data = item.read()
        with self._lock:
            self._held += len(data)
        come.append(data)

    def _take(self, item: Item, reading: Future[None], come: list[bytes]) -> bytes:
        reading.result()
        if not come:
            return item.read()
        data = come.pop()
        with self._lock:
            self._held -= len(data)
        return data

    def stop(self) -> None:
        """What has not begun is not read."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
