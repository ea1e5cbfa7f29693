"""Items that a search is not to find, until all are wanted again."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from unifex.core.language import say
from unifex.core.text import plural
from unifex.ui.components.basic import signal
from unifex.ui.components.chosen import chosen_told
from unifex.ui.components.pressing import or_say
from unifex.ui.components.search_form import FIRST, Form
from unifex.ui.context import AppContext
from unifex.ui.listening import Updates, listen
from unifex.ui.page_state import Selection, Wish


@dataclass
class LeftOut:
    """``items`` are a value of the search's form; the button says how many there are, and takes them back."""

    context: AppContext

    def build(self) -> None:
        """Lay it out."""
        self.items, self.unwanted = gr.State(FIRST.without), signal("without")
        self.undo = gr.Button(visible=False, size="sm", elem_id="search-with-all")

    def wire(self, wish: gr.State, status: gr.HTML) -> None:
        """Connect the handlers: a ``wish`` searches anew, ``status`` says what is in the way."""
        self.wish = wish
        leave_out = or_say(status, say("Nothing is left out"), self.leave_out)
        told = [self.unwanted, self.items]
        listen(self.unwanted.input, leave_out, told, [status, self.items, wish], counts="every")
        listen(self.undo.click, lambda: {self.items: Selection(), wish: Wish.new()}, None, [self.items, wish])

    def leave_out(self, told: str, before: Selection) -> Updates:
        """(gallery and chosen items; those that are left out already) -> with these, and that it is to be searched.

        Raises ``UnifexError``.
        """
        name, chosen = chosen_told(told)
        ids = chosen.of(self.context.gallery(name), self.context.listed)
        return {self.items: Selection(name, tuple(dict.fromkeys([*before.of(name), *ids]))), self.wish: Wish.new()}

    def noted(self, form: Form) -> Updates:
        """The button, where something is left out."""
        count = len(form.without.of(form.gallery))
        text = say("Searching without {images}. Search with all", images=plural(count, "image", "images"))
        return {self.undo: gr.update(visible=bool(count), value=text)}
