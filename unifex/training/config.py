"""How a neck is trained: every setting with its unit, range and meaning, presets, and the public UniFEx's YAML files.

Nothing here imports torch: the command line and the Train tab are built from these tables.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from unifex.core.errors import UnifexError
from unifex.core.text import reason
from unifex.models.neck import NESTED_DIMS

LOSS_ADVICE = {
    "arcface": "ArcFace: an angle between classes; the safe choice for clean labels",
    "subcentre-arcface": "ArcFace to the nearest of several centres, the paper's choice: varied classes, noisy labels",
    "dynamic-arcface": "ArcFace with larger margins for smaller classes: for very unequal classes",
    "cosface": "CosFace: a cosine between classes; steadier than ArcFace where classes are hard",
    "adacos": "AdaCos: no margin, the scale finds itself; nothing to tune",
    "adacos-fixed": "AdaCos with the scale fixed by the number of classes",
    "li-arcface": "Li-ArcFace: linear in the angle; steady for small dimensions",
    "curricularface": "CurricularFace: easy classes first, hard ones later; for long trainings",
    "adaface": "AdaFace: margins by image quality, as the length of the embedding tells it",
    "softmax": "Softmax of cosines without any margin: the control that a margin has to beat",
}
LOSS_MARGINS = {"cosface": 0.35, "li-arcface": 0.45, "adaface": 0.4}  # where the paper's is another than ArcFace's
DEFAULT_MARGIN = 0.5
OPTIMISERS = {
    "adam": "Adam with L2 weight decay, the paper's choice",
    "adamw": "Adam with decoupled weight decay",
    "sgd": "stochastic gradient descent with momentum 0.9",
    "sam": "sharpness-aware minimisation around AdamW; twice the work a step",
}
SAMPLING = {
    "images": "every image once an epoch",
    "classes": "small classes as often as large ones",
    "domains": "small domains as often as large ones",
}
STARTS = {
    "current": "the gallery's neck, so that training only has to improve on it; principal axes where there is none",
    "pca": "principal axes of the training features, so that training only has to improve on them",
    "random": "random weights, as in the paper",
}
WARMUPS = {"linear": "in equal steps", "exponential": "fast at first", "none": "full speed at once"}
SCHEDULES = {"cosine": "falls along a cosine", "constant": "stays"}


class RecipeError(UnifexError):
    """A setting that is unknown or out of its range; the message names it and what is allowed."""


def _setting(default, help: str, low: float | None = None, high: float | None = None, unit: str = "", choices=None):
    return field(default=default, metadata=dict(help=help, low=low, high=high, unit=unit, choices=choices))


@dataclass(frozen=True)
class TrainConfig:
    """The defaults are the paper's recipe (arXiv 2409.13513 and its public configuration)."""

    loss: str = _setting("subcentre-arcface", "what pulls classes apart", choices=LOSS_ADVICE)
    margin: float = _setting(0.5, "how far apart", 0, 2, "radians (cosine for cosface)")
    smallest_margin: float = _setting(0.2, "of the largest class (dynamic-arcface)", 0, 2, "radians")
    scale: float = _setting(30.0, "of the cosines before the softmax", 1, 256)
    sub_centres: int = _setting(3, "centres a class", 1, 16)
    dims: tuple[int, ...] = _setting((64,), "embedding sizes trained together, ascending", 2, 4096)
    epochs: int = _setting(10, "times every image is seen", 1, 1000)
    iterations: int = _setting(0, "steps in all, instead of epochs; 0: by epochs", 0, 10_000_000, "steps")
    batch_size: int = _setting(128, "images a step", 2, 65536)
    optimiser: str = _setting("adam", "the optimiser", choices=OPTIMISERS)
    learning_rate: float = _setting(2e-2, "of the neck", 0, 10)
    centre_learning_rate: float = _setting(2e-2, "of the class centres", 0, 10)
    final_share: float = _setting(0.05, "of the learning rate that is left at the end", 0, 1)
    weight_decay: float = _setting(1e-4, "pulls weights to zero", 0, 1)
    warmup: str = _setting("linear", "how the learning rate rises at the start", choices=WARMUPS)
    warmup_epochs: float = _setting(1.0, "how long it rises", 0, 100, "epochs")
    schedule: str = _setting("cosine", "how it goes on", choices=SCHEDULES)
    dropout: float = _setting(0.2, "share of the neck's inputs that is hidden at random", 0, 0.95)
    start: str = _setting("random", "what the neck starts from", choices=STARTS)
    whitening: float = _setting(0.375, "of the PCA start: 0 none, 0.5 full", 0, 0.5)
    distillation: float = _setting(0.0, "weight of staying alike where the features are alike", 0, 1000)
    views: int = _setting(0, "crops and mirror images of every image beside the image itself", 0, 8)
    sampling: str = _setting("images", "which images come how often", choices=SAMPLING)
    min_images: int = _setting(2, "smaller classes are left out", 1, 1000, "images a class")
    max_images: int = _setting(0, "of larger classes as many are drawn; 0: all", 0, 1_000_000, "images a class")
    seed: int = _setting(0, "of all that is drawn; the same seed gives the same neck", 0, 2**31 - 1)

    def __post_init__(self) -> None:
        for setting in fields(self):
            value, known = getattr(self, setting.name), setting.metadata
            if known["choices"] and value not in known["choices"]:
                raise RecipeError(f"{setting.name} '{value}' is not known; there are: {', '.join(known['choices'])}")
            for number in value if isinstance(value, tuple) else (value,):
                if known["low"] is not None and not known["low"] <= number <= known["high"]:
                    raise RecipeError(f"{setting.name} {number} is not between {known['low']} and {known['high']}")
        if not self.dims or list(self.dims) != sorted(set(self.dims)):
            raise RecipeError(f"dims {list(self.dims)} must ascend")

    def steps(self, images: int) -> int:
        """Optimiser steps in all, for so many training images."""
        return self.iterations or self.epochs * self.steps_an_epoch(images)

    def steps_an_epoch(self, images: int) -> int:
        """Optimiser steps until as many images were seen as there are."""
        return math.ceil(images / self.batch_size)


def setting_from_text(name: str, text: str) -> Any:
    """The value of a recipe's field as people write it; ``dims`` as ``64,128``. Raises :class:`RecipeError`."""
    kinds = {setting.name: type(setting.default) for setting in fields(TrainConfig)}
    try:
        if kinds[name] is tuple:
            return tuple(int(part) for part in text.replace(",", " ").split())
        return kinds[name](text)
    except ValueError:
        raise RecipeError(f"{name.replace('_', ' ')} '{text}' is not a number") from None


PRESET_ADVICE = {
    "quick": "seconds; a short training of all dimensions at once: to see whether it is worth while",
    "paper": "the recipe of arXiv 2409.13513: 64 dimensions from random weights",
    "best": "what did best on classes never seen: a slow neck and fast centres, all dimensions at once",
}


_FROM_WHAT_THERE_IS = TrainConfig(
    loss="arcface",
    sub_centres=1,
    dims=NESTED_DIMS,
    learning_rate=1e-3,
    centre_learning_rate=1e-2,
    final_share=0.0,
    weight_decay=0.0,
    warmup="none",
    dropout=0.3,
    start="current",
    whitening=0.25,
)
PRESETS: dict[str, TrainConfig] = {
    "quick": replace(_FROM_WHAT_THERE_IS, epochs=3),
    "paper": TrainConfig(),
    "best": _FROM_WHAT_THERE_IS,
}

_HEADS = {
    "ArcFace": "arcface",
    "DynM-ArcFace": "dynamic-arcface",
    "AdaCos": "adacos",
    "LiArcFace": "li-arcface",
    "CurricularFace": "curricularface",
    "AdaFace": "adaface",
}
_OPTIMISERS = {"Adam": "adam", "AdamW": "adamw", "SGD": "sgd", "SAM_AdamW": "sam", "SAM_Adam": "sam"}


def read_public_yaml(path: Path) -> TrainConfig:
    """A training configuration of the public UniFEx code as a recipe; backbone, data and transform are the gallery's.

    What it leaves out has that code's default. Raises :class:`RecipeError` for anything that cannot be carried over.
    """
    import yaml

    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise RecipeError(f"{path}: {reason(error)}") from error
    if not isinstance(values, dict) or "MODEL" not in values:
        raise RecipeError(f"{path}: not a UniFEx training configuration (no MODEL section)")
    try:
        return _from_public(_Section(values, str(path)))
    except (TypeError, ValueError, ArithmeticError) as error:
        raise RecipeError(f"{path}: {error}") from error


@dataclass(frozen=True)
class _Section:
    """Dotted access to nested YAML, with defaults."""

    values: dict[str, Any]
    path: str

    def get(self, name: str, default: Any) -> Any:
        found: Any = self.values
        for part in name.split("."):
            found = found.get(part) if isinstance(found, dict) else None
        return default if found is None else found

    def named(self, name: str, default: str | None, table: dict[str, str]) -> str:
        """The value at ``name``, translated."""
        value = self.get(name, default)
        if value not in table:
            raise RecipeError(
                f"{self.path}: {name} '{value}' cannot be carried over; known: {', '.join(map(str, table))}"
            )
        return table[value]


def _from_public(found: _Section) -> TrainConfig:
    if found.get("MODEL.NECK.neck_type", "proj_layer") != "proj_layer":
        raise RecipeError(f"{found.path}: this neck has nothing to train; only neck_type proj_layer has")
    loss, sub_centres = found.named("MODEL.HEAD.name", "ArcFace", _HEADS), int(found.get("MODEL.HEAD.k", 1))
    if loss == "arcface" and sub_centres > 1:
        loss = "subcentre-arcface"
    if loss == "adacos" and not found.get("MODEL.HEAD.dynamic_s", True):
        loss = "adacos-fixed"
    dynamic = loss == "dynamic-arcface"
    rate = float(found.get("OPTIMIZER.lr", 2e-3))
    by_epochs = bool(found.get("TRAIN.epoch_based", True))
    return TrainConfig(
        loss=loss,
        margin=float(found.get("MODEL.HEAD.m_max" if dynamic else "MODEL.HEAD.m", 0.5)),
        smallest_margin=float(found.get("MODEL.HEAD.m_min", 0.2)) if dynamic else 0.2,
        scale=float(found.get("MODEL.HEAD.s", 30.0)),
        sub_centres=sub_centres,
        dims=(int(found.get("MODEL.embedding_dim", 64)),),
        epochs=int(found.get("TRAIN.epochs", 10)) if by_epochs else 1,
        iterations=0 if by_epochs else int(found.get("TRAIN.iterations", 0)),
        batch_size=int(found.get("DATALOADER.batch_size", 128)),
        optimiser=found.named("OPTIMIZER.name", "Adam", _OPTIMISERS),
        learning_rate=rate,
        centre_learning_rate=rate,
        final_share=float(found.get("SCHEDULER.min_lr", 1e-3)) / rate,
        weight_decay=float(found.get("OPTIMIZER.weight_decay", 1e-4)),
        warmup=found.named("SCHEDULER.warmup", "none", {name: name for name in WARMUPS}),
        warmup_epochs=1.0,
        schedule=found.named("SCHEDULER.name", "constant", {"cosine": "cosine", "constant": "constant"}),
        dropout=float(found.get("MODEL.NECK.dropout", 0.2)),
        min_images=1,
        seed=int(found.get("SEED", 42)),
    )
