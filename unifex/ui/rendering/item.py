"""The large view of one item."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from markupsafe import Markup

from unifex.core.metadata import taken
from unifex.core.templates import render
from unifex.core.text import size
from unifex.gallery import tags
from unifex.gallery.gallery import Record
from unifex.ui.server.picture_addresses import PREVIEW, THUMBNAIL, address


@dataclass(frozen=True)
class Shown:
    """An item of the gallery of this name, its image file (empty where it is not there: ``problem`` says why), and
    whether ``strangers`` look, who are not told what the file or further columns say of anybody."""

    record: Record
    gallery: str
    original: bytes = b""
    problem: str = ""
    strangers: bool = False


def _taken(shown: Shown) -> str:
    when = None if shown.strangers else taken(shown.original)
    return f"{when:%Y-%m-%d %H:%M}" if when else ""


# What is told of an item, where there is something to tell. Another fact is a line here.
FACTS: dict[str, Callable[[Shown], str]] = {
    "Label": lambda shown: shown.record.label or "none",
    "Domain": lambda shown: shown.record.domain or "none",
    "Tags": lambda shown: tags.SEPARATOR.join(shown.record.tags),
    "Split": lambda shown: shown.record.split or "none",
    "Path": lambda shown: shown.record.path,
    "Size": lambda shown: f"{shown.record.width} x {shown.record.height} pixels, {size(shown.record.bytes)}",
    "Taken": _taken,
}


def detail(shown: Shown) -> Markup:
    """One item, large, with everything known of it."""
    record = shown.record
    rows = {name: value for name, fact in FACTS.items() if (value := fact(shown))}
    rows |= {} if shown.strangers else record.labels.beside(FACTS)
    source = address(THUMBNAIL if shown.problem else PREVIEW, shown.gallery, record)
    return render("item.html", name=record.label or record.path, picture=source, rows=rows, problem=shown.problem)


def no_item(title: str, text: str, kind: str) -> Markup:
    """What the large view says where there is no item to show."""
    return render("no_item.html", title=title, text=text, kind=kind)
