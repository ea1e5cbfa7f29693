"""What people and sources said of pictures, whatever happens to files and to whoever writes a gallery."""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image

from tests.support.drawing import encoded, picture
from tests.support.galleries import assert_no_orphans, make_model, run_index
from tests.support.reindexing import counts, ids
from unifex.cli.main import main
from unifex.core.files import mark_half
from unifex.core.locks import lock_in_folder
from unifex.core.progress import finish
from unifex.gallery import bundle, corrections, neighbours, picking
from unifex.gallery.gallery import Gallery, GalleryError
from unifex.gallery.known_sources import forget
from unifex.gallery.library import Library
from unifex.gallery.other_backbone import index_anew
from unifex.gallery.relocating import relocate
from unifex.maps import projection
from unifex.models.embedder import Embedder, ModelError
from unifex.retrieval.query import Query
from unifex.retrieval.saved_search import SavedSearch

DISC, OTHER = "shapes/disc/0.png", "shapes/disc/1.png"


def say(gallery: Gallery, *said: corrections.Correction) -> None:
    with gallery.write() as writer:
        writer.correct(said)


def tagged(gallery: Gallery, path: str) -> tuple[str, ...]:
    return gallery.item_at(path).tags


def untag(gallery: Gallery, path: str, *words: str) -> None:
    with gallery.write() as writer:
        writer.untag([gallery.item_at(path).id], words)


@contextmanager
def items_of(gallery: Gallery) -> Iterator[sqlite3.Connection]:
    """The database itself, as a killed writer or an earlier version may have left it."""
    with closing(sqlite3.connect(gallery.folder / "items.sqlite")) as database, database:
        yield database
    (gallery.folder / "items.json").unlink(missing_ok=True)
    gallery.database.writing_path.touch()


def photo(path: Path, view: int, keywords: str = "", comment: bytes = b"") -> None:
    exif = Image.Exif()
    exif[0x9C9E] = keywords.encode("utf-16-le")
    path.write_bytes(encoded(picture("shapes/disc", view), "JPEG", comment=comment, exif=exif))


# --- pairs and what is left out --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["same", "distinct"])
def test_a_pair_of_which_one_took_the_place_of_the_other_is_none_until_that_is_back(gallery, folder, kind):
    say(gallery, getattr(corrections, kind)(gallery.item_at(DISC), gallery.item_at(OTHER)))
    kept = (folder / OTHER).read_bytes()
    (folder / DISC).rename(folder / OTHER)
    run_index(gallery, folder)
    assert gallery.database.marked_pairs(kind) == []
    assert len(gallery.idle_corrections()) == 1
    (folder / DISC).write_bytes(kept)
    run_index(gallery, folder)
    assert gallery.database.marked_pairs(kind) == [(gallery.item_at(OTHER).id, gallery.item_at(DISC).id)]


@pytest.mark.parametrize("swapped", [False, True])
def test_nor_of_one_whose_items_are_at_one_place_now(tmp_path, folder, embedder, swapped):
    gallery = Gallery.create(tmp_path / "indexes/two", embedder)
    shutil.copytree(folder, tmp_path / "b")
    for source in (folder, tmp_path / "b"):
        run_index(gallery, source)
    pair = [gallery.item_at(f"{at.as_posix()}/{DISC}") for at in (folder, tmp_path / "b")]
    third = gallery.item_at(f"{folder.as_posix()}/{OTHER}")
    say(gallery, corrections.same(*pair[:: -1 if swapped else 1]), corrections.same(third, pair[0]))
    shutil.rmtree(folder)
    relocate(gallery, str(folder), str(tmp_path / "b"))
    (left,) = gallery.corrections()
    at = f"{(tmp_path / 'b').as_posix()}/"
    assert (left.uri, left.other_uri) == (f"{at}{OTHER}", f"{at}{DISC}")
    assert not gallery.idle_corrections()


def test_a_gallery_with_a_pair_of_one_item_opens_and_lets_go_of_it(gallery, capsys):
    item = gallery.item_at(DISC)
    with items_of(gallery) as database:
        row = ("same", item.uri, item.path, item.sha256, "", "", item.uri, item.path, item.sha256)
        database.execute(corrections.STORE, row)
    library = ["--library", str(gallery.folder.parent)]
    assert main(["correct", gallery.name, *library]) == 0
    assert main(["correct", gallery.name, "--undo", DISC, *library]) == 0
    assert gallery.corrections() == []
    assert main(["correct", gallery.name, "--same", DISC, DISC, *library]) == 1
    assert "is one item; 'same' takes two" in capsys.readouterr().err


def test_a_kept_picture_is_not_left_out_for_its_copy(tmp_path, folder, embedder):
    gallery = Gallery.create(tmp_path / "indexes/two", embedder)
    shutil.copytree(folder, tmp_path / "b")
    for source in (folder, tmp_path / "b"):
        run_index(gallery, source)
    for path in (DISC, OTHER):
        say(gallery, corrections.drop(gallery.item_at(f"{(tmp_path / 'b').as_posix()}/{path}")))
    say(gallery, corrections.drop(gallery.item_at(f"{folder.as_posix()}/{OTHER}")))  # both of this one
    shutil.rmtree(folder)
    relocate(gallery, str(folder), str(tmp_path / "b"))
    assert len(gallery) == 23
    assert [said.path for said in gallery.corrections()] == [OTHER]


def test_nor_once_that_copy_is_gone(gallery, folder):
    copy = folder / "shapes/disc/copy.png"
    shutil.copy(folder / DISC, copy)
    run_index(gallery, folder)
    say(gallery, corrections.drop(gallery.item_at("shapes/disc/copy.png")))
    copy.unlink()
    run_index(gallery, folder, prune=True)
    kept = (folder / DISC).read_bytes()
    for content in ((folder / "signs/cross/0.png").read_bytes(), kept):
        (folder / DISC).write_bytes(content)
        run_index(gallery, folder)
    assert gallery.item_at(DISC)
    assert gallery.corrections() == []


# --- tags ------------------------------------------------------------------------------------------------------------


def test_a_word_that_was_taken_away_does_not_come_back_with_a_comment(gallery, folder):
    photo(folder / "a.jpg", 7, "sea;sun")
    (folder / "list.csv").write_text('path,tags\na.jpg,"best,red"\n')
    run_index(gallery, folder)
    run_index(gallery, folder / "list.csv")
    untag(gallery, "a.jpg", "sea", "red")
    photo(folder / "a.jpg", 7, "sea;sun;calm", comment=b"rated")
    run_index(gallery, folder)
    run_index(gallery, folder / "list.csv")
    assert tagged(gallery, "a.jpg") == ("best", "calm", "sun")


def test_nor_when_the_list_that_gave_it_is_what_sees_the_comment(tmp_path, gallery, folder):
    photo(folder / "a.jpg", 7)
    (folder / "list.csv").write_text('path,tags\na.jpg,"best,red"\n')
    run_index(gallery, folder / "list.csv")
    untag(gallery, "a.jpg", "red")
    photo(folder / "a.jpg", 7, comment=b"rated")
    (folder / "list.csv").write_text('path,tags\na.jpg,"red,new"\n')
    run_index(gallery, folder / "list.csv")
    assert tagged(gallery, "a.jpg") == ("new",)


def test_nor_in_a_gallery_of_chosen_items_whose_folder_is_indexed(gallery, folder):
    photo(folder / "a.jpg", 7, "sea;sun")
    run_index(gallery, folder)
    untag(gallery, "a.jpg", "sea")
    made = finish(picking.pick(gallery, [gallery.item_at("a.jpg").id], "some", Library(gallery.folder.parent)))
    assert tagged(made, "a.jpg") == ("sun",)
    assert counts(run_index(made, folder))[:2] == (24, 1)
    assert tagged(made, "a.jpg") == ("sun",)


def test_what_another_list_says_as_well_stays_and_what_none_says_goes(gallery, folder):
    photo(folder / "a.jpg", 7, "sea")
    run_index(gallery, folder)
    one, other = folder / "one.csv", folder / "other.csv"
    one.write_text('path,label,tags\na.jpg,x,"best,sea,mine"\n')
    other.write_text(f'path,label,tags\na.jpg,x,"best,red"\n{DISC},x,red\n')
    for source in (one, other):
        run_index(gallery, source)
    assert tagged(gallery, "a.jpg") == ("best", "mine", "red", "sea")
    one.write_text("path,label,tags\na.jpg,x,\n")
    run_index(gallery, one)
    assert tagged(gallery, "a.jpg") == ("best", "red", "sea")
    other.write_text(f"path,label,tags\n{DISC},x,red\n")
    run_index(gallery, other, prune=True)
    assert tagged(gallery, "a.jpg") == ("sea",)
    forget(gallery, str(other))
    assert gallery.tags() == {"sea": 1}


def test_an_item_of_too_many_tags_keeps_no_other_from_being_tagged(gallery):
    with items_of(gallery) as database:
        item = gallery.item_at(DISC)
        database.executemany("INSERT INTO tags VALUES (?, ?, ?)", [(item.id, f"t{n}", item.sha256) for n in range(60)])
    with gallery.write() as writer:
        writer.tag([gallery.item_at(OTHER).id], ["sunny"])
        writer.tag([item.id], ["t1"])
    assert tagged(gallery, OTHER) == ("sunny",)
    assert len(tagged(gallery, DISC)) == 60


# --- the same picture is the same item -------------------------------------------------------------------------------


def test_a_picture_that_was_rated_is_found_by_what_was_saved(gallery, folder, monkeypatch):
    photo(folder / "a.jpg", 7)
    run_index(gallery, folder)
    item = gallery.item_at("a.jpg").id
    by_it = SavedSearch.new(gallery, "by it", Query(items=(item,)), k=3)
    marked = SavedSearch.new(gallery, "marked", Query(text="", items=(gallery.item_at(DISC).id,), more=(item,)), k=24)
    before = gallery.neighbours()[1].positions
    places = finish(projection.project(gallery)).coords
    photo(folder / "a.jpg", 7, comment=b"rated")
    assert run_index(gallery, folder).added == 1
    assert gallery.item_at("a.jpg").id == item
    for saved in (by_it, marked):
        assert saved.find(gallery).hits
        assert saved.count_new(gallery) == 0
    opened = Gallery.open(gallery.folder)
    monkeypatch.setattr(type(opened.embedder.neck), "embed", None)  # what was made of it serves on
    searched = []
    monkeypatch.setattr(neighbours, "find", lambda *of, find=neighbours.find: searched.append(of[2]) or find(*of))
    assert np.array_equal(opened.neighbours()[1].positions, before)
    assert [len(rows) for rows in searched] == [0]
    assert np.array_equal(finish(projection.project(opened)).coords, places)


# --- whoever was killed or stopped -----------------------------------------------------------------------------------


def test_what_no_source_lists_is_removed(gallery, folder, tmp_path):
    """As a writer of an earlier version left it that was killed."""
    (folder / DISC).unlink()
    with items_of(gallery) as database:
        database.execute("DELETE FROM listings WHERE item = ?", (gallery.item_at(DISC).id,))
    assert counts(run_index(gallery, folder)) == (0, 23, 0, 0, 0)
    assert len(gallery) == 23
    assert_no_orphans(gallery)
    with items_of(gallery) as database:  # by whoever did not look whether one was killed
        database.execute("DELETE FROM listings WHERE item = ?", (gallery.item_at(OTHER).id,))
    gallery.database.writing_path.unlink()
    relocate(gallery, str(folder), str(folder.rename(tmp_path / "elsewhere")))
    run_index(gallery, tmp_path / "elsewhere")
    assert (len(gallery), gallery.item_at(OTHER).label) == (23, "disc")


def test_features_that_no_item_has_are_not_taken_to_another_backbone(gallery, folder):
    kept = (folder / DISC).read_bytes()
    with items_of(gallery) as database:  # as one leaves them that is killed before it is tidy
        database.execute("DELETE FROM items WHERE id = ?", (gallery.item_at(DISC).id,))
        database.execute("DELETE FROM listings WHERE item NOT IN (SELECT id FROM items)")
    library = Library(gallery.folder.parent)
    made = finish(index_anew(library, gallery.name, "anew", Embedder.load("unifex-lite-3")))
    (folder / DISC).write_bytes(kept)
    assert run_index(made, folder).added == 1
    assert made.features([made.item_at(DISC).sha256]).any()


@pytest.mark.parametrize("stopped", [KeyboardInterrupt, GalleryError])
def test_who_is_stopped_leaves_it_as_whoever_ends(gallery, stopped):
    def stop() -> None:
        with gallery.write() as writer:
            writer.tag([gallery.item_at(DISC).id], ["best"])
            raise stopped("now")

    with pytest.raises(stopped):
        stop()
    assert not gallery.database.writing_path.exists()
    assert gallery.database.checksum()


def test_what_was_half_deleted_or_half_made_is_swept_unless_somebody_is_at_it(gallery, monkeypatch):
    """A copy of it, or of a gallery, that a person keeps under such a name is none."""
    library, chosen = Library(gallery.folder.parent), [gallery.item_at(DISC).id]
    held = shutil.copytree(gallery.folder, library.folder / ".picking-new")  # as an earlier version left it
    mark_half(held, held.name)
    finish(picking.pick(gallery, chosen, "old", library))
    with monkeypatch.context() as killed:
        killed.setattr(shutil, "rmtree", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            library.delete("old")
    (left,) = library.folder.glob(".deleted-*")
    copies = [library.folder / name for name in (".deleted-mine", f".deleted-{'0' * 32}", ".picking-mine")]
    for copy, of in zip(copies, (gallery.folder, left, held)):
        shutil.copytree(of, copy)
    for folder in (left, held, *copies):
        os.utime(folder, (0, 0))
    with lock_in_folder(held / ".lock"):
        finish(picking.pick(gallery, chosen, "other", library))
        assert (left.exists(), held.exists()) == (False, True)
    library.delete("other")
    hidden = sorted(name for name in os.listdir(library.folder) if name[0] == ".")
    assert hidden == sorted(copy.name for copy in copies)
    assert len(Gallery.open(copies[0])) == 24


def test_two_picks_at_a_time_into_one_name_and_one_after_a_kill(gallery, tmp_path):
    library, chosen = Library(gallery.folder.parent), [gallery.item_at(DISC).id]
    first, second = (picking.pick(gallery, chosen, "new", library) for _ in range(2))
    next(first), next(second)
    (killed, _) = (shutil.copytree(path, tmp_path / path.name) for path in library.folder.glob(".unifex-*"))
    assert len(finish(first)) == 1
    with pytest.raises(GalleryError, match="there is a gallery 'new' already"):
        finish(second)
    assert len(library.get("new")) == 1
    library.delete("new")
    shutil.move(killed, library.folder)
    assert len(finish(picking.pick(gallery, chosen, "new", library))) == 1


# --- moved, packed ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("inside", [False, True])
def test_a_part_that_was_relocated_is_not_pruned_from_where_it_was(gallery, folder, tmp_path, inside):
    """``inside``: of a folder that is a source itself."""
    photo(folder / "signs/a.jpg", 7)
    run_index(gallery, folder)
    with gallery.write() as writer:
        writer.correct([corrections.relabel(gallery.item_at("signs/a.jpg"), "sea")])
    before = set(ids(gallery).values())
    (tmp_path / "q").mkdir()
    if inside:
        photo(tmp_path / "q/b.jpg", 8)
        run_index(gallery, tmp_path / "q")
    (folder / "signs").rename(tmp_path / "q/signs")
    relocate(gallery, str(folder / "signs"), str(tmp_path / "q/signs"))
    place = tmp_path / ("q" if inside else "q/signs")
    assert [source.spec for source in gallery.sources()] == [str(folder), str(place)]
    assert not gallery.unfinished()
    assert counts(run_index(gallery, folder, prune=True)) == (0, 12, 0, 0, 0)
    labels = {record.id: record.label for record in gallery.records([*before])}
    assert counts(run_index(gallery, place, prune=True))[::4] == (0, 0)
    assert before <= set(ids(gallery).values())
    assert {record.id: record.label for record in gallery.records([*before])} == labels  # its folder knows them still
    assert gallery.item_at((tmp_path / "q/signs/a.jpg").as_posix()).label == "sea"
    assert not gallery.idle_corrections()


def test_a_source_without_items_can_be_relocated(gallery, folder, tmp_path):
    (tmp_path / "empty").mkdir()
    run_index(gallery, tmp_path / "empty")
    (tmp_path / "empty").rename(tmp_path / "moved")
    assert relocate(gallery, str(tmp_path / "empty"), str(tmp_path / "moved")).sources == 1
    assert [source.spec for source in gallery.sources()] == [str(folder), str(tmp_path / "moved")]


def test_nothing_is_packed_that_cannot_be_unpacked(tmp_path, gallery, frozen, monkeypatch):
    model = make_model(frozen, "mine@2")
    with pytest.raises(ModelError, match="cannot be kept under that name"):
        Gallery.create(tmp_path / "indexes/other", model)
    monkeypatch.setattr(bundle, "MAX_ENTRIES", 24)
    with pytest.raises(GalleryError, match="a bundle at most 24; pack it without its images"):
        finish(bundle.pack(gallery, tmp_path / "g.zip"))
    assert not (tmp_path / "g.zip").exists()
