"""What a link, a reload or the browser's Back brings: a search as its address says it, as far as it can be had here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr
from gradio.events import Dependency

from unifex.core.errors import UnifexError
from unifex.core.language import say, to_say
from unifex.core.text import plural, reason
from unifex.retrieval.saved_searches import SavedSearches
from unifex.ui.components.address import MOST, Asked, address_told, read
from unifex.ui.components.basic import notice
from unifex.ui.components.search_form import Form
from unifex.ui.context import ERRORS, AppContext
from unifex.ui.gallery_names import called_now
from unifex.ui.listening import Part, Updates, listen
from unifex.ui.page_state import Selection
from unifex.ui.rendering.html import message

MOST_FILES = 50
_TELL = "unifex.visit = (address, files) => { props.value = [address, ...files]; trigger('input'); };"
_ANOTHERS_IMAGE = to_say("it was by an image that only whoever searched has: drop that image on the box")


@dataclass
class LinkOpener:
    """``unifex.visit(address, uploads)`` opens one; a notice says what of it is not to be had."""

    context: AppContext

    def build(self) -> None:
        """Lay it out. An upload is a text of its own, since the server's guard looks at each for another's file."""
        self.asked = gr.HTML("", html_template="", js_on_load=_TELL, visible="hidden", elem_id="signal-visit")
        self.notice = notice("address-notice")

    def wire(
        self, fill: Callable[[Form | None], Updates], filled: Sequence[Part], address: gr.HTML, form: Sequence[Part]
    ) -> Dependency:
        """``fill`` answers ``filled``: the page with everything as a form has it, or as it stands; ``address`` keeps
        its address; ``form``: whose values a :class:`Form` holds. What else shows of it follows."""
        self.fill, self.address = fill, address
        return listen(self.asked.input, self.open, [self.asked, *form], [self.notice, address, *filled])

    def open(self, asked: Any, *standing: Any) -> Updates:
        """(address, uploads of this browser; what the form holds, which stays where the address says the same or its
        gallery is gone) -> the page as that says, and what of it could not be had."""
        if not isinstance(asked, list) or not asked or not all(isinstance(text, str) for text in asked):
            raise UnifexError(say("that is no address; reload the page"))
        said = read(asked[0][: MOST + 1])
        lacking = (
            [say("this means nothing here: {names}", names=", ".join(name[:40] for name in said.wrong[:5]))]
            if said.wrong
            else []
        )
        form, lost = self._there(said)
        lacking += [*lost, *(said.lacks if form else ())]
        if form and said.by_image:
            form, lost = self._with_uploads(form, asked[1 : MOST_FILES + 1])
            lacking += lost
        text = f"{'; '.join(lacking)}."
        told = message(say("The link could not be followed in full"), text[0].upper() + text[1:], "warning")
        address = address_told(form or Form(*standing), opened=asked[0])
        return {self.notice: told if lacking else "", self.address: address, **self.fill(form)}

    def miss(self, gallery: str | None) -> Updates:
        """(gallery that is searched) -> that it is no more, where somebody renamed or deleted it meanwhile."""
        names = self.context.library.names()
        if not names or not gallery or called_now(self.context.library, gallery) or not self.context.ready.is_set():
            return {}
        text = say("It was renamed or deleted. This is '{gallery}'.", gallery=names[0])
        return {self.notice: message(say("There is no gallery '{gallery}' any more", gallery=gallery), text, "warning")}

    def _there(self, said: Asked) -> tuple[Form | None, list[str]]:
        """The form, with the gallery and the items that are here for who asks, and what is not; no form without its
        gallery.

        A gallery that is another's is not here, as one that never was.
        """
        form, first = said.form, self.context.first_gallery()
        here = called_now(self.context.library, form.gallery)
        if form.gallery and not here:
            if not self.context.ready.is_set() and form.gallery == first:
                return form, []  # it is being made
            return None, [say("there is no gallery '{gallery}' here", gallery=form.gallery[:80])]
        try:
            form = form.called(here or first)
            gallery = self.context.gallery(form.gallery)
            left = lambda ids: tuple(record.id for record in gallery.records(ids))  # noqa: E731
            picked, within = Selection.told(form.picked), left(form.within.ids)
            items = left(picked.ids)
        except ERRORS as error:
            return Form(gallery=here or first), [reason(error)]
        gone = len(picked.ids) - len(items) + len(form.within.ids) - len(within)
        marks = form.counting_marks
        lost = [say("no longer in the gallery: {images} of it", images=plural(gone, "image", "images"))] if gone else []
        if form.saved and all(one.id != form.saved for one in SavedSearches(self.context.library, gallery).all()):
            form, lost = replace(form, saved=""), [*lost, say("it is a saved search that is not here")]
        name = form.gallery or ""
        form = replace(form, picked=Selection(name, items).as_json(), within=Selection(name, within))
        about = form.counting_marks.about
        return replace(form, marks=replace(marks, about=about)), lost

    def _with_uploads(self, form: Form, files: list[str]) -> tuple[Form, list[str]]:
        """The form with what this browser has uploaded, or what is to be done for want of it."""
        try:
            paths = [str(self.context.uploaded(path)) for path in files]
        except ERRORS:
            paths = []
        if not paths:
            return form, [say(_ANOTHERS_IMAGE)]
        marks = form.counting_marks
        form = replace(form, image=paths[0], more=paths[1:] or None)
        return replace(form, marks=replace(marks, about=form.counting_marks.about)), []
