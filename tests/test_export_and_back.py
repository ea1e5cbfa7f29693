"""What a gallery is exported to, and indexed from again, is what it was."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from tests.support.drawing import encoded, picture
from tests.support.galleries import run_index
from tests.support.walking import walk
from unifex.core.progress import finish
from unifex.core.text import number
from unifex.data.curation import Rule, curate
from unifex.data.item import Labels, SourceError
from unifex.data.label_files import is_of_coco
from unifex.data.sources import open_source
from unifex.exports import export
from unifex.exports.formats import FORMATS
from unifex.exports.selection import Selection
from unifex.gallery.corrections import relabel
from unifex.gallery.gallery import Gallery

PICTURES = [encoded(picture("shapes/disc", number, 32)) for number in range(3)]
TEXTS = st.one_of(
    st.text(alphabet="=+-@'\"a1,;. é", max_size=6).map(str.strip),
    st.sampled_from(["-33.0", "+1", "-1e5", "'-33.0", "=1+1", "''", "'t is", "-", "-1,5", "@sum(a1)"]),
)
ROWS = st.lists(st.tuples(TEXTS, TEXTS, TEXTS, TEXTS, st.sets(TEXTS, max_size=2)), min_size=3, max_size=3)


def laid(folder: Path, rows) -> Path:
    """Pictures with a ``metadata.jsonl`` that says this of them: (name begins so, label, domain, columns, tags)."""
    folder.mkdir()
    lines = []
    for place, (begins, label, domain, column, tags) in enumerate(rows):
        name = f"{begins}{place}.png"
        (folder / name).write_bytes(PICTURES[place])
        told = {"label": label, "domain": domain, "-note": column, "latitude": "-33.5", "tags": sorted(tags)}
        lines.append(json.dumps({"file_name": name, **told}))
    (folder / "metadata.jsonl").write_text("\n".join(lines))
    return folder


def indexed(place: Path, source: Path, embedder) -> Gallery:
    gallery = Gallery.create(place, embedder)
    run_index(gallery, source)
    return gallery


def said(gallery: Gallery, path: bool = True) -> list:
    """Of each item what people have said, with its path, by its picture."""
    records = gallery.records(gallery.snapshot().columns.ids)
    rows = {record.sha256: (record.path * path, record.labels, record.tags) for record in records}
    return sorted(rows.items())


def exported(gallery: Gallery, kind: str, out: Path) -> Path:
    finish(export.export(Selection.of(gallery, places=True), FORMATS[kind], out))
    return out


@settings(max_examples=25, deadline=None)
@given(ROWS)
def test_a_table_is_read_back_as_it_was_whatever_its_cells_begin_with(embedder, rows):
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        first = indexed(folder / "first", laid(folder / "pictures", rows), embedder)
        table = exported(first, "csv", folder / "pictures" / "table.csv")
        second = indexed(folder / "second", table, embedder)
        assert len(said(first)) == 3
        assert said(second) == said(first)
        cells = [cell for row in csv.reader(io.StringIO(table.read_text("utf-8-sig"))) for cell in row]
        assert cells.count("-33.5") >= 3
        assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@")) and math.isnan(number(cell))]


def test_a_quotation_mark_of_ones_own_stays_in_a_table(tmp_path):
    (tmp_path / "a.png").write_bytes(PICTURES[0])
    (tmp_path / "list.csv").write_text("path,label,'note,city\na.png,'t Hooft,'quoted','s-Gravenhage\n")
    items, _ = walk(tmp_path / "list.csv")
    assert items["a.png"].label == "'t Hooft"
    assert items["a.png"].labels.extra == {"'note": "'quoted'", "city": "'s-Gravenhage"}


def folders_of(place: Path) -> set[str]:
    return {path.parent.relative_to(place).as_posix() for path in place.rglob("*.png")}


ALIKE = [
    ("", "a/b"), ("", "a_b"), ("", "a:b"), ("", "A_B"), ("", "x - y"), ("x", "y"), ("", "unlabelled"), ("", ""),
    ("x", ""), ("p/q", ""), ("p_q", ""), ("", ".."), ("", "..."), ("", "metadata.jsonl"), ("", "l" * 99 + "1"),
    ("", "l" * 99 + "2"), ("", "l" * 120), ("", "é"),
]  # fmt: skip


def test_each_label_has_a_folder_of_its_own_that_stays_and_reads_back(tmp_path, embedder):
    (tmp_path / "pictures").mkdir()
    lines = []
    for place, (domain, label) in enumerate(ALIKE):
        (tmp_path / "pictures" / f"{place}.png").write_bytes(encoded(picture("shapes/disc", place, 32)))
        lines.append(json.dumps({"file_name": f"{place}.png", "label": label, "domain": domain}))
    (tmp_path / "pictures" / "metadata.jsonl").write_text("\n".join(lines))
    first = indexed(tmp_path / "first", tmp_path / "pictures", embedder)
    out = exported(first, "imagefolder", tmp_path / "out")
    folders = folders_of(out)
    assert len({folder.casefold() for folder in folders}) == len(ALIKE)
    assert {"A_B", "x - y", "unlabelled", "é"} < folders
    assert not any("/" in folder or folder == "." for folder in folders)
    assert max(map(len, folders)) <= 100
    (tmp_path / "pictures" / "metadata.jsonl").write_text("\n".join(reversed(lines)))
    other = indexed(tmp_path / "other", tmp_path / "pictures", embedder)
    assert folders_of(exported(other, "imagefolder", tmp_path / "again")) == folders
    assert said(indexed(tmp_path / "second", out, embedder), path=False) == said(first, path=False)


def test_the_words_of_a_further_column_stay_readable_where_it_has_line_breaks_or_tabs(tmp_path, embedder):
    caption = "\tA red disc,\r\n\r\nseen from above.\u2028By\tAnn\x07\n"
    first = indexed(tmp_path / "first", laid(tmp_path / "pictures", [("", "a", "", caption, ())] * 3), embedder)
    (record, *_) = first.records(first.snapshot().columns.ids)
    assert record.labels.extra["-note"] == "A red disc, seen from above. By Ann\ufffd"
    assert Labels.from_row("", "", "", json.dumps({"note": "b\nc"})).extra == {"note": "b c"}  # as others wrote it
    for kind in ("imagefolder", "csv"):
        out = exported(first, kind, tmp_path / "pictures" / f"out-{kind}.csv")
        second = indexed(tmp_path / kind, out, embedder)
        assert said(second, path=kind == "csv") == said(first, path=kind == "csv")


COLUMNS = [
    "class", "extra class", "extra extra class", "photo", "path", "Set", "id", "license", "width", "image", "embedding",
    "x", "neighbors", "objects", "_note", "extra _note", "Unnamed: 0", "source_label", "a;b;c;d;e;f;g", "a b", "a_b",
]  # fmt: skip
SPLITS = ["", "train", "query"]
SAID = st.tuples(
    st.sampled_from(["a", "b/c", ""]), st.sampled_from(["", "x"]), st.sampled_from(SPLITS),
    st.lists(st.sampled_from([*SPLITS[1:], "best"]), max_size=2),
    st.dictionaries(st.sampled_from(COLUMNS), st.sampled_from(["1", "=1", "2021-03-02", "a, b"]), max_size=5),
)  # fmt: skip


def described(folder: Path, rows) -> Path:
    """Pictures with a file of COCO, in which any column may be."""
    folder.mkdir()
    images = []
    for place, (label, domain, split, tags, columns) in enumerate(rows):
        (folder / f"{place}.png").write_bytes(PICTURES[place])
        named = {f"extra {name}" if is_of_coco(name.replace("extra ", "")) else name: columns[name] for name in columns}
        own = {"label": label, "domain": domain, "split": split, "tags": tags}
        images.append({**named, **own, "id": place, "file_name": f"{place}.png"})
    (folder / "annotations.json").write_text(json.dumps({"images": images, "annotations": [], "categories": []}))
    return folder


@settings(max_examples=6, deadline=None)
@given(st.lists(SAID, min_size=3, max_size=3), st.sampled_from(["csv", "imagefolder", "coco", "fiftyone"]))
def test_whatever_columns_are_called_they_come_back_and_again(embedder, rows, kind):
    with tempfile.TemporaryDirectory() as place:
        gallery = indexed(Path(place) / "0", described(Path(place) / "pictures", rows), embedder)
        first = said(gallery, path=False)
        assert len(first) == 3
        for turn in "12":
            out = exported(gallery, kind, Path(place) / "pictures" / f"out-{turn}.csv")
            gallery = indexed(Path(place) / turn, out, embedder)
            assert said(gallery, path=False) == first


def test_columns_that_a_format_has_itself_and_those_that_become_one(tmp_path, embedder):
    columns = {name: name for name in [*COLUMNS, "a-b", "1st"][4:]}
    gallery = indexed(tmp_path / "0", described(tmp_path / "in", [("a", "", "query", ["query"], columns)]), embedder)
    assert gallery.item_at("0.png").labels.extra == columns
    table = parquet.read_table(exported(gallery, "dataset", tmp_path / "set") / "data/query-00000.parquet")
    (row,) = table.to_pylist()
    assert (row["extra embedding"], row["extra image"], len(row["embedding"]) > 9) == ("embedding", "image", True)
    out = exported(gallery, "fiftyone", tmp_path / "fiftyone")
    (sample,) = json.loads((out / "samples.json").read_text())["samples"]
    assert sorted(text for text in sample.values() if text in list(columns)) == sorted(columns)
    assert all(name.isidentifier() for name in sample)
    back = indexed(tmp_path / "1", out, embedder)
    assert [record.labels.extra for record in back.records(back.snapshot().columns.ids)] == [columns]
    (_, (_, _, tags)), *_ = said(back)
    assert tags == ("query",)  # that somebody gave, which is also the name of its split


def test_what_was_corrected_twice_keeps_every_column_in_its_place(tmp_path, embedder):
    gallery = indexed(tmp_path / "0", described(tmp_path / "in", [("a", "", "", [], {"year": "1999"})]), embedder)
    for turn, label in enumerate(("b", "c"), start=1):
        with gallery.write() as writer:
            writer.correct([relabel(gallery.item_at("0.png"), label)])
        out = tmp_path / "in" / f"{turn}.csv"
        finish(export.export(Selection.of(gallery, corrected=True), FORMATS["csv"], out))
        gallery = indexed(tmp_path / str(turn), out, embedder)
    (row,) = csv.DictReader(io.StringIO(out.read_text("utf-8-sig")))
    told = {"label": "c", "source_label": "b", "extra source_label": "a", "year": "1999"}
    assert {name: row[name] for name in told} == told
    assert gallery.item_at("0.png").labels.extra["year"] == "1999"


def test_items_of_no_split_beside_others_come_back(tmp_path, embedder):
    rows = [("a", "x", split, ["best"], {}) for split in ("query", "", "index")]
    gallery = indexed(tmp_path / "0", described(tmp_path / "in", rows), embedder)
    out = exported(gallery, "imagefolder", tmp_path / "out")
    assert (out / "unsplit" / "metadata.jsonl").is_file()
    assert said(indexed(tmp_path / "1", out, embedder), path=False) == said(gallery, path=False)


@pytest.mark.parametrize("kind", ["coco", "imagefolder", "dataset", "fiftyone"])
def test_what_is_said_anew_while_an_export_goes_on_is_not_in_it(tmp_path, embedder, kind):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "0.png").write_bytes(PICTURES[0])
    table = tmp_path / "in" / "list.csv"
    table.write_text("path,label\n0.png,cat\n")
    gallery = indexed(tmp_path / "0", table, embedder)
    selection = Selection.of(gallery)
    assert (selection.splits, selection.classes) == ([], [("", "cat")])
    table.write_text("path,label,domain,split\n0.png,lion,wild,query\n")
    run_index(gallery, table)
    finish(export.export(selection, FORMATS[kind], tmp_path / "out"))
    if kind != "dataset":
        ((_, (_, labels, _)),) = said(indexed(tmp_path / "1", tmp_path / "out", embedder))
        assert (labels.label, labels.domain, labels.split) == ("cat", "", "")


def test_a_manifest_of_something_else_can_be_excluded(tmp_path, embedder):
    folder = tmp_path / "cat"
    folder.mkdir()
    (folder / "0.png").write_bytes(PICTURES[0])
    (folder / "manifest.csv").write_text("name,size\nfoo,1\n")
    with pytest.raises(SourceError, match="no column 'path'"):
        open_source(str(folder))
    assert list(walk(folder, exclude=("manifest.csv",))[0]) == ["0.png"]


def test_a_curated_manifest_has_one_column_for_each_thing(tmp_path):
    rows = [("a", "x", "", [], {"class": "c", "photo": "p"})]
    out = tmp_path / "in" / "chosen.csv"
    finish(curate(open_source(str(described(tmp_path / "in", rows))), Rule(), out))
    (item,) = open_source(str(out))
    assert (item.label, item.labels.extra) == ("a", {"class": "c", "photo": "p"})


def test_a_name_that_begins_with_a_space_is_found_again(tmp_path, embedder):
    (folder := tmp_path / "in" / " first").mkdir(parents=True)
    (folder / "0.png").write_bytes(PICTURES[0])
    gallery = indexed(tmp_path / "0", tmp_path / "in", embedder)
    table = exported(gallery, "csv", tmp_path / "in" / "out.csv")
    assert "./ first/0.png" in table.read_text("utf-8-sig")
    assert indexed(tmp_path / "1", table, embedder).item_at(" first/0.png")
    finish(curate(open_source(str(tmp_path / "in")), Rule(), tmp_path / "in" / "chosen.csv"))
    assert [*walk(tmp_path / "in" / "chosen.csv")[0]] == [" first/0.png"]


ODD_NAMES = [
    b"one\ttab.png", b"two\nlines.png", b"no utf \xff.png", b"tab\tfolder/a.png", b"=1+1\r.png", b"file:a.png",
    b"a.png ", b" .png", b"a\\b.png", b"100%.png", b"plain.png",
]  # fmt: skip


def test_a_table_is_read_back_whatever_the_files_are_called(tmp_path, embedder):
    folder = tmp_path / "pictures"
    for place, name in enumerate(ODD_NAMES):
        path = folder / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(picture("shapes/disc", place, 32)))
    first = indexed(tmp_path / "first", folder, embedder)
    with first.write() as writer:
        writer.correct([relabel(record, "ball") for record in first.records(first.snapshot().columns.ids)])
    table = exported(first, "csv", folder / "table.csv")
    second = Gallery.create(tmp_path / "second", embedder)
    assert run_index(second, table).failed == []
    finish(curate(open_source(str(table)), Rule(), folder / "chosen.csv"))
    written = {path for path in walk(folder / "chosen.csv")[0] if not path.startswith("chosen-images")}
    assert written == {path for _, (path, _, _) in said(first)} - {"no utf \ufffd.png"}  # of which it has a copy
    assert len(said(second)) == len(ODD_NAMES)
    assert [(path, labels.label) for _, (path, labels, _) in said(second)] == [
        (path, "ball") for _, (path, _, _) in said(first)
    ]


def test_names_that_print_alike_are_told_apart_by_nothing(tmp_path, embedder):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for place, name in enumerate(("a\tb.png", "a\nb.png")):
        (folder / name).write_bytes(PICTURES[place])
    table = exported(indexed(tmp_path / "first", folder, embedder), "csv", folder / "table.csv")
    refused = run_index(Gallery.create(tmp_path / "second", embedder), table).failed
    assert [(one.path, one.reason.partition(": ")[2]) for one in refused] == [
        ("a\ufffdb.png", "the names of several files print so; rename them")
    ] * 2
