"""The blocks of a backbone that learn with the neck: from kept maps to features, with slopes.

The frozen part is not run again, batch norms stay in evaluation mode (their means and variances are the original's),
and what is learned may be taken back part of the way, since weights between the original and the learned ones often
serve unseen things best (Wortsman et al. 2022, WiSE-FT, arXiv 2109.01903, eq. 1).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unifex.core.errors import UnifexError
from unifex.core.language import say
from unifex.models import backbones, engines
from unifex.models.adaptation import Adaptation
from unifex.models.backbones import BackboneSpec
from unifex.training.late_maps import FrozenPart, KeptMaps

AT_ONCE = 64  # images whose features are computed together: their maps still lie near the processor
STEP = 3.5  # times the way forward: it goes back, too, and moves weights
LESS_EACH = 0.9  # of the time an image: if twice as many at once take that, still more are tried


class DivergedError(UnifexError):
    """A training whose weights grew beyond all bounds; the message says which setting to lower."""


@dataclass(frozen=True)
class LateSamples:
    """Maps of the training images, which are at ``positions`` of the kept ones, and whose they are: ``blocks`` late
    blocks of ``backbone``."""

    backbone: BackboneSpec
    blocks: int
    maps: KeptMaps
    positions: np.ndarray

    @property
    def fingerprint(self) -> str:
        """Equal for equal content."""
        return self.maps.fingerprint

    def learner(self) -> LateBlocks:
        """The blocks as the backbone has them."""
        return LateBlocks(self)


class LateBlocks:
    """Late blocks that learn, on the GPU where there is one; features leave it, since a neck is trained on the CPU."""

    def __init__(self, samples: LateSamples):
        self._samples = samples
        network = backbones.build(samples.backbone)
        self._before = {name: weight.detach().clone() for name, weight in network.stages.named_parameters()}
        self._device = torch.device(engines.torch_device())
        self._network = network.to(self._device, memory_format=torch.channels_last)  # convolutions in half the time
        self.weights: dict[str, torch.nn.Parameter] = network.learning(samples.blocks)
        for weight in self.weights.values():
            weight.requires_grad_(True)

    def features(self, rows: np.ndarray, numbers: np.ndarray) -> Tensor:
        """Features float32 [B, D], on the CPU, of views ``numbers`` of the training images ``rows``."""
        maps = _as_input(self._samples.maps.read(self._samples.positions[rows], numbers), self._device)
        with _as_it_learns(self._device):
            parts = [self._network.late(part, self._samples.blocks) for part in maps.split(AT_ONCE)]
        return torch.cat(parts).float().cpu()

    def adaptation(self, share: float) -> Adaptation | None:
        """What was learned, ``share`` of the way from where it began (0) to where it is (1); None for nothing.

        Raises :class:`DivergedError` when it is no number any more.
        """
        after = {}
        for name, weight in self.weights.items():
            learned = torch.lerp(self._before[name], weight.detach().cpu(), share)
            if not (weight.isfinite().all() and (learned - self._before[name]).half().isfinite().all()):
                raise DivergedError(say("the late blocks learned nonsense: lower the learning rate of the backbone"))
            if not torch.equal(learned, self._before[name]):
                after[name] = learned
        if not after:
            return None
        known = self._samples.backbone.adaptation
        if known is None:
            return Adaptation.between(self._before, after)
        # What did not learn differs from the original by what it did: taken again, that would be rounded anew.
        kept = {name: difference for name, difference in known.differences.items() if name not in after}
        return Adaptation(kept | Adaptation.between(self._original(), after).differences)

    def _original(self) -> dict[str, Tensor]:
        """What an adaptation is the difference to: the weights as they came."""
        return dict(backbones.build(replace(self._samples.backbone, adaptation=None)).stages.named_parameters())

    def state(self) -> dict[str, Tensor]:
        """What changes from step to step."""
        return {name: weight.detach().cpu() for name, weight in self.weights.items()}

    def go_on_from(self, state: dict[str, Tensor]) -> None:
        """Put back what :meth:`state` gave."""
        with torch.no_grad():
            for name, weight in self.weights.items():
                weight.copy_(state[name])


def adapted_features(samples: LateSamples, adaptation: Adaptation, positions: np.ndarray) -> np.ndarray:
    """Features float16 [len(positions), D] of images as the adapted backbone sees them; positions of the kept ones."""
    plain = replace(samples.backbone, adaptation=None)
    device = torch.device(engines.torch_device())
    network: Any = backbones.build(plain.adapted(adaptation)).to(device, memory_format=torch.channels_last)
    found = np.empty((len(positions), plain.feature_dim), np.float16)
    with torch.inference_mode():
        for start in range(0, len(positions), AT_ONCE):
            rows = slice(start, start + AT_ONCE)
            maps = _as_input(samples.maps.read(positions[rows]), device)
            found[rows] = network.late(maps, samples.blocks).half().cpu().numpy()
    return found


def _as_it_learns(device: torch.device) -> torch.autocast:
    """Matrix products in bfloat16 where a step takes half the time by it. Weights and what is added to them stay
    float32 (Micikevicius et al. 2018, mixed precision training, arXiv 1710.03740)."""
    quicker = device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()
    return torch.autocast(device.type, torch.bfloat16, enabled=quicker)


def _as_input(maps: np.ndarray, device: torch.device) -> Tensor:
    """Maps as late blocks take them, float32; those of an image with its channels last, as the weights lie."""
    given = torch.from_numpy(maps).to(device).float()
    return given.contiguous(memory_format=torch.channels_last) if given.ndim == 4 else given


def frozen_part(network: Any, backbone: BackboneSpec, blocks: int) -> FrozenPart:
    """What comes before the last ``blocks`` of ``network``, the backbone's, by the engine that runs it here."""

    class Part(torch.nn.Module):
        def forward(self, pixels: Tensor) -> Tensor:
            return network.early(pixels, blocks)

    def by_torch(pixels: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return network.early(torch.from_numpy(pixels).to(network.mean.device), blocks).half().cpu().numpy()

    side = backbone.preprocessing.size
    shape = by_torch(np.zeros((1, side, side, 3), np.uint8)).shape[1:]
    if engines.engine_name(backbone) != "openvino":
        return FrozenPart(blocks, shape, by_torch, workers=2)
    engine = engines.OpenVINOEngine(backbone, Part().eval())
    return FrozenPart(blocks, shape, lambda pixels: engine.bulk(pixels).astype(np.float16), engine.workers)


@dataclass(frozen=True)
class Pace:
    """Seconds here: ``early`` for the frozen part of one view, ``step`` to learn from one, ``late`` to look at one."""

    early: float
    step: float
    late: float


def measure_pace(network: Any, frozen: FrozenPart, size: int) -> Pace:
    """Try a few images of ``size`` out: the frozen part, and the late blocks of ``network``."""
    images = 8
    pixels = np.zeros((images, size, size, 3), np.uint8)
    network = network.to(memory_format=torch.channels_last)  # as it learns
    few, device = frozen.run(pixels), network.mean.device
    early = _seconds(lambda: frozen.run(pixels)) / images / max(1, frozen.workers - 1)

    def late(count: int) -> float:
        maps = _as_input(np.repeat(few, count // images, axis=0), device)
        return _seconds(lambda: network.late(maps, frozen.blocks).cpu()) / count

    with torch.inference_mode():
        look = _at_its_best(late, images)
        with _as_it_learns(device):
            step = STEP * _at_its_best(late, images)
    return Pace(early, step, look)


def _at_its_best(each: Callable[[int], float], count: int) -> float:
    """Seconds an image, of so many at once as make it less: ``AT_ONCE`` at most, fewer of a network to which it is all
    the same, since it is a slow one."""
    seconds = each(count)
    while count < AT_ONCE:
        count *= 2
        before, seconds = seconds, each(count)
        if seconds > LESS_EACH * before:
            return min(before, seconds)
    return seconds


def _seconds(work: Callable[[], object]) -> float:
    work()  # the first one makes what the others find
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
