"""The large view of one item."""

from __future__ import annotations

from collections.abc import Callable

from markupsafe import Markup

from unifex.core.templates import render
from unifex.core.text import size
from unifex.gallery.gallery import Record
from unifex.ui.server.picture_addresses import PREVIEW, THUMBNAIL, address

# What is told of an item. Another fact is a line here.
FACTS: dict[str, Callable[[Record], str]] = {
    "Label": lambda item: item.label or "none",
    "Domain": lambda item: item.domain or "none",
    "Split": lambda item: item.split or "none",
    "Path": lambda item: item.path,
    "Size": lambda item: f"{item.width} x {item.height} pixels, {size(item.bytes)}",
}


def detail(record: Record, gallery: str, problem: str = "", strangers: bool = False) -> Markup:
    """One item of the gallery of this name, large, with everything known of it; ``strangers`` are not told its further
    columns.

    ``problem`` says why only the thumbnail can be shown.
    """
    rows = {name: value(record) for name, value in FACTS.items()}
    rows |= {} if strangers else record.labels.beside(FACTS)
    name, source = record.label or record.path, address(THUMBNAIL if problem else PREVIEW, gallery, record)
    return render("item.html", name=name, picture=source, rows=rows, problem=problem)


def no_item(title: str, text: str, kind: str) -> Markup:
    """What the large view says where there is no item to show."""
    return render("no_item.html", title=title, text=text, kind=kind)
