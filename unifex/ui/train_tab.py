"""The Train tab: labels teach the neck; what it is worth is measured before anybody uses it."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import gradio as gr

from unifex import training_data
from unifex.embedder import Embedder, ModelError, list_models
from unifex.finetuning import Doing, finetune
from unifex.gallery import Gallery, GalleryError
from unifex.indexes import MAX_NAME
from unifex.outcome import Outcome, Point
from unifex.recipes import PRESETS, Recipe
from unifex.snapshot import Embedding
from unifex.text import duration, plural, reason
from unifex.training_data import HOLD_OUT_SHARE, HoldOut
from unifex.ui import html, training_report
from unifex.ui.context import ERRORS, Context
from unifex.ui.evaluate_tab import Shelf
from unifex.ui.gallery_tab import GalleryTab, drop_zone
from unifex.ui.item_view import ItemView
from unifex.ui.model_download import ModelDownload
from unifex.ui.recipe_form import FIRST_PRESET, RecipeForm, recipe_of
from unifex.ui.theme import asset, plotly_path
from unifex.unfinished import points_so_far, right_to_train, unfinished

PRIVATE = {"show_progress": "hidden", "api_visibility": "private"}
STOP_SECONDS = 30
SUSPECTS_LOOKED_FOR = 20_000  # items; of more, finding every neighbour would keep people waiting


@dataclass
class TrainTab:
    """Components that the page needs, and the handlers."""

    context: Context
    item_view: ItemView
    gallery_tab: GalleryTab
    form: RecipeForm = field(default_factory=RecipeForm)
    download: ModelDownload = field(init=False)

    def __post_init__(self) -> None:
        self.download = ModelDownload(self.context)

    def build(self) -> None:
        """Lay the tab out; :meth:`wire` connects it when all tabs are there."""
        self.found, self.used, self.pending, self.typed = gr.State(None), gr.State(0), gr.State(""), gr.State("")
        with gr.Row():
            with gr.Column(scale=1, min_width=300):
                self._build_data()
                self.form.build()
                self._build_start()
            with gr.Column(scale=3, min_width=320):
                self._build_results()

    @property
    def _writable(self) -> bool:
        return not self.context.settings.read_only

    def _build_data(self) -> None:
        first = self.context.first_gallery()
        gr.Markdown("### 1 · Data")
        self.gallery = gr.Dropdown(
            self.context.indexes.names() or [first], value=first, label="Labels of this gallery",
            elem_id="train-gallery",
        )  # fmt: skip
        self.back = gr.Button("Go back", size="sm", visible=False, elem_id="train-back")
        with gr.Accordion("or upload labelled folders", open=False, visible=self._writable):
            self.drop = drop_zone(self.context, "train-drop")
            self.upload_name = gr.Textbox(
                label="They become this gallery", placeholder="the folder's name", elem_id="train-upload-name"
            )
        self.share = gr.Slider(
            0, 0.6, HOLD_OUT_SHARE, step=0.05, label="Held-out classes",
            info="Share of the classes that is only measured on; a split of the gallery comes first",
            elem_id="train-hold-out",
        )  # fmt: skip

    def _build_start(self) -> None:
        gr.Markdown("### 3 · Train")
        self.name = gr.Textbox(label="Name of the new model", placeholder="my-model", elem_id="train-name")
        with gr.Row():
            self.start = gr.Button("Train", variant="primary", visible=self._writable, elem_id="train-button")
            self.cancel = gr.Button("Stop", variant="stop", visible=False, elem_id="train-cancel")
        with gr.Row():
            self.resume = gr.Button("Go on", visible=False, elem_id="train-resume")
            self.finish = gr.Button("Keep what was reached", visible=False, elem_id="train-finish")

    def _build_results(self) -> None:
        invitation = _INVITATION if self._writable else _READ_ONLY
        self.summary = gr.HTML(invitation, elem_id="train-data", js_on_load=asset("evaluate.js"))
        self.status = gr.HTML(elem_id="train-status")
        self.curves = gr.HTML(
            "", html_template='<div class="curves" role="img" aria-label="Training curves" hidden></div>',
            js_on_load=asset("plotly.js") + asset("curves.js"), library=f"gradio_api/file={plotly_path()}",
            elem_id="train-curves",
        )  # fmt: skip
        self.outcome = gr.HTML(elem_id="train-outcome", js_on_load=asset("evaluate.js"))
        with gr.Column(visible=False, elem_id="train-result") as self.result:
            self.others = gr.CheckboxGroup(
                [], label="Galleries that shall be searched with it", elem_id="train-galleries"
            )
            self.use = gr.Button("Use it", variant="primary", elem_id="train-use")
            with gr.Row(equal_height=True):
                self.download.build()
            self.download.build_notice()
        self.notice = gr.HTML(elem_id="train-notice")
        self.changed = gr.HTML(elem_id="train-changed", js_on_load=asset("evaluate.js"))

    @property
    def opened(self) -> dict:
        """What is called when the tab is opened or its gallery chosen."""
        outputs = [self.summary, self.name, self.resume, self.finish, self.back]
        return {"fn": self.show_data, "inputs": [self.gallery, self.share], "outputs": outputs}

    def wire(self) -> None:
        """Connect the handlers."""
        indexed = self._wire_data()
        self.form.wire()
        self._wire_training(indexed)
        switched = [self.notice, self.back, self.used]
        self.use.click(self.switch, [self.others, self.found, self.used], switched, concurrency_id="train", **PRIVATE)
        self.back.click(self.go_back, [self.gallery, self.used], switched, concurrency_id="train", **PRIVATE)
        self.download.wire(self.found)
        for listed in (self.summary, self.changed):
            listed.select(self.open_item, [self.gallery], self.item_view.outputs, **PRIVATE)

    def _wire_data(self) -> gr.events.Dependency:
        """What is dropped becomes a gallery; the indexing, so that it can be stopped."""
        received = self.drop.upload(
            self.gallery_tab.receive, [self.upload_name],
            [self.pending, self.typed, self.upload_name, self.summary], **PRIVATE,
        )  # fmt: skip
        indexed = received.then(
            self.take_in, [self.typed, self.pending, self.upload_name],
            [self.summary, self.start, self.cancel, self.pending], concurrency_id="index", **PRIVATE,
        )  # fmt: skip
        indexed.then(
            self.gallery_tab.refresh, [self.upload_name, self.gallery], self.gallery_tab.dropdowns, **PRIVATE
        ).then(**self.opened, **PRIVATE)
        cleared = [self.status, self.curves, self.outcome, self.found, self.result, self.notice, self.changed]
        self.gallery.change(self.clear, None, cleared, **PRIVATE)
        self.share.release(self.show_summary, [self.gallery, self.share], [self.summary], **PRIVATE)
        return indexed

    def _wire_training(self, indexed: gr.events.Dependency) -> None:
        buttons = [self.start, self.cancel, self.resume, self.finish]
        outputs = [self.status, self.curves, self.outcome, self.found, *buttons]
        job = {"outputs": outputs, "concurrency_id": "train", **PRIVATE}
        asked = [self.gallery, self.name, self.share, *self.form.fields]
        runs = [
            self.start.click(self.run, asked, **job),
            self.resume.click(self.go_on, [self.gallery], **job),
            self.finish.click(self.keep, [self.gallery], **job),
        ]
        shown = [self.result, self.others, self.use, self.name, *self.download.shown, self.notice, self.changed]
        for run in runs:
            done = run.then(self.show_result, [self.gallery, self.found], shown, **PRIVATE)
            done.then(**self.gallery_tab.visit.shown)
        # Two listeners, in this order: the page runs one after the other, and the second waits for the effect.
        self.cancel.click(None, cancels=[*runs, indexed], api_visibility="private")
        self.cancel.click(self.stopped, [self.gallery, self.name], [self.status, *buttons], **PRIVATE)

    # --- data and recipe -----------------------------------------------------------------------------------------

    def take_in(self, typed: str, staged: str, name: str) -> Iterator[tuple]:
        """(typed path, staged upload, gallery name) -> progress, start, stop, staged upload."""
        for shown, start, cancel, _, pending in self.gallery_tab.run(typed, staged, name):
            yield shown, start, cancel, pending

    def show_data(self, name: str | None, share: float) -> Iterator[tuple]:
        """(gallery, share held out) -> summary, a name for the model, resume, finish, back."""
        try:
            gallery = self.context.gallery(name)
            orders = [order for order in unfinished(self.context.indexes.models) if order.gallery == gallery.name]
            waiting = bool(orders) and self.context.can_change(name)
            named = orders[0].name if orders else self._free_name(gallery.name)
            shown = (
                gr.update(value=named),
                gr.update(visible=waiting, value=f"Go on with '{named}'"),
                gr.update(visible=waiting),
                _back(gallery) if self.context.can_change(name) else gr.update(visible=False),
            )
            data = training_data.choose(gallery, PRESETS[FIRST_PRESET], HoldOut(share))
        except ERRORS as error:
            yield html.message("Nothing to learn from yet", reason(error), "warning"), *[gr.skip()] * 4
            return
        yield training_report.summary(data, None), *shown
        if len(data.columns.ids) <= SUSPECTS_LOOKED_FOR:
            see = Shelf(gallery, data.columns.ids)
            suspects = [see(error.item) for error in training_data.suspicious_labels(gallery, data)]
            yield training_report.summary(data, suspects), *[gr.skip()] * 4

    def show_summary(self, name: str | None, share: float) -> Iterator[str]:
        """(gallery, share held out) -> summary."""
        for summary, *_ in self.show_data(name, share):
            yield summary

    def _free_name(self, gallery: str) -> str:
        taken = {config.name for config in list_models(self.context.indexes.models)}
        stem = gallery.encode()[: MAX_NAME - 10].decode(errors="ignore").strip() + "-neck"
        return next(name for name in (stem, *(f"{stem}-{number}" for number in range(2, 1000))) if name not in taken)

    # --- training ------------------------------------------------------------------------------------------------

    def run(self, gallery: str, name: str, share: float, *values) -> Iterator[tuple]:
        """(gallery, model name, share held out, the form's fields) -> status, curves, outcome, found, buttons."""
        try:
            recipe = recipe_of(values)
        except ERRORS as error:
            yield html.message("Training cannot start", reason(error), "error"), *[gr.skip()] * 3, *_idle()
            return
        yield from self._train(gallery, name.strip(), recipe, HoldOut(share))

    def go_on(self, gallery: str) -> Iterator[tuple]:
        """(gallery) -> as :meth:`run`, for the training of it that was stopped last."""
        yield from self._again(gallery, finish=False)

    def keep(self, gallery: str) -> Iterator[tuple]:
        """(gallery) -> as :meth:`run`: measure and save what the stopped training had reached."""
        yield from self._again(gallery, finish=True)

    def _again(self, gallery: str, finish: bool) -> Iterator[tuple]:
        orders = [order for order in unfinished(self.context.indexes.models) if order.gallery == gallery]
        if not orders:
            yield html.message("Nothing to go on with", "Press Train."), *[gr.skip()] * 3, *_idle()
            return
        yield from self._train(gallery, orders[0].name, orders[0].recipe, orders[0].hold_out, finish)

    def _train(self, name: str, model: str, recipe: Recipe, hold_out: HoldOut, finish: bool = False) -> Iterator[tuple]:
        try:
            gallery = self.context.writable(name)
            before = points_so_far(self.context.indexes.models, model)
            points: dict[int, Point] = {point.number: point for point in before}
            yield html.message("Reading the gallery"), "", "", None, *_busy()
            deadline = self._deadline(finish)
            for event in finetune(gallery, model, recipe, hold_out, finish):
                if time.monotonic() > deadline and isinstance(event, Point):
                    most = duration(self.context.workspace.limits.training_seconds)
                    raise GalleryError(f"a training may take {most} on this server; keep it, or go on")
                if isinstance(event, Doing):
                    yield html.bar(event.what.capitalize(), event.done, event.total, ""), *[gr.skip()] * 3, *_busy()
                elif isinstance(event, Point):
                    points = {n: point for n, point in points.items() if n < event.number} | {event.number: event}
                    curves = training_report.curves(list(points.values()))
                    yield training_report.progress(event), curves, gr.skip(), gr.skip(), *_busy()
                else:
                    yield "", gr.skip(), training_report.outcome(event), event, *_idle()
        except ERRORS as error:
            waiting = any(order.name == model for order in unfinished(self.context.indexes.models))
            text = f"{reason(error)}. What was reached is kept." if waiting else reason(error)
            yield html.message("Not trained", text, "error"), *[gr.skip()] * 3, *_idle(waiting)

    def _deadline(self, finish: bool) -> float:
        """When a visitor's training has to end, which is counted; never for who runs the server."""
        workspace = self.context.workspace
        if workspace and not finish:
            workspace.begin_training()
        return time.monotonic() + workspace.limits.training_seconds if workspace else math.inf

    def stopped(self, gallery: str, name: str) -> tuple:
        """(gallery, model name) -> status and buttons after Stop, once the epoch has come to its end."""
        with contextlib.suppress(ModelError), right_to_train(self.context.indexes.models, name, STOP_SECONDS):
            pass
        waiting = any(order.gallery == gallery for order in unfinished(self.context.indexes.models))
        text = "Go on where it stopped, now or after a restart, or keep what was reached." if waiting else ""
        text = text or "Nothing is trained yet. An upload that was stopped goes on in the Gallery tab."
        return html.message("Stopped", text, "warning"), *_idle(waiting)

    def clear(self) -> tuple:
        """-> nothing of another gallery's training is shown."""
        return "", "", "", None, gr.update(visible=False), "", ""

    # --- result --------------------------------------------------------------------------------------------------

    def show_result(self, name: str, found: Outcome | None) -> tuple:
        """(gallery, outcome) -> result, galleries, use, next name, kind, download, its notice, notice, queries."""
        if found is None:
            return gr.update(visible=False), *[gr.skip()] * 7, ""
        gallery = self.context.gallery(name)
        fitting = self._fitting(gallery)
        see = Shelf(gallery, found.data.columns.ids)
        advised = found.verdict == "better"
        return (
            gr.update(visible=True),
            gr.update(choices=fitting, value=[name], visible=len(fitting) > 1),
            gr.update(value="Use it" if advised else "Use it anyway", variant="primary" if advised else "secondary"),
            self._free_name(gallery.name),
            *self.download.of(found.model),
            "",
            training_report.changed(found.changed(), see, found.before, found.model),
        )

    def _fitting(self, gallery: Gallery) -> list[str]:
        """Galleries on the same backbone."""
        names = self.context.indexes.names()
        opened = [self.context.gallery(name) for name in names]
        return [g.name for g in opened if g.config.backbone_hash == gallery.config.backbone_hash]

    def switch(self, names: list[str], found: Outcome | None, used: int) -> Iterator[tuple]:
        """(galleries, outcome, how often) -> notice, back, how often a model was changed."""
        if found is None:
            yield html.message("Nothing trained yet"), gr.skip(), gr.skip()
            return
        yield from self._switch(names, found.model, used)

    def go_back(self, name: str, used: int) -> Iterator[tuple]:
        """(gallery, how often) -> as :meth:`switch`, to the model before."""
        try:
            previous = self.context.gallery(name).config.previous
        except ERRORS as error:
            yield html.message("Not changed", reason(error), "error"), gr.skip(), gr.skip()
            return
        yield from self._switch([name], previous, used)

    def _switch(self, names: list[str], model: str, used: int) -> Iterator[tuple]:
        lines = []
        try:
            embedder = Embedder.load(model, models=self.context.indexes.models)
            for name in names:
                items = 0
                for event in self.context.indexes.use(name, embedder):
                    if isinstance(event, Embedding):
                        items = event.total
                        yield html.bar(f"Embedding {name}", event.done, event.total, ""), gr.skip(), gr.skip()
                lines.append(f"'{name}': {plural(items, 'item')}")
        except ERRORS as error:
            yield html.message("Not changed", reason(error), "error"), gr.skip(), gr.skip()
            return
        text = f"{', '.join(lines)}. Search, Evaluate and Map follow; the button under the gallery goes back."
        back = _back(event) if names else gr.skip()
        yield html.message(f"Searching with '{model}' now", text, "good"), back, used + 1

    def open_item(self, name: str, event: gr.SelectData) -> tuple:
        """(gallery; card) -> the large view."""
        return self.item_view.open(name, int(event.value))


def _back(gallery: Gallery) -> dict:
    previous = gallery.config.previous
    return gr.update(visible=bool(previous), value=f"Go back to '{previous}'")


_INVITATION = html.message(
    "Teach this gallery",
    "Labels tell what belongs together. Some classes are held out and only measured on, so that you see what the new "
    "neck is worth for things it never saw, before you use it.",
)

_READ_ONLY = html.message("This server is read-only", "Run it yourself, or duplicate the Space, to train.")


def _busy() -> tuple[dict, dict, dict, dict]:
    """Start hidden, Stop shown, Go on and Keep hidden."""
    return gr.update(visible=False), gr.update(visible=True), gr.update(visible=False), gr.update(visible=False)


def _idle(waiting: bool = False) -> tuple[dict, dict, dict, dict]:
    """Start shown, Stop hidden, Go on and Keep as told."""
    return gr.update(visible=True), gr.update(visible=False), gr.update(visible=waiting), gr.update(visible=waiting)
