"""Teaching with few pictures: one exact step that the taught classes gain by and the others hardly notice."""

from __future__ import annotations

import json

import gradio as gr
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.splits import Stand, make_columns
from tests.support.training import last
from unifex.cli import main
from unifex.core.progress import finish
from unifex.gallery.gallery import GalleryError
from unifex.models.embedder import Embedder
from unifex.models.neck import Neck
from unifex.training.config import FEW_IMAGES, PRESETS, TrainConfig, TrainConfigError, suited_preset
from unifex.training.held_out import HoldOut, divide
from unifex.training.one_step import SPREAD, STRANGERS, fit, teach
from unifex.training.run import train
from unifex.training.samples import Samples
from unifex.ui.components.train_form import TrainForm

FEW = PRESETS["few"].config
WIDTH, DIM = 48, 16


def clusters(classes: int, images: int, noise: float = 1.2, seed: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Features float16 [classes * images, WIDTH] around a point a class, and labels, class after class."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), images)
    features = rng.normal(size=(classes, WIDTH))[labels] + noise * rng.normal(size=(len(labels), WIDTH)) + 1
    return features.astype(np.float16), labels


def some_neck(seed: int = 0) -> Neck:
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(DIM, WIDTH)).astype(np.float32)
    return Neck("linear", weight, rng.normal(size=DIM).astype(np.float32), (4, DIM))


def found(neck: Neck, features: np.ndarray, labels: np.ndarray, queries: np.ndarray) -> float:
    """How many of the five nearest to each query are of its class."""
    embeddings = neck.embed(features, DIM)
    similar = embeddings[queries] @ embeddings.T
    similar[np.arange(len(queries)), queries] = -2
    nearest = np.argsort(-similar, axis=1)[:, :5]
    return float((labels[nearest] == labels[queries][:, None]).mean())


def cosines(neck: Neck, features: np.ndarray) -> np.ndarray:
    embeddings = neck.embed(features, DIM)
    return embeddings @ embeddings.T


def test_taught_classes_gain_and_others_hardly_notice():
    features, labels = clusters(30, 16, 0.9)
    number = np.arange(len(labels)) % 16
    taught, asked = (labels < 5) & (number < 10), (labels < 5) & (number >= 10)
    before, others = some_neck(), features[~taught]
    after = teach(features[taught], labels[taught], others, before, FEW.pull, FEW.distillation)
    gain = [found(n, features, labels, np.flatnonzero(asked)) for n in (before, after)]
    assert gain[1] > gain[0] + 0.03
    kept = [found(n, features, labels, np.flatnonzero(labels >= 5)) for n in (before, after)]
    assert kept[1] > kept[0] - 0.005


@given(st.integers(0, 1000), st.integers(2, 6), st.integers(2, 5))
@settings(max_examples=25, deadline=None)
def test_others_stay_as_still_as_they_are_told_to(seed, classes, images):
    features, labels = clusters(classes + 6, 8, seed=seed)
    taught = (labels < classes) & (np.arange(len(labels)) % 8 < images)
    before, others = some_neck(seed), features[~taught]
    moved = [
        np.abs(cosines(teach(features[taught], labels[taught], others, before, 1.2, staying), others)
               - cosines(before, others)).mean()
        for staying in (1.0, 1000.0)
    ]  # fmt: skip
    assert moved[1] < moved[0]
    assert moved[1] < 0.01


def test_the_step_is_the_least_of_what_it_says():
    features, labels = clusters(7, 6)
    taught = labels < 3
    own, names, others, before = features[taught].astype(np.float64), labels[taught], features[~taught], some_neck()
    after = teach(features[taught], names, others, before, 1.3, 2.0)
    mean = features.astype(np.float64).mean(axis=0)
    outputs = own @ before.weight.T.astype(np.float64) + before.bias
    middles = np.stack([outputs[names == name].mean(axis=0) for name in range(3)])
    goals = 1.3 * (middles - middles.mean(axis=0))[names]
    near, far = own - mean, others.astype(np.float64) - mean
    spread = (np.square(near).sum(1).mean() + np.square(far).sum()) / (1 + len(far)) / WIDTH

    def cost(change: np.ndarray) -> float:
        strangers = STRANGERS * SPREAD * spread * np.square(change).sum()
        held = 2.0 / (len(far) + STRANGERS) * (np.square(far @ change.T).sum() + strangers)
        return np.square(outputs + near @ change.T - goals).sum(1).mean() + held

    change = after.weight.astype(np.float64) - before.weight
    np.testing.assert_allclose(after.bias, before.bias - change @ mean, atol=1e-3)
    least, rng = cost(change), np.random.default_rng(0)
    for _ in range(20):
        aside = rng.normal(size=change.shape)
        aside *= 1e-2 * np.linalg.norm(change) / np.linalg.norm(aside)
        assert least < cost(change + aside)


def test_every_prefix_is_as_if_it_alone_had_been_taught():
    features, labels = clusters(4, 5)
    whole = some_neck()
    short = Neck("linear", whole.weight[:4], whole.bias[:4], (4,))
    long, alone = (teach(features, labels, features[:0], neck, 1.2, 2.0) for neck in (whole, short))
    np.testing.assert_allclose(long.weight[:4], alone.weight, rtol=1e-4, atol=1e-5)
    assert long.dims == whole.dims


def test_larger_classes_count_no_more_than_small_ones():
    features, labels = clusters(3, 6)
    again = np.concatenate([np.arange(len(labels)), np.flatnonzero(labels == 0)])
    once, twice = (
        teach(features[rows], labels[rows], np.zeros((0, WIDTH), np.float16), some_neck(), 1.2, 2.0)
        for rows in (np.arange(len(labels)), again)
    )
    near = [cosines(neck, features).mean() for neck in (once, twice)]
    assert near[0] == pytest.approx(near[1], abs=0.02)


def test_without_staying_the_step_is_no_noise():
    """Two pictures of each class: fewer than features."""
    features, labels = clusters(4, 2)
    before = some_neck()
    after = teach(features, labels, features[:0], before, 1.1, 0.0)
    assert np.abs(after.weight).max() < 10 * np.abs(before.weight).max()


def test_its_loss_is_how_far_pictures_are_from_where_they_were_to_land():
    features, labels = clusters(4, 5)
    data = Samples(features, labels, labels)
    losses = [
        last(fit(data, features[:0], TrainConfig(pull=1.0, distillation=staying), some_neck())).loss
        for staying in (0.001, 1000)
    ]
    assert 0 < losses[0] < losses[1]


def divided(labels: list, hashes=None, **hold_out):
    return divide(Stand(make_columns(labels, hashes=hashes)), FEW, HoldOut(**hold_out))


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 40)), min_size=2, max_size=80),
    st.floats(0.01, 0.9), st.integers(0, 5),
)  # fmt: skip
@settings(max_examples=100, deadline=None)
def test_images_of_every_class_are_held_out_and_never_trained_on(items, share, seed):
    labels, hashes = zip(*items)
    try:
        data = divided(labels, hashes, share=share, seed=seed)
    except GalleryError:
        return
    columns = data.columns
    assert np.unique(columns.classes[data.train], return_counts=True)[1].min() >= 2
    if data.split is not None:
        assert data.held_out_by == "images"
        assert data.held_out_images == len(data.split.queries)
        assert not set(columns.copies[data.split.queries]) & set(columns.copies[data.train])
        assert not set(data.others) & (set(data.train) | set(data.split.queries))


def test_three_of_ten_images_a_class_are_held_out():
    data = divided(["a"] * 10 + ["b"] * 10 + ["c"] * 2)
    held = data.columns.classes[data.split.queries]
    assert np.unique(held, return_counts=True)[1].tolist() == [3, 3]
    assert len(data.train) == 16
    assert (data.held_out_images, data.held_out_classes) == (6, 0)


def test_nothing_to_spare_is_said():
    data = divided(["a"] * 2 + ["b"] * 2)
    assert data.split is None
    assert "no class has an image to spare" in data.unmeasured


def test_few_pictures_choose_the_preset():
    assert (suited_preset(FEW_IMAGES - 1), suited_preset(FEW_IMAGES)) == ("few", "best")
    assert (suited_preset(9, ["seed", "pull"]), suited_preset(9, ["seed", "loss"])) == ("few", "best")


def test_the_form_is_filled_in_for_few_pictures_and_back():
    form = TrainForm()
    with gr.Blocks():
        form.build()
    preset, filled = form.suit("best", 40)
    assert (preset, filled[form.preset]["value"]) == ("few", "few")
    assert filled[form.loss]["value"] == PRESETS["few"].config.loss
    assert "40 labelled images are few" in filled[form.preset]["info"]
    assert form.suit("few", 5000)[0] == "best"
    assert form.suit("paper", 5000) == ("paper", {})
    preset, filled = form.suit("few", 41)  # of another gallery: the form stays as it is, its number does not
    assert (preset, list(filled), "value" in filled[form.preset]) == ("few", [form.preset], False)
    assert "41 labelled images are few" in filled[form.preset]["info"]
    assert "labelled images" not in form.suit("few", 0)[1][form.preset]["info"]


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"pull": -1}, "pull -1 is not between 0 and 3"),
        ({"pull": float("nan")}, "pull nan is not between"),
        ({"pull": 1.0, "backbone_learning_rate": 1e-4}, "one exact step teaches no backbone"),
    ],
)
def test_what_one_step_cannot_do_is_refused(values, why):
    with pytest.raises(TrainConfigError, match=why):
        TrainConfig(**values)


def test_a_gallery_is_taught_and_measured_on_images_it_never_saw(gallery):
    result = finish(train(gallery, "mine", FEW))
    assert (result.data.held_out_by, result.curve[-1].total) == ("images", 1)
    assert result.neck.dims == gallery.embedder.neck.dims
    assert not set(result.data.split.queries) & set(result.data.train)
    assert "images it never saw" in result.advice
    assert result.as_json()["held_out_images"] == len(result.data.split.queries) > 0
    folder = gallery.folder.parent / "models" / "mine"
    saved = Embedder.load("mine", models=folder.parent)
    np.testing.assert_array_equal(saved.neck.weight, result.neck.weight)
    card = (folder / "README.md").read_text()
    assert "of trained classes, images that were not trained on" in card
    assert "distillation 2.0, pull 1.1" in card
    assert "arcface" not in card
    on_disk = finish(train(gallery, "again", FEW, from_disk=True))
    np.testing.assert_allclose(on_disk.neck.weight, result.neck.weight, atol=1e-5)


def test_raw_features_are_taught_at_their_own_width(tmp_path, folder):
    from tests.support.galleries import run_index
    from unifex.gallery.gallery import Gallery

    raw = Gallery.create(tmp_path / "indexes" / "raw", Embedder.raw("lite0"))
    run_index(raw, folder)
    result = finish(train(raw, "mine", FEW))
    assert (result.neck.kind, result.neck.dims, result.dim) == ("linear", (1600,), 1600)
    assert result.gain is not None


def test_the_command_line_chooses_it_by_itself_and_says_so(gallery, capsys):
    where = ("train", "--gallery", "drawn", "--library", str(gallery.folder.parent))
    assert main.main([*where, "--save", "mine"]) == 0
    assert "preset 'few', as 24 labelled images are few" in capsys.readouterr().out
    assert main.main([*where, "--save", "other", "--preset", "quick", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["epochs"] == 3
