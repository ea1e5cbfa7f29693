"""Trainings of who asks: begun, gone on with, kept; within the time that a visitor has."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from unifex.core.jobs import Job
from unifex.core.language import say
from unifex.core.progress import Work
from unifex.core.system import numbered
from unifex.core.text import duration
from unifex.gallery.gallery import Gallery, GalleryError
from unifex.models.embedder import list_models
from unifex.training.config import TrainConfig
from unifex.training.held_out import HoldOut
from unifex.training.result import EpochMetrics, TrainResult
from unifex.training.resume import TrainJob, checkpoints
from unifex.training.run import check_model_name, train
from unifex.ui.components.train_form import settings_as_shown
from unifex.ui.context import AppContext
from unifex.ui.server.workspaces import Workspace


@dataclass
class TrainJobs:
    """What raises, raises ``UnifexError``."""

    context: AppContext

    def free_name(self, gallery: str) -> str:
        """A name for a new model that is trained on this gallery."""
        models = self.context.library.models
        taken = {of.name for of in (*list_models(models), *checkpoints(models))}
        return next(name for name in numbered(gallery, last="-neck") if name not in taken)

    def stopped(self, gallery: str | None) -> TrainJob | None:
        """The training of this gallery that was stopped last, if who asks may go on with it and nobody does."""
        if not self.context.can_change(gallery):
            return None
        waiting = [job for job in checkpoints(self.context.library.models) if job.gallery == gallery]
        return next((job for job in waiting if not self.context.is_busy("train", job.name)), None)

    def named(self, model: str) -> TrainJob | None:
        """The training of this model, if it was stopped and can go on."""
        return next((job for job in checkpoints(self.context.library.models) if job.name == model), None)

    def of(self, gallery: str | None) -> list[Job]:
        """Jobs that train on this gallery or have, the one at work first, then the last one that was asked for."""
        mine = [job for job in self.context.jobs.of(self.context.owner) if not job.withdrawn]
        on_it = [job for job in reversed(mine) if (job.kind, job.source) == ("train", gallery)]
        return sorted(on_it, key=lambda job: not job.at_work)

    def check(self, name: str, model: str, config: TrainConfig, hold_out: HoldOut, finish: bool = False) -> TrainJob:
        """What :meth:`start` would begin now; raises what it would."""
        gallery = self.context.writable(name)
        model = check_model_name(self.context.library.models, model)
        with settings_as_shown():
            config.check_used()
        if self.context.is_busy("train", model):
            raise GalleryError(say("'{model}' is being trained; give the next one another name", model=model))
        self.context.jobs.check_turn(self.context.owner, "train")
        job = TrainJob(model, gallery.name, config, hold_out)
        if not finish and (stopped := self.named(model)) and replace(stopped, from_disk=None) != job:
            raise GalleryError(
                say(
                    "a training of '{model}' was stopped: go on with it, keep what it reached, or give this one "
                    "another name",
                    model=model,
                )
            )
        if config.deep and self.context.workspace:
            raise GalleryError(
                say("deep training takes more time and room than a visitor has here; take another preset")
            )
        if (workspace := self.context.workspace) and not finish:
            workspace.check_trainings()
        return job

    def start(self, name: str, model: str, config: TrainConfig, hold_out: HoldOut, finish: bool = False) -> Job:
        """Train a model on the gallery ``name``; ``finish``: measure and save what was reached before."""
        job = self.check(name, model, config, hold_out, finish)
        work = _training(self.context.writable(name), job.name, config, hold_out, finish, self.context.workspace)
        return self.context.start("train", job.name, work, job.gallery)

    def go_on(self, stopped: TrainJob, finish: bool = False) -> Job:
        """As :meth:`start`, where it was stopped."""
        return self.start(stopped.gallery, stopped.name, stopped.config, stopped.hold_out, finish)

    def resume(self, model: str) -> Job:
        """Go on with the training of a model that was cut off."""
        stopped = self.named(model)
        if stopped is None:
            raise GalleryError(say("there is nothing to go on with of '{model}'", model=model))
        return self.go_on(stopped)


def _training(
    gallery: Gallery, model: str, config: TrainConfig, hold_out: HoldOut, finish: bool, workspace: Workspace | None
) -> Work[TrainResult]:
    """A visitor's counts once an epoch is kept, which can be gone on with, and ends after the first that exceeds its
    time. Raises ``GalleryError`` where there were enough."""
    if workspace is None:
        return (yield from train(gallery, model, config, hold_out, finish=finish))
    if not finish:
        workspace.check_trainings()  # others have ended since it was asked for
        workspace.touch()
    seconds, counted = workspace.limits.training_seconds, finish
    deadline = time.monotonic() + seconds

    def check(_: EpochMetrics) -> None:
        nonlocal counted
        if not counted:
            workspace.count_training()
            counted = True
        if time.monotonic() > deadline:
            raise GalleryError(
                say("a training may take {time} on this server; keep it, or go on", time=duration(seconds))
            )

    return (yield from train(gallery, model, config, hold_out, finish=finish, on_epoch=check))
