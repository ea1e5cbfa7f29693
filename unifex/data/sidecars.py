"""A file at the top of a folder that says what its images are: our ``manifest.csv``, or a label file of another tool.

It is read unasked where it is called exactly as that tool calls it (:data:`NAMES`) and is of its form; ``--exclude
NAME`` leaves it alone. What other tools wrote never leads out of its folder.
"""

from __future__ import annotations

import contextlib
import json
import posixpath
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import cached_property, partial
from glob import escape
from typing import Any, BinaryIO

from unifex.core import images
from unifex.core.json_text import parse_json
from unifex.core.language import say, to_say
from unifex.core.text import printable, reason
from unifex.data.item import Item, Labels, Options, Skipped, Source, SourceError
from unifex.data.label_files import FORMATS, OWN, Described, Format, described_by_line
from unifex.data.listed import (
    NOT_FOUND,
    ListedFiles,
    OddRow,
    Said,
    bounded,
    checked,
    line_of,
    shortened,
    split_of,
    tags_of,
    unreadable,
)
from unifex.data.manifest import MAX_LINE, Manifest, NoPathColumn
from unifex.data.splits import is_folder_of_split, is_split
from unifex.data.tree import MANIFEST_NAME, RAW, Node, SkippedByReason, Tree, TreeImages, excluded_by, is_service, walk

ANNOTATIONS = "annotations"  # the folder beside COCO's images that its label files lie in
TABLE_NAME, LINES_NAME = "metadata.csv", "metadata.jsonl"  # of the hub's ImageFolder
ROBOFLOW_NAME = "_annotations.coco.json"
NAMES = (
    LINES_NAME, TABLE_NAME, "samples.json", "labels.json", "annotations.json", "instances.json",
    ROBOFLOW_NAME, f"{ANNOTATIONS}/instances_default.json",
)  # fmt: skip
OWN_COCO = f"{ANNOTATIONS}/instances_*.json"
OF_SPLITS = LINES_NAME, TABLE_NAME, ROBOFLOW_NAME  # of exports with a file in the folder of each split
OWN_MARK, HEAD = OWN.encode(), 1000  # what it says within its first bytes
MAX_BYTES, MAX_BYTES_OF_STRANGERS = 2**30, 8 * 2**20  # of a JSON file, which is held in memory
LEAVES = to_say("path leaves the folder")


class OtherFile(SourceError):
    """A file that is none of the label files that are read."""


def open_tree(tree: Tree, spec: str, options: Options, top: str = "") -> Source:
    """The images that a ``manifest.csv`` or a label file at the top of a tree names, or in its one ``top`` folder; else
    all of them."""
    folders = tuple(dict.fromkeys(("", top)))
    for folder in folders:
        name = posixpath.join(folder, MANIFEST_NAME)
        if _is_there(tree, name) and not excluded_by(name, options.exclude):
            return Manifest(tree, name, spec, options)
    for name in [posixpath.join(folder, name) for folder in folders for name in NAMES]:
        if _is_there(tree, name) and not excluded_by(name, options.exclude):
            with contextlib.suppress(OtherFile, NoPathColumn):
                return open_label_file(tree, name, spec, options)
    for base in folders:
        named = [(OWN_COCO, _own_coco(tree, base, options))]
        named += [(f"*/{name}", _in_splits(tree, base, options, name)) for name in OF_SPLITS]
        for pattern, names in named:
            with contextlib.suppress(OtherFile, NoPathColumn):
                if files := [_label_file(tree, name, spec, options, _split_around(name)) for name in names]:
                    return Unnamed(LabelFiles(files, posixpath.join(base, pattern)), tree, pattern)
    return TreeImages(tree, spec, options)


def may_label(name: str) -> bool:
    """Whether a file's name is one of those that are read unasked, whatever is in the file."""
    names = {MANIFEST_NAME, *map(posixpath.basename, NAMES)}
    return name.casefold() in names or fnmatchcase(name, posixpath.basename(OWN_COCO))


def _own_coco(tree: Tree, base: str, options: Options) -> list[str]:
    """The annotations that UniFEx wrote beside images, by name. Those of others may be of images that are elsewhere,
    and take more memory, or time on the way here, than a look at a folder should: who means them names them."""
    if tree.requests > 1:
        return []
    pattern = posixpath.join(escape(base), OWN_COCO)
    way = (base, posixpath.join(base, ANNOTATIONS))
    named = [node for node in tree.nodes(way.__contains__) if node.kind == "file" and fnmatchcase(node.path, pattern)]
    return sorted(node.path for node in named if not excluded_by(node.path, options.exclude) and _is_own(tree, node))


def _is_own(tree: Tree, node: Node) -> bool:
    with contextlib.suppress(OSError), tree.open(node) as file:
        return OWN_MARK in file.read(HEAD)
    return False


def _in_splits(tree: Tree, base: str, options: Options, name: str) -> list[str]:
    """The hub's ImageFolder with splits, or Roboflow's: a file in each of the folders, which are called as splits are.
    None where others, or pictures, lie beside them, of which the files do not tell. The first that does ends the
    look."""
    start, named = f"{base}/" if base else "", dict[str, str]()
    for node in tree.nodes(lambda folder: folder == base):
        if not node.path.startswith(start) or is_service(node.path) or excluded_by(node.path, options.exclude):
            continue
        folder, inside, _ = node.path[len(start) :].partition("/")
        if node.kind == "file" and not inside:
            if _is_image(node.path):
                return []
        elif folder not in named:
            named[folder] = f"{start}{folder}/{name}"
            if not is_folder_of_split(folder) or not _is_there(tree, named[folder]):
                return []
    return sorted(named.values())


def _split_around(name: str) -> str:
    """What the folder of a file is called, where that is as splits are."""
    folder = posixpath.basename(posixpath.dirname(name))
    return folder if is_split(folder) else ""


def _is_there(tree: Tree, name: str) -> bool:
    node = tree.find(name)
    return node is not None and node.kind == "file"


def _is_image(path: str) -> bool:
    return posixpath.splitext(path)[1].lower() in images.EXTENSIONS | RAW.keys()


def open_label_file(tree: Tree, name: str, spec: str, options: Options) -> Source:
    """The images that the label file ``name`` in a tree names. Raises :class:`SourceError`, which says what is wrong
    where, and :class:`OtherFile` for a file that is no such thing."""
    return Unnamed(_label_file(tree, name, spec, options), tree, name)


def _label_file(tree: Tree, name: str, spec: str, options: Options, split: str = "") -> Manifest | LabelFile:
    if name.endswith(".csv"):
        return Manifest(tree, name, spec, options, tree.confined or LEAVES, split)
    return LabelFile(tree, name, spec, options, split)


class Unnamed:
    """A list's images, and at the end how many files of its tree it does not name."""

    def __init__(self, listed: Manifest | LabelFile | LabelFiles, tree: Tree, name: str):
        self.listed, self.tree, self.name = listed, tree, name
        self.spec, self.options, self.requests = listed.spec, listed.options, tree.requests

    def count(self) -> int:
        """How many entries the list has."""
        return self.listed.count()

    def __iter__(self) -> Iterator[Item | Skipped]:
        named = set()
        for entry in self.listed:
            named.add(entry.path)
            yield entry
        left = SkippedByReason()
        for node in walk(self.tree, self.options.exclude):
            if not isinstance(node, Skipped) and _is_image(node.path) and printable(node.path) not in named:
                left.add(node.path, say("not named in {name}", name=posixpath.basename(self.name)))
        yield from left.refusals()


class LabelFiles:
    """Label files of one source that fit the pattern ``name``: an image is what the first says that names it."""

    def __init__(self, files: Sequence[Manifest | LabelFile], name: str):
        self.files, self.name = files, name
        self.spec, self.options = files[0].spec, files[0].options

    def count(self) -> int:
        """How many images they name."""
        return sum(file.count() for file in self.files)

    def __iter__(self) -> Iterator[Item | Skipped]:
        rows = (replace(said, where=f"{file.path}, {said.where}") for file in self.files for said in file.rows())
        yield from bounded(self.files[0].files.items(rows), self.options, self.name)


class LabelFile:
    """A .jsonl or .json of :data:`unifex.data.label_files.FORMATS`, at ``name`` in a tree. ``split``: of images of
    which it says none."""

    def __init__(self, tree: Tree, name: str, spec: str, options: Options, split: str = ""):
        self.tree, self.spec, self.options, self.path, self.split = tree, spec, options, name, split
        self.folder, self.name = posixpath.split(name)
        base = posixpath.dirname(self.folder) if posixpath.basename(self.folder) == ANNOTATIONS else self.folder
        self.files = ListedFiles(tree, base, options, tree.confined or LEAVES)
        found = tree.find(name)
        if found is None or found.refusal:
            raise unreadable(self.name, found.refusal if found else say("it went"))
        self._node = found
        self._read: Callable[[], Iterator[Described]] = (
            self._lines if name.endswith(".jsonl") else partial(self._entries, self._format)
        )
        if name.endswith(".jsonl"):
            self._check_first_line()

    def count(self) -> int:
        """How many images it names."""
        return sum(1 for _ in bounded(self._read(), self.options, self.name))

    def __iter__(self) -> Iterator[Item | Skipped]:
        yield from bounded(self.files.items(self.rows()), self.options, self.name)

    def rows(self) -> Iterator[Said]:
        """What it says of each."""
        for one in self._read():
            yield Said(one.where, (one.paths or ("",))[0], partial(self._node_of, one), partial(self._item, one))

    def _item(self, said: Described) -> Item:
        if said.problem:
            raise OddRow(said.problem)
        label, domain = checked(said.label, "label"), checked(said.domain, "domain")
        split, told = split_of(said.split or self.split)
        extra, cut = shortened(said.extra)
        tags, lost = tags_of(said.tags)
        path = self._path(said)
        item = self.files.item(path, Labels(label, domain, split, extra), (*said.notes, *told, *cut, *lost))
        return replace(item, tags=tags)

    def _node_of(self, said: Described) -> Node:
        return self.files.node(self._path(said))

    def _path(self, said: Described) -> str:
        """The first of the paths that is there, or the last."""
        paths = [path for one in said.paths if (path := self._stems.get(one) if said.by_stem else one)]
        for path in paths[:-1]:
            try:
                self.files.node(path)
                return path
            except OddRow as odd:
                if str(odd) != say(NOT_FOUND):
                    raise
        if not paths:
            raise OddRow(say(NOT_FOUND))
        return paths[-1]

    @cached_property
    def _stems(self) -> dict[str, str]:
        """The files below its folder, by their paths in that without the ending."""
        below = f"{self.files.folder}/" if self.files.folder else ""
        nodes = (node for node in walk(self.tree) if not isinstance(node, Skipped) and _is_image(node.path))
        paths = [node.path.removeprefix(below) for node in nodes if node.path.startswith(below)]
        return {posixpath.splitext(path)[0]: path for path in reversed(paths)}

    @cached_property
    def _document(self) -> Any:
        most = MAX_BYTES if self.options.max_rows is None else MAX_BYTES_OF_STRANGERS
        with self._open() as file:
            try:
                data = file.read(most + 1)
            except (OSError, images.ImageError) as error:
                raise unreadable(self.name, reason(error)) from error
        if len(data) > most:
            raise SourceError(say("'{name}' is larger than {most} MiB; split it", name=self.name, most=most // 2**20))
        try:
            return parse_json(data.decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            line = data[: error.start].count(b"\n") + 1
            raise self._broken(line_of(line), say("not UTF-8; save it as UTF-8")) from error
        except json.JSONDecodeError as error:
            raise self._broken(
                line_of(error.lineno), say("no JSON ({reason}); export it again", reason=error.msg)
            ) from error
        except ValueError as error:
            raise self._broken(line_of(1), say("JSON that no tool writes; export it again")) from error

    def _broken(self, where: str, why: str) -> SourceError:
        return SourceError(
            say(
                "'{name}', {where}: {why}; --exclude {name} reads the folder without it",
                name=self.name,
                where=where,
                why=why,
            )
        )

    def _open(self) -> BinaryIO:
        try:
            return self.tree.open(self._node)
        except (OSError, images.ImageError) as error:
            raise unreadable(self.name, reason(error)) from error

    @cached_property
    def _format(self) -> Format:
        for kind in FORMATS:
            if kind.takes(self._document):
                return kind
        known = ", ".join(kind.name for kind in FORMATS)
        raise OtherFile(
            say(
                "'{name}' is none of the label files that are read: {known}, or a metadata.jsonl",
                name=self.name,
                known=known,
            )
        )

    def _entries(self, kind: Format) -> Iterator[Described]:
        return kind.read(self._document, posixpath.splitext(self.name)[0])

    def _check_first_line(self) -> None:
        first = next(self._lines(), None)
        if first and not first.is_json:
            raise self._broken(first.where, first.problem)
        if first and first.problem:
            raise OtherFile(f"'{self.name}', {first.where}: {first.problem}")

    def _lines(self) -> Iterator[Described]:
        with self._open() as file:
            for number, line in enumerate(iter(partial(file.readline, MAX_LINE), b""), start=1):
                if len(line) == MAX_LINE:
                    raise self._broken(line_of(number), say("longer than 1 MiB; write one object a line"))
                if line.strip():
                    yield described_by_line(line_of(number), line)
