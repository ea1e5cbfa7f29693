"""``index --watch`` follows a real folder, as a process; and when a folder is polled or waited for."""

import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.support import drawing
from tests.support.serving import ROOT
from unifex.cli.main import main
from unifex.gallery import watching
from unifex.gallery.gallery import Gallery
from unifex.gallery.watching import Moment, Patience, moments

QUICK = Patience(quiet=0.2, poll=0.1)


class Follower:
    """``index --watch`` in a process, and the lines that it says."""

    def __init__(self, folder: Path, library: Path, *options: str):
        command = [sys.executable, "-m", "unifex", "index", folder, "--gallery", "drawn", "--library", library]
        self.process = subprocess.Popen(
            [*map(str, command), "--watch", "--quiet", "0.3", *options],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self.lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self.process.stdout or ():
            self.lines.put(line.strip())

    def says(self, text: str) -> str:
        """The next line with this text; those before it are passed over."""
        while text not in (line := self.lines.get(timeout=60)):
            pass
        return line

    def end(self) -> int:
        """What Ctrl+C makes of it: its exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(30)


@pytest.fixture
def follower(folder, gallery):
    pytest.importorskip("watchfiles")
    one = Follower(folder, gallery.folder.parent)
    yield one
    one.process.kill()
    one.process.wait()


def test_a_gallery_follows_its_folder_until_it_is_ended(folder, gallery, follower, tmp_path):
    follower.says("following")
    pictures = sorted(folder.rglob("*.png"))
    half, whole = folder / "half.png", drawing.write_folder(tmp_path / "more", 13, 64)
    half.write_bytes((picture := pictures[0].read_bytes())[: len(picture) // 2])
    pictures[0].unlink()
    renamed = pictures[1].rename(pictures[1].with_name("renamed.png"))
    assert follower.says("removed") == "1 moved, 1 removed, 1 refused"
    shutil.copytree(whole, folder / "burst")
    half.write_bytes(next(whole.rglob("*.png")).read_bytes() + b" ")
    assert follower.says("added") == f"{len(list(whole.rglob('*.png'))) + 1} added"

    away = folder.rename(tmp_path / "away")
    follower.says("it is waited for")
    (away / renamed.relative_to(folder)).unlink()
    away.rename(folder)
    assert follower.says("removed") == "1 removed"
    assert follower.end() == 0
    assert len(gallery.records(Gallery(gallery.folder, gallery.config).snapshot().columns.ids)) == 22 + 52 + 1


def test_a_folder_with_nothing_in_it_is_waited_for(tmp_path):
    pytest.importorskip("watchfiles")
    folder = tmp_path / "disk"
    folder.mkdir()
    told = moments(folder, tmp_path / "indexes", patience=QUICK)
    assert next(told) is Moment.UNREACHABLE
    (folder / "a.png").touch()
    assert next(told) is Moment.RESTED
    told.close()


@pytest.mark.parametrize("polls", [False, True])
def test_what_galleries_write_is_no_change(tmp_path, polls):
    pytest.importorskip("watchfiles")
    (tmp_path / "indexes").mkdir()
    told = moments(tmp_path, tmp_path / "indexes", polls, QUICK)
    assert next(told) is Moment.RESTED
    (tmp_path / "indexes" / "a.db").touch()
    (timer := threading.Timer(1.0, (tmp_path / "a.png").touch)).start()
    assert next(told) is Moment.RESTED
    assert (tmp_path / "a.png").exists()  # not before
    timer.join()
    told.close()


def test_drives_of_the_network_are_polled(tmp_path, monkeypatch):
    (mounts := tmp_path / "mounts").write_text(f"/dev/a / ext4 rw 0 0\nhost:/b {tmp_path}/far nfs4 rw 0 0\n")
    monkeypatch.setattr(watching, "MOUNTS", mounts)
    assert watching.must_be_polled(tmp_path / "far" / "photos")
    assert not watching.must_be_polled(tmp_path / "near")
    monkeypatch.setattr(watching, "MOUNTS", tmp_path / "none")
    assert not watching.must_be_polled(tmp_path / "far")


def test_what_cannot_be_watched_is_refused(tmp_path, folder, capsys, monkeypatch):
    library = ["--gallery", "a", "--library", str(tmp_path / "indexes")]
    (picture := tmp_path / "a.png").write_bytes(next(folder.rglob("*.png")).read_bytes())
    assert main(["index", str(picture), "--watch", *library]) == 1
    assert "is none" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    assert main(["index", str(folder), "--watch", *library]) == 1
    assert "unifex[watch]" in capsys.readouterr().err
    assert not os.path.exists(tmp_path / "indexes" / "a")
