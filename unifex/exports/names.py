"""Names of files in an export: safe on every system, and no two the same."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

from unifex.data.frame_names import file_name
from unifex.gallery.records import Record

LONGEST = 100  # characters of a name
MISSING = "not-included.txt"
UNLABELLED = "unlabelled"
_FORBIDDEN = re.compile(r'[<>:"|?*\\/\x00-\x1f]')  # on some system


class Names:
    """Of files in one export: no two are the same, not even where case is none."""

    def __init__(self) -> None:
        self._taken: Counter[str] = Counter({MISSING: 1})

    def free(self, parts: Sequence[str], suffix: str) -> str:
        """A name of these parts that nobody has, which ends with ``suffix`` (``.jpg``) in place of its own ending."""
        name = "/".join(filter(None, map(safe, parts))) or "image"
        stem, dot, ending = name.rpartition(".")
        if not dot or "/" in ending or len(ending) > 7:
            stem = name
        ending = suffix.lstrip(".")
        free = first = f"{stem}.{ending}"
        while self._taken[free.lower()]:
            free = f"{stem} ({self._taken[first.lower()]}).{ending}"
            self._taken[first.lower()] += 1
        self._taken[free.lower()] += 1
        return free


def safe(part: str) -> str:
    """As every system lets a file be called; nothing of what names another folder."""
    stem, dot, ending = _FORBIDDEN.sub("_", part).strip(" ").rpartition(".")
    short = f"{stem[: LONGEST - len(ending) - 1]}{dot}{ending}" if len(ending) < 8 else f"{stem}{dot}{ending}"[:LONGEST]
    return short.strip(" .")


def suffix_of(record: Record) -> str:
    """How the name of its image file ends: ``.png``."""
    own, place = PurePosixPath(file_name(record.path)), PurePosixPath(record.original or record.uri)
    return next((path.suffix for path in (own, place) if 1 < len(path.suffix) < 9), ".img")


def in_its_folders(record: Record) -> tuple[str, ...]:
    """The folders of its path, and its name."""
    return PurePosixPath(file_name(record.path)).parts


def by_label(record: Record, domains: bool) -> tuple[str, ...]:
    """A folder of its label, and its name; ``domains``: they tell labels apart."""
    label = record.label or UNLABELLED
    return f"{record.domain} - {label}" if domains and record.domain else label, PurePosixPath(
        file_name(record.path)
    ).name
