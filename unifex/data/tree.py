"""One reading of a tree of files, whatever holds it: a folder, an archive, a store.

A :class:`Tree` only says what lies in it. What is hidden, what a system keeps for itself, what was excluded, what is no
image and what the layout says of the rest is settled here, so that a folder and the zip of it give the same items and
the same refusals.
"""

from __future__ import annotations

import posixpath
import unicodedata
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache, partial
from pathlib import Path
from typing import BinaryIO, Literal, Protocol

from unifex.core import images
from unifex.core.language import say, to_say
from unifex.core.text import printable
from unifex.data import video
from unifex.data.frame_names import EXTENSIONS, is_video
from unifex.data.item import Item, Labels, Options, Skipped, Unread, labels_from_layout
from unifex.data.splits import is_folder_of_split, is_split, taken_as
from unifex.data.video import Video

MANIFEST_NAME = "manifest.csv"
GALLERY_FILES = ("gallery.json", "items.sqlite")  # a folder with both is a gallery
EXPORT_MARK = ".unifex-export.json"  # in a folder that an export made, and of which nothing is to be told
ARCHIVES = frozenset(".zip .tar .gz .tgz .7z .rar .bz2 .tbz2 .xz .txz .zst .lz .lzma .cab .iso .cbz .cbr .cb7".split())
TABLES = frozenset((".csv", ".tsv"))
LABEL_FILES = frozenset((".json", ".jsonl"))  # of other tools, which say what images are
HEAD = 32  # bytes that tell what a file is
MOST_ON_A_WAY = 4096  # folders, which is more than a path on a disk can name
RAW = {
    ".dng": "Adobe DNG", ".nef": "Nikon NEF", ".nrw": "Nikon NRW", ".cr2": "Canon CR2", ".cr3": "Canon CR3",
    ".crw": "Canon CRW", ".arw": "Sony ARW", ".srf": "Sony SRF", ".sr2": "Sony SR2", ".orf": "Olympus ORF",
    ".ori": "Olympus ORI", ".rw2": "Panasonic RW2", ".raf": "Fujifilm RAF", ".pef": "Pentax PEF",
    ".srw": "Samsung SRW", ".x3f": "Sigma X3F", ".3fr": "Hasselblad 3FR", ".fff": "Hasselblad FFF",
    ".iiq": "Phase One IIQ", ".rwl": "Leica RWL", ".mrw": "Minolta MRW", ".dcr": "Kodak DCR", ".kdc": "Kodak KDC",
    ".erf": "Epson ERF", ".mef": "Mamiya MEF", ".mos": "Leaf MOS", ".gpr": "GoPro GPR",
}  # fmt: skip
SERVICE = {  # by name in small letters: what systems keep for themselves among people's files
    "@eadir": to_say("thumbnails of a Synology disk"),
    "@tmp": to_say("scratch files of a Synology disk"),
    "#recycle": to_say("bin of a Synology disk"),
    "#snapshot": to_say("snapshots of a Synology disk"),
    "@recycle": to_say("bin of a QNAP disk"),
    "@recently-snapshot": to_say("snapshots of a QNAP disk"),
    ".@__thumb": to_say("thumbnails of a QNAP disk"),
    "$recycle.bin": to_say("bin of Windows"),
    "recycler": to_say("bin of Windows"),
    "recycled": to_say("bin of Windows"),
    "system volume information": to_say("notes of Windows"),
    "found.000": to_say("fragments that a disk check of Windows found"),
    "thumbs.db": to_say("thumbnails of Windows"),
    "ehthumbs.db": to_say("thumbnails of Windows"),
    "desktop.ini": to_say("notes of Windows"),
    "__macosx": to_say("notes of macOS"),
    "network trash folder": to_say("bin of macOS"),
    "temporary items": to_say("scratch files of macOS"),
    ".ds_store": to_say("notes of macOS"),
    "~snapshot": to_say("snapshots of a file server"),
    "lost+found": to_say("fragments that a disk check found"),
    ".git": to_say("history of git"),
    ".thumbnails": to_say("thumbnails of a desktop"),
}
_SERVICE_STARTS = {"._": to_say("notes of macOS"), ".trash": to_say("bin of a desktop")}
_HIDDEN = to_say("hidden file or folder")

Kind = Literal["file", "folder", "link", "other"]


@dataclass(frozen=True, slots=True)
class Node:
    """Something in a tree. ``path``: with ``/``, as the tree names it (bytes that are no UTF-8 are surrogates).

    ``refusal``: why the tree cannot give its content; ``unread``: and what may lie below it is not known.
    """

    path: str
    kind: Kind = "file"
    refusal: str = ""
    unread: bool = False


class Tree(Protocol):
    """Something that holds files. ``confined``: a manifest in it may name nothing outside, for this reason;
    ``requests``: how many of its files are looked at and read at once, more than one where each is waited for."""

    confined: str
    requests: int

    def nodes(self, enter: Callable[[str], bool]) -> Iterator[Node]:
        """Everything in it by path, folder by folder; of folders only those that ``enter`` wants not looked into."""
        ...

    def find(self, path: str) -> Node | None:
        """What lies at a path, in whichever Unicode form its name is written."""
        ...

    def open(self, node: Node) -> BinaryIO:
        """The content of a file, to be read. Raises OSError or ``ImageError``."""
        ...

    def item(self, node: Node, labels: Labels, notes: tuple[str, ...] = ()) -> Item:
        """The item of a file. Raises OSError when it went."""
        ...

    def layout(self, path: str) -> str:
        """The path as far as it gives labels."""
        ...

    def place(self, node: Node) -> Path | None:
        """Where a file lies on this computer and stays, by itself; None where it does not."""
        ...


class TreeImages:
    """All images in a tree; the layout gives the labels."""

    by_layout = True  # labels are folder names: a part of the tree knows less of them than the whole

    def __init__(self, tree: Tree, spec: str, options: Options):
        self.tree, self.spec, self.options = tree, spec, options
        self.requests = tree.requests

    def count(self) -> int:
        """How many items and refusals there will be; of a video, the frames that are wanted of it."""
        return sum(self._items_of(node) for node in walk(self.tree, self.options.exclude))

    def _items_of(self, node: Node | Skipped) -> int:
        place = None if isinstance(node, Skipped) or not is_video(node.path) else self.tree.place(node)
        return video.expected(place, self.options.frames) if place else 1

    def __iter__(self) -> Iterator[Item | Skipped]:
        """Videos are refused: :meth:`entries` has them."""
        return video.refused(self.entries())

    def entries(self) -> Iterator[video.Entry]:
        """What is in it, its videos as they are, for :func:`unifex.data.video.unfolded`."""
        found = walk(self.tree, self.options.exclude)
        look = partial(self._look_at, split_level(self.tree, self.options.exclude))
        return map(look, found) if self.requests == 1 else self._look_ahead(look, found)

    def _look_ahead(
        self, look: Callable[[Node | Skipped], video.Entry], found: Iterator[Node | Skipped]
    ) -> Iterator[video.Entry]:
        """Several at once, in their order."""
        waiting: deque[Future[video.Entry]] = deque()
        pool = ThreadPoolExecutor(self.requests, thread_name_prefix="unifex-look")
        try:
            for node in found:
                waiting.append(pool.submit(look, node))
                if len(waiting) >= self.requests:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _look_at(self, level: int | None, node: Node | Skipped) -> video.Entry:
        if isinstance(node, Skipped):
            return node
        try:
            if reason := refusal(self.tree, node):
                return (Unread if node.unread else Skipped)(printable(node.path), reason)
            path = self.tree.layout(printable(node.path))
            labels = labels_from_layout(path, level)
            told = taken_as(path.split("/")[level], labels.split) if level is not None and labels.split else ()
            if is_video(node.path) and (place := self.tree.place(node)):
                return Video.of(place, printable(node.path), labels, self.options.frames)
            return self.tree.item(node, labels, (*told, *notes(node.path)))
        except (OSError, images.ImageError) as error:
            reason = getattr(error, "strerror", None) or error
            return Unread(printable(node.path), say("cannot be read ({reason})", reason=reason))


class SkippedByReason:
    """What is passed over, gathered: one refusal for each reason, however often it holds."""

    def __init__(self) -> None:
        self._paths: dict[str, list[str]] = {}

    def add(self, path: str, reason: str) -> None:
        """One more. What lies in one folder comes one after the other, and counts as the folder."""
        if posixpath.basename(path) == EXPORT_MARK:
            return
        paths = self._paths.setdefault(reason, [])
        if not paths or paths[-1] != path:
            paths.append(path)

    def refusals(self) -> Iterator[Skipped]:
        """The first of each kind, and how many there are."""
        for reason, paths in self._paths.items():
            if len(paths) > 1:
                told = say("skipped: {reason} ({count:,} of them)", reason=reason, count=len(paths))
            else:
                told = say("skipped: {reason}", reason=reason)
            yield Skipped(printable(paths[0]), told)


def walk(tree: Tree, exclude: Sequence[str] = ()) -> Iterator[Node | Skipped]:
    """Everything in a tree that no system keeps for itself and nobody has excluded; what was passed over comes last."""
    way, skipped = Way(exclude, tree.find), SkippedByReason()
    for node in tree.nodes(lambda folder: not way.passed_over(folder)):
        if found := way.passed_over(node.path):
            skipped.add(*found)
        else:
            yield node
    yield from skipped.refusals()


class Way:
    """Whether something is passed over, itself or by a folder on the way to it, which neighbours share.

    ``find``: what lies at a path, so that galleries are known, whose thumbnails are nobody's pictures.
    """

    def __init__(self, exclude: Sequence[str], find: Callable[[str], Node | None] = lambda path: None):
        self.exclude, self._find = exclude, find
        self._is_gallery = lru_cache(maxsize=MOST_ON_A_WAY)(self._has_gallery_files)
        self._folder = ""
        self._found: tuple[str, str] | None = None

    def passed_over(self, path: str) -> tuple[str, str] | None:
        """What it is passed over for, that path or a folder above it, and the reason."""
        folder = posixpath.dirname(path)
        if folder != self._folder:
            self._folder = folder
            ends = [place for place, letter in enumerate(folder) if letter == "/"]
            ways = (folder[:end] for end in (*ends, len(folder)))
            self._found = next((found for way in ways if (found := self._folder_on_the_way(way))), None)
        return self._found or self._own(path)

    def _own(self, path: str) -> tuple[str, str] | None:
        reason = service(posixpath.basename(path)) or excluded_by(path, self.exclude)
        return (path, reason) if reason else None

    def _folder_on_the_way(self, folder: str) -> tuple[str, str] | None:
        if found := self._own(folder):
            return found
        return (folder, say("a gallery of UniFEx, not images")) if self._is_gallery(folder) else None

    def _has_gallery_files(self, folder: str) -> bool:
        return all(self._find(f"{folder}/{name}") for name in GALLERY_FILES)


def excluded_by(path: str, globs: Sequence[str]) -> str:
    """The reason, when a glob says that a path is not wanted; else empty. A glob without ``/`` means any name."""
    path = unicodedata.normalize("NFC", path)
    for glob in globs:
        pattern = unicodedata.normalize("NFC", glob).replace("\\", "/").removeprefix("**/").rstrip("/")
        whole = "/" in pattern
        if pattern and fnmatchcase(path if whole else posixpath.basename(path), pattern.removeprefix("/")):
            return say("excluded by '{glob}'", glob=printable(glob))
    return ""


def service(name: str) -> str:
    """What a system keeps under this file or folder name; empty for what is the user's."""
    small = name.casefold()
    if small in SERVICE:
        return say(SERVICE[small])
    if not small.startswith(".") or small == "..":
        return ""
    return say(next((what for start, what in _SERVICE_STARTS.items() if small.startswith(start)), _HIDDEN))


def is_service(path: str) -> bool:
    """Whether a path is hidden or a system's, itself or by a folder on the way to it."""
    return any(map(service, path.split("/")))


def split_level(tree: Tree, exclude: Sequence[str] = ()) -> int | None:
    """Which of the folders above its images are those of splits: the first (``train/cat/1.jpg``), the second
    (``pets/train/cat/1.jpg``), or None. They are where all with images are called so, and two or more are there."""
    way = Way(exclude, tree.find)
    names: dict[int, set[str]] = {0: set(), 1: set()}  # of the levels that it may be

    def enter(folder: str) -> bool:
        parts = folder.split("/")
        known = all(len(parts) > level and is_folder_of_split(parts[level]) for level in names)
        return not known and not way.passed_over(folder)

    for node in tree.nodes(enter):
        if node.kind == "file" and "/" not in node.path:
            continue
        path = tree.layout(printable(node.path))
        folders = path.split("/") if node.kind == "folder" else path.split("/")[:-1]
        deep = [level for level in names if len(folders) > level]
        if not deep or way.passed_over(node.path):
            continue
        for level in deep:
            if is_folder_of_split(folders[level]):
                names[level].add(folders[level])
            elif node.kind == "file" and _may_be_image(path):
                del names[level]
        if not names:
            return None
    return next((level for level, called in names.items() if len(called) > 1 and any(map(is_split, called))), None)


def _may_be_image(path: str) -> bool:
    return posixpath.splitext(path)[1].lower() in images.EXTENSIONS | RAW.keys() | EXTENSIONS


def refusal(tree: Tree, node: Node) -> str:
    """Why something that is not passed over is no image of the source; empty when it may be one.

    Raises OSError or ``ImageError`` when its first bytes cannot be read.
    """
    if node.refusal:
        return node.refusal
    suffix = posixpath.splitext(node.path)[1].lower()
    if suffix in images.EXTENSIONS or suffix in RAW:
        return ""
    if suffix in EXTENSIONS:
        return "" if tree.place(node) else say(video.ELSEWHERE)
    if suffix in ARCHIVES:
        return say("archive inside the source; unpack it first")
    if suffix in TABLES:
        return say("a table; called {name}, at the top, it would give the labels", name=MANIFEST_NAME)
    if suffix in LABEL_FILES:
        return say("not an image")
    with tree.open(node) as file:
        return "" if images.looks_like_image(file.read(HEAD)) else say("not an image")


def camera(path: str) -> str:
    """Whose raw file it is by its name; empty for any other."""
    return RAW.get(posixpath.splitext(path)[1].lower(), "")


def notes(path: str) -> tuple[str, ...]:
    """What the report must say of an image with this name."""
    whose = camera(path)
    return (say("camera raw file ({camera}): only the preview in it is used", camera=whose),) if whose else ()


def top_folder(paths: Iterable[str]) -> str:
    """The one folder that holds every file, but for what an archiver adds; empty when there is none."""
    tops = {path.partition("/")[0] if "/" in path else "" for path in paths if not _is_added(path)}
    return tops.pop() if len(tops) == 1 else ""


def _is_added(path: str) -> bool:
    """By an archiver or a file manager: on a disk of its own, other service folders say that its top is the top."""
    return any(part.startswith(".") or part == "__MACOSX" for part in path.split("/"))
