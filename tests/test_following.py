"""Galleries that follow their folders while the app runs, by the switch of the Gallery tab."""

from __future__ import annotations

import shutil
import sys
import threading
import time
from collections.abc import Callable

import gradio as gr
import pytest

from tests.support import drawing
from tests.support.galleries import run_index
from unifex.cli.main import main
from unifex.cli.settings import Settings
from unifex.core.jobs import Job
from unifex.core.progress import Step
from unifex.data import uploads
from unifex.gallery.followed import folders, set_followed
from unifex.gallery.gallery import Gallery
from unifex.gallery.library import Library
from unifex.gallery.watching import Patience
from unifex.ui import following
from unifex.ui.components.follow_switch import FollowSwitch
from unifex.ui.components.gallery_sources import GallerySources
from unifex.ui.components.item_removal import ItemRemoval
from unifex.ui.context import CLOSE_SECONDS, AppContext
from unifex.ui.tabs.gallery_tab import GalleryTab


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(following, "PATIENCE", Patience(quiet=0.2, poll=0.1))
    monkeypatch.setattr(following, "RETRY_SECONDS", 0.05)


class App:
    """An app without its server, at the library of a gallery."""

    def __init__(self, gallery: Gallery, **settings):
        library = Library(gallery.folder.parent)
        self.context = AppContext(Settings(library=library.folder, **settings), library, gallery.embedder)
        self.switch, self.name = FollowSwitch(self.context), gallery.name
        with gr.Blocks():
            self.switch.build()

    def turn(self, on: bool) -> str:
        """What the page says then."""
        turned = self.switch.turn(self.name, on)
        return str({**self.switch.show(self.name), **turned}[self.switch.said])

    def shown(self) -> dict:
        return self.switch.show(self.name)[self.switch.follows]

    def says(self, text: str) -> str:
        """What it says last, once this is in it."""
        said = lambda: str(self.switch.show(self.name)[self.switch.said])  # noqa: E731
        assert within_30_seconds(lambda: text in said()), f"{text!r} is not in {said()!r}"
        return said()

    def close(self) -> None:
        self.context.close()


@pytest.fixture
def app(gallery):
    one = App(gallery)
    one.context.ready.set()
    yield one
    one.close()
    assert followers() == 0


def followers() -> int:
    return sum(thread.name == "unifex-follow" for thread in threading.enumerate())


def within_30_seconds(holds: Callable[[], object]) -> bool:
    return any(holds() or time.sleep(0.05) for _ in range(600))


def ended() -> bool:
    return within_30_seconds(lambda: not followers())


def paths(gallery: Gallery) -> set[str]:
    current = Gallery.open(gallery.folder)
    return {record.path for record in current.records(current.snapshot().columns.ids)}


def add(folder, name: str, view: int = 7) -> None:
    drawing.picture("signs/cross", view).save(folder / name)


def test_a_gallery_follows_until_the_switch_is_turned_and_in_the_next_app_too(app, gallery, folder):
    assert "nothing has changed" in app.turn(True)
    add(folder, "new.png")
    app.says("1 added, ")
    assert "new.png" in paths(gallery)
    app.turn(False)
    assert ended()
    assert app.shown()["value"] is False

    app.turn(True)
    app.close()
    assert ended()
    (folder / "new.png").rename(folder / "renamed.png")
    next(folder.rglob("3.png")).unlink()
    again = App(gallery)
    again.context.prepare()
    again.says("1 moved, 1 removed, ")
    assert "renamed.png" in paths(gallery)
    assert again.shown()["value"] is True
    again.close()


def test_a_busy_gallery_is_waited_for_and_nothing_done_leaves_no_job(app, gallery, folder):
    add(folder, "new.png")
    with gallery.write():
        app.turn(True)
        app.says("it is waited for")
    app.says("1 added, ")
    kept = app.context.jobs.of(app.context.owner)
    (folder / "notes.txt").write_text("no picture")
    (folder / "notes.txt").unlink()
    time.sleep(0.8)
    assert within_30_seconds(lambda: app.context.jobs.of(app.context.owner) in (kept, []))  # when what it did is over
    app.says("1 added, ")


def test_where_less_than_half_is_left_or_nothing_at_all_nothing_is_removed(app, gallery, folder, tmp_path):
    app.turn(True)
    before, pictures = paths(gallery), sorted(folder.rglob("*.png"))
    (away := tmp_path / "away").mkdir()
    for number, picture in enumerate(pictures[1:]):
        picture.rename(away / f"{number}.png")
    app.says("Nothing was removed: 23 of 24 items are gone")
    for number, picture in enumerate(pictures[1:]):
        (away / f"{number}.png").rename(picture)
    app.says("nothing has changed")
    folder.rename(tmp_path / "unmounted")
    app.says("is empty or cannot be listed: nothing is removed")
    assert paths(gallery) == before
    (tmp_path / "unmounted").rename(folder)
    app.says("nothing has changed")


def test_it_goes_where_the_gallery_and_its_folders_go_and_ends_with_it(app, gallery, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(
        following, "moments", lambda *_, stop, **__: iter(stop.wait, True)
    )  # there is never anything to do
    tab, sources = GalleryTab(app.context), GallerySources(app.context)
    with gr.Blocks():
        tab.build()
        sources.build()
        tab.dropdowns = [tab.gallery]

    def followed(name: str) -> list[str]:
        return [one.folder for one in app.context.following.of(name)]

    app.turn(True)
    tab.rename_gallery("renamed", "", "drawn")
    assert (followed("renamed"), followed("drawn")) == ([str(folder)], [])
    more = shutil.copytree(folder, tmp_path / "more")
    tab.jobs.start(str(more), "renamed").finished.wait(60)
    assert followed("renamed") == [str(more), str(folder)]
    app.name = "renamed"
    assert app.shown()["label"] == "Follow these folders"
    app.says(f"{more}: ")
    id = app.context.gallery("renamed").sources()[1].id
    sources.relocate("renamed", id, str(more.rename(tmp_path / "moved")))
    assert followed("renamed") == [str(tmp_path / "moved"), str(folder)]
    sources.forget_source("renamed", id)
    assert followed("renamed") == [str(folder)]
    tab.delete_gallery("renamed", "", "renamed")
    assert followed("renamed") == []
    assert ended()


def test_what_another_program_does_to_a_followed_gallery_is_seen(app, gallery, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(following, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(following, "moments", lambda *_, stop, **__: iter(stop.wait, True))
    app.turn(True)
    library = Library(gallery.folder.parent)
    followed = lambda name: [one.folder for one in app.context.following.of(name)]  # noqa: E731
    shutil.copytree(folder, tmp_path / "more")
    run_index(library.get("drawn"), tmp_path / "more")
    assert within_30_seconds(lambda: followed("drawn") == [str(tmp_path / "more"), str(folder)])
    library.rename("drawn", "renamed")
    assert within_30_seconds(lambda: (len(followed("renamed")), followed("drawn")) == (2, []))
    app.name = "renamed"


def test_what_is_cancelled_goes_on_with_the_next_change_and_the_end_waits_for_nothing(app, folder, monkeypatch):
    def endless(*_args, **_options):
        while True:
            time.sleep(0.01)
            yield Step("indexing")

    with monkeypatch.context() as patched:
        patched.setattr(following, "index", endless)
        app.turn(True)
        job = running(app)
        app.context.jobs.cancel(job.owner, job.id)
        app.says("Cancelled; it goes on with the next change (")
        add(folder, "new.png")
        assert running(app) is not job
    began = time.monotonic()
    app.close()
    assert time.monotonic() - began < CLOSE_SECONDS
    assert ended()


def running(app: App) -> Job:
    assert within_30_seconds(app.context.jobs.active)
    return app.context.jobs.of(app.context.owner)[-1]


def test_what_ended_a_follower_is_over_when_things_are_looked_at_again(app, folder, gallery, monkeypatch):
    def fail(*_args, **_options):
        raise OSError("no more")
        yield

    with monkeypatch.context() as patched:
        patched.setattr(following, "moments", fail)
        app.turn(True)
        app.says("No more")
        assert ended()
    app.context.following.refresh()
    assert followers() == 1
    add(folder, "new.png")
    app.says("1 added")
    assert "new.png" in paths(gallery)


@pytest.mark.parametrize(("settings", "why"), [({"public": True}, "on a public server"), ({"read_only": True}, "")])
def test_strangers_and_readers_follow_nothing(app, gallery, settings, why, monkeypatch):
    app.turn(True)
    app.close()
    monkeypatch.setenv("GRADIO_TEMP_DIR", "")  # a public server sets it
    served = App(gallery, **settings)
    served.context.ready.set()
    served.context.following.refresh()
    assert not followers()
    assert why in served.turn(False)
    assert served.shown()["visible"] is False
    served.close()
    assert App(gallery).shown()["value"] is True  # nobody has turned it


def test_what_came_from_an_upload_cannot_be_followed(embedder, tmp_path, folder):
    gallery = Gallery.create(tmp_path / "indexes" / "sent", embedder)
    (sent := tmp_path / "sent.png").write_bytes(next(folder.rglob("*.png")).read_bytes())
    staged = uploads.stage(gallery.folder.parent, [uploads.UploadedFile(sent, "sent.png")])
    run_index(gallery, uploads.open_staged(staged))
    app = App(gallery)
    assert app.shown()["interactive"] is False
    assert "named by its path" in app.shown()["info"]
    assert "has no folder that could be followed" in app.turn(True)
    assert not followers()


def test_without_the_extra_it_is_polled_and_the_remedy_named(app, folder, gallery, monkeypatch):
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    assert "unifex[watch]" in app.shown()["info"]
    app.turn(True)
    app.says("nothing has changed")
    add(folder, "new.png")
    app.says("1 added, ")
    assert "new.png" in paths(gallery)


def test_what_is_removed_from_a_followed_gallery_does_not_come_back(app, gallery, folder, capsys):
    app.turn(True)
    app.context.following.close(10)
    removal = ItemRemoval(app.context)
    with gr.Blocks():
        removal.build()
        removal.notice = gr.HTML()
    (folder / "shapes/disc/1.png").unlink()
    paths_of = "shapes/disc/0.png\nshapes/disc/1.png"
    assert "are left out, as they would come back" in removal.ask_to_remove(gallery.name, paths_of)
    told = str(removal.remove_items(gallery.name, paths_of)[removal.notice])
    assert "1 image removed, 1 image left out" in told
    assert main(["remove", gallery.name, "signs/cross/1.png", "--library", str(gallery.folder.parent)]) == 0
    assert "1 image left out: the gallery follows its folder" in capsys.readouterr().out
    add(folder, "new.png")
    assert run_index(gallery, folder, prune=True).added == 1
    gone = {"shapes/disc/0.png", "shapes/disc/1.png", "signs/cross/1.png"}
    assert "new.png" in paths(gallery)
    assert not paths(gallery) & gone
    set_followed(gallery.folder, False)
    assert "left out" not in removal.ask_to_remove(gallery.name, "shapes/disc/0.png")


def test_a_list_that_was_deleted_is_no_folder(gallery, folder):
    (table := folder.parent / "list.csv").write_text(f"path,label\n{folder.name}/shapes/disc/0.png,x\n")
    run_index(gallery, table)
    table.unlink()
    assert [source.spec for source in folders(gallery)] == [str(folder)]
    folder.rename(folder.parent / "away")
    assert [source.spec for source in folders(gallery)] == [str(folder)]
