import os
import shutil
import time

import pytest

from tests.conftest import run_index
from tests.drawing import encoded, picture
from unifex import uploads
from unifex.gallery import Gallery
from unifex.sources import Item, SourceError
from unifex.uploads import UploadedFile, stage


@pytest.fixture
def upload(tmp_path):
    """Puts files where a server would, and stages them under the names that the browser gave."""
    indexes = tmp_path / "indexes"
    indexes.mkdir(exist_ok=True)

    def send(files: dict[str, bytes]):
        sent = []
        for number, (name, data) in enumerate(files.items()):
            path = tmp_path / f"tmp{number}"
            path.write_bytes(data)
            sent.append(UploadedFile(path, name))
        return stage(indexes, sent)

    send.indexes = indexes
    return send


PICTURES = {
    f"holiday/{label}/{view}.png": encoded(picture(f"shapes/{label}", view))
    for label in ("disc", "square")
    for view in (0, 1)
}


def test_a_dropped_folder_is_the_root(upload):
    root = upload(PICTURES)
    assert {path.relative_to(root).as_posix() for path in root.rglob("*.png")} == {
        "disc/0.png", "disc/1.png", "square/0.png", "square/1.png",
    }  # fmt: skip
    assert {item.label for item in uploads.open_staged(root)} == {"disc", "square"}


def test_a_file_that_the_server_keeps_once_can_be_wanted_twice(tmp_path, monkeypatch):
    kept = tmp_path / "kept"
    kept.write_bytes(b"x")
    for other_disk in (False, True):
        if other_disk:
            monkeypatch.setattr(
                "pathlib.Path.hardlink_to", lambda self, target: exec("raise OSError(18, 'other disk')")
            )
        root = stage(tmp_path / "indexes", [UploadedFile(kept, "a/1.png"), UploadedFile(kept, "b/1.png")])
        assert sorted(path.read_bytes() for path in root.rglob("*.png")) == [b"x", b"x"]
    assert kept.exists()


def test_two_files_of_one_name_are_not_mixed_up(tmp_path):
    (tmp_path / "1").write_bytes(b"1")
    (tmp_path / "2").write_bytes(b"2")
    files = [UploadedFile(tmp_path / number, "x/same.png") for number in "12"]
    with pytest.raises(SourceError, match=r"two of the files are called 'same\.png'"):
        stage(tmp_path / "indexes", files)
    assert not list((tmp_path / "indexes").rglob("*.png"))


def test_several_dropped_folders_are_labels(upload):
    root = upload({"cat/1.png": b"a", "dog/1.png": b"b"})
    assert [item.label for item in uploads.open_staged(root)] == ["cat", "dog"]


def test_single_zip_and_csv_are_opened_themselves(upload):
    assert upload({"a.zip": b"PK"}).name == "a.zip"
    assert upload({"list.csv": b"path\n"}).name == "list.csv"


@pytest.mark.parametrize("name", ["../x.png", "a/../../x.png", "/etc/x.png", "C:\\x.png", "..\\x.png", ""])
def test_names_that_leave_the_folder_are_refused(upload, name):
    with pytest.raises(SourceError, match="leaves the uploaded folder"):
        upload({name: b"x", "good.png": b"y"})


def test_nothing_uploaded(tmp_path):
    with pytest.raises(SourceError, match="nothing was uploaded"):
        stage(tmp_path, [])


def test_very_long_names_are_shortened(upload):
    root = upload({"ü" * 300 + ".png": b"x", "b.png": b"y"})
    assert all(isinstance(entry, Item) for entry in uploads.open_staged(root))


def test_images_outlive_their_upload_and_the_same_upload_adds_nothing(upload, embedder):
    gallery = Gallery.create(upload.indexes / "g", embedder)
    for added in (4, 0):
        root = upload(PICTURES)
        report = run_index(gallery, uploads.open_staged(root))
        assert (report.added, report.skipped) == (added, 4 - added)
        uploads.discard(upload.indexes, str(root))
        assert not root.exists()
    record = gallery.records(gallery.snapshot().columns.ids)[0]
    assert record.path == "disc/0.png"
    assert gallery.original(record) == PICTURES["holiday/disc/0.png"]


def test_other_pictures_of_the_same_name_are_both_kept(upload, embedder):
    gallery = Gallery.create(upload.indexes / "g", embedder)
    for view in (0, 1):
        run_index(
            gallery, uploads.open_staged(upload({"IMG_1.png": encoded(picture("signs/cross", view)), "b.txt": b""}))
        )
    assert len(gallery) == 2


def test_old_uploads_are_swept_but_not_those_to_be_resumed(upload):
    old, waiting, fresh = (upload({"a.png": b"x", "b.png": b"y"}) for _ in range(3))
    for root in (old, waiting):
        os.utime(root, (time.time() - 10**6,) * 2)
    uploads.sweep(upload.indexes.resolve(), [str(waiting)])
    assert [root.exists() for root in (old, waiting, fresh)] == [False, True, True]


def test_discard_leaves_other_folders_alone(upload, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    uploads.discard(upload.indexes, str(folder))
    assert folder.exists()
    shutil.rmtree(folder)
