import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unifex.evaluation import precision_at_5, summarise
from unifex.neck import truncate


def slow_precision_at_5(query, query_labels, index, index_labels) -> list[float]:
    scores = []
    for vector, label in zip(query, query_labels):
        relevant = sum(other == label for other in index_labels)
        if relevant == 0:
            scores.append(float("nan"))
            continue
        ranked = sorted(range(len(index)), key=lambda i: (-np.float32(vector @ index[i]), i))
        depth = min(relevant, 5)
        scores.append(sum(index_labels[i] == label for i in ranked[:depth]) / depth)
    return scores


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 30), st.integers(1, 60), st.integers(1, 8))
def test_against_the_definition(queries, items, labels):
    rng = np.random.default_rng(queries * 100 + items)
    query, index = (truncate(rng.standard_normal((n, 6)).astype(np.float32), 6) for n in (queries, items))
    query_labels, index_labels = rng.integers(0, labels + 2, queries), rng.integers(0, labels, items)
    ours = precision_at_5(query, query_labels, index, index_labels, block=7)
    assert ours == pytest.approx(slow_precision_at_5(query, query_labels, index, index_labels), nan_ok=True)


def test_a_worked_example():
    """Two relevant items: only the first two hits count. Seven relevant: five count. None: left out."""
    index = truncate(np.array([[1, 0.1 * i] for i in range(10)], np.float32), 2)
    index_labels = np.array(list("abaccccccc"))
    query = np.array([[1, 0]] * 3, np.float32)
    scores = precision_at_5(query, np.array(list("acz")), index, index_labels)
    # hits in order 0..9: a b a c c ... ; a: {a, b} -> 1/2; c: {a, b, a, c, c} -> 2/5
    assert scores[:2].tolist() == [0.5, 0.4]
    assert np.isnan(scores[2])
    result = summarise(scores, np.array(["x", "y", "y"]), 2)
    assert (result.queries, result.skipped) == (2, 1)
    assert result.mmp5 == pytest.approx(0.45)
    assert result.domains == {"x": 0.5, "y": 0.4}
    assert result.macro_mmp5 == pytest.approx(0.45)
