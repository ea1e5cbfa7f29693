"""The Evaluate tab: how well a gallery finds what belongs together, what fails, and mending it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import gradio as gr
from markupsafe import Markup

from unifex.core.errors import UnifexError
from unifex.core.jobs import Job, State
from unifex.core.json_text import parse_json
from unifex.core.language import say, to_say
from unifex.core.text import plural, reason
from unifex.evaluation.compare import BASELINES, baselines, compare
from unifex.evaluation.evaluation import Evaluation
from unifex.evaluation.protocols import PROTOCOLS, EvalProtocol
from unifex.gallery import corrections
from unifex.gallery.corrections import Correction
from unifex.gallery.gallery import Gallery
from unifex.ui.components.basic import Choice, job_notice, notice
from unifex.ui.components.corrections_view import CorrectionsView
from unifex.ui.components.failures_view import FailuresView
from unifex.ui.components.gallery_picker import gallery_picker
from unifex.ui.components.item_view import ItemView, leave_out
from unifex.ui.components.job_tray import JobPanel
from unifex.ui.components.pressing import ask_for_job, or_say
from unifex.ui.context import ERRORS, AppContext
from unifex.ui.listening import Part, Updates, follow, listen
from unifex.ui.page_state import Wish, as_told, item_id
from unifex.ui.rendering import evaluation_report
from unifex.ui.rendering.grouped_grid import subject
from unifex.ui.rendering.html import message
from unifex.ui.scripts import scripts


@dataclass
class EvaluateTab:
    """Components that the page needs, and the handlers."""

    context: AppContext
    item_view: ItemView

    pictures: FailuresView = field(init=False)
    said: CorrectionsView = field(init=False)

    def __post_init__(self) -> None:
        self.pictures, self.said = FailuresView(self.context), CorrectionsView(self.context)

    def build(self) -> None:
        """Lay the tab out and wire it."""
        self.panel = JobPanel(("evaluate",), "evaluate-progress")
        self.drawn = gr.State("")  # the job whose outcome is on the page
        self.before = gr.State(frozenset())  # the corrections that the lists take into account
        with gr.Row():
            with gr.Column(scale=1, min_width=280):
                self.gallery = gallery_picker(self.context, "evaluate-gallery")
                self.protocol = gr.Dropdown(
                    [(kind.capitalize(), kind) for kind in PROTOCOLS], value="auto", label=say("Protocol"),
                    info=_advice("auto"), elem_id="evaluate-protocol",
                )  # fmt: skip
                self.compare = Choice(
                    [], multiselect=True, label=say("Compare with"), elem_id="evaluate-compare",
                    info="; ".join(f"{name}: {say(baseline.sentence)}" for name, baseline in BASELINES.items()),
                )  # fmt: skip
                self.in_context = gr.Checkbox(
                    label=say("Context re-ranking"),
                    info=say("Beside plain search, never mixed"),
                    elem_id="evaluate-context",
                )
                with gr.Accordion(say("Dimension, seed, copies"), open=False):
                    self.dim = gr.Dropdown(
                        [(say("the gallery's"), 0)], value=0, label=say("Dimension"), info=say("64 is always shown")
                    )
                    self.seed = gr.Number(0, label=say("Seed"), precision=0, info=say("Of queries that are drawn"))
                    self.copies = gr.Checkbox(label=say("Byte-identical copies count"), info=say("In leave-one-out"))
                self.start = gr.Button(say("Evaluate"), variant="primary", elem_id="evaluate-button")
            with gr.Column(scale=3, min_width=320):
                self.panel.build()
                self.problem, self.stale = notice("evaluate-problem"), gr.HTML("", elem_id="evaluation-stale")
                self.outcome = job_notice("evaluation", _invitation(), "evaluate")
                self.marks = gr.HTML("", html_template="", js_on_load=_MARKS_JS, visible="hidden")
                with gr.Accordion(say("Labels"), open=False, visible=False, elem_id="labels") as self.by_label:
                    self.search = gr.Textbox(
                        label=say("Look for a label"),
                        placeholder=say("a part of its name"),
                        elem_id="label-search",
                        max_lines=1,
                    )
                    self.labels = gr.HTML(elem_id="label-rows", js_on_load=scripts("evaluate"))
                self.notice = notice("correction-notice")
                with gr.Column(visible=False, elem_id="failures") as self.failures:
                    self.pictures.build()
                self.said.build()
        self._wire()

    @property
    def showing(self) -> list[Part]:
        """What :meth:`show_job` updates."""
        labels = [self.by_label, self.search, self.labels]
        return [self.drawn, self.outcome, *labels, self.failures, self.notice, *self.pictures.shown, *self.corrected]

    @property
    def corrected(self) -> list[Part]:
        """What :meth:`show_corrections` updates."""
        return [self.marks, self.before, self.stale]

    @property
    def choices(self) -> list[Part]:
        """What :meth:`choose_gallery` updates."""
        return [self.compare, self.dim]

    def _wire(self) -> None:
        asked = [self.gallery, self.protocol, self.seed, self.copies, self.dim, self.in_context, self.compare]
        ask_for_job(self.start.click, self.begin, asked, self.problem, say(_NOT_MEASURED), kind="warning")
        others = [self.problem, self.compare, self.dim, self.notice]
        listen(self.gallery.change, None, None, others, js=_NOTHING_OF_ANOTHER)
        listen([self.gallery.change, self.panel.further.input], self.show_job, [self.gallery, self.drawn], self.showing)
        listen(self.protocol.change, self.choose_protocol, [self.protocol], [self.protocol])
        listen(self.search.change, self.show_labels, [self.gallery, self.search], [self.labels])
        view, done = self.pictures, [self.notice, self.item_view.corrected]
        part = or_say(self.notice, say("Nothing to look at"), view.show_part)
        opened = listen(view.opened.input, part, [self.gallery, view.opened], [self.notice, *view.of_part])
        follow(opened, None, js=_LOOK_AT_PICTURES)
        mend = or_say(self.notice, say("Not corrected"), self.mend)
        listen(view.mended.input, mend, [view.mended], done, counts="every", concurrency_id="correct")
        self.said.wire(self.gallery, self.notice, self.item_view.corrected)

    # --- handlers ------------------------------------------------------------------------------------------------

    def choose_gallery(self, name: str | None) -> Updates:
        """(gallery) -> what it can be compared with, its dimensions."""
        try:
            gallery = self.context.gallery(name)
            dims = [
                (say("the gallery's, {dim}", dim=gallery.config.dim), 0),
                *((str(dim), dim) for dim in gallery.embedder.neck.dims),
            ]
            return {self.compare: gr.update(choices=baselines(gallery)), self.dim: gr.update(choices=dims)}
        except ERRORS:
            return {self.compare: gr.update(choices=[]), self.dim: gr.update(choices=[(say("the gallery's"), 0)])}

    def choose_protocol(self, kind: str) -> Updates:
        """(protocol) -> what it does."""
        return {self.protocol: gr.update(info=_advice(kind))}

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
            text = "" if self.context.is_busy("evaluate", name or "") else _invitation()
            return {self.outcome: text, **self._results(False), self.drawn: ""}
        if job.id == drawn:
            return {self.drawn: drawn}
        fresh = {self.drawn: job.id, self.notice: ""}  # what was corrected before asked for just this evaluation
        return {**fresh, **self._results(job.state == State.DONE), **self._came(job)}

    def _results(self, there: bool) -> Updates:
        return {self.by_label: gr.update(visible=there), self.failures: gr.update(visible=there), self.stale: ""}

    def _came(self, job: Job) -> Updates:
        if job.state == State.CANCELLED:
            return {self.outcome: message(say("Cancelled"), say("Nothing was kept. Evaluate again at any time."))}
        if job.state == State.FAILED:
            return {self.outcome: message(say(_NOT_MEASURED), job.problem, "warning")}
        try:
            gallery, main = self.context.gallery(job.name), job.result.main
            return {
                self.outcome: evaluation_report.report(job.result, job.name),
                self.by_label: gr.update(
                    visible=True, label=say("{labels}, worst first", labels=plural(len(main.labels), "label", "labels"))
                ),
                self.search: "",
                self.labels: evaluation_report.labels(main),
                **self.pictures.show(gallery, main),
                **self._corrections(gallery, main),
            }
        except ERRORS as error:
            return {self.outcome: message(say("The evaluation cannot be shown"), reason(error), "error")}

    def show_labels(self, name: str | None, text: str) -> Updates:
        """(gallery, a part of a label's name) -> the labels that have it."""
        job = self.context.outcome("evaluate", name or "")
        return {self.labels: evaluation_report.labels(job.result.main, text) if job and job.result else ""}

    def show_corrections(self, name: str | None, drawn: str, before: frozenset[Correction]) -> Updates:
        """(gallery, the job that is drawn, :attr:`before`) -> rows dealt with, :attr:`before`, whether the figures are
        of before."""
        job = self.context.outcome("evaluate", name or "")
        if not (drawn and job and job.result):
            return {self.before: gr.skip()}
        try:
            return self._corrections(self.context.gallery(name), job.result.main, before)
        except ERRORS:  # as the list of corrections says
            return {self.marks: "[]", self.before: before}

    def _corrections(
        self, gallery: Gallery, measured: Evaluation, before: frozenset[Correction] | None = None
    ) -> Updates:
        """The rows of the lists that are dealt with since, what these take into account, and whether the gallery, and
        the model that it is searched with, are still as ``measured``."""
        said = gallery.corrections()
        before = frozenset(said) if before is None else before
        said_since = [correction for correction in said if correction not in before]
        since = [subject(correction) for correction in said_since]
        since += [f"drop {subject(correction)}" for correction in said_since if correction.kind == "drop"]
        changed = _changed(gallery, measured)
        stale = message(changed, say(_AGAIN), "warning") if changed else ""
        return {self.marks: json.dumps(since), self.before: before, self.stale: stale}

    def mend(self, told: str) -> Updates:
        """(action, gallery, item, other item) -> notice, that something was corrected. Raises ``UnifexError``."""
        with as_told():
            act, name, item, other = parse_json(told)
            item, other = item_id(item), item_id(other)
        sentence = _correct(self.context.writable(str(name)), str(act), item, other)
        return {self.notice: message(sentence, kind="good"), self.item_view.corrected: Wish.new()}


def _changed(gallery: Gallery, measured: Evaluation) -> str:
    """What is another than was ``measured``; empty where that would be found again."""
    if measured.model != gallery.config.model:
        return say("The gallery is searched with '{model}' since", model=gallery.config.model)
    return "" if measured.split.is_of(gallery) else say("The gallery has changed since")


def _correct(gallery: Gallery, act: str, item: int, other: int) -> str:
    """Store one correction; what was done, though it was before."""
    if act == "drop":
        return leave_out(gallery, item).sentence
    first = gallery.record(item)
    last = gallery.record(other) if other else first
    make = {
        "relabel": lambda: corrections.relabel(first, last.label, last.domain),
        "same": lambda: corrections.same(first, last),
    }
    if act not in make:
        raise UnifexError(say("no action '{act}'", act=act))
    said = make[act]()
    with gallery.write() as writer:
        writer.correct([said])
    return said.sentence


# Pictures whose item was corrected since they were listed are dimmed, wherever that was, and what could be done with it
# cannot be done again; taken back, no more.
_MARKS_JS = """
const mark = () => {
  unifex.corrected = new Set(JSON.parse(props.value || '[]'));
  for (const node of document.querySelectorAll('[data-subject]')) {
    const subject = node.dataset.subject, leftOut = unifex.corrected.has(`drop ${subject}`);
    node.classList.toggle('done', unifex.corrected.has(subject));
    for (const act of node.closest('#failures') ? node.querySelectorAll('.act') : []) {
      if (leftOut && act === document.activeElement) node.nextElementSibling.focus();
      act.disabled = leftOut;
    }
  }
};
watch('value', mark);
mark();
"""
# What a press on a figure opens comes into view, and the keyboard goes on from there.
_LOOK_AT_PICTURES = """() => setTimeout(() => {
  document.querySelector('#failures').scrollIntoView({ block: 'start' });
  document.querySelector('#part-title h3')?.focus({ preventScroll: true });
}, 150)"""
_NOTHING_OF_ANOTHER = "() => ['', [], 0, '']"
_NOT_MEASURED = to_say("This gallery cannot be measured")
_AGAIN = to_say("Press Evaluate to score again.")


def _invitation() -> Markup:
    text = say(
        "Press Evaluate: labelled items search for each other, and the figures say how often the right ones come "
        "first, for every domain and label, with intervals. Then open what failed."
    )
    return message(say("Measure this gallery"), text)


def _advice(kind: str) -> str:
    """All that is said of a protocol."""
    return "; ".join(map(say, PROTOCOLS[kind].advice))
