"""Which model a gallery is searched with: the new one, and back to the one before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import gradio as gr

from unifex.core.jobs import Job, State
from unifex.core.language import say, to_say
from unifex.core.progress import Work
from unifex.core.system import numbered
from unifex.core.text import plural
from unifex.gallery.gallery import Gallery, GalleryError
from unifex.gallery.library import Broken
from unifex.gallery.other_backbone import index_anew
from unifex.models import zoo
from unifex.models.embedder import Embedder
from unifex.ui.components.basic import job_notice, notice
from unifex.ui.components.pressing import ask_for_job
from unifex.ui.context import AppContext
from unifex.ui.listening import Part, Updates
from unifex.ui.rendering.html import message


@dataclass
class ModelSwitch:
    """A list of galleries with the button that changes their model, and the one that goes back. ``used`` is the last
    job that changed a gallery's model."""

    context: AppContext

    def build_back(self) -> None:
        """Lay out the button that goes back."""
        self.used = gr.State("")
        self.back = gr.Button(say("Go back"), size="sm", visible=False, elem_id="train-back")

    def build(self) -> None:
        """Lay out what changes the model."""
        self.others = gr.CheckboxGroup(
            [], label=say("Galleries that shall be searched with it"), elem_id="train-galleries"
        )
        self.use = gr.Button(say("Use it"), variant="primary", elem_id="train-use")

    def build_notices(self) -> None:
        """Where it is told what is in the way, and what came of it."""
        self.refusal = notice("train-refusal")
        self.notice = job_notice("train-notice")

    @property
    def offered(self) -> list[Part]:
        """What :meth:`offer` updates."""
        return [self.others, self.use]

    @property
    def changing(self) -> list[Part]:
        """What :meth:`show_change` updates."""
        return [self.notice, self.back, self.used]

    def wire(self, gallery: gr.Dropdown, model: gr.State) -> None:
        """Connect the handlers: the ``model`` that was trained on a gallery."""
        ask_for_job(self.use.click, self.begin, [self.others, model], self.refusal, say("Not changed"))
        ask_for_job(self.back.click, self.go_back, [gallery], self.refusal, say("Not changed"))

    def offer(self, gallery: Gallery, advised: bool, anew: bool = False) -> Updates:
        """A model that was trained on this gallery; ``advised``: it is better; ``anew``: its features are its own."""
        fitting, variant = self._fitting(gallery), "primary" if advised else "secondary"
        verb = say("Index anew with it") if anew else say("Use it")
        return {
            self.others: gr.update(choices=fitting, value=[gallery.name], visible=len(fitting) > 1),
            self.use: gr.update(value=verb if advised else say("{verb} anyway", verb=verb), variant=variant),
        }

    def _fitting(self, gallery: Gallery) -> list[str]:
        """Galleries on the same backbone."""
        configs = {name: self.context.library.ask(name, lambda g: g.config) for name in self.context.library.names()}
        wanted = gallery.config.backbone_hash
        return [name for name, c in configs.items() if not isinstance(c, Broken) and c.backbone_hash == wanted]

    def offer_back(self, gallery: Gallery) -> Updates:
        """The way back from a gallery's model, where there is one for who asks."""
        previous = gallery.config.previous
        there = bool(previous) and self.context.can_change(gallery.name)
        return {self.back: gr.update(visible=there, value=say("Go back to '{previous}'", previous=previous))}

    def begin(self, names: Sequence[str], model: str) -> None:
        """(galleries, model) -> a job. Raises ``UnifexError``."""
        if not model or not names:
            raise GalleryError(say("choose a gallery, and train a model for it first"))
        for name in names:
            self.context.writable(name)
        embedder = Embedder.load(model, models=self.context.library.models)
        self.context.start("use", ", ".join(names), self._changing(names, embedder), model)

    def go_back(self, name: str) -> None:
        """(gallery) -> as :meth:`begin`, to the model before."""
        self.begin([name], self.context.gallery(name).config.previous)

    def _changing(self, names: Sequence[str], embedder: Embedder) -> Work[list[Gallery]]:
        """What was measured with the old model is shown no more; the galleries that were changed."""
        done: list[Gallery] = []
        for name in names:
            if self._needs_another(name, embedder):
                done.append(
                    (yield from index_anew(self.context.library, name, self._free_name(name, embedder), embedder))
                )
                continue
            done.append((yield from self.context.library.use(name, embedder)))
            self.context.jobs.forget(self.context.owner, "evaluate", name)
        return done

    def _needs_another(self, name: str, embedder: Embedder) -> bool:
        """Whether a gallery's features are of another backbone. A visitor has not the room for two."""
        own = self.context.library.get(name).config
        is_same = zoo.makes_the_same(embedder.backbone, own.backbone, own.backbone_hash)
        return not is_same and self.context.workspace is None

    def _free_name(self, name: str, embedder: Embedder) -> str:
        """For the gallery that is made of this one."""
        taken = self.context.library.names()
        return next(free for free in numbered(f"{name} ({embedder.name})") if free not in taken)

    def made(self, used: str) -> bool:
        """Whether the last change, which is not :attr:`used` yet, made galleries that were not there."""
        job = self.context.outcome("use")
        return bool(job) and job.id != used and job.state == State.DONE and bool(_made(job))

    def show_change(self, name: str | None, used: str) -> Updates:
        """(gallery, :attr:`used`) -> what came of the last change of a model."""
        job = self.context.outcome("use")
        if job is None:
            return {self.notice: ""}
        if job.id == used:
            return {self.notice: gr.skip()}
        if job.state != State.DONE:
            text = job.problem or say("It was cancelled.")
            return {self.used: job.id, self.notice: message(say("Not changed"), text, "error")}
        lines = ", ".join(
            say("'{gallery}': {items}", gallery=gallery.name, items=plural(len(gallery), "item", "items"))
            for gallery in job.result
        )
        follow = say("Search and Evaluate follow, the map has to be made anew; the button under the gallery goes back.")
        text = f"{lines}. {say(_BESIDE) if _made(job) else follow}"
        shown = {
            self.used: job.id,
            self.notice: message(say("Searching with '{source}' now", source=job.source), text, "good"),
        }
        mine = [gallery for gallery in job.result if gallery.name == name]
        return {**shown, **self.offer_back(mine[0])} if mine else shown


_BESIDE = to_say(
    "It stands beside the old one, with the same items, corrections and tags; choose it in Search, Evaluate or Map."
)


def _made(job: Job) -> list[Gallery]:
    """Galleries that a change of the model made, as features of another backbone need one of their own."""
    return [gallery for gallery in job.result if gallery.name not in job.name.split(", ")]
