"""What the drawing of a map needs (``assets/map.js``), for the app and as one HTML page that can be mailed."""

from __future__ import annotations

import base64
from dataclasses import astuple
from typing import Any

import numpy as np
from markupsafe import Markup

from unifex.core.language import say, words_for_scripts
from unifex.core.templates import render
from unifex.core.text import plural
from unifex.core.thumbnails import data_uri
from unifex.gallery.gallery import Gallery, GalleryError
from unifex.gallery.neighbours import Neighbours
from unifex.gallery.snapshot import CategoricalColumn, ItemTable
from unifex.maps.clusters import clusters
from unifex.maps.projection import Map


def map_data(columns: ItemTable, near: Neighbours, drawn: Map, other: Map | None = None) -> dict[str, Any]:
    """Ids, coordinates, clusters and the columns to colour by, arrays in base64. ``other``: a second map of the same
    items. Raises ``GalleryError`` for a map of other items: some came or went while it was made."""
    if not all(np.array_equal(made.ids, columns.ids) for made in (drawn, other) if made):
        raise GalleryError(say("items came or went while the map was made; make it again"))
    verdicts = first_hits(columns, near)
    named = {"domain": columns.domains, "label": columns.labels, "split": columns.splits, "first hit": verdicts}
    data: dict[str, Any] = {
        "ids": _encoded(columns.ids, np.int32),
        "places": _encoded(drawn.coords, np.float32),
        "model": drawn.model,
        "clusters": [astuple(cluster) for cluster in clusters(drawn.coords, columns)],
        "columns": [
            {"title": title, "names": [str(name) for name in column.names], "codes": _encoded(column.codes, np.int32)}
            for title, column in named.items()
            if len(column.names) > 1 or title == "domain"
        ],
    }
    return data | ({"other": {"model": other.model, "places": _encoded(other.coords, np.float32)}} if other else {})


def first_hits(columns: ItemTable, near: Neighbours) -> CategoricalColumn:
    """Whether the nearest other item that has a label has an item's own: right, wrong, or no label, which says nothing
    of an item, nor of one that is near to it."""
    classes = columns.classes
    found = np.where(near.found, classes[near.positions], -1)
    first = found[np.arange(len(found)), (found >= 0).argmax(axis=1)] if found.shape[1] else np.full(len(found), -1)
    unknown = (classes < 0) | (first < 0)
    return CategoricalColumn(
        np.array(["no label", "right", "wrong"], object), np.where(unknown, 0, np.where(first == classes, 1, 2))
    )


def _encoded(values: np.ndarray, kind: type) -> str:
    return base64.b64encode(np.ascontiguousarray(values, kind).tobytes()).decode()


def page(gallery: Gallery, drawn: Map, other: Map | None = None, thumbnails: bool = False) -> str:
    """One self-contained HTML page: Plotly, the data and, if wanted, every item's thumbnail are inside."""
    from plotly.offline import get_plotlyjs

    current, near = gallery.neighbours()
    data = map_data(current.columns, near, drawn, other)
    data["cards"] = [
        [record.id, record.label, record.path, data_uri(gallery.thumbnail(record.sha256)) if thumbnails else ""]
        for record in gallery.records(current.columns.ids)
    ]
    items = plural(len(current), "item", "items")
    title = f"{gallery.name}: {items}, {drawn.model}"
    return render("map.html", title=title, words=words_for_scripts(), plotly_js=Markup(get_plotlyjs()), data=data)
