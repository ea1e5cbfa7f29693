"""Names of files in an export: safe on every system, and no two the same."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePosixPath

from unifex.data.frame_names import file_name
from unifex.gallery.records import Record

LONGEST = 100  # characters of a name
MOST_BYTES = 200  # of it: a file system takes 255, and a number or a hash may follow
MISSING = "not-included.txt"
METADATA, README = "metadata.jsonl", "README.md"
BESIDE = (METADATA, README.casefold(), MISSING)  # files that may lie beside folders of labels
UNLABELLED = "unlabelled"
_FORBIDDEN = re.compile(r'[<>:"|?*\\/\x00-\x1f]')  # on some system
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(?=\.|$)", re.IGNORECASE)  # what Windows calls so is none


class Names:
    """Of files in one export: no two are the same, nor one as a folder is, not even where case is none."""

    def __init__(self) -> None:
        self._taken: Counter[str] = Counter({MISSING: 1})
        self._endings: dict[str, str] = {}  # of folders, which are told from files by them

    def free(self, parts: Sequence[str], suffix: str) -> str:
        """A name of these parts that nobody has, which ends with ``suffix`` (``.jpg``) in place of its own ending."""
        *folders, name = list(filter(None, map(safe, parts))) or ["image"]
        stem, dot, ending = name.rpartition(".")
        if not dot or len(ending) > 7:
            stem = name
        folder, ending = self._folder(folders), suffix.lstrip(".")
        free = first = f"{folder}{stem}.{ending}"
        while self._taken[free.lower()]:
            free = f"{folder}{stem} ({self._taken[first.lower()]}).{ending}"
            self._taken[first.lower()] += 1
        self._taken[free.lower()] += 1
        return free

    def _folder(self, parts: Iterable[str]) -> str:
        """The folder of these names, with a slash behind each; one has the same whoever asks for it."""
        path = ""
        for part in parts:
            path += part
            key = path.lower()
            if key not in self._endings:
                numbered = itertools.chain([""], (f" ({number})" for number in itertools.count(1)))
                self._endings[key] = next(ending for ending in numbered if not self._taken[key + ending])
                self._taken[key + self._endings[key]] += 1
            path += f"{self._endings[key]}/"
        return path


def safe(part: str) -> str:
    """As every system lets a file be called; nothing of what names another folder."""
    whole = _FORBIDDEN.sub("_", part).strip(" ")
    stem, dot, ending = whole.rpartition(".")
    if len(ending) >= 8:
        stem, dot, ending = whole, "", ""
    name = f"{_cut(stem, LONGEST - len(dot + ending))}{dot}{ending}".strip(" .")
    return _DEVICE.sub(r"\1_", name, count=1) if _DEVICE.match(name) else name


def _cut(text: str, most: int) -> str:
    return text[:most].encode(errors="surrogatepass")[:MOST_BYTES].decode(errors="ignore")


def suffix_of(record: Record) -> str:
    """How the name of its image file ends: ``.png``."""
    own, place = PurePosixPath(file_name(record.path)), PurePosixPath(record.original or record.uri)
    return next((path.suffix for path in (own, place) if 1 < len(path.suffix) < 9), ".img")


def in_its_folders(record: Record) -> tuple[str, ...]:
    """The folders of its path, and its name."""
    return PurePosixPath(file_name(record.path)).parts


class LabelFolders:
    """The folder of each label in one export: no two have the same, not even where case is none, and a label has the
    same whatever the order. ``classes``: (domain, label) of what there is; ``domains``: they tell labels apart.

    Of several that would have one, who is called exactly so has it; the others' end with a part of a hash of theirs.
    """

    def __init__(self, classes: Iterable[tuple[str, str]], domains: bool):
        self._domains = domains
        self._taken: set[str] = set(BESIDE)
        self._folders: dict[tuple[str, str], str] = {}
        for domain, label in sorted(classes, key=self._rank):
            self.of(domain, label)

    def of(self, domain: str, label: str) -> str:
        """Its name; without a label that of what has none."""
        if (domain, label) not in self._folders:
            folder = next(name for name in self._names(domain, label) if name.casefold() not in self._taken)
            self._taken.add(folder.casefold())
            self._folders[domain, label] = folder
        return self._folders[domain, label]

    def _text(self, domain: str, label: str) -> str:
        label = label or UNLABELLED
        return f"{domain} - {label}" if self._domains and domain else label

    def _rank(self, of: tuple[str, str]) -> tuple[bool, bool, str, str]:
        """Names that are labels as they are come first, and last what has no label."""
        text = self._text(*of)
        return not of[1], safe(text) != text, *of

    def _names(self, domain: str, label: str) -> Iterator[str]:
        plain = safe(self._text(domain, label)) or "_"
        yield plain
        digest = hashlib.sha256(f"{domain}\0{label}".encode()).hexdigest()
        for digits in range(6, len(digest) + 1):
            ending = f" ({digest[:digits]})"
            yield f"{_cut(plain, LONGEST - len(ending)).rstrip()}{ending}"
