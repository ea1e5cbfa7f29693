"""What the Map tab lists beside the drawing: items in the lasso, items that moved most."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from markupsafe import Markup

from unifex.core.language import say
from unifex.core.tables import to_csv
from unifex.core.templates import render
from unifex.core.text import plural
from unifex.gallery.gallery import Gallery, Record
from unifex.maps.projection import Map, moved_most
from unifex.ui.rendering.cards import cards_of
from unifex.ui.rendering.html import data_uri, message

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


def summary(gallery: Gallery, maps: Sequence[Map]) -> Markup:
    """What there is to say of maps that were just made, of one model or of two."""
    first = maps[0]
    placed = (
        say("{items} came later and were placed by their neighbours.", items=plural(first.placed, "item", "items"))
        if first.placed
        else ""
    )
    if len(maps) == 1:
        return message(say("The map is made and kept with the gallery"), placed, "good")
    slider = say(
        "The slider goes from {first} to {second}; both maps are turned to lie alike.",
        first=first.model,
        second=maps[1].model,
    )
    text = f"{slider} {placed}".strip()
    listed = moved(gallery, gallery.records(first.ids[moved_most(first, maps[1])]))
    return message(say("Two maps of the same items"), text, "good") + listed


def invitation() -> Markup:
    """What stands there until something is chosen."""
    text = say(
        "Click a point to see its image and search with it. Drag a lasso around points to list them here, search "
        "within them, label them, leave them out or download the list. What you search with appears as a star."
    )
    return message(say("Choose items"), text)
