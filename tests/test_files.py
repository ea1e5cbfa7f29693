"""Files and folders written beside and renamed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from unifex.cli.main import main
from unifex.core.files import LEFT_SECONDS, folder_in_place_of, new_folder
from unifex.gallery.gallery import Gallery
from unifex.gallery.library import Library


def test_a_new_folder_is_there_whole_or_not_at_all(tmp_path):
    with new_folder(tmp_path / "made") as folder:
        (folder / "file").write_text("x")
        assert not (tmp_path / "made").exists()
    with pytest.raises(ZeroDivisionError), new_folder(tmp_path / "failed") as folder:
        (folder / "file").write_text(f"{1 / 0}")
    with (
        pytest.raises(FileExistsError, match="there already, or another process"),
        new_folder(tmp_path / "made") as folder,
    ):
        (folder / "other").write_text("y")
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))] == ["made", "made/file"]


def test_what_a_killed_process_began_goes_after_a_day_and_nothing_of_a_persons(tmp_path):
    for name, age in (("a" * 16, LEFT_SECONDS + 60), ("b" * 16, 60)):
        left = tmp_path / f".unifex-{name}"
        (left / "half").mkdir(parents=True)
        (left / ".made-by-unifex").touch()
        os.utime(left / ".made-by-unifex", (time.time() - age,) * 2)
    own = [".new-website", f".unifex-{'c' * 16}", ".unifex-notes"]
    for name in own:
        (tmp_path / name).mkdir()
        (tmp_path / name / "page.html").write_text("mine")
        os.utime(tmp_path / name, (0, 0))
    with new_folder(tmp_path / "made"):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*own, f".unifex-{'b' * 16}", "made"])
    assert all((tmp_path / name / "page.html").read_text() == "mine" for name in own)


def test_what_is_being_filled_for_days_stays(tmp_path):
    with new_folder(tmp_path / "slow") as folder:
        (mark,) = tmp_path.glob(".unifex-*/.made-by-unifex")
        os.utime(mark, (0, 0))
        with new_folder(tmp_path / "quick"):
            pass
        (folder / "file").write_text("x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["quick", "slow"]


def test_a_killed_process_leaves_what_the_next_one_can_tell_as_its_own(tmp_path):
    """Killed while a folder is filled, and while one takes the place of another: the old one is whole somewhere."""
    killed = """
import os, sys
from pathlib import Path
from unifex.core.files import folder_in_place_of
with folder_in_place_of(Path(sys.argv[1])) as folder:
    (folder / "file").write_text("new")
    os.kill(os.getpid(), 9)
"""
    (tmp_path / "made").mkdir()
    (tmp_path / "made/file").write_text("old")
    subprocess.run([sys.executable, "-c", killed, tmp_path / "made"], check=False)
    (left,) = tmp_path.glob(".unifex-*")
    assert (tmp_path / "made/file").read_text() == "old"
    os.utime(left / ".made-by-unifex", (0, 0))
    with folder_in_place_of(tmp_path / "made") as folder:
        (folder / "file").write_text("new")
    assert [path.name for path in tmp_path.iterdir()] == ["made"]
    assert (tmp_path / "made/file").read_text() == "new"


def test_a_file_that_a_killed_process_was_writing_beside_galleries_goes_after_a_day(tmp_path, embedder):
    killed = """
import os, sys
from pathlib import Path
from unifex.core.files import whole_file
with whole_file(Path(sys.argv[1])) as file:
    file.write_text("half")
    os.kill(os.getpid(), 9)
"""
    library = Library(tmp_path)
    place = library.models / ".training"
    place.mkdir(parents=True)
    for name in ("old.pt", "new.pt"):
        subprocess.run([sys.executable, "-c", killed, place / name], check=False)
    old, new = (next(place.glob(f"{name}.pt.*")) for name in ("old", "new"))
    os.utime(old, (time.time() - LEFT_SECONDS - 60,) * 2)
    library.get_or_create("g", lambda: embedder)
    assert [*place.iterdir()] == [new]


def test_an_export_that_was_killed_between_both_names_is_there_again(tmp_path, gallery):
    """Also where the next one is made beside it, and not over one that has been put there since."""
    killed = """
import os, sys
from pathlib import Path
from unifex.core.files import folder_in_place_of
rename = Path.rename
def renamed(path, target):
    if path.parent.joinpath(".made-by-unifex").exists():
        os.kill(os.getpid(), 9)
    return rename(path, target)
Path.rename = renamed
with folder_in_place_of(Path(sys.argv[1])) as folder:
    (folder / "file").write_text("new")
"""
    library = ("--library", str(gallery.folder.parent))

    def export(name: str) -> int:
        return main(["export-gallery", "drawn", "--to", "files", "--out", str(tmp_path / name), *library])

    assert export("made") == 0
    whole = sorted(path.name for path in (tmp_path / "made").iterdir())
    for beside in ("made", "other"):
        subprocess.run([sys.executable, "-c", killed, tmp_path / "made"], check=False)
        assert not (tmp_path / "made").exists()
        assert export(beside) == (beside == "made")  # it is there already
        assert sorted(path.name for path in (tmp_path / "made").iterdir()) == whole
    subprocess.run([sys.executable, "-c", killed, tmp_path / "made"], check=False)
    (tmp_path / "made").mkdir()
    (tmp_path / "made/mine").touch()
    assert export("third") == 0
    assert (tmp_path / "made/mine").exists()
    assert len([*tmp_path.glob(f".unifex-*/made/{whole[-1]}")]) == 1


def test_what_cannot_take_the_place_of_another_leaves_that(tmp_path, monkeypatch):
    (tmp_path / "made").mkdir()
    (tmp_path / ".replaced-made").mkdir()
    (tmp_path / "made/file").write_text("old")
    rename = Path.rename

    def refuse(path: Path, target: Path) -> Path:
        if path.parent.joinpath(".made-by-unifex").exists():
            raise OSError("refused")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(OSError, match="refused"), folder_in_place_of(tmp_path / "made"):
        pass
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")) == [
        ".replaced-made",
        "made",
        "made/file",
    ]


def test_a_gallery_and_an_export_leave_a_persons_hidden_folders_alone(tmp_path, embedder, gallery):
    """Also one in the library, behind whose name a gallery's would stand while it goes."""
    library = Library(gallery.folder.parent)
    names = [".new-website", ".replaced-out", ".replaced-other", ".deleted-drawn", ".deleted-x", ".picking-x"]
    own = [library.folder / name for name in names]
    for place in own:
        place.mkdir()
        (place / "page.html").write_text("mine")
        os.utime(place, (0, 0))
    Gallery.open_or_create(library.folder / "other", embedder)
    for replaced in ((), ("--replace",)):
        out = ("--out", library.folder / "out", "--library", library.folder)
        assert main([*map(str, ("export-gallery", "drawn", "--to", "files", *out, *replaced))]) == 0
    library.delete("drawn")
    assert [[path.name for path in place.iterdir()] for place in own] == [["page.html"]] * len(own)
    assert {path.name for path in library.folder.glob(".*")} - {*names} == set()
