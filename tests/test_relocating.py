"""A source is one however its path is written, and is forgotten or found at another place."""

from __future__ import annotations

import os
import shutil

import pytest

from tests.support import drawing
from tests.support.galleries import assert_no_orphans, run_index
from tests.support.reindexing import correct, counts, items, labels
from unifex.cli.main import main
from unifex.data import locations
from unifex.gallery.gallery import GalleryError
from unifex.gallery.indexing import forget
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
