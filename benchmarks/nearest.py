"""Nearest neighbours among a million embeddings: this project's index beside numpy, hnswlib and usearch.

    pip install hnswlib usearch
    python -m benchmarks.nearest SOURCE [--items 1000000] [--queries 200]

The embeddings are those of 1,000 images of the source with noise of a fifth of their features' length, as in
``benchmarks.latency``; queries are made alike and are not among them. At 64-d and at 256-d: seconds to build, memory,
median milliseconds of one query alone and of all at once, per query, and recall@10 of the exact answer. All take turns
in one process. This project's lists and the graphs of hnswlib and usearch are searched with the smallest effort that
gives recall 0.95, and 0.99; the index as a gallery has it (recall 0.995 and a margin) is timed besides.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product

import faiss
import numpy as np

from benchmarks.latency import BATCH, NOISE, SEEDS
from benchmarks.table import Row, tell
from unifex.core.vectors import l2_normalize
from unifex.data.item import Item
from unifex.data.sources import open_source
from unifex.models.embedder import Embedder
from unifex.vector_index import index_types
from unifex.vector_index.ivf_index import IVFIndex

K = 10
ROUNDS = 3
RECALLS = (0.95, 0.99)
EFFORTS = (16, 24, 32, 40, 48, 64, 96, 128, 256, 512, 1024, 2048)
LINKS, BUILD_EFFORT = 16, 128
CANDIDATES, PROBES = (10, 14, 18, 32, 64, 128, 256), (1, 2, 3, 4, 6, 8, 12, 16)
DIMS = (64, 256)
GALLERY, EXACT = "unifex, as a gallery has it", "faiss, exact"

Search = Callable[[np.ndarray], np.ndarray]  # queries [Q, d] -> positions [Q, K]


@dataclass(frozen=True)
class Contender:
    """A built index. ``bytes``: of what it needs in memory to answer; ``level``: recall it was set to reach."""

    name: str
    search: Search
    bytes: float
    level: float = 1.0
    rival: bool = True


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
        noise = l2_normalize(rng.standard_normal((rows, seeds.shape[1])).astype(np.float32), seeds.shape[1])
        made.append(embedder.neck.embed(seeds[rng.integers(0, len(seeds), rows)] + NOISE * noise, max(DIMS)))
    whole = np.concatenate(made)
    return whole[:count], whole[count:]


def ours(data: np.ndarray, queries: np.ndarray, right: np.ndarray) -> list[Contender]:
    """What a gallery of this size has, then its lists with as little looked at as finds what the levels ask for.

    The embeddings are looked up on disk; in memory are codes, keys and centres.
    """
    index = index_types.build(data)
    size = index.candidates.nbytes

    def search(settings: tuple[int, int]) -> Search:
        probes, candidates = settings
        assert isinstance(index.candidates, IVFIndex)
        found = replace(index, candidates=replace(index.candidates, probes=probes, candidates=candidates))
        return lambda asked: found.search(asked, K).positions

    efforts = sorted(product(PROBES, CANDIDATES), key=lambda pair: pair[0] * pair[1])
    return [
        Contender(GALLERY, lambda asked: index.search(asked, K).positions, size, rival=False),
        *at_levels("unifex, (probes, candidates)", efforts, search, size, queries, right, rival=False),
    ]


def at_levels(
    name: str,
    efforts: Sequence,
    search: Callable[..., Search],
    size: float,
    queries: np.ndarray,
    right: np.ndarray,
    rival: bool = True,
) -> list[Contender]:
    """One index, searched with the first of the ``efforts`` that reaches each of the recalls; else with the last."""
    found, at = [], 0
    for level in RECALLS:
        while at < len(efforts) - 1 and recall(search(efforts[at])(queries), right) < level:
            at += 1
        found.append(Contender(f"{name} {efforts[at]}", search(efforts[at]), size, level, rival))
    return found


def flat(data: np.ndarray, queries: np.ndarray, right: np.ndarray) -> list[Contender]:
    """FAISS, exact, in 32 bits."""
    index = faiss.IndexFlatIP(data.shape[1])
    index.add(data)
    return [Contender(EXACT, lambda asked: index.search(asked, K)[1], data.nbytes)]


def by_numpy(data: np.ndarray, queries: np.ndarray, right: np.ndarray) -> list[Contender]:
    """A product and a partial sort."""

    def search(asked: np.ndarray) -> np.ndarray:
        found = []
        for block in np.array_split(asked, max(1, len(asked) // 50)):  # 50 x 1M similarities are 200 MB
            scores = block @ data.T
            best = np.argpartition(-scores, K, axis=1)[:, :K]
            order = np.argsort(-np.take_along_axis(scores, best, 1), axis=1)
            found.append(np.take_along_axis(best, order, 1))
        return np.concatenate(found)

    return [Contender("numpy, exact", search, data.nbytes)]


def by_hnswlib(data: np.ndarray, queries: np.ndarray, right: np.ndarray) -> list[Contender]:
    """hnswlib's graph."""
    import hnswlib  # pyright: ignore[reportMissingModuleSource]  for this benchmark alone

    index = hnswlib.Index("ip", data.shape[1])
    index.init_index(len(data), ef_construction=BUILD_EFFORT, M=LINKS)
    index.add_items(data)

    def search(effort: int) -> Search:
        def found(asked: np.ndarray) -> np.ndarray:
            index.set_ef(effort)
            return index.knn_query(asked, K)[0].astype(np.int64)

        return found

    size = data.nbytes + len(data) * LINKS * 2 * 4
    return at_levels("hnswlib, effort", EFFORTS, search, size, queries, right)


def by_usearch(data: np.ndarray, queries: np.ndarray, right: np.ndarray) -> list[Contender]:
    """usearch's graph."""
    from usearch.index import Index  # pyright: ignore[reportMissingImports]  for this benchmark alone

    index = Index(ndim=data.shape[1], metric="ip", dtype="f32", connectivity=LINKS, expansion_add=BUILD_EFFORT)
    index.add(np.arange(len(data)), data)

    def search(effort: int) -> Search:
        def found(asked: np.ndarray) -> np.ndarray:
            index.expansion_search = effort
            return np.asarray(index.search(asked, K).keys, np.int64).reshape(len(asked), -1)

        return found

    return at_levels("usearch, effort", EFFORTS, search, index.memory_usage, queries, right)


def recall(found: np.ndarray, right: np.ndarray) -> float:
    """Share of the exact top 10 that was found."""
    return float(np.mean([len(set(a) & set(b)) / K for a, b in zip(found.tolist(), right.tolist())]))


def measure(contenders: list[Contender], queries: np.ndarray, right: np.ndarray) -> dict[str, Measured]:
    """By name. They take turns, so that a noisy neighbour of this machine disturbs all of them alike."""
    alone, together, found = defaultdict(list), defaultdict(list), {}
    for _ in range(ROUNDS):
        for contender in contenders:
            contender.search(queries[:1])  # what the last one left in the caches is nobody's fault
            for query in queries:
                started = time.perf_counter()
                contender.search(query[None])
                alone[contender.name].append(time.perf_counter() - started)
            started = time.perf_counter()
            found[contender.name] = contender.search(queries)
            together[contender.name].append((time.perf_counter() - started) / len(queries))
    return {
        one.name: Measured(
            1000 * statistics.median(alone[one.name]),
            1000 * statistics.median(together[one.name]),
            one.bytes,
            recall(found[one.name], right),
        )
        for one in contenders
    }


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
        cut, asked = l2_normalize(data, dim), l2_normalize(queries, dim)
        right = flat(cut, asked, np.zeros(0))[0].search(asked)
        contenders = []
        for make in (ours, flat, by_numpy, *graphs()):
            started = time.perf_counter()
            contenders += make(cut, asked, right)
            print(f"  {make.__name__} is built and set in {time.perf_counter() - started:.1f} s", flush=True)
        measured = measure(contenders, asked, right)
        print(f"  {f'{dim}-d':46}{'MB':>9}{'one ms':>9}{'batch ms':>9}{'recall':>9}")
        for name, m in measured.items():
            print(f"  {name:46}{m.bytes / 1e6:9.0f}{m.one:9.3f}{m.batch:9.3f}{m.recall:9.3f}", flush=True)
        judge(f"{len(data):,} x {dim}-d", dim, contenders, measured)


def graphs() -> list[Callable]:
    """The rivals that are installed."""
    makers = {"hnswlib": by_hnswlib, "usearch": by_usearch}
    return [make for name, make in makers.items() if importlib.util.find_spec(name)]


def judge(what: str, dim: int, contenders: list[Contender], measured: dict[str, Measured]) -> None:
    """The rows of the suite. An exact rival is one at every level."""
    if dim == DIMS[0]:
        for level, how in product(RECALLS, ("one", "batch")):
            own = next(one.name for one in contenders if not one.rival and one.level == level)
            baselines = [one.name for one in contenders if one.rival and one.level in (level, 1.0)]
            best = min(baselines, key=lambda name: getattr(measured[name], how))
            mine, theirs = getattr(measured[own], how), getattr(measured[best], how)
            name = best.partition(",")[0]
            tell(Row(f"{what}, recall {level}, {how}", f"{mine:.3f} ms", f"{name} {theirs:.3f} ms", theirs / mine, 0.9))
        return
    mine, exact = measured[GALLERY], measured[EXACT]
    faster, smaller = exact.one / mine.one, exact.bytes / mine.bytes
    tell(
        Row(f"{what}, recall {mine.recall:.3f}", f"{mine.one:.2f} ms", f"exact {exact.one:.1f} ms", faster, 4),
        Row("its memory", f"{mine.bytes / 1e6:.0f} MB", f"flat {exact.bytes / 1e6:.0f} MB", smaller, 3),
    )


if __name__ == "__main__":
    main()
