"""The gallery of a tab is the one that is searched, both ways, and what the tab shows is of it."""

from __future__ import annotations

from collections.abc import Callable

import gradio as gr

from unifex.ui.components.basic import Choice, signal
from unifex.ui.listening import listen, mirror

ASKED = "() => ['']"  # of `unasked`, see :class:`~unifex.ui.tabs.search_tab.SearchTab`
# A tab shows a gallery as of a moment: opened again, it shows it again.
OPENED = "(name) => [name, `${performance.now()} ${name}`]"
# What is chosen while a tab is closed is shown when it is opened.
SHOWN = """(name, shown) => {
  const isOpen = document.querySelector('[role=tab][data-tab-id=%s]')?.ariaSelected === 'true';
  return [isOpen && shown.slice(shown.indexOf(' ') + 1) !== name ? `${performance.now()} ${name}` : shown];
}"""


def share_gallery(page: gr.Tab, gallery: Choice, searched: Choice, unasked: gr.HTML) -> list[Callable]:
    """The event that shows it: ``page`` is opened, or while it is open its ``gallery`` is another one, whoever chose
    that: somebody here, an address, or the server where it was deleted or renamed elsewhere.

    ``unifex.again_TAB`` is called where an address with another gallery was opened while the tab is open.
    """
    again = signal(f"again_{page.id}")
    shown = gr.HTML("", html_template="", visible="hidden")
    listen(page.select, None, [searched], [gallery, shown], js=OPENED)
    mirror(again.input, searched, gallery)
    mirror(gallery.input, gallery, searched)
    listen(gallery.change, None, [gallery, shown], [shown], js=SHOWN % page.id)
    listen(gallery.input, None, None, [unasked], js=ASKED)
    return [shown.change]
