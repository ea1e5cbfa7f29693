"""Which gallery a source belongs to where nobody says it."""

import shutil

import pytest

from unifex.cli.settings import Settings
from unifex.data.sources import open_source
from unifex.gallery.indexing import announce
from unifex.gallery.library import Library
from unifex.ui.context import AppContext
from unifex.ui.gallery_names import gallery_of


@pytest.fixture
def library(tmp_path):
    return Library(tmp_path / "indexes")


@pytest.fixture
def indexed(library, folder, embedder, tmp_path):
    """Makes the gallery ``name`` of a new folder."""

    def make(name, path):
        source = str(shutil.copytree(folder, tmp_path / path))
        announce(library.get_or_create(name, lambda: embedder), open_source(source))
        return source

    return make


def test_a_folder_stays_the_gallery_that_was_made_of_it_whatever_that_is_called(library, indexed, tmp_path):
    first, renamed = indexed("2021", "2021.07"), indexed("called by somebody", "shots")
    of_name, of_number = indexed("holiday", "a/holiday"), indexed("holiday 2", "b/holiday")
    found = [gallery_of(library, source) for source in (first, renamed, f"{of_name}/", of_number)]
    assert found == ["2021", "called by somebody", "holiday", "holiday 2"]
    assert gallery_of(library, str(tmp_path / "c" / "holiday")) == "holiday 3"
    indexed("another of it", "d/holiday")
    announce(library.get("another of it"), open_source(of_name))
    assert gallery_of(library, of_name) == "holiday"


def test_a_gallery_that_cannot_tell_what_it_holds_is_not_passed_over(library, indexed):
    source = indexed("holiday", "holiday")
    (library.folder / "holiday" / "gallery.json").write_text("{")
    assert gallery_of(library, source) == "holiday"
    visited = Library(library.folder / "visitor", library)
    assert gallery_of(visited, source) == "holiday 2"


def test_a_gallery_that_was_asked_for_and_is_gone_is_not_shown_first(library, indexed, embedder):
    source = indexed("wanted", "wanted")
    indexed("other", "other")
    for asked in ("wanted", source):
        context = AppContext(Settings(library=library.folder, gallery=asked), library, embedder)
        assert context.first_gallery() == "wanted"
        shutil.move(library.folder / "wanted", library.folder.parent / "away")
        assert context.first_gallery() == "wanted"  # it may be being made
        context.ready.set()
        assert context.first_gallery() == "other"
        shutil.move(library.folder.parent / "away", library.folder / "wanted")
        assert context.first_gallery() == "wanted"
