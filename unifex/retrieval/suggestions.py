"""A part of the query that is found where the whole is not: the picture within a screenshot, a panel of a collage, a
thing on a shelf.

Each part that is proposed searches, and so does each of the windows that cover the picture; the best of those that find
different items are moved and resized while what they find becomes more alike. A window that shares half of its area
with a thing finds it mostly, so that few are needed; the right one then tells itself by a similarity that grows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from unifex.core import images
from unifex.core.regions import Region
from unifex.gallery.gallery import Gallery
from unifex.models.image_like import Crop, ImageLike
from unifex.retrieval.filters import Filters
from unifex.retrieval.hits import SearchResult
from unifex.retrieval.proposals import WINDOWS, Proposal, propose, seen, windows
from unifex.retrieval.query import Query
from unifex.retrieval.search import search
from unifex.vector_index.matches import Exclusion

MARGIN = 0.2  # of similarity that a box must be ahead of the whole: the best of several is a little ahead by chance
STARTS = 3  # parts that are moved
MOVES = (0.25, 0.15)  # of a part's side, round after round
LEAST_SIDE = 0.05  # of the picture
LEAST_DETAIL = 0.4  # of the picture's own: what is nearly of one colour finds whatever else is


@dataclass(frozen=True)
class Suggestion:
    """``region``: the part of the image that is found; ``result``: what it finds, as a search with it says;
    ``reason``: why the part was tried, as a :class:`Proposal` says."""

    region: Region
    result: SearchResult
    reason: str


@dataclass(frozen=True)
class _Tried:
    part: Proposal
    position: int  # of what is most alike
    score: float


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
    """The part of an image to search with when what it finds is more alike than ``whole``, what all of it found, by
    :data:`MARGIN`, and no stranger to the gallery, as far as its labels tell. None when there is no such part.

    That the whole is no stranger says little: a page with something of the gallery on it is a little like it. The
    arguments are those of the search; raises as it does. It embeds some 90 parts, unless none can be so far ahead.
    """
    if isinstance(image, Crop) or not may_be_better(whole):
        return None
    side = gallery.embedder.backbone.preprocessing.size
    picture = seen(image, round(side / min(WINDOWS)))
    snapshot, dim = gallery.snapshot(), gallery.dim_of(dim)
    index, excluded = gallery.index_of(snapshot, dim), Exclusion(filters.mask(snapshot))
    if not excluded.count(len(snapshot)):
        return None

    def tried(parts: Sequence[Proposal]) -> list[_Tried]:
        parts = [part for part in parts if _detail(images.cut(picture, part.region)) >= least]
        if not parts:
            return []
        embeddings = gallery.embedder.embed([Crop(picture, part.region) for part in parts], dim)
        matches = index.search(embeddings, 1, excluded)
        return list(map(_Tried, parts, matches.positions[:, 0].tolist(), matches.scores[:, 0].tolist()))

    least = LEAST_DETAIL * _detail(picture)
    part = _best_part(tried, [*propose(picture), *windows(picture.size)])
    if part is None:
        return None
    result = search(gallery, [Crop(image, part.region)], k, filters, dim, rerank, fold)
    if not result.hits or result.out_of_gallery or result.best < whole.best + MARGIN:
        return None
    return Suggestion(part.region, result, part.reason)


def search_with_part(
    gallery: Gallery,
    query: Query,
    image: ImageLike | None,
    k: int = 10,
    filters: Filters = Filters(),
    dim: int | None = None,
    rerank: bool = False,
    fold: str = "",
) -> tuple[SearchResult, Query, Region | None]:
    """What a query finds, or the part of the ``image`` that it is (None: of none) where :func:`suggest` has one; what
    was searched with, and that part. Raises as :func:`search` does."""
    result = search(gallery, query, k, filters, dim, rerank, fold)
    others = replace(filters, exclude=filters.exclude | frozenset(query.items))
    part = None if image is None else suggest(gallery, image, result, k, others, dim, rerank, fold)
    return (part.result, replace(query, regions=(part.region,)), part.region) if part else (result, query, None)


def may_be_better(whole: SearchResult) -> bool:
    """Whether a part can be ahead by :data:`MARGIN` of what all of an image found."""
    return whole.best + MARGIN <= 1


def _best_part(tried: Callable[[Sequence[Proposal]], list[_Tried]], parts: Sequence[Proposal]) -> Proposal | None:
    """What finds the most alike after the best parts, of different items, were moved; None where all are even."""
    best: dict[int, _Tried] = {}
    for one in sorted(tried(parts), key=lambda one: one.score, reverse=True):
        best.setdefault(one.position, one)
    moved = list(best.values())[:STARTS]
    for share in MOVES:
        moved = [max([one, *tried(_moves(one.part, share))], key=lambda one: one.score) for one in moved]
    return max(moved, key=lambda one: one.score).part if moved else None


def _moves(part: Proposal, share: float) -> list[Proposal]:
    """The part with each of its sides further out, and further in, by this share of the part."""
    region, found = part.region, []
    corners = np.array([region.x, region.y, region.x + region.w, region.y + region.h])
    for side in range(4):
        for step in (-share, share):
            box = corners.copy()
            box[side] = np.clip(box[side] + step * (region.w, region.h)[side % 2], 0, 1)
            (left, upper), (right, lower) = box[:2].tolist(), box[2:].tolist()
            if min(right - left, lower - upper) >= LEAST_SIDE and (box != corners).any():
                found.append(replace(part, region=Region(left, upper, right - left, lower - upper)))
    return found


def _detail(picture: Image.Image) -> float:
    """How much its brightness varies: the standard deviation, 0 to 128."""
    return float(np.asarray(picture.convert("L").resize((32, 32), Image.Resampling.BOX), np.float32).std())
