"""Files below a folder as a tree: links followed when asked to, and never in circles; names that are not UTF-8."""

from __future__ import annotations

import os
import shlex
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import BinaryIO

from unifex.core import images
from unifex.core.language import say, to_say
from unifex.core.text import printable
from unifex.data import video
from unifex.data.frame_names import EXTENSIONS, is_video
from unifex.data.item import Item, Labels, Options, Skipped, Source, SourceError, SourceKind
from unifex.data.manifest import Manifest
from unifex.data.sidecars import ANNOTATIONS, open_label_file, open_tree
from unifex.data.tree import GALLERY_FILES, LABEL_FILES, RAW, TABLES, Node, is_service, notes
from unifex.data.video import Video

LINK = to_say("symbolic link, not followed unless that is asked for")


class FolderTree:
    """The files below ``root``. With ``keep`` nothing outside of it may be named."""

    requests = 1

    def __init__(self, root: Path, options: Options):
        self.root, self.options = root, options
        self.confined = to_say("path leaves the uploaded folder") if options.keep else ""
        self._names = lru_cache(maxsize=64)(self._composed_names)

    def top(self) -> str:
        """The folder that is all there is at the root; empty when there is more, or no folder."""
        try:
            with os.scandir(self.root) as found:
                entries = [entry for entry in found if not is_service(entry.name)]
        except OSError as error:
            raise SourceError(
                say("folder '{root}' cannot be read ({strerror})", root=self.root, strerror=error.strerror)
            ) from error
        return entries[0].name if len(entries) == 1 and entries[0].is_dir(follow_symlinks=False) else ""

    def nodes(self, enter: Callable[[str], bool]) -> Iterator[Node]:
        """See :class:`unifex.data.tree.Tree`. What links to folders lead to comes last, each folder once."""
        try:
            seen = {_identity(self.root)}
            waiting, linked = self._entries("")
        except OSError as error:
            raise SourceError(
                say("folder '{root}' cannot be read ({strerror})", root=self.root, strerror=error.strerror)
            ) from error
        # a stack: folders can lie deeper in each other than functions can
        while waiting or linked:
            node = waiting.pop() if waiting else linked.pop()
            if node.kind != "folder" or not enter(node.path):
                yield node
                continue
            try:
                identity = _identity(self.root / node.path)
                if identity in seen:
                    yield replace(node, refusal=say("leads to a folder that was read already"))
                    continue
                seen.add(identity)
                inside, links = self._entries(node.path)
            except OSError:
                yield replace(node, refusal=say("folder that cannot be read"), unread=True)
                continue
            waiting += inside
            linked[:0] = links

    def _entries(self, folder: str) -> tuple[list[Node], list[Node]]:
        """What lies in a folder, and the links to folders in it that are to be followed; by name, the first last."""
        with os.scandir(self.root / folder) as found:
            entries = sorted(found, key=lambda entry: entry.name, reverse=True)
        inside: list[Node] = []
        linked: list[Node] = []
        for entry in entries:
            node = self._node(entry, f"{folder}/{entry.name}" if folder else entry.name)
            (linked if node.kind == "folder" and entry.is_symlink() else inside).append(node)
        return inside, linked

    def _node(self, entry: os.DirEntry[str] | Path, path: str) -> Node:
        if entry.is_symlink() and not self.options.follow_links:
            return Node(path, "link", say(LINK))
        try:
            if entry.is_file():
                return Node(path)
            if entry.is_dir():
                return Node(path, "folder")
        except OSError as error:  # a link in a circle
            return Node(path, "other", say("cannot be read ({reason})", reason=error.strerror), unread=True)
        why = say("symbolic link that leads nowhere") if entry.is_symlink() else say("not a regular file")
        return Node(path, "other", why)

    def find(self, path: str) -> Node | None:
        """See :class:`unifex.data.tree.Tree`; an absolute path is one of this computer."""
        place = self._on_disk(self._canonical(path))
        return None if place is None else self._node(self.root / place, place)

    def _canonical(self, path: str) -> str:
        """Relative where it lies below the root, absolute where it does not: one file is named in one way."""
        if not path.startswith(("/", "../")):
            return path
        whole = Path(os.path.normpath(self.root / path))
        whole = whole.parent.resolve() / whole.name
        return str(whole.relative_to(self.root) if whole.is_relative_to(self.root) else whole)

    def _on_disk(self, path: str) -> str | None:
        """The path as its names are written on disk: in another Unicode form perhaps, each name in its own."""
        if os.path.lexists(self.root / path):
            return path
        if path.isascii():
            return None
        here = Path(path).anchor
        for name in Path(path).relative_to(here).parts:
            below = os.path.join(here, name)
            if not os.path.lexists(self.root / below):
                if name.isascii():
                    return None
                written = self._names(here).get(unicodedata.normalize("NFC", name))
                if written is None:
                    return None
                below = os.path.join(here, written)
            here = below
        return here

    def _composed_names(self, folder: str) -> dict[str, str]:
        try:
            return {unicodedata.normalize("NFC", name): name for name in os.listdir(self.root / folder)}
        except OSError:
            return {}

    def open(self, node: Node) -> BinaryIO:
        """See :class:`unifex.data.tree.Tree`."""
        return (self.root / node.path).open("rb")

    def item(self, node: Node, labels: Labels, notes: tuple[str, ...] = ()) -> Item:
        """See :class:`unifex.data.tree.Tree`."""
        path = self.root / node.path
        return file_item(path, printable(node.path), self.options.keep, labels, notes)

    def layout(self, path: str) -> str:
        """See :class:`unifex.data.tree.Tree`."""
        return path

    def place(self, node: Node) -> Path | None:
        """See :class:`unifex.data.tree.Tree`; an upload's files do not stay."""
        return None if self.options.keep else self.root / node.path


def file_item(path: Path, shown: str, keep: bool, labels: Labels, notes: tuple[str, ...] = ()) -> Item:
    """The item of a file. Raises OSError when it is not there.

    A gallery keeps the bytes of one whose path is not UTF-8: its uri, as that of nothing else, is only a name.
    """
    status = path.stat()
    try:
        uri = path.as_posix()
        uri.encode()
    except UnicodeEncodeError:
        uri, keep = path.as_uri(), True
        told = say("its name is not UTF-8, so that nothing can name the file later: the gallery keeps a copy")
        notes = (*notes, told)
    stamp = f"{status.st_size}-{status.st_mtime_ns}"
    return Item(uri, shown, partial(_read_limited, path), labels, stamp, keep, notes)


def _read_limited(path: Path) -> bytes:
    if path.stat().st_size > images.MAX_BYTES:
        raise images.ImageError(say("larger than {most} MiB", most=images.MAX_BYTES // 2**20))
    return path.read_bytes()


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


class SingleImage:
    """One image file without a label."""

    def __init__(self, path: Path, options: Options):
        self.path, self.options = path.resolve(), options
        self.spec = str(self.path)

    def count(self) -> int:
        """One."""
        return 1

    def __iter__(self) -> Iterator[Item | Skipped]:
        yield file_item(self.path, printable(self.path.name), self.options.keep, Labels(), notes(self.path.name))


class SingleVideo:
    """One video file without a label."""

    def __init__(self, path: Path, options: Options):
        self.path, self.options = path.resolve(), options
        self.spec = str(self.path)

    def count(self) -> int:
        """About how many frames are wanted of it."""
        return video.expected(self.path, self.options.frames)

    def entries(self) -> Iterator[video.Entry]:
        """The video, for :func:`unifex.data.video.unfolded`."""
        name = printable(self.path.name)
        kept = self.options.keep
        yield Skipped(name, say(video.ELSEWHERE)) if kept else Video.of(self.path, name, Labels(), self.options.frames)

    def __iter__(self) -> Iterator[Item | Skipped]:
        return video.refused(self.entries())


def _open_file(spec: str, options: Options) -> Source:
    path = Path(spec)
    return SingleVideo(path, options) if is_video(path.name) else SingleImage(path, options)


def _open_folder(spec: str, options: Options) -> Source:
    """The images below a folder, or those that a ``manifest.csv`` or another tool's label file in it names.

    Such a file may also lie in the only folder that is in it, as archives unpack.
    """
    tree = FolderTree(Path(spec).resolve(), options)
    if all(tree.find(name) for name in GALLERY_FILES):
        raise SourceError(
            say(
                "'{root}' is a gallery, not images: start UniFEx with '{parent}' as its library to see it",
                root=tree.root,
                parent=tree.root.parent,
            ),
            command=f"--library {shlex.quote(str(tree.root.parent))}",
        )
    return open_tree(tree, str(tree.root), options, tree.top())


def _open_table(spec: str, options: Options) -> Source:
    path = Path(spec).resolve()
    return Manifest(FolderTree(path.parent, options), path.name, str(path), options)


def _open_labels(spec: str, options: Options) -> Source:
    path = Path(spec).resolve()
    root = path.parent.parent if path.parent.name == ANNOTATIONS else path.parent
    return open_label_file(FolderTree(root, options), path.relative_to(root).as_posix(), str(path), options)


FOLDER = SourceKind(
    to_say("a folder"),
    "folder",
    "A folder gives labels by its layout: domain/label/image, label/image, or images alone; train/, val/, test/ around "
    "or below the first of these folders are splits.",
    _open_folder,
    takes=Path.is_dir,
)
TABLE = SourceKind(
    to_say("a .csv"),
    ".csv (path,label[,domain,split])",
    "A CSV names images by paths relative to where it lies; further columns are kept with the images, and shown.",
    _open_table,
    takes=lambda path: path.suffix.lower() in TABLES,
)
LABELS = SourceKind(
    to_say("a .json or .jsonl of labels"),
    ".json, .jsonl",
    "A metadata.jsonl of the hub's ImageFolder, COCO's instances and FiftyOne's exports name images beside them.",
    _open_labels,
    takes=lambda path: path.suffix.lower() in LABEL_FILES,
)
IMAGE = SourceKind(
    to_say("an image"),
    "image",
    "One image has no label.",
    _open_file,
    takes=lambda path: path.suffix.lower() in images.EXTENSIONS | RAW.keys() | EXTENSIONS,
)
