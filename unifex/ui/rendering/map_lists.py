"""What the Map tab lists beside the drawing: items in the lasso, items that moved most."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from markupsafe import Markup

from unifex.core.tables import to_csv
from unifex.core.templates import render
from unifex.gallery.gallery import Gallery, Record
from unifex.ui.rendering.cards import cards_of, of_gallery
from unifex.ui.rendering.html import data_uri

MOST_CARDS = 48
# The CSV of the items. A column is a line here; `uri` is empty for strangers.
COLUMNS: dict[str, Callable[[Record], str]] = {
    "path": lambda item: item.path,
    "label": lambda item: item.label,
    "domain": lambda item: item.domain,
    "split": lambda item: item.split,
    "uri": lambda item: item.uri,
}


def chosen(gallery: Gallery, records: Sequence[Record], places: bool) -> Markup:
    """Items that were chosen, the first of them as cards. ``places``: the CSV tells where the image files lie."""
    shown = [value if places or name != "uri" else (lambda _: "") for name, value in COLUMNS.items()]
    table = to_csv(COLUMNS, ([value(record) for value in shown] for record in records))
    cards = cards_of(gallery, records[:MOST_CARDS])
    return of_gallery(gallery.name, render("map_chosen.html", count=len(records), shown=cards, csv=data_uri(table)))


def moved(gallery: Gallery, records: Iterable[Record]) -> Markup:
    """Items that lie elsewhere on a second map."""
    return render("map_moved.html", gallery=gallery.name, shown=cards_of(gallery, records))
