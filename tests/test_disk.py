"""What a closed folder and a disk that is nearly full let nobody write."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.support.drawing import write_folder
from tests.support.galleries import run_index
from unifex.core import disk
from unifex.core.files import new_folder, whole_file, write_atomically
from unifex.core.progress import finish
from unifex.gallery.changing import removing
from unifex.gallery.gallery import Gallery
from unifex.gallery.indexing import index
from unifex.gallery.known_sources import forget
from unifex.training.augment import augmented_features
from unifex.training.config import TrainConfig
from unifex.training.run import train


@pytest.fixture
def closed(tmp_path):
    """A folder with a gallery in it, a generator that is half way, and then nothing but the generator."""
    folder = tmp_path / "workspace"
    folder.mkdir()
    yield folder
    disk.reopen(folder)


def ends_at_once(work, folder):
    """What is running for a folder that is closed and deleted ends, and makes nothing of it anew."""
    disk.close(folder)
    shutil.rmtree(folder)
    with pytest.raises(disk.FolderClosed, match="your data was deleted"):
        finish(work)
    assert not folder.exists()


def test_an_indexing_of_a_closed_workspace_commits_nothing(closed, tmp_path, embedder):
    work = index(Gallery.create(closed / "drawn", embedder), str(write_folder(tmp_path / "pictures")))
    next(work)
    ends_at_once(work, closed)


@pytest.mark.parametrize("steps", [1, 4])
def test_a_training_of_a_closed_workspace_saves_nothing(closed, tmp_path, embedder, steps):
    gallery = Gallery.create(closed / "drawn", embedder)
    run_index(gallery, write_folder(tmp_path / "pictures"))
    work = train(gallery, "learned", TrainConfig(dims=(64,), epochs=6, batch_size=16, init="current"))
    for _ in range(steps):
        next(work)
    ends_at_once(work, closed)


def test_nor_does_anything_else(closed, tmp_path, embedder):
    gallery = Gallery.create(closed / "drawn", embedder)
    run_index(gallery, write_folder(tmp_path / "pictures"))
    ends_at_once(augmented_features(gallery, gallery.records(gallery.snapshot().columns.ids), 1), closed)
    for write in (
        lambda: write_atomically(closed / "a.json", b""),
        lambda: new_folder(closed / "models" / "b").__enter__(),
        lambda: disk.make_folder(closed / "c"),
        lambda: gallery.write().__enter__(),
        lambda: len(gallery),
        lambda: embedder.save(closed / "models" / "d"),
    ):
        with pytest.raises(disk.FolderClosed):
            write()
    assert not closed.exists()
    disk.reopen(closed)
    disk.make_folder(closed)


def test_the_last_bytes_of_a_disk_are_left_alone_and_can_be_read(tmp_path, embedder):
    gallery = Gallery.create(tmp_path / "drawn", embedder)
    run_index(gallery, write_folder(tmp_path / "pictures"))
    more = write_folder(tmp_path / "more", views=1)
    disk.keep_free(10**18)
    try:
        for write in (lambda: write_atomically(tmp_path / "a", b""), lambda: run_index(gallery, more)):
            with pytest.raises(OSError, match="No space left"):
                write()
        assert len(Gallery.open(gallery.folder).snapshot()) == 24
    finally:
        disk.keep_free(0)


def test_what_is_removed_while_the_disk_is_full_is_gone_and_tidied_up_later(tmp_path, embedder):
    gallery = Gallery.create(tmp_path / "drawn", embedder)
    run_index(gallery, write_folder(tmp_path / "pictures"))
    run_index(gallery, more := write_folder(tmp_path / "more", views=1))
    ids = gallery.snapshot().columns.ids[:5].tolist()
    disk.keep_free(10**18)
    try:
        assert finish(removing(gallery, ids)) == "5 images removed"
        assert forget(gallery, str(more)) == 4
        with gallery.write() as writer:
            gone = gallery.snapshot().columns.ids[:2].tolist()
            assert writer.unlist(1, gone).removed == 2
    finally:
        disk.keep_free(0)
    assert len(Gallery.open(gallery.folder).snapshot()) == len(gallery) == 17
    assert len(list(gallery.folder.glob("thumbs/*/*"))) == 17
    assert rows_of(gallery) > 17
    with gallery.write():
        assert rows_of(gallery) == 17
    assert not gallery.database.writing_path.exists()
    assert len(Gallery.open(gallery.folder).snapshot()) == 17


def rows_of(gallery: Gallery) -> int:
    """How many images' features lie in its shards."""
    return sum(len(np.load(path)) for path in gallery.folder.glob("features/*.npy"))


def test_a_file_that_is_handed_out_is_whole_or_not_there(tmp_path):
    out = tmp_path / "page.html"
    with contextlib.suppress(RuntimeError), whole_file(out) as unfinished:
        unfinished.write_text("half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with whole_file(out) as unfinished:
        unfinished.write_text("all")
    assert out.read_text() == "all"


def test_a_folder_that_goes_while_it_is_counted_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "going" / "deeper").mkdir(parents=True)
    real = Path.lstat

    def gone_afterwards(path: Path):
        found = real(path)
        if path.name == "deeper":
            shutil.rmtree(path.parent)
        return found

    monkeypatch.setattr(Path, "lstat", gone_afterwards)
    assert disk.taken_by(tmp_path)[1] == 2
