import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unifex.evaluation import metrics

RIGHT = st.lists(st.lists(st.booleans(), min_size=12, max_size=12), min_size=1, max_size=8)


def test_a_worked_example():
    """Two relevant: only the first two hits count. Seven relevant: five count. None: left out."""
    hits = np.array([list("abaccccccc")] * 3)
    right = hits == np.array([["a"], ["c"], ["z"]])
    found = metrics.score(right, np.array([2, 7, 0]))
    assert found.mmp5[:2].tolist() == [1 / 2, 2 / 5]  # a b | a b a c c
    assert found.recall1[:2].tolist() == [1, 0]
    assert found.recall5[:2].tolist() == [1, 1]
    assert found.map_r[0] == pytest.approx((1 / 1) / 2)  # R = 2: a is right at 1, b wrong at 2
    assert found.map_r[1] == pytest.approx((1 / 4 + 2 / 5 + 3 / 6 + 4 / 7) / 7)  # R = 7: right at 4, 5, 6, 7
    assert all(np.isnan(getattr(found, name)[2]) for name in metrics.METRICS)
    assert found.counted.tolist() == [True, True, False]


@given(RIGHT)
def test_bounds_and_order(rows):
    right = np.array(rows)
    relevant = np.maximum(right.sum(1), 1)
    found = metrics.score(right, relevant)
    for name in metrics.METRICS:
        assert ((getattr(found, name) >= 0) & (getattr(found, name) <= 1)).all()
    best = metrics.score(np.arange(12) < relevant[:, None], relevant)
    worst = metrics.score(np.zeros_like(right), relevant)
    for name in metrics.METRICS:
        assert (getattr(best, name) == 1).all()
        assert (getattr(worst, name) == 0).all()
    assert (found.recall5 >= found.recall1).all()


def test_an_index_smaller_than_five():
    found = metrics.score(np.array([[True, False]]), np.array([2]))
    assert found.mmp5.tolist() == [0.5]


def test_intervals_cover_the_truth_in_a_simulation():
    """The mean of the population lies in 95 % of the intervals of samples drawn from it."""
    rng = np.random.default_rng(0)
    population = np.array([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    chances = np.array([0.2, 0.1, 0.05, 0.05, 0.1, 0.5])
    truth = population @ chances
    covered = 0
    for split in range(400):
        score = metrics.mean(rng.choice(population, 150, p=chances), seed=split)
        covered += score.low <= truth <= score.high
    assert 0.92 <= covered / 400 <= 0.98


def test_resampling_distinct_values_is_the_bootstrap():
    """Against drawing with replacement, one value after the other."""
    values = np.random.default_rng(1).choice([0, 0.25, 1.0], 80)
    plain = np.random.default_rng(2).choice(values, (4000, 80)).mean(axis=1)
    ours = metrics.resampled_means(values)
    assert ours.mean() == pytest.approx(plain.mean(), abs=0.005)
    assert ours.std() == pytest.approx(plain.std(), rel=0.07)
    assert np.percentile(ours, [2.5, 97.5]) == pytest.approx(np.percentile(plain, [2.5, 97.5]), abs=0.02)


def test_means_leave_out_what_has_no_value():
    values = np.array([1, np.nan, 0, 1.0])
    assert metrics.mean(values).value == pytest.approx(2 / 3)
    groups = np.array(["x", "x", "y", "y"])
    assert metrics.mean_over_groups(values, groups).value == pytest.approx((1 + 0.5) / 2)
    assert np.isnan(metrics.mean(np.array([np.nan])).value)
    assert np.isnan(metrics.mean_over_groups(np.array([np.nan]), np.array(["x"])).low)
    assert metrics.mean(np.ones(5)) == metrics.Estimate(1.0, 1.0, 1.0)
