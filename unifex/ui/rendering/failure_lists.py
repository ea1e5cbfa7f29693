"""The Evaluate tab's lists of what failed, each row with buttons that mend it, and the list of corrections."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup

from unifex.core.templates import render
from unifex.core.text import shortened
from unifex.evaluation.failures import Duplicate, LabelError, WorstQuery
from unifex.gallery.corrections import Correction
from unifex.gallery.gallery import Record
from unifex.ui.rendering.cards import Card
from unifex.ui.rendering.html import data_uri, message


@dataclass(frozen=True)
class Act:
    """A button that corrects ``item``, as or with ``other``."""

    kind: str
    item: int
    other: int
    text: str
    title: str


@dataclass(frozen=True)
class Row:
    """A failure, the card of the item that it is about, the cards of what was found, and what can be done."""

    failure: WorstQuery | LabelError | Duplicate
    left: Card
    right: list[Card]
    acts: list[Act]

    @property
    def subject(self) -> str:
        """Whose corrections deal with the row."""
        return subject(self.left.record)


def subject(of: Record | Correction) -> str:
    """What a correction and the item that it belongs to have in common; tells nothing of where a file lies."""
    return hashlib.sha256(f"{of.uri}\n{of.sha256}".encode()).hexdigest()[:16]


def key(said: Correction) -> int:
    """Tells a correction from every other, wherever it stands in the list; nothing of where a file lies."""
    return int(hashlib.sha256(repr(said).encode()).hexdigest()[:12], 16)


def _acts(item: Record, other: Record | None, editable: bool) -> list[Act]:
    if other is None or not editable:
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


def worst(found: Sequence[tuple[WorstQuery, Card, list[Card]]], editable: bool) -> Markup:
    """Queries with their first five hits, right, wrong and too late marked in colour and in words."""
    if not found:
        return message("Nothing went wrong", "Every query found all it could.", "good")
    rows = []
    for failure, query, hits in found:
        cards = []
        for rank, (hit, score, right) in enumerate(zip(hits, failure.scores, failure.is_match)):
            sign, word, kind = verdict(right, rank, failure.cutoff)
            cards.append(replace(hit, badge=f"{sign} {word} {score:.2f}", described=word, kind=kind))
        first_wrong = next((hit.record for hit, right in zip(hits, failure.is_match) if not right), None)
        acts = _acts(query.record, first_wrong, editable)
        rows.append(Row(failure, replace(query, badge="query"), cards, acts))
    return render("worst_queries.html", rows=rows)


def label_errors(found: Sequence[tuple[LabelError, Card, list[Card]]], editable: bool) -> Markup:
    """Items whose neighbours all agree on another label."""
    if not found:
        return message("No likely label errors", "No item's neighbours all agree on another label.", "good")
    rows = [Row(error, item, near, _acts(item.record, near[0].record, editable)) for error, item, near in found]
    return render("label_errors.html", rows=rows)


def duplicates(found: Sequence[tuple[Duplicate, Card, Card]], editable: bool) -> Markup:
    """Images that stand on both sides of the evaluation and flatter it."""
    if not found:
        return message("No near-duplicates", "No query stands in the index, too, or nearly so.", "good")
    rows = [
        Row(pair, replace(query, badge="query"), [replace(item, badge="index")],
            _acts(query.record, item.record, editable))
        for pair, query, item in found
    ]  # fmt: skip
    return render("duplicates.html", rows=rows)


def corrections(said: Sequence[Correction], csv_text: str, editable: bool) -> Markup:
    """What was said of the gallery's items, each with a way back."""
    if not said:
        return message("No corrections yet", "Relabel, leave out or join items in the lists beside this one.")
    rows = [(key(correction), correction.sentence) for correction in said]
    return render("corrections.html", rows=rows, csv=data_uri(csv_text), editable=editable)
