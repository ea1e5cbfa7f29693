"""A gallery as one file to take elsewhere, and the way back in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import gradio as gr

from unifex.core.jobs import State
from unifex.core.language import say
from unifex.core.progress import Work
from unifex.core.text import plural, size
from unifex.gallery import bundle
from unifex.gallery.gallery import Gallery
from unifex.ui.components.job_tray import JobPanel
from unifex.ui.components.pressing import ask_for_job
from unifex.ui.context import GONE, AppContext
from unifex.ui.listening import Updates, listen
from unifex.ui.rendering.html import message


@dataclass
class GalleryPack:
    """A switch, a button that packs and one that has the file."""

    context: AppContext

    def build(self) -> None:
        """Lay it out."""
        gr.Markdown(
            say(
                "One .zip of features, items and thumbnails that opens wherever the same backbone is: drop "
                "it above, or `python -m unifex unpack`. It does not tell where your images lie."
            )
        )
        self.images = gr.Checkbox(
            label=say("With the images themselves"),
            info=say("The files as they are, with the place that a camera wrote into them"),
            elem_id="pack-images",
        )
        self.searches = gr.Checkbox(
            value=True, label=say("With its saved searches"),
            info=say("And the small pictures that they were made with"),
            elem_id="pack-searches",
        )  # fmt: skip
        self.pack = gr.Button(say("Pack"), elem_id="pack-button")
        self.panel = JobPanel(("pack",), "pack-progress")
        self.panel.build()
        self.problem = gr.HTML(elem_id="pack-problem")
        self.file = gr.DownloadButton(say("Download"), visible=False, elem_id="pack-download")
        self.notice = gr.HTML(elem_id="pack-notice")

    def wire(self, gallery: gr.Dropdown) -> None:
        """Connect the handlers; another gallery needs another file."""
        ask_for_job(self.pack.click, self.begin, [gallery, self.images, self.searches], self.problem, say("Not packed"))
        listen(gallery.change, lambda: "", None, [self.problem])
        listen([gallery.change, self.panel.further.input], self.show_job, [gallery], [self.notice, self.file])

    def begin(self, name: str, images: bool, searches: bool) -> None:
        """(gallery, with images, with saved searches) -> a job. Raises ``GalleryError`` and ``JobError``."""
        gallery = self.context.writable(name)
        saved = self.context.library.searches_path(gallery.config.id) if searches else None
        work = self._packing(gallery, images, saved)
        self.context.start("pack", gallery.name, work, f"images {images}, searches {searches}")

    def _packing(self, gallery: Gallery, images: bool, searches: Path | None) -> Work[tuple[bundle.Packed, str]]:
        packed = yield from bundle.pack(gallery, self.context.scratch() / f"{gallery.name}.zip", images, searches)
        return packed, self.context.hand_out(Path(packed.path))

    def show_job(self, name: str | None) -> Updates:
        """(gallery) -> what came of its packing, download."""
        job = self.context.outcome("pack", name or "")
        if job is None or job.state == State.CANCELLED:
            return self._showing("")
        if job.state == State.FAILED:
            return self._showing(message(say("Not packed"), job.problem, "error"))
        packed, address = job.result
        if not Path(address).is_file():
            return self._showing(message(say("The packed file is gone"), say(GONE)))
        what = say("with the images") if packed.images else say("without the images")
        saved = [plural(packed.searches, "saved search", "saved searches")] if packed.searches else []
        text = ", ".join([plural(packed.items, "item", "items"), *saved, what, size(packed.bytes)])
        return self._showing(message(say("Ready to download"), text, "good"), address)

    def _showing(self, said: str, address: str = "") -> Updates:
        there = gr.update(visible=True, value=address) if address else gr.update(visible=False)
        return {self.notice: said, self.file: there}
