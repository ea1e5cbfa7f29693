"""A table for spreadsheets: a line an item."""

from __future__ import annotations

from typing import Any

from unifex.core.language import to_say
from unifex.core.progress import Work
from unifex.core.tables import to_csv
from unifex.data.listed import path_cell
from unifex.data.manifest import is_known
from unifex.exports.format import Format
from unifex.exports.selection import Selection, Tally
from unifex.exports.targets import Target
from unifex.gallery.tags import SEPARATOR


def write(selection: Selection, target: Target, tally: Tally) -> Work[None]:
    """Path, label, domain, split, tags and further columns; spreadsheets know by its first bytes that it is UTF-8, and
    run none of its cells."""
    further = selection.further_columns(is_known)
    with target.open("items.csv") as file:
        file.write(b"\xef\xbb\xbf" + to_csv([*selection.own_columns, *further.values()], ()).encode())
        for records in selection.batches():
            yield tally.step()
            rows = [selection.row(record, further) for record in records]
            lines = [[*_cells(row).values()] for row in rows]
            file.write(to_csv(lines[0], lines[1:]).encode())
            tally.items += len(records)


def _cells(row: dict[str, Any]) -> dict[str, str]:
    return {**row, "path": path_cell(row["path"]), "tags": SEPARATOR.join(row["tags"])}


FORMAT = Format(
    "csv",
    to_say("Table (CSV)"),
    to_say("a line an item with its labels, tags and further columns, for spreadsheets"),
    write,
    ".csv",
    offered=True,
)
