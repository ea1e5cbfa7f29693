"""What the Map tab lists beside the drawing: items in the lasso, items that moved most."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from markupsafe import Markup

from unifex.core.tables import to_csv
from unifex.core.templates import render
from unifex.gallery.gallery import Gallery, Record
from unifex.ui.rendering.cards import cards_of
from unifex.ui.rendering.html import data_uri

MOST_SHOWN = 500  # of what was chosen
# The CSV of the items. A column is a line here; `uri` is empty for strangers.
COLUMNS: dict[str, Callable[[Record], str]] = {
    "path": lambda item: item.path,
    "label": lambda item: item.label,
    "domain": lambda item: item.domain,
    "split": lambda item: item.split,
    "uri": lambda item: item.uri,
}


def chosen(records: Sequence[Record], places: bool) -> Markup:
    """How many items were chosen, and how many the grid below shows. ``places``: the CSV tells where images lie."""
    shown = [value if places or name != "uri" else (lambda _: "") for name, value in COLUMNS.items()]
    table = to_csv(COLUMNS, ([value(record) for value in shown] for record in records))
    return render("map_chosen.html", count=len(records), shown=min(MOST_SHOWN, len(records)), csv=data_uri(table))


def moved(gallery: Gallery, records: Iterable[Record]) -> Markup:
    """Items that lie elsewhere on a second map."""
    return render("map_moved.html", gallery=gallery.name, shown=cards_of(gallery, records))
