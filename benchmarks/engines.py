"""The bundled backbone on every engine there is here: images a second from ready pixels, and parity with eager torch.

    python -m benchmarks.engines SOURCE [--images 128] [--runs 5]

ONNX Runtime is measured for comparison only; the app does not use it. The backbone of ``unifex-lite-4``, whose last
blocks are adapted, is measured beside the one as it came.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from unifex.data.item import Item
from unifex.data.sources import open_source
from unifex.models import backbones, engines
from unifex.models.embedder import DEFAULT_MODEL, Embedder

ADAPTED = DEFAULT_MODEL


def onnxruntime_engine(spec: backbones.BackboneSpec, batch: int) -> Callable[[np.ndarray], np.ndarray]:
    """The same network through torch's ONNX exporter and ONNX Runtime."""
    import onnxruntime
    import torch

    side = spec.preprocessing.size
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "network.onnx"
        example = torch.zeros((batch, side, side, 3), dtype=torch.uint8)
        torch.onnx.export(backbones.build(spec), (example,), path, input_names=["pixels"], dynamo=False)
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def run(pixels: np.ndarray) -> np.ndarray:
        batches = range(0, len(pixels), batch)
        found = (session.run(None, {"pixels": pixels[start : start + batch]})[0] for start in batches)
        return np.concatenate([np.asarray(features) for features in found])

    return run


def in_threads(engine: engines.Engine) -> Callable[[np.ndarray], np.ndarray]:
    """As indexing uses an engine: its own number of workers, its own batch size."""

    def run(pixels: np.ndarray) -> np.ndarray:
        batches = [pixels[start : start + engine.batch_size] for start in range(0, len(pixels), engine.batch_size)]
        with ThreadPoolExecutor(engine.workers) as pool:
            return np.concatenate(list(pool.map(engine.bulk, batches)))

    return run


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source")
    parser.add_argument("--images", type=int, default=128)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    embedder = Embedder.load()
    spec = embedder.backbone
    items = [item for item in open_source(arguments.source) if isinstance(item, Item)]
    chosen = items[:: max(1, len(items) // arguments.images)][: arguments.images]
    pixels = embedder.pixels([item.read() for item in chosen])
    tried: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "torch eager, batches of 8": in_threads(engines.TorchEngine(spec, "cpu")),
        "ONNX Runtime, batches of 8": onnxruntime_engine(spec, 8),
        "ONNX Runtime, one at a time": onnxruntime_engine(spec, 1),
        "OpenVINO float32, as used": in_threads(engines.OpenVINOEngine(spec)),
    }
    plain = tried["torch eager, batches of 8"](pixels)
    adapted = Embedder.load(ADAPTED).backbone
    tried[f"OpenVINO float32, {ADAPTED}"] = in_threads(engines.OpenVINOEngine(adapted))
    eager = dict.fromkeys(tried, plain)
    eager[f"OpenVINO float32, {ADAPTED}"] = in_threads(engines.TorchEngine(adapted, "cpu"))(pixels)
    speeds: dict[str, list[float]] = {name: [] for name in tried}
    for _ in range(arguments.runs):
        for name, run in tried.items():
            started = time.perf_counter()
            features = run(pixels)
            speeds[name].append(len(pixels) / (time.perf_counter() - started))
            expected = eager[name]
            cosine = (features * expected).sum(1) / np.linalg.norm(features, axis=1) / np.linalg.norm(expected, axis=1)
            if cosine.min() < 0.999:
                print(f"{name}: cosine {cosine.min():.5f} to eager torch")
    print(f"{len(pixels)} images, {os.cpu_count()} cores, median of {arguments.runs} runs")
    for name, values in speeds.items():
        print(f"{name:36} {statistics.median(values):7.1f} images/s")


if __name__ == "__main__":
    main()
