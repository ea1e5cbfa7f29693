"""What is read from a gallery's tables, a row each, and what is going to be one."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

import numpy as np

from unifex.core.json_text import parse_json
from unifex.core.metadata import FileMetadata
from unifex.data.item import Item, Labelled, Labels, Options, Source
from unifex.data.sources import open_source


@dataclass(frozen=True)
class Record(Labelled):
    """One item as it is stored. ``original``: file name of the kept bytes, empty when ``uri`` is the place; ``tags``
    as :mod:`unifex.gallery.tags` has them."""

    id: int
    uri: str
    path: str
    sha256: str
    labels: Labels
    width: int
    height: int
    bytes: int
    original: str
    tags: tuple[str, ...] = ()

    @property
    def file_name(self) -> str:
        """What its file is called."""
        return self.path.rpartition("/")[2]

    @property
    def name(self) -> str:
        """Its label, or what its file is called."""
        return self.label or self.file_name


@dataclass(frozen=True)
class Stored:
    """What a source needs to know of an item that is there already."""

    id: int
    uri: str
    path: str
    sha256: str
    stamp: str

    @property
    def place(self) -> tuple[str, str, str]:
        """Where it lies, and what was found there when it was indexed: uri, stamp, sha256."""
        return self.uri, self.stamp, self.sha256


@dataclass(frozen=True)
class Embedded:
    """An item ready to be committed. ``features`` is None when the gallery has them already for this hash; ``said``,
    what its file says of it, where nobody looked."""

    item: Item
    sha256: str
    width: int = 0
    height: int = 0
    bytes: int = 0
    features: np.ndarray | None = None
    thumbnail: bytes = b""
    original: bytes = b""
    original_suffix: str = ""
    said: FileMetadata | None = None

    @property
    def original_name(self) -> str:
        """File name of the kept bytes; empty when they are not kept."""
        return self.sha256 + self.original_suffix if self.original_suffix else ""


@dataclass(frozen=True)
class Asked:
    """What an indexing is to do beside adding: see :func:`unifex.gallery.indexing.index`."""

    prune: bool = False
    prune_all: bool = False
    rehash: bool = False

    @property
    def prunes(self) -> bool:
        """Whether items go whose files are gone."""
        return self.prune or self.prune_all

    def beside(self, options: Options) -> str:
        """As text, with how the source is read, to be kept with it while it is unfinished."""
        return json.dumps(asdict(options) | ({"asked": asdict(self)} if self != Asked() else {}))


@dataclass(frozen=True)
class Registered:
    """A source of a gallery. ``options``: what else is needed to open it again, and of an unfinished one what was asked
    for, as text; ``by_layout``: see :mod:`unifex.gallery.listings`."""

    id: int
    spec: str
    options: str
    keep: bool
    complete: bool
    by_layout: bool = False

    @property
    def reading(self) -> Options:
        """How its files were read."""
        return Options.from_json(self.options) if self.options else Options(self.keep)

    @property
    def asked(self) -> Asked:
        """What the indexing that was cut off was to do."""
        try:
            return Asked(**parse_json(self.options)["asked"])
        except (ValueError, TypeError, KeyError):
            return Asked()

    def open(self) -> Source:
        """Open it again, as it was opened. Raises ``SourceError``."""
        return open_source(self.spec, options=self.reading)


@dataclass(frozen=True)
class Counts:
    """Items by domain and by split, in alphabetical order, how many labels there are, how many images, and the bytes
    of these on disk, None while they are not noted of each."""

    domains: dict[str, int]
    splits: dict[str, int]
    labels: int
    images: int
    bytes: int | None


@dataclass(frozen=True)
class Facts:
    """What there is to know about a gallery at a glance. ``bytes`` on disk; ``unfinished`` are source specs."""

    name: str
    items: int
    images: int
    domains: dict[str, int]
    labels: int
    splits: dict[str, int]
    refused: int
    corrections: int
    model: str
    backbone: str
    dim: int
    bytes: int
    unfinished: list[str]


@dataclass(frozen=True)
class Unlisted:
    """What came of a source that has something no more: items ``removed``, and ``relabelled`` as others say."""

    removed: int
    relabelled: int


@dataclass(frozen=True)
class Relocated:
    """``sources`` and ``items`` that are known at the new place now; ``joined`` had been indexed there already,
    ``missing`` (but for what is left out) are not there."""

    sources: int
    items: int
    joined: int
    missing: int = 0


@dataclass(frozen=True)
class Ended:
    """What people said of ``items`` whose pictures are there no more; ``path``: of the first. ``moved``: those that
    had been taken for new ones."""

    path: str = ""
    items: int = 0
    corrections: int = 0
    tags: int = 0
    moved: frozenset[int] = frozenset()

    def and_of(self, path: str, corrections: int, tags: int) -> Ended:
        """With what was said of one more, if anything was."""
        if not (corrections or tags):
            return self
        return Ended(self.path or path, self.items + 1, self.corrections + corrections, self.tags + tags, self.moved)
