"""Margin losses against pytorch-metric-learning, or a scalar loop over the paper's equation; edges; size."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unifex.training import losses
from unifex.training.config import LOSSES
from unifex.training.losses import Centres, LossError, NestedLoss, Settings

CLASSES, DIM, BATCH = 7, 16, 12


def problem(seed: int = 0, sub_centres: int = 1, classes: int = CLASSES):
    """Embeddings of several lengths, labels, class sizes, and centres."""
    generator = torch.Generator().manual_seed(seed)
    embeddings = torch.randn(BATCH, DIM, generator=generator) * (0.5 + torch.rand(BATCH, 1, generator=generator))
    labels = torch.randint(classes, (BATCH,), generator=generator)
    centres = torch.randn(classes * sub_centres, DIM, generator=generator)
    return embeddings, labels, torch.arange(3, 3 + classes), centres


def ours(name: str, embeddings, labels, sizes, centres, sub_centres=None, **options) -> torch.Tensor:
    settings = Settings(**{"margin": LOSSES[name].margin, **options})
    loss = NestedLoss(name, sizes, (DIM,), settings, sub_centres)
    with torch.no_grad():
        loss.centres.weight.copy_(centres)
    return loss(embeddings, labels)


def peer(name: str, embeddings, labels, centres, **options) -> torch.Tensor:
    from pytorch_metric_learning import losses

    options.setdefault("num_classes", CLASSES)
    loss = getattr(losses, name)(embedding_size=DIM, **options)
    with torch.no_grad():
        loss.W.copy_(centres.T)
    return loss(embeddings, labels)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("name", "theirs", "margin", "options"),
    [
        ("softmax", "NormalizedSoftmaxLoss", None, {"temperature": 1 / 30}),
        ("arcface", "ArcFaceLoss", 0.5, {"margin": math.degrees(0.5), "scale": 30}),
        ("arcface", "ArcFaceLoss", 1.2, {"margin": math.degrees(1.2), "scale": 64}),
        ("cosface", "CosFaceLoss", 0.35, {"margin": 0.35, "scale": 30}),
    ],
)
def test_values_and_gradients_are_those_of_pytorch_metric_learning(name, theirs, margin, options, seed):
    embeddings, labels, sizes, centres = problem(seed)
    scale = options.get("scale", 30)
    a, b = embeddings.clone().requires_grad_(), embeddings.clone().requires_grad_()
    first = ours(name, a, labels, sizes, centres, margin=margin, scale=scale)
    second = peer(theirs, b, labels, centres, **options)
    first.backward(), second.backward()
    torch.testing.assert_close(first, second, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_sub_centres_for_any_k(k):
    embeddings, labels, sizes, centres = problem(k, k)
    found = ours("subcentre-arcface", embeddings, labels, sizes, centres, margin=0.5, scale=30, sub_centres=k)
    options = {"margin": math.degrees(0.5), "scale": 30, "sub_centers": k}
    expected = peer("SubCenterArcFaceLoss", embeddings, labels, centres, **options)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def angles_of(embeddings, centres) -> np.ndarray:
    x, w = embeddings.double().numpy(), centres.double().numpy()
    return np.arccos(
        np.clip((x / np.linalg.norm(x, axis=1, keepdims=True)) @ (w / np.linalg.norm(w, axis=1)[:, None]).T, -1, 1)
    )


def mean_cross_entropy(logits: list[list[float]], labels) -> float:
    return float(np.mean([math.log(sum(math.exp(v) for v in row)) - row[y] for row, y in zip(logits, labels.tolist())]))


def loop(angles, labels, target, other=None) -> float:
    """Cross-entropy with ``target(i, angle)`` for the right class and ``other(i, angle)`` for wrong ones, times 30."""
    other = other or (lambda i, angle: math.cos(angle))
    rows = []
    for i, y in enumerate(labels.tolist()):
        rows.append([30 * (target(i, a) if j == y else other(i, a)) for j, a in enumerate(angles[i])])
    return mean_cross_entropy(rows, labels)


def test_dynamic_margins_follow_the_class_sizes():
    embeddings, labels, sizes, centres = problem()
    margins = [0.2 + 0.15 * (1 + math.cos(math.pi * (n - 3) / (CLASSES - 1))) for n in sizes.tolist()]
    assert (margins[0], margins[-1]) == pytest.approx((0.5, 0.2))

    def target(i, angle):
        m = margins[labels[i]]
        return math.cos(angle + m) if angle + m < math.pi else math.cos(angle) - m * math.sin(m)

    found = ours("dynamic-arcface", embeddings, labels, sizes, centres, margin=0.5)
    assert found.item() == pytest.approx(loop(angles_of(embeddings, centres), labels, target), rel=1e-5)


def test_equally_large_classes_have_the_margin_in_the_middle():
    embeddings, labels, _, centres = problem()
    equal = torch.full((CLASSES,), 9)
    found = ours("dynamic-arcface", embeddings, labels, equal, centres, margin=0.5)
    torch.testing.assert_close(found, ours("arcface", embeddings, labels, equal, centres, margin=0.35))


def test_li_arcface_is_linear_in_the_angle():
    embeddings, labels, sizes, centres = problem()
    linear = lambda angle: (math.pi - 2 * angle) / math.pi  # noqa: E731
    expected = loop(angles_of(embeddings, centres), labels, lambda i, a: linear(a + 0.45), lambda i, a: linear(a))
    assert ours("li-arcface", embeddings, labels, sizes, centres).item() == pytest.approx(expected, rel=1e-5)


def test_fixed_adacos_scales_by_the_number_of_classes():
    embeddings, labels, sizes, centres = problem()
    scale = math.sqrt(2) * math.log(CLASSES - 1)
    rows = [[scale * math.cos(a) for a in row] for row in angles_of(embeddings, centres)]
    found = ours("adacos-fixed", embeddings, labels, sizes, centres)
    assert found.item() == pytest.approx(mean_cross_entropy(rows, labels), rel=1e-5)


def test_adacos_moves_its_scale_before_every_step():
    embeddings, labels, sizes, centres = problem()
    loss = NestedLoss("adacos", sizes, (DIM,))
    loss.centres.weight.data.copy_(centres)
    angles, scale = angles_of(embeddings, centres), math.sqrt(2) * math.log(CLASSES - 1)
    for _ in range(3):
        right = sorted(angles[i][y] for i, y in enumerate(labels.tolist()))
        wrong = [
            sum(math.exp(scale * math.cos(a)) for j, a in enumerate(row) if j != y)
            for row, y in zip(angles, labels.tolist())
        ]
        median = right[(len(right) - 1) // 2]  # torch's median of an even number is the lower one
        scale = math.log(np.mean(wrong)) / math.cos(min(math.pi / 4, median))
        rows = [[scale * math.cos(a) for a in row] for row in angles]
        assert loss(embeddings, labels).item() == pytest.approx(mean_cross_entropy(rows, labels), rel=1e-4)


def test_curricularface_weighs_hard_wrong_classes():
    embeddings, labels, sizes, centres = problem()
    loss = NestedLoss("curricularface", sizes, (DIM,), Settings(0.5, 30))
    loss.centres.weight.data.copy_(centres)
    angles, difficulty = angles_of(embeddings, centres), 0.0
    for _ in range(3):
        difficulty = 0.01 * np.mean([math.cos(angles[i][y]) for i, y in enumerate(labels.tolist())]) + 0.99 * difficulty

        def harder(i, angle):
            return math.cos(angle + 0.5) if angle + 0.5 < math.pi else math.cos(angle) - 0.5 * math.sin(0.5)

        def other(i, angle, difficulty=difficulty):
            cosine = math.cos(angle)
            hard = cosine > harder(i, angles[i][labels[i]])
            return cosine * (difficulty + cosine) if hard else cosine

        assert loss(embeddings, labels).item() == pytest.approx(loop(angles, labels, harder, other), rel=1e-4)


def test_adaface_takes_length_for_quality():
    embeddings, labels, sizes, centres = problem()
    loss = NestedLoss("adaface", sizes, (DIM,), Settings(0.4, 30))
    loss.centres.weight.data.copy_(centres)
    angles, lengths = angles_of(embeddings, centres), np.linalg.norm(embeddings.double().numpy(), axis=1)
    mean, deviation = lengths.mean(), lengths.std()

    def target(i, angle):
        quality = np.clip(0.333 * (lengths[i] - mean) / (deviation + 1e-3), -1, 1)
        return math.cos(min(max(angle - 0.4 * quality, 1e-3), math.pi - 1e-3)) - (0.4 + 0.4 * quality)

    assert loss(embeddings, labels).item() == pytest.approx(loop(angles, labels, target), rel=1e-4)


def test_every_loss_has_advice_and_a_paper():
    for loss in LOSSES.values():
        paper = getattr(losses, loss.implementation).__doc__
        assert loss.advice
        assert "arXiv" in paper or "et al." in paper


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize(
    "case", ["aligned", "opposed", "zero", "one class", "two classes", "one image a class", "one sample", "none"]
)
def test_edges_have_finite_values_and_gradients(name, case):
    classes = {"one class": 1, "two classes": 2}.get(case, CLASSES)
    embeddings, labels, _, centres = problem(classes=classes)
    sizes = torch.ones(classes) if case == "one image a class" else torch.full((classes,), 4)
    if case == "aligned":
        embeddings = centres[labels] * 3
    elif case == "opposed":
        embeddings = -centres[labels]
    elif case == "zero":
        embeddings = torch.zeros_like(embeddings)
    elif case == "one sample":
        embeddings, labels = embeddings[:1], labels[:1]
    elif case == "none":
        embeddings, labels = embeddings[:0], labels[:0]
    loss = NestedLoss(name, sizes, (4, DIM), sub_centres=1)
    loss.centres.weight.data.copy_(centres)
    embeddings.requires_grad_()
    for _ in range(2):
        value = loss(embeddings, labels)
        value.backward()
    assert math.isfinite(value.item())
    assert all(tensor.grad.isfinite().all() for tensor in (embeddings, loss.centres.weight))


@pytest.mark.parametrize("name", LOSSES)
def test_a_step_against_the_gradient_lowers_the_loss(name):
    embeddings, labels, sizes, _ = problem()
    loss = NestedLoss(name, sizes, (DIM,))
    optimiser = torch.optim.SGD(loss.parameters(), lr=0.05)
    first = loss(embeddings, labels).item()
    for _ in range(60):
        optimiser.zero_grad()
        value = loss(embeddings, labels)
        value.backward()
        optimiser.step()
    assert value.item() < first


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_a_nested_loss_is_the_mean_over_prefixes(seed):
    embeddings, labels, sizes, centres = problem(seed)
    nested = NestedLoss("arcface", sizes, (4, 8, DIM))
    nested.centres.weight.data.copy_(centres)
    parts = []
    for dim in (4, 8, DIM):
        alone = NestedLoss("arcface", sizes, (dim,))
        alone.centres.weight.data.copy_(centres[:, :dim])
        parts.append(alone(embeddings[:, :dim], labels))
    torch.testing.assert_close(nested(embeddings, labels), torch.stack(parts).mean())


def test_the_nearest_sub_centre_counts():
    centres = Centres(2, 2, sub_centres=2)
    centres.weight.data = torch.tensor([[1.0, 0], [0, 1], [-1, 0], [0, -1]])
    cosines = centres.cosines(torch.tensor([[2.0, 2.0], [0.0, -3.0]]), 2)
    torch.testing.assert_close(cosines, torch.tensor([[math.sqrt(0.5), -math.sqrt(0.5)], [0.0, 1.0]]))


def test_the_papers_size_fits():
    loss = NestedLoss("subcentre-arcface", torch.ones(34_800), (64,))
    assert loss.centres.weight.shape == (3 * 34_800, 64)
    loss(torch.randn(16, 64), torch.arange(16)).backward()
    assert loss.centres.weight.grad.isfinite().all()


def test_an_unknown_loss_is_refused_with_those_there_are():
    with pytest.raises(LossError, match="no loss 'triplet'; there are: arcface, "):
        NestedLoss("triplet", torch.ones(3), (4,))
    with pytest.raises(LossError, match="no class"):
        NestedLoss("arcface", torch.ones(0), (4,))
