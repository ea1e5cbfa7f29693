"""One item, large, over whatever tab it was opened from: look at it, search with it, correct it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import gradio as gr

from unifex import corrections, images
from unifex.gallery import Gallery, GalleryError
from unifex.text import reason
from unifex.ui import html
from unifex.ui.context import ERRORS, Context, Query


@dataclass
class ItemView:
    """Components and handlers. ``shown`` is the (gallery, id) of the open item."""

    context: Context

    def build(self) -> None:
        """Lay it out; it is hidden until an item is opened."""
        self.shown = gr.State(("", 0))
        with gr.Column(visible=False, elem_id="detail") as self.overlay, gr.Column(elem_id="detail-card"):
            self.picture = gr.HTML()
            with gr.Row():
                self.again = gr.Button("Search with this one", variant="primary", elem_id="search-with-this")
                self.close = gr.Button("Close", elem_id="close-detail")
            with gr.Accordion("Correct it", open=False, elem_id="correct") as self.correction:
                with gr.Row():
                    self.label = gr.Textbox(label="Label", elem_id="correct-label")
                    self.domain = gr.Textbox(label="Domain", elem_id="correct-domain")
                with gr.Row():
                    self.relabel = gr.Button("Save label", elem_id="save-label")
                    self.drop = gr.Button("Leave it out of the gallery", variant="stop", elem_id="leave-out")
                gr.Markdown("Stored with the gallery, not in your files; the Evaluate tab lists it and can undo it.")
        private = {"show_progress": "hidden", "api_visibility": "private"}
        self.close.click(lambda: gr.update(visible=False), None, [self.overlay], **private)
        fields = [self.shown, self.label, self.domain]
        self.relabel.click(self.save_label, fields, [self.picture], **private)
        self.drop.click(self.leave_out, [self.shown], [self.picture], **private)

    @property
    def outputs(self) -> list:
        """What :meth:`open` gives."""
        return [self.shown, self.overlay, self.picture, self.label, self.domain, self.correction]

    def open(self, gallery: str, item: int) -> tuple:
        """-> :attr:`outputs` with this item shown."""
        label = domain = ""
        changeable = self.context.can_change(gallery)
        try:
            opened = self.context.gallery(gallery)
            records = opened.records([item])
            if records:
                label, domain = records[0].label, records[0].domain
                view = _large(opened, records[0])
            else:
                view = html.message("This item was removed", "Search again to see what is left.", "warning")
                changeable = False
        except ERRORS as error:
            view = html.message("This item cannot be shown", reason(error), "error")
        return (gallery, item), gr.update(visible=True), view, label, domain, gr.update(visible=changeable)

    def search_with(self, shown: tuple[str, int]) -> tuple[Query, dict, str]:
        """(shown item) -> the item as the query, overlay closed, its gallery."""
        gallery, item = shown
        return Query(items=(int(item),), gallery=gallery), gr.update(visible=False), gallery

    def save_label(self, shown: tuple[str, int], label: str, domain: str) -> str:
        """(shown item, label, domain) -> the item as it is now."""
        return self._correct(shown, lambda record: corrections.relabel(record, label, domain), "Label saved")

    def leave_out(self, shown: tuple[str, int]) -> str:
        """(shown item) -> a notice."""
        return self._correct(shown, corrections.drop, "Left out of the gallery")

    def _correct(self, shown: tuple[str, int], say: Callable, done: str) -> str:
        try:
            gallery = self.context.writable(shown[0])
            record = gallery.records([shown[1]])[0]
            with gallery.write() as writer:
                writer.correct([say(record)])
            left = gallery.records([shown[1]])
            picture = _large(gallery, left[0]) if left else ""
            return html.message(done, "The Evaluate tab lists all corrections and can undo them.", "good") + picture
        except IndexError:
            return html.message("This item was removed", "Search again to see what is left.", "warning")
        except ERRORS as error:
            return html.message("Not corrected", reason(error), "error")


def _large(gallery: Gallery, record) -> str:
    try:
        picture = images.decode(gallery.original(record), at_least=images.PREVIEW_SIZE).image
    except (GalleryError, images.ImageError) as error:
        return html.detail(record, gallery.thumbnail(record.sha256), reason(error))
    return html.detail(record, images.thumbnail(picture, images.PREVIEW_SIZE, quality=85))
