"""What a filter says of a further column: ``artist=Monet``, ``year>=1900``."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from unifex.core.errors import UnifexError
from unifex.core.text import number, printable
from unifex.gallery.snapshot import CategoricalColumn

_COMPARISONS: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_FORM = re.compile(r"([^<>=]+)(>=|<=|=|>|<)(.*)", re.S)


@dataclass(frozen=True)
class Condition:
    """``comparison`` is ``=``, of texts or of numbers, or one of numbers: ``>=``, ``<=``, ``>``, ``<``."""

    column: str
    comparison: str
    value: str

    @classmethod
    def parse(cls, text: str) -> Condition:
        """Raises ``UnifexError`` for what is not of this form, or compares with what is no number."""
        parts = _FORM.fullmatch(text)
        column, comparison, value = (part.strip() for part in parts.groups()) if parts else ("", "", "")
        if not (column and value):
            raise UnifexError(f"'{text[:80]}' is no condition; write COLUMN=VALUE, or COLUMN>=NUMBER (<=, >, <)")
        if comparison != "=" and np.isnan(number(value)):
            raise UnifexError(f"'{text[:80]}' compares with '{value[:40]}', which is no number")
        return cls(printable(column), comparison, printable(value))

    @property
    def is_range(self) -> bool:
        """Whether it compares numbers."""
        return self.comparison != "="

    def holds(self, column: CategoricalColumn) -> np.ndarray:
        """bool [len(names)]: for which of a column's texts; never for an empty one."""
        value = number(self.value)
        if self.is_range:
            return _COMPARISONS[self.comparison](column.numbers, value)  # which is False of NaN
        same = np.array([name == self.value for name in column.printed], bool)
        return same if np.isnan(value) else same | (column.numbers == value)
