"""Files that are whole: written beside and renamed, with checksums that tell what a disk or a copy has changed."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from filelock import FileLock

from unifex.core import disk, system
from unifex.core.errors import UnifexError
from unifex.core.json_text import parse_json
from unifex.core.language import say

_FIELD = "checksum"
_OURS = re.compile(r"\.unifex-[0-9a-f]{16}")  # a folder that is called so and holds the mark is ours
_MARK = ".made-by-unifex"
_ASIDE = ".moved-aside-by-unifex"  # beside it lies what is to be replaced, until the new one is whole
_OF_FILES = frozenset(
    ".csv .tsv .html .json .jsonl .npz .npy .parquet .tar .zip .pt .pth .ckpt .safetensors .onnx .gz .pdf .txt .md "
    ".xml .yaml .yml .xlsx .sqlite .pkl .h5 .jpg .jpeg .png .webp .gif .tif .tiff .bmp".split()
)
_LEAVES = re.compile(r"^[/\\]|^[A-Za-z]:([/\\]|\Z)|(^|[/\\])\.\.([/\\]|\Z)")
_STREAMS = re.compile(r"/dev/(stdout|stderr|fd/\d+)|/proc/(self|\d+)/fd/\d+")
UNFINISHED = r"\.\d+-\d+\.tmp"  # ends the name of a file while it is being written
HALF = ".half-by-unifex"  # says what a folder is called that is half made or half deleted, wherever a copy of it lies
LEFT_SECONDS = 86400  # what was begun so long ago is of a process that was killed


def write_atomically(path: Path, data: bytes | memoryview, durable: bool = True) -> None:
    """Write beside and rename, so that no reader ever sees half a file; ``durable`` waits for the disk."""
    write_atomically_with(path, lambda file: file.write(data), durable)


def write_atomically_with(path: Path, write: Callable[[BinaryIO], object], durable: bool = True) -> None:
    """:func:`write_atomically` for whatever ``write`` puts into the file it is given."""
    with whole_file(path) as temporary, temporary.open("wb") as file:
        write(file)
        if durable and temporary != path:  # what is no file has no disk to wait for
            file.flush()
            os.fsync(file.fileno())


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A path beside ``path`` to write to, which becomes ``path`` when the block ends, and goes when the block fails.

    What is a stream is written to as it is. Raises OSError, and :class:`~unifex.core.disk.FolderClosed` where nothing
    is kept any more.
    """
    if is_stream(path):
        yield path
        return
    disk.check(path)
    temporary = _beside(path)
    try:
        yield temporary
        disk.check(path)
        system.replace(temporary, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()  # on a full disk it is in the way
        if isinstance(error, OSError) and error.filename == str(temporary):
            error.filename = str(path)  # which people know
        raise


def is_stream(path: Path) -> bool:
    """Whether a path is no file to replace: a pipe, or ``/dev/stdout``, whatever that leads to."""
    return path.exists() and (not path.is_file() or bool(_STREAMS.fullmatch(str(path))))


def _beside(path: Path) -> Path:
    """Of this thread alone: readers write caches, too."""
    return path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")


def drop_unfinished(folder: Path, seconds: float = LEFT_SECONDS) -> None:
    """Delete the files in a folder that were being written so long ago: what wrote them was killed."""
    with contextlib.suppress(OSError):  # another process sweeps, too, and the folder may go
        for path in folder.glob("*.tmp"):
            if re.fullmatch(f".+{UNFINISHED}", path.name) and path.stat().st_mtime <= time.time() - seconds:
                system.delete(path)


def ready(path: Path) -> None:
    """Make the folder of a file that is to be written, and try there: what the system refuses is told before the work.

    Raises :class:`~unifex.core.disk.NotWritable`, ``UnifexError`` for what is or lies in no folder, OSError.
    """
    with disk.writing_in(path.parent):
        if path.is_dir():
            raise UnifexError(say("'{path}' is a folder; name a file", path=path))
        if is_stream(path):
            return
        _make_place(path.parent)
        temporary = _beside(path)
        try:
            temporary.touch()
            temporary.unlink()
        except OSError as error:
            error.filename = str(path)  # which people know
            raise


class NoFolder(UnifexError, NotADirectoryError):
    """A file is in the way of a folder."""


def _make_place(folder: Path) -> None:
    """Raises :class:`NoFolder` where a file is in the way, and OSError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        file = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
        raise NoFolder(say("'{path}' is no folder; name another", path=file)) from error


class AlreadyThere(UnifexError, FileExistsError):
    """A folder that was to be made is there, and not empty."""


@contextlib.contextmanager
def scratch_folder(place: Path, name: str) -> Iterator[Path]:
    """An empty folder ``name`` to fill, in a hidden one of our own in ``place``, which goes when the block ends.

    ``place`` may be a person's: of what lies there only those go that killed processes of ours left. Raises OSError,
    :class:`~unifex.core.disk.NotWritable` and :class:`~unifex.core.disk.FolderClosed`.
    """
    disk.check(place)
    ours = _own_name(place)
    lock = FileLock(ours / _MARK, timeout=0)
    with disk.writing_in(place):
        _make_place(place)
        _sweep(place)
        ours.mkdir(mode=0o700)
    try:
        (ours / _MARK).touch()
        with contextlib.suppress(OSError, NotImplementedError):  # a disk that has no locks
            lock.acquire()  # it may take days
        (ours / name).mkdir()
        yield ours / name
    finally:
        lock.release()
        _drop_unlocked(ours)


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """An empty folder to fill, which becomes ``path`` when the block ends, and goes when the block fails.

    Raises :class:`AlreadyThere`, and as :func:`scratch_folder` does.
    """
    with scratch_folder(path.parent, path.name) as made:
        yield made
        disk.check(path)
        try:
            made.rename(path)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                raise
            raise AlreadyThere(
                say("'{name}' is there already, or another process has made it meanwhile; name another", name=path.name)
            ) from error


@contextlib.contextmanager
def folder_in_place_of(path: Path) -> Iterator[Path]:
    """:func:`new_folder`, for one that takes the place of what is at ``path``, which goes only when the new is whole.
    A link stays, and leads to the new one."""
    path = path.resolve()
    aside = _own_name(path.parent)
    before = aside / path.name
    lock = FileLock(aside / _ASIDE, timeout=0)
    try:
        with new_folder(path) as folder:
            yield folder
            if path.exists():
                aside.mkdir(mode=0o700)
                with contextlib.suppress(OSError, NotImplementedError):  # a disk that has no locks
                    lock.acquire()
                (aside / _ASIDE).touch()
                path.rename(before)
    except BaseException:
        lock.release()
        if aside.exists():
            (aside / _ASIDE).touch()  # Windows takes a lock's file away with the lock
            put_back(path.parent)
        raise
    lock.release()
    if aside.exists():
        _drop_unlocked(aside)


def put_back(place: Path) -> None:
    """What a process moved aside in a folder that was killed before the new one was in its place is there again, where
    nothing else is."""
    for left in _ours(place):
        with contextlib.suppress(OSError):
            if (left / _ASIDE).exists() and not (left / _MARK).exists():  # else it is going already
                with FileLock(left / _ASIDE, timeout=0):
                    for old in (path for path in left.iterdir() if path.name != _ASIDE):
                        if not os.path.lexists(place / old.name):
                            old.rename(place / old.name)
                if {path.name for path in left.iterdir()} <= {_ASIDE}:
                    remove_folder(left)
                else:  # what it was to give way to is there: it goes with all else that was left
                    (left / _MARK).touch()


def _own_name(place: Path) -> Path:
    return place / f".unifex-{secrets.token_hex(8)}"


def _ours(place: Path) -> Iterator[Path]:
    """The hidden folders in another that are called as ours are."""
    for left in place.glob(".unifex-*"):
        if _OURS.fullmatch(left.name) and not left.is_symlink():
            yield left


def _sweep(place: Path) -> None:
    """What killed processes left in a folder: old, called as ours are, and with our mark in it, which nobody holds."""
    put_back(place)
    for left in _ours(place):
        with contextlib.suppress(OSError):
            if (left / _MARK).lstat().st_mtime < time.time() - LEFT_SECONDS:
                with FileLock(left / _MARK, timeout=0):
                    pass
                _drop_unlocked(left)


def mark_half(folder: Path, name: str) -> None:
    """Whoever finds the folder under this name has found what a killed process left; under another name it is not."""
    with contextlib.suppress(OSError):  # else it stays, should this be killed
        (folder / HALF).write_text(name, "utf-8")


def is_half(folder: Path) -> bool:
    """Whether a folder is what :func:`mark_half` said that it would be."""
    try:
        return (folder / HALF).read_text("utf-8") == folder.name
    except (OSError, ValueError):
        return False


def _drop_unlocked(ours: Path) -> None:
    with contextlib.suppress(OSError):
        (ours / _MARK).touch()  # as above
        remove_folder(ours, last=(_MARK,))


def remove_folder(folder: Path, last: Iterable[str] = ()) -> None:
    """Delete a folder, also one that says that nothing in it may be; what it holds ``last`` goes last, so that a kill
    leaves something that can be told by that. Raises OSError."""
    if folder.is_symlink():
        folder.unlink()
    if not folder.exists():
        return
    with contextlib.suppress(OSError):
        folder.chmod(0o700)
        for place, folders, _ in os.walk(folder):
            for path in (Path(place, name) for name in folders):
                if not path.is_symlink():
                    path.chmod(0o700)
    for path in folder.iterdir():
        if path.name not in last:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    shutil.rmtree(folder)


def check_suffix(path: Path, *suffixes: str) -> Path:
    """What is written is called so: a file of one of the ``suffixes`` (``.csv``), or a folder where there are none.

    A name without an ending gets the first of them, so that nothing takes the place of a file of another kind; what is
    no file (``/dev/stdout``) keeps its own. Raises ``UnifexError`` for a name that says something else.
    """
    own = path.suffix.lower()
    if own in suffixes or is_stream(path):
        return path
    if suffixes and not own[1:2].isalpha():  # a date or a version is no ending
        return path.with_name(path.name + suffixes[0])
    if not suffixes and own not in _OF_FILES:
        return path
    what = say("a {suffix} file", suffix=suffixes[0]) if suffixes else say("a folder")
    right = path.with_suffix(suffixes[0] if suffixes else "").name
    raise UnifexError(
        say("'{name}' is no name for what is written, {what}: call it {right}", name=path.name, what=what, right=right)
    )


def leaves(name: str) -> bool:
    """Whether a path that another wrote means, on some system, a place outside of the folder that it is joined to."""
    return bool(_LEAVES.search(name))


def below(folder: Path, *parts: str) -> Path:
    """What lies in a folder under a name that another wrote. Raises ``UnifexError`` where that is not in it."""
    path = folder.joinpath(*parts)
    if Path(os.path.abspath(folder)) not in Path(os.path.abspath(path)).parents:
        raise UnifexError(say("the file name '{name}' leaves its folder", name="/".join(parts)[:80]))
    return path


def file_hash(path: Path) -> str:
    """sha256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def with_checksum(values: dict[str, Any]) -> bytes:
    """JSON text that carries the checksum of its own values."""
    return json.dumps({**values, _FIELD: _hash(values)}, indent=2).encode()


def verify(data: bytes, required: bool = False) -> dict[str, Any]:
    """The values of :func:`with_checksum`. Raises ValueError when they are not what was written.

    A text without a checksum is from before there was one, and is taken as it is unless one is ``required``.
    """
    values = parse_json(data)
    if not isinstance(values, dict):
        raise ValueError(say("not a JSON object"))
    said = values.pop(_FIELD, None)
    if said is None and required:
        raise ValueError(say("it has no checksum: it is damaged, or of an earlier version"))
    if said is not None and said != _hash(values):
        raise ValueError(say("its checksum is wrong"))
    return values


def note_checksum(path: Path, owner: str) -> None:
    """Note beside a file what is in it now, and whose it is."""
    write_atomically(_note(path), with_checksum({"owner": owner, "sha256": file_hash(path)}))


def drop_checksum(path: Path) -> None:
    """The file is going to change."""
    _note(path).unlink(missing_ok=True)


def noted_checksum(path: Path, owner: str) -> str | None:
    """The sha256 that was noted; None where nothing is, since somebody is writing.

    Raises ValueError and KeyError when the note is damaged, or another's.
    """
    try:
        said = verify(_note(path).read_bytes())
    except FileNotFoundError:
        return None
    if said.get("owner", owner) != owner:
        raise ValueError(say("it is of another gallery"))
    return said["sha256"]


def agrees_with_checksum(path: Path, owner: str) -> bool:
    """False when the file is not what was noted; True as well where nothing is noted, since somebody is writing.

    Raises ValueError and KeyError when the note is damaged, or another's.
    """
    noted = noted_checksum(path, owner)
    return noted is None or file_hash(path) == noted or noted_checksum(path, owner) != noted


def _note(path: Path) -> Path:
    return path.with_suffix(".json")


def _hash(values: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:32]
