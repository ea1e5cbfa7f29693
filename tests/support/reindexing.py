"""What a gallery holds before and after it is indexed again."""

from __future__ import annotations

import zipfile
from pathlib import Path

from unifex.gallery import corrections
from unifex.gallery.gallery import Gallery


def items(gallery: Gallery) -> dict[str, tuple[int, str, str]]:
    """path -> (id, domain, label)"""
    with gallery.database.connect() as database:
        rows = database.execute("SELECT path, id, domain, label FROM shown").fetchall()
    assert len({row[0] for row in rows}) == len(rows)
    return {path: (item, domain, label) for path, item, domain, label in rows}


def labels(gallery: Gallery) -> dict[str, tuple[str, str]]:
    return {path: row[1:] for path, row in items(gallery).items()}


def ids(gallery: Gallery) -> dict[str, int]:
    return {path: row[0] for path, row in items(gallery).items()}


def counts(report) -> tuple[int, int, int, int, int]:
    return report.added, report.skipped, report.moved, report.relabelled, report.removed


def correct(gallery: Gallery, path: str, label: str) -> None:
    with gallery.write() as writer:
        writer.correct([corrections.relabel(gallery.item_at(path), label)])


def zipped(root: Path, to: Path) -> Path:
    with zipfile.ZipFile(to, "w") as archive:
        for path in sorted(root.rglob("*.png")):
            archive.write(path, path.relative_to(root).as_posix())
    return to
