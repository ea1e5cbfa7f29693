"""Files that came through the browser: staged below ``indexes/.uploads`` until a gallery has taken what it needs.

An upload becomes a source with ``keep``: the gallery stores the image bytes, and the staged copy goes when indexing is
complete. A cancelled or killed indexing leaves it, so that it can be resumed, even by another start of the app.
"""

from __future__ import annotations

import os
import re
import shutil
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from unifex import disk
from unifex.sources import Source, SourceError, open_source

STAGE = ".uploads"
FORGOTTEN_SECONDS = 24 * 3600


@dataclass(frozen=True)
class UploadedFile:
    """``temporary``: where the server put it; ``name``: its path within what the user dropped, with ``/``."""

    temporary: Path
    name: str


def stage(indexes: Path, files: Sequence[UploadedFile]) -> Path:
    """Put uploaded files into a folder of their own; the path to open as a source (a folder, a .zip or a .csv).

    The server keeps equal files at one place, so that one may be wanted twice: they stay there. Raises SourceError
    when there is nothing, or a name that leaves the folder.
    """
    if not files:
        raise SourceError("nothing was uploaded; drop a folder, a .zip, a .csv or images")
    root = indexes / STAGE / uuid.uuid4().hex
    names = _without_common_folder([_safe_parts(file.name) for file in files])
    try:
        for file, parts in zip(files, names):
            target = root.joinpath(*parts)
            disk.make_folder(target.parent)
            _link(file.temporary, target)
    except (OSError, SourceError):
        shutil.rmtree(root, ignore_errors=True)  # half an upload is of no use, and the disk may be full
        raise
    only = root.joinpath(*names[0])
    if len(files) == 1 and only.suffix.lower() in (".zip", ".csv"):
        return only
    return root


def _link(file: Path, target: Path) -> None:
    """The same file at a second place; a copy where the disk is another, or cannot do that."""
    try:
        target.hardlink_to(file)
    except FileExistsError:
        raise SourceError(f"two of the files are called '{target.name}'; drop them one after the other") from None
    except OSError:
        shutil.copyfile(file, target)


def scratch(indexes: Path) -> Path:
    """An empty folder for a file that is being made for a download; it goes like a staged upload."""
    folder = indexes / STAGE / uuid.uuid4().hex
    disk.make_folder(folder)
    return folder


def open_staged(path: Path) -> Source:
    """The staged files as a source. Images are kept by the gallery; a lone CSV names files that stay where they are."""
    return open_source(str(path), keep=path.suffix.lower() != ".csv")


def is_staged(indexes: Path, spec: str) -> bool:
    """Whether a source is a staged upload."""
    return Path(spec).is_absolute() and Path(spec).resolve().is_relative_to((indexes / STAGE).resolve())


def discard(indexes: Path, spec: str) -> None:
    """Delete a staged upload; anything else is left alone."""
    if is_staged(indexes, spec):
        inside = Path(spec).resolve().relative_to((indexes / STAGE).resolve())
        shutil.rmtree(indexes / STAGE / inside.parts[0], ignore_errors=True)


def sweep(indexes: Path, unfinished: Iterable[str]) -> None:
    """Delete staged uploads older than a day that no gallery waits for."""
    waiting = {
        Path(spec).resolve().relative_to((indexes / STAGE).resolve()).parts[0]
        for spec in unfinished
        if is_staged(indexes, spec)
    }
    for folder in (indexes / STAGE).glob("*"):
        if folder.name not in waiting and time.time() - folder.stat().st_mtime > FORGOTTEN_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)


def _safe_parts(name: str) -> tuple[str, ...]:
    parts = PurePosixPath(name.replace("\\", "/").replace("\0", "")).parts
    if not parts or parts[0] == "/" or ".." in parts or re.match(r"^[A-Za-z]:$", parts[0]):
        raise SourceError(f"the file name '{name[:80]}' leaves the uploaded folder")
    return tuple(_short(part) for part in parts)


def _short(part: str, limit: int = 255) -> str:
    """A file name within what file systems take, its extension kept."""
    if len(os.fsencode(part)) <= limit:
        return part
    stem, suffix = os.path.splitext(part)
    while len(os.fsencode(stem + suffix)) > limit and stem:
        stem = stem[:-1]
    return stem + suffix


def _without_common_folder(names: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """The dropped folder is the root, as it is when its path is given: its own name is no label."""
    if all(len(parts) > 1 for parts in names) and len({parts[0] for parts in names}) == 1:
        return [parts[1:] for parts in names]
    return names
