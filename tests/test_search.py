from dataclasses import replace

import numpy as np
import pytest

from tests.support.drawing import encoded, picture
from unifex.core.errors import UnifexError
from unifex.core.images import ImageError
from unifex.core.vectors import l2_normalize
from unifex.models.neck import DimensionError
from unifex.retrieval.filters import Filters
from unifex.retrieval.query import Query
from unifex.retrieval.search import search
from unifex.vector_index.flat_index import FlatIndex


def brute_force(gallery, pictures, k, allowed=lambda record: True, dim=256):
    """Hits by loops: the mean query against every allowed item, best first, ties by id."""
    query = np.mean([gallery.embedder.embed([p], dim)[0] for p in pictures], axis=0)
    query /= np.linalg.norm(query)
    view = gallery.snapshot()
    scored = []
    for record, embedding in zip(gallery.records(view.columns.ids), l2_normalize(view.embeddings, dim)):
        if allowed(record):
            scored.append((-float(np.dot(embedding, query)), record.id))
    return [(item, -score) for score, item in sorted(scored)[:k]]


def assert_equal(result, expected):
    assert [hit.record.id for hit in result.hits] == [item for item, _ in expected]
    assert [hit.score for hit in result.hits] == pytest.approx([score for _, score in expected], abs=1e-5)
    assert [hit.rank for hit in result.hits] == list(range(1, len(expected) + 1))


@pytest.mark.parametrize("dim", [64, 128, 256])
def test_against_brute_force(gallery, dim):
    for label in ("shapes/disc", "signs/stripes"):
        query = encoded(picture(label, 77))
        assert_equal(search(gallery, [query], 7, dim=dim), brute_force(gallery, [query], 7, dim=dim))


def test_the_image_itself_comes_first(gallery, folder):
    result = search(gallery, [folder / "signs/cross/4.png"], 3)
    assert result.hits[0].path == "signs/cross/4.png"
    assert result.hits[0].score > 0.999
    assert (result.items, result.model, result.index) == (24, "unifex-lite-4", "exact, 256-d")


def test_a_dimension_wider_than_the_gallery_comes_from_features(gallery, folder):
    wide = search(gallery, [folder / "signs/cross/4.png"], 24, dim=512)
    assert wide.hits[0].path == "signs/cross/4.png"
    assert len(wide.hits) == 24
    with pytest.raises(DimensionError, match="64, 128, 256, 512"):
        search(gallery, [folder / "signs/cross/4.png"], dim=100)


def test_filters_are_exact(gallery):
    query = encoded(picture("shapes/disc", 50))
    filters = Filters(domains=("signs",))
    result = search(gallery, [query], 12, filters)
    assert len(result.hits) == 12  # not "the signs among the first twelve"
    assert_equal(result, brute_force(gallery, [query], 12, lambda record: record.domain == "signs"))
    assert search(gallery, [query], 5, Filters(domains=("nothing",))).hits == []
    assert search(gallery, [query], 5, Filters(splits=("query",))).hits == []


def test_least_similarity(gallery):
    query = encoded(picture("shapes/disc", 50))
    everything = search(gallery, [query], 24).hits
    limit = everything[9].score
    assert len(search(gallery, [query], 24, Filters(min_score=limit)).hits) == 10
    assert search(gallery, [query], 24, Filters(min_score=1.0)).hits == []


def test_several_queries_are_their_mean(gallery):
    queries = [encoded(picture("shapes/disc", 50)), encoded(picture("signs/cross", 51))]
    assert_equal(search(gallery, queries, 6), brute_force(gallery, queries, 6))


def test_search_with_an_item_leaves_it_out(gallery):
    ids = gallery.snapshot().columns.ids
    result = search(gallery, Query(items=(int(ids[3]),)), 24)
    assert len(result.hits) == 23
    assert int(ids[3]) not in [hit.record.id for hit in result.hits]
    assert result.hits[0].label == gallery.records([ids[3]])[0].label


def test_bad_queries(gallery):
    with pytest.raises(ImageError, match="not an image"):
        search(gallery, [b"nonsense"])
    with pytest.raises(UnifexError, match="no query"):
        search(gallery, [])
    for k in (0, 1001):
        with pytest.raises(UnifexError, match="1 to 1000"):
            search(gallery, [encoded(picture("shapes/disc", 0))], k)


def test_a_large_gallery_uses_lists_and_keeps_it(gallery, monkeypatch):
    from unifex.gallery.gallery import Gallery

    monkeypatch.setattr(FlatIndex, "max_vectors", 10)
    opened = Gallery.open(gallery.folder)
    assert opened.snapshot().index.candidates.title.endswith("lists of 64-d 8-bit prefixes, rescored at 256-d")
    opened.derived.save()
    assert (gallery.folder / "index.faiss").exists()
    again = Gallery.open(gallery.folder).snapshot().index
    assert again.candidates.title == opened.snapshot().index.candidates.title
    assert again.candidates.recall >= 0.99
    assert isinstance(again.embeddings, np.memmap)
    assert not isinstance(opened.snapshot().embeddings, np.memmap)


def test_filters_survive_a_new_list_of_galleries_and_go_with_another_one(gallery):
    import gradio as gr

    from unifex.cli.settings import Settings
    from unifex.gallery.library import Library
    from unifex.ui.components.item_view import ItemView
    from unifex.ui.context import AppContext
    from unifex.ui.tabs.search_tab import SearchTab
    from unifex.ui.view import View

    context = AppContext(Settings(), Library(gallery.folder.parent), gallery.embedder)
    tab = SearchTab(context, ItemView(context))
    with gr.Blocks():
        tab.build()
    view = View(chosen={"domain": ("signs", "cars"), "column year": ("1900",)}, order="label")
    told = lambda gallery: replace(view, gallery=gallery).as_json()  # noqa: E731
    carried = lambda gallery: View.parse(tab.choose_gallery("drawn", told(gallery))[tab.view])  # noqa: E731
    assert carried("drawn") == replace(view, gallery="drawn")  # also what is not there any more: that is told
    assert carried("another") == View("drawn", {"domain": ("signs",)}, order="label")
    assert View.parse(tab.choose_gallery("drawn", "no view")[tab.view]) == View("drawn")
    said = '{"grouped":true,"gallery":"drawn"}'  # as the page writes it
    assert tab.choose_gallery("drawn", said)[tab.view] == said  # so that it undoes nothing that is done meanwhile
