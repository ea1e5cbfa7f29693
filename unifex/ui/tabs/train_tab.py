"""The Train tab: labels teach the neck; what it is worth is measured before anybody uses it."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import gradio as gr

from unifex.core.jobs import Job, State
from unifex.core.progress import Work
from unifex.core.text import duration, plural, reason
from unifex.gallery.gallery import Gallery, GalleryError
from unifex.gallery.library import MAX_NAME, Broken
from unifex.models.embedder import Embedder, list_models
from unifex.training.config import PRESETS, TrainConfig
from unifex.training.held_out import HOLD_OUT_SHARE, HoldOut, divide, suspicious_labels
from unifex.training.result import EpochMetrics, TrainResult
from unifex.training.resume import TrainJob, checkpoints, read_curve
from unifex.training.run import check_model_name, train
from unifex.ui.components.basic import Choice, drop_zone, notice
from unifex.ui.components.item_view import ItemView
from unifex.ui.components.job_tray import JobPanel, seen_at_once
from unifex.ui.components.model_download import ModelDownload
from unifex.ui.components.train_form import FIRST_PRESET, RecipeForm, recipe_of
from unifex.ui.context import ERRORS, AppContext, name_for
from unifex.ui.listening import listen
from unifex.ui.rendering import html, training_report
from unifex.ui.rendering.cards import CardCache, of_gallery
from unifex.ui.tabs.gallery_tab import GalleryTab
from unifex.ui.theme import asset

SUSPECTS_LOOKED_FOR = 20_000  # items; of more, finding every neighbour would keep people waiting


@dataclass
class TrainTab:
    """Components that the page needs, and the handlers."""

    context: AppContext
    item_view: ItemView
    gallery_tab: GalleryTab
    form: RecipeForm = field(default_factory=RecipeForm)
    download: ModelDownload = field(init=False)

    def __post_init__(self) -> None:
        self.download = ModelDownload(self.context)

    def build(self) -> None:
        """Lay the tab out; :meth:`wire` connects it when all tabs are there."""
        self.model = gr.State("")  # whose result is on the page
        self.drawn = gr.State("")  # the job whose outcome is on the page
        self.used = gr.State("")  # the last job that changed a gallery's model
        self.awaited, self.taken_in = gr.State(""), gr.State("")  # indexing of what was dropped here: asked for, done
        self.panel = JobPanel(("index", "train", "use"), "train-progress")
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
        gr.Markdown("## 1 · Data")
        self.gallery = Choice(
            self.context.library.names() or [first], value=first, label="Labels of this gallery",
            elem_id="train-gallery",
        )  # fmt: skip
        self.back = gr.Button("Go back", size="sm", visible=False, elem_id="train-back")
        with gr.Accordion("or upload labelled folders", open=False, visible=self._writable):
            self.drop = drop_zone("train-drop", self.context.settings.public)
            self.upload_name = gr.Textbox(
                label="They become this gallery", placeholder="the folder's name", elem_id="train-upload-name"
            )
        self.share = gr.Slider(
            0, 0.6, HOLD_OUT_SHARE, step=0.05, label="Held-out classes",
            info="Share of the classes that is only measured on; a split of the gallery comes first",
            elem_id="train-hold-out",
        )  # fmt: skip

    def _build_start(self) -> None:
        gr.Markdown("## 3 · Train")
        self.name = gr.Textbox(label="Name of the new model", placeholder="my-model", elem_id="train-name")
        self.start = gr.Button("Train", variant="primary", visible=self._writable, elem_id="train-button")
        with gr.Row():
            self.resume = gr.Button("Go on", visible=False, elem_id="train-resume")
            self.finish = gr.Button("Keep what was reached", visible=False, elem_id="train-finish")

    def _build_results(self) -> None:
        invitation = _INVITATION if self._writable else _READ_ONLY
        self.panel.build()
        self.summary = gr.HTML(invitation, elem_id="train-data", js_on_load=asset("evaluate.js"))
        self.problem = notice("train-problem")
        self.status = notice("train-status")
        self.curves = gr.HTML(
            "", html_template='<div class="curves" role="img" aria-label="Training curves" hidden></div>',
            js_on_load=asset("plotly.js") + asset("curves.js"),
            elem_id="train-curves",
        )  # fmt: skip
        self.outcome = notice("train-outcome", script=asset("evaluate.js"))
        with gr.Column(visible=False, elem_id="train-result") as self.result:
            self.others = gr.CheckboxGroup(
                [], label="Galleries that shall be searched with it", elem_id="train-galleries"
            )
            self.use = gr.Button("Use it", variant="primary", elem_id="train-use")
            with gr.Row(equal_height=True):
                self.download.build()
            self.download.build_notice()
        self.refusal = notice("train-refusal")
        self.notice = notice("train-notice")
        self.changed = gr.HTML(elem_id="train-changed", js_on_load=asset("evaluate.js"))

    @property
    def opened(self) -> dict:
        """What is called when the tab is opened or its gallery chosen."""
        outputs = [self.summary, self.name, self.resume, self.finish, self.back]
        return {"fn": self.show_data, "inputs": [self.gallery, self.share], "outputs": outputs}

    @property
    def shown(self) -> dict:
        """What is called when another gallery is chosen, and when a job about it has come further."""
        outputs = [self.drawn, self.status, self.curves, self.outcome, self.resume, self.finish, *self._result]
        return {"fn": self.show_job, "inputs": [self.gallery, self.drawn], "outputs": outputs}

    @property
    def _result(self) -> list:
        """What is shown of a model that was trained."""
        return [self.model, self.result, self.others, self.use, self.name, *self.download.shown, self.changed]

    def wire(self) -> None:
        """Connect the handlers."""
        self.form.wire()
        self._wire_data()
        self._wire_training()
        for asked, handler, inputs in (
            (self.use.click, self.switch, [self.others, self.model]),
            (self.back.click, self.go_back, [self.gallery]),
        ):
            seen_at_once(listen(asked, handler, inputs, [self.refusal], counts="first"))
        self.download.wire(self.model)

    def _wire_data(self) -> None:
        """What is dropped becomes a gallery."""
        taken = [self.problem, self.upload_name, self.awaited]
        seen_at_once(listen(self.drop.upload, self.receive, [self.upload_name], taken, counts="every"))
        listen(self.taken_in.change, **self.opened)
        listen(self.share.release, self.show_summary, [self.gallery, self.share], [self.summary])

    def _wire_training(self) -> None:
        asked = [self.gallery, self.name, self.share, *self.form.fields]
        for press, handler, inputs in (
            (self.start.click, self.begin, asked),
            (self.resume.click, self.go_on, [self.gallery]),
            (self.finish.click, self.keep, [self.gallery]),
        ):
            seen_at_once(listen(press, handler, inputs, [self.problem], counts="first"))
        listen(self.gallery.change, **self.shown)
        known = [self.gallery, self.drawn, self.used, self.awaited]
        told = [self.notice, self.back, self.used, self.awaited, self.taken_in, self.summary]
        outputs = [*self.shown["outputs"], *told, *self.gallery_tab.dropdowns]
        listen(self.panel.further.input, self.show_jobs, known, outputs)

    # --- data and recipe -----------------------------------------------------------------------------------------

    def receive(self, name: str, event: gr.EventData) -> dict:
        """(gallery name; dropped files) -> what is wrong, or the name of the gallery that they become."""
        try:
            staged, folder = self.gallery_tab.stage(event)
            job = self.gallery_tab.start_index(staged, name.strip() or name_for(folder))
        except ERRORS as error:
            return {self.problem: html.message("The upload cannot be used", reason(error), "error")}
        return {self.problem: "", self.upload_name: "", self.awaited: job.id}

    def show_data(self, name: str | None, share: float) -> Iterator[tuple]:
        """(gallery, share held out) -> summary, a name for the model, resume, finish, back."""
        try:
            gallery = self.context.gallery(name)
            job = self._stopped(gallery.name)
            shown = (
                gr.update(value=job.name if job else self._free_name(gallery.name)),
                *_can_go_on(job),
                _back(gallery) if self.context.can_change(name) else gr.update(visible=False),
            )
            data = divide(gallery, PRESETS[FIRST_PRESET].config, HoldOut(share))
        except ERRORS as error:
            yield html.message("Nothing to learn from yet", reason(error), "warning"), *[gr.skip()] * 4
            return
        yield training_report.summary(data, None), *shown
        if len(data.columns.ids) <= SUSPECTS_LOOKED_FOR:
            see = CardCache(gallery, data.columns.ids)
            suspects = [see(error.item) for error in suspicious_labels(gallery, data)]
            yield of_gallery(gallery.name, training_report.summary(data, suspects)), *[gr.skip()] * 4

    def show_summary(self, name: str | None, share: float) -> Iterator[str]:
        """(gallery, share held out) -> summary."""
        for summary, *_ in self.show_data(name, share):
            yield summary

    def _free_name(self, gallery: str) -> str:
        taken = {config.name for config in list_models(self.context.library.models)}
        stem = gallery.encode()[: MAX_NAME - 10].decode(errors="ignore").strip() + "-neck"
        return next(name for name in (stem, *(f"{stem}-{number}" for number in range(2, 1000))) if name not in taken)

    # --- training ------------------------------------------------------------------------------------------------

    def _stopped(self, gallery: str | None) -> TrainJob | None:
        """The training of this gallery that was stopped last, if who asks may go on with it and nobody does."""
        if not self.context.can_change(gallery):
            return None
        waiting = [job for job in checkpoints(self.context.library.models) if job.gallery == gallery]
        idle = [o for o in waiting if not self.context.jobs.is_busy(self.context.owner, "train", o.name)]
        return idle[0] if idle else None

    def begin(self, gallery: str, name: str, share: float, *values) -> str:
        """(gallery, model name, share held out, the form's fields) -> what is wrong, or nothing."""
        try:
            self._train(gallery, name.strip(), recipe_of(values), HoldOut(share))
        except ERRORS as error:
            return html.message("Training cannot start", reason(error), "error")
        return ""

    def go_on(self, gallery: str) -> str:
        """(gallery) -> as :meth:`begin`, for the training of it that was stopped last."""
        return self._again(gallery, finish=False)

    def keep(self, gallery: str) -> str:
        """(gallery) -> as :meth:`begin`: measure and save what the stopped training had reached."""
        return self._again(gallery, finish=True)

    def _again(self, gallery: str, finish: bool) -> str:
        job = self._stopped(gallery)
        if job is None:
            return html.message("Nothing to go on with", "Press Train.")
        try:
            self._train(job.gallery, job.name, job.config, job.hold_out, finish)
        except ERRORS as error:
            return html.message("Training cannot go on", reason(error), "error")
        return ""

    def resume_training(self, model: str) -> Job:
        """Go on with the training of a model that was cut off. Raises ``UnifexError``."""
        job = next((job for job in checkpoints(self.context.library.models) if job.name == model), None)
        if job is None:
            raise GalleryError(f"there is nothing to go on with of '{model}'")
        return self._train(job.gallery, job.name, job.config, job.hold_out)

    def _train(self, name: str, model: str, config: TrainConfig, hold_out: HoldOut, finish: bool = False) -> Job:
        gallery = self.context.writable(name)
        check_model_name(self.context.library.models, model)
        if self.context.jobs.is_busy(self.context.owner, "train", model):
            raise GalleryError(f"'{model}' is being trained; give the next one another name")
        self.context.jobs.check_turn(self.context.owner, "train")  # before it is counted
        work = _training(self._deadline(finish), gallery, model, config, hold_out, finish)
        return self.context.start("train", model, work, gallery.name)

    def _deadline(self, finish: bool) -> float:
        """How many seconds a visitor's training may take, which is counted; no end for who runs the server."""
        workspace = self.context.workspace
        if workspace and not finish:
            workspace.begin_training()
        return workspace.limits.training_seconds if workspace else math.inf

    # --- what came of it -----------------------------------------------------------------------------------------

    def show_jobs(self, name: str | None, drawn: str, used: str, awaited: str) -> dict:
        """(gallery, jobs that are drawn, indexing waited for) -> training, change of model, what was dropped."""
        jobs = {job.id: job for job in self.context.jobs.of(self.context.owner)}
        shown = self.show_job(name, drawn)
        changed = self.context.jobs.outcome(self.context.owner, "use")
        if changed is None:
            shown[self.notice] = ""
        elif changed.id != used:
            shown.update(self._change_of_model(changed, name))
        arrived = jobs.get(awaited)
        if arrived and not arrived.state.active:
            shown[self.awaited] = ""
            if arrived.state == State.DONE:
                shown.update({self.taken_in: arrived.id, **self.gallery_tab.listed(arrived.name)})
            else:
                text = arrived.problem or "It goes on in the Gallery tab."
                shown[self.summary] = html.message("The upload is not complete", text, "warning")
        return shown

    def show_job(self, name: str | None, drawn: str) -> dict:
        """(gallery, the job that is drawn) -> the last training of this gallery: its curves, and what came of it."""
        jobs = [job for job in self.context.jobs.of(self.context.owner) if (job.kind, job.source) == ("train", name)]
        job = jobs[-1] if jobs else None
        resume, finish = _can_go_on(self._stopped(name))
        shown = {self.resume: resume, self.finish: finish}
        if job is None:
            return {**shown, **self._nothing(), self.drawn: ""}
        if job.state.active:
            curve = read_curve(self.context.library.models, job.name)
            return {**shown, **self._nothing(), self.curves: training_report.curves(curve), self.drawn: ""}
        if job.id == drawn:
            return {**shown, self.drawn: drawn}
        shown |= {**self._nothing(), self.drawn: job.id}
        if job.state == State.DONE:
            return {**shown, **self._trained(name, job.result)}
        shown[self.curves] = training_report.curves(read_curve(self.context.library.models, job.name))
        return {**shown, self.status: self._not_trained(job)}

    def _not_trained(self, job: Job) -> str:
        kept = any(stopped.name == job.name for stopped in checkpoints(self.context.library.models))
        if job.state == State.FAILED:
            text = f"{job.problem}. What was reached is kept." if kept else job.problem
            return html.message("Not trained", text, "error")
        text = "Go on where it stopped, now or after a restart, or keep what was reached." if kept else ""
        return html.message("Stopped", text or "Nothing is trained yet.", "warning")

    def _nothing(self) -> dict:
        """Nothing of another gallery's training is shown."""
        empty = {self.status: "", self.curves: "", self.outcome: "", self.changed: "", self.model: ""}
        return {**empty, self.result: gr.update(visible=False)}

    def _trained(self, name: str, found: TrainResult) -> dict:
        gallery = self.context.gallery(name)
        fitting = self._fitting(gallery)
        advised = found.verdict == "better"
        variant = "primary" if advised else "secondary"
        return {
            self.model: found.model,
            self.curves: training_report.curves(found.curve),
            self.outcome: training_report.outcome(found),
            self.result: gr.update(visible=True),
            self.others: gr.update(choices=fitting, value=[name], visible=len(fitting) > 1),
            self.use: gr.update(value="Use it" if advised else "Use it anyway", variant=variant),
            self.name: self._free_name(gallery.name),
            **dict(zip(self.download.shown, self.download.of(found.model))),
            self.changed: _changed(gallery, found),
        }

    def _fitting(self, gallery: Gallery) -> list[str]:
        """Galleries on the same backbone."""
        configs = {name: self.context.library.ask(name, lambda g: g.config) for name in self.context.library.names()}
        wanted = gallery.config.backbone_hash
        return [name for name, c in configs.items() if not isinstance(c, Broken) and c.backbone_hash == wanted]

    def switch(self, names: list[str], model: str) -> str:
        """(galleries, model) -> what is wrong, or nothing."""
        try:
            self._use(names, model)
        except ERRORS as error:
            return html.message("Not changed", reason(error), "error")
        return ""

    def go_back(self, name: str) -> str:
        """(gallery) -> as :meth:`switch`, to the model before."""
        try:
            self._use([name], self.context.gallery(name).config.previous)
        except ERRORS as error:
            return html.message("Not changed", reason(error), "error")
        return ""

    def _use(self, names: Sequence[str], model: str) -> None:
        if not model or not names:
            raise GalleryError("choose a gallery, and train a model for it first")
        for name in names:
            self.context.writable(name)
        embedder = Embedder.load(model, models=self.context.library.models)
        self.context.start("use", ", ".join(names), self._changing(names, embedder), model)

    def _changing(self, names: Sequence[str], embedder: Embedder) -> Work[list[Gallery]]:
        """What was measured with the old model is shown no more; the galleries that were changed."""
        done: list[Gallery] = []
        for name in names:
            done.append((yield from self.context.library.use(name, embedder)))
            self.context.jobs.forget(self.context.owner, "evaluate", name)
        return done

    def _change_of_model(self, job: Job, name: str | None) -> dict:
        if job.state != State.DONE:
            text = job.problem or "It was cancelled."
            return {self.used: job.id, self.notice: html.message("Not changed", text, "error")}
        lines = ", ".join(f"'{gallery.name}': {plural(len(gallery), 'item')}" for gallery in job.result)
        text = f"{lines}. Search, Evaluate and Map follow; the button under the gallery goes back."
        shown = {self.used: job.id, self.notice: html.message(f"Searching with '{job.source}' now", text, "good")}
        mine = [gallery for gallery in job.result if gallery.name == name]
        return {**shown, self.back: _back(mine[0])} if mine else shown


def _changed(gallery: Gallery, found: TrainResult) -> str:
    """The queries that changed most, as long as all that is shown of them is in the gallery."""
    see = CardCache(gallery, found.data.columns.ids)
    try:
        rows = training_report.changed(found.changed(), see, found.before, found.model)
    except GalleryError as error:
        return html.message("Which queries changed most is not shown", reason(error))
    return of_gallery(gallery.name, rows)


def _back(gallery: Gallery) -> dict:
    previous = gallery.config.previous
    return gr.update(visible=bool(previous), value=f"Go back to '{previous}'")


_INVITATION = html.message(
    "Teach this gallery",
    "Labels tell what belongs together. Some classes are held out and only measured on, so that you see what the new "
    "neck is worth for things it never saw, before you use it.",
)

_READ_ONLY = html.message("This server is read-only", "Run it yourself, or duplicate the Space, to train.")


def _training(
    seconds: float, gallery: Gallery, model: str, config: TrainConfig, hold_out: HoldOut, finish: bool
) -> Work[TrainResult | None]:
    """A training that takes so many seconds at most: it ends after an epoch, which is kept."""
    deadline = time.monotonic() + seconds  # from when its turn has come

    def check_time(_: EpochMetrics) -> None:
        if time.monotonic() > deadline:
            raise GalleryError(f"a training may take {duration(seconds)} on this server; keep it, or go on")

    return (yield from train(gallery, model, config, hold_out, finish=finish, on_epoch=check_time))


def _can_go_on(job: TrainJob | None) -> tuple[dict, dict]:
    """The buttons of a training that was stopped: go on, keep."""
    there = job is not None
    return gr.update(visible=there, value=f"Go on with '{job.name}'" if there else ""), gr.update(visible=there)
