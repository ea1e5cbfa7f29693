"""A gallery teaches its neck: from labels to a saved model with an honest before and after.

Everything the new neck is compared with is measured on the same queries, whose classes it never saw.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import shutil
from collections.abc import Generator, Iterator
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock, Timeout

from unifex import training_data
from unifex.embedder import BUNDLED_MODELS, DEFAULT_DIM, Embedder, ModelConfig, ModelError
from unifex.evaluation import CHALLENGE_DIM, Evaluating, Evaluation, Trial, difference, evaluate, mmp5
from unifex.gallery import Gallery
from unifex.indexes import check_name
from unifex.measures import Score
from unifex.model_card import write_card
from unifex.neck import Neck, pca, truncate
from unifex.recipes import Recipe
from unifex.training_data import HoldOut, TrainingData
from unifex.views import Viewing, features_of_views
from unifex.writer import write_atomically

if TYPE_CHECKING:
    from unifex.training import Epoch, Samples

UNFINISHED = ".training"
WATCHED_QUERIES, WATCHED_ITEMS = 1000, 20_000
MOST_CHANGED = 12


@dataclass(frozen=True)
class Doing:
    """What is being done between epochs: ``done`` of ``total``."""

    what: str
    done: int
    total: int


@dataclass(frozen=True)
class Point:
    """One epoch on the training's curves, as :class:`unifex.training.Epoch` has it; ``scores``: mMP@5 of held-out
    queries by dimension, empty without any."""

    number: int
    total: int
    loss: float
    learning_rate: float
    seconds: float
    seconds_left: float
    scores: dict[int, float]


@dataclass(frozen=True)
class Changed:
    """A held-out query (position) with its hits (positions) and what of them is right, before and after."""

    query: int
    before: list[tuple[int, bool]]
    after: list[tuple[int, bool]]
    gain: float


@dataclass(frozen=True)
class Outcome:
    """A trained model and what it is worth. ``evaluations`` of raw features, PCA, the neck before and the new one, all
    of one trial; empty when nothing was held out. ``dim`` is what the gallery will be searched with."""

    model: str
    before: str
    dim: int
    neck: Neck
    recipe: Recipe
    data: TrainingData
    points: list[Point]
    seconds: float
    evaluations: list[Evaluation]

    def of(self, model: str, dim: int) -> Evaluation | None:
        """The evaluation of a model at a dimension, or at the only one it has."""
        own = [e for e in self.evaluations if e.model == model]
        return next((e for e in own if e.dim == dim), own[0] if len(own) == 1 else None)

    @cached_property
    def gain(self) -> Score | None:
        """mMP@5 of the new neck less that of the one before, on the same queries, at the gallery's dimension."""
        new, old = self.of(self.model, self.dim), self.of(self.before, self.dim)
        return difference(new, old) if new and old else None

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
            why = self.data.unmeasured or "nothing was held out"
            return f"Not measured: {why}. Look at your own searches before you rely on it."
        gain = f"{self.gain.value:+.3f} ({self.gain.low:+.3f} to {self.gain.high:+.3f})"
        return {
            "better": f"Use it: on classes it never saw, mMP@5 changes by {gain}.",
            "worse": f"Do not use it: on classes it never saw, mMP@5 changes by {gain}.",
            "no difference": f"Better keep '{self.before}': on classes it never saw, mMP@5 changes by {gain}, which "
            "may be chance. More classes, or more images a class, help most.",
        }[self.verdict]

    def changed(self, most: int = MOST_CHANGED) -> list[Changed]:
        """Queries whose score changed most, gains and losses, largest change first."""
        new, old = self.of(self.model, self.dim), self.of(self.before, self.dim)
        if not (new and old):
            return []
        gains = np.nan_to_num(new.measures.mmp5 - old.measures.mmp5)
        order = np.lexsort((np.arange(len(gains)), -np.abs(gains)))[:most]
        return [
            Changed(int(new.trial.queries[row]), _hits(old, row), _hits(new, row), float(gains[row]))
            for row in order
            if gains[row]
        ]

    def curves_csv(self) -> str:
        """A line an epoch: loss, learning rate, held-out mMP@5 by dimension."""
        text = io.StringIO()
        dims = list(self.points[0].scores) if self.points else []
        lines = csv.writer(text)
        lines.writerow(["epoch", "loss", "learning_rate", "seconds", *(f"held_out_mmp5_{dim}" for dim in dims)])
        for point in self.points:
            scores = [f"{value:.6f}" for value in point.scores.values()]
            figures = (f"{point.loss:.6f}", f"{point.learning_rate:.6g}", f"{point.seconds:.3f}")
            lines.writerow([point.number, *figures, *scores])
        return text.getvalue()

    def as_json(self, dim: int | None = None) -> dict[str, Any]:
        """As the command line gives it; ``before`` and ``after`` at ``dim`` (default: 64, else the gallery's)."""
        dim = dim or (CHALLENGE_DIM if CHALLENGE_DIM in self.neck.dims else self.dim)
        before, after = self.of(self.before, dim), self.of(self.model, dim)
        return {
            "model": self.model,
            "images": len(self.data.train),
            "classes": self.data.classes,
            "held_out_classes": self.data.held_out_classes,
            "epochs": self.points[-1].number if self.points else 0,
            "seconds": self.seconds,
            "loss": self.points[-1].loss if self.points else None,
            "before": before and before.as_json(),
            "after": after and after.as_json(),
            "compared": [_brief(e) for e in self.evaluations],
            "verdict": self.verdict,
            "gain": self.gain and {"dim": self.dim, "mmp5": self.gain.value, "ci95": [self.gain.low, self.gain.high]},
            "advice": self.advice,
        }


def _hits(evaluation: Evaluation, row: int) -> list[tuple[int, bool]]:
    hits = evaluation.hits[row]
    right = evaluation.trial.right(np.array([row]), hits[None])[0]
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


@dataclass(frozen=True)
class Order:
    """What was asked for, so that a stopped training can go on without being told again."""

    name: str
    gallery: str
    recipe: Recipe
    hold_out: HoldOut

    def write(self, models: Path) -> None:
        """Keep it beside the checkpoint."""
        path = models / UNFINISHED / f"{self.name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(asdict(self)).encode())

    @classmethod
    def read(cls, path: Path) -> Order | None:
        """None when it cannot be read, or is of another version of the program."""
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            recipe, hold_out = values["recipe"], values["hold_out"]
            recipe = Recipe(**{**recipe, "dims": tuple(recipe["dims"])})
            hold_out = HoldOut(**{**hold_out, "labels": tuple(hold_out["labels"])})
            return cls(values["name"], values["gallery"], recipe, hold_out)
        except (OSError, ValueError, TypeError, KeyError):
            return None


def unfinished(models: Path) -> list[Order]:
    """Trainings that were stopped or killed after an epoch at least and can go on, the last one first."""
    checkpoints = sorted((models / UNFINISHED).glob("*.pt"), key=lambda path: -path.stat().st_mtime)
    return [order for path in checkpoints if (order := Order.read(path.with_suffix(".json")))]


def _points_path(models: Path, name: str) -> Path:
    return models / UNFINISHED / f"{name}.points"


def points_so_far(models: Path, name: str) -> list[Point]:
    """The curves of a training that was stopped or killed; empty when there are none."""
    try:
        stored = json.loads(_points_path(models, name).read_text(encoding="utf-8"))
        scores = [{int(dim): value for dim, value in values["scores"].items()} for values in stored]
        return [Point(**{**values, "scores": own}) for values, own in zip(stored, scores)]
    except (OSError, ValueError, TypeError, KeyError):
        return []


def _point(epoch: Epoch, scores: dict[int, float]) -> Point:
    e = epoch
    return Point(e.number, e.total, e.loss, e.learning_rate, e.seconds, e.seconds_left, scores)


@contextlib.contextmanager
def right_to_train(models: Path, name: str, seconds: float = 0) -> Iterator[None]:
    """Only one training makes a model at a time, across processes; waits so long for another to end.

    Raises :class:`ModelError` when it did not.
    """
    (models / UNFINISHED).mkdir(parents=True, exist_ok=True)
    lock = FileLock(models / UNFINISHED / f"{name}.lock", timeout=seconds)
    try:
        lock.acquire()
    except Timeout:
        raise ModelError(f"model '{name}' is being trained in another tab or process; wait, or stop it there") from None
    try:
        yield
    finally:
        lock.release()


def check_model_name(models: Path, name: str) -> None:
    """Raises ``GalleryError`` for a name that no folder can have, :class:`ModelError` for one that is taken."""
    check_name(name, "model")
    if (BUNDLED_MODELS / name).exists() or (models / name).exists():
        raise ModelError(f"there is a model '{name}' already; choose another name")


def finetune(
    gallery: Gallery,
    name: str,
    recipe: Recipe = Recipe(),
    hold_out: HoldOut = HoldOut(),
    finish: bool = False,
) -> Iterator[Doing | Point | Outcome]:
    """Train a neck on a gallery's labels and save it as ``indexes/models/NAME``; yields an :class:`Outcome` last.

    A training that was stopped goes on when called again alike; with ``finish`` what it had reached is measured and
    saved instead. Raises ``GalleryError``, ``TrainingError`` or ``ModelError`` with what is missing.
    """
    models = gallery.folder.parent / "models"
    check_model_name(models, name)
    with right_to_train(models, name):
        yield from _finetune(gallery, models, name, recipe, hold_out, finish)


def _finetune(
    gallery: Gallery, models: Path, name: str, recipe: Recipe, hold_out: HoldOut, finish: bool
) -> Iterator[Doing | Point | Outcome]:
    from unifex import training  # imports torch, which a start of the app does without

    checkpoint = models / UNFINISHED / f"{name}.pt"
    data = training_data.choose(gallery, recipe, hold_out)
    Order(name, gallery.name, recipe, hold_out).write(models)
    samples = yield from _samples(gallery, data, recipe)
    current = gallery.embedder.neck
    features = gallery.features([sha256.decode() for sha256 in data.columns.hashes])
    dim = _gallery_dim(gallery, recipe)
    watched = data.trial and _sample(data.trial, recipe.seed)
    neck = training.reached(samples, recipe, checkpoint, current)
    points = points_so_far(models, name) if neck else []
    if neck is None or not finish:
        for epoch in training.fit(samples, recipe, current, checkpoint):
            neck = epoch.neck
            sizes = dict.fromkeys((recipe.dims[0], dim)) if watched else ()
            points.append(_point(epoch, {size: _watch(watched, features, neck, size) for size in sizes}))
            curves = json.dumps([asdict(point) for point in points]).encode()
            write_atomically(_points_path(models, name), curves, durable=False)
            yield points[-1]
    evaluations = yield from _compare(gallery, data, features, neck, name, dim)
    seconds = points[-1].seconds if points else 0.0
    outcome = Outcome(name, _before(gallery), dim, neck, recipe, data, points, seconds, evaluations)
    save(outcome, gallery.embedder, models / name)
    for file in (checkpoint, checkpoint.with_suffix(".json"), _points_path(models, name)):
        file.unlink(missing_ok=True)
    yield outcome


def _before(gallery: Gallery) -> str:
    """What the new neck is compared with: the gallery's model; without a neck, its raw features."""
    return "raw" if gallery.embedder.neck.kind == "identity" else gallery.config.model


def _gallery_dim(gallery: Gallery, recipe: Recipe) -> int:
    """What the gallery will be searched with: its own dimension if the new neck has it."""
    if gallery.config.dim in recipe.dims:
        return gallery.config.dim
    return max((d for d in recipe.dims if d <= DEFAULT_DIM), default=recipe.dims[0])


def _samples(gallery: Gallery, data: TrainingData, recipe: Recipe) -> Generator[Doing, None, Samples]:
    """Features and, if the recipe wants any, views of the training images."""
    from unifex.training import Samples

    hashes = [sha256.decode() for sha256 in data.columns.hashes[data.train]]
    views = None
    if recipe.views:
        records = gallery.records(data.columns.ids[data.train])
        for event in features_of_views(gallery, records, recipe.views):
            if isinstance(event, Viewing):
                yield Doing("crops and mirror images", event.done, event.total)
            else:
                views = event
    labels = np.unique(data.columns.classes[data.train], return_inverse=True)[1]
    return Samples(gallery.features(hashes), labels, data.columns.domains.codes[data.train], views)


def _sample(trial: Trial, seed: int) -> Trial:
    """So much of a trial as is scored after every epoch."""
    rng = np.random.default_rng(seed)

    def some(positions: np.ndarray, most: int) -> np.ndarray:
        return positions if len(positions) <= most else np.sort(rng.choice(positions, most, replace=False))

    queries = some(trial.queries, WATCHED_QUERIES)
    own = trial.items[np.isin(trial.columns.classes[trial.items], trial.columns.classes[queries])]
    items = np.union1d(own, some(trial.items, WATCHED_ITEMS))
    return replace(trial, queries=queries, items=items)


def _watch(trial: Trial, features: np.ndarray, neck: Neck, dim: int) -> float:
    rows = np.union1d(trial.queries, trial.items)
    embeddings = np.zeros((len(features), dim), np.float32)
    embeddings[rows] = neck.embed(features[rows], dim)
    return mmp5(trial, embeddings)


def _compare(
    gallery: Gallery, data: TrainingData, features: np.ndarray, neck: Neck, name: str, dim: int
) -> Generator[Doing, None, list[Evaluation]]:
    """Evaluations of raw features, PCA, the current neck and the new one: at 64-d, at the gallery's dimension, and of
    the new one at all that it has."""
    if data.trial is None:
        return []
    current, train = gallery.embedder.neck, features[data.train]
    sizes = sorted({CHALLENGE_DIM, dim})
    axes = [size for size in sizes if size < min(len(train), features.shape[1])]
    contenders = [("raw", lambda: truncate(features.astype(np.float32), features.shape[1]))]
    contenders += [("pca", lambda d=d: pca(train, (d,), whitening=0).embed(features, d)) for d in axes]
    contenders += [
        (gallery.config.model, lambda d=d: current.embed(features, d))
        for d in sorted({gallery.config.dim, *sizes})
        if d in current.dims and current.kind != "identity"
    ]
    contenders += [(name, lambda d=d: neck.embed(features, d)) for d in neck.dims]
    found = []
    for model, embed in contenders:
        for event in evaluate(data.trial, embed(), model):
            if isinstance(event, Evaluating):
                yield Doing(f"measuring {event.doing}", event.done, event.total)
        found.append(event)
    return found


def save(outcome: Outcome, embedder: Embedder, folder: Path, note: str = "") -> None:
    """Write the model: config.json, model.safetensors, README.md (its card, with a ``note`` on the data) and
    training.csv, at once or not at all."""
    own = [e for e in outcome.evaluations if e.model == outcome.model]
    scores = {str(e.dim): {"mmp5": round(e.overall().value, 4), "macro_mmp5": round(e.macro().value, 4)} for e in own}
    config = ModelConfig(
        name=folder.name,
        backbone=embedder.config.backbone,
        backbone_hash=embedder.config.backbone_hash,
        neck=outcome.neck.kind,
        dims=outcome.neck.dims,
        default_dim=outcome.dim,
        description=f"Trained on {len(outcome.data.train)} images of {outcome.data.classes} classes; scores on "
        f"{outcome.data.held_out_classes} classes that were not among them.",
        scores=scores,
        training={"recipe": asdict(outcome.recipe), "verdict": outcome.verdict},
    )
    made = folder.with_name(f".new-{folder.name}")
    shutil.rmtree(made, ignore_errors=True)
    Embedder(config, outcome.neck, backbone=embedder.backbone).save(made)
    (made / "training.csv").write_text(outcome.curves_csv(), encoding="utf-8")
    write_card(made / "README.md", outcome, embedder, note)
    made.rename(folder)
