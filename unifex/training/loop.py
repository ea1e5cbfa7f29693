"""Fitting a neck on cached features: a frozen backbone gives the same features every epoch, so pixels are never read.

The neck is trained as x -> M (A x + b) + c, where A, b is where it starts (principal axes, or the features as they are)
and M, c is learned; the product is one affine map, and that is what is kept. Class centres are dropped.
"""

from __future__ import annotations

import hashlib
import json
import math
import pickle
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from unifex.core import disk
from unifex.core.errors import UnifexError
from unifex.core.files import write_atomically_with
from unifex.core.progress import Stage
from unifex.models.feature_table import BLOCK_ROWS, FeatureTable, blocks
from unifex.models.neck import Neck, pca
from unifex.training.config import TrainConfig
from unifex.training.distributed import ALONE, Processes
from unifex.training.losses import NestedLoss, Settings
from unifex.training.samples import Sampler, Samples, inputs

START_LENGTH = 8.0  # of a PCA start's outputs: so long that a dropped-out input does not upset Adam's first steps
SAM_RADIUS = 0.05
MOMENTUM = 0.9


class TrainingError(UnifexError):
    """Samples that nothing can be learned from; the message says what is missing."""


@dataclass(frozen=True)
class Epoch:
    """``number`` of ``total`` epochs are done; ``loss``: mean of the last one's steps; ``neck``: what was reached.

    ``learning_rate``: of the neck, at the end of the epoch. ``seconds`` since the start (or since it went on).
    """

    number: int
    total: int
    loss: float
    learning_rate: float
    neck: Neck
    seconds: float
    seconds_left: float | None


class _Student(nn.Module):
    """The trained map M, c. Dropout draws from a generator of its own, so that a seed fixes it."""

    def __init__(self, start: Neck | None, input_dim: int, dim: int, dropout: float, generator: torch.Generator):
        super().__init__()
        self.dropout, self.generator = dropout, generator
        self.weight = nn.Parameter(torch.empty(dim, input_dim))
        self.bias = nn.Parameter(torch.zeros(dim))
        if start:
            nn.init.eye_(self.weight)
        else:  # as torch.nn.Linear starts
            for parameter in (self.weight, self.bias):
                nn.init.uniform_(parameter, -1 / math.sqrt(input_dim), 1 / math.sqrt(input_dim), generator=generator)

    def forward(self, inputs: Tensor, batch: int, share: slice) -> Tensor:
        """``inputs`` are the rows ``share`` of a batch of so many."""
        if self.dropout:
            kept = torch.rand((batch, inputs.shape[1]), generator=self.generator)[share] >= self.dropout
            inputs = inputs * kept / (1 - self.dropout)
        return inputs @ self.weight.T + self.bias


class _Run:
    """One training, with all that a checkpoint needs to go on exactly where it was."""

    def __init__(self, samples: Samples, recipe: TrainConfig, current: Neck | None, processes: Processes = ALONE):
        self.samples, self.recipe, self.processes = samples, recipe, processes
        self.generator = torch.Generator().manual_seed(recipe.seed)
        self.dims = recipe.dims
        self.start = _start(samples, recipe, current)
        self.labels = torch.from_numpy(samples.labels)
        self.inputs = inputs(samples, self.start)
        width = self.inputs[0].shape[1]
        self.student = _Student(self.start, width, self.dims[-1], recipe.dropout, self.generator)
        self.loss = NestedLoss(
            recipe.loss,
            torch.from_numpy(samples.class_sizes),
            self.dims,
            Settings(recipe.margin, recipe.scale, recipe.smallest_margin),
            recipe.sub_centres,
            self.generator,
        )
        for loss in self.loss.losses:
            loss.everyone = processes.everyone
        if self.start:
            self._start_centres_at_class_means()
        self.optimiser = _optimiser(recipe, self.student, self.loss)
        self.sampler = Sampler(samples, recipe, self.generator)
        self.step = 0

    @torch.no_grad()
    def _start_centres_at_class_means(self) -> None:
        """Sub-centres start around the mean, so that they part."""
        centres = self.loss.centres
        means = torch.zeros(len(self.samples.class_sizes), self.dims[-1])
        for start in range(0, len(self.samples), BLOCK_ROWS):
            rows = slice(start, start + BLOCK_ROWS)
            outputs = normalize(self.inputs[0][rows][:, : self.dims[-1]])  # as the neck gives them at first
            means.index_add_(0, self.labels[rows], outputs)
        means = normalize(means).repeat_interleave(centres.sub_centres, 0)
        if centres.sub_centres > 1:
            means += 0.3 / math.sqrt(means.shape[1]) * torch.randn(means.shape, generator=self.generator)
        centres.weight.copy_(means)

    def neck(self) -> Neck:
        """What was learned so far, as one affine map."""
        weight, bias = (parameter.detach().double().numpy() for parameter in (self.student.weight, self.student.bias))
        if self.start:
            weight, bias = weight @ self.start.weight, weight @ self.start.bias + bias
        return Neck("linear", weight.astype(np.float32), bias.astype(np.float32), self.dims)

    def epoch(self, steps: int) -> float:
        """Take so many steps; their mean loss."""
        losses = []
        order = self.sampler.draw()
        for start in range(0, steps * self.recipe.batch_size, self.recipe.batch_size):
            self._set_learning_rate()
            losses.append(self._take_step(order[start : start + self.recipe.batch_size]))
            self.step += 1
        return float(np.mean(losses))

    def _set_learning_rate(self) -> None:
        share = learning_rate_share(self.recipe, self.step, len(self.samples))
        for group in self.optimiser.param_groups:
            group["lr"] = group["full"] * share

    def _take_step(self, rows: Tensor) -> float:
        loss = self._slope(rows)
        if self.recipe.optimiser == "sam":
            self._climb_and_look_again(rows)
        self.optimiser.step()
        return loss

    def _slope(self, rows: Tensor) -> float:
        """Leave the gradient of a batch in the parameters; its loss."""
        self.optimiser.zero_grad()
        loss = self._loss(rows)
        loss.backward()
        value = loss.detach()
        self.processes.add_up([value, *(p.grad for group in self.optimiser.param_groups for p in group["params"])])
        return float(value)

    def _climb_and_look_again(self, rows: Tensor) -> None:
        """The gradient from a step uphill, kept for a step from here (Foret et al. 2021, arXiv 2010.01412, eq. 2)."""
        parameters = [parameter for group in self.optimiser.param_groups for parameter in group["params"]]
        here = [parameter.detach().clone() for parameter in parameters]
        length = torch.stack([parameter.grad.norm() for parameter in parameters]).norm() + 1e-12
        with torch.no_grad():
            for parameter in parameters:
                parameter.add_(parameter.grad, alpha=float(SAM_RADIUS / length))
        self._slope(rows)
        with torch.no_grad():
            for parameter, old in zip(parameters, here):
                parameter.copy_(old)

    def _loss(self, rows: Tensor) -> Tensor:
        """This process's part of a batch's loss: those of all are added."""
        share = self.processes.share(len(rows))
        embeddings = self.student(self._draw_inputs(rows, share), len(rows), share)
        own = rows[share]
        loss = self.loss(embeddings, self.labels[own]) * (len(own) / len(rows))
        if self.recipe.distillation:
            loss = loss + self.recipe.distillation * self._dissimilarity(embeddings, rows, share)
        return loss

    def _draw_inputs(self, rows: Tensor, share: slice) -> Tensor:
        own = rows[share]
        if len(self.inputs) == 1:
            return self.inputs[0][own].float()
        drawn = torch.randint(len(self.inputs), (len(rows),), generator=self.generator)[share]
        inputs = self.inputs[0][own].float()
        for face, features in enumerate(self.inputs[1:], 1):
            inputs[drawn == face] = features[own[drawn == face]].float()
        return inputs

    def _dissimilarity(self, embeddings: Tensor, rows: Tensor, share: slice) -> Tensor:
        """Mean squared difference between the batch's cosines in the embeddings and in the features.

        In a process's rows of that matrix, others' embeddings are constants. The matrix is symmetric, so its slope is
        twice theirs.
        """
        features = normalize(torch.from_numpy(self.samples.features[rows.numpy()]).float())
        wanted, parts = features[share] @ features.T, []
        for dim in self.dims:
            own = normalize(embeddings[:, :dim])
            everyone = own if self.processes.count == 1 else normalize(self.processes.everyone(embeddings)[:, :dim])
            parts.append((own @ everyone.T - wanted).square().sum() / len(rows) ** 2)
        found = torch.stack(parts).mean()
        return found if self.processes.count == 1 else 2 * found - found.detach()

    def state(self) -> dict:
        """Everything that changes from step to step."""
        return {
            "student": self.student.state_dict(),
            "loss": self.loss.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "generator": self.generator.get_state(),
            "step": self.step,
        }

    def go_on_from(self, state: dict) -> None:
        """Put back what :meth:`state` gave."""
        self.student.load_state_dict(state["student"])
        self.loss.load_state_dict(state["loss"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.generator.set_state(state["generator"])
        self.step = state["step"]


def fit(
    samples: Samples,
    recipe: TrainConfig,
    current: Neck | None = None,
    checkpoint: Path | None = None,
    processes: Processes = ALONE,
) -> Iterator[Epoch]:
    """Train a neck; yields after every epoch with what was reached, so that whoever stops listening keeps that.

    ``current`` is the neck that ``recipe.start`` may go out from. With ``checkpoint`` every epoch is written there, and
    a training of the same samples by the same recipe goes on from what lies there to the same result. All of
    ``processes`` call this with the same arguments, and the first writes the checkpoint. Raises :class:`TrainingError`
    when there is nothing to learn from, or too little for the start.
    """
    if len(samples.class_sizes) < 2:
        raise TrainingError(f"training needs at least 2 classes of {recipe.min_images} images; there are fewer")
    began = time.perf_counter()
    per_epoch, steps = recipe.steps_an_epoch(len(samples)), recipe.steps(len(samples))
    epochs = math.ceil(steps / per_epoch)
    run = _Run(samples, recipe, current, processes)
    of = _fingerprint(samples, recipe, current) if checkpoint else ""
    if state := processes.told(_read_checkpoint(checkpoint, of) if checkpoint and processes.first else None):
        run.go_on_from(state)
    first = run.step // per_epoch
    stage = Stage("training", epochs, "epochs", done=first)
    for number in range(first + 1, epochs + 1):
        loss = run.epoch(min(per_epoch, steps - run.step))
        if checkpoint and processes.first:
            _write_checkpoint(checkpoint, run.state(), of)
        rate = recipe.learning_rate * learning_rate_share(recipe, run.step - 1, len(samples))
        seconds, step = time.perf_counter() - began, stage.at(number)
        yield Epoch(number, epochs, loss, rate, run.neck(), seconds, step.seconds_left)


def learning_rate_share(recipe: TrainConfig, step: int, images: int) -> float:
    """What share of the full learning rate step ``step`` (from 0) takes: 0..1."""
    total, rising = recipe.steps(images), recipe.warmup_epochs * recipe.steps_an_epoch(images)
    share = 1.0
    if recipe.schedule == "cosine":
        share = recipe.final_share + (1 - recipe.final_share) * (1 + math.cos(math.pi * step / total)) / 2
    if recipe.warmup == "none" or rising <= 0:
        return share
    return (
        share
        * {"linear": min(1.0, (step + 1) / rising), "exponential": 1 - math.exp(-(step + 1) / rising)}[recipe.warmup]
    )


def reached(samples: Samples, recipe: TrainConfig, checkpoint: Path, current: Neck | None = None) -> Neck | None:
    """The neck of a training that was stopped; None when there is no checkpoint of just this training."""
    state = _read_checkpoint(checkpoint, _fingerprint(samples, recipe, current))
    if state is None:
        return None
    run = _Run(samples, recipe, current)
    run.go_on_from(state)
    return run.neck()


def _start(samples: Samples, recipe: TrainConfig, current: Neck | None) -> Neck | None:
    """The affine map that training goes out from, at a length that suits it; None: the features themselves."""
    if recipe.start == "random":
        return None
    dim = recipe.dims[-1]
    if recipe.start == "current" and current and len(current.bias) >= dim and current.kind != "identity":
        axes = current
    elif len(samples) > dim:
        axes = pca(samples.features, (dim,), recipe.whitening)
    else:
        raise TrainingError(
            f"principal axes for {dim} dimensions need {dim + 1} training images, there are {len(samples)}: "
            "start from the current neck or from random weights, or train fewer dimensions"
        )
    lengths = (np.linalg.norm(rows @ axes.weight.T + axes.bias, axis=1).sum() for _, rows in blocks(samples.features))
    length = sum(lengths) / len(samples)
    return Neck(axes.kind, axes.weight * (START_LENGTH / length), axes.bias * (START_LENGTH / length), axes.dims)


def _optimiser(recipe: TrainConfig, student: nn.Module, loss: NestedLoss) -> torch.optim.Optimizer:
    groups = [
        {"params": list(student.parameters()), "full": recipe.learning_rate},
        {"params": [loss.centres.weight], "full": recipe.centre_learning_rate},
    ]
    shared = {"lr": recipe.learning_rate, "weight_decay": recipe.weight_decay}
    match recipe.optimiser:
        case "sgd":
            return torch.optim.SGD(groups, momentum=MOMENTUM, **shared)
        case "adam":
            return torch.optim.Adam(groups, fused=True, **shared)
        case _:  # AdamW, and SAM around it
            return torch.optim.AdamW(groups, fused=True, **shared)


def _write_checkpoint(path: Path, state: dict, of: str) -> None:
    disk.make_folder(path.parent)
    try:
        write_atomically_with(path, lambda file: torch.save({"of": of, "state": state}, file))
    except RuntimeError as error:
        if isinstance(error.__context__, OSError):  # torch hides why it could not write
            raise error.__context__ from None
        raise


def _read_checkpoint(path: Path, of: str) -> dict | None:
    """The state of the same training, by its fingerprint; None when there is none that can be read."""
    try:
        stored = torch.load(path, weights_only=True)
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError):
        return None
    return stored["state"] if stored["of"] == of else None


def _fingerprint(samples: Samples, recipe: TrainConfig, current: Neck | None) -> str:
    """sha256 of all that a training depends on."""
    digest = hashlib.sha256(json.dumps(asdict(recipe), sort_keys=True).encode())
    for array in (samples.features, samples.labels, samples.domains, samples.views):
        if isinstance(array, FeatureTable):
            digest.update(array.fingerprint.encode())
        elif array is not None:
            digest.update(np.ascontiguousarray(array).data)
    if recipe.start == "current" and current:
        digest.update(current.hash.encode())
    return digest.hexdigest()
