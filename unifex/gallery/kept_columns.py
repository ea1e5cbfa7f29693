"""The columns of many items, kept on disk: reading a million from the database takes seconds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from unifex.core import derived
from unifex.core.derived import Origin
from unifex.core.json_text import parse_json
from unifex.gallery.snapshot import CategoricalColumn, FurtherColumns, ItemTable
from unifex.gallery.tags import TagColumn

LEAST = 50_000  # items; fewer are as soon read from the database


def write(path: Path, columns: FurtherColumns, origin: Origin, state: str) -> None:
    """Keep folders and further columns as of a ``state`` of the gallery; not the tags, which are soon read."""
    texts = _packed(columns.folders, *columns.extra.values())
    derived.write_arrays(path, origin, state=_text(state), titles=_text(list(columns.extra)), **texts)


def read(path: Path, origin: Origin, state: str, tags: TagColumn) -> FurtherColumns | None:
    """What :func:`write` wrote, with these tags; None when there is none of this state that is whole."""
    kept = _read(path, origin, state)
    if kept is None:
        return None
    folders, *extra = _unpacked(kept)
    return FurtherColumns(folders, dict(zip(_value(kept["titles"]), extra)), tags)


def write_items(path: Path, table: ItemTable, origin: Origin, state: str) -> None:
    """Keep a table of items as of a ``state`` of the gallery."""
    texts = _packed(table.domains, table.splits, table.labels)
    version = np.array(table.version)
    own = {"ids": table.ids, "hashes": table.hashes, "still": table.still}
    derived.write_arrays(path, origin, state=_text(state), version=version, **own, **texts)


def read_items(path: Path, origin: Origin, state: str) -> ItemTable | None:
    """What :func:`write_items` wrote; None when there is none of this state that is whole."""
    kept = _read(path, origin, state)
    if kept is None or "still" not in kept:  # of an earlier version
        return None
    return ItemTable(int(kept["version"]), kept["ids"], kept["hashes"], *_unpacked(kept), still=kept["still"])


def _read(path: Path, origin: Origin, state: str) -> dict[str, np.ndarray] | None:
    """A file of another state is no damage that anybody needs to hear of: the gallery was changed since."""
    kept = derived.read_arrays(path, origin)
    return kept if kept and _value(kept["state"]) == state else None


def _packed(*columns: CategoricalColumn) -> dict[str, np.ndarray]:
    """Their names as JSON, and their codes int32 [columns, N]."""
    codes = np.stack([column.codes for column in columns]).astype(np.int32)
    return {"names": _text([column.names.tolist() for column in columns]), "codes": codes}


def _unpacked(kept: dict[str, np.ndarray]) -> list[CategoricalColumn]:
    return [
        CategoricalColumn(np.array(names, object), codes.astype(np.int64))
        for names, codes in zip(_value(kept["names"]), kept["codes"])
    ]


def _text(value: object) -> np.ndarray:
    """JSON as bytes: uint8."""
    return np.frombuffer(json.dumps(value).encode(), np.uint8)


def _value(text: np.ndarray) -> Any:
    return parse_json(text.tobytes())
