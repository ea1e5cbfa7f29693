"""Items of a gallery that go by their paths."""

from __future__ import annotations

from dataclasses import dataclass, field

import gradio as gr

from unifex.core.language import say
from unifex.core.text import lines_of, plural
from unifex.gallery import changing
from unifex.gallery.followed import is_followed
from unifex.gallery.gallery import Gallery, GalleryError
from unifex.gallery.naming import ids_named
from unifex.ui.components.confirmation import Confirmation
from unifex.ui.components.pressing import or_say
from unifex.ui.context import AppContext
from unifex.ui.listening import Updates
from unifex.ui.page_state import Wish
from unifex.ui.rendering.html import message


@dataclass
class ItemRemoval:
    """A box of paths, and a button that asks first."""

    context: AppContext
    button: Confirmation = field(default_factory=lambda: Confirmation(say("Remove these items"), "remove-button"))

    def build(self) -> None:
        """Lay it out. ``removed`` changes when items were removed."""
        self.removed = gr.State(Wish())
        self.paths = gr.Textbox(
            label=say("Paths, one a line"), info=say("As search results show them; image files stay"), lines=3,
            elem_id="remove-paths",
        )  # fmt: skip
        self.button.build()

    def wire(self, gallery: gr.Dropdown, notice: gr.HTML) -> None:
        """Connect the handlers; ``notice`` says what came of it."""
        self.notice = notice
        removed = or_say(notice, say("Nothing removed"), self.remove_items)
        self.button.wire(self.ask_to_remove, removed, [gallery, self.paths], [notice, self.paths, self.removed])

    def ask_to_remove(self, name: str, lines: str) -> str:
        """(gallery, paths) -> what removing them does. Raises ``GalleryError`` where there is nothing to remove."""
        gallery = self.context.gallery(name)
        items = len(set(_found(gallery, lines)[0]))
        if not items:
            raise GalleryError(
                say(
                    "no item of '{name}' is called so; give paths as search results show them, one a line",
                    name=name,
                )
            )
        asked = say(
            "Remove {items} from '{name}'? The image files stay, and can be indexed again.",
            items=plural(items, "item", "items"),
            name=name,
        )
        if not is_followed(gallery.folder):
            return asked
        staying = say("Those in folders that it follows are left out, as they would come back at once.")
        return f"{asked} {staying}"

    def remove_items(self, name: str, lines: str) -> Updates:
        """(gallery, paths) -> notice, the box without what was removed, that something was removed.

        Raises ``GalleryError``.
        """
        gallery = self.context.writable(name)
        with gallery.write() as writer:
            ids, missing = _found(gallery, lines)
            done = changing.remove(gallery, writer, sorted(set(ids)))
        told = done.sentence if done.left_out else say("{removed} removed", removed=done.removed)
        text = (
            say("No item is called: {missing}", missing=", ".join(missing)[:400])
            if missing
            else say("The image files are untouched.")
        )
        return {
            self.notice: message(told, text, "warning" if missing else "good"),
            self.paths: "\n".join(missing),
            self.removed: Wish.new(),
        }


def _found(gallery: Gallery, lines: str) -> tuple[list[int], list[str]]:
    """The items of these paths, and what is the path of none. Raises ``GalleryError`` where one is of several."""
    found = gallery.find(lines_of(lines), dropped=True)
    there = [path for path, ids in found.items() if ids]
    return ids_named(gallery.database, there, dropped=True), [path for path, ids in found.items() if not ids]
