"""What a form finds: the first hits, and those that come as one scrolls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components import Component

from unifex.core import images, ranges
from unifex.core.language import say
from unifex.core.text import reason
from unifex.gallery.gallery import Gallery
from unifex.retrieval.filters import Filters
from unifex.retrieval.hits import SearchResult
from unifex.retrieval.search import search
from unifex.ui.components.basic import further_told, signal
from unifex.ui.components.copies import Copies
from unifex.ui.components.saved_searches import asked_for
from unifex.ui.components.search_form import FIRST, Form
from unifex.ui.context import ERRORS, AppContext
from unifex.ui.listening import Updates, listen
from unifex.ui.page_state import Wish
from unifex.ui.rendering.grid import further_hits, no_further_hits
from unifex.ui.rendering.html import message

AT_ONCE = 100  # hits that follow those of an answer
MOST_HITS = int(ranges.HITS.high)
_GIVE = "watch('value', () => props.value && unifex.followed?.(JSON.parse(props.value)));"


@dataclass
class Finding:
    """``unifex.follow([answer, hits that are shown])`` asks for the next ones, which ``unifex.followed`` is given."""

    context: AppContext
    copies: Copies = field(init=False)

    def __post_init__(self) -> None:
        self.copies = Copies(self.context)

    def build(self) -> None:
        """Lay it out; nothing of it is seen."""
        self._asked, self._given = signal("follow"), gr.HTML("", html_template="", js_on_load=_GIVE, visible="hidden")
        self.answered = gr.State(FIRST)  # the form whose hits are shown: in its fields another may stand by now

    def wire(self, form: Sequence[Component], wish: gr.State, status: gr.HTML) -> None:
        """``form``: whose values a :class:`Form` holds; ``wish`` changes when hits are to be shown anew."""
        self._status = status
        further = [self._asked, self.answered, *form]
        listen(self._asked.input, self.show_further, further, [self._given, status])
        self.copies.wire(form[0], wish)

    def filters(self, form: Form) -> Filters:
        """Raises ``UnifexError`` for what who asks may not know."""
        form.shown.for_anybody(self.context.settings.public)
        return replace(form.filters, false_accept_rate=None) if form.query.text else form.filters

    def hits(self, gallery: Gallery, form: Form, k: int) -> tuple[SearchResult, str]:
        """The first ``k``, and what is to be said of folding them.

        Raises ``UnifexError``, ``ImageError`` also when an upload is gone: they are kept for a day.
        """
        if not all(Path(path).is_file() for path in form.paths):
            raise images.ImageError(say("the upload is no longer kept here; drop the image again"))
        level, told = self.copies.settle(gallery, form.fold)
        return search(
            gallery, asked_for(self.context, gallery, form), k, self.filters(form), rerank=form.rerank, fold=level
        ), told

    def show_further(self, told: str, answered: Form, *values: Any) -> Updates:
        """(an answer and how many hits of it are shown; what was answered; what the form holds) -> the next hits."""
        form, answer = answered.or_else(*values), 0
        try:
            answer, start = further_told(told)
            k = min(start + AT_ONCE, MOST_HITS)
            result, _ = self.hits(self.context.gallery(form.gallery), form, k)
        except ERRORS as error:
            said = message(say("No further hits"), reason(error), "error")
            return {self._status: said, self._given: no_further_hits(answer, Wish.new().number)}
        more = len(result.hits) == k < MOST_HITS
        return {self._given: further_hits(result.hits[start:], form.shown, answer, more)}
