import contextlib
import ntpath
import os
import shutil
import tempfile
import time
from pathlib import Path, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.drawing import encoded, picture
from tests.support.galleries import run_index
from unifex.core.errors import UnifexError
from unifex.core.files import below, leaves
from unifex.core.language import speak
from unifex.data import uploads
from unifex.data.item import Item, SourceError
from unifex.data.uploads import UploadedFile, stage
from unifex.gallery.gallery import Gallery


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


def test_a_dropped_folder_that_is_called_as_a_table_is_a_folder(upload):
    root = upload({"list.csv/signs/a.png": encoded(picture("signs/cross", 1))})
    for stranger in (False, True):
        (item,) = uploads.open_staged(root, stranger=stranger)
        assert item.keep


def test_single_zip_and_csv_are_opened_themselves(upload):
    assert upload({"a.zip": b"PK"}).name == "a.zip"
    assert upload({"list.csv": b"path\n"}).name == "list.csv"


@pytest.mark.parametrize(
    "name",
    ["../x.png", "a/../../x.png", "/etc/x.png", "C:\\x.png", "..\\x.png", "//etc/x.png", "\\\\host\\x\\y.png", ""],
)
def test_names_that_leave_the_folder_are_refused(upload, name):
    with pytest.raises(SourceError, match="leaves the uploaded folder"):
        upload({name: b"x", "good.png": b"y"})


@given(
    st.lists(st.sampled_from(["/", "\\", "..", ".", "C:", "a", "a.png", "\0", "ü"]), min_size=1, max_size=6).map(
        "".join
    )
)
def test_whatever_a_file_is_called_it_is_written_where_uploads_are(name):
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "sent").write_bytes(b"x")
        with contextlib.suppress(SourceError):
            stage(
                place / "library", [UploadedFile(place / "sent", str(place) + name), UploadedFile(place / "sent", name)]
            )
        with contextlib.suppress(SourceError):
            stage(place / "library", [UploadedFile(place / "sent", f"/{place}{name}")])
        assert {path.name for path in place.iterdir()} <= {"sent", "library"}
        assert {path.name for path in place.glob("library/*")} <= {uploads.STAGE}


@given(st.text("/\\.:aC\0", max_size=8))
def test_what_lies_in_a_folder_by_its_name_lies_below_it(name):
    folder = Path("/some/folder")
    with contextlib.suppress(UnifexError):
        assert os.path.abspath(below(folder, name)).startswith(f"{os.path.abspath(folder)}{os.sep}")
    on_windows = PureWindowsPath(ntpath.normpath(PureWindowsPath("D:/some/folder") / name.replace(":", "_")))
    assert leaves(name) or on_windows.is_relative_to("D:/some/folder")


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


def test_a_lone_table_says_that_its_files_did_not_come_along(upload):
    for name in ("list.csv", "list.tsv"):
        with pytest.raises(
            SourceError, match=r"did not come along \('cats/0\.png' is the first of 2\); drop the folder"
        ):
            uploads.open_staged(upload({name: b"path\ncats/0.png\ncats/1.png\n"}))
        with pytest.raises(SourceError, match="not read on a public server; drop the folder"):
            uploads.open_staged(upload({name: b"path\n/etc/passwd\n"}), stranger=True)


def test_it_says_so_in_another_language_too(upload):
    speak("de")
    try:
        with pytest.raises(SourceError, match=r"'?cats/0\.png"):
            uploads.open_staged(upload({"list.csv": b"path\ncats/0.png\n"}))
    finally:
        speak("en")


def test_a_table_beside_the_images_that_it_names_gives_their_labels(upload):
    image = encoded(picture("signs/cross", 0))
    named = uploads.open_staged(upload({"list.csv": b"file;class\n./cats/0.png;cat\n../x.png;\n", "cats/0.png": image}))
    found = list(named)
    assert [(item.path, item.label) for item in found if isinstance(item, Item)] == [("cats/0.png", "cat")]
    assert found[1].reason == "line 3: path leaves the uploaded folder"
    other = uploads.open_staged(upload({"prices.csv": b"article,price\n1,2\n", "cats/0.png": image}))
    assert [item.label for item in other if isinstance(item, Item)] == ["cats"]


def test_a_strangers_table_is_bounded(upload, monkeypatch):
    monkeypatch.setitem(uploads.LIMITS, "max_rows", 10)
    rows = b"path\n" + b"".join(b"%d.png\n" % number for number in range(1000))
    root = upload({"manifest.csv": rows, "a.png": encoded(picture("signs/cross", 0))})
    assert len(list(uploads.open_staged(root, stranger=True))) == 11
    assert len(list(uploads.open_staged(root))) == 1000


def test_an_upload_that_was_swept_says_so_and_not_where_it_was(upload):
    root = upload(PICTURES)
    uploads.discard(upload.indexes, str(root))
    with pytest.raises(SourceError, match=r"^the uploaded files are no longer here; drop them again$"):
        uploads.open_staged(root)


def test_half_a_character_in_a_name_is_no_obstacle(upload):
    assert len(list(uploads.open_staged(upload({"a/\ud800.png": b"x", "a/b.png": b"y"})))) == 2
