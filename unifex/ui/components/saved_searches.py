"""Searches to come back to: those that were saved with a gallery, and this browser's last ones (assets/searches.js)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr

from unifex.core.json_text import parse_json
from unifex.core.language import say
from unifex.core.text import reason
from unifex.gallery.gallery import Gallery
from unifex.retrieval.filters import Filters
from unifex.retrieval.query import Query
from unifex.retrieval.saved_search import SavedSearch
from unifex.retrieval.saved_searches import SavedSearches
from unifex.ui.components import saved_form
from unifex.ui.components.address import written
from unifex.ui.components.basic import notice, signal
from unifex.ui.components.pressing import or_say
from unifex.ui.components.search_form import Form
from unifex.ui.context import ERRORS, AppContext
from unifex.ui.listening import Part, Updates, follow, listen
from unifex.ui.page_state import as_told
from unifex.ui.rendering.html import message
from unifex.ui.scripts import scripts

_LISTS = '<div class="saved"></div><div class="recent"></div>'
_AGAIN = "() => unifex.searches?.(true)"


def asked_for(context: AppContext, gallery: Gallery, form: Form) -> Query:
    """The query of a form, also where that is a saved one. Raises ``UnifexError``."""
    query = form.query
    return replace(query, known=_saved(context, gallery, form).query.known) if form.remembered else query


def picture_of(context: AppContext, gallery: Gallery, form: Form) -> list[str]:
    """The picture of a saved search that is the query, as the ``src`` of an <img>; none where it is not."""
    return [_saved(context, gallery, form).picture] if form.remembered else []


def _saved(context: AppContext, gallery: Gallery, form: Form) -> SavedSearch:
    return SavedSearches(context.library, gallery).get(form.remembered)


@dataclass
class SavedSearchList:
    """The two lists, the notice of what came of saving, and the handlers."""

    context: AppContext

    def build(self) -> None:
        """Lay it out."""
        self.asked, self.notice = signal("saveSearch"), notice("saved-notice")
        gr.HTML(
            "",
            html_template=_LISTS,
            js_on_load=scripts("searches"),
            server_functions=self._server_functions(),
            elem_id="searches",
        )

    def wire(self, answered: gr.State, form: Sequence[Part], filters: Callable[[Form], Filters]) -> None:
        """``answered``: the form whose hits are shown; ``form``: whose values a :class:`Form` holds; ``filters`` are
        those of one."""
        self.filters = filters
        save = or_say(self.notice, say("Not saved"), self.save)
        saved = listen(self.asked.input, save, [self.asked, answered, *form], [self.notice], counts="every")
        follow(saved, None, js=_AGAIN)

    def save(self, told: str, answered: Form, *values: Any) -> Updates:
        """(name; what was answered; what the form holds) -> what came of it. Raises ``UnifexError``."""
        self.context.check_writable()
        form, name = answered.or_else(*values), _name_told(told)
        gallery = self.context.gallery(form.gallery)
        saved = SavedSearch.new(
            gallery,
            name,
            asked_for(self.context, gallery, form),
            "".join(picture_of(self.context, gallery, form)),
            filters=self.filters(form),
            k=int(form.k),
            rerank=form.rerank,
            fold=form.fold,
            order=form.shown.order,
            grouped=form.shown.grouped,
        )
        SavedSearches(self.context.library, gallery).add(saved)
        return {
            self.notice: message(
                say("Saved as '{name}'", name=saved.name), say("It tells when images come that it finds."), "good"
            )
        }

    def _server_functions(self) -> list[Callable]:
        """What the page asks; the names are those that assets/searches.js calls."""

        def saved(gallery: Any) -> list[dict[str, Any]]:
            try:
                opened = self.context.gallery(str(gallery))
                all_of_them = SavedSearches(self.context.library, opened).all()
                keeps = not self.context.settings.read_only
                return [_told(opened, one) | {"keeps": keeps} for one in all_of_them]
            except ERRORS:
                return []

        def change(asked: Any) -> str:
            try:
                what, gallery, id, name = map(str, asked)
                self.context.check_writable()
                searches = SavedSearches(self.context.library, self.context.gallery(gallery))
                CHANGES[what](searches, id, name)
            except (*ERRORS, KeyError, TypeError, ValueError) as error:
                return reason(error) if isinstance(error, ERRORS) else say("reload the page")
            return ""

        return [saved, change]


def _name_told(told: str) -> str:
    """What a search is to be called, which a signal tells of. Raises ``UnifexError`` for what is no name."""
    with as_told():
        return str(parse_json(told))[:1000]


CHANGES: dict[str, Callable[[SavedSearches, str, str], object]] = {
    "rename": lambda searches, id, name: searches.rename(id, name),
    "delete": lambda searches, id, _: searches.delete(id),
    "see": lambda searches, id, _: searches.see(id),
}


def _told(gallery: Gallery, saved: SavedSearch) -> dict[str, Any]:
    """A line of the list; a search that cannot be made here any more says why."""
    new, problem = saved.news(gallery)
    address = picture = ""
    try:
        address = written(saved_form.form_of(saved, gallery.name))
        picture = saved_form.picture_of(saved, gallery)
    except ERRORS as error:  # of one, which hides no other
        problem = problem or say("the page cannot show it: {reason}", reason=reason(error))
    return {
        "id": saved.id,
        "name": saved.name,
        "address": address,
        "picture": picture,
        "new": new,
        "problem": problem,
    }
