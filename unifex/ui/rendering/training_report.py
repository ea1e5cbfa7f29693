"""What the Train tab shows as HTML: the data before, the curves while, the figures and changed queries after."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup

from unifex.core.language import say, thousands, to_say
from unifex.core.templates import render
from unifex.core.text import duration, plural
from unifex.training.held_out import TrainingData
from unifex.training.report import TrainReport
from unifex.training.result import Changed, EpochMetrics
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


def summary(data: TrainingData, suspicious: Sequence[int] | None, see: Callable[[int], Card]) -> Markup:
    """What will be trained on and measured on, and what is wrong with it. ``suspicious``: positions of items, None
    where they are not looked for. ``see`` shows the item at a position."""
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
        (say("Without a label"), len(data.unlabelled), thousands(len(data.unlabelled))),
        (say("Suspicious labels"), len(suspicious or ()), suspects),
    )
    pictures = {
        say("The same image, under each of its labels:"): data.clashing,
        say("They have no label:"): data.unlabelled,
        say("Their neighbours all say otherwise:"): suspicious or (),
    }
    return render(
        "training_data.html",
        counts=counts,
        held_out=data.unmeasured or say(HELD_OUT[data.held_out_by]),
        found=[f"{name}: {thousands(many)}" for name, many, _ in checks if many],
        rows={name: text for name, _, text in checks},
        pictures={said: [see(int(at)) for at in items[:MOST_NAMED]] for said, items in pictures.items()},
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


def outcome(found: TrainReport) -> Markup:
    """The verdict, before and after, per domain."""
    return render(
        "training_result.html",
        title=say(
            "{model}: {images} of {classes}, trained in {time}",
            model=found.model,
            images=plural(found.images, "image", "images"),
            classes=plural(found.classes, "class", "classes"),
            time=duration(found.seconds),
        ),
        kind=VERDICT_KINDS[found.worth.verdict],
        result=found,
        anew=_cost_of_indexing(found) if found.worth.adapted else "",
        models=_models(found) if found.models else None,
        domains=_domains(found) if found.models else None,
    )


def _cost_of_indexing(found: TrainReport) -> str:
    """What it takes to see a gallery with a backbone of its own."""
    return say(
        "Its backbone is its own now, so features are made anew from {images} before it searches.",
        images=plural(found.items, "image", "images"),
    )


def _models(found: TrainReport) -> Table:
    heads = (say("Model"), say("Dim"), "mMP@5", say("95 % interval"), say("The new one against it"), say("Macro"))
    rows = [
        [Cell(of.model, of.model, strong=of.model == found.model), Cell(of.dim, str(of.dim)), number(of.score.value),
         interval(of.score), gain(of.change), number(of.macro)]
        for of in found.models
    ]  # fmt: skip
    return Table("before-after-table", heads, rows)


def _domains(found: TrainReport) -> Table:
    compared = [f"{say(what)}, {dim}-d" for what, dim in found.compared]
    heads = [say("Domain"), say("Queries"), *compared, say("Change")]
    rows = [
        [named(row.name, say("no domain")), count(row.queries), *map(number, row.scores), gain(row.change)]
        for row in found.domains
    ]
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
