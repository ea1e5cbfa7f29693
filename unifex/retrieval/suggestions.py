"""A part of the query that is found where the whole is not: the picture within a screenshot, a panel of a collage."""

from __future__ import annotations

from dataclasses import dataclass

from unifex.core.regions import Region
from unifex.gallery.gallery import Gallery
from unifex.models.embedder import Crop, ImageLike
from unifex.retrieval.filters import Filters
from unifex.retrieval.hits import SearchResult
from unifex.retrieval.proposals import propose
from unifex.retrieval.search import search

MARGIN = 0.2  # of similarity that a box must be ahead of the whole: the best of several is a little ahead by chance


@dataclass(frozen=True)
class Suggestion:
    """``region``: the part of the image that is found; ``result``: what it finds, as a search with it says;
    ``reason``: why the part was tried, as a :class:`Proposal` says."""

    region: Region
    result: SearchResult
    reason: str


def suggest(
    gallery: Gallery,
    image: ImageLike,
    whole: SearchResult,
    k: int = 10,
    filters: Filters = Filters(),
    dim: int | None = None,
    rerank: bool = False,
    fold: str = "",
) -> Suggestion | None:
    """The part of an image to search with when ``whole``, what all of it found, cannot be trusted but the part can.

    What can be trusted is told by the gallery's labels (``SearchResult.out_of_gallery``); where these cannot tell,
    the part has to be more alike by :data:`MARGIN`, as it has to be in any case. None when there is no such part.
    The arguments are those of the search; raises as it does.
    """
    if whole.out_of_gallery is False or isinstance(image, Crop):
        return None
    tried = [
        Suggestion(part.region, search(gallery, [Crop(image, part.region)], k, filters, dim, rerank, fold), part.reason)
        for part in propose(image)
    ]
    trusted = [one for one in tried if not one.result.out_of_gallery]
    best = max(trusted, key=lambda one: _best(one.result), default=None)
    return best if best and _best(best.result) >= _best(whole) + MARGIN else None


def _best(result: SearchResult) -> float:
    return max((hit.score for hit in result.hits), default=-1.0)
