"""What a page keeps between two events, as it is told and tells of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unifex.core.errors import UnifexError
from unifex.ui.components.basic import further_told, item_told
from unifex.ui.components.chosen import chosen_told
from unifex.ui.components.failures_view import part_told
from unifex.ui.components.marks import marks_told
from unifex.ui.page_state import Selection
from unifex.ui.view import View

IDS = st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=5).map(tuple)


@given(st.builds(Selection, st.text(max_size=20), IDS))
def test_chosen_items_are_read_as_they_are_told(chosen):
    assert Selection.told(chosen.as_json()) == chosen


def test_nothing_chosen_is_nothing_said():
    assert Selection().as_json() == Selection("g").as_json() == ""
    assert Selection.told("") == Selection.told('["", [], "", 3]') == Selection()


@pytest.mark.parametrize(
    "told",
    [
        "x",
        "1",
        "null",
        '["g"]',
        '["g", 5]',
        '["g", [-1]]',
        f'["g", [{2**63}]]',
        '["g", [1e999]]',
        '["g", [[]]]',
        "[" * 9999,
    ],
)
def test_what_is_no_choice_is_refused_in_words(told):
    with pytest.raises(UnifexError, match="cannot be read"):
        Selection.told(told)


SIGNALS = [item_told, further_told, marks_told, chosen_told, part_told, Selection.told, View.parse]


@pytest.mark.parametrize("signal", SIGNALS, ids=lambda signal: signal.__qualname__)
@pytest.mark.parametrize("text", ["[", "1", "[1]", "[[], [[]], [], [], [], []]", "[" * 100_000, '{"a":' * 100_000])
def test_what_a_page_never_tells_is_refused_in_words(signal, text):
    """Whatever a stranger sends in its place, however deeply it is nested."""
    with pytest.raises(UnifexError):
        signal(text)
