"""What a similarity means in one gallery: the chance that a hit is right, and from where on a match can be trusted.

Both come from the gallery's own labels. Items search for the others (right and wrong hits give the chance), and search
with everything of their own label taken away: what they then find best is what a query finds whose thing is not here.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from unifex.core import derived
from unifex.core.derived import Origin
from unifex.core.errors import UnifexError
from unifex.gallery.snapshot import Snapshot
from unifex.vector_index.exact import EVERYTHING
from unifex.vector_index.matches import Exclusion

MAX_QUERIES = 2000
HITS_EACH = (10, 40, 160)
FEWEST_PAIRS = 20
PERCENTILES = 1000
STEPS = 50
RIDGE = 1e-6


class CalibrationError(UnifexError):
    """A gallery whose labels cannot tell right from wrong; the message says what is missing."""


@dataclass(frozen=True)
class Calibration:
    """``hit``: slope and intercept of the chance that a hit is right; ``here``: of the chance that the query's thing is
    in the gallery, from its best similarity. ``strangers``: quantiles of the best similarity of queries whose label is
    not in the gallery, ``natives``: of the right first hits of queries whose label is. ``labelling`` (of the columns),
    ``neck_hash`` and ``dim`` say what was calibrated."""

    hit: tuple[float, float]
    here: tuple[float, float]
    strangers: tuple[float, ...]
    natives: tuple[float, ...]
    pairs: int
    labelling: str
    neck_hash: str
    dim: int

    @property
    def fingerprint(self) -> tuple[str, str, int]:
        """Equal for equal calibrations of a gallery: its labelling, the neck, and the dimension."""
        return self.labelling, self.neck_hash, self.dim

    def chance(self, similarity: np.ndarray | float) -> np.ndarray:
        """Chance 0..1 that a hit of this cosine similarity is right."""
        return _logistic(self.hit, similarity)

    def chance_here(self, best_similarity: float) -> float:
        """Chance 0..1 that the gallery has the thing of a query, when as many queries have theirs here as have not."""
        return float(_logistic(self.here, best_similarity))

    def threshold(self, false_accepts: float) -> float:
        """The similarity that only this share (0..1) of queries reaches whose thing is not in the gallery."""
        if not 0 < false_accepts < 1:
            raise UnifexError(f"false accepts must be between 0 and 100 %, not {100 * false_accepts:g} %")
        return float(np.quantile(self.strangers, 1 - false_accepts))

    def kept(self, threshold: float) -> float:
        """The share (0..1) of right first hits that are at least this similar."""
        return float(np.mean(np.asarray(self.natives) >= threshold))

    def write(self, path: Path, origin: Origin) -> None:
        """Keep it beside the embeddings."""
        derived.write_json(path, asdict(self), origin)

    @classmethod
    def read(cls, path: Path, origin: Origin) -> Calibration | None:
        """What :meth:`write` wrote; None when there is none of this origin that is whole."""
        values = derived.read_json(path, origin)
        return values and cls(**{n: tuple(value) if isinstance(value, list) else value for n, value in values.items()})


def calibrate(snapshot: Snapshot) -> Calibration:
    """Fit the snapshot's similarities. Raises :class:`CalibrationError` when its labels do not suffice."""
    classes, copies = snapshot.columns.classes, snapshot.columns.copies
    labelled = classes >= 0
    if len(np.unique(classes[labelled])) < 2:
        raise CalibrationError("what similarity means is told from labels, and this gallery has not two of them")
    queries = np.flatnonzero(labelled)
    if len(queries) > MAX_QUERIES:
        queries = np.sort(np.random.default_rng(0).choice(queries, MAX_QUERIES, replace=False))
    embeddings, mask = snapshot.embeddings[queries], None if labelled.all() else labelled
    for hits_each in HITS_EACH:  # labels that are told apart well have their wrong hits further down
        matches = snapshot.index.search(embeddings, hits_each, Exclusion.own(copies, queries, mask))
        found, scores = matches.found, matches.scores
        right = found & (classes[matches.positions] == classes[queries, None])
        if (found & ~right).sum() >= FEWEST_PAIRS:
            break
    if right.sum() < FEWEST_PAIRS or (found & ~right).sum() < FEWEST_PAIRS:
        raise CalibrationError(
            f"what similarity means is told from right and wrong hits: this gallery gives {right.sum()} and "
            f"{(found & ~right).sum()}, at least {FEWEST_PAIRS} of each are needed; add images of each label"
        )
    alone = snapshot.index.search(embeddings, 1, Exclusion.own(classes, queries, mask), budget=EVERYTHING)
    strangers = alone.scores[:, 0]
    best = np.concatenate([scores[right.any(1), 0], strangers])
    native = np.arange(len(best)) < right.any(1).sum()
    return Calibration(
        fit_chance(scores[found], right[found]), fit_chance(best[np.isfinite(best)], native[np.isfinite(best)]),
        _quantiles(strangers), _quantiles(scores[right[:, 0], 0]), int(found.sum()),
        snapshot.columns.labelling, snapshot.neck_hash, snapshot.embeddings.shape[1],
    )  # fmt: skip


def _logistic(fitted: tuple[float, float], similarity: np.ndarray | float) -> np.ndarray:
    return 1 / (1 + np.exp(-(fitted[0] * np.asarray(similarity, np.float64) + fitted[1])))


def _quantiles(values: np.ndarray) -> tuple[float, ...]:
    values = values[np.isfinite(values)]
    if len(values) > PERCENTILES:
        values = np.quantile(values, np.linspace(0, 1, PERCENTILES + 1))
    return tuple(round(float(value), 6) for value in np.sort(values))


def fit_chance(similarities: np.ndarray, right: np.ndarray) -> tuple[float, float]:
    """Slope and intercept of the logistic chance, by Newton's method (Platt 1999, with his smoothed targets)."""
    wins, losses = right.sum(), (~right).sum()
    targets = np.where(right, (wins + 1) / (wins + 2), 1 / (losses + 2))
    similarities = similarities.astype(np.float64)
    design = np.column_stack([similarities, np.ones_like(similarities)])
    weights = np.zeros(2)
    for _ in range(STEPS):
        chance = 1 / (1 + np.exp(-design @ weights))
        gradient = design.T @ (chance - targets)
        curvature = design.T @ (design * (chance * (1 - chance))[:, None]) + RIDGE * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        weights -= step
        if np.abs(step).max() < 1e-9:
            break
    return float(weights[0]), float(weights[1])
