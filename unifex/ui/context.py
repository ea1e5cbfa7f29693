"""What all tabs share: settings, the folder of galleries, the model, and what the server is doing to get ready."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from unifex import demo, images, sources, uploads
from unifex.backbones import BackboneError
from unifex.embedder import DEFAULT_MODEL, Embedder, ModelError
from unifex.gallery import Gallery, GalleryError
from unifex.hub import HubError
from unifex.indexes import Indexes, check_name
from unifex.indexing import Progress, index
from unifex.settings import Settings

DEMO_GALLERY = "demo (synthetic)"
ERRORS = (GalleryError, ModelError, BackboneError, HubError, images.ImageError, ValueError, OSError)
log = logging.getLogger("unifex")


@dataclass(frozen=True)
class Query:
    """What is being searched with: image files, or items of a gallery by id."""

    paths: tuple[str, ...] = ()
    items: tuple[int, ...] = ()
    gallery: str = ""

    def __bool__(self) -> bool:
        return bool(self.paths or self.items)


@dataclass(frozen=True)
class Chosen:
    """Items that were chosen on the map of a gallery, by id."""

    gallery: str = ""
    ids: tuple[int, ...] = ()

    def of(self, gallery: str | None) -> tuple[int, ...]:
        """The ids, if they are of this gallery."""
        return self.ids if self.gallery == gallery else ()


@dataclass(frozen=True)
class Found:
    """What the last search found: ids of the hits, best first, and their similarities."""

    gallery: str = ""
    ids: tuple[int, ...] = ()
    scores: tuple[float, ...] = ()


@dataclass
class Context:
    """Made once a server. ``state`` tells people what is being prepared; ``ready`` is set when nothing is.

    ``problem``: why the model that was asked for does not serve.
    """

    settings: Settings
    indexes: Indexes
    embedder: Embedder
    state: str = "preparing"
    ready: threading.Event = field(default_factory=threading.Event)
    problem: str = ""

    @classmethod
    def create(cls, settings: Settings) -> Context:
        """Raises ``ModelError`` when the model cannot be loaded and OSError when the folder cannot be made.

        A model whose backbone is not on this computer is told of, and the bundled one serves.
        """
        indexes = Indexes(settings.indexes.resolve())
        indexes.folder.mkdir(parents=True, exist_ok=True)
        try:
            return cls(settings, indexes, Embedder.load(settings.model, models=indexes.models))
        except BackboneError as error:
            log.warning("%s; going on with %s", error, DEFAULT_MODEL)
            return cls(settings, indexes, Embedder.load(DEFAULT_MODEL), problem=str(error))

    def first_gallery(self) -> str:
        """The gallery to show first: the one asked for, else the user's own, else the demo."""
        names = self.indexes.names()
        wanted = self.settings.gallery
        if wanted in names:
            return wanted
        if wanted:
            return name_for(wanted)
        return next((name for name in names if name != DEMO_GALLERY), DEMO_GALLERY)

    def gallery(self, name: str | None) -> Gallery:
        """Open a gallery with its own model. Raises ``GalleryError``."""
        if not name:
            raise GalleryError("no gallery yet; make one in the Gallery tab: drop a folder of images there")
        return self.indexes.get(name)

    def writable(self, name: str) -> Gallery:
        """Open a gallery to change it. Raises ``GalleryError``, always so on a public server."""
        self.refuse_strangers()
        return self.gallery(name)

    def refuse_strangers(self) -> None:
        """Raises ``GalleryError`` on a public server: hidden buttons can still be called over HTTP."""
        if self.settings.public:
            raise GalleryError("this server is public: its galleries are read-only")

    def prepare(self) -> None:
        """Get the engine, the demo gallery and the asked-for source ready, in the background."""
        threading.Thread(target=self._prepare, name="unifex-prepare", daemon=True).start()

    def _prepare(self) -> None:
        try:
            self.state = "loading the backbone"
            self.embedder.embed([Image.new("RGB", (8, 8))])  # builds the engine, and spares the first query its start
            wanted, names = self.settings.gallery, self.indexes.names()
            if not names and not wanted:
                self._index(DEMO_GALLERY, demo.Demo(), "drawing the demo gallery")
            elif wanted and wanted not in names:
                self._index(name_for(wanted), sources.open_source(wanted), f"indexing {wanted}")
            self.gallery(self.first_gallery()).snapshot()
            waiting = [spec for name in self.indexes.names() for spec, _ in self.gallery(name).unfinished()]
            uploads.sweep(self.indexes.folder, waiting)
            self.state = self.problem or self.embedder.engine.name
        except Exception as error:  # a thread of its own: nobody else would tell the user
            log.exception("preparing failed")
            self.state = str(error)
        finally:
            self.ready.set()

    def _index(self, name: str, source: sources.Source, doing: str) -> None:
        gallery = self.indexes.get_or_create(name, lambda: self.embedder)
        for event in index(gallery, source):
            if isinstance(event, Progress):
                self.state = f"{doing}: {event.done:,} of {event.total:,}" if event.total else doing


def name_for(source: str) -> str:
    """A gallery name made from a source: the folder's or file's own name, as far as it is allowed."""
    stem = Path(source.rstrip("/")).stem or source
    cleaned = "".join(char if char.isalnum() or char in " ._-" else "-" for char in stem).strip(" .-_")
    try:
        return check_name(cleaned[:40])
    except GalleryError:
        return "gallery"
