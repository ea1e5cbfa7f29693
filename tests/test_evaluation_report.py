"""The Evaluate tab's tables and lists as HTML."""

import numpy as np

from tests.support.splits import make_columns, make_split
from unifex.core.progress import finish
from unifex.core.vectors import l2_normalize
from unifex.data.item import Labels
from unifex.evaluation.compare import Assessment
from unifex.evaluation.evaluate import evaluate
from unifex.evaluation.failures import worst_queries
from unifex.gallery.gallery import Record
from unifex.ui.rendering import evaluation_report, failure_lists
from unifex.ui.rendering.cards import Card

LONG = "<b>" + "long " * 1000


def measured(labels, embeddings, queries=None):
    chosen = make_split(make_columns(labels), queries or range(len(labels)), range(len(labels)), np.arange(len(labels)))
    found = finish(evaluate(chosen, l2_normalize(np.array(embeddings, np.float32), 2), "m"))
    return found


def test_a_label_of_any_length_is_cut_in_tables_and_whole_on_hover():
    found = measured([LONG, LONG, "b", "b"], [[1, 0], [0.8, 0.6], [0.9, 0.44], [-1, 0.1]])
    page = evaluation_report.report(Assessment(found, []), "g")
    table = page[page.index("labels-table") :]
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
    shown = Card(Record(1, "u", "p", "0" * 64, Labels("a"), 1, 1, 1, ""), "drawn")
    page = failure_lists.worst([(failure, shown, [shown] * len(failure.hits))], editable=False)
    assert "0.00</strong> first hit wrong, and it alone counts" in " ".join(page.split())
    assert "✓" not in page
    assert "↓ too late" in page
