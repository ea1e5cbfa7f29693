"""A trained model and what it is worth: before and after on the same held-out queries, a verdict, advice."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from unifex.core.language import say, to_say
from unifex.core.tables import to_csv
from unifex.core.templates import render
from unifex.core.text import plural
from unifex.evaluation.evaluate import CHALLENGE_DIM
from unifex.evaluation.evaluation import Evaluation, difference
from unifex.evaluation.metrics import CUTOFF, Estimate
from unifex.models.adaptation import Adaptation
from unifex.models.neck import Neck
from unifex.training.config import TrainConfig
from unifex.training.held_out import TrainingData

MOST_CHANGED = 12


ADVICE = {  # by verdict
    "better": to_say("{use}: on {unseen}, mMP@5 changes by {change}."),
    "worse": to_say("Do not use it: on {unseen}, mMP@5 changes by {change}."),
    "no difference": to_say(
        "Better keep '{before}': on {unseen}, mMP@5 changes by {change}, which may be chance. More "
        "classes, or more images a class, help most."
    ),
}
UNSEEN = {  # by what is held out
    "classes": to_say("classes it never saw"),
    "images": to_say("images it never saw of classes it was taught"),
    "known": to_say("{classes} held out, {known} of which '{before}' was taught already"),
}


@dataclass(frozen=True)
class Worth:
    """What a new model is worth: how mMP@5 changes against ``before``, None where nothing was measured, for the reason
    in ``unmeasured``; on what, as :class:`TrainingData` has it. ``adapted``: its backbone is its own."""

    before: str
    gain: Estimate | None
    unmeasured: str
    held_out_classes: int
    held_out_images: int
    known: int
    adapted: bool

    @property
    def verdict(self) -> str:
        """``better``, ``worse``, ``no difference`` (the interval holds 0) or ``unmeasured``."""
        if self.gain is None:
            return "unmeasured"
        return "better" if self.gain.low > 0 else "worse" if self.gain.high < 0 else "no difference"

    @property
    def advice(self) -> str:
        """What to do with the model, in one sentence."""
        if self.gain is None:
            sentence = to_say("Not measured: {why}. Look at your own searches before you rely on it.")
            return say(sentence, why=self.unmeasured or say("nothing was held out"))
        change = say("{value:+.3f} ({low:+.3f} to {high:+.3f})", **vars(self.gain))
        use = say("Index anew with it") if self.adapted else say("Use it")
        held_out = "images" if self.held_out_images else "known" if self.known else "classes"
        classes = plural(self.held_out_classes, "class", "classes")
        unseen = say(UNSEEN[held_out], classes=classes, known=self.known, before=self.before)
        return say(ADVICE[self.verdict], use=use, before=self.before, change=change, unseen=unseen)


@dataclass(frozen=True)
class EpochMetrics:
    """One epoch on the training's curves, as :class:`unifex.training.loop.Epoch` has it; ``scores``: mMP@5 of held-out
    queries by dimension, empty without any."""

    number: int
    total: int
    loss: float
    learning_rate: float
    seconds: float
    scores: dict[int, float]


@dataclass(frozen=True)
class Changed:
    """A held-out query (position) with its hits (positions) and what of them is right, before and after.

    ``cutoff``: the score is of so many first hits.
    """

    query: int
    cutoff: int
    before: list[tuple[int, bool]]
    after: list[tuple[int, bool]]
    gain: float


@dataclass(frozen=True)
class TrainResult:
    """A trained model and what it is worth. ``evaluations`` of raw features, PCA, the neck before and the new one, all
    of one trial; empty when nothing was held out. The gallery is searched with ``before`` at ``before_dim``, and would
    be with ``model`` at ``dim``: these two are what the verdict compares. ``marks``: of the classes that were learned,
    and that were taught to what it went out from (:func:`trained_on.marks_of`).
    ``adaptation``: of the backbone, where its last blocks learned, too; then only galleries that are indexed with
    ``model`` can be searched with it."""

    model: str
    before: str
    before_dim: int
    dim: int
    neck: Neck
    config: TrainConfig
    data: TrainingData
    curve: list[EpochMetrics]
    seconds: float
    evaluations: list[Evaluation]
    adaptation: Adaptation | None = None
    marks: tuple[str, ...] = ()

    def __repr__(self) -> str:
        gain = f"mMP@5 {self.gain.value:+.3f}, " if self.gain else ""
        return f"TrainResult({self.model!r}, {self.dim}-d, from {self.before!r}, {gain}{self.verdict})"

    def _repr_html_(self) -> str:
        return render("notebook_evaluation.html", evaluations=self.evaluations, remark=self.advice)

    def of(self, model: str, dim: int) -> Evaluation | None:
        """The evaluation of a model at a dimension, or at the only one it has."""
        own = [e for e in self.evaluations if e.model == model]
        return next((e for e in own if e.dim == dim), own[0] if len(own) == 1 else None)

    @cached_property
    def gain(self) -> Estimate | None:
        """mMP@5 of the new neck less that of the one before, query by query, each at the dimension it serves at."""
        new, old = self.of(self.model, self.dim), self.of(self.before, self.before_dim)
        return difference(new, old) if new and old else None

    @cached_property
    def worth(self) -> Worth:
        """What the model is worth, which :attr:`verdict` and :attr:`advice` say."""
        data = self.data
        return Worth(
            self.before, self.gain, data.unmeasured, data.held_out_classes, data.held_out_images, data.known,
            adapted=bool(self.adaptation),
        )  # fmt: skip

    @property
    def verdict(self) -> str:
        """As :attr:`Worth.verdict`."""
        return self.worth.verdict

    @property
    def advice(self) -> str:
        """As :attr:`Worth.advice`."""
        return self.worth.advice

    def changed(self, most: int = MOST_CHANGED) -> list[Changed]:
        """Queries whose score changed most, gains and losses, largest change first."""
        new, old = self.of(self.model, self.dim), self.of(self.before, self.before_dim)
        if not (new and old):
            return []
        gains = np.nan_to_num(new.metrics.mmp5 - old.metrics.mmp5)
        order = np.lexsort((np.arange(len(gains)), -np.abs(gains)))[:most]
        cutoffs = np.minimum(new.split.relevant(), CUTOFF)
        return [
            Changed(int(new.split.queries[row]), int(cutoffs[row]), _hits(old, row), _hits(new, row), float(gains[row]))
            for row in order
            if gains[row]
        ]

    def curves_csv(self) -> str:
        """A line an epoch: loss, learning rate, held-out mMP@5 by dimension."""
        dims = list(self.curve[0].scores) if self.curve else []
        header = ["epoch", "loss", "learning_rate", "seconds", *(f"held_out_mmp5_{dim}" for dim in dims)]
        rows = [
            [point.number, f"{point.loss:.6f}", f"{point.learning_rate:.6g}", f"{point.seconds:.3f}",
             *(f"{value:.6f}" for value in point.scores.values())]
            for point in self.curve
        ]  # fmt: skip
        return to_csv(header, rows)

    def as_json(self, dim: int | None = None) -> dict[str, Any]:
        """As the command line gives it; ``before`` and ``after`` at ``dim`` (default: 64, else the gallery's)."""
        dim = dim or (CHALLENGE_DIM if CHALLENGE_DIM in self.neck.dims else self.dim)
        before, after = self.of(self.before, dim), self.of(self.model, dim)
        return {
            "model": self.model,
            "images": len(self.data.train),
            "classes": self.data.classes,
            "held_out_classes": self.data.held_out_classes,
            "held_out_images": self.data.held_out_images,
            "epochs": self.curve[-1].number if self.curve else 0,
            "seconds": self.seconds,
            "loss": self.curve[-1].loss if self.curve else None,
            "before": before and before.as_json(),
            "after": after and after.as_json(),
            "compared": [_brief(e) for e in self.evaluations],
            "verdict": self.verdict,
            "gain": self.gain and {"dim": self.dim, "mmp5": self.gain.value, "ci95": [self.gain.low, self.gain.high]},
            "advice": self.advice,
        }


def _hits(evaluation: Evaluation, row: int) -> list[tuple[int, bool]]:
    hits = evaluation.hits.positions[row]
    right = evaluation.split.is_match(np.array([row]), hits[None])[0]
    return [(int(hit), bool(r)) for hit, r in zip(hits, right) if hit >= 0]


def _brief(e: Evaluation) -> dict[str, Any]:
    score = e.overall()
    return {
        "model": e.model,
        "dim": e.dim,
        "mmp5": score.value,
        "ci95": [score.low, score.high],
        "macro_mmp5": e.macro().value,
    }
