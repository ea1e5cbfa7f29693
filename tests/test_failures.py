from dataclasses import replace

import gradio as gr
import numpy as np
import pytest

from tests.support.splits import make_columns, make_split, random_embeddings
from unifex.cli.settings import Settings
from unifex.core.progress import finish
from unifex.core.vectors import l2_normalize
from unifex.evaluation import failures
from unifex.evaluation.evaluate import evaluate
from unifex.evaluation.failures import WorstQuery
from unifex.evaluation.parts import missed
from unifex.evaluation.protocols import EvalProtocol
from unifex.evaluation.splits import split_of
from unifex.gallery import neighbours
from unifex.gallery.library import Library
from unifex.gallery.neighbours import Neighbours
from unifex.gallery.snapshot import ITEM
from unifex.ui.components.failures_view import FailuresView
from unifex.ui.context import AppContext
from unifex.vector_index import index_types


def blobs(labels, spread=0.05, dim=16):
    """Embeddings near a centre of their label's."""
    centres, rng = random_embeddings(max(labels) + 1, dim, 0), np.random.default_rng(1)
    return l2_normalize(centres[labels] + spread * rng.standard_normal((len(labels), dim)).astype(np.float32), dim)


def test_worst_queries_first_and_their_hits_marked():
    labels = np.repeat(np.arange(4), 10)
    embeddings = blobs(labels)
    shown = labels.copy()
    shown[[0, 11]] = [1, 3]  # two that look like another label
    chosen = make_split(make_columns(shown), range(40), range(40), np.arange(40))
    found = failures.worst_queries(finish(evaluate(chosen, embeddings)))
    assert {failure.query for failure in found[:2]} == {0, 11}
    assert found[0].mmp5 == 0
    assert found[0].is_match == [False] * 5
    assert [f.mmp5 for f in found] == sorted(f.mmp5 for f in found)
    assert all(f.mmp5 < 1 for f in found)


def test_label_errors_are_found_and_silenced():
    labels = np.repeat(np.arange(4), 10)
    embeddings, shown = blobs(labels), np.repeat(np.arange(4), 10)
    shown[7] = 2
    columns = make_columns(shown)
    near = finish(neighbours.find(index_types.build(embeddings), columns.copies))
    chosen = make_split(columns, range(40), range(40), np.arange(40))
    assert [(e.item, shown[e.neighbours[0]]) for e in failures.label_errors(chosen, near, embeddings)] == [(7, 0)]
    silenced = make_split(columns, range(40), range(40), np.arange(40), same=[(7, 0)])
    assert failures.label_errors(silenced, near, embeddings) == []


def test_duplicates_between_query_and_index():
    labels, hashes = np.repeat(np.arange(4), 10), np.arange(40)
    embeddings = blobs(labels, spread=0.6)
    embeddings[15] = embeddings[1]  # nearly: another file
    embeddings[22], hashes[22] = embeddings[2], hashes[2]  # the same file
    columns = make_columns(labels, hashes=hashes)
    near = finish(neighbours.find(index_types.build(embeddings), columns.copies))
    split = make_split(columns, range(10), range(10, 40))
    found = sorted((d.query, d.item, d.identical) for d in failures.duplicates(split, near))
    assert found == [(1, 15, False), (2, 22, True)]
    alone = make_split(columns, range(40), range(40), columns.copies)
    assert [(d.query, d.item) for d in failures.duplicates(alone, near)] == [(1, 15)]
    marked = make_split(columns, range(10), range(10, 40), same=[(1, 15)])
    assert [(d.query, d.item) for d in failures.duplicates(marked, near)] == [(2, 22)]


def test_a_right_hit_behind_those_that_count_is_told_apart():
    """One item could be right and comes second: the score is 0, and the hit is right all the same."""
    embeddings = l2_normalize(np.array([[1, 0], [0.8, 0.6], [0.9, 0.44], [-1, 0.1]], np.float32), 2)
    chosen = make_split(make_columns([0, 0, 1, 1]), [0], [1, 2, 3])
    (found,) = failures.worst_queries(finish(evaluate(chosen, embeddings)))
    assert (found.mmp5, found.cutoff, found.is_match) == (0, 1, [False, True, False])


def test_of_thousands_of_copies_the_first_pairs_are_listed():
    """Also what was one picture before something was written into it, which leave-one-out does not leave out."""
    labels, hashes = np.repeat(np.arange(2), 2000), np.zeros(4000, np.int64)
    hashes[1], hashes[3999] = 5, 6
    columns = make_columns(labels, hashes=hashes)
    first = columns.items["content"][[0, 0]]
    columns = replace(columns, still=np.array([(2, first[0]), (4000, first[1])], ITEM))
    near = Neighbours.none(4000, 15)
    split = make_split(columns, range(2000), range(2000, 4000))
    found = failures.duplicates(split, near, 2001)
    assert [(d.query, d.item) for d in found] == [(0, item) for item in range(2000, 4000)] + [(1, 2000)]
    assert [d.identical for d in found] == [True] * 1999 + [False] * 2
    alone = make_split(columns, range(4000), range(4000), columns.copies)
    assert [(d.query, d.item) for d in failures.duplicates(alone, near, 3)] == [(0, 1), (0, 3999), (1, 2)]


def test_label_errors_are_found_where_few_items_have_labels(monkeypatch):
    labels = np.repeat(np.arange(4), 100)
    embeddings, shown = blobs(labels), [""] * 400
    for item in range(0, 400, 10):
        shown[item] = str(labels[item])
    shown[70] = "2"
    columns = make_columns(shown)
    near = finish(neighbours.find(index_types.build(embeddings), columns.pictures))
    labelled = np.arange(0, 400, 10)
    chosen = make_split(columns, labelled, labelled, np.arange(400))
    with monkeypatch.context() as patch:
        patch.setattr(index_types, "build", lambda *_: pytest.fail("for so few items no index is worth its while"))
        (error,) = failures.label_errors(chosen, near, embeddings)
    assert error.item == 70
    assert set(error.neighbours) < set(labelled[:10])
    monkeypatch.setattr(failures, "COMPARED_WITH_ALL", 0)
    (indexed,) = failures.label_errors(chosen, near, embeddings)
    assert (indexed.item, indexed.neighbours) == (error.item, error.neighbours)


@pytest.mark.parametrize("compared", [failures.COMPARED_WITH_ALL, 0])
def test_three_labelled_pictures_are_no_five(compared, monkeypatch):
    monkeypatch.setattr(failures, "COMPARED_WITH_ALL", compared)
    for seed in range(20):
        embeddings = l2_normalize(random_embeddings(24, 64, seed) * 2 + 1, 64)
        columns = make_columns(["cat", "dog", "dog", "dog", *[""] * 20])
        near = finish(neighbours.find(index_types.build(embeddings), columns.pictures))
        assert failures.label_errors(make_split(columns, range(4), range(4), np.arange(24)), near, embeddings) == []


def test_what_failed_is_shown_though_tags_were_added_since(gallery):
    view = FailuresView(AppContext(Settings(), Library(gallery.folder.parent), gallery.embedder))
    with gr.Blocks():
        view.build()
    found = finish(evaluate(split_of(gallery, EvalProtocol("leave-one-out")), gallery.snapshot().embeddings))
    ids = gallery.snapshot().columns.ids.tolist()
    with gallery.write() as writer:
        writer.tag(ids[:1], ["best"])
    assert "has changed" not in str(view.show(gallery, found))
    with gallery.write() as writer:
        writer.remove(ids[:1])
    assert str(view.show(gallery, found)).count("has changed") == 2


def test_what_is_marked_as_the_same_should_have_been_found():
    columns = make_columns(["a", "a", "b", "c"])
    embeddings = l2_normalize(np.float32([[1, 0], [0, 1], [1, 0.2], [1, 0.1]]), 2)
    split = make_split(columns, range(4), range(4), np.arange(4), same=[(0, 2)])
    failure = WorstQuery(0, 0.0, 1, [3], [0.9], [False])
    assert missed(split, failure, columns.ids, embeddings, 3) == [2, 1]
