"""Trainings that were stopped or killed: what was asked for, how far its curve got, and who may go on.

``models/.training/`` holds ``NAME.pt`` (the checkpoint, which ``loop`` writes), ``NAME.json`` (the job),
``NAME.points`` (the curve), ``NAME.lock``, and ``NAME.maps`` of a deep training.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from unifex.core import disk
from unifex.core.errors import UnifexError
from unifex.core.files import write_atomically
from unifex.core.json_text import parse_json
from unifex.core.language import say
from unifex.core.text import command
from unifex.gallery.config import GalleryConfig
from unifex.models.embedder import ModelError, hashes_of
from unifex.training.config import TrainConfig
from unifex.training.held_out import HoldOut
from unifex.training.late_maps import delete_maps
from unifex.training.result import EpochMetrics

CHECKPOINTS = ".training"


@dataclass(frozen=True)
class TrainJob:
    """What was asked for, so that a stopped training can go on without being told again.

    ``from_disk``: whether features were to be read from there, where that was said: their order is another one then.
    ``saved``: the hash of the neck that it ended with, once that is being saved. ``gallery_id``: which one it is.
    """

    name: str
    gallery: str
    config: TrainConfig
    hold_out: HoldOut
    from_disk: bool | None = None
    saved: str = field(default="", compare=False)
    gallery_id: str = field(default="", compare=False)

    def write(self, models: Path) -> None:
        """Keep it beside the checkpoint."""
        path = models / CHECKPOINTS / f"{self.name}.json"
        disk.make_folder(path.parent)
        values = {"name": self.name, "gallery": self.gallery, "recipe": self.config.as_json()}
        values |= {"hold_out": asdict(self.hold_out), "from_disk": self.from_disk}
        values |= {"saved": self.saved, "gallery_id": self.gallery_id}
        write_atomically(path, json.dumps(values).encode())

    def as_begun(self, models: Path) -> TrainJob:
        """The same as it was begun, should it have been stopped and leave open where features are read from."""
        begun = TrainJob.read(models / CHECKPOINTS / f"{self.name}.json")
        return begun if begun and self == replace(begun, from_disk=None) else self

    @classmethod
    def read(cls, path: Path) -> TrainJob | None:
        """None when it cannot be read, or is of another version of the program."""
        try:
            values = parse_json(path.read_text(encoding="utf-8"))
            config, hold_out = TrainConfig.from_json(values["recipe"]), values["hold_out"]
            hold_out = HoldOut(**{**hold_out, "labels": tuple(hold_out["labels"])})
            name, gallery = values["name"], str(values["gallery"])
            more = values.get("from_disk"), values.get("saved", ""), values.get("gallery_id", "")
            job = cls(name, gallery, config, hold_out, *more)
            return job if job.name == path.stem else None
        except (OSError, ValueError, TypeError, KeyError, AttributeError, UnifexError):
            return None


def checkpoints(models: Path) -> list[TrainJob]:
    """Trainings that were stopped or killed and can go on, as their galleries are there, the last one first: after an
    epoch, or after maps for deep training were made, which would be much to make again."""
    return [job for job in _left(models) if _has_its_gallery(models, job) and not _is_saved(models, job)]


def _left(models: Path) -> Iterator[TrainJob]:
    kept = [path for suffix in ("pt", "maps") for path in (models / CHECKPOINTS).glob(f"*.{suffix}")]
    names = dict.fromkeys(path.stem for path in sorted(kept, key=lambda path: -path.stat().st_mtime))
    return (job for name in names if (job := TrainJob.read(models / CHECKPOINTS / f"{name}.json")))


def _is_saved(models: Path, job: TrainJob) -> bool:
    """Whether its model is there: it was killed between saving that and deleting what it would have gone on from."""
    if not job.saved:
        return False
    try:
        return hashes_of(models / job.name)[1] == job.saved
    except ModelError:
        return False


def _has_its_gallery(models: Path, job: TrainJob) -> bool:
    """Whether it is there under its name: another one may be called so by now. Earlier versions kept no id."""
    with contextlib.suppress(UnifexError, OSError):
        return job.gallery_id in ("", GalleryConfig.read(models.parent / job.gallery).id)
    return False


def _delete_ended(models: Path, name: str, gallery_id: str) -> None:
    """Delete what killed trainings left that were done, and what one of this name had reached on another gallery, which
    is no more."""
    for job in _left(models):
        of_another = job.name == name and job.gallery_id not in ("", gallery_id)
        if of_another or _is_saved(models, job):
            delete_checkpoint(models, job.name)


def delete_checkpoints_of(models: Path, gallery: str, gallery_id: str) -> None:
    """The gallery of this name and id, which a copy of it has, too, is no more: nothing goes on with it."""
    for job in _left(models):
        if job.gallery == gallery and job.gallery_id in ("", gallery_id):
            delete_checkpoint(models, job.name)


def _check_own(models: Path, name: str, gallery: str) -> None:
    """Raises :class:`ModelError` where what a stopped training had reached under this name is another gallery's, and
    would be written over. One whose gallery is no more, or is called otherwise now, is nobody else's."""
    stopped = next((job for job in checkpoints(models) if job.name == name), None)
    if stopped and stopped.gallery != gallery:
        raise ModelError(
            say(
                "a training of '{name}' on gallery '{gallery}' was stopped: go on with it there, keep what it reached, "
                "or give this one another name",
                name=name,
                gallery=stopped.gallery,
            ),
            command=command("train", "--gallery", stopped.gallery, "--save", name, "--finish"),
        )


def follow_rename(models: Path, gallery: str, renamed: str) -> None:
    """Trainings of a gallery that has another name now go on under that."""
    for path in (models / CHECKPOINTS).glob("*.json"):
        job = TrainJob.read(path)
        if job and job.gallery == gallery:
            replace(job, gallery=renamed).write(models)


def has_reached_an_epoch(models: Path, name: str) -> bool:
    """Whether there is something to keep of a training that was stopped."""
    return (models / CHECKPOINTS / f"{name}.pt").exists()


def _curve_path(models: Path, name: str) -> Path:
    return models / CHECKPOINTS / f"{name}.points"


def read_curve(models: Path, name: str) -> list[EpochMetrics]:
    """The curve of a training that was stopped or killed; empty when there are none."""
    try:
        stored = parse_json(_curve_path(models, name).read_text(encoding="utf-8"))
        return [_metrics(**values) for values in stored]
    except (OSError, ValueError, TypeError, AttributeError):
        return []


def _metrics(scores: dict[str, float], seconds_left: float = 0.0, **figures: Any) -> EpochMetrics:
    """As it is kept. Earlier versions kept ``seconds_left``, too."""
    return EpochMetrics(scores={int(dim): value for dim, value in scores.items()}, **figures)


def write_curve(models: Path, name: str, curve: Sequence[EpochMetrics]) -> None:
    """Keep the curve as it is."""
    stored = json.dumps([asdict(metrics) for metrics in curve]).encode()
    write_atomically(_curve_path(models, name), stored, durable=False)


def delete_checkpoint(models: Path, name: str) -> None:
    """The training is finished: nothing of it is needed any more."""
    for suffix in ("pt", "json", "points"):
        (models / CHECKPOINTS / f"{name}.{suffix}").unlink(missing_ok=True)
    delete_maps(maps_path(models, name))


def maps_path(models: Path, name: str) -> Path:
    """Where a deep training keeps what the frozen part of the backbone gave."""
    return models / CHECKPOINTS / f"{name}.maps"


@contextlib.contextmanager
def training_lock(models: Path, name: str, gallery: str, gallery_id: str) -> Iterator[None]:
    """Only one training makes a model at a time, across processes. Raises :class:`ModelError` while another does, and
    where one of another gallery than ``gallery`` (of this id) can go on."""
    lock = FileLock(models / CHECKPOINTS / f"{name}.lock", timeout=0)
    try:
        with disk.writing_in(models):
            disk.make_folder(models / CHECKPOINTS)
            lock.acquire()
    except Timeout:
        raise ModelError(
            say("model '{name}' is being trained in another tab or process; wait, or stop it there", name=name)
        ) from None
    try:
        _check_own(models, name, gallery)
        _delete_ended(models, name, gallery_id)
        yield
    finally:
        lock.release()
