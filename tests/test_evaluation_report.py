"""The Evaluate tab's tables and lists as HTML."""

import html
import re
from dataclasses import replace

import gradio as gr
import numpy as np
import pytest

from tests.support.galleries import make_model
from tests.support.splits import make_columns, make_split, measured
from unifex.cli.settings import Settings
from unifex.core.progress import finish
from unifex.core.vectors import l2_normalize
from unifex.data.item import Labels
from unifex.evaluation.compare import Assessment
from unifex.evaluation.evaluate import evaluate
from unifex.evaluation.failures import worst_queries
from unifex.evaluation.parts import Part, missed
from unifex.gallery import corrections
from unifex.gallery.gallery import Record
from unifex.gallery.library import Library
from unifex.ui.components.corrections_view import CorrectionsView
from unifex.ui.components.item_view import ItemView
from unifex.ui.context import AppContext
from unifex.ui.item_routes import item_routes
from unifex.ui.rendering import evaluation_report, failure_lists
from unifex.ui.tabs.evaluate_tab import EvaluateTab

LONG = "<b>" + "long " * 1000


def test_a_label_of_any_length_is_cut_in_tables_and_whole_on_hover():
    found = measured([LONG, LONG, "b", "b"], [[1, 0], [0.8, 0.6], [0.9, 0.44], [-1, 0.1]])
    table = evaluation_report.labels(found)
    assert "<b>" not in table
    assert f'title="&lt;b&gt;{LONG[3:]}"' in table
    assert ">&lt;b&gt;long long" in table
    assert table.count("…</span>") >= 2


def test_remarks_stand_above_figures_that_are_not_praised():
    page = evaluation_report.report(Assessment(measured(["a"] * 3, [[1, 0], [0.8, 0.6], [0, 1]]), []), "g")
    assert page.index("note warning") < page.index("mMP@5 1.000")
    assert "note good" not in page


def test_a_right_hit_that_came_too_late_is_not_marked_as_right():
    found = measured(["a", "a", "b", "b"], [[1, 0], [0.8, 0.6], [0.9, 0.44], [-1, 0.1]], [0])
    (failure,) = worst_queries(found)
    assert (failure.mmp5, failure.is_match[1]) == (0, True)
    shown = Record(1, "u", "p", "0" * 64, Labels("a"), 1, 1, 1, "")
    group = failure_lists.failed_query(failure, shown, [shown] * len(failure.hits), [])
    assert group.title.startswith("0.00 · first hit wrong, and it alone counts")
    assert not any("✓" in item.mark for item in group.items)
    assert any("↓ too late" in item.mark for item in group.items)


def test_labels_are_looked_for_in_any_case_and_each_opens_its_pictures():
    found = measured(["Cat", "Cat", "dog", "dog"], [[1, 0], [0.8, 0.6], [0.9, 0.44], [-1, 0.1]])
    page = evaluation_report.labels(found, " cAT ")
    assert "1 label of 2 with “cAT”" in page
    assert html.unescape(page.split('data-part="')[1].split('"')[0]) == '{"domain": "", "label": "Cat"}'
    assert "0 labels of 2" in evaluation_report.labels(found, "horse")
    assert "<table" not in evaluation_report.labels(found, "horse")


def test_a_cell_of_the_table_of_first_hits_opens_its_queries():
    columns = make_columns(["a", "a", "b", "b"], domains=["x", "x", "y", "y"])
    split = make_split(columns, range(4), range(4), np.arange(4))
    embeddings = np.array([[1, 0], [0.9, 0.44], [0.95, 0.3], [-1, 0.1]], np.float32)
    found = finish(evaluate(split, l2_normalize(embeddings, 2), "m"))
    page = html.unescape(str(evaluation_report.report(Assessment(found, []), "g")))
    assert '{"domain": "y", "taken_by": "x"}' in page
    of_y = Part("y", taken_by="x").queries(found)
    assert split.queries[of_y].tolist() == [2, 3]
    assert Part("y", "b").items(split).tolist() == [2, 3]
    assert Part("y", "a").queries(found).sum() == 0
    (failure,) = (failed for failed in worst_queries(found, among=of_y) if failed.query == 3)
    alone = replace(failure, hits=[0, 1])
    assert missed(split, alone, columns.ids, embeddings, 2) == [2]
    assert missed(split, alone, columns.ids[:3], embeddings[:3], 2) == []  # the query went since
    assert missed(split, alone, columns.ids[[0, 1, 3]], embeddings[[0, 1, 3]], 2) == []


def test_figures_of_a_model_that_another_program_has_switched_say_so(gallery):
    library, name = Library(gallery.folder.parent), gallery.name
    context = AppContext(Settings(library=library.folder), library, gallery.embedder)
    context.ready.set()
    item_view = ItemView(context)
    with gr.Blocks():
        item_view.build()
        tab = EvaluateTab(context, item_view)
        tab.build()
    tab.begin(name, "auto", 0, False, 0, False, [])
    (job,) = context.jobs.of(context.owner)
    assert job.finished.wait(60)
    shown = tab.show_job(name, "")
    assert shown[tab.stale] == ""
    other = Library(library.folder)
    finish(other.use(name, make_model(gallery.embedder, "another")))
    assert "searched with &#39;another&#39; since" in tab.show_corrections(name, job.id, shown[tab.before])[tab.stale]
    finish(other.use(name, gallery.embedder))
    assert tab.show_corrections(name, job.id, shown[tab.before])[tab.stale] == ""


@pytest.mark.parametrize("public", [False, True])
def test_strangers_are_not_told_where_what_was_corrected_lies(public, gallery):
    """A table of all corrections is the owner's; of a gallery that is not there nothing is said."""
    with gallery.write() as writer:
        first, last = gallery.records(gallery.snapshot().columns.ids[[0, -1]])
        writer.correct([corrections.drop(first), corrections.relabel(last, "signs", "other")])
    library = Library(gallery.folder.parent)
    context = AppContext(Settings(library=library.folder, public=public), library, gallery.embedder)
    view = CorrectionsView(context)
    with gr.Blocks():
        view.build()
    said = failure_lists.corrections(gallery.corrections(), gallery.idle_corrections(), True)
    assert said.index(last.path) < said.index(first.path)  # what was left out can be taken back at once
    shown = view.show(gallery.name, 0)
    assert (f'href="corrections/{gallery.name}"' in shown[view.listed]) is not public
    assert any("/corrections/" in route.path for route in item_routes(context)) is not public
    assert view.show("not there", 0) == {view.place: gr.update(visible=False)}


def test_corrections_are_listed_part_by_part_and_all_taken_back(gallery, monkeypatch):
    monkeypatch.setattr(failure_lists, "LISTED", 2)
    with gallery.write() as writer:
        items = gallery.records(gallery.snapshot().columns.ids[:5])
        writer.correct([corrections.relabel(item, f"label {number}") for number, item in enumerate(items[:4])])
        writer.correct([corrections.drop(items[4])])
    library = Library(gallery.folder.parent)
    view = CorrectionsView(AppContext(Settings(library=library.folder), library, gallery.embedder))
    with gr.Blocks():
        view.build()
        view.wire(gr.Dropdown(), gr.HTML(), gr.State())
    seen = []
    for start, shown in ((0, 0), (2, 2), (4, 4), (6, 4)):  # of what went since, the last part is shown
        answer = view.show(gallery.name, start)
        assert answer[view.start] == shown
        assert [answer[part]["visible"] for part in (view.back, view.on)] == [shown > 0, shown < 4]
        assert f"Corrections {shown + 1} to {min(shown + 2, 5)} of 5." in answer[view.listed]
        seen += re.findall(r'data-item="(\d+)"', answer[view.listed]) if start < 6 else []
    assert len(set(seen)) == len(seen) == 5
    assert answer[view.of_all]["visible"]
    assert not answer[view.of_dropped]["visible"]
    assert "Take 5 corrections of" in view.ask_for_all(gallery.name)
    assert "Taken back: 5 corrections of" in view.undo_all(gallery.name)[view.notice]
    assert gallery.corrections() == []


def test_a_yes_is_an_answer_to_what_was_asked(gallery):
    """Not to what was said since, by which more would be taken back."""
    library, told = Library(gallery.folder.parent), []
    view = CorrectionsView(AppContext(Settings(library=library.folder), library, gallery.embedder))
    with gr.Blocks() as blocks:
        view.build()
        view.wire(gr.Dropdown(), gr.HTML(), gr.State())
    by_target = {target: block.fn for block in blocks.fns.values() for target in block.targets}
    ask, yes = (by_target[button._id, "click"] for button in (view.every.button, view.every.yes))
    items = gallery.records(gallery.snapshot().columns.ids[:5])

    def say(*some: Record) -> None:
        with gallery.write() as writer:
            writer.correct([corrections.relabel(item, "other") for item in some])

    def answer() -> None:
        asked = ask(gallery.name)
        told.append(asked[view.every.question])
        return asked[view.every.sentence], asked[view.every.about]

    say(*items[:2])
    late = answer()
    say(*items[2:])
    assert yes(*late, gallery.name)[view.every.otherwise] is True
    assert len(gallery.corrections()) == 5
    assert yes(*answer(), gallery.name)[view.every.otherwise] is False
    assert gallery.corrections() == []
    assert ["Take 2 corrections" in told[0], "Take 5 corrections" in told[1]] == [True, True]
