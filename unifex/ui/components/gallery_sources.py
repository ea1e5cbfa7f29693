"""Where a gallery's items come from: look there again, say where it lies now, forget it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import gradio as gr

from unifex.core.language import say, to_say
from unifex.core.text import plural
from unifex.data import uploads
from unifex.gallery.gallery import Gallery, GalleryError
from unifex.gallery.known_sources import first_item, forget
from unifex.gallery.records import Asked
from unifex.gallery.relocating import relocate
from unifex.gallery.writer import Registered
from unifex.ui.components.basic import Choice, notice
from unifex.ui.components.confirmation import Confirmation
from unifex.ui.components.index_jobs import IndexJobs
from unifex.ui.components.pressing import ask_for_job, or_say
from unifex.ui.context import ERRORS, AppContext
from unifex.ui.listening import Updates, listen
from unifex.ui.page_state import Wish
from unifex.ui.rendering.html import message

KEEP, PRUNE, PRUNE_ALL = "keep", "prune", "prune all"
GONE = (
    (to_say("Keep them"), KEEP),
    (to_say("Remove them, but not if most are gone"), PRUNE),
    (to_say("Remove them, however many they are"), PRUNE_ALL),
)


@dataclass
class GallerySources:
    """A list of sources, and what can be done with the one that is chosen."""

    context: AppContext
    forget: Confirmation = field(default_factory=lambda: Confirmation(say("Forget this source"), "forget-source"))

    def build(self) -> None:
        """Lay it out."""
        self.changed = gr.State(Wish())  # changes when items were removed or moved
        self.source = Choice([], label=say("Source"), elem_id="gallery-source")
        self.gone = gr.Dropdown(
            [(say(title), kind) for title, kind in GONE], value=KEEP, label=say("Items whose files are gone"),
            elem_id="source-gone",
        )  # fmt: skip
        self.rehash = gr.Checkbox(
            label=say("Read every file again"),
            info=say("Finds changes that kept size and time"),
            elem_id="source-rehash",
        )
        self.again = gr.Button(say("Look there again"), variant="primary", elem_id="source-again")
        with gr.Column(visible=not self.context.settings.public):
            self.place = gr.Textbox(
                "", label=say("It lies elsewhere now"), placeholder="/media/new-disk/Pictures", elem_id="source-place",
                info=say("Items, labels and corrections stay the same"),
            )  # fmt: skip
            self.move = gr.Button(say("It is there now"), elem_id="source-move")
        self.forget.build()
        self.notice = notice("source-notice")

    def wire(self, gallery: gr.Dropdown, followed: Sequence[Callable]) -> None:
        """Connect the handlers; at the events ``followed`` there may be other sources."""
        listen([gallery.change, *followed], self.listed, [gallery, self.source], [self.source])
        asked = [gallery, self.source, self.gone, self.rehash]
        ask_for_job(self.again.click, self.look_again, asked, self.notice, say("Not looked at"))
        done = [self.notice, self.source, self.changed]
        moved = or_say(self.notice, say("Nothing was changed"), self.relocate)
        listen(self.move.click, moved, [gallery, self.source, self.place], [*done, self.place], counts="first")
        forgotten = or_say(self.notice, say("Not forgotten"), self.forget_source)
        self.forget.wire(self.ask_to_forget, forgotten, [gallery, self.source], done)

    # --- handlers ------------------------------------------------------------------------------------------------

    def listed(self, name: str | None, chosen: int | None) -> Updates:
        """(gallery, chosen source) -> its sources."""
        try:
            gallery = self.context.gallery(name)
            known, items = gallery.sources(), gallery.database.listed_items()
            choices = [(self._title(gallery, source, items.get(source.id, 0)), source.id) for source in known]
        except ERRORS:
            return {self.source: gr.update(choices=[], value=None)}
        ids = [source.id for source in known]
        value = chosen if chosen in ids else next(iter(ids), None)
        return {self.source: gr.update(choices=choices, value=value)}

    def look_again(self, name: str | None, chosen: int | None, gone: str, rehash: bool) -> None:
        """(gallery, source, what becomes of items that are gone, read all) -> a job.

        Raises ``GalleryError``, ``SourceError`` and ``JobError``.
        """
        gallery, known = self.context.writable(name), self._registered(name, chosen)
        if known.complete and uploads.is_staged(self.context.library.folder, known.spec):
            raise GalleryError(
                say("the gallery has kept the images of this upload; drop them again to add what is new")
            )
        asked = Asked(gone == PRUNE, gone == PRUNE_ALL, rehash)
        IndexJobs(self.context).start(known.spec, gallery.name, known.reading, asked=asked, may_be_empty=True)

    def relocate(self, name: str | None, chosen: int | None, place: str) -> Updates:
        """(gallery, source, new place) -> notice, sources, that something changed, the box empty.

        Raises ``GalleryError`` and ``SourceError``.
        """
        self.context.check_local(say("files of the server have no other place"))
        if not place.strip():
            raise GalleryError(say("name the folder, disk, file or address where it lies now"))
        gallery, registered = self.context.writable(name), self._registered(name, chosen)
        moved = relocate(gallery, registered.spec, place.strip())
        self.context.following.refresh()
        told = say("{items} of it are known at the new place now", items=plural(moved.items, "item", "items"))
        if moved.missing:
            lacking = say("{count:,} of them cannot be found there: copy them there, too.", count=moved.missing)
            done = message(told, lacking, "warning")
        else:
            done = message(told, kind="good")
        return {self.notice: done, **self.listed(name, chosen), self.changed: Wish.new(), self.place: ""}

    def ask_to_forget(self, name: str | None, chosen: int | None) -> str:
        """(gallery, source) -> what forgetting does. Raises ``GalleryError`` where there is none."""
        registered = self._registered(name, chosen)
        gallery = self.context.gallery(name)
        return say(
            "Forget {source}? Items that no other source of '{name}' has go with it. Image files and corrections stay.",
            source=self._title(gallery, registered, gallery.database.listed_items().get(registered.id, 0)),
            name=name,
        )

    def forget_source(self, name: str | None, chosen: int | None) -> Updates:
        """(gallery, source) -> notice, sources, that something changed. Raises ``GalleryError``."""
        gallery, registered = self.context.writable(name), self._registered(name, chosen)
        removed = forget(gallery, registered.spec)
        uploads.discard(gallery.folder.parent, registered.spec)
        self.context.following.refresh()
        done = message(say("Forgotten, with {items}", items=plural(removed, "item", "items")), kind="good")
        return {self.notice: done, **self.listed(name, None), self.changed: Wish.new()}

    # --- sources -------------------------------------------------------------------------------------------------

    def _title(self, gallery: Gallery, source: Registered, items: int) -> str:
        """What people call it: where an upload is staged is nobody's business."""
        named, listed = [source.spec], plural(items, "item", "items")
        if uploads.is_staged(self.context.library.folder, source.spec):
            name, when = uploads.dropped(source.spec)
            first = "" if name else first_item(gallery, source)
            named = [say("an upload"), name or (say("with {image}", image=first) if first else ""), when]
        return " · ".join(filter(None, [*named, listed, "" if source.complete else say("not finished")]))

    def _registered(self, name: str | None, chosen: int | None) -> Registered:
        for source in self.context.gallery(name).sources():
            if source.id == chosen:
                return source
        raise GalleryError(say("choose one of the gallery's sources first"))
