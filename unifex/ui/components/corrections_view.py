"""What was said of a gallery's items, with or without labels or figures of it, and the way back: one by one, or of all
that were left out."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from unifex.core.language import say
from unifex.core.text import plural, reason
from unifex.gallery.corrections import Correction
from unifex.gallery.gallery import Gallery, GalleryError
from unifex.ui.components.confirmation import Confirmation
from unifex.ui.components.item_view import BACK_ALREADY, take_back
from unifex.ui.components.pressing import or_say
from unifex.ui.context import ERRORS, AppContext
from unifex.ui.listening import Part, Updates, listen
from unifex.ui.page_state import Wish
from unifex.ui.rendering import failure_lists
from unifex.ui.rendering.html import message
from unifex.ui.scripts import scripts


@dataclass
class CorrectionsView:
    """Components and handlers; nothing of it is seen of a gallery without corrections."""

    context: AppContext

    def build(self) -> None:
        """Lay it out; :meth:`wire` connects it."""
        self.every = Confirmation(say("Undo all that were left out"), "undo-left-out")
        with gr.Accordion(say("Corrections"), open=False, visible=False, elem_id="corrections-said") as self.place:
            with gr.Column(visible=False) as self.of_all:
                self.every.build("sm")
            self.listed = gr.HTML(elem_id="corrections", js_on_load=scripts("evaluate"))

    @property
    def shown(self) -> list[Part]:
        """What :meth:`show` updates."""
        return [self.place, self.of_all, self.listed]

    def wire(self, gallery: gr.Dropdown, notice: gr.HTML, corrected: gr.State) -> None:
        """Connect the handlers; ``corrected`` changes with what is taken back."""
        self.notice, self.corrected = notice, corrected
        done, refused = [notice, corrected], say("Not taken back")
        undo = or_say(notice, refused, self.undo)
        listen(self.listed.input, undo, [gallery], done, counts="every", concurrency_id="correct")
        self.every.wire(self.ask, or_say(notice, refused, self.undo_left_out), [gallery], done)

    def show(self, name: str | None) -> Updates:
        """(gallery) -> its corrections."""
        if not self.context.library.named(name):
            return {self.place: gr.update(visible=False)}
        try:
            gallery = self.context.gallery(name)
            said, idle = gallery.corrections(), gallery.idle_corrections()
        except ERRORS as error:
            unread = message(say("The corrections cannot be read"), reason(error), "error")
            return {self.place: gr.update(visible=True), self.of_all: gr.update(visible=False), self.listed: unread}
        may_change = self.context.can_change(name)
        return {
            self.place: gr.update(visible=bool(said)),
            self.of_all: gr.update(visible=may_change and len(_left_out(said)) > 1),
            self.listed: failure_lists.corrections(said, idle, may_change, with_file=not self.context.settings.public),
        }

    def undo(self, name: str, event: gr.EventData) -> Updates:
        """(gallery; a correction's key) -> notice, that something was corrected. Raises ``GalleryError``."""
        said = take_back(self.context.writable(name), int(event.item))
        return self._done(say("Taken back: {sentence}", sentence=said.sentence) if said else say(BACK_ALREADY))

    def ask(self, name: str) -> str:
        """(gallery) -> what :meth:`undo_left_out` does. Raises ``GalleryError`` where nothing is left out."""
        gallery, said = self._to_undo(name)
        there = [*set(said) - gallery.idle_corrections()] or said
        return say("Take {items} back into '{name}'? They are found again then.", items=_items(there), name=name)

    def undo_left_out(self, name: str) -> Updates:
        """(gallery) -> as :meth:`undo`, of all that was left out. Raises ``GalleryError``."""
        gallery, said = self._to_undo(name)
        with gallery.write() as writer:
            writer.undo(said)
        return self._done(say("Taken back: {items} are left out of '{name}' no more", items=_items(said), name=name))

    def _to_undo(self, name: str) -> tuple[Gallery, list[Correction]]:
        gallery = self.context.writable(name)
        said = _left_out(gallery.corrections())
        if not said:
            raise GalleryError(say("nothing is left out of '{name}'", name=name))
        return gallery, said

    def _done(self, sentence: str) -> Updates:
        return {self.notice: message(sentence, kind="good"), self.corrected: Wish.new()}


def _left_out(said: list[Correction]) -> list[Correction]:
    return [correction for correction in said if correction.kind == "drop"]


def _items(said: list[Correction]) -> str:
    return plural(len(said), "item", "items")
