"""How long the counts beside a gallery's filters take at a million items: cold, warm, and with filters.

    python -m benchmarks.facets [--items 1000000]

The items are drawn: 8 domains, 20,000 labels, 30,000 folders of three levels, and further columns of 5,000 texts, of
150 whole numbers, and of as many prices as there are items. No image is needed.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.table import Row, tell
from unifex.data.item import Item, Labels
from unifex.gallery.gallery import Gallery
from unifex.gallery.records import Embedded
from unifex.models.backbones import MapPool
from unifex.models.efficientnet_lite import LITE0
from unifex.models.embedder import Embedder
from unifex.models.neck import Neck
from unifex.retrieval.conditions import Condition
from unifex.retrieval.facets import facets
from unifex.retrieval.filters import Filters

DIM, AT_ONCE, ROUNDS = 8, 8192, 5
MOST_MS = 300
MOST_COLD_MS = 1000
FILTERS = {
    "no filter": Filters(),
    "a domain": Filters(domains=("domain 3",)),
    "a folder and years": Filters(folders=("shelf 7",), where=(Condition.parse("year>=1950"),)),
    "labels and a price": Filters(labels=("label 1", "label 2"), where=(Condition.parse("price<50"),)),
}


def small() -> Embedder:
    """The bundled model with features of so few values that a million of them are soon written."""
    backbone = replace(LITE0, pools=(MapPool("head", DIM),))
    config = replace(Embedder.load().config, name="facets", neck="identity", dims=(DIM,), default_dim=DIM)
    return Embedder(config, Neck("identity", np.eye(DIM, dtype=np.float32), np.zeros(DIM, np.float32), (DIM,)),
                    backbone)  # fmt: skip


def drawn(count: int) -> Iterator[list[Embedded]]:
    """Batches of items; labels and texts as unevenly spread as they mostly are."""
    rng = np.random.default_rng(0)
    for start in range(0, count, AT_ONCE):
        rows = range(start, min(count, start + AT_ONCE))
        features = rng.standard_normal((len(rows), DIM)).astype(np.float32)
        label, artist = (
            (20_000 * rng.random(len(rows)) ** 3).astype(int),
            (5000 * rng.random(len(rows)) ** 2).astype(int),
        )
        folder, year = rng.integers(0, 30_000, len(rows)), rng.integers(1870, 2020, len(rows))
        yield [
            Embedded(
                Item(
                    f"item:{row}", f"shelf {folder[i] % 30}/{folder[i] % 900}/{folder[i]}/{row}.jpg", bytes,
                    Labels(f"label {label[i]}", f"domain {label[i] % 8}", "index",
                           {"artist": f"artist {artist[i]}", "year": str(year[i]), "price": str(row / 1000)}),
                ),
                4 * f"{row:016x}", features=features[i],
            )
            for i, row in enumerate(rows)
        ]  # fmt: skip


def fill(gallery: Gallery, count: int) -> None:
    """Commit what is drawn."""
    with gallery.write() as writer:
        source = writer.begin_source("benchmark", keep=False)
        for batch in drawn(count):
            writer.commit(source, batch)
        writer.finish_source(source)


def seconds(work: Callable[[], object]) -> float:
    """Of one run."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=1_000_000)
    count = parser.parse_args().items
    with tempfile.TemporaryDirectory() as scratch:
        gallery = Gallery.create(Path(scratch) / "g", small())
        print(f"{count:,} items, committed in {seconds(lambda: fill(gallery, count)):.0f} s")
        print(f"a snapshot {seconds(gallery.snapshot):.1f} s")
        print(f"folders and further columns read {seconds(lambda: gallery.snapshot().further):.1f} s")
        print(f"the first counts {seconds(lambda: facets(gallery)):.1f} s", flush=True)
        again = Gallery.open(gallery.folder, small())
        again.snapshot()
        cold = 1000 * seconds(lambda: facets(again))
        tell(Row(f"counts, {count:,} items, first of a process", f"{cold:.0f} ms", "", cold, MOST_COLD_MS, True))
        for name, filters in FILTERS.items():
            first = 1000 * seconds(lambda filters=filters: facets(gallery, filters))
            warm = 1000 * float(np.median([seconds(lambda: facets(gallery, filters)) for _ in range(ROUNDS)]))  # noqa: B023
            tell(
                Row(f"counts, {count:,} items, {name}", f"{warm:.0f} ms", f"first {first:.0f} ms", warm, MOST_MS, True)
            )


if __name__ == "__main__":
    main()
