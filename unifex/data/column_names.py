"""What further columns are called where there are columns of that name already."""

from __future__ import annotations

import re
from collections.abc import Callable

_MARK = "extra "
_MARKS = re.compile(rf"\A({_MARK})+")
Taken = Callable[[str], bool]  # whether a name means something where it is written


def beside(name: str, taken: Taken) -> str:
    """The name of a further column beside names that are ``taken``. One that looks marked already has one more mark, so
    that no two become one and :func:`own_name` takes off exactly what was put on."""
    return f"{_MARK}{name}" if taken(_unmarked(name)) else name


def own_name(name: str, taken: Taken) -> str:
    """What :func:`beside` was given."""
    return name.removeprefix(_MARK) if taken(_unmarked(name)) else name


def _unmarked(name: str) -> str:
    return _MARKS.sub("", name)
