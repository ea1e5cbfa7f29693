"""Folders and further columns of many items, kept on disk: reading a million from the database takes seconds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from unifex.core import derived
from unifex.core.derived import Origin
from unifex.gallery.snapshot import CategoricalColumn, FurtherColumns
from unifex.gallery.tags import TagColumn

LEAST = 50_000  # items; fewer are as soon read from the database


def write(path: Path, columns: FurtherColumns, origin: Origin) -> None:
    """Keep all but the tags, which are soon read."""
    kept = [columns.folders, *columns.extra.values()]
    told = json.dumps([list(columns.extra), *(column.names.tolist() for column in kept)]).encode()
    codes = np.stack([column.codes for column in kept]).astype(np.int32)
    derived.write_arrays(path, origin, told=np.frombuffer(told, np.uint8), codes=codes)


def read(path: Path, origin: Origin, tags: TagColumn) -> FurtherColumns | None:
    """What :func:`write` wrote, with these tags; None when there is none of this origin that is whole."""
    kept = derived.read_arrays(path, origin)
    if kept is None:
        return None
    titles, *names = json.loads(kept["told"].tobytes())
    folders, *extra = (
        CategoricalColumn(np.array(texts, object), codes.astype(np.int64)) for texts, codes in zip(names, kept["codes"])
    )
    return FurtherColumns(folders, dict(zip(titles, extra)), tags)
