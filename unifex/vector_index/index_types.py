"""The table of index types, and which of them a gallery has: by the number of its vectors, or by its store's name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, BinaryIO

import numpy as np

from unifex.core.language import say
from unifex.vector_index.candidates import CandidateIndex, Place, StoreError, Vectors
from unifex.vector_index.exact import VectorIndex
from unifex.vector_index.flat_index import FlatIndex
from unifex.vector_index.ivf_index import IVFIndex
from unifex.vector_index.milvus_index import MilvusIndex

INDEX_TYPES: dict[str, type[CandidateIndex]] = {kind.kind: kind for kind in (FlatIndex, IVFIndex, MilvusIndex)}
AUTOMATIC = "faiss"  # the store of galleries whose number of vectors chooses


def build(embeddings: np.ndarray, kind: str = "") -> VectorIndex:
    """Index float32 [N, d] embeddings, L2 norm 1, as one of :data:`INDEX_TYPES` does, or as fits their number."""
    return of(Vectors.of(embeddings), INDEX_TYPES[kind] if kind else None)


def of(
    vectors: Vectors,
    kind: type[CandidateIndex] | None = None,
    place: Place | None = None,
    last: CandidateIndex | None = None,
) -> VectorIndex:
    """Index vectors as ``kind``, by default as fits their number; from the ``last`` index where that is quicker."""
    candidates = last.updated(vectors) if last and (kind is None or type(last) is kind) else None
    if candidates is None:
        kind = kind or next(each for each in INDEX_TYPES.values() if len(vectors) <= each.max_vectors)
        candidates = kind.build(vectors, place)
    return VectorIndex(vectors.embeddings, candidates)


def of_store(store: str) -> type[CandidateIndex] | None:
    """What a store (``faiss``, or a type's name with whatever it needs after a colon) stands for; None: by number.

    Raises :class:`StoreError` for a name that none has.
    """
    if store in ("", AUTOMATIC):
        return None
    kind = INDEX_TYPES.get(store.partition(":")[0])
    if kind is None or not kind.store_help:
        named = [AUTOMATIC, *(each.store_help for each in INDEX_TYPES.values() if each.store_help)]
        told = say("no store '{store}'; there are: {known}", store=store.partition(":")[0], known=", ".join(named))
        raise StoreError(told)
    return kind


def loader(settings: dict[str, Any], keys: np.ndarray) -> Callable[[BinaryIO], CandidateIndex] | None:
    """What reads the index that ``settings`` (kind -> what its ``save`` gave) are of; None when there is none to read.

    A kind that this version does not know is none to read: it is made anew.
    """
    kept = [(kind, values) for kind, values in settings.items() if values and kind in INDEX_TYPES]
    return partial(INDEX_TYPES[kept[0][0]].load, keys=keys, values=kept[0][1]) if kept else None
