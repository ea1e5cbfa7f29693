"""A gallery teaches its neck: from labels to a saved model with an honest before and after.

Everything the new neck is compared with is measured on the same queries, whose classes it never saw.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from unifex.core import progress
from unifex.core.files import new_folder
from unifex.core.progress import Step, Work
from unifex.core.vectors import l2_normalize
from unifex.evaluation.evaluate import CHALLENGE_DIM, evaluate, mmp5
from unifex.evaluation.evaluation import Evaluation
from unifex.evaluation.splits import QueryIndexSplit
from unifex.gallery.gallery import Gallery, GalleryError
from unifex.gallery.library import check_name
from unifex.models.embedder import BUNDLED_MODELS, DEFAULT_DIM, Embedder, ModelConfig, ModelError
from unifex.models.feature_table import BLOCK_ROWS, Features, FeatureTable, part
from unifex.models.neck import Neck, pca
from unifex.training.augment import features_of_views
from unifex.training.config import TrainConfig
from unifex.training.distributed import ALONE, Processes
from unifex.training.held_out import HoldOut, TrainingData, divide
from unifex.training.model_card import write_card
from unifex.training.result import EpochMetrics, TrainResult
from unifex.training.resume import UNFINISHED, TrainJob, forget, points_so_far, right_to_train, write_points

if TYPE_CHECKING:
    from unifex.training.loop import Epoch
    from unifex.training.samples import Samples

WATCHED_QUERIES, WATCHED_ITEMS = 1000, 20_000
MEMORY_SHARE = 0.5  # of this computer's, for features


def check_model_name(models: Path, name: str) -> None:
    """Raises ``GalleryError`` for a name that no folder can have, :class:`ModelError` for one that is taken."""
    check_name(name, "model")
    if (BUNDLED_MODELS / name).exists() or (models / name).exists():
        raise ModelError(f"there is a model '{name}' already; choose another name")


def finetune(
    gallery: Gallery,
    name: str,
    recipe: TrainConfig = TrainConfig(),
    hold_out: HoldOut = HoldOut(),
    finish: bool = False,
    from_disk: bool | None = None,
    processes: Processes = ALONE,
    on_epoch: Callable[[EpochMetrics], None] = lambda metrics: None,
) -> Work[TrainResult | None]:
    """Train a neck on a gallery's labels and save it as ``indexes/models/NAME``.

    A training that was stopped goes on when called again alike; with ``finish`` what it had reached is measured and
    saved instead. ``from_disk``: features are read in every epoch; None: where they would take more than half the
    memory. Of several ``processes`` the first measures, saves and has a result. ``on_epoch`` is called once an epoch is
    kept, and what it raises ends the training there. Raises ``GalleryError``, ``TrainingError`` or ``ModelError`` with
    what is missing.
    """
    models = gallery.folder.parent / "models"
    check_model_name(models, name)
    if finish and processes.first:  # there is nothing that others could help with
        processes = ALONE
    if not processes.first:
        if not finish:
            _help(gallery, models, name, recipe, hold_out, from_disk, processes)
        return None
    with right_to_train(models, name):
        return (yield from _finetune(gallery, models, name, recipe, hold_out, finish, from_disk, processes, on_epoch))


def _help(
    gallery: Gallery,
    models: Path,
    name: str,
    recipe: TrainConfig,
    hold_out: HoldOut,
    from_disk: bool | None,
    processes: Processes,
) -> None:
    """Take part in the training of the first process."""
    from unifex.training import loop

    data = divide(gallery, recipe, hold_out)
    features = _features(gallery, data, from_disk)
    processes.wait()  # for the views, which it keeps with the gallery
    samples = progress.finish(_samples(gallery, data, recipe, features))
    for _ in loop.fit(samples, recipe, gallery.embedder.neck, models / UNFINISHED / f"{name}.pt", processes):
        pass


def _finetune(
    gallery: Gallery,
    models: Path,
    name: str,
    recipe: TrainConfig,
    hold_out: HoldOut,
    finish: bool,
    from_disk: bool | None,
    processes: Processes,
    on_epoch: Callable[[EpochMetrics], None],
) -> Work[TrainResult]:
    from unifex.training import loop

    checkpoint = models / UNFINISHED / f"{name}.pt"
    data = divide(gallery, recipe, hold_out)
    TrainJob(name, gallery.name, recipe, hold_out).write(models)
    features = _features(gallery, data, from_disk)
    samples = yield from _samples(gallery, data, recipe, features)
    processes.wait()
    current, dim = gallery.embedder.neck, _gallery_dim(gallery, recipe)
    watched = data.split and _sample(data.split, recipe.seed)
    sizes = dict.fromkeys((recipe.dims[0], dim)) if watched else ()
    points, neck, earlier = points_so_far(models, name), None, None
    for epoch in () if finish else loop.fit(samples, recipe, current, checkpoint, processes):
        neck = epoch.neck
        if earlier is None:  # what was on the curves when it was stopped; nothing when it starts anew
            points = [point for point in points if point.number < epoch.number]
            earlier = points[-1].seconds if points else 0.0
        scores = {size: _watch(watched, features, neck, size) for size in sizes}
        points.append(_point(epoch, scores, earlier))
        write_points(models, name, points)
        on_epoch(points[-1])
        yield Step(f"epoch {epoch.number}", epoch.number, epoch.total, "", epoch.seconds_left, _note(points[-1]))
    neck = neck or loop.reached(samples, recipe, checkpoint, current)
    if neck is None:
        raise ModelError(f"no stopped training '{name}' of this data and recipe, from this neck; train it again")
    evaluations = yield from _compare(gallery, data, features, neck, name, dim)
    seconds = points[-1].seconds if points else 0.0
    before = "raw" if current.kind == "identity" else gallery.config.model
    outcome = TrainResult(
        name, before, gallery.config.dim, dim, neck, recipe, data, points, seconds, evaluations
    )  # fmt: skip
    save(outcome, gallery.embedder, models / name)
    forget(models, name)
    return outcome


def _point(epoch: Epoch, scores: dict[int, float], earlier: float) -> EpochMetrics:
    """``earlier``: seconds that were spent before it was stopped."""
    e = epoch
    return EpochMetrics(e.number, e.total, e.loss, e.learning_rate, earlier + e.seconds, scores)


def _note(metrics: EpochMetrics) -> str:
    scores = ", ".join(f"{dim}-d {value:.3f}" for dim, value in metrics.scores.items())
    return f"loss {metrics.loss:.3f} · " + (f"held-out mMP@5: {scores}" if scores else "nothing is held out")


def _gallery_dim(gallery: Gallery, recipe: TrainConfig) -> int:
    """What the gallery will be searched with: its own dimension if the new neck has it."""
    if gallery.config.dim in recipe.dims:
        return gallery.config.dim
    return max((d for d in recipe.dims if d <= DEFAULT_DIM), default=recipe.dims[0])


def _features(gallery: Gallery, data: TrainingData, from_disk: bool | None) -> Features:
    """Of all items, in memory where they leave enough of it."""
    hashes = [sha256.decode() for sha256 in data.columns.hashes]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    needed = len(hashes) * gallery.embedder.backbone.feature_dim * np.dtype(np.float16).itemsize
    if from_disk or (from_disk is None and needed > MEMORY_SHARE * memory):
        return gallery.feature_table(hashes)
    return gallery.features(hashes)


def _samples(gallery: Gallery, data: TrainingData, recipe: TrainConfig, features: Features) -> Work[Samples]:
    """Features and, if the recipe wants any, views of the training images."""
    from unifex.training.samples import Samples

    views = None
    if recipe.views and isinstance(features, FeatureTable):
        raise GalleryError("crops and mirror images are trained on in memory only: set views to 0 (--views 0)")
    if recipe.views:
        records = gallery.records(data.columns.ids[data.train])
        views = yield from features_of_views(gallery, records, recipe.views)
    labels = np.unique(data.columns.classes[data.train], return_inverse=True)[1]
    return Samples(part(features, data.train), labels, data.columns.domains.codes[data.train], views)


def _sample(split: QueryIndexSplit, seed: int) -> QueryIndexSplit:
    """So much of a trial as is scored after every epoch."""
    rng = np.random.default_rng(seed)

    def some(positions: np.ndarray, most: int) -> np.ndarray:
        return positions if len(positions) <= most else np.sort(rng.choice(positions, most, replace=False))

    queries = some(split.queries, WATCHED_QUERIES)
    own = split.items[np.isin(split.columns.classes[split.items], split.columns.classes[queries])]
    items = np.union1d(own, some(split.items, WATCHED_ITEMS))
    return replace(split, queries=queries, items=items)


def _watch(split: QueryIndexSplit, features: Features, neck: Neck, dim: int) -> float:
    return mmp5(split, _embeddings(split, features, lambda rows: neck.embed(rows, dim), dim))


def _embeddings(
    split: QueryIndexSplit, features: Features, embed: Callable[[np.ndarray], np.ndarray], dim: int
) -> np.ndarray:
    """float32 [N, dim] of all items; zeros for those that have no part in the trial."""
    embeddings = np.zeros((len(features), dim), np.float32)
    taking_part = np.union1d(split.queries, split.items)
    for start in range(0, len(taking_part), BLOCK_ROWS):
        rows = taking_part[start : start + BLOCK_ROWS]
        embeddings[rows] = embed(features[rows])
    return embeddings


def _compare(
    gallery: Gallery, data: TrainingData, features: Features, neck: Neck, name: str, dim: int
) -> Work[list[Evaluation]]:
    """Evaluations of raw features, PCA, the current neck and the new one: at 64-d, at the gallery's dimension, and of
    the new one at all that it has."""
    if data.split is None:
        return []
    current, train, width = gallery.embedder.neck, part(features, data.train), features.shape[1]
    sizes = sorted({CHALLENGE_DIM, dim})
    axes = [size for size in sizes if size < min(len(train), width)]
    contenders = [("raw", width, lambda rows: l2_normalize(rows.astype(np.float32), width))]
    contenders += [("pca", d, partial(pca(train, (d,), whitening=0).embed, dim=d)) for d in axes]
    contenders += [
        (gallery.config.model, d, partial(current.embed, dim=d))
        for d in sorted({gallery.config.dim, *sizes})
        if d in current.dims and current.kind != "identity"
    ]
    contenders += [(name, d, partial(neck.embed, dim=d)) for d in neck.dims]
    found = []
    for model, size, embed in contenders:
        found.append((yield from evaluate(data.split, _embeddings(data.split, features, embed, size), model)))
    return found


def save(outcome: TrainResult, embedder: Embedder, folder: Path, note: str = "") -> None:
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
    with new_folder(folder) as made:
        Embedder(config, outcome.neck, backbone=embedder.backbone).save(made)
        (made / "training.csv").write_text(outcome.curves_csv(), encoding="utf-8")
        write_card(made / "README.md", outcome, embedder, note)
