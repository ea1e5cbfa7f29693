"""What a gallery is exported to, and indexed from again, is what it was."""

from __future__ import annotations

import csv
import io
import json
import math
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.drawing import encoded, picture
from tests.support.galleries import run_index
from tests.support.walking import walk
from unifex.core.progress import finish
from unifex.core.text import number
from unifex.data.item import Labels
from unifex.exports import export
from unifex.exports.formats import FORMATS
from unifex.exports.selection import Selection
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
    rows = {record.sha256: (record.path * path, record.labels.row, record.tags) for record in records}
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
