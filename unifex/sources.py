"""Where images come from: a folder, a zip archive, a CSV manifest or a hub data set -> :class:`Item`.

A source is an iterable that can be walked several times, always in the same order. What it cannot give it yields as
:class:`Refused` with the reason, so that nothing is dropped silently.
"""

from __future__ import annotations

import os
import re
import stat
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Protocol

from unifex import images
from unifex.errors import UnifexError

MANIFEST_NAME = "manifest.csv"
BUNDLE_CONTENTS = "bundle.json"  # in an archive: it is a packed gallery
MAX_ARCHIVE_ENTRIES = 2_000_000
MAX_ARCHIVE_BYTES = 500 * 2**30
MAX_COMPRESSION = 200  # no photograph compresses 200-fold; a bomb does
_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar", ".bz2", ".xz", ".zst")


class SourceError(UnifexError):
    """A source that cannot be read at all; the message names it, the reason and the remedy."""


@dataclass(frozen=True)
class Item:
    """One image with its labels.

    ``uri`` identifies it within a gallery, ``path`` is how the source calls it (relative, with ``/``). ``stamp``
    changes when the content may have changed. ``keep``: the gallery must keep the bytes, because ``uri`` cannot be
    opened later.
    """

    uri: str
    path: str
    read: Callable[[], bytes]
    label: str = ""
    domain: str = ""
    split: str = ""
    stamp: str = ""
    keep: bool = False


@dataclass(frozen=True)
class Refused:
    """Something in a source that is not an image of the gallery, and why."""

    path: str
    reason: str


class Source(Protocol):
    """``spec`` is the text that :func:`open_source` takes to open it again."""

    spec: str

    def __iter__(self) -> Iterator[Item | Refused]: ...

    def count(self) -> int | None:
        """How many items and refusals there will be, quickly; None when that cannot be known."""


def open_source(spec: str, keep: bool = False) -> Source:
    """Open ``FOLDER``, ``FILE.zip``, ``FILE.csv``, one image file, ``hf:owner/name[:config][@split[[:N]]]`` or
    ``m4d:DIR[?sets=...]`` (:mod:`unifex.datasets`).

    ``keep`` makes galleries keep the bytes of what they index (for files that will not stay).
    Raises :class:`SourceError`.
    """
    if spec.startswith("hf:"):
        return HubDataset(spec)
    if spec.startswith("m4d:"):
        from unifex.datasets import PublicSets  # sources themselves, as the demo is

        return PublicSets(spec)
    if spec == "demo:":
        from unifex.demo import Demo  # it is a source itself, and imports Item from here

        return Demo()
    from unifex.manifest import Manifest  # so is this

    path = Path(spec).expanduser()
    if path.is_dir():
        manifest = path / MANIFEST_NAME
        return Manifest(manifest, keep) if manifest.is_file() else Folder(path, keep)
    if not path.exists():
        raise SourceError(f"'{spec}' does not exist; give a folder, a .zip, a .csv, hf:owner/name or m4d:DIR")
    suffix = path.suffix.lower()
    if suffix == ".csv":
        return Manifest(path, keep)
    if zipfile.is_zipfile(path):
        return Archive(path)
    if suffix in _ARCHIVES:
        raise SourceError(f"'{path.name}' is not a zip archive that can be read; unpack it and give the folder")
    if suffix in images.EXTENSIONS:
        return SingleImage(path, keep)
    raise SourceError(f"'{path.name}' is no folder, .zip, .csv or image")


def labels_from_layout(path: str) -> tuple[str, str]:
    """``domain/label/image`` -> (domain, label); ``label/image`` -> ("", label); ``image`` -> ("", "").

    Deeper folders belong to the label: ``cars/audi/a4/1.jpg`` -> ("cars", "audi/a4").
    """
    folders = PurePosixPath(path).parts[:-1]
    if len(folders) < 2:
        return "", "".join(folders)
    return folders[0], "/".join(folders[1:])


def file_item(path: Path, shown: str, keep: bool, label: str, domain: str, split: str = "") -> Item:
    """The item of a file. Raises OSError when it is not there."""
    status = path.stat()
    return Item(
        uri=path.as_posix(),
        path=shown,
        read=partial(_read_limited, path, status.st_size),
        label=label,
        domain=domain,
        split=split,
        stamp=f"{status.st_size}-{status.st_mtime_ns}",
        keep=keep,
    )


def _read_limited(path: Path, size: int) -> bytes:
    if size > images.MAX_BYTES:
        raise images.ImageError(f"larger than {images.MAX_BYTES // 2**20} MiB")
    return path.read_bytes()


class Folder:
    """All images below a folder; the layout gives the labels. Hidden files and symbolic links are refused."""

    def __init__(self, root: Path, keep: bool = False):
        self.root = root.resolve()
        self.spec = str(self.root)
        self.keep = keep

    def count(self) -> int:
        return sum(1 for _ in self._walk())

    def __iter__(self) -> Iterator[Item | Refused]:
        for entry in self._walk():
            shown = Path(entry.path).relative_to(self.root).as_posix()
            refusal = _refuse_entry(entry)
            if refusal:
                yield Refused(printable(shown), refusal)
                continue
            domain, label = labels_from_layout(printable(shown))
            try:
                yield file_item(Path(entry.path), printable(shown), self.keep, label, domain)
            except OSError as error:
                yield Refused(printable(shown), f"cannot be read ({error.strerror})")

    def _walk(self) -> Iterator[os.DirEntry]:
        try:
            waiting = self._entries(self.root)
        except OSError as error:
            raise SourceError(f"folder '{self.root}' cannot be read ({error.strerror})") from error
        # a stack: folders can lie deeper in each other than functions can
        while waiting:
            entry = waiting.pop()
            if entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
                try:
                    waiting += self._entries(entry.path)
                except OSError:
                    yield entry
            else:
                yield entry

    @staticmethod
    def _entries(folder: str | Path) -> list[os.DirEntry]:
        """By name, the first last."""
        with os.scandir(folder) as found:
            return sorted(found, key=lambda entry: entry.name, reverse=True)


def _refuse_entry(entry: os.DirEntry) -> str | None:
    if entry.is_symlink():
        return "symbolic link, not followed"
    if entry.name.startswith("."):
        return "hidden file"
    if entry.is_dir(follow_symlinks=False):
        return "folder that cannot be read"
    if not entry.is_file(follow_symlinks=False):
        return "not a regular file"
    suffix = os.path.splitext(entry.name)[1].lower()
    if suffix in images.EXTENSIONS:
        return None
    if suffix in _ARCHIVES:
        return "archive inside the source; unpack it first"
    try:
        with open(entry.path, "rb") as file:
            return None if images.looks_like_image(file.read(32)) else "not an image"
    except OSError as error:
        return f"cannot be read ({error.strerror})"


def printable(name: str) -> str:
    """A file name that is not valid UTF-8 (or holds control characters) as text that can be stored and shown."""
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(char if char.isprintable() else "\ufffd" for char in text)


class SingleImage:
    """One image file without a label."""

    def __init__(self, path: Path, keep: bool = False):
        self.path = path.resolve()
        self.spec = str(self.path)
        self.keep = keep

    def count(self) -> int:
        return 1

    def __iter__(self) -> Iterator[Item | Refused]:
        yield file_item(self.path, printable(self.path.name), self.keep, "", "")


class Archive:
    """The images of a zip archive, read in place. Nothing is unpacked to disk, so nothing can escape."""

    def __init__(self, path: Path):
        self.path = path.resolve()
        self.spec = str(self.path)
        try:
            self._zip = zipfile.ZipFile(self.path)
            infos = self._zip.infolist()
        except (OSError, zipfile.BadZipFile, NotImplementedError, ValueError) as error:
            raise SourceError(f"'{path.name}' is a damaged zip archive ({error})") from error
        if any(info.filename == BUNDLE_CONTENTS for info in infos):
            raise SourceError(f"'{path.name}' is a packed gallery, not images: `python -m unifex unpack` opens it")
        if len(infos) > MAX_ARCHIVE_ENTRIES:
            raise SourceError(f"'{path.name}' has {len(infos):,} entries, more than {MAX_ARCHIVE_ENTRIES:,}")
        if sum(info.file_size for info in infos) > MAX_ARCHIVE_BYTES:
            raise SourceError(f"'{path.name}' would unpack to more than {MAX_ARCHIVE_BYTES // 2**30} GiB")
        self._infos = sorted(
            (info for info in infos if not info.filename.endswith("/")), key=lambda info: info.filename
        )

    def count(self) -> int:
        return len(self._infos)

    def __iter__(self) -> Iterator[Item | Refused]:
        seen: set[str] = set()
        for info in self._infos:
            name = printable(info.filename)
            reason = "the same name twice in the archive" if name in seen else _refuse_zipped(info)
            seen.add(name)
            if reason:
                yield Refused(name, reason)
                continue
            domain, label = labels_from_layout(name)
            yield Item(
                uri=f"zip:{self.path.as_posix()}!{name}",
                path=name,
                read=partial(self._read, info),
                label=label,
                domain=domain,
                stamp=f"{info.file_size}-{info.CRC:08x}",
                keep=True,
            )

    def _read(self, info: zipfile.ZipInfo) -> bytes:
        try:
            with self._zip.open(info) as file:
                data = file.read(images.MAX_BYTES + 1)  # the header's size may lie; this bound does not
        except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
            raise images.ImageError(f"damaged in the archive ({error})") from error
        except Exception as error:  # zlib, lzma and bz2 each raise their own
            raise images.ImageError(f"damaged in the archive ({type(error).__name__})") from error
        return data


def _refuse_zipped(info: zipfile.ZipInfo) -> str | None:
    name, parts = info.filename, PurePosixPath(info.filename.replace("\\", "/")).parts
    suffix = PurePosixPath(name).suffix.lower()
    checks = (
        (not name, "no name"),
        (name.startswith(("/", "\\")) or name[1:2] == ":", "absolute path in the archive"),
        (".." in parts, "path leaves the archive"),
        (stat.S_ISLNK(info.external_attr >> 16), "symbolic link, not followed"),
        (any(part.startswith(".") or part == "__MACOSX" for part in parts), "hidden file"),
        (bool(info.flag_bits & 1), "encrypted; unpack it first"),
        (suffix in _ARCHIVES, "archive inside the source; unpack it first"),
        (suffix not in images.EXTENSIONS, "not an image"),
        (info.file_size > images.MAX_BYTES, f"larger than {images.MAX_BYTES // 2**20} MiB"),
        (info.file_size > MAX_COMPRESSION * max(1, info.compress_size), "compressed more than 200-fold (zip bomb)"),
    )
    return next((reason for wrong, reason in checks if wrong), None)


class HubDataset:
    """``hf:owner/name[:config][@split]``, or ``hf:`` and a local folder of parquet files, streamed.

    ``@train[:300]`` takes the first 300 rows. The first image column is used, with the first ClassLabel (or a column
    called ``label``) as its label.
    """

    _SPEC = re.compile(r"hf:(?P<name>[^:@]+)(:(?P<config>[^@]+))?(@(?P<split>[\w.-]+)(\[:(?P<limit>\d+)\])?)?")

    def __init__(self, spec: str):
        match = self._SPEC.fullmatch(spec)
        if not match:
            raise SourceError(f"'{spec}' is not of the form hf:owner/name, hf:owner/name:config or hf:owner/name@split")
        self.spec = spec
        self.name, self.config = match["name"], match["config"]
        self.split = match["split"] or "train"
        self.limit = int(match["limit"]) if match["limit"] else None

    def count(self) -> int | None:
        return self.limit

    def __iter__(self) -> Iterator[Item | Refused]:
        rows, picture, label, names = self._open()
        for number, row in enumerate(rows):
            path = (row[picture] or {}).get("path") or ""
            shown = f"{self.split}/{number:07d}{PurePosixPath(path).suffix}"
            data = (row[picture] or {}).get("bytes")
            if data is None:
                yield Refused(shown, "the row has no image bytes")
                continue
            value = row.get(label) if label else None
            yield Item(
                uri=f"hf:{self.name}:{self.config or ''}@{self.split}#{number}",
                path=shown,
                read=partial(bytes, data),
                label="" if value is None else names[value] if names else str(value),
                domain=self.name.rpartition("/")[2],
                stamp="0",
                keep=True,
            )

    def _open(self):
        try:
            import datasets
        except ImportError as error:
            raise SourceError("hub data sets need `pip install datasets`") from error
        try:
            rows = datasets.load_dataset(self.name, self.config, split=self.split, streaming=True)
            features = rows.features or {}
        except Exception as error:  # the library raises its own, the hub's and fsspec's
            raise SourceError(f"data set '{self.name}' cannot be opened: {str(error)[:300]}") from error
        pictures = [name for name, kind in features.items() if isinstance(kind, datasets.Image)]
        if not pictures:
            found = ", ".join(features) or "unknown"
            raise SourceError(f"data set '{self.name}' has no image column (columns: {found})")
        classes = [name for name, kind in features.items() if isinstance(kind, datasets.ClassLabel)]
        label = classes[0] if classes else "label" if "label" in features else None
        rows = rows.cast_column(pictures[0], datasets.Image(decode=False))
        if self.limit:
            rows = rows.take(self.limit)
        return rows, pictures[0], label, features[classes[0]].names if classes else None
