"""Fitting a neck on cached features: a frozen backbone gives the same features every epoch, so pixels are never read.
Where late blocks of the backbone learn with it, features follow from kept maps in every step.

The neck is trained as x -> M (A x + b) + c, where A, b is where it starts (principal axes, or the features as they are)
and M, c is learned; the product is one affine map, and that is what is kept. Class centres are dropped.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from unifex.core.language import say, to_say
from unifex.core.progress import Stage
from unifex.models.feature_table import BLOCK_ROWS, FeatureTable, blocks
from unifex.models.neck import Neck, pca
from unifex.training.checkpoint import Checkpoint, Learned, read_checkpoint, read_state, write_checkpoint
from unifex.training.config import TrainConfig
from unifex.training.distributed import SINGLE, Processes
from unifex.training.late_blocks import DivergedError, LateBlocks
from unifex.training.losses import NestedLoss, Settings
from unifex.training.samples import Sampler, Samples, TrainingError, inputs

START_LENGTH = 8.0  # of a PCA start's outputs: so long that a dropped-out input does not upset Adam's first steps
LEAST_VARIANCE = 1.0  # of the mean: what an axis counts as having at least, when there are fewer images than axes
SAM_RADIUS = 0.05
MOMENTUM = 0.9


@dataclass(frozen=True)
class Epoch:
    """``number`` of ``total`` epochs are done; ``loss``: mean of the last one's steps; ``learned``: what was reached.

    ``learning_rate``: of the neck, at the end of the epoch. ``seconds`` since the start (or since it went on).
    """

    number: int
    total: int
    loss: float
    learning_rate: float
    learned: Learned
    seconds: float
    seconds_left: float | None

    @property
    def neck(self) -> Neck:
        """The neck that was reached."""
        return self.learned.neck


class _Student(nn.Module):
    """The trained map M, c. Dropout draws from a generator of its own, so that a seed fixes it."""

    def __init__(self, init: Neck | None, input_dim: int, dim: int, dropout: float, generator: torch.Generator):
        super().__init__()
        self.dropout, self.generator = dropout, generator
        self.weight = nn.Parameter(torch.empty(dim, input_dim))
        self.bias = nn.Parameter(torch.zeros(dim))
        if init:
            nn.init.eye_(self.weight)
        else:  # as torch.nn.Linear starts
            for parameter in (self.weight, self.bias):
                nn.init.uniform_(parameter, -1 / math.sqrt(input_dim), 1 / math.sqrt(input_dim), generator=generator)

    def forward(self, inputs: Tensor, batch: int, shard: slice) -> Tensor:
        """``inputs`` are the rows ``shard`` of a batch of so many."""
        if self.dropout:
            kept = torch.rand((batch, inputs.shape[1]), generator=self.generator)[shard] >= self.dropout
            inputs = inputs * kept / (1 - self.dropout)
        return inputs @ self.weight.T + self.bias


class _Run:
    """One training, with all that a checkpoint needs to go on exactly where it was."""

    def __init__(self, samples: Samples, config: TrainConfig, current: Neck | None, processes: Processes = SINGLE):
        self.samples, self.config, self.processes = samples, config, processes
        self.generator = torch.Generator().manual_seed(config.seed)
        self.dims = config.dims
        self.init = _init(samples, config, current)
        self.labels = torch.from_numpy(samples.labels)
        self.inputs = inputs(samples, self.init)
        width = self.inputs[0].shape[1]
        self.student = _Student(self.init, width, self.dims[-1], config.dropout, self.generator)
        self.loss = NestedLoss(
            config.loss,
            torch.from_numpy(samples.class_sizes),
            self.dims,
            Settings(config.margin, config.scale, config.margin_min),
            config.sub_centres,
            self.generator,
        )
        self.loss.gather_by(processes.all_gather)
        if self.init:
            self._start_centres_at_class_means()
        self.late = samples.late.learner() if samples.late else None
        late = list(self.late.weights.values()) if self.late else []
        self.optimiser = _optimiser(config, self.student, self.loss, late)
        self.sampler = Sampler(samples, config, self.generator)
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

    def learned(self) -> Learned:
        """What was learned so far, as far as it is kept."""
        if self.late is None:
            return Learned(self._neck(self.config.neck_interpolation))
        share = self.config.interpolation
        return Learned(self._neck(share * self.config.neck_interpolation), self.late.adaptation(share))

    def _neck(self, share: float) -> Neck:
        """As one affine map, ``share`` of the way from where it started."""
        weight, bias = (parameter.detach().double().numpy() for parameter in (self.student.weight, self.student.bias))
        if self.init:
            if share < 1:
                weight, bias = share * weight + (1 - share) * np.eye(*weight.shape), share * bias
            weight, bias = weight @ self.init.weight, weight @ self.init.bias + bias
        return Neck("linear", weight.astype(np.float32), bias.astype(np.float32), self.dims)

    def epoch(self, steps: int) -> float:
        """Take so many steps; their mean loss. Raises :class:`DivergedError`."""
        losses = []
        order = self.sampler.draw()
        for start in range(0, steps * self.config.batch_size, self.config.batch_size):
            self._set_learning_rate()
            losses.append(self._take_step(order[start : start + self.config.batch_size]))
            self.step += 1
        loss = float(np.mean(losses))
        if not (math.isfinite(loss) and all(weight.isfinite().all() for weight in self.student.parameters())):
            raise DivergedError(
                say("the training grew beyond all bounds: lower the learning rate, of the neck or of the centres")
            )
        return loss

    def _set_learning_rate(self) -> None:
        scale = lr_scale(self.config, self.step, len(self.samples))
        for group in self.optimiser.param_groups:
            group["lr"] = group["full"] * scale

    def _take_step(self, rows: Tensor) -> float:
        loss = self._slope(rows)
        if self.config.optimiser == "sam":
            self._climb_and_look_again(rows)
        self.optimiser.step()
        return loss

    def _slope(self, rows: Tensor) -> float:
        """Leave the gradient of a batch in the parameters; its loss."""
        self.optimiser.zero_grad()
        loss = self._loss(rows)
        loss.backward()
        value = loss.detach()
        self.processes.all_reduce([value, *(p.grad for group in self.optimiser.param_groups for p in group["params"])])
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
        shard = self.processes.shard(len(rows))
        embeddings = self.student(self._draw_inputs(rows, shard), len(rows), shard)
        own = rows[shard]
        loss = self.loss(embeddings, self.labels[own]) * (len(own) / len(rows))
        if self.config.distillation:
            loss = loss + self.config.distillation * self._dissimilarity(embeddings, rows, shard)
        return loss

    def _draw_inputs(self, rows: Tensor, shard: slice) -> Tensor:
        own = rows[shard]
        if self.late:
            return self._draw_late(self.late, own)
        if len(self.inputs) == 1:
            return self.inputs[0][own].float()
        drawn = torch.randint(len(self.inputs), (len(rows),), generator=self.generator)[shard]
        inputs = self.inputs[0][own].float()
        for face, features in enumerate(self.inputs[1:], 1):
            inputs[drawn == face] = features[own[drawn == face]].float()
        return inputs

    def _draw_late(self, late: LateBlocks, rows: Tensor) -> Tensor:
        """Features of a view of each that is drawn, as the late blocks see it now."""
        drawn = torch.randint(1 + self.config.augmentations, (len(rows),), generator=self.generator)
        features = late.features(rows.numpy(), drawn.numpy())
        if self.init is None:
            return features
        return features @ torch.from_numpy(self.init.weight).T + torch.from_numpy(self.init.bias)

    def _dissimilarity(self, embeddings: Tensor, rows: Tensor, shard: slice) -> Tensor:
        """Mean squared difference between the batch's cosines in the embeddings and in the features.

        In a process's rows of that matrix, others' embeddings are constants. The matrix is symmetric, so its slope is
        twice theirs.
        """
        features = normalize(torch.from_numpy(self.samples.features[rows.numpy()]).float())
        wanted, terms = features[shard] @ features.T, []
        for dim in self.dims:
            own = normalize(embeddings[:, :dim])
            batch = own if self.processes.count == 1 else normalize(self.processes.all_gather(embeddings)[:, :dim])
            terms.append((own @ batch.T - wanted).square().sum() / len(rows) ** 2)
        found = torch.stack(terms).mean()
        return found if self.processes.count == 1 else 2 * found - found.detach()

    def state(self) -> dict:
        """Everything that changes from step to step."""
        return {
            "student": self.student.state_dict(),
            "loss": self.loss.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "generator": self.generator.get_state(),
            "step": self.step,
            "late": self.late.state() if self.late else {},
        }

    def go_on_from(self, state: dict) -> None:
        """Put back what :meth:`state` gave."""
        self.student.load_state_dict(state["student"])
        self.loss.load_state_dict(state["loss"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.generator.set_state(state["generator"])
        self.step = state["step"]
        if self.late:
            self.late.go_on_from(state["late"])


def fit(
    samples: Samples,
    config: TrainConfig,
    current: Neck | None = None,
    checkpoint: Path | None = None,
    processes: Processes = SINGLE,
) -> Iterator[Epoch]:
    """Train a neck; yields after every epoch with what was reached, so that whoever stops listening keeps that.

    ``current`` is the neck that ``config.init`` may go out from. With ``checkpoint`` every epoch is written there, and
    a training of the same samples by the same recipe goes on from what lies there to the same result. All of
    ``processes`` call this with the same arguments, and the first writes the checkpoint. Raises :class:`TrainingError`
    when there is nothing to learn from, or too little for the start.
    """
    if len(samples.class_sizes) < 2:
        least = config.min_images
        raise TrainingError(say("training needs at least 2 classes of {least} images; there are fewer", least=least))
    samples.check_finite()
    began = time.perf_counter()
    per_epoch, steps = config.steps_an_epoch(len(samples)), config.steps(len(samples))
    epochs = math.ceil(steps / per_epoch)
    run = _Run(samples, config, current, processes)
    of = fingerprint(samples, config, current) if checkpoint else ""
    if state := processes.broadcast(read_state(checkpoint, of) if checkpoint and processes.is_first else None):
        run.go_on_from(state)
    first = epochs if run.step >= steps else run.step // per_epoch  # the last may be a short one
    stage = Stage(to_say("training"), epochs, to_say("epochs"), done=first)
    for number in range(first + 1, epochs + 1):
        loss = run.epoch(min(per_epoch, steps - run.step))
        learned = run.learned()
        if checkpoint and processes.is_first:
            kept = Checkpoint(of, learned, config, samples.about)
            write_checkpoint(checkpoint, run.state(), kept)
        rate = config.learning_rate * lr_scale(config, run.step - 1, len(samples))
        seconds, step = time.perf_counter() - began, stage.at(number)
        yield Epoch(number, epochs, loss, rate, learned, seconds, step.seconds_left)


def lr_scale(config: TrainConfig, step: int, images: int) -> float:
    """What part of the full learning rate step ``step`` (from 0) takes: 0..1."""
    total, rising = config.steps(images), config.warmup_epochs * config.steps_an_epoch(images)
    scale = 1.0
    if config.schedule == "cosine":
        scale = config.final_lr_scale + (1 - config.final_lr_scale) * (1 + math.cos(math.pi * step / total)) / 2
    if config.warmup == "none" or rising <= 0:
        return scale
    linear = min(1.0, (step + 1) / rising)
    return scale * (linear if config.warmup == "linear" else 1 - math.exp(-(step + 1) / rising))


def reached(samples: Samples, config: TrainConfig, checkpoint: Path, current: Neck | None = None) -> Learned | None:
    """What was learned in a training that was stopped, also where its data changed since; None where nothing was. Of an
    earlier version's checkpoint only where it is of just this training."""
    if kept := read_checkpoint(checkpoint):
        return kept.learned
    state = read_state(checkpoint, fingerprint(samples, config, current))
    if state is None:
        return None
    run = _Run(samples, config, current)
    run.go_on_from(state)
    return run.learned()


def _init(samples: Samples, config: TrainConfig, current: Neck | None) -> Neck | None:
    """The affine map that training goes out from, at a length that suits it; None: the features themselves."""
    if config.init == "random":
        return None
    dim = config.dims[-1]
    if config.init == "current" and current and len(current.bias) >= dim and current.kind != "identity":
        axes = current
    else:  # few images tell few axes: behind these come all other directions, in which later images differ, too
        least = 0.0 if len(samples) > dim else LEAST_VARIANCE
        axes = pca(samples.features, (dim,), config.whitening, least_variance=least)
    lengths = (np.linalg.norm(rows @ axes.weight.T + axes.bias, axis=1).sum() for _, rows in blocks(samples.features))
    length = sum(lengths) / len(samples)
    return Neck(axes.kind, axes.weight * (START_LENGTH / length), axes.bias * (START_LENGTH / length), axes.dims)


def _optimiser(
    config: TrainConfig, student: nn.Module, loss: NestedLoss, late: list[nn.Parameter]
) -> torch.optim.Optimizer:
    groups = [
        {"params": list(student.parameters()), "full": config.learning_rate},
        {"params": [loss.centres.weight], "full": config.centre_learning_rate},
    ]
    if late:
        groups.append({"params": late, "full": config.backbone_learning_rate})
    fused = all(weight.device.type == "cpu" for weight in late)
    rate, decay = config.learning_rate, config.weight_decay
    match config.optimiser:
        case "sgd":
            return torch.optim.SGD(groups, rate, MOMENTUM, weight_decay=decay)
        case "adam":
            return torch.optim.Adam(groups, rate, weight_decay=decay, fused=fused)
        case _:  # AdamW, and SAM around it
            return torch.optim.AdamW(groups, rate, weight_decay=decay, fused=fused)


def fingerprint(samples: Samples, config: TrainConfig, current: Neck | None) -> str:
    """sha256 of all that a training depends on."""
    digest = hashlib.sha256(json.dumps(config.as_json(), sort_keys=True).encode())
    for array in (samples.features, samples.labels, samples.domains, samples.augmented):
        if isinstance(array, FeatureTable):
            digest.update(array.fingerprint.encode())
        elif array is not None:
            digest.update(np.ascontiguousarray(array).data)
    if samples.late:
        digest.update(samples.late.fingerprint.encode())
    if config.init == "current" and current:
        digest.update(current.hash.encode())
    return digest.hexdigest()
