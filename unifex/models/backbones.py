"""What a frozen backbone is: one :class:`BackboneSpec` says everything that is particular to one.

It names the architecture, where its weights come from, how an image is fitted to its input and how its maps become
one feature vector. :func:`build` makes a network from uint8 pixels to features of it; running that fast is
``engines``' business, and ``zoo`` knows which backbones there are. torch is imported only when a network is built.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unifex.core.errors import UnifexError
from unifex.core.language import say
from unifex.core.preprocessing import Preprocessing
from unifex.models import hub
from unifex.models.hub import HubFile

if TYPE_CHECKING:
    import openvino
    import torch

    from unifex.models.adaptation import Adaptation
    from unifex.models.towers import TextTower

ADAPTED = ", adapted"  # ends the title of a backbone that was
GRAPH_VERSION = 1  # raise it when the way features are computed changes: cached graphs and old galleries depend on it


class BackboneError(UnifexError):
    """A backbone that is not known or whose weights cannot be had; the message names the remedy."""


@dataclass(frozen=True)
class MapPool:
    """One part of the feature vector: a stage's map [B, C, H, W] (or [B, C]), pooled, L2-normalised, times ``weight``.

    ``power``: exponent of generalised-mean pooling (Radenovic et al. 2018, arXiv 1711.02512, eq. 3); 1 is the mean.
    """

    stage: str
    channels: int
    power: float = 1.0
    weight: float = 1.0


@dataclass(frozen=True)
class BackboneSpec:
    """One backbone. ``parameters`` counts the deployed network without its classifier; ``engine``: the only one
    that runs it, empty for whichever is fastest.

    ``gigaflops``: 10^9 floating point operations an image (a multiply-add is two), 0 when unknown. ``hub_file``: its
    weights, when they come from the hub. ``text`` makes the text tower of ``text_parameters`` weights, if it has one.
    ``late_blocks``: so many of its last blocks learn in a deep training, with all behind them; 0 where none can.
    ``adaptation``: what such a training has made of them. ``graph`` draws its graph without torch; where there is none,
    what ``stages`` builds is traced.
    """

    id: str
    title: str
    architecture: str
    weights: str
    weights_files: Callable[[], tuple[Path, ...]]
    stages: Callable[..., torch.nn.Module]
    pools: tuple[MapPool, ...]
    preprocessing: Preprocessing
    parameters: int
    licence: str
    engine: str = ""
    gigaflops: float = 0.0
    hub_file: HubFile | None = None
    text: Callable[[Path], TextTower] | None = None
    text_parameters: int = 0
    tokenizer: str = ""
    paper_name: str = ""
    late_blocks: int = 0
    adaptation: Adaptation | None = None
    graph: Callable[[BackboneSpec], openvino.Model] | None = None

    @property
    def said(self) -> str:
        """Its title in the language that is spoken."""
        return say("{backbone}, adapted", backbone=self.title.removesuffix(ADAPTED)) if self.adaptation else self.title

    @property
    def called(self) -> str:
        """Its id, of one that was adapted with what tells it from the plain one."""
        return f"{self.id}{ADAPTED}" if self.adaptation else self.id

    @property
    def here(self) -> bool:
        """Whether its weights are on this computer."""
        return self.hub_file is None or hub.find(self.hub_file) is not None

    @property
    def download_bytes(self) -> int:
        """What fetching its weights costs, about: both towers come in one file of float32."""
        return 4 * (self.parameters + self.text_parameters) if self.hub_file else 0

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
        digest = hashlib.sha256(b"".join(map(_file_hash, self.weights_files())) + json.dumps(recipe).encode())
        if self.adaptation:
            digest.update(self.adaptation.hash.encode())
        return digest.hexdigest()[:16]

    def adapted(self, adaptation: Adaptation) -> BackboneSpec:
        """The backbone that a deep training made of this one. Its words are the original's: features move so little
        that they are still found by them (``python -m benchmarks.known_words``)."""
        if not adaptation.differences:
            return replace(self, adaptation=None)
        title = f"{self.title.removesuffix(ADAPTED)}{ADAPTED}"
        return replace(self, title=title, adaptation=adaptation)


@cache
def _file_hash(path: Path) -> bytes:
    known = hub.sha256_of(path)  # gigabytes are not read at every start
    if known:
        return known
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def build(spec: BackboneSpec) -> Any:
    """The frozen network of a row: uint8 pixels [B, size, size, 3] -> float32 features [B, feature_dim].

    Normalisation, pooling and concatenation are inside, so that every engine and every export computes the same; the
    latter two in 32 bits, whatever the network runs in. Raises :class:`BackboneError` for an adaptation of another.
    """
    import torch
    from torch.nn.functional import normalize

    class Network(torch.nn.Module):
        mean: torch.Tensor
        scale: torch.Tensor

        def __init__(self) -> None:
            super().__init__()
            prep = spec.preprocessing
            self.register_buffer("mean", 255 * torch.tensor(prep.mean).view(1, 3, 1, 1))
            self.register_buffer("scale", 1 / (255 * torch.tensor(prep.std).view(1, 3, 1, 1)))
            self.stages: Any = spec.stages(*spec.weights_files())
            if spec.adaptation:
                spec.adaptation.apply(self.stages, spec.id)

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return self._pooled(self.stages(self._images(pixels)))

        def early(self, pixels: torch.Tensor, late_blocks: int) -> torch.Tensor:
            return self.stages.early(self._images(pixels), late_blocks)

        def late(self, maps: torch.Tensor, late_blocks: int) -> torch.Tensor:
            return self._pooled(self.stages.late(maps, late_blocks))

        def learning(self, late_blocks: int) -> dict[str, torch.nn.Parameter]:
            return self.stages.learning(late_blocks)

        def _images(self, pixels: torch.Tensor) -> torch.Tensor:
            return (pixels.permute(0, 3, 1, 2).float() - self.mean) * self.scale

        def _pooled(self, maps: dict[str, torch.Tensor]) -> torch.Tensor:
            return torch.cat([self._pool(maps[pool.stage].float(), pool) for pool in spec.pools], dim=1)

        @staticmethod
        def _pool(maps: torch.Tensor, pool: MapPool) -> torch.Tensor:
            if maps.ndim == 2:
                pooled = maps
            elif pool.power == 1:
                pooled = maps.mean((2, 3))
            else:
                pooled = maps.clamp(min=1e-6).pow(pool.power).mean((2, 3)).pow(1 / pool.power)
            return pool.weight * normalize(pooled, dim=1)

    return Network().eval().requires_grad_(False)
