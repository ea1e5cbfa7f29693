"""Inverted residual blocks as matrix products, which processors make quickest of all, slopes included.

On maps as small as those of late blocks a depthwise convolution is one, too: of every channel, what lies at the places
of a map times a matrix [places, places] that holds the kernel's weights where a tap joins the two, and zeros elsewhere.
Multiplying these costs less than the slope of a depthwise 5x5 kernel, for which no library has a quick way, on somewhat
larger maps in bfloat16. Beyond, the zeros would be too many, and the matrices would fill the memory: there it is a
convolution.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

# Of a place before and one after, up to which a product is quicker than a convolution and its slope: in float32 17 x 17
# to 9 x 9 is, 14 x 14 to itself not; in bfloat16, which halves what a product costs, 17 x 17 to itself is.
MOST_PAIRS = 25_000
MOST_PAIRS_BFLOAT16 = 90_000


@dataclass(frozen=True, eq=False)
class Maps:
    """``values``: float [C, B, H * W], so that a product over channels, or over places, needs no copy. ``shape``:
    (H, W)."""

    values: torch.Tensor
    shape: tuple[int, int]

    @classmethod
    def of(cls, maps: torch.Tensor) -> Maps:
        """Of maps [B, C, H, W]."""
        height, width = maps.shape[2:]
        return cls(maps.transpose(0, 1).flatten(2), (height, width))

    def tensor(self) -> torch.Tensor:
        """[B, C, H, W], a view."""
        return self.values.transpose(0, 1).unflatten(2, self.shape)


def run_block(block: Any, maps: Maps) -> Maps:
    """An ``InvertedResidual`` of :mod:`unifex.models.lite_network`, its batch norms in evaluation mode."""
    found = pointwise(block.conv_pw, block.bn1, maps)
    found = depthwise(block.conv_dw, block.bn2, found)
    found = pointwise(block.conv_pwl, block.bn3, found)
    return Maps(found.values + maps.values, found.shape) if block.has_skip else found


def pointwise(convolution: Any, norm: Any, maps: Maps) -> Maps:
    """A convolution with 1x1 kernels, and its batch norm in evaluation mode."""
    import torch

    weight, bias = _folded(convolution, norm)
    found = torch.addmm(bias.unsqueeze(1), weight, maps.values.flatten(1))
    return Maps(norm.act(found).unflatten(1, maps.values.shape[1:]), maps.shape)


def depthwise(convolution: Any, norm: Any, maps: Maps) -> Maps:
    """A depthwise convolution that pads as TensorFlow does, and its batch norm in evaluation mode."""
    height, width = maps.shape
    stride = convolution.stride[0]
    pairs = height * width * -(-height // stride) * -(-width // stride)
    run = _by_products if pairs <= _most_pairs(maps.values.device.type) else _by_convolution
    return run(convolution, norm, maps)


def _most_pairs(device: str) -> int:
    import torch

    halved = torch.is_autocast_enabled(device) and torch.get_autocast_dtype(device) == torch.bfloat16
    return MOST_PAIRS_BFLOAT16 if halved else MOST_PAIRS


def _by_products(convolution: Any, norm: Any, maps: Maps) -> Maps:
    import torch

    weight, bias = _folded(convolution, norm)
    taps, shape = _taps(convolution.kernel_size[0], convolution.stride[0], maps.shape)
    matrices = (weight @ torch.from_numpy(taps).to(weight)).unflatten(1, (maps.values.shape[2], -1))
    return Maps(norm.act(torch.baddbmm(bias[:, None, None], maps.values, matrices)), shape)


def _by_convolution(convolution: Any, norm: Any, maps: Maps) -> Maps:
    import torch

    kernel, stride, (weight, bias) = convolution.kernel_size, convolution.stride, _folded(convolution, norm)
    weight = weight.unflatten(1, (1, *kernel))
    with torch.autocast(weight.device.type, enabled=False):  # whose slope takes a processor four times as long
        padded = pad_same(maps.tensor().to(weight), kernel[0], stride[0])
        return Maps.of(norm.act(torch.nn.functional.conv2d(padded, weight, bias, stride, groups=len(weight))))


def pad_same(maps: torch.Tensor, kernel: int, stride: int) -> torch.Tensor:
    """[B, C, H, W] with zeros around, so that a convolution gives H / stride and W / stride, rounded up; where they are
    uneven, more below and to the right."""
    import torch

    missing = [max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in maps.shape[:1:-1]]
    return torch.nn.functional.pad(maps, [half for of in missing for half in (of // 2, of - of // 2)])


def _folded(convolution: Any, norm: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight [C, the rest] and bias [C] of both as one."""
    import torch

    scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    return convolution.weight.flatten(1) * scale.unsqueeze(1), norm.bias - norm.running_mean * scale


@lru_cache(maxsize=16)  # of a backbone's blocks there are a few; none is above 9 MB
def _taps(kernel: int, stride: int, shape: tuple[int, int]) -> tuple[np.ndarray, tuple[int, int]]:
    """Which tap joins which places: float32 [kernel^2, H * W * H' * W'], 0 or 1; and the outputs' (H', W')."""
    down, across = (_taps_along(kernel, stride, side) for side in shape)
    joined = np.einsum("aih,bjw->abijhw", down, across)
    return joined.reshape(kernel * kernel, -1), (down.shape[2], across.shape[2])


def _taps_along(kernel: int, stride: int, side: int) -> np.ndarray:
    """Float32 [kernel, side, outputs]: 1 where an output sees an input by a tap."""
    outputs = -(-side // stride)
    before = max((outputs - 1) * stride + kernel - side, 0) // 2
    tap, given, output = np.ogrid[:kernel, :side, :outputs]
    return (given == output * stride - before + tap).astype(np.float32)
