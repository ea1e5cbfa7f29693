"""What a source yields: an :class:`Item` for each image, and :class:`Skipped` with the reason for what is none.

Every kind of source imports this and nothing of the others; the table of them is :mod:`unifex.data.sources`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar, Protocol

from unifex.core.errors import UnifexError
from unifex.core.text import printable


class SourceError(UnifexError):
    """A source that cannot be read at all; the message names it, the reason and the remedy."""


@dataclass(frozen=True)
class Item:
    """One image with its labels; all texts are :func:`printable`, however they were written.

    ``uri`` identifies it within a gallery, ``path`` is how the source calls it (relative, with ``/``). ``stamp``
    changes when the content may have changed. ``keep``: the gallery must keep the bytes, because ``uri`` cannot be
    opened later. ``notes``: what a report of indexing says of it.
    """

    uri: str
    path: str
    read: Callable[[], bytes]
    label: str = ""
    domain: str = ""
    split: str = ""
    stamp: str = ""
    keep: bool = False
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("path", "label", "domain", "split"):
            object.__setattr__(self, name, printable(getattr(self, name)))


@dataclass(frozen=True)
class Skipped:
    """Something in a source that is not an image of the gallery, and why.

    ``unread``: it could not be looked at, so that nobody knows what it is, or what lies below it. It is not gone.
    """

    path: str
    reason: str
    unread: ClassVar[bool] = False


class Unread(Skipped):
    """What could not be looked at."""

    unread = True


@dataclass(frozen=True)
class Options:
    """How the files of a source are read. A gallery remembers it with the source, so that a resume reads the same.

    ``keep`` makes galleries keep the bytes of what they index (for files that will not stay). ``exclude``: globs; one
    without ``/`` is compared with every file and folder name, one with ``/`` with the whole path. ``follow_links``:
    of symbolic links. ``max_rows``, ``max_seconds``: as far as a CSV is read, and as long.
    """

    keep: bool = False
    exclude: tuple[str, ...] = ()
    follow_links: bool = False
    max_rows: int | None = None
    max_seconds: float | None = None

    def to_json(self) -> str:
        """As text, for :meth:`from_json`."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Options:
        """What :meth:`to_json` gave. Raises :class:`SourceError` for anything else."""
        try:
            values = json.loads(text)
            return cls(**{**values, "exclude": tuple(map(str, values["exclude"]))})
        except (ValueError, TypeError, KeyError) as error:
            raise SourceError("it is not known any more how this source was read; index it again") from error


class Source(Protocol):
    """``spec`` and ``options`` are what :func:`unifex.data.sources.open_source` takes to open it again."""

    @property
    def spec(self) -> str: ...

    @property
    def options(self) -> Options: ...

    def __iter__(self) -> Iterator[Item | Skipped]: ...

    def count(self) -> int | None:
        """How many items and refusals there will be, quickly; None when that cannot be known."""
        ...


@dataclass(frozen=True)
class SourceKind:
    """A line of the table of sources (:data:`unifex.data.sources.SOURCES`): everything about one kind.

    ``name`` is what a sentence calls it, ``form`` how it is written (empty: it is not offered), ``sentence`` what the
    README says of it. What begins with ``prefix`` is of this kind; a path without one is when it ``takes`` it.
    """

    name: str
    form: str
    sentence: str
    open: Callable[[str, Options], Source]
    prefix: str = ""
    takes: Callable[[Path], bool] = lambda path: False


def labels_from_layout(path: str) -> tuple[str, str]:
    """``domain/label/image`` -> (domain, label); ``label/image`` -> ("", label); ``image`` -> ("", "").

    Deeper folders belong to the label: ``cars/audi/a4/1.jpg`` -> ("cars", "audi/a4").
    """
    domain, slash, label = path.rpartition("/")[0].partition("/")
    return (domain, label) if slash else ("", domain)
