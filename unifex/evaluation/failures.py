"""What went wrong, to be opened and mended: the worst queries, likely label errors, images that stand on both sides."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from unifex.core.progress import finish
from unifex.evaluation.evaluation import Evaluation
from unifex.evaluation.metrics import CUTOFF
from unifex.evaluation.splits import QueryIndexSplit
from unifex.gallery import neighbours
from unifex.gallery.neighbours import NEIGHBOURS, Neighbours
from unifex.vector_index import index_types
from unifex.vector_index.exact import nearest_of_all
from unifex.vector_index.matches import Exclusion, Matches

AGREEING = 5  # neighbours that must all say the same
COMPARED_WITH_ALL = 2000  # items at most that look for theirs among all labelled ones without an index
NEAR_DUPLICATE = 0.97  # cosine; on the bundled model, pictures this alike are nearly always the same shot
MOST = 60


@dataclass(frozen=True)
class WorstQuery:
    """A query (position) with its value, its hits (positions, best first), their cosines and which are right.

    ``cutoff``: the value is of so many first hits, as many as could be right (at most five).
    """

    query: int
    mmp5: float
    cutoff: int
    hits: list[int]
    scores: list[float]
    is_match: list[bool]


@dataclass(frozen=True)
class LabelError:
    """An item (position) whose nearest neighbours (positions, nearest first) all have one other label."""

    item: int
    neighbours: list[int]
    similarity: float


@dataclass(frozen=True)
class Duplicate:
    """A query and an index item (positions) that show nearly or exactly the same image; cosine."""

    query: int
    item: int
    similarity: float
    identical: bool


def worst_queries(evaluation: Evaluation, most: int = MOST, among: np.ndarray | None = None) -> list[WorstQuery]:
    """Queries that are not perfect, worst first; of equals, first the one that was most sure of a wrong hit.

    ``among`` bool [Q]: only of these.
    """
    split, values = evaluation.split, evaluation.metrics.mmp5
    rows = np.flatnonzero(values < 1 if among is None else (values < 1) & among)
    hits = evaluation.hits
    is_match = split.is_match(np.arange(len(values)), hits.positions)
    sure = np.where(is_match | ~hits.found, -np.inf, hits.scores).max(axis=1, initial=-np.inf)
    rows = rows[np.lexsort((rows, -sure[rows], values[rows]))][:most]
    cutoff = np.minimum(split.relevant(), CUTOFF)
    found = []
    for row in rows:
        there = hits.found[row]
        lists = (column[row][there].tolist() for column in (hits.positions, hits.scores, is_match))
        found.append(WorstQuery(int(split.queries[row]), float(values[row]), int(cutoff[row]), *lists))
    return found


def label_errors(
    split: QueryIndexSplit, near: Neighbours, embeddings: np.ndarray, most: int = MOST
) -> list[LabelError]:
    """Labelled items whose 5 nearest labelled neighbours agree on another label, surest first.

    ``near`` and ``embeddings`` float32 [N, d] are of all items.
    """
    classes = split.columns.classes
    around = _with_labelled(near, split, embeddings)
    usable = (around.positions >= 0) & (classes[around.positions] >= 0)
    first = np.argsort(~usable, axis=1, kind="stable")[:, :AGREEING]
    usable = np.take_along_axis(usable, first, 1).all(1)
    positions, scores = (np.take_along_axis(values, first, 1) for values in (around.positions, around.scores))
    said = classes[positions]
    suspect = usable & (classes >= 0) & (said == said[:, :1]).all(1) & (said[:, 0] != classes)
    suspect[split.same[:, 0]] = False
    similarity = np.where(suspect, scores.mean(axis=1), -np.inf)
    order = np.lexsort((np.arange(len(classes)), -similarity))[: min(most, int(suspect.sum()))]
    return [LabelError(int(i), positions[i].tolist(), float(similarity[i])) for i in order]


def _with_labelled(near: Neighbours, split: QueryIndexSplit, embeddings: np.ndarray) -> Matches:
    """``near``, but of labelled items that have few labelled ones in it, those among the labelled ones."""
    columns = split.columns
    mask = columns.classes >= 0
    labelled = np.flatnonzero(mask)
    positions = near.positions[labelled]
    few = labelled[((positions >= 0) & mask[positions]).sum(1) < AGREEING]
    if not len(few) or mask.all():
        return near
    found = Matches(near.scores.copy(), near.positions.copy())
    if len(few) <= COMPARED_WITH_ALL:  # to build an index over hundreds of thousands takes longer
        own = Exclusion.own(columns.pictures, few, mask)
        found.put(few, nearest_of_all(embeddings[few], NEIGHBOURS, embeddings, own))
    else:
        index = index_types.build(np.ascontiguousarray(embeddings[labelled]))
        rows = np.searchsorted(labelled, few)
        found.put(few, finish(neighbours.find(index, columns.pictures[labelled], rows)).within(labelled))
    return found


def duplicates(split: QueryIndexSplit, near: Neighbours, most: int = MOST) -> list[Duplicate]:
    """Pairs of a query and an index item that are byte-identical or nearly so, most alike first.

    Leave-one-out leaves byte-identical copies out by itself; there only the others are named, each pair once.
    """
    count = len(split.columns.ids)
    asked, listed = np.zeros(count, bool), np.zeros(count, bool)
    asked[split.queries], listed[split.items] = True, True
    rows, cutoff = np.nonzero(near.scores >= NEAR_DUPLICATE)
    pairs = np.column_stack([rows, near.positions[rows, cutoff]])
    scores = near.scores[rows, cutoff]
    copies = _copies(split, most)
    pairs, scores = np.vstack([pairs, copies]), np.concatenate([scores, np.ones(len(copies))])
    kept = asked[pairs[:, 0]] & listed[pairs[:, 1]]
    if split.groups is not None:
        kept &= pairs[:, 0] < pairs[:, 1]
    kept &= ~np.isin(pairs[:, 0] * count + pairs[:, 1], split.same[:, 0] * count + split.same[:, 1])
    pairs, scores = pairs[kept], scores[kept]
    order = np.lexsort((pairs[:, 1], pairs[:, 0], -scores))[:most]
    same_bytes = split.columns.copies[pairs[:, 0]] == split.columns.copies[pairs[:, 1]]
    return [Duplicate(int(pairs[i, 0]), int(pairs[i, 1]), float(scores[i]), bool(same_bytes[i])) for i in order]


def _copies(split: QueryIndexSplit, most: int) -> np.ndarray:
    """The first pairs [<= most, 2] of a query and an index item that are the same picture, and so no neighbours."""
    columns, pictures = split.columns, split.columns.pictures
    items = np.sort(split.items)
    items = items[np.argsort(pictures[items], kind="stable")]
    queries = np.sort(split.queries)
    starts, ends = (np.searchsorted(pictures[items], pictures[queries], side) for side in ("left", "right"))
    found, left = [np.zeros((0, 2), np.int64)], most
    shared = ends - starts > np.isin(queries, items)
    for query, start, end in zip(queries[shared], starts[shared], ends[shared]):
        others = items[start:end]
        others = others[others != query]
        if split.groups is not None:
            others = others[(others > query) & (columns.copies[others] != columns.copies[query])]
        if len(others) and len(split.same):
            others = others[~np.isin(others, split.same[split.same[:, 0] == query, 1])]
        found.append(np.column_stack([np.full(len(others[:left]), query), others[:left]]))
        left -= len(found[-1])
        if left <= 0:
            break
    return np.concatenate(found)
