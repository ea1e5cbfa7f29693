"""The Evaluate tab's lists of what failed, in groups for the grid, and the list of corrections."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from markupsafe import Markup

from unifex.core.templates import render
from unifex.core.text import plural, shortened
from unifex.evaluation.evaluation import Evaluation
from unifex.evaluation.failures import Duplicate, LabelError, WorstQuery
from unifex.evaluation.parts import Part
from unifex.gallery.corrections import Correction
from unifex.gallery.gallery import Record
from unifex.ui.rendering.grouped_grid import Act, Group, GroupItem
from unifex.ui.rendering.html import data_uri, message

WRONG, MISSED = 3, 2  # hits and items that are shown of a failed query


def key(said: Correction) -> int:
    """Tells a correction from every other, wherever it stands in the list; nothing of where a file lies."""
    return int(hashlib.sha256(repr(said).encode()).hexdigest()[:12], 16)


def _acts(item: Record, other: Record | None) -> list[Act]:
    if other is None:
        return []
    acts = [
        Act("same", item.id, other.id, "Same thing", "Both show the same thing: counts as right"),
        Act("drop", item.id, 0, "Leave out", "Leave the first item out of the gallery"),
    ]
    if (item.label, item.domain) == (other.label, other.domain):
        return acts
    label = f"Relabel as {shortened(other.label)}"
    return [Act("relabel", item.id, other.id, label, "The first item gets this label"), *acts]


def verdict(right: bool, rank: int, cutoff: int) -> tuple[str, str, str]:
    """Sign, word and CSS class of a hit at ``rank`` (from 0), where the score is of the first ``cutoff``."""
    if right and rank >= cutoff:
        return "↓", "too late", "late"
    return ("✓", "right", "good") if right else ("✗", "wrong", "bad")


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
    should = [*late, *(GroupItem(item, "○ not found", "late") for item in missed)][:MISSED]
    acts = _acts(query, wrong[0].record if wrong else None)
    return Group(_sentence(failure), [GroupItem(query, "query"), *wrong, *should], acts)


def _sentence(failure: WorstQuery) -> str:
    if failure.cutoff == 1:
        return f"{failure.mmp5:.2f} · first hit wrong, and it alone counts: its label has one other image"
    right = round(failure.mmp5 * failure.cutoff)
    return f"{failure.mmp5:.2f} · {right or 'none'} of the first {failure.cutoff} hits right"


def label_error(error: LabelError, item: Record, near: Sequence[Record]) -> Group:
    """An item whose neighbours all agree on another label."""
    said = f"its {len(near)} nearest are all {shortened(near[0].label)} (similarity {error.similarity:.2f})"
    items = [GroupItem(item, "label?", "bad"), *(GroupItem(other) for other in near)]
    return Group(f"Labelled {shortened(item.label)}, but {said}", items, _acts(item, near[0]))


def duplicate(pair: Duplicate, query: Record, item: Record) -> Group:
    """An image that stands on both sides of the evaluation and flatters it."""
    how = "the same file" if pair.identical else f"similarity {pair.similarity:.3f}"
    return Group(f"In query and index: {how}", [GroupItem(query, "query"), GroupItem(item, "index")],
                 _acts(query, item))  # fmt: skip


def part_title(part: Part, evaluation: Evaluation, failed: int, shown: int) -> Markup:
    """What is looked at: which queries, how many of them failed, how many are shown."""
    meant = int((part.queries(evaluation) & evaluation.metrics.counted).sum())
    order = f", the worst {shown:,} shown" if failed > shown else ", the worst first" if failed > 1 else ""
    count = f"{f'{failed:,}' if failed else 'none'} of {plural(meant, 'query')} failed{order}"
    return render("part_title.html", whose=_whose(part), whole=part == Part(), count=count)


def _whose(part: Part) -> str:
    if part.label is not None:
        return f"Label {shortened(part.label)}" + (f" in {shortened(part.domain)}" if part.domain else "")
    if part.domain is None:
        return "All queries"
    domain = f"Queries of {shortened(part.domain) or 'no domain'}"
    taken = "" if part.taken_by is None else f" whose first hit is of {shortened(part.taken_by) or 'no domain'}"
    return domain + taken


def corrections(said: Sequence[Correction], csv_text: str, editable: bool) -> Markup:
    """What was said of the gallery's items, each with a way back."""
    if not said:
        return message("No corrections yet", "Relabel, leave out or join items in the lists beside this one.")
    rows = [(key(correction), correction.sentence) for correction in said]
    return render("corrections.html", rows=rows, csv=data_uri(csv_text), editable=editable)
