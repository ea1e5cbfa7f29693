"""Where images come from: a folder, a zip archive, a CSV manifest or a hub data set -> :class:`Item`.

A source is an iterable that can be walked several times, always in the same order. What it cannot give it yields as
:class:`Refused` with the reason, so that nothing is dropped silently.
"""

from __future__ import annotations

import json
import re
import unicodedata
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import ClassVar, Protocol

from unifex.core import images
from unifex.core.errors import UnifexError

MOST_REASONS = 3


class SourceError(UnifexError):
    """A source that cannot be read at all; the message names it, the reason and the remedy."""


@dataclass(frozen=True)
class Item:
    """One image with its labels; all texts are :func:`printable`, however they were written.

    ``uri`` identifies it within a gallery, ``path`` is how the source calls it (relative, with ``/``). ``stamp``
    changes when the content may have changed. ``keep``: the gallery must keep the bytes, because ``uri`` cannot be
    opened later. ``notes``: what a report of indexing says of it.
    """

    uri: str
    path: str
    read: Callable[[], bytes]
    label: str = ""
    domain: str = ""
    split: str = ""
    stamp: str = ""
    keep: bool = False
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("path", "label", "domain", "split"):
            object.__setattr__(self, name, printable(getattr(self, name)))


@dataclass(frozen=True)
class Refused:
    """Something in a source that is not an image of the gallery, and why.

    ``unread``: it could not be looked at, so that nobody knows what it is, or what lies below it. It is not gone.
    """

    path: str
    reason: str
    unread: ClassVar[bool] = False


class Unread(Refused):
    """What could not be looked at."""

    unread = True


@dataclass(frozen=True)
class Options:
    """How the files of a source are read. A gallery remembers it with the source, so that a resume reads the same.

    ``keep`` makes galleries keep the bytes of what they index (for files that will not stay). ``exclude``: globs; one
    without ``/`` is compared with every file and folder name, one with ``/`` with the whole path. ``follow_links``:
    of symbolic links. ``max_rows``, ``max_seconds``: as far as a CSV is read, and as long.
    """

    keep: bool = False
    exclude: tuple[str, ...] = ()
    follow_links: bool = False
    max_rows: int | None = None
    max_seconds: float | None = None

    def to_json(self) -> str:
        """As text, for :meth:`from_json`."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Options:
        """What :meth:`to_json` gave. Raises :class:`SourceError` for anything else."""
        try:
            values = json.loads(text)
            return cls(**{**values, "exclude": tuple(map(str, values["exclude"]))})
        except (ValueError, TypeError, KeyError) as error:
            raise SourceError("it is not known any more how this source was read; index it again") from error


class Source(Protocol):
    """``spec`` is the text, and ``options`` the rest, that :func:`open_source` takes to open it again."""

    spec: str
    options: Options

    def __iter__(self) -> Iterator[Item | Refused]: ...

    def count(self) -> int | None:
        """How many items and refusals there will be, quickly; None when that cannot be known."""


def open_source(
    spec: str,
    keep: bool = False,
    exclude: Sequence[str] = (),
    follow_links: bool = False,
    options: Options | None = None,
) -> Source:
    """Open ``FOLDER``, ``FILE.zip``, ``FILE.csv``, one image file, ``hf:owner/name[:config][@split[[:N]]]`` or
    ``m4d:DIR[?sets=...]`` (:mod:`unifex.data.public_datasets`).

    ``keep``, ``exclude`` and ``follow_links`` are of :class:`Options`; ``options`` gives all of them at once.
    Raises :class:`SourceError`.
    """
    options = options or Options(keep, tuple(exclude), follow_links)
    if not spec.strip():
        raise SourceError("nothing is named: give a folder, a .zip, a .csv, hf:owner/name or m4d:DIR")
    for start, opener in _OPENERS.items():
        if spec.startswith(start):
            if options.exclude:
                raise SourceError(f"'{spec}' has no files to exclude; exclude is for folders, archives and CSV files")
            return opener(spec)
    return _open_files(Path(spec).expanduser(), options)


def _open_files(path: Path, options: Options) -> Source:
    from unifex.data.archive import open_archive  # sources themselves, they import Item from here
    from unifex.data.folder import SingleImage, open_folder, open_table
    from unifex.data.tree import ARCHIVES, RAW, TABLES

    name = printable(path.name or str(path))
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise SourceError(f"the path of '{name}' is not UTF-8, so no gallery can remember it; rename it") from error
    if path.is_dir():
        return open_folder(path, options)
    if not path.exists():
        raise SourceError(f"'{path}' does not exist; give a folder, a .zip, a .csv, hf:owner/name or m4d:DIR")
    suffix = path.suffix.lower()
    if suffix in TABLES:
        return open_table(path, options)
    if suffix in images.EXTENSIONS or suffix in RAW:
        return SingleImage(path, options)
    if zipfile.is_zipfile(path):
        return open_archive(path, options)
    if suffix in ARCHIVES:
        raise SourceError(f"'{name}' is not a zip archive that can be read; unpack it and give the folder")
    raise SourceError(f"'{name}' is no folder, .zip, .csv or image")


def require_items(source: Source) -> None:
    """Raises :class:`SourceError` that says what is there instead, when a source has not one image to offer.

    To be asked before a gallery is made for it.
    """
    refused: list[Refused] = []
    count = 0
    for found in source:
        if isinstance(found, Item):
            return
        count += 1
        if len(refused) < MOST_REASONS:
            refused.append(found)
    name = "the upload" if source.options.keep else f"'{printable(source.spec)}'"
    if not count:
        raise SourceError(f"{name} is empty; give a folder, a .zip or a .csv with images in it")
    what = "; ".join(f"{one.path}: {one.reason}" for one in refused)
    more = f"; and {count - len(refused):,} more" if count > len(refused) else ""
    raise SourceError(f"{name} has no image that could be indexed ({what}{more}); give one with images in it")


def labels_from_layout(path: str) -> tuple[str, str]:
    """``domain/label/image`` -> (domain, label); ``label/image`` -> ("", label); ``image`` -> ("", "").

    Deeper folders belong to the label: ``cars/audi/a4/1.jpg`` -> ("cars", "audi/a4").
    """
    domain, slash, label = path.rpartition("/")[0].partition("/")
    return (domain, label) if slash else ("", domain)


def printable(name: str) -> str:
    """A file name as text that can be stored, shown and typed again: composed, without controls; what is not UTF-8,
    or would only confuse a screen, becomes U+FFFD."""
    name = unicodedata.normalize("NFC", name)
    return "".join("\ufffd" if is_control(char) else char for char in name) if has_control(name) else name


def has_control(text: str) -> bool:
    """Whether :func:`is_control` holds of any of its characters."""
    return not text.isprintable() and any(map(is_control, text))


def is_control(char: str) -> bool:
    """Whether a character steers rather than shows: controls, line breaks, turns of direction, half characters."""
    return unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") or char in _TURNS


_TURNS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")


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
        self.spec, self.options = spec, Options()
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


def _public_sets(spec: str) -> Source:
    from unifex.data.public_datasets import PublicSets  # it imports Item from here

    return PublicSets(spec)


def _demo(spec: str) -> Source:
    from unifex.data.demo import Demo

    return Demo()


_OPENERS: dict[str, Callable[[str], Source]] = {"hf:": HubDataset, "m4d:": _public_sets, "demo:": _demo}
