"""The forecast of the model picker against the engine: images a second of backbones with random weights.

    python -m benchmarks.backbones

Weights do not change the work, so none are fetched. The last column is the share of this machine's matrix-product
speed that the network reaches; ``unifex.models.throughput.SHARE`` is what the forecast assumes.
"""

from __future__ import annotations

import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

from unifex.models import engines, throughput, zoo
from unifex.models.backbones import BackboneSpec
from unifex.models.late_towers import LateTower

BACKBONES = (
    "open_clip:MobileCLIP2-S0:dfndr2b",
    "timm:vit_small_patch16_dinov3.lvd1689m",
    "open_clip:ViT-B-16:laion2b_s34b_b88k",
    "open_clip:PE-Core-S-16-384:meta",
    "open_clip:convnext_base_w:laion2b_s13b_b82k_augreg",
)
GIGAFLOPS = 600  # of work for each, so that every row takes some ten seconds


def with_random_weights(id: str, folder: Path) -> BackboneSpec:
    """A backbone of the zoo whose weights need not be here."""
    stand_in = folder / "weights"
    stand_in.write_bytes(id.encode())
    name, size = zoo.Name.parse(id), zoo.get(id).preprocessing.size
    assert name
    return replace(
        zoo.get(id),
        hub_file=None,
        weights_files=lambda: (stand_in,),
        stages=lambda _: LateTower(zoo.build_tower(name, None), size),
    )


def main() -> None:
    """Print the table."""
    print(f"{'backbone':52}{'GFLOPs':>8}{'forecast':>10}{'measured':>10}{'share':>8}")
    with tempfile.TemporaryDirectory() as scratch:
        for id in BACKBONES:
            spec = with_random_weights(id, Path(scratch))
            engine = engines.OpenVINOEngine(spec)
            pixels = np.zeros((1, spec.preprocessing.size, spec.preprocessing.size, 3), np.uint8)
            count = max(4, round(GIGAFLOPS / spec.gigaflops))
            began = time.perf_counter()
            with ThreadPoolExecutor(engine.workers) as pool:
                list(pool.map(engine.bulk, [pixels] * count))
            rate = count / (time.perf_counter() - began)
            share = rate * spec.gigaflops / throughput.gigaflops_per_second()
            forecast = throughput.images_per_second(spec)
            print(f"{id:52}{spec.gigaflops:8.1f}{forecast or 0:10.2f}{rate:10.2f}{share:8.2f}", flush=True)


if __name__ == "__main__":
    main()
