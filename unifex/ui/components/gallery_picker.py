"""The dropdown of galleries that every tab has: they all offer the same ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import gradio as gr

from unifex.core.language import say
from unifex.ui.components.basic import Choice
from unifex.ui.context import AppContext
from unifex.ui.listening import Updates


def gallery_picker(context: AppContext, elem_id: str, label: str = "", min_width: int = 160) -> Choice:
    """One of them, with the gallery that is shown first; without a ``label`` it is called what it is."""
    return Choice(label=label or say("Gallery"), elem_id=elem_id, min_width=min_width, **begins_with(context))


def begins_with(context: AppContext) -> dict[str, Any]:
    """Properties of each, in a document that is asked for now."""
    first = context.first_gallery()
    return {"choices": [(name, name) for name in context.library.names() or [first]], "value": first}


def offer(pickers: Iterable[gr.Dropdown], names: Sequence[str], chosen: Iterable[str | None]) -> Updates:
    """These galleries in all of them; what is ``chosen`` in each stays chosen where it is one of them."""
    first = next(iter(names), None)
    return {
        picker: gr.update(choices=names, value=value if value in names else first)
        for picker, value in zip(pickers, chosen)
    }
