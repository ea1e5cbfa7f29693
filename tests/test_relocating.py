"""A source is one however its path is written, and is forgotten or found at another place."""

from __future__ import annotations

import os
import shutil
import zipfile
from pathlib import Path

import pytest

from tests.support import drawing
from tests.support.galleries import assert_no_orphans, run_index
from tests.support.reindexing import correct, counts, items, labels
from unifex.cli.main import main
from unifex.data import locations
from unifex.gallery.corrections import Correction
from unifex.gallery.gallery import GalleryError
from unifex.gallery.known_sources import forget
from unifex.gallery.relocating import relocate


def test_a_source_is_one_however_its_path_is_written(gallery, folder, tmp_path, monkeypatch):
    (tmp_path / "link").symlink_to(folder)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for spelling in (f"{folder}/", "pictures", "./pictures/", "~/pictures", "link", f"{folder}/../pictures"):
        assert run_index(gallery, spelling).skipped == 24
        assert locations.known_as(spelling, [str(folder)]) == str(folder)
    monkeypatch.setattr(os.path, "samefile", lambda a, b: str(a).casefold() == str(b).casefold())
    assert locations.known_as(str(folder).upper(), [str(folder)]) == str(folder)
    assert [known.spec for known in gallery.sources()] == [str(folder)]


def test_forget_keeps_what_another_source_has(gallery, folder):
    run_index(gallery, folder / "shapes")
    assert forget(gallery, f"{folder}/") == 12
    assert labels(gallery)["shapes/disc/0.png" if "shapes/disc/0.png" in labels(gallery) else "disc/0.png"] == (
        "",
        "disc",
    )
    for unknown in (str(folder), "~nobody-here/x", "hf:a/b", "a\0b"):
        with pytest.raises(GalleryError, match=r"not indexed from '.*' \(but from '.*shapes'\)"):
            forget(gallery, unknown)
    assert_no_orphans(gallery)


def test_relocate_takes_what_was_indexed_there_to_the_new_place(gallery, folder, tmp_path, capsys):
    correct(gallery, "shapes/disc/0.png", "ball")
    before = items(gallery)
    with pytest.raises(GalleryError, match="nothing of"):
        relocate(gallery, str(folder), str(tmp_path / "nowhere"))
    with pytest.raises(GalleryError, match="has nothing from"):
        relocate(gallery, str(tmp_path / "nowhere"), str(tmp_path))
    shutil.copytree(folder, tmp_path / "disk/pictures")
    run_index(gallery, tmp_path / "disk/pictures")  # indexed there before anybody thought of it
    shutil.rmtree(folder)
    arguments = ["relocate", str(folder), str(tmp_path / "disk/pictures"), "--gallery", "drawn"]
    assert main([*arguments, "--library", str(gallery.folder.parent), "--json"]) == 0
    assert '"items": 24, "joined": 24' in capsys.readouterr().out
    assert items(gallery) == before
    assert [known.spec for known in gallery.sources()] == [str(tmp_path / "disk/pictures")]
    assert counts(run_index(gallery, tmp_path / "disk/pictures", prune=True)) == (0, 24, 0, 0, 0)
    relocate(gallery, str(tmp_path / "disk"), str((tmp_path / "disk").rename(tmp_path / "other")))
    assert counts(run_index(gallery, tmp_path / "other/pictures", prune=True)) == (0, 24, 0, 0, 0)
    assert (
        main(
            ["forget", str(tmp_path / "other/pictures"), "--gallery", "drawn", "--library", str(gallery.folder.parent)]
        )
        == 0
    )
    assert len(gallery) == 0


def test_relocate_to_where_it_is_changes_nothing_and_says_so(gallery, folder, tmp_path):
    (tmp_path / "link").symlink_to(folder)
    before, version = items(gallery), gallery.database.version()
    for spelling in (str(folder), f"{folder}/", str(tmp_path / "link"), f"{folder}/../pictures"):
        with pytest.raises(GalleryError, match="already"):
            relocate(gallery, str(folder), spelling)
    assert (items(gallery), gallery.database.version()) == (before, version)
    assert [known.spec for known in gallery.sources()] == [str(folder)]
    run_index(gallery, drawing.write_folder(tmp_path / "others", 1))
    assert forget(gallery, str(tmp_path / "others")) == len(drawing.LABELS)
    assert items(gallery) == before


def test_of_sources_that_move_up_one_after_another_none_is_lost(gallery, folder, tmp_path):
    """One goes where the other was."""
    shutil.copytree(folder / "shapes", folder / "pictures")
    run_index(gallery, folder / "pictures")
    (tmp_path / "pictures").rename(tmp_path / "old")
    (tmp_path / "pictures").mkdir()
    (tmp_path / "old").rename(tmp_path / "pictures/pictures")
    assert relocate(gallery, str(folder), str(folder / "pictures")).sources == 2
    assert [known.spec for known in gallery.sources()] == [str(folder / "pictures"), str(folder / "pictures/pictures")]
    assert_no_orphans(gallery)


def test_a_new_source_takes_over_no_items_whose_own_is_lost(gallery, folder, tmp_path):
    """An earlier version lost the source that was relocated to where it was."""
    with gallery.write(), gallery.database.connect() as database:
        database.execute("DELETE FROM sources")
    run_index(gallery, drawing.write_folder(tmp_path / "others", 1))
    assert forget(gallery, str(tmp_path / "others")) == len(drawing.LABELS)
    assert len(gallery) == 24
    assert counts(run_index(gallery, folder)) == (0, 24, 0, 0, 0)
    assert forget(gallery, str(folder)) == 24  # they are its own again
    assert_no_orphans(gallery)


@pytest.mark.parametrize("sibling", ["Roll#2", "Roll?2", "Roll!2", "Roll\\2", "Roll 2", "Roll2"])
def test_what_lies_beside_a_place_stays_whatever_it_is_called(gallery, folder, tmp_path, sibling):
    for name, first in (("Roll", 40), (sibling, 50)):
        for number in range(first, first + 2):
            (tmp_path / name).mkdir(exist_ok=True)
            drawing.picture("shapes/disc", number).save(tmp_path / name / f"{number}.png")
        run_index(gallery, tmp_path / name)
    with zipfile.ZipFile(tmp_path / sibling / "more.zip", "w") as archive:
        archive.writestr("60.png", drawing.encoded(drawing.picture("shapes/disc", 60)))
    run_index(gallery, tmp_path / sibling / "more.zip")
    (tmp_path / "Roll").rename(tmp_path / "away")
    moved = relocate(gallery, str(tmp_path / "Roll"), str(tmp_path / "away"))
    assert (moved.sources, moved.items) == (1, 2)
    beside = [str(tmp_path / name) for name in (sibling, "away", f"{sibling}/more.zip")]
    assert sorted(known.spec for known in gallery.sources()) == sorted([str(folder), *beside])
    (tmp_path / sibling / "50.png").unlink()  # that it is gone is seen, too
    assert counts(run_index(gallery, tmp_path / sibling, prune=True))[-1] == 1


def test_parts_of_a_file_and_what_is_in_an_archive_go_with_it(tmp_path):
    moved = locations.relocated
    assert moved("/a/dog.mp4#t=12.0", "/a/dog.mp4", "/b/dog.mp4") == "/b/dog.mp4#t=12.0"
    assert moved("/a/shirt.jpg#1,-0,30,40", "/a/shirt.jpg", "/b/shirt.jpg") == "/b/shirt.jpg#1,-0,30,40"
    assert moved("zip:/a/x.zip!in/1.png", "/a/x.zip", "/b/y.zip") == "zip:/b/y.zip!in/1.png"
    assert moved("m4d:/a/data?sets=met", "/a/data", "/b") == "m4d:/b?sets=met"
    assert moved("C:\\a\\in", "C:\\a", "/b") == "/b\\in"


def test_a_place_where_most_is_missing_is_not_the_new_one(gallery, folder, tmp_path, capsys):
    few = tmp_path / "few/shapes/disc/0.png"
    few.parent.mkdir(parents=True)
    shutil.copy(folder / "shapes/disc/0.png", few)
    before = items(gallery)
    with pytest.raises(GalleryError, match=r"only 1 of the 24 items of .* are at '.*few': copy the others"):
        relocate(gallery, str(folder), str(tmp_path / "few"))
    assert items(gallery) == before
    shutil.copytree(folder, tmp_path / "few", dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "few/signs/cross")
    arguments = ["relocate", str(folder), str(tmp_path / "few"), "--gallery", "drawn"]
    assert main([*arguments, "--library", str(gallery.folder.parent)]) == 0
    told = capsys.readouterr().out
    assert "24 items of" in told
    assert "6 of them cannot be found there: copy them there, too" in told


def test_what_was_left_out_need_not_be_at_the_new_place(gallery, folder, tmp_path):
    gone = gallery.records(list(range(1, 14)))
    with gallery.write() as writer:
        writer.correct([Correction("drop", record.uri, record.path, record.sha256) for record in gone])
    for record in gone:
        Path(record.uri).unlink()
    moved = tmp_path / "moved"
    folder.rename(moved)
    assert 0 < len(gallery) < len(gone)
    assert relocate(gallery, str(folder), str(moved)).missing == 0
    assert all(Path(record.uri).is_file() for record in gallery.records(gallery.snapshot().columns.ids.tolist()))


def test_what_windows_writes_with_either_slash_is_at_the_new_place():
    for text, there in (
        ("C:/photos/a/b.jpg", "D:/photos/a/b.jpg"),
        ("C:\\photos", "D:/photos"),
        ("zip:C:\\photos\\a.zip!b.jpg", "zip:D:/photos\\a.zip!b.jpg"),
        ("C:/photos2/a.jpg", None),
    ):
        for old in ("C:/photos", "C:\\photos"):
            assert locations.relocated(text, old, "D:/photos") == there
