"""What the Gallery tab tells: a forecast, what came of indexing, a gallery at a glance."""

from __future__ import annotations

from collections import Counter

from markupsafe import Markup

from unifex.core.templates import render
from unifex.core.text import duration, plural, size
from unifex.gallery.embedding import Forecast
from unifex.gallery.gallery import Facts
from unifex.gallery.index_report import IndexReport
from unifex.ui.rendering.html import message

REPORT_LINES = 200
MOST_REASONS = 12


def report(outcome: IndexReport) -> Markup:
    """What came of indexing, with counts of why files were left out and a line for each."""
    counts = (
        (outcome.skipped, "were there already"),
        (outcome.moved, "lie at another place now"),
        (outcome.relabelled, "have another label now"),
        (outcome.removed, "were removed"),
        (outcome.missing, "are gone from the source and were kept"),
    )
    told = ", ".join(f"{count:,} {what}" for count, what in counts if count or what == counts[0][1])
    return render(
        "index_report.html",
        title=f"{plural(outcome.added, 'image')} added to '{outcome.gallery}' in {duration(outcome.seconds)}",
        text=f"{told}. The gallery has {plural(outcome.items, 'item')}.",
        report=outcome,
        reasons=Counter(file.reason for file in outcome.failed).most_common(MOST_REASONS),
        lines=REPORT_LINES,
    )


def forecast(outcome: Forecast, name: str, there: int | None) -> Markup:
    """What indexing would take, and where it goes: gallery ``name``, which has so many items, or is new (None)."""
    if not outcome.images:
        return message(
            "No images found", "None of the files tried is an image that can be read. Choose another folder.", "warning"
        )
    left_out = f"; {outcome.refused} of {outcome.tried} files tried cannot be used" if outcome.refused else ""
    into = f"a new gallery '{name}'" if there is None else f"'{name}', which has {plural(there, 'item')} already"
    return message(
        f"About {plural(outcome.images, 'image')}: {duration(outcome.seconds)}, {size(outcome.bytes)} on disk",
        f"Forecast from a trial with {outcome.tried} files{left_out}. Press Start to add them to {into}.",
    )


def gallery_facts(known: Facts, index: str) -> Markup:
    """A gallery at a glance; ``index`` says how it is searched."""
    rows = {
        "Items": f"{known.items:,}" + (f" ({known.images:,} different images)" if known.images != known.items else ""),
        "Labels": f"{known.labels:,}",
        "Splits": ", ".join(f"{name or 'none'}: {count:,}" for name, count in known.splits.items()) or "none",
        "Model": f"{known.model}, {known.dim}-d, on {known.backbone}",
        "Index": index,
        "Refused files": f"{known.refused:,}",
        "Corrections": f"{known.corrections:,}",
        "On disk": size(known.bytes),
    }
    return render("gallery_facts.html", known=known, rows=rows)
