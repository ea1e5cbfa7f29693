"""What all tabs share: settings, the folder of galleries, the model, and what the server is doing to get ready."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from gradio.processing_utils import save_file_to_cache
from gradio.utils import get_upload_folder
from PIL import Image

from unifex.cli.settings import Settings
from unifex.core import disk
from unifex.core.errors import UnifexError
from unifex.core.files import new_folder
from unifex.core.jobs import Job, Jobs
from unifex.core.language import say, to_say
from unifex.core.progress import Work
from unifex.core.text import explain, plural, reason
from unifex.data import demo, sources, uploads
from unifex.data.item import Source, SourceError
from unifex.gallery.gallery import Gallery, GalleryBusy, GalleryError
from unifex.gallery.indexing import index
from unifex.gallery.library import Broken, Library
from unifex.maps.compiling import compile_ahead
from unifex.models.backbones import BackboneError
from unifex.models.embedder import DEFAULT_MODEL, Embedder
from unifex.retrieval.browsing import Listings
from unifex.training.resume import checkpoints
from unifex.ui.following import Following
from unifex.ui.gallery_names import gallery_of
from unifex.ui.job_galleries import galleries_of
from unifex.ui.rendering.grid import Rights
from unifex.ui.server.guard import owner_now, visitor_now
from unifex.ui.server.quotas import Limits
from unifex.ui.server.visitor_files import MADE
from unifex.ui.server.workspaces import VISITORS, Workspace, Workspaces
from unifex.ui.view import View
from unifex.ui.waiting_uploads import WaitingUploads

DEMO_GALLERY = "demo (synthetic)"
ERRORS = (UnifexError, OSError)  # what a user can mend; all else is a defect, which `page.Page` tells of
READ_ONLY = to_say("this server is read-only")
GONE = to_say("Files to download are kept for a while, and make room for newer ones: make it again.")
SERVER = ""  # owns the jobs of a server that has no visitors
SWEEP_SECONDS = 60
CLOSE_SECONDS = 10
IDLE_SECONDS = 20  # without a job, and what may be wanted next is got ready
log = logging.getLogger("unifex")


@dataclass(frozen=True)
class Interrupted:
    """Work that was cut off and can go on: a job of ``kind`` about ``name``; what to say, and on the button."""

    kind: str
    name: str
    text: str
    action: str


@dataclass
class AppContext:
    """Made once a server. ``state`` tells people what is being prepared; ``ready`` is set when nothing is.

    ``own``: the server's own galleries. ``problem``: why the model that was asked for does not serve. ``following``:
    what of ``own`` follows its folders, where who asks runs the server.
    """

    settings: Settings
    own: Library
    embedder: Embedder
    state: str = ""
    ready: threading.Event = field(default_factory=threading.Event)
    problem: str = ""
    jobs: Jobs = field(default_factory=Jobs)
    workspaces: Workspaces | None = None
    listings: Listings = field(default_factory=Listings)
    started: float = field(default_factory=time.time)
    following: Following = field(init=False)

    def __post_init__(self) -> None:
        self.state = say("preparing")
        allowed = not (self.settings.public or self.settings.read_only)
        self.following = Following(self.own, self.jobs, SERVER, allowed)
        self._closing = threading.Event()
        self._compiling = threading.Thread(target=self._compile_ahead, name="unifex-compile", daemon=True)
        if self.settings.public:
            self.workspaces = Workspaces(self.own, Limits.of(self.settings), self.jobs.end_owner)
            self.workspaces.begin()
            disk.keep_free(disk.SPARE_BYTES)
            os.environ["GRADIO_TEMP_DIR"] = str(self.workspaces.files.folder)  # nothing of a visitor's lies elsewhere
        place = self.workspaces.folder if self.workspaces else self.own.folder / VISITORS
        self._read_only = Library(place / ".nobody", self.own, READ_ONLY)

    @classmethod
    def create(cls, settings: Settings) -> AppContext:
        """Raises ``ModelError`` when the model cannot be loaded and OSError when the folder cannot be made.

        A model whose backbone is not on this computer is told of, and the bundled one serves.
        """
        library = Library(settings.library.resolve())
        library.folder.mkdir(parents=True, exist_ok=True)
        try:
            return cls(settings, library, Embedder.load(settings.model or DEFAULT_MODEL, models=library.models))
        except BackboneError as error:
            log.warning("%s; going on with %s", error, DEFAULT_MODEL)
            return cls(settings, library, Embedder.load(DEFAULT_MODEL), problem=reason(error))

    # --- whose ---------------------------------------------------------------------------------------------------

    @property
    def visitor(self) -> str:
        """Who asks on a public server; empty when nobody can tell."""
        return visitor_now(self.workspaces) if self.workspaces else ""

    @property
    def owner(self) -> str:
        """Whose jobs those of the running request are. Where there are no visitors, all pages are the user's own; who
        keeps no cookie is known by the address."""
        return owner_now(self.workspaces) if self.workspaces else SERVER

    def start(self, kind: str, name: str, work: Work[Any], source: str = "", how: str = "", **more: Any) -> Job:
        """Take a job for who asks, as :meth:`Jobs.start`. Raises ``JobError`` when it is not taken."""
        return self.jobs.start(self.owner, kind, name, work, source, how, **more)

    def left(self, name: str) -> None:
        """A gallery of who asks is no more, or is called otherwise; another one may be called so."""
        self.jobs.leave(self.owner, lambda job: name in galleries_of(job))
        self.following.refresh()

    def outcome(self, kind: str, name: str | None = None) -> Job | None:
        """As :meth:`Jobs.outcome`, of who asks."""
        return self.jobs.outcome(self.owner, kind, name)

    def is_busy(self, kind: str, name: str | None = None) -> bool:
        """Whether a job of a kind, about ``name``, of who asks waits or runs."""
        return self.jobs.is_busy(self.owner, kind, name)

    def interrupted(self) -> list[Interrupted]:
        """Indexing and trainings of who asks that were cut off, by Cancel or by the end of the server."""
        found = []
        for name in sorted(self.library.own_names()):
            if not self.can_change(name) or self.is_busy("index", name):
                continue
            if isinstance(count := self.library.ask(name, _items_of_unfinished), int):
                items = plural(count, "item", "items")
                text = say("Indexing '{name}' was interrupted; {items} are there.", name=name, items=items)
                found.append(Interrupted("index", name, text, say("Resume")))
        for training in checkpoints(self.library.models):
            if not self.is_busy("train", training.name) and self.can_change(training.gallery):
                about = {"name": training.name, "gallery": training.gallery}
                text = say("Training '{name}' on '{gallery}' was interrupted.", **about)
                found.append(Interrupted("train", training.name, text, say("Go on")))
        return found

    @property
    def workspace(self) -> Workspace | None:
        """The private workspace of who asks, if there is one."""
        return self.workspaces.of(self.visitor) if self.workspaces and self.visitor else None

    @property
    def library(self) -> Library:
        """The galleries and models of who asks."""
        if self.settings.read_only:
            return self._read_only
        if not self.workspaces:
            return self.own
        workspace = self.workspace
        return workspace.library if workspace else self.workspaces.nobody

    @property
    def uploads(self) -> WaitingUploads:
        """What who asks has uploaded and nobody has indexed yet."""
        return WaitingUploads(self.library, self.jobs, self.owner, self.workspace)

    def can_change(self, name: str | None) -> bool:
        """Whether who asks may change a gallery."""
        return self.library.may_change(name)  # sound or not: what is broken can be deleted

    def writable(self, name: str | None) -> Gallery:
        """Open a gallery to change it. Raises ``GalleryError`` where who asks may not."""
        self.check_writable()
        return self.library.writable(name)

    def check_writable(self) -> None:
        """Something is going to be kept for who asks. Raises ``GalleryError`` where nothing may be.

        Hidden buttons can still be called over HTTP, so every handler that keeps something asks.
        """
        self.library.check_writable()
        if workspace := self.workspace:
            workspace.touch()
            self._lend_model(workspace)

    def _lend_model(self, workspace: Workspace) -> None:
        """New galleries are made with the server's model, which may be one of its owner's own."""
        model, lent = self.own.models / self.embedder.name, workspace.library.models / self.embedder.name
        if not model.is_dir() or lent.exists():
            return
        try:
            with new_folder(lent) as made:
                shutil.copytree(model, made, dirs_exist_ok=True)
        except OSError:
            if not lent.exists():  # else another tab's request has lent it in the same moment
                raise

    @contextlib.contextmanager
    def within_limits(self, source: Source, gallery: Gallery) -> Iterator[Source]:
        """The source, as far as whoever asks may keep what is in it and not yet in the gallery."""
        if self.workspace is None:
            yield source
            return
        with contextlib.closing(self.workspace.limited(source, gallery)) as limited:
            yield limited

    def check_local(self, what: str) -> None:
        """Raises ``GalleryError`` on a public server: ``what`` is for who runs it."""
        if self.settings.public:
            raise GalleryError(say("{what} on a public server; run UniFEx yourself for that", what=what))

    def may_have_files(self, name: str) -> bool:
        """Whether who asks may have the image files of a gallery as they are, with all that is written in them."""
        return not self.settings.public or self.can_change(name)

    def rights(self, name: str) -> Rights:
        """What who asks may do with items of a gallery."""
        return Rights(self.can_change(name), self.may_have_files(name))

    def scratch(self) -> Path:
        """An empty folder for a file that is made for who asks, and :meth:`hand_out` gives away."""
        self.uploads.check_room()
        return uploads.scratch(self.library.folder)

    def hand_out(self, path: Path) -> str:
        """A file of :meth:`scratch` to download, for who asks alone; its path for a component."""
        try:
            if self.workspaces:
                return str(self.workspaces.files.keep(path, path.name, self.visitor, MADE))
            return save_file_to_cache(str(path), get_upload_folder())
        finally:
            uploads.discard(self.library.folder, str(path.absolute()))

    def uploaded(self, path: object) -> Path:
        """A path that the browser claims to have uploaded to. Raises ``SourceError`` for any other place."""
        given = Path(str(path))
        if self.workspaces:
            genuine = self.workspaces.files.is_sent_by(given, owner_now(self.workspaces))
        else:
            given = given.resolve()
            genuine = given.is_relative_to(Path(get_upload_folder()).resolve()) and given.is_file()
        if not genuine:
            raise SourceError(say("a file was not uploaded through this page"))
        return given

    def taken_in(self, path: Path) -> None:
        """An upload is not needed any more. On one's own computer it is Gradio's, which keeps equal ones once."""
        if self.workspaces:
            self.workspaces.files.release(path, owner_now(self.workspaces))

    # --- galleries -----------------------------------------------------------------------------------------------

    @property
    def news(self) -> str:
        """Another one whenever what every page shows may have changed for who asks."""
        told = (self.state, self.ready.is_set(), self.following.news, self.jobs.last_ended(self.owner, "use"))
        return str(hash((*told, *self.library.names())))

    def first_gallery(self) -> str:
        """The gallery to show first: the one asked for, as long as it may be there, else the user's own, else the
        demo."""
        names = self.library.names()
        wanted = self.settings.gallery
        if here := self.library.named(wanted):
            return here
        if wanted:
            made = gallery_of(self.library, wanted)
            if made in names or not (names and self.ready.is_set()):
                return made
        names = sorted(names, key=DEMO_GALLERY.__eq__) or [DEMO_GALLERY]
        told = ((name, self.library.ask(name, lambda gallery: gallery.database.has_items())) for name in names)
        return next((name for name, answer in told if not isinstance(answer, Broken)), names[0])

    def first_embedder(self) -> Embedder:
        """The model of the gallery that is shown first, or the one that will make it."""
        first = self.first_gallery()
        with contextlib.suppress(*ERRORS):  # whoever chooses a broken one is told
            if first in self.library.names():
                return self.gallery(first).embedder
        return self.embedder

    def gallery(self, name: str | None) -> Gallery:
        """Open a gallery with its own model. Raises ``GalleryError``."""
        gallery = self.library.get(name)
        if gallery.folder.parent != self.own.folder and self.workspace:
            self.workspace.touch()  # looking at what is one's own is using it
        return gallery

    def listed(self, gallery: Gallery, view: View) -> np.ndarray:
        """The ids int64 [n] of what a view shows of a gallery, in its order. Raises ``UnifexError``."""
        view = view.for_anybody(self.settings.public)
        return self.listings.ids(gallery, view.filters, view.order)

    def prepare(self) -> None:
        """Get the engine, the demo gallery and the asked-for source ready, in the background."""
        threading.Thread(target=self._prepare, name="unifex-prepare", daemon=True).start()

    def close(self) -> None:
        """The server ends, once what is done is kept. A library at work in a thread would abort the whole process."""
        self._closing.set()
        self.following.close(CLOSE_SECONDS)  # before the jobs, lest one begins
        self.jobs.close()
        self.ready.wait(CLOSE_SECONDS)
        if self._compiling.is_alive():
            self._compiling.join(CLOSE_SECONDS)

    def _compile_ahead(self) -> None:
        """Once nothing has been asked for in a while; what is asked for meanwhile ends it, to be tried again."""

        def wanted_elsewhere() -> bool:
            return self._closing.is_set() or self.jobs.active() > 0

        while not self._closing.wait(IDLE_SECONDS):
            if not wanted_elsewhere() and compile_ahead(wanted_elsewhere):
                return

    def _prepare(self) -> None:
        try:
            self.state = say("loading the backbone")
            self.embedder.embed([Image.new("RGB", (8, 8))])  # builds the engine, and spares the first query its start
            wanted, names = self.settings.gallery, self.own.names()
            if not wanted and (not names or self._is_demo_cut_off()):
                self._index(DEMO_GALLERY, demo.Demo(), say("drawing the demo gallery"))
            elif wanted and not self.own.named(wanted):
                doing = say("indexing {source}", source=wanted)
                self._index(gallery_of(self.own, wanted), sources.open_source(wanted), doing)
            try:
                self.gallery(self.first_gallery()).snapshot()
            except ERRORS as error:  # whoever chooses it is told; the others are as good as ever
                log.warning("%s", reason(error))
            self.own.sweep()
            uploads.sweep(self.own.folder, self.own.unfinished())
            if self.workspaces:
                threading.Thread(target=self._sweep, args=(self.workspaces,), name="unifex-sweep", daemon=True).start()
            self._compiling.start()
            self.following.refresh()
            self.state = self.problem or self.embedder.engine.name
        except Exception as error:  # a thread of its own: nobody else would tell the user
            told = explain(error)
            log.error("preparing failed: %s", told.sentence)
            self.state = told.sentence
        finally:
            self.ready.set()

    def _is_demo_cut_off(self) -> bool:
        """Whether a server ended while it drew the demo: what nobody asked for, nobody would think of resuming."""

        def cut_off(gallery: Gallery) -> bool:
            known = gallery.sources()
            return demo.Demo.spec in gallery.unfinished() or not (known or gallery.database.has_items())

        return DEMO_GALLERY in self.own.names() and self.own.ask(DEMO_GALLERY, cut_off) is True

    def _index(self, name: str, source: Source, doing: str) -> None:
        """A job as any other, which the page shows and can cancel; what comes next needs its gallery."""
        self.state = doing
        sources.require_items(source)
        with self.own.adding_to(name, lambda: self.embedder) as gallery:
            job = self.jobs.start(SERVER, "index", name, index(gallery, source), source.spec, source.options.to_json())
            job.finished.wait()
            if isinstance(job.error, GalleryBusy):
                log.info("gallery '%s' is being written by another process, which goes on with it", name)
            elif job.error:
                raise job.error
            self.own.awaiting.discard(gallery.name)

    @staticmethod
    def _sweep(workspaces: Workspaces) -> None:
        """Visitors' data goes when its time has come."""
        while True:
            try:
                workspaces.sweep()
            except ERRORS:
                log.exception("sweeping visitors' workspaces failed; tried again in a minute")
            time.sleep(SWEEP_SECONDS)


def _items_of_unfinished(gallery: Gallery) -> int | None:
    """How many items a gallery has whose indexing was cut off; None for one that is complete, or being written."""
    return len(gallery) if gallery.unfinished() and not gallery.is_being_written() else None
