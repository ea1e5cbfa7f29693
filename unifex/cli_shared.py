"""What all commands share: the galleries, the model that was asked for, and how they talk to people."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unifex.embedder import Embedder
    from unifex.indexes import Indexes


def indexes(options: argparse.Namespace) -> Indexes:
    """The folder of galleries."""
    from unifex.indexes import Indexes

    return Indexes(options.indexes)


def embedder(options: argparse.Namespace) -> Embedder:
    """The model that was asked for, or the default."""
    from unifex.embedder import Embedder

    return Embedder.load(options.model, models=options.indexes / "models")


def say(options: argparse.Namespace, text: str) -> None:
    """A line for people; with ``--json`` nothing."""
    if not options.json:
        print(text)


def chosen_embedder(options: argparse.Namespace) -> Embedder | None:
    """The model that was asked for; otherwise a gallery is opened with its own."""
    from unifex.embedder import DEFAULT_MODEL

    return None if options.model == DEFAULT_MODEL else embedder(options)


def step_line(doing: str, done: int, total: int) -> None:
    """Where long work is, over and over in one line of a terminal."""
    if sys.stderr.isatty():
        print(
            f"\r{doing}: {done:,}{f' of {total:,}' if total else ''}"[:78].ljust(78),
            end="",
            file=sys.stderr,
            flush=True,
        )


def end_line() -> None:
    """The long work is over."""
    if sys.stderr.isatty():
        print(file=sys.stderr)
