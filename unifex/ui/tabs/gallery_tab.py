"""The Gallery tab: make a gallery from images, add to it, see what is in it, rename, remove, delete."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import gradio as gr

from unifex.core.jobs import Job, State
from unifex.core.progress import Work
from unifex.core.text import plural, reason
from unifex.data import sources, uploads
from unifex.data.item import Options, Source, SourceError
from unifex.gallery import bundle
from unifex.gallery.bundle_file import is_bundle
from unifex.gallery.embedding import forecast
from unifex.gallery.gallery import Gallery, GalleryBusy, GalleryError
from unifex.gallery.indexing import IndexReport, PruneRefused, announce, index
from unifex.models.embedder import Embedder
from unifex.ui.components.basic import Choice, drop_zone, notice
from unifex.ui.components.confirmation import Confirmation
from unifex.ui.components.gallery_pack import GalleryPack
from unifex.ui.components.gallery_sources import GallerySources
from unifex.ui.components.job_tray import JobPanel, seen_at_once
from unifex.ui.components.model_picker import ModelPicker
from unifex.ui.components.ready_sources import ReadySources
from unifex.ui.components.workspace_notice import WorkspaceNotice
from unifex.ui.context import ERRORS, AppContext, Wish, name_for
from unifex.ui.listening import listen
from unifex.ui.rendering import gallery_report, html


@dataclass
class GalleryTab:
    """Components that the page needs, and the handlers."""

    context: AppContext
    dropdowns: list[gr.Dropdown] = field(default_factory=list)  # of all tabs: they offer the same galleries
    sources: GallerySources = field(init=False)
    ready: ReadySources = field(init=False)
    remove: Confirmation = field(default_factory=lambda: Confirmation("Remove these items", "remove-button"))

    def __post_init__(self) -> None:
        self.sources, self.ready = GallerySources(self.context), ReadySources(self.context)

    def build(self) -> None:
        """Lay the tab out and wire it."""
        self.picker, self.packer = ModelPicker(self.context), GalleryPack(self.context)
        self.visit, self.panel = WorkspaceNotice(self.context), JobPanel(("index",), "index-progress")
        self.pending = gr.State("")  # what was dropped, staged; a typed path comes before it
        self.begun = gr.State("")  # the upload that Start was pressed for; boxes stay, people may be typing
        self.suggested = gr.State("")  # a name that the next upload does not go to: filled in, or used by the last one
        self.removed = gr.State(Wish())  # changes when items were removed
        self.awaited = gr.State("")  # the indexing that was asked for on this page, whose gallery it goes to
        first = self.context.first_gallery()
        local = not self.context.settings.public  # a visitor uploads; paths on the server are for who runs it
        writable = not self.context.settings.read_only
        with gr.Row():
            with gr.Column(scale=3, min_width=320, visible=writable):
                gr.Markdown("## Add images" if local else "## Add images to a private gallery")
                self.drop = drop_zone("drop", self.context.settings.public)
                self.path = gr.Textbox(
                    label=f"or {sources.names()}, on this computer",
                    placeholder="/home/me/Pictures",
                    elem_id="source-path",
                    visible=local,
                )
                self.name = gr.Textbox(
                    label="Gallery to add to (a new name makes a new gallery)",
                    placeholder="holiday",
                    elem_id="gallery-name",
                )
                with gr.Accordion("What is read", open=False, elem_id="reading"):
                    self.exclude = gr.Textbox(
                        "", label="Leave out", placeholder="*.tmp", lines=2, elem_id="reading-exclude",
                        info="Names or paths with * and ?, one a line; what systems put beside images is left out",
                    )  # fmt: skip
                    self.follow_links = gr.Checkbox(
                        label="Follow symbolic links", visible=local, elem_id="reading-follow-links"
                    )
                with gr.Column(visible=local):
                    self.picker.build()
                with gr.Row():
                    self.try_out = gr.Button("Forecast", elem_id="forecast-button")
                    self.start = gr.Button("Start", variant="primary", elem_id="start-button")
                    self.resume = gr.Button("Resume", variant="primary", visible=False, elem_id="resume-button")
                self.panel.build()
                with gr.Column(elem_id="index-outcome"):
                    self.message = notice("index-message")
                    self.outcome = notice("index-report")
                self.ready.build()
            with gr.Column(scale=2, min_width=300):
                gr.Markdown("## Your galleries" if local and writable else "## Galleries")
                self.visit.build()
                self.gallery = Choice(
                    self.context.library.names() or [first], value=first, label="Gallery", elem_id="manage-gallery"
                )
                self.facts = gr.HTML(elem_id="gallery-facts")
                with gr.Accordion("Sources", open=False, visible=writable, elem_id="gallery-sources"):
                    self.sources.build()
                with gr.Accordion("Rename", open=False, visible=writable):
                    self.new_name = gr.Textbox(label="New name", elem_id="new-name")
                    self.rename = gr.Button("Rename", elem_id="rename-button")
                with gr.Accordion("Take it elsewhere", open=False, visible=writable, elem_id="gallery-pack"):
                    self.packer.build()
                with gr.Accordion("Remove items", open=False, visible=writable):
                    self.paths = gr.Textbox(
                        label="Paths, one a line", info="As search results show them; image files stay", lines=3,
                        elem_id="remove-paths",
                    )  # fmt: skip
                    self.remove.build()
                with gr.Accordion("Delete this gallery", open=False, visible=writable):
                    self.confirm = gr.Textbox(label="Type the gallery's name to delete it", elem_id="delete-confirm")
                    self.delete = gr.Button("Delete for good", variant="stop", elem_id="delete-button")
                self.notice = notice("manage-notice")

    def wire(self, followers: list[gr.Dropdown]) -> None:
        """Connect the handlers; ``followers`` are the other tabs' dropdowns, which follow what happens here."""
        self.dropdowns = both = [self.gallery, *followers]
        self.picker.wire()
        self.packer.wire(self.gallery)
        reading = [self.exclude, self.follow_links]
        tried = [self.path, self.pending, self.name, self.picker.model, *reading]
        received = [self.pending, self.path, self.name, self.suggested, self.message]
        named = [self.name, self.suggested, self.picker.model, *reading]
        listen(self.drop.upload, self.receive, named, received, counts="every")
        listen([self.path.submit, self.try_out.click], self.show_forecast, tried, [self.message], counts="first")
        begun = [self.message, self.suggested, self.begun, self.awaited]
        seen_at_once(listen(self.start.click, self.begin, [self.begun, *tried], begun, counts="first"))
        seen_at_once(listen(self.resume.click, self.resume_chosen, [self.gallery], begun, counts="first"))
        shown = [self.outcome, self.awaited, self.facts, self.resume, *both, *self.visit.shown["outputs"]]
        listen(self.panel.further.input, self.show_jobs, [self.gallery, self.awaited], shown)
        self.sources.wire(self.gallery, [self.panel.further.input])
        listen(self.gallery.change, self.show_facts, [self.gallery], [self.facts, self.resume])
        listen(self.gallery.input, lambda name: name, [self.gallery], [self.name])
        managed = [self.notice, self.name, *both]
        for press, handler, box in (
            (self.rename.click, self.rename_gallery, self.new_name),
            (self.delete.click, self.delete_gallery, self.confirm),
        ):
            listen(press, handler, [self.gallery, box, self.name], [*managed, box], counts="first")
        removed = [self.notice, self.facts, self.paths, self.removed]
        self.remove.wire(self.ask_to_remove, self.remove_items, [self.gallery, self.paths], removed)
        self.ready.wire(self.path, self.name)

    # --- handlers: adding ----------------------------------------------------------------------------------------

    def receive(
        self, name: str, suggested: str, model: str, exclude: str, follow_links: bool, event: gr.EventData
    ) -> Iterator[dict]:
        """(gallery name, the name that was filled in, model, what is read; dropped files) -> what was staged, and a
        forecast."""
        try:
            staged, folder = self.stage(event)
        except ERRORS as error:
            yield {self.pending: "", self.message: html.message("The upload cannot be used", reason(error), "error")}
            return
        if name.strip() in ("", suggested):  # a name that was typed or chosen since is meant
            name = suggested = name_for(folder)
        filled = {self.pending: staged, self.path: "", self.name: name, self.suggested: suggested}
        yield {**filled, self.message: html.message("Trying a few images for a forecast")}
        yield {self.message: self._forecast(staged, name, model, _options(exclude, follow_links))}

    def stage(self, event: gr.EventData) -> tuple[str, str]:
        """Files that the page has uploaded -> where they are staged, and what the folder was called.

        Raises ``UnifexError``.
        """
        self.context.check_writable()
        if self.context.workspace:
            self.context.workspace.check_room()
        files = [uploads.UploadedFile(self.context.uploaded(path), str(relative)) for path, relative in event.files]
        staged = uploads.stage(self.context.library.folder, files)
        for file in files:
            self.context.taken_in(file.temporary)
        return str(staged), min(file.name for file in files).partition("/")[0]  # they come as they were uploaded

    def _open(self, spec: str, options: Options = Options()) -> Source:
        """A source that has images, its files read in a way that was asked for.

        Raises ``SourceError``, and ``GalleryError`` for what is not a visitor's own upload on a public server.
        """
        self.context.check_writable()
        if not spec:
            raise SourceError("nothing to add yet: drop images above or name a folder")
        if uploads.is_staged(self.context.library.folder, spec):
            source = uploads.open_staged(Path(spec), options.exclude, self.context.settings.public)
        else:
            self.context.check_local("folders of the server and data sets are not read")
            source = sources.open_source(spec, options=options)
        sources.require_items(source)
        return source

    def _embedder(self, name: str, model: str) -> Embedder:
        """The model of the gallery to add to, or that of a new one."""
        if name.strip() in self.context.library.names():
            return self.context.gallery(name.strip()).embedder
        return self.picker.embedder(model)

    def show_forecast(
        self, typed: str, staged: str, name: str, model: str, exclude: str, follow_links: bool
    ) -> Iterator[str]:
        """(typed path, staged upload, gallery name, model, what is read) -> what indexing it would take."""
        yield html.message("Trying a few images for a forecast")
        options = _options(exclude, follow_links)
        yield self._forecast(typed.strip() or staged, name.strip() or name_for(typed), model, options)

    def _forecast(self, spec: str, name: str, model: str, options: Options) -> str:
        if self._is_packed(spec):
            return html.message("A packed gallery", f"Press Start to open it as '{name}'.")
        try:
            source = self._open(spec, options)
            found = forecast(self._embedder(name, model), source)
            there = len(self.context.gallery(name)) if name.strip() in self.context.library.names() else None
            return gallery_report.forecast(found, name, there)
        except ERRORS as error:
            return html.message("No forecast", reason(error), "error")

    def begin(
        self, begun: str, typed: str, staged: str, name: str, model: str, exclude: str, follow_links: bool
    ) -> dict:
        """(upload begun before, typed path, staged upload, gallery name, model, what is read) -> what is wrong, or what
        was begun."""
        spec, name = typed.strip() or ("" if staged == begun else staged), name.strip()
        if not spec and begun and self.context.jobs.is_busy(self.context.owner, "index"):
            return {self.message: gr.skip()}  # pressed twice
        try:
            job = self.start_index(spec, name or name_for(spec), model, _options(exclude, follow_links))
        except ERRORS as error:
            return {self.message: html.message("Indexing cannot start", reason(error), "error")}
        return {self.message: "", self.awaited: job.id, self.begun: spec, self.suggested: name}

    def start_index(self, spec: str, name: str, model: str = "", options: Options = Options()) -> Job:
        """Index a source into a gallery, or open a packed one under this name. Raises ``UnifexError``."""
        self.context.jobs.check_turn(self.context.owner, "index")  # before anything is made for it
        if self._is_packed(spec):
            self.context.check_writable()
            return self.context.start("index", name, self._unpacking(spec, name), spec)
        source = self._open(spec, options)  # nothing is made for nothing
        gallery = self.context.library.get_or_create(name, lambda: self.picker.embedder(model))
        with contextlib.suppress(GalleryBusy):
            announce(gallery, source)
        return self.context.start("index", gallery.name, self._indexing(gallery, source), spec)

    def _indexing(self, gallery: Gallery, source: Source) -> Work[IndexReport]:
        with self.context.within_limits(source, gallery) as limited:
            report = yield from index(gallery, limited)
        uploads.discard(gallery.folder.parent, source.spec)
        return report

    def _unpacking(self, spec: str, name: str) -> Work[Gallery]:
        gallery = yield from bundle.unpack(Path(spec), name, self.context.library)
        uploads.discard(gallery.folder.parent, spec)
        return gallery

    def _is_packed(self, spec: str) -> bool:
        return not self.context.settings.public and is_bundle(Path(spec))

    def resume_index(self, name: str) -> Job:
        """Go on with the source of a gallery whose indexing was cut off. Raises ``UnifexError``."""
        waiting = [source for source in self.context.gallery(name).sources() if not source.complete]
        if not waiting:
            raise GalleryError(f"there is nothing to go on with; '{name}' is complete")
        return self.start_index(waiting[0].spec, name, options=waiting[0].reading)

    def resume_chosen(self, name: str) -> dict:
        """(gallery) -> what is wrong, or nothing."""
        try:
            return {self.message: "", self.awaited: self.resume_index(name).id}
        except ERRORS as error:
            return {self.message: html.message("Nothing is resumed", reason(error), "error")}

    def show_jobs(self, chosen: str | None, awaited: str) -> dict:
        """(gallery shown, indexing this page waits for) -> what came of it; its gallery is chosen everywhere."""
        jobs, owner = self.context.jobs, self.context.owner
        ended = jobs.outcome(owner, "index")
        arrived = next((job for job in jobs.of(owner) if job.id == awaited and not job.state.active), None)
        name = arrived.name if arrived and arrived.name in self.context.library.names() else chosen
        going_on = bool(ended) and any(cut.name == ended.name for cut in self.context.interrupted())
        shown = {self.outcome: _outcome(ended, going_on) if ended else ""}
        if arrived:
            shown[self.awaited] = ""
        facts, resume = self.show_facts(name)
        visit = dict(zip(self.visit.shown["outputs"], self.visit.show()))
        return {**shown, **visit, self.facts: facts, self.resume: resume, **self.listed(name)}

    # --- handlers: managing --------------------------------------------------------------------------------------

    def listed(self, chosen: str | None) -> dict:
        """Every tab's dropdown with the galleries there are; ``chosen`` stays chosen where it is one of them."""
        names = self.context.library.names()
        value = next((candidate for candidate in (chosen, *names) if candidate in names), None)
        return {box: gr.update(choices=names, value=value) for box in self.dropdowns}  # one each: Gradio empties them

    def show_facts(self, name: str | None) -> tuple[str, dict]:
        """(gallery) -> its facts, and the resume button when a source was cut off."""
        if not name or name not in self.context.library.names():
            text = "Drop a folder of images on the left. Nobody else sees it."
            return html.message("No gallery yet", text), gr.update(visible=False)
        try:
            gallery = self.context.gallery(name)
            known, index = gallery.facts(), gallery.snapshot().index.candidates
        except ERRORS as error:
            return html.message("This gallery cannot be opened", reason(error), "error"), gr.update(visible=False)
        recall = "" if index.exact or index.recall is None else f", recall@10 {index.recall:.3f} of exact search"
        return gallery_report.gallery_facts(known, index.title + recall), gr.update(
            visible=bool(known.unfinished)
            and self.context.can_change(name)
            and not self.context.jobs.is_busy(self.context.owner, "index", name)
            and not gallery.is_being_written()
        )

    def rename_gallery(self, name: str, new: str, adding_to: str) -> dict:
        """(gallery, new name, gallery to add to) -> notice, all names of it."""
        try:
            renamed = self.context.library.rename(name, new).name
        except ERRORS as error:
            return {self.notice: html.message("Not renamed", reason(error), "error")}
        self.context.jobs.leave(self.context.owner, name)
        notice = html.message(f"'{name}' is now '{renamed}'", kind="good")
        adding_to = renamed if adding_to.strip() == name else adding_to
        return {self.notice: notice, self.name: adding_to, self.new_name: "", **self.listed(renamed)}

    def delete_gallery(self, name: str, typed: str, adding_to: str) -> dict:
        """(gallery, typed name, gallery to add to) -> notice, all dropdowns, the boxes empty."""
        if typed.strip() != name:
            return {self.notice: html.message("Not deleted", f"Type '{name}' exactly to delete it.", "warning")}
        try:
            self.context.library.delete(name)
        except ERRORS as error:
            return {self.notice: html.message("Not deleted", reason(error), "error")}
        self.context.jobs.leave(self.context.owner, name)  # another gallery may be called so
        notice = html.message(f"'{name}' was deleted", "Your image files are untouched.", "good")
        adding_to = "" if adding_to.strip() == name else adding_to
        return {self.notice: notice, self.name: adding_to, self.confirm: "", **self.listed(None)}

    def ask_to_remove(self, name: str, lines: str) -> str:
        """(gallery, paths) -> what removing them does. Raises ``GalleryError`` where there is nothing to remove."""
        gallery = self.context.gallery(name)
        items = sum(len(ids) for ids in gallery.find(_paths(lines), dropped=True).values())
        if not items:
            raise GalleryError(f"no item of '{name}' is called so; give paths as search results show them, one a line")
        return f"Remove {plural(items, 'item')} from '{name}'? The image files stay, and can be indexed again."

    def remove_items(self, name: str, lines: str) -> tuple[str, str, str, Wish | dict]:
        """(gallery, paths) -> notice, facts, the box without what was removed, that something was removed."""
        paths = _paths(lines)
        try:
            gallery = self.context.writable(name)
            with gallery.write() as writer:
                found = gallery.find(paths, dropped=True)
                removed = writer.remove(sorted({item for ids in found.values() for item in ids}))
                gallery.derived.save()
        except ERRORS as error:
            return html.message("Nothing removed", reason(error), "error"), self.show_facts(name)[0], lines, gr.skip()
        missing = [path for path, ids in found.items() if not ids]
        text = f"No item is called: {', '.join(missing)[:400]}" if missing else "The image files are untouched."
        notice = html.message(f"{removed} removed", text, "warning" if missing else "good")
        return notice, self.show_facts(name)[0], "\n".join(missing), Wish.new()


def _paths(lines: str) -> list[str]:
    return [line.strip() for line in lines.splitlines() if line.strip()]


def _options(exclude: str, follow_links: bool) -> Options:
    """How files are read, as the boxes say."""
    return Options(
        exclude=tuple(line.strip() for line in exclude.splitlines() if line.strip()), follow_links=follow_links
    )


def _outcome(job: Job, going_on: bool) -> str:
    """What came of an indexing that has ended; ``going_on``: it can be resumed."""
    resume = "What was done is kept and can be searched; Resume goes on where it stopped." if going_on else ""
    if isinstance(job.error, PruneRefused):
        gone = f"{job.error.gone:,} of {plural(job.error.known, 'item')} are gone from their source; is a disk missing?"
        text = f"{gone} If you mean it, choose under Sources to remove them however many they are."
        return html.message("Everything is indexed, nothing was removed", text, "warning")
    if job.state == State.FAILED:
        return html.message(f"Indexing '{job.name}' stopped", f"{job.problem}. {resume}".strip(), "error")
    if job.state == State.CANCELLED:
        return html.message(f"Indexing '{job.name}' was cancelled", resume, "warning")
    if isinstance(job.result, IndexReport):
        return gallery_report.report(job.result)
    return html.message(f"Gallery '{job.result.name}' is open", plural(len(job.result), "item"), "good")
