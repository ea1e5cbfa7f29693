"""What a source of images yields, and the files that sources are."""

from __future__ import annotations

import csv
import zipfile
from pathlib import Path

from unifex.data.item import Item, Options, Skipped
from unifex.data.sources import open_source


def walk(spec, **options) -> tuple[dict[str, Item], dict[str, str]]:
    """Items by their path; why the others were skipped."""
    found = list(open_source(str(spec), Options(**options)))
    items = {entry.path: entry for entry in found if isinstance(entry, Item)}
    return items, {entry.path: entry.reason for entry in found if isinstance(entry, Skipped)}


def write_zip(path: Path, entries: dict[str, bytes], **options) -> Path:
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return path


def write_csv(path: Path, rows: list[list[str]], delimiter: str = ",") -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)
    return path
