"""What people said of two pictures, or of one of several that were at a place, belongs to these pictures: wherever they
go, whatever comes to their places, and when they are back."""

import csv
import io
import shutil
import sqlite3
from contextlib import closing
from itertools import permutations

import pytest

from tests.support.drawing import encoded, picture
from tests.support.galleries import packed, run_index, unpacked
from unifex.core.progress import finish
from unifex.evaluation.splits import split_of
from unifex.gallery import corrections
from unifex.gallery.corrections import Correction
from unifex.gallery.gallery import Gallery
from unifex.gallery.library import Library
from unifex.gallery.relocating import relocate

ONE, OTHER, FREE = "shapes/disc/0.png", "signs/cross/0.png", "signs/cross/z.png"
ENDS = [(ONE,), (OTHER,), (ONE, OTHER)]
NEW = [encoded(picture("signs/stripes", view)) for view in (90, 91)]


def say(gallery: Gallery, *said: Correction) -> None:
    with gallery.write() as writer:
        writer.correct(said)


def undo(gallery: Gallery) -> None:
    """All of it, so that nothing is left."""
    with gallery.write() as writer:
        writer.undo(gallery.corrections())
    assert gallery.corrections() == []


def marks(gallery: Gallery, kind: str = "same") -> list[tuple[str, str]]:
    """The paths of the pairs that hold."""
    return [(one.path, other.path) for one, other in map(gallery.records, gallery.database.marked_pairs(kind))]


@pytest.fixture
def marked(gallery) -> Gallery:
    """With a pair of either kind."""
    pair = gallery.item_at(ONE), gallery.item_at(OTHER)
    say(gallery, corrections.same(*pair), corrections.distinct(*pair))
    return gallery


def assert_holds(gallery: Gallery, one: str, other: str) -> None:
    assert marks(gallery) == marks(gallery, "distinct") == [(one, other)]
    assert not gallery.idle_corrections()
    assert {(said.path, said.other_path) for said in gallery.corrections()} == {(one, other)}


def assert_idle(gallery: Gallery) -> None:
    assert marks(gallery) == marks(gallery, "distinct") == []
    assert len(split_of(gallery).same) == 0
    assert len(gallery.idle_corrections()) == len(gallery.corrections()) == 2


# --- pairs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ends", ENDS)
def test_a_pair_does_not_pass_to_what_comes_to_a_place_and_holds_when_its_pictures_are_back(marked, folder, ends):
    kept = {path: (folder / path).read_bytes() for path in ends}
    for path, new in zip(ends, NEW):
        (folder / path).write_bytes(new)
    (remark,) = run_index(marked, folder).remarks
    assert remark.text.endswith("as another picture is there, or none: 2 corrections")
    assert_idle(marked)
    for path in ends:
        (folder / path).write_bytes(kept[path])
    run_index(marked, folder)
    assert_holds(marked, ONE, OTHER)
    undo(marked)


@pytest.mark.parametrize("ends", ENDS)
def test_it_holds_when_its_pictures_are_back_elsewhere(marked, folder, ends):
    kept = {path: (folder / path).read_bytes() for path in ends}
    for path in ends:
        (folder / path).unlink()
    run_index(marked, folder, prune=True)
    assert_idle(marked)
    now = {path: path.replace("0.png", "back.png") for path in ends}
    for path, there in now.items():
        (folder / there).write_bytes(kept[path])
    run_index(marked, folder)
    assert_holds(marked, now.get(ONE, ONE), now.get(OTHER, OTHER))
    undo(marked)


def test_or_at_the_place_of_each_other(marked, folder):
    kept = [(folder / path).read_bytes() for path in (ONE, OTHER)]
    for path, new in zip((ONE, OTHER), NEW):
        (folder / path).write_bytes(new)
    run_index(marked, folder)
    for path, picture_of in zip((OTHER, ONE), kept):
        (folder / path).write_bytes(picture_of)
    run_index(marked, folder)
    assert_holds(marked, OTHER, ONE)
    undo(marked)


@pytest.mark.parametrize("moves", [{ONE: OTHER, OTHER: ONE}, {ONE: FREE, OTHER: ONE}, {OTHER: FREE, ONE: OTHER}])
def test_it_follows_pictures_that_move_at_once(marked, folder, moves):
    kept = {path: (folder / path).read_bytes() for path in moves}
    for path in moves:
        (folder / path).unlink()
    for path, there in moves.items():
        (folder / there).write_bytes(kept[path])
    assert run_index(marked, folder, prune=True).moved == 2
    assert_holds(marked, moves[ONE], moves[OTHER])
    undo(marked)


@pytest.mark.parametrize("swapped", [False, True])
def test_it_follows_two_files_of_the_same_bytes_that_are_back_elsewhere(gallery, folder, swapped):
    shutil.copy(folder / ONE, folder / FREE)
    run_index(gallery, folder)
    places = [ONE, FREE][:: -1 if swapped else 1]
    say(gallery, corrections.same(*map(gallery.item_at, places)))
    kept = (folder / ONE).read_bytes()
    for path in places:
        (folder / path).unlink()
    run_index(gallery, folder, prune=True)
    assert len(gallery.idle_corrections()) == 1
    now = ["signs/x.png", "signs/y.png"]
    for path in now:
        (folder / path).write_bytes(kept)
    run_index(gallery, folder)
    assert [set(pair) for pair in marks(gallery)] == [set(now)]
    undo(gallery)


@pytest.mark.parametrize("end", [ONE, OTHER])
def test_it_stays_while_one_is_left_out(marked, folder, end):
    say(marked, corrections.drop(marked.item_at(end)))
    assert len(split_of(marked).same) == 0
    run_index(marked, folder)
    with marked.write() as writer:
        writer.undo([said for said in marked.corrections() if said.kind == "drop"])
    assert_holds(marked, ONE, OTHER)
    assert len(split_of(marked).same) == 2
    undo(marked)


def test_no_copies_hides_no_true_copy(gallery, folder):
    say(gallery, corrections.distinct(gallery.item_at(ONE), gallery.item_at(OTHER)))
    kept = (folder / OTHER).read_bytes()

    def level() -> str | None:
        run_index(gallery, folder)
        return finish(gallery.find_duplicates()).level_of(gallery.item_at(ONE).id, gallery.item_at(OTHER).id)

    (folder / OTHER).write_bytes(encoded(picture("shapes/disc", 0), compress_level=9))
    assert level() == "picture"
    (folder / OTHER).write_bytes(kept)
    assert not level()
    assert len(gallery.database.marked_pairs("distinct")) == 1


def test_both_pictures_are_in_the_table_that_is_exported(marked):
    rows = csv.DictReader(io.StringIO(corrections.as_csv(marked.corrections())))
    assert [Correction(**row) for row in rows] == marked.corrections()
    assert {said.other_sha256 for said in marked.corrections()} == {marked.item_at(OTHER).sha256}


def test_what_an_earlier_version_said_of_a_missing_picture_is_of_what_comes_first(marked, folder):
    kept = (folder / OTHER).read_bytes()
    (folder / OTHER).unlink()
    run_index(marked, folder, prune=True)
    with closing(sqlite3.connect(marked.folder / "items.sqlite")) as database, database:
        database.execute("UPDATE corrections SET other_sha256 = ''")  # as its migration leaves it
    (marked.folder / "items.json").unlink()
    for content in (kept, NEW[0], kept):
        (folder / OTHER).write_bytes(content)
        run_index(marked, folder)
        assert len(marks(marked)) == (content == kept)
    assert_holds(marked, ONE, OTHER)
    undo(marked)


# --- one place, several pictures -------------------------------------------------------------------------------------


@pytest.fixture
def first(folder) -> bytes:
    """The picture that is corrected first."""
    return (folder / ONE).read_bytes()


@pytest.fixture
def twice(gallery, folder, first) -> Gallery:
    """At one place first one picture was corrected, then another."""
    say(gallery, corrections.relabel(gallery.item_at(ONE), "foo"))
    (folder / ONE).write_bytes(NEW[0])
    run_index(gallery, folder)
    say(gallery, corrections.relabel(gallery.item_at(ONE), "bar"))
    return gallery


def labels(gallery: Gallery, *paths: str) -> list[str]:
    return [gallery.item_at(path).label for path in paths]


@pytest.mark.parametrize("moved", [False, True])
def test_the_label_of_a_picture_is_kept_while_another_is_at_its_place(twice, folder, first, moved):
    """``moved``: the other one has gone on meanwhile."""
    if moved:
        (folder / ONE).rename(folder / "signs/moved.png")
        run_index(twice, folder, prune=True)
    (folder / FREE).write_bytes(first)
    run_index(twice, folder)
    assert labels(twice, "signs/moved.png" if moved else ONE, FREE) == ["bar", "foo"]
    assert not twice.idle_corrections()
    undo(twice)


@pytest.mark.parametrize("order", permutations(range(3)))
def test_whichever_is_at_the_place_has_what_was_said_of_it(twice, folder, first, order):
    shown = [(first, "foo"), (NEW[0], "bar"), (NEW[1], "disc")]
    for content, label in (shown[number] for number in order):
        (folder / ONE).write_bytes(content)
        run_index(twice, folder)
        assert labels(twice, ONE) == [label]
        assert sorted(said.label for said in twice.corrections()) == ["bar", "foo"]


def test_one_of_them_is_taken_back_alone(twice, folder, first):
    (idle,) = twice.idle_corrections()
    with twice.write() as writer:
        writer.undo([idle])
    assert labels(twice, ONE) == ["bar"]
    assert [said.label for said in twice.corrections()] == ["bar"]
    (folder / ONE).write_bytes(first)
    run_index(twice, folder)
    assert labels(twice, ONE) == ["disc"]


# --- packed and relocated --------------------------------------------------------------------------------------------


def test_all_of_it_travels(twice, folder, tmp_path):
    pair = twice.item_at(OTHER), twice.item_at("signs/cross/1.png")
    say(twice, corrections.same(twice.item_at(ONE), pair[0]), corrections.distinct(*pair))
    (folder / "signs/cross/1.png").write_bytes(NEW[1])
    run_index(twice, folder)
    packed(twice, tmp_path / "g.zip")
    there = unpacked(tmp_path / "g.zip", "theirs", Library(tmp_path / "there"))
    assert [said.sentence for said in there.corrections()] == [said.sentence for said in twice.corrections()]
    assert (marks(there), marks(there, "distinct")) == ([(ONE, OTHER)], [])
    assert labels(there, ONE) == ["bar"]
    assert sorted(said.sentence for said in there.idle_corrections()) == sorted(
        said.sentence for said in twice.idle_corrections()
    )
    undo(there)


def test_all_of_it_moves_with_its_folder(twice, folder, first, tmp_path):
    say(twice, corrections.same(twice.item_at(ONE), twice.item_at(OTHER)))
    folder.rename(tmp_path / "elsewhere")
    relocate(twice, str(folder), str(tmp_path / "elsewhere"))
    assert marks(twice) == [(ONE, OTHER)]
    (tmp_path / "elsewhere" / FREE).write_bytes(first)
    run_index(twice, tmp_path / "elsewhere")
    assert labels(twice, ONE, FREE) == ["bar", "foo"]
    assert not twice.idle_corrections()
    undo(twice)
