"""A zip archive as a tree, read in place: nothing is unpacked to disk, so nothing can escape."""

from __future__ import annotations

import contextlib
import io
import stat
import struct
import unicodedata
import weakref
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import cached_property, partial
from pathlib import Path
from typing import BinaryIO

from unifex.core import images
from unifex.core.files import leaves
from unifex.core.language import say, to_say
from unifex.core.text import command, printable, reason
from unifex.data.item import Item, Labels, Options, Source, SourceError, SourceKind
from unifex.data.sidecars import open_tree
from unifex.data.tree import ARCHIVES, RAW, Node, is_service, top_folder

BUNDLE_CONTENTS = "bundle.json"  # in an archive: it is a packed gallery
MAX_ENTRIES = 2_000_000
MAX_UNPACKED = 500 * 2**30
MAX_COMPRESSION = 200  # no photograph compresses 200-fold; a bomb does
_LISTED, _LISTED_BYTES, _LISTED_LENGTHS = b"PK\1\2", 46, 28  # an entry in an archive's directory, without its texts
UTF8_FLAG = 0x800
ENCRYPTED_FLAG = 1
UNICODE_PATH = 0x7075  # Info-ZIP's extra field: the name in UTF-8, beside one that anything may have written
GUESSED = to_say("the archive does not say how its names are written: they were taken for cp437")


def _open(spec: str, options: Options) -> Source:
    """The images of an archive, or those that a ``manifest.csv`` at its top, or in its one top folder, names."""
    path = Path(spec)
    if not zipfile.is_zipfile(path):
        name = printable(path.name)
        raise SourceError(
            say("'{name}' is not a zip archive that can be read; unpack it and give the folder", name=name)
        )
    archive = Archive(path, MAX_ENTRIES if options.max_rows is None else options.max_rows)
    return open_tree(archive, archive.spec, options, archive.top)


ARCHIVE = SourceKind(
    to_say("a .zip"),
    ".zip",
    "A .zip is read in place, as the folder that was packed.",
    _open,
    takes=lambda path: path.suffix.lower() in ARCHIVES or zipfile.is_zipfile(path),
)


def _is_image(name: str) -> bool:
    return Path(name).suffix.lower() in images.EXTENSIONS | RAW.keys() and not is_service(name)


class Archive:
    """The files of a zip archive, under the names that their folder had when it was packed."""

    confined = to_say("path leaves the archive")
    requests = 1

    def __init__(self, path: Path, most: int = MAX_ENTRIES):
        self.path = path.resolve()
        self.spec = str(self.path)
        shown = printable(path.name)
        try:
            self._zip = _opened(self.path, most)
            infos = self._zip.infolist()
        except _TooMany as error:
            raise SourceError(say("'{shown}' has more than {most:,} entries", shown=shown, most=most)) from error
        except UnicodeDecodeError as error:
            raise SourceError(
                say("'{shown}' says that its names are UTF-8, and they are not; pack it again", shown=shown)
            ) from error
        except (OSError, zipfile.BadZipFile, NotImplementedError, ValueError) as error:
            raise SourceError(
                say("'{shown}' is a damaged zip archive ({reason})", shown=shown, reason=reason(error))
            ) from error
        if any(info.filename == BUNDLE_CONTENTS for info in infos):
            raise SourceError(
                say("'{shown}' is a packed gallery, not images: unpack it, by itself", shown=shown),
                command=command("unpack", str(path)),
            )
        if sum(info.file_size for info in infos) > MAX_UNPACKED:
            raise SourceError(
                say(
                    "'{shown}' would unpack to more than {most} GiB",
                    shown=shown,
                    most=MAX_UNPACKED // 2**30,
                )
            )
        named = [(name_of(info), info) for info in infos]
        self._entries = sorted(
            ((name, info) for name, info in named if not name.endswith("/")), key=lambda entry: entry[0].split("/")
        )
        self._infos = dict(reversed(self._entries))  # of equal names, the first

    @cached_property
    def top(self) -> str:
        """The one folder that holds everything: it is the folder that was packed. Empty when there is none."""
        return top_folder(self._infos)

    @cached_property
    def _root(self) -> str:
        """What is taken off paths before they give labels.

        A top folder with nothing but folders of images in it is their domain, as in any layout.
        """
        depths = {name.count("/") for name in self._infos if _is_image(name)}
        return f"{printable(self.top)}/" if self.top and depths != {2} else ""

    def layout(self, path: str) -> str:
        """See :class:`unifex.data.tree.Tree`."""
        return path.removeprefix(self._root)

    def place(self, node: Node) -> Path | None:
        """See :class:`unifex.data.tree.Tree`."""
        return None

    def nodes(self, enter: Callable[[str], bool]) -> Iterator[Node]:
        """See :class:`unifex.data.tree.Tree`."""
        for name, info in self._entries:
            again = self._infos[name] is not info
            yield Node(name, refusal=say("the same name twice in the archive") if again else _refuse(name, info))

    @cached_property
    def _composed(self) -> dict[str, str]:
        return {unicodedata.normalize("NFC", name): name for name in self._infos}

    def find(self, path: str) -> Node | None:
        """See :class:`unifex.data.tree.Tree`."""
        name = path if path in self._infos else self._composed.get(unicodedata.normalize("NFC", path))
        return None if name is None else Node(name, refusal=_refuse(name, self._infos[name]))

    def open(self, node: Node) -> BinaryIO:
        """See :class:`unifex.data.tree.Tree`."""
        return io.BufferedReader(_Entry(self._zip, self._infos[node.path]))

    def item(self, node: Node, labels: Labels, notes: tuple[str, ...] = ()) -> Item:
        """See :class:`unifex.data.tree.Tree`."""
        info = self._infos[node.path]
        return Item(
            uri=f"zip:{self.path.as_posix()}!{node.path}",
            path=printable(node.path),
            read=partial(self._read, node),
            labels=labels,
            stamp=f"{info.file_size}-{info.CRC:08x}",
            keep=True,
            notes=notes + ((say(GUESSED),) if _is_guessed(info) else ()),
        )

    def _read(self, node: Node) -> bytes:
        with self.open(node) as file:
            return file.read(images.MAX_BYTES + 1)  # the header's size may lie; this bound does not


class _TooMany(Exception):
    """An archive has more entries than are read."""


class _Counted(io.BufferedReader):
    """The file of an archive, whose directory is counted before it becomes a list in memory: what the archive says of
    their number may be wrong. The directory is read at once."""

    def __init__(self, path: Path, most: int):
        super().__init__(io.FileIO(path))
        self._most = most

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        at = count = 0
        while data.startswith(_LISTED, at) and at + _LISTED_BYTES <= len(data):
            count += 1
            if count > self._most:
                raise _TooMany
            at += _LISTED_BYTES + sum(struct.unpack_from("<3H", data, at + _LISTED_LENGTHS))
        return data


def _opened(path: Path, most: int) -> zipfile.ZipFile:
    """Its file is closed with the last that reads from it, and at once where it is none that can be read."""
    with contextlib.ExitStack() as until_read:
        archive = zipfile.ZipFile(until_read.enter_context(_Counted(path, most)))
        weakref.finalize(archive, until_read.pop_all().close)
    return archive


class _Entry(io.RawIOBase):
    """A file in an archive, to be read; whatever is wrong with it is an ``ImageError``: each method has its own."""

    def __init__(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo):
        with _damage():
            self._file = archive.open(info)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:
        with _damage():
            data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._file.close()


@contextlib.contextmanager
def _damage() -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise images.ImageError(say("damaged in the archive ({reason})", reason=reason(error))) from error
    except Exception as error:  # zlib, lzma and bz2 each raise their own
        raise images.ImageError(say("damaged in the archive ({kind})", kind=type(error).__name__)) from error


def name_of(info: zipfile.ZipInfo) -> str:
    """The name of an entry: what it says is Unicode, else what is UTF-8, else cp437, which the format falls back on.

    Separators are ``/``, doubled ones and ``.`` are gone; a folder's name ends with ``/``.
    """
    name = info.filename if info.flag_bits & UTF8_FLAG else _unflagged_name(info)
    name = name.replace("\\", "/")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    return ("/" if name.startswith("/") else "") + "/".join(parts) + ("/" if name.endswith("/") else "")


def _unflagged_name(info: zipfile.ZipInfo) -> str:
    plain = _plain_name(info)
    if plain.isascii() and not info.extra:
        return plain
    for name in filter(None, (_unicode_path(info), plain.encode("cp437"))):
        with contextlib.suppress(UnicodeDecodeError):
            return name.decode()
    return plain


def _plain_name(info: zipfile.ZipInfo) -> str:
    """As it is written, taken for cp437: from Python 3.12 on ``filename`` may be of the extra field."""
    return info.orig_filename.partition("\0")[0]


def _unicode_path(info: zipfile.ZipInfo) -> bytes:
    """The name in Info-ZIP's extra field; empty when there is none, or it is of a name that was changed since."""
    extra = info.extra
    while len(extra) >= 4:
        kind, size = struct.unpack_from("<HH", extra)
        field, extra = extra[4 : 4 + size], extra[4 + size :]
        if kind == UNICODE_PATH and len(field) > 5 and field[0] == 1:
            checksum = zlib.crc32(info.orig_filename.encode("cp437"))
            return field[5:] if struct.unpack_from("<I", field, 1)[0] == checksum else b""
    return b""


def _is_guessed(info: zipfile.ZipInfo) -> bool:
    plain = _plain_name(info)
    return not info.flag_bits & UTF8_FLAG and not plain.isascii() and _unflagged_name(info) == plain


def _refuse(name: str, info: zipfile.ZipInfo) -> str:
    if not name:
        return say("no name")
    if leaves(name):
        outside = ".." in name.split("/")
        return say("path leaves the archive") if outside else say("absolute path in the archive")
    if stat.S_ISLNK(info.external_attr >> 16):
        return say("symbolic link, not followed in an archive")
    if info.flag_bits & ENCRYPTED_FLAG:
        return say("encrypted; unpack it first")
    if info.file_size > images.MAX_BYTES:
        return say("larger than {most} MiB", most=images.MAX_BYTES // 2**20)
    if info.file_size > MAX_COMPRESSION * max(1, info.compress_size):
        return say("compressed more than 200-fold (zip bomb)")
    return ""
