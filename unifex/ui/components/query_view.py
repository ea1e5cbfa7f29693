"""What is searched with, as the page shows it: an item's picture, boxes on it, and parts of it that are proposed.

``assets/query.js`` draws it.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from unifex.core import images, thumbnails
from unifex.core.language import say
from unifex.core.regions import Region
from unifex.core.templates import render
from unifex.gallery.gallery import Gallery, Record
from unifex.models.image_like import Crop, opened
from unifex.retrieval.filters import Filters
from unifex.retrieval.hits import SearchResult
from unifex.retrieval.proposals import PANEL, SEEN_SIDE, Proposal, propose
from unifex.retrieval.search import search
from unifex.retrieval.suggestions import may_be_better, suggest
from unifex.ui.components.search_form import Form
from unifex.ui.context import ERRORS, AppContext
from unifex.ui.page_state import item_id
from unifex.ui.rendering.grid import GridItem
from unifex.ui.scripts import scripts
from unifex.ui.server.picture_addresses import THUMBNAIL, address

MOST_PARTS = 4  # that are offered: more are no choice but a riddle
LOOK_INSIDE, TRY = "parts", "best"  # what is looked for in a picture: what could be searched with, and what is found
TRIED_SIDE = 640  # pixels of the shorter side of a picture whose parts are tried: a third of the work of 12 megapixels
QUERY_SIZE, MOST_QUERIES = 96, 6  # pixels of a thumbnail of what is searched with; more are not shown
_trying = threading.Lock()


@dataclass(frozen=True)
class Asked:
    """What an answer is for. ``items``: those of ``gallery`` that are searched with; ``look``: what is to be looked for
    in the picture next, :data:`LOOK_INSIDE` or :data:`TRY`, or nothing."""

    about: str = ""
    gallery: str = ""
    items: tuple[Record, ...] = ()
    boxes: tuple[Region, ...] = ()
    look: str = ""

    @classmethod
    def of(cls, gallery: Gallery, form: Form, filters: Filters, result: SearchResult, strangers: bool) -> Asked:
        """What a search with the form found; ``strangers`` are offered no searches that they did not ask for."""
        records = tuple(gallery.records(form.item.ids))
        return cls(form.about, gallery.name, records, form.boxes, _next(form, filters, result, strangers))

    def as_json(self) -> str:
        """For the page; empty without a query."""
        items = [{name: GridItem.of(record).as_json()[name] for name in ("id", "v", "path")} for record in self.items]
        boxes = [_box(box) for box in self.boxes]
        told = {"about": self.about, "gallery": self.gallery, "items": items, "boxes": boxes, "look": self.look}
        return json.dumps(told, ensure_ascii=False)


@dataclass
class QueryView:
    """The component; its value is of :class:`Asked`."""

    context: AppContext

    def build(self) -> gr.HTML:
        """Lay it out."""
        return gr.HTML(
            "", html_template=render("query.html"), js_on_load=scripts("query"), elem_id="query",
            server_functions=self._server_functions(),
        )  # fmt: skip

    def _server_functions(self) -> list[Callable]:
        """What the page asks; the names are those that assets/query.js calls."""

        def parts(asked: Any) -> dict[str, Any]:
            """What the page asks once an answer is there: [gallery, upload or item, what is looked for]."""
            try:
                name, shown, look = asked
                return self._parts(self.context.gallery(str(name)), shown, look == TRY)
            except (*ERRORS, TypeError, ValueError):
                return {"parts": [], "best": None}  # it is only an offer; the answer itself says what is wrong

        def shown(path: Any) -> str:
            """An upload as every browser can show it, as the ``src`` of an <img>; empty where there is none."""
            try:
                return thumbnails.data_uri(thumbnails.preview(self.context.uploaded(path).read_bytes()))
            except ERRORS:
                return ""

        return [parts, shown]

    def _parts(self, gallery: Gallery, shown: Any, try_them: bool) -> dict[str, Any]:
        """Parts that can be searched with, and the one that is found where the whole is not."""
        if not try_them or self.context.settings.public:  # as many searches as there are parts: not for strangers
            return {"parts": named(propose(images.decode(self._bytes(gallery, shown), SEEN_SIDE).image)), "best": None}
        image = images.decode(self._bytes(gallery, shown), TRIED_SIDE).image
        image.thumbnail((2 * TRIED_SIDE, 2 * TRIED_SIDE))  # many parts of it are looked at
        found, whole = propose(image), search(gallery, [image], 1)
        if not _trying.acquire(blocking=False):  # somebody's next answer must not wait for several of these
            return {"parts": named(found) if whole.out_of_gallery else [], "best": None}
        try:
            better = suggest(gallery, image, whole, 1)
        finally:
            _trying.release()
        if not better:
            return {"parts": named(found) if whole.out_of_gallery else [], "best": None}
        best = {"name": say("The part that is found"), "reason": say(better.reason), "box": _box(better.region)}
        others = [part for part in found if part.region != better.region][: MOST_PARTS - 1]
        return {"parts": [best, *named(others)], "best": {**best, "score": better.result.hits[0].score}}

    def _bytes(self, gallery: Gallery, shown: Any) -> bytes:
        """Of an upload of who asks, or of an item. Raises ``UnifexError`` and OSError."""
        if isinstance(shown, dict):
            return self.context.uploaded(shown.get("path")).read_bytes()
        return gallery.original(gallery.record(item_id(shown)))


def named(parts: list[Proposal]) -> list[dict[str, Any]]:
    """The first parts, as the page offers them: what each is called, its box and why it is one."""
    shown = parts[:MOST_PARTS]
    panels = [part for part in shown if part.reason == PANEL]
    inside = [part for part in shown if part.reason != PANEL]
    names = {id(part): say("Panel {number}", number=number) for number, part in enumerate(panels, 1)}
    names |= {id(part): say("Picture inside {number}", number=number) for number, part in enumerate(inside, 1)}
    if len(inside) == 1:
        names[id(inside[0])] = say("The picture inside")
    return [{"name": names[id(part)], "reason": say(part.reason), "box": _box(part.region)} for part in shown]


def _box(region: Region) -> list[float]:
    """As the page has boxes: to a ten-thousandth, and never over an edge."""
    x, y = round(region.x, 4), round(region.y, 4)
    return [x, y, round(min(region.w, 1 - x), 4), round(min(region.h, 1 - y), 4)]


def thumbnails_of(gallery: Gallery, form: Form) -> list[str]:
    """What is searched with, small, each as the ``src`` of an <img>. Raises ``images.ImageError`` and OSError."""
    if form.item.ids:
        records = gallery.records(form.item.ids[:MOST_QUERIES])
        return [address(THUMBNAIL, gallery.name, record) for record in records]
    parts = form.parts[:MOST_QUERIES]
    decoded = (opened(Crop(path, region), QUERY_SIZE) for path, region in parts)
    return [thumbnails.data_uri(thumbnails.thumbnail(image, QUERY_SIZE)) for image in decoded]


def _next(form: Form, filters: Filters, result: SearchResult, strangers: bool) -> str:
    """What the page asks for next about an image that a part of it may be found better than."""
    alone = form.image and not (form.more or form.boxes or form.query.text or form.counting_marks)
    if not alone or filters != Filters():
        return ""
    if strangers:
        return LOOK_INSIDE if result.out_of_gallery else ""
    return TRY if may_be_better(result) else ""
