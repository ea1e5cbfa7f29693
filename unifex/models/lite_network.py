"""The EfficientNet-Lites in torch: Tan and Le 2019 without squeeze-and-excitation, with ReLU6, padded as by TensorFlow.

Parts are called what timm calls them, which is how adapted weights are kept. timm itself has them, too, and takes two
seconds to import.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from unifex.core.language import say
from unifex.models.backbones import BackboneError
from unifex.models.inverted_residual import Maps, pad_same, pointwise, run_block
from unifex.models.lite_weights import EPSILON, KERNELS, STEM_STRIDE, STRIDES

STEM, HEAD, WIDER = 32, 1280, 6


class SameConvolution(torch.nn.Conv2d):
    """Without bias. Of an uneven padding, more goes below and to the right."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1):
        padding = kernel // 2 if stride == 1 else 0
        super().__init__(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """[B, C, H, W] -> [B, C', H / stride, W / stride], rounded up."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        return super().forward(maps if stride == 1 else pad_same(maps, kernel, stride))


class Normalization(torch.nn.BatchNorm2d):
    """And what follows it: ReLU6, or nothing."""

    def __init__(self, channels: int, acts: bool = True):
        super().__init__(channels, EPSILON)
        self.act = torch.nn.ReLU6() if acts else torch.nn.Identity()

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """[B, C, H, W] -> the same shape."""
        return self.act(super().forward(maps))


class SeparableBlock(torch.nn.Module):
    """That of the first stage: a depthwise convolution, and one with 1x1 kernels."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int):
        super().__init__()
        self.conv_dw, self.bn1 = SameConvolution(inputs, inputs, kernel, stride, inputs), Normalization(inputs)
        self.conv_pw, self.bn2 = SameConvolution(inputs, outputs), Normalization(outputs, acts=False)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """[B, C, H, W] -> [B, C', H / stride, W / stride]."""
        return self.bn2(self.conv_pw(self.bn1(self.conv_dw(maps))))


class InvertedResidual(torch.nn.Module):
    """1x1 kernels to six times the channels, a depthwise convolution, 1x1 kernels back (Sandler et al. 2018)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int):
        super().__init__()
        wide = WIDER * inputs
        self.conv_pw, self.bn1 = SameConvolution(inputs, wide), Normalization(wide)
        self.conv_dw, self.bn2 = SameConvolution(wide, wide, kernel, stride, wide), Normalization(wide)
        self.conv_pwl, self.bn3 = SameConvolution(wide, outputs), Normalization(outputs, acts=False)
        self.has_skip = stride == 1 and inputs == outputs

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """[B, C, H, W] -> [B, C', H / stride, W / stride]."""
        found = self.bn1(self.conv_pw(maps))
        found = self.bn3(self.conv_pwl(self.bn2(self.conv_dw(found))))
        return found + maps if self.has_skip else found


class LiteStages(torch.nn.Module):
    """All but the classifier. ``widths``: channels of what each of the seven stages gives; ``repeats``: its blocks.

    Images are float [B, 3, H, W], normalised. Raises ``BackboneError`` for late blocks that are none, or all.
    """

    def __init__(self, widths: Sequence[int], repeats: Sequence[int]):
        super().__init__()
        self.widths = tuple(widths)
        self.stem = torch.nn.Sequential(SameConvolution(3, STEM, 3, STEM_STRIDE), Normalization(STEM))
        self.blocks = torch.nn.Sequential()
        inputs = STEM
        for width, count, kernel, stride in zip(widths, repeats, KERNELS, STRIDES, strict=True):
            kind = InvertedResidual if len(self.blocks) else SeparableBlock
            first, others = (
                kind(inputs, width, kernel, stride),
                [kind(width, width, kernel, 1) for _ in range(count - 1)],
            )
            self.blocks.append(torch.nn.Sequential(first, *others))
            inputs = width
        self.head = torch.nn.Sequential(SameConvolution(inputs, HEAD), Normalization(HEAD))

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """The map of its blocks [B, C, H / 32, W / 32], and that of its head."""
        last = self.blocks(self.stem(images))
        return {"blocks": last, "head": self.head(last)}

    def early(self, images: torch.Tensor, late_blocks: int) -> torch.Tensor:
        """The map [B, C, H', W'] that goes into the late blocks."""
        return self.blocks[: self._first(late_blocks)](self.stem(images))

    def late(self, maps: torch.Tensor, late_blocks: int) -> dict[str, torch.Tensor]:
        """What :meth:`forward` gives, of the maps of :meth:`early`, as matrix products."""
        last = Maps.of(maps)
        for stage in self.blocks[self._first(late_blocks) :]:
            for block in stage.children():
                last = run_block(block, last)
        return {"blocks": last.tensor(), "head": pointwise(self.head[0], self.head[1], last).tensor()}

    def learning(self, late_blocks: int) -> dict[str, torch.nn.Parameter]:
        """The weights of the late blocks and the head, by name."""
        first = self._first(late_blocks)
        late = (*(f"blocks.{number}." for number in range(first, len(self.blocks))), "head.")
        return {name: weight for name, weight in self.named_parameters() if name.startswith(late)}

    def channels_before(self, late_blocks: int) -> int:
        """C of :meth:`early`."""
        return self.widths[self._first(late_blocks) - 1]

    def _first(self, late_blocks: int) -> int:
        if not 0 < late_blocks < len(self.blocks):
            raise BackboneError(
                say(
                    "{late} late blocks of {count}: at least one learns, and one stays as it is",
                    late=late_blocks,
                    count=len(self.blocks),
                )
            )
        return len(self.blocks) - late_blocks
