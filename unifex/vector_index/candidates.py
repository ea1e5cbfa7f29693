"""Candidates for an answer, fast: who is near enough a query to be looked at exactly. FAISS, in two ways.

Up to :data:`FLAT_LIMIT` vectors every similarity is computed. Above, the nested embedding's 64-d prefix lies in
inverted lists (Jegou, Douze, Schmid 2011) in 8 bits a value: 72 bytes a vector, whatever the embedding's width. How
many lists a query visits, and how many candidates it takes, is settled by the recall that the gallery's items measure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import faiss
import numpy as np

from unifex.core.files import write_atomically_with
from unifex.core.vectors import l2_normalize

FLAT_LIMIT = 50_000  # here an exact search takes about as long as embedding the query does
PREFIX_DIM = 64
LISTS_PER_ROOT = 4  # lists = 4 sqrt(vectors), to a power of two
ROWS_PER_LIST = 48  # to find the lists' centres from
ROUNDS = 8
DEPTHS = (64, 256, 1024)  # candidates for ten hits
DEEPEST_PER_HIT = 20  # candidates a hit, where many hits are asked for
ENOUGH_RECALL = 0.995
OUTGROWN = 2.0  # lists are made anew for this many times the vectors they were made for


class Shortlist(Protocol):
    """``exact``: its similarities are those of the whole embeddings, of all of them, to float32's precision.

    ``recall``: share of the exact ten nearest that are among the candidates, if that was measured.
    """

    exact: bool
    recall: float | None

    @property
    def kind(self) -> str:
        """What it is, for people."""

    def depth(self, k: int) -> int:
        """How many candidates ``k`` hits need."""

    def nearest(
        self, queries: np.ndarray, depth: int, allowed: np.ndarray | None, effort: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Similarities float32 and positions int64 [Q, depth] of candidates, -1 where there are no more.

        ``queries`` float32 [Q, d], L2 norm 1. ``allowed`` bool [N]: only those. ``effort`` from 1: how many times the
        usual part of the index is looked at.
        """


@dataclass(frozen=True)
class Flat:
    """All of them, at full length."""

    index: faiss.Index
    exact: bool = True
    recall: float = 1.0

    @classmethod
    def of(cls, embeddings: np.ndarray) -> Flat:
        """Over float32 [N, d]."""
        index = faiss.IndexFlatIP(embeddings.shape[1])
        index.add(np.ascontiguousarray(embeddings))
        return cls(index)

    @property
    def kind(self) -> str:
        """What it is, for people."""
        return f"exact, {self.index.d}-d"

    def depth(self, k: int) -> int:
        """Those asked for, and some, so that equals at the end can be told."""
        return k

    def nearest(
        self, queries: np.ndarray, depth: int, allowed: np.ndarray | None, effort: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """The nearest, whatever the effort."""
        parameters = None if allowed is None else faiss.SearchParameters(sel=_selector(allowed))
        return self.index.search(np.ascontiguousarray(queries, np.float32), depth, params=parameters)


@dataclass(frozen=True)
class Lists:
    """The prefixes of ``keys`` (ascending int64 [N], one a vector) in inverted lists.

    ``made_for``: vectors that the lists were laid out for. ``probes`` lists and ``candidates`` serve ten hits.
    """

    index: faiss.IndexIVF
    keys: np.ndarray
    dim: int
    made_for: int
    probes: int = 1
    candidates: int = DEPTHS[-1]
    recall: float = float("nan")
    exact: bool = False

    @classmethod
    def of(cls, embeddings: np.ndarray, keys: np.ndarray, queries: np.ndarray, nearest: np.ndarray) -> Lists:
        """Over float32 [N, d], as much to be looked at as finds the ``nearest`` [Q, 10] of ``queries`` [Q, d]."""
        width = min(PREFIX_DIM, embeddings.shape[1])
        prefix = l2_normalize(embeddings, width)
        lists = min(len(prefix), 1 << round(np.log2(LISTS_PER_ROOT * np.sqrt(len(prefix)))))
        index = faiss.IndexIVFScalarQuantizer(
            faiss.IndexFlatIP(width), width, lists, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
        )
        index.cp.spherical, index.cp.niter, index.cp.min_points_per_centroid = True, ROUNDS, 1
        index.train(np.ascontiguousarray(prefix[:: max(1, len(prefix) // (lists * ROWS_PER_LIST))]))
        index.add_with_ids(prefix, keys)
        return cls(index, keys, embeddings.shape[1], len(keys))._tuned(embeddings, queries, nearest)

    def _tuned(self, embeddings: np.ndarray, queries: np.ndarray, nearest: np.ndarray) -> Lists:
        """With the fewest candidates, then the fewest probes, that find enough, and a margin for other queries."""

        def recall(tried: Lists) -> float:
            found = tried.nearest(queries, tried.candidates, None, 1)[1]
            return float(np.mean([np.isin(right, row).mean() for right, row in zip(nearest, found)]))

        efforts = [1 << power for power in range(self.index.nlist.bit_length())]
        thorough = replace(self, probes=self.index.nlist)
        tried = (replace(thorough, candidates=count) for count in DEPTHS)
        best = next((lists for lists in tried if recall(lists) >= ENOUGH_RECALL), thorough)
        best = next((one for probes in efforts if recall(one := replace(best, probes=probes)) >= ENOUGH_RECALL), best)
        candidates, probes = min(4 * best.candidates, DEPTHS[-1]), min(2 * best.probes, self.index.nlist)
        best = replace(best, candidates=candidates, probes=probes)
        return replace(best, recall=recall(best))

    @property
    def kind(self) -> str:
        """What it is, for people."""
        return f"{self.index.nlist} lists of {self.index.d}-d 8-bit prefixes, rescored at {self.dim}-d"

    def depth(self, k: int) -> int:
        """In proportion, up to a point."""
        return max(self.candidates, min(self.candidates * k // 10, DEEPEST_PER_HIT * k))

    def nearest(
        self, queries: np.ndarray, depth: int, allowed: np.ndarray | None, effort: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """The nearest by their prefixes. What a filter leaves may lie in any list, so then all are visited."""
        if allowed is None:
            probes = self.probes * max(1.0, depth / self.candidates) * effort
            parameters = _visiting(int(min(probes, self.index.nlist)))
        else:
            depth = max(depth, min(DEPTHS[-1], int(allowed.sum())))
            parameters = faiss.SearchParametersIVF(nprobe=self.index.nlist, sel=self._selector(allowed))
        asked = queries if queries.shape[1] == self.index.d else l2_normalize(queries, self.index.d)
        scores, keys = self.index.search(np.ascontiguousarray(asked, np.float32), depth, params=parameters)
        first, last = self.keys[0], self.keys[-1]
        positions = keys - first if last - first == len(self.keys) - 1 else np.searchsorted(self.keys, keys)
        return scores, np.where(keys < 0, -1, positions)

    def _selector(self, allowed: np.ndarray) -> faiss.IDSelector:
        by_key = np.zeros(int(self.keys[-1]) + 1, bool)
        by_key[self.keys[allowed]] = True
        return _selector(by_key)

    def moved_to(self, embeddings: np.ndarray, keys: np.ndarray) -> Lists | None:
        """These lists for float32 [N, d] of other keys, where a key always has the same vector.

        None when they are so many, or so few, that lists had better be made anew. Searches in the old ones go on.
        """
        if not 1 / OUTGROWN <= len(keys) / self.made_for <= OUTGROWN:
            return None
        gone, new = np.setdiff1d(self.keys, keys, True), np.flatnonzero(~np.isin(keys, self.keys, True))
        index = faiss.clone_index(self.index)
        if len(gone):
            index.remove_ids(faiss.IDSelectorBatch(gone))
        if len(new):
            index.add_with_ids(l2_normalize(embeddings[new], index.d), keys[new])
        return replace(self, index=index, keys=keys)

    def save(self, path: Path, write: Callable[..., object] = write_atomically_with) -> dict[str, Any]:
        """``write`` the lists; what :meth:`load` needs besides, to be kept as JSON."""
        write(path, lambda file: faiss.write_index(self.index, faiss.PyCallbackIOWriter(file.write)))
        kept = ("dim", "made_for", "probes", "candidates", "recall")
        return {name: getattr(self, name) for name in kept}

    @classmethod
    def load(cls, file: BinaryIO, keys: np.ndarray, values: dict[str, Any]) -> Lists:
        """What :meth:`save` wrote. Raises RuntimeError when it is of other keys, TypeError for other ``values``."""
        index = faiss.read_index(faiss.PyCallbackIOReader(file.read))
        if index.ntotal != len(keys):
            raise RuntimeError(f"the index holds {index.ntotal} vectors, expected {len(keys)}")
        return cls(index, keys, **values)


@cache
def _visiting(lists: int) -> faiss.SearchParametersIVF:
    """Kept, since to make one takes a tenth of a search."""
    return faiss.SearchParametersIVF(nprobe=lists)


def _selector(allowed: np.ndarray) -> faiss.IDSelector:
    return faiss.IDSelectorBitmap(np.packbits(allowed, bitorder="little"))
