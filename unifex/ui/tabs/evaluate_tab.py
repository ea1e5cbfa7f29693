"""The Evaluate tab: how well a gallery finds what belongs together, what fails, and mending it."""

from __future__ import annotations

import json
from dataclasses import dataclass

import gradio as gr

from unifex.core.errors import UnifexError
from unifex.core.jobs import State
from unifex.core.text import reason
from unifex.evaluation import failures
from unifex.evaluation.compare import BASELINES, Assessment, baselines, compare
from unifex.evaluation.protocols import PROTOCOLS, EvalProtocol
from unifex.gallery import corrections
from unifex.gallery.corrections import Correction
from unifex.gallery.gallery import Gallery, GalleryError
from unifex.ui.components.basic import Choice, notice
from unifex.ui.components.item_view import ItemView
from unifex.ui.components.job_tray import JobPanel, seen_at_once
from unifex.ui.context import ERRORS, AppContext, Wish
from unifex.ui.listening import listen
from unifex.ui.rendering import evaluation_report, html
from unifex.ui.rendering import failures as failures_report
from unifex.ui.rendering.cards import CardCache, of_gallery
from unifex.ui.theme import asset

ROWS = 24


@dataclass
class EvaluateTab:
    """Components that the page needs, and the handlers."""

    context: AppContext
    item_view: ItemView

    def build(self) -> None:
        """Lay the tab out and wire it."""
        first = self.context.first_gallery()
        self.panel = JobPanel(("evaluate",), "evaluate-progress")
        self.drawn = gr.State("")  # the job whose outcome is on the page
        self.before = gr.State(frozenset())  # the corrections that the lists take into account
        with gr.Row():
            with gr.Column(scale=1, min_width=280):
                self.gallery = Choice(
                    self.context.library.names() or [first], value=first, label="Gallery", elem_id="evaluate-gallery"
                )
                self.protocol = gr.Dropdown(
                    [(kind.capitalize(), kind) for kind in PROTOCOLS], value="auto", label="Protocol",
                    info=PROTOCOLS["auto"].advice, elem_id="evaluate-protocol",
                )  # fmt: skip
                self.compare = Choice(
                    [], multiselect=True, label="Compare with", elem_id="evaluate-compare",
                    info="; ".join(f"{name}: {baseline.sentence}" for name, baseline in BASELINES.items()),
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
                self.start = gr.Button("Evaluate", variant="primary", elem_id="evaluate-button")
            with gr.Column(scale=3, min_width=320):
                self.panel.build()
                self.problem = notice("evaluate-problem")
                self.outcome = notice("evaluation", _INVITATION, asset("evaluate.js"))
                self.marks = gr.HTML("", html_template="", js_on_load=_MARKS_JS, visible="hidden")
                with gr.Column(visible=False, elem_id="failures") as self.failures:
                    self.notice = notice("correction-notice")
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
        return [self.worst, self.errors, self.duplicates, *self._corrected]

    @property
    def _corrected(self) -> list:
        return [self.corrections, self.marks, self.before]

    @property
    def corrected(self) -> dict:
        """What is called when something was corrected, here or elsewhere."""
        inputs = [self.gallery, self.drawn, self.before]
        return {"fn": self.show_corrections, "inputs": inputs, "outputs": self._corrected}

    @property
    def shown(self) -> dict:
        """What is called when another gallery is chosen, or its model has changed."""
        outputs = [self.drawn, self.outcome, self.failures, *self._lists]
        return {"fn": self.show_job, "inputs": [self.gallery, self.drawn], "outputs": outputs}

    @property
    def opened(self) -> dict:
        """What is called when the tab is opened or its gallery chosen."""
        return {"fn": self.choose_gallery, "inputs": [self.gallery], "outputs": [self.compare, self.dim]}

    def _wire(self) -> None:
        asked = [self.gallery, self.protocol, self.seed, self.copies, self.dim, self.in_context, self.compare]
        seen_at_once(listen(self.start.click, self.begin, asked, [self.problem], counts="first"))
        listen([self.gallery.change, self.panel.further.input], **self.shown)
        afresh = [self.problem, self.compare, self.dim]
        listen(self.gallery.change, lambda: ("", gr.update(value=[]), gr.update(value=0)), None, afresh)
        listen(self.protocol.change, _advised, [self.protocol], [self.protocol])
        done = [self.notice, self.item_view.corrected]
        for listed in (self.worst, self.errors, self.duplicates, self.corrections):
            listen(listed.input, self.correct, [self.gallery], done, counts="every", concurrency_id="correct")

    # --- handlers ------------------------------------------------------------------------------------------------

    def choose_gallery(self, name: str | None) -> tuple[dict, dict]:
        """(gallery) -> what it can be compared with, its dimensions."""
        try:
            gallery = self.context.gallery(name)
            dims = [
                (f"the gallery's, {gallery.config.dim}", 0),
                *((str(dim), dim) for dim in gallery.embedder.neck.dims),
            ]
            return gr.update(choices=baselines(gallery)), gr.update(choices=dims)
        except ERRORS:
            return gr.update(choices=[], value=[]), gr.update(choices=[("the gallery's", 0)], value=0)

    def begin(
        self, name: str, protocol: str, seed: float, copies: bool, dim: int, context: bool, others: list[str]
    ) -> str:
        """What is asked -> what is wrong, or nothing."""
        try:
            gallery = self.context.gallery(name)
            chosen = EvalProtocol(protocol, int(seed or 0), bool(copies))
            work = compare(gallery, chosen, int(dim) or None, context, others or ())
            self.context.start("evaluate", gallery.name, work, f"{chosen} {dim} {context} {others}")
        except ERRORS as error:
            return html.message("This gallery cannot be measured", reason(error), "warning")
        return ""

    def show_job(self, name: str | None, drawn: str) -> dict:
        """(gallery, the job that is drawn) -> what came of the last evaluation of this gallery, with its failures."""
        job = self.context.jobs.outcome(self.context.owner, "evaluate", name or "")
        if job is None:
            busy = self.context.jobs.is_busy(self.context.owner, "evaluate", name or "")
            return {self.outcome: "" if busy else _INVITATION, self.failures: gr.update(visible=False), self.drawn: ""}
        if job.id == drawn:
            return {self.drawn: drawn}
        shown = {self.drawn: job.id, self.failures: gr.update(visible=job.state == State.DONE)}
        if job.state == State.CANCELLED:
            return {**shown, self.outcome: html.message("Cancelled", "Nothing was kept. Evaluate again at any time.")}
        if job.state == State.FAILED:
            text = job.problem
            return {**shown, self.outcome: html.message("This gallery cannot be measured", text, "warning")}
        try:
            return {
                **shown,
                self.outcome: evaluation_report.report(job.result, job.name),
                **self._failures(job.name, job.result),
            }
        except ERRORS as error:
            return {**shown, self.outcome: html.message("The evaluation cannot be shown", reason(error), "error")}

    def _failures(self, name: str, found: Assessment) -> dict:
        """Worst queries, label errors, duplicates, corrections."""
        gallery, split, editable = self.context.gallery(name), found.main.split, self.context.can_change(name)
        current, near = gallery.neighbours()
        if current.columns is not split.columns:
            changed = html.message("The gallery has changed", "Evaluate again to see its failures.", "warning")
            return dict(zip(self._lists, (changed, changed, changed, *self._corrections(gallery))))
        see = CardCache(gallery, split.columns.ids)
        worst = [(w, see(w.query), [see(h) for h in w.hits]) for w in failures.worst_queries(found.main, ROWS)]
        errors = [(e, see(e.item), [see(n) for n in e.neighbours]) for e in failures.label_errors(split, near, ROWS)]
        pairs = [(d, see(d.query), see(d.item)) for d in failures.duplicates(split, near, ROWS)]
        return {
            self.worst: of_gallery(name, failures_report.worst(worst, editable)),
            self.errors: of_gallery(name, failures_report.label_errors(errors, editable)),
            self.duplicates: of_gallery(name, failures_report.duplicates(pairs, editable)),
            **dict(zip(self._corrected, self._corrections(gallery))),
        }

    def show_corrections(self, name: str | None, drawn: str, before: frozenset[Correction]) -> tuple:
        """(gallery, the job that is drawn, :attr:`before`) -> corrections, rows dealt with, :attr:`before`."""
        if not drawn:
            return tuple(gr.skip() for _ in self._corrected)
        try:
            return self._corrections(self.context.gallery(name), before)
        except ERRORS as error:
            return html.message("The corrections cannot be read", reason(error), "error"), "[]", before

    def _corrections(self, gallery: Gallery, before: frozenset[Correction] | None = None) -> tuple:
        """The list, the rows of the other lists that are dealt with since, and what these take into account."""
        said = gallery.corrections()
        before = frozenset(said) if before is None else before
        listed = failures_report.corrections(said, corrections.as_csv(said), self.context.can_change(gallery.name))
        since = [failures_report.subject(correction) for correction in said if correction not in before]
        return listed, json.dumps(since), before

    def correct(self, name: str, event: gr.EventData) -> tuple[str, Wish | dict]:
        """(gallery; action on items) -> notice, that something was corrected."""
        try:
            gallery = self.context.writable(name)
            sentence = _apply(gallery, str(event.act), int(event.item), int(event.other))
        except ERRORS as error:
            return html.message("Not corrected", reason(error), "error"), gr.skip()
        return html.message(sentence, "Press Evaluate to score again.", "good"), Wish.new()


def _advised(protocol: str) -> dict:
    """The field with what the protocol does."""
    return gr.update(info=PROTOCOLS[protocol].advice)


def _apply(gallery: Gallery, act: str, item: int, other: int) -> str:
    """Store (or with undo take back) one correction; what was done."""
    if act == "undo":
        said = next((said for said in gallery.corrections() if failures_report.key(said) == item), None)
        if said is None:
            raise GalleryError("that was taken back already")
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


# Rows of the lists whose item was corrected since they were made are dimmed, wherever that was; taken back, no more.
_MARKS_JS = """
const mark = () => {
  unifex.corrected = new Set(JSON.parse(props.value || '[]'));
  for (const row of document.querySelectorAll('.failure[data-subject]')) {
    row.classList.toggle('done', unifex.corrected.has(row.dataset.subject));
  }
};
watch('value', mark);
mark();
"""
_INVITATION = html.message(
    "Measure this gallery",
    "Press Evaluate: labelled items search for each other, and the figures say how often the right ones come first, "
    "for every domain and label, with intervals. Then open what failed.",
)
