"""What a neck learns from, as tensors, and in which order: in memory, or read from disk as it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from unifex.core.errors import UnifexError
from unifex.core.language import say
from unifex.models.feature_table import Features, FeatureTable, blocks
from unifex.models.neck import Neck
from unifex.training.config import TrainConfig

if TYPE_CHECKING:
    from unifex.training.late_blocks import LateSamples


class TrainingError(UnifexError):
    """Samples that nothing can be learned from; the message says what is missing."""


@dataclass(frozen=True)
class Blocks:
    """How features come from disk: so many ``rows`` are read together, and those of so many ``mixed`` blocks mixed."""

    rows: int = 1024
    mixed: int = 64


@dataclass(frozen=True)
class Samples:
    """What a neck learns from. ``features`` [N, D] and ``augmented`` [N, A, D] (or None) of any float type; ``labels``
    int64 [N] from 0 without gaps; ``domains`` int64 [N]. Features may stay on disk, come in ``blocks`` and have no
    augmentations then. ``late``: maps to learn from in their stead, where late blocks learn, too. ``about``: plain
    values that are kept with what is learned. ``path_of`` names the image of a row."""

    features: Features
    labels: np.ndarray
    domains: np.ndarray
    augmented: np.ndarray | None = None
    blocks: Blocks = Blocks()
    late: LateSamples | None = None
    about: Mapping[str, Any] = field(default_factory=dict)
    path_of: Callable[[int], str] = str

    def __len__(self) -> int:
        return len(self.labels)

    def check_finite(self) -> None:
        """Raises :class:`TrainingError` where features are not, as earlier versions kept them."""
        bad = [rows.start + np.flatnonzero(~np.isfinite(part).all(axis=1)) for rows, part in blocks(self.features)]
        if len(of := np.concatenate(bad)):
            raise TrainingError(
                say(
                    "nothing can be learned from '{path}' (and {others} others), of which the model made no finite "
                    "numbers; remove such pictures, or index with another model",
                    path=self.path_of(int(of[0])),
                    others=len(of) - 1,
                )
            )

    @property
    def class_sizes(self) -> np.ndarray:
        """Images of every class, int64 [C]."""
        return np.bincount(self.labels)


class InputsOnDisk:
    """Inputs as a tensor has them, made of features when they are asked for: ``[rows]`` is [len(rows), width]."""

    def __init__(self, features: FeatureTable, init: Neck | None):
        self.features, self.init = features, init
        self.shape = (len(features), len(init.bias) if init else features.dim)

    def __getitem__(self, rows: Tensor | slice) -> Tensor:
        return _as_inputs(self.features[rows if isinstance(rows, slice) else rows.numpy()], self.init)


def inputs(samples: Samples, init: Neck | None) -> list[Tensor | InputsOnDisk]:
    """What a sample may look like: its features, then each of its augmentations'; [N, width] each.

    float32 after the affine map ``init``; without one as the features are.
    """
    if isinstance(samples.features, FeatureTable):
        return [InputsOnDisk(samples.features, init)]
    augmented = () if samples.augmented is None else np.moveaxis(samples.augmented, 1, 0)
    return [_as_inputs(np.ascontiguousarray(features), init) for features in (samples.features, *augmented)]


def _as_inputs(features: np.ndarray, init: Neck | None) -> Tensor:
    if init is None:
        return torch.from_numpy(features)  # float16 as cached; a step makes its own rows float32
    return torch.from_numpy((features @ init.weight.T + init.bias).astype(np.float32))


class Sampler:
    """Who takes part in an epoch, and when. Draws from ``generator`` alone."""

    def __init__(self, samples: Samples, config: TrainConfig, generator: torch.Generator):
        self._count, self._generator = len(samples), generator
        self._blocks = samples.blocks if isinstance(samples.features, FeatureTable) else None
        self._chances = sampling_weights(samples, config)

    def draw(self) -> Tensor:
        """Rows of the next epoch, int64 [N]."""
        if self._chances is not None:
            drawn = torch.multinomial(self._chances, self._count, replacement=True, generator=self._generator)
            return _by_blocks(drawn, self._blocks, self._generator) if self._blocks else drawn
        if self._blocks:
            return _by_blocks(torch.arange(self._count), self._blocks, self._generator)
        return torch.randperm(self._count, generator=self._generator)


def sampling_weights(samples: Samples, config: TrainConfig) -> Tensor | None:
    """How likely each sample is drawn next, float64 [N] up to a factor; None: every sample once an epoch."""
    if config.sampling == "images":
        return None
    groups = samples.labels if config.sampling == "classes" else samples.domains
    _, codes, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    return torch.from_numpy(1 / sizes[codes])


def _by_blocks(rows: Tensor, blocks: Blocks, generator: torch.Generator) -> Tensor:
    """``rows`` in an order that reads a disk well: blocks come shuffled, and rows shuffled within windows of blocks."""
    block = rows // blocks.rows
    place = torch.randperm(int(block.max()) + 1, generator=generator)[block]
    rows = rows[torch.argsort(place, stable=True)]
    windows = rows.split(blocks.rows * blocks.mixed)
    return torch.cat([window[torch.randperm(len(window), generator=generator)] for window in windows])
