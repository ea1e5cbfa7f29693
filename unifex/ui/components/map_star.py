"""Where on the map the query stands: a star, joined to the hits that were found."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from unifex.gallery.gallery import Gallery
from unifex.maps.projection import Map, interpolated, kept_map
from unifex.retrieval.query import Query
from unifex.retrieval.search import search
from unifex.ui.page_state import LastResult

LOOKED_FOR = 20  # items of the whole gallery: the nearest of them that are on the map place the star
JOINED = 10  # hits


def query_star(gallery: Gallery, found: LastResult) -> str:
    """What assets/map.js draws, as JSON; empty where there is no map, or nothing on it. Raises ``UnifexError``."""
    kept = kept_map(gallery)
    place = _place(gallery, kept, found.query) if kept else None
    if kept is None or place is None:
        return ""
    hits = kept.ids[_rows(kept, found.ids[:JOINED])]
    return json.dumps({"place": place.tolist(), "hits": hits.tolist()})


def _place(gallery: Gallery, kept: Map, query: Query) -> np.ndarray | None:
    """An item alone stands where it is, all else by what is nearest of the whole gallery, whatever is filtered."""
    if len(query.items) == 1 and query == Query(items=query.items, text_weight=query.text_weight):
        own = _rows(kept, query.items)
        if len(own):
            return kept.coords[own[0]]
    near = {hit.record.id: hit.score for hit in search(gallery, query, LOOKED_FOR).hits}
    rows = _rows(kept, list(near))
    if not len(rows):
        return None
    return interpolated(kept.coords[rows], np.array([near[item] for item in kept.ids[rows].tolist()]))


def _rows(kept: Map, ids: Sequence[int]) -> np.ndarray:
    """The rows of those of the items that are on the map, in their order."""
    wanted = np.array(ids, np.int64)
    at = np.searchsorted(kept.ids, wanted)
    there = at < len(kept.ids)
    there[there] = kept.ids[at[there]] == wanted[there]
    return at[there]
