import csv
import os
import stat
import subprocess
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.drawing import encoded, picture
from unifex.core import text
from unifex.core.images import ImageError, decode
from unifex.data.item import Item, Labels, Options, Skipped, SourceError, Unread, labels_from_layout
from unifex.data.sources import open_source

DISC = encoded(picture("shapes/disc", 0))


def walk(spec, **options) -> tuple[dict[str, Item], dict[str, str]]:
    found = list(open_source(str(spec), **options))
    items = {entry.path: entry for entry in found if isinstance(entry, Item)}
    return items, {entry.path: entry.reason for entry in found if isinstance(entry, Skipped)}


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
        "link.png": "symbolic link, not followed; --follow-links follows it",
        "folder-link": "symbolic link, not followed; --follow-links follows it",
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


def write_zip(path: Path, entries: dict[str, bytes], **options) -> Path:
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return path


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


def write_csv(path: Path, rows: list[list[str]], delimiter: str = ",") -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)
    return path


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv(folder, delimiter):
    rows = [
        ["path", "label", "domain", "split"],
        ["shapes/disc/0.png", "a, b", "things", "query"],
        ["shapes/disc/1.png"],
    ]
    items, refused = walk(write_csv(folder / "list.csv", rows, delimiter))
    assert not refused
    first, second = items.values()
    assert (first.label, first.domain, first.split) == ("a, b", "things", "query")
    assert (second.label, second.domain, second.split) == ("", "", "")
    decode(first.read())


def test_a_manifest_in_a_folder_gives_its_labels(folder):
    write_csv(folder / "manifest.csv", [["path", "label"], ["shapes/disc/0.png", "special"]])
    items, _ = walk(folder)
    assert [item.label for item in items.values()] == ["special"]


def test_csv_rows_that_cannot_be_used(folder):
    (folder / "link.png").symlink_to(folder / "shapes/disc/0.png")
    rows = [
        ["path", "label", "split"],
        ["nowhere.png", "a", ""],
        ["", "a", ""],
        ["shapes/disc/0.png", "a", ""],
        ["shapes/disc/0.png", "a", ""],
        ["shapes/disc/1.png", "a", "holdout"],
        ["link.png", "a", ""],
        ["shapes", "a", ""],
    ]
    _, refused = walk(write_csv(folder / "list.csv", rows))
    assert refused == {
        "nowhere.png": "line 2: file not found",
        "line 3": "line 3: no path in this line",
        "shapes/disc/0.png": "line 5: listed twice; line 4 names it, too",
        "shapes/disc/1.png": "line 6: split 'holdout' is none of train, query, index",
        "link.png": "line 7: symbolic link, not followed; --follow-links follows it",
        "shapes": "line 8: a folder; a row names one file",
    }


def test_an_uploaded_csv_cannot_reach_outside(folder, tmp_path):
    (tmp_path / "secret.png").write_bytes(DISC)
    rows = [["path"], ["../secret.png"], [str(tmp_path / "secret.png")], ["shapes/disc/0.png"]]
    items, refused = walk(write_csv(folder / "list.csv", rows), keep=True)
    assert list(items) == ["shapes/disc/0.png"]
    assert set(refused.values()) == {f"line {line}: path leaves the uploaded folder" for line in (2, 3)}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "no column 'path'"),
        (b"picture of,label\n", "found: picture of, label"),
        ("path,label\na.png,x\nü.png,y\n".encode("latin-1"), "line 3: not UTF-8; save it as UTF-8"),
        ("path,label\nü.png,x\n".encode("utf-16")[:-1], "not UTF-8"),
        (b"\xff" * 1000, "UTF-8|no column"),
    ],
)
def test_unusable_csv(tmp_path, content, sentence):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(SourceError, match=sentence):
        open_source(str(tmp_path / "a.csv"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
def test_csv_in_the_encodings_that_spreadsheets_write(tmp_path, encoding):
    (tmp_path / "ü.png").write_bytes(encoded(picture("shapes/disc", 0)))
    start = "\ufeff" if encoding.endswith("le") else ""
    (tmp_path / "a.csv").write_bytes(f"{start}path;label\r\nü.png;Größe\r\n".encode(encoding))
    (item,) = open_source(str(tmp_path / "a.csv"))
    assert (item.path, item.label) == ("ü.png", "Größe")


def test_csv_with_a_line_of_a_gigabyte(tmp_path):
    with (tmp_path / "a.csv").open("wb") as file:
        file.write(b"path,label\n")
        file.seek(2**30)
        file.write(b"\nx.png,y\n")
    tracemalloc.start()
    with pytest.raises(SourceError, match="line longer than 1 MiB"):
        list(open_source(str(tmp_path / "a.csv")))
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()


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


def test_csv_with_an_endless_line(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"path\n" + b"x" * 3_000_000)
    with pytest.raises(SourceError, match="line longer than 1 MiB"):
        list(open_source(str(tmp_path / "a.csv")))


@pytest.fixture
def parquet(tmp_path) -> Path:
    """A data set as the hub stores it: parquet files with an image column and a ClassLabel."""
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        {"id": datasets.Value("int64"), "photo": datasets.Image(), "kind": datasets.ClassLabel(names=["disc", "cross"])}
    )
    rows = {
        "id": list(range(6)),
        "photo": [
            {"bytes": encoded(picture(("shapes/disc", "signs/cross")[i % 2], i)), "path": None} for i in range(6)
        ],
        "kind": [i % 2 for i in range(6)],
    }
    (tmp_path / "shapes" / "data").mkdir(parents=True)
    datasets.Dataset.from_dict(rows, features=features).to_parquet(
        str(tmp_path / "shapes" / "data" / "train-00000-of-00001.parquet")
    )
    return tmp_path / "shapes"


def test_hub_data_set(parquet):
    items, refused = walk(f"hf:{parquet}")
    assert not refused
    assert [item.label for item in items.values()] == ["disc", "cross"] * 3
    assert {item.domain for item in items.values()} == {"shapes"}
    assert all(decode(item.read()).width == 160 for item in items.values())
    assert len(walk(f"hf:{parquet}@train[:2]")[0]) == 2
    assert open_source(f"hf:{parquet}@train[:2]").count() == 2


def test_hub_data_set_that_is_not_there(tmp_path):
    with pytest.raises(SourceError, match="cannot be opened"):
        list(open_source(f"hf:{tmp_path / 'missing'}"))
    with pytest.raises(SourceError, match="form hf:owner/name"):
        open_source("hf:@train")


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


# rows below the header -> label of every item; reason of every other row
ROWS = {
    "separator line": ("sep=;\npath;label\na.png;cat\n", {"a.png": "cat"}, {}),
    "other words": ('"File Name",Class\na.png,cat\n', {"a.png": "cat"}, {}),
    "more words": ("\ufeffimage_path\tcategory\na.png\tcat\n", {"a.png": "cat"}, {}),
    "column of numbers": (",path,label\n0,a.png,cat\n", {"a.png": "cat"}, {}),
    "short and empty rows": ("path,label\n\na.png\n,\nb.png,\n", {"a.png": "", "b.png": ""}, {}),
    "trailing separator": ("path,label\na.png,cat,\n", {"a.png": "cat"}, {}),
    "unquoted comma": ("path,label\na.png,cat, small\nb.png,cat\n", {"b.png": "cat"}, {"a.png": "line 2: 3 cells"}),
    "quoted comma": ('path,label\na.png,"cat, small"\n', {"a.png": "cat, small"}, {}),
    "lone quote": (
        'path,label\na.png,5" disk\nb.png,"open\nsub/c.png,cat\nü.png,"end" less\n',
        {"a.png": '5" disk', "sub/c.png": "cat"},
        {"line 3": "line 3: a quotation mark", "line 5": "line 5: a quotation mark"},
    ),
    "two lone quotes": (
        'path,label\na.png,"open\nb.png,cat\nsub/c.png,"open\n',
        {"b.png": "cat"},
        {"line 2": "line 2: a quotation mark", "line 4": "line 4: a quotation mark"},
    ),
    "line break": (
        'path,label\na.png,"cat\n\nsecond"\nb.png,dog\n',
        {"b.png": "dog"},
        {"line 2": "line 2: a line break in a cell, which ends in line 4"},
    ),
    "controls": (
        "path,label\na.png,cat\x1b[31m\nb.png,\u202egnp\nsub/c\x07.png,x\nü.png,a\u200db\n",
        {"ü.png": "a\u200db"},
        {"a.png": "line 2: the label holds a control", "b.png": "line 3", "sub/c\ufffd.png": "line 4: the path holds"},
    ),
    "too long": (
        f"path,label\na.png,{'x' * 201}\nb.png,{'x' * 200}\n",
        {"b.png": "x" * 200},
        {"a.png": "line 2: the label has 201"},
    ),
    "detours": (
        "path,label\n./a.png,one\na.png,two\nsub/../b.png,dots\nb.png,plain\nsub//c.png,x\n",
        {"a.png": "one", "b.png": "dots", "sub/c.png": "x"},
        {"a.png": "line 3: listed twice; line 2", "b.png": "line 5: listed twice; line 4"},
    ),
    "addresses": (
        "path,label\nhttps://example.com/a.png,x\ns3://b/a.png,x\nsub\\c.png,cat\n",
        {"sub/c.png": "cat"},
        {"https://example.com/a.png": "line 2: an address; download", "s3://b/a.png": "line 3: an address"},
    ),
    "odd addresses": (
        "path\nfile://[x\nfile:///%00/a.png\nfile:a.png\n",
        {"a.png": ""},
        {"file://[x": "line 2", "file:///%00/a.png": "line 3"},
    ),
    "bars": ("path|label\na.png|cat\n", {"a.png": "cat"}, {}),
    "other form": ("path,label\nu\u0308.png,Ba\u0308ume\n", {"ü.png": "B\u00e4ume"}, {}),
    "carriage returns": ("path,label\ra.png,cat\rb.png,dog\r", {"a.png": "cat", "b.png": "dog"}, {}),
}


@pytest.mark.parametrize("form", ["folder", "zip"])
@pytest.mark.parametrize("name", ROWS)
def test_rows_as_people_write_them(tmp_path, name, form):
    text, labels, reasons = ROWS[name]
    tree = dict.fromkeys(["a.png", "b.png", "sub/c.png", "ü.png"], DISC) | {"manifest.csv": text.encode()}
    for path, data in tree.items():
        (tmp_path / "a" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "a" / path).write_bytes(data)
    items, refused = walk(write_zip(tmp_path / "a.zip", tree) if form == "zip" else tmp_path / "a")
    assert {path: item.label for path, item in items.items()} == labels
    assert refused.keys() == reasons.keys()
    assert all(refused[path].startswith(reason) for path, reason in reasons.items())


def test_a_path_may_be_whole_or_the_address_of_a_file(folder):
    whole, spaced = folder / "shapes/disc/0.png", folder / "shapes/disc/a b.png"
    spaced.write_bytes(DISC)
    rows = [["path"], [whole.as_uri()], [spaced.as_uri()], [str(whole)], ["../" + folder.name]]
    items, refused = walk(write_csv(folder / "list.csv", rows))
    assert set(items) == {"shapes/disc/0.png", "shapes/disc/a b.png"}
    assert {reason.partition(";")[0] for reason in refused.values()} == {"line 4: listed twice", "line 5: a folder"}


def test_splits_are_understood_and_the_report_says_how(folder):
    splits = {"Train": "train", "test": "query", "VAL": "query", "gallery": "index", "index": "index", "": ""}
    rows = [["path", "split"], *([f"shapes/disc/{place}.png", split] for place, split in enumerate(splits))]
    items, refused = walk(write_csv(folder / "list.csv", rows))
    assert not refused
    assert [item.split for item in items.values()] == list(splits.values())
    assert [item.notes for item in items.values()] == [
        (f"split '{said}' was taken as {meant}",) if said != meant else () for said, meant in splits.items()
    ]


def test_further_columns_are_kept_within_bounds_and_the_report_says_what_was_cut(folder):
    many = [f"c{number}" for number in range(25)]
    rows = [
        ["path", "Taken by", "note", "", "Unnamed: 0", "note", *many],
        ["shapes/disc/0.png", "Ann\u202e", "x" * 600, "7", "0", "second", "1", "", "3"],
        ["shapes/disc/1.png"],
    ]
    items, skipped = walk(write_csv(folder / "list.csv", rows))
    assert not skipped
    first, second = items.values()
    assert first.labels.extra == {"Taken by": "Ann\ufffd", "note": "x" * 500, "c0": "1", "c2": "3"}
    assert second.labels == Labels()
    assert first.notes[0].startswith("kept from the CSV: 'Taken by', 'note', 'c0'")
    unread = ", ".join(f"'c{number}'" for number in range(18, 25))
    assert first.notes[1] == f"not read from the CSV, more than 20 columns: {unread}"
    assert first.notes[2:] == ("'note' was cut to 500 characters",)
    assert Labels.from_row(*first.labels.row) == first.labels


@pytest.mark.parametrize("header", ["path,label,label", "image,path", "path,class,category"])
def test_two_columns_for_one_thing(tmp_path, header):
    (tmp_path / "a.csv").write_text(f"{header}\n")
    with pytest.raises(SourceError, match=r"two columns for the (path|label).*rename"):
        open_source(str(tmp_path / "a.csv"))


def test_a_table_is_read_as_far_as_it_may_be(folder):
    rows = [["path"], *([f"shapes/disc/{place}.png"] for place in range(6))]
    spec = str(write_csv(folder / "list.csv", rows))
    found = list(open_source(spec, options=Options(max_rows=4)))
    assert [type(entry) for entry in found] == [Item] * 4 + [Skipped]
    assert "more than 4 rows" in found[-1].reason
    (first,) = open_source(spec, options=Options(max_seconds=0))
    assert "seconds" in first.reason


def test_further_columns_that_are_nested_without_end_are_refused():
    with pytest.raises(ValueError, match="nested"):
        Labels.from_row("", "", "", "[" * 20_000)
