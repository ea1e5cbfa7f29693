"""The language that people are spoken to in. English stands in the code and is the key to every other one.

``unifex/locale/de.po`` is German: a file there is a language, and everything finds it. ``say`` gives a sentence in the
language that :func:`speak` chose, once for the whole process; templates and scripts (``assets/say.js``) have the same
word. The format is gettext's, which every translator's tool edits.
"""

from __future__ import annotations

import gettext
import io
import locale
import os
import string
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unifex.core.assets import PACKAGE
from unifex.core.errors import UnifexError

LOCALE = PACKAGE / "locale"
ENGLISH = "en"
AUTO = "auto"  # the language of who starts the program
IN_SCRIPTS = "assets/"  # where a sentence of a script stands
GAP = "\u202f"  # groups digits wherever a comma could be taken for a decimal one


@dataclass(frozen=True)
class _Language:
    """One of them. ``in_scripts``: its sentences for the scripts, each with its plurals; ``direction``: of writing."""

    name: str = ENGLISH
    texts: gettext.NullTranslations = field(default_factory=gettext.NullTranslations)
    in_scripts: dict[str, list[str]] = field(default_factory=dict)
    direction: str = "ltr"


_spoken = _Language()


def languages() -> list[str]:
    """The languages that there are, by their codes."""
    return sorted([ENGLISH, *(path.stem for path in LOCALE.glob("*.po"))])


def check_language(name: str) -> str:
    """The code of a language as it is called here: ``de`` also for ``de-AT``, of ``auto`` that of this computer.

    Raises ``UnifexError`` for one that there is not.
    """
    if name.strip().lower() == AUTO:
        return next(filter(None, map(_known, _of_this_computer())), ENGLISH)
    if found := _known(name):
        return found
    raise UnifexError(f"no language {name!r}; there are: {', '.join(languages())}, and {AUTO} for this computer's own")


def _known(name: str) -> str:
    """The code of a language, or of the one that it is a kind of; empty where there is neither."""
    known = {code.lower(): code for code in languages()}
    whole = name.strip().partition(".")[0].replace("-", "_").lower()
    return known.get(whole) or known.get(whole.partition("_")[0], "")


def _of_this_computer() -> list[str]:
    """Languages that its user wants, the dearest first, as gettext is told of them."""
    said = filter(None, map(os.environ.get, ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")))
    return next(said, locale.getlocale()[0] or ENGLISH).split(":")


def speak(name: str) -> None:
    """From now on sentences are in this language. Raises ``UnifexError`` as :func:`check_language` does."""
    global _spoken
    code = check_language(name)
    _spoken = _Language() if code == ENGLISH else _read(code, LOCALE / f"{code}.po")


def _read(code: str, path: Path) -> _Language:
    from babel import Locale  # takes a tenth of a second, and English needs none of it
    from babel.messages.mofile import write_mo
    from babel.messages.pofile import read_po

    with path.open("rb") as file:
        catalog = read_po(file, code)
    compiled = io.BytesIO()
    write_mo(compiled, catalog)
    compiled.seek(0)
    in_scripts = {
        message.id if isinstance(message.id, str) else message.id[0]: list(_forms(message.string))
        for message in catalog
        if message.id and message.string and any(where.startswith(IN_SCRIPTS) for where, _ in message.locations)
    }
    return _Language(code, gettext.GNUTranslations(compiled), in_scripts, Locale.parse(code).text_direction)


def _forms(translated: str | tuple[str, ...] | list[str]) -> tuple[str, ...]:
    return (translated,) if isinstance(translated, str) else tuple(translated)


def spoken() -> str:
    """The language that is spoken, as ``<html lang>`` has it."""
    return _spoken.name


def direction() -> str:
    """Where its lines go: ``ltr`` or ``rtl``."""
    return _spoken.direction


def translated(text: str) -> str:
    """A text of the catalog in the language that is spoken, its ``{names}`` and all."""
    return _spoken.texts.gettext(text) if text else ""  # gettext's answer to nothing is the catalog's head


def translated_form(one: str, many: str, count: int) -> str:
    """As :func:`translated`, the form for so many."""
    return _spoken.texts.ngettext(one, many, count)


def say(text: str, /, **values: Any) -> str:
    """A sentence in the language that is spoken, with these values in the place of ``{names}``."""
    return _put(translated(text), values) if values else translated(text)


def say_many(count: int, one: str, many: str, /, **values: Any) -> str:
    """As :func:`say`, the sentence for ``count`` of something, which is ``{count}`` in it."""
    return _put(translated_form(one, many, count), {"count": count, **values})


def to_say(text: str) -> str:
    """The text itself: marks what stands in a table and is said later, so that it is found for the catalogs."""
    return text


def thousands(count: float) -> str:
    """A whole number with its digits in groups."""
    return f"{count:,}" if _spoken.name == ENGLISH else f"{count:,}".replace(",", GAP)


class _Grouping(string.Formatter):
    """Writes numbers as :func:`thousands` does."""

    def format_field(self, value: Any, format_spec: str) -> Any:
        written = super().format_field(value, format_spec)
        return written.replace(",", GAP) if "," in format_spec else written


def _put(text: str, values: dict[str, Any]) -> str:
    return text.format(**values) if _spoken.name == ENGLISH else _Grouping().format(text, **values)


def words_for_scripts() -> dict[str, Any]:
    """What ``assets/say.js`` needs: the language, its sentences, and which plural each of 200 counts takes."""
    plural = getattr(_spoken.texts, "plural", lambda count: int(count != 1))
    forms = "".join(str(plural(count)) for count in range(200))  # from there on they come again, as in every language
    return {"language": _spoken.name, "gap": GAP, "forms": forms, "texts": _spoken.in_scripts}
