"""CSV: every table that is read or written passes here, so that all of them are separated and guarded alike."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator

CSVError = csv.Error  # what cannot be read as a table
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def to_csv(header: Iterable[object], rows: Iterable[Iterable[object]], guard: bool = True) -> str:
    """A table as CSV text.

    ``guard``: texts that a spreadsheet would run as a formula are made harmless; not for what a program reads back.
    """
    text = io.StringIO()
    table = [header, *rows]
    csv.writer(text).writerows([_harmless(cell) for cell in row] if guard else row for row in table)
    return text.getvalue()


def _harmless(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA_STARTS) else cell


def delimiter_of(header: str, candidates: str) -> str:
    """Which of these separates the cells of a table with this first line: the one that is most in it."""
    return max(candidates, key=header.count)


def cells(line: str, delimiter: str) -> list[str]:
    """Of a row that is one line. Raises :data:`CSVError` for quotation marks that do not pair."""
    return next(csv.reader([line], delimiter=delimiter, strict=True), [])


def rows(lines: Iterable[str], delimiter: str = ",") -> Iterator[tuple[int, list[str]]]:
    """(the number of its last line, cells) of every row that is not empty; a cell may go over several lines."""
    reader = csv.reader(lines, delimiter=delimiter)
    return ((reader.line_num, row) for row in reader if row)
