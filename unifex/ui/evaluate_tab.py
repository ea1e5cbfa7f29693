"""The Evaluate tab: how well a gallery finds what belongs together, what fails, and mending it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import gradio as gr
import numpy as np

from unifex import corrections, failures
from unifex.assessment import BASELINES, Assessment, assess, rivals
from unifex.errors import UnifexError
from unifex.evaluation import PROTOCOLS, Protocol
from unifex.gallery import Gallery, GalleryError
from unifex.text import reason
from unifex.ui import html, report
from unifex.ui.context import ERRORS, Context
from unifex.ui.item_view import ItemView
from unifex.ui.theme import asset

ROWS = 24


@dataclass
class EvaluateTab:
    """Components that the page needs, and the handlers."""

    context: Context
    item_view: ItemView

    def build(self) -> None:
        """Lay the tab out and wire it."""
        first = self.context.first_gallery()
        self.found = gr.State(None)
        with gr.Row():
            with gr.Column(scale=1, min_width=280):
                self.gallery = gr.Dropdown(
                    self.context.indexes.names() or [first], value=first, label="Gallery", elem_id="evaluate-gallery"
                )
                self.protocol = gr.Dropdown(
                    [(kind.capitalize(), kind) for kind in PROTOCOLS], value="auto", label="Protocol",
                    info=PROTOCOLS["auto"], elem_id="evaluate-protocol",
                )  # fmt: skip
                self.compare = gr.Dropdown(
                    [], multiselect=True, label="Compare with", elem_id="evaluate-compare",
                    info="; ".join(f"{name}: {text}" for name, text in BASELINES.items()),
                )  # fmt: skip
                self.in_context = gr.Checkbox(
                    label="Context re-ranking", info="Beside plain search, never mixed", elem_id="evaluate-context"
                )
                with gr.Accordion("Dimension, seed, copies", open=False):
                    self.dim = gr.Dropdown(
                        [("the gallery's", 0)], value=0, label="Dimension", info="64 is always shown"
                    )
                    self.seed = gr.Number(0, label="Seed", precision=0, info="Of queries that are drawn")
                    self.copies = gr.Checkbox(label="Byte-identical copies count", info="In leave-one-out")
                with gr.Row():
                    self.start = gr.Button("Evaluate", variant="primary", elem_id="evaluate-button")
                    self.cancel = gr.Button("Cancel", variant="stop", visible=False, elem_id="evaluate-cancel")
            with gr.Column(scale=3, min_width=320):
                self.outcome = gr.HTML(_INVITATION, elem_id="evaluation", js_on_load=asset("evaluate.js"))
                with gr.Column(visible=False, elem_id="failures") as self.failures:
                    self.notice = gr.HTML(elem_id="correction-notice")
                    with gr.Tabs():
                        with gr.Tab("Worst queries"):
                            self.worst = gr.HTML(elem_id="worst-queries", js_on_load=asset("evaluate.js"))
                        with gr.Tab("Likely label errors"):
                            self.errors = gr.HTML(elem_id="label-errors", js_on_load=asset("evaluate.js"))
                        with gr.Tab("Near-duplicates"):
                            self.duplicates = gr.HTML(elem_id="near-duplicates", js_on_load=asset("evaluate.js"))
                        with gr.Tab("Corrections"):
                            self.corrections = gr.HTML(elem_id="corrections", js_on_load=asset("evaluate.js"))
        self._wire()

    @property
    def _lists(self) -> list:
        return [self.worst, self.errors, self.duplicates, self.corrections]

    @property
    def cleared(self) -> list:
        """What :meth:`clear` gives."""
        return [self.outcome, self.found, self.failures, self.compare, self.dim]

    @property
    def opened(self) -> dict:
        """What is called when the tab is opened or its gallery chosen."""
        return {"fn": self.choose_gallery, "inputs": [self.gallery], "outputs": [self.compare, self.dim]}

    def _wire(self) -> None:
        private = {"show_progress": "hidden", "api_visibility": "private"}
        asked = [self.gallery, self.protocol, self.seed, self.copies, self.dim, self.in_context, self.compare]
        buttons = [self.start, self.cancel]
        outputs = [self.outcome, self.found, *buttons]
        started = self.start.click(self.run, asked, outputs, concurrency_id="evaluate", **private)
        started.then(self.show_failures, [self.gallery, self.found], [self.failures, *self._lists], **private)
        # Two listeners, in this order: the second one puts back what the cancelled first one left.
        self.cancel.click(None, cancels=[started], api_visibility="private")
        self.cancel.click(lambda: (html.message("Cancelled", "Nothing was kept."), *_idle()), None,
                          [self.outcome, *buttons], **private)  # fmt: skip
        self.gallery.change(self.clear, None, self.cleared, **private)
        self.protocol.change(lambda kind: gr.update(info=PROTOCOLS[kind]), [self.protocol], [self.protocol], **private)
        for listed in self._lists:
            listed.select(self.open_item, [self.gallery], self.item_view.outputs, **private)
            listed.input(self.correct, [self.gallery, self.found], [self.notice, self.corrections], **private)

    def clear(self) -> tuple:
        """-> :attr:`cleared`, for another gallery or another model."""
        return _INVITATION, None, gr.update(visible=False), gr.update(value=[]), gr.update(value=0)

    # --- handlers ------------------------------------------------------------------------------------------------

    def choose_gallery(self, name: str | None) -> tuple[dict, dict]:
        """(gallery) -> what it can be compared with, its dimensions."""
        try:
            gallery = self.context.gallery(name)
            dims = [
                (f"the gallery's, {gallery.config.dim}", 0),
                *((str(dim), dim) for dim in gallery.embedder.neck.dims),
            ]
            return gr.update(choices=rivals(gallery)), gr.update(choices=dims)
        except ERRORS:
            return gr.update(choices=[], value=[]), gr.update(choices=[("the gallery's", 0)], value=0)

    def run(
        self, name: str, protocol: str, seed: float, copies: bool, dim: int, context: bool, compare: list[str]
    ) -> Iterator[tuple]:
        """What is asked -> outcome, assessment, start, cancel."""
        try:
            gallery = self.context.gallery(name)
            chosen = Protocol(protocol, int(seed or 0), bool(copies))
            yield html.message("Reading the gallery"), None, *_busy()
            for event in assess(gallery, chosen, int(dim) or None, context, compare or ()):
                if isinstance(event, Assessment):
                    yield report.report(event, name), event, *_idle()
                else:
                    yield html.bar("Measuring", event.done, event.total, f" · {event.doing}"), gr.skip(), *_busy()
        except ERRORS as error:
            yield html.message("This gallery cannot be measured", reason(error), "warning"), None, *_idle()

    def show_failures(self, name: str, found: Assessment | None) -> tuple:
        """(gallery, assessment) -> whether there is anything, worst queries, label errors, duplicates, corrections."""
        if found is None:
            return gr.update(visible=False), "", "", "", ""
        gallery, trial, editable = self.context.gallery(name), found.main.trial, self.context.can_change(name)
        current, near = gallery.neighbours()
        if current.columns is not trial.columns:
            changed = html.message("The gallery has changed", "Evaluate again to see its failures.", "warning")
            return gr.update(visible=True), changed, changed, changed, self._corrections(gallery)
        see = Shelf(gallery, trial.columns.ids)
        worst = [(w, see(w.query), [see(h) for h in w.hits]) for w in failures.worst_queries(found.main, ROWS)]
        errors = [(e, see(e.item), [see(n) for n in e.neighbours]) for e in failures.label_errors(trial, near, ROWS)]
        pairs = [(d, see(d.query), see(d.item)) for d in failures.duplicates(trial, near, ROWS)]
        return (
            gr.update(visible=True),
            report.worst(worst, editable),
            report.label_errors(errors, editable),
            report.duplicates(pairs, editable),
            self._corrections(gallery),
        )

    def _corrections(self, gallery: Gallery) -> str:
        said = gallery.corrections()
        return report.corrections(said, corrections.as_csv(said), self.context.can_change(gallery.name))

    def open_item(self, name: str, event: gr.SelectData) -> tuple:
        """(gallery; card) -> the large view."""
        return self.item_view.open(name, int(event.value))

    def correct(self, name: str, found: Assessment | None, event: gr.EventData) -> tuple[str, str]:
        """(gallery, assessment; action on items) -> notice, list of corrections."""
        try:
            gallery = self.context.writable(name)
            sentence = _apply(gallery, str(event.act), int(event.item), int(event.other))
        except ERRORS as error:
            return html.message("Not corrected", reason(error), "error"), gr.skip()
        return html.message(sentence, "Press Evaluate to score again.", "good"), self._corrections(gallery)


class Shelf:
    """What cards show, by position; each item is read once."""

    def __init__(self, gallery: Gallery, ids: np.ndarray):
        self.gallery, self.ids, self.known = gallery, ids, {}

    def __call__(self, position: int) -> report.Shown:
        if position not in self.known:
            record = self.gallery.records([self.ids[position]])[0]
            self.known[position] = report.Shown(record, self.gallery.thumbnail(record.sha256))
        return self.known[position]


def _apply(gallery: Gallery, act: str, item: int, other: int) -> str:
    """Store (or with undo take back) one correction; what was done."""
    if act == "undo":
        said = gallery.corrections()[item]
        with gallery.write() as writer:
            writer.undo([said])
        return f"Taken back: {said.sentence}"
    found = gallery.records([item, other] if other else [item])
    if len(found) < (2 if other else 1):
        raise GalleryError("the item is no longer in the gallery; evaluate again")
    first, last = found[0], found[-1]
    make = {
        "relabel": lambda: corrections.relabel(first, last.label, last.domain),
        "drop": lambda: corrections.drop(first),
        "same": lambda: corrections.same(first, last),
    }
    if act not in make:
        raise UnifexError(f"no action '{act}'")
    said = make[act]()
    with gallery.write() as writer:
        writer.correct([said])
    return said.sentence


_INVITATION = html.message(
    "Measure this gallery",
    "Press Evaluate: labelled items search for each other, and the figures say how often the right ones come first, "
    "for every domain and label, with intervals. Then open what failed.",
)


def _busy() -> tuple[dict, dict]:
    return gr.update(visible=False), gr.update(visible=True)


def _idle() -> tuple[dict, dict]:
    return gr.update(visible=True), gr.update(visible=False)
