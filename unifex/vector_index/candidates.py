"""What an index type is: whoever proposes, fast, which items are near enough a query to be looked at exactly.

A new one is a class in a file beside this and a line of :data:`unifex.vector_index.index_types.INDEX_TYPES`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Self

import numpy as np

from unifex.core.errors import UnifexError
from unifex.vector_index.matches import Matches

EVERYTHING = float("inf")  # the budget with which all of an index is looked at


class StoreError(UnifexError):
    """A store of vectors is unknown, not installed, does not answer or refuses; the message names the remedy."""


@dataclass(frozen=True)
class Vectors:
    """What is indexed: ``embeddings`` float32 [N, d], L2 norm 1, and ascending ``keys`` int64 [N], one a vector.

    For index types that filter by themselves: ``domains`` and ``splits`` object [N], and the gallery's ``version``,
    which grows.
    """

    embeddings: np.ndarray
    keys: np.ndarray
    domains: np.ndarray
    splits: np.ndarray
    version: int = 0

    @classmethod
    def of(cls, embeddings: np.ndarray) -> Vectors:
        """float32 [N, d] that are called by their positions, of no domain and no split."""
        return cls.keyed(embeddings, np.arange(len(embeddings)))

    @classmethod
    def keyed(cls, embeddings: np.ndarray, keys: np.ndarray) -> Vectors:
        """float32 [N, d] and int64 [N], of no domain and no split."""
        return cls(embeddings, keys, np.full(len(keys), "", object), np.full(len(keys), "", object))

    def __len__(self) -> int:
        return len(self.embeddings)


@dataclass(frozen=True)
class Place:
    """Where an index type outside this process keeps vectors: how people named the ``store``, the gallery's ``folder``
    and the name of the ``collection`` of these vectors."""

    store: str
    folder: Path
    collection: str


class CandidateIndex(ABC):
    """Proposes candidates, which :class:`~unifex.vector_index.exact.VectorIndex` ranks exactly.

    ``kind``: its name as a store and in ``derived.json``; ``store_help``: how people name it as a store, empty when
    they cannot. ``max_vectors``: it is taken by itself up to so many, 0 when only its name as a store asks for it.
    ``exact``: its similarities are those of the whole embeddings, of all of them, to float32's precision.
    ``recall``: share of the exact ten nearest that are among the candidates, if that was measured.
    """

    kind: ClassVar[str]
    store_help: ClassVar[str] = ""
    max_vectors: ClassVar[float] = 0
    exact: ClassVar[bool] = False
    recall: float | None

    @property
    @abstractmethod
    def title(self) -> str:
        """What it is, for people: on the page and in ``info``."""

    @property
    def nbytes(self) -> int:
        """What it takes of this process's memory, beside the embeddings."""
        return 0

    @classmethod
    @abstractmethod
    def build(cls, vectors: Vectors, place: Place | None = None) -> Self:
        """Over these vectors; ``place`` is there for those that a store names."""

    @abstractmethod
    def n_candidates(self, k: int) -> int:
        """How many candidates ``k`` hits need."""

    @abstractmethod
    def search(self, queries: np.ndarray, n_candidates: int, mask: np.ndarray | None, budget: float) -> Matches:
        """Candidates of every query: :class:`Matches` [Q, n_candidates] or wider.

        ``queries`` float32 [Q, d], L2 norm 1. ``mask`` bool [N]: only where it is True. ``budget`` from 1: how many
        times the usual part of the index is looked at.
        """

    def updated(self, vectors: Vectors) -> Self | None:
        """This index for other vectors, where a key always has the same one; None when it had better be built anew.

        Searches in the old one go on.
        """
        return None

    def save(self, path: Path, write: Callable[..., object]) -> dict[str, Any] | None:
        """``write(path, writer)`` it; what :meth:`load` needs besides, as JSON. None when building it is as quick."""
        return None

    @classmethod
    def load(cls, file: BinaryIO, keys: np.ndarray, values: dict[str, Any]) -> Self:
        """What :meth:`save` wrote. Raises RuntimeError when it is of other keys, TypeError for other ``values``."""
        raise NotImplementedError(f"{cls.__name__} is not kept")

    # --- what a store outside the gallery's folder needs besides ---

    @classmethod
    def absolute(cls, store: str, folder: Path) -> str:
        """A store as a gallery in ``folder`` notes it, from whichever working directory. Raises :class:`StoreError`."""
        return store

    @classmethod
    def is_elsewhere(cls, store: str) -> bool:
        """Whether its vectors outlive the gallery's folder."""
        return False

    @classmethod  # noqa: B027 (most types have nothing to do here)
    def forget(cls, store: str, folder: Path, prefix: str, but: str = "") -> None:
        """Drop the collections whose name begins with ``prefix``, except one. Raises :class:`StoreError`."""

    @classmethod  # noqa: B027 (most types have nothing to do here)
    def release(cls, store: str, folder: Path) -> None:
        """Let go of its files, so that they can be moved, deleted or used by another program."""
