"""What the drawing of a map needs (``assets/map.js``), for the app and as one HTML page that can be mailed."""

from __future__ import annotations

import base64
import json
from html import escape
from typing import Any

import numpy as np

from unifex.core import images
from unifex.core.assets import ASSETS
from unifex.gallery.gallery import Gallery
from unifex.gallery.neighbours import Neighbours
from unifex.gallery.snapshot import CategoricalColumn, ItemTable
from unifex.maps.projection import Map

PAGE_CSS = (
    "body { font: 15px system-ui, sans-serif; margin: 0 auto; padding: 14px; max-width: 1400px; }\n"
    ".dark { background: #0f172a; color: #e2e8f0; }\nh1 { font-size: 1.2rem; margin: 0 0 2px; }\n"
    "p { margin: 0 0 10px; opacity: .75; font-size: .86rem; }\n.map-plot { height: 84vh; }\n"
)
# A page that holds no thumbnail shows label and path alone. Nothing is loaded from anywhere.
PAGE_JS = """
document.body.classList.toggle('dark', matchMedia('(prefers-color-scheme: dark)').matches);
const cards = new Map(MAP.cards.map(([id, label, path, image]) => [id, { label, path, image }]));
drawMap(document.querySelector('.map'), MAP, { card: async (id) => cards.get(id) });
"""


def map_data(columns: ItemTable, near: Neighbours, drawn: Map, other: Map | None = None) -> dict[str, Any]:
    """Ids, places and the columns to colour by, arrays in base64. ``other``: a second map of the same items."""
    verdicts = first_hits(columns, near)
    named = {"domain": columns.domains, "label": columns.labels, "split": columns.splits, "first hit": verdicts}
    data: dict[str, Any] = {
        "ids": _encoded(columns.ids, np.int32),
        "places": _encoded(drawn.places, np.float32),
        "model": drawn.model,
        "columns": [
            {"title": title, "names": [str(name) for name in column.names], "codes": _encoded(column.codes, np.int32)}
            for title, column in named.items()
            if len(column.names) > 1 or title == "domain"
        ],
    }
    return data | ({"other": {"model": other.model, "places": _encoded(other.places, np.float32)}} if other else {})


def first_hits(columns: ItemTable, near: Neighbours) -> CategoricalColumn:
    """Whether every item's nearest other item has its label: right, wrong, or no label."""
    first, classes = near.positions[:, 0], columns.classes
    right = (first >= 0) & (classes[first] == classes)
    return CategoricalColumn(
        np.array(["no label", "right", "wrong"], object), np.where(classes < 0, 0, np.where(right, 1, 2))
    )


def _encoded(values: np.ndarray, kind: type) -> str:
    return base64.b64encode(np.ascontiguousarray(values, kind).tobytes()).decode()


def page(gallery: Gallery, drawn: Map, other: Map | None = None, thumbnails: bool = False) -> str:
    """One self-contained HTML page: Plotly, the data and, if wanted, every item's thumbnail are inside."""
    from plotly.offline import get_plotlyjs

    current, near = gallery.neighbours()
    data = map_data(current.columns, near, drawn, other)
    data["cards"] = [
        [record.id, record.label, record.path, images.data_uri(gallery.thumbnail(record.sha256)) if thumbnails else ""]
        for record in gallery.records(current.columns.ids)
    ]
    title = f"{escape(gallery.name)}: {len(current):,} items, {escape(drawn.model)}"
    script = json.dumps(data, ensure_ascii=False).replace("<", "\\u003c")  # no name may end the script element
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_asset('map.css')}{PAGE_CSS}</style><script>{get_plotlyjs()}</script></head><body>"
        f"<h1>{title}</h1><p>Every point is an image; images that look alike lie close. Drag to select, double-click "
        f"to undo, scroll to zoom, click the legend to hide.</p>{_asset('map.html')}"
        f"<script>const MAP = {script};\n{_asset('map.js')}{PAGE_JS}</script></body></html>\n"
    )


def _asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")
