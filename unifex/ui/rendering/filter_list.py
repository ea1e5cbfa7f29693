"""What `assets/filters.js` offers to filter by."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from unifex.retrieval.facets import Facet
from unifex.retrieval.filters import FACETS


def facet_list(found: Iterable[Facet], public: bool = False) -> list[dict[str, Any]]:
    """Facets as JSON; ``public``: what further columns say is the owner's to know."""
    by_name = {facet.name: facet for facet in found if facet.name in FACETS or not public}
    in_order = [*(name for name in FACETS if name in by_name), *(name for name in by_name if name not in FACETS)]
    return [_as_json(by_name[name]) for name in in_order]


def _as_json(facet: Facet) -> dict[str, Any]:
    told = {"name": facet.name, "names": facet.names, "counts": list(facet.counts.items())}
    return told if facet.low is None else {**told, "low": facet.low, "high": facet.high}
