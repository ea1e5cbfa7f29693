"""On a public server: what is kept for a visitor, for how long, and the button that deletes it."""

from __future__ import annotations

from dataclasses import dataclass, field

import gradio as gr
from markupsafe import Markup

from unifex.core.language import say, thousands
from unifex.core.templates import render
from unifex.core.text import plural, size
from unifex.gallery.gallery import GalleryError
from unifex.ui.components.confirmation import Confirmation
from unifex.ui.context import AppContext
from unifex.ui.listening import Part, Updates, follow, listen
from unifex.ui.rendering import html
from unifex.ui.server.quotas import Limits
from unifex.ui.server.workspaces import NO_VISITOR, Usage

REFRESH_SECONDS = 60
_COUNTDOWN_JS = """
const show = () => {
  const clock = element.querySelector('[data-until]');
  if (!clock) return;
  const left = Math.max(0, Number(clock.dataset.until) - Date.now() / 1000);
  const hours = Math.floor(left / 3600), minutes = Math.floor(left % 3600 / 60), seconds = Math.floor(left % 60);
  clock.textContent = hours ? `${hours} h ${minutes} min` : minutes ? `${minutes} min ${seconds} s` : `${seconds} s`;
};
setInterval(show, 1000);
watch('value', () => setTimeout(show, 0));
show();
"""
# What the browser keeps of it goes, too: the address of the last search, and what was searched lately.
_FORGET_JS = """() => {
  localStorage.removeItem('unifex-recent');
  history.replaceState(null, '', location.pathname + location.search);
  location.reload();
}"""


@dataclass
class WorkspaceNotice:
    """A notice and a button; both hidden where the galleries are the user's own."""

    context: AppContext
    delete: Confirmation = field(default_factory=lambda: Confirmation(say("Delete my data now"), "delete-my-data"))

    def build(self) -> None:
        """Lay it out and wire what concerns nobody else."""
        here = self.context.workspaces is not None and not self.context.settings.read_only
        with gr.Column(visible=here, elem_id="visit"):
            self.notice = gr.HTML(elem_id="visit-notice", js_on_load=_COUNTDOWN_JS)
            with gr.Column() as self.deleting:
                self.delete.build(size="sm")
            self.timer = gr.Timer(REFRESH_SECONDS, active=here)
        listen(self.timer.tick, self.show, None, self.shown)
        deleted = self.delete.wire(self.ask, self.forget, [], [self.notice], whatever=True)
        follow(deleted, None, js=_FORGET_JS)

    @property
    def shown(self) -> list[Part]:
        """What :meth:`show` updates."""
        return [self.notice, self.deleting]

    def show(self) -> Updates:
        """-> what is kept, and the button if there is anything."""
        if not self.context.workspaces or self.context.settings.read_only:
            return {self.notice: "", self.deleting: gr.update(visible=False)}
        workspace = self.context.workspace
        if workspace is None:
            return {self.notice: _nobody(), self.deleting: gr.update(visible=False)}
        kept = _kept(workspace.usage(), workspace.limits, workspace.expires)
        return {self.notice: kept, self.deleting: gr.update(visible=True)}

    def ask(self) -> str:
        """-> what deleting does. Raises ``GalleryError`` where there is nothing."""
        if (workspace := self.context.workspace) is None:
            raise GalleryError(say("nothing is kept for you"))
        usage = workspace.usage()
        trained = (
            say(" and {trainings}", trainings=plural(usage.trainings, "training", "trainings"))
            if usage.trainings
            else ""
        )
        return say(
            "Delete {images}{trained} for good, {size}? Nobody can undo that.",
            images=plural(usage.images, "image", "images"),
            trained=trained,
            size=size(usage.bytes),
        )

    def forget(self) -> Updates:
        """-> a notice; nothing of the visitor's is left."""
        workspaces, visitor = self.context.workspaces, self.context.visitor
        if workspaces and visitor:
            workspaces.forget(visitor)
        return {self.notice: html.message(say("Your data is deleted"), kind="good")}


def _nobody() -> Markup:
    text = say("Searching works: {why}.", why=say(NO_VISITOR))
    return html.message(say("Nothing can be kept for you here"), text, "warning")


def _kept(usage: Usage, limits: Limits, expires: float) -> Markup:
    rows = (
        (plural(usage.images, "image", "images"), thousands(limits.images)),
        (size(usage.bytes), size(limits.bytes)),
        (plural(usage.trainings, "training", "trainings"), thousands(limits.trainings)),
    )
    if not usage.bytes:
        text = say("It is deleted {hours:g} hours after you last used it.", hours=limits.seconds / 3600)
        return html.message(say("What you upload is yours alone"), text)
    return render("workspace.html", rows=rows, expires=expires)
