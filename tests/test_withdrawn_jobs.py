"""A job that is cancelled before its turn comes leaves everything as if nobody had asked for it."""

from __future__ import annotations

import shutil
import sqlite3
import threading
import time
from collections.abc import Callable
from functools import partial

import gradio as gr
import pytest

from tests.support.drawing import write_folder
from unifex.cli.settings import Settings
from unifex.core.jobs import Jobs, State
from unifex.core.progress import Step
from unifex.data import uploads
from unifex.data.item import SourceError
from unifex.data.sources import open_source
from unifex.gallery.duplicates import ALIKE
from unifex.gallery.gallery import GalleryError
from unifex.gallery.indexing import announce, index
from unifex.gallery.library import Library
from unifex.training.config import PRESETS, TrainConfig
from unifex.training.held_out import HoldOut
from unifex.training.resume import read_curve
from unifex.ui.components.copies import COMPARISON, Copies
from unifex.ui.components.gallery_sources import KEEP, PRUNE, GallerySources
from unifex.ui.components.index_jobs import IndexJobs
from unifex.ui.components.item_view import ItemView
from unifex.ui.components.train_jobs import TrainJobs
from unifex.ui.context import AppContext
from unifex.ui.server.quotas import Limits
from unifex.ui.server.workspaces import Workspaces
from unifex.ui.tabs.evaluate_tab import EvaluateTab
from unifex.ui.tabs.map_tab import MapTab

SECONDS = 60


class Blocker:
    """Work in whose turn all other of its kind waits, until it may go on."""

    def __init__(self):
        self.go = threading.Event()

    def work(self):
        yield Step("in the way")
        assert self.go.wait(SECONDS)


@pytest.fixture
def blocker():
    made = Blocker()
    yield made
    made.go.set()


@pytest.fixture
def context(gallery):
    library = Library(gallery.folder.parent)
    context = AppContext(Settings(library=library.folder), library, gallery.embedder)
    context.ready.set()
    return context


def until(done: Callable[[], bool]) -> None:
    for _ in range(SECONDS * 10):
        if done():
            return
        time.sleep(0.1)
    raise AssertionError("it does not come")


def cancel_last(context: AppContext) -> None:
    job = context.jobs.of(context.owner)[-1]
    assert job.state == State.WAITING
    assert context.jobs.cancel(context.owner, job.id).withdrawn


def test_what_came_of_the_one_before_is_told_while_another_waits_and_after_it_was_withdrawn(blocker):
    jobs, taken_back = Jobs(), []
    jobs.start("ann", "map", "g", iter(())).finished.wait(SECONDS)
    jobs.start("ann", "map", "other", blocker.work())
    waiting = [
        jobs.start("ann", "map", "g", iter(()), how=how, source=how, take_back=lambda how=how: taken_back.append(how))
        for how in ("again", "at the end")
    ]
    first = jobs.of("ann")[0]
    assert jobs.outcome("ann", "map", "g") is first
    assert jobs.cancel("ann", waiting[0].id) is waiting[0]
    assert jobs.outcome("ann", "map", "g") is first
    blocker.go.set()
    jobs.close()  # what waits then is wanted still
    assert taken_back == ["again"]


def test_a_look_that_is_withdrawn_leaves_its_source_as_it_was(context, gallery, blocker):
    before, sources = gallery.sources(), GallerySources(context)
    context.start("index", "another", blocker.work())
    sources.look_again(gallery.name, before[0].id, PRUNE, True)
    assert gallery.unfinished() == [before[0].spec]
    cancel_last(context)
    assert gallery.sources() == before
    assert context.interrupted() == []


def test_what_another_program_began_since_is_not_taken_back(context, gallery, folder, blocker):
    context.start("index", "another", blocker.work())
    GallerySources(context).look_again(gallery.name, gallery.sources()[0].id, KEEP, True)
    looking = index(gallery, str(folder), prune=True, rehash=True)
    next(looking)
    looking.close()
    begun = gallery.sources()
    cancel_last(context)
    assert gallery.sources() == begun
    assert gallery.unfinished() == [begun[0].spec]


def test_only_a_gallery_that_holds_nothing_goes_with_what_was_cut_off(context, gallery, folder):
    jobs, library = IndexJobs(context), context.library
    announce(gallery, open_source(str(folder)))
    announce(library.get_or_create("new", lambda: gallery.embedder), open_source(str(folder)))
    upload = write_folder(library.folder / uploads.STAGE / "sent", views=1)
    announce(library.get_or_create("sent", lambda: gallery.embedder), open_source(str(upload)))
    assert [cut.name for cut in context.interrupted() if jobs.holds_nothing(cut.name)] == ["new"]
    for kept in (gallery.name, "sent"):
        with pytest.raises(GalleryError, match="there is something in"):
            jobs.give_up(kept)
    jobs.give_up("new")
    assert set(library.names()) == {gallery.name, "sent"}


def test_a_look_that_is_withdrawn_while_another_writes_is_taken_back_when_that_ends(context, gallery, blocker):
    before = gallery.sources()
    context.start("index", "another", blocker.work())
    GallerySources(context).look_again(gallery.name, before[0].id, PRUNE, True)
    with gallery.write():
        cancel_last(context)
        assert gallery.sources() != before
    until(lambda: gallery.sources() == before)


def test_what_is_asked_for_again_meanwhile_is_not_taken_back(context, gallery, blocker):
    context.start("index", "another", blocker.work())
    look_again = partial(GallerySources(context).look_again, gallery.name, gallery.sources()[0].id, PRUNE, True)
    look_again()
    with gallery.write():
        cancel_last(context)
        look_again()
    until(lambda: not any(thread.name == "unifex-withdraw" for thread in threading.enumerate()))
    assert gallery.unfinished()


def test_a_gallery_that_resume_would_go_on_with_stays(context, folder, blocker):
    """Cut off before there was an item, gone on with and withdrawn, and beside another source that fails."""
    jobs = IndexJobs(context)
    with context.library.adding_to("new", lambda: context.embedder) as gallery, gallery.write() as writer:
        writer.begin_source(str(folder), keep=False)
    context.start("index", "another", blocker.work())
    jobs.resume("new")
    cancel_last(context)
    assert "new" in context.library.names()
    gone = str(shutil.copytree(folder, folder.parent / "gone"))
    failing = jobs.start(gone, "new")
    shutil.rmtree(gone)
    blocker.go.set()
    assert failing.finished.wait(SECONDS)
    assert failing.state == State.FAILED
    assert context.library.get("new").unfinished() == [str(folder), gone]


def test_a_gallery_that_was_made_for_what_failed_goes_with_it(context, folder, blocker):
    jobs, before = IndexJobs(context), context.library.names()
    both = [str(shutil.copytree(folder, folder.parent / name)) for name in ("more", "much more")]
    context.start("index", "another", blocker.work())
    started = [jobs.start(source, "new") for source in both]
    for source in both:
        shutil.rmtree(source)
    kept = jobs.start(str(folder), "kept")
    blocker.go.set()
    for job in (*started, kept):
        assert job.finished.wait(SECONDS)
    assert [job.state for job in started] == [State.FAILED] * 2
    assert context.library.names() == sorted([*before, "kept"])
    gallery, late = context.library.get("kept"), Blocker()
    with gallery.write() as writer:
        writer.remove(gallery.snapshot().columns.ids.tolist())
    context.start("index", "another", late.work())
    GallerySources(context).look_again("kept", gallery.sources()[0].id, KEEP, False)
    shutil.rmtree(folder)
    late.go.set()
    assert context.jobs.of(context.owner)[-1].finished.wait(SECONDS)
    assert "kept" in context.library.names()  # it was somebody's


def test_so_does_one_that_the_server_makes_at_its_start(gallery, folder, monkeypatch):
    def fail(*_: object):
        yield Step("reading")
        raise SourceError("the disk went")

    monkeypatch.setattr("unifex.ui.context.index", fail)
    library, more = Library(gallery.folder.parent), shutil.copytree(folder, folder.parent / "more")
    context = AppContext(Settings(library=library.folder, gallery=str(more)), library, gallery.embedder)
    context.prepare()
    assert context.ready.wait(SECONDS)
    context.close()
    assert (context.state, library.names()) == ("the disk went", [gallery.name])


def test_others_go_on_while_something_is_taken_back(blocker):
    jobs, going, go_on = Jobs(), threading.Event(), threading.Event()

    def take_back():
        going.set()
        assert go_on.wait(SECONDS)

    jobs.start("ann", "map", "other", blocker.work())
    waiting = jobs.start("ann", "map", "g", iter(()), take_back=take_back)
    cancelling = threading.Thread(target=jobs.cancel, args=("ann", waiting.id))
    cancelling.start()
    assert going.wait(SECONDS)
    assert jobs.start("bob", "train", "his", iter(())).finished.wait(SECONDS)
    jobs.cancel("ann", waiting.id)  # pressed twice
    go_on.set()
    cancelling.join(SECONDS)
    assert waiting.withdrawn
    assert waiting.finished.is_set()


def test_what_cannot_be_taken_back_ends_all_the_same(blocker):
    def take_back():
        raise sqlite3.OperationalError("database is locked")

    jobs = Jobs()
    jobs.start("ann", "map", "other", blocker.work())
    waiting = jobs.start("ann", "map", "g", iter(()), take_back=take_back)
    with pytest.raises(sqlite3.OperationalError):
        jobs.cancel("ann", waiting.id)
    assert waiting.withdrawn
    assert waiting.finished.is_set()


def test_going_on_that_is_withdrawn_can_be_gone_on_with(context, gallery, folder, blocker):
    looking = index(gallery, str(folder), prune=True)
    next(looking)
    looking.close()
    before = gallery.sources()
    context.start("index", "another", blocker.work())
    IndexJobs(context).resume(gallery.name)
    cancel_last(context)
    assert gallery.sources() == before
    assert [cut.name for cut in context.interrupted()] == [gallery.name]


def test_a_new_source_that_is_withdrawn_goes_with_the_gallery_that_was_made_for_it(context, gallery, folder, blocker):
    more = [str(shutil.copytree(folder, folder.parent / name)) for name in ("more", "much more")]
    before, jobs = gallery.sources(), IndexJobs(context)
    context.start("index", "another", blocker.work())
    jobs.start(more[0], gallery.name)
    cancel_last(context)
    assert gallery.sources() == before
    first = jobs.start(more[0], "new")
    jobs.start(more[1], "new")
    context.jobs.cancel(context.owner, first.id)
    assert [source.spec for source in context.gallery("new").sources()] == more[1:]
    cancel_last(context)
    assert "new" not in context.library.names()
    jobs.start(more[0], "newer")
    cancel_last(context)
    assert "newer" not in context.library.names()
    assert len(gallery) == 24


def test_what_waits_when_the_server_ends_is_offered_again(context, gallery, blocker):
    context.start("index", "another", blocker.work())
    GallerySources(context).look_again(gallery.name, gallery.sources()[0].id, KEEP, False)
    blocker.go.set()
    context.jobs.close()
    assert gallery.unfinished()


def test_an_upload_that_was_withdrawn_can_be_started_again(context, folder, blocker):
    sent = [uploads.UploadedFile(shutil.copy(path, folder.parent), f"a/{path.name}") for path in folder.rglob("0.png")]
    staged = str(uploads.stage(context.library.folder, sent[:1]))
    jobs = IndexJobs(context)
    context.start("index", "another", blocker.work())
    jobs.start(staged, "new")
    assert jobs.is_taken(staged, staged)
    cancel_last(context)
    assert not jobs.is_taken(staged, staged)
    job = jobs.start(staged, "new")
    blocker.go.set()
    assert job.finished.wait(SECONDS)
    assert len(context.gallery("new")) == 1


def test_a_visitors_training_that_is_withdrawn_does_not_count(context, folder, blocker, monkeypatch):
    workspaces = Workspaces(context.own, Limits(100, 10**9, 1, 60, 3600))
    visitor = workspaces.of(workspaces.visitor(workspaces.new_token()))
    monkeypatch.setattr(AppContext, "workspace", visitor)
    context.start("train", "another", blocker.work())
    jobs, name = TrainJobs(context), context.library.names()[0]
    jobs.start(name, "mine", TrainConfig(), HoldOut(0))
    cancel_last(context)
    assert visitor.usage().trainings == 0
    assert jobs.of(name) == []
    visitor.count_training()
    with pytest.raises(GalleryError, match="trains 1 times"):
        jobs.start(name, "mine", TrainConfig(), HoldOut(0))


def test_a_visitors_training_counts_once_it_can_be_gone_on_with(context, monkeypatch):
    workspaces = Workspaces(context.own, Limits(100, 10**9, 1, 60, 3600))
    visitor = workspaces.of(workspaces.visitor(workspaces.new_token()))
    monkeypatch.setattr(AppContext, "workspace", visitor)
    jobs, name = TrainJobs(context), context.library.names()[0]
    cut_off = jobs.start(name, "mine", TrainConfig(), HoldOut(labels=("nowhere",)))
    assert cut_off.finished.wait(SECONDS)
    assert (cut_off.state, visitor.usage().trainings) == (State.FAILED, 0)
    trained = jobs.start(name, "mine", TrainConfig(epochs=1), HoldOut(0))
    assert trained.finished.wait(SECONDS)
    assert (trained.state, visitor.usage().trainings) == (State.DONE, 1)
    with pytest.raises(GalleryError, match="trains 1 times"):
        jobs.start(name, "another", TrainConfig(), HoldOut(0))


def test_a_training_that_was_stopped_is_not_lost_to_another_of_its_name(context):
    jobs, name = TrainJobs(context), context.library.names()[0]
    stopped = jobs.start(name, "mine", TrainConfig(epochs=1000, batch_size=2), HoldOut(0))
    while not read_curve(context.library.models, "mine"):
        assert stopped.state.active
        time.sleep(0.01)
    context.jobs.cancel(context.owner, stopped.id)
    assert stopped.finished.wait(SECONDS)
    for another in (PRESETS["few"].config, TrainConfig(epochs=2)):
        with pytest.raises(GalleryError, match="a training of 'mine' was stopped: go on with it, keep what it reached"):
            jobs.start(name, "mine", another, HoldOut(0))
    assert jobs.free_name("mine") == "mine-neck"
    assert jobs.stopped(name).name == "mine"
    kept = jobs.go_on(jobs.stopped(name), finish=True)
    assert kept.finished.wait(SECONDS)
    assert kept.state == State.DONE


def test_what_is_shown_of_a_map_an_evaluation_and_a_comparison_stays(context, gallery, blocker):
    item_view, copies = ItemView(context), Copies(context)
    with gr.Blocks():
        item_view.build()
        mapped, measured = MapTab(context, item_view), EvaluateTab(context, item_view)
        mapped.build()
        measured.build()
    invited = measured.show_job(gallery.name, "")[measured.outcome]
    for kind in ("map", "evaluate", COMPARISON):
        context.start(kind, "another", blocker.work())
    mapped.begin(gallery.name, "")
    assert mapped.show_job(gallery.name, "") == {mapped.drawn: ""}  # what it says of the gallery is true still
    cancel_last(context)
    assert mapped.show_job(gallery.name, "") == {mapped.drawn: ""}
    measured.begin(gallery.name, "auto", 0, False, 0, False, [])
    cancel_last(context)
    assert measured.show_job(gallery.name, "")[measured.outcome] == invited
    assert copies.settle(gallery, ALIKE)[0] == ""
    cancel_last(context)
    assert "was cancelled" in copies.settle(gallery, ALIKE)[1]  # it is not begun again by every search
