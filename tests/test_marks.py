"""Marks of hits as more, or less, like a query."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unifex.core.errors import UnifexError
from unifex.ui.components.marks import KINDS, Marks, marks_told


@given(st.lists(st.tuples(st.sampled_from(KINDS), st.lists(st.integers(1, 6), max_size=4))))
def test_the_last_mark_of_an_item_counts(said):
    marks, expected = Marks(), {}
    for kind, ids in said:
        marks = marks.add(kind, ids)
        expected.update(dict.fromkeys(ids, kind))
    for kind in KINDS:
        assert set(getattr(marks, kind)) == {item for item, last in expected.items() if last == kind}
        assert len(set(getattr(marks, kind))) == len(getattr(marks, kind))


def test_marks_count_for_the_query_they_were_made_about():
    marks = Marks("drawn", ("a.png",)).add("more", [3])
    assert marks.of("drawn", ("a.png",)) == marks
    assert not marks.of("drawn", ("b.png",))
    assert not marks.of("other", ("a.png",))


@pytest.mark.parametrize(
    "told",
    [
        "",
        "1",
        "[]",
        "null",
        '["most", "drawn", [1], ""]',
        '["more", "drawn", ["x"], ""]',
        '["more", "drawn", [1e999], ""]',
        f'["more", "drawn", [{2**63}], ""]',
    ],
)
def test_what_is_no_mark_is_refused(told):
    with pytest.raises(UnifexError, match="cannot be read"):
        marks_told(told)
    assert marks_told(json.dumps(["less", "drawn", [1, 2], ""])) == ("less", "drawn", [1, 2])
