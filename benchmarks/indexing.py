"""Images a second from JPEG files to features, beside the plain timm + torchvision + DataLoader loop.

    python -m benchmarks.indexing MANIFEST.csv [--images 1000] [--runs 3]

All run in the same process on the same files, taking turns; the medians and their ratio are printed. What is compared
makes features in memory, as the plain loop does; a gallery, which is hashed, gets thumbnails and is written to disk,
is timed besides. The machine's limit is its cores over the core-seconds that an image's decoding, resizing and backbone
take, each measured alone; the backbone alone on all cores at once bounds what any program can reach with it.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.table import Row, tell
from tests.support.timm_lite import classifier
from unifex.core import images
from unifex.core.progress import finish
from unifex.data.item import Item, Options
from unifex.data.sources import open_source
from unifex.gallery.gallery import Gallery
from unifex.gallery.indexing import index
from unifex.models import zoo
from unifex.models.embedder import Embedder
from unifex.models.lite_weights import NETWORKS

MANY, CORES_ELSEWHERE = 10_000, 8


class Chosen:
    """The first images of a source, as a source."""

    spec = "benchmark"
    options = Options()

    def __init__(self, items: list[Item]):
        self.items = items

    def __iter__(self):
        return iter(self.items)

    def count(self) -> int:
        """How many."""
        return len(self.items)


def gallery_seconds(embedder: Embedder, items: list[Item]) -> float:
    """Index into a new gallery."""
    with tempfile.TemporaryDirectory() as scratch:
        gallery = Gallery.create(Path(scratch) / "gallery", embedder)
        started = time.perf_counter()
        finish(index(gallery, Chosen(items)))
        return time.perf_counter() - started


def unifex_seconds(embedder: Embedder, items: list[Item]) -> float:
    """Features in memory."""
    started = time.perf_counter()
    embedder.features([Path(item.uri) for item in items])
    return time.perf_counter() - started


def plain_seconds(items: list[Item], backbone: str) -> float:
    """What a tutorial would write: torchvision transforms in two DataLoader workers, eager network, batches of 32."""
    import torch
    from PIL import Image
    from torchvision import transforms

    spec = zoo.get(backbone)
    network = classifier(NETWORKS["lite0"])
    network.reset_classifier(0)
    prepare = transforms.Compose(
        [
            transforms.Resize(256, transforms.InterpolationMode.BICUBIC),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
            transforms.Normalize(spec.preprocessing.mean, spec.preprocessing.std),
        ]
    )

    class Files(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return len(items)

        def __getitem__(self, place: int):
            return prepare(Image.open(items[place].uri).convert("RGB"))

    started = time.perf_counter()
    with torch.inference_mode():
        for batch in torch.utils.data.DataLoader(Files(), 32, num_workers=2):
            network(batch)
    return time.perf_counter() - started


def machine_limit(embedder: Embedder, items: list[Item]) -> tuple[float, float]:
    """Images a second if every core did nothing but decode, resize and infer; and of the engine alone."""
    side, cores = embedder.backbone.preprocessing.size, os.cpu_count() or 1
    data = [item.read() for item in items]
    started = time.perf_counter()
    decoded = [images.decode(one, at_least=side).image for one in data]
    decode, started = time.perf_counter() - started, time.perf_counter()
    pixels = [embedder.backbone.preprocessing.to_input(one)[None] for one in decoded]
    resize, started = time.perf_counter() - started, time.perf_counter()
    with ThreadPoolExecutor(embedder.engine.workers) as pool:
        list(pool.map(embedder.engine.bulk, pixels))
    engine = time.perf_counter() - started
    return len(items) * cores / (decode + resize + engine * cores), len(items) / engine


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    items = [item for item in open_source(arguments.source) if isinstance(item, Item)]
    items = items[:: max(1, len(items) // arguments.images)][: arguments.images]
    embedder, larger = Embedder.load(), Embedder.load("unifex-base-3")
    for model in (embedder, larger):
        gallery_seconds(model, items[:50])  # warm caches and engine
    seconds, limits, engines = defaultdict(list), [], []
    for _ in range(arguments.runs):
        seconds["plain"].append(plain_seconds(items, embedder.backbone.id))
        seconds["features"].append(unifex_seconds(embedder, items))
        limit, engine = machine_limit(embedder, items[:200])
        limits.append(limit)
        engines.append(engine)
        seconds["gallery"].append(gallery_seconds(embedder, items))
        seconds["larger"].append(gallery_seconds(larger, items))
    slow, fast, whole, more = (len(items) / statistics.median(values) for values in seconds.values())
    limit, engine = statistics.median(limits), statistics.median(engines)
    print(f"{len(items)} images, median of {arguments.runs} runs, {embedder.engine.name}")
    print(f"UniFEx, files to features                {fast:7.1f} images/s")
    print(f"UniFEx, files to a gallery on disk       {whole:7.1f} images/s, {whole / slow:.1f} times the plain loop")
    print(f"the same with {larger.name}                {more:7.1f} images/s, {whole / more:.1f} times as long")
    for model, speed in ((embedder, whole), (larger, more)):
        here = MANY / speed
        there = here * (os.cpu_count() or 1) / CORES_ELSEWHERE
        print(f"{MANY:,} with {model.name:13} {here:5.0f} s; {CORES_ELSEWHERE} cores, by multiplication: {there:.0f} s")
    print(f"timm + torchvision + DataLoader, eager   {slow:7.1f} images/s")
    print(f"the machine's limit                      {limit:7.1f} images/s, {limit / slow:.1f} times the plain loop")
    print(f"the backbone alone, all cores            {engine:7.1f} images/s, {engine / slow:.1f} times the plain loop")
    ours = f"{fast:.0f} images/s"
    tell(
        Row("folder to features", ours, f"plain loop {slow:.1f} images/s", fast / slow, 10),
        Row("folder to features, share of the limit", ours, f"{limit:.0f} images/s", fast / limit, 0.85),
    )


if __name__ == "__main__":
    main()
