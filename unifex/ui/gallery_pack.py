"""A gallery as one file to take elsewhere, and the way back in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import gradio as gr

from unifex import bundle
from unifex.bundle import Packing
from unifex.text import plural, reason, size
from unifex.ui import html
from unifex.ui.context import ERRORS, Context


@dataclass
class GalleryPack:
    """A switch, a button that packs and one that has the file."""

    context: Context

    def build(self) -> None:
        """Lay it out."""
        gr.Markdown(
            "One .zip of features, embeddings, items and thumbnails that opens wherever the same backbone is: drop it "
            "above, or `python -m unifex unpack`. It does not tell where your images lie."
        )
        self.images = gr.Checkbox(label="With the images themselves", elem_id="pack-images")
        self.pack = gr.Button("Pack", elem_id="pack-button")
        self.file = gr.DownloadButton("Download", visible=False, elem_id="pack-download")
        self.notice = gr.HTML(elem_id="pack-notice")

    def wire(self, gallery: gr.Dropdown) -> None:
        """Connect the handlers; another gallery needs another file."""
        outputs = [self.notice, self.file]
        options = {"show_progress": "hidden", "api_visibility": "private"}
        self.pack.click(self.run, [gallery, self.images], outputs, concurrency_id="pack", **options)
        gr.on([gallery.change, self.images.input], lambda: ("", gr.update(visible=False)), None, outputs, **options)

    def run(self, name: str, images: bool) -> Iterator[tuple[str, dict]]:
        """(gallery, with images) -> progress and outcome, download."""
        try:
            gallery = self.context.writable(name)
            for event in bundle.pack(gallery, self.context.scratch() / f"{gallery.name}.zip", images):
                if isinstance(event, Packing):
                    yield html.bar("Packing", event.done, event.total, ""), gr.update(visible=False)
        except ERRORS as error:
            yield html.message("Not packed", reason(error), "error"), gr.update(visible=False)
            return
        text = f"{plural(event.items, 'item')}, {size(event.bytes)}"
        yield (
            html.message("Ready to download", text, "good"),
            gr.update(visible=True, value=self.context.hand_out(Path(event.path))),
        )
