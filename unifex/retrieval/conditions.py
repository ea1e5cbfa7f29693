"""What a filter says of a further column: ``artist=Monet``, ``year>=1900``, ``taken<=2021-03``.

Numbers are compared with numbers, dates (:mod:`unifex.core.dates`) with dates; nothing else is. An item's date is its
first moment. A condition's is all of it: ``<=2021-03`` holds until March is over, ``=2021-03`` on each of its days.
Where the very text of a ``=`` is in the column, that text is meant, lest ``007`` be ``7``, too; not where all that is
there is dates, of which a day is one, whatever its hour.
What is a number and a year is compared as a number, where both are. A column whose name has ``<``, ``>`` or ``=`` in it
is written in quotation marks: ``"height>width"=yes``.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from unifex.core import dates
from unifex.core.errors import UnifexError
from unifex.core.language import say
from unifex.core.text import number, printable
from unifex.gallery.snapshot import CategoricalColumn


@dataclass(frozen=True)
class _Comparison:
    """``with_last``: of a date with the last moment of a condition's, rather than with its first."""

    holds: Callable[[Any, Any], np.ndarray]
    with_last: bool


_COMPARISONS = {
    ">=": _Comparison(operator.ge, False),
    "<=": _Comparison(operator.le, True),
    ">": _Comparison(operator.gt, True),
    "<": _Comparison(operator.lt, False),
}
_FORM = re.compile(r"""\s*(?:"([^"]+)"\s*|([^<>=]+))(>=|<=|=|>|<)(.*)""", re.S)


@dataclass(frozen=True)
class Condition:
    """``comparison`` is ``=``, of texts, numbers or dates, or one of numbers or dates: ``>=``, ``<=``, ``>``, ``<``."""

    column: str
    comparison: str
    value: str

    @classmethod
    def parse(cls, text: str) -> Condition:
        """Raises ``UnifexError`` for what is not of this form, or compares with what is no number and no date."""
        parts = _FORM.fullmatch(text)
        quoted, plain, comparison, value = parts.groups("") if parts else ("", "", "", "")
        return cls.checked(printable((quoted or plain).strip()), comparison, printable(value.strip()), text)

    @classmethod
    def checked(cls, column: str, comparison: str, value: str, text: str = "") -> Condition:
        """One of these three parts, which were said as ``text``. Raises as :meth:`parse`."""
        text = text or f"{column}{comparison}{value}"
        if not (column and value) or comparison not in ("=", *_COMPARISONS):
            raise UnifexError(
                say(
                    "'{text}' is no condition; write COLUMN=VALUE, or COLUMN>=NUMBER or a date (<=, >, <)",
                    text=text[:80],
                )
            )
        if comparison != "=" and np.isnan(number(value)) and not dates.beginning(value):
            raise UnifexError(
                say(
                    "'{text}' compares with '{value}', which is no number nor a date (2021-03-04)",
                    text=text[:80],
                    value=value[:40],
                )
            )
        return cls(column, comparison, value)

    @property
    def is_range(self) -> bool:
        """Whether it compares numbers or dates."""
        return self.comparison != "="

    def holds(self, column: CategoricalColumn) -> np.ndarray:
        """bool [len(names)]: for which of a column's texts; never for an empty one."""
        if not self.is_range:
            return self._equals(column)
        value, period = number(self.value), dates.period(self.value)
        comparison = _COMPARISONS[self.comparison]
        held = comparison.holds(column.numbers, value)  # which is False of NaN
        if period is None:
            return held
        end = np.datetime64(period.last if comparison.with_last else period.first, "us")
        return held | comparison.holds(column.moments, end) & np.isnan(column.numbers + value)

    def _equals(self, column: CategoricalColumn) -> np.ndarray:
        value, period = number(self.value), dates.period(self.value)
        same = np.array([name == self.value for name in column.printed], bool)
        if same.any() and not (period and column.is_of_dates):
            return same
        same |= column.numbers == value  # which is False of NaN
        return same if period is None else same | _within(column, period)

    def is_comparable(self, column: CategoricalColumn) -> bool:
        """Whether a range says anything of any of a column's texts."""
        numbers = not np.isnan(number(self.value)) and not np.isnan(column.numbers).all()
        return numbers or (dates.beginning(self.value) is not None and not np.isnat(column.moments).all())


def _within(column: CategoricalColumn, period: dates.Period) -> np.ndarray:
    first, last = np.datetime64(period.first, "us"), np.datetime64(period.last, "us")
    return (column.moments >= first) & (column.moments <= last)
