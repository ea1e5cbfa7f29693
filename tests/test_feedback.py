"""More and less like this: against sums and sorting, item by item."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import drawing
from tests.support.drawing import encoded, picture
from tests.support.galleries import run_index
from unifex.core.errors import UnifexError
from unifex.core.vectors import l2_normalize
from unifex.gallery.gallery import Gallery, GalleryError
from unifex.gallery.naming import ids_named
from unifex.retrieval.feedback import WEIGHTS, MarkedQuery
from unifex.retrieval.filters import Filters
from unifex.retrieval.query import MAX_MARKS, Query
from unifex.retrieval.search import search
from unifex.vector_index import index_types
from unifex.vector_index.flat_index import FlatIndex
from unifex.vector_index.matches import Exclusion

QUERY = encoded(picture("shapes/disc", 77))


@pytest.fixture(scope="module")
def gallery(tmp_path_factory, embedder) -> Gallery:
    root = tmp_path_factory.mktemp("feedback")
    gallery = Gallery.create(root / "drawn", embedder)
    run_index(gallery, drawing.write_folder(root / "pictures"))
    return gallery


@pytest.fixture
def ids(gallery) -> list[int]:
    return gallery.snapshot().columns.ids.tolist()


def embeddings_of(gallery, dim=256) -> dict[int, np.ndarray]:
    snapshot = gallery.snapshot()
    return dict(zip(snapshot.columns.ids.tolist(), l2_normalize(snapshot.embeddings, dim).astype(np.float64)))


def shown(gallery, dim=256) -> np.ndarray:
    return gallery.embedder.embed([QUERY], dim)[0].astype(np.float64)


def rocchio(query, more, less) -> np.ndarray:
    """Equation 9.3 as a loop."""
    total = np.zeros_like(more[0] if query is None else query)
    if query is not None:
        total = total + WEIGHTS.query * query
    for part, weight in ((more, WEIGHTS.liked), (less, -WEIGHTS.disliked)):
        for vector in part:
            total = total + weight * vector / len(part)
    return total / np.linalg.norm(total)


def ordered(scores: dict[int, float], k: int) -> list[int]:
    return sorted(scores, key=lambda item: (-np.float32(scores[item]), item))[:k]


def found(result) -> list[int]:
    return [hit.record.id for hit in result.hits]


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_rocchio_against_a_loop(gallery, data):
    vectors = embeddings_of(gallery)
    marked = data.draw(st.lists(st.sampled_from(sorted(vectors)), unique=True, max_size=8))
    more, less = marked[: (cut := data.draw(st.integers(0, len(marked))))], marked[cut:]
    alone = bool(more) and data.draw(st.booleans())
    vector = rocchio(None if alone else shown(gallery), [vectors[i] for i in more], [vectors[i] for i in less])
    wanted = rocchio(None if alone else shown(gallery), [vectors[i] for i in more], [])
    query = Query(() if alone else (QUERY,), more=tuple(more), less=tuple(less))
    result = search(gallery, query, 24)
    scores = {item: float(vector @ embedding) for item, embedding in vectors.items() if item not in less}
    assert [scores[item] for item in found(result)] == pytest.approx(sorted(scores.values(), reverse=True), abs=1e-5)
    assert len(result.hits) == len(scores)
    assert [hit.score for hit in result.hits] == pytest.approx([wanted @ vectors[i] for i in found(result)], abs=1e-5)


def test_nothing_is_embedded_anew(gallery, ids, monkeypatch):
    monkeypatch.setattr(type(gallery.embedder), "features", lambda *_: pytest.fail("embedded"))
    assert found(search(gallery, Query(more=(ids[2],)), 3))[0] == ids[2]


@pytest.mark.parametrize("dim", [64, 512])
def test_marks_at_another_dimension(gallery, ids, dim):
    _, index = gallery.index(dim)
    vectors = dict(zip(ids, index.embeddings.astype(np.float64)))
    vector = rocchio(shown(gallery, dim), [vectors[ids[9]]], [vectors[ids[1]]])
    result = search(gallery, Query((QUERY,), more=(ids[9],), less=(ids[1],)), 5, dim=dim)
    assert found(result) == ordered({i: float(vector @ v) for i, v in vectors.items() if i != ids[1]}, 5)


@pytest.mark.parametrize("alone", [False, True])
def test_nearest_marked_against_a_loop(gallery, ids, alone):
    vectors, more, less = embeddings_of(gallery), (ids[7], ids[20]), (ids[0], ids[13])
    near = [*([] if alone else [shown(gallery)]), *(vectors[i] for i in more)]
    scores = {
        item: max(v @ vector for v in near) - 0.25 * max(vectors[i] @ vector for i in less)
        for item, vector in vectors.items()
        if item not in less
    }
    result = search(gallery, Query(() if alone else (QUERY,), more=more, less=less, feedback="nearest"), 24)
    assert found(result) == ordered(scores, 24)
    one = search(gallery, Query((QUERY,), more=more, less=less, feedback="nearest"), 4, rerank=True)
    assert not one.reranked
    assert found(one) == found(search(gallery, Query((QUERY,), more=more, less=less, feedback="nearest"), 4))


def test_who_asks_for_more_gets_the_same_nearest_first():
    angles = np.random.default_rng(0).uniform(-0.1, 0.1, 700)  # the further from what is disliked, the better
    embeddings = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    index = index_types.build(embeddings)
    marked = MarkedQuery(np.float32([[1, 0]]), embeddings[:1], np.float32([[0, 1]]))
    whole = marked.search_nearest(index, 700, Exclusion()).positions
    assert (np.sort(whole[0]) == np.arange(700)).all()
    for k in (1, 20, 64, 65, 256, 257, 500):
        assert np.array_equal(marked.search_nearest(index, k, Exclusion()).positions, whole[:, :k])


@pytest.mark.parametrize("feedback", ["rocchio", "nearest"])
def test_with_filters(gallery, ids, feedback):
    signs = [r.id for r in gallery.records(ids) if r.domain == "signs"]
    query = Query((QUERY,), more=(ids[0],), less=(signs[2],), feedback=feedback)
    result = search(gallery, query, 24, Filters(domains=("signs",)))
    assert sorted(found(result)) == sorted(set(signs) - {signs[2]})
    assert search(gallery, query, 24, Filters(domains=("nothing",))).hits == []


def test_re_ranking_and_lists_treat_the_sum_as_any_query(gallery, ids, monkeypatch):
    query = Query((QUERY,), more=(ids[8], ids[9]), less=(ids[1],))
    assert search(gallery, query, 5, rerank=True).reranked
    plain = search(gallery, query, 5)
    monkeypatch.setattr(FlatIndex, "max_vectors", 10)
    lists = search(Gallery.open(gallery.folder), query, 5)
    assert "lists" in lists.index
    assert found(lists) == found(plain)


def test_a_mark_on_a_copy_of_the_query_leaves_the_query(gallery, ids):
    vectors = embeddings_of(gallery)
    before = search(gallery, Query(items=(ids[4],)), 23)
    one = np.array([vectors[ids[4]]], np.float32)
    moved = MarkedQuery(one, one[:0], one).moved()
    assert moved == pytest.approx(one, abs=1e-6)
    assert found(search(gallery, Query(items=(ids[4],), less=(ids[4],)), 23)) == found(before)


def test_items_that_went_count_no_more(gallery, ids):
    gone = 10**6
    plain = found(search(gallery, Query((QUERY,), more=(ids[3],)), 24))
    assert found(search(gallery, Query((QUERY,), more=(gone, ids[3]), less=(gone + 1,)), 24)) == plain
    assert found(search(gallery, Query((QUERY,), less=(gone,)), 24)) == found(search(gallery, [QUERY], 24))
    with pytest.raises(GalleryError, match="no longer in the gallery"):
        search(gallery, Query(more=(gone,)))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"more": (1,), "less": (1,)}, "both|as more and as less"),
        ({"more": tuple(range(MAX_MARKS + 1))}, f"at most {MAX_MARKS}"),
        ({"more": (1,), "feedback": "wishes"}, "rocchio or nearest"),
        ({"more": (1,), "text": "a disc", "feedback": "nearest"}, "not words"),
    ],
)
def test_marks_that_cannot_be(arguments, words):
    with pytest.raises(UnifexError, match=words):
        Query(**arguments)


def test_less_alone_is_no_query(gallery, ids):
    with pytest.raises(UnifexError, match="no query"):
        search(gallery, Query(less=(ids[0],)))


def test_items_by_name(gallery, ids):
    record = gallery.records(ids[:1])[0]
    assert ids_named(gallery.database, [record.path, record.uri, str(record.id)], or_by_id=True) == [record.id] * 3
    for name in ("nothing.png", "999999", "9" * 40, "²"):
        with pytest.raises(GalleryError, match="no item"):
            ids_named(gallery.database, [name], or_by_id=True)
