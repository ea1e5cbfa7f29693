"""What can be done with items that were chosen in a grid: search with them, label them, leave them out."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

import gradio as gr

from unifex.core.errors import UnifexError
from unifex.core.text import plural
from unifex.gallery import corrections
from unifex.gallery.corrections import Correction
from unifex.gallery.gallery import Record
from unifex.ui.components.basic import item_id, notice, signal
from unifex.ui.components.pressing import or_say
from unifex.ui.context import AppContext, Wish
from unifex.ui.listening import Part, Updates, listen
from unifex.ui.rendering.html import message

MOST = 10_000  # items of one action
SearchWith = Callable[..., Updates]


@dataclass
class ChosenItems:
    """The notice of what came of it, and the handlers."""

    context: AppContext

    def build(self) -> None:
        """Lay it out."""
        self.told = signal("chosen")
        self.notice = notice("chosen-notice")

    def wire(self, corrected: gr.State, search_with: SearchWith, searched: list[Part]) -> None:
        """Connect the handlers: ``corrected`` changes with what they correct; ``search_with``, which takes a gallery
        and ids, updates ``searched``."""
        self.corrected, self.search_with = corrected, search_with
        act = or_say(self.notice, "Nothing was done", self.act)
        listen(self.told.input, act, [self.told], [self.notice, self.corrected, *searched])

    def act(self, told: str) -> Updates:
        """(action, gallery, ids, a text) -> what came of it. Raises ``UnifexError``."""
        try:
            action, gallery, ids, text = json.loads(told)
            ids, act = [item_id(item) for item in ids][: MOST + 1], ACTIONS[str(action)]
        except (TypeError, ValueError, KeyError) as error:
            raise UnifexError("that is nothing to do with items; reload the page") from error
        if not 0 < len(ids) <= MOST:
            raise UnifexError(f"choose 1 to {MOST:,} images")
        return act(self, str(gallery), ids, str(text))

    def search(self, gallery: str, ids: list[int], _: str) -> Updates:
        """They are the query, all together."""
        return self.search_with(gallery, *ids)

    def label(self, gallery: str, ids: list[int], text: str) -> Updates:
        """They have another label."""
        done = f"'{text.strip()}' is the label of {{}} now" if text.strip() else "{} have no label now"
        return self._correct(gallery, ids, lambda record: corrections.relabel(record, text, record.domain), done)

    def leave_out(self, gallery: str, ids: list[int], _: str) -> Updates:
        """They are not found any more."""
        return self._correct(gallery, ids, corrections.drop, "{} left out of the gallery")

    def _correct(self, name: str, ids: list[int], say: Callable[[Record], Correction], done: str) -> Updates:
        gallery = self.context.writable(name)
        records = gallery.records(ids)
        with gallery.write() as writer:
            writer.correct([say(record) for record in records])
        text = "The Evaluate tab lists it and can undo it; your files are as they were."
        return {
            self.notice: message(done.format(plural(len(records), "image")), text, "good"),
            self.corrected: Wish.new(),
        }


ACTIONS: dict[str, Callable[[ChosenItems, str, list[int], str], Updates]] = {
    "search": ChosenItems.search,
    "label": ChosenItems.label,
    "leave": ChosenItems.leave_out,
}
