"""What a model says of itself: the ``config.json`` of its folder, read strictly."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unifex.core.errors import UnifexError
from unifex.core.json_text import parse_json
from unifex.core.language import say
from unifex.core.text import reason

SCHEMA = 1
_KINDS = {
    **dict.fromkeys(("name", "backbone", "backbone_hash", "neck", "description"), str),
    "dims": list, "default_dim": int, "scores": dict, "training": dict,
}  # fmt: skip


class ModelError(UnifexError):
    """A model that is missing or cannot be loaded; the message names it, the reason and the remedy."""


@dataclass(frozen=True)
class ModelConfig:
    """``config.json`` of a model, read strictly: unknown or missing fields are refused."""

    name: str
    backbone: str
    backbone_hash: str
    neck: str
    dims: tuple[int, ...]
    default_dim: int
    schema: int = SCHEMA
    description: str = ""
    scores: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)

    def score(self, dim: int) -> float | None:
        """mMP@5 that it says of itself at ``dim``; None where it says none."""
        scores = self.scores.get(str(dim))
        value = scores.get("mmp5") if isinstance(scores, dict) else None
        return value if isinstance(value, float) else None

    @classmethod
    def read(cls, path: Path) -> ModelConfig:
        """Read ``config.json``. Raises :class:`ModelError` naming the file and the field that is wrong."""
        try:
            values = parse_json(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ModelError(say("{path} cannot be read: {reason}", path=path, reason=reason(error))) from error
        if not isinstance(values, dict):
            raise ModelError(say("{path}: not a model configuration", path=path))
        if values.get("schema") != SCHEMA:
            schema = values.get("schema")
            raise ModelError(
                say(
                    "{path}: schema {schema!r}, this program reads {known}; update UniFEx",
                    path=path,
                    schema=schema,
                    known=SCHEMA,
                )
            )
        unknown = sorted(set(values) - set(cls.__dataclass_fields__))
        missing = sorted({"name", "backbone", "backbone_hash", "neck", "dims", "default_dim"} - set(values))
        if unknown or missing:
            raise ModelError(
                say(
                    "{path}: unknown fields {unknown}, missing fields {missing}",
                    path=path,
                    unknown=unknown,
                    missing=missing,
                )
            )
        for name, kind in _KINDS.items():
            if name in values and type(values[name]) is not kind:
                value = str(values[name])[:80]
                raise ModelError(
                    say("{path}: {name} {value!r} is no {kind}", path=path, name=name, value=value, kind=kind.__name__)
                )
        dims = values["dims"]
        if not (dims and all(type(d) is int and 0 < d <= 65536 for d in dims)):
            raise ModelError(say("{path}: dims {dims!r} is not a list of embedding sizes", path=path, dims=dims))
        if values["default_dim"] not in dims:
            dim = values["default_dim"]
            raise ModelError(say("{path}: default_dim {dim!r} is not among dims {dims}", path=path, dim=dim, dims=dims))
        return cls(**{**values, "dims": tuple(dims)})
