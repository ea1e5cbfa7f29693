"""``index --watch`` follows a real folder, as a process; and when a folder is polled or waited for."""

import contextlib
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.support import drawing
from tests.support.serving import ROOT
from unifex.cli import following
from unifex.cli.main import main
from unifex.data.item import SourceError
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

    @contextlib.contextmanager
    def asleep(self) -> Iterator[None]:
        """What is changed is one change to it, however long it takes."""
        self.process.send_signal(signal.SIGSTOP)
        yield
        self.process.send_signal(signal.SIGCONT)

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
    with follower.asleep():
        half.write_bytes((picture := pictures[0].read_bytes())[: len(picture) // 2])
        pictures[0].unlink()
        renamed = pictures[1].rename(pictures[1].with_name("renamed.png"))
    assert follower.says("removed") == "1 moved, 1 removed, 1 refused"
    with follower.asleep():
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


@pytest.mark.parametrize("polls", [False, True])
@pytest.mark.parametrize("library", [".", ".."])
def test_a_folder_in_a_library_is_followed_but_not_its_galleries(tmp_path, library, polls):
    pytest.importorskip("watchfiles")
    folder = tmp_path / "Pictures" / "2021"
    (gallery := folder / "old" / "indexes" / "mine" / "thumbs").mkdir(parents=True)
    for name in ("gallery.json", "items.sqlite"):
        (gallery.parent / name).touch()
    told = moments(folder, folder / library, polls, QUICK)
    assert next(told) is Moment.RESTED
    (gallery / "a.jpg").touch()
    (folder / ".uploads").mkdir()
    (folder / ".uploads" / "b.jpg").touch()
    (timer := threading.Timer(1.0, (folder / "a.png").touch)).start()
    assert next(told) is Moment.RESTED
    assert (folder / "a.png").exists()  # not before
    timer.join()
    told.close()


@pytest.mark.parametrize("has", [None, OSError, RuntimeError])
def test_where_the_system_tells_of_no_changes_it_is_polled(tmp_path, monkeypatch, has):
    def refuse(*_args, **_options):
        raise has("OS file watch limit reached")
        yield

    monkeypatch.setitem(sys.modules, "watchfiles", SimpleNamespace(watch=refuse) if has else None)
    (tmp_path / "a.png").touch()
    told = moments(tmp_path, tmp_path / "indexes", patience=QUICK)
    assert next(told) is Moment.RESTED
    (timer := threading.Timer(0.5, (tmp_path / "a.png").write_text, ["other"])).start()
    assert next(told) is Moment.RESTED
    assert (tmp_path / "a.png").read_text() == "other"
    timer.join()
    told.close()


def test_it_ends_when_it_is_told_to(tmp_path):
    (tmp_path / "a.png").touch()
    for polls in (False, True):
        stop = threading.Event()
        told = moments(tmp_path, tmp_path / "indexes", polls, QUICK, stop)
        assert next(told) is Moment.RESTED
        threading.Timer(0.3, stop.set).start()
        assert not list(told)
    stop.clear()
    (tmp_path / "a.png").unlink()
    told = moments(tmp_path, tmp_path / "indexes", True, QUICK, stop)
    assert next(told) is Moment.UNREACHABLE
    threading.Timer(0.3, stop.set).start()
    assert not list(told)


def test_what_is_no_folder_is_not_watched(tmp_path, folder, capsys):
    (picture := tmp_path / "a.png").write_bytes(next(folder.rglob("*.png")).read_bytes())
    assert main(["index", str(picture), "--watch", "--gallery", "a", "--library", str(tmp_path / "indexes")]) == 1
    assert "is none" in capsys.readouterr().err
    assert not os.path.exists(tmp_path / "indexes" / "a")


@pytest.fixture
def watch(gallery, folder, monkeypatch, capsys):
    """Runs the command while these things are done to the folder, after each of which it rests; what is said."""

    def watched(*steps) -> str:
        def moments(*_args):
            for step in (lambda: None, *steps):
                step()
                yield Moment.RESTED
            raise KeyboardInterrupt

        monkeypatch.setattr(following, "moments", moments)
        asked = ["index", str(folder), "--gallery", "drawn", "--library", str(gallery.folder.parent)]
        assert main([*asked, "--watch", "--quiet", "0.1"]) == 0
        return capsys.readouterr().out

    return watched


def test_the_command_goes_on_after_a_restart(watch, folder):
    assert "added" not in watch().partition("Ctrl+C")[2]
    next(folder.rglob("3.png")).unlink()
    drawing.picture("signs/cross", 7).save(folder / "new.png")
    told = watch(lambda: (folder / "new.png").unlink()).splitlines()
    assert "1 added" in told[0]
    assert told[-3:-1] == ["1 removed"] * 2


def test_the_command_waits_for_a_busy_gallery(watch, folder, gallery, monkeypatch):
    writer = contextlib.ExitStack()

    def step() -> None:
        drawing.picture("signs/cross", 7).save(folder / "new.png")
        writer.enter_context(gallery.write())

    waited = iter([lambda: None, writer.close])  # it looks twice in vain
    monkeypatch.setattr(following, "time", SimpleNamespace(sleep=lambda _: next(waited)()))
    told = watch(step)
    assert told.count("it is waited for") == 1
    assert "\n1 added\n" in told


def test_the_command_goes_on_after_what_the_next_change_may_mend(watch, folder, monkeypatch):
    real, failing = following.index, iter([OSError(28, "No space left on device"), SourceError("not now")])

    def index(*arguments, **options):
        if error := next(failing, None):
            raise error
        return real(*arguments, **options)

    monkeypatch.setattr(following, "index", index)
    told = watch(lambda: None, lambda: drawing.picture("signs/cross", 7).save(folder / "new.png"))
    assert "No space left" in told or "disk is full" in told
    assert "not now" in told
    assert "\n1 added\n" in told


def test_the_command_removes_nothing_where_less_than_half_is_left(watch, folder, gallery, tmp_path):
    pictures = sorted(folder.rglob("*.png"))
    (away := tmp_path / "away").mkdir()

    def leave_one() -> None:
        for number, picture in enumerate(pictures[1:]):
            picture.rename(away / f"{number}.png")

    assert "nothing was removed: only 1 of the 24 items" in watch(leave_one)
    assert len(Gallery.open(gallery.folder)) == 24


def test_the_command_reads_what_a_list_says_by_then(watch, folder, gallery):
    pictures = ["shapes/disc/0.png", "signs/cross/1.png"]
    table, samples = folder / "manifest.csv", folder / "samples.json"

    def told() -> list:
        return [gallery.item_at(path).labels for path in pictures]

    def say(table_says: str) -> None:
        table.write_text(table_says)

    def say_in_samples(label: str) -> None:
        table.unlink(missing_ok=True)
        said = [{"filepath": path, "ground_truth": {"_cls": "Classification", "label": label}} for path in pictures]
        samples.write_text(json.dumps({"samples": said}))

    seen: list = []
    watch(
        lambda: say("path,label\nshapes/disc/0.png,a\nsigns/cross/1.png,b\n"),
        lambda: (seen.append(told()), say("year,label,path,domain\n1999,a,shapes/disc/0.png,x\n,b,signs/cross/1.png,")),
        lambda: (seen.append(told()), say_in_samples("c")),
        lambda: (seen.append(told()), say_in_samples("d")),
    )
    seen.append(told())
    assert [[one.label for one in both] for both in seen] == [["a", "b"], ["a", "b"], ["c", "c"], ["d", "d"]]
    assert (seen[1][0].domain, seen[1][0].extra) == ("x", {"year": "1999"})


def test_the_command_says_what_makes_it_cheaper(watch, monkeypatch):
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    assert "pip install 'unifex[watch]'" in watch()
