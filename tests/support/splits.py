"""Small splits made by hand, and the slow, obvious way to score them."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from unifex.core.progress import finish
from unifex.core.vectors import l2_normalize
from unifex.evaluation.evaluate import evaluate
from unifex.evaluation.evaluation import Evaluation
from unifex.evaluation.protocols import EvalProtocol
from unifex.evaluation.splits import QueryIndexSplit
from unifex.gallery.snapshot import CategoricalColumn, ItemTable


def make_columns(labels, domains=None, splits=None, hashes=None) -> ItemTable:
    """Columns of items with these labels."""
    count = len(labels)
    hashes = np.array([f"{h:016x}" * 4 for h in (range(count) if hashes is None else hashes)], "S64")
    texts = (domains or [""] * count, splits or [""] * count, list(map(str, labels)))
    return ItemTable(1, np.arange(1, count + 1), hashes, *(CategoricalColumn.of(list(text)) for text in texts))


def make_split(columns: ItemTable, queries, items, groups=None, same=()) -> QueryIndexSplit:
    """A split of these positions."""
    pairs = sorted({tuple(pair) for one in same for pair in (one, one[::-1])})
    return QueryIndexSplit(
        EvalProtocol("split" if groups is None else "leave-one-out"), columns, np.asarray(queries), np.asarray(items),
        groups, np.array(pairs, np.int64).reshape(-1, 2), {},
    )  # fmt: skip


def random_embeddings(count: int, dim: int, seed: int, ties: bool = False) -> np.ndarray:
    """L2-normalised float32 [count, dim]; with ``ties`` of few different rows."""
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((count, dim)) if not ties else rng.integers(-1, 2, (count, dim)) + 0.01
    return l2_normalize(rows.astype(np.float32), dim)


def slow_values(split: QueryIndexSplit, embeddings: np.ndarray) -> dict[str, list[float]]:
    """Every measure of every query by loops over the definition."""
    labels = split.columns.domains.texts + "/" + split.columns.labels.texts
    same = {tuple(pair) for pair in split.same.tolist()}
    values = {name: [] for name in ("mmp5", "recall1", "recall5", "map_r")}
    for query in split.queries.tolist():
        candidates = [
            item for item in split.items.tolist()
            if split.groups is None or split.groups[item] != split.groups[query]
        ]  # fmt: skip
        right = {item: labels[item] == labels[query] or (query, item) in same for item in candidates}
        cosine = lambda item: np.float32(  # noqa: E731
            sum(float(a) * float(b) for a, b in zip(embeddings[query], embeddings[item]))  # noqa: B023
        )
        ranked = sorted(candidates, key=lambda item: (-cosine(item), item))
        count = sum(right.values())
        if not count:
            for column in values.values():
                column.append(float("nan"))
            continue
        depth = min(count, 5)
        values["mmp5"].append(sum(right[item] for item in ranked[:depth]) / depth)
        values["recall1"].append(float(right[ranked[0]]))
        values["recall5"].append(float(any(right[item] for item in ranked[:5])))
        precisions = [
            sum(right[item] for item in ranked[: place + 1]) / (place + 1)
            for place in range(count) if right[ranked[place]]
        ]  # fmt: skip
        values["map_r"].append(sum(precisions) / count)
    return values


def measured(labels, embeddings, queries=None) -> Evaluation:
    """Items with these labels and embeddings [N, 2], searched for among each other."""
    split = make_split(make_columns(labels), queries or range(len(labels)), range(len(labels)), np.arange(len(labels)))
    return finish(evaluate(split, l2_normalize(np.array(embeddings, np.float32), 2), "m"))


class Stand:
    """A gallery that is nothing but its columns, with a model that says nothing of its training."""

    name = "stand-in"
    embedder = SimpleNamespace(
        config=SimpleNamespace(training={}),
        backbone=SimpleNamespace(adaptation=None),
        neck=SimpleNamespace(kind="linear", bias=range(1 << 16)),
    )

    def __init__(self, columns):
        self.columns = columns
        self.database = self

    def marked_pairs(self, kind):
        return []

    def snapshot(self):
        return self

    def corrections(self):
        return []
