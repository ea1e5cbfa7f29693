"""What the Train tab shows as HTML: the data before, the curves while, the figures and changed queries after."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup

from unifex.core.language import say, thousands, to_say
from unifex.core.templates import render
from unifex.core.text import duration, plural
from unifex.evaluation.compare import PCA, RAW
from unifex.evaluation.evaluation import Evaluation, difference
from unifex.evaluation.metrics import Estimate
from unifex.training.held_out import TrainingData
from unifex.training.result import Changed, EpochMetrics, TrainResult
from unifex.ui.rendering.cards import Card
from unifex.ui.rendering.failure_lists import verdict
from unifex.ui.rendering.figures import Cell, Table, count, gain, interval, named, number

MOST_NAMED = 12
VERDICT_KINDS = {"better": "good", "worse": "error", "no difference": "warning", "unmeasured": "warning"}
HELD_OUT = {
    "split": to_say("the gallery's own queries and index; its train split is trained on"),
    "queries": to_say("the gallery's own queries, looked for among all labelled items; its train split is trained on"),
    "named": to_say("the labels that were named"),
    "images": to_say("none; some images of every class, drawn by seed, are looked for among all labelled items"),
    "drawn": to_say("drawn by seed, evenly over domains; looked for among all labelled items"),
    "none": to_say("none"),
}


def summary(data: TrainingData, suspicious: Sequence[Card] | None) -> Markup:
    """What will be trained on and measured on, and what is wrong with it. ``suspicious`` None: not looked for."""
    counts = (
        (data.classes, say("classes"), say("in {domains}", domains=plural(data.domains, "domain", "domains"))),
        (len(data.train), say("images"), say("to train on")),
        _held_out(data),
    )
    small = _listed([f"{small.name} ({small.images})" for small in data.small], ", ")
    quoted = [[say("'{name}'", name=name[:60]) for name in group] for group in data.columns.lookalikes]
    alike = _listed([say(" and ").join(group) for group in quoted], "; ")
    suspects = say("not looked for") if suspicious is None else thousands(len(suspicious))
    checks = (
        (say("Classes too small"), len(data.small), small),
        (say("Labels that look alike"), len(quoted), alike),
        (say("Copies left out"), data.copies, thousands(data.copies)),
        (say("One image, two labels"), data.clashes, thousands(data.clashes)),
        (say("Without a label"), data.unlabelled, thousands(data.unlabelled)),
        (say("Suspicious labels"), len(suspicious or ()), suspects),
    )
    return render(
        "training_data.html",
        counts=counts,
        held_out=data.unmeasured or say(HELD_OUT[data.held_out_by]),
        found=[f"{name}: {thousands(many)}" for name, many, _ in checks if many],
        rows={name: text for name, _, text in checks},
        suspicious=(suspicious or [])[:MOST_NAMED],
    )


def _held_out(data: TrainingData) -> tuple[int, str, str]:
    if data.held_out_images:
        return data.held_out_images, say("held out"), say("images to measure on")
    return data.held_out_classes, say("held out"), say("classes to measure on")


def _listed(names: list[str], separator: str) -> str:
    more = say(" and {count:,} more", count=len(names) - MOST_NAMED) if len(names) > MOST_NAMED else ""
    return separator.join(names[:MOST_NAMED]) + more or say("none")


def curves(curve: Sequence[EpochMetrics]) -> str:
    """What assets/curves.js draws, as JSON; empty without points."""
    if not curve:
        return ""
    scores = {dim: [point.scores[dim] for point in curve] for dim in curve[0].scores}
    epochs, losses = [point.number for point in curve], [point.loss for point in curve]
    return json.dumps({"epochs": epochs, "total": curve[-1].total, "loss": losses, "scores": scores})


def outcome(found: TrainResult) -> Markup:
    """The verdict, before and after, per domain."""
    first = found.evaluations[0] if found.evaluations else None
    return render(
        "training_result.html",
        title=say(
            "{model}: {images} of {classes}, trained in {time}",
            model=found.model,
            images=plural(len(found.data.train), "image", "images"),
            classes=plural(found.data.classes, "class", "classes"),
            time=duration(found.seconds),
        ),
        kind=VERDICT_KINDS[found.verdict],
        result=found,
        anew=_cost_of_indexing(found) if found.adaptation else "",
        queries=first.queries if first else 0,
        items=len(first.split.items) if first else 0,
        models=_models(found) if first else None,
        domains=_domains(found) if first else None,
    )


def _cost_of_indexing(found: TrainResult) -> str:
    """What it takes to see a gallery with a backbone of its own."""
    count = len(found.data.columns.ids)
    return say(
        "Its backbone is its own now, so features are made anew from {images} before it searches.",
        images=plural(count, "image", "images"),
    )


def _models(found: TrainResult) -> Table:
    heads = (say("Model"), say("Dim"), "mMP@5", say("95 % interval"), say("The new one against it"), say("Macro"))
    rows = []
    for other in found.evaluations:
        new = found.of(found.model, other.dim if other.dim in found.neck.dims else found.dim)
        score = other.overall()
        rows.append(
            [Cell(other.model, other.model, strong=other.model == found.model), Cell(other.dim, str(other.dim)),
             number(score.value), interval(score), gain(None if other is new else _change(new, other)),
             number(other.macro().value)]
        )  # fmt: skip
    return Table("before-after-table", heads, rows)


def _change(new: Evaluation | None, old: Evaluation | None, domain: str | None = None) -> Estimate | None:
    return difference(new, old, domain=domain) if new and old else None


def _domains(found: TrainResult) -> Table:
    old, new = found.of(found.before, found.before_dim), found.of(found.model, found.dim)
    before = None if found.before == "raw" else old
    columns = {
        to_say("Raw"): found.of(RAW, found.dim),
        "PCA": found.of(PCA, found.dim),
        to_say("Before"): before,
        to_say("After"): new,
    }
    shown = [(say(head), e) for head, e in columns.items() if e]
    heads = [say("Domain"), say("Queries"), *(f"{head}, {e.dim}-d" for head, e in shown), say("Change")]
    rows = []
    for parts in zip(*(e.domains for _, e in shown)):
        name = parts[0].name
        cells = [number(part.mmp5.value) for part in parts]
        rows.append([named(name, say("no domain")), count(parts[0].queries), *cells, gain(_change(new, old, name))])
    return Table("trained-domains-table", heads, rows)


@dataclass(frozen=True)
class ChangedRow:
    """A query whose value (of so many first ``cutoff``) changed, and its hits before and after, by model."""

    gain: float
    cutoff: int
    query: Card
    strips: list[tuple[str, list[Card]]]


def changed(rows: Sequence[Changed], see: Callable[[int], Card], before: str, after: str) -> Markup:
    """Queries that changed most, hits before above hits after. ``see`` shows the item at a position."""
    if not rows:
        return Markup()
    shown = [
        ChangedRow(row.gain, row.cutoff, replace(see(row.query), badge=say("query")),
                   [(before, _cards(row.before, see, row.cutoff)), (after, _cards(row.after, see, row.cutoff))])
        for row in rows
    ]  # fmt: skip
    return render("training_changes.html", rows=shown)


def _cards(hits: Sequence[tuple[int, bool]], see: Callable[[int], Card], cutoff: int) -> list[Card]:
    cards = []
    for rank, (position, right) in enumerate(hits):
        sign, word, kind = verdict(right, rank, cutoff)
        cards.append(replace(see(position), badge=sign, described=word, kind=kind))
    return cards
