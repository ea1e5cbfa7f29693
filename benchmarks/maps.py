"""Maps beside umap-learn alone, and placing a query beside umap's own ``transform``.

    python -m benchmarks.maps SOURCE [--points 5000 10000 50000] [--runs 3]

Embeddings of SOURCE's images, with noise where there are fewer than points wanted. Every fit is a process of its own,
as a user meets it: both pay for importing and compiling UMAP. Both have a fixed seed and cosine similarity; medians.
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
from unifex.core.progress import finish
from unifex.data.item import Item
from unifex.data.sources import open_source
from unifex.gallery.gallery import Gallery
from unifex.maps.projection import Map, interpolated, project
from unifex.models.embedder import Embedder

SEEDS = 500
ALONE = """
import sys, time
import numpy as np
import umap
x = np.load(sys.argv[1])
reducer = umap.UMAP(metric="cosine", random_state=0).fit(x)
print("fitted", flush=True)
if sys.argv[2] == "transform":
    for row in range(2):
        started = time.perf_counter()
        reducer.transform(x[row : row + 1])
        print(time.perf_counter() - started, flush=True)
"""


def main() -> None:
    """Read arguments, measure every size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source")
    parser.add_argument("--points", type=int, nargs="+", default=[5000, 10_000, 50_000])
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    embedder = Embedder.load()
    items = [item for item in open_source(arguments.source) if isinstance(item, Item)]
    seeds = embedder.features([item.read() for item in items[:: max(1, len(items) // SEEDS)]])
    for number, count in enumerate(arguments.points):
        with tempfile.TemporaryDirectory() as scratch:
            gallery = fill(Gallery.create(Path(scratch) / "g", embedder), seeds, count)
            np.save(Path(scratch) / "x.npy", gallery.snapshot().embeddings)
            gallery.derived.save()
            ours, theirs = [], []
            for run in range(arguments.runs):
                gallery, drawn, seconds = mapped(gallery.folder, embedder)
                ours.append(seconds)
                alone, transforms = umap_alone(Path(scratch) / "x.npy", transform=number == run == 0)
                theirs.append(alone)
                if transforms:
                    judge_placing(place_milliseconds(gallery, drawn), *transforms)
        own, alone = statistics.median(ours), statistics.median(theirs)
        print(
            f"{count:>7,} points: {own:.1f} s with neighbours; umap-learn {alone:.1f} s: {alone / own:.1f} x",
            flush=True,
        )
        if count == 10_000:
            tell(Row("map of 10,000 points", f"{own:.1f} s", f"umap-learn {alone:.1f} s", alone / own, 8))


def mapped(folder: Path, embedder: Embedder) -> tuple[Gallery, Map, float]:
    """A gallery opened anew, its map, and the seconds that took; what an earlier run left is thrown away."""
    (folder / "neighbours.npz").unlink(missing_ok=True)
    gallery = Gallery.open(folder, embedder)
    gallery.snapshot()
    started = time.perf_counter()
    drawn = finish(project(gallery, refresh=True))
    return gallery, drawn, time.perf_counter() - started


def judge_placing(ours: float, first: float, later: float) -> None:
    """Milliseconds of ours, seconds of umap's. The app places a query as soon as it is asked: the first one counts."""
    print(
        f"        placing one query: {ours:.2f} ms; umap's first transform {first:.1f} s, later {1000 * later:.1f} ms"
    )
    rival = f"umap's first transform {first:.1f} s"
    tell(Row("placing a query on a map", f"{ours:.2f} ms", rival, 1000 * first / ours, 100))


def umap_alone(path: Path, transform: bool) -> tuple[float, list[float]]:
    """Seconds of a process that fits, and of its first two transforms of one point, if wanted."""
    command = [sys.executable, "-W", "ignore", "-c", ALONE, str(path), "transform" if transform else ""]
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout
    process.stdout.readline()
    seconds = time.perf_counter() - started
    return seconds, [float(line) for line in process.communicate()[0].split()]


def place_milliseconds(gallery: Gallery, drawn: Map) -> float:
    """From a query's embedding to its place on the map: search and mean, median of 50."""
    current, index = gallery.index()
    spent = []
    for query in current.embeddings[:50]:
        started = time.perf_counter()
        found = index.search(query[None], 20)
        interpolated(drawn.coords[found.positions[0]], found.scores[0])
        spent.append(1000 * (time.perf_counter() - started))
    return statistics.median(spent)


if __name__ == "__main__":
    main()
