"""Jobs: whose turn it is, what cancel leaves, who may see what."""

from __future__ import annotations

import contextvars
import threading
from types import SimpleNamespace

import pytest

from unifex.core.errors import UnifexError
from unifex.core.jobs import MAX_FINISHED_OF_OWNER, MAX_WAITING, JobError, Jobs, State
from unifex.core.progress import Step
from unifex.ui.components.job_tray import check_idle

SECONDS = 20


class Gate:
    """Work that goes on one step at a time, and tells what became of it."""

    def __init__(self):
        self.reached, self.go = threading.Semaphore(0), threading.Semaphore(0)
        self.closed = False

    def work(self, steps: int = 1, result=None):
        try:
            for number in range(steps):
                self.reached.release()
                assert self.go.acquire(timeout=SECONDS)
                yield Step("counting", number + 1, steps)
            return result
        finally:
            self.closed = True


class Endless:
    """Work that never comes to an end by itself."""

    closed = False

    def work(self):
        try:
            while True:
                yield Step("going on")
        finally:
            self.closed = True


def at_once(result=None, order=None):
    if order is not None:
        order.append(result)
    yield Step("there")
    return result


def failing(error: Exception):
    yield Step("trying")
    raise error


def ended(job) -> State:
    assert job.finished.wait(SECONDS)
    return job.state


def test_a_job_runs_tells_its_steps_and_keeps_its_result():
    jobs, gate = Jobs(), Gate()
    job = jobs.start("ann", "index", "holiday", gate.work(2, "report"))
    gate.reached.acquire(timeout=SECONDS)
    assert job.state == State.RUNNING
    assert jobs.is_busy("ann", "index", "holiday")
    gate.go.release()
    gate.reached.acquire(timeout=SECONDS)
    assert (job.step.done, job.step.total, job.step.share) == (1, 2, 0.5)
    gate.go.release()
    assert ended(job) == State.DONE
    assert jobs.outcome("ann", "index", "holiday").result == "report"
    assert not jobs.is_busy("ann", "index", "holiday")


def test_a_job_that_is_done_has_done_all_of_it():
    """Also where the last step came before the end, as most do that tell how far they are now and then."""
    jobs = Jobs()

    def work():
        yield Step("counting", 3, 10, seconds_left=4.0)
        return "report"

    job = jobs.start("ann", "map", "holiday", work())
    assert ended(job) == State.DONE
    assert (job.step.stage, job.step.done, job.step.total, job.step.seconds_left) == ("counting", 10, 10, None)


def test_cancel_closes_the_work_and_lets_the_next_one_in():
    jobs, gate = Jobs(), Gate()
    job = jobs.start("ann", "index", "a", gate.work(100))
    waiting = jobs.start("ann", "index", "b", at_once("b"))
    dropped = jobs.start("ann", "index", "c", at_once("c"))
    gate.reached.acquire(timeout=SECONDS)
    assert ended(jobs.cancel("ann", dropped.id)) == State.CANCELLED
    assert jobs.cancel("ann", job.id).state == State.STOPPING
    gate.go.release()
    assert ended(job) == State.CANCELLED
    assert gate.closed
    assert ended(waiting) == State.DONE
    assert jobs.cancel("ann", waiting.id).state == State.DONE  # too late is no error


def test_what_took_long_is_kept_when_it_ends_after_many_others():
    jobs, gate = Jobs(), Gate()
    long = jobs.start("ann", "train", "a", gate.work(1, "trained"))
    gate.reached.acquire(timeout=SECONDS)
    for number in range(MAX_FINISHED_OF_OWNER):
        ended(jobs.start("ann", "map", str(number), at_once()))
    gate.go.release()
    assert ended(long) == State.DONE
    assert jobs.outcome("ann", "train", "a").result == "trained"


def test_an_owner_ends_whatever_has_ended_before():
    jobs, gate = Jobs(), Gate()
    running = jobs.start("bob", "index", "a", gate.work())
    gate.reached.acquire(timeout=SECONDS)
    waiting = [jobs.start("ann", "index", str(number), at_once()) for number in range(2)]
    for number in range(MAX_FINISHED_OF_OWNER):
        ended(jobs.start("ann", "map", str(number), at_once()))
    jobs.end_owner("ann", SECONDS)
    assert {job.state for job in waiting} == {State.CANCELLED}
    assert jobs.of("ann") == []
    gate.go.release()
    ended(running)


def test_owners_take_turns_and_kinds_do_not_wait_for_each_other():
    jobs, gate, order = Jobs(), Gate(), []
    first = jobs.start("ann", "evaluate", "0", gate.work())
    gate.reached.acquire(timeout=SECONDS)
    asked = [jobs.start("ann", "evaluate", f"ann {n}", at_once(f"ann {n}", order)) for n in range(3)]
    asked += [jobs.start("bob", "evaluate", f"bob {n}", at_once(f"bob {n}", order)) for n in range(2)]
    assert ended(jobs.start("ann", "map", "0", at_once())) == State.DONE
    gate.go.release()
    assert {ended(job) for job in (first, *asked)} == {State.DONE}
    assert order == ["ann 0", "bob 0", "ann 1", "bob 1", "ann 2"]


def test_the_same_twice_is_one_job_and_too_many_are_refused():
    jobs, gate = Jobs(), Gate()
    running = jobs.start("ann", "index", "a", gate.work(), source="photos/")
    gate.reached.acquire(timeout=SECONDS)
    assert jobs.start("ann", "index", "a", at_once(), source="photos/") is running
    with pytest.raises(JobError, match="'a' is being made with other options; wait for it, or cancel it"):
        jobs.start("ann", "index", "a", at_once(), source="photos/", how="without thumbnails")
    for number in range(MAX_WAITING):
        jobs.start("ann", "index", "a", at_once(), source=f"more/{number}")
    with pytest.raises(JobError, match="waiting already"):
        jobs.start("ann", "index", "b", at_once())
    assert jobs.start("bob", "index", "a", at_once(), source="photos/") is not running
    gate.go.release()
    ended(running)


@pytest.mark.parametrize(
    ("error", "logged"), [(UnifexError("no"), False), (OSError(28, "full"), False), (ValueError("numpy"), True)]
)
def test_a_failure_is_kept_and_a_defect_is_logged(error, logged, caplog):
    jobs = Jobs()
    job = jobs.start("ann", "map", "a", failing(error))
    assert ended(job) == State.FAILED
    assert job.error is error
    assert jobs.outcome("ann", "map", "a") is job
    assert ended(jobs.start("ann", "map", "a", at_once("fine"))) == State.DONE
    assert bool(caplog.records) == logged


def test_nobody_sees_or_ends_what_is_anothers():
    jobs, gate = Jobs(), Gate()
    job = jobs.start("ann", "index", "a", gate.work())
    assert jobs.of("bob") == []
    for ask in (jobs.get, jobs.cancel):
        with pytest.raises(JobError, match="not there"):
            ask("bob", job.id)
    gate.go.release()
    assert ended(job) == State.DONE
    assert jobs.outcome("bob", "index", "a") is None


def test_the_end_of_an_owner_ends_all_that_is_theirs():
    jobs, endless, other = Jobs(), Endless(), Gate()
    running = jobs.start("ann", "index", "a", endless.work())
    waiting = jobs.start("ann", "index", "b", at_once())
    others = jobs.start("bob", "train", "a", other.work())
    jobs.end_owner("ann", SECONDS)
    assert (running.state, waiting.state, endless.closed) == (State.CANCELLED, State.CANCELLED, True)
    assert jobs.of("ann") == []
    other.go.release()
    assert ended(others) == State.DONE


def test_an_outcome_is_shown_until_the_next_is_asked_for():
    jobs, gate = Jobs(), Gate()
    ended(jobs.start("ann", "index", "a", at_once("first")))
    assert jobs.outcome("ann", "index").result == "first"
    running = jobs.start("ann", "index", "b", gate.work(1, "second"))
    assert jobs.outcome("ann", "index") is None
    gate.go.release()
    ended(running)
    assert jobs.outcome("ann", "index").result == "second"
    blocked = Gate()
    jobs.start("ann", "index", "c", blocked.work())
    waiting = jobs.start("ann", "index", "b", at_once())
    jobs.leave("ann", lambda job: job.name == "b")  # another gallery may be called so next
    assert waiting.state == State.CANCELLED
    assert [job.name for job in jobs.of("ann")] == ["a", "c"]
    blocked.go.release()


def test_old_results_go_and_work_keeps_the_context_of_who_asked():
    jobs, who = Jobs(), contextvars.ContextVar("who", default="nobody")

    def asking():
        yield Step("asking")
        return who.get()

    who.set("ann")
    for number in range(MAX_FINISHED_OF_OWNER + 5):
        assert ended(jobs.start("ann", "map", str(number), asking())) == State.DONE
    assert len(jobs.of("ann")) == MAX_FINISHED_OF_OWNER
    assert jobs.of("ann")[-1].result == "ann"


@pytest.mark.parametrize(
    ("kind", "name", "source", "busy", "idle"),
    [
        ("pick", "some", "pets", ["some", "pets"], []),
        ("map", "pets", "raw", ["pets"], ["raw"]),
        ("train", "a model", "pets", ["pets"], ["a model"]),
        ("use", "pets, birds", "a model", ["pets", "birds"], ["a model"]),
        ("export", "pets", "", [], ["pets"]),
    ],
)
def test_a_gallery_is_idle_while_nothing_runs_for_it(kind, name, source, busy, idle):
    jobs, gate = Jobs(), Gate()
    context = SimpleNamespace(jobs=jobs, owner="ann")
    running = jobs.start("ann", kind, name, gate.work(), source=source)
    gate.reached.acquire(timeout=SECONDS)
    waiting = jobs.start("ann", kind, "fish", at_once(), source="fish")
    for gallery in busy:
        with pytest.raises(JobError, match=f"'{gallery}'; wait for it, or cancel it"):
            check_idle(context, gallery)
    for gallery in (*idle, "fish"):  # what waits is cancelled when the gallery goes
        check_idle(context, gallery)
    gate.go.release()
    assert {ended(job) for job in (running, waiting)} == {State.DONE}
    for gallery in busy:
        check_idle(context, gallery)


def test_closing_waits_until_what_runs_has_kept_its_work():
    jobs, endless = Jobs(), Endless()
    job = jobs.start("ann", "train", "a", endless.work())
    jobs.close(SECONDS)
    assert job.state == State.CANCELLED
    assert endless.closed
