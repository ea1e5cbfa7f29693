"""Where images lie, and what can be told of such a place now: moved, changed, gone, or not to be told.

What could not be read is not gone: a disk that is not mounted, a folder that nobody may look into and an archive that
does not open say nothing of what was there.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Collection, Iterable, Sequence
from enum import Enum
from itertools import takewhile
from pathlib import Path
from stat import S_ISDIR

from unifex.core import images
from unifex.data import addresses, frame_names, store_tree
from unifex.data.item import Item, SourceError
from unifex.data.sources import meant, open_source
from unifex.data.uploads import STAGE

_OF_FILES = r"(?:zip:|m4d:|clip-retrieval:)?"  # what may stand before a path in a uri or a spec
MOST_LOOKED_AT = 500  # items of a source that is not there, to find where it went
_PART = r"#(t=\d+\.\d+|-?\d+(,-?\d+){3})\Z"  # of a file: a frame of a video, a box that was cut from an image


class Place(Enum):
    """What lies at an item's place: what was indexed there, something else, nothing, or nobody knows."""

    SAME = "same"
    CHANGED = "changed"
    ABSENT = "absent"
    UNKNOWN = "unknown"


class Places:
    """Looks at places on behalf of one run. ``specs``: of all sources of the gallery, ``uris``: of all its items;
    archives are opened once, and stores listed once."""

    def __init__(self, specs: Sequence[str], uris: Collection[str] = ()):
        self._holders = {spec: f"zip:{Path(spec).as_posix()}!" for spec in specs if path_of(spec)}
        self._holders |= {spec: f"{spec}/" for spec in specs if store_tree.is_address(spec)}
        self._emptied = [f"{Path(spec).as_posix()}/" for spec in specs if is_emptied(spec)]
        self._contents: dict[str, dict[str, str] | Place] = {}
        self._absent = dict(absent for spec in specs if (absent := absent_place(spec)))
        self._gone = frozenset(self._absent.values())
        self._uris = list(uris)
        self._were_in: dict[str, list[str]] = {}
        self._hold_most: dict[tuple[str, str], bool] = {}
        self._moved: dict[tuple[str, str], bool] = {}

    def look(self, uri: str, stamp: str, sha256: str) -> Place:
        """``stamp`` and ``sha256`` are what was found there when it was indexed."""
        if f"/{STAGE}/" in uri:  # an upload's files go when a gallery has taken them: it keeps their bytes
            return Place.UNKNOWN
        if uri.startswith("zip:") or store_tree.is_address(uri):
            return self._look_into_holder(uri, stamp)
        if of_video := frame_names.video_of(uri):
            return look_at_video(of_video, stamp)
        found = look_at_file(uri, stamp, sha256) if os.path.isabs(uri) else Place.UNKNOWN
        return Place.UNKNOWN if found is Place.ABSENT and is_there(uri) else found  # a part of a file, cut from it

    def is_left(self, uri: str, stamp: str, sha256: str) -> bool:
        """Whether what was indexed there has left: it may be found elsewhere, as the same item.

        Nothing has left a folder in which there is nothing at all: its disk may not be mounted.
        """
        found = self.look(uri, stamp, sha256)
        return found is Place.CHANGED or (found is Place.ABSENT and not uri.startswith(tuple(self._emptied)))

    def may_have_moved(self, uri: str, there: str) -> bool:
        """Whether what left a place may be what is found at another, and not a copy of it.

        Where its whole source is not there, the disk may be away: then most of that must lie at the new place, too.
        """
        if not (source := self.away(uri)):
            return True
        tail = _common_tail(uri, there)
        old, new = uri[: len(uri) - len(tail)], there[: len(there) - len(tail)]
        if not tail or not (sample := self._most_of(source, old)):
            return False
        if (old, new) not in self._moved:
            found = sum(self._lies_at(new + uri[len(old) :]) for uri in sample if uri.startswith(old))
            self._moved[old, new] = 2 * found > len(sample)
        return self._moved[old, new]

    def _most_of(self, source: str, old: str) -> list[str]:
        """A sample of the uris of a source, where most of them begin with ``old``; otherwise none."""
        if source not in self._were_in:
            below = [uri for uri in self._uris if uri.startswith(source)]
            self._were_in[source] = below[:: len(below) // MOST_LOOKED_AT + 1]
        sample = self._were_in[source]
        if (source, old) not in self._hold_most:
            self._hold_most[source, old] = 2 * sum(uri.startswith(old) for uri in sample) > len(sample)
        return sample if self._hold_most[source, old] else []

    def away(self, uri: str) -> str:
        """How the uris begin of all that was in a source with this one, where that is not there; empty where it is.

        Of what a list names, that is all in the topmost folder that is gone with the list.
        """
        return _start(uri, self._absent) or _start(uri, self._gone)

    def _lies_at(self, uri: str) -> bool:
        if uri.startswith("zip:") or store_tree.is_address(uri):
            contents = self._held(uri)
            return isinstance(contents, dict) and uri in contents
        return is_there(uri)

    def _look_into_holder(self, uri: str, stamp: str) -> Place:
        contents = self._held(uri)
        if isinstance(contents, Place):
            return contents
        found = contents.get(uri)
        return Place.ABSENT if found is None else Place.SAME if found in (stamp, "") else Place.CHANGED

    def _held(self, uri: str) -> dict[str, str] | Place:
        """uri -> stamp of all that is in the archive or store which holds it, or why nobody knows."""
        holder = max((spec for spec, start in self._holders.items() if uri.startswith(start)), key=len, default=None)
        if holder is None:
            return Place.UNKNOWN
        if holder not in self._contents:
            self._contents[holder] = _stored(holder) if store_tree.is_address(holder) else _contents(holder)
        return self._contents[holder]


def _start(uri: str, places: Collection[str]) -> str:
    """How everything begins that lies in the lowest of some places which holds a uri; empty where none does."""
    ends = reversed([part.start() for part in re.finditer("[/!]", uri)])
    return next((uri[: end + 1] for end in ends if uri[:end].removeprefix("zip:") in places), "")


def _common_tail(a: str, b: str) -> str:
    """The last names that two places have in common, in folders or archives."""
    equal = takewhile(lambda pair: pair[0] == pair[1], zip(reversed(a), reversed(b)))
    tail = a[len(a) - sum(1 for _ in equal) :]
    if all(place[: len(place) - len(tail)].endswith(("/", "!")) for place in (a, b)):
        return tail
    return re.sub(r"\A[^/!]*[/!]?", "", tail)


def look_at_file(path: str, stamp: str, sha256: str) -> Place:
    """What lies at a path; a file with another stamp is read, since it may only have been touched."""
    try:
        status = os.stat(path)
        if frame_names.file_stamp(status) == stamp:
            return Place.SAME
        if status.st_size > images.MAX_BYTES:
            return Place.CHANGED
        return Place.SAME if images.content_hash(Path(path).read_bytes()) == sha256 else Place.CHANGED
    except (FileNotFoundError, NotADirectoryError):
        return Place.ABSENT
    except (OSError, ValueError):
        return Place.UNKNOWN


def look_at_video(path: str, stamp: str) -> Place:
    """What lies at the path of a video; ``stamp`` is that of one of its frames."""
    try:
        return Place.SAME if stamp.startswith(f"{frame_names.file_stamp(os.stat(path))}|") else Place.CHANGED
    except (FileNotFoundError, NotADirectoryError):
        return Place.ABSENT
    except (OSError, ValueError):
        return Place.UNKNOWN


def _contents(archive: str) -> dict[str, str] | Place:
    """uri -> stamp of everything in it."""
    try:
        if not Path(archive).exists():
            return Place.ABSENT
        return {entry.uri: entry.stamp for entry in open_source(archive) if isinstance(entry, Item)}
    except (SourceError, OSError):
        return Place.UNKNOWN


def _stored(address: str) -> dict[str, str] | Place:
    """uri -> stamp of every file of a store below an address; of an unknown stamp nothing is told."""
    stamps = store_tree.stamps(address)
    return Place.UNKNOWN if stamps is None else stamps


def is_there(uri: str) -> bool:
    """Whether the file of an item, or the one that it is in or cut from, lies where it should."""
    place = re.sub(rf"^{_OF_FILES}", "", uri)
    if uri.startswith("zip:"):
        return any(os.path.isfile(place[: end.start()]) for end in re.finditer("!", place))
    return os.path.lexists(place) or os.path.lexists(re.sub(_PART, "", place))


def path_of(spec: str) -> Path | None:
    """Where a source lies on this computer; None for one that lies elsewhere."""
    text = re.sub(rf"^{_OF_FILES}", "", spec)
    path = Path(text.partition("?")[0] if spec.startswith("m4d:") else text)
    return path if path.is_absolute() else None


def identity(spec: str) -> tuple[int, int] | None:
    """Equal as long as the same folder lies there; a disk that is mounted, or not any more, changes it.

    Of a file only that there is one, since programs replace what they save; None when nothing is there.
    """
    path = path_of(spec)
    try:
        status = os.stat(path) if path else None
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if status and S_ISDIR(status.st_mode) else (0, 0)


def absent_place(spec: str) -> tuple[str, str] | None:
    """Where a source was that is not there, and the topmost folder or file that is gone: of a disk, or moved."""
    path = top = path_of(spec)
    if path is None or top is None or os.path.lexists(path):
        return None
    while not os.path.lexists(top.parent):
        top = top.parent
    return path.as_posix(), top.as_posix()


def is_emptied(spec: str) -> bool:
    """Whether a source is a folder with nothing in it, as a disk is that is not mounted."""
    path = path_of(spec)
    try:
        if path is None or not path.is_dir():
            return False
        with os.scandir(path) as entries:
            return next(entries, None) is None
    except OSError:
        return False


def known_as(spec: str, known: Iterable[str]) -> str:
    """How a gallery spells a source: the same folder or file may be written in many ways.

    Relative, with ``~``, a slash at its end, through a link, in other letters on a disk that does not mind.
    """
    spec, known = meant(spec), list(known)
    if store_tree.is_address(spec):
        return addresses.remembered(spec)
    if spec in known:
        return spec
    if re.match(r"[a-z0-9-]{2,}:", spec):
        with contextlib.suppress(SourceError):  # what is not there any more is as it was written
            return open_source(spec).spec
        return spec
    path = typed(spec)
    spellings = [str(path)]
    with contextlib.suppress(OSError, ValueError):  # what no path can be is no source's
        spellings.append(str(path.resolve()))
    return next((other for other in known if other in spellings or _is_same(path, path_of(other))), spec)


def typed(path: str) -> Path:
    """A path as somebody types it, absolute; links in it are left, since they may lead elsewhere by now."""
    return Path(os.path.abspath(os.path.expanduser(meant(path))))


def _is_same(path: Path, other: Path | None) -> bool:
    """The same folder, or the same file in the same folder: a file may have several names, each a place of its own."""
    try:
        if other is None or not os.path.samefile(path, other):
            return False
        return path.is_dir() or (path.name.casefold() == other.name.casefold() and _is_same(path.parent, other.parent))
    except (OSError, ValueError):
        return False


def relocated(text: str, old: str, new: str) -> str | None:
    """A uri or spec at or below the place ``old`` as it is called when that lies at ``new``; None for any other.

    What lies in archives, or was cut from files, goes from disk to disk only.
    """
    far = store_tree.is_address(old) or store_tree.is_address(new)
    place = re.escape(old) if old.startswith("/") or far else r"[/\\]".join(map(re.escape, re.split(r"[/\\]", old)))
    match = re.match(rf"({_OF_FILES}){place}", text)  # Windows writes either
    if not match or (far and match[1]):
        return None
    rest = text[match.end() :]
    if rest and not re.match("/" if far else _below(match[1], old, new), rest):
        return None  # of a longer name
    return f"{match[1]}{new}{addresses.requoted(rest, old, new)}"


def _below(kind: str, old: str, new: str) -> str:
    """What may follow the place ``old`` in a uri or spec of this kind."""
    own = {"zip:": "(?!)" if os.path.isdir(new) else "!", "m4d:": r"\?"}.get(kind, _PART)
    return f"/|{own}" if old.startswith("/") else rf"[/\\]|{own}"
