"""Nearest neighbours among a million embeddings: this project's index beside numpy, hnswlib and usearch.

    pip install hnswlib usearch
    python -m benchmarks.nearest SOURCE [--items 1000000] [--queries 200]

The embeddings are those of 1,000 images of the source with noise of a fifth of their features' length, as in
``benchmarks.latency``; queries are made alike and are not among them. At 64-d and at 256-d: seconds to build, memory,
median milliseconds of one query alone and of all at once, per query, and recall@10 of the exact answer. The graphs of
hnswlib and usearch are searched with the smallest effort that gives recall 0.95.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import faiss
import numpy as np

from benchmarks.latency import BATCH, NOISE, SEEDS
from benchmarks.table import Row, tell
from unifex import vectors
from unifex.embedder import Embedder
from unifex.neck import truncate
from unifex.sources import Item, open_source

K = 10
RECALL = 0.95
EFFORTS = (16, 32, 64, 128, 256, 512, 1024, 2048)
LINKS, BUILD_EFFORT = 16, 128
CANDIDATES, PROBES = (32, 64, 256, 1024), (2, 4, 8, 16)
DIMS = (64, 256)

Search = Callable[[np.ndarray], np.ndarray]  # queries [Q, d] -> positions [Q, K]


@dataclass(frozen=True)
class Contender:
    """A built index. ``bytes``: of what it needs in memory to answer."""

    name: str
    search: Search
    bytes: float


@dataclass(frozen=True)
class Measured:
    """Milliseconds of a query ``one`` by one and in a ``batch``; ``bytes`` in memory."""

    one: float
    batch: float
    bytes: float
    recall: float


def embeddings(source: str, count: int, queries: int) -> tuple[np.ndarray, np.ndarray]:
    """float32 [count, 256] and [queries, 256], made alike."""
    embedder = Embedder.load()
    items = [item for item in open_source(source) if isinstance(item, Item)]
    seeds = embedder.features([item.read() for item in items[:: max(1, len(items) // SEEDS)]])
    rng, made = np.random.default_rng(0), []
    for start in range(0, count + queries, BATCH):
        rows = min(BATCH, count + queries - start)
        noise = truncate(rng.standard_normal((rows, seeds.shape[1])).astype(np.float32), seeds.shape[1])
        made.append(embedder.neck.embed(seeds[rng.integers(0, len(seeds), rows)] + NOISE * noise, max(DIMS)))
    whole = np.concatenate(made)
    return whole[:count], whole[count:]


def ours(data: np.ndarray, queries: np.ndarray, right: np.ndarray) -> Contender:
    """What a gallery of this size has. Its embeddings are looked up on disk; in memory are codes, keys and centres."""
    index = vectors.build(data)
    lists = index.shortlist.index
    size = len(data) * (lists.code_size + 8) + 4 * lists.nlist * lists.d
    return Contender("unifex", lambda asked: index.search(asked, K)[1], size)


def ours_at_recall(data: np.ndarray, queries: np.ndarray, right: np.ndarray) -> Contender:
    """The same lists, with as little looked at as finds as much as the graphs do."""
    index = vectors.build(data)
    found = index
    for candidates in CANDIDATES:
        for probes in PROBES:
            found = replace(index, shortlist=replace(index.shortlist, probes=probes, candidates=candidates))
            if recall(found.search(queries, K)[1], right) >= RECALL:
                size = len(data) * (found.shortlist.index.code_size + 8)
                name = f"unifex, {probes} probes, {candidates} candidates"
                return Contender(name, lambda asked, found=found: found.search(asked, K)[1], size)
    raise RuntimeError(f"no setting finds {RECALL}")


def flat(data: np.ndarray, queries: np.ndarray, right: np.ndarray) -> Contender:
    """FAISS, exact, in 32 bits."""
    index = faiss.IndexFlatIP(data.shape[1])
    index.add(data)
    return Contender("faiss, exact", lambda asked: index.search(asked, K)[1], data.nbytes)


def by_numpy(data: np.ndarray, queries: np.ndarray, right: np.ndarray) -> Contender:
    """A product and a partial sort."""

    def search(asked: np.ndarray) -> np.ndarray:
        found = []
        for block in np.array_split(asked, max(1, len(asked) // 50)):  # 50 x 1M similarities are 200 MB
            scores = block @ data.T
            best = np.argpartition(-scores, K, axis=1)[:, :K]
            order = np.argsort(-np.take_along_axis(scores, best, 1), axis=1)
            found.append(np.take_along_axis(best, order, 1))
        return np.concatenate(found)

    return Contender("numpy, exact", search, data.nbytes)


def by_hnswlib(data: np.ndarray, queries: np.ndarray, right: np.ndarray) -> Contender:
    """hnswlib's graph."""
    import hnswlib

    index = hnswlib.Index("ip", data.shape[1])
    index.init_index(len(data), ef_construction=BUILD_EFFORT, M=LINKS)
    index.add_items(data)
    search = lambda asked: index.knn_query(asked, K)[0].astype(np.int64)  # noqa: E731
    effort = least_effort(index.set_ef, search, queries, right)
    return Contender(f"hnswlib, effort {effort}", search, data.nbytes + len(data) * LINKS * 2 * 4)


def by_usearch(data: np.ndarray, queries: np.ndarray, right: np.ndarray) -> Contender:
    """usearch's graph."""
    from usearch.index import Index

    index = Index(ndim=data.shape[1], metric="ip", dtype="f32", connectivity=LINKS, expansion_add=BUILD_EFFORT)
    index.add(np.arange(len(data)), data)

    def search(asked: np.ndarray) -> np.ndarray:
        return np.asarray(index.search(asked, K).keys, np.int64).reshape(len(asked), -1)

    effort = least_effort(lambda value: setattr(index, "expansion_search", value), search, queries, right)
    return Contender(f"usearch, effort {effort}", search, index.memory_usage)


def least_effort(set_effort: Callable[[int], None], search: Search, queries: np.ndarray, right: np.ndarray) -> int:
    """The smallest effort of a graph that finds enough; the largest when none does."""
    for effort in EFFORTS:
        set_effort(effort)
        if recall(search(queries), right) >= RECALL:
            break
    return effort


def recall(found: np.ndarray, right: np.ndarray) -> float:
    """Share of the exact top 10 that was found."""
    return float(np.mean([len(set(a) & set(b)) / K for a, b in zip(found.tolist(), right.tolist())]))


def measure(contender: Contender, queries: np.ndarray, right: np.ndarray, built: float) -> Measured:
    """Print one line."""
    alone = []
    for query in queries:
        started = time.perf_counter()
        contender.search(query[None])
        alone.append(time.perf_counter() - started)
    together = []
    for _ in range(3):
        started = time.perf_counter()
        found = contender.search(queries)
        together.append((time.perf_counter() - started) / len(queries))
    one, batch = (1000 * statistics.median(values) for values in (alone, together))
    figures = f"{built:8.1f}{contender.bytes / 1e6:9.0f}{one:9.2f}{batch:9.2f}{recall(found, right):9.3f}"
    print(f"  {contender.name:46}{figures}", flush=True)
    return Measured(one, batch, contender.bytes, recall(found, right))


def main() -> None:
    """Print a table a dimension."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", help="folder or CSV")
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=200)
    arguments = parser.parse_args()
    data, queries = embeddings(arguments.source, arguments.items, arguments.queries)
    print(f"{len(data):,} embeddings, {len(queries)} queries, top {K}")
    for dim in DIMS:
        print(f"  {f'{dim}-d':46}{'build s':>8}{'MB':>9}{'one ms':>9}{'batch ms':>9}{'recall':>9}")
        cut, asked = truncate(data, dim), truncate(queries, dim)
        right = flat(cut, asked, np.zeros(0)).search(asked)
        found = {}
        for make in (ours, ours_at_recall, flat, by_numpy, *graphs()):
            started = time.perf_counter()
            contender = make(cut, asked, right)
            found[make] = measure(contender, asked, right, time.perf_counter() - started)
        judge(f"{len(data):,} x {dim}-d", dim, found)


def graphs() -> list[Callable]:
    """The rivals that are installed."""
    makers = {"hnswlib": by_hnswlib, "usearch": by_usearch}
    return [make for name, make in makers.items() if importlib.util.find_spec(name)]


def judge(what: str, dim: int, found: dict[Callable, Measured]) -> None:
    """The rows of the suite."""
    exact, mine, quick = found[flat], found[ours], found[ours_at_recall]
    if dim == DIMS[0]:
        rivals = [value for make, value in found.items() if make not in (ours, ours_at_recall)]
        for how in ("one", "batch"):
            best, own = min(getattr(rival, how) for rival in rivals), getattr(quick, how)
            tell(Row(f"{what}, top 10, {how}", f"{own:.2f} ms", f"fastest rival {best:.2f} ms", best / own, 0.9))
        return
    tell(
        Row(
            f"{what}, recall {mine.recall:.3f}",
            f"{mine.one:.2f} ms",
            f"exact {exact.one:.1f} ms",
            exact.one / mine.one,
            4,
        ),
        Row(
            "its memory", f"{mine.bytes / 1e6:.0f} MB", f"flat {exact.bytes / 1e6:.0f} MB", exact.bytes / mine.bytes, 3
        ),
    )


if __name__ == "__main__":
    main()
