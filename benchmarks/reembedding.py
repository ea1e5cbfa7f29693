"""How long a gallery takes to be searched with another neck: from cached features to an index on disk.

    python -m benchmarks.reembedding SOURCE [--items 5000 100000] [--runs 3]

The gallery is made of the features of the source's images with noise, as in ``benchmarks.latency``.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from benchmarks.latency import SEEDS, fill
from unifex.embedder import Embedder
from unifex.gallery import Gallery
from unifex.indexes import Indexes
from unifex.neck import pca
from unifex.sources import Item, open_source


def main() -> None:
    """Measure and print a line for every size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", help="folder or CSV")
    parser.add_argument("--items", type=int, nargs="+", default=[5_000, 100_000])
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    first = Embedder.load()
    items = [item for item in open_source(arguments.source) if isinstance(item, Item)]
    seeds = first.features([item.read() for item in items[:: max(1, len(items) // SEEDS)]])
    other = Embedder(replace(first.config, name="other"), pca(seeds, (64, 128, 256)))
    for count in arguments.items:
        with tempfile.TemporaryDirectory() as scratch:
            fill(Gallery.create(Path(scratch) / "g", first), seeds, count)
            indexes, spent = Indexes(scratch), []
            for number in range(arguments.runs):
                started = time.perf_counter()
                for _ in indexes.use("g", other if number % 2 == 0 else first):
                    pass
                spent.append(time.perf_counter() - started)
        print(f"{count:>9,} items: {statistics.median(spent):6.2f} s, median of {arguments.runs}")


if __name__ == "__main__":
    main()
