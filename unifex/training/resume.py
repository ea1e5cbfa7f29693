"""Trainings that were stopped or killed: what was asked for, how far the curves got, and who may go on.

``models/.training/`` holds ``NAME.pt`` (the checkpoint, which ``training`` writes), ``NAME.json`` (the order),
``NAME.points`` (the curves) and ``NAME.lock``.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from unifex.core import disk
from unifex.core.files import write_atomically
from unifex.models.embedder import ModelError
from unifex.training.config import RecipeError, TrainConfig
from unifex.training.held_out import HoldOut
from unifex.training.result import EpochMetrics

UNFINISHED = ".training"


@dataclass(frozen=True)
class TrainJob:
    """What was asked for, so that a stopped training can go on without being told again."""

    name: str
    gallery: str
    recipe: TrainConfig
    hold_out: HoldOut

    def write(self, models: Path) -> None:
        """Keep it beside the checkpoint."""
        path = models / UNFINISHED / f"{self.name}.json"
        disk.make_folder(path.parent)
        write_atomically(path, json.dumps(asdict(self)).encode())

    @classmethod
    def read(cls, path: Path) -> TrainJob | None:
        """None when it cannot be read, or is of another version of the program."""
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            recipe, hold_out = values["recipe"], values["hold_out"]
            recipe = TrainConfig(**{**recipe, "dims": tuple(recipe["dims"])})
            hold_out = HoldOut(**{**hold_out, "labels": tuple(hold_out["labels"])})
            known = cls(values["name"], str(values["gallery"]), recipe, hold_out)
            return known if known.name == path.stem else None
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError, RecipeError):
            return None


def unfinished(models: Path) -> list[TrainJob]:
    """Trainings that were stopped or killed after an epoch at least and can go on, the last one first."""
    checkpoints = sorted((models / UNFINISHED).glob("*.pt"), key=lambda path: -path.stat().st_mtime)
    return [order for path in checkpoints if (order := TrainJob.read(path.with_suffix(".json")))]


def _points_path(models: Path, name: str) -> Path:
    return models / UNFINISHED / f"{name}.points"


def points_so_far(models: Path, name: str) -> list[EpochMetrics]:
    """The curves of a training that was stopped or killed; empty when there are none."""
    try:
        stored = json.loads(_points_path(models, name).read_text(encoding="utf-8"))
        return [_point(**values) for values in stored]
    except (OSError, ValueError, TypeError, AttributeError):
        return []


def _point(scores: dict[str, float], seconds_left: float = 0.0, **figures: Any) -> EpochMetrics:
    """As it is kept. Earlier versions kept ``seconds_left``, too."""
    return EpochMetrics(scores={int(dim): value for dim, value in scores.items()}, **figures)


def write_points(models: Path, name: str, points: Sequence[EpochMetrics]) -> None:
    """Keep the curves as they are."""
    curves = json.dumps([asdict(point) for point in points]).encode()
    write_atomically(_points_path(models, name), curves, durable=False)


def forget(models: Path, name: str) -> None:
    """The training is finished: nothing of it is needed any more."""
    for suffix in ("pt", "json", "points"):
        (models / UNFINISHED / f"{name}.{suffix}").unlink(missing_ok=True)


@contextlib.contextmanager
def right_to_train(models: Path, name: str, seconds: float = 0) -> Iterator[None]:
    """Only one training makes a model at a time, across processes; waits so long for another to end.

    Raises :class:`ModelError` when it did not.
    """
    disk.make_folder(models / UNFINISHED)
    lock = FileLock(models / UNFINISHED / f"{name}.lock", timeout=seconds)
    try:
        lock.acquire()
    except Timeout:
        raise ModelError(f"model '{name}' is being trained in another tab or process; wait, or stop it there") from None
    try:
        yield
    finally:
        lock.release()
