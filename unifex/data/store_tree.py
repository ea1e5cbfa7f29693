"""A folder of a store as a source, read as a folder of this computer is: the same items, the same refusals."""

from __future__ import annotations

import io
import threading
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from unifex.core import images
from unifex.core.language import say, to_say
from unifex.core.text import printable
from unifex.data import stores
from unifex.data.addresses import remembered
from unifex.data.item import Item, Labels, Options, Source, SourceError, SourceKind
from unifex.data.manifest import Manifest
from unifex.data.sidecars import open_tree
from unifex.data.store_failures import StoreFailure
from unifex.data.stores import PREFIXES, Entry
from unifex.data.tree import HEAD, LABEL_FILES, TABLES, Node, TreeImages

MOST_SILENCES = 40  # files one after the other that no answer came for: the store is gone, not these files
UNKNOWN = "unknown-"  # begins a stamp that is another each time


class StoreTree:
    """The files below an address. ``entries``: what is there; ``read``: (entry, how many of the first bytes) -> them;
    ``address_of``: the library's name for a file -> what names it for good."""

    confined = to_say("path leaves the folder")
    requests = stores.REQUESTS

    def __init__(
        self,
        entries: Iterable[Entry],
        read: Callable[[Entry, int | None], bytes],
        address_of: Callable[[str], str],
    ):
        self._entries = {entry.node.path: entry for entry in entries}
        self._composed = {unicodedata.normalize("NFC", path): path for path in self._entries}
        self._read, self._address_of = read, address_of

    @property
    def unlisted(self) -> str:
        """Why a part of it could not be listed; empty when all of it was."""
        return next((e.node.refusal for e in self._entries.values() if e.node.unread), "")

    def stamps(self) -> dict[str, str]:
        """Address -> stamp of each file."""
        return {self._address_of(e.name): e.stamp for e in self._entries.values() if e.node.kind == "file"}

    def nodes(self, enter: Callable[[str], bool]) -> Iterator[Node]:
        """See :class:`unifex.data.tree.Tree`."""
        return (self._entries[path].node for path in sorted(self._entries, key=lambda path: path.split("/")))

    def find(self, path: str) -> Node | None:
        """See :class:`unifex.data.tree.Tree`."""
        name = path if path in self._entries else self._composed.get(unicodedata.normalize("NFC", path))
        return None if name is None else self._entries[name].node

    def open(self, node: Node) -> BinaryIO:
        """See :class:`unifex.data.tree.Tree`. Of an image, as all but tables and labels may be, the first bytes."""
        suffix = PurePosixPath(node.path).suffix.lower()
        return io.BytesIO(self._read(self._at(node), None if suffix in TABLES | LABEL_FILES else HEAD))

    def item(self, node: Node, labels: Labels, notes: tuple[str, ...] = ()) -> Item:
        """See :class:`unifex.data.tree.Tree`. A stamp that nothing is known of is another each time."""
        entry = self._at(node)
        stamp = entry.stamp or f"{UNKNOWN}{time.time_ns()}"
        read = partial(self._read_whole, entry)
        return Item(self._address_of(entry.name), printable(node.path), read, labels, stamp, notes=notes)

    def layout(self, path: str) -> str:
        """See :class:`unifex.data.tree.Tree`."""
        return path

    def place(self, node: Node) -> Path | None:
        """See :class:`unifex.data.tree.Tree`."""
        return None

    def _at(self, node: Node) -> Entry:
        return self._entries[node.path]

    def _read_whole(self, entry: Entry) -> bytes:
        if (entry.size or 0) > images.MAX_BYTES:
            raise images.ImageError(say("larger than {most} MiB", most=images.MAX_BYTES // 2**20))
        return self._read(entry, None)


class _Patient:
    """Reads what one source has, until the store is silent for too long.

    Raises :class:`StoreFailure`, and :class:`SourceError` when the whole store is gone.
    """

    def __init__(self, address: str, connection: stores.Connection):
        self.address, self.connection = address, connection
        self._silences = 0
        self._lock = threading.Lock()

    def __call__(self, entry: Entry, first: int | None) -> bytes:
        if self._silences >= MOST_SILENCES:
            raise SourceError.went(self.address)
        try:
            data = self.connection.read(entry.name, entry.size, first)
        except StoreFailure as failure:
            with self._lock:
                self._silences = self._silences + 1 if failure.silent else 0
            if self._silences >= MOST_SILENCES:
                raise SourceError.went(self.address) from None
            raise
        with self._lock:
            self._silences = 0
        return data


def is_address(text: str) -> bool:
    """Whether it is of a store, or of something in one."""
    return stores.store_of(text) is not None


def read(address: str) -> bytes:
    """The file at an address, for somebody who waits. Raises :class:`StoreFailure` and :class:`SourceError`."""
    connection = stores.reach(address)
    return connection.read_once(connection.store.name(address))


def stamps(address: str) -> dict[str, str] | None:
    """Address -> stamp of every file below an address; None when not all of it could be listed."""
    try:
        return list_stamps(address)
    except SourceError:
        return None


def list_stamps(address: str) -> dict[str, str]:
    """Address -> stamp of every file below an address. Raises :class:`SourceError` when not all could be listed."""
    address = remembered(address)
    tree = _reached(address)
    _check_whole(tree, address)
    return tree.stamps()


def _reached(address: str) -> StoreTree:
    try:
        return _listed(address)
    except StoreFailure as failure:
        shown = printable(address)
        raise SourceError(say("'{address}' cannot be read: {reason}", address=shown, reason=failure)) from None


def _check_whole(tree: StoreTree, address: str) -> None:
    if tree.unlisted:
        shown = printable(address)
        raise SourceError(say("'{address}' can be listed in part only: {reason}", address=shown, reason=tree.unlisted))


def _listed(address: str) -> StoreTree:
    """Raises :class:`SourceError` and :class:`StoreFailure`; nothing at all is no folder."""
    connection = stores.reach(address)
    entries = list(connection.list(address))
    if not entries:
        raise SourceError(
            say("'{address}' is empty, or cannot be seen with these credentials", address=printable(address))
        )
    return StoreTree(entries, _Patient(address, connection), connection.address_of)


def _open(spec: str, options: Options) -> Source:
    """The images below an address, or those that a ``manifest.csv`` there, or the .csv at the address, names."""
    address = remembered(spec)
    parent, _, name = address.rpartition("/")
    is_table = PurePosixPath(name).suffix.lower() in TABLES
    tree = _reached(parent if is_table else address)
    source = Manifest(tree, name, address, options) if is_table else open_tree(tree, address, options)
    if not isinstance(source, TreeImages):  # a row that is not found may be there
        _check_whole(tree, address)
    return source


STORE = SourceKind(
    to_say("the address of a store (s3://, webdav://, https://, ...)"),
    "s3://, gs://, hf://, webdav:// or https:// folder",
    "A folder of a store is read as one of this computer: S3, Google Cloud Storage, the hub's buckets and data sets, "
    "WebDAV, or a web server that lists its files (docs/stores.md).",
    _open,
    prefix=PREFIXES,
    has_files=True,
)
