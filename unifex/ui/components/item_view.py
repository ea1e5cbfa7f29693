"""One item, large, over whatever tab it was opened from: look at it, search with it, correct it.

The dialog is the page's (``assets/large-view.js``); here is what it is told of an item and what it asks for. Every
message names its item, so that nothing is said of the one before while the answer for the next is on its way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import gradio as gr

from unifex.core.errors import UnifexError
from unifex.core.json_text import parse_json
from unifex.core.language import say, to_say
from unifex.core.text import reason
from unifex.gallery import corrections, naming
from unifex.gallery.corrections import Correction
from unifex.gallery.gallery import Gallery, GalleryError, Record
from unifex.ui.components.basic import item_told, signal
from unifex.ui.context import ERRORS, AppContext
from unifex.ui.listening import Updates, listen
from unifex.ui.page_state import Wish, as_told, item_id
from unifex.ui.rendering import failure_lists
from unifex.ui.rendering.html import message
from unifex.ui.rendering.item import Shown, Told, detail, left_out
from unifex.ui.scripts import scripts

MAX_TEXT = 1000  # characters of a label or a domain
BACK_ALREADY = to_say("That was taken back already")


@dataclass
class ItemView:
    """Components and handlers. ``corrected`` changes with every correction, made here or elsewhere: whoever shows items
    shows them anew then."""

    context: AppContext

    def build(self) -> None:
        """Lay it out; nothing of it is seen until an item is opened."""
        self.corrected = gr.State(Wish())
        self.wanted, self.said = signal("open"), signal("correct")
        self.told = gr.HTML("", html_template="", js_on_load=scripts("item-view"), visible="hidden", elem_id="item")
        listen(self.wanted.input, self.open, [self.wanted], [self.told])
        listen(self.said.input, self.correct, [self.said], [self.told, self.corrected], counts="every")

    def open(self, told: str) -> Updates:
        """(gallery and item) -> what the dialog is told of it."""
        gallery, item = "", 0
        try:
            gallery, item = item_told(told)
            return {self.told: _new(self._there(gallery, item))}
        except ERRORS as error:
            return {
                self.told: _new(Told(gallery, item, message(say("This item cannot be shown"), reason(error), "error")))
            }

    def correct(self, told: str) -> Updates:
        """(what to correct, gallery, item or number of a correction, label, domain) -> what the dialog is told of it
        then, and that something was corrected."""
        gallery, item = "", 0
        try:
            action, gallery, item, label, domain = _correction_told(told)
            answer = ACTIONS[action](self, gallery, item, label, domain)
        except ERRORS as error:
            refused = Told(gallery, item, message(say("Not corrected"), reason(error), "error"), state="refused")
            return {self.told: _new(refused)}
        return {self.told: _new(answer), self.corrected: Wish.new()}

    def relabel(self, name: str, item: int, label: str, domain: str) -> Told:
        """It has another label and domain."""
        gallery = self.context.writable(name)
        _store(gallery, corrections.relabel(gallery.record(item), label, domain))
        return self._there(name, item, message(say("Label saved"), say(_UNDO), "good"))

    def leave_out(self, name: str, item: int, *_: str) -> Told:
        """It is not found any more."""
        said = leave_out(self.context.writable(name), item)
        return Told(name, item, left_out(said, failure_lists.key(said)), state="left")

    def take_back(self, name: str, number: int, *_: str) -> Told:
        """A correction of this number (:func:`failure_lists.key`) is taken back."""
        said = take_back(self.context.writable(name), number)
        told = message(say("Taken back"), said.sentence, "good") if said else message(say(BACK_ALREADY), kind="good")
        return Told(name, number, told, state="back")

    def _there(self, name: str, item: int, done: str = "") -> Told:
        """``done``: what was done to it a moment ago, as markup."""
        gallery = self.context.gallery(name)
        records = gallery.records([item])
        if not records:
            return Told(name, item, _gone())
        original, problem = b"", ""
        try:
            original = gallery.original(records[0])  # what is there was decoded when it was indexed
        except GalleryError as error:
            problem = reason(error)
        strangers = self.context.settings.public
        video = not strangers and _has_video(gallery, records[0])
        shown = Shown(records[0], name, original, problem, strangers, self.context.can_change(name), video)
        return Told.of(shown, done + detail(shown))


def _new(told: Told) -> str:
    return told.as_json(Wish.new().number)


def _has_video(gallery: Gallery, record: Record) -> bool:
    try:
        return gallery.video_file(record).is_file()
    except (GalleryError, OSError):
        return False


def _store(gallery: Gallery, said: Correction) -> None:
    with gallery.write() as writer:
        writer.correct([said])


def leave_out(gallery: Gallery, item: int) -> Correction:
    """The correction that leaves an item out; pressed twice, that is said once."""
    if known := naming.left_out(gallery.database, item):
        return known
    said = corrections.drop(gallery.record(item))
    _store(gallery, said)
    return said


def take_back(gallery: Gallery, number: int) -> Correction | None:
    """The correction of this number, which holds no more; None where it did not before."""
    said = next((said for said in gallery.corrections() if failure_lists.key(said) == number), None)
    if said:
        with gallery.write() as writer:
            writer.undo([said])
    return said


def _correction_told(told: str) -> tuple[str, str, int, str, str]:
    """Action, gallery, item, label and domain that a signal tells of. Raises ``UnifexError`` for anything else."""
    with as_told():
        action, gallery, item, label, domain = parse_json(told)
        if action not in ACTIONS:
            raise ValueError("no such correction")
        known = action, str(gallery), item_id(item), str(label), str(domain)
    if max(len(known[3]), len(known[4])) > MAX_TEXT:
        raise UnifexError(say("a label or a domain has at most {most} characters", most=MAX_TEXT))
    return known


ACTIONS: dict[str, Callable[[ItemView, str, int, str, str], Told]] = {
    "relabel": ItemView.relabel,
    "leave": ItemView.leave_out,
    "back": ItemView.take_back,
}


def _gone() -> str:
    return message(say("This item is no longer here"), say("It was removed or left out since."), "warning")


_UNDO = to_say("Kept with the gallery, not in your file; the Evaluate tab lists it and can undo it.")
