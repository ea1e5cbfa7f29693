"""The Map tab: every item a point, alike items close; click one, choose many, see where a query falls."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr
import numpy as np

from unifex import corrections, images, map_view
from unifex.assessment import rivals
from unifex.gallery import Gallery, Record
from unifex.projection import Map, Mapping, kept_map, moved_most, place, project
from unifex.text import duration, harmless, plural, reason
from unifex.ui import html
from unifex.ui.context import ERRORS, Chosen, Context, Found
from unifex.ui.item_view import ItemView
from unifex.ui.theme import asset, plotly_path

MOST_CARDS = 48
NO_MODEL = ""


@dataclass
class MapTab:
    """Components that the page needs, and the handlers."""

    context: Context
    item_view: ItemView

    def build(self) -> None:
        """Lay the tab out and wire it."""
        first = self.context.first_gallery()
        self.chosen = gr.State(Chosen())
        with gr.Row(equal_height=False):
            with gr.Column(scale=3, min_width=320):
                with gr.Row():
                    self.gallery = gr.Dropdown(
                        self.context.indexes.names() or [first],
                        value=first,
                        label="Gallery",
                        elem_id="map-gallery",
                        min_width=200,
                    )
                    self.compare = gr.Dropdown(
                        [("none", NO_MODEL)],
                        value=NO_MODEL,
                        label="Second map, to compare",
                        elem_id="map-compare",
                        min_width=200,
                    )
                with gr.Row():
                    self.start = gr.Button("Make the map", variant="primary", elem_id="map-button")
                    self.cancel = gr.Button("Cancel", variant="stop", visible=False, elem_id="map-cancel")
                self.status = gr.HTML(elem_id="map-status", js_on_load=_OPEN_CARD_JS)
                with gr.Column(visible="hidden", elem_id="map-frame") as self.frame:
                    self.drawing = gr.HTML(
                        "",
                        html_template=asset("map.html"),
                        js_on_load=asset("plotly.js") + asset("map.js") + asset("map-in-app.js"),
                        server_functions=[_card_server(self.context)],
                        library=f"gradio_api/file={plotly_path()}",
                        elem_id="map-drawing",
                    )
                self.star = gr.HTML("", html_template="", js_on_load=_STAR_JS, elem_id="map-star")
            with gr.Column(scale=1, min_width=280):
                self.listed = gr.HTML(_HELP, elem_id="map-chosen", js_on_load=_OPEN_CARD_JS)
                with gr.Column(visible=False, elem_id="map-actions") as self.actions:
                    self.within = gr.Button("Search within these", variant="primary", elem_id="search-within")
                    with gr.Column(visible=not self.context.settings.read_only):
                        self.label = gr.Textbox(label="Label for all of them", elem_id="map-label")
                        self.relabel = gr.Button("Label them", elem_id="map-relabel")
                        self.drop = gr.Button("Leave them out of the gallery", variant="stop", elem_id="map-drop")
                self.notice = gr.HTML(elem_id="map-notice")
        self._wire()

    @property
    def opened(self) -> dict:
        """What is called when the tab is opened or its gallery chosen."""
        outputs = [self.status, self.frame, self.drawing, self.compare, self.chosen, self.listed, self.actions]
        return {"fn": self.show_gallery, "inputs": [self.gallery, self.chosen], "outputs": outputs}

    def _wire(self) -> None:
        private = {"show_progress": "hidden", "api_visibility": "private"}
        shown = [self.status, self.frame, self.drawing]
        buttons = [self.start, self.cancel]
        started = self.start.click(
            self.run, [self.gallery, self.compare], [*shown, *buttons], concurrency_id="map", **private
        )
        # Two listeners, in this order: the second one puts back what the cancelled first one left.
        self.cancel.click(None, cancels=[started], api_visibility="private")
        self.cancel.click(
            lambda: (html.message("Cancelled", "Make the map whenever you like."), *_idle()), None,
            [self.status, *buttons], **private,
        )  # fmt: skip
        for shows_items in (self.drawing, self.listed, self.status):
            shows_items.select(self.open_item, [self.gallery], self.item_view.outputs, **private)
        chosen = [self.chosen, self.listed, self.actions]
        self.drawing.input(self.choose, [self.gallery], chosen, **private)
        done = [self.notice, self.chosen, self.listed, self.actions]
        for button, handler, inputs in (
            (self.relabel, self.label_chosen, [self.gallery, self.chosen, self.label]),
            (self.drop, self.drop_chosen, [self.gallery, self.chosen]),
        ):
            button.click(handler, inputs, done, **private).then(
                self.show_kept, [self.gallery], [*shown, self.compare], **private
            )

    # --- handlers ------------------------------------------------------------------------------------------------

    def show_kept(self, name: str | None) -> tuple[str, dict, str, dict]:
        """(gallery) -> status, frame, drawing and models to compare: the map that is kept, if there is one."""
        try:
            gallery = self.context.gallery(name)
            models = [("none", NO_MODEL), *((model, model) for model in rivals(gallery))]
            kept = kept_map(gallery)
            compare = gr.update(choices=models, value=NO_MODEL)
            if kept is None:
                text = f"{plural(len(gallery), 'item')}: neighbours, then UMAP; it is kept with the gallery afterwards."
                return html.message("No map of this gallery yet", text), gr.update(visible="hidden"), "", compare
            return "", gr.update(visible=True), _drawing(gallery, kept), compare
        except ERRORS as error:
            empty = gr.update(choices=[("none", NO_MODEL)], value=NO_MODEL)
            return html.message("No map", reason(error), "warning"), gr.update(visible="hidden"), "", empty

    def show_gallery(self, name: str | None, chosen: Chosen) -> tuple:
        """(gallery, chosen items) -> as :meth:`show_kept`, then those of the chosen that are in this gallery."""
        return *self.show_kept(name), *self.list_chosen(name, chosen)

    def run(self, name: str, compare: str) -> Iterator[tuple]:
        """(gallery, second model) -> status, frame, drawing, start, cancel."""
        skip = gr.skip()
        try:
            gallery = self.context.gallery(name)
            yield html.message("Starting"), skip, skip, *_busy()
            maps: list[Map] = []
            for model in ["", compare] if compare else [""]:
                for event in project(gallery, model):
                    if isinstance(event, Map):
                        maps.append(event)
                    else:
                        yield _mapping(event), skip, skip, *_busy()
            yield _summary(gallery, maps), gr.update(visible=True), _drawing(gallery, *maps), *_idle()
        except ERRORS as error:
            yield html.message("The map was not made", reason(error), "error"), skip, skip, *_idle()

    def open_item(self, name: str, event: gr.SelectData) -> tuple:
        """(gallery; point or card) -> the large view."""
        return self.item_view.open(name, int(event.value))

    def choose(self, name: str, event: gr.EventData) -> tuple[Chosen, str, dict]:
        """(gallery; points in the lasso) -> what is chosen, its list, actions."""
        return self.list_chosen(name, Chosen(name, tuple(int(item) for item in event.ids)))

    def list_chosen(self, name: str, chosen: Chosen) -> tuple[Chosen, str, dict]:
        """(gallery, chosen items) -> those that are there, their list, actions."""
        try:
            gallery = self.context.gallery(name)
            records = gallery.records(chosen.of(name))
        except ERRORS:
            records = []
        if not records:
            return Chosen(), _HELP, gr.update(visible=False)
        cards = "".join(html.card(r, gallery.thumbnail(r.sha256), "Open") for r in records[:MOST_CARDS])
        more = f"<p>and {len(records) - MOST_CARDS:,} more</p>" if len(records) > MOST_CARDS else ""
        table = html.csv_uri(_chosen_csv(records, places=not self.context.settings.public))
        link = f'<a class="download" download="chosen.csv" href="{table}">Download CSV</a>'
        head = f'<p class="chosen-head"><strong>{plural(len(records), "item")} chosen</strong>{link}</p>'
        listed = f'{head}<div class="grid small">{cards}</div>{more}'
        return Chosen(name, tuple(record.id for record in records)), listed, gr.update(visible=True)

    def label_chosen(self, name: str, chosen: Chosen, label: str) -> tuple:
        """(gallery, chosen items, label) -> notice, chosen, list, actions."""
        return self._correct(name, chosen, lambda record: corrections.relabel(record, label), f"now labelled '{label}'")

    def drop_chosen(self, name: str, chosen: Chosen) -> tuple:
        """(gallery, chosen items) -> notice, chosen, list, actions."""
        return self._correct(name, chosen, corrections.drop, "left out of the gallery")

    def _correct(self, name: str, chosen: Chosen, say, done: str) -> tuple:
        try:
            gallery = self.context.writable(name)
            said = [say(record) for record in gallery.records(chosen.of(name))]
            with gallery.write() as writer:
                writer.correct(said)
        except ERRORS as error:
            return html.message("Not corrected", reason(error), "error"), *[gr.skip()] * 3
        text = "The Evaluate tab lists all corrections and can undo them."
        return html.message(f"{plural(len(said), 'item')} {done}", text, "good"), *self.list_chosen(name, chosen)

    def show_query(self, found: Found, name: str | None) -> str:
        """(what the Search tab found, gallery) -> where the query's star goes, and the hits it is joined to."""
        if not found.ids or found.gallery != name:
            return ""
        try:
            kept = kept_map(self.context.gallery(name))
        except ERRORS:
            return ""
        if kept is None:
            return ""
        at = np.searchsorted(kept.ids, found.ids)
        there = [(row, score) for row, score, item in zip(at, found.scores, found.ids)
                 if row < len(kept.ids) and kept.ids[row] == item]  # fmt: skip
        if not there:
            return ""
        rows, scores = (np.array(values) for values in zip(*there))
        where = place(kept.places[rows], scores)
        return json.dumps({"place": where.tolist(), "hits": [int(kept.ids[row]) for row in rows[:10]]})


def _card_server(context: Context):
    """What the page asks for when the pointer is on a point."""

    def card(asked: list) -> dict[str, Any]:
        """[gallery, id] -> image, label, path."""
        try:
            gallery = context.gallery(str(asked[0]))
            record = gallery.records([int(asked[1])])[0]
        except (*ERRORS, IndexError, TypeError):
            return {}
        return {
            "image": images.data_uri(gallery.thumbnail(record.sha256)),
            "label": record.label,
            "path": record.path,
        }

    return card


def _drawing(gallery: Gallery, drawn: Map, other: Map | None = None) -> str:
    current, near = gallery.neighbours()
    return json.dumps({"gallery": gallery.name, **map_view.map_data(current.columns, near, drawn, other)})


def _summary(gallery: Gallery, maps: list[Map]) -> str:
    placed = (
        f" {plural(maps[0].placed, 'item')} came later and were placed by their neighbours." if maps[0].placed else ""
    )
    if len(maps) == 1:
        return html.message("The map is made and kept with the gallery", placed.strip(), "good")
    ids = maps[0].ids[moved_most(*maps)]
    cards = "".join(html.card(r, gallery.thumbnail(r.sha256), "Open") for r in gallery.records(ids))
    text = f"The slider goes from {maps[0].model} to {maps[1].model}; both maps are turned to lie alike.{placed}"
    moved = f'<summary>Items that moved most</summary><div class="grid small">{cards}</div>'
    return html.message("Two maps of the same items", text, "good") + f'<details class="moved">{moved}</details>'


def _mapping(event: Mapping) -> str:
    known = f" · {duration(event.seconds_left)} left" if event.seconds_left else f" · {duration(event.seconds)}"
    return html.bar(event.doing, event.done, event.total, known)


def _chosen_csv(records: Iterable[Record], places: bool) -> str:
    """``places``: it tells where the image files lie."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["path", "label", "domain", "split", "uri"])
    for record in records:
        cells = (record.path, record.label, record.domain, record.split, record.uri if places else "")
        writer.writerow([harmless(cell) for cell in cells])
    return text.getvalue()


_HELP = html.message(
    "Choose items",
    "Click a point to see its image and search with it. Drag a lasso around points to list them here, search within "
    "them, label them, leave them out or download the list. What you search with appears as a star.",
)
_OPEN_CARD_JS = """
element.addEventListener('click', (event) => {
  const card = event.target.closest('.card');
  if (card) trigger('select', { index: 0, value: card.dataset.item });
});
"""
_STAR_JS = """
const tell = () => {
  window.unifexStar = props.value ? JSON.parse(props.value) : null;
  window.dispatchEvent(new Event('unifex-star'));
};
watch('value', tell);
tell();
"""


def _busy() -> tuple[dict, dict]:
    return gr.update(visible=False), gr.update(visible=True)


def _idle() -> tuple[dict, dict]:
    return gr.update(visible=True), gr.update(visible=False)
