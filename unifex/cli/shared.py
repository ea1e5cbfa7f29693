"""What all commands share: the galleries, the model that was asked for, and how they talk to people."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from unifex.core.errors import UnifexError

if TYPE_CHECKING:
    from unifex.data.item import Options, Source
    from unifex.gallery.library import Library
    from unifex.models.embedder import Embedder


def add_reading(command: argparse.ArgumentParser) -> None:
    """How the files of a source are read."""
    command.add_argument(
        "--exclude", action="append", default=[], metavar="GLOB",
        help="leave out files and folders of this name, or with a / in it of this path (may be repeated)",
    )  # fmt: skip
    command.add_argument("--follow-links", action="store_true", help="read what symbolic links lead to, each once")


def reading(options: argparse.Namespace) -> Options:
    """As :func:`add_reading` was answered."""
    from unifex.data.item import Options

    return Options(exclude=tuple(options.exclude), follow_links=options.follow_links)


def chosen_source(options: argparse.Namespace) -> Source:
    """The source that was named, to be read as was asked."""
    from unifex.data.sources import open_source

    return open_source(options.source, options=reading(options))


def place(text: str) -> str:
    """The argparse type of where something is written to."""
    if not text.strip():
        raise argparse.ArgumentTypeError("must name what is to be written")
    return text


def new_file(text: str) -> Path:
    """The argparse type of a file to write."""
    return Path(place(text))


def library(options: argparse.Namespace) -> Library:
    """The folder of galleries."""
    from unifex.gallery.library import Library

    if options.indexes.exists() and not options.indexes.is_dir():
        raise UnifexError(f"--indexes '{options.indexes}' is no folder")
    return Library(options.indexes)


def embedder(options: argparse.Namespace) -> Embedder:
    """The model that was asked for, or the default."""
    from unifex.models.embedder import Embedder

    return Embedder.load(options.model, models=options.indexes / "models")


def say(options: argparse.Namespace, text: str) -> None:
    """A line for people; with ``--json`` nothing."""
    if not options.json:
        print(text)


def chosen_embedder(options: argparse.Namespace) -> Embedder | None:
    """The model that was asked for; otherwise a gallery is opened with its own."""
    from unifex.models.embedder import DEFAULT_MODEL

    return None if options.model == DEFAULT_MODEL else embedder(options)
