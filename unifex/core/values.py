"""Values of one kind: what a program hands over, and what people write for it.

What is of another kind is said at the door, where its name is known, and not met as a ``TypeError`` somewhere within.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from numbers import Real
from typing import Any, TypeVar, cast, get_args, get_type_hints

from unifex.core.errors import UnifexError
from unifex.core.language import say, to_say

F = TypeVar("F", bound=Callable[..., Any])


class KindError(UnifexError):
    """A value of another kind than is wanted; the message names it and what is wanted."""


def _word(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _number(value: Any) -> float:
    if not isinstance(value, Real):
        raise TypeError
    return value if isinstance(value, int | float) else float(value)  # as it is given, so that files stay alike


def _whole(value: Any) -> int:
    number = _number(value)
    if number != int(number):
        raise TypeError
    return int(number)


def _several_whole(value: Any) -> tuple[int, ...]:
    return tuple(map(_whole, (value,) if isinstance(value, Real) else value))


def _several_words(value: Any) -> tuple[str, ...]:
    return tuple(map(_word, (value,) if isinstance(value, str) else value))


_KINDS: dict[str, tuple[Callable[[Any], Any], str]] = {  # by annotation
    "str": (_word, to_say("a word")),
    "int": (_whole, to_say("a whole number")),
    "float": (_number, to_say("a number")),
    "tuple[int, ...]": (_several_whole, to_say("whole numbers")),
    "tuple[str, ...]": (_several_words, to_say("words")),
}


def of_kind(kind: str, name: str, value: Any) -> Any:
    """``value`` as its annotation has it, whatever sort of number it came as. Raises :class:`KindError`."""
    read, wanted = _KINDS[kind]
    try:
        return read(value)
    except (TypeError, ValueError, OverflowError):
        raise _refusal(name, say(wanted), value) from None


def from_text(kind: str, text: str) -> Any:
    """What people write, several numbers as ``64, 128``. Raises ``ValueError``."""
    if kind == "tuple[int, ...]":
        return tuple(int(each) for each in text.replace(",", " ").split())
    return {"str": str, "int": int, "float": float}[kind](text)


def checked(function: F) -> F:
    """The function, which refuses arguments that are none of the program's own classes where it wants one of these:
    the name of a thing in its stead, say. Raises :class:`KindError`."""
    signature = inspect.signature(function)

    @functools.cache
    def wanted() -> dict[str, tuple[type, ...]]:
        kinds = {name: get_args(hint) or (hint,) for name, hint in get_type_hints(function).items()}
        return {name: kinds for name, kinds in kinds.items() if _are_own(kinds)}

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        for name, value in signature.bind(*args, **kwargs).arguments.items():
            if not isinstance(value, wanted().get(name, object)):
                raise _refusal(name, wanted()[name][0].__name__, value)
        return function(*args, **kwargs)

    return cast("F", call)


def _are_own(kinds: tuple[Any, ...]) -> bool:
    return all(isinstance(kind, type) for kind in kinds) and any("unifex." in kind.__module__ for kind in kinds)


def _refusal(name: str, wanted: str, value: Any) -> KindError:
    return KindError(say("{name} takes {wanted}, not {value}", name=name, wanted=wanted, value=repr(value)[:40]))
