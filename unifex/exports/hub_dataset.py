"""A data set of the hub: Parquet with the images' bytes in it, as ``datasets`` loads it and the hub shows it.

What a column is stands in the schema (key ``huggingface``), so that ``load_dataset("parquet", ...)`` knows images too.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from unifex.core.language import to_say
from unifex.core.progress import Work
from unifex.exports.format import Format
from unifex.exports.hub_card import card, split_names
from unifex.exports.selection import Selection, Tally
from unifex.exports.targets import Target

if TYPE_CHECKING:
    import pyarrow as pa

GROUP_ROWS, GROUP_BYTES = 200, 32 * 2**20  # of a row group, which is what lies in memory
SHARD_BYTES = 400 * 2**20
SHARDS = re.compile(r"data/(?!.*-of-)[^/]+-[0-9]{5}\.parquet")  # what an export wrote of items, which may be gone
TEXT = {"dtype": "string", "_type": "Value"}


def write(selection: Selection, target: Target, tally: Tally) -> Work[None]:
    """``data/SPLIT-00000.parquet`` and so on, a row an item, and a README that names the splits."""
    splits = split_names(selection)
    at = dict(zip(selection.ids.tolist(), selection.positions.tolist()))
    further = selection.further_columns(("image", "embedding").__contains__)
    schema = _schema([*selection.own_columns, *further.values()])
    with contextlib.ExitStack() as open_files:
        shards = {split: _Shards(schema, target, name, open_files) for split, name in splits.items()}
        for record, picture in selection.with_pictures(tally):
            row = selection.row(record, further)
            row["image"] = {"bytes": picture.data, "path": record.file_name}
            row["embedding"] = selection.embeddings[at[record.id]]
            shards[record.split].add(row, len(picture.data))
            yield tally.step()
        for shard in shards.values():
            shard.finish()
    target.add("README.md", card(selection, {name: f"data/{name}-*.parquet" for name in splits.values()}))


def _schema(columns: Sequence[str]) -> pa.Schema:
    import pyarrow as pa

    features: dict[str, Any] = {"image": {"_type": "Image"}}
    fields = [pa.field("image", pa.struct({"bytes": pa.binary(), "path": pa.string()}))]
    for name in columns:
        several = name == "tags"
        features[name] = {"feature": TEXT, "_type": "Sequence"} if several else TEXT
        fields.append(pa.field(name, pa.list_(pa.string()) if several else pa.string()))
    features["embedding"] = {"feature": {"dtype": "float32", "_type": "Value"}, "_type": "Sequence"}
    fields.append(pa.field("embedding", pa.list_(pa.float32())))
    return pa.schema(fields, {"huggingface": json.dumps({"info": {"features": features}})})


@dataclass
class _Shards:
    """The files of a split; a row group of one is in memory."""

    schema: pa.Schema
    target: Target
    name: str
    open_files: contextlib.ExitStack
    rows: list[dict[str, Any]] = field(default_factory=list)
    row_bytes: int = 0
    shard_bytes: int = 0
    number: int = 0
    writer: Any = None

    def add(self, row: dict[str, Any], size: int) -> None:
        """Another row, whose picture is so many bytes."""
        self.rows.append(row)
        self.row_bytes += size
        if len(self.rows) >= GROUP_ROWS or self.row_bytes >= GROUP_BYTES:
            self._write_group()

    def finish(self) -> None:
        """What is left; of a split without a row an empty file, so that it is there."""
        if self.rows or not self.number:
            self._write_group()
        self._close()

    def _write_group(self) -> None:
        import pyarrow as pa

        if self.writer is None:
            self.open = self.open_files.enter_context(contextlib.ExitStack())
            self.writer = self.open.enter_context(self._file(f"data/{self.name}-{self.number:05d}.parquet"))
            self.number += 1
        self.writer.write_table(pa.Table.from_pylist(self.rows, self.schema))
        self.shard_bytes += self.row_bytes
        self.rows, self.row_bytes = [], 0
        if self.shard_bytes >= SHARD_BYTES:
            self._close()

    @contextlib.contextmanager
    def _file(self, name: str) -> Iterator[Any]:
        from pyarrow import parquet

        with self.target.open(name) as file, parquet.ParquetWriter(file, self.schema) as writer:
            yield writer

    def _close(self) -> None:
        if self.writer is not None:
            self.open.close()
        self.writer, self.shard_bytes = None, 0


FORMAT = Format(
    "dataset",
    to_say("Hub data set (Parquet)"),
    to_say("Parquet with images, splits and embeddings, for the datasets library and the Hugging Face hub"),
    write,
    images=True,
    guarded=True,
    offered=True,
)
