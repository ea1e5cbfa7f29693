"""Quantities and errors as people read them."""

from __future__ import annotations

import difflib
import errno
import importlib.util
import logging
import math
import re
import shlex
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from unifex.core.errors import UnifexError
from unifex.core.language import say, say_many, thousands, to_say

LISTED = 10
_BREAK = re.compile(r"\s*[\t-\r\x85\u2028\u2029]\s*")
_TURNS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")
log = logging.getLogger("unifex")
_DISK = {
    errno.ENOSPC: to_say("the disk is full; make room and do it again"),
    errno.EDQUOT: to_say("the disk quota is used up; make room and do it again"),
    errno.EROFS: to_say("nothing can be written there, it is read-only"),
}


def is_of_disk(error: BaseException) -> bool:
    """Whether it is the disk that something failed at, and not what was read."""
    return isinstance(error, OSError) and error.errno in _DISK


def reason(error: BaseException) -> str:
    """Why something failed. Of a path only the name: strangers may read it."""
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    what = say(_DISK.get(error.errno or 0, error.strerror))
    return f"{what} ({Path(str(error.filename)).name})" if error.filename else what


@dataclass(frozen=True)
class Explanation:
    """What people are told of something that failed; ``defect``: of the program, and nothing that they did."""

    title: str
    sentence: str
    defect: bool


def explain(error: BaseException) -> Explanation:
    """For whoever catches everything: a sentence of whatever was raised. A defect's traceback goes to the log.

    A user can mend what the program itself says no to, and what the system does (files, disks, networks, memory).
    """
    if isinstance(error, UnifexError | OSError):
        return Explanation(say("Not done"), reason(error), False)
    if isinstance(error, MemoryError):
        sentence = say("there is not enough memory; close other programs, or ask for less")
        return Explanation(say("Not done"), sentence, False)
    if isinstance(error, ModuleNotFoundError) and (module := _missing(error)):
        log.info("a part is not installed", exc_info=error)
        sentence = say("{module} is not installed: pip install -r requirements.txt", module=module)
        return Explanation(say("Not done"), sentence, False)
    log.error("a defect of the program", exc_info=error)
    sentence = to_say("internal error ({error}), please report it with the traceback in the program's log")
    return Explanation(say("A defect of the program"), say(sentence, error=type(error).__name__), True)


def _missing(error: ModuleNotFoundError) -> str:
    """What is not installed; empty where it is, and a part of it is asked for that it does not have."""
    module = (error.name or "").partition(".")[0]
    return module if module and importlib.util.find_spec(module) is None else ""


def duration(seconds: float) -> str:
    """``0.4 s``, ``12 s``, ``3 min 20 s``, ``2 h 5 min``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def size(count: float) -> str:
    """Bytes as ``512 B``, ``3.4 MB``, ``120 GB`` (powers of 1000)."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 10 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def shortened(text: str, most: int = 60) -> str:
    """At most so many characters, on one line: labels and names can be as long as a page."""
    text = " ".join(str(text).split())
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def what_there_is(names: Iterable[str], wanted: str = "", none: str = "") -> str:
    """``there are: a, b``, for a sentence that says no to ``wanted``; of many those alike: ``alike: a; 312 in all``,
    where some are."""
    known = [name for name in names if name]
    if len(known) <= LISTED:
        return say("there are: {names}", names=", ".join(known) or none or say("none"))
    if alike := difflib.get_close_matches(wanted, known, LISTED, 0.5):
        return say("alike: {names}; {count:,} in all", names=", ".join(alike), count=len(known))
    return say("there are: {names} …; {count:,} in all", names=", ".join(known[:LISTED]), count=len(known))


def plural(count: int, one: str, many: str = "") -> str:
    """``1 image``, ``1,234 images``, ``2 galleries``, ``3 classes``, ``4 searches``, in the language that is spoken."""
    many = many or (one[:-1] + "ies" if one.endswith("y") else one + ("es" if one.endswith(("s", "ch")) else "s"))
    return f"{thousands(count)} {say_many(count, one, many)}"


def printable(name: str) -> str:
    """A file name as text that can be stored, shown and typed again: composed, without controls; what is not UTF-8,
    or would only confuse a screen, becomes U+FFFD."""
    name = unicodedata.normalize("NFC", name)
    return "".join("\ufffd" if is_control(char) else char for char in name) if has_control(name) else name


def spellings(name: str) -> list[str]:
    """As it is written, and as systems write the same: a Mac takes letters with marks apart."""
    return list(dict.fromkeys((name, *(unicodedata.normalize(form, name) for form in ("NFC", "NFD")))))


def on_one_line(text: str) -> str:
    """A text that may be longer, as :func:`printable`: where it breaks its line, or has a tab, it has a space."""
    return printable(text if text.isprintable() else _BREAK.sub(" ", text).strip())


def number(text: str) -> float:
    """NaN for what is no finite number; 1_2 is one to Python alone."""
    try:
        value = math.nan if "_" in text else float(text)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def has_control(text: str) -> bool:
    """Whether :func:`is_control` holds of any of its characters."""
    return not text.isprintable() and any(map(is_control, text))


def is_control(char: str) -> bool:
    """Whether a character steers rather than shows: controls, line breaks, turns of direction, half characters."""
    return unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") or char in _TURNS


def lines_of(text: str) -> list[str]:
    """What stands in a text, one a line, without empty ones."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def either(names: Sequence[str]) -> str:
    """``a, b or c``."""
    *others, last = names
    return say("{others} or {last}", others=", ".join(others), last=last) if others else last


def command(*words: str) -> str:
    """A command of this program as a shell takes it, to be copied."""
    return f"python -m unifex {shlex.join(words)}"
