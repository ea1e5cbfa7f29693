"""What a deep training made of a backbone's late blocks: the difference to the weights it went out from.

It travels in a model's ``model.safetensors`` beside the neck, as float16: a weight is the original, which is named and
not copied, plus the difference. So a model on the bundled backbone stays below 12 MB, and nothing else has to know.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from unifex.core.errors import UnifexError
from unifex.core.language import say

if TYPE_CHECKING:
    import torch

PREFIX = "backbone."  # before a weight's name in a model's file


class AdaptationError(UnifexError):
    """Differences that belong to no such backbone; the message says what does not fit."""


@dataclass(frozen=True, eq=False)
class Adaptation:
    """``differences``: float16, of the shape of the weight they are added to, by its name in the backbone's stages."""

    differences: dict[str, np.ndarray]

    def __post_init__(self) -> None:
        for name, difference in self.differences.items():
            if difference.dtype != np.float16 or not np.isfinite(difference).all():
                raise ValueError(f"{PREFIX}{name} does not hold finite float16 numbers")

    @classmethod
    def between(cls, before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> Adaptation:
        """Of weights by name; those that are alike are left out."""
        changes = {name: (weight.detach().cpu() - before[name].detach().cpu()) for name, weight in after.items()}
        return cls({name: change.half().numpy() for name, change in changes.items() if change.any()})

    @classmethod
    def read(cls, file: Path) -> Adaptation | None:
        """Of a model's ``model.safetensors``; None where only the neck was trained.

        Raises OSError, ``SafetensorError`` and ValueError.
        """
        from safetensors import safe_open

        with safe_open(file, "numpy") as opened:
            names = [name for name in opened.keys() if name.startswith(PREFIX)]  # noqa: SIM118  no dict
            found = {name.removeprefix(PREFIX): opened.get_tensor(name) for name in names}
        return cls(found) if found else None

    @cached_property
    def hash(self) -> str:
        """sha256 of names, shapes and numbers, 16 hexadecimal digits."""
        digest = hashlib.sha256()
        for name, difference in sorted(self.differences.items()):
            digest.update(f"{name} {difference.shape}".encode())
            digest.update(np.ascontiguousarray(difference).data)
        return digest.hexdigest()[:16]

    def tensors(self) -> dict[str, np.ndarray]:
        """As they stand in a model's file."""
        return {PREFIX + name: np.ascontiguousarray(difference) for name, difference in self.differences.items()}

    def apply(self, stages: torch.nn.Module, backbone: str) -> None:
        """Add the differences to the weights. Raises :class:`AdaptationError` where ``backbone`` has none such."""
        import torch

        weights = dict(stages.named_parameters())
        self._check({name: tuple(weight.shape) for name, weight in weights.items()}, backbone)
        for name, difference in self.differences.items():
            with torch.no_grad():
                weights[name].add_(torch.from_numpy(difference.astype(np.float32)))

    def added_to(self, weights: dict[str, np.ndarray], backbone: str) -> dict[str, np.ndarray]:
        """The same of weights that are no network yet: all of them, float32."""
        self._check({name: weight.shape for name, weight in weights.items()}, backbone)
        return weights | {name: weights[name] + difference for name, difference in self.differences.items()}

    def _check(self, shapes: dict[str, tuple[int, ...]], backbone: str) -> None:
        for name, difference in self.differences.items():
            if shapes.get(name) != difference.shape:
                raise AdaptationError(
                    say(
                        "backbone '{backbone}' has no weight '{weight}' of {shape}: the model was trained on "
                        "another; train it again, or get it from where it came",
                        backbone=backbone,
                        weight=name[:80],
                        shape=difference.shape,
                    )
                )
