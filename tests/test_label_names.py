"""Words alone find first what has them in its label."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.drawing import write_folder
from tests.support.galleries import run_index
from unifex.gallery.gallery import Gallery
from unifex.gallery.snapshot import CategoricalColumn
from unifex.retrieval import text_search
from unifex.retrieval.label_names import named, words_of
from unifex.retrieval.query import Query
from unifex.retrieval.search import search


@pytest.mark.parametrize(
    ("label", "words", "holds"),
    [
        ("rubber duck", "a Duck", True),
        ("toys/rubber_duck", "rubber ducks", True),
        ("RubberDuck", "rubber duck", True),
        ("wine glass", "glasses", True),
        ("glasses", "glass", True),
        ("dishes", "the dish", True),
        ("box", "boxes", True),
        ("blueberries", "blueberry", True),
        ("Berry", "berries", True),
        ("bus", "buses", True),
        ("houses", "house", True),
        ("rose", "roses", True),
        ("canvas", "canvases", True),
        ("movies", "movie", True),
        ("potato", "potatoes", True),
        ("berry", "bear", False),
        ("bus", "bush", False),
        ("tense", "ten", False),
        ("tease", "tea", False),
        ("manse", "man", False),
        ("dunes", "dun", False),
        ("shoe", "shoes", True),
        ("boxes", "boxes", True),
        ("wine glass", "glass", True),
        ("duckling", "duck", False),
        ("Größe 2", "GRÖSSE", True),
        ("rubber duck", "yellow duck", False),
        ("rubber duck", "the", False),
        ("rubber duck", "?!", False),
        ("", "duck", False),
    ],
)
def test_labels_that_hold_all_the_words(label, words, holds):
    labels = CategoricalColumn.of(["another", label, label])
    assert named(labels, words).tolist() == [False, holds, holds]


@given(st.text(max_size=40))
def test_a_label_says_itself(label):
    assert named(CategoricalColumn.of([label]), label).tolist() == [bool(words_of(label))]


@pytest.fixture(scope="module")
def gallery(tmp_path_factory, embedder) -> Gallery:
    root = tmp_path_factory.mktemp("named")
    made = Gallery.create(root / "g", embedder)
    run_index(made, write_folder(root / "pictures"))
    return made


def test_they_come_first_each_kind_in_its_order(gallery, monkeypatch):
    result = search(gallery, Query(text="the discs"), k=24)
    monkeypatch.setattr(text_search, "named", lambda labels, _text: np.zeros(len(labels.codes), bool))
    places = {hit.record.id: hit.rank for hit in search(gallery, Query(text="the discs"), k=24).hits}
    labels = [hit.label for hit in result.hits]
    count = labels.count("disc")
    assert result.named == count > 0
    assert labels[:count] == ["disc"] * count
    for part in (result.hits[:count], result.hits[count:]):
        assert np.diff([places[hit.record.id] for hit in part]).min(initial=1) > 0


def test_with_an_image_or_marks_besides_the_words_move_what_is_alike(gallery):
    disc, other = (
        next(r.id for r in gallery.records(gallery.snapshot().columns.ids) if (r.label == "disc") is wanted)
        for wanted in (True, False)
    )
    for query in (Query(items=(other,), text="disc"), Query(text="disc", more=(other,)), Query(items=(disc,))):
        assert search(gallery, query, k=24).named == 0
