"""The nested embedding's 64-d prefix in inverted lists (Jegou, Douze, Schmid 2011), in 8 bits a value.

72 bytes a vector, whatever the embedding's width. How many lists a query visits, and how many candidates it takes, is
settled by the recall that the gallery's items measure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import numpy as np

from unifex.core.arrays import sample
from unifex.core.files import write_atomically_with
from unifex.core.language import say
from unifex.core.vectors import l2_normalize
from unifex.vector_index.candidates import CandidateIndex, Place, Vectors
from unifex.vector_index.flat_index import selector
from unifex.vector_index.matches import Matches
from unifex.vector_index.metric import FAISS_METRIC, brute_force, faiss

PREFIX_DIM = 64
LISTS_PER_ROOT = 4  # lists = 4 sqrt(vectors), to a power of two
ROWS_PER_LIST = 48  # to find the lists' centres from
ROUNDS = 8
CANDIDATES = (64, 256, 1024)  # tried, for ten hits
MAX_CANDIDATES_PER_HIT = 20  # where many hits are asked for
ENOUGH_RECALL = 0.995
RECALL_QUERIES = 200
RECALL_AT = 10
OUTGROWN = 2.0  # lists are made anew for this many times the vectors they were made for


@dataclass(frozen=True)
class IVFIndex(CandidateIndex):
    """The prefixes of ``keys`` (ascending int64 [N], one a vector) in inverted lists.

    ``made_for``: vectors that the lists were laid out for. ``probes`` lists and ``candidates`` serve ten hits.
    """

    kind: ClassVar[str] = "lists"
    max_vectors: ClassVar[float] = float("inf")
    index: Any
    keys: np.ndarray
    dim: int
    made_for: int
    probes: int = 1
    candidates: int = CANDIDATES[-1]
    recall: float | None = None

    @classmethod
    def build(cls, vectors: Vectors, place: Place | None = None) -> IVFIndex:
        """Over float32 [N, d], with as much to be looked at as finds the ten nearest of some of them."""
        embeddings = vectors.embeddings
        queries = embeddings[sample(len(embeddings), RECALL_QUERIES)]
        nearest = brute_force(queries, embeddings, min(RECALL_AT, len(embeddings)))[1]
        width = min(PREFIX_DIM, embeddings.shape[1])
        prefix = l2_normalize(embeddings, width)
        lists = min(len(prefix), 1 << round(np.log2(LISTS_PER_ROOT * np.sqrt(len(prefix)))))
        index = faiss.IndexIVFScalarQuantizer(
            faiss.IndexFlat(width, FAISS_METRIC), width, lists, faiss.ScalarQuantizer.QT_8bit, FAISS_METRIC
        )
        index.cp.spherical, index.cp.niter, index.cp.min_points_per_centroid = True, ROUNDS, 1
        index.train(np.ascontiguousarray(prefix[:: max(1, len(prefix) // (lists * ROWS_PER_LIST))]))
        index.add_with_ids(prefix, vectors.keys)
        return cls(index, vectors.keys, embeddings.shape[1], len(embeddings))._tuned(queries, nearest)

    def _tuned(self, queries: np.ndarray, nearest: np.ndarray) -> IVFIndex:
        """With the fewest candidates, then the fewest probes, that find the ``nearest`` [Q, 10] of ``queries`` [Q, d],
        and a margin for other queries."""

        def recall(tried: IVFIndex) -> float:
            found = tried.search(queries, tried.candidates, None, 1).positions
            return float(np.mean([np.isin(right, row).mean() for right, row in zip(nearest, found)]))

        probes_tried = [1 << power for power in range(self.index.nlist.bit_length())]
        thorough = replace(self, probes=self.index.nlist)
        tried = (replace(thorough, candidates=count) for count in CANDIDATES)
        best = next((index for index in tried if recall(index) >= ENOUGH_RECALL), thorough)
        tried = (replace(best, probes=probes) for probes in probes_tried)
        best = next((index for index in tried if recall(index) >= ENOUGH_RECALL), best)
        candidates, probes = min(4 * best.candidates, CANDIDATES[-1]), min(2 * best.probes, self.index.nlist)
        best = replace(best, candidates=candidates, probes=probes)
        return replace(best, recall=recall(best))

    @property
    def title(self) -> str:
        """What it is, for people."""
        return say(
            "{lists} lists of {prefix}-d 8-bit prefixes, rescored at {dim}-d",
            lists=self.index.nlist,
            prefix=self.index.d,
            dim=self.dim,
        )

    @property
    def nbytes(self) -> int:
        """Codes, keys and the lists' centres."""
        return len(self.keys) * (self.index.code_size + 8) + 4 * self.index.nlist * self.index.d

    def n_candidates(self, k: int) -> int:
        """In proportion, up to a point."""
        return max(self.candidates, min(self.candidates * k // 10, MAX_CANDIDATES_PER_HIT * k))

    def search(self, queries: np.ndarray, n_candidates: int, mask: np.ndarray | None, budget: float) -> Matches:
        """The nearest by their prefixes. What a filter leaves may lie in any list, so then all are visited."""
        if mask is None:
            probes = self.probes * max(1.0, n_candidates / self.candidates) * budget
            parameters = _visiting(int(min(probes, self.index.nlist)))
        else:
            n_candidates = max(n_candidates, min(CANDIDATES[-1], int(mask.sum())))
            parameters = faiss.SearchParametersIVF(nprobe=self.index.nlist, sel=self._selector(mask))
        prefixes = queries if queries.shape[1] == self.index.d else l2_normalize(queries, self.index.d)
        prefixes = np.ascontiguousarray(prefixes, np.float32)
        scores, keys = self.index.search(prefixes, n_candidates, params=parameters)
        first, last = self.keys[0], self.keys[-1]
        positions = keys - first if last - first == len(self.keys) - 1 else np.searchsorted(self.keys, keys)
        return Matches(scores, np.where(keys < 0, -1, positions))

    def _selector(self, mask: np.ndarray) -> Any:
        by_key = np.zeros(int(self.keys[-1]) + 1, bool)
        by_key[self.keys[mask]] = True
        return selector(by_key)

    def updated(self, vectors: Vectors) -> IVFIndex | None:
        """These lists for other keys; None when they are so many, or so few, that lists had better be made anew."""
        keys = vectors.keys
        if np.array_equal(keys, self.keys):
            return self
        if not 1 / OUTGROWN <= len(keys) / self.made_for <= OUTGROWN:
            return None
        gone, new = np.setdiff1d(self.keys, keys, True), np.flatnonzero(~np.isin(keys, self.keys, True))
        index = faiss.clone_index(self.index)
        if len(gone):
            index.remove_ids(faiss.IDSelectorBatch(gone))
        if len(new):
            index.add_with_ids(l2_normalize(vectors.embeddings[new], index.d), keys[new])
        return replace(self, index=index, keys=keys)

    def save(self, path: Path, write: Callable[..., object] = write_atomically_with) -> dict[str, Any]:
        """``write`` the lists."""
        write(path, lambda file: faiss.write_index(self.index, faiss.PyCallbackIOWriter(file.write)))
        kept = ("dim", "made_for", "probes", "candidates", "recall")
        return {name: getattr(self, name) for name in kept}

    @classmethod
    def load(cls, file: BinaryIO, keys: np.ndarray, values: dict[str, Any]) -> IVFIndex:
        """What :meth:`save` wrote. Raises RuntimeError when it is of other keys, TypeError for other ``values``."""
        index = faiss.read_index(faiss.PyCallbackIOReader(file.read))
        if index.ntotal != len(keys):
            raise RuntimeError(f"the index holds {index.ntotal} vectors, expected {len(keys)}")
        return cls(index, keys, **values)


@cache
def _visiting(lists: int) -> Any:
    """Kept, since to make one takes a tenth of a search."""
    return faiss.SearchParametersIVF(nprobe=lists)
