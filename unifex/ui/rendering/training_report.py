"""What the Train tab shows as HTML: the data before, the curves while, the figures and changed queries after."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from html import escape

from unifex.core.text import duration, plural
from unifex.evaluation.evaluate import difference
from unifex.evaluation.metrics import Estimate
from unifex.training.result import Changed, EpochMetrics, TrainResult
from unifex.training.split import TrainingData
from unifex.ui.rendering.evaluation_report import Shown, hits_row, interval, named, number, table, verdict
from unifex.ui.rendering.html import card, message

MOST_NAMED = 12
VERDICT_KINDS = {"better": "good", "worse": "error", "no difference": "warning", "unmeasured": "warning"}
HELD_OUT = {
    "split": "the gallery's own queries and index; its train split is trained on",
    "named": "the labels that were named",
    "drawn": "drawn by seed, evenly over domains; looked for among all labelled items",
    "none": "none",
}


def summary(data: TrainingData, suspicious: Sequence[Shown] | None) -> str:
    """What will be trained on and measured on, and what is wrong with it. ``suspicious`` None: not looked for."""
    counts = (
        (data.classes, "classes", f"in {plural(data.domains, 'domain')}"),
        (len(data.train), "images", "to train on"),
        (data.held_out_classes, "held out", "classes to measure on"),
    )
    tiles = "".join(
        f"<div><b>{count:,}</b><span>{name}</span><small>{what}</small></div>" for count, name, what in counts
    )
    small = ", ".join(escape(f"{one.name} ({one.images})") for one in data.small[:MOST_NAMED])
    more = f" and {len(data.small) - MOST_NAMED:,} more" if len(data.small) > MOST_NAMED else ""
    alike = [escape(" and ".join(f"'{name[:60]}'" for name in group)) for group in data.columns.lookalikes]
    unlisted = f" and {len(alike) - MOST_NAMED:,} more" if len(alike) > MOST_NAMED else ""
    facts = [
        ("Held-out classes", escape(data.unmeasured or HELD_OUT[data.held_out_by])),
        ("Classes too small", f"{small}{more}" if data.small else "none"),
        ("Labels that look alike", f"{'; '.join(alike[:MOST_NAMED])}{unlisted}" if alike else "none"),
        ("Copies left out", f"{data.copies:,}"),
        ("One image, two labels", f"{data.clashes:,}"),
        ("Without a label", f"{data.unlabelled:,}"),
        ("Suspicious labels", "not looked for" if suspicious is None else f"{len(suspicious):,}"),
    ]
    rows = "".join(f"<dt>{name}</dt><dd>{text}</dd>" for name, text in facts)
    cards = "".join(card(shown.record, shown.thumbnail, "Open") for shown in (suspicious or [])[:MOST_NAMED])
    look = (
        f'<p class="hint">Their neighbours all say otherwise:</p><div class="grid small">{cards}</div>' if cards else ""
    )
    return f'<div class="facts"><div class="tiles">{tiles}</div><dl>{rows}</dl>{look}</div>'


def curves(points: Sequence[EpochMetrics]) -> str:
    """What assets/curves.js draws, as JSON; empty without points."""
    if not points:
        return ""
    scores = {dim: [point.scores[dim] for point in points] for dim in points[0].scores}
    epochs, losses = [point.number for point in points], [point.loss for point in points]
    return json.dumps({"epochs": epochs, "total": points[-1].total, "loss": losses, "scores": scores})


def outcome(found: TrainResult) -> str:
    """The verdict, before and after, per domain."""
    done = f"{found.model}: {plural(len(found.data.train), 'image')} of {plural(found.data.classes, 'class')}"
    verdict = message(f"{done}, trained in {duration(found.seconds)}", found.advice, VERDICT_KINDS[found.verdict])
    if not found.evaluations:
        return verdict
    first = found.evaluations[0]
    measured = (
        f'<p class="hint">Measured on {plural(first.queries, "query")} of '
        f"{plural(found.data.held_out_classes, 'class')} that the new neck never saw, among "
        f"{plural(len(first.trial.items), 'item')}; intervals of 95 %, differences query by query.</p>"
    )
    figures = f"<h3>Before and after</h3>{_models(found)}{measured}<h3>Domains</h3>{_domains(found)}"
    return f'<div class="report">{verdict}{figures}</div>'


def _models(found: TrainResult) -> str:
    heads = ("Model", "Dim", "mMP@5", "95 % interval", "The new one against it", "Macro")
    rows = []
    for other in found.evaluations:
        new = found.of(found.model, other.dim if other.dim in found.neck.dims else found.dim)
        against = (0.0, "–") if other is new else _gain(difference(new, other))
        name = f"<strong>{escape(other.model)}</strong>" if other.model == found.model else escape(other.model)
        score = other.overall()
        rows.append(
            [(other.model, name), (other.dim, str(other.dim)), number(score.value), interval(score), against,
             number(other.macro().value)]
        )  # fmt: skip
    return table(heads, rows, "before-after-table")


def _gain(gain: Estimate) -> tuple[float, str]:
    word = "better" if gain.low > 0 else "worse" if gain.high < 0 else "no clear difference"
    return gain.value, f"{gain.value:+.3f} <small>{gain.low:+.3f} to {gain.high:+.3f}, {word}</small>"


def _domains(found: TrainResult) -> str:
    old, new = found.of(found.before, found.before_dim), found.of(found.model, found.dim)
    columns = {"Raw": found.of("raw", found.dim), "PCA": found.of("pca", found.dim), "Before": old, "After": new}
    shown = [(head, e) for head, e in columns.items() if e and not (head == "Before" and found.before == "raw")]
    heads = ["Domain", "Queries", *(f"{head}, {e.dim}-d" for head, e in shown), "Change"]
    rows = []
    for parts in zip(*(e.domains for _, e in shown)):
        name = parts[0].name
        change = _gain(difference(new, old, domain=name)) if old else (0.0, "–")
        cells = [number(part.mmp5.value) for part in parts]
        rows.append([named(name, "no domain"), (parts[0].queries, f"{parts[0].queries:,}"), *cells, change])
    return table(heads, rows, "trained-domains-table")


def changed(rows: Sequence[Changed], see: Callable[[int], Shown], before: str, after: str) -> str:
    """Queries that changed most, hits before above hits after. ``see`` shows the item at a position."""
    if not rows:
        return ""
    parts = []
    for row in rows:
        query = see(row.query)
        strips = "".join(
            f'<div class="strip"><span>{escape(name)}</span>{_cards(hits, see, row.places)}</div>'
            for name, hits in ((before, row.before), (after, row.after))
        )
        head = f"<strong>{row.gain:+.2f}</strong> mMP@5, of the first {plural(row.places, 'hit')}"
        parts.append(hits_row(card(query.record, query.thumbnail, "Open", "query"), strips, head, ""))
    return f'<h3>Queries that changed most</h3><div class="failures changed">{"".join(parts)}</div>'


def _cards(hits: Sequence[tuple[int, bool]], see: Callable[[int], Shown], places: int) -> str:
    cards = ""
    for rank, (position, right) in enumerate(hits):
        shown, (sign, word, kind) = see(position), verdict(right, rank, places)
        cards += card(shown.record, shown.thumbnail, "Open", sign, word, kind)
    return f'<div class="answers">{cards}</div>'
