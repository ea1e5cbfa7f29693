"""Maps beside umap-learn alone, and placing a query beside umap's own ``transform``.

    python -m benchmarks.maps SOURCE [--points 5000 10000 50000]

Embeddings of SOURCE's images, with noise where there are fewer than points wanted. Every fit is a process of its own,
as a user meets it: both pay for importing and compiling UMAP. Both have a fixed seed and cosine similarity.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.latency import fill
from benchmarks.table import Row, tell
from unifex.embedder import Embedder
from unifex.gallery import Gallery
from unifex.projection import Map, place, project
from unifex.sources import Item, open_source

SEEDS = 500
ALONE = """
import sys, time
import numpy as np
import umap
x = np.load(sys.argv[1])
reducer = umap.UMAP(metric="cosine", random_state=0).fit(x)
print("fitted", flush=True)
if sys.argv[2] == "transform":
    reducer.transform(x[1:2])  # compiles
    started = time.perf_counter()
    reducer.transform(x[:1])
    print(time.perf_counter() - started)
"""


def main() -> None:
    """Read arguments, measure every size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source")
    parser.add_argument("--points", type=int, nargs="+", default=[5000, 10_000, 50_000])
    arguments = parser.parse_args()
    embedder = Embedder.load()
    items = [item for item in open_source(arguments.source) if isinstance(item, Item)]
    seeds = embedder.features([item.read() for item in items[:: max(1, len(items) // SEEDS)]])
    for number, count in enumerate(arguments.points):
        with tempfile.TemporaryDirectory() as scratch:
            gallery = fill(Gallery.create(Path(scratch) / "g", embedder), seeds, count)
            embeddings = gallery.snapshot().embeddings
            started = time.perf_counter()
            *_, drawn = project(gallery)
            ours = time.perf_counter() - started
            np.save(Path(scratch) / "x.npy", embeddings)
            alone, transform = umap_alone(Path(scratch) / "x.npy", transform=number == 0)
            ratio = f"{alone / ours:.1f} x"
            print(
                f"{count:>7,} points: {ours:.1f} s with neighbours; umap-learn alone {alone:.1f} s: {ratio}", flush=True
            )
            if transform:
                placing = place_milliseconds(gallery, drawn)
                print(f"        placing one query: {placing:.2f} ms; umap's transform {transform:.1f} s")
                ratio = 1000 * transform / placing
                tell(
                    Row(
                        "placing a query on a map", f"{placing:.2f} ms", f"umap transform {transform:.1f} s", ratio, 100
                    )
                )
            if count == 10_000:
                tell(Row("map of 10,000 points", f"{ours:.1f} s", f"umap-learn {alone:.1f} s", alone / ours, 8))


def umap_alone(path: Path, transform: bool) -> tuple[float, float | None]:
    """Seconds of a process that fits, and of its second transform of one point."""
    command = [sys.executable, "-W", "ignore", "-c", ALONE, str(path), "transform" if transform else ""]
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    process.stdout.readline()
    seconds = time.perf_counter() - started
    rest = process.communicate()[0].strip()
    return seconds, float(rest) if transform else None


def place_milliseconds(gallery: Gallery, drawn: Map) -> float:
    """From a query's embedding to its place on the map: search and mean, median of 50."""
    snapshot, index = gallery.index()
    spent = []
    for query in snapshot.embeddings[:50]:
        started = time.perf_counter()
        scores, positions = index.search(query[None], 20)
        place(drawn.places[positions[0]], scores[0])
        spent.append(1000 * (time.perf_counter() - started))
    return statistics.median(spent)


if __name__ == "__main__":
    main()
