"""The EfficientNet-Lites as OpenVINO's graph, drawn from their weights: what tracing ``lite_network`` gives, without
the seconds for that and for importing torch, for which a first start would wait."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from unifex.models.backbones import BackboneSpec, MapPool
from unifex.models.graphs import openvino_module
from unifex.models.lite_weights import EPSILON, STEM_STRIDE, STRIDES, LiteNetwork

# A block's layers, convolution and normalisation, and whether ReLU6 follows: in the first stage, and in the others.
_FIRST_BLOCK = (("conv_dw", "bn1", True), ("conv_pw", "bn2", False))
_BLOCK = (("conv_pw", "bn1", True), ("conv_dw", "bn2", True), ("conv_pwl", "bn3", False))
_DEPTHWISE = "conv_dw"  # the layer of a block that strides


class LiteGraph:
    """Draws networks of the EfficientNet-Lites' kind into one graph."""

    def __init__(self, weights: Mapping[str, np.ndarray]):
        self._ops, self._weights = openvino_module().opset13, weights

    def draw(self, spec: BackboneSpec, networks: Mapping[str, LiteNetwork]) -> Any:
        """uint8 [B, size, size, 3] -> float32 [B, D], by networks whose weights and stages begin with their key."""
        ops, prep = self._ops, spec.preprocessing
        pixels = ops.parameter([-1, prep.size, prep.size, 3], np.uint8)
        images = ops.transpose(ops.convert(pixels, "f32"), [0, 3, 1, 2])
        mean, std = (255 * np.array(values, np.float32).reshape(1, 3, 1, 1) for values in (prep.mean, prep.std))
        images = ops.multiply(ops.subtract(images, mean), 1 / std)
        stages: dict[str, Any] = {}
        for prefix, network in networks.items():
            blocks = self._blocks(images, prefix, network)
            stages[f"{prefix}blocks"] = blocks
            stages[f"{prefix}head"] = self._layer(blocks, f"{prefix}head.0", f"{prefix}head.1")
        features = ops.concat([self._pool(stages[pool.stage], pool) for pool in spec.pools], 1)
        return openvino_module().Model([features], [pixels])

    def _blocks(self, images: Any, prefix: str, network: LiteNetwork) -> Any:
        maps = self._layer(images, f"{prefix}stem.0", f"{prefix}stem.1", STEM_STRIDE)
        for stage, (repeats, stride) in enumerate(zip(network.repeats, STRIDES, strict=True)):
            for repeat in range(repeats):
                before = maps
                for layer, norm, acts in _BLOCK if stage else _FIRST_BLOCK:
                    block = f"{prefix}blocks.{stage}.{repeat}."
                    strides = stride if layer == _DEPTHWISE and not repeat else 1
                    maps = self._layer(maps, block + layer, block + norm, strides, acts)
                if repeat:  # it gives as many channels as it takes
                    maps = self._ops.add(maps, before)
        return maps

    def _layer(self, maps: Any, layer: str, norm: str, stride: int = 1, acts: bool = True) -> Any:
        """A convolution with the normalisation behind it in its numbers, and ReLU6 or nothing."""
        kernels = self._weights[f"{layer}.weight"]
        scale = self._weights[f"{norm}.weight"] / np.sqrt(self._weights[f"{norm}.running_var"] + np.float32(EPSILON))
        shift = self._weights[f"{norm}.bias"] - self._weights[f"{norm}.running_mean"] * scale
        scaled, places = kernels * scale[:, None, None, None], ([stride] * 2, [0, 0], [0, 0], [1, 1], "same_upper")
        if layer.endswith(_DEPTHWISE):
            found = self._ops.group_convolution(maps, scaled[:, None], *places)
        else:
            found = self._ops.convolution(maps, scaled, *places)
        found = self._ops.add(found, shift[None, :, None, None])
        return self._ops.clamp(found, 0.0, 6.0) if acts else found

    def _pool(self, maps: Any, pool: MapPool) -> Any:
        """As ``backbones.build`` pools them."""
        ops, over = self._ops, np.array([2, 3])
        if pool.power == 1:
            pooled = ops.reduce_mean(maps, over)
        else:
            above = ops.maximum(maps, np.float32(1e-6))
            powers = ops.reduce_mean(ops.power(above, np.float32(pool.power)), over)
            pooled = ops.power(powers, np.float32(1 / pool.power))
        unit = ops.normalize_l2(pooled, np.array([1]), 1e-24, "max")
        return ops.multiply(unit, np.float32(pool.weight))
