"""Fitting a neck: seeds, checkpoints, schedules, and the same result as training on pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from tests.support.drawing import LABELS, picture
from tests.support.training import SMALL, last, nearest_right, samples
from unifex.models import backbones, zoo
from unifex.models.neck import pca
from unifex.training.config import INITS, OPTIMISERS, PRESETS, SAMPLING, SCHEDULES, WARMUPS
from unifex.training.loop import DivergedError, TrainingError, fit, lr_scale, reached
from unifex.training.losses import NestedLoss, Settings
from unifex.training.samples import Samples, sampling_weights


def test_the_same_seed_gives_the_same_neck():
    first, again = (last(fit(samples(), SMALL)).neck for _ in range(2))
    other = last(fit(samples(), replace(SMALL, seed=1))).neck
    np.testing.assert_array_equal(first.weight, again.weight)
    assert not np.array_equal(first.weight, other.weight)


def test_epochs_are_counted_and_each_has_what_was_reached():
    epochs = list(fit(samples(), SMALL))
    assert [e.number for e in epochs] == [1, 2, 3]
    assert {e.total for e in epochs} == {3}
    assert epochs[2].loss < epochs[0].loss
    assert epochs[-1].seconds_left == 0
    assert all(e.neck.dims == (8, 16) and e.neck.weight.shape == (16, 48) for e in epochs)


@pytest.mark.parametrize("stops", [(1,), (2,), (1, 1)])
@pytest.mark.parametrize("optimiser", ["adam", "sam"])
def test_a_killed_training_goes_on_to_the_same_neck(tmp_path, stops, optimiser):
    config = replace(SMALL, optimiser=optimiser, loss="adacos")
    whole = last(fit(samples(), config)).neck
    checkpoint, numbers = tmp_path / "a" / "training.pt", []
    for stop in (*stops, 99):
        for event in fit(samples(), config, checkpoint=checkpoint):
            numbers.append(event.number)
            stop -= 1
            if not stop:
                break
    assert numbers == [1, 2, 3]
    np.testing.assert_array_equal(event.neck.weight, whole.weight)


def test_what_a_stopped_training_reached_can_be_had(tmp_path):
    checkpoint = tmp_path / "training.pt"
    event = next(fit(samples(), SMALL, checkpoint=checkpoint))
    np.testing.assert_array_equal(reached(samples(), SMALL, checkpoint).neck.weight, event.neck.weight)
    for changed in (
        reached(samples(), replace(SMALL, seed=3), checkpoint),
        reached(samples(noise=0.5), SMALL, checkpoint),
    ):
        np.testing.assert_array_equal(changed.neck.weight, event.neck.weight)
    stored = torch.load(checkpoint, weights_only=True)
    torch.save({name: stored[name] for name in ("of", "state")}, checkpoint)  # as earlier versions wrote it
    np.testing.assert_array_equal(reached(samples(), SMALL, checkpoint).neck.weight, event.neck.weight)
    assert reached(samples(noise=0.5), SMALL, checkpoint) is None


def test_what_diverges_is_said_and_keeps_what_was_reached_before(tmp_path):
    checkpoint = tmp_path / "training.pt"
    before = next(fit(samples(), SMALL, checkpoint=checkpoint))
    data = checkpoint.read_bytes()
    wild = replace(SMALL, learning_rate=10.0, optimiser="sgd", weight_decay=1.0, epochs=100, schedule="constant")
    broken = replace(samples(), features=np.where(np.arange(48) == 3, np.nan, samples().features))
    with pytest.raises(TrainingError, match="no finite numbers"):
        next(fit(broken, replace(SMALL, init="current"), checkpoint=checkpoint))
    assert checkpoint.read_bytes() == data
    kept = []
    with pytest.raises(DivergedError, match="lower the learning rate"):
        kept.extend(fit(samples(), replace(wild, init="random"), checkpoint=tmp_path / "wild.pt"))
    assert np.isfinite(reached(samples(), SMALL, tmp_path / "wild.pt").neck.weight).all()
    np.testing.assert_array_equal(reached(samples(), SMALL, checkpoint).neck.weight, before.neck.weight)


def test_a_training_by_iterations_that_was_killed_after_its_last_epoch_is_done(tmp_path):
    config, checkpoint = replace(SMALL, iterations=4), tmp_path / "training.pt"
    whole = list(fit(samples(), config, checkpoint=checkpoint))
    assert list(fit(samples(), config, checkpoint=checkpoint)) == []
    np.testing.assert_array_equal(reached(samples(), config, checkpoint).neck.weight, whole[-1].neck.weight)


def test_what_started_from_another_neck_does_not_go_on_from_here(tmp_path):
    checkpoint, config = tmp_path / "training.pt", replace(SMALL, init="current")
    first, other = (pca(samples(noise=noise).features, (16,)) for noise in (1.0, 0.5))
    next(fit(samples(), config, first, checkpoint))
    assert next(fit(samples(), config, first, checkpoint)).number == 2
    assert next(fit(samples(), config, other, checkpoint)).number == 1


@pytest.mark.parametrize("rubbish", [b"", b"not a checkpoint", "cut"])
def test_a_damaged_checkpoint_starts_anew(tmp_path, rubbish):
    checkpoint = tmp_path / "training.pt"
    next(fit(samples(), SMALL, checkpoint=checkpoint))
    checkpoint.write_bytes(checkpoint.read_bytes()[:500] if rubbish == "cut" else rubbish)
    assert [event.number for event in fit(samples(), SMALL, checkpoint=checkpoint)] == [1, 2, 3]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("optimiser", name) for name in OPTIMISERS),
        *(("sampling", name) for name in SAMPLING),
        *(("init", name) for name in INITS),
        *(("warmup", name) for name in WARMUPS),
        *(("schedule", name) for name in SCHEDULES),
        ("distillation", 10.0),
        ("sub_centres", 4),
        ("augmentations", 3),
        ("iterations", 20),
    ],
)
def test_every_setting_learns(field, value):
    config = replace(SMALL, epochs=8, **{field: value})
    data = samples(augmented=config.augmentations)
    current = pca(data.features, (16,))
    events = list(fit(data, config, current))
    assert events[-1].loss < events[0].loss
    assert np.isfinite(events[-1].neck.weight).all()


def test_fewer_dimensions_than_the_current_neck_has():
    data = samples()
    config = replace(SMALL, init="current", dims=(4,), learning_rate=1e-4, epochs=1)
    current = pca(data.features, (16,))
    started = last(fit(data, config, current)).neck.embed(data.features, 4)
    assert np.einsum("nd,nd->n", started, current.embed(data.features, 16)[:, :4]).min() > 0  # still its first axes


def test_training_finds_what_tells_classes_apart():
    rng = np.random.default_rng(0)
    data = samples(width=64)
    noisy = data.features.copy()
    noisy[:, :40] = 6 * rng.normal(size=(len(noisy), 40))  # large and meaningless
    data = replace(data, features=noisy)
    before = nearest_right(pca(data.features, (8, 16)), data, 8)
    after = nearest_right(last(fit(data, replace(SMALL, epochs=30))).neck, data, 8)
    assert after > before + 0.3


@pytest.mark.parametrize(
    ("warmup", "schedule"), [("linear", "cosine"), ("exponential", "cosine"), ("none", "constant")]
)
def test_learning_rates_are_those_of_torch(warmup, schedule):
    config = replace(SMALL, warmup=warmup, schedule=schedule, final_lr_scale=0.05, learning_rate=0.02)
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.SGD([parameter], lr=config.learning_rate)
    if schedule == "cosine":
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, config.steps(96), eta_min=1e-3)
    else:
        scheduler = torch.optim.lr_scheduler.ConstantLR(optimiser, factor=1)
    for step in range(config.steps(96)):
        damping = {"linear": min(1, (step + 1) / 3), "exponential": 1 - np.exp(-(step + 1) / 3), "none": 1}[warmup]
        expected = optimiser.param_groups[0]["lr"] * damping
        assert config.learning_rate * lr_scale(config, step, 96) == pytest.approx(expected, rel=1e-6)
        optimiser.step()
        scheduler.step()


def test_sampling_makes_groups_equally_likely():
    labels = np.repeat([0, 1, 2], [2, 30, 8])
    data = Samples(np.zeros((40, 4), np.float16), labels, np.array([0] * 32 + [1] * 8))
    by_class = sampling_weights(data, replace(SMALL, sampling="classes"))
    by_domain = sampling_weights(data, replace(SMALL, sampling="domains"))
    assert np.bincount(labels, by_class) == pytest.approx([1, 1, 1])
    assert np.bincount(data.domains, by_domain) == pytest.approx([1, 1])
    assert sampling_weights(data, SMALL) is None


def test_training_on_cached_features_is_training_on_pixels():
    """The public code's loop, written out: the frozen network looks at the pixels anew in every step."""
    spec = zoo.get("lite0")
    pixels = [spec.preprocessing.to_input(picture(label, view)) for label in LABELS for view in range(4)]
    labels = torch.arange(len(LABELS)).repeat_interleave(4)
    config = replace(
        SMALL, dropout=0.0, batch_size=16, warmup="none", optimiser="sgd", learning_rate=0.5, centre_learning_rate=0.5
    )
    network = backbones.build(spec)
    with torch.inference_mode():
        cached = network(torch.from_numpy(np.stack(pixels))).numpy()
    found = last(fit(Samples(cached, labels.numpy(), np.zeros(16, np.int64)), config)).neck

    generator = torch.Generator().manual_seed(config.seed)
    neck = torch.nn.Linear(spec.feature_dim, 16)
    for parameter in neck.parameters():
        torch.nn.init.uniform_(parameter, -(spec.feature_dim**-0.5), spec.feature_dim**-0.5, generator=generator)
    loss = NestedLoss("arcface", torch.full((4,), 4), (8, 16), Settings(0.5, 30), 1, generator)
    # Not Adam: it divides gradients by their size, so that rounding becomes steps where a gradient is next to nothing.
    parameters = [*neck.parameters(), *loss.parameters()]
    optimiser = torch.optim.SGD(parameters, lr=0.5, momentum=0.9, weight_decay=config.weight_decay)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, config.epochs, eta_min=0.05 * 0.5)
    for _ in range(config.epochs):
        order = torch.randperm(16, generator=generator)
        with torch.no_grad():
            features = network(torch.from_numpy(np.stack([pixels[i] for i in order])))
        optimiser.zero_grad()
        loss(neck(features), labels[order]).backward()
        optimiser.step()
        scheduler.step()
    expected = normalize(neck(torch.from_numpy(cached))).detach().numpy()
    np.testing.assert_allclose(found.embed(cached, 16), expected, atol=1e-4)


def test_too_little_is_refused_with_what_is_missing():
    with pytest.raises(TrainingError, match="at least 2 classes"):
        next(fit(samples(classes=1), SMALL))


def test_fewer_images_than_dimensions_start_from_their_axes_and_all_other_directions():
    """Of the features' other directions nothing may be lost: pictures that come later lie there, too."""
    few, width = samples(classes=2, images_a_class=3), samples().features.shape[1]
    config = replace(PRESETS["quick"].config, dims=(16, width))
    start = last(fit(few, replace(config, learning_rate=0.0, centre_learning_rate=0.0))).neck
    singular = np.linalg.svd(start.weight, compute_uv=False)
    assert singular.min() > 0.02 * singular.max()
    assert nearest_right(last(fit(few, config)).neck, few, 16) == 1


def test_two_classes_of_three_images_train_from_the_current_neck():
    few = samples(classes=2, images_a_class=3)
    current = pca(samples().features, (8, 16))
    epochs = list(fit(few, replace(PRESETS["best"].config, dims=(8, 16)), current))
    assert np.isfinite(epochs[-1].neck.weight).all()
    assert nearest_right(epochs[-1].neck, few, 16) == 1
