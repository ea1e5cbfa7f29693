"""What the Gallery tab tells: a forecast, what came of indexing, a gallery at a glance."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import compress

from markupsafe import Markup

from unifex.core.language import say, thousands, to_say
from unifex.core.templates import render
from unifex.core.text import duration, plural, size
from unifex.gallery.embedding import Forecast
from unifex.gallery.gallery import Facts
from unifex.gallery.index_report import IndexReport
from unifex.ui.rendering.html import message

REPORT_LINES = 200
MOST_REASONS = 12
_NUMBER = re.compile(r"\d[\d,.]*(?<=\d)")
_LEFT_OUT = to_say("Corrections leave out {items} more; the Evaluate tab lists them and can undo it.")


def report(outcome: IndexReport) -> Markup:
    """What came of indexing, with counts of why files were left out and a line for each."""
    counts = (
        plural(outcome.skipped, "was there already", "were there already"),
        plural(outcome.moved, "lies at another place now", "lie at another place now"),
        plural(outcome.relabelled, "has another label now", "have another label now"),
        plural(outcome.removed, "was removed", "were removed"),
        plural(outcome.missing, "is gone from the source and was kept", "are gone from the source and were kept"),
    )
    of = (True, outcome.moved, outcome.relabelled, outcome.removed, outcome.missing)
    told = ", ".join(compress(counts, of))
    nothing = not (outcome.items or outcome.left_out)
    now = [say("{told}. The gallery has {items}.", told=told, items=plural(outcome.items, "item", "items"))]
    if outcome.left_out:
        now.append(say(_LEFT_OUT, items=plural(outcome.left_out, "item", "items")))
    return render(
        "index_report.html",
        kind="warning" if nothing else "good",
        title=say(
            "{images} added to '{gallery}' in {time}",
            images=plural(outcome.added, "image", "images"),
            gallery=outcome.gallery,
            time=duration(outcome.seconds),
        ),
        text=say("No image there could be read, so the gallery is empty: choose another folder, or delete it.")
        if nothing
        else " ".join(now),
        report=outcome,
        reasons=_counted([file.reason for file in outcome.failed])[:MOST_REASONS],
        lines=REPORT_LINES,
    )


def _counted(reasons: Sequence[str]) -> list[tuple[str, int]]:
    """Each with how often it is there, the most frequent first. Those that differ in numbers alone, as of lines and of
    sizes, are one, without them."""
    alike: dict[str, list[str]] = {}
    for reason in reasons:
        alike.setdefault(_NUMBER.sub("…", reason), []).append(reason)
    told = [(same[0] if len({*same}) == 1 else without, len(same)) for without, same in alike.items()]
    return sorted(told, key=lambda counted: -counted[1])


def forecast(outcome: Forecast, name: str, there: int | None) -> Markup:
    """What indexing would take, and where it goes: gallery ``name``, which has so many items, or is new (None)."""
    if not outcome.images:
        return message(
            say("No images found"),
            say("None of the files tried is an image that can be read. Choose another folder."),
            "warning",
        )
    left_out = (
        say("; {refused} of {tried} files tried cannot be used", refused=outcome.refused, tried=outcome.tried)
        if outcome.refused
        else ""
    )
    into = (
        say("a new gallery '{name}'", name=name)
        if there is None
        else say("'{name}', which has {items} already", name=name, items=plural(there, "item", "items"))
    )
    return message(
        say(
            "About {images}: {time}, {size} on disk",
            images=plural(outcome.images, "image", "images"),
            time=duration(outcome.seconds),
            size=size(outcome.bytes),
        ),
        say(
            "Forecast from a trial with {tried} files{left_out}. Press Start to add them to {into}.",
            tried=outcome.tried,
            left_out=left_out,
            into=into,
        ),
    )


def gallery_facts(known: Facts, index: str) -> Markup:
    """A gallery at a glance; ``index`` says how it is searched."""
    none = say("none")
    rows = {
        say("Items"): thousands(known.items)
        + (say(" ({images:,} different images)", images=known.images) if known.images != known.items else ""),
        say("Labels"): thousands(known.labels),
        say("Splits"): ", ".join(f"{name or none}: {thousands(count)}" for name, count in known.splits.items()) or none,
        say("Model"): say("{model}, {dim}-d, on {backbone}", model=known.model, dim=known.dim, backbone=known.backbone),
        say("Index"): index,
        say("Refused files"): thousands(known.refused),
        say("Corrections"): thousands(known.corrections),
        say("On disk"): size(known.bytes),
    }
    return render("gallery_facts.html", known=known, rows=rows)
