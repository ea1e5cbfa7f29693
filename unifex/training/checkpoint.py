"""What a stopped training leaves: the state that it goes on from where nothing changed, and what it had learned, which
can be kept whatever changed."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from unifex.core import disk
from unifex.core.errors import UnifexError
from unifex.core.files import write_atomically_with
from unifex.models.adaptation import Adaptation
from unifex.models.linear_layer import NO_TENSORS
from unifex.models.neck import Neck
from unifex.training.config import TrainConfig


@dataclass(frozen=True)
class Learned:
    """A neck, and what became of the backbone's late blocks where these learned, too."""

    neck: Neck
    adaptation: Adaptation | None = None


@dataclass(frozen=True)
class Checkpoint:
    """What a training had reached, also without what it learned from; ``of``: its :func:`fingerprint`."""

    of: str
    learned: Learned
    config: TrainConfig
    about: Mapping[str, Any]

    def values(self) -> dict[str, Any]:
        """For :meth:`of_values`; torch reads no more than tensors and plain values."""
        neck, adaptation = self.learned.neck, self.learned.adaptation
        return {
            "of": self.of,
            "recipe": self.config.as_json(),
            "about": dict(self.about),
            "kind": neck.kind,
            "dims": neck.dims,
            "weight": torch.from_numpy(neck.weight),
            "bias": torch.from_numpy(neck.bias),
            "differences": {
                name: torch.from_numpy(change)
                for name, change in (adaptation.differences if adaptation else {}).items()
            },
        }

    @classmethod
    def of_values(cls, values: dict[str, Any]) -> Checkpoint:
        """Raises KeyError and ValueError for those of an earlier version, or of another."""
        neck = Neck(values["kind"], values["weight"].numpy(), values["bias"].numpy(), tuple(values["dims"]))
        differences = {name: change.numpy() for name, change in values["differences"].items()}
        learned = Learned(neck, Adaptation(differences) if differences else None)
        return cls(values["of"], learned, TrainConfig.from_json(values["recipe"]), values["about"])


def write_checkpoint(path: Path, state: dict[str, Any], kept: Checkpoint) -> None:
    """At once or not at all. Raises OSError."""
    disk.make_folder(path.parent)
    try:
        write_atomically_with(path, lambda file: torch.save({**kept.values(), "state": state}, file))
    except RuntimeError as error:
        if isinstance(error.__context__, OSError):  # torch hides why it could not write
            raise error.__context__ from None
        raise


def read_state(path: Path, of: str) -> dict | None:
    """The state of the same training, by its fingerprint; None when there is none that can be read."""
    stored = _load(path)
    return stored["state"] if stored and stored["of"] == of else None


def read_checkpoint(path: Path) -> Checkpoint | None:
    """What a stopped training had reached, whatever changed since; None where nothing can be read, or where an earlier
    version wrote it."""
    stored = _load(path)
    try:
        return Checkpoint.of_values(stored) if stored else None
    except (KeyError, ValueError, TypeError, AttributeError, UnifexError):
        return None


def _load(path: Path) -> dict[str, Any] | None:
    """None also for a damaged one: torch looks at no checksum, and would go on from wrong numbers."""
    try:
        with zipfile.ZipFile(path) as parts:
            damaged = parts.testzip()
        stored = None if damaged else torch.load(path, weights_only=True)
    except (*NO_TENSORS, zipfile.BadZipFile, zlib.error):
        return None
    return stored if isinstance(stored, dict) and {"of", "state"} <= stored.keys() else None
