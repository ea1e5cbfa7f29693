"""The YAML configurations of the public UniFEx code, read as configurations of this one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unifex.core.text import reason
from unifex.training.config import LOSSES, WARMUPS, TrainConfig, TrainConfigError

_PUBLIC_LOSSES = {loss.public: name for name, loss in LOSSES.items() if loss.public}
_OPTIMISERS = {"Adam": "adam", "AdamW": "adamw", "SGD": "sgd", "SAM_AdamW": "sam", "SAM_Adam": "sam"}


def read_public_yaml(path: Path) -> TrainConfig:
    """A training configuration of the public UniFEx code; backbone, data and transform are the gallery's.

    What it leaves out has that code's default. Raises :class:`TrainConfigError` for what cannot be carried over.
    """
    import yaml

    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise TrainConfigError(f"{path}: {reason(error)}") from error
    if not isinstance(values, dict) or "MODEL" not in values:
        raise TrainConfigError(f"{path}: not a UniFEx training configuration (no MODEL section)")
    try:
        return _from_public(_Section(values, str(path)))
    except (TypeError, ValueError, ArithmeticError) as error:
        raise TrainConfigError(f"{path}: {error}") from error


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
            raise TrainConfigError(
                f"{self.path}: {name} '{value}' cannot be carried over; known: {', '.join(map(str, table))}"
            )
        return table[value]


def _from_public(found: _Section) -> TrainConfig:
    if found.get("MODEL.NECK.neck_type", "proj_layer") != "proj_layer":
        raise TrainConfigError(f"{found.path}: this neck has nothing to train; only neck_type proj_layer has")
    loss, sub_centres = found.named("MODEL.HEAD.name", "ArcFace", _PUBLIC_LOSSES), int(found.get("MODEL.HEAD.k", 1))
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
        margin_min=float(found.get("MODEL.HEAD.m_min", 0.2)) if dynamic else 0.2,
        scale=float(found.get("MODEL.HEAD.s", 30.0)),
        sub_centres=sub_centres,
        dims=(int(found.get("MODEL.embedding_dim", 64)),),
        epochs=int(found.get("TRAIN.epochs", 10)) if by_epochs else 1,
        iterations=0 if by_epochs else int(found.get("TRAIN.iterations", 0)),
        batch_size=int(found.get("DATALOADER.batch_size", 128)),
        optimiser=found.named("OPTIMIZER.name", "Adam", _OPTIMISERS),
        learning_rate=rate,
        centre_learning_rate=rate,
        final_lr_scale=float(found.get("SCHEDULER.min_lr", 1e-3)) / rate,
        weight_decay=float(found.get("OPTIMIZER.weight_decay", 1e-4)),
        warmup=found.named("SCHEDULER.warmup", "none", {name: name for name in WARMUPS}),
        warmup_epochs=1.0,
        schedule=found.named("SCHEDULER.name", "constant", {"cosine": "cosine", "constant": "constant"}),
        dropout=float(found.get("MODEL.NECK.dropout", 0.2)),
        min_images=1,
        seed=int(found.get("SEED", 42)),
    )
