"""What people drop or name, on its way into a gallery: checked, staged, opened, indexed as a job; what came of it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import gradio as gr

from unifex.core.errors import UnifexError
from unifex.core.jobs import Job, State
from unifex.core.language import say
from unifex.core.progress import Work
from unifex.data import sources, uploads
from unifex.data.frame_names import Choice
from unifex.data.item import Options, Source, SourceError
from unifex.gallery import bundle
from unifex.gallery.bundle_file import is_bundle
from unifex.gallery.counted import Counted, counted
from unifex.gallery.gallery import Gallery, GalleryBusy, GalleryError
from unifex.gallery.index_report import IndexReport
from unifex.gallery.indexing import PruneRefused, announce, index
from unifex.gallery.library import Library
from unifex.gallery.records import Asked
from unifex.models.embedder import Embedder
from unifex.ui.components.job_tray import check_idle
from unifex.ui.context import AppContext
from unifex.ui.gallery_names import free_name, gallery_of
from unifex.ui.rendering import gallery_report
from unifex.ui.rendering.html import message

BUSY_SECONDS = 0.5  # between two looks whether a gallery is written still


@dataclass
class IndexJobs:
    """For who asks; every method raises ``UnifexError`` for what may not be."""

    context: AppContext

    def stage(self, event: gr.EventData) -> tuple[str, str]:
        """Files that the page has uploaded -> where they are staged, and what the folder was called."""
        self.context.check_writable()
        self.context.uploads.check_room()
        files = [uploads.UploadedFile(self.context.uploaded(path), str(relative)) for path, relative in event.files]
        staged = uploads.stage(self.context.library.folder, files)
        for file in files:
            self.context.taken_in(file.temporary)
        return str(staged), min(file.name for file in files).partition("/")[0]  # they come as they were uploaded

    def is_packed(self, spec: str) -> bool:
        """Whether it is a gallery that was packed, which is opened and not indexed."""
        return not self.context.settings.public and is_bundle(Path(spec))

    def gallery_of(self, spec: str) -> str:
        """What a source goes into where nothing is named."""
        library = self.context.library
        return free_name(library, spec) if self.is_packed(spec) else gallery_of(library, spec)

    def is_taken(self, staged: str, begun: str) -> bool:
        """Whether Start was pressed for an upload; where that failed or was withdrawn, it can be pressed again."""
        mine = [job for job in self.context.jobs.of(self.context.owner) if (job.kind, job.source) == ("index", staged)]
        return staged == begun and not (mine and (mine[-1].state == State.FAILED or mine[-1].withdrawn))

    def open(self, spec: str, options: Options = Options(), may_be_empty: bool = False) -> Source:
        """A source that has images, its files read in a way that was asked for.

        On a public server it must be the visitor's own upload.
        """
        self.context.check_writable()
        if not spec:
            raise SourceError(say("nothing to add yet: drop images above or name a folder"))
        if uploads.is_staged(self.context.library.folder, spec):
            source = uploads.open_staged(Path(spec), options.exclude, self.context.settings.public)
        else:
            self.context.check_local(say("folders of the server and data sets are not read"))
            Choice.parse(options.frames)
            source = sources.open_source(spec, options=options)
        if not may_be_empty:
            sources.require_items(source)
        return source

    def start(
        self,
        spec: str,
        name: str,
        options: Options = Options(),
        embedder: Callable[[], Embedder] | None = None,
        asked: Asked = Asked(),
        may_be_empty: bool = False,
    ) -> Job:
        """Index a source into a gallery, or open a packed one under this name, else under that of :meth:`gallery_of`.
        ``embedder``: of a new gallery, where it is another than the server's own; ``asked``: what else is done;
        ``may_be_empty``: it had images once.
        """
        name = name or self.gallery_of(spec)
        self.context.jobs.check_turn(self.context.owner, "index")  # before anything is made for it
        if self.is_packed(spec):
            self.context.check_writable()
            bundle.free_place(name, self.context.library)  # refused before a job is seen to fail
            return self.context.start("index", name, self._unpacking(spec, name), spec)
        source = self.open(spec, options, may_be_empty or asked.prunes)  # nothing is made for nothing
        how, library = asked.beside(source.options), self.context.library
        with library.adding_to(name, embedder or (lambda: self.context.embedder)) as gallery:
            if same := self.context.jobs.same(self.context.owner, "index", gallery.name, spec, how):
                return same
            take_back = self._announced(gallery, source, spec, asked)
            work = self._indexing(gallery, source, asked)
            return self.context.start("index", gallery.name, work, spec, how, take_back=take_back)

    def _announced(self, gallery: Gallery, source: Source, spec: str, asked: Asked) -> Callable[[], None]:
        """Announce an indexing; what takes it back, as soon as nobody writes in its gallery."""
        library, owner, since = self.context.library, self.context.owner, time.monotonic()

        def is_asked_again() -> bool:
            jobs = [job for job in self._about(owner, gallery) if job.source == spec and job.asked > since]
            return any(job.began or job.state == State.WAITING for job in jobs)

        forget = _nothing
        with contextlib.suppress(GalleryBusy):
            forget = announce(gallery, source, asked, is_asked_again)

        def take_back() -> None:
            forget()
            self._drop_unfilled(library, owner, gallery, (State.WAITING, State.RUNNING))

        return lambda: _when_free(take_back, is_asked_again)

    def _about(self, owner: str, gallery: Gallery) -> list[Job]:
        mine = self.context.jobs.of(owner)
        return [job for job in mine if (job.kind, job.name) == ("index", gallery.name)]

    def _drop_unfilled(
        self, library: Library, owner: str, gallery: Gallery, others: Collection[State], failed: str = ""
    ) -> None:
        """A gallery that was made for what did not come goes, unless another job of its owner's is in one of these
        states about it, *Resume* would go on with a source that has not failed (``failed`` does just now), or an upload
        is known by nothing else."""
        about = self._about(owner, gallery)
        wanted = any(job.state in others for job in about)
        known = {source.spec for source in gallery.sources()}
        cut_off = known - {failed} - {job.source for job in about if job.state == State.FAILED}
        if not (wanted or cut_off or any(uploads.is_staged(library.folder, spec) for spec in known)):
            library.drop_empty(gallery.name)

    def _indexing(self, gallery: Gallery, source: Source, asked: Asked) -> Work[IndexReport]:
        library, owner = self.context.library, self.context.owner
        try:
            with self.context.within_limits(source, gallery) as limited:
                report = yield from index(gallery, limited, asked.prune, asked.prune_all, asked.rehash)
        except Exception:
            with contextlib.suppress(UnifexError, OSError):  # what failed is what is to be told
                self._drop_unfilled(library, owner, gallery, [State.WAITING], source.spec)
            raise
        library.awaiting.discard(gallery.name)
        uploads.discard(gallery.folder.parent, source.spec)
        self.context.following.refresh()  # a gallery that follows its folders has another one
        return report

    def _unpacking(self, spec: str, name: str) -> Work[Counted]:
        library = self.context.library
        made = yield from counted(bundle.unpack(Path(spec), name, library))
        uploads.discard(library.folder, spec)
        return made

    def resume(self, name: str) -> Job:
        """Go on with the source of a gallery whose indexing was cut off, and do what that was to do."""
        waiting = [source for source in self.context.gallery(name).sources() if not source.complete]
        if not waiting:
            raise GalleryError(say("there is nothing to go on with; '{name}' is complete", name=name))
        first = waiting[0]
        return self.start(first.spec, name, first.reading, asked=first.asked, may_be_empty=True)

    def holds_nothing(self, name: str) -> bool:
        """Whether a gallery was made for what was cut off and has nothing of it: with it nothing is lost."""
        library = self.context.library

        def is_empty(gallery: Gallery) -> bool:
            known = gallery.sources()
            kept = any(source.complete or uploads.is_staged(library.folder, source.spec) for source in known)
            return not (kept or gallery.database.has_items() or gallery.corrections())

        return library.ask(name, is_empty) is True

    def give_up(self, name: str) -> None:
        """Nobody goes on with what was cut off: its gallery goes, in which nothing is."""
        self.context.check_writable()
        check_idle(self.context, name)
        if not self.holds_nothing(name):
            raise GalleryError(say("there is something in '{name}' by now; the Gallery tab deletes it", name=name))
        self.context.uploads.delete_gallery(name)
        self.context.left(name)


def _nothing() -> None:
    """Nothing is to be taken back."""


def _when_free(action: Callable[[], None], is_off: Callable[[], bool]) -> None:
    """Do what asks for a gallery that may be written just now, at once or later, unless it ``is_off`` by then."""

    def wait() -> None:
        with contextlib.suppress(UnifexError, OSError):  # it is there no more
            while not is_off():
                try:
                    return action()
                except GalleryBusy:
                    time.sleep(BUSY_SECONDS)

    try:
        action()
    except GalleryBusy:
        threading.Thread(target=wait, name="unifex-withdraw", daemon=True).start()


def came_of(job: Job, going_on: bool) -> str:
    """What came of an indexing that has ended; ``going_on``: it can be resumed."""
    resume = say("What was done is kept and can be searched; Resume goes on where it stopped.") if going_on else ""
    if isinstance(job.error, PruneRefused):
        text = say(
            "{gone} If you mean it, choose under Sources to remove them however many they are.", gone=job.error.doubt
        )
        return message(say("Everything is indexed, nothing was removed"), text, "warning")
    if job.state == State.FAILED:
        return message(say("Indexing '{name}' stopped", name=job.name), f"{job.problem}. {resume}".strip(), "error")
    if job.state == State.CANCELLED:
        return message(say("Indexing '{name}' was cancelled", name=job.name), resume, "warning")
    if isinstance(job.result, IndexReport):
        return gallery_report.report(job.result)
    return message(say("Gallery '{name}' is open", name=job.result.name), job.result.items, "good")
