"""mMP@5 at the size of GUIEC: 5,000 queries against 200,000 items, 64-d, beside numpy's argsort on the same vectors.

    python -m benchmarks.evaluation [--queries 5000] [--items 200000] [--dim 64]

The vectors are drawn: 2,000 classes with noise, in 11 domains. Peak memory is of the whole process.
"""

from __future__ import annotations

import argparse
import math
import resource
import time

import numpy as np

from benchmarks.table import Row, tell
from unifex.core.progress import Step, finish
from unifex.core.vectors import l2_normalize
from unifex.evaluation.evaluate import evaluate
from unifex.evaluation.protocols import EvalProtocol
from unifex.evaluation.splits import QueryIndexSplit
from unifex.gallery.snapshot import CategoricalColumn, ItemTable

CLASSES, DOMAINS, NOISE = 2000, 11, 1.6
ROWS = 100
EVERY = 10  # argsort takes too long for more


def main() -> None:
    """Draw, evaluate, sort, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=5000)
    parser.add_argument("--items", type=int, default=200_000)
    parser.add_argument("--dim", type=int, default=64)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    count = arguments.queries + arguments.items
    labels = rng.integers(0, CLASSES, count)
    centres = l2_normalize(rng.standard_normal((CLASSES, arguments.dim)), arguments.dim)
    noise = NOISE * l2_normalize(rng.standard_normal((count, arguments.dim), np.float32), arguments.dim)
    embeddings = l2_normalize(centres[labels] + noise, arguments.dim)
    columns = ItemTable(
        1, np.arange(count), np.array([4 * f"{row:016x}" for row in range(count)], "S64"),
        CategoricalColumn.of([f"domain {label % DOMAINS}" for label in labels]), CategoricalColumn.of([""] * count),
        CategoricalColumn.of([str(label) for label in labels]),
    )  # fmt: skip
    queries, items = np.arange(arguments.queries), np.arange(arguments.queries, count)
    split = QueryIndexSplit(EvalProtocol("split"), columns, queries, items, None, np.zeros((0, 2), np.int64), {})
    started, whole = time.perf_counter(), math.nan

    def watch(step: Step) -> None:
        nonlocal whole
        if "alone" in step.stage and math.isnan(whole):
            whole = time.perf_counter() - started

    found = finish(evaluate(split, embeddings), watch)
    seconds = time.perf_counter() - started
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    relevant = found.split.relevant().mean()
    print(
        f"{arguments.queries:,} queries x {arguments.items:,} items x {arguments.dim}-d, {relevant:.0f} relevant each"
    )
    print(f"mMP@5 {found.overall().value:.4f} with recall@1, recall@5 and mAP@R: {whole:.1f} s")
    print(f"the same with every domain alone: {seconds:.1f} s; peak memory {memory:.1f} GB")
    slow, value = argsort_scores(split, embeddings)
    same = found.metrics.mmp5[::EVERY].mean()
    print(f"numpy's product and argsort, mMP@5 only: {slow:.1f} s, {slow / whole:.1f} times as long; "
          f"difference on its queries {abs(value - same):.1e}")  # fmt: skip
    tell(Row("mMP@5, 5,000 x 200,000", f"{whole:.1f} s", f"numpy argsort {slow:.0f} s", slow / whole, 5))


def argsort_scores(split: QueryIndexSplit, embeddings: np.ndarray) -> tuple[float, float]:
    """Seconds and mMP@5 by sorting every similarity; measured on every tenth query and multiplied."""
    classes, items = split.columns.classes, embeddings[split.items]
    chosen = split.queries[::EVERY]
    relevant = np.bincount(classes[split.items], minlength=classes.max() + 1)
    total, started = 0.0, time.perf_counter()
    for start in range(0, len(chosen), ROWS):
        rows = chosen[start : start + ROWS]
        hits = np.argsort(-(embeddings[rows] @ items.T), axis=1, kind="stable")[:, :5]
        right = classes[split.items][hits] == classes[rows, None]
        depth = np.minimum(5, relevant[classes[rows]])
        total += ((right & (np.arange(5) < depth[:, None])).sum(1) / depth).sum()
    return EVERY * (time.perf_counter() - started), total / len(chosen)


if __name__ == "__main__":
    main()
