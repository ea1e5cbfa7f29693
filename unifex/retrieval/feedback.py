"""Relevance feedback: what was marked as more, or less, like what is searched for moves the query. Nothing is embedded.

Two rankings, which are equal within noise (``python -m benchmarks.feedback``); the first is the default:

- ``rocchio``: the query becomes the weighted sum of itself, the mean of what is liked and, negative, the mean of what
  is not (Rocchio 1971; Manning, Raghavan, Schütze: Introduction to Information Retrieval, 2008, equation 9.3). It is
  one vector still, so that every index type, filter and re-ranking treats it as any other.
- ``nearest``: by the nearest marked item, as Giacinto and Roli (Instance-based relevance feedback for image retrieval,
  2004, section 3) do. Their score, d(disliked) / (d(liked) + d(disliked)), is worse here than the weighted difference
  of the two similarities, since what lies far from both is as good to it as what lies near both.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from unifex.core import ranges
from unifex.core.arrays import positions_of
from unifex.core.language import say
from unifex.core.vectors import l2_normalize
from unifex.gallery.gallery import GalleryError
from unifex.gallery.snapshot import Snapshot
from unifex.retrieval.query import Query
from unifex.vector_index.exact import VectorIndex
from unifex.vector_index.matches import Exclusion, Matches
from unifex.vector_index.metric import similarities

CANDIDATES = 256  # of every liked item; however many hits are asked for, the first are the same
NEAREST_DISLIKED = 0.25  # of `nearest`: what the similarity to the nearest disliked item takes away


@dataclass(frozen=True)
class Weights:
    """Of Rocchio's sum. ``disliked`` stays below the others, lest a mark on a copy of the query leave nothing of it."""

    query: float
    liked: float
    disliked: float


WEIGHTS = Weights(1.0, 4.0, 0.5)


@dataclass(frozen=True)
class Marks:
    """What is marked, as positions in a snapshot: int64 [m] and [n]. Items that went are not there any more."""

    liked: np.ndarray
    disliked: np.ndarray

    @classmethod
    def of(cls, query: Query, snapshot: Snapshot) -> Marks:
        """Those of a query. Raises ``GalleryError`` when it has nothing else, and none of what is liked is there."""
        marks = cls(_positions(snapshot, query.more), _positions(snapshot, query.less))
        if query.more and not (len(marks.liked) or query.shows or query.text):
            raise GalleryError(say("what was marked as more like it is no longer in the gallery; mark another item"))
        return marks


def _positions(snapshot: Snapshot, ids: Iterable[int]) -> np.ndarray:
    positions = positions_of(snapshot.columns.ids, np.array(sorted(set(ids)), np.int64))
    return positions[positions >= 0]


@dataclass(frozen=True)
class MarkedQuery:
    """``shown`` [1, d], or [0, d] where marks are all there is, with what is ``liked`` [m, d] and ``disliked`` [n, d].

    All float32 with L2 norm 1, of one model at one dimension. ``agreement`` 0..1: how alike the images are whose mean
    is what is shown, the length of that before it was made 1; a similarity times this is the mean of those to each.
    """

    shown: np.ndarray
    liked: np.ndarray
    disliked: np.ndarray
    agreement: float = 1.0

    @classmethod
    def of(cls, images: np.ndarray, liked: np.ndarray, disliked: np.ndarray) -> MarkedQuery:
        """With the embeddings [n, d] of the images that show it."""
        if len(images) < 2:
            return cls(images, liked, disliked)
        mean = images.mean(axis=0, keepdims=True)
        return cls(l2_normalize(mean, mean.shape[1]), liked, disliked, float(np.linalg.norm(mean)))

    def moved(self, weights: Weights = WEIGHTS) -> np.ndarray:
        """Rocchio's sum, L2 norm 1: float32 [1, d]. Without a mark it is what is shown."""
        if not (len(self.liked) or len(self.disliked)):
            return self.shown
        parts = (self.shown, weights.query), (self.liked, weights.liked), (self.disliked, -weights.disliked)
        means = [weight * part.mean(axis=0, keepdims=True) for part, weight in parts if len(part)]
        return l2_normalize(np.sum(means, axis=0), self.liked.shape[1])

    @property
    def as_one(self) -> float:
        """What a similarity to what is :attr:`wanted` is to be multiplied by to count as one to a single image, of
        which it is known what that means (``Calibration``).

        The mean of several is more alike to anything than each is. Times its length before that was made 1, a
        similarity is the mean of those to each, which is too little: what is like one of them is the same thing. The
        root of that length lies between.
        """
        if not len(self.liked):
            return self.agreement**0.5
        parts, weight = WEIGHTS.liked * self.liked.mean(axis=0), WEIGHTS.liked
        if len(self.shown):
            parts, weight = parts + WEIGHTS.query * self.shown[0], weight + WEIGHTS.query / self.agreement
        return float(np.linalg.norm(parts) / weight) ** 0.5

    @property
    def wanted(self) -> np.ndarray:
        """The same without what is disliked: float32 [1, d], what similarities are told of."""
        return MarkedQuery(self.shown, self.liked, self.disliked[:0]).moved()

    def search_nearest(self, index: VectorIndex, k: int, excluded: Exclusion) -> Matches:
        """The best ``k`` by what is marked nearest: :class:`Matches` [1, w].

        A score is the similarity to the nearest of what is shown or liked, less :data:`NEAREST_DISLIKED` times that to
        the nearest disliked. Candidates are those nearest to each that is shown or liked; behind them come others, by
        the first of the two alone.
        """
        wanted = np.concatenate([self.shown, self.liked])
        depth = CANDIDATES if k <= CANDIDATES else max(k, int(ranges.HITS.high))  # others are the same for any page
        found = index.search(wanted, depth, excluded)
        first = _positions_in(found, slice(CANDIDATES))
        others = np.setdiff1d(_positions_in(found, slice(CANDIDATES, None)), first, assume_unique=True)
        ranked = _ranked(index.embeddings, first, wanted, self.disliked).beside(
            _ranked(index.embeddings, others, wanted, self.disliked[:0])
        )
        return Matches(ranked.scores[:, :k], ranked.positions[:, :k])


def _positions_in(found: Matches, ranks: slice) -> np.ndarray:
    """Ascending, each once."""
    return np.unique(found.positions[:, ranks][found.found[:, ranks]])


def _ranked(embeddings: np.ndarray, positions: np.ndarray, wanted: np.ndarray, disliked: np.ndarray) -> Matches:
    """All of them, best first."""
    scores = nearest_scores(embeddings[positions], wanted, disliked)
    return Matches(scores[None], positions[None]).top_k(len(positions))


def nearest_scores(
    items: np.ndarray, wanted: np.ndarray, disliked: np.ndarray, weight: float = NEAREST_DISLIKED
) -> np.ndarray:
    """Of items [N, d] by the nearest of ``wanted`` [m, d], at least one, and of ``disliked`` [n, d]: float32 [N]."""
    scores = similarities(wanted, items).max(axis=0)
    return scores - weight * similarities(disliked, items).max(axis=0) if len(disliked) else scores
