"""Answers that come late, on the page as it is without a browser: none undoes what somebody did meanwhile."""

import pytest

from tests.support.galleries import run_index
from tests.support.late import LatePage
from unifex.cli.settings import Settings
from unifex.gallery.gallery import Gallery
from unifex.gallery.library import Library
from unifex.ui.app import build
from unifex.ui.context import AppContext


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
