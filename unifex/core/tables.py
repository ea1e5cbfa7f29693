"""CSV: every table that is read or written passes here, so that all of them are separated and guarded alike."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator

CSVError = csv.Error  # what cannot be read as a table
_FORMULA = re.compile(r"'*[=+\-@\t\r]")  # how what a spreadsheet would run begins, and what looks guarded already
_GUARDED = re.compile(r"'+[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?", re.IGNORECASE)


def to_csv(header: Iterable[object], rows: Iterable[Iterable[object]]) -> str:
    """A table as CSV text. What a spreadsheet would run as a formula begins with a ``'`` there, numbers do not;
    :func:`unguarded` takes exactly that off again."""
    text = io.StringIO()
    csv.writer(text).writerows([_guarded(cell) for cell in row] for row in (header, *rows))
    return text.getvalue()


def _guarded(cell: object) -> object:
    """A text that begins as a guarded one has one more, so that nothing is lost when the first is taken off."""
    formula = isinstance(cell, str) and _FORMULA.match(cell) and not _NUMBER.fullmatch(cell)
    return f"'{cell}" if formula else cell


def unguarded(cell: str) -> str:
    """A cell of :func:`to_csv` as it was; a ``'`` before anything else stays."""
    return cell[1:] if _GUARDED.match(cell) else cell


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
