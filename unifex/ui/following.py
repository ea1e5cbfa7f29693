"""Galleries that follow their folders while the server runs: a thread a folder, whose work is jobs as any other."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from unifex.core.errors import UnifexError
from unifex.core.jobs import Job, Jobs, State
from unifex.core.language import say
from unifex.core.text import explain, reason
from unifex.gallery.errors import GalleryBusy
from unifex.gallery.followed import folders, is_followed
from unifex.gallery.gallery import Gallery
from unifex.gallery.indexing import PruneRefused, index
from unifex.gallery.library import Broken, Library
from unifex.gallery.records import Registered
from unifex.gallery.watching import Moment, Patience, moments

PATIENCE = Patience()
RETRY_SECONDS = 1.0  # while somebody else is indexing, or writes the gallery
WATCH_SECONDS = 0.2
LOOK_SECONDS = 5.0  # between two looks whether another program has renamed a gallery, or changed its sources


@dataclass(eq=False)
class Follower:
    """One folder of a gallery. ``said``: what happened last, ``trouble`` while it is in the way; ``at``: when."""

    gallery: str
    folder: str
    said: str = ""
    trouble: bool = False
    at: datetime = field(default_factory=datetime.now)
    stop: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None

    def begin(self, work: Callable[[Follower], None]) -> None:
        """Follow, in a thread of its own."""
        self.thread = threading.Thread(target=work, args=(self,), name="unifex-follow", daemon=True)
        self.thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether it follows still."""
        return self.thread is not None and self.thread.is_alive()

    def tell(self, text: str, trouble: bool = False) -> None:
        """Keep a sentence for the page, unless it is the one that stands there for the same trouble."""
        if not (trouble and text == self.said):
            self.said, self.trouble, self.at = text, trouble, datetime.now()


class Following:
    """Of all galleries of a library. ``owner``: whose the jobs are; not ``allowed``: nothing is followed here."""

    def __init__(self, library: Library, jobs: Jobs, owner: str, allowed: bool):
        self.allowed = allowed
        self._library, self._jobs, self._owner = library, jobs, owner
        self._followers: dict[tuple[str, str], Follower] = {}
        self._ended: list[Follower] = []  # which may be at work still
        self._lock = threading.Lock()
        self._turn = threading.Lock()  # to look whether nobody is indexing, and begin
        self._closing = threading.Event()
        self._looking: threading.Thread | None = None

    def refresh(self, again: bool = True) -> None:
        """Follow what is to be followed now, and nothing else; ``again``: also where something ended it.

        To be called whenever a gallery or a source came, went or was renamed, or somebody turned the switch. What
        another program did is seen soon, too.
        """
        if not self.allowed:
            return
        with self._lock:
            if self._looking is None:
                self._looking = threading.Thread(target=self._look_on, name="unifex-following", daemon=True)
                self._looking.start()
            wanted = self._wanted()
            for key in self._followers.keys() - wanted:
                self._ended.append(ended := self._followers.pop(key))
                ended.stop.set()
            self._ended = [follower for follower in self._ended if follower.is_alive]
            for key in sorted(wanted):
                if key not in self._followers or (again and not self._followers[key].is_alive):
                    self._followers[key] = follower = Follower(*key)
                    follower.begin(self._follow)

    def _wanted(self) -> set[tuple[str, str]]:
        found: set[tuple[str, str]] = set()
        for name in self._library.own_names():
            known = self._library.ask(name, folders) if is_followed(self._library.folder / name) else []
            if not isinstance(known, Broken):
                found |= {(name, source.spec) for source in known}
        return found

    def close(self, seconds: float) -> None:
        """The server ends. Jobs are ended by who keeps them."""
        self._closing.set()
        with self._lock:
            self.allowed = False
            for follower in self._followers.values():
                follower.stop.set()
        deadline = time.monotonic() + seconds
        for thread in (self._looking, *(follower.thread for follower in (*self._followers.values(), *self._ended))):
            if thread:
                thread.join(max(0, deadline - time.monotonic()))

    def _look_on(self) -> None:
        while not self._closing.wait(LOOK_SECONDS):
            with contextlib.suppress(UnifexError, OSError):  # who follows tells what is in the way
                self.refresh(again=False)

    def of(self, gallery: str) -> list[Follower]:
        """Those of a gallery, by their folders."""
        with self._lock:
            return [follower for (name, _), follower in sorted(self._followers.items()) if name == gallery]

    @property
    def news(self) -> int:
        """Another number whenever there is something else to be told."""
        with self._lock:
            return hash(tuple((*key, follower.said, follower.at) for key, follower in self._followers.items()))

    # --- a follower's thread -------------------------------------------------------------------------------------

    def _follow(self, one: Follower) -> None:
        try:
            for moment in moments(Path(one.folder), self._library.folder, patience=PATIENCE, stop=one.stop):
                if moment is Moment.UNREACHABLE:
                    text = say(
                        "'{folder}' is empty or cannot be listed: nothing is removed, it is waited for",
                        folder=one.folder,
                    )
                    one.tell(text, trouble=True)
                else:
                    self._look(one)
        except Exception as error:  # a thread of its own: nobody else would tell
            one.tell(explain(error).sentence, trouble=True)

    def _look(self, one: Follower) -> None:
        """Index the folder once everybody else is done, and tell what came of it."""
        while not one.stop.is_set():
            try:
                job = self._begin(one)
            except (UnifexError, OSError) as error:  # the next change may mend it
                one.tell(reason(error), trouble=True)
                return
            while job and not job.finished.wait(WATCH_SECONDS):
                if one.stop.is_set():
                    return  # the job is as any other: it goes on until somebody cancels it
            if job and not isinstance(job.error, GalleryBusy):
                self._tell(one, job)
                return
            if job:
                self._jobs.forget(self._owner, "index", _key(one))  # nobody need know of one that came too late
            one.stop.wait(RETRY_SECONDS)

    def _begin(self, one: Follower) -> Job | None:
        """Its job; None while somebody else is indexing or writes the gallery. Raises ``UnifexError`` and OSError."""
        gallery = self._library.writable(one.gallery)
        source = _registered(gallery, one.folder)
        if source is None:  # forgotten, or moved, by another program
            one.stop.set()
            return None
        with self._turn:
            if self._jobs.is_busy(self._owner, "index"):
                return None
            if gallery.is_being_written():
                one.tell(say("'{name}' is being written; it is waited for", name=one.gallery), trouble=True)
                return None
            work = index(gallery, source.open(), prune=True)
            return self._jobs.start(self._owner, "index", one.gallery, work, _key(one))

    def _tell(self, one: Follower, job: Job) -> None:
        if isinstance(job.error, PruneRefused):
            one.tell(say("nothing was removed: {gone}", gone=job.error.doubt), trouble=True)
        elif job.error:
            one.tell(job.problem, trouble=True)
        elif job.state == State.CANCELLED:
            one.tell(say("cancelled; it goes on with the next change"), trouble=True)
        elif changes := job.result.changes():
            one.tell(changes)
        else:
            self._jobs.forget(self._owner, "index", _key(one))  # the page goes on showing what came of another
            if one.trouble:
                one.tell("")


def _key(one: Follower) -> str:
    """What tells its jobs from all others on its gallery."""
    return f"{one.gallery}: {one.folder} followed"


def _registered(gallery: Gallery, folder: str) -> Registered | None:
    return next((source for source in folders(gallery) if source.spec == folder), None)
