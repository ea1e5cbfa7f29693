"""The options that several commands share, and what options were called before."""

from __future__ import annotations

import argparse
import difflib
import math
import os
import re
import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

from unifex.core import ranges
from unifex.core.errors import UnifexError
from unifex.core.files import check_suffix, is_stream
from unifex.core.text import printable


def plain_text(given: str) -> str:
    """The argparse type of all that has no other: what is no text, names nothing that is kept or asked for here."""
    try:
        given.encode()
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError(
            f"'{printable(given)}' is not UTF-8; write an item's path as `search` shows it, and rename a file that is "
            "called so"
        ) from None
    return given


def on_disk(given: str) -> str:
    """The argparse type of what is there already under a name of whatever bytes."""
    return given


def plain_path(given: str) -> Path:
    """The argparse type of what libraries open that know no names but texts."""
    if not given.strip():
        raise argparse.ArgumentTypeError("must name a folder")
    return Path(plain_text(given))


def place(text: str) -> str:
    """The argparse type of where something is written to."""
    if not text.strip():
        raise argparse.ArgumentTypeError("must name what is to be written")
    return text


def new_file(*suffixes: str) -> Callable[[str], Path]:
    """The argparse type of a file to write, whose name ends with one of these, if with any."""

    def path(given: str) -> Path:
        return named(place(given), *suffixes)

    return path


def named(given: str, *suffixes: str) -> Path:
    """What is to be written, called as it has to be: a file with one of these endings, or a folder where there are
    none; what a link leads to is written, and the link stays. Raises :class:`UsageError`."""
    try:
        out = check_suffix(Path(given), *filter(None, suffixes))
        return out.resolve() if out.is_symlink() and not is_stream(out) else out
    except UnifexError as error:
        raise UsageError(str(error)) from error


PAGE = new_file(".html", ".htm")
TABLE = new_file(".csv")


# What --model is for a command that has it.
OF_GALLERY = "see the gallery with this model (or UNIFEX_MODEL; default: its own)"
TO_ADD = "model of the gallery (or UNIFEX_MODEL; default: its own, the bundled one for a new gallery)"
OF_ITSELF = "the model (or UNIFEX_MODEL; default: the bundled one)"

SHARED: dict[str, dict[str, Any]] = {
    "--gallery": {"required": True, "help": "name of the gallery"},
    "--out": {"required": True, "type": place},
    "--dim": {"type": ranges.DIMENSION, "help": "length of the embeddings (default: the gallery's)"},
    "--rerank": {"action": "store_true", "help": "re-rank by the gallery's own neighbourhood"},
    "--domain": {"action": "append", "default": [], "help": "only this domain (may be repeated)"},
    "--level": {
        "choices": ["bytes", "picture", "alike"], "default": "picture",
        "help": "of near-copies: the same bytes, the same picture (of another size, crop, compression or light), or "
        "very alike (default picture)",
    },
    "--seed": {"type": ranges.SEED, "default": 0},
    "--save": {"required": True, "metavar": "MODEL", "help": "name of the new model"},
    "--public": {"action": "store_true", "help": "on the hub, for everyone to see (default: private)"},
    "--exclude": {
        "action": "append", "default": [], "metavar": "GLOB", "type": on_disk,
        "help": "leave out files and folders of this name, or with a / in it of this path (may be repeated)",
    },
    "--follow-links": {"action": "store_true", "help": "read what symbolic links lead to, each once"},
    "--frames": {
        "nargs": "+", "metavar": ("every", "SECONDS"),
        "help": "of videos: every SECONDS (default: every 1), or scenes; those that are as the one before are left out",
    },
}  # fmt: skip

# What an option was called, and is. The old name works, says the new one, and so does a setting's old variable.
RENAMED = {
    "--indexes": "--library",
    "--context": "--rerank",
    "--words": "--text",
    "--balance": "--text-weight",
    "--trust": "--false-accept-rate",
    "--afresh": "--refresh",
    "--least": "--min-images",
    "--most": "--max-images",
    "--recipe": "--config",
    "--smallest-margin": "--margin-min",
    "--final-share": "--final-lr-scale",
    "--start": "--init",
    "--views": "--augmentations",
}


class UsageError(UnifexError):
    """A command line that means nothing: options that do not go together, or lack something."""


class Parser(argparse.ArgumentParser):
    """Wrong usage is one sentence on stderr and exit code 2. Options may stand anywhere."""

    def __init__(self, *arguments: Any, **settings: Any):
        super().__init__(*arguments, **settings)
        for kind in (None, str):
            self.register("type", kind, plain_text)

    def error(self, message: str) -> NoReturn:
        """Called by ``argparse`` for whatever is wrong."""
        self.exit(2, f"{self.sentence(message)}\n")

    def sentence(self, message: str) -> str:
        """Of whatever is wrong."""
        return f"{self.prog}: {message} ({self.prog} --help lists the options)"

    def _get_value(self, action: argparse.Action, arg_string: str) -> Any:
        """As ``argparse`` does; what the program itself says no to is wrong usage as well."""
        try:
            return super()._get_value(action, arg_string)
        except UnifexError as error:
            raise argparse.ArgumentError(action, str(error)) from error

    def add_subparsers(self, **settings: Any) -> Any:
        """As ``argparse`` does; what follows a command is looked at by its own parser."""
        self.register("type", None, on_disk)
        return super().add_subparsers(**settings)

    def share(self, *names: str, **changes: Any) -> None:
        """Add options of :data:`SHARED`, but for these ``changes``."""
        for name in names:
            self.add_argument(name, **SHARED[name] | changes)

    def parse_known_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:
        """As ``argparse`` does, with options under their old names, too. Each command's parser is asked in its turn."""
        given = list(sys.argv[1:] if args is None else args)
        end = given.index("--") if "--" in given else len(given)
        now = list(map(self._as_now, given[:end]))
        if not self._subparsers:
            self._check_known(now)
        return super().parse_known_args(
            now + given[end:] if self._subparsers else self._sorted(now, given[end + 1 :]), namespace
        )

    def _check_known(self, given: list[str]) -> None:
        """A misspelt option is what is told, before what is missing without it."""
        known = list(self._option_string_actions)
        for option in filter(_is_option, given):
            name = option.partition("=")[0] if option.startswith("--") else option[:2]
            if not any(one == name or (name.startswith("--") and one.startswith(name)) for one in known):
                alike = difflib.get_close_matches(name, known, 1)
                self.error(f"there is no option {name}{f', but {alike[0]}' if alike else ''}")

    def _sorted(self, given: list[str], positional: list[str]) -> list[str]:
        """Options first: ``argparse`` takes all that is optional as left out as soon as an option follows."""
        options, others, wanted = list[str](), list[str](), 0.0
        for argument in given:
            if _is_option(argument):
                options.append(argument)
                wanted = self._values_of(argument)
            elif wanted > 0 and (wanted < math.inf or _is_option(options[-1]) or _NUMBER.fullmatch(argument)):
                options.append(argument)
                wanted -= 1
            else:
                others.append(argument)
                wanted = 0
        between = ["--"] if others or positional else []  # what follows is no value of the last option, and no option
        return [*options, *between, *others, *positional]

    def _values_of(self, option: str) -> float:
        """How many arguments at most follow an option as its values; where they are any number of them, those behind
        the first are numbers."""
        name, equals, _ = option.partition("=")
        known = self._option_string_actions
        named = {known[name]} if name in known else {action for key, action in known.items() if key.startswith(name)}
        if equals or len(named) != 1:
            return 0
        nargs = named.pop().nargs
        return {None: 1, "?": 1, "+": math.inf, "*": math.inf}.get(nargs, nargs if isinstance(nargs, int) else 0)

    def _as_now(self, argument: str) -> str:
        name, equals, value = argument.partition("=")
        now = RENAMED.get(name)
        if now not in self._option_string_actions or name in self._option_string_actions:
            return argument
        _tell(name, now)
        return now + equals + value


_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)")


def _is_option(argument: str) -> bool:
    return bool(re.match(r"-[^\d.\s]\S*", argument)) and " " not in argument.partition("=")[0]


def variable_of(option: str) -> str:
    """The environment variable that sets an option."""
    return f"UNIFEX_{option.removeprefix('--').replace('-', '_').upper()}"


def given_in_environment(option: str) -> tuple[str, str]:
    """The variable that sets an option, and its value: empty when none does, as also Docker and systemd leave it."""
    for before in (old for old, now in RENAMED.items() if now == option):
        if (value := os.environ.get(variable_of(before))) and not os.environ.get(variable_of(option)):
            _tell(variable_of(before), variable_of(option))
            return variable_of(before), value
    return variable_of(option), os.environ.get(variable_of(option), "")


@cache
def _tell(before: str, now: str) -> None:
    """Once a program."""
    print(f"unifex: {before} is called {now} now", file=sys.stderr)
