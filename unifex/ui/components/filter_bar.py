"""Filters in sight: what there is to filter by, what is chosen as chips, and the order of what is shown."""

from __future__ import annotations

from collections.abc import Mapping

import gradio as gr

from unifex.core.language import say, to_say
from unifex.core.templates import render
from unifex.ui.scripts import scripts

HIT_ORDERS = {"": to_say("Best match first"), "label": to_say("By label"), "path": to_say("By path")}
ITEM_ORDERS = {
    "": to_say("As they were added"),
    "newest": to_say("Newest first"),
    "label": to_say("By label"),
    "path": to_say("By path"),
}


def filter_bar(elem_id: str, of: str, orders: Mapping[str, str]) -> gr.HTML:
    """Its value is a :class:`unifex.ui.view.View` as JSON, and ``input`` comes when somebody changes it.

    ``of``: the grid whose items it is about, by its ``elem_id``; ``orders``: what each of its orders is called. The
    orders by a further column are offered, too, and groups where these are hits.
    """
    return gr.HTML(
        "",
        html_template=render("filter_bar.html", of=of, orders={order: say(title) for order, title in orders.items()}),
        js_on_load=scripts("filters"),
        elem_id=elem_id,
    )
