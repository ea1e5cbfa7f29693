"""Every similarity is computed: up to 50,000 vectors, this takes about as long as embedding the query does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from unifex.core.language import say
from unifex.vector_index.candidates import CandidateIndex, Place, Vectors
from unifex.vector_index.matches import Matches
from unifex.vector_index.metric import FAISS_METRIC, faiss


@dataclass(frozen=True)
class FlatIndex(CandidateIndex):
    """All of them, at full length; ``index`` is one of FAISS."""

    kind: ClassVar[str] = "flat"
    max_vectors: ClassVar[float] = 50_000
    exact: ClassVar[bool] = True
    index: Any
    embeddings: np.ndarray
    recall: float | None = 1.0

    @classmethod
    def build(cls, vectors: Vectors, place: Place | None = None) -> FlatIndex:
        """Over float32 [N, d]."""
        index = faiss.IndexFlat(vectors.embeddings.shape[1], FAISS_METRIC)
        index.add(np.ascontiguousarray(vectors.embeddings))
        return cls(index, vectors.embeddings)

    @property
    def title(self) -> str:
        """What it is, for people."""
        return say("exact, {dim}-d", dim=self.index.d)

    @property
    def nbytes(self) -> int:
        """A copy of the embeddings."""
        return self.embeddings.nbytes

    def n_candidates(self, k: int) -> int:
        """Those asked for."""
        return k

    def search(self, queries: np.ndarray, n_candidates: int, mask: np.ndarray | None, budget: float) -> Matches:
        """The nearest, whatever the budget."""
        parameters = None if mask is None else faiss.SearchParameters(sel=selector(mask))
        return Matches(*self.index.search(np.ascontiguousarray(queries, np.float32), n_candidates, params=parameters))

    def updated(self, vectors: Vectors) -> FlatIndex | None:
        """Itself where labels alone have changed."""
        return self if vectors.embeddings is self.embeddings else None


def selector(mask: np.ndarray) -> Any:
    """bool [N] as FAISS has it."""
    return faiss.IDSelectorBitmap(np.packbits(mask, bitorder="little"))
