"""A disk that is full and one that can only be read. Run by ``test_small_disk.py``, where a disk can be mounted."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
from gradio_client import Client, handle_file

from tests.support.galleries import run_index
from tests.support.serving import serve
from tests.support.visiting import Visitor
from unifex.core.disk import NotWritable
from unifex.core.progress import finish
from unifex.core.text import reason
from unifex.gallery import bundle
from unifex.gallery.corrections import relabel
from unifex.gallery.gallery import Gallery, GalleryError
from unifex.gallery.indexing import Pace
from unifex.gallery.library import Library
from unifex.models.embedder import Embedder
from unifex.training.config import TrainConfig
from unifex.training.resume import checkpoints
from unifex.training.run import train

ROOMY = "200m"
QUICK = TrainConfig(dims=(64,), epochs=6, batch_size=16, init="current")


@pytest.fixture
def disk(tmp_path):
    """A folder that is a disk of its own."""
    folder = tmp_path / "indexes"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={ROOMY}", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def remount(disk: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", disk], check=True)


@contextmanager
def full(disk: Path):
    """Not one block is free."""
    with (disk / "filling").open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(1 << 20)):
            pass
    try:
        yield
    finally:
        (disk / "filling").unlink()


def refused(change) -> None:
    with pytest.raises(OSError, match="No space left") as caught:
        change()
    assert "the disk is full; make room" in reason(caught.value)


def contents(gallery: Gallery) -> tuple:
    """All that a search sees."""
    current = Gallery.open(gallery.folder).snapshot()
    return current.columns.ids.tolist(), current.columns.labels.texts.tolist(), current.embeddings.tobytes()


@pytest.fixture
def kept(disk, folder, frozen) -> Gallery:
    gallery = Gallery.create(disk / "drawn", frozen)
    run_index(gallery, folder)
    return gallery


def test_indexing_on_a_disk_that_fills_up_goes_on_when_there_is_room(tmp_path, disk, folder, frozen):
    reference = Gallery.create(tmp_path / "elsewhere", frozen)
    run_index(reference, folder)
    gallery = Gallery.create(disk / "drawn", frozen)
    remount(disk, "size=300k")
    refused(lambda: run_index(gallery, folder, pace=Pace(commit_images=4)))
    committed = len(Gallery.open(gallery.folder))
    assert 0 < committed < 24, "it filled up half way"
    assert not list(disk.rglob("*.tmp"))
    assert len(Gallery.open(gallery.folder).snapshot()) == committed
    remount(disk, f"size={ROOMY}")
    report = run_index(gallery, folder)
    assert (report.added, report.skipped) == (24 - committed, committed)
    assert contents(gallery) == contents(reference)


def test_nothing_is_lost_by_what_does_not_fit(tmp_path, disk, kept, frozen):
    library, before = Library(disk), contents(kept)
    item = kept.item_at("signs/stripes/0.png")
    raw = Embedder.raw("lite0")
    with full(disk):
        refused(lambda: _write(kept, lambda writer: writer.remove([item.id])))
        refused(lambda: _write(kept, lambda writer: writer.correct([relabel(item, "cross")])))
        refused(lambda: finish(library.use("drawn", raw)))
        refused(lambda: finish(train(kept, "learned", QUICK)))
        refused(lambda: frozen.save_as("copy", library.models))
        refused(lambda: finish(bundle.pack(kept, disk / "packed.zip")))
        with pytest.raises(GalleryError, match="'another' cannot be made: the disk is full"):
            library.get_or_create("another", lambda: frozen)
        assert contents(kept) == before
        assert [hit for hit in disk.rglob("*") if ".tmp" in hit.name or ".unifex-" in hit.name] == []
    assert library.names() == ["drawn"]
    assert _write(kept, lambda writer: writer.remove([item.id])) == 1
    assert len(Gallery.open(kept.folder).snapshot()) == 23


def _write(gallery: Gallery, change):
    with gallery.write() as writer:
        return change(writer)


def test_a_training_that_no_longer_fits_goes_on_from_where_it_was(disk, kept):
    training = train(kept, "learned", QUICK)
    next(step for step in training if step.stage == "epoch 3")
    with full(disk):
        refused(lambda: finish(training))
    assert [order.name for order in checkpoints(disk / "models")] == ["learned"]
    epochs = []
    assert finish(train(kept, "learned", QUICK, on_epoch=epochs.append)).model == "learned"
    assert epochs[0].number > 3


def test_the_page_says_that_the_disk_is_full_and_goes_on(disk, kept, folder):
    file = (folder / "signs" / "cross" / "0.png").read_bytes()
    with serve(disk) as server:
        visitor = Visitor(server.url)
        with full(disk):
            assert "the disk is full" in _drop(visitor, file)
            client = Client(server.url, verbose=False)
            found = _searched(client, folder)
            assert found["results"][0]["hits"][0]["label"] == "cross"
        assert "1 image added" in visitor.index("more", {"new/0.png": file})


def _searched(client: Client, folder: Path) -> dict:
    query = handle_file(str(folder / "signs" / "cross" / "0.png"))
    return client.predict(image=query, gallery="drawn", api_name="/search")


def _drop(visitor: Visitor, data: bytes) -> str:
    place = visitor.upload(data, "0.png")
    return str(visitor.drop("more", [[place, "new/0.png"]]))


def test_a_folder_that_can_only_be_read_is_searched_measured_and_packed(tmp_path, disk, kept, folder):
    before = contents(kept)
    remount(disk, "ro")
    with pytest.raises(NotWritable, match="Read-only") as caught:
        run_index(Gallery.open(kept.folder), folder)
    assert "--library" in reason(caught.value)
    assert not kept.is_being_written()
    finish(bundle.pack(Gallery.open(kept.folder), tmp_path / "packed.zip"))
    assert len(finish(bundle.unpack(tmp_path / "packed.zip", "unpacked", Library(tmp_path / "other")))) == 24
    with serve(disk) as server:
        client = Client(server.url, verbose=False)
        found = _searched(client, folder)
        assert found["results"][0]["hits"][0]["label"] == "cross"
        assert client.predict(gallery="drawn", api_name="/evaluate")["queries"] == 24
        assert "read-only" in _drop(Visitor(server.url), b"image")
    assert contents(kept) == before
    remount(disk, "rw")
    assert np.array_equal(run_index(Gallery.open(kept.folder), folder).skipped, 24)
