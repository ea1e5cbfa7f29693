"""What the page shows as HTML: whatever stands in a name is text there, and never markup."""

import json
import re
from dataclasses import replace

import pytest
from PIL import ExifTags, Image

from tests.support.drawing import encoded, picture
from tests.support.splits import measured
from unifex.core.templates import render
from unifex.data.item import Labels, Skipped
from unifex.evaluation.failures import Duplicate, LabelError, WorstQuery
from unifex.evaluation.metrics import Estimate
from unifex.evaluation.parts import Part
from unifex.gallery.corrections import Correction
from unifex.gallery.gallery import Facts, Record
from unifex.gallery.index_report import IndexReport
from unifex.retrieval.hits import Hit, SearchResult
from unifex.training.report import Measured, OfDomain, TrainReport
from unifex.training.result import Changed, Worth
from unifex.ui.rendering import (
    cards,
    evaluation_report,
    failure_lists,
    gallery_report,
    html,
    item,
    search_answer,
    training_report,
)
from unifex.ui.rendering.grid import Rights
from unifex.ui.rendering.grouped_grid import grouped_grid

EVIL = "<script>alert('1')</script>\" onerror=\"alert(2)"
RECORD = Record(1, EVIL, f"{EVIL}/{EVIL}", "0" * 64, Labels(EVIL, EVIL, EVIL, {EVIL: EVIL}), 10, 20, 3000, "")
CARD = cards.Card(RECORD, EVIL, badge=EVIL, described=EVIL)
HIT = Hit(1, 0.9, RECORD, 0.5)
RESULT = SearchResult([HIT], False, None, 10, 9, EVIL, EVIL, 64, 0.01, 0.02)
FACTS = Facts(EVIL, 3, 2, {EVIL: 2, "": 1}, 1, {EVIL: 3}, 1, 1, EVIL, EVIL, 64, 1000, [])
MEASURED = measured([EVIL, EVIL, "b", "b"], [[1, 0], [0.8, 0.6], [0.9, 0.44], [-1, 0.1]])
CHANGED = Changed(0, 2, [(1, True)], [(2, False)], 0.5)
SCORE = Estimate(0.5, 0.4, 0.6)
TRAINED = TrainReport(
    "0" * 32, EVIL, Worth(EVIL, SCORE, "", 2, 0, 1, adapted=True), 10, 2, 20, 1.0, [], 5, 20,
    [Measured(EVIL, 64, SCORE, 0.5, None)], [("After", 64)], [OfDomain(EVIL, 5, (0.5,), SCORE)], [CHANGED],
)  # fmt: skip
REPORT = IndexReport(EVIL, 3, 1, 0, 0, [Skipped(EVIL, EVIL)], 1.0)

MARKUP = {
    "notice": lambda: html.message(EVIL, EVIL, "error"),
    "hint": lambda: html.hint(EVIL),
    "facts": lambda: html.facts({EVIL: EVIL}),
    "header": lambda: html.header(EVIL, EVIL, busy=True),
    "cards": lambda: cards.of_gallery(EVIL, render("map_moved.html", gallery=EVIL, shown=[CARD])),
    "status": lambda: search_answer.search_status(RESULT, EVIL, [EVIL], EVIL),
    "item": lambda: item.detail(item.Shown(RECORD, EVIL, problem=EVIL, editable=True)),
    "item that was left out": lambda: item.left_out(Correction("drop", EVIL, EVIL, "0" * 64), 1),
    "index report": lambda: gallery_report.report(REPORT),
    "gallery": lambda: gallery_report.gallery_facts(FACTS, EVIL),
    "part of an evaluation": lambda: failure_lists.part_title(Part(label=EVIL), MEASURED, 0, 0),
    "labels": lambda: evaluation_report.labels(MEASURED, "<script>alert('1')"),
    "corrections": lambda: failure_lists.corrections(
        [Correction("drop", EVIL, EVIL, "0" * 64)], [Correction("drop", EVIL, EVIL, "0" * 64)], editable=True
    ),
    "what came of a training": lambda: training_report.outcome(TRAINED),
    "changed": lambda: training_report.changed([CHANGED], lambda _: CARD, EVIL, EVIL),
}


@pytest.mark.parametrize("what", MARKUP)
def test_no_name_is_markup(what):
    page = MARKUP[what]()
    assert "<script" not in page
    assert '" onerror="' not in page
    assert "alert(" in page or what == "hint"


def test_every_column_of_the_hits_csv_is_there_and_no_cell_is_a_formula():
    labels = Labels("=1+1", extra={"score": "7", "@who": "-Ann"})
    hits = [replace(HIT, record=replace(RECORD, labels=labels)) for labels in (labels, Labels("cat"))]
    head, first, second = search_answer.hits_csv(hits).splitlines()
    assert head == "rank,path,label,domain,score,chance,uri,extra score,'@who"
    assert "'=1+1" in first
    assert first.endswith(",7,'-Ann")
    assert second.endswith(",,")


def test_tags_stand_in_the_csv_where_there_are_some():
    tagged = replace(HIT, record=replace(RECORD, tags=("best", "to print")))
    head, row, other = search_answer.hits_csv([tagged, HIT]).splitlines()
    assert head.split(",")[7] == "tags"
    assert '"best, to print"' in row
    assert "best" not in other


def test_strangers_are_told_no_further_columns():
    record = replace(RECORD, labels=Labels("cat", extra={"who": "Ann"}))
    row = search_answer.hits_csv([replace(HIT, record=record)], strangers=True).splitlines()[1]
    assert row.endswith(",0.5000,")
    assert "Ann" in item.detail(item.Shown(record, "drawn"))
    assert "Ann" not in item.detail(item.Shown(record, "drawn", strangers=True))


def test_a_failed_query_stands_beside_what_it_found_wrongly_and_what_it_should_have_found():
    right, wrong, late, missed = (replace(RECORD, id=number, labels=Labels("a")) for number in (2, 3, 4, 5))
    failure = WorstQuery(0, 0.5, 2, [1, 2, 3], [0.9, 0.8, 0.7], [True, False, True])
    group = failure_lists.failed_query(failure, RECORD, [right, wrong, late], [missed])
    assert [item.record.id for item in group.items] == [1, 3, 4, 5]
    assert [item.mark for item in group.items] == ["query", "✗ wrong 0.80", "↓ too late 0.70", "○ not found"]
    assert group.title == "0.50 · 1 of the first 2 hits right"
    assert [act.kind for act in group.acts] == ["relabel", "same", "drop"]
    gone = failure_lists.failed_query(failure, RECORD, [None, None, late], [])
    assert ([item.record.id for item in gone.items], gone.acts) == ([1, 4], [])


def test_groups_are_drawn_as_they_are_called_and_buttons_that_mend_are_only_there_where_one_may():
    groups = [failure_lists.label_error(LabelError(0, [1], 0.9), RECORD, [replace(RECORD, labels=Labels("b"))])]
    groups += [failure_lists.duplicate(Duplicate(0, 1, 0.98, False), RECORD, RECORD)]
    told = json.loads(grouped_grid("drawn", groups, "mend", Rights(editable=True)))
    assert [group["at"] for group in told["groups"]] == [0, 2]
    assert told["items"][0]["label"] == EVIL  # a script makes text of it
    assert [act["kind"] for act in told["groups"][0]["acts"]] == ["relabel", "same", "drop"]
    assert "uri" not in told["items"][0]
    strangers = json.loads(grouped_grid("drawn", groups, "mend", Rights(files=True), prefer=True))
    assert not strangers["prefer"]
    assert all(not group["acts"] for group in strangers["groups"])


def test_where_a_file_lies_and_how_to_correct_it_is_for_whom_it_concerns():
    record = replace(RECORD, path="cat/1.jpg", uri="/home/ann/cat/1.jpg")
    own, strangers = item.Shown(record, "drawn", editable=True), item.Shown(record, "drawn", strangers=True)
    assert 'data-text="/home/ann/cat/1.jpg"' in item.detail(own)
    assert 'id="correct"' in item.detail(own)
    assert "ann" not in item.detail(strangers)
    assert 'data-text="cat/1.jpg"' in item.detail(strangers)
    assert 'id="correct"' not in item.detail(strangers)


def test_what_the_page_is_told_of_an_item():
    there, gone = item.Shown(RECORD, "drawn"), item.Shown(RECORD, "drawn", problem="it went")
    told = json.loads(item.Told.of(there, item.detail(there)).as_json(7))
    assert (told["item"], told["v"], told["width"], told["height"], told["number"]) == (1, "0" * 16, 10, 20, 7)
    assert item.Told.of(gone, "").width == 0


def test_of_an_item_that_is_an_embedding_alone_no_thumbnail_is_spoken_of():
    told = item.detail(item.Shown(replace(RECORD, width=0, height=0, bytes=0), "drawn", problem="it never was here"))
    assert "Only its embedding is here" in told
    assert "thumbnail" not in told
    assert "pixels" not in told
    assert "Only the thumbnail is left" in item.detail(item.Shown(RECORD, "drawn", problem="it went"))


def test_when_an_image_was_taken_is_told_but_not_to_strangers():
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2024:05:17 18:03:59"
    data = encoded(picture("signs/cross", 1), "JPEG", exif=exif)
    assert "2024-05-17 18:03" in item.detail(item.Shown(RECORD, "drawn", data))
    assert "2024-05-17" not in item.detail(item.Shown(RECORD, "drawn", data, strangers=True))


@pytest.mark.parametrize("said", ["", "0000:00:00 00:00:00", "yesterday", "2024:13:41 25:61:61"])
def test_a_date_that_is_none_is_left_out(said):
    exif = Image.Exif()
    exif[ExifTags.Base.DateTime] = said
    assert "Taken" not in item.detail(
        item.Shown(RECORD, "drawn", encoded(picture("signs/cross", 1), "JPEG", exif=exif))
    )
    assert "Taken" not in item.detail(item.Shown(RECORD, "drawn", b"no image"))


def test_reasons_that_differ_in_numbers_alone_are_counted_as_one():
    lines = [Skipped(f"{number}.png", f"line {number + 2}: not found") for number in range(20)]
    large = [Skipped("a.tif", "larger than 1,000 MB"), Skipped("b.tif", "larger than 1,000 MB")]
    told = str(
        gallery_report.report(IndexReport("g", 1, 1, 0, 0, [*large, *lines, Skipped("c", "line 9: a folder")], 1.0))
    )
    counted = re.findall("<li>(.*?)</li>", told)
    assert counted == ["20 x line …: not found", "2 x larger than 1,000 MB", "1 x line 9: a folder"]
    assert "<td>3.png</td><td>line 5: not found</td>" in told
