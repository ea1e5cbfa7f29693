"""How fast a backbone would be here, before its weights are fetched: its work over this machine's speed."""

from __future__ import annotations

import time
from functools import cache

import numpy as np

from unifex.models import engines
from unifex.models.backbones import BackboneSpec

SIDE = 1024
REPEATS = 3
# Networks reach this share of the speed of a bare matrix product: 0.64 (ConvNeXt) to 0.94 (ViT-B), python -m
# benchmarks.backbones.
SHARE = 0.8


@cache
def gigaflops_per_second() -> float:
    """10^9 floating point operations a second of a large float32 matrix product on all cores; measured once."""
    values = np.random.default_rng(0).random((SIDE, SIDE), np.float32)
    _ = values @ values  # the first one starts the threads
    fastest = 0.0
    for _ in range(REPEATS):
        began = time.perf_counter()
        _ = values @ values
        fastest = max(fastest, 2 * SIDE**3 / (time.perf_counter() - began) / 1e9)
    return fastest


def images_per_second(spec: BackboneSpec) -> float | None:
    """A forecast for the CPU; None on a GPU, whose speed this does not tell, and for work that is not known."""
    if engines.on_gpu() or not spec.gigaflops:
        return None
    return SHARE * gigaflops_per_second() / spec.gigaflops
