"""How well embeddings find what belongs together: every query of a split searched for, and scored."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from unifex.core.language import say, to_say
from unifex.core.progress import Stage, Work, finish
from unifex.evaluation import metrics
from unifex.evaluation.evaluation import Evaluation
from unifex.evaluation.metrics import CUTOFF, METRICS, Metrics
from unifex.evaluation.splits import QueryIndexSplit
from unifex.gallery import neighbours
from unifex.gallery.neighbours import Neighbours
from unifex.retrieval import reranking
from unifex.vector_index import index_types
from unifex.vector_index.exact import VectorIndex
from unifex.vector_index.matches import Matches

CHALLENGE_DIM = 64  # of GUIEC and of the paper
DEPTH_LIMIT = 1 << 23  # hits held at once
QUERIES_AT_ONCE = 1024


def evaluate(
    split: QueryIndexSplit,
    embeddings: np.ndarray,
    model: str = "",
    near: Neighbours | None = None,
    context: bool = False,
) -> Work[Evaluation]:
    """Score L2-normalised ``embeddings`` [N, d] of all items on a split.

    ``context`` re-ranks by the index's own neighbourhood: ``near`` when that is known, else found here.
    """
    dim = embeddings.shape[1]
    of = {"model": model, "dim": dim}
    doing = say("measuring {model} {dim}-d in context", **of) if context else say("measuring {model} {dim}-d", **of)
    stage = Stage(doing, len(split.queries), to_say("queries"))
    index = index_types.build(np.ascontiguousarray(embeddings[split.items]), "flat")
    if context and near is None:
        near = yield from neighbours.find(index, split.columns.pictures[split.items])
    relevant = split.relevant()
    values = np.full((len(METRICS), len(split.queries)), np.nan)
    hits = Matches.none(len(split.queries), CUTOFF)
    done = 0
    for rows, depth in _blocks(relevant, len(split.items)):
        yield stage.at(done)
        found = _search(split, index, embeddings, rows, depth, near if context else None)
        scored = metrics.score(split.is_match(rows, found.positions), relevant[rows])
        values[:, rows] = [getattr(scored, name) for name in METRICS]
        hits.put(rows, found)
        done += len(rows)
    alone = say("{stage}, each domain alone", stage=stage.name)
    in_domain = yield from _in_domain(split, embeddings, context, alone)
    return Evaluation(split, model, dim, context, Metrics(*values), in_domain, hits)


def _blocks(relevant: np.ndarray, items: int) -> Iterator[tuple[np.ndarray, int]]:
    """Queries that are searched for at once, and how deep: to all that is relevant, in powers of two."""
    depths = np.maximum(CUTOFF, relevant)
    depths = np.minimum(1 << np.ceil(np.log2(depths)).astype(np.int64), items)
    for depth in np.unique(depths):
        rows = np.flatnonzero(depths == depth)
        size = max(1, min(QUERIES_AT_ONCE, DEPTH_LIMIT // depth))
        for block in np.split(rows, range(size, len(rows), size)):
            yield block, int(depth)


def mmp5(split: QueryIndexSplit, embeddings: np.ndarray) -> float:
    """Mean mMP@5 alone, 0..1: what a training is watched by."""
    index = index_types.build(np.ascontiguousarray(embeddings[split.items]), "flat")
    rows = np.arange(len(split.queries))
    positions = _search(split, index, embeddings, rows, CUTOFF, None).positions
    return metrics.mean(metrics.score(split.is_match(rows, positions), split.relevant()).mmp5).value


def _search(
    split: QueryIndexSplit,
    index: VectorIndex,
    embeddings: np.ndarray,
    rows: np.ndarray,
    k: int,
    near: Neighbours | None,
) -> Matches:
    """Of the queries ``rows``, as positions in the split's columns."""
    queries, excluded = embeddings[split.queries[rows]], split.excluded(rows)
    if near is None:
        return index.search(queries, k, excluded).within(split.items)
    return reranking.search_reranked(index, near, queries, k, excluded).within(split.items)


def _in_domain(split: QueryIndexSplit, embeddings: np.ndarray, context: bool, doing: str) -> Work[np.ndarray]:
    """mMP@5 of every query among the items of its own domain only: float64 [Q]."""
    values = np.full(len(split.queries), np.nan)
    names = np.unique(split.domains.astype(str))
    stage = Stage(doing, len(names), to_say("domains"))
    for done, name in enumerate(names):
        yield stage.at(done)
        rows, within = np.flatnonzero(split.domains == name), split.item_domains == name
        if not within.any():
            continue
        own = replace(split, items=split.items[within])
        index = index_types.build(np.ascontiguousarray(embeddings[own.items]), "flat")
        near = finish(neighbours.find(index, split.columns.pictures[own.items])) if context else None
        positions = _search(own, index, embeddings, rows, CUTOFF, near).positions
        values[rows] = metrics.score(split.is_match(rows, positions), own.relevant()[rows]).mmp5
    return values
