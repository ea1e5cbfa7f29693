"""A CSV as a source of images: what people write in one is understood, and a row that is not is named with its line.

A row is one line: a cell with a line break in it is refused, so that a quotation mark that somebody forgot costs its
own line and swallows no others.
"""

from __future__ import annotations

import codecs
import io
import itertools
import posixpath
import re
import time
import unicodedata
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO, TextIO, TypeVar
from urllib.parse import unquote

from unifex.core import images
from unifex.core.tables import CSVError, cells, delimiter_of
from unifex.core.text import has_control, printable, reason
from unifex.data.item import MAX_COLUMNS, Item, Labels, Options, Skipped, Source, SourceError
from unifex.data.tree import MANIFEST_NAME, Node, SkippedByReason, Tree, TreeImages, excluded_by, notes

NOT_FOUND = "file not found"
MAX_LINE = 2**20
MAX_TEXT = 200  # characters of a label or a domain: more is a slipped column, or a description
MAX_NAME = 60  # characters of the name of such a column
MAX_CELL = 500  # characters of a cell in it
MAX_JOINED = 50  # lines that a cell with line breaks is looked for in
COLUMNS = {
    "path": "path file filename file_name filepath file_path image img image_path img_path image_file image_filename "
    "image_name photo picture",
    "label": "label labels label_name labelname class classes class_name classname class_label category category_name "
    "target tag",
    "domain": "domain supercategory super_category",
    "split": "split subset partition set",
}
_KNOWN = {name: column for column, names in COLUMNS.items() for name in names.split()}
SPLITS = {
    "": "",
    "train": "train training",
    "query": "query queries test testing val valid validation dev eval evaluation probe",
    "index": "index gallery database db reference",
}
_SPLIT_OF = {name: split for split, names in SPLITS.items() for name in names.split() or [""]}
_FILE = re.compile(r"file:(//[^/]*)?", re.IGNORECASE)
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_SEPARATOR = re.compile(r'"?sep=([^"\w])"?', re.IGNORECASE)
_DRIVE = re.compile(r"[a-z]:/", re.IGNORECASE)
Anything = TypeVar("Anything")


class _Odd(Exception):
    """A row that is not taken; the message is the reason."""


@dataclass(frozen=True)
class _Row:
    """``cells``: as many as the line has; ``reason``: why it has none that can be told apart."""

    line: int
    cells: list[str]
    reason: str = ""


def open_tree(tree: Tree, spec: str, options: Options, top: str = "") -> Source:
    """The images that a ``manifest.csv`` at the top of a tree names, or in its one ``top`` folder; else all of them."""
    for name in dict.fromkeys((MANIFEST_NAME, posixpath.join(top, MANIFEST_NAME))):
        node = tree.find(name)
        if node and node.kind == "file":
            return Manifest(tree, name, spec, options)
    return TreeImages(tree, spec, options)


class Manifest:
    """A table with the columns of :data:`COLUMNS`, at ``name`` in a tree; its paths are relative to its own folder."""

    def __init__(self, tree: Tree, name: str, spec: str, options: Options):
        self.tree, self.spec, self.options = tree, spec, options
        self.requests = tree.requests
        self.folder, self.name = posixpath.split(name)
        found = tree.find(name)
        if found is None or found.refusal:
            raise SourceError(f"'{self.name}' cannot be read ({found.refusal if found else 'it went'})")
        self._node = found
        self._encoding = self._check_encoding()
        self._first, self._delimiter, self._names = self._header()
        self._places = self._columns()
        self._further, self._told = self._further_columns()

    def count(self) -> int:
        """How many rows there are below the header."""
        return sum(1 for _ in self._bounded(self._rows()))

    def __iter__(self) -> Iterator[Item | Skipped]:
        yield from self._bounded(self._entries())

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
                raise SourceError(f"'{self.name}', line {lines}: not UTF-8; save it as UTF-8 CSV") from error
            except (OSError, images.ImageError) as error:
                raise SourceError(f"'{self.name}' cannot be read ({reason(error)})") from error
        return encoding

    def _raw(self) -> BinaryIO:
        try:
            return self.tree.open(self._node)
        except (OSError, images.ImageError) as error:
            raise SourceError(f"'{self.name}' cannot be read ({reason(error)})") from error

    def _open(self) -> TextIO:
        return io.TextIOWrapper(self._raw(), encoding=self._encoding, newline="")

    def _lines(self, file: TextIO) -> Iterator[tuple[int, str]]:
        for number, line in enumerate(iter(partial(file.readline, MAX_LINE), ""), start=1):
            if len(line) == MAX_LINE:
                raise SourceError(f"'{self.name}', line {number}: line longer than 1 MiB")
            yield number, line

    def _header(self) -> tuple[int, str, list[str]]:
        """The line that it stands in, what separates its cells, and these."""
        with self._open() as file:
            lines = ((number, line) for number, line in self._lines(file) if line.strip())
            number, line = next(lines, (1, ""))
            if said := _SEPARATOR.fullmatch(line.rstrip("\r\n")):
                number, line = next(lines, (number + 1, ""))
        delimiter = said[1] if said else delimiter_of(line, ",;\t|")
        try:
            return number, delimiter, cells(line, delimiter)
        except CSVError as error:
            raise SourceError(f"'{self.name}', line {number}: the header cannot be read ({error})") from error

    def _columns(self) -> dict[str, int]:
        """Where each known column stands."""
        places: dict[str, int] = {}
        for place, name in enumerate(self._names):
            column = _KNOWN.get(_plain(name))
            if column in places:
                both = printable(f"'{self._names[places[column]].strip()}' and '{name.strip()}'")
                raise SourceError(
                    f"'{self.name}' has two columns for the {column}, {both}; rename the one that is not meant"
                )
            if column:
                places[column] = place
        if "path" not in places:
            found = printable(", ".join(name.strip() for name in self._names))[:200] or "nothing"
            raise SourceError(
                f"'{self.name}' has no column 'path' (found: {found}); "
                "the first line must be path,label or path,label,domain,split"
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
                    yield _Row(number, [], self._why_not(error, text, waiting, lines))

    def _why_not(
        self, error: CSVError, text: str, waiting: deque[tuple[int, str]], lines: Iterator[tuple[int, str]]
    ) -> str:
        """Why a line is no row. What follows in a cell with line breaks is taken from the lines that wait."""
        if "expected after" in str(error):
            return "a quotation mark inside of a quoted cell; write it twice"
        if "unexpected end" not in str(error):
            return f"it cannot be read ({error})"
        while len(waiting) < MAX_JOINED and (line := next(lines, None)):
            waiting.append(line)
        for count, (number, more) in enumerate(waiting, start=1):
            text += more
            if len(text) > MAX_LINE:
                break
            try:
                if len(cells(text, self._delimiter)) > len(self._names):
                    break
            except CSVError:
                continue
            for _ in range(count):
                waiting.popleft()
            return f"a line break in a cell, which ends in line {number}; put the row into one line"
        return "a quotation mark that opens a cell and is not closed; close it, or write it twice inside of quotes"

    def _bounded(self, entries: Iterator[Anything]) -> Iterator[Anything | Skipped]:
        """As far as it may be read: so many entries, so many seconds of looking for them."""
        rows, seconds, spent = self.options.max_rows, self.options.max_seconds, 0.0
        for number in itertools.count(1):
            started = time.monotonic()
            entry = next(entries, None)
            spent += time.monotonic() - started
            if entry is None:
                return
            if rows is not None and number > rows:
                yield Skipped(self.name, f"more than {rows:,} rows; the rest was not read")
                return
            if seconds is not None and spent > seconds:
                yield Skipped(self.name, f"more than {seconds:g} seconds of reading it; the rest was not read")
                return
            yield entry

    # --- understanding -----------------------------------------------------------------------------------------------

    def _entries(self) -> Iterator[Item | Skipped]:
        lines: dict[str, int] = {}  # of a uri: the line that named it first
        skipped = SkippedByReason()
        for row in self._rows():
            path = self._cell(row, "path")
            try:
                item = self._item(row, path)
                if glob := excluded_by(item.path, self.options.exclude):
                    skipped.add(item.path, glob)
                    continue
                if item.uri in lines:
                    raise _Odd(f"listed twice; line {lines[item.uri]} names it, too")
                lines[item.uri] = row.line
                yield item
            except _Odd as odd:
                yield Skipped(printable(path)[:MAX_TEXT] or f"line {row.line}", f"line {row.line}: {odd}")
        yield from skipped.refusals()

    def _cell(self, row: _Row, column: str) -> str:
        place = self._places.get(column)
        return row.cells[place].strip() if place is not None and place < len(row.cells) else ""

    def _further_columns(self) -> tuple[dict[str, int], tuple[str, ...]]:
        """Where those stand that mean nothing here and are kept, and what is to be told of them.

        A spreadsheet's column of row numbers has no name.
        """
        places: dict[str, int] = {}
        for place, name in enumerate(self._names):
            shown = printable(name.strip())[:MAX_NAME]
            if shown and _plain(name) not in _KNOWN and not shown.lower().startswith("unnamed"):
                places.setdefault(shown, place)
        names = [f"'{name}'" for name in places]
        told = [f"kept from the CSV: {', '.join(names[:MAX_COLUMNS])[:MAX_TEXT]}"] if names else []
        if more := names[MAX_COLUMNS:]:
            told.append(f"not read from the CSV, more than {MAX_COLUMNS} columns: {', '.join(more)[:MAX_TEXT]}")
        return dict(list(places.items())[:MAX_COLUMNS]), tuple(told)

    def _extra(self, row: _Row) -> tuple[dict[str, str], tuple[str, ...]]:
        """What a row says in further columns, and what is to be told of that."""
        texts = {name: row.cells[place].strip() for name, place in self._further.items() if place < len(row.cells)}
        cut = tuple(
            f"'{name}' was cut to {MAX_CELL} characters" for name, text in texts.items() if len(text) > MAX_CELL
        )
        return {name: text[:MAX_CELL] for name, text in texts.items() if text}, cut

    def _item(self, row: _Row, path: str) -> Item:
        if row.reason:
            raise _Odd(row.reason)
        if any(cell.strip() for cell in row.cells[len(self._names) :]):
            raise _Odd(
                f"{len(row.cells)} cells, and the header has {len(self._names)}; "
                f"put a cell that holds '{self._delimiter}' into quotation marks"
            )
        label, domain = (_text(self._cell(row, column), column) for column in ("label", "domain"))
        split, said = self._split(self._cell(row, "split"))
        extra, cut = self._extra(row)
        node = self._find(path)
        try:
            labels = Labels(label, domain, split, extra)
            return self.tree.item(node, labels, (*self._told, *said, *cut, *notes(node.path)))
        except OSError as error:
            raise _Odd(f"cannot be read ({error.strerror})") from error

    def _split(self, written: str) -> tuple[str, tuple[str, ...]]:
        """The split that is meant, and what is to be told of that."""
        split = _SPLIT_OF.get(written.casefold())
        if split is None:
            raise _Odd(f"split '{printable(written)[:40]}' is none of {', '.join(filter(None, SPLITS))}")
        return split, () if written == split else (f"split '{written}' was taken as {split}",)

    def _find(self, written: str) -> Node:
        if not written:
            raise _Odd("no path in this line")
        if has_control(written):
            raise _Odd("the path holds a control character")
        if local := _FILE.match(written):
            written = unquote(written[local.end() :], errors="surrogateescape").replace("\0", "\ufffd")
        elif _ADDRESS.match(written):
            raise _Odd("an address; download the image first, and name the file here")
        for path in dict.fromkeys((written, written.replace("\\", "/"))):
            if node := self.tree.find(self._within(path)):
                break
        else:
            raise _Odd(NOT_FOUND)
        if node.refusal:
            raise _Odd(node.refusal)
        if node.kind != "file":
            raise _Odd("a folder; a row names one file")
        return node

    def _within(self, path: str) -> str:
        """The path in the tree, without detours."""
        path = posixpath.normpath(posixpath.join(self.folder, path))
        if self.tree.confined and (path.startswith(("/", "../")) or path == ".." or _DRIVE.match(path)):
            raise _Odd(self.tree.confined)
        return path


def _next(waiting: deque[Anything], rest: Iterator[Anything]) -> Anything | None:
    return waiting.popleft() if waiting else next(rest, None)


def _plain(name: str) -> str:
    """A column's name as it is compared: ``Image Path`` is image_path."""
    return re.sub(r"[\s_-]+", "_", unicodedata.normalize("NFKC", name).strip("\ufeff \t\r\n")).casefold()


def _text(text: str, column: str) -> str:
    if has_control(text):
        raise _Odd(f"the {column} holds a control character")
    if len(text) > MAX_TEXT:
        raise _Odd(f"the {column} has {len(text):,} characters, more than {MAX_TEXT}")
    return text
