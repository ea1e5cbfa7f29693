"""The named endpoint ``/saved``: saved searches are listed, run, renamed and deleted by programs, as on the page."""

from __future__ import annotations

from typing import Any

from gradio.events import api

from unifex.core.errors import UnifexError
from unifex.core.language import say
from unifex.gallery.gallery import Gallery
from unifex.retrieval.query import Query
from unifex.retrieval.saved_search import SavedSearch, last_id
from unifex.retrieval.saved_searches import SavedSearches
from unifex.ui.context import AppContext
from unifex.ui.endpoint_values import gallery_named, text_of, told_hit


def keep(app: AppContext, gallery: Gallery, name: str, query: Query, dim: int, **more: Any) -> None:
    """Save a search for whoever asks; ``more``: fields of :class:`SavedSearch`.

    Raises ``UnifexError`` where nothing may be kept, and for another length of embeddings than the gallery's.
    """
    app.check_writable()
    if dim:
        raise UnifexError(say("a search is saved at the gallery's own dim; leave it out"))
    SavedSearches(app.library, gallery).add(SavedSearch.new(gallery, name, query, **more))


def add_saved(app: AppContext) -> None:
    """Register it on the page."""

    def saved_endpoint(gallery: str = "", name: str = "", rename: str = "", delete: bool = False) -> dict[str, Any]:
        """List the saved searches of a gallery, or run the one of this ``name``, which counts as seen then.

        ``rename``: its new name; ``delete``: it goes; nothing is run then. ``/search`` with ``save`` makes one.
        """
        opened = gallery_named(app, gallery)
        searches = SavedSearches(app.library, opened)
        if not text_of("name", name):
            listed = [(one.name, *one.news(opened)) for one in searches.all()]
            told = [{"name": called, "new": new, "problem": problem} for called, new, problem in listed]
            return {"gallery": opened.name, "saved": told}
        saved = searches.get(name)
        if text_of("rename", rename) or delete:
            app.check_writable()
            if delete:
                searches.delete(saved.id)
                return {"gallery": opened.name, "deleted": saved.name}
            return {"gallery": opened.name, "name": searches.rename(saved.id, rename)}
        last = last_id(opened)
        hits = [{**told_hit(hit, app.settings.public), "new": saved.is_new(hit)} for hit in saved.find(opened).hits]
        if not app.library.refusal:
            searches.see(saved.id, last)
        return {"gallery": opened.name, "name": saved.name, "new": sum(hit["new"] for hit in hits), "hits": hits}

    api(saved_endpoint, api_name="saved")
