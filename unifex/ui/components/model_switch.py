"""Which model a gallery is searched with: the new one, and back to the one before."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import gradio as gr

from unifex.core.jobs import Job, State
from unifex.core.language import say, to_say
from unifex.core.progress import Work
from unifex.core.system import numbered
from unifex.gallery.counted import Counted, counted
from unifex.gallery.gallery import Gallery, GalleryError
from unifex.gallery.library import Broken
from unifex.gallery.other_backbone import index_anew
from unifex.models import zoo
from unifex.models.embedder import Embedder
from unifex.ui.components.basic import job_notice, notice
from unifex.ui.components.pressing import ask_for_job
from unifex.ui.context import ERRORS, AppContext
from unifex.ui.listening import Part, Updates, listen
from unifex.ui.rendering.html import message


class Told(NamedTuple):
    """The changes of a model that a page has told of, and the gallery of the one that stands there."""

    jobs: frozenset[str] = frozenset()
    gallery: str | None = None


@dataclass
class ModelSwitch:
    """A list of galleries with the button that changes their model, and the one that goes back."""

    context: AppContext

    def build_back(self) -> None:
        """Lay out the button that goes back."""
        self.told = gr.State(Told())
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
        return [self.notice, self.back, self.told]

    def wire(self, gallery: gr.Dropdown, model: gr.State) -> None:
        """Connect the handlers: the ``model`` that was trained on a gallery."""
        ask_for_job(self.use.click, self.begin, [self.others, model], self.refusal, say("Not changed"))
        ask_for_job(self.back.click, self.go_back, [gallery], self.refusal, say("Not changed"))
        listen(gallery.change, self.show_change, [gallery, self.told], self.changing)

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
        for name in names:
            self._check_new(name, embedder)
        self.context.start("use", ", ".join(names), self._changing(names, embedder), model)

    def _check_new(self, name: str, embedder: Embedder) -> None:
        """Raises ``GalleryError`` where a gallery is searched with a model already, or was indexed anew with it."""
        own = f"{name} ({embedder.name})"
        told = {
            name: to_say("'{name}' is searched with '{model}' already"),
            own: to_say("'{name}' is there already, and searched with '{model}': choose it, or delete it first"),
        }
        for known in told.keys() & set(self.context.library.names()):
            config = self.context.library.get(known).config
            if (config.backbone_hash, config.neck_hash) == (embedder.config.backbone_hash, embedder.neck.hash):
                raise GalleryError(say(told[known], name=known, model=embedder.name))

    def go_back(self, name: str) -> None:
        """(gallery) -> as :meth:`begin`, to the model before."""
        self.begin([name], self.context.gallery(name).config.previous)

    def _changing(self, names: Sequence[str], embedder: Embedder) -> Work[list[Counted]]:
        """What was measured with the old model is shown no more; the galleries that were changed, or made."""
        done: list[Counted] = []
        for name in names:
            if self._needs_another(name, embedder):
                work = index_anew(self.context.library, name, self._free_name(name, embedder), embedder)
                done.append((yield from counted(work)))
                continue
            done.append((yield from counted(self.context.library.use(name, embedder))))
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

    def made(self, told: Told) -> bool:
        """Whether changes that are not :attr:`told` yet made galleries that were not there."""
        return any(_made(job) for job in self._ended() if job.state == State.DONE and job.id not in told.jobs)

    def begin_to_tell(self) -> Updates:
        """-> what was done before the page was there is history to it; what failed is not."""
        return {self.told: Told(frozenset(job.id for job in self._ended() if job.state == State.DONE))}

    def _ended(self) -> list[Job]:
        """Changes of who asks that have ended, oldest first."""
        mine = [job for job in self.context.jobs.of(self.context.owner) if job.kind == "use" and not job.withdrawn]
        return sorted((job for job in mine if not job.state.active), key=lambda job: job.ended)

    def show_change(self, name: str | None, told: Told) -> Updates:
        """(gallery, :attr:`told`) -> what came of the last change of its model, once; nothing of another gallery's."""
        last = next((job for job in reversed(self._ended()) if name in _about(job)), None)
        if last is None or self.context.is_busy("use", last.name):
            return {self.notice: ""}
        if last.id in told.jobs:
            return {self.notice: gr.skip() if told.gallery == name else ""}
        shown: Updates = {self.told: Told(told.jobs | {last.id}, name), self.notice: _came_of(last)}
        with contextlib.suppress(*ERRORS):  # it has gone since
            shown |= self.offer_back(self.context.gallery(name))
        return shown


def _came_of(job: Job) -> str:
    if job.state != State.DONE:
        return message(say("Not changed"), job.problem or say("It was cancelled."), "error")
    lines = ", ".join(say("'{gallery}': {items}", gallery=gallery.name, items=gallery.items) for gallery in job.result)
    follow = say("Search and Evaluate follow, the map has to be made anew; the button under the gallery goes back.")
    text = f"{lines}. {say(_BESIDE) if _made(job) else follow}"
    return message(say("Searching with '{source}' now", source=job.source), text, "good")


_BESIDE = to_say(
    "It stands beside the old one, with the same items, corrections and tags; choose it in Search, Evaluate or Map."
)


def _made(job: Job) -> list[Counted]:
    """Galleries that a change of the model made, as features of another backbone need one of their own."""
    return [gallery for gallery in job.result if gallery.name not in job.name.split(", ")]


def _about(job: Job) -> list[str]:
    """The galleries that it was asked for, or has made."""
    return [*job.name.split(", "), *(gallery.name for gallery in job.result or ())]
