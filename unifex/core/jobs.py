"""Long work belongs to the server: it goes on when its page is closed, and every page of its owner can watch it.

A job is a generator of :class:`~unifex.core.progress.Step` that returns its result. It runs in a thread of its own;
closing the generator, whose ``finally`` keeps what is done, is all that cancel is. Of each kind one job runs at a time;
owners take turns, so that nobody waits for all that another has asked for.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import secrets
import threading
import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from unifex.core.errors import UnifexError
from unifex.core.language import say, to_say
from unifex.core.progress import Step, Work
from unifex.core.text import duration, explain

log = logging.getLogger(__name__)
MAX_WAITING = 4  # of one kind and one owner
MAX_FINISHED = 200  # results that are kept, of all owners together
MAX_FINISHED_OF_OWNER = 20
WAIT_SECONDS = 0.05


class JobError(UnifexError):
    """A job that is not taken, or is not there."""


class State(StrEnum):
    """Where a job stands. ``STOPPING`` was cancelled and is keeping what it has done."""

    WAITING = "waiting"
    RUNNING = "running"
    STOPPING = "stopping"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def active(self) -> bool:
        """Whether it still takes or will take time."""
        return self in (State.WAITING, State.RUNNING, State.STOPPING)


def _nothing() -> None:
    """Nothing is to be taken back."""


@dataclass(eq=False)
class Job:
    """``kind``: index, train, ...; ``name``: the gallery or model that it is about; ``source``: what it is made from,
    which tells two jobs on one gallery apart; ``how``: with which options. ``result`` is there once it is done,
    ``error`` and a sentence of it, ``problem``, once it has failed. ``take_back`` undoes what was done when it was
    asked for, where somebody cancels it before its turn comes."""

    id: str
    owner: str
    kind: str
    name: str
    source: str
    how: str = ""
    state: State = State.WAITING
    step: Step = Step(to_say("waiting"))
    result: Any = None
    error: Exception | None = None
    problem: str = ""
    asked: float = field(default_factory=time.monotonic)
    began: float = 0.0
    ended: float = 0.0
    finished: threading.Event = field(default_factory=threading.Event, repr=False)
    take_back: Callable[[], None] = field(default=_nothing, repr=False)

    @property
    def at_work(self) -> bool:
        """Whether its turn has come, and it has not ended."""
        return self.state in (State.RUNNING, State.STOPPING)

    @property
    def withdrawn(self) -> bool:
        """Whether it was cancelled before its turn came: all is as if nobody had asked for it."""
        return self.state == State.CANCELLED and not self.began

    async def outcome(self) -> Any:
        """Its result, waited for. Raises what it raised, and :class:`JobError` when it was cancelled."""
        while not self.finished.is_set():
            await asyncio.sleep(WAIT_SECONDS)
        if self.error:
            raise self.error
        if self.state == State.CANCELLED:
            raise JobError(say("it was cancelled"))
        return self.result


_Queue = OrderedDict[str, dict[Job, Callable[[], None]]]  # owners in the order of their turns: what waits, how it runs


class Jobs:
    """All jobs of a server."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._jobs: OrderedDict[str, Job] = OrderedDict()  # oldest first
        self._queues: dict[str, _Queue] = defaultdict(OrderedDict)  # by kind
        self._running: dict[str, Job] = {}  # by kind
        self._last_ended: dict[tuple[str, str], str] = {}  # by owner and kind

    def start(
        self,
        owner: str,
        kind: str,
        name: str,
        work: Work[Any],
        source: str = "",
        how: str = "",
        take_back: Callable[[], None] = _nothing,
    ) -> Job:
        """Take a job; it runs when its turn comes, with the context variables of who calls. The same that is asked for
        twice is one job. Raises :class:`JobError` when its owner has enough that waits, or the same with other options.
        """
        with self._lock:
            if same := self.same(owner, kind, name, source, how):
                return same
            self.check_turn(owner, kind)
            job = Job(secrets.token_urlsafe(12), owner, kind, name, source, how, take_back=take_back)
            self._jobs[job.id] = job
            context = contextvars.copy_context()
            self._queues[kind].setdefault(owner, {})[job] = lambda: context.run(self._run, job, work)
            self._next(kind)
            return job

    def same(self, owner: str, kind: str, name: str, source: str, how: str) -> Job | None:
        """The job that does this, if one waits or runs. Raises :class:`JobError` for one with other options."""
        for job in self.of(owner):
            if (job.kind, job.name, job.source) == (kind, name, source) and job.state in (State.WAITING, State.RUNNING):
                if job.how != how:
                    told = say("'{name}' is being made with other options; wait for it, or cancel it", name=name)
                    raise JobError(told)
                return job
        return None

    def check_turn(self, owner: str, kind: str) -> None:
        """Raises :class:`JobError` when no further job of this kind is taken: for what must be done before one is."""
        waiting = [job for job in self.of(owner) if job.kind == kind and job.state == State.WAITING]
        if len(waiting) >= MAX_WAITING:
            raise JobError(say("{most} of yours are waiting already; wait for one, or cancel one", most=MAX_WAITING))

    def of(self, owner: str) -> list[Job]:
        """An owner's jobs that run, wait or have ended lately, oldest first."""
        with self._lock:
            return [job for job in self._jobs.values() if job.owner == owner]

    def get(self, owner: str, id: str) -> Job:
        """A job of this owner. Raises :class:`JobError` for any other."""
        job = self._jobs.get(id)
        if job is None or job.owner != owner:
            raise JobError(say("this job is not there any more; the list of jobs has those that are"))
        return job

    def outcome(self, owner: str, kind: str, name: str | None = None) -> Job | None:
        """The job of a kind (about ``name``) that ended last. None when there is none, and while one is at work that
        was asked for since: what is shown of one goes when the next begins."""
        fitting = [job for job in self.of(owner) if job.kind == kind and name in (None, job.name) and not job.withdrawn]
        since = min((job.asked for job in fitting if job.at_work), default=0.0)
        ended = [job for job in fitting if not job.state.active and job.ended > since]
        return max(ended, key=lambda job: job.ended, default=None)

    def last_ended(self, owner: str, kind: str) -> str:
        """The id of the last job of a kind that ended, however it did, once its turn had come; empty where none did."""
        return self._last_ended.get((owner, kind), "")

    def active(self) -> int:
        """How many of all owners' run or wait."""
        with self._lock:
            return sum(job.state.active for job in self._jobs.values())

    def is_busy(self, owner: str, kind: str, name: str | None = None) -> bool:
        """Whether a job of this kind (about ``name``) runs or waits."""
        return any(job.kind == kind and name in (None, job.name) and job.state.active for job in self.of(owner))

    def is_at_work(self, owner: str, kind: str, name: str) -> bool:
        """Whether a job of this kind about ``name`` runs."""
        return any((job.kind, job.name) == (kind, name) and job.at_work for job in self.of(owner))

    def cancel(self, owner: str, id: str) -> Job:
        """End a job: one that waits at once, as if it had not been asked for; one that runs between two of its steps.
        Raises :class:`JobError`."""
        with self._lock:
            job = self.get(owner, id)
            withdrawn = job.state == State.WAITING
            if withdrawn:
                del self._queues[job.kind][owner][job]
            if withdrawn or job.state == State.RUNNING:
                job.state = State.STOPPING
        if withdrawn:
            try:
                with contextlib.suppress(UnifexError, OSError):
                    job.take_back()  # which may wait for a disk: all others go on meanwhile
            finally:  # it ends all the same
                with self._lock:
                    self._end(job, State.CANCELLED)
        return job

    def _stop(self, job: Job) -> None:
        """As :meth:`cancel`, but what was done when it was asked for stays, to go on with it another time."""
        if job.state == State.WAITING:
            del self._queues[job.kind][job.owner][job]
            self._end(job, State.CANCELLED)
        elif job.state == State.RUNNING:
            job.state = State.STOPPING

    def forget(self, owner: str, kind: str | None = None, about: str | None = None) -> None:
        """Results of this owner (of one kind, about one gallery or model) are shown no more."""
        with self._lock:
            for job in self.of(owner):
                if not job.state.active and kind in (None, job.kind) and about in (None, job.name, job.source):
                    del self._jobs[job.id]

    def leave(self, owner: str, is_about: Callable[[Job], bool]) -> None:
        """A gallery is no more, or is called otherwise: what waits for it is cancelled, what is known of it goes."""
        with self._lock:
            for job in filter(is_about, self.of(owner)):
                if job.state == State.WAITING:
                    self._stop(job)
                if not job.state.active:
                    self._jobs.pop(job.id, None)

    def end_owner(self, owner: str, seconds: float = 60) -> None:
        """Cancel all that an owner has, wait for it to end, and forget it."""
        self._end_all(lambda job: job.owner == owner, seconds)
        self.forget(owner)
        with self._lock:
            self._last_ended = {of: job for of, job in self._last_ended.items() if of[0] != owner}

    def close(self, seconds: float = 10) -> None:
        """The server ends: cancel everything, so that what is done is kept."""
        self._end_all(lambda job: True, seconds)

    def _end_all(self, chosen: Callable[[Job], bool], seconds: float) -> None:
        with self._lock:  # those that have ended are forgotten meanwhile, which cancel would refuse
            jobs = [job for job in self._jobs.values() if job.state.active and chosen(job)]
            for job in jobs:
                self._stop(job)
        deadline = time.monotonic() + seconds
        for job in jobs:
            job.finished.wait(max(0, deadline - time.monotonic()))

    # --- running -------------------------------------------------------------------------------------------------

    def _next(self, kind: str) -> None:
        """Give the place of a kind, if it is free, to the owner whose turn it is."""
        if kind in self._running:
            return
        queue = self._queues[kind]
        while queue:
            owner, waiting = queue.popitem(last=False)
            if not waiting:
                continue
            job = next(iter(waiting))
            run = waiting.pop(job)
            queue[owner] = waiting  # its next turn comes after everybody else's
            self._running[kind] = job
            job.state, job.step, job.began = State.RUNNING, Step(to_say("starting")), time.monotonic()
            job.take_back = _nothing
            threading.Thread(target=run, name=f"unifex-{kind}", daemon=True).start()
            return

    def _run(self, job: Job, work: Work[Any]) -> None:
        ended = State.FAILED
        try:
            while job.state == State.RUNNING:
                job.step = next(work)
            work.close()
            ended = State.CANCELLED
        except StopIteration as stop:
            job.result, job.step, ended = stop.value, job.step.finished, State.DONE
        except Exception as error:  # a thread of its own: nobody else would tell who asked
            job.error, job.problem = error, explain(error).sentence
        finally:
            with self._lock:
                del self._running[job.kind]
                self._last_ended[job.owner, job.kind] = job.id
                self._end(job, ended)
                self._next(job.kind)

    def _end(self, job: Job, state: State) -> None:
        job.state, job.ended, job.take_back = state, time.monotonic(), _nothing  # which holds what it is about
        job.finished.set()
        log.info("%s: %s after %s", job.kind, state, duration(job.ended - (job.began or job.asked)))
        finished = [other for other in self._jobs.values() if not other.state.active]
        finished.sort(key=lambda other: other.ended)  # one that took long was asked for before many that are forgotten
        own = [other for other in finished if other.owner == job.owner]
        for old in {*finished[:-MAX_FINISHED], *own[:-MAX_FINISHED_OF_OWNER]}:
            self._jobs.pop(old.id, None)
