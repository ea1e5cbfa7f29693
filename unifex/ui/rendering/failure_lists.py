"""The Evaluate tab's lists of what failed, in groups for the grid, and the list of corrections."""

from __future__ import annotations

import hashlib
from collections.abc import Container, Sequence

from markupsafe import Markup

from unifex.core.language import say, thousands
from unifex.core.templates import render
from unifex.core.text import plural, shortened
from unifex.evaluation.evaluation import Evaluation
from unifex.evaluation.failures import Duplicate, LabelError, WorstQuery
from unifex.evaluation.parts import Part
from unifex.gallery.corrections import Correction
from unifex.gallery.gallery import Record
from unifex.ui.rendering.grouped_grid import Act, Group, GroupItem
from unifex.ui.server.picture_addresses import corrections_of

WRONG, MISSED = 3, 2  # hits and items that are shown of a failed query
LISTED = 500  # corrections that are shown at a time


def key(said: Correction) -> int:
    """Tells a correction from every other, wherever it stands in the list; nothing of where a file lies."""
    return int(hashlib.sha256(repr(said).encode()).hexdigest()[:12], 16)


def _acts(item: Record, other: Record | None) -> list[Act]:
    if other is None:
        return []
    acts = [
        Act("same", item.id, other.id, say("Same thing"), say("Both show the same thing: counts as right")),
        Act("drop", item.id, 0, say("Leave out"), say("Leave the first item out of the gallery")),
    ]
    if (item.label, item.domain) == (other.label, other.domain):
        return acts
    label = say("Relabel as {label}", label=shortened(other.label))
    return [Act("relabel", item.id, other.id, label, say("The first item gets this label")), *acts]


def verdict(right: bool, rank: int, cutoff: int) -> tuple[str, str, str]:
    """Sign, word and CSS class of a hit at ``rank`` (from 0), where the score is of the first ``cutoff``."""
    if right and rank >= cutoff:
        return "↓", say("too late"), "late"
    return ("✓", say("right"), "good") if right else ("✗", say("wrong"), "bad")


def failed_query(failure: WorstQuery, query: Record, hits: Sequence[Record | None], missed: Sequence[Record]) -> Group:
    """A query beside what it found wrongly, and what it should have found: too late, or not at all (``missed``).

    A hit is None where it went since.
    """
    found = [
        (right, GroupItem(hit, f"{sign} {word} {score:.2f}", kind))
        for rank, (hit, score, right) in enumerate(zip(hits, failure.scores, failure.is_match))
        for sign, word, kind in [verdict(right, rank, failure.cutoff)]
        if hit and kind != "good"
    ]
    wrong = [item for right, item in found if not right][:WRONG]
    late = [item for right, item in found if right]
    should = [*late, *(GroupItem(item, say("○ not found"), "late") for item in missed)][:MISSED]
    acts = _acts(query, wrong[0].record if wrong else None)
    return Group(_sentence(failure), [GroupItem(query, say("query")), *wrong, *should], acts)


def _sentence(failure: WorstQuery) -> str:
    if failure.cutoff == 1:
        return say(
            "{mmp5:.2f} · first hit wrong, and it alone counts: its label has one other image", mmp5=failure.mmp5
        )
    right = round(failure.mmp5 * failure.cutoff)
    return say(
        "{mmp5:.2f} · {right} of the first {cutoff} hits right",
        mmp5=failure.mmp5,
        right=right or say("none"),
        cutoff=failure.cutoff,
    )


def label_error(error: LabelError, item: Record, near: Sequence[Record]) -> Group:
    """An item whose neighbours all agree on another label."""
    said = say(
        "its {count} nearest are all {label} (similarity {similarity:.2f})",
        count=len(near),
        label=shortened(near[0].label),
        similarity=error.similarity,
    )
    items = [GroupItem(item, say("label?"), "bad"), *(GroupItem(other) for other in near)]
    return Group(
        say("Labelled {label}, but {said}", label=shortened(item.label), said=said), items, _acts(item, near[0])
    )


def duplicate(pair: Duplicate, query: Record, item: Record) -> Group:
    """An image that stands on both sides of the evaluation and flatters it."""
    how = say("the same file") if pair.identical else say("similarity {similarity:.3f}", similarity=pair.similarity)
    items = [GroupItem(query, say("query")), GroupItem(item, say("index"))]
    return Group(say("In query and index: {how}", how=how), items, _acts(query, item))


def part_title(part: Part, evaluation: Evaluation, failed: int, shown: int) -> Markup:
    """What is looked at: which queries, how many of them failed, how many are shown."""
    meant = int((part.queries(evaluation) & evaluation.metrics.counted).sum())
    order = (
        say(", the worst {shown:,} shown", shown=shown)
        if failed > shown
        else say(", the worst first")
        if failed > 1
        else ""
    )
    count = say(
        "{failed} of {queries} failed{order}",
        failed=thousands(failed) if failed else say("none"),
        queries=plural(meant, "query", "queries"),
        order=order,
    )
    return render("part_title.html", whose=_whose(part), whole=part == Part(), count=count)


def _whose(part: Part) -> str:
    if part.label is not None:
        label, domain = shortened(part.label), shortened(part.domain or "")
        return (
            say("Label {label} in {domain}", label=label, domain=domain)
            if domain
            else say("Label {label}", label=label)
        )
    if part.domain is None:
        return say("All queries")
    domain = say("Queries of {domain}", domain=shortened(part.domain) or say("no domain"))
    taken = (
        ""
        if part.taken_by is None
        else say(" whose first hit is of {taken_by}", taken_by=shortened(part.taken_by) or say("no domain"))
    )
    return domain + taken


def corrections(
    said: Sequence[Correction], idle: Container[Correction], editable: bool, start: int = 0, table: str = ""
) -> Markup:
    """What was said of the gallery's items, each with a way back: :data:`LISTED` of it from ``start`` on. ``idle``:
    those that do not apply; ``table``: the gallery whose table of all of them can be had.

    What was left out comes last: all of that can be taken back at once.
    """
    said = sorted(said, key=lambda correction: correction.kind == "drop")
    rows = [(key(correction), correction.sentence, correction in idle) for correction in said[start : start + LISTED]]
    shown = {"start": start + 1, "to": start + len(rows), "count": len(said)}
    which = say("Corrections {start:,} to {to:,} of {count:,}.", **shown) if len(said) > LISTED else ""
    return render("corrections.html", rows=rows, which=which, table=table and corrections_of(table), editable=editable)
