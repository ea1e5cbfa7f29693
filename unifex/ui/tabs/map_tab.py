"""The Map tab: every item a point, alike items close; click one, choose many, see where a query falls."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import gradio as gr
import numpy as np

from unifex.core import thumbnails
from unifex.core.jobs import State
from unifex.core.progress import Work
from unifex.core.tables import to_csv
from unifex.core.templates import render
from unifex.core.text import plural, reason
from unifex.evaluation.compare import baselines
from unifex.gallery import corrections
from unifex.gallery.gallery import Gallery, GalleryError, Record
from unifex.maps import page
from unifex.maps.projection import Map, kept_map, moved_most, place, project
from unifex.ui.components.basic import Choice, notice, signal
from unifex.ui.components.confirmation import Confirmation
from unifex.ui.components.item_view import ItemView
from unifex.ui.components.job_tray import JobPanel, seen_at_once
from unifex.ui.context import ERRORS, AppContext, LastResult, Selection, Wish
from unifex.ui.listening import listen
from unifex.ui.rendering import html
from unifex.ui.rendering.cards import cards_of, of_gallery
from unifex.ui.theme import asset

MOST_CARDS = 48
NO_MODEL = ""


@dataclass
class MapTab:
    """Components that the page needs, and the handlers."""

    context: AppContext
    item_view: ItemView
    drop: Confirmation = field(default_factory=lambda: Confirmation("Leave them out of the gallery", "map-drop"))

    def build(self) -> None:
        """Lay the tab out and wire it."""
        first = self.context.first_gallery()
        self.chosen, self.lasso = gr.State(Selection()), signal("lasso")
        self.panel = JobPanel(("map",), "map-progress")
        self.drawn, self.mapped = gr.State(""), gr.State("")  # the job and the gallery whose map is on the page
        with gr.Row(equal_height=False):
            with gr.Column(scale=3, min_width=320):
                with gr.Row():
                    self.gallery = Choice(
                        self.context.library.names() or [first],
                        value=first,
                        label="Gallery",
                        elem_id="map-gallery",
                        min_width=200,
                    )
                    self.compare = Choice(
                        [("none", NO_MODEL)],
                        value=NO_MODEL,
                        label="Second map, to compare",
                        elem_id="map-compare",
                        min_width=200,
                    )
                self.start = gr.Button("Make the map", variant="primary", elem_id="map-button")
                self.panel.build()
                self.problem = notice("map-problem")
                self.status = notice("map-status")
                with gr.Column(visible="hidden", elem_id="map-frame") as self.frame:
                    self.drawing = gr.HTML(
                        "",
                        html_template=asset("map.html"),
                        js_on_load=asset("plotly.js") + asset("map.js") + asset("map-in-app.js"),
                        server_functions=[_card_server(self.context)],
                        elem_id="map-drawing",
                    )
                self.star = gr.HTML("", html_template="", js_on_load=_STAR_JS, elem_id="map-star")
            with gr.Column(scale=1, min_width=280):
                self.listed = gr.HTML(_HELP, elem_id="map-chosen", js_on_load="")
                with gr.Column(visible=False, elem_id="map-actions") as self.actions:
                    self.within = gr.Button("Search within these", variant="primary", elem_id="search-within")
                    with gr.Column(visible=not self.context.settings.read_only):
                        self.label = gr.Textbox(label="Label for all of them", elem_id="map-label")
                        self.relabel = gr.Button("Label them", elem_id="map-relabel")
                        self.drop.build()
                self.notice = notice("map-notice")
        self._wire()

    @property
    def opened(self) -> dict:
        """What is called when the tab is opened or its gallery chosen."""
        return {"fn": self.show_gallery, "inputs": [self.gallery, self.chosen], "outputs": self._showing}

    @property
    def corrected(self) -> dict:
        """What is called when something was corrected, here or elsewhere."""
        return {"fn": self.show_again, "inputs": [self.gallery, self.chosen, self.mapped], "outputs": self._showing}

    @property
    def _showing(self) -> list:
        listed = [self.chosen, self.listed, self.actions]
        return [self.status, self.frame, self.drawing, self.mapped, self.compare, *listed]

    def _wire(self) -> None:
        shown = [self.status, self.frame, self.drawing, self.mapped]
        seen_at_once(listen(self.start.click, self.begin, [self.gallery, self.compare], [self.problem], counts="first"))
        listen(self.panel.further.input, self.show_job, [self.gallery, self.drawn], [self.drawn, *shown])
        listen(self.lasso.input, self.choose, [self.gallery, self.lasso], [self.chosen, self.listed, self.actions])
        done = [self.notice, self.item_view.corrected]
        listen(self.relabel.click, self.label_chosen, [self.gallery, self.chosen, self.label], done, counts="first")
        self.drop.wire(self.ask_to_drop, self.drop_chosen, [self.gallery, self.chosen], done)

    # --- handlers ------------------------------------------------------------------------------------------------

    def show_kept(self, name: str | None) -> tuple[str, dict, str, str, dict]:
        """(gallery) -> status, frame, drawing, whose it is, models to compare: of the map that is kept, if there is."""
        try:
            gallery = self.context.gallery(name)
            models = [("none", NO_MODEL), *((model, model) for model in baselines(gallery))]
            kept = kept_map(gallery)
            compare = gr.update(choices=models, value=NO_MODEL)
            if kept is None:
                text = f"{plural(len(gallery), 'item')}: neighbours, then UMAP; it is kept with the gallery afterwards."
                return html.message("No map of this gallery yet", text), gr.update(visible="hidden"), "", "", compare
            return "", gr.update(visible=True), _drawing(gallery, kept), gallery.name, compare
        except ERRORS as error:
            empty = gr.update(choices=[("none", NO_MODEL)], value=NO_MODEL)
            return html.message("No map", reason(error), "warning"), gr.update(visible="hidden"), "", "", empty

    def show_gallery(self, name: str | None, chosen: Selection) -> tuple:
        """(gallery, chosen items) -> as :meth:`show_kept`, then those of the chosen that are in this gallery."""
        return *self.show_kept(name), *self.list_chosen(name, chosen)

    def show_again(self, name: str | None, chosen: Selection, mapped: str) -> tuple:
        """(gallery, chosen items, gallery whose map is shown) -> as :meth:`show_gallery`, if a map is shown."""
        return self.show_gallery(name, chosen) if mapped else tuple(gr.skip() for _ in self._showing)

    def begin(self, name: str, compare: str) -> str:
        """(gallery, second model) -> what is wrong, or nothing."""
        try:
            gallery = self.context.gallery(name)
            self.context.start("map", gallery.name, _maps(gallery, ["", compare] if compare else [""]), compare)
        except ERRORS as error:
            return html.message("The map was not made", reason(error), "error")
        return ""

    def show_job(self, name: str | None, drawn: str) -> dict:
        """(gallery, the job that is drawn) -> the maps that the last job about this gallery has made."""
        job = self.context.jobs.outcome(self.context.owner, "map", name or "")
        if job is None and self.context.jobs.is_busy(self.context.owner, "map", name or ""):
            return {self.drawn: "", self.status: ""}
        if job is None or job.id == drawn:
            return {self.drawn: drawn}
        if job.state == State.CANCELLED:
            return {self.drawn: job.id, self.status: html.message("Cancelled", "Make the map whenever you like.")}
        if job.state == State.FAILED:
            text = job.problem
            return {self.drawn: job.id, self.status: html.message("The map was not made", text, "error")}
        try:
            gallery = self.context.gallery(name)
            there = gallery.snapshot().columns.ids
            if not all(np.array_equal(made.ids, there) for made in job.result):  # items came or went since
                status, frame, drawing, mapped, _ = self.show_kept(name)
                return {
                    self.drawn: job.id, self.status: status, self.frame: frame, self.drawing: drawing,
                    self.mapped: mapped,
                }  # fmt: skip
            status, drawing = _summary(gallery, job.result), _drawing(gallery, *job.result)
        except ERRORS as error:
            return {self.drawn: job.id, self.status: html.message("The map cannot be shown", reason(error), "error")}
        return {
            self.drawn: job.id, self.status: status, self.frame: gr.update(visible=True), self.drawing: drawing,
            self.mapped: gallery.name,
        }  # fmt: skip

    def choose(self, name: str, told: str) -> tuple[Selection, str, dict]:
        """(gallery, items in the lasso) -> what is chosen, its list, actions."""
        try:
            ids = tuple(int(item) for item in json.loads(told))
        except (TypeError, ValueError):
            return (
                Selection(),
                html.message("Those are no items", "Reload the page.", "warning"),
                gr.update(visible=False),
            )
        return self.list_chosen(name, Selection(name, ids))

    def list_chosen(self, name: str, chosen: Selection) -> tuple[Selection, str, dict]:
        """(gallery, chosen items) -> those that are there, their list, actions."""
        try:
            gallery = self.context.gallery(name)
            records = gallery.records(chosen.of(name))
        except ERRORS:
            records = []
        if not records:
            return Selection(), _HELP, gr.update(visible=False)
        cards = cards_of(gallery, records[:MOST_CARDS])
        table = html.data_uri(_chosen_csv(records, places=not self.context.settings.public))
        listed = of_gallery(name, render("map_chosen.html", count=len(records), shown=cards, csv=table))
        return Selection(name, tuple(record.id for record in records)), listed, gr.update(visible=True)

    def label_chosen(self, name: str, chosen: Selection, label: str) -> tuple[str, Wish | dict]:
        """(gallery, chosen items, label) -> notice, that something was corrected."""
        return self._correct(name, chosen, lambda record: corrections.relabel(record, label), f"now labelled '{label}'")

    def ask_to_drop(self, name: str, chosen: Selection) -> str:
        """(gallery, chosen items) -> what leaving them out does. Raises ``GalleryError`` where nothing is chosen."""
        count = len(self.context.gallery(name).records(chosen.of(name)))
        if not count:
            raise GalleryError("no items are chosen; drag a lasso around some")
        return f"Leave {plural(count, 'item')} out of '{name}'? The image files stay; the Evaluate tab can undo it."

    def drop_chosen(self, name: str, chosen: Selection) -> tuple[str, Wish | dict]:
        """(gallery, chosen items) -> notice, that something was corrected."""
        return self._correct(name, chosen, corrections.drop, "left out of the gallery")

    def _correct(self, name: str, chosen: Selection, say: Callable, done: str) -> tuple[str, Wish | dict]:
        try:
            gallery = self.context.writable(name)
            said = [say(record) for record in gallery.records(chosen.of(name))]
            with gallery.write() as writer:
                writer.correct(said)
        except ERRORS as error:
            return html.message("Not corrected", reason(error), "error"), gr.skip()
        text = "The Evaluate tab lists all corrections and can undo them."
        return html.message(f"{plural(len(said), 'item')} {done}", text, "good"), Wish.new()

    def show_query(self, found: LastResult, name: str | None) -> str:
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


def _card_server(context: AppContext):
    """What the page asks for when the pointer is on a point."""

    def card(asked: list) -> dict[str, Any]:
        """[gallery, id] -> image, label, path."""
        try:
            gallery = context.gallery(str(asked[0]))
            record = gallery.records([int(asked[1])])[0]
        except (*ERRORS, IndexError, TypeError):
            return {}
        return {
            "image": thumbnails.data_uri(gallery.thumbnail(record.sha256)),
            "label": record.label,
            "path": record.path,
        }

    return card


def _maps(gallery: Gallery, models: list[str]) -> Work[list[Map]]:
    maps: list[Map] = []
    for model in models:
        maps += [(yield from project(gallery, model))]
    return maps


def _drawing(gallery: Gallery, drawn: Map, other: Map | None = None) -> str:
    current, near = gallery.neighbours()
    return json.dumps({"gallery": gallery.name, **page.map_data(current.columns, near, drawn, other)})


def _summary(gallery: Gallery, maps: list[Map]) -> str:
    placed = (
        f" {plural(maps[0].placed, 'item')} came later and were placed by their neighbours." if maps[0].placed else ""
    )
    if len(maps) == 1:
        return html.message("The map is made and kept with the gallery", placed.strip(), "good")
    ids = maps[0].ids[moved_most(*maps)]
    cards = cards_of(gallery, gallery.records(ids))
    text = f"The slider goes from {maps[0].model} to {maps[1].model}; both maps are turned to lie alike.{placed}"
    moved = render("map_moved.html", gallery=gallery.name, shown=cards)
    return html.message("Two maps of the same items", text, "good") + moved


def _chosen_csv(records: Iterable[Record], places: bool) -> str:
    """``places``: it tells where the image files lie."""
    rows = ((item.path, item.label, item.domain, item.split, item.uri if places else "") for item in records)
    return to_csv(["path", "label", "domain", "split", "uri"], rows)


_HELP = html.message(
    "Choose items",
    "Click a point to see its image and search with it. Drag a lasso around points to list them here, search within "
    "them, label them, leave them out or download the list. What you search with appears as a star.",
)
_STAR_JS = """
const tell = () => {
  window.unifexStar = props.value ? JSON.parse(props.value) : null;
  window.dispatchEvent(new Event('unifex-star'));
};
watch('value', tell);
tell();
"""
