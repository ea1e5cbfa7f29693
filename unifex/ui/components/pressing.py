"""What a press answers: what came of it, or what is in the way, in a place of its own."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr
from gradio.events import Dependency

from unifex.core.text import reason
from unifex.ui.context import ERRORS
from unifex.ui.listening import Part, Updates, follow, listen
from unifex.ui.rendering.html import message

# What comes of a job is what this press asked for; panels tell of none before it is known which job that is.
ASKED = "() => { unifex.asked = unifex.pressed; unifex.unanswered = Date.now(); }"
# After something was asked for: no waiting for the next look.
LOOK_AT_JOBS = "() => { unifex.unanswered = 0; window.unifexJobs?.poll(true); }"


Handler = Callable[..., Updates | None]


def or_say(place: gr.HTML, title: str, fn: Handler, kind: str = "error") -> Callable[..., Updates]:
    """``fn``, whose errors that a user can mend (``context.ERRORS``) stand in ``place`` under this title.

    Where all went well and ``fn`` does not say anything there itself, the place is empty.
    """

    @functools.wraps(fn)
    def answered(*values: Any) -> Updates:
        try:
            return {place: "", **(fn(*values) or {})}
        except ERRORS as error:
            return {place: message(title, reason(error), kind)}

    return answered


def ask_for_job(
    press: Callable,
    fn: Handler,
    inputs: Sequence[Part],
    place: gr.HTML,
    title: str,
    *also: Part,
    kind: str = "error",
    counts: str = "first",
) -> Dependency:
    """Connect a press that asks for a job, as :func:`or_say`; what comes of it is seen at once, also when the job had
    ended before the answer.

    ``place`` is for what is in the way alone: what a panel's ``further`` shows stands elsewhere. ``fn`` may give values
    for the components ``also``.
    """
    listen(press, None, js=ASKED)  # before the answer: a look of the page's own may show what came of it sooner
    asked = listen(press, or_say(place, title, fn, kind), inputs, [place, *also], counts=counts)
    follow(asked, None, always=True, js=LOOK_AT_JOBS)
    return asked
