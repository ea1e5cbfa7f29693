import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.drawing import encoded, picture
from unifex import vectors
from unifex.images import ImageError
from unifex.neck import DimensionError, truncate
from unifex.search import Filters, search, search_items


def brute_force(gallery, pictures, k, allowed=lambda record: True, dim=256):
    """Hits by loops: the mean query against every allowed item, best first, ties by id."""
    query = np.mean([gallery.embedder.embed([p], dim)[0] for p in pictures], axis=0)
    query /= np.linalg.norm(query)
    view = gallery.snapshot()
    scored = []
    for record, embedding in zip(gallery.records(view.columns.ids), truncate(view.embeddings, dim)):
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
    assert (result.items, result.model, result.index) == (24, "unifex-lite", "exact, 256-d")


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
    result = search_items(gallery, [int(ids[3])], 24)
    assert len(result.hits) == 23
    assert int(ids[3]) not in [hit.record.id for hit in result.hits]
    assert result.hits[0].label == gallery.records([ids[3]])[0].label


def test_bad_queries(gallery):
    with pytest.raises(ImageError, match="not an image"):
        search(gallery, [b"nonsense"])
    with pytest.raises(ValueError, match="no query"):
        search(gallery, [])
    for k in (0, 1001):
        with pytest.raises(ValueError, match="1 to 1000"):
            search(gallery, [encoded(picture("shapes/disc", 0))], k)


def unit(rows: int, dim: int, seed: int) -> np.ndarray:
    return truncate(np.random.default_rng(seed).standard_normal((rows, dim)).astype(np.float32), dim)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 200), st.integers(1, 30), st.floats(0, 1))
def test_vectors_against_sorting(rows, k, share):
    embeddings, queries = unit(rows, 16, 1), unit(3, 16, 2)
    allowed = np.random.default_rng(3).random(rows) < share
    scores, positions = vectors.build(embeddings).search(queries, k, allowed)
    for query, found, score in zip(queries, positions, scores):
        similarity = np.where(allowed, embeddings @ query, -np.inf)
        expected = np.argsort(-similarity, kind="stable")[: min(k, allowed.sum())]
        assert np.array_equal(found, expected)
        assert np.allclose(score, similarity[expected], atol=1e-5)


def test_equal_vectors_come_in_order_of_position():
    embeddings = np.repeat(unit(3, 16, 1), 4, axis=0)
    _, positions = vectors.build(embeddings).search(embeddings[:1], 4)
    assert positions[0].tolist() == [0, 1, 2, 3]


def test_shortlist_index_finds_what_exact_search_finds(tmp_path):
    rng = np.random.default_rng(0)
    scale = np.linspace(1.5, 0.3, 256, dtype=np.float32)
    centres = rng.standard_normal((300, 256)).astype(np.float32) * scale
    noise = rng.standard_normal((6000, 256)).astype(np.float32) * scale
    embeddings = truncate(centres[rng.integers(0, 300, 6000)] + 0.7 * noise, 256)
    quick, exact = vectors.build(embeddings, flat_limit=0), vectors.build(embeddings)
    assert not quick.exact
    assert quick.recall >= 0.99
    allowed = rng.random(6000) < 0.1
    for mask in (None, allowed):
        found, expected = (index.search(embeddings[:40], 10, mask)[1] for index in (quick, exact))
        overlap = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found, expected)])
        assert overlap >= 0.99
        assert mask is None or all(mask[row].all() for row in found)
    quick.save(tmp_path / "index.faiss")
    loaded = vectors.load(embeddings, tmp_path / "index.faiss", False, quick.recall)
    assert np.array_equal(loaded.search(embeddings[:5], 10)[1], quick.search(embeddings[:5], 10)[1])
    with pytest.raises(RuntimeError, match="expected 10"):
        vectors.load(embeddings[:10], tmp_path / "index.faiss", False, 1.0)


def test_a_large_gallery_uses_the_shortlist_and_keeps_it(gallery, monkeypatch):
    from unifex import snapshot
    from unifex.gallery import Gallery

    monkeypatch.setattr(vectors, "FLAT_LIMIT", 10)
    monkeypatch.setattr(vectors.build, "__defaults__", (10,))
    opened = Gallery.open(gallery.folder)
    assert opened.snapshot().index.kind == "64-d 8-bit shortlist, rescored at 256-d"
    snapshot.save(opened)
    assert (gallery.folder / "index.faiss").exists()
    again = Gallery.open(gallery.folder).snapshot().index
    assert not again.exact
    assert again.recall == 1.0


def test_chosen_domains_survive_a_new_list_of_galleries(gallery):
    from unifex.indexes import Indexes
    from unifex.settings import Settings
    from unifex.ui.context import Context, Query
    from unifex.ui.item_view import ItemView
    from unifex.ui.search_tab import SearchTab

    context = Context(Settings(), Indexes(gallery.folder.parent), gallery.embedder)
    tab = SearchTab(context, ItemView(context))
    assert "value" not in tab.choose_gallery(Query(), "drawn", ["signs"])[1]
    assert "value" not in tab.choose_gallery(Query(), "drawn", [])[1]
    assert tab.choose_gallery(Query(), "drawn", ["signs", "cars"])[1]["value"] == ["signs"]
