"""Parquet for Embedding Atlas: the map's coordinates, nearest neighbours and thumbnails, a row an item.

``neighbors`` is what its ``--neighbors`` takes, ``{ids, distances}`` with ids that are rows of this table, counted from
0; ``image`` is ``{bytes, path}``, which it shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from unifex.core.arrays import positions_of
from unifex.core.language import to_say
from unifex.core.progress import Work
from unifex.exports.format import Format
from unifex.exports.selection import Selection, Tally
from unifex.exports.targets import Target
from unifex.gallery.errors import ItemsGone
from unifex.gallery.neighbours import Neighbours
from unifex.gallery.records import Record
from unifex.maps.projection import Map, project

if TYPE_CHECKING:
    import pyarrow as pa


def write(selection: Selection, target: Target, tally: Tally) -> Work[None]:
    """A file, some hundred rows in memory. The map is made unless there is one. Raises ``GalleryError`` where there
    are too few images for one."""
    import pyarrow as pa
    from pyarrow import parquet

    drawn = yield from project(selection.gallery)
    near = yield from selection.gallery.find_neighbours(selection.snapshot)
    table = _Table(selection, drawn, near)
    with target.open("items.parquet") as file, parquet.ParquetWriter(file, table.schema) as writer:
        for records in selection.batches():
            yield tally.step()
            rows = [table.row(tally.items + number, record) for number, record in enumerate(records)]
            writer.write_table(pa.Table.from_pylist(rows, table.schema))
            tally.items += len(records)


@dataclass(frozen=True)
class _Table:
    """What stands in its rows."""

    selection: Selection
    drawn: Map
    near: Neighbours

    @property
    def schema(self) -> pa.Schema:
        import pyarrow as pa

        names = (*self.selection.own_columns, *self._further.values())
        neighbors = pa.struct({"ids": pa.list_(pa.int32()), "distances": pa.list_(pa.float32())})
        return pa.schema(
            [
                *((name, pa.list_(pa.string()) if name == "tags" else pa.string()) for name in names),
                ("x", pa.float32()), ("y", pa.float32()), ("neighbors", neighbors),
                ("image", pa.struct({"bytes": pa.binary(), "path": pa.string()})),
            ]
        )  # fmt: skip

    @cached_property
    def _further(self) -> dict[str, str]:
        return self.selection.further_columns(("x", "y", "neighbors", "image").__contains__)

    @cached_property
    def _coords(self) -> np.ndarray:
        """float32 [n, 2]."""
        at = positions_of(self.drawn.ids, self.selection.ids)
        if (at < 0).any():
            raise ItemsGone(self.selection.gallery.name)
        return self.drawn.coords[at]

    @cached_property
    def _rows(self) -> np.ndarray:
        """int64 [N]: row here of every item of the snapshot, -1 of those that are not exported."""
        rows = np.full(len(self.selection.snapshot), -1)
        rows[self.selection.positions] = np.arange(len(self.selection))
        return rows

    def row(self, number: int, record: Record) -> dict[str, Any]:
        at = self.selection.positions[number]
        positions, scores = self.near.positions[at], self.near.scores[at]
        rows = np.where(positions >= 0, self._rows[positions], -1)
        there = rows >= 0
        picture = self.selection.thumbnail(record)
        x, y = self._coords[number].tolist()
        return {
            **self.selection.row(record, self._further),
            "x": x, "y": y,
            "neighbors": {"ids": rows[there].tolist(), "distances": np.maximum(1 - scores[there], 0).tolist()},
            "image": {"bytes": picture.data, "path": record.file_name} if picture else None,
        }  # fmt: skip


FORMAT = Format(
    "atlas",
    "Embedding Atlas",
    to_say("Parquet with the map's coordinates, neighbours and thumbnails, for Embedding Atlas"),
    write,
    ".parquet",
)
