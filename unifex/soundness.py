"""Checksums: what a disk or a copy has changed is noticed before anything is made of it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

_FIELD = "checksum"


def file_hash(path: Path) -> str:
    """sha256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sealed(values: dict[str, Any]) -> bytes:
    """JSON text that carries the checksum of its own values."""
    return json.dumps({**values, _FIELD: _hash(values)}, indent=2).encode()


def unsealed(data: bytes) -> dict[str, Any]:
    """The values of :func:`sealed`. Raises ValueError when they are not what was sealed.

    A text without a checksum is from before there was one, and is taken as it is.
    """
    values = json.loads(data)
    if not isinstance(values, dict):
        raise ValueError("not a JSON object")
    said = values.pop(_FIELD, None)
    if said is not None and said != _hash(values):
        raise ValueError("its checksum is wrong")
    return values


def _hash(values: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:32]
