"""A gallery whose folder a Mac made: its name is spelled in another way than everybody types it."""

import shutil
import unicodedata

import pytest

from unifex.cli.settings import Settings
from unifex.gallery.errors import GalleryError
from unifex.gallery.library import Library
from unifex.gallery.picking import pick
from unifex.ui.components.link_opener import LinkOpener
from unifex.ui.components.search_form import Form
from unifex.ui.context import AppContext

TYPED = "café"
MADE = unicodedata.normalize("NFD", TYPED)


@pytest.fixture
def library(gallery, tmp_path):
    shutil.copytree(gallery.folder, tmp_path / "mac" / MADE)
    return Library(tmp_path / "mac")


def test_it_is_one_gallery_however_it_is_asked_for(library):
    assert library.get(TYPED) is library.get(MADE)
    assert (library.named(TYPED), library.named(MADE), library.named("cafe")) == (MADE, MADE, "")
    assert library.may_change(TYPED)
    assert library.written(TYPED) == library.written(MADE) > 0
    assert library.rename(TYPED, "bistro").name == "bistro"
    assert library.rename("bistro", TYPED).name == TYPED
    library.delete(MADE)
    assert library.names() == []


def test_nothing_else_can_have_its_name(library):
    gallery = library.get(MADE)
    with pytest.raises(GalleryError, match="there is a gallery"):
        list(pick(gallery, gallery.snapshot().columns.ids[:1].tolist(), TYPED, library))
    with pytest.raises(GalleryError, match="there is a gallery"):
        library.rename(MADE, TYPED)


def test_those_of_the_server_are_found_by_who_visits_it(library, tmp_path):
    visited = Library(tmp_path / "visitor", library)
    assert visited.get(TYPED) is library.get(MADE)
    assert (visited.named(TYPED), visited.may_change(TYPED)) == (MADE, False)
    with pytest.raises(GalleryError, match="read-only"):
        visited.delete(TYPED)


def test_no_folder_is_listed_for_what_is_open(library, monkeypatch):
    library.get(TYPED)
    monkeypatch.setattr(library, "own_names", lambda: pytest.fail("listed"))
    assert library.get(MADE).name == MADE


def test_a_link_to_it_is_followed(library, embedder):
    context = AppContext(Settings(library=library.folder), library, embedder)
    context.ready.set()
    opener = LinkOpener(context)
    shown: list[Form] = []
    opener.build()
    opener.fill, opener.address = lambda form: shown.append(form) or {}, opener.asked
    told = opener.open([f"gallery={TYPED}"])[opener.notice]
    assert (told, shown[0].gallery) == ("", MADE)
    assert opener.miss(TYPED) == {}
