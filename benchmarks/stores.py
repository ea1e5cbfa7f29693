"""A folder in a store that takes 50 ms a request, indexed beside the same folder on disk.

    python -m benchmarks.stores SOURCE [--images 1000] [--milliseconds 50] [--runs 3]

The store is a web server on this machine, in a process of its own, which asks for two requests an image: a web server
does not tell in its list what changed. Both galleries are new each time; they take turns, and medians are printed.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import tempfile
import time
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path

from tests.support import web_store
from unifex.core.progress import finish
from unifex.data.item import Item
from unifex.data.sources import open_source
from unifex.gallery.gallery import Gallery
from unifex.gallery.indexing import index
from unifex.models.embedder import Embedder


def _serve(root: str, latency: float, told: Connection) -> None:
    """Until somebody closes the other end."""
    with web_store.running(Path(root), latency) as store:
        told.send(store.url)
        told.poll(None)


def copied(source: str, folder: Path, images: int) -> int:
    """The first images of a source as files in one folder; how many."""
    items = list(islice((found for found in open_source(source) if isinstance(found, Item)), images))
    for number, item in enumerate(items):
        (folder / f"{number:06d}{Path(item.path).suffix}").write_bytes(item.read())
    return len(items)


def seconds(embedder: Embedder, spec: str) -> float:
    """Index into a new gallery."""
    with tempfile.TemporaryDirectory() as scratch:
        gallery = Gallery.create(Path(scratch) / "gallery", embedder)
        started = time.perf_counter()
        report = finish(index(gallery, spec))
        assert not report.failed, report.failed[:3]
        return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--milliseconds", type=float, default=50)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    embedder = Embedder.load()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "photos"
        folder.mkdir()
        count = copied(options.source, folder, options.images)
        here, there = multiprocessing.get_context("spawn").Pipe()
        arguments = (scratch, options.milliseconds / 1000, there)
        server = multiprocessing.get_context("spawn").Process(target=_serve, args=arguments, daemon=True)
        server.start()
        address = f"{here.recv()}/photos"
        seconds(embedder, str(folder))
        taken = [(seconds(embedder, str(folder)), seconds(embedder, address)) for _ in range(options.runs)]
        here.send(None)
        server.join()
    disk, store = (statistics.median(column) for column in zip(*taken))
    alone = 2 * count * options.milliseconds / 1000
    print(f"{count:,} images from disk: {disk:.1f} s, {count / disk:.0f} images/s")
    print(f"from a store that takes {options.milliseconds:g} ms a request: {store:.1f} s, {count / store:.0f} images/s")
    print(f"the same, one request at a time: {alone:.0f} s of waiting alone")


if __name__ == "__main__":
    main()
