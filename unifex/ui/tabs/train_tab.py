"""The Train tab: labels teach the neck; what it is worth is measured before anybody uses it."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import gradio as gr
from gradio.components import Component
from markupsafe import Markup

from unifex.core.jobs import Job, State
from unifex.core.language import say
from unifex.core.text import reason
from unifex.gallery.gallery import Gallery
from unifex.training.config import PRESETS
from unifex.training.held_out import HOLD_OUT_SHARE, HoldOut, TrainingData, divide, suspicious_labels
from unifex.training.resume import TrainJob, has_reached_an_epoch, read_curve
from unifex.ui.components.basic import drop_zone, job_notice, notice
from unifex.ui.components.gallery_picker import gallery_picker
from unifex.ui.components.index_jobs import came_of
from unifex.ui.components.item_view import ItemView
from unifex.ui.components.job_tray import JobPanel
from unifex.ui.components.model_switch import ModelSwitch, Told
from unifex.ui.components.pressing import ask_for_job
from unifex.ui.components.train_form import TrainForm, config_of
from unifex.ui.components.train_jobs import TrainJobs
from unifex.ui.components.trained_models import TrainedModels
from unifex.ui.context import ERRORS, AppContext
from unifex.ui.gallery_names import free_name
from unifex.ui.listening import Part, Updates, listen
from unifex.ui.page_state import Wish
from unifex.ui.rendering import training_report
from unifex.ui.rendering.cards import CardCache, of_gallery
from unifex.ui.rendering.html import message
from unifex.ui.scripts import scripts
from unifex.ui.tabs.gallery_tab import GalleryTab

SUSPECTS_LOOKED_FOR = 20_000  # items; of more, finding every neighbour would keep people waiting


@dataclass
class TrainTab:
    """Components that the page needs, and the handlers."""

    context: AppContext
    item_view: ItemView
    gallery_tab: GalleryTab
    form: TrainForm = field(default_factory=TrainForm)
    switch: ModelSwitch = field(init=False)
    trained: TrainedModels = field(init=False)
    jobs: TrainJobs = field(init=False)

    def __post_init__(self) -> None:
        self.switch, self.jobs = ModelSwitch(self.context), TrainJobs(self.context)
        self.trained = TrainedModels(self.context, self.switch)

    def build(self) -> None:
        """Lay the tab out; :meth:`wire` connects it when all tabs are there."""
        self.drawn = gr.State("")  # how far this gallery's last training is on the page
        self.named = gr.State("")  # the name for a model that the page filled in
        self.summed = gr.State(Wish())  # changes when the data was summed up, of which suspicious labels follow
        self.suited = gr.State("")  # the gallery that the preset was chosen for
        self.awaited, self.taken_in = gr.State(""), gr.State("")  # indexing of what was dropped here: asked for, done
        self.ended = gr.State("")  # the last training that ended, which may have been in the way of another
        self.panel = JobPanel(("index", "train", "use"), "train-progress")
        with gr.Row():
            with gr.Column(scale=1, min_width=300):
                self._build_data()
                self.form.build()
            with gr.Column(scale=2, min_width=320):
                self._build_start()
                self._build_results()

    @property
    def _writable(self) -> bool:
        return not self.context.settings.read_only

    def _build_data(self) -> None:
        gr.Markdown("## 1 · " + say("Data"))
        self.gallery = gallery_picker(self.context, "train-gallery", say("Labels of this gallery"))
        self.switch.build_back()
        with gr.Accordion(say("or upload labelled folders"), open=False, visible=self._writable):
            self.drop = drop_zone("train-drop", self.context.settings.public)
            self.upload_name = gr.Textbox(
                label=say("They become this gallery"), placeholder=say("the folder's name"), elem_id="train-upload-name"
            )
            self.unreceived = notice("train-unreceived")
        self.received = job_notice("train-received")
        self.share = gr.Slider(
            0, 0.6, HOLD_OUT_SHARE, step=0.05, label=say("Held-out classes"),
            info=say("Share of the classes that is only measured on; a split of the gallery comes first"),
            elem_id="train-hold-out",
        )  # fmt: skip
        self.summary = gr.HTML(_invitation(), elem_id="train-data", js_on_load=scripts("evaluate"))

    def _build_start(self) -> None:
        gr.Markdown("## 3 · " + say("Train"))
        with gr.Column(visible=self._writable) as self.starting:  # for who may train
            self.name = gr.Textbox(
                label=say("Name of the new model"), placeholder=say("my-model"), elem_id="train-name",
                info=say("It is measured beside the one that is searched with, which stays until you press Use it"),
            )  # fmt: skip
            self.start = gr.Button(say("Train"), variant="primary", elem_id="train-button")
        self.refused = gr.HTML("", elem_id="train-refused")  # why others may not
        with gr.Row():
            self.resume = gr.Button(say("Go on"), visible=False, elem_id="train-resume")
            self.finish = gr.Button(say("Keep what was reached"), visible=False, elem_id="train-finish")

    def _build_results(self) -> None:
        """Progress and what came of it stand under the button that is pressed."""
        self.panel.build()
        self.problem = notice("train-problem")
        self.status = job_notice("train-status")
        self.trained.build()

    @property
    def opening(self) -> list[Part]:
        """What :meth:`show_data` updates."""
        shown = [
            self.starting,
            self.refused,
            self.summary,
            self.summed,
            self.name,
            self.named,
            self.resume,
            self.finish,
            self.switch.back,
        ]
        return [*shown, self.suited, self.form.preset, *self.form.fields]

    @property
    def asking(self) -> list[Component]:
        """What :meth:`show_data` is told."""
        return [*self._measured, self.suited, self.name, self.named]

    @property
    def showing(self) -> list[Part]:
        """What :meth:`show_job` updates."""
        return [self.name, self.named, self.drawn, self.status, self.resume, self.finish, *self.trained.shown]

    @property
    def chosen(self) -> list[Part]:
        """What :meth:`show_model` updates."""
        return [self.status, *self.trained.shown]

    @property
    def shows(self) -> list[Component]:
        """What :meth:`show_job` is told."""
        return [self.gallery, self.drawn, self.trained.opened, self.name]

    def wire(self) -> None:
        """Connect the handlers."""
        self.form.wire()
        self._wire_data()
        self._wire_training()
        self.trained.wire(self.gallery)

    def _wire_data(self) -> None:
        """What is dropped becomes a gallery."""
        title, taken = say("The upload cannot be used"), [self.upload_name, self.awaited]
        named = [self.upload_name]
        ask_for_job(self.drop.upload, self.receive, named, self.unreceived, title, *taken, counts="every")
        listen([self.drop.upload, self.gallery.input], lambda: "", None, [self.received])
        again = [self.share.release, self.form.preset.input]
        listen(again, self.show_summary, self._measured, [self.summary, self.summed])
        listen(self.summed.change, self.show_suspects, self._measured, [self.summary])

    @property
    def _measured(self) -> list[Component]:
        return [self.gallery, self.share, self.form.preset]

    def _wire_training(self) -> None:
        asked = [self.gallery, self.name, self.share, *self.form.fields]
        ask_for_job(self.start.click, self.begin, asked, self.problem, say("Training cannot start"))
        ask_for_job(self.resume.click, self.go_on, [self.gallery], self.problem, say("Training cannot go on"))
        ask_for_job(self.finish.click, self.keep, [self.gallery], self.problem, say("Training cannot go on"))
        listen(self.trained.opened.input, self.show_model, [self.gallery, self.trained.opened], self.chosen)
        listen(self.gallery.change, lambda: "", None, [self.problem])
        changed = [self.ended.change, self.name.change, self.share.release, *self.form.edited]
        listen(changed, self.look_again, [self.problem, *asked], [self.problem])
        known = [*self.shows, self.switch.told, self.awaited, *self.gallery_tab.dropdowns]
        arrived = [self.awaited, self.taken_in, self.received, self.ended, *self.gallery_tab.dropdowns]
        listen(self.panel.further.input, self.show_jobs, known, [*self.showing, *self.switch.changing, *arrived])

    # --- data ----------------------------------------------------------------------------------------------------

    def receive(self, name: str, event: gr.EventData) -> Updates:
        """(gallery name; dropped files) -> a job that makes a gallery of them. Raises ``UnifexError``."""
        staged, folder = self.gallery_tab.jobs.stage(event)
        job = self.gallery_tab.jobs.start(staged, name.strip() or free_name(self.context.library, folder))
        return {self.upload_name: "", self.awaited: job.id}

    def show_data(
        self, name: str | None, share: float, preset: str, suited: str, typed: str, named: str
    ) -> Updates:  # fmt: skip
        """(gallery, share held out, preset, the gallery it was chosen for, the model's name, the one that was filled
        in) -> summary, a name for the model, resume, finish, back, and what suits another gallery."""
        filled: Updates = {}
        try:
            gallery = self.context.gallery(name)
            filled[self.suited] = gallery.name
            if gallery.name != suited:
                preset, form = self.form.suit(preset, gallery.snapshot().columns.labelled)
                filled |= form
            summed = self.show_summary(name, share, preset)
            stopped = self.jobs.stopped(gallery.name)
            shown = {**self._offer_stopped(stopped), **self.switch.offer_back(gallery)}
            shown |= self._offer_start(gallery.name)
            if gallery.name != suited or typed in ("", named):
                shown |= self._named(self.jobs.free_name(gallery.name))
        except ERRORS as error:
            return {self.summary: _nothing_to_learn(error), self.summed: Wish.new(), **filled}
        return {**summed, **shown, **filled}

    def _offer_start(self, gallery: str) -> Updates:
        """The button and the model's name, or why a gallery is not trained on here."""
        can, text = self.context.can_change(gallery), ""
        if not self._writable:
            text = message(say("This server is read-only"), say("Run it yourself, or duplicate the Space, to train."))
        elif not can:
            remedy = say("Upload labelled folders here, or make a gallery of your own in the Gallery tab, to train.")
            text = message(say("'{name}' belongs to this server", name=gallery), remedy)
        return {self.starting: gr.update(visible=can), self.refused: text}

    def _named(self, name: str) -> Updates:
        """A name for the next model, filled in."""
        return {self.name: name, self.named: name}

    def show_summary(self, name: str | None, share: float, preset: str) -> Updates:
        """(gallery, share held out, preset) -> summary."""
        try:
            gallery = self.context.gallery(name)
            data = divide(gallery, PRESETS[preset].config, HoldOut(share))
            return {self.summary: _summed_up(gallery, data, None), self.summed: Wish.new()}
        except ERRORS as error:
            return {self.summary: _nothing_to_learn(error), self.summed: Wish.new()}

    def show_suspects(self, name: str | None, share: float, preset: str) -> Updates:
        """(gallery, share held out, preset) -> the summary with the labels that all neighbours contradict.

        It always says what holds: the one of the choice before may have come last.
        """
        try:
            gallery = self.context.gallery(name)
            data = divide(gallery, PRESETS[preset].config, HoldOut(share))
            few = len(data.columns.ids) <= SUSPECTS_LOOKED_FOR
            suspects = [error.item for error in suspicious_labels(gallery, data)] if few else None
            return {self.summary: _summed_up(gallery, data, suspects)}
        except ERRORS as error:
            return {self.summary: _nothing_to_learn(error)}

    def _offer_stopped(self, stopped: TrainJob | None) -> Updates:
        """The buttons of a training that was stopped: go on, keep."""
        text = say("Go on with '{name}'", name=stopped.name) if stopped else ""
        reached = stopped is not None and has_reached_an_epoch(self.context.library.models, stopped.name)
        return {
            self.resume: gr.update(visible=stopped is not None, value=text),
            self.finish: gr.update(visible=reached),
        }

    # --- training ------------------------------------------------------------------------------------------------

    def begin(self, gallery: str, name: str, share: float, *values: Any) -> None:
        """(gallery, model name, share held out, the form's fields) -> a job. Raises ``UnifexError``."""
        self.jobs.start(gallery, name.strip(), config_of(values), HoldOut(share))

    def look_again(self, problem: str, gallery: str, name: str, share: float, *values: Any) -> Updates:
        """(what is in the way, as :meth:`begin`) -> nothing, once that is not in the way any more."""
        with contextlib.suppress(*ERRORS):
            if problem:
                self.jobs.check(gallery, name.strip(), config_of(values), HoldOut(share))
                return {self.problem: ""}
        return {self.problem: gr.skip()}

    def go_on(self, gallery: str) -> Updates | None:
        """(gallery) -> as :meth:`begin`, for the training of it that was stopped last."""
        return self._again(gallery, finish=False)

    def keep(self, gallery: str) -> Updates | None:
        """(gallery) -> as :meth:`begin`: measure and save what the stopped training had reached."""
        return self._again(gallery, finish=True)

    def _again(self, gallery: str, finish: bool) -> Updates | None:
        stopped = self.jobs.stopped(gallery)
        if stopped is None:
            return {self.problem: message(say("Nothing to go on with"), say("Press Train."))}
        self.jobs.go_on(stopped, finish)
        return None

    # --- what came of it -----------------------------------------------------------------------------------------

    def show_jobs(
        self, name: str | None, drawn: str, opened: str | None, typed: str, told: Told, awaited: str,
        *chosen: str | None,
    ) -> Updates:  # fmt: skip
        """(gallery, what is drawn, the model that is open, the next one's name, changes of a model told of, indexing
        waited for, what is chosen in every tab) -> training, change of model, what was dropped, galleries to choose
        from when another was made."""
        jobs = self.context.jobs.of(self.context.owner)
        arrived = next((job for job in jobs if job.id == awaited and not job.state.active), None)
        offered = self.gallery_tab.offer(*chosen) if self.switch.made(told) else {}
        shown = {**self.show_job(name, drawn, opened, typed), **self.switch.show_change(name, told), **offered}
        shown[self.ended] = self.context.jobs.last_ended(self.context.owner, "train")
        return {**shown, self.awaited: "", **self._arrived(arrived)} if arrived else shown

    def _arrived(self, job: Job) -> Updates:
        """What became of the upload that was waited for."""
        if job.state == State.DONE:
            return {self.taken_in: job.id, self.received: came_of(job, False), **self.gallery_tab.choose(job.name)}
        if job.withdrawn:
            return {}
        text = job.problem or say("It goes on in the Gallery tab.")
        return {self.received: message(say("The upload is not complete"), text, "warning")}

    def show_job(self, name: str | None, drawn: str, opened: str | None, typed: str) -> Updates:
        """(gallery, what is drawn, the model that is open, the next one's name) -> the last training of this gallery,
        or the last model that it has trained: curves, and what came of it. Who opened another one stays there until
        something begins or ends."""
        try:
            return self._show_job(name, drawn, opened, typed)
        except ERRORS as error:  # the gallery has gone since, which is nothing to what else is shown beside it
            return {**self.trained.nothing(), self.drawn: "", self.status: _unseen(error)}

    def _show_job(self, name: str | None, drawn: str, opened: str | None, typed: str) -> Updates:
        jobs, shown = self.jobs.of(name), self._offer_stopped(self.jobs.stopped(name))
        now = " ".join([str(name), *(f"{job.id} {job.state.active}" for job in jobs)])
        if now == drawn:
            goes_on = any(job.name == opened and job.state.active for job in jobs)
            return {**shown, **({self.trained.curves: self._curves(opened)} if opened and goes_on else {})}
        shown |= {self.drawn: now, self.status: ""}
        if name not in self.context.library.names():
            return {**shown, **self.trained.nothing(), **self.trained.offer([], None)}
        gallery = self.context.gallery(name)
        in_hand = [job.name for at, job in enumerate(jobs) if job.state.active or at == 0]
        models = list(dict.fromkeys([*in_hand, *self.trained.of(gallery)]))
        last = next(iter(models), None)
        if jobs and jobs[0].state == State.DONE and typed in ("", jobs[0].name):
            shown |= self._named(self.jobs.free_name(gallery.name))
        return {**shown, **self._opened(gallery, last), **self.trained.offer(models, last)}

    def show_model(self, name: str | None, opened: str | None) -> Updates:
        """(gallery, one of the models that it trains or has trained) -> what came of it."""
        try:
            return {self.status: "", **self._opened(self.context.gallery(name), opened)}
        except ERRORS as error:
            return {**self.trained.nothing(), self.status: _unseen(error)}

    def _opened(self, gallery: Gallery, model: str | None) -> Updates:
        """What came of the training of a model, or how far it is."""
        if not model:
            return self.trained.nothing()
        job = next((job for job in self.jobs.of(gallery.name) if job.name == model), None)
        if job is None or job.state == State.DONE:
            return self.trained.open(gallery, model)
        told = {} if job.state.active else {self.status: self._not_trained(job)}
        return {**self.trained.nothing(), self.trained.curves: self._curves(model), **told}

    def _curves(self, model: str) -> str:
        return training_report.curves(read_curve(self.context.library.models, model))

    def _not_trained(self, job: Job) -> str:
        kept = self.jobs.named(job.name) is not None
        if job.state == State.FAILED:
            text = say("{problem}. What was reached is kept.", problem=job.problem) if kept else job.problem
            return message(say("Not trained"), text, "error")
        text = say("Go on where it stopped, now or after a restart, or keep what was reached.") if kept else ""
        return message(say("Stopped"), text or say("Nothing is trained yet."), "warning")


def _unseen(error: Exception) -> Markup:
    return message(say("The training cannot be shown"), reason(error), "warning")


def _summed_up(gallery: Gallery, data: TrainingData, suspects: Sequence[int] | None) -> Markup:
    see = CardCache(gallery, data.columns.ids)
    return of_gallery(gallery.name, training_report.summary(data, suspects, see))


def _nothing_to_learn(error: Exception) -> Markup:
    return message(say("Nothing to learn from yet"), reason(error), "warning")


def _invitation() -> Markup:
    text = say(
        "Labels tell what belongs together. Some classes are held out and only measured on, so that you see what the "
        "new neck is worth for things it never saw, before you use it."
    )
    return message(say("Teach this gallery"), text)
