"""What was said of a gallery's items, with or without labels or figures of it, and the way back: one by one, of all
that were left out, or of everything."""

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
        self.start = gr.State(0)  # the first that is listed
        self.dropped = Confirmation(say("Undo all that were left out"), "undo-left-out")
        self.every = Confirmation(say("Undo all corrections"), "undo-corrections")
        with gr.Accordion(say("Corrections"), open=False, visible=False, elem_id="corrections-said") as self.place:
            with gr.Column(visible=False) as self.of_dropped:
                self.dropped.build("sm")
            with gr.Column(visible=False) as self.of_all:
                self.every.build("sm")
            with gr.Row():
                self.back = gr.Button(say("Previous corrections"), size="sm", visible=False, elem_id="corrections-back")
                self.on = gr.Button(say("Next corrections"), size="sm", visible=False, elem_id="corrections-next")
            self.listed = gr.HTML(elem_id="corrections", js_on_load=scripts("evaluate"))

    @property
    def shown(self) -> list[Part]:
        """What :meth:`show` updates."""
        return [*self._parts, self.start, self.listed]

    @property
    def _parts(self) -> list[Part]:
        return [self.place, self.of_dropped, self.of_all, self.back, self.on]

    def wire(self, gallery: gr.Dropdown, notice: gr.HTML, corrected: gr.State) -> None:
        """Connect the handlers; ``corrected`` changes with what is taken back."""
        self.gallery, self.notice, self.corrected = gallery, notice, corrected
        done, refused = [notice, corrected], say("Not taken back")
        undo = or_say(notice, refused, self.undo)
        listen(self.listed.input, undo, [gallery], done, counts="every", concurrency_id="correct")
        self.dropped.wire(self.ask, or_say(notice, refused, self.undo_left_out), [gallery], done)
        self.every.wire(self.ask_for_all, or_say(notice, refused, self.undo_all), [gallery], done)
        listen(gallery.change, lambda: {self.start: 0}, None, [self.start])
        listen(self.back.click, lambda at: {self.start: max(0, at - failure_lists.LISTED)}, [self.start], [self.start])
        listen(self.on.click, lambda at: {self.start: at + failure_lists.LISTED}, [self.start], [self.start])

    @property
    def asked(self) -> list[Part]:
        """What :meth:`show` is told."""
        return [self.gallery, self.start]

    def show(self, name: str | None, start: int) -> Updates:
        """(gallery, the first that is listed) -> its corrections."""
        if not self.context.library.named(name):
            return {self.place: gr.update(visible=False)}
        try:
            gallery = self.context.gallery(name)
            said, idle = gallery.corrections(), gallery.idle_corrections()
        except ERRORS as error:
            unread = message(say("The corrections cannot be read"), reason(error), "error")
            alone = {part: part is self.place for part in self._parts}
            return {**_visible(alone), self.listed: unread}
        may_change, dropped = self.context.can_change(name), len(_left_out(said))
        most = failure_lists.LISTED
        start = min(start, max(0, len(said) - 1) // most * most)
        shown: dict[Part, bool] = {
            self.place: bool(said),
            self.of_dropped: may_change and dropped > 1,
            self.of_all: may_change and len(said) > max(1, dropped),
            self.back: start > 0,
            self.on: start + most < len(said),
        }
        table = "" if self.context.settings.public else gallery.name  # which tells where images lie
        listed = failure_lists.corrections(said, idle, may_change, start, table)
        return {**_visible(shown), self.start: start, self.listed: listed}

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

    def ask_for_all(self, name: str) -> str:
        """(gallery) -> what :meth:`undo_all` does. Raises ``GalleryError``."""
        said = self.context.writable(name).corrections()
        told = {"corrections": plural(len(said), "correction", "corrections"), "name": name}
        return say("Take {corrections} of '{name}' back? Its items are again as their sources have them then.", **told)

    def undo_all(self, name: str) -> Updates:
        """(gallery) -> as :meth:`undo`, of everything that was said. Raises ``GalleryError``."""
        gallery = self.context.writable(name)
        with gallery.write() as writer:
            said = gallery.corrections()
            writer.undo(said)
        count = plural(len(said), "correction", "corrections")
        return self._done(say("Taken back: {corrections} of '{name}'", corrections=count, name=name))

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


def _visible(shown: dict[Part, bool]) -> Updates:
    return {part: gr.update(visible=visible) for part, visible in shown.items()}


def _items(said: list[Correction]) -> str:
    return plural(len(said), "item", "items")
