"""An export that is whole or not there, and one that is sent while it is made."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from unifex.core.files import folder_in_place_of, is_stream, put_back, ready, whole_file
from unifex.core.language import say
from unifex.core.progress import Work
from unifex.data.tree import EXPORT_MARK as MARK
from unifex.exports.format import Format
from unifex.exports.names import MISSING
from unifex.exports.selection import Selection, Tally
from unifex.exports.targets import Folder, OneFile, Sent, SentZip, Target, size_of
from unifex.gallery.errors import GalleryError


@dataclass(frozen=True)
class Exported:
    """What was written where. ``stand_ins``: items with a thumbnail in place of their image file; ``left_out``: items
    without a picture, which are not in it; ``bytes`` on disk; ``notes``: what else is to be said of it."""

    path: str
    format: str
    items: int
    stand_ins: int
    left_out: int
    bytes: int
    notes: tuple[str, ...] = ()


def export(selection: Selection, format: Format, out: Path, replace: bool = False) -> Work[Exported]:
    """Write a selection to ``out``, a file or a folder, which is whole or as it was before.

    ``replace`` what is there. Raises ``GalleryError`` where something is there otherwise, and for a folder that no
    export made; OSError for what the disk refuses.
    """
    check_place(format, out, replace)
    tally = selection.tally()
    if format.is_folder:
        yield from _fill(selection, format, out, tally)
    else:
        ready(out)
        with whole_file(out) as unfinished:
            yield from format.write(selection, OneFile(unfinished), tally)
    yield tally.step()
    return Exported(
        str(out), format.name, tally.items, tally.stand_ins, len(tally.missing), size_of(out), tuple(tally.notes)
    )


def check_place(format: Format, out: Path, replace: bool) -> None:
    """Raises ``GalleryError`` where an export may not be written, also over one that a killed process moved aside."""
    with contextlib.suppress(OSError):
        put_back(out.resolve().parent)
    if not out.exists() and not out.is_symlink():
        return
    if format.is_folder and out.is_dir():
        if Path.cwd().is_relative_to(out.resolve()):
            raise GalleryError(say("'{out}' is the folder that you are in, or around it; name a new one", out=out))
        if not any(out.iterdir()):
            return
        if replace and not (out / MARK).is_file():
            raise GalleryError(say("'{out}' is not replaced: no export made that folder; name another", out=out))
    elif format.is_folder or out.is_dir():
        what = say("a folder") if format.is_folder else say("a file")
        raise GalleryError(
            say("{format} is {what}, and '{out}' is not; name another", format=format.name, what=what, out=out)
        )
    elif is_stream(out):
        return
    if not replace:
        raise GalleryError(say("'{out}' is there already; name another, or --replace it", out=out))


def _fill(selection: Selection, format: Format, out: Path, tally: Tally) -> Work[None]:
    with folder_in_place_of(out) as folder:
        target = Folder(folder)
        yield from format.write(selection, target, tally)
        _tell_missing(target, tally)
        told = {"gallery": selection.gallery.name, "format": format.name, "items": tally.items}
        target.add(MARK, json.dumps(told).encode())


def _tell_missing(target: Target, tally: Tally) -> None:
    if tally.missing:
        target.add(MISSING, "\n".join([*tally.missing, ""]).encode())


def sent(selection: Selection, format: Format) -> Iterator[bytes]:
    """A selection as it is sent to a browser: the file that the format is, or a zip of its folder."""
    target = SentZip() if format.is_folder else Sent()
    tally = selection.tally()
    with contextlib.closing(format.write(selection, target, tally)) as work:
        for _ in work:
            yield from target.taken()
    if format.is_folder:
        _tell_missing(target, tally)
    yield from target.taken()
    target.finish()
    yield from target.taken()
