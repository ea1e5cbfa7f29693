"""What all commands share: the galleries, the model that was asked for, and how they talk to people."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from unifex.cli.options import UsageError
from unifex.core.errors import UnifexError
from unifex.core.files import ready, write_atomically
from unifex.core.text import what_there_is
from unifex.data.locations import path_of

MARKED = 2000  # bytes of a file in which a mark is
PAGE_MARKS = (
    b'<meta name="generator" content="UniFEx">',
    b"default-src 'none'; img-src data:", b"The map, in the app and in the page",  # of earlier versions
)  # fmt: skip

if TYPE_CHECKING:
    from unifex.data.item import Options, Source
    from unifex.gallery.gallery import Gallery
    from unifex.gallery.library import Library
    from unifex.models.embedder import Embedder


def reading(options: argparse.Namespace) -> Options:
    """How the files of a source are read, as was asked."""
    from unifex.data.item import Options

    asked = Options(exclude=tuple(options.exclude), follow_links=options.follow_links)
    if not getattr(options, "frames", None):
        return asked
    from unifex.data.frame_names import Choice

    frames = " ".join(options.frames)
    Choice.parse(frames)
    return replace(asked, frames=frames)


def chosen_source(options: argparse.Namespace) -> Source:
    """The source that was named, to be read as was asked."""
    from unifex.data.sources import open_source

    return open_source(options.source, options=reading(options))


def library(options: argparse.Namespace) -> Library:
    """The folder of galleries."""
    from unifex.gallery.library import Library

    if options.library.exists() and not options.library.is_dir():
        raise UnifexError(f"--library '{options.library}' is no folder")
    galleries = Library(options.library)
    if not getattr(options, "gallery", "any").strip():  # as a script leaves it whose variable is not set
        raise UsageError(f"give the name of a gallery ({what_there_is(galleries.names())})")
    return galleries


def embedder(options: argparse.Namespace) -> Embedder:
    """The model that was asked for, or the default."""
    from unifex.models.embedder import Embedder

    return Embedder.load(model_name(options), models=options.library / "models")


def model_name(options: argparse.Namespace) -> str:
    """What the model is called that was asked for, or the default."""
    from unifex.models.embedder import DEFAULT_MODEL

    return DEFAULT_MODEL if options.model is None else options.model


@contextlib.contextmanager
def adding_to(options: argparse.Namespace, store: str | None) -> Iterator[Gallery]:
    """The gallery that was asked for, in a ``store`` if one is named, to add to; made for nothing, it goes again."""
    galleries = library(options)
    with galleries.adding_to(options.gallery, lambda: embedder(options)):
        if store:
            galleries.move_to(options.gallery, store)
        yield galleries.get(options.gallery, chosen_embedder(options))


def refuse(options: argparse.Namespace, why: str, *names: str) -> None:
    """Raises ``UsageError`` where one of these options was given, which is nothing here; for those without a default
    of their own."""
    given = [f"--{name.replace('_', '-')}" for name in names if getattr(options, name) not in (None, False, "", [])]
    if given:
        raise UsageError(f"{', '.join(given)}: {why}")


def spare(options: argparse.Namespace, out: Path | None, *sources: str) -> None:
    """Raises ``UnifexError`` where what is to be written would take the place of what images are read from, or of what
    tells their labels: of these ``sources``, or of any that a gallery of the library was made from."""
    from unifex.data.sidecars import may_label

    if not out or not out.exists():
        return
    for place in filter(None, map(path_of, (*sources, *_indexed(library(options))))):
        if out.is_dir():
            if any(out.iterdir()) and Path(os.path.realpath(place)).is_relative_to(os.path.realpath(out)):
                raise UnifexError(f"'{out}' is what images are read from, and it stays: write to another folder")
            continue
        if os.path.isfile(place) and os.path.samefile(place, out):
            raise UnifexError(f"'{out}' is what images are read from, and it stays: write to another file")
        if may_label(out.name) and Path(os.path.realpath(out)).is_relative_to(os.path.realpath(place)):
            raise UnifexError(f"'{out}' lies beside images, may tell their labels, and stays: write to another file")


def check_out(options: argparse.Namespace, out: Path | None, marks: Sequence[bytes], *sources: str) -> None:
    """Whether a file that was asked for can be written, told before the work: as :func:`spare` and :func:`ready` say,
    and over nothing that has none of these ``marks`` near its beginning, by which what a command writes can be told."""
    if out is None:
        return
    spare(options, out, *sources)
    if out.is_file():
        with out.open("rb") as file:
            head = file.read(MARKED)
        if head and not any(mark in head for mark in marks):
            raise UnifexError(f"'{out}' is there already and is nothing that this writes, so it stays; name another")
    ready(out)


def _indexed(galleries: Library) -> Iterator[str]:
    """What all galleries were made from that can tell it."""
    from unifex.gallery.gallery import Gallery
    from unifex.gallery.library import Broken

    for told in galleries.survey(Gallery.sources):
        if not isinstance(told, Broken):
            yield from (source.spec for source in told)


def write(out: Path, text: str) -> None:
    """A file that was asked for, at once or not at all, in a folder that may not be there yet."""
    ready(out)
    write_atomically(out, text.encode())


def say(options: argparse.Namespace, text: str) -> None:
    """A line for people; with ``--json`` nothing. Beside what is written to the standard output it is an aside."""
    if not options.json:
        print(text, file=sys.stderr if _is_stdout(getattr(options, "out", None)) else sys.stdout)


def _is_stdout(out: Path | str | None) -> bool:
    with contextlib.suppress(OSError, ValueError):
        return bool(out) and os.path.samestat(os.stat(out), os.fstat(1))
    return False


def chosen_embedder(options: argparse.Namespace) -> Embedder | None:
    """The model that was asked for; otherwise a gallery is opened with its own."""
    return None if options.model is None else embedder(options)
