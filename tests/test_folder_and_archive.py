"""One reading of a tree, whatever holds it: every tree here is read as a folder and as the zip of it."""

import gc
import io
import json
import os
import struct
import unicodedata
import warnings
import zipfile
import zlib
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.support.drawing import encoded, picture
from tests.support.galleries import run_index
from tests.support.walking import walk, write_zip
from unifex.data import uploads
from unifex.data.item import Item, Options, Skipped, SourceError
from unifex.data.sources import open_source, require_items
from unifex.gallery.corrections import relabel
from unifex.gallery.gallery import Gallery
from unifex.gallery.index_report import Remark
from unifex.gallery.indexing import index
from unifex.retrieval.filters import Filters

DISC = encoded(picture("shapes/disc", 0))
BAEUME, BAEUME_APART = (unicodedata.normalize(form, "Bäume") for form in ("NFC", "NFD"))
Tree = dict[str, bytes]


def write_tree(root: Path, tree: Tree) -> Path:
    for name, data in tree.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


def pack(path: Path, tree: Tree, top: str = "") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in tree.items():
            archive.writestr(top + name, data)
    return path


def pack_raw(path: Path, names: list[bytes], extras: dict[bytes, bytes] | None = None) -> Path:
    """A zip whose names are these bytes, without a word on what they are written in."""
    entries = {f"{number:03d}".ljust(len(name), "Q").encode(): name for number, name in enumerate(names)}
    with zipfile.ZipFile(path, "w") as archive:
        for mark, name in entries.items():
            info = zipfile.ZipInfo(mark.decode())
            info.extra = (extras or {}).get(name, b"")
            archive.writestr(info, DISC + name)
    data = path.read_bytes()
    for mark, name in entries.items():
        data = data.replace(mark, name)
    path.write_bytes(data)
    return path


def read(spec: Path, **options) -> tuple[dict[str, tuple[str, str]], dict[str, str]]:
    """path -> (domain, label) of the items, and path -> reason of the rest."""
    source = open_source(str(spec), Options(**options))
    found = list(source)
    assert source.count() == len(found)
    items = [entry for entry in found if isinstance(entry, Item)]
    assert all(item.read().startswith(DISC[:8]) for item in items)
    assert len({item.uri for item in items}) == len(items)
    for entry in found:
        entry.path.encode()
    return {item.path: (item.domain, item.label) for item in items}, {
        entry.path: entry.reason for entry in found if isinstance(entry, Skipped)
    }


TREES = {
    "labels": (
        {"cats/1.png": DISC, "dogs/a/2.png": DISC, "3.png": DISC},
        {"cats/1.png": ("", "cats"), "dogs/a/2.png": ("dogs", "a"), "3.png": ("", "")},
        {},
    ),
    "without extension": (
        {"cat/IMG_1": DISC, "cat/photo.jpg_large": DISC, "dog/a.jpeg~": DISC, "dog/b.tmp": b"hello"},
        {"cat/IMG_1": ("", "cat"), "cat/photo.jpg_large": ("", "cat"), "dog/a.jpeg~": ("", "dog")},
        {"dog/b.tmp": "not an image"},
    ),
    "service folders": (
        {
            "cats/1.png": DISC,
            "cats/@eaDir/1.png/THUMB.png": DISC,
            "cats/@eaDir/2.png/THUMB.png": DISC,
            "dogs/@eaDir/3.png": DISC,
            "dogs/1.png": DISC,
            "#recycle/cats/2.png": DISC,
            "$RECYCLE.BIN/S-1-5/3.png": DISC,
            "System Volume Information/4.png": DISC,
            "__MACOSX/cats/._1.png": DISC,
            "dogs/._1.png": DISC,
            "cats/._1.png": DISC,
            "cats/Thumbs.db": b"x",
            "dogs/thumbs.db": b"x",
            "desktop.ini": b"x",
            "cats/.hidden/1.png": DISC,
            ".Trash-1000/files/1.png": DISC,
            "lost+found/1.png": DISC,
        },
        {"cats/1.png": ("", "cats"), "dogs/1.png": ("", "dogs")},
        {
            "cats/@eaDir": "skipped: thumbnails of a Synology disk (2 of them)",
            "#recycle": "skipped: bin of a Synology disk",
            "$RECYCLE.BIN": "skipped: bin of Windows",
            "System Volume Information": "skipped: notes of Windows (2 of them)",
            "__MACOSX": "skipped: notes of macOS (3 of them)",
            "cats/Thumbs.db": "skipped: thumbnails of Windows (2 of them)",
            "cats/.hidden": "skipped: hidden file or folder",
            ".Trash-1000": "skipped: bin of a desktop",
            "lost+found": "skipped: fragments that a disk check found",
        },
    ),
    "a manifest": (
        {"manifest.csv": b"path,label\nphotos\\1.png,thing\n", "photos/1.png": DISC, "photos/2.png": DISC},
        {"photos/1.png": ("", "thing")},
        {},
    ),
    "a manifest in the only folder": (
        {"set/manifest.csv": b"file;class\n./photos/1.png;thing\n../../x.png;far\n", "set/photos/1.png": DISC},
        {"set/photos/1.png": ("", "thing")},
        {"../../x.png": "line 3: path leaves the archive"},
    ),
    "two Unicode forms": (
        {f"{BAEUME}/1.png": DISC, f"{BAEUME_APART}/2.png": DISC},
        {"Bäume/1.png": ("", "Bäume"), "Bäume/2.png": ("", "Bäume")},
        {},
    ),
    "names that only look odd": (
        {"a:b/1:2.png": DISC, "x/ 3 .png": DISC, "x/C:.png": DISC},
        {"a:b/1:2.png": ("", "a:b"), "x/ 3 .png": ("", "x"), "x/C:.png": ("", "x")},
        {},
    ),
    "archives and tables inside": (
        {"a/1.png": DISC, "b/more.zip": b"PK", "b/x.tar.gz": b"x", "list.csv": b"x"},
        {"a/1.png": ("", "a")},
        {
            "b/more.zip": "archive inside the source; unpack it first",
            "b/x.tar.gz": "archive inside the source; unpack it first",
            "list.csv": "a table; called manifest.csv, at the top, it would give the labels",
        },
    ),
}


@pytest.mark.parametrize("name", TREES)
@pytest.mark.parametrize("form", ["folder", "zip", "drop"])
def test_a_tree_gives_the_same_whatever_holds_it(tmp_path, name, form):
    tree, items, refused = TREES[name]
    if form == "drop":
        sent = [uploads.UploadedFile(write_tree(tmp_path / "sent", tree) / path, f"dropped/{path}") for path in tree]
        found = read(uploads.stage(tmp_path, sent), keep=True)
    else:
        found = read(pack(tmp_path / "a.zip", tree) if form == "zip" else write_tree(tmp_path / "a", tree))
    if form != "zip":  # whose manifest can name nothing outside at all
        refused = {path: reason for path, reason in refused.items() if "leaves the archive" not in reason}
        found[1].pop("../../x.png", None)
    assert found == (items, refused)


NAMES = st.sampled_from(["a", "B", BAEUME, BAEUME_APART, "x.png", ".x", "@eaDir", "1.jpg", "t.txt", " s", "c d"])


@settings(max_examples=40, deadline=None)
@given(st.sets(st.lists(NAMES, min_size=1, max_size=4).map("/".join), min_size=2, max_size=12))
def test_any_tree_gives_the_same_as_a_folder_and_as_a_zip(tmp_path_factory, names):
    names = {name for name in names if not any(other.startswith(f"{name}/") for other in names)} | {"1.png", "z/1.png"}
    tree = {name: DISC for name in sorted(names)}
    where = tmp_path_factory.mktemp("any")
    assert read(write_tree(where / "folder", tree)) == read(pack(where / "a.zip", tree))


def test_the_only_folder_of_an_archive_is_the_root_or_the_domain(tmp_path):
    def labels(*names: str) -> set[tuple[str, str]]:
        return set(read(pack(tmp_path / "a.zip", dict.fromkeys(names, DISC)))[0].values())

    assert labels("holiday/1.png", "holiday/2.png", "__MACOSX/holiday/._1.png", "holiday/.DS_Store") == {("", "")}
    assert labels("animals/cats/1.png", "animals/dogs/2.png") == {("animals", "cats"), ("animals", "dogs")}
    assert labels("set/pets/cats/1.png", "set/cars/a4/1.png") == {("pets", "cats"), ("cars", "a4")}
    assert labels("cats/1.png", "dogs/1.png") == {("", "cats"), ("", "dogs")}


def unicode_path(raw: bytes, name: str, checksum: int | None = None) -> bytes:
    field = struct.pack("<BI", 1, zlib.crc32(raw) if checksum is None else checksum) + name.encode()
    return struct.pack("<HH", 0x7075, len(field)) + field


def test_names_that_do_not_say_what_they_are_written_in(tmp_path):
    japanese, odd, lost = "猫/1.png".encode("cp932"), b"B?ume/5.png", b"?/6.png"
    names = ["Bäume/2.png".encode(), "Größe/3.png".encode("cp437"), japanese, b"pets\\dog\\4.png", odd, lost]
    extras = {odd: unicode_path(odd, "Bäume/5.png"), b"pets\\dog\\4.png": unicode_path(b"", "wrong/4.png", 1)}
    extras[lost] = unicode_path(lost, "猫/6.png")  # which cp437 cannot write
    path = pack_raw(tmp_path / "a.zip", names, extras)
    items, refused = read(path)
    assert not refused
    assert {"Bäume/2.png", "Größe/3.png", "pets/dog/4.png", "Bäume/5.png", "猫/6.png"} < set(items)
    assert items["pets/dog/4.png"] == ("pets", "dog")
    notes = {item.path: item.notes for item in open_source(str(path))}
    assert not notes["Bäume/2.png"]
    assert [name for name, said in notes.items() if said and "cp437" in said[0]] == [
        "Größe/3.png", next(name for name in items if name.endswith("/1.png")),
    ]  # fmt: skip


def test_exclude(tmp_path):
    tree = dict.fromkeys(["a/1.png", "a/2.gif", "a/thumbs/3.png", "b/thumbs/4.png", "b/Ä.png", "b/c/d.png"], DISC)
    options = {"exclude": ("thumbs", "*.gif", "b/c/*", unicodedata.normalize("NFD", "Ä*"), "nothing/")}
    for spec in (write_tree(tmp_path / "a", tree), pack(tmp_path / "a.zip", tree)):
        items, refused = read(spec, **options)
        assert set(items) == {"a/1.png"}
        assert refused["a/thumbs"] == "skipped: excluded by 'thumbs' (2 of them)"
        assert set(refused) == {"a/thumbs", "a/2.gif", "b/c/d.png", "b/Ä.png"}
    (tmp_path / "a" / "list.csv").write_text("path\na/1.png\na/2.gif\n")
    assert set(read(tmp_path / "a" / "list.csv", exclude=("*.gif",))[0]) == {"a/1.png"}
    source = open_source(str(tmp_path / "a"), Options(**options))
    assert source.options == type(source.options).from_json(source.options.to_json())
    with pytest.raises(SourceError, match="no files to exclude"):
        open_source("hf:a/b", Options(exclude=("x",)))


def test_links_are_followed_on_request_each_folder_once(tmp_path):
    outside = write_tree(tmp_path / "outside", {"cats/1.png": DISC, "2.png": DISC})
    root = write_tree(tmp_path / "root", {"z/own.png": DISC})
    (root / "a-link-back").symlink_to(root)
    (root / "another").symlink_to(root / "z")
    (root / "far").symlink_to(outside)
    (root / "again").symlink_to(outside)
    (root / "file.png").symlink_to(outside / "2.png")
    (root / "nowhere.png").symlink_to(root / "missing.png")
    (root / "circle.png").symlink_to(root / "circle.png")
    (outside / "home").symlink_to(root)
    items, refused = read(root)
    assert set(items) == {"z/own.png"}
    assert all("not followed unless that is asked for" in reason for reason in refused.values())
    assert len(refused) == 7
    items, refused = read(root, follow_links=True)
    assert set(items) == {"z/own.png", "file.png", "again/2.png", "again/cats/1.png"}
    assert {path for path, reason in refused.items() if "read already" in reason} == {
        "a-link-back", "another", "far", "again/home",
    }  # fmt: skip
    assert {"nowhere.png", "circle.png"} < set(refused)


def test_names_that_are_not_utf8_are_read_and_kept(tmp_path):
    (tmp_path / "good.png").write_bytes(DISC)
    for name in (b"caf\xe9.png", b"caf\xe8.png"):
        with open(bytes(tmp_path) + b"/" + name, "wb") as file:
            file.write(DISC)
    found = list(open_source(str(tmp_path)))
    assert sorted(item.path for item in found) == ["caf\ufffd.png", "caf\ufffd.png", "good.png"]
    assert len({item.uri for item in found}) == 3
    assert all(item.uri.encode() and item.read() == DISC for item in found)
    assert sorted(item.keep for item in found) == [False, True, True]
    os.mkdir(bytes(tmp_path) + b"/caf\xe9")
    with pytest.raises(SourceError, match=r"caf.*not UTF-8.*rename"):
        open_source(os.fsdecode(bytes(tmp_path) + b"/caf\xe9"))


def test_raw_files_name_their_type_alike(tmp_path):
    tree = {"a.nef": DISC, "b.CR2": DISC, "c.jpg": DISC}
    for spec in (write_tree(tmp_path / "a", tree), pack(tmp_path / "a.zip", tree), tmp_path / "a" / "a.nef"):
        notes = {item.path: item.notes for item in open_source(str(spec))}
        assert "Nikon NEF" in notes["a.nef"][0]
        assert "preview" in notes["a.nef"][0]
        assert not notes.get("c.jpg")


@pytest.mark.parametrize(
    ("tree", "sentence"),
    [
        ({}, "is empty; give"),
        ({"notes.txt": b"x", "b/c.pdf": b"x"}, r"no image.*b/c\.pdf: not an image; notes\.txt: not an image"),
        ({"@eaDir/1.png": DISC}, "no image.*Synology"),
        ({"manifest.csv": b"path,label\ngone.png,x\n"}, "no image.*gone.png: line 2: file not found"),
    ],
)
def test_a_source_without_an_image_says_so_before_anything_is_made(tmp_path, tree, sentence):
    root = tmp_path / "root"
    root.mkdir()
    for spec in (write_tree(root, tree), pack(tmp_path / "a.zip", tree)):
        with pytest.raises(SourceError, match=sentence):
            require_items(open_source(str(spec)))
    require_items(open_source(str(write_tree(root, {"a.png": DISC}).parent)))


def test_how_many_entries_an_archive_has_is_asked_before_they_are_listed(tmp_path, monkeypatch):
    path = pack(tmp_path / "a.zip", {f"{number}.png": DISC for number in range(4)})
    assert len(list(open_source(str(path), options=Options(max_rows=4)))) == 4
    end = path.read_bytes().rindex(b"PK\5\6")
    monkeypatch.setattr(zipfile, "ZipInfo", None)
    for said in (4, 1, 0xFFFF):  # of which nothing is believed
        data = bytearray(path.read_bytes())
        struct.pack_into("<2H", data, end + 8, said, said)
        path.write_bytes(data)
        with pytest.raises(SourceError, match=r"'a\.zip' has more than 3 entries"):
            open_source(str(path), options=Options(max_rows=3))


def test_an_archive_closes_its_file(tmp_path):
    path = pack(tmp_path / "a.zip", {"a.png": DISC, "b.png": DISC})
    gc.collect()  # what tests before this one left
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", ResourceWarning)
        assert [item.read() for item in open_source(str(path)) if isinstance(item, Item)] == [DISC, DISC]
        with pytest.raises(SourceError):
            open_source(str(path), options=Options(max_rows=1))
        gc.collect()
    assert not [one for one in told if str(path) in str(one.message)]


def test_an_image_behind_very_much_else_is_looked_for_while_it_is_indexed(tmp_path, monkeypatch):
    monkeypatch.setattr("unifex.data.sources.MOST_LOOKED_AT", 3)
    tree = {f"{number}.txt": b"x" for number in range(4)}
    require_items(open_source(str(pack(tmp_path / "a.zip", tree | {"z.png": DISC}))))
    with pytest.raises(SourceError, match="no image"):
        require_items(open_source(str(pack(tmp_path / "b.zip", dict(list(tree.items())[:3])))))


def test_the_report_says_what_was_taken_of_a_file_and_what_cannot_be(tmp_path, embedder):
    red, pages = Image.new("RGB", (64, 64), "red"), io.BytesIO()
    red.save(pages, "TIFF", save_all=True, append_images=[red])
    tree = {"a.nef": encoded(red, "TIFF"), "b.nef": encoded(red.rotate(9), "TIFF"), "c.raf": b"FUJIFILM"}
    tree |= {"d.tif": pages.getvalue(), "e.png": DISC}
    for spec in (write_tree(tmp_path / "a", tree), pack(tmp_path / "a.zip", tree)):
        gallery = Gallery.create(tmp_path / f"g{spec.suffix}", embedder)
        for _ in range(2):
            report = run_index(gallery, spec)
            raw = Remark("a.nef", "camera raw file (Nikon NEF): only the preview in it is used", 2)
            assert report.remarks[0] == raw
            assert [refused.reason for refused in report.failed] == [
                "Fujifilm RAF, of which only the preview is read: not an image"
            ]
        assert len(gallery) == 4
        first = run_index(Gallery.create(tmp_path / f"h{spec.suffix}", embedder), spec)
        assert first.remarks[1] == Remark("d.tif", "only the first of its pages was used", 1)


def test_names_that_are_not_utf8_stop_nothing(tmp_path, embedder):
    (tmp_path / "a").mkdir()
    for name in (b"caf\xe9.png", b"good.png"):
        with open(bytes(tmp_path / "a") + b"/" + name, "wb") as file:
            file.write(DISC + name)
    gallery = Gallery.create(tmp_path / "g", embedder)
    report = run_index(gallery, tmp_path / "a")
    assert (report.added, report.failed) == (2, [])
    assert report.remarks[0].path == "caf\ufffd.png"
    json.dumps(asdict(report)).encode()
    records = gallery.records(gallery.snapshot().columns.ids)
    assert {gallery.original(record) for record in records} == {DISC + b"caf\xe9.png", DISC + b"good.png"}
    assert run_index(gallery, tmp_path / "a", prune=True).skipped == 2


def test_a_source_that_was_cut_off_is_read_again_as_it_was(tmp_path, embedder):
    root = write_tree(tmp_path / "a", {"cats/1.png": DISC, "dogs/2.gif": DISC})
    (root / "far").symlink_to(write_tree(tmp_path / "far", {"3.png": DISC}))
    gallery = Gallery.create(tmp_path / "g", embedder)
    indexing = index(gallery, open_source(str(root), Options(exclude=("dogs",), follow_links=True)))
    next(indexing)
    indexing.close()
    (waiting,) = gallery.sources()
    assert not waiting.complete
    run_index(gallery, waiting.open())
    assert [record.path for record in gallery.records(gallery.snapshot().columns.ids)] == ["cats/1.png", "far/3.png"]


def test_what_people_type_means_the_label_in_whichever_form(tmp_path, embedder):
    other = encoded(picture("signs/cross", 0))
    run_index(gallery := Gallery.create(tmp_path / "g", embedder), write_tree(tmp_path / "a", {
        f"{BAEUME_APART}/eiche/1.png": DISC, f"{BAEUME}/buche/2.png": other, f"x/{BAEUME_APART}/3.png": other + b"\0",
    }))  # fmt: skip
    for typed in (BAEUME, BAEUME_APART):
        filters = Filters(domains=(typed,))
        filters.check_known(gallery)
        assert filters.mask(gallery.snapshot()).sum() == 2
    assert relabel(gallery.item_at("Bäume/eiche/1.png"), BAEUME_APART).label == BAEUME


def test_a_gallery_in_a_folder_is_passed_over(tmp_path, embedder):
    (tmp_path / "cat").mkdir()
    for path in (tmp_path / "a.png", tmp_path / "cat" / "b.png"):
        path.write_bytes(encoded(picture("shapes/disc", len(path.name))))
    gallery = Gallery.create(tmp_path / "indexes" / "mine", embedder)
    for _ in range(2):  # its own thumbnails were more each time
        assert run_index(gallery, tmp_path).items == 2
    items, refused = walk(tmp_path)
    assert (list(items), refused["indexes/mine"]) == (
        ["a.png", "cat/b.png"],
        "skipped: a gallery of UniFEx, not images",
    )
    files = {path.relative_to(tmp_path).as_posix(): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert list(walk(write_zip(tmp_path / "all.zip", files))[0]) == ["a.png", "cat/b.png"]
    with pytest.raises(SourceError, match="is a gallery, not images"):
        open_source(str(gallery.folder))


def test_items_whose_names_print_alike_are_each_removed_when_they_are_gone(tmp_path, embedder):
    names = [unicodedata.normalize(form, "é.png") for form in ("NFC", "NFD")]
    for view, name in enumerate((*names, "a.png", "b.png", "c.png")):
        (tmp_path / name).write_bytes(encoded(picture("shapes/disc", view)))
    if len(list(tmp_path.iterdir())) < 5:
        pytest.skip("a disk that writes names in one form")
    gallery = Gallery.create(tmp_path / ".indexes" / "drawn", embedder)
    assert run_index(gallery, tmp_path).added == 5
    for left, name in zip((4, 3), names):
        (tmp_path / name).unlink()
        assert run_index(gallery, tmp_path, prune=True).items == left
