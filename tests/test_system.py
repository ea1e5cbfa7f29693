"""What is done where a file that is open cannot be replaced, moved or deleted, on a system that plays that it is so."""

import os
from pathlib import Path

import pytest

from unifex.core import system
from unifex.core.files import write_atomically
from unifex.data.uploads import _safe_parts
from unifex.gallery import library as libraries
from unifex.gallery.errors import GalleryError
from unifex.gallery.folder_names import check_name
from unifex.gallery.library import Library


@pytest.fixture
def windows(monkeypatch):
    monkeypatch.setattr(system, "ON_WINDOWS", True)
    monkeypatch.setattr(system, "WAIT_SECONDS", 0)


class Held:
    """Refuses to replace or delete, so often, as Windows does while somebody reads."""

    def __init__(self, monkeypatch, method: str, times: int):
        self.left, self.real = times, getattr(Path, method)
        monkeypatch.setattr(Path, method, lambda path, *arguments, **named: self.ask(path, *arguments, **named))

    def ask(self, path, *arguments, **named):
        if self.left:
            self.left -= 1
            raise PermissionError(13, "in use", str(path))
        return self.real(path, *arguments, **named)


def test_a_reader_of_what_is_replaced_is_waited_for(tmp_path, monkeypatch, windows):
    path = tmp_path / "file"
    path.write_bytes(b"before")
    Held(monkeypatch, "replace", 3)
    write_atomically(path, b"after")
    assert path.read_bytes() == b"after"
    Held(monkeypatch, "replace", 1000)
    with pytest.raises(PermissionError):
        write_atomically(path, b"never")
    assert path.read_bytes() == b"after"
    assert os.listdir(tmp_path) == ["file"]


def test_elsewhere_nobody_waits_and_nothing_is_passed_over(tmp_path, monkeypatch):
    Held(monkeypatch, "replace", 1)
    with pytest.raises(PermissionError):
        write_atomically(tmp_path / "file", b"never")
    Held(monkeypatch, "unlink", 1)
    with pytest.raises(PermissionError):
        system.delete(tmp_path / "file")


def test_what_is_mapped_stays(tmp_path, monkeypatch, windows):
    path = tmp_path / "shard"
    path.write_bytes(b"")
    Held(monkeypatch, "unlink", 1)
    system.delete(path)
    assert path.exists()
    system.delete(path)
    assert not path.exists()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="nothing tells what is open")
def test_a_gallery_is_moved_with_its_lock_let_go_of(gallery, monkeypatch):
    monkeypatch.setattr(libraries, "ON_WINDOWS", True)
    real, open_ones = Path.rename, []

    def rename(path, target):
        open_ones.extend(
            link for link in Path("/proc/self/fd").iterdir() if path in Path(os.path.realpath(link)).parents
        )
        return real(path, target)

    monkeypatch.setattr(Path, "rename", rename)
    library = Library(gallery.folder.parent)
    library.rename("drawn", "figures")
    library.delete("figures")
    assert open_ones == []


@pytest.mark.parametrize("name", ["com1", "LPT9", "nul.old"])
def test_names_of_devices(name, windows, monkeypatch):
    with pytest.raises(GalleryError, match="Windows"):
        check_name(name)
    assert check_name("common") == "common"
    assert system.file_name(name) == f"_{name}"
    monkeypatch.setattr(system, "ON_WINDOWS", False)
    assert check_name(name) == name  # a gallery that is there stays what it is


def test_names_of_uploads_can_be_written(windows):
    assert _safe_parts("a:b/what? .png. /con.png") == ("a_b", "what_ .png", "_con.png")
    assert system.file_name("...") == "_"


def test_memory_that_nobody_tells(monkeypatch):
    assert system.memory_bytes() > 1 << 28
    monkeypatch.delattr(os, "sysconf")
    assert system.memory_bytes() is None
