"""The dropdown of galleries that every tab has: they all offer the same ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import gradio as gr

from unifex.ui.components.basic import Choice
from unifex.ui.context import AppContext
from unifex.ui.listening import Updates


def gallery_picker(context: AppContext, elem_id: str, label: str = "Gallery", min_width: int = 160) -> Choice:
    """One of them, with the gallery that is shown first."""
    first = context.first_gallery()
    names = context.library.names() or [first]
    return Choice(names, value=first, label=label, elem_id=elem_id, min_width=min_width)


def offer(pickers: Iterable[gr.Dropdown], names: Sequence[str], chosen: str | None) -> Updates:
    """These galleries in all of them; ``chosen`` stays chosen where it is one."""
    value = next((candidate for candidate in (chosen, *names) if candidate in names), None)
    return {picker: gr.update(choices=names, value=value) for picker in pickers}  # one each: Gradio empties them
