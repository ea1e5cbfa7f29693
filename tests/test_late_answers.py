"""Answers that come late, on the page as it is without a browser: none undoes what somebody did meanwhile."""

import html
import json
import threading
import time

import pytest

from tests.support.galleries import run_index
from tests.support.late import LatePage
from unifex.cli.settings import Settings
from unifex.gallery.errors import GalleryError
from unifex.gallery.gallery import Gallery
from unifex.gallery.library import Library
from unifex.training.config import TrainConfig
from unifex.training.held_out import HoldOut
from unifex.training.resume import CHECKPOINTS, TrainJob
from unifex.ui.app import build
from unifex.ui.components import chosen_items
from unifex.ui.context import AppContext

STRIPES = json.dumps({"gallery": "drawn", "chosen": {"label": ["stripes"]}})


@pytest.fixture
def galleries(gallery, embedder, tmp_path):
    """'drawn' and 'other', of the same files."""
    other = Gallery.create(gallery.folder.parent / "other", embedder)
    run_index(other, tmp_path / "pictures")
    return gallery, other


def opened(gallery, embedder, **settings) -> LatePage:
    """The page over the galleries beside this one, which is searched."""
    folder = gallery.folder.parent
    given = Settings(library=folder, gallery=gallery.name, **settings)
    return LatePage(build(AppContext(given, Library(folder), embedder)))


@pytest.fixture
def page(galleries, embedder) -> LatePage:
    return opened(galleries[0], embedder)


def test_a_question_that_comes_late_does_not_stand_for_another_gallery(page, galleries):
    drawn, other = galleries
    page["remove-paths"] = drawn.records(drawn.snapshot().columns.ids[:1])[0].path
    late = page.send("remove-button-ask", "click")
    page.do("manage-gallery", "change", "other")
    late()
    page.do("remove-button", "click")
    assert len(Gallery.open(other.folder)) == len(Gallery.open(drawn.folder)) == 24
    page.do("remove-button-ask", "click")
    page.do("remove-button", "click")
    assert (len(Gallery.open(other.folder)), len(Gallery.open(drawn.folder))) == (23, 24)


def test_the_gallery_that_is_chosen_in_a_tab_just_opened_stays(page):
    for tab, box in (("gallery", "manage-gallery"), ("evaluate", "evaluate-gallery"), ("train", "train-gallery")):
        page.do("search-gallery", "input", "drawn")
        late = page.send(tab, "select")
        page.do(box, "input", "other")
        late()
        assert (page[box], page["search-gallery"]) == ("other", "other")


def test_the_map_lists_what_was_chosen_last(page, galleries):
    ids = galleries[0].snapshot().columns.ids.tolist()
    page.do("signal-lasso", "input", json.dumps(["drawn", ids[:5]]))
    late = page.send("map", "select")
    page.do("signal-lasso", "input", json.dumps(["drawn", ids[7:9]]))
    late()
    assert json.loads(page["map-picked"]) == ids[7:9]
    assert "2 items chosen" in page["map-chosen"]
    page.do("map-gallery", "change", "other")
    assert json.loads(page["map-picked"]) == []
    page.do("map-gallery", "change", "drawn")
    page.do("map-drop-ask", "click")
    page.do("map-drop", "click")
    assert len(galleries[0].snapshot()) == 22
    assert json.loads(page["map-picked"]) == []


def test_filters_that_are_set_while_the_map_opens_stay(page):
    page.do("map", "select")
    late = page.send("map", "select")
    page.do("map-filters", "change", STRIPES)
    page.do("map-filters", "input")
    late()
    assert page["map-filters"] == STRIPES
    assert json.loads(page["map-left"])["gallery"] == "drawn"


def test_the_second_map_that_was_chosen_stays(page):
    page.do("map", "select")
    page.do("map-compare", "input", "raw")
    page.do("map", "select")
    page.do("map-gallery", "input", "other")
    assert page["map-compare"] == "raw"


def test_pictures_are_those_that_the_filters_leave(page):
    page.do("jobs", "input")
    late = page.send("jobs", "input")
    page.do("gallery-filters", "input", STRIPES)
    late()
    assert page["gallery-filters"] == STRIPES
    pictures = json.loads(page["pictures"])
    assert (pictures["total"], json.loads(pictures["view"])) == (6, json.loads(STRIPES))
    page.do("map", "select")
    page.do("map-filters", "input", json.dumps({"gallery": "drawn"}))
    assert json.loads(page["pictures"])["total"] == 24


def test_a_folder_is_followed_as_the_switch_says(page, galleries):
    page.do("jobs", "input")
    late = page.send("jobs", "input")
    page.do("follow-switch", "input", True)
    late()
    assert page["follow-switch"] is True
    assert "since" in page["follow-said"]
    late = page.send("jobs", "input")
    page.do("follow-switch", "input", False)
    late()
    assert page["follow-switch"] is False


def test_the_name_of_a_model_that_was_typed_stays(page):
    page.do("train", "select")
    suggested = page["train-name"]
    assert suggested
    page["train-name"] = "my-birds"
    page.do("train", "select")
    assert page["train-name"] == "my-birds"
    page.do("train-gallery", "input", "other")
    assert page["train-name"] not in ("my-birds", suggested)


def test_labels_that_neighbours_contradict_are_of_the_gallery_that_is_shown(page):
    late = page.send("train", "select")
    page.do("train-gallery", "input", "other")
    late()
    assert page["train-data"].startswith('<div data-gallery="other">')


def test_of_two_galleries_that_are_made_each_is_told_of(page, galleries, monkeypatch):
    go_on, real = threading.Event(), chosen_items.pick

    def slow(gallery, ids, new, *rest):
        go_on.wait(30)
        if new == "first":
            raise GalleryError("the disk is full")
        return (yield from real(gallery, ids, new, *rest))

    monkeypatch.setattr(chosen_items, "pick", slow)
    ids = galleries[0].snapshot().columns.ids.tolist()
    for name in ("first", "second"):
        page.do("signal-chosen", "input", json.dumps(["gallery", "drawn", ids[:3], name]))
    go_on.set()
    for _ in range(300):
        page.do("chosen-progress", "input")
        if "Gallery 'second' has 3 images" in html.unescape(page["chosen-outcome"]):
            break
        time.sleep(0.05)
    assert "the disk is full" in page["chosen-outcome"]
    assert page["search-gallery"] == "second"


@pytest.mark.parametrize("read_only", [True, False])
def test_what_is_refused_is_not_offered(galleries, embedder, read_only):
    page = opened(galleries[0], embedder, read_only=read_only)
    seen = []
    for part, event in (("jobs", "input"), ("map", "select"), ("train", "select")):
        page.do(part, event)
    page.do("signal-lasso", "input", json.dumps(["drawn", [1, 2]]))
    for name in ("map-relabel", "rename-button", "train-button", "train-name"):
        parents, part = [], page.part(name)
        while part is not None:
            parents.append(page.visible.get(part._id, part.visible))
            part = part.parent
        seen.append(all(parents))
    assert seen == [not read_only] * 4
    assert ("Run it yourself" in page["train-refused"]) == read_only
    page.do("signal-pick", "input", json.dumps(["drawn", [1], 1, 1]))
    assert "hits" in page["search-status"]
    assert ("save-search" in page["search-status"]) == (not read_only)


def test_a_link_that_folds_copies_finds_hits_one_by_one_on_a_public_server(galleries, embedder):
    page = opened(galleries[0], embedder, public=True)
    page["search-fold"] = "picture"
    page.do("signal-pick", "input", json.dumps(["drawn", [1], 1, 1]))
    assert "20 hits" in page["search-status"]
    assert "Copies are not folded" in page["search-status"]


def test_who_may_not_train_on_a_gallery_is_told_why(galleries, embedder):
    page = opened(galleries[0], embedder, public=True)
    page.do("train", "select")
    assert "'drawn' belongs to this server" in html.unescape(page["train-refused"])


def test_a_stopped_training_goes_on_when_its_gallery_is_called_otherwise(page, galleries):
    models = galleries[0].models
    TrainJob("birds", "drawn", TrainConfig(), HoldOut()).write(models)
    (models / CHECKPOINTS / "birds.pt").touch()
    page["gallery-name"], page["new-name"] = "", "figures"
    page.do("rename-button", "click")
    page.do("train", "select")
    page.do("train-gallery", "change", "figures")
    assert page.visible[page.part("train-resume")._id]
