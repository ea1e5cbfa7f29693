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

import faiss
import numpy as np

from benchmarks.latency import SEEDS, fill
from benchmarks.table import Row, tell
from unifex.core.progress import finish
from unifex.data.item import Item
from unifex.data.sources import open_source
from unifex.gallery.gallery import Gallery
from unifex.gallery.library import Library
from unifex.models.embedder import Embedder
from unifex.models.neck import pca


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
    other = Embedder(replace(first.config, name="other"), pca(seeds, (64, 128, 256)), first.backbone)
    for count in arguments.items:
        with tempfile.TemporaryDirectory() as scratch:
            fill(Gallery.create(Path(scratch) / "g", first), seeds, count)
            library, spent = Library(scratch), []
            for number in range(arguments.runs):
                started = time.perf_counter()
                finish(library.use("g", other if number % 2 == 0 else first))
                spent.append(time.perf_counter() - started)
            one_by_one = file_by_file(Path(scratch) / "files", seeds) * count / len(seeds)
        seconds = statistics.median(spent)
        print(f"{count:>9,} items: {seconds:6.2f} s, median of {arguments.runs}; file by file {one_by_one:.1f} s")
        rival = f"a file an image {one_by_one:.1f} s"
        tell(Row(f"another neck, {count:,} items", f"{seconds:.1f} s", rival, one_by_one / seconds, 1))


def file_by_file(folder: Path, features: np.ndarray) -> float:
    """Seconds to read, embed and index features that lie in a file an image, as scripts keep them."""
    folder.mkdir()
    for row, feature in enumerate(features.astype(np.float16)):
        np.save(folder / f"{row}.npy", feature)
    model = Embedder.load()
    started = time.perf_counter()
    index = faiss.IndexFlatIP(256)
    for row in range(len(features)):
        index.add(model.neck.embed(np.load(folder / f"{row}.npy")[None], 256))
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
