"""Files that came through the browser: staged below ``indexes/.uploads`` until a gallery has taken what it needs.

An upload becomes a source with ``keep``: the gallery stores the image bytes, and the staged copy goes when indexing is
complete. A cancelled or killed indexing leaves it, so that it can be resumed, even by another start of the app.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from unifex.core import disk, system
from unifex.core.errors import UnifexError
from unifex.core.files import below, leaves
from unifex.core.language import say
from unifex.data.item import Item, Options, Source, SourceError
from unifex.data.listed import NOT_FOUND
from unifex.data.sources import open_source, require_items
from unifex.data.tree import MANIFEST_NAME, TABLES, top_folder

STAGE = ".uploads"
FORGOTTEN_SECONDS = 24 * 3600
_SCRATCH = "made-"  # begins the folder of a file that is being made
_WHEN = "%Y-%m-%d_%H%M_"  # begins the folder of an upload
LIMITS = {"max_rows": 200_000, "max_seconds": 20.0}  # of a table that a stranger uploads


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
        raise SourceError(say("nothing was uploaded; drop a folder, a .zip, a .csv or images"))
    place = indexes / STAGE / f"{time.strftime(_WHEN)}{uuid.uuid4().hex}"
    given = [_safe_parts(file.name) for file in files]
    top = top_folder("/".join(parts) for parts in given)
    names = _without_folder(given, top)
    root = place / top if names != given else place
    try:
        for file, parts in zip(files, names):
            target = below(root, *parts)
            disk.make_folder(target.parent)
            _link(file.temporary, target)
    except (OSError, UnifexError):
        shutil.rmtree(place, ignore_errors=True)  # half an upload is of no use, and the disk may be full
        raise
    only = root.joinpath(*names[0])
    if len(files) == 1 and only.suffix.lower() in (".zip", *TABLES):
        return only
    if names == given:
        _take_for_manifest([root / parts[0] for parts in names if len(parts) == 1])
    return root


def _take_for_manifest(files: Sequence[Path]) -> None:
    """A table that is dropped beside images that it names gives their labels, whatever it is called."""
    tables = [file for file in files if file.suffix.lower() in TABLES]
    if len(tables) == 1:
        with contextlib.suppress(SourceError):
            require_items(open_source(str(tables[0]), options=Options(keep=True, **LIMITS)))
            tables[0].rename(tables[0].with_name(MANIFEST_NAME))


def _link(file: Path, target: Path) -> None:
    """The same file at a second place; a copy where the disk is another, or cannot do that."""
    try:
        target.hardlink_to(file)
    except FileExistsError:
        raise SourceError(
            say("two of the files are called '{name}'; drop them one after the other", name=target.name)
        ) from None
    except OSError:
        shutil.copyfile(file, target)


def scratch(indexes: Path) -> Path:
    """An empty folder for a file that is being made for a download; it goes like a staged upload."""
    folder = indexes / STAGE / f"{_SCRATCH}{uuid.uuid4().hex}"
    disk.make_folder(folder)
    return folder


def scratches(indexes: Path) -> Iterator[str]:
    """All folders of :func:`scratch` that there are, as sources are named."""
    yield from (str(folder.absolute()) for folder in (indexes / STAGE).glob(f"{_SCRATCH}*"))


def open_staged(path: Path, exclude: Sequence[str] = (), stranger: bool = False) -> Source:
    """The staged files as a source. Images are kept by the gallery; a lone CSV names files that stay where they are.

    ``stranger``: who uploaded them is a visitor of a public server, so that tables are read within limits.
    Raises SourceError, also for a CSV whose files did not come along.
    """
    lone = path.is_file() and path.suffix.lower() in TABLES
    if lone and stranger:
        raise SourceError(
            say(
                "a .csv alone, which names files of the server, is not read on a public server; drop the "
                "folder that holds its images together with it"
            )
        )
    if not path.exists():
        raise SourceError(say("the uploaded files are no longer here; drop them again"))
    options = Options(keep=not lone, exclude=tuple(exclude))
    source = open_source(str(path), options=replace(options, **LIMITS) if stranger else options)
    if lone:
        _check_came_along(path, source)
    return source


def _check_came_along(table: Path, source: Source) -> None:
    missing = []
    for found in source:
        if isinstance(found, Item):
            return
        if found.reason.endswith(say(NOT_FOUND)):
            missing.append(found.path)
    if missing:
        raise SourceError(
            say(
                "'{name}' names files that did not come along ('{missing}' is the first of {count:,}); drop "
                "the folder that holds them together with this file, or write whole paths into it",
                name=table.name,
                missing=missing[0],
                count=len(missing),
            )
        )


def is_staged(indexes: Path, spec: str) -> bool:
    """Whether a source is a staged upload."""
    with contextlib.suppress(ValueError):  # what no path can be
        return Path(spec).is_absolute() and Path(spec).resolve().is_relative_to((indexes / STAGE).resolve())
    return False


def dropped(spec: str) -> tuple[str, str]:
    """Of a staged upload the name of the folder or archive that was dropped, and when; what is not known is empty: of
    single images there is no such name, and earlier versions kept neither."""
    place, *inside = Path(spec).as_posix().rpartition(f"/{STAGE}/")[2].split("/")
    when = re.match(r"(\d{4}-\d{2}-\d{2})_(\d{2})(\d{2})_", place)
    return "".join(inside[:1]), f"{when[1]} {when[2]}:{when[3]}" if when else ""


def discard(indexes: Path, spec: str) -> None:
    """Delete a staged upload; anything else is left alone."""
    if is_staged(indexes, spec):
        inside = Path(spec).resolve().relative_to((indexes / STAGE).resolve())
        shutil.rmtree(indexes / STAGE / inside.parts[0], ignore_errors=True)


def sweep(indexes: Path, unfinished: Iterable[str], seconds: float = FORGOTTEN_SECONDS) -> None:
    """Delete staged uploads older than so many seconds (a day) that no gallery waits for; who waits is asked only where
    there is one."""
    old: set[Path] = set()
    for folder in (indexes / STAGE).glob("*"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - folder.stat().st_mtime > seconds:
                old.add(folder)
    for spec in unfinished if old else ():
        if is_staged(indexes, spec):
            old.discard(indexes / STAGE / Path(spec).resolve().relative_to((indexes / STAGE).resolve()).parts[0])
    for folder in old:
        shutil.rmtree(folder, ignore_errors=True)


def _safe_parts(name: str) -> tuple[str, ...]:
    name = name.encode("utf-8", "replace").decode()  # half a character has no place on a disk
    name = name.replace("\\", "/").replace("\0", "")
    parts = PurePosixPath(name).parts
    if not parts or leaves(name):
        raise SourceError(say("the file name '{name}' leaves the uploaded folder", name=name[:80]))
    return tuple(_short(system.file_name(part)) for part in parts)


def _short(part: str) -> str:
    """A file name within what file systems take, its extension kept."""
    stem, suffix = os.path.splitext(part)
    while len(os.fsencode(stem + suffix)) > 255 and stem:
        stem = stem[:-1]
    return stem + suffix


def _without_folder(names: list[tuple[str, ...]], top: str) -> list[tuple[str, ...]]:
    """The dropped folder is the root, as it is when its path is given: its own name is no label."""
    return [parts[1:] if top and parts[0] == top and len(parts) > 1 else parts for parts in names]
