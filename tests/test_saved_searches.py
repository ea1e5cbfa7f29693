"""Searches that are saved with a gallery."""

import json
from dataclasses import replace

import numpy as np
import pytest

from tests.support.drawing import encoded, picture
from tests.support.galleries import QUERY, run_index
from unifex.cli.main import main
from unifex.core.errors import UnifexError
from unifex.gallery.library import SEARCHES, Library
from unifex.retrieval.conditions import Condition
from unifex.retrieval.filters import Filters
from unifex.retrieval.query import Query
from unifex.retrieval.saved_searches import SavedSearch, SavedSearches
from unifex.retrieval.search import search


def ids(result) -> list[int]:
    return [hit.record.id for hit in result.hits]


@pytest.fixture
def library(gallery) -> Library:
    return Library(gallery.folder.parent)


@pytest.fixture
def searches(gallery, library) -> SavedSearches:
    return SavedSearches(library, gallery)


def test_a_search_by_an_image_that_is_gone_finds_the_same_and_tells_what_came_since(gallery, searches, folder):
    filters = Filters(domains=("signs",), min_score=0.1, within=frozenset(gallery.snapshot().columns.ids.tolist()))
    saved = SavedSearch.new(gallery, " Crosses ", Query(images=(QUERY,)), filters=replace(filters), k=5, picture="p")
    searches.add(saved)
    kept = searches.get("Crosses")
    assert kept == saved
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
    )  # fmt: skip
    searches.add(saved)
    assert searches.all() == [saved]


def test_names_are_changed_taken_and_refused(gallery, library, searches):
    one, two = (SavedSearch.new(gallery, name, Query(items=(1,))) for name in ("one", "two"))
    searches.add(one)
    searches.add(two)
    searches.add(SavedSearch.new(gallery, "two", Query(items=(2,))))  # takes the other's place
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
    SavedSearches(library, renamed).delete(one.id)
    assert len(SavedSearches(library, renamed).all()) == 1
    library.delete("renamed")
    assert not list((library.folder / SEARCHES).glob("*.json"))


def test_another_backbone_says_what_is_to_be_done(gallery):
    saved = SavedSearch.new(gallery, "one", Query(images=(QUERY,)))
    other = replace(saved, query=replace(saved.query, known=replace(saved.query.known, backbone_hash="0" * 16)))
    with pytest.raises(UnifexError, match="search with its image again"):
        other.find(gallery)


@pytest.mark.parametrize("damage", [b"", b"{}", b"[]", b"\xff", b'{"searches": [{}], "checksum": "0"}'])
def test_a_damaged_file_hides_nothing_else(gallery, searches, damage):
    searches.add(SavedSearch.new(gallery, "one", Query(items=(1,))))
    searches.path.write_bytes(damage)
    assert searches.all() == []
    searches.add(SavedSearch.new(gallery, "two", Query(items=(1,))))
    assert [saved.name for saved in searches.all()] == ["two"]


def test_the_command_lists_runs_renames_and_deletes(gallery, library, searches, capsys):
    def saved(*arguments: str):
        assert main(["saved", "drawn", *arguments, "--json", "--library", str(library.folder)]) == 0
        return json.loads(capsys.readouterr().out)

    searches.add(SavedSearch.new(gallery, "crosses", Query(images=(QUERY,)), k=3))
    assert saved()["saved"] == [{"name": "crosses", "new": 0, "problem": ""}]
    found = saved("crosses")
    assert (len(found["hits"]), found["new"], found["hits"][0]["new"]) == (3, 0, False)
    assert saved("crosses", "--rename", "kreuze")["name"] == "kreuze"
    assert saved("kreuze", "--delete")["deleted"] == "kreuze"
    assert saved()["saved"] == []
    assert main(["saved", "drawn", "gone", "--library", str(library.folder)]) == 1
