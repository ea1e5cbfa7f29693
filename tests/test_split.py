"""Who is trained on and who is held out: never the same class, never the same bytes."""

from __future__ import annotations

import re
from collections import Counter
from html import unescape
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.drawing import encoded, picture
from tests.support.galleries import run_index
from tests.support.splits import Stand, make_columns
from unifex.core.errors import UnifexError
from unifex.data.item import Labels
from unifex.gallery.gallery import Gallery, GalleryError, Record
from unifex.models.trained_on import marks_of
from unifex.training.config import PRESETS, TrainConfig
from unifex.training.held_out import HoldOut, divide, suspicious_labels
from unifex.ui.rendering import training_report
from unifex.ui.rendering.cards import Card


def chosen(items, domains=None, splits=None, hashes=None, config=TrainConfig(), **hold_out):
    return divide(Stand(make_columns(items, domains, splits, hashes)), config, HoldOut(**hold_out))


def card_of(position: int) -> Card:
    labels = Labels("", "", "", {})
    return Card(Record(position + 1, "", f"{position}.png", "0" * 64, labels, 10, 20, 3000, ""), "drawn")


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 30)), min_size=2, max_size=80),
    st.floats(0, 0.9), st.integers(0, 5), st.integers(1, 3),
)  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_training_and_measuring_share_no_class_and_no_bytes(items, share, seed, min_images):
    labels, hashes = zip(*items)
    try:
        data = chosen(labels, hashes=hashes, config=TrainConfig(seed=seed, min_images=min_images), share=share)
    except GalleryError:
        return
    columns, train = data.columns, data.train
    assert len(np.unique(columns.classes[train])) >= 2
    sizes = Counter(columns.classes[train].tolist())
    assert min(sizes.values()) >= min_images
    pairs = list(zip(columns.classes[train], columns.copies[train]))
    assert len(set(pairs)) == len(pairs)
    if data.split is not None:
        held_out = data.split.queries
        assert not set(columns.classes[held_out]) & set(columns.classes[train])
        assert not set(columns.copies[held_out]) & set(columns.copies[train])
        assert data.split.relevant().any()


def test_the_gallerys_own_split_is_what_is_measured_on():
    labels = ["a"] * 4 + ["b"] * 4 + ["c"] * 4
    splits = ["train"] * 8 + ["query", "index", "index", "index"]
    data = chosen(labels, splits=splits)
    assert data.held_out_by == "split"
    assert data.train.tolist() == list(range(8))
    assert data.split.queries.tolist() == [8]
    assert data.split.items.tolist() == [9, 10, 11]


def test_queries_of_trained_classes_are_not_measured_on():
    labels = ["a"] * 4 + ["b"] * 4 + ["c"] * 2
    splits = ["train", "train", "query", "index"] * 2 + ["query", "index"]
    data = chosen(labels, splits=splits)
    assert data.split.queries.tolist() == [8]
    assert sorted(data.split.items.tolist()) == [3, 7, 9]
    assert data.train.tolist() == [0, 1, 4, 5]  # and neither are they trained on


@pytest.mark.parametrize("preset", ["best", "few"])
def test_queries_of_the_trained_classes_are_held_out_as_images(preset):
    labels, splits = ["a"] * 5 + ["b"] * 5, ["train", "train", "", "query", "index"] * 2
    data = chosen(labels, splits=splits, config=PRESETS[preset].config)
    assert (data.split.queries.tolist(), data.split.items.tolist()) == ([3, 8], [4, 9])
    assert data.train.tolist() == [0, 1, 2, 5, 6, 7]
    assert (data.held_out_by, data.held_out_images, data.held_out_classes, len(data.others)) == ("split", 2, 0, 0)


def test_queries_without_an_index_are_looked_for_among_all():
    labels, splits = ["a"] * 4 + ["b"] * 4 + ["c"] * 2, ["train", "train", "query", "query"] * 2 + ["query"] * 2
    closed = chosen(labels[:8], splits=splits[:8])
    assert (closed.held_out_by, closed.split.queries.tolist(), closed.train.tolist()) == (
        "queries", [2, 3, 6, 7], [0, 1, 4, 5],
    )  # fmt: skip
    assert (len(closed.split.items), closed.split.groups is not None, closed.held_out_images) == (8, True, 4)
    opened = chosen(labels, splits=splits)
    assert (opened.split.queries.tolist(), opened.train.tolist(), opened.held_out_classes) == ([8, 9], [0, 1, 4, 5], 1)


def test_without_train_rows_classes_are_drawn():
    data = chosen(["a", "b", "c", "d", "e"] * 3, splits=["query", "index", "index"] * 5)
    assert data.held_out_by == "drawn"


def test_a_third_is_drawn_evenly_over_domains_by_seed():
    labels = np.repeat(np.arange(40), 3)
    domains = ["cars" if label >= 30 else "shoes" for label in labels]
    first, again, other = (chosen(labels, domains, seed=seed) for seed in (1, 1, 2))
    held = np.unique(labels[first.split.queries])
    assert (first.classes, first.held_out_classes) == (28, 12)
    assert (held >= 30).sum() == 3
    assert first.split.queries.tolist() == again.split.queries.tolist() != other.split.queries.tolist()
    assert len(first.split.items) == len(labels)  # they are looked for among everything
    assert (
        chosen(labels, domains, config=TrainConfig(seed=9), seed=1).split.queries.tolist()
        == first.split.queries.tolist()
    )
    assert first.split.groups is not None  # but never find themselves


@pytest.mark.parametrize("preset", ["best", "few"])
def test_a_further_label_hardly_changes_who_is_drawn(preset):
    def drawn(labels):
        data = chosen(labels, hashes=range(len(labels)), config=PRESETS[preset].config)
        return {labels[item] for item in data.split.queries} if preset == "best" else set(data.split.queries.tolist())

    labels = [f"label {number}" for number in range(40) for _ in range(5)]
    before, after = drawn(labels), drawn([*labels, *["a new one"] * 5])
    assert len(before - after) <= 1


@pytest.mark.parametrize(("known", "held_out", "told"), [(0, 6, 0), (10, 5, 0), (19, 6, 6), (20, 6, 6)])
def test_known_classes_are_not_held_out_where_others_are(known, held_out, told):
    """Of 20 classes: those that are known are the first that would be drawn, the others are new."""
    columns = make_columns(np.repeat(np.arange(20), 3), hashes=[number << 224 for number in range(60)])
    stand = Stand(columns)
    drawn = np.unique(columns.classes[divide(stand, PRESETS["best"].config).split.queries])
    first = np.isin(columns.classes, np.concatenate([drawn, np.setdiff1d(np.arange(20), drawn)])[:known])
    marks = marks_of(columns.hashes[first], columns.classes[first])
    stand.embedder = SimpleNamespace(**vars(stand.embedder))
    stand.embedder.config = SimpleNamespace(training={"classes": marks})
    data = divide(stand, PRESETS["best"].config)
    assert (data.held_out_classes, data.known) == (held_out, told)


def test_labels_can_be_named():
    labels, domains = ["mug", "mug", "cup", "cup", "pot", "pot", "mug", "mug"], ["red"] * 6 + ["blue"] * 2
    data = chosen(labels, domains, labels=("red/mug",))
    assert data.split.queries.tolist() == [0, 1]
    assert chosen(labels, domains, labels=("mug",)).split.queries.tolist() == [0, 1, 6, 7]
    with pytest.raises(GalleryError, match="no label 'jug' to hold out"):
        chosen(labels, domains, labels=("jug",))


@pytest.mark.parametrize("preset", ["best", "few"])
def test_beside_named_labels_own_queries_and_index_are_not_learned_from(preset):
    labels = [name for name in "abcd" for _ in range(5)] + ["e", "e"]
    splits = ["train", "train", "", "query", "index"] * 4 + ["query", "index"]
    data = chosen(labels, splits=splits, config=PRESETS[preset].config, labels=("a",))
    assert (data.held_out_by, data.split.queries.tolist()) == ("named", [0, 1, 2, 3, 4])
    assert data.train.tolist() == [5, 6, 7, 10, 11, 12, 15, 16, 17]
    assert data.others.tolist() == [20, 21]
    assert chosen(labels, splits=splits, share=0).classes == 5  # all were asked for


def test_one_name_is_no_row_of_letters():
    assert HoldOut(labels="abc") == HoldOut(labels=["abc"]) == HoldOut(labels=("abc",))
    for wrong in ((3,), 5, None):
        with pytest.raises(UnifexError, match="labels takes words, not"):
            HoldOut(labels=wrong)


def test_sizes_are_heeded():
    labels = ["a"] * 9 + ["b"] * 5 + ["c"] * 2 + ["d"]
    data = chosen(labels, config=TrainConfig(min_images=3, max_images=6), share=0)
    assert Counter(np.array(labels)[data.train]) == {"a": 6, "b": 5}
    assert [(small.name, small.images) for small in data.small] == [("c", 2), ("d", 1)]


def test_copies_and_clashes_are_counted():
    data = chosen(["a", "a", "a", "b", "b"], hashes=[1, 1, 2, 2, 3], share=0)
    assert data.copies == 1
    assert data.clashes == 1
    assert data.clashing.tolist() == [2, 3]
    assert len(data.train) == 4


def test_what_two_labels_say_and_what_has_none_can_be_looked_at():
    data = chosen(["a", "a", "b", "a", "b", "", ""], hashes=[1, 2, 1, 3, 4, 5, 5], share=0)
    shown = training_report.summary(data, [3], card_of)
    assert re.findall(r'data-item="(\d+)"', shown) == ["1", "3", "6", "7", "4"]
    order = ["under each of its labels", 'data-item="3"', "have no label", 'data-item="7"', "all say otherwise"]
    assert sorted(order, key=shown.index) == order
    sound = training_report.summary(chosen(["a", "a", "b", "b"], share=0), [], card_of)
    assert 'class="hint"' not in sound


def test_labels_that_look_alike_are_named():
    labels = ["Bäume", "Ba\u0308ume", "bäume ", "x", "A  b", "a b", "c", "C"] * 2
    data = chosen(labels, domains=["d"] * 14 + ["e", "f"], share=0)
    assert data.columns.lookalikes == [
        ["d/A  b", "d/a b"], ["d/Ba\u0308ume", "d/Bäume", "d/bäume "], ["d/C", "d/c"],
    ]  # fmt: skip
    assert "'d/A  b' and 'd/a b'" in unescape(training_report.summary(data, None, card_of))
    assert "look alike: 3</summary>" in training_report.summary(data, None, card_of)
    alone = training_report.summary(chosen(["a", "a", "b", "b"], share=0), None, card_of)
    assert "look alike</dt><dd>none" in alone
    assert "<summary>What was checked</summary>" in alone


def test_nothing_is_held_out_of_few_classes_and_it_says_so():
    data = chosen(["a"] * 3 + ["b"] * 3)
    assert data.split is None
    assert len(data.train) == 6
    assert "fewer than 4 classes have two images" in data.unmeasured


@pytest.mark.parametrize("preset", ["best", "few"])
def test_nothing_is_held_out_of_many_classes_and_it_says_that_this_was_asked_for(preset):
    data = chosen([*range(9)] * 2, config=PRESETS[preset].config, share=0)
    assert (data.split, data.classes) == (None, 9)
    assert data.unmeasured == "nothing was to be held out, so all classes are trained on"


@pytest.mark.parametrize(
    ("labels", "config", "why"),
    [
        (["", ""], TrainConfig(), "has 0 labels; training needs at least 2"),
        (["a", "a"], TrainConfig(), "has 1 label;"),
        (["a", "b", "c"], TrainConfig(), "0 classes of at least 2 different images"),
        (["a", "a", "b", "b"], TrainConfig(min_images=3), "0 classes of at least 3"),
    ],
)
def test_what_is_missing_is_said(labels, config, why):
    with pytest.raises(GalleryError, match=why):
        chosen(labels, config=config)


def test_a_share_of_everything_is_refused():
    with pytest.raises(UnifexError, match="share of classes"):
        HoldOut(1.0)


def test_suspicious_labels_are_training_images_among_strangers(tmp_path: Path, embedder):
    lines = ["path,label"]
    for label in ("shapes/disc", "signs/stripes"):
        for view in range(9):
            name = f"{label.partition('/')[2]}{view}.png"
            (tmp_path / name).write_bytes(encoded(picture(label, view)))
            lines.append(f"{name},{'signs/stripes' if name == 'disc0.png' else label}")
    (tmp_path / "list.csv").write_text("\n".join(lines))
    gallery = Gallery.create(tmp_path / "indexes" / "g", embedder)
    run_index(gallery, str(tmp_path / "list.csv"))
    data = divide(gallery, TrainConfig())
    found = suspicious_labels(gallery, data)
    assert [record.path for record in gallery.records(data.columns.ids[[e.item for e in found]])] == ["disc0.png"]
