"""What was asked of a gallery under the name that it had before is asked of it."""

import shutil

import pytest

from unifex.gallery.former_names import FILE
from unifex.gallery.library import Library
from unifex.ui.components.address import read, written
from unifex.ui.gallery_names import called_now


@pytest.fixture
def library(tmp_path, embedder) -> Library:
    library = Library(tmp_path / "indexes")
    library.get_or_create("first", lambda: embedder)
    return library


def test_every_name_that_it_had_leads_to_it_wherever_it_went(library, embedder):
    assert (called_now(library, "first"), called_now(library, "second"), called_now(library, None)) == ("first", "", "")
    library.rename("first", "second")
    library.rename("second", "third")
    assert [called_now(library, name) for name in ("first", "second", "third")] == ["third"] * 3
    (library.folder / "third").rename(library.folder / "by hand")
    assert [called_now(library, name) for name in ("first", "second")] == ["by hand"] * 2
    library.rename("by hand", "first")
    assert [called_now(library, name) for name in ("first", "by hand")] == ["first"] * 2
    visited = Library(library.folder.parent / "visitor", library)
    assert called_now(visited, "second") == "first"


def test_a_name_is_first_of_all_that_of_the_gallery_that_has_it_and_after_that_of_none(library, embedder):
    library.rename("first", "second")
    library.get_or_create("first", lambda: embedder)
    assert called_now(library, "first") == "first"
    library.delete("first")
    assert called_now(library, "first") == ""  # what was asked was asked of the one that is gone
    library.rename("second", "third")
    library.delete("third")
    assert called_now(library, "second") == ""


@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b'{"ids": {"first": "x"}}', None])
def test_where_that_cannot_be_read_or_kept_a_gallery_is_renamed_all_the_same(library, data):
    place = library.folder / FILE
    if data is None:
        place.mkdir()
    else:
        place.write_bytes(data)
    assert library.rename("first", "second").name == "second"
    assert called_now(library, "first") == ("" if data is None else "second")
    if data is None:
        shutil.rmtree(place)
    library.delete("second")
    assert library.names() == []


def test_all_that_an_address_says_goes_with_the_name():
    said = "items=3&box=0.1,0.1,0.5,0.5&words=a+cross&balance=0.2&more=4&less=5&within=3,4,5&without=9"
    said += "&view=%7B%22chosen%22%3A+%7B%22label%22%3A+%5B%22a%22%5D%7D%7D&hits=7&rerank=True&order=label&grouped=True"
    form = read(f"gallery=before&{said}").form
    moved = form.called("now")
    assert written(moved).replace("gallery=now", "gallery=before") == written(form)
    assert (moved.query, moved.filters) == (form.query, form.filters)
    for one in ("gallery=before&words=x", "gallery=before&saved=0123456789ab&more=4", "gallery=before"):
        form = read(one).form
        assert form.called("now").query == form.query
        assert written(form.called("now")) == written(form).replace("before", "now")
