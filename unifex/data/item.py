"""What a source yields: an :class:`Item` for each image, and :class:`Skipped` with the reason for what is none.

Every kind of source imports this and nothing of the others; the table of them is :mod:`unifex.data.sources`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import ClassVar, Protocol

from unifex.core.errors import UnifexError
from unifex.core.json_text import parse_json
from unifex.core.language import say
from unifex.core.metadata import keywords
from unifex.core.text import on_one_line, printable
from unifex.data import column_names
from unifex.data.splits import split_called

MAX_COLUMNS = 20  # further ones that an item keeps beside its labels


class SourceError(UnifexError):
    """A source that cannot be read at all; the message names it, the reason and the remedy."""

    @classmethod
    def went(cls, spec: str) -> SourceError:
        """Of one that was there when its indexing began."""
        return cls(
            say(
                "'{spec}' went while it was being indexed; what was done is kept, and indexing it again goes on from "
                "there",
                spec=spec,
            )
        )


@dataclass(frozen=True)
class Labels:
    """What a source says of an image; all texts are :func:`printable`, however they were written, and on one line.

    ``label``: its class or instance, within ``domain``; ``split``: train, query, index or none; ``extra``: whatever
    else a table says of it, by column.
    """

    label: str = ""
    domain: str = ""
    split: str = ""
    extra: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        for name in ("label", "domain", "split"):
            object.__setattr__(self, name, printable(getattr(self, name)))
        if self.extra:
            extra = {printable(name): on_one_line(text) for name, text in self.extra.items()}
            object.__setattr__(self, "extra", extra)

    @property
    def row(self) -> tuple[str, str, str, str]:
        """As a table or a database keeps it: label, domain, split, and ``extra`` as JSON (empty without any)."""
        extra = json.dumps(self.extra, ensure_ascii=False) if self.extra else ""
        return self.label, self.domain, self.split, extra

    def with_further(self, column: str, text: str) -> Labels:
        """With one more further column, unless the text is empty or the column is there already."""
        return self if not text or column in self.extra else replace(self, extra={column: text, **self.extra})

    def without(self, columns: Collection[str]) -> Labels:
        """Without these further columns."""
        extra = {name: text for name, text in self.extra.items() if name not in columns}
        return self if len(extra) == len(self.extra) else replace(self, extra=extra)

    def beside(self, taken: Collection[str]) -> dict[str, str]:
        """``extra``, to be shown beside what is called so already."""
        return {column_names.beside(name, taken.__contains__): text for name, text in self.extra.items()}

    @classmethod
    def from_row(cls, label: str, domain: str, split: str, extra: str = "") -> Labels:
        """What :attr:`row` gave. Raises ValueError for an ``extra`` that is no JSON object of texts."""
        values = parse_json(extra) if extra else {}
        if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
            raise ValueError("no JSON object of texts")
        return cls(label, domain, split, values)


class Labelled:
    """Something that has labels, which read as its own."""

    labels: Labels

    @property
    def label(self) -> str:
        """Its class or instance; empty when unknown."""
        return self.labels.label

    @property
    def domain(self) -> str:
        """Its domain; empty when unknown."""
        return self.labels.domain

    @property
    def split(self) -> str:
        """Its split; empty when it is in none."""
        return self.labels.split


@dataclass(frozen=True)
class Item(Labelled):
    """One image with its labels; ``path`` is :func:`printable`, however it was written.

    ``uri`` identifies it within a gallery, ``path`` is how the source calls it (relative, with ``/``). ``stamp``
    changes when the content may have changed. ``keep``: the gallery must keep the bytes, because ``uri`` cannot be
    opened later. ``notes``: what a report of indexing says of it; ``tags`` (:func:`keywords`) that the source gives it.
    """

    uri: str
    path: str
    read: Callable[[], bytes]
    labels: Labels = Labels()
    stamp: str = ""
    keep: bool = False
    notes: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", printable(self.path))
        if self.tags:
            object.__setattr__(self, "tags", keywords(self.tags))


@dataclass(frozen=True)
class Skipped:
    """Something in a source that is not an image of the gallery, and why.

    ``unread``: it could not be read, so that nobody knows what it is, or what lies below it. It is not gone.
    ``of_any``: nobody knows which image it is of, so that no image whose file is there is gone.
    """

    path: str
    reason: str
    unread: ClassVar[bool] = False
    of_any: ClassVar[bool] = False


class Unread(Skipped):
    """What is there and could not be read."""

    unread = True


class LostRows(Unread):
    """Rows of a list, one or more, that may name any image."""

    of_any = True


@dataclass(frozen=True)
class Options:
    """How the files of a source are read. A gallery remembers it with the source, so that a resume reads the same.

    ``keep`` makes galleries keep the bytes of what they index (for files that will not stay). ``exclude``: globs; one
    without ``/`` is compared with every file and folder name, one with ``/`` with the whole path. ``follow_links``:
    of symbolic links. ``max_rows``, ``max_seconds``: as far as a CSV is read, and as long. ``frames``: which are taken
    of videos (:class:`unifex.data.video.Choice`).
    """

    keep: bool = False
    exclude: tuple[str, ...] = ()
    follow_links: bool = False
    max_rows: int | None = None
    max_seconds: float | None = None
    frames: str = "every 1"

    def to_json(self) -> str:
        """As text, for :meth:`from_json`."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Options:
        """What :meth:`to_json` gave. Raises :class:`SourceError` for anything else."""
        try:
            values = parse_json(text)
            known = {one.name: values[one.name] for one in fields(cls) if one.name in values}
            return cls(**{**known, "exclude": tuple(map(str, values["exclude"]))})
        except (ValueError, TypeError, KeyError) as error:
            raise SourceError(say("it is not known any more how this source was read; index it again")) from error


class Source(Protocol):
    """``spec`` and ``options`` are what :func:`unifex.data.sources.open_source` takes to open it again."""

    @property
    def spec(self) -> str:
        """What names it."""
        ...

    @property
    def options(self) -> Options:
        """How it is read."""
        ...

    def __iter__(self) -> Iterator[Item | Skipped]: ...

    def count(self) -> int | None:
        """How many items and refusals there will be, quickly; None when that cannot be known."""
        ...


@dataclass(frozen=True)
class SourceKind:
    """A line of the table of sources (:data:`unifex.data.sources.SOURCES`): everything about one kind.

    ``name`` is what a sentence calls it, ``form`` how it is written (empty: it is not offered), ``sentence`` what the
    README says of it. What begins with ``prefix``, or one of them, is of this kind; a path without one is when it
    ``takes`` it. ``has_files``: what has a prefix is made of files, which can be excluded.
    """

    name: str
    form: str
    sentence: str
    open: Callable[[str, Options], Source]
    prefix: str | tuple[str, ...] = ""
    has_files: bool = False
    takes: Callable[[Path], bool] = lambda path: False


def labels_from_layout(path: str, split_level: int | None = None) -> Labels:
    """``domain/label/image``, ``label/image``, or ``image`` alone, which has none.

    Deeper folders belong to the label: ``cars/audi/a4/1.jpg`` is an ``audi/a4`` of the domain ``cars``.
    ``split_level``: which of the folders on the way is that of a split, and says nothing else; None where none is.
    """
    folders, split = path.split("/")[:-1], ""
    if split_level is not None and len(folders) > split_level:
        split = split_called(folders.pop(split_level)) or ""
    domain, slash, label = "/".join(folders).partition("/")
    return Labels(label, domain, split) if slash else Labels(domain, split=split)
