"""A saved search as the page has it: the form that finds the same, whatever the gallery is called now."""

from __future__ import annotations

from dataclasses import replace

from unifex.gallery.gallery import Gallery
from unifex.retrieval.saved_search import SavedSearch
from unifex.ui.components.marks import Marks
from unifex.ui.components.query_regions import about_item, told
from unifex.ui.components.search_form import ANY_SIMILARITY, EVERY_HIT, MAX_K, TRUSTED, Form
from unifex.ui.page_state import Selection
from unifex.ui.server.picture_addresses import THUMBNAIL, address
from unifex.ui.view import View


def form_of(saved: SavedSearch, gallery: str) -> Form:
    """The form that finds what a saved search finds. Hits beyond those that the page begins with come as one scrolls,
    and of shares of false accepts it has the nearest that it offers."""
    query, filters = saved.query, saved.filters
    rate, items = filters.false_accept_rate, query.items
    form = Form(
        gallery=gallery,
        picked=Selection(gallery, items).as_json(),
        within=Selection(gallery, tuple(sorted(filters.within))),
        without=Selection(gallery, tuple(sorted(filters.exclude))),
        saved=saved.id if query.known else "",
        text=query.text,
        text_weight=query.text_weight,
        k=min(saved.k, MAX_K),
        view=View.of(gallery, filters, saved.order, saved.grouped).as_json(),
        fold=saved.fold,
        min_score=ANY_SIMILARITY if filters.min_score is None else filters.min_score,
        trust=min(TRUSTED, key=lambda offered: abs(offered - rate)) if rate else EVERY_HIT,
        rerank=saved.rerank,
    )
    if query.regions and len(items) == 1:
        form = replace(form, regions=told(about_item(gallery, items[0]), ";".join(map(str, query.regions))))
    return replace(form, marks=Marks(gallery, form.counting_marks.about, query.more, query.less, query.feedback))


def picture_of(saved: SavedSearch, gallery: Gallery) -> str:
    """A small picture of what is searched with, as the ``src`` of an <img>; empty where it is words, or gone."""
    records = gallery.records(saved.query.items[:1])
    return address(THUMBNAIL, gallery.name, records[0]) if records else saved.picture
