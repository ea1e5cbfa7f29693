"""What programs send to the named endpoints, and what they are answered.

``gradio_client`` takes every object with a ``path`` for a file to download, so items call it ``file``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from unifex.core import ranges
from unifex.core.errors import UnifexError
from unifex.core.language import say
from unifex.core.text import lines_of
from unifex.gallery import naming
from unifex.gallery.gallery import Facts, Gallery
from unifex.gallery.library import Broken
from unifex.retrieval.conditions import Condition
from unifex.retrieval.filters import Filters
from unifex.retrieval.hits import Hit
from unifex.retrieval.query import MAX_MARKS
from unifex.ui.context import AppContext


def text_of(what: str, value: Any) -> str:
    """A text that was sent. Raises ``UnifexError``, since whoever calls over HTTP may send anything."""
    if not isinstance(value, str):
        raise UnifexError(say("{what} must be text, not {value!r}", what=what, value=str(value)[:40]))
    return value


def gallery_named(app: AppContext, name: Any) -> Gallery:
    """The one that was named, else the first."""
    return app.gallery(text_of("gallery", name) or app.first_gallery())


def as_file(told: dict[str, Any]) -> dict[str, Any]:
    """What is told of an item, its path as ``file``: Gradio's clients fetch whatever lies at a ``path``."""
    return {"file" if name == "path" else name: value for name, value in told.items()}


def told_hit(hit: Hit, public: bool) -> dict[str, Any]:
    """A hit as it is answered. ``public``: neither where the image lies is told, nor what further columns say of it."""
    values = as_file(hit.as_json())
    if public:
        values.pop("extra", None)
        values["uri"] = ""
    return values


def filters_of(
    gallery: Gallery, domain: str, min_score: float, label: Any = "", folder: Any = "", where: Any = "", tag: Any = ""
) -> Filters:
    """The filters that these say, several of a kind one a line. Raises ``UnifexError`` for what the gallery lacks."""
    filters = Filters(
        (text_of("domain", domain),) if domain else (),
        min_score=ranges.SIMILARITY.check(min_score),
        labels=_lines("label", label),
        folders=_lines("folder", folder),
        where=tuple(map(Condition.parse, _lines("where", where))),
        tags=_lines("tag", tag),
    )
    filters.check_known(gallery)
    return filters


def items_marked(app: AppContext, gallery: Gallery, what: str, lines: Any) -> tuple[int, ...]:
    """Those named one a line, by path or id or, where that may be known, uri; of too many so many that it is told.

    Raises ``UnifexError`` for what names none, or several.
    """
    by = ("path",) if app.settings.public else naming.BY
    return tuple(naming.ids_named(gallery.database, _lines(what, lines)[: MAX_MARKS + 1], by, or_by_id=True))


def surveyed(app: AppContext) -> list[Facts | Broken]:
    """The facts of every gallery of who asks, or why it cannot be opened."""
    return [facts_of(app, name) for name in app.library.names()]


def facts_of(app: AppContext, name: str) -> Facts | Broken:
    """The facts of a gallery of who asks, or why it cannot be opened."""
    found = app.library.ask(name, Gallery.facts)
    if app.settings.public and isinstance(found, Facts):
        return replace(found, unfinished=[])  # where a gallery's images come from is the owner's to know
    return found


def _lines(what: str, lines: Any) -> tuple[str, ...]:
    """One a line, without empty ones."""
    return tuple(lines_of(text_of(what, lines)))
