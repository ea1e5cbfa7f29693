"""A gallery teaches its neck, alone or with late blocks of its backbone: from labels to a saved model with an honest
before and after.

Everything the new neck is compared with is measured on the same queries, whose classes it never saw.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from unifex.core import progress
from unifex.core.language import say, to_say
from unifex.core.progress import Step, Work
from unifex.core.system import memory_bytes
from unifex.core.vectors import l2_normalize
from unifex.evaluation.compare import BASELINES, PCA, RAW
from unifex.evaluation.evaluate import CHALLENGE_DIM, evaluate, mmp5
from unifex.evaluation.splits import QueryIndexSplit
from unifex.gallery.folder_names import check_name
from unifex.gallery.gallery import Gallery, GalleryError
from unifex.models.embedder import BUNDLED_MODELS, DEFAULT_DIM, ModelError
from unifex.models.feature_table import BLOCK_ROWS, Features, FeatureTable, part
from unifex.models.neck import Neck, pca
from unifex.models.trained_on import classes_of, marks_of
from unifex.training.augment import augmented_features
from unifex.training.config import TrainConfig
from unifex.training.deep import adapted_table, late_samples, train_neck_anew
from unifex.training.distributed import SINGLE, Processes
from unifex.training.held_out import HoldOut, TrainingData, divide, marks_of_start
from unifex.training.result import EpochMetrics, TrainResult
from unifex.training.resume import (
    CHECKPOINTS,
    TrainJob,
    delete_checkpoint,
    maps_path,
    read_curve,
    training_lock,
    write_curve,
)
from unifex.training.saved_model import save

if TYPE_CHECKING:
    from unifex.training.loop import Epoch, Learned
    from unifex.training.samples import Samples

WATCHED_QUERIES, WATCHED_ITEMS = 1000, 20_000
DEEPLY_WATCHED_ITEMS = 2000  # each is looked at anew
MEMORY_SHARE = 0.5  # of this computer's, for features
BEGUN_ANEW = to_say("begun anew: the data or the recipe changed since it was stopped, or what was kept is damaged")


def check_model_name(models: Path, name: str) -> str:
    """``name`` as a model is called. Raises ``GalleryError`` for one that no folder can have, :class:`ModelError` for
    one that is taken, be it by what models are compared with."""
    name = check_name(name, to_say("model"))
    if name in BASELINES:
        raise ModelError(say("'{name}' is what models are compared with; choose another name", name=name))
    if (BUNDLED_MODELS / name).exists() or (models / name).exists():
        raise ModelError(say("there is a model '{name}' already; choose another name", name=name))
    return name


def train(
    gallery: Gallery,
    name: str,
    config: TrainConfig = TrainConfig(),
    hold_out: HoldOut = HoldOut(),
    *,
    finish: bool = False,
    from_disk: bool | None = None,
    processes: Processes = SINGLE,
    on_epoch: Callable[[EpochMetrics], None] = lambda metrics: None,
) -> Work[TrainResult]:
    """Train a neck on a gallery's labels and save it as ``indexes/models/NAME``.

    A training that was stopped goes on when called again alike, and begins anew where its data or recipe changed; with
    ``finish`` what it had reached is measured and saved instead, whatever changed. ``from_disk``: features are read in
    every epoch; None: where they would take more than half the memory. Of several ``processes`` this is the first, the
    others :func:`assist`. ``on_epoch`` is called once an epoch is kept, and what it raises ends the training there.
    Raises ``GalleryError``, ``TrainingError``, ``DivergedError`` or ``ModelError`` with what is missing.
    """
    if _alone(config, finish):
        processes = SINGLE
    training = _training(gallery, name, config, hold_out, from_disk, processes)
    with training_lock(gallery.models, training.name, gallery.name, gallery.config.id):
        return (yield from (training.as_it_was() if finish else training).run(finish, on_epoch))


def assist(
    gallery: Gallery,
    name: str,
    config: TrainConfig,
    hold_out: HoldOut,
    processes: Processes,
    *,
    finish: bool = False,
    from_disk: bool | None = None,
) -> None:
    """Take part in the :func:`train` that the first of several ``processes`` calls with the same arguments."""
    training = _training(gallery, name, config, hold_out, from_disk, processes)
    if not _alone(config, finish):
        training.assist()


def _alone(config: TrainConfig, finish: bool) -> bool:
    """Whether there is nothing that other processes could help with."""
    return finish or config.in_one_step


def _training(
    gallery: Gallery, name: str, config: TrainConfig, hold_out: HoldOut, from_disk: bool | None, processes: Processes
) -> _Training:
    """Raises ``GalleryError``, ``TrainConfigError`` and :class:`ModelError` for one that cannot be."""
    name = check_model_name(gallery.models, name)
    config.check_used()
    config = config.fitting(gallery.embedder.backbone.feature_dim)
    if config.deep and processes.count > 1:
        raise GalleryError(say("deep training runs in one process: start it without torchrun"))
    job = TrainJob(name, gallery.name, config, hold_out, from_disk).as_begun(gallery.models)
    return _Training(gallery, name, config, hold_out, job.from_disk, processes)


@dataclass(frozen=True)
class _Training:
    """What is trained on what, the same in every one of its processes."""

    gallery: Gallery
    name: str
    config: TrainConfig
    hold_out: HoldOut
    from_disk: bool | None
    processes: Processes
    before: tuple[str, ...] | None = None  # marks of what it went out from, where it is finished

    @property
    def checkpoint(self) -> Path:
        """What it goes on from when it was stopped."""
        return self.gallery.models / CHECKPOINTS / f"{self.name}.pt"

    @property
    def _job(self) -> TrainJob:
        job = TrainJob(self.name, self.gallery.name, self.config, self.hold_out, self.from_disk)
        return replace(job, gallery_id=self.gallery.config.id)

    @cached_property
    def data(self) -> TrainingData:
        """Whom it learns from and whom it is measured on."""
        return divide(self.gallery, self.config, self.hold_out, self.before)

    @cached_property
    def features(self) -> Features:
        """Of all items, in memory where they leave enough of it."""
        hashes = self.data.columns.sha256s()
        memory = memory_bytes() or math.inf
        needed = len(hashes) * self.gallery.embedder.backbone.feature_dim * np.dtype(np.float16).itemsize
        if self.from_disk or (self.from_disk is None and needed > MEMORY_SHARE * memory):
            return self.gallery.feature_table(hashes)
        return self.gallery.features(hashes)

    @property
    def dim(self) -> int:
        """What the gallery will be searched with: its own dimension if the new neck has it."""
        if self.gallery.config.dim in self.dims:
            return self.gallery.config.dim
        return max((d for d in self.dims if d <= DEFAULT_DIM), default=self.dims[0])

    @property
    def dims(self) -> tuple[int, ...]:
        """Those that the new neck will have: one step keeps the current neck's."""
        return self.current.dims if self.config.in_one_step else self.config.dims

    def assist(self) -> None:
        """Take part in what the first process runs."""
        from unifex.training import loop

        _ = self.data, self.features
        self.processes.wait()  # for the augmentations, which it keeps with the gallery
        samples = progress.finish(self._samples())
        for _ in loop.fit(samples, self.config, self.current, self.checkpoint, self.processes):
            pass

    def as_it_was(self) -> _Training:
        """With the recipe that what was reached was learned by. Raises :class:`ModelError` where nothing was."""
        from unifex.training.checkpoint import read_checkpoint

        if not self.checkpoint.exists():
            raise self._nothing_reached()
        if (kept := read_checkpoint(self.checkpoint)) is None:  # an earlier version's says no more than its state
            return self
        if kept.about["backbone"] != self.gallery.config.backbone_hash:
            raise ModelError(
                say(
                    "what '{name}' had reached is of another backbone than this gallery's; train it again",
                    name=self.name,
                )
            )
        if (before := kept.about.get("before")) is None:
            return replace(self, config=kept.config)
        today = marks_of_start(kept.config, self.gallery.embedder) if kept.config.has_neck_anew else []
        return replace(self, config=kept.config, before=tuple(map(str, [*before, *today])))

    def run(self, finish: bool, on_epoch: Callable[[EpochMetrics], None]) -> Work[TrainResult]:
        """Train, or go on, or with ``finish`` neither of it; then measure and save."""
        from unifex.training import loop
        from unifex.training.checkpoint import read_state

        data = self.data
        if not finish:
            self._job.write(self.gallery.models)
        samples = yield from self._samples()
        of = loop.fingerprint(samples, self.config, self.current)
        anew = not finish and self.checkpoint.exists() and read_state(self.checkpoint, of) is None
        self.processes.wait()
        most = DEEPLY_WATCHED_ITEMS if samples.late else WATCHED_ITEMS
        watched = data.split and _subset(data.split, self.config.seed, most)
        curve, learned, earlier = read_curve(self.gallery.models, self.name), None, None
        for epoch in () if finish else self._epochs(samples):
            learned = epoch.learned
            if earlier is None:  # what was on the curve when it was stopped; nothing when it starts anew
                curve = [metrics for metrics in curve if metrics.number < epoch.number]
                earlier = curve[-1].seconds if curve else 0.0
            scores = self._watch(watched, learned, samples) if watched else {}
            told = epoch.number, epoch.total, epoch.loss, epoch.learning_rate, earlier + epoch.seconds
            curve.append(EpochMetrics(*told, scores))
            write_curve(self.gallery.models, self.name, curve)
            on_epoch(curve[-1])
            stage, note = say("epoch {number}", number=epoch.number), _note(curve[-1], anew)
            yield Step(stage, epoch.number, epoch.total, "", epoch.seconds_left, note)
        learned = learned or loop.reached(samples, self.config, self.checkpoint, self.current)
        if learned is None:
            raise self._nothing_reached()
        learned = yield from train_neck_anew(learned, samples, self.config, self.current)
        result = yield from self._measure(learned, curve, samples, self._learned_from(of, data))
        replace(self._job, saved=learned.neck.hash).write(self.gallery.models)
        save(result, self.gallery.embedder, self.gallery.models / self.name, gallery=self.gallery.config.id)
        delete_checkpoint(self.gallery.models, self.name)
        return result

    def _epochs(self, samples: Samples) -> Iterator[Epoch]:
        from unifex.training import loop, one_step

        if self.config.in_one_step:
            return one_step.fit(samples, part(self.features, self.data.others), self.config, self.current)
        return loop.fit(samples, self.config, self.current, self.checkpoint, self.processes)

    def _nothing_reached(self) -> ModelError:
        return ModelError(
            say(
                "no stopped training '{name}' reached anything that can be kept; train it again",
                name=self.name,
            )
        )

    def _start(self) -> list[str]:
        """Marks of the classes that were taught to what it goes out from."""
        return marks_of_start(self.config, self.gallery.embedder) if self.before is None else list(self.before)

    def _marks(self) -> list[str]:
        """Marks of the classes that are trained on."""
        columns, train = self.data.columns, self.data.train
        return marks_of(columns.hashes[train], columns.classes[train])

    def _learned_from(self, of: str, data: TrainingData) -> tuple[TrainingData, list[str]]:
        """The data to measure on, and marks of the classes that were learned: where the data changed since, what is
        held out now may have been among them."""
        from unifex.training.checkpoint import read_checkpoint

        kept = None if self.config.in_one_step else read_checkpoint(self.checkpoint)  # of one step there is none
        if kept is None or kept.of == of:
            return data, self._marks()
        marks = [*map(str, kept.about["marks"]), *(self._marks() if self.config.has_neck_anew else ())]
        learned = classes_of(marks, data.columns.hashes, data.columns.classes)
        if data.split and np.isin(learned, data.measured_classes).any():
            why = say("the gallery changed since, and classes that are held out now were among those it learned from")
            data = replace(data, split=None, unmeasured=why, known=0)
        return data, marks

    @property
    def current(self) -> Neck:
        """The gallery's neck, which it may go out from and is compared with."""
        return self.gallery.embedder.neck

    def _samples(self) -> Work[Samples]:
        """Features and, if they are wanted, those of augmentations of the training images."""
        from unifex.training.samples import Samples

        columns, train, augmented, late = self.data.columns, self.data.train, None, None
        if self.config.deep:
            late = yield from late_samples(
                self.gallery, self.data, self.config, maps_path(self.gallery.models, self.name)
            )
        elif (count := self.config.augmentations) and not self.config.in_one_step:
            if isinstance(self.features, FeatureTable):
                told = say("crops and mirror images are trained on in memory only: ask for none of them")
                raise GalleryError(told, command="--augmentations 0")
            records = self.gallery.records(columns.ids[train])
            augmented = yield from augmented_features(self.gallery, records, count)
        labels = np.unique(columns.classes[train], return_inverse=True)[1]
        about = {"backbone": self.gallery.config.backbone_hash, "marks": self._marks(), "before": self._start()}
        path_of = lambda row: self.gallery.records(columns.ids[train[[row]]])[0].path  # noqa: E731
        features, domains = part(self.features, train), columns.domains.codes[train]
        return Samples(features, labels, domains, augmented, late=late, about=about, path_of=path_of)

    def _seen_by(self, learned: Learned, samples: Samples, positions: np.ndarray) -> Features:
        """Features of all items, as far as ``positions`` go."""
        if not (samples.late and learned.adaptation):
            return self.features
        return adapted_table(samples.late, learned.adaptation, positions, len(self.features))

    def _watch(self, split: QueryIndexSplit, learned: Learned, samples: Samples) -> dict[int, float]:
        features = self._seen_by(learned, samples, np.union1d(split.queries, split.items))
        return {
            dim: mmp5(split, _embeddings(split, features, partial(learned.neck.embed, dim=dim), dim))
            for dim in (self.dims[0], self.dim)
        }

    def _measure(
        self, learned: Learned, curve: list[EpochMetrics], samples: Samples, of: tuple[TrainingData, list[str]]
    ) -> Work[TrainResult]:
        """Before and after, on held-out classes; ``of``: what :meth:`_learned_from` gave."""
        (data, marks), config = of, self.gallery.config
        split = data.split
        evaluations = []
        if split:
            features = self._seen_by(learned, samples, np.union1d(split.queries, split.items))
            for model, dim, seen, embed in self._contenders(learned, features):
                embeddings = _embeddings(split, seen, embed, dim)
                evaluations.append((yield from evaluate(split, embeddings, model)))
        seconds = curve[-1].seconds if curve else 0.0
        before = RAW if self.current.kind == "identity" else config.model
        return TrainResult(
            self.name, before, config.dim, self.dim, learned.neck,
            self.config.going_out_from(self.current), data, curve, seconds, evaluations, learned.adaptation,
            tuple(dict.fromkeys([*self._start(), *marks])),
        )  # fmt: skip

    def _contenders(
        self, learned: Learned, adapted: Features
    ) -> Iterator[tuple[str, int, Features, Callable[[np.ndarray], np.ndarray]]]:
        """(model, dim, features, embed): raw features, PCA at 64-d and at the gallery's dimension, the current neck and
        what was learned at all that the latter has, that on ``adapted`` features."""
        model, current, train = self.gallery.config.model, self.current, part(self.features, self.data.train)
        width, dims = self.features.shape[1], sorted({CHALLENGE_DIM, self.dim})
        plain = self.features
        yield RAW, width, plain, lambda rows: l2_normalize(rows.astype(np.float32), width)
        for dim in dims:
            if dim < min(len(train), width):
                yield PCA, dim, plain, partial(pca(train, (dim,), whitening=0).embed, dim=dim)
        for dim in sorted({self.gallery.config.dim, *dims, *learned.neck.dims}):
            if dim in current.dims and current.kind != "identity":
                yield model, dim, plain, partial(current.embed, dim=dim)
        if learned.adaptation:
            yield f"{RAW}, {self.name}", width, adapted, lambda rows: l2_normalize(rows.astype(np.float32), width)
        for dim in learned.neck.dims:
            yield self.name, dim, adapted, partial(learned.neck.embed, dim=dim)


def _note(metrics: EpochMetrics, anew: bool) -> str:
    """``anew``: a training was stopped that did not go on."""
    scores = ", ".join(f"{dim}-d {value:.3f}" for dim, value in metrics.scores.items())
    parts = [say("loss {loss:.3f}", loss=metrics.loss)]
    parts.append(say("held-out mMP@5: {scores}", scores=scores) if scores else say("nothing is held out"))
    return " · ".join([*parts, say(BEGUN_ANEW)] if anew else parts)


def _subset(split: QueryIndexSplit, seed: int, most_items: int) -> QueryIndexSplit:
    """So much of a split as is scored after every epoch."""
    rng = np.random.default_rng(seed)

    def some(positions: np.ndarray, count: int) -> np.ndarray:
        return positions if len(positions) <= count else np.sort(rng.choice(positions, count, replace=False))

    queries = some(split.queries, WATCHED_QUERIES)
    own = split.items[np.isin(split.columns.classes[split.items], split.columns.classes[queries])]
    items = np.union1d(own, some(split.items, most_items))
    return replace(split, queries=queries, items=items)


def _embeddings(
    split: QueryIndexSplit, features: Features, embed: Callable[[np.ndarray], np.ndarray], dim: int
) -> np.ndarray:
    """float32 [N, dim] of all items; zeros for those that have no part in the split."""
    embeddings = np.zeros((len(features), dim), np.float32)
    taking_part = np.union1d(split.queries, split.items)
    for start in range(0, len(taking_part), BLOCK_ROWS):
        rows = taking_part[start : start + BLOCK_ROWS]
        embeddings[rows] = embed(features[rows])
    return embeddings
