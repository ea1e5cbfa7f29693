"""Protocols: the ways to say who is searched for among whom.

A further one is a function that divides an item table, and an entry of :data:`PROTOCOLS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from unifex.core import ranges
from unifex.core.arrays import sample
from unifex.core.errors import UnifexError
from unifex.core.language import say, to_say

if TYPE_CHECKING:  # the command line offers the table without loading what an item table needs
    from unifex.gallery.snapshot import ItemTable

QUERY_SHARE = 0.2
MAX_QUERIES = 10_000


class EvaluationError(UnifexError):
    """A gallery that cannot be measured like this; the message says what it lacks."""


@dataclass(frozen=True)
class EvalProtocol:
    """``kind`` is one of :data:`PROTOCOLS`. ``copies``: a query's byte-identical copies count as hits (leave-one-out).

    ``max_queries``: of more than this, as many are drawn by ``seed`` (leave-one-out and random).
    """

    kind: str = "auto"
    seed: int = 0
    copies: bool = False
    max_queries: int = MAX_QUERIES

    def __post_init__(self) -> None:
        if self.kind not in PROTOCOLS:
            raise UnifexError(
                say("no protocol '{kind}'; there are: {known}", kind=self.kind, known=", ".join(PROTOCOLS))
            )
        ranges.SEED.check(self.seed)


@dataclass(frozen=True)
class Division:
    """What a protocol of this ``kind`` makes of a table: positions in it of ``queries`` [Q] and index ``items`` [M].

    ``groups`` int64 [N]: a query never finds an item of its own group (itself, its copies); None when it may find any.
    ``omitted``: how many items take no part, by reason.
    """

    kind: str
    queries: np.ndarray
    items: np.ndarray
    omitted: dict[str, int]
    groups: np.ndarray | None = None


def _has_split(columns: ItemTable) -> bool:
    splits = columns.splits.texts
    return bool(np.any(splits == "query") and np.any(splits == "index"))


def _auto(columns: ItemTable, protocol: EvalProtocol) -> Division:
    return (_by_split if _has_split(columns) else _leave_one_out)(columns, protocol)


def _by_split(columns: ItemTable, protocol: EvalProtocol) -> Division:
    if not _has_split(columns):
        raise EvaluationError(say("has no query and index split; choose leave-one-out or random"))
    splits, labelled = columns.splits.texts, columns.classes >= 0
    queries, items = (np.flatnonzero(labelled & (splits == split)) for split in ("query", "index"))
    return Division("split", queries, items, {to_say("other split"): int(labelled.sum()) - len(queries) - len(items)})


def _leave_one_out(columns: ItemTable, protocol: EvalProtocol) -> Division:
    items = np.flatnonzero(columns.classes >= 0)
    groups = np.arange(len(columns.ids)) if protocol.copies else columns.copies
    queries, omitted = _sampled(items, protocol)
    return Division("leave-one-out", queries, items, omitted, groups)


def _random(columns: ItemTable, protocol: EvalProtocol) -> Division:
    """A fifth of every class, at least one of two, as queries; everything else as index."""
    classes = columns.classes
    order = np.random.default_rng(protocol.seed).permutation(np.flatnonzero(classes >= 0))
    order = order[np.argsort(classes[order], kind="stable")]
    _, starts, counts = np.unique(classes[order], return_index=True, return_counts=True)
    wanted = np.where(counts > 1, np.maximum(1, np.round(QUERY_SHARE * counts)), 0).astype(np.int64)
    drawn = (np.arange(len(order)) - np.repeat(starts, counts)) < np.repeat(wanted, counts)
    queries, omitted = _sampled(np.sort(order[drawn]), protocol)
    return Division("random", queries, np.sort(order[~drawn]), omitted)


def _sampled(queries: np.ndarray, protocol: EvalProtocol) -> tuple[np.ndarray, dict[str, int]]:
    """As many queries as are wanted, in order, and how many were not drawn."""
    surplus = len(queries) - protocol.max_queries
    if surplus <= 0:
        return queries, {}
    return queries[sample(len(queries), protocol.max_queries, protocol.seed)], {to_say("queries not drawn"): surplus}


@dataclass(frozen=True)
class Protocol:
    """``sentence``: what it is, said with every result; ``caution``: what else, for who chooses.

    ``divide`` raises :class:`EvaluationError` that says what a table lacks.
    """

    divide: Callable[[ItemTable, EvalProtocol], Division]
    sentence: str
    caution: str = ""

    @property
    def advice(self) -> list[str]:
        """All that is said of it."""
        return [text for text in (self.sentence, self.caution) if text]


PROTOCOLS: dict[str, Protocol] = {
    "auto": Protocol(_auto, to_say("the gallery's query and index split if it has one, else leave-one-out")),
    "split": Protocol(
        _by_split,
        to_say("items of split 'query' against items of split 'index', as the gallery has them"),
    ),
    "leave-one-out": Protocol(
        _leave_one_out,
        to_say("every labelled item against all others"),
        to_say("its byte-identical copies do not count"),
    ),
    "random": Protocol(_random, to_say("a fifth of every label as queries, drawn by seed, against the rest")),
}
