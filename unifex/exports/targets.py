"""Where an export is written to: a folder, one file, or what is sent to a browser while it is made."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Protocol, cast

from unifex.core.files import below

IN_MEMORY = 2**20  # bytes of a file on its way into a zip; more lie on the disk
_CHUNK = 2**20


class Target(Protocol):
    """Takes files by name (``images/1.jpg``), one after the other or several at once."""

    def add(self, name: str, data: bytes) -> None:
        """A whole file."""
        ...

    def open(self, name: str) -> contextlib.AbstractContextManager[IO[bytes]]:
        """A file to write from its beginning to its end, which is there when the block ends."""
        ...


class Folder:
    """A folder that is there."""

    def __init__(self, path: Path):
        self.path = path

    def add(self, name: str, data: bytes) -> None:
        """A whole file."""
        with self.open(name) as file:
            file.write(data)

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """A file to write."""
        place = below(self.path, name)
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("wb") as file:
            yield file


class OneFile(Folder):
    """A file, whatever it is called in the format."""

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """The file to write."""
        with self.path.open("wb") as file:
            yield file


class Sent:
    """One file, given away while it is written."""

    def __init__(self) -> None:
        self.pipe = _Pipe()

    def add(self, name: str, data: bytes) -> None:
        """All of it."""
        self.pipe.write(data)

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """The file to write."""
        yield cast(IO[bytes], self.pipe)

    def taken(self) -> Iterator[bytes]:
        """What was written since."""
        yield self.pipe.taken()

    def finish(self) -> None:
        """No more comes."""


class SentZip:
    """A zip that is given away while it is written; images are compressed already, so nothing is."""

    def __init__(self) -> None:
        self.pipe = _Pipe()
        self._archive = zipfile.ZipFile(cast(IO[bytes], self.pipe), "w", zipfile.ZIP_STORED)
        self._waiting: list[tuple[str, IO[bytes]]] = []

    def add(self, name: str, data: bytes) -> None:
        """A whole file."""
        self._archive.writestr(name, data)

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """A file to write, which goes into the zip behind what else is added meanwhile."""
        file = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 it is closed once it was sent
        try:
            yield cast(IO[bytes], file)
        except BaseException:
            file.close()
            raise
        file.seek(0)
        self._waiting.append((name, cast(IO[bytes], file)))

    def taken(self) -> Iterator[bytes]:
        """What was written since, of large files a piece at a time."""
        yield self.pipe.taken()
        while self._waiting:
            name, file = self._waiting.pop(0)
            with file, self._archive.open(name, "w", force_zip64=True) as entry:
                while piece := file.read(_CHUNK):
                    entry.write(piece)
                    yield self.pipe.taken()
        yield self.pipe.taken()

    def finish(self) -> None:
        """No more comes; all that was waiting has to be taken before."""
        self._archive.close()


class _Pipe:
    """A file that is written from its beginning to its end, and given away meanwhile."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        """Nothing is held."""

    def taken(self) -> bytes:
        """What was written since."""
        data = b"".join(self._parts)
        self._parts.clear()
        return data


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    return (
        path.stat().st_size if path.is_file() else sum(one.stat().st_size for one in path.rglob("*") if one.is_file())
    )


def copy_into(target: Target, name: str, file: IO[bytes]) -> None:
    """What was written to a file beside the others, from its beginning."""
    file.seek(0)
    with target.open(name) as out:
        shutil.copyfileobj(file, out, _CHUNK)
