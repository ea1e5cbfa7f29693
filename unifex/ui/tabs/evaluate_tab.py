"""The Evaluate tab: how well a gallery finds what belongs together, what fails, and mending it."""

from __future__ import annotations

import json
from dataclasses import dataclass

import gradio as gr

from unifex.core.errors import UnifexError
from unifex.core.jobs import Job, State
from unifex.core.text import reason
from unifex.evaluation import failures
from unifex.evaluation.compare import BASELINES, Assessment, baselines, compare
from unifex.evaluation.protocols import PROTOCOLS, EvalProtocol
from unifex.gallery import corrections
from unifex.gallery.corrections import Correction
from unifex.gallery.gallery import Gallery, GalleryError
from unifex.ui.components.basic import Choice, notice
from unifex.ui.components.gallery_picker import gallery_picker
from unifex.ui.components.item_view import ItemView
from unifex.ui.components.job_tray import JobPanel
from unifex.ui.components.pressing import ask_for_job, or_say
from unifex.ui.context import ERRORS, AppContext, Wish
from unifex.ui.listening import Part, Updates, listen
from unifex.ui.rendering import evaluation_report, failure_lists
from unifex.ui.rendering.cards import CardCache, of_gallery
from unifex.ui.rendering.html import message
from unifex.ui.scripts import scripts

ROWS = 24


@dataclass
class EvaluateTab:
    """Components that the page needs, and the handlers."""

    context: AppContext
    item_view: ItemView

    def build(self) -> None:
        """Lay the tab out and wire it."""
        self.panel = JobPanel(("evaluate",), "evaluate-progress")
        self.drawn = gr.State("")  # the job whose outcome is on the page
        self.before = gr.State(frozenset())  # the corrections that the lists take into account
        with gr.Row():
            with gr.Column(scale=1, min_width=280):
                self.gallery = gallery_picker(self.context, "evaluate-gallery")
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
                self.outcome = notice("evaluation", _INVITATION, "evaluate")
                self.marks = gr.HTML("", html_template="", js_on_load=_MARKS_JS, visible="hidden")
                with gr.Column(visible=False, elem_id="failures") as self.failures:
                    self.notice = notice("correction-notice")
                    with gr.Tabs():
                        with gr.Tab("Worst queries"):
                            self.worst = gr.HTML(elem_id="worst-queries", js_on_load=scripts("evaluate"))
                        with gr.Tab("Likely label errors"):
                            self.errors = gr.HTML(elem_id="label-errors", js_on_load=scripts("evaluate"))
                        with gr.Tab("Near-duplicates"):
                            self.duplicates = gr.HTML(elem_id="near-duplicates", js_on_load=scripts("evaluate"))
                        with gr.Tab("Corrections"):
                            self.corrections = gr.HTML(elem_id="corrections", js_on_load=scripts("evaluate"))
        self._wire()

    @property
    def showing(self) -> list[Part]:
        """What :meth:`show_job` updates."""
        return [self.drawn, self.outcome, self.failures, self.worst, self.errors, self.duplicates, *self.corrected]

    @property
    def corrected(self) -> list[Part]:
        """What :meth:`show_corrections` updates."""
        return [self.corrections, self.marks, self.before]

    @property
    def choices(self) -> list[Part]:
        """What :meth:`choose_gallery` updates."""
        return [self.compare, self.dim]

    def _wire(self) -> None:
        asked = [self.gallery, self.protocol, self.seed, self.copies, self.dim, self.in_context, self.compare]
        ask_for_job(self.start.click, self.begin, asked, self.problem, _NOT_MEASURED, kind="warning")
        listen([self.gallery.change, self.panel.further.input], self.show_job, [self.gallery, self.drawn], self.showing)
        listen(self.gallery.change, self.reset, None, [self.problem, self.compare, self.dim])
        listen(self.protocol.change, self.choose_protocol, [self.protocol], [self.protocol])
        done, correct = [self.notice, self.item_view.corrected], or_say(self.notice, "Not corrected", self.correct)
        for listed in (self.worst, self.errors, self.duplicates, self.corrections):
            listen(listed.input, correct, [self.gallery], done, counts="every", concurrency_id="correct")

    # --- handlers ------------------------------------------------------------------------------------------------

    def choose_gallery(self, name: str | None) -> Updates:
        """(gallery) -> what it can be compared with, its dimensions."""
        try:
            gallery = self.context.gallery(name)
            dims = [
                (f"the gallery's, {gallery.config.dim}", 0),
                *((str(dim), dim) for dim in gallery.embedder.neck.dims),
            ]
            return {self.compare: gr.update(choices=baselines(gallery)), self.dim: gr.update(choices=dims)}
        except ERRORS:
            return {
                self.compare: gr.update(choices=[], value=[]),
                self.dim: gr.update(choices=[("the gallery's", 0)], value=0),
            }

    def choose_protocol(self, kind: str) -> Updates:
        """(protocol) -> what it does."""
        return {self.protocol: gr.update(info=PROTOCOLS[kind].advice)}

    def reset(self) -> Updates:
        """-> nothing of another gallery."""
        return {self.problem: "", self.compare: [], self.dim: 0}

    def begin(
        self, name: str, protocol: str, seed: float, copies: bool, dim: int, context: bool, rivals: list[str] | None
    ) -> None:
        """What is asked -> a job. Raises ``GalleryError`` and ``JobError``."""
        gallery = self.context.gallery(name)
        chosen = EvalProtocol(protocol, int(seed or 0), bool(copies))
        work = compare(gallery, chosen, int(dim) or None, context, rivals or ())
        self.context.start("evaluate", gallery.name, work, f"{chosen} {dim} {context} {rivals}")

    def show_job(self, name: str | None, drawn: str) -> Updates:
        """(gallery, the job that is drawn) -> what came of the last evaluation of this gallery, with its failures."""
        job = self.context.outcome("evaluate", name or "")
        if job is None:
            text = "" if self.context.is_busy("evaluate", name or "") else _INVITATION
            return {self.outcome: text, self.failures: gr.update(visible=False), self.drawn: ""}
        if job.id == drawn:
            return {self.drawn: drawn}
        done = job.state == State.DONE
        return {self.drawn: job.id, self.failures: gr.update(visible=done), **self._came(job)}

    def _came(self, job: Job) -> Updates:
        if job.state == State.CANCELLED:
            return {self.outcome: message("Cancelled", "Nothing was kept. Evaluate again at any time.")}
        if job.state == State.FAILED:
            return {self.outcome: message(_NOT_MEASURED, job.problem, "warning")}
        try:
            report = evaluation_report.report(job.result, job.name)
            return {self.outcome: report, **self._failures(self.context.gallery(job.name), job.result)}
        except ERRORS as error:
            return {self.outcome: message("The evaluation cannot be shown", reason(error), "error")}

    def _failures(self, gallery: Gallery, found: Assessment) -> Updates:
        """Worst queries, label errors, duplicates, corrections."""
        split, editable = found.main.split, self.context.can_change(gallery.name)
        current, near = gallery.neighbours()
        if current.columns is not split.columns:
            changed = message("The gallery has changed", "Evaluate again to see its failures.", "warning")
            shown = dict.fromkeys((self.worst, self.errors, self.duplicates), changed)
            return {**shown, **self._corrections(gallery)}
        see = CardCache(gallery, split.columns.ids)
        worst = [(w, see(w.query), [see(h) for h in w.hits]) for w in failures.worst_queries(found.main, ROWS)]
        errors = [(e, see(e.item), [see(n) for n in e.neighbours]) for e in failures.label_errors(split, near, ROWS)]
        pairs = [(d, see(d.query), see(d.item)) for d in failures.duplicates(split, near, ROWS)]
        return {
            self.worst: of_gallery(gallery.name, failure_lists.worst(worst, editable)),
            self.errors: of_gallery(gallery.name, failure_lists.label_errors(errors, editable)),
            self.duplicates: of_gallery(gallery.name, failure_lists.duplicates(pairs, editable)),
            **self._corrections(gallery),
        }

    def show_corrections(self, name: str | None, drawn: str, before: frozenset[Correction]) -> Updates:
        """(gallery, the job that is drawn, :attr:`before`) -> corrections, rows dealt with, :attr:`before`."""
        if not drawn:
            return {self.before: gr.skip()}
        try:
            return self._corrections(self.context.gallery(name), before)
        except ERRORS as error:
            unread = message("The corrections cannot be read", reason(error), "error")
            return {self.corrections: unread, self.marks: "[]", self.before: before}

    def _corrections(self, gallery: Gallery, before: frozenset[Correction] | None = None) -> Updates:
        """The list, the rows of the other lists that are dealt with since, and what these take into account."""
        said = gallery.corrections()
        before = frozenset(said) if before is None else before
        listed = failure_lists.corrections(said, corrections.as_csv(said), self.context.can_change(gallery.name))
        since = [failure_lists.subject(correction) for correction in said if correction not in before]
        return {self.corrections: listed, self.marks: json.dumps(since), self.before: before}

    def correct(self, name: str, event: gr.EventData) -> Updates:
        """(gallery; action on items) -> notice, that something was corrected. Raises ``GalleryError``."""
        gallery = self.context.writable(name)
        sentence = _apply(gallery, str(event.act), int(event.item), int(event.other))
        return {
            self.notice: message(sentence, "Press Evaluate to score again.", "good"),
            self.item_view.corrected: Wish.new(),
        }


def _apply(gallery: Gallery, act: str, item: int, other: int) -> str:
    """Store (or with undo take back) one correction; what was done."""
    if act == "undo":
        said = next((said for said in gallery.corrections() if failure_lists.key(said) == item), None)
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
_NOT_MEASURED = "This gallery cannot be measured"
_INVITATION = message(
    "Measure this gallery",
    "Press Evaluate: labelled items search for each other, and the figures say how often the right ones come first, "
    "for every domain and label, with intervals. Then open what failed.",
)
