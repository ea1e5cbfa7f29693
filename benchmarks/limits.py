"""How far one machine goes: photographs as cameras make them, galleries of a million, ten million embeddings.

    python -m benchmarks.limits MANIFEST.csv [--only photographs million click map vectors] [--runs 3]

Every row is a ratio of two works that took turns in one run, of medians. Features of large galleries are those of 1,000
images of the source, with noise of a fifth of their length, as in ``benchmarks.latency``. *vectors* takes 10 GB of
memory, *million* 10 GB of disk, and each a quarter of an hour.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.bare_page import SHOWN
from benchmarks.indexing import Chosen, gallery_seconds, machine_limit, plain_seconds
from benchmarks.latency import SEEDS, fill, milliseconds
from benchmarks.table import Row, tell
from unifex.core.progress import finish
from unifex.core.vectors import l2_normalize
from unifex.data.item import Item
from unifex.data.sources import open_source
from unifex.gallery.gallery import Gallery
from unifex.gallery.indexing import index
from unifex.models.embedder import Embedder
from unifex.retrieval.query import Query
from unifex.retrieval.search import search
from unifex.vector_index import index_types
from unifex.vector_index.metric import brute_force

PHOTOGRAPHS, SIDES, QUALITY = 96, (4000, 3000), 90
MANY, ADDED, FEW, VERY_FEW = 1_000_000, 100_000, 5_000, 50
CLICKS, SAMPLES = 20, 8  # more clicks than pictures: a browser has most hits' pictures, as of who looks around
SEEN: Any = {"width": 1280, "height": 900}
VECTORS, WIDTH, CENTRES, SPREAD, QUERIES = 10_000_000, 64, 100_000, 0.7, 200


@dataclass(frozen=True)
class Ground:
    """What all rows are measured on. ``source``: a folder or CSV; ``runs``: turns that medians are of."""

    source: str
    runs: int

    @cached_property
    def items(self) -> list[Item]:
        """Images of the source."""
        return [item for item in open_source(self.source) if isinstance(item, Item)]

    @cached_property
    def embedder(self) -> Embedder:
        """The default model, its engine warm."""
        embedder = Embedder.load()
        gallery_seconds(embedder, self.items[:50])
        return embedder

    @cached_property
    def seeds(self) -> np.ndarray:
        """Features of some images: float32 [N, D]."""
        return self.embedder.features([item.read() for item in self.items[:: max(1, len(self.items) // SEEDS)]])

    def in_turns(self, *works: Callable[[], float]) -> list[float]:
        """The median of what each gives."""
        return [statistics.median(found) for found in zip(*([work() for work in works] for _ in range(self.runs)))]


def photographs(ground: Ground) -> Iterator[Row]:
    """12-megapixel JPEGs to a gallery on disk, beside Pillow's full decoding and a timm loop with two workers."""
    with tempfile.TemporaryDirectory() as scratch:
        rng = np.random.default_rng(0)
        noise = rng.normal(0, 6, (*SIDES[::-1], 1)).astype(np.float32)
        taken = []
        for number, item in enumerate(ground.items[:: len(ground.items) // PHOTOGRAPHS][:PHOTOGRAPHS]):
            with Image.open(item.uri) as image:
                pixels = np.asarray(image.convert("RGB").resize(SIDES)) + np.roll(noise, number, 0)
            path = Path(scratch) / f"{number}.jpg"
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path, "JPEG", quality=QUALITY)
            taken.append(Item(str(path), path.name, path.read_bytes))
        ours, plain = ground.in_turns(
            lambda: gallery_seconds(ground.embedder, taken),
            lambda: plain_seconds(taken, ground.embedder.backbone.id),
        )
        limit = statistics.median(machine_limit(ground.embedder, taken[:32])[0] for _ in range(ground.runs))
    speed = PHOTOGRAPHS / ours
    rival = f"Pillow + timm loop {PHOTOGRAPHS / plain:.1f}/s"
    yield Row("12-megapixel JPEGs to a gallery", f"{speed:.1f} images/s", rival, plain / ours, 8)
    yield Row("the same, share of the machine's limit", f"{speed:.1f} images/s", f"{limit:.1f}/s", speed / limit, 0.85)


def million(ground: Ground) -> Iterator[Row]:
    """A gallery of a million: from the start of a program to its first answer, beside reading the index alone, its
    lists and these with the embeddings that they are lists of, and an answer of 50 items, which is what imports,
    network and picture take; :func:`words`, :func:`context`; features of 100,000 items more, until they are found and
    kept, beside the same into an empty gallery."""
    with tempfile.TemporaryDirectory() as scratch:
        gallery = fill(Gallery.create(Path(scratch) / "large", ground.embedder), ground.seeds, MANY)
        gallery.derived.save()
        file = next(gallery.folder.rglob("index.faiss"))
        query = ground.items[0].uri
        small = fill(Gallery.create(Path(scratch) / "small", ground.embedder), ground.seeds, VERY_FEW)

        def answer(of: Gallery) -> Callable[[], float]:
            code = (
                "from pathlib import Path; from unifex.gallery.gallery import Gallery;"
                "from unifex.retrieval.search import search;"
                f"search(Gallery.open({str(of.folder)!r}), [Path({query!r}).read_bytes()], 10)"
            )
            return lambda: program_seconds(code)

        lists = f"import faiss, numpy; faiss.read_index(faiss.FileIOReader({str(file)!r}))"
        both = f"{lists}; numpy.fromfile({str(file.with_name('embeddings.rows'))!r}, numpy.float32)"
        reads = [lambda: program_seconds(lists), lambda: program_seconds(both)]
        ours, alone, whole, few = ground.in_turns(answer(gallery), *reads, answer(small))
        rival = f"reads the index {alone:.2f} s"
        yield Row("first answer of 1,000,000 items", f"{ours:.2f} s", rival, ours / alone, 3, at_most=True)
        print(f"reads embeddings besides {whole:.2f} s, answers of {VERY_FEW} items {few:.2f} s", flush=True)
        yield from words(ground, opened := Gallery.open(gallery.folder, ground.embedder))
        context(ground, opened)
        started = time.perf_counter()
        fill(gallery, ground.seeds, ADDED, first=MANY).derived.save()
        ours, started = time.perf_counter() - started, time.perf_counter()
        fill(Gallery.create(Path(scratch) / "empty", ground.embedder), ground.seeds, ADDED).derived.save()
        empty = time.perf_counter() - started
        rival = f"to an empty one {empty:.1f} s"
        yield Row("100,000 added to 1,000,000 items", f"{ours:.1f} s", rival, ours / empty, 1.3, at_most=True)


def words(ground: Ground, gallery: Gallery) -> Iterator[Row]:
    """Words in a gallery that was just opened, and again after ten items came, beside NumPy alone over its features."""

    def searched(text: str) -> float:
        started = time.perf_counter()
        search(gallery, Query(text=text), SHOWN)
        return time.perf_counter() - started

    def by_numpy() -> float:
        started = time.perf_counter()
        (query,) = ground.embedder.embed_text(["a red shoe"])
        for path in sorted((gallery.folder / "features").glob("*.npy")):
            features = np.load(path, mmap_mode="r").astype(np.float32)
            _ = features @ query / np.linalg.norm(features, axis=1)
        return time.perf_counter() - started

    first = searched("a dog")
    ours, plain = ground.in_turns(lambda: searched("a red shoe"), by_numpy)
    fill(gallery, ground.seeds, 10, first=MANY + ADDED)
    after = searched("a red shoe")
    yield Row("words in 1,000,000 items", f"{ours:.2f} s", f"NumPy over features {plain:.1f} s", plain / ours, 1)
    print(f"the first words {first:.1f} s, the first after ten items came {after:.1f} s", flush=True)


def context(ground: Ground, gallery: Gallery) -> None:
    """Print what hits in context take where nobody knows the neighbours of all items: the first, and other images'."""
    images = [item.read() for item in ground.items[:: len(ground.items) // SHOWN]]

    def searched(image: bytes, rerank: bool) -> float:
        return _milliseconds(lambda query, k: search(gallery, [query], k, rerank=rerank), image)

    alone = statistics.median(searched(image, False) for image in images)
    first, *others = (searched(image, True) for image in images)
    print(
        f"in context the first {first:.0f} ms, others {statistics.median(others):.0f} ms, alone {alone:.0f} ms",
        flush=True,
    )


def program_seconds(code: str) -> float:
    """From start to end of a Python program."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - started


CLICKED_JS = """(at) => new Promise((done) => {
  const began = performance.now();
  const drawn = () => requestAnimationFrame(() => {
    const hits = [...document.querySelectorAll('#hits .grid[data-kind=hits] .card img')];
    if (hits.length && hits.every((image) => image.complete)) done(performance.now() - began); else drawn();
  });
  document.querySelectorAll('#hits .grid[data-kind=samples] .card')[at].click();
  drawn();
})"""


PRESSED_JS = """(press) => new Promise((done) => {
  const began = performance.now();
  const drawn = () => requestAnimationFrame(() => {
    const pictures = [...document.querySelectorAll(`.answer[data-press="${press}"] img`)];
    if (pictures.length && pictures.every((image) => image.complete)) done(performance.now() - began); else drawn();
  });
  document.querySelector('#press').click();
  drawn();
})"""


def click(ground: Ground) -> Iterator[Row]:
    """From a click on a picture of a gallery of 5,000 to its hits with their pictures in Chromium; more than a search.
    Beside it a page of Gradio's that does nothing but show 20 of these pictures at a press, of as many in all.

    The pages' first clicks, which bring what later ones need, are not counted.
    """
    from playwright.sync_api import sync_playwright

    from tests.support.browsing import ARGUMENTS, chromium_path
    from tests.support.serving import serve

    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        gallery = Gallery.create(Path(scratch) / "indexes" / "pictures", ground.embedder)
        finish(index(gallery, Chosen(ground.items[:FEW])))
        data = ground.items[0].read()
        alone, _ = milliseconds({"search": lambda: search(gallery, [data], 20)}, 50)["search"]
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=ARGUMENTS)
        waits, bare = [], []
        with bare_page(gallery, Path(scratch) / "shown") as url:
            page = browser.new_page(viewport=SEEN)
            page.goto(url)
            for press in range(1, 2 + CLICKS):
                page.wait_for_selector("#press")
                page.wait_for_timeout(1500)
                bare.append(page.evaluate(PRESSED_JS, press))
        with serve(Path(scratch) / "indexes") as server:
            page = browser.new_page(viewport=SEEN)
            page.goto(server.url)
            for turn in range(1 + CLICKS):
                page.wait_for_selector("#hits .grid[data-kind=samples] .card")
                page.wait_for_timeout(1500)
                waits.append(page.evaluate(CLICKED_JS, turn % SAMPLES))
                page.locator("#clear-button").click()
        browser.close()
    wait, least = statistics.median(waits[1:]), statistics.median(bare[1:])
    rival = f"a search {alone:.0f} ms, a bare page {least:.0f} ms"
    yield Row(f"click to hits of {FEW:,}, ms", f"{wait:.0f} ms", rival, wait - alone, 60, True)


@contextlib.contextmanager
def bare_page(gallery: Gallery, folder: Path) -> Iterator[str]:
    """The address of :mod:`benchmarks.bare_page`, of thumbnails of a gallery, while the block runs."""
    from tests.support.serving import free_port

    folder.mkdir()
    ids = gallery.snapshot().columns.ids
    for record in gallery.records(ids[:: len(ids) // (SAMPLES * SHOWN)].tolist()[: SAMPLES * SHOWN]):
        (folder / f"{record.id}.jpg").write_bytes(gallery.thumbnail(record.sha256))
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.bare_page", str(port), str(folder)])
    try:
        url = f"http://127.0.0.1:{port}/"
        while process.poll() is None:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(url, timeout=1).close()
                break
            time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait()


def first_map(ground: Ground) -> Iterator[Row]:
    """The first map of a machine whose page was open for a while, beside a later one; 5,000 points."""
    with tempfile.TemporaryDirectory() as scratch:
        gallery = fill(Gallery.create(Path(scratch) / "g", ground.embedder), ground.seeds, FEW)
        gallery.derived.save()
        drawn = (
            "import time; from unifex.core.progress import finish; from unifex.gallery.gallery import Gallery;"
            f"from unifex.maps.projection import project; gallery = Gallery.open({str(gallery.folder)!r});"
            "started = time.perf_counter(); finish(project(gallery, refresh=True));"
            "print(time.perf_counter() - started)"
        )
        ahead = "from unifex.maps.compiling import compile_ahead; assert compile_ahead(lambda: False)"
        cold, first, later = [], [], []
        for run in range(ground.runs):
            fresh, idle = (os.environ | {"UNIFEX_CACHE": f"{scratch}/{kind}{run}"} for kind in ("cold", "idle"))
            cold.append(float(subprocess.check_output([sys.executable, "-c", drawn], env=fresh)))
            subprocess.run([sys.executable, "-c", ahead], env=idle, check=True)
            first.append(float(subprocess.check_output([sys.executable, "-c", drawn], env=idle)))
            later.append(float(subprocess.check_output([sys.executable, "-c", drawn], env=idle)))
    cold, first, later = map(statistics.median, (cold, first, later))
    print(f"the very first map without a pause before it: {cold:.1f} s")
    yield Row("first map of a machine", f"{first:.1f} s", f"a later one {later:.1f} s", first / later, 2, at_most=True)


def vectors(ground: Ground) -> Iterator[Row]:
    """A query of ten million 64-d embeddings in lists, beside a million; recall of other queries, and memory."""
    rng = np.random.default_rng(0)
    centres = l2_normalize(rng.standard_normal((CENTRES, WIDTH)).astype(np.float32), WIDTH)

    def drawn(count: int) -> np.ndarray:
        made = np.empty((count, WIDTH), np.float32)
        for at in range(0, count, 1 << 18):
            part = made[at : at + (1 << 18)]
            noise = l2_normalize(rng.standard_normal(part.shape).astype(np.float32), WIDTH)
            part[:] = l2_normalize(centres[rng.integers(0, CENTRES, len(part))] + SPREAD * noise, WIDTH)
        return made

    embeddings, queries = drawn(VECTORS), drawn(QUERIES)
    spent, built = {}, {}
    for count in (VECTORS // 10, VECTORS):
        started = time.perf_counter()
        built[count] = index_types.build(embeddings[:count], "lists")
        print(f"{count:,} vectors in lists after {time.perf_counter() - started:.0f} s", flush=True)
    for count, found in built.items():
        spent[count] = [_milliseconds(found.search, query[None]) for _ in range(ground.runs) for query in queries]
    few, many = (statistics.median(times) for times in spent.values())
    found = built[VECTORS]
    right = brute_force(queries, embeddings, 10)[1]
    hits = found.search(queries, 10).positions
    recall = float(np.mean([np.isin(row, hit).mean() for row, hit in zip(right, hits)]))
    size = found.candidates.nbytes / VECTORS
    rival = f"1,000,000: {few:.2f} ms"
    yield Row("a query of 10,000,000 x 64", f"{many:.2f} ms", rival, many / few, 3, at_most=True)
    yield Row("its recall@10", f"{recall:.4f}", "exact search", recall, 0.95)
    yield Row("its memory, bytes an item", f"{found.candidates.nbytes / 1e6:.0f} MB", "", size, 100, at_most=True)


def _milliseconds(work: Callable[..., object], query: Any) -> float:
    started = time.perf_counter()
    work(query, 10)
    return 1000 * (time.perf_counter() - started)


ROWS: dict[str, Callable[[Ground], Iterator[Row]]] = {
    "photographs": photographs,
    "million": million,
    "click": click,
    "map": first_map,
    "vectors": vectors,
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source")
    parser.add_argument("--only", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    ground = Ground(arguments.source, arguments.runs)
    for name in arguments.only:
        for row in ROWS[name](ground):
            tell(row)


if __name__ == "__main__":
    main()
