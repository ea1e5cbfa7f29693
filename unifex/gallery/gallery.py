"""A gallery: items, their backbone features, and what is derived from those.

Two layers are kept, in :mod:`unifex.gallery.database`: ``items.sqlite`` (labels, hashes, where the features lie) and
``features/*.npy`` (float16 shards). Embeddings, index, neighbours and calibration follow from them and the neck
(:mod:`unifex.gallery.derived_data`); :mod:`unifex.gallery.writer` changes a gallery. :class:`Gallery` is their face.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from unifex.core import disk
from unifex.core.derived import Origin
from unifex.core.errors import UnifexError
from unifex.core.files import AlreadyThere, new_folder
from unifex.core.language import say
from unifex.core.progress import Work
from unifex.core.text import reason
from unifex.core.values import checked
from unifex.data.item import Skipped
from unifex.gallery import config as configuration
from unifex.gallery import naming, pictures, schema
from unifex.gallery.calibration import Calibration
from unifex.gallery.config import GalleryConfig, GalleryModel
from unifex.gallery.corrections import Correction
from unifex.gallery.database import Database
from unifex.gallery.derived_data import DerivedData
from unifex.gallery.duplicates import Duplicates
from unifex.gallery.errors import GalleryBusy, GalleryError, GalleryThere, ItemsGone, NoSuchGallery, NoSuchItem
from unifex.gallery.features import StoredFeatures
from unifex.gallery.neighbours import Neighbours
from unifex.gallery.records import Facts, Record, Registered
from unifex.gallery.snapshot import Snapshot
from unifex.gallery.writer import Writer, writing
from unifex.models.embedder import MODELS, Embedder, keep_model
from unifex.models.feature_table import FeatureTable
from unifex.vector_index.exact import VectorIndex

__all__ = ["Facts", "Gallery", "GalleryBusy", "GalleryError", "ItemsGone", "Record"]
_MEASURED = ("thumbs", "originals")  # folders whose sizes are noted image by image


@contextlib.contextmanager
def new_gallery(folder: Path) -> Iterator[Path]:
    """A folder to make a gallery in, as :func:`new_folder` is one. Raises :class:`GalleryThere`, and
    :class:`GalleryError` where the place is taken otherwise."""
    try:
        with new_folder(folder) as new:
            yield new
    except AlreadyThere as error:
        if (folder / configuration.FILE).exists():
            raise GalleryThere(folder.name) from error
        raise GalleryError(
            say("a folder '{name}' that is no gallery is in its place; choose another name", name=folder.name)
        ) from error


def make_files(folder: Path, config: GalleryConfig) -> None:
    """What an empty gallery has in its folder."""
    (folder / "features").mkdir()
    with Database(folder, config.id).connect(as_it_is=True) as database:
        schema.make_tables(database)
    GalleryModel(folder, config).keep()


class Gallery:
    """One gallery. Any number of readers, one writer at a time (:meth:`write`), across threads and processes.

    ``database``: what is kept, read; ``model``: what it is searched with; ``derived``: what follows from both.
    """

    def __init__(self, folder: Path, config: GalleryConfig, embedder: Embedder | None = None):
        self.database = Database(folder, config.id)
        self.model = GalleryModel(folder, config, embedder)
        self._features = StoredFeatures(self.database, self.model)
        self.derived = DerivedData(self.database, self.model, self._features)

    def __repr__(self) -> str:
        try:
            told = f"{len(self)} items"
        except (UnifexError, OSError) as error:  # whoever looks at it for what is wrong sees it
            told = reason(error)
        return f"Gallery({self.name!r}, {told}, model {self.config.model!r})"

    # --- opening -------------------------------------------------------------------------------------------------

    @classmethod
    @checked
    def create(cls, folder: str | Path, embedder: Embedder, dim: int | None = None) -> Gallery:
        """Make an empty gallery, and keep its model beside it, should it have come from elsewhere.

        Raises :class:`GalleryThere` if the folder is there already, other ``UnifexError`` where it cannot be made, or
        another model has this one's name.
        """
        folder = Path(folder)
        config = GalleryConfig.new(embedder, dim)
        try:
            keep_model(embedder, folder.parent / MODELS)
            with new_gallery(folder) as new:
                make_files(new, config)
        except UnifexError:
            raise
        except OSError as error:
            raise GalleryError(
                say("gallery '{name}' cannot be made: {reason}", name=folder.name, reason=reason(error))
            ) from error
        return cls(folder, config, embedder)

    @classmethod
    @checked
    def open(cls, folder: str | Path, embedder: Embedder | None = None) -> Gallery:
        """Open a gallery, with another model if one is given.

        Another backbone raises :class:`GalleryError`, since its features would have to be computed from the images;
        another neck is taken over, and the embeddings follow at the next search.
        """
        folder = Path(folder)
        gallery = cls(folder, GalleryConfig.read(folder), embedder)
        if embedder:
            gallery.model.adopt(embedder)
        return gallery

    @classmethod
    def open_or_create(cls, folder: str | Path, embedder: Embedder) -> Gallery:
        """Open the gallery, or make it if it is not there."""
        if (Path(folder) / configuration.FILE).exists():
            return cls.open(folder, embedder)
        with contextlib.suppress(GalleryThere):
            return cls.create(folder, embedder)
        return cls.open(folder, embedder)

    def is_still(self, fresh: Gallery, embedder: Embedder | None) -> bool:
        """Whether this is what was opened as ``fresh`` just now, with this model if one is given: what it remembers
        holds."""
        model = self.model
        is_same = model.stored_config == fresh.model.stored_config and model.is_of(embedder)
        return is_same and not self.database.replacement.has_happened()

    @property
    def folder(self) -> Path:
        """Where it lies."""
        return self.database.folder

    @property
    def models(self) -> Path:
        """Where the models that were trained beside it lie."""
        return self.folder.parent / MODELS

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.database.name

    @property
    def config(self) -> GalleryConfig:
        """What it is searched with now; on disk it is what :meth:`Library.use` made its own."""
        return self.model.config

    @property
    def embedder(self) -> Embedder:
        """The model the gallery was opened with, else its own, which may have been trained anew since."""
        return self.model.embedder

    def dim_of(self, dim: int | None) -> int:
        """``dim``, or the gallery's own when None. Raises ``DimensionError`` for one that its model has not."""
        return self.embedder.neck.check_dim(self.config.dim if dim is None else dim)

    def origin(self, kind: str, model: str = "", content: str = "") -> Origin:
        """The fingerprint of a file that is derived from this gallery."""
        return self.model.origin(kind, model, content)

    @property
    def model_key(self) -> str:
        """What embeddings depend on, but for the images: the neck and the dimension."""
        return self.model.key

    # --- items ---------------------------------------------------------------------------------------------------

    def __bool__(self) -> bool:
        """There is a gallery, whatever is in it: asking that must not count its items."""
        return True

    def __len__(self) -> int:
        return len(self.database)

    def records(self, ids: Sequence[int] | np.ndarray) -> list[Record]:
        """The items with these ids, in this order; ids that are no longer there are left out."""
        return self.database.records(ids)

    def find(
        self, names: Iterable[str], by: Sequence[str] = ("path", "uri"), dropped: bool = False
    ) -> dict[str, list[int]]:
        """Name -> ids of the items that it names ``by`` path or uri, ascending (an empty list where it names none).

        ``dropped``: also those that a correction leaves out.
        """
        return self.database.find(names, by, dropped)

    def record(self, item: int) -> Record:
        """The item with this id. Raises ``NoSuchItem``."""
        found = self.records([item])
        if not found:
            raise naming.missing_error(self.database, [item], kind=NoSuchItem)
        return found[0]

    def item_at(self, path: str) -> Record:
        """The item of this path or uri. Raises :class:`GalleryError` when there is none, or more than one."""
        return self.record(*naming.ids_named(self.database, [path]))

    def original(self, record: Record) -> bytes:
        """The image file's bytes. Raises :class:`GalleryError` when it was moved, deleted or changed since."""
        return pictures.original(self.database, record)

    def video_file(self, record: Record) -> Path:
        """The video that an item is a frame of. Raises :class:`GalleryError` where there is none, or not as it was."""
        return pictures.video_file(self.database, record)

    def thumbnail(self, sha256: str) -> bytes:
        """JPEG bytes (WebP in a gallery of an earlier version); empty when they are lost, and the image as well."""
        return pictures.thumbnail(self.database, sha256)

    def features(self, hashes: Sequence[str]) -> np.ndarray:
        """Backbone features float16 [len(hashes), D] of stored images. Raises ``ItemsGone``."""
        return self._features.read(hashes)

    def feature_table(self, hashes: Sequence[str]) -> FeatureTable:
        """The same, read from disk where it is looked at: for more than memory holds, while nobody writes."""
        return self._features.table(hashes)

    # --- search --------------------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """The gallery as it is committed now. Cheap when nothing changed; only new images are embedded."""
        return self.derived.snapshot()

    def index(self, dim: int | None = None) -> tuple[Snapshot, VectorIndex]:
        """The snapshot and an index over its embeddings at ``dim`` (default: the gallery's own)."""
        current = self.snapshot()
        return current, self.index_of(current, dim)

    def index_of(self, current: Snapshot, dim: int | None = None) -> VectorIndex:
        """An index over a snapshot's embeddings at ``dim``."""
        return self.derived.index(current, dim)

    def find_neighbours(self, current: Snapshot | None = None) -> Work[Neighbours]:
        """The neighbours of every item in the snapshot (``current``: in this one); at once when nothing changed."""
        return self.derived.find_neighbours(current)

    def neighbours(self) -> tuple[Snapshot, Neighbours]:
        """The snapshot and :meth:`find_neighbours` of it, waited for."""
        return self.derived.neighbours()

    def find_duplicates(self, current: Snapshot | None = None) -> Work[Duplicates]:
        """The near-copies in the snapshot (``current``: in this one), in groups; at once when nothing changed."""
        return self.derived.find_duplicates(current)

    def calibration(self, current: Snapshot | None = None) -> Calibration:
        """What similarity means here (in ``current``). Raises ``CalibrationError`` when the labels cannot tell."""
        return self.derived.calibration(current)

    # --- about it ------------------------------------------------------------------------------------------------

    def facts(self) -> Facts:
        """Counts, model and size on disk. Items are counted once a commit, and of images sizes are noted."""
        counts = self.derived.counts()
        with self.database.connect() as database:
            one = lambda query: database.execute(query).fetchone()[0]  # noqa: E731
            apart = _MEASURED if counts.bytes is not None else ()
            return Facts(
                name=self.name,
                items=sum(counts.domains.values()),
                images=counts.images,
                domains=counts.domains,
                labels=counts.labels,
                splits=counts.splits,
                refused=one("SELECT COUNT(*) FROM refused"),
                corrections=one("SELECT COUNT(*) FROM corrections"),
                model=self.config.model,
                backbone=self.config.backbone,
                dim=self.config.dim,
                bytes=(counts.bytes or 0) + _bytes_below(self.folder, *apart),
                unfinished=self.unfinished(),
            )

    def skipped(self) -> list[Skipped]:
        """Everything in its sources that could not be indexed, and why."""
        return self.database.skipped()

    def corrections(self) -> list[Correction]:
        """What people said of its items, by kind and path."""
        return self.database.corrections()

    def idle_corrections(self) -> frozenset[Correction]:
        """Those that do not apply: the image that they are of is not there now, at its place or at all."""
        return self.database.idle_corrections()

    def tags(self) -> dict[str, int]:
        """How many items have each tag, by tag in alphabetical order."""
        return self.database.tags()

    def sources(self) -> list[Registered]:
        """What it was indexed from, in the order of the first time."""
        return self.database.sources()

    def unfinished(self) -> list[str]:
        """The specs of sources whose indexing was cut off."""
        return self.database.unfinished()

    def is_being_written(self) -> bool:
        """Whether somebody, here or in another process, holds the right to change it now."""
        return self.database.is_being_written()

    def is_there(self) -> bool:
        """Whether it still lies where it was opened; deleted or renamed, another may have its name. Raises
        :class:`GalleryError` where that cannot be told."""
        try:
            return GalleryConfig.read(self.folder).id == self.config.id
        except NoSuchGallery:
            return False

    @contextlib.contextmanager
    def write(self) -> Iterator[Writer]:
        """The right to change the gallery. Raises :class:`GalleryBusy` when another writer has it,
        :class:`GalleryError` when it is not there any more, ``disk.FolderClosed`` where nothing is kept any more."""
        disk.check_open(self.folder)
        if not self.is_there():
            raise NoSuchGallery.any_more(self.name)
        with writing(self.database) as writer:
            yield writer


def _bytes_below(folder: Path, *but: str) -> int:
    """Of all files in a folder, without these folders in it."""
    total = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                total += 0 if entry.name in but else _bytes_below(Path(entry.path))
                continue
            with contextlib.suppress(FileNotFoundError):  # somebody is writing
                total += entry.stat(follow_symlinks=False).st_size
    return total
