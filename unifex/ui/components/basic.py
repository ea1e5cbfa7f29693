"""Gradio's components with one habit changed each.

They are classes, since Gradio makes an instance anew for every session that changes something of it: what is set on an
instance is lost then. (Gradio writes a stub beside this file, which git ignores.)
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from unifex.core import ranges
from unifex.core.errors import UnifexError
from unifex.core.json_text import parse_json
from unifex.core.language import say
from unifex.core.templates import render
from unifex.exports.formats import offered
from unifex.ui.page_state import as_told, item_id
from unifex.ui.scripts import scripts


class QueryImage(gr.Image):
    """Hands over the file as it was uploaded: a query is decoded exactly as an indexed image is, and refused so."""

    is_template = True  # looks like its parent

    def preprocess(self, payload: Any) -> str | None:
        """The uploaded file's path; None without one."""
        return payload.path if payload else None


class Choice(gr.Dropdown):
    """Takes what the page says: its list may have changed since. Whoever uses the value looks it up and says so."""

    is_template = True  # looks like its parent

    def preprocess(self, payload: Any) -> Any:
        """What was chosen, whether it is there or not. Raises ``UnifexError`` for what no list can hold."""
        chosen = payload if self.multiselect and isinstance(payload, list) else [payload]
        if not all(one is None or isinstance(one, str | int | float) for one in chosen):
            raise UnifexError(say("that cannot be chosen; reload the page"))
        return payload


def signal(name: str) -> gr.HTML:
    """How scripts tell Python something: ``unifex.NAME(value)`` is an input event, and the value of it, as JSON.

    Other than an event's own data a value can count last (:mod:`unifex.ui.listening`).
    """
    script = (
        f"(window.unifex ||= {{}}).{name} = (value) => {{ props.value = JSON.stringify(value); trigger('input'); }};"
    )
    return gr.HTML("", html_template="", js_on_load=script, visible="hidden", elem_id=f"signal-{name}")


def item_told(told: str) -> tuple[str, int]:
    """Gallery and id of the item that a signal tells of. Raises ``UnifexError`` for anything else."""
    with as_told():
        gallery, item = parse_json(told)
        return str(gallery), item_id(item)


def further_told(told: str) -> tuple[int, int]:
    """An answer and how many of its hits are shown, which a signal tells of. Raises ``UnifexError`` otherwise."""
    try:
        answer, start = parse_json(told)
        return item_id(answer), ranges.HITS.check(item_id(start))
    except (TypeError, ValueError) as error:
        raise UnifexError(say("that is no answer; search again")) from error


def notice(elem_id: str) -> gr.HTML:
    """Where the outcome of a press appears; it comes into view when it does.

    What is in the way of a job that is asked for, and what came of the last one, are two notices: a job may end before
    the answer to the press comes, which would wipe the outcome.
    """
    return gr.HTML("", elem_id=elem_id, js_on_load=scripts("reveal"))


def job_notice(elem_id: str, value: str = "", *further: str) -> gr.HTML:
    """As :func:`notice`, of what came of a job: it comes into view for who pressed nothing since it was asked for.
    ``further`` scripts run in it as well."""
    return gr.HTML(value, elem_id=elem_id, elem_classes="of-job", js_on_load=scripts("reveal", *further))


def item_grid(elem_id: str) -> gr.HTML:
    """Items as cards; its value is of :mod:`unifex.ui.rendering.grid`."""
    return gr.HTML(
        "", html_template=render("grid.html", formats=offered()), js_on_load=scripts("grid"), elem_id=elem_id
    )


def drop_zone(elem_id: str, strangers: bool) -> gr.HTML:
    """Where files are dropped. A lone CSV names files of the computer that the app runs on: strangers give none."""
    takes = say("a folder, a .zip or images") if strangers else say("a folder, a .zip, a .csv or images")
    template = render("drop.html")
    return gr.HTML("", html_template=template, js_on_load=scripts("drop"), elem_id=elem_id, takes=takes)
