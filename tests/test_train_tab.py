"""What the Train tab shows, asked as the page asks it: what is in the way, and what a gallery has trained."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from unittest.mock import Mock

import gradio as gr
import pytest

from tests.support.galleries import run_index
from unifex.cli.settings import Settings
from unifex.core.progress import Step, finish
from unifex.gallery.gallery import Gallery
from unifex.gallery.library import Library
from unifex.models.embedder import Embedder, ModelError
from unifex.training.config import PRESETS
from unifex.training.held_out import HoldOut
from unifex.training.run import train
from unifex.ui.components.item_view import ItemView
from unifex.ui.context import AppContext
from unifex.ui.tabs.gallery_tab import GalleryTab
from unifex.ui.tabs.train_tab import TrainTab

SECONDS = 60


def served(gallery: Gallery, embedder: Embedder) -> tuple[AppContext, TrainTab]:
    """A server that was just started, and its tab."""
    library = Library(gallery.folder.parent)
    context = AppContext(Settings(library=library.folder), library, embedder)
    context.ready.set()
    with gr.Blocks():
        item_view, galleries = ItemView(context), GalleryTab(context)
        tab = TrainTab(context, item_view, galleries)
        item_view.build()
        galleries.build()
        tab.build()
    return context, tab


def recipe(tab: TrainTab, preset: str = "quick") -> list[object]:
    """What the form holds with this preset."""
    filled = [value["value"] if isinstance(value, dict) else value for value in tab.form.fill(preset).values()]
    assert len(filled) == len(tab.form.fields)
    return filled


@pytest.fixture
def in_the_way() -> Iterator[threading.Event]:
    """Work of this kind goes on until it is set."""
    go = threading.Event()
    yield go
    go.set()


def test_what_a_gallery_has_trained_is_opened_by_a_server_that_knows_of_no_training(gallery, embedder):
    for model, preset in {"first": "quick", "second": "few"}.items():
        finish(train(gallery, model, PRESETS[preset].config))
    library = Library(gallery.folder.parent)
    renamed = library.rename(gallery.folder.name, "renamed")
    _, tab = served(renamed, embedder)
    shown = tab.show_job("renamed", "", None, "")
    trained = tab.trained
    assert shown[trained.opened] == gr.update(choices=["second", "first"], value="second", visible=True)
    assert (shown[trained.model], shown[trained.result]) == ("second", gr.update(visible=True))
    assert "before-after-table" in shown[trained.outcome]
    again = tab.show_job("renamed", shown[tab.drawn], "first", "")
    assert not {trained.opened, trained.outcome, trained.curves} & again.keys()  # who opened another one stays there
    chosen = tab.show_model("renamed", "first")
    assert chosen[trained.model] == "first"
    assert '"epochs": [1, 2, 3]' in chosen[trained.curves]
    assert "no model" in tab.show_model("renamed", "third")[tab.status]


def test_while_one_is_trained_what_is_shown_is_named_and_another_can_be_opened(gallery, embedder, in_the_way):
    finish(train(gallery, "first", PRESETS["quick"].config))
    context, tab = served(gallery, embedder)

    def work():
        yield Step("in the way")
        assert in_the_way.wait(SECONDS)
        yield Step("cancelled")

    job = context.start("train", "second", work(), gallery.name)
    shown = tab.show_job(gallery.name, "", None, "")
    assert shown[tab.trained.opened] == gr.update(choices=["second", "first"], value="second", visible=True)
    assert shown[tab.trained.curves] == shown[tab.trained.outcome] == ""  # nothing of the other
    assert tab.trained.curves in tab.show_job(gallery.name, shown[tab.drawn], "second", "")
    assert tab.show_model(gallery.name, "first")[tab.trained.model] == "first"
    assert tab.trained.curves not in tab.show_job(gallery.name, shown[tab.drawn], "first", "")
    context.jobs.cancel(context.owner, job.id)
    in_the_way.set()
    assert job.finished.wait(SECONDS)
    stopped = tab.show_job(gallery.name, shown[tab.drawn], "first", "")
    assert "Stopped" in stopped[tab.status]
    assert stopped[tab.trained.opened]["value"] == "second"


def test_what_is_in_the_way_of_a_training_is_told_until_it_is_not_any_more(gallery, embedder, in_the_way):
    context, tab = served(gallery, embedder)

    def work():
        yield Step("in the way")
        assert in_the_way.wait(SECONDS)

    job = context.start("train", "mine", work(), "another")
    asked = [gallery.name, "mine", HoldOut().share, *recipe(tab)]
    told = "'mine' is being trained"
    assert tab.look_again(told, *asked) == {tab.problem: gr.skip()}
    assert tab.look_again(told, gallery.name, "other", *asked[2:]) == {tab.problem: ""}
    in_the_way.set()
    assert job.finished.wait(SECONDS)
    assert tab.look_again(told, *asked) == {tab.problem: ""}
    assert tab.look_again("", *asked) == {tab.problem: gr.skip()}


def test_what_a_deleted_gallerys_training_reached_is_no_other_gallerys(gallery, embedder, folder):
    work = train(gallery, "mine", PRESETS["quick"].config)
    next(step for step in work if step.stage == "epoch 1")
    work.close()
    kept = shutil.copytree(gallery.models / ".training", folder.parent / "kept")
    context, tab = served(gallery, embedder)
    assert [cut.name for cut in context.interrupted()] == ["mine"]
    context.uploads.delete_gallery("drawn")
    assert not list((gallery.models / ".training").glob("mine.*[!k]"))  # but its lock
    shutil.copytree(kept, gallery.models / ".training", dirs_exist_ok=True)  # as an earlier version left it
    again = Gallery.create(gallery.folder, embedder)
    run_index(again, folder)
    assert (context.interrupted(), tab.jobs.stopped("drawn")) == ([], None)
    with pytest.raises(ModelError, match="no stopped training 'mine' reached anything"):
        finish(train(again, "mine", PRESETS["quick"].config, finish=True))
    tab.jobs.check("drawn", "mine", PRESETS["quick"].config, HoldOut())  # nothing is in the way


def test_a_folder_that_is_dropped_becomes_a_gallery_of_its_own(gallery, embedder, folder, monkeypatch):
    _, tab = served(gallery, embedder)
    monkeypatch.setattr(tab.gallery_tab.jobs, "stage", lambda event: (str(folder), "drawn"))
    begun = []
    monkeypatch.setattr(tab.gallery_tab.jobs, "start", lambda spec, name: begun.append(name) or Mock(id="1"))
    for typed in ("", "drawn"):
        tab.receive(typed, None)
    assert begun == ["drawn 2", "drawn"]
