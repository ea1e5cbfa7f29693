"""How much of something, and whose: the counts that the guard keeps in memory."""

from __future__ import annotations

import contextlib
import ipaddress
import time
from collections import Counter, deque
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from cachetools import LRUCache

from unifex.core.language import say, to_say

MAX_NAMES = 100_000
STEPS = 60  # so many steps of a window are told apart


class Refusal(Exception):
    """An HTTP answer that says no: status and sentence; ``headers``: what else HTTP wants to be told."""

    def __init__(self, status: int, sentence: str, headers: Mapping[str, str] | None = None):
        self.status, self.sentence, self.headers = status, sentence, headers
        super().__init__(sentence)


@lru_cache(10_000)
def network_of(address: str) -> str:
    """What one client cannot change: an IPv4 address, or the first half of an IPv6 address."""
    with contextlib.suppress(ValueError):
        known = ipaddress.ip_address(address)
        if known.version == 6 and known.ipv4_mapped is None:
            return str(ipaddress.ip_network((known, 64), strict=False))
    return address


@dataclass
class Ownership:
    """Who made what. The oldest are forgotten first: whoever comes back to them has to begin anew."""

    max_names: int = MAX_NAMES

    def __post_init__(self) -> None:
        self.owners: LRUCache[str, str] = LRUCache(self.max_names)

    def add(self, thing: str, owner: str) -> None:
        """``owner`` has made it."""
        self.owners[thing] = owner

    def has(self, thing: str, owner: str) -> bool:
        """Whether it is this owner's."""
        return self.owners.get(thing) == owner

    def claim(self, thing: str, owner: str) -> bool:
        """Whether it is this owner's, who gets what nobody has."""
        if thing not in self.owners:
            self.add(thing, owner)
        return self.has(thing, owner)


@dataclass
class Rate:
    """At most so much of one name in any so many seconds."""

    maximum: int
    seconds: float

    def __post_init__(self) -> None:
        self.seen: LRUCache[str, deque[list[int]]] = LRUCache(MAX_NAMES)  # [step, amount] by name

    def count(self, name: str) -> int:
        """So much was counted."""
        counted = self.seen.get(name, ())
        now = self._now()
        return sum(count for step, count in counted if now - step <= STEPS)

    def add(self, name: str, amount: int = 1) -> None:
        """Count it."""
        now, counted = self._now(), self.seen.setdefault(name, deque())
        while counted and now - counted[0][0] > STEPS:
            counted.popleft()
        if not counted or counted[-1][0] != now:
            counted.append([now, 0])
        counted[-1][1] += amount

    def check(self, name: str, amount: int, sentence: str) -> None:
        """Count it. Raises :class:`Refusal` with the sentence when it is too much, and then does not count it."""
        if self.count(name) + amount > self.maximum:
            raise Refusal(429, sentence)
        self.add(name, amount)

    def _now(self) -> int:
        return int(time.monotonic() / self.seconds * STEPS)


@dataclass
class Open:
    """How many of something each name has open at a time."""

    maximum: int
    sentence: str
    now: Counter[str] = field(default_factory=Counter)

    @contextlib.contextmanager
    def one(self, name: str) -> Iterator[None]:
        """One more for the block. Raises :class:`Refusal`."""
        if self.now[name] >= self.maximum:
            raise Refusal(429, say(self.sentence))
        self.now[name] += 1
        try:
            yield
        finally:
            self.now[name] -= 1
            if not self.now[name]:
                del self.now[name]


@dataclass
class Asked:
    """A request that is being read, and how large it is so far."""

    turns: Turns
    owner: str
    bytes: int = 0

    def take(self, bytes: int) -> None:
        """So many bytes have come. Raises :class:`Refusal`."""
        self.bytes += bytes
        if self.bytes > self.turns.max_bytes:
            raise Refusal(413, say("a request may have {most} MiB", most=self.turns.max_bytes // 2**20))
        if self.turns.bytes(self.owner) > self.turns.max_bytes:
            raise Refusal(429, say(_ENOUGH))

    def becomes(self, event: str) -> None:
        """It waits in the queue now, as this event."""
        self.turns.events.setdefault(self.owner, {})[event] = self.bytes


@dataclass
class Turns:
    """What each owner has in the queue, and on the way there: so many events, with so many bytes together."""

    max_events: int
    max_bytes: int
    events: dict[str, dict[str, int]] = field(default_factory=dict)
    coming: dict[str, list[Asked]] = field(default_factory=dict)

    @contextlib.contextmanager
    def one(self, owner: str, queue: Container[str]) -> Iterator[Asked]:
        """A request that may become an event. ``queue``: ids of what waits or runs. Raises :class:`Refusal`."""
        waiting = {event: bytes for event, bytes in self.events.pop(owner, {}).items() if event in queue}
        if waiting:
            self.events[owner] = waiting
        coming = self.coming.setdefault(owner, [])
        if len(waiting) + len(coming) >= self.max_events:
            raise Refusal(429, say(_ENOUGH))
        asked = Asked(self, owner)
        coming.append(asked)
        try:
            yield asked
        finally:
            coming.remove(asked)
            if not coming:
                self.coming.pop(owner, None)

    def bytes(self, owner: str) -> int:
        """Of all that this owner has there."""
        return sum(self.events.get(owner, {}).values()) + sum(asked.bytes for asked in self.coming.get(owner, ()))


_ENOUGH = to_say("enough of yours is waiting; wait for an answer")
