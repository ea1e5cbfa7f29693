"""The Gallery tab: make a gallery from images, add to it, see what is in it, rename, remove, delete."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import gradio as gr
from gradio.utils import get_upload_folder

from unifex import bundle, snapshot, sources, uploads
from unifex.bundle import Packing
from unifex.datasets import DATASETS
from unifex.embedder import Embedder
from unifex.gallery import GalleryBusy, GalleryError
from unifex.indexing import IndexReport, forecast, index
from unifex.sources import Source, SourceError
from unifex.text import reason
from unifex.ui import html
from unifex.ui.context import ERRORS, Context, name_for
from unifex.ui.gallery_pack import GalleryPack
from unifex.ui.model_picker import ModelPicker
from unifex.ui.theme import asset
from unifex.ui.visit import Visit

CANCEL_SECONDS = 15
HUB_EXAMPLES = (
    ("Objects: Caltech-101 (CC BY 4.0)", "hf:flwrlabs/caltech101@train[:300]"),
    ("Dishes: Food-101 (licence unknown, for research)", "hf:ethz/food101@train[:300]"),
    ("Bean leaves (MIT)", "hf:AI-Lab-Makerere/beans@train[:300]"),
)

_NO_SETS = """{} Put the data sets into one folder as the public UniFEx code documents it, and start with
`python app.py --data DIR`. `python -m unifex datasets` lists them, where to get each, and what is missing."""


@dataclass
class GalleryTab:
    """Components that the page needs, and the handlers."""

    context: Context
    dropdowns: list[gr.Dropdown] = field(default_factory=list)  # of all tabs: they offer the same galleries

    def build(self) -> None:
        """Lay the tab out and wire it."""
        self.picker, self.packer = ModelPicker(self.context), GalleryPack(self.context)
        self.visit = Visit(self.context)
        self.pending = gr.State("")  # what was dropped, staged; a typed path comes before it
        first = self.context.first_gallery()
        local = not self.context.settings.public  # a visitor uploads; paths on the server are for who runs it
        writable = not self.context.settings.read_only
        with gr.Row():
            with gr.Column(scale=3, min_width=320, visible=writable):
                gr.Markdown("### Add images" if local else "### Add images to a private gallery")
                self.drop = drop_zone(self.context, "drop")
                self.path = gr.Textbox(
                    label="or a folder, .zip or .csv on this computer, hf:owner/name or m4d:DIR",
                    placeholder="/home/me/Pictures",
                    elem_id="source-path",
                    visible=local,
                )
                self.name = gr.Textbox(
                    label="Gallery to add to (a new name makes a new gallery)",
                    placeholder="holiday",
                    elem_id="gallery-name",
                )
                with gr.Column(visible=local):
                    self.picker.build()
                with gr.Row():
                    self.try_out = gr.Button("Forecast", elem_id="forecast-button")
                    self.start = gr.Button("Start", variant="primary", elem_id="start-button")
                    self.cancel = gr.Button("Cancel", variant="stop", visible=False, elem_id="cancel-button")
                    self.resume = gr.Button("Resume", variant="primary", visible=False, elem_id="resume-button")
                self.outcome = gr.HTML(elem_id="index-outcome")
                with gr.Accordion(
                    "M4D-35k and other public data sets", open=False, visible=local, elem_id="public-sets"
                ):
                    self.sets = self._public_sets()
                with gr.Accordion("Real photographs from the Hugging Face hub", open=False, visible=local):
                    gr.Markdown("Needs a network. The first 300 images are streamed; mind each data set's licence.")
                    self.examples = [gr.Button(title, size="sm") for title, _ in HUB_EXAMPLES]
            with gr.Column(scale=2, min_width=300):
                gr.Markdown("### Your galleries" if local and writable else "### Galleries")
                self.visit.build()
                self.gallery = gr.Dropdown(
                    self.context.indexes.names() or [first], value=first, label="Gallery", elem_id="manage-gallery"
                )
                self.facts = gr.HTML(elem_id="gallery-facts")
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
                    self.remove = gr.Button("Remove these items", variant="stop", elem_id="remove-button")
                with gr.Accordion("Delete this gallery", open=False, visible=writable):
                    self.confirm = gr.Textbox(label="Type the gallery's name to delete it", elem_id="delete-confirm")
                    self.delete = gr.Button("Delete for good", variant="stop", elem_id="delete-button")
                self.notice = gr.HTML(elem_id="manage-notice")

    def wire(self, followers: list[gr.Dropdown]) -> None:
        """Connect the handlers; ``followers`` are the other tabs' dropdowns, which follow what happens here."""
        private = {"api_visibility": "private"}
        self.dropdowns = both = [self.gallery, *followers]
        self.picker.wire()
        self.packer.wire(self.gallery)
        source = [self.path, self.pending]
        tried = [*source, self.name, self.picker.model]
        self.drop.upload(self.receive, [self.name], [self.pending, self.path, self.name, self.outcome], **private).then(
            self.show_forecast, tried, [self.outcome], show_progress="hidden", **private
        )
        self.path.submit(self.show_forecast, tried, [self.outcome], show_progress="hidden", **private)
        self.try_out.click(self.show_forecast, tried, [self.outcome], show_progress="hidden", **private)
        buttons = [self.start, self.cancel, self.resume]
        job = {
            "outputs": [self.outcome, *buttons, self.pending],
            "show_progress": "hidden",
            "concurrency_id": "index",
            **private,
        }
        started = self.start.click(self.run, tried, **job)
        resumed = self.resume.click(self.run_again, [self.gallery], **job)
        # Two listeners, in this order: the page runs one after the other, and the second waits for the effect.
        self.cancel.click(None, cancels=[started, resumed], api_visibility="private")
        cancelled = self.cancel.click(
            self.stopped, [self.name, self.gallery], [self.outcome, *buttons], show_progress="hidden", **private
        )
        for done in (started, resumed, cancelled):
            done.then(self.refresh, [self.name, self.gallery], both, show_progress="hidden", **private).then(
                self.show_facts, [self.gallery], [self.facts, self.resume], show_progress="hidden", **private
            ).then(**self.visit.shown)
        self.gallery.change(
            self.show_facts, [self.gallery], [self.facts, self.resume], show_progress="hidden", **private
        )
        self.gallery.input(lambda name: name, [self.gallery], [self.name], show_progress="hidden", **private)
        managed = [self.notice, *both]
        self.rename.click(self.rename_gallery, [self.gallery, self.new_name], managed, **private)
        self.delete.click(self.delete_gallery, [self.gallery, self.confirm], [*managed, self.confirm], **private)
        self.remove.click(
            self.remove_items, [self.gallery, self.paths], [self.notice, self.facts, self.paths], **private
        )
        for button, (title, spec) in zip(self.examples, HUB_EXAMPLES):
            name = title.partition(":")[0].partition("(")[0].strip().lower()
            self._fill_in(button, spec, name)
        for button, spec, name in self.sets:
            self._fill_in(button, spec, name)

    def _fill_in(self, button: gr.Button, spec: str, name: str) -> None:
        """A press names the source and the gallery; Forecast and Start are the user's."""
        named = [self.path, self.name]
        button.click(lambda: (spec, name), None, named, show_progress="hidden", api_visibility="private")

    def _public_sets(self) -> list[tuple[gr.Button, str, str]]:
        """A button for each set that is in the data folder: what it is, its source, a name."""
        data = self.context.settings.data
        here = [dataset for dataset in DATASETS.values() if data and not dataset.missing(data)]
        if not here:
            gr.Markdown(_NO_SETS.format(f"Nothing of them is in {data}." if data else "No data folder was given."))
            return []
        gr.Markdown(
            "A sample takes 5 images of 100 classes in each domain; change the numbers in the path as you like."
        )
        made = []
        for dataset in here:
            for title, key, query in (("", "", ""), (", a sample", " sample", "&classes=100&least=5&most=5")):
                spec = f"m4d:{data.resolve()}?sets={dataset.key}{query}"
                made.append((gr.Button(dataset.title + title, size="sm"), spec, dataset.key.replace("_", "-") + key))
        return made

    # --- handlers: adding ----------------------------------------------------------------------------------------

    def receive(self, name: str, event: gr.EventData) -> tuple[str, str, str, str]:
        """(gallery name; dropped files) -> pending source, typed path, gallery name, notice."""
        try:
            self.context.check_writable()
            if self.context.workspace:
                self.context.workspace.check_room()
            files = [uploads.UploadedFile(_checked(path), str(relative)) for path, relative in event.files]
            staged = uploads.stage(self.context.indexes.folder, files)
            for file in files:
                self.context.files.release(file.temporary, self.context.visitor)
        except ERRORS as error:
            return "", "", name, html.message("The upload cannot be used", reason(error), "error")
        suggested = name or name_for(str(event.files[0][1]).partition("/")[0])
        return str(staged), "", suggested, html.message("Trying a few images for a forecast")

    def _open(self, spec: str) -> Source:
        """Raises ``SourceError``, and ``GalleryError`` for what is not a visitor's own upload on a public server."""
        self.context.check_writable()
        if not spec:
            raise SourceError("nothing to add yet: drop images above or name a folder")
        if not uploads.is_staged(self.context.indexes.folder, spec):
            self.context.check_local("folders of the server and data sets are not read")
            return sources.open_source(spec)
        if Path(spec).suffix.lower() == ".csv":
            self.context.check_local("a .csv alone, which names files of the server, is not read")
        source = uploads.open_staged(Path(spec))
        return self.context.workspace.limited(source) if self.context.workspace else source

    def _embedder(self, name: str, model: str) -> Embedder:
        """The model of the gallery to add to, or that of a new one."""
        if name.strip() in self.context.indexes.names():
            return self.context.gallery(name.strip()).embedder
        return self.picker.embedder(model)

    def show_forecast(self, typed: str, staged: str, name: str, model: str) -> Iterator[str]:
        """(typed path, staged upload, gallery name, model of a new one) -> what indexing it would take."""
        if self._is_packed(typed.strip() or staged):
            yield html.message("A packed gallery", "Press Start to open it under the name below.")
            return
        yield html.message("Trying a few images for a forecast")
        try:
            source = self._open(typed.strip() or staged)
            yield html.forecast(forecast(self._embedder(name, model), source))
        except ERRORS as error:
            yield html.message("No forecast", reason(error), "error")

    def run(self, typed: str, staged: str, name: str, model: str = "") -> Iterator[tuple]:
        """(typed path, staged upload, gallery name, model) -> progress, start, cancel, resume, staged upload."""
        spec = typed.strip() or staged
        if self._is_packed(spec):
            yield from self._unpack(spec, name)
            return
        try:
            source = self._open(spec)
            name = name.strip() or name_for(spec)
            gallery = self.context.indexes.get_or_create(name, lambda: self.picker.embedder(model))
        except ERRORS as error:
            yield html.message("Indexing cannot start", reason(error), "error"), *_idle(), gr.skip()
            return
        yield html.message("Starting"), *_busy(), gr.skip()
        try:
            for event in index(gallery, source):
                if isinstance(event, IndexReport):
                    uploads.discard(self.context.indexes.folder, spec)
                    yield html.report(event), *_idle(), ""
                else:
                    yield html.progress(event), *_busy(), gr.skip()
        except ERRORS as error:
            text = f"{reason(error)}. What was done is kept; Resume goes on from there."
            yield html.message("Indexing stopped", text, "error"), *_idle(resume=True), gr.skip()

    def _is_packed(self, spec: str) -> bool:
        return not self.context.settings.public and bundle.is_bundle(Path(spec))

    def _unpack(self, spec: str, name: str) -> Iterator[tuple]:
        """As :meth:`run`, for a gallery that was packed."""
        try:
            self.context.check_writable()
            for event in bundle.unpack(Path(spec), name.strip() or name_for(spec), self.context.indexes):
                if isinstance(event, Packing):
                    yield html.bar("Opening the packed gallery", event.done, event.total, ""), *_busy(), gr.skip()
            uploads.discard(self.context.indexes.folder, spec)
            yield html.message(f"Gallery '{event.name}' is open", f"{len(event):,} items", "good"), *_idle(), ""
        except ERRORS as error:
            yield html.message("Not opened", reason(error), "error"), *_idle(), gr.skip()

    def run_again(self, name: str) -> Iterator[tuple]:
        """(gallery) -> as :meth:`run`, for the source whose indexing was cut off."""
        try:
            waiting = self.context.gallery(name).unfinished()
        except GalleryError as error:
            yield html.message("Nothing to resume", reason(error), "error"), *_idle(), gr.skip()
            return
        if not waiting:
            yield html.message("Nothing to resume", "This gallery is complete."), *_idle(), gr.skip()
            return
        yield from self.run(waiting[0][0], "", name)

    def stopped(self, name: str, chosen: str) -> tuple:
        """(gallery name, chosen gallery) -> outcome and buttons after Cancel, once the last batch is committed."""
        known = self.context.indexes.names()
        try:
            gallery = self.context.writable(name if name in known else chosen)
        except ERRORS as error:
            return html.message("Cancelled", reason(error), "warning"), *_idle()
        for _ in range(CANCEL_SECONDS * 10):
            try:
                with gallery.write() as writer:
                    writer.close()
                break
            except GalleryBusy:
                time.sleep(0.1)
        text = f"{len(gallery):,} items of '{gallery.name}' can be searched now. Resume goes on where it stopped."
        return html.message("Cancelled", text, "warning"), *_idle(resume=True)

    # --- handlers: managing --------------------------------------------------------------------------------------

    def refresh(self, name: str, chosen: str | None) -> list[dict]:
        """(gallery just written, gallery shown) -> every tab's dropdown."""
        names = self.context.indexes.names()
        value = next((candidate for candidate in (name, chosen, *names) if candidate in names), None)
        return [gr.update(choices=names, value=value) for _ in self.dropdowns]  # one each: Gradio empties them

    def show_facts(self, name: str | None) -> tuple[str, dict]:
        """(gallery) -> its facts, and the resume button when a source was cut off."""
        if not name or name not in self.context.indexes.names():
            text = "Drop a folder of images on the left. Nobody else sees it."
            return html.message("No gallery yet", text), gr.update(visible=False)
        try:
            gallery = self.context.gallery(name)
            known, kind = gallery.facts(), gallery.snapshot().index.shortlist
        except ERRORS as error:
            return html.message("This gallery cannot be opened", reason(error), "error"), gr.update(visible=False)
        recall = "" if kind.exact or kind.recall is None else f", recall@10 {kind.recall:.3f} of exact search"
        return html.facts(known, kind.kind + recall), gr.update(
            visible=bool(known.unfinished) and self.context.can_change(name)
        )

    def rename_gallery(self, name: str, new: str) -> tuple:
        """(gallery, new name) -> notice, all dropdowns."""
        try:
            renamed = self.context.indexes.rename(name, new).name
        except ERRORS as error:
            return html.message("Not renamed", reason(error), "error"), *self.refresh(name, name)
        return html.message(f"'{name}' is now '{renamed}'", kind="good"), *self.refresh(renamed, renamed)

    def delete_gallery(self, name: str, typed: str) -> tuple:
        """(gallery, typed name) -> notice, all dropdowns, the box empty."""
        if typed.strip() != name:
            text = f"Type '{name}' exactly to delete it."
            return html.message("Not deleted", text, "warning"), *self.refresh(name, name), typed
        try:
            self.context.indexes.delete(name)
        except ERRORS as error:
            return html.message("Not deleted", reason(error), "error"), *self.refresh(name, name), typed
        return (
            html.message(f"'{name}' was deleted", "Your image files are untouched.", "good"),
            *self.refresh("", ""),
            "",
        )

    def remove_items(self, name: str, lines: str) -> tuple[str, str, str]:
        """(gallery, paths) -> notice, facts, the box without what was removed."""
        paths = [line.strip() for line in lines.splitlines() if line.strip()]
        try:
            gallery = self.context.writable(name)
            with gallery.write() as writer:
                found = writer.ids_of_paths(paths)
                removed = writer.remove(sorted({item for ids in found.values() for item in ids}))
                snapshot.save(gallery)
        except ERRORS as error:
            return html.message("Nothing removed", reason(error), "error"), self.show_facts(name)[0], lines
        missing = [path for path, ids in found.items() if not ids]
        text = f"No item is called: {', '.join(missing)[:400]}" if missing else "The image files are untouched."
        notice = html.message(f"{removed} removed", text, "warning" if missing else "good")
        return notice, self.show_facts(name)[0], "\n".join(missing)


def drop_zone(context: Context, elem_id: str) -> gr.HTML:
    """Where files are dropped. A lone CSV names files of the computer that the app runs on: strangers give none."""
    takes = f"a folder, a .zip{'' if context.settings.public else ', a .csv'} or images"
    template, script = asset("drop.html"), asset("drop.js")
    return gr.HTML("", html_template=template, js_on_load=script, elem_id=elem_id, takes=takes)


def _checked(path: object) -> Path:
    """A path that the browser claims to have uploaded to. Raises ``SourceError`` for any other place on the server."""
    resolved = Path(str(path)).resolve()
    if not resolved.is_relative_to(Path(get_upload_folder()).resolve()) or not resolved.is_file():
        raise SourceError("a file was not uploaded through this page")
    return resolved


def _busy() -> tuple[dict, dict, dict]:
    """Start hidden, Cancel shown, Resume hidden."""
    return gr.update(visible=False), gr.update(visible=True), gr.update(visible=False)


def _idle(resume: bool = False) -> tuple[dict, dict, dict]:
    """Start shown, Cancel hidden, Resume as told."""
    return gr.update(visible=True), gr.update(visible=False), gr.update(visible=resume)
