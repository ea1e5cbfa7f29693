"""Calibration: the probability that a hit of a similarity is right in one gallery, and from where on to trust a match.

Both come from the gallery's own labels. Items search for the others (right and wrong hits give the probability), and
search with everything of their own label taken away: what they then find best is what a query finds whose thing is not
in the gallery. A model tells classes that it was trained on better from others, so where enough of other classes is
there, only that stands for what it has never seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from unifex.core import derived
from unifex.core.arrays import sample
from unifex.core.derived import Origin
from unifex.core.errors import UnifexError
from unifex.core.language import say
from unifex.gallery.snapshot import Snapshot
from unifex.vector_index.exact import best_outside
from unifex.vector_index.matches import Exclusion, Matches

MAX_QUERIES = 2000
HITS_EACH = (10, 40, 160)
FEWEST_PAIRS = 20
FEWEST_UNKNOWN = 100  # queries of classes that the model was not trained on; fewer tell nothing of one in a hundred
PERCENTILES = 1000
STEPS = 50
RIDGE = 1e-6
_STORED_AS = {"out_of_gallery": "strangers", "in_gallery": "natives"}  # in calibration.json


class CalibrationError(UnifexError):
    """A gallery whose labels cannot tell right from wrong; the message says what is missing."""


@dataclass(frozen=True)
class Calibration:
    """Logistic fits and quantiles of the similarities (-1..1) that were found.

    ``hit``: slope and intercept of the probability that a hit is right; ``here``: that the query's thing is in the
    gallery, from its best similarity. ``out_of_gallery``: quantiles of the best similarity of queries whose label is
    not in the gallery, ``in_gallery``: of the right first hits of queries whose label is; of ``pairs`` hits.
    ``labelling`` (of the columns), ``neck_hash`` and ``dim`` say what was calibrated.
    """

    hit: tuple[float, float]
    here: tuple[float, float]
    out_of_gallery: tuple[float, ...]
    in_gallery: tuple[float, ...]
    pairs: int
    labelling: str
    neck_hash: str
    dim: int

    @property
    def fingerprint(self) -> tuple[str, str, int]:
        """Equal for equal calibrations of a gallery: its labelling, the neck, and the dimension."""
        return self.labelling, self.neck_hash, self.dim

    def probability(self, similarity: np.ndarray | float) -> np.ndarray:
        """Probability 0..1 that a hit of this cosine similarity is right."""
        return _logistic(self.hit, similarity)

    def probability_in_gallery(self, best_similarity: float) -> float:
        """Probability 0..1 that the gallery has the thing of a query, when as many have theirs here as have not."""
        return float(_logistic(self.here, best_similarity))

    def is_stranger(self, best_similarity: float) -> bool:
        """Whether a query's thing is probably not in the gallery: it is likelier not to be there, and the best hit
        likelier wrong than right. Where what is most alike says nothing of that, nothing is said."""
        elsewhere = self.here[0] > 0 and self.probability_in_gallery(best_similarity) < 0.5
        return elsewhere and float(self.probability(best_similarity)) < 0.5

    def threshold(self, false_accept_rate: float) -> float:
        """The similarity that only this share (0..1) of queries reaches whose thing is not in the gallery.

        Raises ``UnifexError`` for a share outside of that.
        """
        if not 0 < false_accept_rate < 1:
            raise UnifexError(
                say(
                    "false accepts must be between 0 and 100 %, not {false_accept_rate:g} %",
                    false_accept_rate=100 * false_accept_rate,
                )
            )
        return float(np.quantile(self.out_of_gallery, 1 - false_accept_rate))

    def kept(self, threshold: float) -> float:
        """The share (0..1) of right first hits that are at least this similar."""
        return float(np.mean(np.asarray(self.in_gallery) >= threshold))

    def write(self, path: Path, origin: Origin) -> None:
        """Keep it beside the embeddings."""
        derived.write_json(path, {_STORED_AS.get(name, name): value for name, value in asdict(self).items()}, origin)

    @classmethod
    def read(cls, path: Path, origin: Origin) -> Calibration | None:
        """What :meth:`write` wrote; None when there is none of this origin that is whole."""
        values = derived.read_json(path, origin)
        if values is None:
            return None
        stored: dict[str, Any] = {field.name: values[_STORED_AS.get(field.name, field.name)] for field in fields(cls)}
        tuples: dict[str, Any] = {name: tuple(value) for name, value in stored.items() if isinstance(value, list)}
        return cls(**stored | tuples)


def calibrate(snapshot: Snapshot, trained_on: Sequence[int] | np.ndarray = ()) -> Calibration:
    """Fit the snapshot's similarities. ``trained_on``: which of its classes the model has learned.

    Raises :class:`CalibrationError` when its labels do not suffice.
    """
    classes = snapshot.columns.classes
    labelled = classes >= 0
    if len(np.unique(classes[labelled])) < 2:
        raise CalibrationError(say("what similarity means is told from labels, and this gallery has not two of them"))
    queries = np.flatnonzero(labelled)
    queries = queries[sample(len(queries), MAX_QUERIES)]
    embeddings, mask = snapshot.embeddings[queries], None if labelled.all() else labelled
    matches, right = _judged_hits(snapshot, queries, mask)
    scores, found = matches.scores, matches.found
    new = ~np.isin(classes[queries], trained_on)
    new |= (new & right.any(1)).sum() < FEWEST_UNKNOWN  # classes of one image are no measure of what is there
    out_of_gallery = best_outside(embeddings[new], classes[queries[new]], snapshot.embeddings, classes, mask)
    in_gallery = right.any(1) & new
    best = np.concatenate([scores[in_gallery, 0], out_of_gallery])
    native = np.arange(len(best)) < in_gallery.sum()
    finite, hit = np.isfinite(best), fit_probability(scores[found], right[found])
    if hit[0] <= 0:
        raise CalibrationError(
            say(
                "what similarity means is told from right and wrong hits: right ones are no more alike here than "
                "wrong ones"
            )
        )
    return Calibration(
        hit=hit,
        here=fit_probability(best[finite], native[finite]),
        out_of_gallery=_quantiles(out_of_gallery),
        in_gallery=_quantiles(scores[right[:, 0], 0]),
        pairs=int(found.sum()),
        labelling=snapshot.columns.labelling,
        neck_hash=snapshot.neck_hash,
        dim=snapshot.embeddings.shape[1],
    )


def _judged_hits(snapshot: Snapshot, queries: np.ndarray, mask: np.ndarray | None) -> tuple[Matches, np.ndarray]:
    """What items find among the others, and bool [Q, w]: what of it is right. Raises :class:`CalibrationError`."""
    classes, wins, losses = snapshot.columns.classes, 0, 0
    for hits_each in HITS_EACH:  # labels that are told apart well have their wrong hits further down
        excluded = Exclusion.own(snapshot.columns.copies, queries, mask)
        matches = snapshot.index.search(snapshot.embeddings[queries], hits_each, excluded)
        right = matches.found & (classes[matches.positions] == classes[queries, None])
        wins, losses = right.sum(), (matches.found & ~right).sum()
        if min(wins, losses) >= FEWEST_PAIRS:
            return matches, right
        if losses >= FEWEST_PAIRS:
            break
    raise CalibrationError(
        say(
            "what similarity means is told from right and wrong hits: this gallery gives {wins} and "
            "{losses}, at least {fewest} of each are needed; add images of each label",
            wins=wins,
            losses=losses,
            fewest=FEWEST_PAIRS,
        )
    )


def _logistic(fitted: tuple[float, float], similarity: np.ndarray | float) -> np.ndarray:
    return 1 / (1 + np.exp(-(fitted[0] * np.asarray(similarity, np.float64) + fitted[1])))


def _quantiles(values: np.ndarray) -> tuple[float, ...]:
    values = values[np.isfinite(values)]
    if len(values) > PERCENTILES:
        values = np.quantile(values, np.linspace(0, 1, PERCENTILES + 1))
    return tuple(round(float(value), 6) for value in np.sort(values))


def fit_probability(similarities: np.ndarray, right: np.ndarray) -> tuple[float, float]:
    """Slope and intercept of the logistic probability, by Newton's method (Platt 1999, with his smoothed targets)."""
    wins, losses = right.sum(), (~right).sum()
    targets = np.where(right, (wins + 1) / (wins + 2), 1 / (losses + 2))
    similarities = similarities.astype(np.float64)
    design = np.column_stack([similarities, np.ones_like(similarities)])
    weights = np.zeros(2)
    for _ in range(STEPS):
        probability = 1 / (1 + np.exp(-design @ weights))
        gradient = design.T @ (probability - targets)
        curvature = design.T @ (design * (probability * (1 - probability))[:, None]) + RIDGE * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        weights -= step
        if np.abs(step).max() < 1e-9:
            break
    return float(weights[0]), float(weights[1])
