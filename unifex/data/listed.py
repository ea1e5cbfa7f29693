"""What lists of images have in common, whatever they are written in: a row names a file of a tree, and says what it is.

A row that is not understood costs itself alone, and is named with its place in the list.
"""

from __future__ import annotations

import contextlib
import itertools
import posixpath
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar
from urllib.parse import quote, unquote

from unifex.core.errors import UnifexError
from unifex.core.files import leaves
from unifex.core.language import say, to_say
from unifex.core.metadata import LONGEST_KEYWORD, MOST_KEYWORDS, keywords
from unifex.core.text import has_control, printable
from unifex.data.frame_names import is_video
from unifex.data.item import MAX_COLUMNS, Item, Labels, LostRows, Options, Skipped, SourceError, Unread
from unifex.data.splits import SPLITS, split_called, taken_as
from unifex.data.tree import Node, SkippedByReason, Tree, excluded_by, notes

NOT_FOUND = to_say("file not found")
MAX_TEXT = 200  # characters of a label or a domain: more is a slipped column, or a description
TOO_MANY = to_say("not read, more than {most} columns: {names}")
SAME_NAME = to_say("not read, as another column has the name: {names}")
SAID_ALREADY = to_say("not read, as another column says it: {names}")
NESTED = to_say("not read, as lists and objects are not kept: {names}")
UNWRITABLE = "\ufffd"  # what stands in a name for it
FOLDERS = 16  # that are remembered
MAX_CELL = 500  # characters of a further column's cell
_FILE = re.compile(r"file:(//[^/]*)?", re.IGNORECASE)
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
Anything = TypeVar("Anything")


class OddRow(UnifexError):
    """A row that is not taken; the message is the reason."""


@dataclass(frozen=True)
class Said:
    """What a list says of one image. ``where``: in the list (``line 7``); ``path``: as it is written.

    ``node`` (what the path names, usable or not) and ``item`` raise :class:`OddRow`.
    """

    where: str
    path: str
    node: Callable[[], Node]
    item: Callable[[], Item]


class ListedFiles:
    """The files of a tree that a list in its ``folder`` names. ``confined``: why none outside may be named; empty when
    it may."""

    def __init__(self, tree: Tree, folder: str, options: Options, confined: str):
        self.tree, self.folder, self.options, self.confined = tree, folder, options, confined
        self._no_links = {""}  # folders in which one stays in the tree
        self._in_folder = lru_cache(maxsize=FOLDERS)(self._folder)

    def items(self, rows: Iterator[Said]) -> Iterator[Item | Skipped]:
        """The items of all rows, each once; those that are none, and last what was excluded."""
        named: dict[str, str] = {}  # of a uri: where it was named first
        skipped = SkippedByReason()
        for row in rows:
            try:
                item = row.item()
                if glob := excluded_by(item.path, self.options.exclude):
                    skipped.add(item.path, glob)
                    continue
                if item.uri in named:
                    twice = say("listed twice; {where} names it, too", where=named[item.uri])
                    yield Skipped(printable(row.path)[:MAX_TEXT], f"{row.where}: {twice}")
                    continue
                named[item.uri] = row.where
                yield item
            except OddRow as odd:
                yield _refused(row, odd)
        yield from skipped.refusals()

    def item(self, written: str, labels: Labels, told: tuple[str, ...] = ()) -> Item:
        """Of the file that a row names. Raises :class:`OddRow`."""
        node = self.find(written)
        if is_video(node.path):
            raise OddRow(say("a video; frames are taken of videos in a folder without a list"))
        try:
            return self.tree.item(node, labels, (*told, *notes(node.path)))
        except OSError as error:
            raise OddRow(say("cannot be read ({reason})", reason=error.strerror)) from error

    def find(self, written: str) -> Node:
        """The file of this path, relative to the list's folder. Raises :class:`OddRow`."""
        node = self.node(written)
        if refusal := node.refusal or self._link_above(node.path):
            raise OddRow(refusal)
        if node.kind != "file":
            raise OddRow(say("a folder; a row names one file"))
        return node

    def node(self, written: str) -> Node:
        """What lies at this path, usable or not. Raises :class:`OddRow` where nothing does, or may."""
        if not written:
            raise OddRow(say("no path in this line"))
        if has_control(written):
            raise OddRow(say("the path holds a control character"))
        if local := _FILE.match(written):
            written = unquote(written[local.end() :], errors="surrogateescape").replace("\0", "\ufffd")
        elif _ADDRESS.match(written):
            raise OddRow(say("an address; download the image first, and name the file here"))
        for path in dict.fromkeys((written, written.replace("\\", "/"))):
            within = self._within(path)
            if node := self.tree.find(within) or self._printed_so(within):
                return node
        raise OddRow(say(NOT_FOUND))

    def _printed_so(self, path: str) -> Node | None:
        """What is written so because its name holds what cannot be written: a control, or bytes that are no UTF-8."""
        if UNWRITABLE not in path:
            return None
        path = printable(path)
        found = self._in_folder(posixpath.dirname(path)).get(path, [])
        if len(found) > 1:
            return Node(path, "other", say("the names of several files print so; rename them"), unread=True)
        return found[0] if found else None

    def _folder(self, printed: str) -> dict[str, list[Node]]:
        """What lies in the folders that print so, by how it prints."""
        there: dict[str, list[Node]] = {}
        for node in self.tree.nodes(lambda folder: f"{printed}/".startswith(f"{printable(folder)}/")):
            path = printable(node.path)
            if posixpath.dirname(path) == printed:
                there.setdefault(path, []).append(node)
        return there

    def _link_above(self, path: str) -> str:
        """Why a folder above it is not entered, which is a link and may lead elsewhere; empty when none is."""
        folder = posixpath.dirname(path)
        while self.confined and folder not in self._no_links:
            above = self.tree.find(folder)
            if above and above.kind == "link":
                return above.refusal
            self._no_links.add(folder)
            folder = posixpath.dirname(folder)
        return ""

    def _within(self, path: str) -> str:
        """The path in the tree, without detours."""
        path = posixpath.normpath(posixpath.join(self.folder, path))
        if self.confined and (leaves(path)):
            raise OddRow(say(self.confined))
        return path


def line_of(number: int) -> str:
    """Where a row stands, as :attr:`Said.where` has it."""
    return say("line {number}", number=number)


def path_cell(path: str) -> str:
    """How a table says a path, so that :meth:`ListedFiles.node` finds it again: whoever reads one takes spaces off
    cells, refuses controls, and takes what begins with ``file:`` for an address."""
    if path[-1:].isspace() or has_control(path):
        return f"file:{quote(path, errors='surrogateescape')}"
    return f"./{path}" if path[:1].isspace() or _FILE.match(path) else path


def _refused(row: Said, odd: OddRow) -> Skipped:
    """A row that is not taken. While the file that it names is there, that is not gone; it may be any where none is
    named."""
    with contextlib.suppress(OddRow):
        node = row.node()
        if node.unread or (node.kind == "file" and not node.refusal):
            return Unread(printable(node.path), f"{row.where}: {odd}")
    path = printable(row.path)[:MAX_TEXT]
    return Skipped(path, f"{row.where}: {odd}") if path else LostRows(row.where, str(odd))


def bounded(entries: Iterator[Anything], options: Options, name: str) -> Iterator[Anything | Skipped]:
    """Of the list ``name`` as far as it may be read: so many entries, so many seconds of looking for them."""
    rows, seconds, spent = options.max_rows, options.max_seconds, 0.0
    for number in itertools.count(1):
        started = time.monotonic()
        entry = next(entries, None)
        spent += time.monotonic() - started
        if entry is None:
            return
        if rows is not None and number > rows:
            yield LostRows(name, say("more than {rows:,} rows; the rest was not read", rows=rows))
            return
        if seconds is not None and spent > seconds:
            yield LostRows(
                name, say("more than {seconds:g} seconds of reading it; the rest was not read", seconds=seconds)
            )
            return
        yield entry


def unreadable(name: str, why: str) -> SourceError:
    """Of a list that cannot be opened."""
    return SourceError(say("'{name}' cannot be read ({why})", name=name, why=why))


def checked(text: str, column: str) -> str:
    """A label or a domain. Raises :class:`OddRow` for what can be none."""
    if has_control(text):
        raise OddRow(say("the {column} holds a control character", column=column))
    if len(text) > MAX_TEXT:
        raise OddRow(
            say(
                "the {column} has {count:,} characters, more than {most}", column=column, count=len(text), most=MAX_TEXT
            )
        )
    return text


def split_of(written: str) -> tuple[str, tuple[str, ...]]:
    """The split that is meant, and what is to be told of that. Raises :class:`OddRow`."""
    split = split_called(written)
    if split is None:
        known = ", ".join(filter(None, SPLITS))
        raise OddRow(say("split '{split}' is none of {known}", split=printable(written)[:40], known=known))
    return split, taken_as(written, split)


def shortened(texts: Mapping[str, str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Further columns as they are kept, without empty ones, and what is to be told of that."""
    long = [name for name, text in texts.items() if len(text) > MAX_CELL]
    cut = tuple(say("'{name}' was cut to {most} characters", name=name, most=MAX_CELL) for name in long)
    return {name: text[:MAX_CELL] for name, text in texts.items() if text}, cut


def tags_of(written: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The tags that texts name, with commas between, and what is to be told where some are none."""
    parts = [part for text in written for part in text.split(",")]
    tags, named = keywords(parts), {" ".join(part.split()).casefold() for part in parts} - {""}
    if len(tags) == len(named):
        return tags, ()
    told = to_say("tags left out: longer than {longest} characters, or more than {most}")
    return tags, (say(told, longest=LONGEST_KEYWORD, most=MOST_KEYWORDS),)


def left_out(told: str, columns: Iterable[str]) -> tuple[str, ...]:
    """What is to be told of columns of a list that are not read, in a sentence with ``{names}``; nothing of none."""
    names = ", ".join(f"'{name}'" for name in columns)[:MAX_TEXT]
    return (say(told, names=names, most=MAX_COLUMNS),) if names else ()
