"""A CSV as a source of images: encodings, delimiters, and every row that cannot be used named with its reason."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from unifex.sources import Item, Refused, SourceError, file_item, printable

SPLITS = ("", "train", "query", "index")
MAX_LINE = 2**20


class Manifest:
    """A CSV with the columns ``path,label`` and optionally ``domain,split``; paths are relative to the file."""

    def __init__(self, path: Path, keep: bool = False):
        self.path = path.resolve()
        self.spec = str(self.path)
        self.keep = keep
        self._delimiter, self._columns = self._header()

    def _header(self) -> tuple[str, list[str]]:
        try:
            self._encoding = self._check_encoding()
            with self._open() as file:
                first = file.readline(MAX_LINE)
        except OSError as error:
            raise SourceError(f"'{self.path.name}' cannot be read ({error.strerror})") from error
        delimiter = max(",;\t", key=first.count)
        columns = [name.strip().lower() for name in next(csv.reader([first], delimiter=delimiter), [])]
        if "path" not in columns:
            raise SourceError(
                f"'{self.path.name}' has no column 'path' (found: {', '.join(columns)[:200] or 'nothing'}); "
                "the first line must be path,label or path,label,domain,split"
            )
        return delimiter, columns

    def count(self) -> int:
        """How many rows there are below the header."""
        return sum(1 for _ in self._rows())

    def _check_encoding(self) -> str:
        """Of the whole file, lest a label in another encoding comes in garbled."""
        lines = 1
        with self.path.open("rb") as file:
            start = file.read(2)
            file.seek(0)
            encoding = "utf-16" if start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"
            decoder = codecs.getincrementaldecoder(encoding)()
            try:
                while block := file.read(MAX_LINE):
                    lines += decoder.decode(block).count("\n")
                decoder.decode(b"", final=True)
            except UnicodeDecodeError as error:
                lines += error.object[: error.start].count(b"\n")
                raise SourceError(f"'{self.path.name}', line {lines}: not UTF-8; save it as UTF-8 CSV") from error
        return encoding

    def _open(self) -> TextIO:
        return self.path.open(encoding=self._encoding, newline="")

    def _rows(self) -> Iterator[tuple[int, dict[str, str]]]:
        with self._open() as file:
            reader = csv.reader(_bounded_lines(file), delimiter=self._delimiter)
            try:
                next(reader)
                for values in reader:
                    if any(values):
                        yield reader.line_num, dict(zip(self._columns, (value.strip() for value in values)))
            except csv.Error as error:
                raise SourceError(f"'{self.path.name}', line {reader.line_num}: {error}") from error

    def __iter__(self) -> Iterator[Item | Refused]:
        seen: set[str] = set()
        for line, row in self._rows():
            name = row.get("path", "")
            shown = printable(name) or f"line {line}"
            reason = self._refuse(name, row.get("split", ""), seen)
            seen.add(name)
            if reason:
                yield Refused(shown, reason)
                continue
            try:
                texts = (row.get(column, "") for column in ("label", "domain", "split"))
                yield file_item(self._locate(name), shown, self.keep, *texts)
            except (OSError, ValueError) as error:
                yield Refused(shown, f"cannot be read ({getattr(error, 'strerror', None) or error})")

    def _locate(self, name: str) -> Path:
        return (self.path.parent / name).absolute()

    def _refuse(self, name: str, split: str, seen: set[str]) -> str | None:
        if not name:
            return "no path in this line"
        if "\0" in name:
            return "path holds a NUL character"
        if name in seen:
            return "listed twice"
        if split not in SPLITS:
            return f"split '{split[:40]}' is none of train, query, index"
        path = self._locate(name)
        if self.keep and not path.resolve().is_relative_to(self.path.parent):
            return "path leaves the uploaded folder"
        try:
            if path.is_symlink():
                return "symbolic link, not followed"
            return None if path.is_file() else "file not found"
        except OSError as error:
            return f"cannot be read ({error.strerror})"


def _bounded_lines(file) -> Iterator[str]:
    while line := file.readline(MAX_LINE):
        if len(line) == MAX_LINE:
            raise csv.Error("line longer than 1 MiB")
        yield line.replace("\0", "\ufffd")
