"""How long one search takes, and how much of it is more than decoding, the engine and FAISS themselves.

    python -m benchmarks.latency SOURCE [--items 5000 100000 1000000] [--searches 300]

A gallery of n items is made of the features of 1,000 images of the source, with noise of a fifth of their length; the
query is the source's first image.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.table import Row, tell
from unifex.core import images
from unifex.core.vectors import l2_normalize
from unifex.data.item import Item
from unifex.data.sources import open_source
from unifex.gallery.gallery import Gallery
from unifex.gallery.records import Embedded
from unifex.models.embedder import Embedder
from unifex.retrieval.search import search

BATCH = 8192
SEEDS = 1000
NOISE = 0.2


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", help="folder or CSV")
    parser.add_argument("--items", type=int, nargs="+", default=[5_000, 100_000])
    parser.add_argument("--searches", type=int, default=300)
    arguments = parser.parse_args()
    embedder = Embedder.load()
    items = [item for item in open_source(arguments.source) if isinstance(item, Item)]
    data = items[0].read()
    side = embedder.backbone.preprocessing.size
    pixels = embedder.pixels([data])
    print(f"one image of {len(data):,} bytes, {embedder.engine.name}, median of {arguments.searches}, taking turns")
    seeds = embedder.features([item.read() for item in items[:: max(1, len(items) // SEEDS)]])
    for count in arguments.items:
        with tempfile.TemporaryDirectory() as scratch:
            gallery = fill(Gallery.create(Path(scratch) / "g", embedder), seeds, count)
            index, query = gallery.snapshot().index, embedder.embed([data])
            works = {
                "decode": lambda: images.decode(data, at_least=side),
                "engine": lambda: embedder.engine.features(pixels),
                "FAISS": lambda index=index, query=query: index.search(query, 10),
                "bytes to embedding": lambda: embedder.embed([data]),
                "search": lambda gallery=gallery: search(gallery, [data], 10),
            }
            spent = milliseconds(works, arguments.searches)
            parts = sum(spent[name][0] for name in ("decode", "engine", "FAISS"))
            whole = spent["search"][0]
            print(f"{count:>9,} items: {index.candidates.title}, recall@10 {index.candidates.recall:.3f}")
            for name, (median, late) in spent.items():
                print(f"          {name:20} p50 {median:6.2f} ms, p95 {late:6.2f} ms")
            print(f"          {whole / parts:.2f} x (decode + engine + FAISS)", flush=True)
            if count >= 100_000:
                rival = f"decode + engine + FAISS {parts:.1f} ms"
                tell(Row(f"a query, {count:,} items", f"{whole:.1f} ms", rival, whole / parts, 1.3, at_most=True))


def milliseconds(works: dict[str, Callable[[], object]], times: int) -> dict[str, tuple[float, float]]:
    """(median, 95th percentile) of each. They take turns: all meet the caches as the others leave them."""
    spent = {name: [] for name in works}
    for _ in range(times):
        for name, work in works.items():
            started = time.perf_counter()
            work()
            spent[name].append(1000 * (time.perf_counter() - started))
    return {name: (statistics.median(s), statistics.quantiles(s, n=20)[-1]) for name, s in spent.items()}


def fill(gallery: Gallery, seeds: np.ndarray, count: int, first: int = 0) -> Gallery:
    """Commit ``count`` items, numbered from ``first``, whose features are the seeds with noise; by the first digits of
    their hashes, as of real ones, they are pictures of their own."""
    rng = np.random.default_rng(first)
    with gallery.write() as writer:
        source = writer.begin_source("benchmark", keep=False)
        for start in range(first, first + count, BATCH):
            rows = range(start, min(first + count, start + BATCH))
            noise = rng.standard_normal((len(rows), seeds.shape[1])).astype(np.float32)
            features = seeds[rng.integers(0, len(seeds), len(rows))] + NOISE * l2_normalize(noise, seeds.shape[1])
            batch = [
                Embedded(Item(f"item:{row}", f"{row}.jpg", bytes), 4 * f"{row:016x}", features=feature)
                for row, feature in zip(rows, features)
            ]
            writer.commit(source, batch)
        writer.finish_source(source)
        writer.close()
    return gallery


if __name__ == "__main__":
    main()
