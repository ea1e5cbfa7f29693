"""How the page listens: which of several events counts when they come faster than the answers.

Gradio throws away every event that comes while the last answer is on its way, so a box could say one thing and the hits
another. What is right depends on what an event is, and is said by one word, ``counts``:

last    a value: what a slider, a dropdown or an upload says in the end is what the answer is for
every   a command that brings its own data, such as a press on one row of a list: none may be lost; they run in turn
first   a press that starts something: pressed twice, it starts once

Four things of Gradio shape the rest. Of listeners that write the same outputs each has a queue of its own, so that
outputs which several values decide want **one** listener. An event that was put off comes again with the data of the
event before it: what is read from ``gr.EventData`` cannot count "last" (let the script put it into a component's
value). It comes to all that listen to it, also to those that had answered: what would not be right twice, as to empty
fields, counts "first", or looks at what is there. An event that was put off is lost when the one before it raises:
handlers return their errors as messages.

A handler answers once, and what takes longer follows in another: of several answers the browser is told how each
differs from the last, which changes that one where it may not have been shown yet, so that its updates could be lost.

Listeners run beside each other, so that what one has read may have changed before it answers. What it gives back as it
read it is not written: a slow answer does not undo what somebody did meanwhile.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr
from gradio.blocks import BlockContext
from gradio.components import Component
from gradio.events import Dependency

Part = Component | BlockContext  # of the page
Updates = dict[Part, Any]  # what a handler answers: a value or an update of each component that changes
SAME = "(value) => [value]"
MODES = {"last": "always_last", "every": "multiple", "first": "once"}


def listen(
    triggers: Callable | Sequence[Callable],
    fn: Callable | None,
    inputs: Sequence[Part] | None = None,
    outputs: Sequence[Part] | None = None,
    counts: str = "last",
    **options: Any,
) -> Dependency:
    """Call ``fn`` when one of the events comes; ``counts`` is one of :data:`MODES`, the rest as ``gr.on`` has it.

    Raises ValueError for a handler that reads an event's own data and would count "last", or answers more than once.
    """
    if counts == "last" and fn and _reads_the_event(fn):
        raise ValueError(f"{fn.__qualname__} reads the event's data: the last event would come with that of the first")
    return gr.on(triggers, _news_only(fn, inputs), inputs, outputs, **_policy(counts, options))


def follow(
    before: Dependency,
    fn: Callable | None,
    inputs: Sequence[Part] | None = None,
    outputs: Sequence[Part] | None = None,
    always: bool = False,
    **options: Any,
) -> Dependency:
    """Call ``fn`` after another handler, with the values of then; ``always``: also when that one failed."""
    after = before.then if always else before.success
    return after(_news_only(fn, inputs), inputs, outputs, **_policy("last", options))


def mirror(triggers: Callable | Sequence[Callable], part: Part, other: Part) -> Dependency:
    """Another component says what one says, at once: an answer of the server would undo what was chosen meanwhile."""
    return listen(triggers, None, [part], [other], js=SAME)


def _policy(counts: str, options: dict[str, Any]) -> dict[str, Any]:
    """Nothing of the page's own is offered to programs, and answers come without a spinner over what is shown."""
    return {
        "trigger_mode": MODES[counts],
        "show_progress": "hidden",
        "show_progress_on": [],  # else every answer tells all that was ever answered how it stands, each looked for
        "api_visibility": "private",
        **({"concurrency_limit": 1} if counts == "every" else {}),
        **options,
    }


def _news_only(fn: Callable | None, inputs: Sequence[Part] | None) -> Callable | None:
    """``fn``, whose answers leave out what it gives back as it read it."""
    if fn and inspect.isgeneratorfunction(fn):
        raise ValueError(f"{fn.__qualname__} answers more than once: let what takes longer follow")
    if fn is None or not inputs:
        return fn

    @functools.wraps(fn)
    def answered(*values: Any) -> Updates:
        return _without(fn(*values), dict(zip(inputs, values)))

    return answered


def _without(answer: Updates, known: Updates) -> Updates:
    """The answer without the values that are known; what else an update says of a component stays."""
    kept: Updates = {}
    for part, value in answer.items():
        if part in known and isinstance(value, dict) and value.get("__type__") == "update":
            value = {key: said for key, said in value.items() if key != "value" or said != known[part]}
        elif part in known and value == known[part]:
            value = gr.skip()
        kept[part] = value
    return kept


def _reads_the_event(fn: Callable) -> bool:
    annotations = [parameter.annotation for parameter in inspect.signature(fn).parameters.values()]
    return any(getattr(kind, "__name__", str(kind)).endswith(("EventData", "SelectData")) for kind in annotations)
