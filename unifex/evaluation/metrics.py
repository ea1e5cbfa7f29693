"""The scores of one query, and the mean of many with its 95% interval. Arrays in, arrays out.

mMP@5 is the score of the Google Universal Image Embedding Challenge. With n relevant items in the index and
m = min(n, 5), a query's value is (relevant among its first m hits) / m. Recall@k is 1 when one of the first k hits is
relevant. mAP@R (Musgrave, Belongie, Lim: A Metric Learning Reality Check, 2020, section 3.2) is the mean over the first
R = n ranks of precision at that rank where the hit is relevant, and of 0 elsewhere. A query without a relevant item in
the index has no value (NaN) and counts in no mean.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

CUTOFF = 5
RESAMPLES = 2000
LOW, HIGH = 2.5, 97.5  # percentiles of a 95% interval


@dataclass(frozen=True)
class Metrics:
    """float64 [Q] each, 0..1, NaN where a query has no relevant item."""

    mmp5: np.ndarray
    recall1: np.ndarray
    recall5: np.ndarray
    map_r: np.ndarray

    @property
    def counted(self) -> np.ndarray:
        """bool [Q]: the queries that have a value."""
        return ~np.isnan(self.mmp5)


METRICS = tuple(field.name for field in fields(Metrics))


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95% interval; all NaN when nothing was counted."""

    value: float
    low: float
    high: float


def score(is_match: np.ndarray, relevant: np.ndarray) -> Metrics:
    """Values of queries: ``is_match`` bool [Q, depth] of their hits, best first; ``relevant`` [Q]: how many items are.

    ``depth`` must reach max(5, relevant), or the whole index.
    """
    is_match, relevant = np.asarray(is_match, bool), np.asarray(relevant)
    if is_match.shape[1] < CUTOFF:
        is_match = np.pad(is_match, ((0, 0), (0, CUTOFF - is_match.shape[1])))
    none = relevant == 0
    rank = np.arange(1, is_match.shape[1] + 1)
    first = rank <= np.minimum(relevant, CUTOFF)[:, None]
    precision = np.cumsum(is_match, axis=1) / rank
    within = is_match & (rank <= relevant[:, None])
    at_least_one = np.maximum(relevant, 1)
    values = (
        (is_match & first).sum(1) / np.minimum(at_least_one, CUTOFF),
        is_match[:, :1].any(1).astype(float),
        is_match[:, :CUTOFF].any(1).astype(float),
        (precision * within).sum(1) / at_least_one,
    )
    return Metrics(*(np.where(none, np.nan, value) for value in values))


def resampled_means(values: np.ndarray, seed: int = 0) -> np.ndarray:
    """Means of bootstrap resamples of ``values`` [n], float64 [2000] (Efron, Tibshirani 1993, chapter 13).

    Drawing n of n values with replacement is drawing how often each distinct value comes: a multinomial.
    """
    distinct, counts = np.unique(values, return_counts=True)
    draws = np.random.default_rng(seed).multinomial(len(values), counts / len(values), RESAMPLES)
    return draws @ distinct / len(values)


def mean(values: np.ndarray, seed: int = 0) -> Estimate:
    """Mean over the values [Q] that are not NaN, with the percentile interval over other draws of such queries."""
    counted = values[~np.isnan(values)]
    if not len(counted):
        return Estimate(np.nan, np.nan, np.nan)
    return _estimate(float(counted.mean()), resampled_means(counted, seed))


def mean_over_groups(values: np.ndarray, groups: np.ndarray) -> Estimate:
    """Mean of the means of groups (macro over domains); queries are drawn anew within each group."""
    counted = ~np.isnan(values)
    by_group = [values[counted & (groups == group)] for group in np.unique(groups[counted])]
    if not by_group:
        return Estimate(np.nan, np.nan, np.nan)
    drawn = np.mean([resampled_means(own, number) for number, own in enumerate(by_group)], axis=0)
    return _estimate(float(np.mean([own.mean() for own in by_group])), drawn)


def _estimate(value: float, drawn: np.ndarray) -> Estimate:
    low, high = np.percentile(drawn, (LOW, HIGH))
    return Estimate(value, min(float(low), value), max(float(high), value))
