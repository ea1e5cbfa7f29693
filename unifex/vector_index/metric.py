"""How alike two vectors are: every score of the program is one of this metric, so another is a change of this file.

Vectors have the length one (:func:`unifex.core.vectors.l2_normalize`), so that their inner product is the cosine.
"""

from __future__ import annotations

from typing import Any

import faiss as _faiss
import numpy as np

faiss: Any = _faiss  # what its Python side adds (keyword parameters, readers and writers) is in no stub
FAISS_METRIC = faiss.METRIC_INNER_PRODUCT
MILVUS_METRIC = "IP"


def similarities(queries: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Of every query [Q, d] with every item [N, d]: [Q, N]."""
    return queries @ items.T


def similarities_of_pairs(queries: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Of every query [Q, d] with its own candidates [Q, c, d]: [Q, c], in the wider of the two dtypes."""
    return np.einsum("qd,qcd->qc", queries, candidates)


def exact_similarities(queries: np.ndarray, embeddings: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Of every query [Q, d] with the ``embeddings`` [N, d] at ``positions`` [Q, c]: float32 [Q, c], alike in any batch.

    The sum is in float64, so that equal vectors have equal similarities.
    """
    chosen = embeddings[positions].astype(np.float64)
    return similarities_of_pairs(queries.astype(np.float64), chosen).astype(np.float32)


def brute_force(queries: np.ndarray, embeddings: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The ``k`` most similar to every query [Q, d] float32: similarities and positions [Q, k], by FAISS."""
    return faiss.knn(np.ascontiguousarray(queries, np.float32), embeddings, k, metric=FAISS_METRIC)
