"""The Evaluate tab's figures as HTML: a sentence, tables with intervals drawn in them, what went wrong."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from unifex.core.text import harmless, plural, shortened
from unifex.evaluation.compare import Assessment
from unifex.evaluation.evaluate import PROTOCOLS, Evaluation, difference
from unifex.evaluation.failures import Duplicate, LabelError, WorstQuery
from unifex.evaluation.metrics import Estimate
from unifex.gallery.corrections import Correction
from unifex.gallery.gallery import Record
from unifex.ui.rendering.html import card, csv_uri, message

MOST_LABELS = 300


@dataclass(frozen=True)
class Shown:
    """What a card needs of an item."""

    record: Record
    thumbnail: bytes


def report(found: Assessment, gallery: str) -> str:
    """Everything but the failures."""
    main = found.main
    return (
        f'<div class="report">{_sentence(found, gallery)}<h2>Figures</h2>{_tiles(main)}<h3>Models and dimensions</h3>{_models(found)}'
        f"<h3>Domains</h3>{_domains(main)}{_confusion(main)}{_labels(main)}{_downloads(found)}</div>"
    )


def _sentence(found: Assessment, gallery: str) -> str:
    main, score = found.main, found.main.overall()
    left = [f"{count:,} {reason}" for reason, count in main.trial.left_out.items() if count]
    left += [f"{plural(main.skipped, 'query')} without a relevant item in the index"] if main.skipped else []
    first = main.overall("recall1").value
    text = (
        f"Of the first five hits of a query, {100 * score.value:.0f} % are what they could be at best (mMP@5 "
        f"{score.value:.3f}); other queries of this kind would give {score.low:.3f} to {score.high:.3f} (95 %). The very "
        f"first hit is right for {100 * first:.0f} % of queries. "
        f"Measured: {PROTOCOLS[main.trial.protocol.kind].partition(';')[0]}, {plural(main.queries, 'query')} among "
        f"{plural(len(main.trial.items), 'item')}. Left out: {', '.join(left) or 'nothing'}."
    )
    if plain := found.without_context:
        gain = difference(main, plain)
        text += (
            f" Context re-ranking changes mMP@5 here by {gain.value:+.3f} ({gain.low:+.3f} to {gain.high:+.3f}), "
            f"from {plain.overall().value:.3f} without it."
        )
    remarks = "".join(message("What these figures leave open", remark, "warning") for remark in main.remarks)
    return remarks + message(f"{gallery}: mMP@5 {score.value:.3f}", text)


def _tiles(main: Evaluation) -> str:
    figures = (
        ("mMP@5", main.overall(), "of the first hits, how many are right"),
        ("macro mMP@5", main.macro(), "every domain counts the same"),
        ("recall@1", main.overall("recall1"), "the first hit is right"),
        ("recall@5", main.overall("recall5"), "one of the first five is right"),
        ("mAP@R", main.overall("map_r"), "all that is relevant, in order"),
    )
    return '<div class="tiles">' + "".join(
        f'<div><b>{score.value:.3f}</b><span>{name}</span><small>{score.low:.3f} to {score.high:.3f}</small>'
        f"<small>{meaning}</small></div>" for name, score, meaning in figures
    ) + "</div>"  # fmt: skip


def _whisker(score: Estimate) -> str:
    """A dot with its interval on a line from 0 to 1."""
    return (
        f'<span class="whisker" aria-hidden="true"><i style="left:{100 * score.low:.1f}%;'
        f'width:{100 * (score.high - score.low):.1f}%"></i><b style="left:{100 * score.value:.1f}%"></b></span>'
    )


def table(heads: Sequence[str], rows: Sequence[Sequence[tuple[float | str, str]]], name: str) -> str:
    """``rows`` of (value to sort by, HTML); a click on a head sorts. Columns of words wrap, those of numbers do not."""
    kinds = ['class="words"' if isinstance(value, str) else "" for value, _ in rows[0]] if rows else [""] * len(heads)
    top = "".join(
        f'<th scope="col" {kind}><button type="button" data-sort>{head}</button></th>'
        for head, kind in zip(heads, kinds)
    )
    body = "".join(
        "<tr>"
        + "".join(
            f'<td {kind} data-value="{escape(str(value))}">{html}</td>' for (value, html), kind in zip(row, kinds)
        )
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="scroll"><table class="figures" id="{name}"><thead><tr>{top}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def number(value: float, digits: int = 3) -> tuple[float, str]:
    """A cell for :func:`table`."""
    return (-1, "–") if np.isnan(value) else (value, f"{value:.{digits}f}")


def named(text: str, without: str = "–") -> tuple[str, str]:
    """A cell with a label or a name, shortened; the whole of it is shown on hover. ``without``: for an empty one."""
    short = shortened(text)
    return text, f'<span title="{escape(text)}">{escape(short)}</span>' if short != text else escape(text) or without


def interval(score: Estimate) -> tuple[float, str]:
    """A cell with a 95% interval drawn and written."""
    return score.value, f'{_whisker(score)}<small class="range">{score.low:.3f}–{score.high:.3f}</small>'


def _models(found: Assessment) -> str:
    heads = ("Model", "Dim", "mMP@5", "95 % interval", "Against the first", "Macro", "R@1", "R@5", "mAP@R")
    rows = []
    for result in found.evaluations:
        name = escape(result.model) + (" + context" if result.context else "")
        against = (0.0, "–")
        if result is not found.main:
            gain = difference(result, found.main)
            word = "better" if gain.low > 0 else "worse" if gain.high < 0 else "no clear difference"
            against = (gain.value, f"{gain.value:+.3f} <small>{gain.low:+.3f} to {gain.high:+.3f}, {word}</small>")
        rest = [number(result.overall(measure).value) for measure in ("recall1", "recall5", "map_r")]
        score = result.overall()
        size = (result.dim, str(result.dim))
        rows.append(
            [(name, name), size, number(score.value), interval(score), against, number(result.macro().value), *rest]
        )
    return table(heads, rows, "models-table")


def _domains(main: Evaluation) -> str:
    heads = ("Domain", "Queries", "Items", "mMP@5", "95 % interval", "Alone", "R@1", "R@5", "mAP@R")
    rows = [
        [
            named(row.name, "no domain"),
            (row.queries, f"{row.queries:,}"),
            (row.items, f"{row.items:,}"),
            number(row.mmp5.value),
            interval(row.mmp5),
            number(row.alone.value),
            *(number(getattr(row, name).value) for name in ("recall1", "recall5", "map_r")),
        ]
        for row in main.domains
    ]
    hint = '<p class="hint">Alone: mMP@5 when only this domain is searched. What it is higher by, searching everything at once costs.</p>'
    return table(heads, rows, "domains-table") + hint


def _confusion(main: Evaluation) -> str:
    names, counts = main.confusion
    if len(names) < 2:
        return ""
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    shown = [named(name, "no domain")[1] for name in names]
    heads = "".join(f'<th scope="col"><span>{name}</span></th>' for name in shown)
    rows = ""
    for row, name in enumerate(names):
        cells = "".join(
            f'<td class="{"own" if row == column else ""}" style="--share:{shares[row, column]:.3f}" '
            f'title="{counts[row, column]:,} of {counts[row].sum():,} queries of {escape(name)}: first hit is {escape(names[column])}">'
            f"{f'{100 * shares[row, column]:.0f}' if counts[row, column] else ''}</td>"
            for column in range(len(names))
        )
        rows += f'<tr><th scope="row">{shown[row]}</th>{cells}</tr>'
    return (
        "<details><summary>Which domain takes the first hit</summary><p class='hint'>Rows: the query's domain; columns: "
        f"the first hit's; in per cent of the row's queries.</p><div class='scroll' tabindex='0' role='region' aria-label='First hits by domain'>"
        "<table class='confusion'>"
        f"<thead><tr><th></th>{heads}</tr></thead><tbody>{rows}</tbody></table></div></details>"
    )


def _labels(main: Evaluation) -> str:
    heads = ("Label", "Domain", "Queries", "mMP@5", "R@1", "Wrong first hits are mostly")
    rows = [
        [
            named(row.label),
            named(row.domain, "no domain"),
            (row.queries, f"{row.queries:,}"),
            number(row.mmp5),
            number(row.recall1),
            named(row.taken_by),
        ]
        for row in main.labels[:MOST_LABELS]
    ]
    more = f" (the worst {MOST_LABELS})" if len(main.labels) > MOST_LABELS else ""
    return (
        f"<details><summary>{plural(len(main.labels), 'label')}, worst first{more}</summary>"
        f"{table(heads, rows, 'labels-table')}</details>"
    )


def _downloads(found: Assessment) -> str:
    data = base64.b64encode(json.dumps(found.as_json(labels=True), indent=1).encode()).decode()
    return (
        f'<p class="downloads"><a class="download" download="evaluation.csv" href="{csv_uri(domains_csv(found))}">Domains '
        f'as CSV</a><a class="download" download="evaluation.json" href="data:application/json;base64,{data}">'
        "Everything as JSON</a></p>"
    )


def domains_csv(found: Assessment) -> str:
    """A line a domain and evaluation, and one for all domains together."""
    text = io.StringIO()
    writer = csv.writer(text)
    columns = ("mmp5", "low", "high", "recall1", "recall5", "map_r", "alone_mmp5")
    writer.writerow(["model", "dim", "context", "domain", "queries", *columns])
    for result in found.evaluations:
        score = result.overall()
        rest = [result.overall(name).value for name in ("recall1", "recall5", "map_r")]
        head = [harmless(result.model), result.dim, result.context]
        writer.writerow([*head, "all", result.queries, score.value, score.low, score.high, *rest, ""])
        for row in result.domains:
            figures = [row.mmp5.value, row.mmp5.low, row.mmp5.high, row.recall1.value, row.recall5.value]
            writer.writerow([*head, harmless(row.name), row.queries, *figures, row.map_r.value, row.alone.value])
    return text.getvalue()


def _act(action: str, item: int, other: int, text: str, title: str) -> str:
    return (
        f'<button type="button" class="act" data-act="{action}" data-item="{item}" data-other="{other}" '
        f'title="{escape(title)}">{escape(text)}</button>'
    )


def _acts(item: Shown, other: Shown, editable: bool) -> str:
    if not editable:
        return ""
    one, two = item.record, other.record
    buttons = _act("same", one.id, two.id, "Same thing", "Both show the same thing: counts as right")
    buttons += _act("drop", one.id, 0, "Leave out", "Leave the first item out of the gallery")
    if (one.label, one.domain) == (two.label, two.domain):
        return buttons
    return (
        _act("relabel", one.id, two.id, f"Relabel as {shortened(two.label)}", "The first item gets this label")
        + buttons
    )


def subject(of: Record | Correction) -> str:
    """What a correction and the item that it belongs to have in common; tells nothing of where a file lies."""
    return hashlib.sha256(f"{of.uri}\n{of.sha256}".encode()).hexdigest()[:16]


def key(said: Correction) -> int:
    """Tells a correction from every other, wherever it stands in the list; nothing of where a file lies."""
    return int(hashlib.sha256(repr(said).encode()).hexdigest()[:12], 16)


def hits_row(left: str, right: str, head: str, acts: str, item: Record | None = None) -> str:
    """A query's card, the cards of its hits, a line above and a line of buttons below.

    ``item``: whose corrections deal with the row.
    """
    mark = f' data-subject="{subject(item)}"' if item else ""
    return (
        f'<section class="failure"{mark}><p>{head}</p><div><div class="asked">{left}</div><div class="answers">{right}</div>'
        f"</div><p>{acts}</p></section>"
    )


def verdict(right: bool, rank: int, places: int) -> tuple[str, str, str]:
    """Sign, word and CSS class of a hit at ``rank`` (from 0), where the score is of the first ``places``."""
    if right and rank >= places:
        return "↓", "too late", "late"
    return ("✓", "right", "good") if right else ("✗", "wrong", "bad")


def worst(rows: Sequence[tuple[WorstQuery, Shown, list[Shown]]], editable: bool) -> str:
    """Queries with their first five hits, right, wrong and too late marked in colour and in words."""
    if not rows:
        return message("Nothing went wrong", "Every query found all it could.", "good")
    parts = []
    for failure, query, hits in rows:
        cards = ""
        for rank, (hit, score, right) in enumerate(zip(hits, failure.scores, failure.right)):
            sign, word, kind = verdict(right, rank, failure.places)
            cards += card(hit.record, hit.thumbnail, "Open", f"{sign} {word} {score:.2f}", word, kind)
        first_wrong = next((hit for hit, right in zip(hits, failure.right) if not right), None)
        acts = _acts(query, first_wrong, editable) if first_wrong else ""
        found, counted = round(failure.mmp5 * failure.places), failure.places
        which = f"{found or 'none'} of the first {counted} hits right"
        which = which if counted > 1 else "first hit wrong, and it alone counts: its label has one other image"
        head = f"<strong>{failure.mmp5:.2f}</strong> {which}"
        parts.append(hits_row(card(query.record, query.thumbnail, "Open", "query"), cards, head, acts, query.record))
    return f'<div class="failures">{"".join(parts)}</div>'


def label_errors(rows: Sequence[tuple[LabelError, Shown, list[Shown]]], editable: bool) -> str:
    """Items whose neighbours all agree on another label."""
    if not rows:
        return message("No likely label errors", "No item's neighbours all agree on another label.", "good")
    parts = []
    for error, item, near in rows:
        cards = "".join(card(other.record, other.thumbnail, "Open") for other in near)
        head = (
            f"Labelled <strong>{named(item.record.label)[1]}</strong>, but its {len(near)} nearest are all "
            f"<strong>{named(near[0].record.label)[1]}</strong> (similarity {error.similarity:.2f})"
        )
        acts = _acts(item, near[0], editable)
        parts.append(hits_row(card(item.record, item.thumbnail, "Open"), cards, head, acts, item.record))
    return f'<div class="failures">{"".join(parts)}</div>'


def duplicates(rows: Sequence[tuple[Duplicate, Shown, Shown]], editable: bool) -> str:
    """Images that stand on both sides of the evaluation and flatter it."""
    if not rows:
        return message("No near-duplicates", "No query stands in the index, too, or nearly so.", "good")
    parts = []
    for pair, query, item in rows:
        word = "the same file" if pair.identical else f"similarity {pair.similarity:.3f}"
        other = card(item.record, item.thumbnail, "Open", "index")
        left = card(query.record, query.thumbnail, "Open", "query")
        parts.append(hits_row(left, other, f"In query and index: {word}", _acts(query, item, editable), query.record))
    return f'<div class="failures">{"".join(parts)}</div>'


def corrections(said: Sequence[Correction], csv_text: str, editable: bool) -> str:
    """What was said of the gallery's items, each with a way back."""
    if not said:
        return message("No corrections yet", "Relabel, leave out or join items in the lists beside this one.")
    rows = "".join(
        f"<li><span>{escape(shortened(c.sentence, 200))}</span>"
        + (f'<button type="button" class="act" data-act="undo" data-item="{key(c)}" data-other="0">Undo</button></li>'
           if editable else "</li>")
        for c in said
    )  # fmt: skip
    link = f'<a class="download" download="corrections.csv" href="{csv_uri(csv_text)}">Download as CSV</a>'
    return f'<div class="corrections"><p>{link}</p><ul>{rows}</ul></div>'
