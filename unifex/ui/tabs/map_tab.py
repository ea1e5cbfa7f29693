"""The Map tab: every item a point, alike items close; click one, choose many, see where a query falls."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import gradio as gr
import numpy as np

from unifex.core.errors import UnifexError
from unifex.core.jobs import Job, State
from unifex.core.language import say, to_say
from unifex.core.progress import Work
from unifex.core.templates import render
from unifex.core.text import plural, reason
from unifex.evaluation.compare import baselines
from unifex.gallery import changing
from unifex.gallery.changing import Change
from unifex.gallery.gallery import Gallery, GalleryError
from unifex.maps import page
from unifex.maps.projection import Map, kept_map, project
from unifex.ui.components.basic import Choice, item_grid, job_notice, notice, signal
from unifex.ui.components.confirmation import Confirmation
from unifex.ui.components.gallery_picker import gallery_picker
from unifex.ui.components.item_view import ItemView
from unifex.ui.components.job_tray import JobPanel
from unifex.ui.components.map_filters import MapFilters, told_to_map
from unifex.ui.components.map_star import query_star
from unifex.ui.components.pressing import ask_for_job, or_say
from unifex.ui.context import ERRORS, AppContext
from unifex.ui.gallery_names import called_now
from unifex.ui.listening import Part, Updates, listen
from unifex.ui.page_state import LastResult, Selection, Wish, item_id
from unifex.ui.rendering import map_lists
from unifex.ui.rendering.grid import listed_grid
from unifex.ui.rendering.html import message
from unifex.ui.scripts import scripts
from unifex.ui.server.picture_addresses import THUMBNAIL, address

MOST_CARDS = 200  # of one answer
_WHILE_OPEN = "(name, ...values) => [document.querySelector('#map-page').offsetParent && name, ...values]"
_NOT_MADE = to_say("The map was not made")


class Mapped(NamedTuple):
    """The gallery whose map is on the page, and the model by which it was looked for, be there one or not."""

    gallery: str = ""
    model: str = ""


@dataclass
class MapTab:
    """Components that the page needs, and the handlers."""

    context: AppContext
    item_view: ItemView
    drop: Confirmation = field(default_factory=lambda: Confirmation(say("Leave them out of the gallery"), "map-drop"))

    def build(self) -> None:
        """Lay the tab out and wire it."""
        self.chosen, self.lasso = gr.State(Selection()), signal("lasso")
        self.filters, self.sought = MapFilters(self.context), gr.State(Wish())  # changes when items are to be seen here
        self.panel = JobPanel(("map",), "map-progress")
        self.drawn, self.mapped = gr.State(""), gr.State(Mapped())  # the job that is drawn, and of what it is a map
        self.rivals = gr.State({})  # by gallery, what was chosen to compare it with, or that nothing is
        self.searched = signal("searchedBeside")  # something was, while the map is looked at
        with gr.Row(equal_height=False):
            with gr.Column(scale=3, min_width=320, elem_id="map-page"):
                with gr.Row(elem_id="map-head"):
                    self.gallery = gallery_picker(self.context, "map-gallery", min_width=200)
                    self.compare = Choice(
                        [_no_model()],
                        value="",
                        label=say("Second map, to compare"),
                        elem_id="map-compare",
                        min_width=140,
                    )
                    self.start = gr.Button(
                        say("Make the map"), variant="primary", scale=0, min_width=150, elem_id="map-button"
                    )
                self.panel.build()
                self.problem = notice("map-problem")
                self.status = job_notice("map-status")
                with gr.Column(visible="hidden", elem_id="map-frame") as self.frame:
                    self.filters.build()
                    self.drawing = gr.HTML(
                        "",
                        html_template=render("map_frame.html"),
                        js_on_load=scripts("map-in-app"),
                        server_functions=[_card_server(self.context)],
                        elem_id="map-drawing",
                    )
                self.star = gr.HTML("", html_template="", js_on_load=told_to_map("star"), elem_id="map-star")
                self.picked = gr.HTML("[]", html_template="", js_on_load=told_to_map("picked"), elem_id="map-picked")
            with gr.Column(scale=1, min_width=280):
                self.listed = gr.HTML(map_lists.invitation(), elem_id="map-chosen", js_on_load="")
                self.grid = item_grid("map-items")
                with gr.Column(visible=False, elem_id="map-actions") as self.actions:
                    self.within = gr.Button(say("Search within these"), variant="primary", elem_id="search-within")
                    with gr.Column() as self.changing:
                        self.label = gr.Textbox(label=say("Label for all of them"), elem_id="map-label")
                        self.relabel = gr.Button(say("Label them"), elem_id="map-relabel")
                        self.drop.build()
                self.notice = notice("map-notice")
        self._wire()

    @property
    def showing(self) -> list[Part]:
        """What :meth:`show_gallery` updates."""
        return [*self._map, self.compare, self.filters.view]

    @property
    def asking(self) -> list[Part]:
        """What :meth:`show_gallery` wants to know beside the filters of elsewhere."""
        return [*self._compares, self.filters.view]

    @property
    def _compares(self) -> list[Part]:
        return [self.gallery, self.compare, self.rivals]

    @property
    def _map(self) -> list[Part]:
        return [self.status, self.frame, self.drawing, self.mapped]

    @property
    def _listed(self) -> list[Part]:
        return [self.chosen, self.listed, self.grid, self.actions, self.changing, self.picked]

    def _wire(self) -> None:
        asked = [self.gallery, self.compare]
        ask_for_job(self.start.click, self.begin, asked, self.problem, say(_NOT_MADE))
        listen(self.gallery.change, lambda: "", None, [self.problem])
        listen(self.compare.input, self.remember, self._compares, [self.rivals])
        listen(self.panel.further.input, self.show_job, [self.gallery, self.drawn], [self.drawn, *self._map])
        done, chosen = [self.notice, self.item_view.corrected], [self.gallery, self.chosen]
        labelled = or_say(self.notice, say("Not corrected"), self.label_chosen)
        listen(self.relabel.click, labelled, [*chosen, self.label], done, counts="first")
        self.drop.wire(self.ask_to_drop, or_say(self.notice, say("Not corrected"), self.drop_chosen), chosen, done)

    def follow_model(self, switched: Sequence[Callable]) -> None:
        """At the events ``switched`` the gallery may be searched with another model."""
        listen(switched, self.show_model, [*self._compares, self.mapped], [*self._map, self.compare], js=_WHILE_OPEN)

    def follow(self, corrected: Sequence[Callable]) -> None:
        """What is ``corrected`` is shown as it is now. The list, and what filters leave, have one listener each: what
        was chosen last is what they show."""
        listen(corrected, self.show_again, [self.gallery, self.mapped], self._map)
        lassoed = [self.lasso.input, self.sought.change, self.gallery.change, *corrected]
        listen(lassoed, self.list_chosen, [self.gallery, self.lasso], self._listed)
        view = self.filters.view
        narrowed = [view.input, view.change, self.gallery.change, self.drawing.change, *corrected]
        listen(narrowed, self.filters.narrow, [self.gallery, view], [self.filters.left])

    # --- handlers: the map ---------------------------------------------------------------------------------------

    def show_gallery(self, name: str | None, compare: str, rivals: dict[str, str], *views: str) -> Updates:
        """(gallery, second model, :attr:`rivals`, filters as :meth:`MapFilters.show` takes them) -> the map that is
        kept, models to compare, filters."""
        compares = self._rivals(name, compare, rivals)
        return {**self._kept(name), self.compare: compares, **self.filters.show(name, *views)}

    def show_again(self, name: str | None, mapped: Mapped) -> Updates:
        """(gallery, what is mapped) -> the map as it is now, if one is shown."""
        return self._kept(name) if mapped.gallery else {self.mapped: gr.skip()}

    def show_model(self, name: str | None, compare: str, rivals: dict[str, str], mapped: Mapped) -> Updates:
        """(gallery, None while the tab is closed, second model, :attr:`rivals`, what is mapped) -> the map by its model
        and models to compare, where that is another by now."""
        with contextlib.suppress(*ERRORS):
            if name and self.context.gallery(name).config.model != mapped.model:
                return {**self._kept(name), self.compare: self._rivals(name, compare, rivals)}
        return {self.mapped: gr.skip()}

    def remember(self, name: str, compare: str, rivals: dict[str, str]) -> Updates:
        """(gallery, second model that was chosen, :attr:`rivals`) -> :attr:`rivals`."""
        return {self.rivals: {**rivals, name: compare}}

    def follow_address(self, name: str | None, mapped: Mapped, view: str, searched: str) -> Updates:
        """(gallery that an address names, what is mapped, its filters, the address's) -> the filters."""
        return self.filters.show(name, view, searched) if name == mapped.gallery else {self.filters.view: gr.skip()}

    def locate(self, name: str, ids: Iterable[int]) -> Updates:
        """These items are chosen, and to be seen. Answers :attr:`located`."""
        return {self.gallery: name, self.lasso: Selection(name, tuple(ids)).as_json(), self.sought: Wish.new()}

    @property
    def located(self) -> list[Part]:
        """What :meth:`locate` updates."""
        return [self.gallery, self.lasso, self.sought]

    def _rivals(self, name: str | None, compare: str, rivals: dict[str, str]) -> dict[str, Any]:
        """Models to compare with; what was chosen last for this gallery stays, *none* as well. Where nothing was, it is
        the one that is chosen, if it is one of them, else the one that is compared with."""
        models = []
        with contextlib.suppress(*ERRORS):
            gallery = self.context.gallery(name)
            models = baselines(gallery)
            compared = "".join(other.model for other in self._compared(gallery)[1:])
            compare = rivals.get(gallery.name, compare or compared)
        choices = [_no_model(), *((model, model) for model in models)]
        return gr.update(choices=choices, value=compare if compare in models else "")

    def _kept(self, name: str | None) -> Updates:
        """The maps of this gallery that were compared last, or the one that is kept, if there is one."""
        try:
            gallery = self.context.gallery(name)
            if compared := self._compared(gallery):
                return self._drawn(map_lists.summary(gallery, compared), gallery, *compared)
            kept = kept_map(gallery)
            if kept is not None:
                return self._drawn("", gallery, kept)
            text = say(
                "{items}: neighbours, then UMAP; it is kept with the gallery afterwards.",
                items=plural(len(gallery), "item", "items"),
            )
            mapped = Mapped(model=gallery.config.model)
            return {**self._nothing(message(say("No map of this gallery yet"), text)), self.mapped: mapped}
        except ERRORS as error:
            return self._nothing(message(say("No map"), reason(error), "warning"))

    def _compared(self, gallery: Gallery) -> list[Map]:
        """The two maps of the last job, as long as they are of the items and the model that there are."""
        job = self.context.outcome("map", gallery.name)
        made = job.result if job and job.state == State.DONE else []
        return made if len(made) > 1 and _is_current(gallery, made) else []

    def _drawn(self, status: str, gallery: Gallery, *maps: Map) -> Updates:
        drawing, frame = _drawing(gallery, *maps), gr.update(visible=True)
        mapped = Mapped(gallery.name, gallery.config.model)
        return {self.status: status, self.frame: frame, self.drawing: drawing, self.mapped: mapped}

    def _nothing(self, status: str) -> Updates:
        return {self.status: status, self.frame: gr.update(visible="hidden"), self.drawing: "", self.mapped: Mapped()}

    def begin(self, name: str, compare: str) -> None:
        """(gallery, second model) -> a job. Raises ``GalleryError`` and ``JobError``."""
        gallery = self.context.gallery(name)
        self.context.start("map", gallery.name, _maps(gallery, ["", compare] if compare else [""]), compare)

    def show_job(self, name: str | None, drawn: str) -> Updates:
        """(gallery, the job that is drawn) -> the maps that the last job about this gallery has made."""
        job = self.context.outcome("map", name or "")
        if job is None and self.context.jobs.is_at_work(self.context.owner, "map", name or ""):
            return {self.drawn: "", self.status: ""}
        if job is None or job.id == drawn:
            return {self.drawn: drawn}
        return {self.drawn: job.id, **self._came(job, name)}

    def _came(self, job: Job, name: str | None) -> Updates:
        if job.state == State.CANCELLED:
            return {self.status: message(say("Cancelled"), say("Make the map whenever you like."))}
        if job.state == State.FAILED:
            return {self.status: message(say(_NOT_MADE), job.problem, "error")}
        try:
            gallery = self.context.gallery(name)
            if not _is_current(gallery, job.result):
                return self._kept(name)
            return self._drawn(map_lists.summary(gallery, job.result), gallery, *job.result)
        except ERRORS as error:
            return {self.status: message(say("The map cannot be shown"), reason(error), "error")}

    # --- handlers: chosen items ----------------------------------------------------------------------------------

    def list_chosen(self, name: str | None, told: str) -> Updates:
        """(gallery, items in the lasso with theirs, whatever that is called by now) -> those that are there: what is
        chosen, its list, actions."""
        try:
            chosen = Selection.told(told)
        except UnifexError as error:
            return self._none(message(say("Those are no items"), reason(error), "warning"))
        try:
            gallery, known_as = self.context.gallery(name), called_now(self.context.library, chosen.gallery)
            records = gallery.records(chosen.called(chosen.gallery, known_as).of(name))
        except ERRORS:
            return self._none(map_lists.invitation())
        if not records:
            return self._none(map_lists.invitation())
        return {
            self.chosen: Selection(gallery.name, tuple(record.id for record in records)),
            self.listed: map_lists.chosen(records, places=not self.context.settings.public),
            self.grid: listed_grid(gallery.name, records[: map_lists.MOST_SHOWN], self.context.rights(gallery.name)),
            self.picked: json.dumps([record.id for record in records]),
            self.actions: gr.update(visible=True),
            self.changing: gr.update(visible=self.context.can_change(gallery.name)),
        }

    def _none(self, text: str) -> Updates:
        return {
            self.chosen: Selection(),
            self.listed: text,
            self.grid: "",
            self.picked: "[]",
            self.actions: gr.update(visible=False),
        }

    def label_chosen(self, name: str, chosen: Selection, label: str) -> Updates:
        """(gallery, chosen items, label) -> notice, that something was corrected. Raises ``GalleryError``."""
        return self._correct(name, chosen, changing.labelling(label), say("now labelled '{label}'", label=label))

    def ask_to_drop(self, name: str, chosen: Selection) -> str:
        """(gallery, chosen items) -> what leaving them out does. Raises ``GalleryError`` where nothing is chosen."""
        count = len(self.context.gallery(name).records(chosen.of(name)))
        if not count:
            raise GalleryError(say("no items are chosen; drag a lasso around some"))
        return say(
            "Leave {items} out of '{name}'? The image files stay; the Evaluate tab can undo it.",
            items=plural(count, "item", "items"),
            name=name,
        )

    def drop_chosen(self, name: str, chosen: Selection) -> Updates:
        """(gallery, chosen items) -> as :meth:`label_chosen`."""
        return self._correct(name, chosen, changing.leaving_out, say("left out of the gallery"))

    def _correct(self, name: str, chosen: Selection, change: Change, done: str) -> Updates:
        gallery = self.context.writable(name)
        with gallery.write() as writer:
            corrected = change(gallery, writer, chosen.of(name))
        if not corrected:  # as after another tab; what is shown is of before
            gone = say("none of the chosen items is in '{name}' any more", name=gallery.name)
            return {self.notice: message(say("Not corrected"), gone, "error"), self.item_view.corrected: Wish.new()}
        text = say("The Evaluate tab lists all corrections and can undo them.")
        items = plural(corrected, "item", "items")
        return {self.notice: message(f"{items} {done}", text, "good"),
                self.item_view.corrected: Wish.new()}  # fmt: skip

    def show_query(self, found: LastResult, name: str | None) -> Updates:
        """(what the Search tab found, gallery) -> where the query's star goes, and the hits it is joined to."""
        return {self.star: self._star(found) if found.query and found.gallery == name else ""}

    def _star(self, found: LastResult) -> str:
        try:
            return query_star(self.context.gallery(found.gallery), found)
        except ERRORS:  # what the Search tab says
            return ""


def _card_server(context: AppContext) -> Callable[[Any], list[dict[str, Any]]]:
    """What the page asks for when the pointer is on a point, and when few are in view."""

    def cards(asked: Any) -> list[dict[str, Any]]:
        """[gallery, ids] -> id, image, label and path of those that are there."""
        try:
            gallery = context.gallery(str(asked[0]))
            records = gallery.records([item_id(item) for item in asked[1][:MOST_CARDS]])
        except (*ERRORS, LookupError, TypeError, ValueError):
            return []
        return [
            {
                "id": record.id,
                "image": address(THUMBNAIL, gallery.name, record),
                "label": record.label,
                "path": record.path,
            }
            for record in records
        ]

    return cards


def _maps(gallery: Gallery, models: list[str]) -> Work[list[Map]]:
    maps: list[Map] = []
    for model in models:
        maps += [(yield from project(gallery, model))]
    return maps


def _is_current(gallery: Gallery, maps: list[Map]) -> bool:
    """Whether no items came or went since, and the gallery is searched with the same model."""
    first, *others = maps
    there, models = gallery.snapshot().columns.ids, baselines(gallery) if others else []
    fits = first.model == gallery.config.model and all(other.model in models for other in others)
    return fits and all(np.array_equal(made.ids, there) for made in maps)


def _drawing(gallery: Gallery, drawn: Map, other: Map | None = None) -> str:
    current, near = gallery.neighbours()
    return json.dumps({"gallery": gallery.name, **page.map_data(current.columns, near, drawn, other)})


def _no_model() -> tuple[str, str]:
    """To compare with: none."""
    return say("none"), ""
