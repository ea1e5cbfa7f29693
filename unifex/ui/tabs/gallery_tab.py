"""The Gallery tab: make a gallery from images, add to it, see what is in it, rename, remove, delete."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Any

import gradio as gr
from gradio.components import Component

from unifex.core.errors import UnifexError
from unifex.core.jobs import State
from unifex.core.language import say, to_say
from unifex.core.text import reason
from unifex.data import sources
from unifex.data.item import Options, SourceError
from unifex.gallery.bundle import free_place
from unifex.gallery.embedding import forecast
from unifex.gallery.folder_names import check_name
from unifex.gallery.gallery import Gallery
from unifex.models.embedder import Embedder
from unifex.training.resume import follow_rename
from unifex.ui.components.basic import Choice, drop_zone, item_grid, job_notice, notice, signal
from unifex.ui.components.duplicates_view import DuplicatesView
from unifex.ui.components.filter_bar import ITEM_ORDERS, filter_bar
from unifex.ui.components.follow_switch import FollowSwitch
from unifex.ui.components.gallery_pack import GalleryPack
from unifex.ui.components.gallery_picker import gallery_picker, offer
from unifex.ui.components.gallery_sources import GallerySources
from unifex.ui.components.index_jobs import IndexJobs, came_of
from unifex.ui.components.item_removal import ItemRemoval
from unifex.ui.components.job_tray import JobPanel, check_idle
from unifex.ui.components.model_picker import ModelPicker
from unifex.ui.components.pressing import ask_for_job, or_say
from unifex.ui.components.reading import Reading, options
from unifex.ui.components.ready_sources import ReadySources
from unifex.ui.components.workspace_notice import WorkspaceNotice
from unifex.ui.context import ERRORS, AppContext
from unifex.ui.gallery_names import called_now, name_for
from unifex.ui.listening import Part, Updates, follow, listen, mirror
from unifex.ui.page_state import Wish
from unifex.ui.rendering import gallery_report
from unifex.ui.rendering.grid import whole_grid
from unifex.ui.rendering.html import message
from unifex.ui.view import View


@dataclass
class GalleryTab:
    """Components that the page needs, and the handlers."""

    context: AppContext
    dropdowns: list[Choice] = field(default_factory=list)  # of all tabs: they offer the same galleries
    sources: GallerySources = field(init=False)
    ready: ReadySources = field(init=False)
    jobs: IndexJobs = field(init=False)
    follow: FollowSwitch = field(init=False)
    duplicates: DuplicatesView = field(init=False)
    removal: ItemRemoval = field(init=False)
    reading: Reading = field(default_factory=Reading)

    def __post_init__(self) -> None:
        self.sources, self.ready = GallerySources(self.context), ReadySources(self.context)
        self.jobs, self.duplicates = IndexJobs(self.context), DuplicatesView(self.context)
        self.removal, self.follow = ItemRemoval(self.context), FollowSwitch(self.context)

    def build(self) -> None:
        """Lay the tab out; :meth:`wire` connects it when all tabs are there."""
        self.picker, self.packer = ModelPicker(self.context), GalleryPack(self.context)
        self.visit, self.panel = WorkspaceNotice(self.context), JobPanel(("index",), "index-progress")
        self.pending = gr.State("")  # what was dropped, staged; a typed path comes before it
        self.filling = gr.HTML("", html_template="", visible="hidden")  # what its boxes said, a name
        self.idle = gr.HTML("", html_template="", visible="hidden")  # is told by _IDLE
        self.begun = gr.State("")  # the upload that Start was pressed for; boxes stay, people may be typing
        self.suggested = gr.State("")  # a name that the next upload does not go to: filled in, or used by the last one
        self.renamed = gr.State(Wish())  # changes when a gallery was, which is told everywhere as what others did is
        self.awaited = gr.State("")  # the indexing that was asked for on this page, whose gallery it goes to
        self.looked = gr.HTML("", html_template="", visible="hidden")  # changes when other pictures may be to be seen
        self.uploading = signal("uploading")  # whether files are on their way, as uploading.js says
        local = not self.context.settings.public  # a visitor uploads; paths on the server are for who runs it
        writable = not self.context.settings.read_only
        with gr.Row():
            with gr.Column(scale=3, min_width=320):
                with gr.Row():
                    self.gallery = gallery_picker(self.context, "manage-gallery")
                    adding = gr.Button(say("Add images"), variant="primary", visible=writable, elem_id="add-images")
                self.view = filter_bar("gallery-filters", "pictures", ITEM_ORDERS)
                self.pictures = item_grid("pictures")
            with gr.Column(scale=2, min_width=300):
                gr.Markdown("## " + (say("Your galleries") if local and writable else say("Galleries")))
                self.visit.build()
                self.facts = gr.HTML(elem_id="gallery-facts")
                self.follow.build()
                with gr.Column(visible=writable) as self.managing:  # for who may change the gallery
                    self._build_managing()
                self.notice = notice("manage-notice")
        with gr.Accordion(say("Duplicates"), open=False, visible=writable, elem_id="duplicates"):
            self.duplicates.build()
        with gr.Column(visible=writable):
            gr.Markdown("## " + (say("Add images") if local else say("Add images to a private gallery")))
            self._build_adding(local)
        listen(adding.click, None, js=_TO_ADDING)

    def _build_adding(self, local: bool) -> None:
        self.drop = drop_zone("drop", self.context.settings.public)
        self.path = gr.Textbox(
            "", label=say("or {sources}", sources=sources.names()), placeholder="/home/me/Pictures",
            elem_id="source-path", visible=local,
        )  # fmt: skip
        self.name = gr.Textbox(
            label=say("Gallery to add to (a new name makes a new gallery)"),
            placeholder=say("holiday"),
            elem_id="gallery-name",
        )
        self.reading.build(local)
        with gr.Column(visible=local):
            self.picker.build()
        with gr.Row():
            self.try_out = gr.Button(say("Forecast"), elem_id="forecast-button")
            self.start = gr.Button(say("Start"), variant="primary", elem_id="start-button")
            self.resume = gr.Button(say("Resume"), variant="primary", visible=False, elem_id="resume-button")
        self.panel.build()
        with gr.Column(elem_id="index-outcome"):
            self.message = notice("index-message")
            self.outcome = job_notice("index-report")
        self.ready.build()

    def _build_managing(self) -> None:
        with gr.Accordion(say("Sources"), open=False, elem_id="gallery-sources"):
            self.sources.build()
        with gr.Accordion(say("Rename"), open=False):
            self.new_name = gr.Textbox(label=say("New name"), elem_id="new-name")
            self.rename = gr.Button(say("Rename"), elem_id="rename-button")
        with gr.Accordion(say("Take it elsewhere"), open=False, elem_id="gallery-pack"):
            self.packer.build()
        with gr.Accordion(say("Remove items"), open=False):
            self.removal.build()
        with gr.Accordion(say("Delete this gallery"), open=False):
            self.confirm = gr.Textbox(label=say("Type the gallery's name to delete it"), elem_id="delete-confirm")
            self.delete = gr.Button(say("Delete for good"), variant="stop", elem_id="delete-button")

    def wire(self, followers: list[Choice]) -> None:
        """Connect the handlers; ``followers`` are the other tabs' dropdowns, which follow what happens here."""
        self.dropdowns = [self.gallery, *followers]
        self.picker.wire()
        self.packer.wire(self.gallery)
        self.ready.wire(self.path, self.name)
        self._wire_adding()
        self.follow.wire(self.gallery, self.looked)
        self.sources.wire(self.gallery, [self.panel.further.input])
        self._wire_managing()

    def _wire_adding(self) -> None:
        tried = [self.uploading, self.path, self.pending, self.name, self.picker.model, *self.reading.values]
        boxes = [self.name, self.path]
        received = [self.pending, self.filling, self.suggested, self.message]
        dropped = listen(self.drop.upload, self.receive, [*boxes, self.suggested], received, counts="every")
        filled = follow(dropped, None, [self.filling, *boxes], boxes, js=_FILL)
        follow(filled, self.show_forecast_of_upload, tried[1:], [self.message])
        asking = [self.path.submit, self.try_out.click]
        pressed = listen(asking, lambda: message(say(_TRYING)), None, [self.message], counts="first")
        follow(pressed, self.show_forecast, tried, [self.message])
        begun = [self.suggested, self.begun, self.awaited]
        asked = [self.begun, *tried]
        listen([self.start.click, self.resume.click], None, js=_BEGUN)
        ask_for_job(self.start.click, self.begin, asked, self.message, say("Indexing cannot start"), *begun)
        chosen, not_resumed = [self.gallery], say("Nothing is resumed")
        ask_for_job(self.resume.click, self.resume_chosen, chosen, self.message, not_resumed, self.awaited)
        shown = [self.outcome, self.awaited, *self.showing, *self.dropdowns, *self.visit.shown]
        told = [self.idle, self.awaited, self.view, *self.dropdowns]
        listen(self.panel.further.input, self.show_jobs, told, shown, js=_IDLE)

    def _wire_managing(self) -> None:
        listen(self.gallery.change, self.show_facts, self.asked, self.showing)
        listen([self.view.input, self.looked.change], self.show_pictures, self.asked, [self.pictures])
        mirror(self.gallery.input, self.gallery, self.name)
        managed, named = [self.notice, self.name], [self.new_name, self.name, self.gallery]
        renamed = or_say(self.notice, say("Not renamed"), self.rename_gallery)
        listen(self.rename.click, renamed, named, [*managed, self.new_name, self.renamed], counts="first")
        deleted = or_say(self.notice, say("Not deleted"), self.delete_gallery)
        typed = [self.confirm, self.name, *self.dropdowns]
        listen(self.delete.click, deleted, typed, [*managed, self.confirm, *self.dropdowns], counts="first")
        self.removal.wire(self.gallery, self.notice)

    @property
    def asked(self) -> list[Component]:
        """What :meth:`show_facts` is told."""
        return [self.gallery, self.view]

    @property
    def showing(self) -> list[Part]:
        """What :meth:`show_facts` updates."""
        return [self.facts, self.resume, self.managing, self.view, self.looked]

    # --- handlers: adding ----------------------------------------------------------------------------------------

    def receive(self, name: str, path: str, suggested: str, event: gr.EventData) -> Updates:
        """(gallery name, typed path, the name that was filled in; dropped files) -> what was staged."""
        try:
            staged, folder = self.jobs.stage(event)
        except ERRORS as error:
            text = message(say("The upload cannot be used"), reason(error), "error")
            return {self.pending: "", self.filling: "", self.message: text}
        suits = name
        if name.strip() in ("", suggested):  # a name that was typed or chosen since is meant
            suits = suggested = self.jobs.gallery_of(staged) if self.jobs.is_packed(staged) else name_for(folder)
        given = {self.pending: staged, self.filling: json.dumps([name, path, suits]), self.suggested: suggested}
        return {**given, self.message: message(say(_TRYING))}

    def _embedder(self, name: str, model: str) -> Embedder:
        """The model of the gallery to add to, or that of a new one."""
        if self.context.library.named(name):
            return self.context.gallery(name).embedder
        return self.picker.embedder(model)

    def show_forecast(
        self, uploading: str, typed: str, staged: str, name: str, model: str, exclude: str, follow_links: bool,
        frames: str,
    ) -> Updates:  # fmt: skip
        """(files on their way, typed path, staged upload, gallery name, model, what is read) -> what indexing it would
        take."""
        if _is_on_its_way(typed, uploading):
            return {self.message: message(say("No forecast"), say(_ON_ITS_WAY), "error")}
        spec, began = sources.meant(typed) or staged, time.monotonic()
        name = name.strip() or self.jobs.gallery_of(spec)
        found = self._forecast(spec, name, model, options(exclude, follow_links, frames))
        mine = self.context.jobs.of(self.context.owner)
        started = any(job.kind == "index" and job.asked > began for job in mine)  # nobody waits for it any more
        return {self.message: gr.skip() if started else found}

    def show_forecast_of_upload(self, typed: str, staged: str, *reading: Any) -> Updates:
        """As :meth:`show_forecast` once files are there, unless they were refused, which is told."""
        return self.show_forecast("", typed, staged, *reading) if staged else {self.message: gr.skip()}

    def _forecast(self, spec: str, name: str, model: str, read: Options) -> str:
        try:
            if self.jobs.is_packed(spec):
                free_place(name, self.context.library)
                text = say("Press Start to open it as '{name}', or under another name that you give above.", name=name)
                return message(say("A packed gallery"), text)
            source = self.jobs.open(spec, read)
            check_name(name)
            found = forecast(self._embedder(name, model), source)
            there = len(self.context.gallery(name)) if self.context.library.named(name) else None
            return gallery_report.forecast(found, name, there)
        except ERRORS as error:
            return message(say("No forecast"), reason(error), "error")

    def begin(
        self, begun: str, uploading: str, typed: str, staged: str, name: str, model: str, exclude: str,
        follow_links: bool, frames: str,
    ) -> Updates:  # fmt: skip
        """(upload begun before, files on their way, typed path, staged upload, gallery name, model, what is read) -> a
        job, and what was begun. Raises ``UnifexError``."""
        if _is_on_its_way(typed, uploading):
            raise SourceError(say(_ON_ITS_WAY))
        spec, name = sources.meant(typed) or ("" if self.jobs.is_taken(staged, begun) else staged), name.strip()
        if not spec and begun and self.context.is_busy("index"):
            return {self.message: gr.skip()}  # pressed twice
        read = options(exclude, follow_links, frames)
        job = self.jobs.start(spec, name, read, lambda: self.picker.embedder(model))
        return {self.awaited: job.id, self.begun: spec, self.suggested: name}

    def resume_chosen(self, name: str) -> Updates:
        """(gallery) -> a job. Raises ``UnifexError``."""
        return {self.awaited: self.jobs.resume(name).id}

    def show_jobs(self, idle: str, awaited: str, view: str, *chosen: str | None) -> Updates:
        """(whether nothing was pressed since, indexing this page waits for, filters, galleries that are chosen) -> what
        came of it; its gallery is chosen everywhere, but for who goes on elsewhere."""
        ended = self.context.outcome("index")
        mine = self.context.jobs.of(self.context.owner)
        arrived = next((job for job in mine if job.id == awaited and not job.state.active), None)
        stays = idle == "true" or (arrived and arrived.state == State.CANCELLED)
        if arrived and stays and arrived.name in self.context.library.names():
            chosen = tuple(arrived.name for _ in chosen)
        going_on = bool(ended) and any(cut.name == ended.name for cut in self.context.interrupted())
        return {
            self.outcome: came_of(ended, going_on) if ended else "",
            **({self.awaited: ""} if arrived else {}),
            **self.visit.show(),
            **self.show_facts(chosen[0], view),
            **self.offer(*chosen),
        }

    # --- handlers: managing --------------------------------------------------------------------------------------

    def offer(self, *chosen: str | None) -> Updates:
        """(what is chosen in every tab's dropdown) -> the galleries that there are, in each of them; what is chosen
        stays so under the name that it has by now."""
        names = self.context.library.names()
        now = (one if one in names else called_now(self.context.library, one) for one in chosen)
        return offer(self.dropdowns, names, now)

    def choose(self, name: str) -> Updates:
        """This gallery in every tab's dropdown."""
        return self.offer(*(name for _ in self.dropdowns))

    def show_facts(self, name: str | None, view: str = "") -> Updates:
        """(gallery, filters) -> its facts, the resume button when a source was cut off, the filters, and that what is
        seen of it is looked at anew; of the first gallery where that is no more, as :meth:`offer`."""
        names = self.context.library.names()
        name = name if name in names else next(iter(names), None)
        may = gr.update(visible=self.context.can_change(name))
        nothing = {self.resume: gr.update(visible=False), self.managing: may, self.looked: str(Wish.new().number)}
        if name is None:
            text = message(say("No gallery yet"), say("Drop a folder of images below. Nobody else sees it."))
            return {self.facts: text, **nothing}
        try:
            gallery = self.context.gallery(name)
            known, candidates = gallery.facts(), gallery.snapshot().index.candidates
        except ERRORS as error:
            text = message(say("This gallery cannot be opened"), reason(error), "error")
            return {self.facts: text, **nothing}
        inexact = not candidates.exact and candidates.recall is not None
        recall = say(", recall@10 {recall:.3f} of exact search", recall=candidates.recall) if inexact else ""
        interrupted = bool(known.unfinished) and self.context.can_change(name)
        at_work = self.context.is_busy("index", name) or gallery.is_being_written()
        return {
            self.facts: gallery_report.gallery_facts(known, say(candidates.title) + recall),
            **nothing,
            self.resume: gr.update(visible=interrupted and not at_work),
            self.view: self._filtered(gallery, view)[0],
        }

    def show_pictures(self, name: str | None, view: str) -> Updates:
        """(gallery, filters) -> its pictures."""
        try:
            gallery = self.context.gallery(name)
            told, total = self._filtered(gallery, view)
        except ERRORS:  # it has gone meanwhile, of which there is news
            return {self.pictures: ""}
        return {self.pictures: whole_grid(gallery, total, self.context.rights(gallery.name), told)}

    def _filtered(self, gallery: Gallery, view: str) -> tuple[str, int]:
        """Filters, without what they cannot say of the gallery, and how many pictures they leave."""
        try:
            shown = View.parse(view).carried_to(gallery)
            return shown.told_as(view), len(self.context.listed(gallery, shown))
        except UnifexError:
            return View(gallery.name).as_json(), len(gallery.snapshot())

    def rename_gallery(self, new: str, adding_to: str, name: str) -> Updates:
        """(new name, gallery to add to, gallery) -> notice, the boxes, that it is called otherwise.

        Raises ``GalleryError`` and ``JobError``.
        """
        check_idle(self.context, name)
        renamed = self.context.library.rename(name, new).name
        follow_rename(self.context.library.models, name, renamed)
        self.context.left(name)
        return {
            self.notice: message(say("'{name}' is now '{renamed}'", name=name, renamed=renamed), kind="good"),
            self.name: renamed if adding_to.strip() == name else adding_to,
            self.new_name: "",
            self.renamed: Wish.new(),
        }

    def delete_gallery(self, typed: str, adding_to: str, name: str, *elsewhere: str | None) -> Updates:
        """(typed name, gallery to add to, gallery, those of other tabs) -> notice, all dropdowns, the boxes empty.

        Raises ``GalleryError``, ``JobError`` and OSError.
        """
        if typed.strip() != name:
            text = say("Type '{name}' exactly to delete it.", name=name)
            return {self.notice: message(say("Not deleted"), text, "warning")}
        check_idle(self.context, name)
        place = self.context.uploads.delete_gallery(name)
        self.context.left(name)
        left = say("It was a link: all of it still lies in {folder}.", folder=place) if place else ""
        return {
            self.notice: message(
                say("'{name}' was deleted", name=name), left or say("Your image files are untouched."), "good"
            ),
            self.name: "" if adding_to.strip() == name else adding_to,
            self.confirm: "",
            **self.offer(name, *elsewhere),
        }


_TO_ADDING = "() => document.querySelector('#drop').scrollIntoView({ block: 'center', behavior: 'smooth' })"
# What is typed while files are received stays: the boxes are filled where they are as they were.
_FILL = """(told, name, path) => {
  const [named, typed, suits] = JSON.parse(told || '[null, null, ""]');
  return [name === named ? suits : name, path === typed ? '' : path];
}"""
# What a press went on with since an indexing was asked for stays as it is. Its answer may come after what came of it.
_BEGUN = "() => { unifex.begun = unifex.pressed; }"
_IDLE = "(_, ...told) => [String(unifex.begun === unifex.pressed), ...told]"
_TRYING = to_say("Trying a few images for a forecast")
_ON_ITS_WAY = to_say("the files are still being uploaded; press it again when they are there")


def _is_on_its_way(typed: str, uploading: str) -> bool:
    """Whether what is meant is still being uploaded; what was dropped before it is not meant."""
    return uploading == "true" and not typed.strip()
