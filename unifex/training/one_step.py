"""Teaching with few pictures: one step that is computed exactly, where many small ones would learn by heart.

A neck gives x = W f + b. A change D of W is sought with which every taught picture lands at its class's goal, while the
gallery's other pictures stay where they are, and so do pictures that nobody has shown yet:

    mean over classes of the mean over their pictures of |x + D z - goal|^2
    + staying / (n + STRANGERS) * (sum over n others of |D z|^2 + STRANGERS * SPREAD * variance * |D|^2)

z: a picture's features less the gallery's mean. A goal is ``pull`` times the mean x of a class less the mean of all
classes': what they have in common, others may have, too. It is a ridge regression (Hoerl, Kennard 1970), whose solution
is one linear system. Strangers lie in no direction in particular; they stand in for what the gallery does not hold yet.
Every output is solved for by itself, so each prefix of the embedding comes out as if it alone had been taught.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np

from unifex.core.arrays import sample
from unifex.models.feature_table import Features, blocks, part
from unifex.models.neck import Neck
from unifex.training.config import TrainConfig
from unifex.training.loop import Epoch, Learned
from unifex.training.samples import Samples

STRANGERS = 150
SPREAD = 10.0  # their variance to that of the gallery, which shows a few kinds of things alone
MAX_OTHERS = 20_000  # pictures; more take longer and hardly move the result
LEAST_STAYING = 1e-9  # with less, fewer pictures than features leave no single solution
BLOCK = 4096  # rows in memory as float64


def fit(samples: Samples, others: Features, config: TrainConfig, current: Neck) -> Iterator[Epoch]:
    """As :func:`unifex.training.loop.fit`, in one step from ``current``; ``others`` [M, D]: what is there besides.

    The loss is how far samples ended from where they were to land: squared, as a share of their squared length.
    """
    samples.check_finite()
    began = time.perf_counter()
    neck = teach(samples.features, samples.labels, others, current, config.pull, config.distillation)
    missed = _distance(samples.features, samples.labels, current, neck, config.pull)
    yield Epoch(1, 1, missed, 0.0, Learned(neck), time.perf_counter() - began, 0.0)


def teach(taught: Features, labels: np.ndarray, others: Features, neck: Neck, pull: float, staying: float) -> Neck:
    """``neck`` after the step, with its dimensions; the same pictures give the same neck.

    ``taught`` float [N, D] with ``labels`` int64 [N] from 0 without gaps; ``others`` float [M, D].
    """
    others = part(others, sample(len(others), MAX_OTHERS))
    sizes = np.bincount(labels)
    weights = 1 / (len(sizes) * sizes[labels])
    mean = (_total(taught) + _total(others)) / (len(taught) + len(others))
    own, classes = _second_moment(taught, mean, weights), _class_means(taught, labels) - mean
    around, known = _second_moment(others, mean, np.ones(len(others))), len(others) + STRANGERS
    variance = (np.trace(own) + np.trace(around)) / ((1 + len(others)) * len(mean))
    before, centre = neck.weight.astype(np.float64), neck.weight @ mean + neck.bias
    wanted = pull * classes.T @ ((classes - classes.mean(axis=0)) @ before.T) / len(sizes)
    missing = wanted - own @ before.T - np.outer(classes.mean(axis=0), centre)  # [D, out]
    holding = max(staying, LEAST_STAYING) / known * (around + STRANGERS * SPREAD * variance * np.eye(len(mean)))
    change = np.linalg.solve(own + holding, missing).T
    bias = neck.bias - change @ mean
    return Neck("linear", (before + change).astype(np.float32), bias.astype(np.float32), neck.dims)


def _distance(taught: Features, labels: np.ndarray, before: Neck, after: Neck, pull: float) -> float:
    classes = _class_means(taught, labels)
    goals = pull * (classes - classes.mean(axis=0)) @ before.weight.T
    missed = length = 0.0
    for rows, block in blocks(taught, BLOCK):
        outputs = block.astype(np.float64) @ after.weight.T + after.bias
        missed += float(np.square(outputs - goals[labels[rows]]).sum())
        length += float(np.square(outputs).sum())
    return missed / max(length, 1e-12)


def _total(features: Features) -> np.ndarray:
    total = np.zeros(features.shape[1])
    for _, block in blocks(features, BLOCK):
        total += block.astype(np.float64).sum(axis=0)
    return total


def _class_means(features: Features, labels: np.ndarray) -> np.ndarray:
    """Float64 [C, D]."""
    totals = np.zeros((labels.max() + 1, features.shape[1]))
    for rows, block in blocks(features, BLOCK):
        np.add.at(totals, labels[rows], block.astype(np.float64))
    return totals / np.bincount(labels)[:, None]


def _second_moment(features: Features, mean: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Sum of weighted outer products around ``mean``, float64 [D, D]."""
    moment = np.zeros((len(mean), len(mean)))
    for rows, block in blocks(features, BLOCK):
        centred = block.astype(np.float64) - mean
        moment += (centred.T * weights[rows]) @ centred
    return moment
