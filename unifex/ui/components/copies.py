"""Near-copies folded: at which level, and the job that compares a gallery's pictures for it."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr
from markupsafe import Markup

from unifex.core.jobs import Job, State
from unifex.core.language import say, to_say
from unifex.gallery.duplicates import ALIKE, BYTES, PICTURE
from unifex.gallery.gallery import Gallery
from unifex.ui.components.job_tray import JobPanel
from unifex.ui.context import AppContext
from unifex.ui.listening import Part, Updates, listen
from unifex.ui.page_state import Wish
from unifex.ui.rendering.html import message

COMPARISON = "duplicates"  # the kind of job that compares a gallery's pictures, for the Gallery tab as well
LEVELS = {
    "": to_say("One by one"),
    BYTES: to_say("Same file folded"),
    PICTURE: to_say("Same picture folded"),
    ALIKE: to_say("Very alike folded"),
}
PATIENCE_SECONDS = 1.5  # a small gallery is compared before anybody looks for progress

_FAILED = (State.CANCELLED, State.FAILED)


@dataclass
class Copies:
    """``level``: the choice; ``panel``: how far comparing has come."""

    context: AppContext

    def build(self) -> None:
        """Lay the choice out."""
        self.level = gr.Dropdown(
            [(say(title), level) for level, title in LEVELS.items()], value="", label=say("Near-copies"),
            elem_id="search-fold",
            info=say("One card for what is the same file, the same picture (size, crop, compression) or very alike"),
            visible=not self.context.settings.public,
        )  # fmt: skip
        self.awaited = gr.State(False)  # hits are shown one by one until a comparison ends

    def build_panel(self) -> None:
        """Lay out how far comparing has come."""
        self.panel = JobPanel((COMPARISON,), "copies-progress")
        self.panel.build()

    def wire(self, gallery: Part, wish: Part) -> None:
        """``wish`` changes when the hits are to be shown anew."""
        chosen = [gallery, self.level]
        listen(self.level.input, lambda *values: {wish: self._chosen(*values)}, chosen, [wish])
        ended = lambda *values: self._ended(wish, *values)  # noqa: E731
        listen(self.panel.further.input, ended, [self.awaited, gallery], [self.awaited, wish])

    def _chosen(self, gallery: str | None, level: str) -> Wish:
        """Somebody wants it, also after a comparison that was cancelled or failed."""
        last = self._last(gallery) if level else None
        if last and last.state in _FAILED:
            self.context.jobs.forget(self.context.owner, COMPARISON, gallery)
        return Wish.new()

    def _last(self, gallery: str | None) -> Job | None:
        """The comparison that was asked for last; one that was withdrawn, too, is not to be begun by every search."""
        mine = self.context.jobs.of(self.context.owner)
        return next((job for job in reversed(mine) if (job.kind, job.name) == (COMPARISON, gallery)), None)

    def _ended(self, wish: Part, awaited: bool, gallery: str | None) -> Updates:
        """(whether a comparison is awaited, gallery) -> that it has ended, and that hits are to be folded."""
        last = self._last(gallery)
        if not awaited or last is None or last.state.active:
            return {self.awaited: awaited}
        return {self.awaited: False, wish: Wish.new()}

    def settle(self, gallery: Gallery, level: str) -> tuple[str, str]:
        """By which level hits of a gallery can be folded now, and what is to be said where that is not ``level``.

        What was never compared is compared as a job, which others may have asked for; on a public server, where a link
        may still ask for it, nothing is. Raises ``UnifexError``.
        """
        if not level:
            return "", ""
        if self.context.settings.public:
            text = say("Near-copies are not compared on a public server; run UniFEx yourself for that.")
            return "", message(say("Copies are not folded"), text)
        work = gallery.find_duplicates()
        try:
            next(work)
        except StopIteration:  # it is known
            return level, ""
        last = self._last(gallery.name)
        if last and last.state in _FAILED:
            why = last.problem if last.state == State.FAILED else say("Comparing the pictures was cancelled")
            return "", message(
                say("Copies are not folded"), say("{why}. Choose it again to go on.", why=why), "warning"
            )
        job = self.context.start(COMPARISON, gallery.name, work)
        done = job.finished.wait(PATIENCE_SECONDS) and job.state == State.DONE
        return (level, "") if done else ("", comparing())


def comparing() -> Markup:
    """What is said while pictures are compared for folding."""
    return message(say("The pictures are being compared"), say("Hits are folded when that is done; look on meanwhile."))
