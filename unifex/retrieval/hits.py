"""What a search answers: :class:`Hit` and :class:`SearchResult`."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from unifex.core import thumbnails
from unifex.core.templates import render
from unifex.gallery import pictures
from unifex.gallery.database import Database
from unifex.gallery.gallery import Gallery, Record
from unifex.gallery.snapshot import Snapshot


@dataclass(frozen=True)
class Hit:
    """An item that was found. ``rank`` from 1; ``score`` is the cosine similarity, -1 to 1.

    ``probability``: 0..1 that it is right, as the gallery's labels tell; None when they cannot. ``copies``: the ids of
    its near-copies that might have been found, too; None where hits are not folded. ``database``: what its
    thumbnail is read from. A notebook shows it.
    """

    rank: int
    score: float
    record: Record
    probability: float | None = None
    copies: tuple[int, ...] | None = None
    database: Database | None = field(default=None, repr=False, compare=False)

    @property
    def path(self) -> str:
        """How its source calls the item."""
        return self.record.path

    @property
    def label(self) -> str:
        """Its class or instance; empty when unknown."""
        return self.record.label

    @property
    def domain(self) -> str:
        """Its domain; empty when unknown."""
        return self.record.domain

    @property
    def picture(self) -> str:
        """Its thumbnail as the ``src`` of an <img>, in itself; empty when it is lost."""
        data = pictures.thumbnail(self.database, self.record.sha256) if self.database else b""
        if not data:
            return ""
        return f"data:{thumbnails.media_type(data)};base64,{base64.b64encode(data).decode()}"

    def _repr_html_(self) -> str:
        return render("notebook_hits.html", hits=[self])

    def as_json(self) -> dict[str, Any]:
        """As the command line and the served endpoint give it."""
        return {
            "rank": self.rank,
            "path": self.path,
            "uri": self.record.uri,
            "label": self.label,
            "domain": self.domain,
            "score": round(self.score, 6),
            "chance": None if self.probability is None else round(self.probability, 4),
            **({} if self.copies is None else {"copies": len(self.copies)}),
            **({"tags": list(self.record.tags)} if self.record.tags else {}),
            **({"extra": dict(self.record.labels.extra)} if self.record.labels.extra else {}),
        }


@dataclass(frozen=True)
class SearchResult:
    """Hits, best first (in lists by hundreds and thousands: ``VectorIndex.search``), and what was searched in how many
    seconds.

    ``out_of_gallery``: True when even what is most alike is so little alike that the query's thing is probably not in
    the gallery; None when only a part of it was searched, something was left out, or marked as more like it, or its
    labels cannot tell.
    ``searched``: how many of the gallery's ``items`` the filters left to search among. ``named``: how many of the hits
    come first since their labels hold the words that were searched with. ``trusted_from``: the similarity that hits
    were to have for a share of false accepts; None where there was none to keep. ``best``: the similarity of what is
    most alike of all that was searched, also where it is less than hits were to have; -1 where there is nothing.
    """

    hits: list[Hit]
    reranked: bool
    out_of_gallery: bool | None
    items: int
    searched: int
    model: str
    index: str
    dim: int
    embed_seconds: float
    search_seconds: float
    named: int = 0
    trusted_from: float | None = None
    best: float = -1.0

    def _repr_html_(self) -> str:
        return render("notebook_hits.html", hits=self.hits)


def hits_at(
    gallery: Gallery,
    snapshot: Snapshot,
    positions: np.ndarray,
    scores: np.ndarray,
    chances: np.ndarray | None = None,
) -> list[Hit]:
    """The items at these positions of the snapshot, best first, with their scores and, where they can be told, the
    ``chances`` 0..1 that they are right."""
    ids = snapshot.columns.ids[positions].tolist()
    records = {record.id: record for record in gallery.records(ids)}
    told: list[float | None] = [None] * len(ids) if chances is None else chances.tolist()
    alive = [
        (records[item], score, chance) for item, score, chance in zip(ids, scores.tolist(), told) if item in records
    ]
    return [
        Hit(rank, score, record, chance, database=gallery.database)
        for rank, (record, score, chance) in enumerate(alive, start=1)
    ]
