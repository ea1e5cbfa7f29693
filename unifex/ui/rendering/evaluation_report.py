"""The Evaluate tab's figures as HTML: a sentence, and tables with intervals drawn in them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

import numpy as np
from markupsafe import Markup

from unifex.core.language import say, thousands
from unifex.core.tables import to_csv
from unifex.core.templates import render
from unifex.core.text import plural
from unifex.evaluation.compare import Assessment
from unifex.evaluation.evaluation import Evaluation, difference
from unifex.evaluation.parts import Part
from unifex.evaluation.protocols import PROTOCOLS
from unifex.ui.rendering.figures import Cell, Table, count, gain, interval, named, number
from unifex.ui.rendering.html import data_uri

MOST_LABELS = 300
RANKED = ("recall1", "recall5", "map_r")  # beside mMP@5


def report(found: Assessment, gallery: str) -> Markup:
    """Everything but the failures."""
    main = found.main
    return render(
        "evaluation.html",
        gallery=gallery,
        main=main,
        remarks=found.remarks,
        sentence=_sentence(found),
        tiles=(
            ("mMP@5", main.overall(), say("of the first hits, how many are right")),
            (say("macro mMP@5"), main.macro(), say("every domain counts the same")),
            ("recall@1", main.overall("recall1"), say("the first hit is right")),
            ("recall@5", main.overall("recall5"), say("one of the first five is right")),
            ("mAP@R", main.overall("map_r"), say("all that is relevant, in order")),
        ),
        models=_models(found),
        domains=_domains(main),
        confusion=_confusion(main),
        csv=data_uri(domains_csv(found)),
        json=data_uri(json.dumps(found.as_json(labels=True), indent=1), "application/json"),
    )


def _sentence(found: Assessment) -> str:
    main, score = found.main, found.main.overall()
    left = [f"{thousands(count)} {say(reason)}" for reason, count in main.split.omitted.items() if count]
    left += (
        [say("{queries} without a relevant item in the index", queries=plural(main.skipped, "query", "queries"))]
        if main.skipped
        else []
    )
    first = main.overall("recall1").value
    text = say(
        "Of the first five hits of a query, {share:.0f} % are what they could be at best (mMP@5 "
        "{value:.3f}); other queries of this kind would give {low:.3f} to {high:.3f} (95 %). The "
        "very first hit is right for {first:.0f} % of queries. Measured: {protocol}, {queries} among "
        "{items}. Left out: {left}.",
        share=100 * score.value,
        value=score.value,
        low=score.low,
        high=score.high,
        first=100 * first,
        protocol=say(PROTOCOLS[main.split.protocol.kind].sentence),
        queries=plural(main.queries, "query", "queries"),
        items=plural(len(main.split.items), "item", "items"),
        left=", ".join(left) or say("nothing"),
    )
    if plain := found.without_context:
        change = difference(main, plain)
        text += " " + say(
            "Context re-ranking changes mMP@5 here by {value:+.3f} ({low:+.3f} to {high:+.3f}), from "
            "{before:.3f} without it.",
            value=change.value,
            low=change.low,
            high=change.high,
            before=plain.overall().value,
        )
    return text


def _models(found: Assessment) -> Table:
    heads = (
        say("Model"),
        say("Dim"),
        "mMP@5",
        say("95 % interval"),
        say("Against the first"),
        say("Macro"),
        "R@1",
        "R@5",
        "mAP@R",
    )
    rows = []
    for result in found.evaluations:
        score = result.overall()
        against = difference(result, found.main) if result is not found.main else None
        rest = [number(result.overall(measure).value) for measure in RANKED]
        name = say("{model} + context", model=result.model) if result.context else result.model
        rows.append(
            [named(name), Cell(result.dim, str(result.dim)),
             number(score.value), interval(score), gain(against), number(result.macro().value), *rest]
        )  # fmt: skip
    return Table("models-table", heads, rows)


def _domains(main: Evaluation) -> Table:
    named_so = say("Domain"), say("Queries"), say("Items")
    heads = (*named_so, "mMP@5", say("95 % interval"), say("Alone"), "R@1", "R@5", "mAP@R")
    rows = [
        [opening(row.name, Part(row.name), say("no domain")), count(row.queries), count(row.items),
         number(row.mmp5.value),
         interval(row.mmp5),
         number(row.in_domain.value), *(number(getattr(row, measure).value) for measure in RANKED)]
        for row in main.domains
    ]  # fmt: skip
    return Table("domains-table", heads, rows)


@dataclass(frozen=True)
class Taken:
    """Of a domain's queries, how many have their first hit in one domain."""

    domain: str
    count: int
    queries: int
    taken_by: str

    @property
    def own(self) -> bool:
        """Whether it is the queries' own domain."""
        return self.domain == self.taken_by

    @property
    def opens(self) -> str:
        """The part of the evaluation whose pictures a press shows."""
        return part_json(Part(self.domain, taken_by=self.taken_by))

    @property
    def share(self) -> float:
        """0..1."""
        return self.count / max(1, self.queries)


@dataclass(frozen=True)
class Confusion:
    """Which domain takes the first hit: a row for the domain of the queries, a column for that of the hit."""

    names: list[str]
    counts: np.ndarray

    @property
    def rows(self) -> list[tuple[str, list[Taken]]]:
        """The domain of the queries, and its cells."""
        totals = self.counts.sum(axis=1)
        return [
            (name, [Taken(name, int(self.counts[row, column]), int(totals[row]), taken_by)
                    for column, taken_by in enumerate(self.names)])
            for row, name in enumerate(self.names)
        ]  # fmt: skip


def _confusion(main: Evaluation) -> Confusion | None:
    names, counts = main.confusion
    return Confusion(names, counts) if len(names) > 1 else None


def labels(main: Evaluation, text: str = "") -> Markup:
    """The labels with ``text`` in their name or domain, worst first; a press on one opens its pictures."""
    wanted = text.strip().casefold()
    fitting = [row for row in main.labels if wanted in row.label.casefold() or wanted in row.domain.casefold()]
    heads = (say("Label"), say("Domain"), say("Queries"), "mMP@5", "R@1", say("Wrong first hits are mostly"))
    rows = [
        [opening(row.label, Part(row.domain, row.label)), named(row.domain, say("no domain")), count(row.queries),
         number(row.mmp5), number(row.recall1), named(row.most_confused_with)]
        for row in fitting[:MOST_LABELS]
    ]  # fmt: skip
    table = Table("labels-table", heads, rows)
    return render("labels.html", table=table, found=len(fitting), every=len(main.labels), text=text.strip())


def opening(text: str, part: Part, without: str = "–") -> Cell:
    """A name that opens the pictures of its part of the evaluation."""
    return Cell(text, text or without, opens=part_json(part))


def part_json(part: Part) -> str:
    """As the page tells of it."""
    return json.dumps({name: value for name, value in asdict(part).items() if value is not None}, ensure_ascii=False)


def domains_csv(found: Assessment) -> str:
    """A line a domain and evaluation, and one for all domains together."""
    columns = ("mmp5", "low", "high", "recall1", "recall5", "map_r", "alone_mmp5")
    rows: list[list[object]] = []
    for result in found.evaluations:
        score = result.overall()
        rest = [result.overall(name).value for name in RANKED]
        head = [result.model, result.dim, result.context]
        rows.append([*head, "all", result.queries, score.value, score.low, score.high, *rest, ""])
        for row in result.domains:
            figures = [row.mmp5.value, row.mmp5.low, row.mmp5.high, row.recall1.value, row.recall5.value]
            rows.append([*head, row.name, row.queries, *figures, row.map_r.value, row.in_domain.value])
    return to_csv(["model", "dim", "context", "domain", "queries", *columns], rows)
