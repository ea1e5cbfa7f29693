"""Ten million drawn features through Ray's shards into a gallery whose vectors are in Milvus, searched through the app.

    python -m benchmarks.past_one_machine SOURCE --folder FOLDER --store milvus:http://127.0.0.1:19530 \\
        [--items 10000000] [--searches 50]

The backbone is the default model as the challenge takes it (TorchScript, 64-d); an item is one of 1,000 of the
source's images with noise of 0.7 of its length. What is in the folder already is not made again, so that a run that
stops goes on. Ray's actors write the layout that ``embed --engine ray`` writes, ``index --from-embeddings`` reads it,
``app.py`` serves it, and pictures are sent to ``/api/v1``. A search in Milvus is compared with one that looks at every
embedding. A server for the store is ``tests/support/milvus_server.py``'s, or any other.
"""

from __future__ import annotations

import argparse
import json
import logging
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import ray
from ray.data import ActorPoolStrategy

from tests.support.serving import serve
from unifex.core.vectors import l2_normalize
from unifex.data.item import Item, Labels
from unifex.data.sources import open_source
from unifex.gallery.clip_retrieval import PLAN
from unifex.gallery.gallery import Gallery
from unifex.gallery.records import Embedded
from unifex.models.embedder import Embedder
from unifex.scale.partitions import Shard
from unifex.scale.ray_embedding import Worker
from unifex.vector_index import index_types
from unifex.vector_index.metric import brute_force
from unifex.vector_index.milvus_index import MilvusIndex

MODEL, GALLERY = "challenge", "many"
SEEDS, SPREAD = 1000, 0.7
SHARD_ROWS = 100_000
HITS = 20


class Drawing(Worker):
    """A worker that draws a part's features instead of looking at images."""

    def __init__(self, out: str, embedder: Embedder, seeds: np.ndarray, labels: list[Labels]):
        super().__init__(out, embedder, None)
        self.seeds, self.labels = seeds, labels

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, list]:
        return {"number": [self.write(Shard(int(number), "files")) for number in batch["number"]]}

    def _outcomes(self, shard: Shard) -> Iterator[Embedded]:
        rng = np.random.default_rng(shard.number)
        chosen = rng.integers(0, len(self.seeds), SHARD_ROWS)
        noise = rng.standard_normal((SHARD_ROWS, self.seeds.shape[1]), np.float32)
        drawn = self.seeds[chosen] + SPREAD * l2_normalize(noise, noise.shape[1])
        for at, (seed, features) in enumerate(zip(chosen, drawn)):
            row = shard.number * SHARD_ROWS + at
            item = Item(f"drawn:{row}", f"{row}.jpg", bytes, self.labels[seed])
            yield Embedded(item, 4 * f"{row:016x}", features=features)


def challenge_model(folder: Path) -> Embedder:
    """The default model with 64 values, taken in as others are."""
    models = folder / "models"
    if not (models / MODEL).exists():
        unifex("export", "--out", str(folder / "challenge.pt"), library=folder)
        unifex("import", str(folder / "challenge.pt"), "--save", MODEL, library=folder)
    return Embedder.load(MODEL, models)


def unifex(*command: str, library: Path) -> None:
    """A command as one types it."""
    subprocess.run([sys.executable, "-m", "unifex", *command, "--library", str(library)], check=True)


def draw(out: Path, embedder: Embedder, pictures: list[Item], items: int) -> None:
    """Shards by Ray; those that are there stay."""
    seeds = embedder.features([item.read() for item in pictures]).astype(np.float32)
    labels = [item.labels for item in pictures]
    missing = [n for n in range(items // SHARD_ROWS) if not (out / f"metadata/metadata_{n:05d}.parquet").exists()]
    made_of = {
        "backbone": embedder.backbone.id, "backbone_hash": embedder.backbone.weight_hash(), "dim": 0,
        "parts": items // SHARD_ROWS,
    }  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    (out / PLAN).write_text(json.dumps(made_of))
    if missing:
        ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        parts = ray.data.from_items([{"number": number} for number in missing], override_num_blocks=len(missing))
        fresh = Embedder(embedder.config, embedder.neck, embedder.backbone)
        done = parts.map_batches(
            Drawing, fn_constructor_args=(str(out), fresh, seeds, labels), batch_size=1, num_cpus=1,
            compute=ActorPoolStrategy(min_size=1, max_size=int(ray.cluster_resources()["CPU"])),
        )  # fmt: skip
        done.take_all()
        ray.shutdown()


def wait_until_indexed(gallery: Gallery) -> float:
    """Seconds until a Milvus server has laid out its graphs; Milvus Lite and FAISS have done so."""
    started = time.perf_counter()
    candidates = gallery.snapshot().index.candidates
    while isinstance(candidates, MilvusIndex) and "://" in gallery.config.store:
        told = candidates.client.describe_index(candidates.name, "embedding")
        if not told["pending_index_rows"]:
            break
        time.sleep(5)
    return time.perf_counter() - started


def recall(gallery: Gallery, queries: np.ndarray) -> tuple[float, float]:
    """(share of the nearest ten that are found, seconds that looking at every embedding takes a query)."""
    index = gallery.snapshot().index
    found = index.search(queries, 10).positions
    started = time.perf_counter()
    right = brute_force(queries, index.embeddings, 10)[1]
    seconds = (time.perf_counter() - started) / len(queries)
    return float(np.mean([np.isin(row, hit).mean() for row, hit in zip(right, found)])), seconds


def through_the_app(library: Path, pictures: list[bytes], domain: str) -> None:
    """Print how long the app takes to its first answer and to later ones, as a client sees them."""
    started = time.perf_counter()
    with serve(library, environment={}, expect_clean_log=False) as server:
        print(f"app.py answers after {time.perf_counter() - started:.1f} s", flush=True)
        with httpx.Client(base_url=f"{server.url}api/v1", timeout=600) as http:

            def asked(data: bytes, **more: str) -> float:
                began = time.perf_counter()
                answer = http.post(f"/galleries/{GALLERY}/search", content=data, params={"k": HITS, **more},
                                   headers={"content-type": "image/jpeg"})  # fmt: skip
                answer.raise_for_status()
                found = answer.json()
                assert len(found["hits"]) == HITS, found
                return time.perf_counter() - began

            print(f"its first search takes {asked(pictures[0]):.1f} s", flush=True)
            for what, more in (("a search", {}), (f"one in domain '{domain}'", {"domain": domain})):
                spent = sorted(asked(data, **more) for data in pictures)
                print(f"{what}: {1000 * statistics.median(spent):.0f} ms, the slowest {1000 * spent[-1]:.0f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--store", default="milvus")
    parser.add_argument("--items", type=int, default=10_000_000, help=f"in steps of {SHARD_ROWS:,}")
    parser.add_argument("--searches", type=int, default=50)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    embedder = challenge_model(options.folder)
    pictures = [item for item in open_source(options.source) if isinstance(item, Item)]
    pictures = pictures[:: max(1, len(pictures) // SEEDS)]
    shards, started = options.folder / "shards", time.perf_counter()
    draw(shards, embedder, pictures, options.items)
    print(f"{options.items:,} rows in shards after {time.perf_counter() - started:.0f} s", flush=True)
    if not (options.folder / GALLERY).exists() or len(Gallery.open(options.folder / GALLERY)) < options.items:
        started = time.perf_counter()
        how = ["--from-embeddings", str(shards), "--gallery", GALLERY, "--model", MODEL, "--store", options.store]
        unifex("index", *how, library=options.folder)
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
        print(f"in a gallery after {time.perf_counter() - started:.0f} s, {peak:.1f} GB of memory at most", flush=True)
    started = time.perf_counter()
    gallery = Gallery.open(options.folder / GALLERY)
    gallery.snapshot()
    print(f"opened in {time.perf_counter() - started:.1f} s, {gallery.facts().bytes / 1e9:.1f} GB on disk", flush=True)
    print(f"Milvus lays out its graphs for another {wait_until_indexed(gallery):.0f} s", flush=True)
    queries = pictures[:: max(1, len(pictures) // options.searches)][: options.searches]
    data = [item.read() for item in queries]
    share, scan = recall(gallery, gallery.embedder.embed(data))
    print(f"recall@10 {share:.4f}; looking at every embedding takes {scan:.2f} s a query", flush=True)
    if kind := index_types.of_store(gallery.config.store):
        kind.release(gallery.config.store, gallery.folder)  # Milvus Lite's file is one program's
    through_the_app(options.folder, data, queries[0].labels.domain)


if __name__ == "__main__":
    main()
