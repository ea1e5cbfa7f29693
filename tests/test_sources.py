"""Folders, archives, hub data sets and single images: what each yields and what it refuses."""

import os
import stat
import subprocess
import zipfile
from pathlib import Path

import gradio as gr
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.drawing import encoded, picture
from tests.support.galleries import run_index
from tests.support.walking import walk, write_zip
from unifex.cli.main import main
from unifex.cli.settings import Settings
from unifex.core import text
from unifex.core.images import ImageError, content_hash, decode
from unifex.data import tree
from unifex.data.item import Item, Labels, Skipped, SourceError, Unread, labels_from_layout
from unifex.data.sources import open_source
from unifex.gallery.gallery import Gallery
from unifex.gallery.library import Library
from unifex.ui.context import AppContext
from unifex.ui.gallery_names import name_for
from unifex.ui.tabs.gallery_tab import GalleryTab

DISC = encoded(picture("shapes/disc", 0))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a.jpg", Labels()),
        ("cat/a.jpg", Labels("cat")),
        ("pets/cat/a.jpg", Labels("cat", "pets")),
        ("cars/audi/a4/a.jpg", Labels("audi/a4", "cars")),
    ],
)
def test_layout_gives_labels(path, expected):
    assert labels_from_layout(path) == expected


def test_folder(folder):
    items, refused = walk(folder)
    assert len(items) == 24
    assert not refused
    assert list(items) == sorted(items)
    item = items["shapes/disc/3.png"]
    assert (item.domain, item.label, item.split, item.keep) == ("shapes", "disc", "", False)
    assert item.read() == (folder / "shapes/disc/3.png").read_bytes()
    assert open_source(str(folder)).count() == 24


@pytest.mark.parametrize("name", ["plain", "two words", "it's #1 50%", '"quoted"', "'q'"])
def test_a_path_is_read_as_file_managers_copy_it(tmp_path, monkeypatch, capsys, embedder, name):
    folder = tmp_path / name
    folder.mkdir()
    (folder / "a.png").write_bytes(DISC)
    monkeypatch.chdir(tmp_path)
    for typed in (name, str(folder), f'"{folder}"', f"'{folder}'", f" {folder} ", folder.as_uri(),
                  folder.as_uri().replace("file://", "FILE://localhost"), f'"{folder.as_uri()}"'):  # fmt: skip
        assert open_source(typed).spec == str(open_source(str(folder)).spec), typed
        assert name_for(typed) == name_for(str(folder))
    library = ["--library", str(tmp_path / "library")]
    assert main(["index", folder.as_uri(), "--gallery", "copied", *library]) == 0
    assert main(["forget", f'"{folder}"', "--gallery", "copied", *library]) == 0
    with pytest.raises(SourceError, match="'/nowhere/at all' does not exist"):
        open_source("file:///nowhere/at%20all")
    for nothing in ("", " ", '"', '""', "file://"):
        with pytest.raises(SourceError):
            open_source(nothing)
    tab = GalleryTab(AppContext(Settings(), Library(tmp_path / "library"), embedder))
    with gr.Blocks():
        tab.build()
    for typed in (f'"{folder}"', folder.as_uri()):
        assert "does not exist" not in (told := tab.show_forecast("", typed, "", "", "", "", False, "")[tab.message])
        assert "1 image" in told


@pytest.mark.parametrize("name", ["pipe", "a.jpg", "list.csv", "all.zip"])
def test_what_may_never_end_is_no_source(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(SourceError, match=f"'{name}' is neither a folder nor a file"):
        open_source(str(tmp_path / name))


def test_folder_refuses_what_is_no_image_and_follows_no_link(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.png").write_bytes(DISC)
    root = tmp_path / "root"
    root.mkdir()
    (root / ".hidden.png").write_bytes(DISC)
    (root / ".git").mkdir()
    (root / "link.png").symlink_to(outside / "secret.png")
    (root / "folder-link").symlink_to(outside)
    (root / "notes.txt").write_text("hello")
    (root / "photo.dat").write_bytes(DISC)
    (root / "more.zip").write_bytes(b"PK")
    os.mkfifo(root / "pipe.png")
    items, refused = walk(root)
    assert list(items) == ["photo.dat"]
    assert refused == {
        ".hidden.png": "skipped: hidden file or folder",
        ".git": "skipped: history of git",
        "link.png": "symbolic link, not followed unless that is asked for",
        "folder-link": "symbolic link, not followed unless that is asked for",
        "notes.txt": "not an image",
        "more.zip": "archive inside the source; unpack it first",
        "pipe.png": "not a regular file",
    }


def test_names_of_every_kind(tmp_path):
    long = "x" * 240 + ".png"
    for name in ("日本語 ünïcode.png", "with space & <b>.png", long, "new\nline.png"):
        (tmp_path / name).write_bytes(DISC)
    with open(os.fsencode(tmp_path) + b"/bad\xff.png", "wb") as file:
        file.write(DISC)
    items, refused = walk(tmp_path)
    assert not refused
    assert {"日本語 ünïcode.png", "with space & <b>.png", long, "new\ufffdline.png", "bad\ufffd.png"} == set(items)
    assert all(item.read() == DISC for item in items.values())


def test_zip(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"pets/cat/1.png": DISC, "dog/2.png": DISC, "readme.txt": b"hello"})
    items, refused = walk(path)
    assert {name: (item.domain, item.label) for name, item in items.items()} == {
        "dog/2.png": ("", "dog"),
        "pets/cat/1.png": ("pets", "cat"),
    }
    assert items["dog/2.png"].read() == DISC
    assert items["dog/2.png"].keep
    assert refused == {"readme.txt": "not an image"}


def test_zip_with_hostile_entries(tmp_path):
    path = tmp_path / "evil.zip"
    link = zipfile.ZipInfo("link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    encrypted = zipfile.ZipInfo("locked.png")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("../escape.png", "/absolute.png", "C:/drive.png", "a/../../b.png", "..\\windows.png"):
            archive.writestr(name, DISC)
        archive.writestr(link, "/etc/passwd")
        archive.writestr("bomb.png", b"\0" * 5_000_000)
        archive.writestr("inner.zip", b"PK")
        archive.writestr("__MACOSX/._x.png", b"x")
        archive.writestr("twice.png", DISC)
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("twice.png", DISC)
        archive.writestr(encrypted, DISC)
        archive.writestr("good/fine.png", DISC)
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):  # set the encryption bit of locked.png in both headers
        at = data.find(b"locked.png") if signature == b"PK\3\4" else data.rfind(b"locked.png")
        start = data.rfind(signature, 0, at)
        data[start + offset] |= 1
    path.write_bytes(bytes(data))
    items, refused = walk(path)
    assert set(items) == {"twice.png", "good/fine.png"}
    assert refused == {
        "../escape.png": "path leaves the archive",
        "/absolute.png": "absolute path in the archive",
        "C:/drive.png": "absolute path in the archive",
        "a/../../b.png": "path leaves the archive",
        "../windows.png": "path leaves the archive",
        "link.png": "symbolic link, not followed in an archive",
        "bomb.png": "compressed more than 200-fold (zip bomb)",
        "inner.zip": "archive inside the source; unpack it first",
        "__MACOSX": "skipped: notes of macOS",
        "twice.png": "the same name twice in the archive",
        "locked.png": "encrypted; unpack it first",
    }


def test_damaged_entry_and_damaged_archive(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"a.png": DISC, "b.png": DISC}, compression=zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    data[data.find(DISC) + 50] ^= 255
    path.write_bytes(bytes(data))
    items, _ = walk(path)
    with pytest.raises(ImageError, match="damaged in the archive"):
        items["a.png"].read()
    assert items["b.png"].read() == DISC
    path.write_bytes(bytes(data[:100]))
    with pytest.raises(SourceError, match="not a zip archive"):
        open_source(str(path))


def test_an_entry_that_cannot_be_unpacked_costs_itself_alone(tmp_path, gallery):
    pictures = {f"{number}.png": encoded(picture("shapes/disc", 60 + number)) for number in range(3)}
    path = write_zip(tmp_path / "a.zip", pictures, compression=zipfile.ZIP_DEFLATED)
    with zipfile.ZipFile(path) as archive:
        begins = archive.getinfo("1.png").header_offset + 30 + len("1.png")
    data = bytearray(path.read_bytes())
    data[begins : begins + 20] = b"\xff" * 20
    path.write_bytes(bytes(data))
    report = run_index(gallery, path)
    assert (report.added, [(one.path, one.reason) for one in report.failed]) == (
        2,
        [("1.png", "damaged in the archive (error)")],
    )


@pytest.mark.slow
def test_a_zip_of_a_hundred_thousand_entries(tmp_path):
    with zipfile.ZipFile(tmp_path / "many.zip", "w") as archive:
        for number in range(100_000):
            archive.writestr(f"{number}.txt", b"")
        archive.writestr("good/1.png", encoded(picture("shapes/disc", 0)))
    source = open_source(str(tmp_path / "many.zip"))
    found = list(source)
    assert source.count() == 100_001
    assert [item.path for item in found if isinstance(item, Item)] == ["good/1.png"]


def test_folders_a_thousand_deep(tmp_path):
    here = os.getcwd()
    os.chdir(tmp_path)
    try:
        for _ in range(1200):
            os.mkdir("d")
            os.chdir("d")
        Path("1.png").write_bytes(encoded(picture("shapes/disc", 0)))
    finally:
        os.chdir(here)
    try:
        (item,) = open_source(str(tmp_path))
        assert item.read()
    finally:
        subprocess.run(["rm", "-rf", tmp_path / "d"], check=True)  # Python's own way down is not that long


def test_a_folder_that_cannot_be_read_is_named(folder, monkeypatch):
    readable = os.scandir

    def scandir(path):
        if Path(path).name == "signs":
            raise PermissionError(13, "Permission denied")
        return readable(path)

    monkeypatch.setattr(os, "scandir", scandir)
    found = list(open_source(str(folder)))
    assert [entry for entry in found if isinstance(entry, Skipped)] == [Unread("signs", "folder that cannot be read")]
    assert len(found) == 13


LAID = {
    "torchvision": (
        {"train/disc/0.png": ("disc", "", "train"), "val/disc/1.png": ("disc", "", "query")},
        ("split 'val' was taken as query",),
    ),
    "MVTec": (
        {"bolt/train/good/0.png": ("good", "bolt", "train"), "bolt/test/bad/1.png": ("bad", "bolt", "query")},
        ("split 'test' was taken as query",),
    ),
    "YOLO": (
        {"images/train/0.png": ("images", "", "train"), "images/query/1.png": ("images", "", "query")}, (),
    ),
    "by class": ({"disc/train/0.png": ("disc", "", "train"), "ring/index/0.png": ("ring", "", "index")}, ()),
    "with others": ({"train/disc/0.png": ("disc", "train", ""), "more/disc/1.png": ("disc", "more", "")}, ()),
    "one alone": ({"test/disc/0.png": ("disc", "test", ""), "test/ring/1.png": ("ring", "test", "")}, ()),
}  # fmt: skip


@pytest.mark.parametrize("form", LAID)
def test_folders_that_are_called_as_splits_are(tmp_path, form):
    """Neither labels nor domains: where all folders with images are, and two of them or more."""
    said, told = LAID[form]
    root = tmp_path / "photos"
    (root / "docs").mkdir(parents=True)
    (root / "docs/notes.txt").write_text("no image")
    for path in said:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(DISC)
    items, _ = walk(root)
    assert {path: item.labels.row[:3] for path, item in items.items()} == said
    assert tuple(note for item in items.values() for note in item.notes) == told
    packed = {f"photos/{path}": DISC for path in said} | {"photos/cover.txt": b"no image"}
    items, _ = walk(write_zip(tmp_path / "photos.zip", packed))
    assert {path.removeprefix("photos/"): item.split for path, item in items.items()} == {
        path: split for path, (_, _, split) in said.items()
    }


def test_a_gallery_that_has_splits_for_domains_keeps_all_else_when_it_is_indexed_again(tmp_path, embedder, monkeypatch):
    for view, path in enumerate(("train/disc/0.png", "val/disc/1.png")):
        (tmp_path / "set" / path).parent.mkdir(parents=True)
        (tmp_path / "set" / path).write_bytes(encoded(picture("shapes/disc", view)))
    gallery = Gallery.create(tmp_path / "indexes" / "g", embedder)
    with monkeypatch.context() as patch:
        patch.setattr(tree, "split_level", lambda *_: None)  # as an earlier version read it
        run_index(gallery, str(tmp_path / "set"))
    before = gallery.item_at("val/disc/1.png")
    assert (before.domain, before.split) == ("val", "")
    with gallery.write() as writer:
        writer.tag([before.id], ["mine"])
    report = run_index(gallery, str(tmp_path / "set"))
    assert (report.added, report.removed, report.items) == (0, 0, 2)
    after = gallery.item_at("val/disc/1.png")
    assert (after.id, after.label, after.domain, after.split, after.tags) == (before.id, "disc", "", "query", ("mine",))
    run_index(gallery, str(tmp_path / "set/val"))  # a part of it takes nothing away
    assert gallery.item_at("val/disc/1.png").split == "query"


@pytest.fixture
def parquet(tmp_path) -> Path:
    """A data set as the hub stores it: parquet files with an image column and a ClassLabel."""
    import datasets

    features = datasets.Features(
        {"id": datasets.Value("int64"), "photo": datasets.Image(), "kind": datasets.ClassLabel(names=["disc", "cross"])}
    )
    rows = {
        "id": list(range(6)),
        "photo": [
            {"bytes": encoded(picture(("shapes/disc", "signs/cross")[i % 2], i)), "path": None} for i in range(6)
        ],
        "kind": [*(i % 2 for i in range(5)), -1],  # which is what the hub calls unlabelled
    }
    (tmp_path / "shapes" / "data").mkdir(parents=True)
    datasets.Dataset.from_dict(rows, features=features).to_parquet(
        str(tmp_path / "shapes" / "data" / "train-00000-of-00001.parquet")
    )
    return tmp_path / "shapes"


def test_hub_data_set(parquet):
    items, refused = walk(f"hf:{parquet}")
    assert not refused
    assert [item.label for item in items.values()] == ["disc", "cross", "disc", "cross", "disc", ""]
    assert {item.domain for item in items.values()} == {"shapes"}
    assert all(decode(item.read()).width == 160 for item in items.values())
    assert len(walk(f"hf:{parquet}@train[:2]")[0]) == 2
    assert open_source(f"hf:{parquet}@train[:2]").count() == 2


def test_a_data_set_made_of_image_files(tmp_path):
    for path in ("files/train/disc/0.png", "files/train/cross/1.png"):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_bytes(DISC)
    items, refused = walk(f"hf:{tmp_path / 'files'}")
    assert not refused
    assert {(path, item.label) for path, item in items.items()} == {
        ("train/0000000.png", "cross"), ("train/0000001.png", "disc"),
    }  # fmt: skip
    assert all(decode(item.read()).width == 160 for item in items.values())


def test_a_row_of_a_data_set_opens_nothing_but_the_data_sets_own_files(tmp_path):
    home = tmp_path / "hub"
    home.mkdir()
    kinds = "\n".join(("  - name: image", "    dtype: image", "  - name: label", "    dtype: string"))
    (home / "README.md").write_text(f"---\ndataset_info:\n  features:\n{kinds}\n---\n")
    for file in (tmp_path / "private.png", home / "own.png"):
        file.write_bytes(DISC)
    (home / "link.png").symlink_to(tmp_path / "private.png")
    private = tmp_path / "private.png"
    foreign = (
        private, home / "../private.png", home / "link.png", f"file://{private}", "http://127.0.0.1:9/a.png",
        f"zip://a.png::{private}", "zip://a.png::http://127.0.0.1:9/a.zip", f"filecache::{home}/own.png", "own.png",
    )  # fmt: skip
    rows = [f"{home}/own.png,disc", f"{home}/none.png,disc", *(f"{path},disc" for path in foreign)]
    (home / "train.csv").write_text("\n".join(["image,label", *rows]))
    items, refused = walk(f"hf:{home}")
    assert [(path, item.label) for path, item in items.items()] == [("train/0000000.png", "disc")]
    reasons = [*refused.values()]
    assert reasons[0].startswith("cannot be read (")
    assert reasons[1:] == ["the row names a file that is not of the data set"] * len(foreign)


@pytest.mark.parametrize("name", ["shapes@2023", "C:shapes", "a:b@train"])
def test_a_folder_made_as_a_data_set_may_have_signs_in_its_name(parquet, name, monkeypatch):
    place = parquet.rename(parquet.with_name(name))
    monkeypatch.chdir(place.parent)
    for spec in (f"hf:{place}", f"hf:{name}", f"hf:{name}@train[:2]"):
        source = open_source(spec)
        assert source.spec.startswith(f"hf:{place}")
        items, refused = walk(source.spec)
        assert not refused
        assert len(items) == (2 if spec.endswith("]") else 6)
        assert {item.domain for item in items.values()} == {name}


def test_hub_data_set_that_is_not_there(tmp_path):
    with pytest.raises(SourceError, match="cannot be opened"):
        list(open_source(f"hf:{tmp_path / 'missing'}"))
    with pytest.raises(SourceError, match="form hf:owner/name"):
        open_source("hf:@train")


def _publish(rows, to: Path) -> str:
    import datasets

    features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("string")})
    pictures = [{"bytes": data, "path": None} for data, _ in rows]
    table = datasets.Dataset.from_dict({"image": pictures, "label": [label for _, label in rows]}, features=features)
    to.parent.mkdir(parents=True, exist_ok=True)
    table.to_parquet(str(to))
    return f"hf:{to.parent}"


@pytest.mark.parametrize("prune", [False, True])
def test_a_data_set_that_lost_a_row_has_the_same_items_with_their_own_labels(tmp_path, embedder, prune):
    rows = [(encoded(picture("shapes/disc", view)), label) for view, label in enumerate(("disc", "cross", "ring"))]
    gallery = Gallery.create(tmp_path / "indexes" / "hub", embedder)
    spec = _publish(rows, tmp_path / "hub" / "train.parquet")
    run_index(gallery, spec)
    before = {content_hash(data): gallery.item_at(f"train/{row:07d}").id for row, (data, _) in enumerate(rows)}
    with gallery.write() as writer:
        writer.tag([before[content_hash(rows[2][0])]], ["mine"])
    _publish(rows[1:], tmp_path / "hub" / "train.parquet")
    report = run_index(gallery, spec, prune=prune)
    assert (report.added, report.moved, report.removed, report.items) == (0, 2, 0, 2)
    records = gallery.records([before[content_hash(data)] for data, _ in rows[1:]])
    assert [(record.label, record.tags) for record in records] == [("cross", ()), ("ring", ("mine",))]
    assert run_index(gallery, spec, prune=prune).skipped == 2


def test_items_of_an_earlier_version_of_a_data_set_are_not_embedded_anew(tmp_path, embedder):
    spec = _publish([(DISC, "disc")], tmp_path / "hub" / "train.parquet")
    gallery = Gallery.create(tmp_path / "indexes" / "hub", embedder)
    run_index(gallery, spec)
    with gallery.database.connect() as connection:
        connection.execute("UPDATE items SET stamp = '0'")  # as they were noted
    report = run_index(gallery, spec)
    assert (report.added, report.skipped, report.moved) == (0, 1, 0)


def test_what_came_before_the_damage_of_a_data_set_is_kept(tmp_path, embedder):
    pictures = [encoded(picture("shapes/disc", number)) for number in range(4)]
    _publish([(data, "disc") for data in pictures[:2]], tmp_path / "hub" / "train-0.parquet")
    spec = _publish([(data, "disc") for data in pictures[2:]], damaged := tmp_path / "hub" / "train-1.parquet")
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[: len(whole) // 2])
    gallery = Gallery.create(tmp_path / "indexes" / "hub", embedder)
    with pytest.raises(SourceError, match="cannot be read beyond row 2"):
        run_index(gallery, spec)
    assert (len(gallery), gallery.unfinished()) == (2, [spec])
    damaged.write_bytes(whole)
    assert (run_index(gallery, spec).added, gallery.unfinished()) == (2, [])


def test_single_image_and_other_files(tmp_path):
    (tmp_path / "a.png").write_bytes(DISC)
    assert list(walk(tmp_path / "a.png")[0]) == ["a.png"]
    (tmp_path / "a.doc").write_bytes(b"x")
    with pytest.raises(SourceError, match="no source of images; give a folder"):
        open_source(str(tmp_path / "a.doc"))
    with pytest.raises(SourceError, match="does not exist"):
        open_source(str(tmp_path / "missing"))


@given(st.text(min_size=1))
def test_shown_names_can_always_be_printed_and_stored(name):
    shown = text.printable(name.encode("utf-8", "surrogatepass").decode("utf-8", "surrogateescape"))
    assert not any(map(text.is_control, shown))
    shown.encode("utf-8")


def test_a_packed_gallery_is_not_taken_for_images(tmp_path):
    """Its thumbnails would be."""
    with zipfile.ZipFile(tmp_path / "g.zip", "w") as archive:
        archive.writestr("bundle.json", "{}")
    with pytest.raises(SourceError, match=r"packed gallery.*unpack"):
        open_source(str(tmp_path / "g.zip"))


def test_further_columns_that_are_nested_without_end_are_refused():
    with pytest.raises(ValueError, match="nested"):
        Labels.from_row("", "", "", "[" * 20_000)
