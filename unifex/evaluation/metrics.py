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


MEASURES = tuple(field.name for field in fields(Metrics))


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95% interval; all NaN when nothing was counted."""

    value: float
    low: float
    high: float


def measure(right: np.ndarray, relevant: np.ndarray) -> Metrics:
    """Values of queries: ``right`` bool [Q, depth] says which hits are relevant, ``relevant`` [Q] how many items are.

    ``depth`` must reach max(5, relevant), or the whole index.
    """
    right, relevant = np.asarray(right, bool), np.asarray(relevant)
    if right.shape[1] < CUTOFF:
        right = np.pad(right, ((0, 0), (0, CUTOFF - right.shape[1])))
    none = relevant == 0
    rank = np.arange(1, right.shape[1] + 1)
    first = rank <= np.minimum(relevant, CUTOFF)[:, None]
    precision = np.cumsum(right, axis=1) / rank
    within = right & (rank <= relevant[:, None])
    least = np.maximum(relevant, 1)
    values = (
        (right & first).sum(1) / np.minimum(least, CUTOFF),
        right[:, :1].any(1).astype(float),
        right[:, :CUTOFF].any(1).astype(float),
        (precision * within).sum(1) / least,
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
    return _score(float(counted.mean()), resampled_means(counted, seed))


def mean_over_groups(values: np.ndarray, groups: np.ndarray, seed: int = 0) -> Estimate:
    """Mean of the means of groups (macro over domains); queries are drawn anew within each group."""
    counted = ~np.isnan(values)
    parts = [values[counted & (groups == group)] for group in np.unique(groups[counted])]
    if not parts:
        return Estimate(np.nan, np.nan, np.nan)
    drawn = np.mean([resampled_means(part, seed + number) for number, part in enumerate(parts)], axis=0)
    return _score(float(np.mean([part.mean() for part in parts])), drawn)


def _score(value: float, drawn: np.ndarray) -> Estimate:
    low, high = np.percentile(drawn, (LOW, HIGH))
    return Estimate(value, min(float(low), value), max(float(high), value))
