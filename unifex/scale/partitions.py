"""A source in parts that many machines can read: image files, webdataset tars or parquet tables, on disk or in a store.

Paths are local or fsspec's (``s3://bucket/folder``). A part is small to send and says all that a worker must know.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import posixpath
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any, BinaryIO, cast

from unifex.core import images
from unifex.core.errors import UnifexError
from unifex.core.json_text import parse_json
from unifex.core.text import printable, reason
from unifex.data.item import Item, Labels, Options, Skipped, SourceError, labels_from_layout
from unifex.data.listed import OddRow, checked, split_of
from unifex.data.sidecars import open_tree
from unifex.data.sources import open_source
from unifex.data.store_tree import UNKNOWN, StoreTree
from unifex.data.stores import Entry, stamp_of
from unifex.data.tree import HEAD, RAW, Node, SkippedByReason, Way, notes

FILES_PER_SHARD = 1000
TARS, TABLES = (".tar", ".tar.gz", ".tgz"), (".parquet",)
ARCHIVES = TARS + TABLES
PARQUET_IMAGE = ("image", "img", "bytes", "jpg", "png")
PARQUET_PATH = ("path", "image_path", "url", "key", "__key__")
TEXTS = ("label", "domain", "split")

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem


@dataclass(frozen=True)
class Shard:
    """``kind`` of :data:`READERS`. ``url``: tar or table, ``group``: which row group of it.

    ``rows``: (uri, path, label, domain, split[, extra]) of files.
    """

    number: int
    kind: str
    url: str = ""
    group: int = 0
    rows: tuple[tuple[str, ...], ...] = ()

    def as_json(self) -> dict[str, Any]:
        """All that it is, as the hash of a plan has it: with the words and in the order that it began with."""
        return {
            "number": self.number, "kind": self.kind, "place": self.url, "group": self.group, "rows": self.rows,
        }  # fmt: skip

    def __iter__(self) -> Iterator[Item | Skipped]:
        """Its images, read as they are asked for, and what it cannot give."""
        yield from READERS[self.kind](self)


@dataclass(frozen=True)
class Plan:
    """All parts of a source, and what could not be put into one. ``stamps``: of its files, by size and time."""

    shards: list[Shard]
    refused: list[Skipped]
    stamps: list[str]

    @property
    def hash(self) -> str:
        """Equal for the same parts: work on them can go on."""
        text = json.dumps([shard.as_json() for shard in self.shards], ensure_ascii=False)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]

    @property
    def state(self) -> str:
        """Equal as long as none of its files changed."""
        return hashlib.sha256(json.dumps(self.stamps).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def plan(spec: str, options: Options | None = None, files_per_shard: int = FILES_PER_SHARD) -> Plan:
    """Parts of a local source that is made of files, of a ``scheme://`` folder, of .tar or .parquet files, or of both.

    ``options``: how the files are read.
    Raises :class:`SourceError`.
    """
    archives = _archives(spec, (options or Options()).exclude)
    shards = [Shard(number, *archive) for number, archive in enumerate(archives)]
    stamps = [_stamp(url) for url in dict.fromkeys(shard.url for shard in shards)]
    if archives and archives[0][1] == _url_of(spec):
        return Plan(shards, [], stamps)
    items, refused = _files(spec, options or Options())
    if archives:
        refused = [one for one in refused if not one.path.endswith(ARCHIVES)]
    elif not items:
        raise SourceError(f"'{spec}' has no images")
    rows = [_file_row(item) for item in items]
    stamps += ["" if item.stamp.startswith(UNKNOWN) else item.stamp for item in items]
    for at in range(0, len(rows), files_per_shard):
        shards.append(Shard(len(shards), "files", rows=tuple(rows[at : at + files_per_shard])))
    return Plan(shards, refused, stamps)


def _files(spec: str, options: Options) -> tuple[list[Item], list[Skipped]]:
    """The image files of a source that workers can open, and what is none. Raises :class:`SourceError`."""
    found = list(open_tree(_store(spec), spec, options) if "://" in spec else open_source(spec, options=options))
    refused = [one for one in found if isinstance(one, Skipped)]
    items = [one for one in found if isinstance(one, Item) and not one.keep]
    kept = [one for one in found if isinstance(one, Item) and one.keep]
    if kept and not items:
        raise SourceError(f"'{spec}' cannot be read in parts: give a folder, a .csv of files, .tar or .parquet files")
    refused += [Skipped(item.path, "its name is not UTF-8, so no worker can be told of it; rename it") for item in kept]
    return items, refused


def _url_of(spec: str) -> str:
    files, root = file_system(spec)
    return files.unstrip_protocol(root)


def _stamp(url: str) -> str:
    """Size and time of a file, as far as its file system tells; empty for what it does not."""
    files, path = file_system(url)
    try:
        return stamp_of(files.info(path))
    except OSError:
        return ""


def _file_row(item: Item) -> tuple[str, ...]:
    """Without further columns it has five texts: the hash of a plan is that of its parts, and work is to go on."""
    *labels, extra = item.labels.row
    return item.uri, item.path, *labels, *([extra] if extra else [])


def file_system(url: str) -> tuple[AbstractFileSystem, str]:
    """fsspec's file system of a path or URL, and the path in it. Raises :class:`SourceError` for an unknown scheme."""
    import fsspec

    try:
        return fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise SourceError(f"'{url}': {error}") from error


def _open(files: AbstractFileSystem, path: str) -> BinaryIO:
    return cast(BinaryIO, files.open(path, "rb"))


class Unreachable(UnifexError):
    """A store that does not answer: no fault of the image, so that it must not be refused for it."""


def read_url(url: str) -> bytes:
    """A file's bytes.

    Raises ``images.ImageError`` when it is too large, OSError for a file that is not there or not ours to read, and
    :class:`Unreachable`.
    """
    files, path = file_system(url)
    try:
        with _open(files, path) as file:
            data = file.read(images.MAX_BYTES + 1)
    except (FileNotFoundError, PermissionError):
        raise
    except Exception as error:  # every store's library has classes of its own
        if "://" in url:
            raise Unreachable(f"'{url}' cannot be read ({error})") from error
        raise
    if len(data) > images.MAX_BYTES:
        raise images.ImageError(f"larger than {images.MAX_BYTES // 2**20} MiB")
    return data


def _archives(spec: str, exclude: Sequence[str] = ()) -> list[tuple[str, str, int]]:
    """(kind, place, row group) of every .tar and .parquet in a place, or of the one that it is, without those below
    folders to ``exclude``."""
    if "://" not in spec and not Path(spec).exists():
        return []
    files, root = file_system(spec)
    try:
        names = files.find(root)
    except OSError as error:
        raise SourceError(f"'{spec}' cannot be read ({error.strerror or error})") from error
    found, way = [], Way(exclude)
    below = {name: name.removeprefix(root).strip("/") for name in sorted(names)}
    for name in (name for name, path in below.items() if not path or way.passed_over(path) is None):
        if name.endswith(TARS):
            found.append(("tar", files.unstrip_protocol(name), 0))
        elif name.endswith(TABLES):
            url = files.unstrip_protocol(name)
            found += [("parquet", url, group) for group in range(_groups(url))]
    return found


def _store(spec: str) -> StoreTree:
    """Whatever fsspec knows, listed at once. Raises :class:`SourceError` when nothing is there."""
    files, root = file_system(spec)
    facts = cast(dict[str, dict[str, Any]], files.find(root, detail=True))
    names = sorted(facts)
    if not names:
        raise SourceError(f"'{spec}' is empty, or cannot be seen with these credentials")
    top = PurePosixPath(root).parent if names == [root] else PurePosixPath(root)

    def read(entry: Entry, first: int | None) -> bytes:
        with _open(files, entry.name) as file:
            return file.read(-1 if first is None else first)

    entries = [Entry(Node(str(PurePosixPath(name).relative_to(top))), name, stamp_of(facts[name])) for name in names]
    return StoreTree(entries, read, files.unstrip_protocol)


def _groups(url: str) -> int:
    from pyarrow import ArrowException, parquet

    files, path = file_system(url)
    try:
        with files.open(path, "rb") as file:
            return parquet.ParquetFile(file).num_row_groups
    except (OSError, ArrowException) as error:
        raise SourceError(f"'{url}' is no parquet file that can be read ({reason(error)})") from error


def _read_files(shard: Shard) -> Iterator[Item]:
    for uri, path, *texts in shard.rows:
        yield Item(uri, path, partial(read_url, uri), Labels.from_row(*texts))


def _read_tar(shard: Shard) -> Iterator[Item | Skipped]:
    """webdataset: files of one sample follow each other and have the same name up to the first dot of the base name.

    Names of photographs may have dots of their own, so that all images of a sample are images of the source.
    """
    files, path = file_system(shard.url)
    shown = PurePosixPath(path).name
    way, skipped = Way(()), SkippedByReason()
    try:
        with _open(files, path) as file, tarfile.open(fileobj=file, mode="r|*") as tar:
            sample: dict[str, bytes] = {}
            key = ""
            for member in tar:
                path = posixpath.normpath(member.name)
                folder, _, name = path.rpartition("/")
                stem, _, suffix = name.partition(".")
                if passed_over := way.passed_over(path):
                    skipped.add(*passed_over)
                if passed_over or not member.isfile():
                    continue
                if key != f"{folder}/{stem}":
                    yield from _sample(shard, key, sample)
                    sample = {}
                key = f"{folder}/{stem}"
                small = suffix.lower()
                data = cast(IO[bytes], tar.extractfile(member)).read(images.MAX_BYTES + 1)
                sample[suffix if small in sample else small] = data
            yield from _sample(shard, key, sample)
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        yield Skipped(shown, f"damaged after the images above ({error})")
    yield from skipped.refusals()


def _sample(shard: Shard, key: str, sample: dict[str, bytes]) -> Iterator[Item | Skipped]:
    """Its images, each with what the sample says of them."""
    if not sample:
        return
    name = printable(key.lstrip("/"))
    shown = f"{PurePosixPath(shard.url).name}/{name}"
    pictures = [suffix for suffix, data in sample.items() if _is_image(suffix, data)]
    if not pictures:
        yield Skipped(shown, "no image in this sample")
        return
    said: dict[str, Any] = {"label": sample["cls"].decode("utf-8", "replace")} if "cls" in sample else {}
    try:
        if "json" in sample:
            said |= {key: text for key, text in parse_json(sample["json"]).items() if text is not None}
        labels, told = _labels(said, labels_from_layout(name))
    except (ValueError, AttributeError, TypeError):
        yield Skipped(f"{shown}.json", "not a JSON object")
        return
    except OddRow as odd:
        yield Skipped(shown, str(odd))
        return
    for suffix in pictures:
        path = f"{name}.{suffix}" if suffix else name
        yield Item(f"{shard.url}!{path}", path, partial(bytes, sample[suffix]), labels, notes=(*notes(path), *told))


def _labels(said: Mapping[str, Any], labels: Labels = Labels()) -> tuple[Labels, tuple[str, ...]]:
    """``labels`` with what a table says of an image, as a CSV would, and what is to be told of that. Raises
    :class:`OddRow`."""
    texts = {name: str(said[name]).strip() for name in TEXTS if said.get(name) is not None}
    split, told = split_of(texts.pop("split", labels.split))
    return replace(labels, split=split, **{name: checked(text, name) for name, text in texts.items()}), told


def _is_image(suffix: str, data: bytes) -> bool:
    last = f".{suffix.rpartition('.')[2].lower()}"
    return last in images.EXTENSIONS or last in RAW or images.looks_like_image(data[:HEAD])


def _read_table(shard: Shard) -> Iterator[Item | Skipped]:
    from pyarrow import parquet

    files, path = file_system(shard.url)
    with files.open(path, "rb") as file:
        table = parquet.ParquetFile(file)
        names, kinds = table.schema_arrow.names, _kinds(table.schema_arrow.metadata or {})
        pictures = [name for name, kind in kinds.items() if kind.get("_type") == "Image"]
        image = next((name for name in (*PARQUET_IMAGE, *pictures) if name in names), None)
        if image is None:
            yield Skipped(PurePosixPath(path).name, f"has no column {' or '.join(PARQUET_IMAGE)} (found: {names})")
            return
        given = next((name for name in PARQUET_PATH if name in names), None)
        classes = {name: kind.get("names") for name, kind in kinds.items() if kind.get("_type") == "ClassLabel"}
        label = "label" if "label" in names else next(iter(classes), None)
        columns = [name for name in dict.fromkeys((image, given, label, *TEXTS)) if name in names]
        rows = table.read_row_group(shard.group, columns).to_pylist()
    for number, row in enumerate(rows):
        said = {name: _named(value, classes.get(name)) for name, value in row.items() if name != image}
        yield _row(shard, number, {**said, "label": said.get(label)}, row[image], given)


def _kinds(metadata: Mapping[bytes, bytes]) -> dict[str, Any]:
    """What the hub's library notes of the columns of a table that it writes; nothing in others."""
    try:
        kinds = parse_json(metadata[b"huggingface"])["info"]["features"]
        return {name: kind for name, kind in kinds.items() if isinstance(kind, dict)}
    except (LookupError, ValueError, TypeError, AttributeError):
        return {}


def _named(value: Any, names: list[str] | None) -> Any:
    """What a cell says, a number of a class where there are ``names``; -1 is that of none."""
    if names is None or not isinstance(value, int):
        return value
    return names[value] if 0 <= value < len(names) else None


def _row(shard: Shard, number: int, said: dict[str, Any], cell: Any, given: str | None) -> Item | Skipped:
    """Hugging Face keeps an image as {bytes, path}, others as bytes."""
    data = cell.get("bytes") if isinstance(cell, dict) else cell
    own = cell.get("path") if isinstance(cell, dict) else None
    position = f"{PurePosixPath(shard.url).name}/{shard.group}/{number}"
    name = printable(str((said[given] if given else own) or position))
    if not isinstance(data, bytes):
        return Skipped(position, "no image bytes in this row")
    try:
        labels, told = _labels(said)
    except OddRow as odd:
        return Skipped(position, str(odd))
    return Item(f"{shard.url}!{shard.group}/{number}", name, partial(bytes, data), labels, notes=told)


READERS: dict[str, Callable[[Shard], Iterator[Item | Skipped]]] = {
    "files": _read_files, "tar": _read_tar, "parquet": _read_table,
}  # fmt: skip
