"""Tables of paths and labels as people write them, and what cannot be used of them."""

from __future__ import annotations

import tracemalloc

import pytest

from tests.support.drawing import encoded, picture
from tests.support.walking import walk, write_csv, write_zip
from unifex.core.images import decode
from unifex.data.item import Item, Labels, LostRows, Options, SourceError
from unifex.data.sources import open_source

DISC = encoded(picture("shapes/disc", 0))


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv(folder, delimiter):
    rows = [
        ["path", "label", "domain", "split"],
        ["shapes/disc/0.png", "a, b", "things", "query"],
        ["shapes/disc/1.png", "", "", ""],
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
        "line 3": "no path in this line",
        "shapes/disc/0.png": "line 5: listed twice; line 4 names it, too",
        "shapes/disc/1.png": "line 6: split 'holdout' is none of train, query, index",
        "link.png": "line 7: symbolic link, not followed unless that is asked for",
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


def test_csv_with_an_endless_line(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"path\n" + b"x" * 3_000_000)
    with pytest.raises(SourceError, match="line longer than 1 MiB"):
        list(open_source(str(tmp_path / "a.csv")))


# rows below the header -> label of every item; reason of every other row
ROWS = {
    "separator line": ("sep=;\npath;label\na.png;cat\n", {"a.png": "cat"}, {}),
    "other words": ('"File Name",Class\na.png,cat\n', {"a.png": "cat"}, {}),
    "more words": ("\ufeffimage_path\tcategory\na.png\tcat\n", {"a.png": "cat"}, {}),
    "column of numbers": (",path,label\n0,a.png,cat\n", {"a.png": "cat"}, {}),
    "short and empty rows": (
        "path,label,domain,\n\na.png\n,\nb.png,\nü.png,cat\n",
        {"b.png": "", "ü.png": "cat"},
        {"a.png": "line 3: 1 cell, and the header"},
    ),
    "trailing separator": ("path,label\na.png,cat,\n", {"a.png": "cat"}, {}),
    "unquoted comma": ("path,label\na.png,cat, small\nb.png,cat\n", {"b.png": "cat"}, {"a.png": "line 2: 3 cells"}),
    "quoted comma": ('path,label\na.png,"cat, small"\n', {"a.png": "cat, small"}, {}),
    "lone quote": (
        'path,label\na.png,5" disk\nb.png,"open\nsub/c.png,cat\nü.png,"end" less\n',
        {"a.png": '5" disk', "sub/c.png": "cat"},
        {"line 3": "a quotation mark", "line 5": "a quotation mark"},
    ),
    "two lone quotes": (
        'path,label\na.png,"open\nb.png,cat\nsub/c.png,"open\n',
        {"b.png": "cat"},
        {"line 2": "a quotation mark", "line 4": "a quotation mark"},
    ),
    "line break": (
        'path,label\na.png,"cat\n\nsecond"\nb.png,dog\n',
        {"a.png": "cat second", "b.png": "dog"},
        {},
    ),
    "line breaks": (
        'path,label,caption,tags\r\na.png,cat,"one, two\r\nthree","x\ny, z"\r\n"b.png\n",dog,,\n',
        {"a.png": "cat", "b.png": "dog"},
        {},
    ),
    "line break in a path": ('path,label\n"x\ny.png",cat\n', {}, {"x y.png": "line 2: file not found"}),
    "a lone quote and one at an end": (
        'path,label\na.png,"open\nb.png,cat"\nsub/c.png,dog\n',
        {"b.png": 'cat"', "sub/c.png": "dog"},
        {"line 2": "a quotation mark that opens a cell"},
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
        ["shapes/disc/0.png", "Ann\u202e", "x" * 600, "7", "0", "second", "1", "", "3", *[""] * 22],
        ["shapes/disc/1.png", *[""] * 30],
    ]
    items, skipped = walk(write_csv(folder / "list.csv", rows))
    assert not skipped
    first, second = items.values()
    assert first.labels.extra == {"Taken by": "Ann\ufffd", "note": "x" * 500, "c0": "1", "c2": "3"}
    assert second.labels == Labels()
    assert first.notes[0].startswith("kept from the CSV: 'Taken by', 'note', 'c0'")
    unread = ", ".join(f"'c{number}'" for number in range(18, 25))
    assert first.notes[1] == f"not read, more than 20 columns: {unread}"
    assert first.notes[2] == "not read, as another column has the name: 'note'"
    assert first.notes[3:] == ("'note' was cut to 500 characters",)
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
    assert [type(entry) for entry in found] == [Item] * 4 + [LostRows]
    assert "more than 4 rows" in found[-1].reason
    (first,) = open_source(spec, options=Options(max_seconds=0))
    assert "seconds" in first.reason


@pytest.mark.parametrize(
    "table",
    [
        "path,label,a;b;c;d\na.png,disc,x\n",
        "file name;label;a,b,c,d,e\na.png;disc;x\n",
        '"label"|"Path"|"a,b,c,d"\ndisc|a.png|x\n',
    ],
)
def test_what_separates_cells_may_stand_in_names(tmp_path, table):
    (tmp_path / "a.png").write_bytes(DISC)
    (tmp_path / "list.csv").write_text(table)
    items, refused = walk(tmp_path / "list.csv")
    assert not refused
    assert (items["a.png"].label, list(items["a.png"].labels.extra.values())) == ("disc", ["x"])


def test_a_caption_of_several_lines_is_kept_on_one(folder):
    """As pandas writes it."""
    text = 'path,label,caption,tags\nshapes/disc/0.png,disc,"a disc,\n  seen\r\nfrom above","at\nnight, new"\n'
    (folder / "list.csv").write_text(text, newline="")
    items, refused = walk(folder / "list.csv")
    assert not refused
    (item,) = items.values()
    assert (item.labels.extra, item.tags) == ({"caption": "a disc, seen from above"}, ("at night", "new"))
