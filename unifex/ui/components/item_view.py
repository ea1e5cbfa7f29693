"""One item, large, over whatever tab it was opened from: look at it, search with it, correct it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import gradio as gr
from markupsafe import Markup

from unifex.core.text import reason
from unifex.gallery import corrections
from unifex.gallery.corrections import Correction
from unifex.gallery.gallery import Gallery, GalleryError, Record
from unifex.ui.components.basic import item_told, signal
from unifex.ui.context import ERRORS, AppContext, Wish
from unifex.ui.listening import Updates, listen
from unifex.ui.rendering.html import message
from unifex.ui.rendering.item import Shown, detail, no_item
from unifex.ui.scripts import scripts


@dataclass
class ItemView:
    """Components and handlers. ``shown`` is the (gallery, id) of the open item; ``corrected`` changes with every
    correction, made here or elsewhere: whoever shows items shows them anew then."""

    context: AppContext

    def build(self) -> None:
        """Lay it out; the script makes a dialog of it, which is closed until an item is opened."""
        self.shown, self.corrected = gr.State(("", 0)), gr.State(Wish())
        self.wanted = signal("open")
        with gr.Column(elem_id="detail-card"):
            self.picture = gr.HTML(js_on_load=scripts("item-view"))
            with gr.Row():
                self.again = gr.Button("Search with this one", variant="primary", elem_id="search-with-this")
                gr.Button("Close", elem_id="close-detail")
            with gr.Accordion("Correct it", open=False, elem_id="correct") as self.correction:
                with gr.Row():
                    self.label = gr.Textbox(label="Label", elem_id="correct-label")
                    self.domain = gr.Textbox(label="Domain", elem_id="correct-domain")
                with gr.Row():
                    self.relabel = gr.Button("Save label", elem_id="save-label")
                    self.drop = gr.Button("Leave it out of the gallery", elem_id="leave-out", variant="stop")
                gr.Markdown("Stored with the gallery, not in your files; the Evaluate tab lists it and can undo it.")
        listen(
            self.wanted.input, self.open, [self.wanted],
            [self.shown, self.picture, self.label, self.domain, self.again, self.correction],
        )  # fmt: skip
        after = [self.picture, self.again, self.correction, self.corrected]
        fields = [self.shown, self.label, self.domain]
        listen(self.relabel.click, self.save_label, fields, after, counts="first")
        listen(self.drop.click, self.leave_out, [self.shown], after, counts="first")

    def open(self, told: str) -> Updates:
        """(gallery and item) -> that, the item as it is now, its label and domain, what can be done with it."""
        gallery, item, label, domain = "", 0, "", ""
        there = changeable = False
        try:
            gallery, item = item_told(told)
            opened = self.context.gallery(gallery)
            records = opened.records([item])
            there = bool(records)
            changeable = there and self.context.can_change(gallery)
            if records:
                label, domain = records[0].label, records[0].domain
            view = self._large(opened, records[0]) if records else no_item(*_GONE)
        except ERRORS as error:
            view = no_item("This item cannot be shown", reason(error), "error")
        return {
            self.shown: (gallery, item),
            # The page opens the view when this changes: at every opening, too.
            self.picture: view + Markup(f"<!-- {Wish.new().number} -->"),
            self.label: label,
            self.domain: domain,
            self.again: gr.update(visible=there),
            self.correction: gr.update(visible=changeable),
        }

    def save_label(self, shown: tuple[str, int], label: str, domain: str) -> Updates:
        """(shown item, label, domain) -> the item as it is now, what can be done with it, that it was corrected."""
        return self._correct(shown, lambda record: corrections.relabel(record, label, domain), "Label saved")

    def leave_out(self, shown: tuple[str, int]) -> Updates:
        """(shown item) -> as :meth:`save_label`."""
        return self._correct(shown, corrections.drop, "Left out of the gallery")

    def _correct(self, shown: tuple[str, int], say: Callable[[Record], Correction], done: str) -> Updates:
        """A correction of the shown item -> as :meth:`save_label`."""
        try:
            gallery = self.context.writable(shown[0])
            record = gallery.records([shown[1]])[0]
            with gallery.write() as writer:
                writer.correct([say(record)])
            left = gallery.records([shown[1]])
        except IndexError:
            return {self.picture: no_item(*_GONE)}
        except ERRORS as error:
            return {self.picture: no_item("Not corrected", reason(error), "error")}
        there = gr.update(visible=bool(left))
        view = message(done, _UNDO, "good") + self._large(gallery, left[0]) if left else no_item(done, _UNDO, "good")
        return {self.picture: view, self.again: there, self.correction: there, self.corrected: Wish.new()}

    def _large(self, gallery: Gallery, record: Record) -> Markup:
        original, problem = b"", ""
        try:
            original = gallery.original(record)  # what is there was decoded when it was indexed
        except GalleryError as error:
            problem = reason(error)
        return detail(Shown(record, gallery.name, original, problem, self.context.settings.public))


_GONE = ("This item is no longer here", "It was removed or left out since.", "warning")
_UNDO = "The Evaluate tab lists all corrections and can undo them."
