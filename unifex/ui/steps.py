"""What the library tells of its progress -> the one form in which jobs tell it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import singledispatch
from typing import Any

from unifex.core.jobs import Work
from unifex.core.progress import Step
from unifex.evaluation.evaluate import Evaluating
from unifex.gallery.bundle import Packing
from unifex.gallery.indexing import Progress
from unifex.gallery.snapshot import Embedding
from unifex.maps.projection import Mapping
from unifex.models.hub import Fetched
from unifex.training.result import EpochMetrics
from unifex.training.run import Doing

MB = 10**6


def steps(events: Iterator[Any]) -> Work:
    """The events of a generator as steps; what it yields last, which is no progress, is the result."""
    result = None
    with contextlib.closing(events):
        for event in events:
            step = step_of(event)
            if step is None:
                result = event
            else:
                yield step
    return result


@singledispatch
def step_of(event: Any) -> Step | None:
    """An event as a step; None for one that is a result."""
    return None


@step_of.register
def _(event: Progress) -> Step:
    speed = f" · {event.images_per_second:.0f} images/s" if event.images_per_second >= 1 else ""
    counts = f"{event.added:,} added, {event.skipped:,} there already, {event.failed:,} left out"
    return Step("", event.done, event.total or 0, event.seconds_left, counts + speed)


@step_of.register
def _(event: Packing) -> Step:
    return Step("packing", event.done, event.total)


@step_of.register
def _(event: Evaluating) -> Step:
    return Step(event.doing, event.done, event.total)


@step_of.register
def _(event: Doing) -> Step:
    return Step(event.what, event.done, event.total)


@step_of.register
def _(event: EpochMetrics) -> Step:
    scores = ", ".join(f"{dim}-d {value:.3f}" for dim, value in event.scores.items())
    held_out = f"held-out mMP@5: {scores}" if scores else "nothing is held out"
    left = event.seconds_left if event.number < event.total else None
    return Step(f"epoch {event.number}", event.number, event.total, left, f"loss {event.loss:.3f} · {held_out}")


@step_of.register
def _(event: Embedding) -> Step:
    return Step("embedding", event.done, event.total)


@step_of.register
def _(event: Mapping) -> Step:
    return Step(event.doing, event.done, event.total, event.seconds_left)


@step_of.register
def _(event: Fetched) -> Step:
    return Step(f"fetching {event.file}", event.done // MB, event.total // MB, event.seconds_left, unit="MB")
