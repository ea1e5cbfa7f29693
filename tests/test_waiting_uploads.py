"""Uploads that nobody waits for: they go with their gallery, and when there shall be room."""

import os
import re
import time
from types import SimpleNamespace

import gradio as gr
import pytest
from gradio.context import LocalContext
from starlette.datastructures import Headers

from tests.support.drawing import encoded, picture
from tests.support.galleries import packed, run_index
from tests.support.walking import write_zip
from unifex.cli.settings import Settings
from unifex.core import disk
from unifex.core.progress import Step
from unifex.data import uploads
from unifex.data.item import SourceError
from unifex.data.uploads import UploadedFile, open_staged, stage
from unifex.gallery.gallery import GalleryError
from unifex.gallery.indexing import announce
from unifex.gallery.library import Library
from unifex.ui.components.gallery_sources import GallerySources
from unifex.ui.context import AppContext
from unifex.ui.server.guard import COOKIE
from unifex.ui.tabs.gallery_tab import GalleryTab
from unifex.ui.waiting_uploads import IDLE_SECONDS


@pytest.fixture
def context(tmp_path, embedder):
    yield AppContext(Settings(library=tmp_path), Library(tmp_path / "library"), embedder)
    disk.keep_free(0)


@pytest.fixture
def visited(tmp_path, embedder, monkeypatch):
    """Of a public server that a visitor asks, who may have a megabyte."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", "")
    settings = Settings(library=tmp_path, public=True, visitor_megabytes=1)
    context = AppContext(settings, Library(tmp_path / "library"), embedder)
    disk.keep_free(0)
    cookie = Headers({"cookie": f"{COOKIE}={context.workspaces.new_token()}"})
    request = SimpleNamespace(headers=cookie, client=None)
    before = LocalContext.request.set(request)
    context.workspace.touch()
    yield context
    LocalContext.request.reset(before)


def upload(context, bytes: int = 10):
    """As it is staged."""
    sent = context.own.folder.parent / "sent"
    sent.unlink(missing_ok=True)
    sent.write_bytes(os.urandom(bytes))
    return stage(context.library.folder, [UploadedFile(sent, "a/1.png"), UploadedFile(sent, "b/2.png")])


def age(folder, seconds: float) -> None:
    os.utime(folder, (time.time() - seconds,) * 2)


def test_an_upload_that_was_to_go_on_into_a_gallery_goes_with_it(context, embedder):
    of_one, of_both, of_none = (upload(context) for _ in range(3))
    for name, sources in (("one", (of_one, of_both)), ("other", (of_both,))):
        gallery = context.library.get_or_create(name, lambda: embedder)
        for source in sources:
            announce(gallery, uploads.open_staged(source))
    context.uploads.delete_gallery("one")
    assert [root.exists() for root in (of_one, of_both, of_none)] == [False, True, True]
    assert context.library.names() == ["other"]


def test_what_was_staged_and_never_begun_makes_room_for_what_comes_next(visited, embedder):
    forgotten, begun, asked, fresh = (upload(visited, 260_000) for _ in range(4))
    announce(visited.library.get_or_create("g", lambda: embedder), uploads.open_staged(begun))
    job = visited.jobs.start(visited.owner, "index", "h", iter(()), str(asked))
    job.finished.wait(60)
    job.state = job.state.RUNNING
    for root in (forgotten, begun, asked):
        age(root, IDLE_SECONDS + 60)
    visited.uploads.check_room()
    assert [root.exists() for root in (forgotten, begun, asked, fresh)] == [False, True, True, True]
    upload(visited, 260_000)
    with pytest.raises(GalleryError, match="delete a gallery or all of your data"):
        visited.scratch()
    visited.uploads.delete_gallery("g")
    assert visited.scratch().is_dir()


def test_nobody_is_asked_who_waits_where_nothing_is_old(context):
    root = upload(context)
    uploads.sweep(context.library.folder, iter(lambda: pytest.fail("asked"), None))
    assert root.exists()


def test_a_file_that_is_being_made_stays_as_long_as_a_job_may_be_making_it(visited):
    made = visited.scratch()
    job = visited.jobs.start(visited.owner, "pack", "g", iter(()), "images True")
    job.finished.wait(60)
    job.state = job.state.RUNNING
    upload(visited, 1_100_000)
    age(made, IDLE_SECONDS + 60)
    with pytest.raises(GalleryError, match="delete a gallery or all of your data"):
        visited.uploads.check_room()
    assert made.is_dir()
    job.state = job.state.DONE
    with pytest.raises(GalleryError, match="delete a gallery or all of your data"):
        visited.uploads.check_room()
    assert not made.exists()


def test_a_pack_is_there_for_another_name_after_its_own_was_refused_and_after_it_failed(context, embedder, tmp_path):
    packed(context.library.get_or_create("holiday", lambda: embedder), tmp_path / "holiday.zip")
    staged = str(stage(context.library.folder, [UploadedFile(tmp_path / "holiday.zip", "holiday.zip")]))
    tab = GalleryTab(context)
    with gr.Blocks():
        tab.build()
    assert tab.jobs.gallery_of(staged) == "holiday 2"
    assert "choose another name" in tab.show_forecast("", "", staged, "holiday", "", "", False, "")[tab.message]
    with pytest.raises(GalleryError, match="already; choose another name"):
        tab.begin("", "", "", staged, "holiday", "", "", False, "")
    taken = tab.jobs.context.start("index", "another", failing(), staged)
    assert taken.finished.wait(60)
    tab.begin(staged, "", "", staged, "arrived", "", "", False, "")
    job = context.jobs.of(context.owner)[-1]
    assert job.finished.wait(60)
    assert (job.problem, context.library.names()) == ("", ["arrived", "holiday"])
    with pytest.raises(SourceError, match="nothing to add yet"):
        tab.begin(staged, "", "", staged, "again", "", "", False, "")


def failing():
    yield Step("")
    raise GalleryError("it did not do")


def test_uploads_are_told_apart_by_what_was_dropped_and_when(context, embedder, tmp_path):
    gallery, sent = context.library.get_or_create("sent", lambda: embedder), tmp_path / "sent"
    write_zip(tmp_path / "holiday.zip", {"beach.png": encoded(picture("shapes/disc", 8))})
    for view, name in enumerate(("one.png", "two.png", "trip/cross/a.png")):
        (sent / name).parent.mkdir(parents=True, exist_ok=True)
        (sent / name).write_bytes(encoded(picture("signs/cross", view)))
        run_index(gallery, open_staged(stage(context.library.folder, [UploadedFile(sent / name, name)])))
    staged = stage(context.library.folder, [UploadedFile(tmp_path / "holiday.zip", "holiday.zip")])
    run_index(gallery, open_staged(staged))
    of_before = context.library.folder / ".uploads" / ("0" * 32) / "old.png"
    of_before.parent.mkdir()
    of_before.write_bytes(encoded(picture("signs/stripes", 9)))
    run_index(gallery, open_staged(of_before.parent))
    sources = GallerySources(context)
    with gr.Blocks():
        sources.build()
    titles = [title for title, _ in sources.listed("sent", None)[sources.source]["choices"]]
    told = [re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d", "DATE", title) for title in titles]
    assert told == [
        "an upload · with one.png · DATE · 1 item",
        "an upload · with two.png · DATE · 1 item",
        "an upload · trip · DATE · 1 item",
        "an upload · holiday.zip · DATE · 1 item",
        "an upload · with old.png · 1 item",
    ]
    assert "an upload · with two.png" in sources.ask_to_forget("sent", gallery.sources()[1].id)
