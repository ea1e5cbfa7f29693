"""How well a gallery finds what belongs together: protocols, models and dimensions, per domain and per label.

Every figure of one evaluation is from the same :class:`QueryIndexSplit`, query by query, so that two of them are
compared by their paired differences.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from unifex.core import ranges
from unifex.core.errors import UnifexError
from unifex.core.progress import Stage, Work, finish
from unifex.core.text import plural, shortened
from unifex.evaluation import metrics
from unifex.evaluation.metrics import CUTOFF, MEASURES, Estimate, Metrics
from unifex.gallery import neighbours
from unifex.gallery.gallery import Gallery, GalleryError
from unifex.gallery.neighbours import Neighbours
from unifex.gallery.snapshot import ItemTable
from unifex.retrieval import reranking
from unifex.vector_index import index_types
from unifex.vector_index.exact import VectorIndex
from unifex.vector_index.matches import Exclusion, Matches

CHALLENGE_DIM = 64  # of GUIEC and of the paper
PROTOCOLS = {  # all that is said of them, everywhere; what follows a semicolon is for who chooses
    "auto": "the gallery's query and index split if it has one, else leave-one-out",
    "split": "items of split 'query' against items of split 'index', as the gallery has them",
    "leave-one-out": "every labelled item against all others; its byte-identical copies do not count",
    "random": "a fifth of every label as queries, drawn by seed, against the rest",
}
QUERY_SHARE = 0.2
MAX_QUERIES = 10_000
DEPTH_LIMIT = 1 << 24  # hits held at once
QUERIES_AT_ONCE = 1024


@dataclass(frozen=True)
class EvalProtocol:
    """``kind`` is one of :data:`PROTOCOLS`. ``copies``: a query's byte-identical copies count as hits (leave-one-out).

    ``max_queries``: of more than this, as many are drawn by ``seed`` (leave-one-out and random).
    """

    kind: str = "auto"
    seed: int = 0
    copies: bool = False
    max_queries: int = MAX_QUERIES

    def __post_init__(self) -> None:
        if self.kind not in PROTOCOLS:
            raise UnifexError(f"no protocol '{self.kind}'; there are: {', '.join(PROTOCOLS)}")
        ranges.SEED.check(self.seed)


@dataclass(frozen=True)
class QueryIndexSplit:
    """Who is searched for among whom. ``queries`` [Q] and ``items`` [M] are positions in ``columns``.

    ``groups`` int64 [N]: a query never finds an item of its own group (itself, its copies); None when it may find any.
    ``same``: pairs of positions [P, 2] that show the same thing whatever their labels say, each once either way round.
    ``left_out``: how many items take no part, by reason.
    """

    protocol: EvalProtocol
    columns: ItemTable
    queries: np.ndarray
    items: np.ndarray
    groups: np.ndarray | None
    same: np.ndarray
    left_out: dict[str, int]

    @cached_property
    def domains(self) -> np.ndarray:
        """Domain of every query, object [Q]."""
        return self.columns.domains.texts[self.queries]

    @cached_property
    def item_domains(self) -> np.ndarray:
        """Domain of every index item, object [M]."""
        return self.columns.domains.texts[self.items]

    def excluded(self, rows: np.ndarray) -> Exclusion:
        """What the queries ``rows`` may not find among the index items."""
        if self.groups is None:
            return Exclusion()
        return Exclusion(None, self.groups[self.queries[rows]], self.groups[self.items])

    def relevant(self) -> np.ndarray:
        """How many index items are relevant to each query: int64 [Q]."""
        classes, queries = self.columns.classes, self.queries
        count = np.bincount(classes[self.items], minlength=int(classes.max()) + 1)[classes[queries]]
        if self.groups is not None:  # of its own class, itself and its copies cannot be found
            keys = classes * (int(self.groups.max()) + 1) + self.groups
            count = count - _times(keys[self.items], keys[queries])
        a, b = self.same.T
        counts = np.isin(b, self.items) & (classes[a] != classes[b])
        if self.groups is not None:
            counts &= self.groups[a] != self.groups[b]
        return count + np.bincount(a[counts], minlength=len(classes))[queries]

    def right(self, rows: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Whether the hits at ``positions`` (in columns, -1 for none) of queries ``rows`` are relevant: bool."""
        classes, queries = self.columns.classes, self.queries[rows, None]
        right = classes[positions] == classes[queries]
        if len(self.same):
            keys = self.same[:, 0] * len(classes) + self.same[:, 1]
            right |= np.isin(queries * len(classes) + positions, keys)
        return right & (positions >= 0)


def trial(gallery: Gallery, protocol: EvalProtocol = EvalProtocol()) -> QueryIndexSplit:
    """Choose queries and index. Raises :class:`GalleryError` that says what the gallery lacks."""
    columns = gallery.snapshot().columns
    splits, labelled = columns.splits.texts, columns.classes >= 0
    has_split = bool(np.any(splits == "query") and np.any(splits == "index"))
    kind = protocol.kind if protocol.kind != "auto" else "split" if has_split else "leave-one-out"
    if kind == "split" and not has_split:
        raise GalleryError(f"gallery '{gallery.name}' has no query and index split; choose leave-one-out or random")
    if not labelled.any():
        raise GalleryError(
            f"gallery '{gallery.name}' has no labels to measure with; index a folder that is laid out as label/image "
            "or domain/label/image, or a CSV with a label column"
        )
    left_out = {"no label": int((~labelled).sum())}
    if kind == "split":
        queries, items = (np.flatnonzero(labelled & (splits == split)) for split in ("query", "index"))
        left_out["other split"] = int(labelled.sum()) - len(queries) - len(items)
    elif kind == "random":
        queries, items = _drawn(columns.classes, protocol.seed)
    else:
        queries = items = np.flatnonzero(labelled)
    if kind != "split" and len(queries) > protocol.max_queries:
        left_out["queries not drawn"] = len(queries) - protocol.max_queries
        chosen = np.random.default_rng(protocol.seed).choice(len(queries), protocol.max_queries, replace=False)
        queries = queries[np.sort(chosen)]
    groups = None
    if kind == "leave-one-out":
        groups = np.arange(len(columns.ids)) if protocol.copies else columns.copies
    chosen = QueryIndexSplit(
        replace(protocol, kind=kind), columns, queries, items, groups, same_pairs(gallery, columns), left_out
    )
    if not chosen.relevant().any():
        of_copies = "; copies of one file do not count" if groups is not None and not protocol.copies else ""
        raise GalleryError(
            f"gallery '{gallery.name}' has nothing to measure with: no query's label stands in the index again"
            f"{of_copies}; add more images of the same labels"
        )
    return chosen


def _times(values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """How often each of ``wanted`` stands in ``values``."""
    ordered = np.sort(values)
    return np.searchsorted(ordered, wanted, "right") - np.searchsorted(ordered, wanted, "left")


def _drawn(classes: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A fifth of every class, at least one of two, as queries; everything else as index."""
    order = np.random.default_rng(seed).permutation(np.flatnonzero(classes >= 0))
    order = order[np.argsort(classes[order], kind="stable")]
    _, starts, counts = np.unique(classes[order], return_index=True, return_counts=True)
    wanted = np.where(counts > 1, np.maximum(1, np.round(QUERY_SHARE * counts)), 0).astype(np.int64)
    chosen = (np.arange(len(order)) - np.repeat(starts, counts)) < np.repeat(wanted, counts)
    return np.sort(order[chosen]), np.sort(order[~chosen])


def same_pairs(gallery: Gallery, columns: ItemTable) -> np.ndarray:
    """Positions [P, 2] of the pairs that were marked as the same thing, both ways round."""
    said = [(c.uri, c.other_uri) for c in gallery.corrections() if c.kind == "same"]
    if not said:
        return np.zeros((0, 2), np.int64)
    ids = gallery.ids_of_uris({uri for pair in said for uri in pair})
    place = {int(item): position for position, item in enumerate(columns.ids)}
    pairs = [[place.get(ids.get(uri, -1), -1) for uri in pair] for pair in said]
    both = np.array([pair for found in pairs if -1 not in found for pair in (found, found[::-1])], np.int64)
    return np.unique(both.reshape(-1, 2), axis=0)


@dataclass(frozen=True)
class DomainScore:
    """A domain's queries. ``alone``: mMP@5 when only this domain's items are searched."""

    name: str
    queries: int
    items: int
    mmp5: Estimate
    recall1: Estimate
    recall5: Estimate
    map_r: Estimate
    alone: Estimate


@dataclass(frozen=True)
class LabelScore:
    """A label's queries; ``taken_by``: the label of most of its wrong first hits (empty when there are none)."""

    label: str
    domain: str
    queries: int
    mmp5: float
    recall1: float
    taken_by: str


@dataclass(frozen=True)
class Evaluation:
    """One model at one dimension on one trial. ``hits``: the first [Q, 5], as positions in its columns.

    ``alone`` float64 [Q]: mMP@5 within the query's own domain.
    """

    trial: QueryIndexSplit
    model: str
    dim: int
    context: bool
    measures: Metrics
    alone: np.ndarray
    hits: Matches

    @property
    def queries(self) -> int:
        """How many queries have a value."""
        return int(self.measures.counted.sum())

    @property
    def skipped(self) -> int:
        """Queries without a relevant item in the index: they have no value."""
        return len(self.trial.queries) - self.queries

    def overall(self, name: str = "mmp5") -> Estimate:
        """Mean over queries of one of :data:`measures.MEASURES`."""
        return metrics.mean(getattr(self.measures, name))

    def macro(self, name: str = "mmp5") -> Estimate:
        """Mean of the domains' means."""
        return metrics.mean_over_groups(getattr(self.measures, name), self.trial.domains.astype(str))

    @cached_property
    def domains(self) -> list[DomainScore]:
        """By domain, in alphabetical order; domains without a query that counts are left out."""
        rows = []
        for name in np.unique(self.trial.domains[self.measures.counted].astype(str)):
            own = self.trial.domains == name
            values = [metrics.mean(getattr(self.measures, measure)[own]) for measure in MEASURES]
            items = int((self.trial.item_domains == name).sum())
            counted = int((own & self.measures.counted).sum())
            rows.append(DomainScore(str(name), counted, items, *values, alone=metrics.mean(self.alone[own])))
        return rows

    @cached_property
    def labels(self) -> list[LabelScore]:
        """By label, worst first."""
        columns, rows = self.trial.columns, []
        classes = columns.classes[self.trial.queries]
        order = np.argsort(classes, kind="stable")
        order = order[self.measures.counted[order]]
        first = self.hits.positions[:, 0]
        wrong = ~self.trial.right(np.arange(len(first)), first[:, None])[:, 0] & (first >= 0)
        names = columns.labels.texts
        for own in np.split(order, np.flatnonzero(np.diff(classes[order])) + 1) if len(order) else []:
            taken, times = np.unique(names[first[own[wrong[own]]]].astype(str), return_counts=True)
            at = self.trial.queries[own[0]]
            means = [float(getattr(self.measures, name)[own].mean()) for name in ("mmp5", "recall1")]
            thief = str(taken[times.argmax()]) if len(taken) else ""
            rows.append(LabelScore(str(names[at]), str(columns.domains.texts[at]), len(own), *means, thief))
        return sorted(rows, key=lambda row: (row.mmp5, row.domain, row.label))

    @cached_property
    def remarks(self) -> list[str]:
        """What makes these figures say less than they seem to, a sentence each; mostly none."""
        classes, items = self.trial.columns.classes, self.trial.items
        said = []
        if len(np.unique(classes[items])) == 1:
            label = shortened(self.trial.columns.labels.texts[items[0]])
            said.append(
                f"All items have one label, '{label}': whatever is found is right, and the figures say nothing. Add "
                "images of other labels."
            )
        else:
            pairs = np.unique(np.column_stack([self.trial.columns.domains.codes[items], classes[items]]), axis=0)
            domains, labels = np.unique(pairs[:, 0], return_counts=True)
            names = [shortened(self.trial.columns.domains.names[code]) or "no domain" for code in domains[labels == 1]]
            if len(domains) > 1 and names:
                said.append(f"With one label in it, a domain is right alone whatever is found: {', '.join(names[:5])}.")
        if self.skipped > self.queries:
            said.append(
                f"Only {self.queries:,} of {plural(len(self.trial.queries), 'query')} count: of the others no second "
                "image has the label."
            )
        if alike := self.trial.columns.lookalikes:
            named = "; ".join(" and ".join(f"'{name[:60]}'" for name in group) for group in alike[:5])
            more = f", and {len(alike) - 5:,} more" if len(alike) > 5 else ""
            said.append(
                f"Labels that differ only in case, Unicode form or spaces count as different ones: {named}{more}."
            )
        if copies := self._answered_by_copies:
            said.append(
                f"{copies:,} of {plural(self.queries, 'query')} can find a copy of the same file: the figures flatter."
            )
        return said

    @property
    def _answered_by_copies(self) -> int:
        """How many queries that count could find their own bytes."""
        copies, of = self.trial.columns.copies, self.trial.queries[self.measures.counted]
        if self.trial.groups is None:
            return int(np.isin(copies[of], copies[self.trial.items]).sum())
        again = np.bincount(copies[self.trial.items], minlength=int(copies.max()) + 1)[copies[of]] > 1
        return int(again.sum()) if self.trial.protocol.copies else 0

    @cached_property
    def confusion(self) -> tuple[list[str], np.ndarray]:
        """Domains, and int64 [D, D]: of queries of domain i, how many first hits are of domain j."""
        codes = self.trial.columns.domains.codes
        first = self.hits.positions[:, 0]
        counted = self.measures.counted & (first >= 0)
        asked, found = codes[self.trial.queries[counted]], codes[first[counted]]
        names = np.unique(np.concatenate([asked, found]))
        table = np.zeros((len(names), len(names)), np.int64)
        np.add.at(table, (np.searchsorted(names, asked), np.searchsorted(names, found)), 1)
        return [str(self.trial.columns.domains.names[code]) for code in names], table

    def as_json(self, labels: bool = False) -> dict[str, Any]:
        """As the command line and the served endpoint give it; all figures are of this model and dimension alone."""
        overall = {name: self.overall(name) for name in MEASURES}
        names, table = self.confusion
        answer = {
            "model": self.model,
            "dim": self.dim,
            "context": self.context,
            "protocol": self.trial.protocol.kind,
            "queries": self.queries,
            "skipped": self.skipped,
            "index_items": len(self.trial.items),
            "remarks": self.remarks,
            "left_out": {reason: count for reason, count in self.trial.left_out.items() if count},
            **{name: score.value for name, score in overall.items()},
            "ci95": {name: [score.low, score.high] for name, score in overall.items()},
            "macro_mmp5": self.macro().value,
            "macro_ci95": [self.macro().low, self.macro().high],
            "alone_mmp5": _number(metrics.mean(self.alone).value),
            "domains": {row.name: _domain_json(row) for row in self.domains},
            "confusion": {"domains": names, "first_hits": table.tolist()},
        }
        return answer | ({"labels": [row.__dict__ for row in self.labels]} if labels else {})


def _domain_json(row: DomainScore) -> dict[str, Any]:
    return {
        "queries": row.queries,
        "items": row.items,
        **{name: getattr(row, name).value for name in MEASURES},
        "ci95": [row.mmp5.low, row.mmp5.high],
        "alone_mmp5": _number(row.alone.value),
    }


def _number(value: float) -> float | None:
    """JSON knows no NaN: a domain without items of its own has no score alone."""
    return None if np.isnan(value) else value


def difference(new: Evaluation, old: Evaluation, name: str = "mmp5", domain: str | None = None) -> Estimate:
    """Mean gain of ``new`` over ``old``, query by query, with its interval; of all queries or of one domain's.

    Raises ValueError unless both are of the same trial.
    """
    if new.trial is not old.trial:
        raise ValueError("paired differences need two evaluations of one trial")
    gains = getattr(new.measures, name) - getattr(old.measures, name)
    return metrics.mean(gains if domain is None else gains[new.trial.domains == domain])


def evaluate(
    trial: QueryIndexSplit,
    embeddings: np.ndarray,
    model: str = "",
    near: Neighbours | None = None,
    context: bool = False,
) -> Work[Evaluation]:
    """Score L2-normalised ``embeddings`` [N, d] of all items on a trial.

    ``context`` re-ranks by the index's own neighbourhood: ``near`` when that is known, else found here.
    """
    dim = embeddings.shape[1]
    stage = Stage(f"measuring {model} {dim}-d" + (" in context" if context else ""), len(trial.queries), "queries")
    index = index_types.build(np.ascontiguousarray(embeddings[trial.items]), "flat")
    if context and near is None:
        near = yield from neighbours.find(index, trial.columns.copies[trial.items])
    relevant = trial.relevant()
    depths = np.maximum(CUTOFF, relevant)
    depths = np.minimum(1 << np.ceil(np.log2(depths)).astype(np.int64), len(trial.items))
    values = np.full((len(MEASURES), len(trial.queries)), np.nan)
    hits = Matches.none(len(depths), CUTOFF)
    done = 0
    for depth in np.unique(depths):
        rows_of_depth = np.flatnonzero(depths == depth)
        block = max(1, min(QUERIES_AT_ONCE, DEPTH_LIMIT // depth))
        for rows in np.split(rows_of_depth, range(block, len(rows_of_depth), block)):
            yield stage.at(done)
            found = _search(trial, index, embeddings, rows, int(depth), near if context else None)
            measured = metrics.measure(trial.right(rows, found.positions), relevant[rows])
            values[:, rows] = [getattr(measured, name) for name in MEASURES]
            hits.put(rows, found)
            done += len(rows)
    alone = yield from _alone(trial, embeddings, context, f"{stage.name}, each domain alone")
    return Evaluation(trial, model, dim, context, Metrics(*values), alone, hits)


def mmp5(trial: QueryIndexSplit, embeddings: np.ndarray) -> float:
    """Mean mMP@5 alone, 0..1: what a training is watched by."""
    index = index_types.build(np.ascontiguousarray(embeddings[trial.items]), "flat")
    rows = np.arange(len(trial.queries))
    positions = _search(trial, index, embeddings, rows, CUTOFF, None).positions
    return metrics.mean(metrics.measure(trial.right(rows, positions), trial.relevant()).mmp5).value


def _search(
    trial: QueryIndexSplit,
    index: VectorIndex,
    embeddings: np.ndarray,
    rows: np.ndarray,
    k: int,
    near: Neighbours | None,
) -> Matches:
    """Of the queries ``rows``, as positions in the trial's columns."""
    queries, excluded = embeddings[trial.queries[rows]], trial.excluded(rows)
    if near is None:
        return index.search(queries, k, excluded).within(trial.items)
    return reranking.search_reranked(index, near, queries, k, excluded).within(trial.items)


def _alone(trial: QueryIndexSplit, embeddings: np.ndarray, context: bool, doing: str) -> Work[np.ndarray]:
    """mMP@5 of every query among the items of its own domain only: float64 [Q]."""
    values = np.full(len(trial.queries), np.nan)
    names = np.unique(trial.domains.astype(str))
    stage = Stage(doing, len(names), "domains")
    for done, name in enumerate(names):
        yield stage.at(done)
        rows, within = np.flatnonzero(trial.domains == name), trial.item_domains == name
        if not within.any():
            continue
        own = replace(trial, items=trial.items[within])
        index = index_types.build(np.ascontiguousarray(embeddings[own.items]), "flat")
        near = None
        if context:
            near = finish(neighbours.find(index, trial.columns.copies[own.items]))
        positions = _search(own, index, embeddings, rows, CUTOFF, near).positions
        values[rows] = metrics.measure(trial.right(rows, positions), own.relevant()[rows]).mmp5
    return values
