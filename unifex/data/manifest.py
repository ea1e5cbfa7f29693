"""A CSV as a source of images: what people write in one is understood, and a row that is not is named with its line.

A cell in quotation marks may go over several lines, and has spaces where they break; but a quotation mark that somebody
forgot costs its own line and swallows no others.
"""

from __future__ import annotations

import codecs
import io
import posixpath
import re
import unicodedata
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import BinaryIO, TextIO

from unifex.core import images
from unifex.core.language import say
from unifex.core.tables import CSVError, cells, delimiter_of, unguarded
from unifex.core.text import plural, printable, reason
from unifex.data.column_names import own_name
from unifex.data.item import MAX_COLUMNS, Item, Labels, Options, Skipped, SourceError
from unifex.data.listed import (
    MAX_TEXT,
    SAME_NAME,
    TOO_MANY,
    ListedFiles,
    OddRow,
    Said,
    bounded,
    checked,
    left_out,
    line_of,
    shortened,
    split_of,
    tags_of,
    unreadable,
)
from unifex.data.tree import Tree

MAX_LINE = 2**20
MAX_NAME = 60  # characters of the name of such a column
MAX_JOINED = 50  # lines that a cell with line breaks is looked for in
COLUMNS = {
    "path": "path file filename file_name filepath file_path image img image_path img_path image_file image_filename "
    "image_name photo picture",
    "label": "label labels label_name labelname class classes class_name classname class_label category category_name "
    "target tag",
    "domain": "domain supercategory super_category",
    "split": "split subset partition set",
    "tags": "tags",  # with commas between
}
KNOWN = {name: column for column, names in COLUMNS.items() for name in names.split()}
_BREAK = re.compile(r"\s*[\r\n]\s*")
_SEPARATOR = re.compile(r'"?sep=([^"\w])"?', re.IGNORECASE)


@dataclass(frozen=True)
class _Row:
    """``cells``: as many as it has, which begins in ``line``; ``reason``: why it has none that can be told apart."""

    line: int
    cells: list[str]
    reason: str = ""

    def said(self, place: int) -> str:
        """In the cell at this place, on one line; empty where the row is shorter."""
        return unguarded(_BREAK.sub(" ", self.cells[place].strip())) if place < len(self.cells) else ""


class NoPathColumn(SourceError):
    """A table that names no files."""


class Manifest:
    """A table with the columns of :data:`COLUMNS`, at ``name`` in a tree; its paths are relative to its own folder.

    ``confined``: none may lead out of the tree, for this reason. ``split``: of images of which it says none. Raises
    :class:`SourceError` for what is no table, and :class:`NoPathColumn` for one of something else.
    """

    def __init__(self, tree: Tree, name: str, spec: str, options: Options, confined: str = "", split: str = ""):
        self.tree, self.spec, self.options, self.path, self.split = tree, spec, options, name, split
        self.requests = tree.requests
        self.folder, self.name = posixpath.split(name)
        self.files = ListedFiles(tree, self.folder, options, confined or tree.confined)
        found = tree.find(name)
        if found is None or found.refusal:
            raise unreadable(self.name, found.refusal if found else say("it went"))
        self._node = found
        self._encoding = self._check_encoding()
        self._first, self._delimiter, self._names = self._header()
        self._places = self._columns()
        self._further, self._told = self._further_columns()
        needed = (self._places[name] for name in ("path", "label") if name in self._places)
        self._least = 1 + max(needed)  # cells of a row: one that ends before its label would take it away

    def count(self) -> int:
        """How many rows there are below the header."""
        return sum(1 for _ in bounded(self._rows(), self.options, self.name))

    def __iter__(self) -> Iterator[Item | Skipped]:
        yield from bounded(self.files.items(self.rows()), self.options, self.name)

    def rows(self) -> Iterator[Said]:
        """What it says of each."""
        return map(self._said, self._rows())

    def _said(self, row: _Row) -> Said:
        path = self._cell(row, "path")
        return Said(line_of(row.line), path, partial(self.files.node, path), partial(self._item, row))

    # --- reading ---------------------------------------------------------------------------------------------------

    def _check_encoding(self) -> str:
        """Of the whole file, lest a label in another encoding comes in garbled."""
        lines = 1
        with self._raw() as file:
            try:
                block = file.read(MAX_LINE)
                encoding = "utf-16" if block[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"
                decoder = codecs.getincrementaldecoder(encoding)()
                while block:
                    lines += decoder.decode(block).count("\n")
                    block = file.read(MAX_LINE)
                decoder.decode(b"", final=True)
            except UnicodeDecodeError as error:
                lines += error.object[: error.start].count(b"\n")
                raise SourceError(
                    say("'{name}', line {lines}: not UTF-8; save it as UTF-8 CSV", name=self.name, lines=lines)
                ) from error
            except (OSError, images.ImageError) as error:
                raise unreadable(self.name, reason(error)) from error
        return encoding

    def _raw(self) -> BinaryIO:
        try:
            return self.tree.open(self._node)
        except (OSError, images.ImageError) as error:
            raise unreadable(self.name, reason(error)) from error

    def _open(self) -> TextIO:
        return io.TextIOWrapper(self._raw(), encoding=self._encoding, newline="")

    def _lines(self, file: TextIO) -> Iterator[tuple[int, str]]:
        for number, line in enumerate(iter(partial(file.readline, MAX_LINE), ""), start=1):
            if len(line) == MAX_LINE:
                raise SourceError(say("'{name}', line {number}: line longer than 1 MiB", name=self.name, number=number))
            yield number, line

    def _header(self) -> tuple[int, str, list[str]]:
        """The line that it stands in, what separates its cells, and these."""
        with self._open() as file:
            lines = ((number, line) for number, line in self._lines(file) if line.strip())
            number, line = next(lines, (1, ""))
            if said := _SEPARATOR.fullmatch(line.rstrip("\r\n")):
                number, line = next(lines, (number + 1, ""))
        delimiter = said[1] if said else _delimiter(line)
        try:
            return number, delimiter, [unguarded(name) for name in cells(line, delimiter)]
        except CSVError as error:
            raise SourceError(
                say(
                    "'{name}', line {number}: the header cannot be read ({error})",
                    name=self.name,
                    number=number,
                    error=error,
                )
            ) from error

    def _columns(self) -> dict[str, int]:
        """Where each known column stands."""
        places: dict[str, int] = {}
        for place, name in enumerate(self._names):
            column = KNOWN.get(plain(name))
            if column in places:
                first, second = (printable(one.strip()) for one in (self._names[places[column]], name))
                raise SourceError(
                    say(
                        "'{name}' has two columns for the {column}, '{first}' and '{second}'; rename the one "
                        "that is not meant",
                        name=self.name,
                        column=column,
                        first=first,
                        second=second,
                    )
                )
            if column:
                places[column] = place
        if "path" not in places:
            found = printable(", ".join(name.strip() for name in self._names))[:200] or say("nothing")
            raise NoPathColumn(
                say(
                    "'{name}' has no column 'path' (found: {found}); the first line must be path,label or "
                    "path,label,domain,split",
                    name=self.name,
                    found=found,
                )
            )
        return places

    def _rows(self) -> Iterator[_Row]:
        with self._open() as file:
            lines = self._lines(file)
            waiting: deque[tuple[int, str]] = deque()
            for _ in range(self._first):
                next(lines, None)
            while line := _next(waiting, lines):
                number, text = line
                try:
                    row = cells(text, self._delimiter)
                    if any(cell.strip() for cell in row):
                        yield _Row(number, row)
                except CSVError as error:
                    yield self._longer(error, number, text, waiting, lines)

    def _longer(
        self, error: CSVError, number: int, text: str, waiting: deque[tuple[int, str]], lines: Iterator[tuple[int, str]]
    ) -> _Row:
        """A row of several lines, of which a cell has the ends; else why the line is none. What follows is taken from
        the lines that wait, and a line that names a file is a row of its own."""
        if "expected after" in str(error):
            return _Row(number, [], say("a quotation mark inside of a quoted cell; write it twice"))
        if "unexpected end" not in str(error):
            return _Row(number, [], say("it cannot be read ({error})", error=error))
        while len(waiting) < MAX_JOINED and (line := next(lines, None)):
            waiting.append(line)
        for count, (_, more) in enumerate(waiting, start=1):
            text += more
            if len(text) > MAX_LINE or self._names_a_file(more):
                break
            try:
                row = cells(text, self._delimiter)
            except CSVError:
                continue
            if len(row) > len(self._names):
                break
            for _ in range(count):
                waiting.popleft()
            return _Row(number, row)
        why = say("a quotation mark that opens a cell and is not closed; close it, or write it twice inside of quotes")
        return _Row(number, [], why)

    def _names_a_file(self, line: str) -> bool:
        try:
            self.files.find(self._cell(_Row(0, cells(line, self._delimiter)), "path"))
        except (CSVError, OddRow):
            return False
        return True

    # --- understanding -----------------------------------------------------------------------------------------------

    def _cell(self, row: _Row, column: str) -> str:
        place = self._places.get(column)
        return row.said(place) if place is not None else ""

    def _further_columns(self) -> tuple[dict[str, int], tuple[str, ...]]:
        """Where those stand that mean nothing here and are kept, and what is to be told of them."""
        places: dict[str, int] = {}
        again: list[str] = []
        for place, name in enumerate(self._names):
            shown = shown_name(name)
            if not shown or is_known(shown):
                continue
            own = own_name(shown, is_known)
            if places.setdefault(own, place) != place:
                again.append(own)
        names = [f"'{name}'" for name in places]
        kept = ", ".join(names[:MAX_COLUMNS])[:MAX_TEXT]
        told = [say("kept from the CSV: {names}", names=kept)] if names else []
        told += left_out(TOO_MANY, [*places][MAX_COLUMNS:])
        told += left_out(SAME_NAME, again)
        return dict(list(places.items())[:MAX_COLUMNS]), tuple(told)

    def _extra(self, row: _Row) -> tuple[dict[str, str], tuple[str, ...]]:
        """What a row says in further columns, and what is to be told of that."""
        return shortened({name: row.said(place) for name, place in self._further.items()})

    def _item(self, row: _Row) -> Item:
        if row.reason:
            raise OddRow(row.reason)
        if any(cell.strip() for cell in row.cells[len(self._names) :]):
            raise OddRow(
                say(
                    "{cells} cells, and the header has {names}; put a cell that holds '{delimiter}' into quotation "
                    "marks",
                    cells=len(row.cells),
                    names=len(self._names),
                    delimiter=self._delimiter,
                )
            )
        if len(row.cells) < self._least:
            raise OddRow(
                say(
                    "{cells}, and the header has {names}; write '{delimiter}' for each empty one, too",
                    cells=plural(len(row.cells), "cell", "cells"),
                    names=len(self._names),
                    delimiter=self._delimiter,
                )
            )
        label, domain = (checked(self._cell(row, column), column) for column in ("label", "domain"))
        split, said = split_of(self._cell(row, "split") or self.split)
        extra, cut = self._extra(row)
        labels = Labels(label, domain, split, extra)
        tags, lost = tags_of((self._cell(row, "tags"),))
        item = self.files.item(self._cell(row, "path"), labels, (*self._told, *said, *cut, *lost))
        return replace(item, tags=tags)


def _delimiter(header: str) -> str:
    """What separates the cells of a table: what tells a path apart, even where others are more often in names."""
    tells = [
        one for one in ",;\t|" if any(KNOWN.get(plain(name.strip("\"' "))) == "path" for name in header.split(one))
    ]
    return delimiter_of(header, "".join(tells) or ",;\t|")


def _next(waiting: deque[tuple[int, str]], rest: Iterator[tuple[int, str]]) -> tuple[int, str] | None:
    return waiting.popleft() if waiting else next(rest, None)


def plain(name: str) -> str:
    """A column's name as it is compared: ``Image Path`` is image_path."""
    return re.sub(r"[\s_-]+", "_", unicodedata.normalize("NFKC", name).strip("\ufeff \t\r\n")).casefold()


def is_known(name: str) -> bool:
    """Whether a column of this name is no further one: it means something, or is a spreadsheet's that has no name, of
    row numbers."""
    return plain(name) in KNOWN or name.lower().startswith("unnamed")


def shown_name(name: str) -> str:
    """The name of a further column, as it is kept."""
    return printable(name.strip())[:MAX_NAME].strip()
