"""What came of an evaluation: its figures overall, by domain and by label, and what makes them say less than they seem.

Every figure of one evaluation is from the same :class:`QueryIndexSplit`, query by query, so that two of them are
compared by their paired differences.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from unifex.core.language import say, to_say
from unifex.core.templates import render
from unifex.core.text import plural, shortened
from unifex.evaluation import metrics
from unifex.evaluation.metrics import METRICS, Estimate, Metrics
from unifex.evaluation.splits import QueryIndexSplit
from unifex.vector_index.matches import Matches


@dataclass(frozen=True)
class DomainScore:
    """A domain's queries. ``in_domain``: mMP@5 when only this domain's items are searched."""

    name: str
    queries: int
    items: int
    mmp5: Estimate
    recall1: Estimate
    recall5: Estimate
    map_r: Estimate
    in_domain: Estimate


@dataclass(frozen=True)
class LabelScore:
    """A label's queries; ``most_confused_with``: the label of most of its wrong first hits, empty without any."""

    label: str
    domain: str
    queries: int
    mmp5: float
    recall1: float
    most_confused_with: str


@dataclass(frozen=True)
class Evaluation:
    """One model at one dimension on one split. ``hits``: the first [Q, 5], as positions in its columns.

    ``in_domain`` float64 [Q]: mMP@5 within the query's own domain. ``trained_on``: classes of the split's columns that
    the model is known to be trained on.
    """

    split: QueryIndexSplit
    model: str
    dim: int
    context: bool
    metrics: Metrics
    in_domain: np.ndarray
    hits: Matches
    trained_on: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))

    def __repr__(self) -> str:
        how = f"{self.dim}-d, in context" if self.context else f"{self.dim}-d"
        return f"Evaluation({self.model!r}, {how}, {self.queries} queries, mMP@5 {self.overall().value:.3f})"

    def _repr_html_(self) -> str:
        return render("notebook_evaluation.html", evaluations=[self])

    @property
    def queries(self) -> int:
        """How many queries have a value."""
        return int(self.metrics.counted.sum())

    @property
    def skipped(self) -> int:
        """Queries without a relevant item in the index: they have no value."""
        return len(self.split.queries) - self.queries

    def overall(self, name: str = "mmp5") -> Estimate:
        """Mean over queries of one of :data:`metrics.METRICS`."""
        return metrics.mean(getattr(self.metrics, name))

    def macro(self, name: str = "mmp5") -> Estimate:
        """Mean of the domains' means."""
        return metrics.mean_over_groups(getattr(self.metrics, name), self.split.domains.astype(str))

    @cached_property
    def domains(self) -> list[DomainScore]:
        """By domain, in alphabetical order; domains without a query that counts are left out."""
        rows = []
        for name in np.unique(self.split.domains[self.metrics.counted].astype(str)):
            own = self.split.domains == name
            values = [metrics.mean(getattr(self.metrics, measure)[own]) for measure in METRICS]
            items = int((self.split.item_domains == name).sum())
            counted = int((own & self.metrics.counted).sum())
            rows.append(DomainScore(str(name), counted, items, *values, in_domain=metrics.mean(self.in_domain[own])))
        return rows

    @cached_property
    def labels(self) -> list[LabelScore]:
        """By label, worst first."""
        columns, rows = self.split.columns, []
        classes = columns.classes[self.split.queries]
        order = np.argsort(classes, kind="stable")
        order = order[self.metrics.counted[order]]
        first = self.hits.positions[:, 0]
        wrong = ~self.split.is_match(np.arange(len(first)), first[:, None])[:, 0] & (first >= 0)
        names = columns.labels.texts
        for own in np.split(order, np.flatnonzero(np.diff(classes[order])) + 1) if len(order) else []:
            taken, times = np.unique(names[first[own[wrong[own]]]].astype(str), return_counts=True)
            at = self.split.queries[own[0]]
            mmp5, recall1 = (float(values[own].mean()) for values in (self.metrics.mmp5, self.metrics.recall1))
            confused_with = str(taken[times.argmax()]) if len(taken) else ""
            domain = str(columns.domains.texts[at])
            rows.append(LabelScore(str(names[at]), domain, len(own), mmp5, recall1, confused_with))
        return sorted(rows, key=lambda row: (row.mmp5, row.domain, row.label))

    @cached_property
    def remarks(self) -> list[str]:
        """What makes these figures say less than they seem to, a sentence each; mostly none."""
        classes, items = self.split.columns.classes, self.split.items
        said = []
        if len(np.unique(classes[items])) == 1:
            label = shortened(str(self.split.columns.labels.texts[items[0]]))
            sentence = to_say(
                "All items have one label, '{label}': whatever is found is right, and the figures say nothing. Add "
                "images of other labels."
            )
            said.append(say(sentence, label=label))
        else:
            pairs = np.unique(np.column_stack([self.split.columns.domains.codes[items], classes[items]]), axis=0)
            domains, labels = np.unique(pairs[:, 0], return_counts=True)
            alone = self.split.columns.domains.names[domains[labels == 1]]
            names = [shortened(str(name)) or say("no domain") for name in alone]
            if len(domains) > 1 and names:
                sentence = to_say("With one label in it, a domain is right alone whatever is found: {domains}.")
                said.append(say(sentence, domains=", ".join(names[:5])))
        if self.skipped > self.queries:
            queries = plural(len(self.split.queries), "query", "queries")
            sentence = to_say("Only {count:,} of {queries} count: of the others no second image has the label.")
            said.append(say(sentence, count=self.queries, queries=queries))
        if alike := self.split.columns.lookalikes:
            named = "; ".join(say(" and ").join(f"'{name[:60]}'" for name in group) for group in alike[:5])
            more = say(", and {count:,} more", count=len(alike) - 5) if len(alike) > 5 else ""
            sentence = to_say(
                "Labels that differ only in case, Unicode form or spaces count as different ones: {labels}."
            )
            said.append(say(sentence, labels=named + more))
        if copies := self._answered_by_copies:
            sentence = to_say("{count:,} of {queries} can find a copy of the same file: the figures flatter.")
            said.append(say(sentence, count=copies, queries=plural(self.queries, "query", "queries")))
        return said + self.of_known_classes

    @property
    def of_known_classes(self) -> list[str]:
        """What is to be said where queries that count are of classes that the model was trained on."""
        known = np.isin(self.split.columns.classes[self.split.queries], self.trained_on) & self.metrics.counted
        count, queries = int(known.sum()), plural(self.queries, "query", "queries")
        if not count:
            return []
        if count == self.queries:
            sentence = to_say(
                "'{model}' was trained on the classes of all {queries}: its figures are of classes that it knows, "
                "others may be found less well. Train with classes held out, or evaluate on images of other classes."
            )
            return [say(sentence, model=self.model, queries=queries)]
        sentence = to_say(
            "'{model}' was trained on the classes of {count:,} of {queries}, {share:.0%}: its mMP@5 is {known:.3f} for "
            "these, and {others:.3f} for the others."
        )
        of_known, of_others = (metrics.mean(self.metrics.mmp5[rows]).value for rows in (known, ~known))
        figures = {"share": count / self.queries, "known": of_known, "others": of_others}
        return [say(sentence, model=self.model, count=count, queries=queries, **figures)]

    @property
    def _answered_by_copies(self) -> int:
        """How many queries that count could find their own bytes."""
        copies, of = self.split.columns.copies, self.split.queries[self.metrics.counted]
        if self.split.groups is None:
            return int(np.isin(copies[of], copies[self.split.items]).sum())
        again = np.bincount(copies[self.split.items], minlength=int(copies.max()) + 1)[copies[of]] > 1
        return int(again.sum()) if self.split.protocol.copies else 0

    @cached_property
    def confusion(self) -> tuple[list[str], np.ndarray]:
        """Domains, and int64 [D, D]: of queries of domain i, how many first hits are of domain j."""
        codes = self.split.columns.domains.codes
        first = self.hits.positions[:, 0]
        counted = self.metrics.counted & (first >= 0)
        asked, found = codes[self.split.queries[counted]], codes[first[counted]]
        names = np.unique(np.concatenate([asked, found]))
        table = np.zeros((len(names), len(names)), np.int64)
        np.add.at(table, (np.searchsorted(names, asked), np.searchsorted(names, found)), 1)
        return [str(self.split.columns.domains.names[code]) for code in names], table

    def as_json(self, labels: bool = False) -> dict[str, Any]:
        """As the command line and the served endpoint give it; all figures are of this model and dimension alone."""
        overall = {name: self.overall(name) for name in METRICS}
        names, table = self.confusion
        answer = {
            "model": self.model,
            "dim": self.dim,
            "context": self.context,
            "protocol": self.split.protocol.kind,
            "queries": self.queries,
            "skipped": self.skipped,
            "index_items": len(self.split.items),
            "remarks": self.remarks,
            "left_out": {reason: count for reason, count in self.split.omitted.items() if count},
            **{name: score.value for name, score in overall.items()},
            "ci95": {name: [score.low, score.high] for name, score in overall.items()},
            "macro_mmp5": self.macro().value,
            "macro_ci95": [self.macro().low, self.macro().high],
            "alone_mmp5": _number(metrics.mean(self.in_domain).value),
            "domains": {row.name: _domain_json(row) for row in self.domains},
            "confusion": {"domains": names, "first_hits": table.tolist()},
        }
        return answer | ({"labels": [_label_json(row) for row in self.labels]} if labels else {})


def _domain_json(row: DomainScore) -> dict[str, Any]:
    return {
        "queries": row.queries,
        "items": row.items,
        **{name: getattr(row, name).value for name in METRICS},
        "ci95": [row.mmp5.low, row.mmp5.high],
        "alone_mmp5": _number(row.in_domain.value),
    }


def _label_json(row: LabelScore) -> dict[str, Any]:
    values = asdict(row)
    return values | {"taken_by": values.pop("most_confused_with")}


def _number(value: float) -> float | None:
    """JSON knows no NaN: a domain without items of its own has no score alone."""
    return None if np.isnan(value) else value


def difference(new: Evaluation, old: Evaluation, domain: str | None = None) -> Estimate:
    """Mean gain in mMP@5 of ``new`` over ``old``, query by query, with its interval; of all queries or of one domain's.

    Raises ValueError unless both are of the same split.
    """
    if new.split is not old.split:
        raise ValueError("paired differences need two evaluations of one split")
    gains = new.metrics.mmp5 - old.metrics.mmp5
    return metrics.mean(gains if domain is None else gains[new.split.domains == domain])
