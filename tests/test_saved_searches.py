"""Searches that are saved with a gallery."""

import errno
import json
import shutil
from dataclasses import replace

import gradio as gr
import numpy as np
import pytest

from tests.support.drawing import encoded, picture
from tests.support.galleries import QUERY, packed, run_index, unpacked
from unifex.cli.main import main
from unifex.cli.settings import Settings
from unifex.core.errors import UnifexError
from unifex.core.files import with_checksum
from unifex.core.regions import Region
from unifex.gallery.library import SEARCHES, Library
from unifex.retrieval import saved_searches
from unifex.retrieval.conditions import Condition
from unifex.retrieval.filters import Filters
from unifex.retrieval.query import Query
from unifex.retrieval.saved_search import SavedSearch
from unifex.retrieval.saved_searches import SavedSearches
from unifex.retrieval.search import search
from unifex.ui.components.address import read, written
from unifex.ui.components.item_view import ItemView
from unifex.ui.components.saved_form import form_of, picture_of
from unifex.ui.components.search_form import FIRST, Form
from unifex.ui.context import AppContext
from unifex.ui.tabs.search_tab import SearchTab


def ids(result) -> list[int]:
    return [hit.record.id for hit in result.hits]


def test_an_item_that_was_searched_with_beside_an_image_is_not_found(gallery, searches):
    item = gallery.item_at("signs/cross/4.png").id
    query = Query(images=(QUERY,), items=(item,))
    saved = SavedSearch.new(gallery, "both", query, k=5, filters=Filters(("signs",), exclude=frozenset((1,))))
    searches.add(saved)
    kept = searches.get("both")
    assert ids(kept.find(gallery)) == ids(search(gallery, query, 5, Filters(("signs",), exclude=frozenset((1,)))))
    assert kept.filters.exclude == {1, item}
    assert form_of(kept, gallery.name).without.ids == (1, item)


@pytest.fixture
def library(gallery) -> Library:
    return Library(gallery.folder.parent)


@pytest.fixture
def searches(gallery, library) -> SavedSearches:
    return SavedSearches(library, gallery)


def test_a_search_by_an_image_that_is_gone_finds_the_same_and_tells_what_came_since(gallery, searches, folder):
    filters = Filters(domains=("signs",), min_score=0.1, within=frozenset(gallery.snapshot().columns.ids.tolist()))
    saved = SavedSearch.new(gallery, " Crosses ", Query(images=(QUERY,)), filters=replace(filters), k=5)
    searches.add(saved)
    kept = searches.get("Crosses")
    assert kept == saved
    assert kept.picture.startswith("data:image/jpeg;base64,")
    assert np.array_equal(kept.query.known.features, Query(images=(QUERY,)).features(gallery))
    assert ids(kept.find(gallery)) == ids(search(gallery, [QUERY], 5, filters))
    assert kept.count_new(gallery) == 0
    everywhere = SavedSearch.new(gallery, "everywhere", Query(images=(QUERY,)), k=5)
    searches.add(everywhere)
    (folder / "signs" / "cross").mkdir(parents=True, exist_ok=True)
    for view in (50, 51):
        (folder / "signs" / "cross" / f"{view}.png").write_bytes(encoded(picture("signs/cross", view)))
    run_index(gallery, folder)
    new = [hit for hit in everywhere.find(gallery).hits if hit.record.id > everywhere.seen]
    assert everywhere.count_new(gallery) == len(new) > 0
    searches.see(everywhere.id)
    assert searches.get("everywhere").count_new(gallery) == 0


def test_everything_that_decides_is_kept(gallery, searches):
    first, second, third = gallery.snapshot().columns.ids[:3].tolist()
    saved = SavedSearch.new(
        gallery, "all", Query(items=(first,), more=(second,), less=(third,)), rerank=True,
        filters=Filters(("a",), ("b",), 0.5, frozenset((3,)), frozenset((4,)), 0.1, ("l",), ("f",),
                        (Condition("year", ">=", "1900"),), ("t",)),
        order="-year", grouped=True,
    )  # fmt: skip
    searches.add(saved)
    assert searches.all() == [saved]


def test_names_are_changed_taken_and_refused(gallery, library, searches):
    one, two = (SavedSearch.new(gallery, name, Query(items=(1,))) for name in ("one", "two"))
    searches.add(one)
    searches.add(two)
    with pytest.raises(UnifexError, match="saved search 'two' already; give another name"):
        searches.add(SavedSearch.new(gallery, "two", Query(items=(2,))))
    searches.add(SavedSearch.new(gallery, "two", Query(items=(1,))))  # the same once more
    assert [searches.get("two").query, searches.get("two").id] == [two.query, two.id]
    searches.delete(two.id)
    searches.add(SavedSearch.new(gallery, "two", Query(items=(2,))))
    searches.rename(one.id, "eins")
    assert [saved.name for saved in searches.all()] == ["eins", "two"]
    for wrong in ("two", " ", "x" * 81):
        with pytest.raises(UnifexError):
            searches.rename(one.id, wrong)
    with pytest.raises(UnifexError, match="not there any more"):
        searches.see(two.id)
    with pytest.raises(UnifexError, match="nothing to save"):
        SavedSearch.new(gallery, "none", Query())
    with pytest.raises(UnifexError, match="no saved search 'three'"):
        searches.get("three")
    renamed = library.rename("drawn", "renamed")
    assert [saved.name for saved in SavedSearches(library, renamed).all()] == ["eins", "two"]
    form = form_of(SavedSearches(library, renamed).get("eins"), renamed.name)
    assert (form.gallery, form.item.ids) == ("renamed", (1,))  # what the page opens
    assert picture_of(one, renamed).startswith("thumb/renamed/1?v=")
    SavedSearches(library, renamed).delete(one.id)
    assert len(SavedSearches(library, renamed).all()) == 1
    library.delete("renamed")
    assert not list((library.folder / SEARCHES).glob("*.json"))


@pytest.mark.parametrize("deleted", ["drawn", "copy"])
def test_they_go_with_the_last_of_a_gallery_and_its_copies(gallery, library, searches, deleted):
    """A folder that was copied is the same gallery."""
    searches.add(SavedSearch.new(gallery, "discs", Query(items=(1,))))
    shutil.copytree(gallery.folder, gallery.folder.with_name("copy"))
    library.delete(deleted)
    (left,) = library.names()
    assert [saved.name for saved in SavedSearches(library, library.get(left)).all()] == ["discs"]
    library.delete(left)
    assert not list((library.folder / SEARCHES).glob("*.json"))


def test_a_copy_of_one_that_is_only_read_leaves_what_was_saved_of_both(gallery, tmp_path):
    own = Library(tmp_path / "own", builtin=Library(gallery.folder.parent))
    shutil.copytree(gallery.folder, own.folder / "copy")
    saved = SavedSearches(own, own.get("drawn"))
    saved.add(SavedSearch.new(gallery, "discs", Query(items=(1,))))
    own.delete("copy")
    assert [one.name for one in saved.all()] == ["discs"]


def test_another_backbone_says_what_is_to_be_done(gallery):
    saved = SavedSearch.new(gallery, "one", Query(images=(QUERY,)))
    other = replace(saved, query=replace(saved.query, known=replace(saved.query.known, backbone_hash="0" * 16)))
    with pytest.raises(UnifexError, match="search with its image again"):
        other.find(gallery)


def test_the_page_opens_what_was_saved_elsewhere(gallery):
    first, second, third = gallery.snapshot().columns.ids[:3].tolist()
    where = tuple(map(Condition.parse, ("year>1900", "year>=1800", "year<=1950", "artist=Monet", "artist=Manet")))
    filters = Filters(("signs",), min_score=0.25, exclude=frozenset((third,)), false_accept_rate=0.09, where=where,
                      tags=("liked",))  # fmt: skip
    query = Query(items=(first,), more=(second,), regions=(Region(0, 0, 0.5, 0.5),), feedback="nearest")
    saved = SavedSearch.new(gallery, "one", query, filters=filters, k=500, fold="picture", grouped=True)
    form = read(written(form_of(saved, gallery.name))).form
    assert (form.query, form.k, form.fold, form.trust, form.shown.grouped) == (query, 100, "picture", 0.1, True)
    found = form.filters
    assert (found.domains, found.min_score, found.exclude, found.tags) == (("signs",), 0.25, {third}, ("liked",))
    of_year = [condition for condition in found.where if condition.column == "year"]
    assert [float(one.value) for one in of_year if one.comparison == "<="] == [1950]
    assert [(one.comparison, one.value) for one in of_year if one.comparison != "<="] == [(">", "1900")]
    assert sorted(one.value for one in found.where if one.column == "artist") == ["Manet", "Monet"]
    by_image = SavedSearch.new(gallery, "by image", Query(images=(QUERY,), more=(second,)))
    form = read(written(form_of(by_image, gallery.name))).form
    assert (form.remembered, form.counting_marks.more) == (by_image.id, (second,))


@pytest.fixture
def tab(gallery, library):
    context = AppContext(Settings(library=library.folder), library, gallery.embedder)
    with gr.Blocks():
        made = SearchTab(context, ItemView(context))
        made.build()
    return made


def test_what_comes_as_one_scrolls_and_what_is_saved_is_what_was_answered(gallery, searches, tab):
    """Also where other words stand in the box by then; a server that began anew knows the fields alone."""
    form = Form(gallery="drawn", text="cross", k=5)
    answered = tab.show("", *vars(form).values())
    answer = json.loads(answered[tab.grid])["answer"]
    values = list(vars(replace(form, text="a disc")).values())

    def further(answered: Form, values: list) -> list[int]:
        given = tab.finding.show_further(json.dumps([answer, 5]), answered, *values)[tab.finding._given]
        return [item["id"] for item in json.loads(given)["items"]]

    expected = [hit.record.id for hit in search(gallery, Query(text="cross"), 24).hits[5:]]
    assert further(answered[tab.finding.answered], values) == further(FIRST, list(vars(form).values())) == expected
    tab.searches.save(json.dumps("crosses"), answered[tab.finding.answered], *values)
    assert [(one.name, one.query.text) for one in searches.all()] == [("crosses", "cross")]


def test_one_that_the_page_cannot_show_hides_no_other(gallery, library, searches, tab):
    searches.add(SavedSearch.new(gallery, "crosses", Query(text="cross")))
    searches.add(SavedSearch.new(gallery, "unlabelled", Query(text="cross"), filters=Filters(labels=("",))))
    saved, _ = tab.searches._server_functions()
    told = {one["name"]: (bool(one["address"]), one["problem"]) for one in saved("drawn")}
    assert told["crosses"] == (True, "")
    assert told["unlabelled"][0] is False
    assert "the page cannot show it" in told["unlabelled"][1]


def test_a_packed_gallery_takes_them_along(gallery, library, searches, tmp_path):
    first = gallery.snapshot().columns.ids[:1].tolist()
    searches.add(SavedSearch.new(gallery, "by image", Query(images=(QUERY,)), k=5))
    searches.add(SavedSearch.new(gallery, "by item", Query(items=tuple(first))))
    there = Library(tmp_path / "there")
    assert packed(gallery, tmp_path / "without.zip").searches == 0
    assert packed(gallery, tmp_path / "g.zip", searches=searches.path).searches == 2
    assert str(tmp_path).encode() not in (tmp_path / "g.zip").read_bytes()
    other = unpacked(tmp_path / "g.zip", "theirs", there)
    kept = SavedSearches(there, other)
    assert [saved.name for saved in kept.all()] == ["by image", "by item"]
    assert kept.get("by image").picture == searches.get("by image").picture != ""
    assert [kept.get(name).count_new(other) for name in ("by image", "by item")] == [0, 0]
    for name in ("by image", "by item"):
        found = [hit.path for hit in kept.get(name).find(other).hits]
        assert found == [hit.path for hit in searches.get(name).find(gallery).hits]
    assert SavedSearches(there, unpacked(tmp_path / "without.zip", "bare", there)).all() == []
    there.delete("theirs")
    assert not kept.path.exists()


EVIL = "<img src=x onerror=alert(1)>"


@pytest.mark.parametrize(
    "change",
    [
        {"name": 7}, {"name": ""}, {"id": "../../x"}, {"k": 10**6}, {"k": None}, {"fold": "roughly"}, {"order": [1]},
        {"seen": float("inf")}, {"query": {}}, {"query": []}, {"filters": {"domains": [5]}}, {"filters": None},
    ],
)  # fmt: skip
def test_what_a_stranger_packed_is_looked_at(gallery, searches, change):
    good = SavedSearch.new(gallery, "good", Query(items=(1,))).as_stored()
    evil = SavedSearch.new(gallery, EVIL, Query(items=(2,))).as_stored()
    for picture_ in (f"x {EVIL}", "https://elsewhere/x.png", "data:image/svg+xml;base64,AAAA", 5):
        evil["picture"] = picture_
        searches.path.parent.mkdir(exist_ok=True)
        searches.path.write_bytes(with_checksum({"searches": [good | change, evil, good]}))
        assert [(one.name, one.picture) for one in searches.all()] == [(EVIL, ""), ("good", "")]


@pytest.mark.parametrize("damage", [b"", b"{}", b"[]", b"\xff", b'{"searches": [{}], "checksum": "0"}'])
def test_a_damaged_file_hides_nothing_else(gallery, searches, damage):
    searches.add(SavedSearch.new(gallery, "one", Query(items=(1,))))
    searches.path.write_bytes(damage)
    assert searches.all() == []
    searches.add(SavedSearch.new(gallery, "two", Query(items=(1,))))
    assert [saved.name for saved in searches.all()] == ["two"]
    assert [path.read_bytes() for path in searches.path.parent.glob("*.damaged-*")] == [damage]


def test_what_this_version_cannot_read_is_kept_as_it_is(gallery, searches, monkeypatch):
    searches.add(one := SavedSearch.new(gallery, "one", Query(items=(1,))))
    later = {"id": "later", "another": ["form"]}
    searches.path.write_bytes(with_checksum({"searches": [later, one.as_stored()]}))
    searches.see(one.id)
    searches.add(SavedSearch.new(gallery, "two", Query(items=(1,))))
    searches.delete(one.id)
    assert [saved.name for saved in searches.all()] == ["two"]
    assert later in json.loads(searches.path.read_bytes())["searches"]
    before = searches.path.read_bytes()
    monkeypatch.setattr("unifex.retrieval.saved_searches.verify", lambda *_, **__: exec("raise OSError(5, 'bad disk')"))
    with pytest.raises(OSError, match="bad disk"):
        searches.add(one)
    assert searches.path.read_bytes() == before


def test_the_command_makes_one_of_a_search(gallery, library, searches, tmp_path, capsys):
    (tmp_path / "query.png").write_bytes(encoded(QUERY))
    common = ("--gallery", "drawn", "--library", str(library.folder))
    asked = (str(tmp_path / "query.png"), "-k", "4", "--domain", "signs", "--box", "0,0,0.5,0.5", "--more", "1")
    assert main(["search", *asked, "--save", "corner", *common, "--json"]) == 0
    hits = json.loads(capsys.readouterr().out)["results"][0]["hits"]
    assert main(["search", *asked, "--save", "corner", *common]) == 0  # as a script does every night
    capsys.readouterr()
    assert main(["search", "--item", "signs/cross/1.png", "--save", "corner", *common]) == 1
    assert "there is a saved search 'corner' already; give another name" in capsys.readouterr().err
    (tmp_path / "query.png").unlink()
    assert [hit.path for hit in searches.get("corner").find(gallery).hits] == [hit["path"] for hit in hits]
    assert main(["search", "--item", "signs/cross/1.png", "--save", "", *common]) == 1
    assert main(["search", "--item", "signs/cross/1.png", "--save", "two", "--dim", "64", *common]) == 2
    twice = ("--item", "signs/cross/1.png", "--item", "signs/cross/2.png", "--save", "two")
    assert main(["search", *twice, *common]) == 2
    assert "--together" in capsys.readouterr().err
    assert [saved.name for saved in searches.all()] == ["corner"]


def test_the_command_runs_one_where_it_can_only_be_read(gallery, library, searches, capsys, monkeypatch):
    def refused(*_args: object, **_options: object) -> None:
        raise OSError(errno.EROFS, "read-only file system", ".lock")

    searches.add(SavedSearch.new(gallery, "discs", Query(items=(1,))))
    before = searches.path.read_bytes()
    monkeypatch.setattr(saved_searches.FileLock, "acquire", refused)
    arguments = ["saved", "drawn", "discs", "--library", str(library.folder)]
    assert main([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["hits"]
    assert searches.path.read_bytes() == before
    assert main([*arguments, "--delete"]) == 1
    assert "read-only" in capsys.readouterr().err


def test_the_command_lists_runs_renames_and_deletes(gallery, library, searches, capsys):
    def saved(*arguments: str):
        assert main(["saved", "drawn", *arguments, "--json", "--library", str(library.folder)]) == 0
        return json.loads(capsys.readouterr().out)

    searches.add(SavedSearch.new(gallery, "crosses", Query(images=(QUERY,)), k=3))
    assert saved()["saved"] == [{"name": "crosses", "new": 0, "problem": ""}]
    found = saved("crosses")
    assert (len(found["hits"]), found["new"], found["hits"][0]["new"]) == (3, 0, False)
    assert saved("crosses", "--rename", " kreuze ")["name"] == "kreuze"
    assert saved("kreuze", "--delete")["deleted"] == "kreuze"
    assert saved()["saved"] == []
    assert main(["saved", "drawn", "gone", "--library", str(library.folder)]) == 1


@pytest.mark.parametrize("column", ["<10 mm", "height>width", "a=b", "year"])
def test_a_condition_of_any_column_is_kept(gallery, searches, column):
    for condition in (Condition(column, "=", "3"), Condition(column, ">=", "2"), Condition(column, "=", "x>=1")):
        saved = SavedSearch.new(gallery, "kept", Query(text="cross"), filters=Filters(where=(condition,)))
        searches.add(saved)
        assert searches.get("kept") == saved
        searches.delete(saved.id)
        assert Condition.parse(f'"{condition.column}" {condition.comparison} {condition.value}') == condition
    stored = json.loads(json.dumps(saved.as_stored()))
    stored["filters"]["where"] = ["year>=1900"]  # as earlier versions kept it
    assert SavedSearch.of_stored(stored).filters.where == (Condition("year", ">=", "1900"),)
    for odd in (["year", "?", "3"], ["year", ">", "x"], ["", "=", "3"], ["year", "="], 5):
        stored["filters"]["where"] = [odd]
        with pytest.raises((UnifexError, TypeError, ValueError)):
            SavedSearch.of_stored(stored)


def test_what_comes_while_it_is_searched_for_stays_new(gallery, searches, folder, monkeypatch, capsys):
    searches.add(SavedSearch.new(gallery, "all", Query(text="cross"), k=60))
    find = SavedSearch.find

    def found(saved, opened):
        result = find(saved, opened)
        (folder / "signs/cross" / "late.png").write_bytes(encoded(picture("signs/cross", 95)))
        run_index(gallery, folder)
        return result

    monkeypatch.setattr(SavedSearch, "find", found)
    run = ["saved", gallery.name, "all", "--library", str(gallery.folder.parent), "--json"]
    assert main(run) == 0
    assert json.loads(capsys.readouterr().out)["new"] == 0
    monkeypatch.undo()
    assert searches.get("all").count_new(gallery) == 1
