"""A gallery measured: its model at its own dimension and at the challenge's, baselines beside it on the same split."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from unifex.core.arrays import positions_of
from unifex.core.language import say, to_say
from unifex.core.progress import Work
from unifex.core.templates import render
from unifex.core.vectors import l2_normalize
from unifex.evaluation.evaluate import CHALLENGE_DIM, evaluate
from unifex.evaluation.evaluation import Evaluation, difference
from unifex.evaluation.protocols import EvalProtocol
from unifex.evaluation.splits import split_of
from unifex.gallery.errors import ItemsGone
from unifex.gallery.gallery import Gallery, GalleryError
from unifex.gallery.snapshot import ItemTable
from unifex.models.embedder import Embedder, list_models
from unifex.models.neck import pca, pooling
from unifex.models.trained_on import classes_of, marks_in


@dataclass(frozen=True)
class Baseline:
    """What a model is compared with. ``embed(features [N, D], dim, fit_on)`` -> float32 [N, d] of all items; what is
    fitted sees the items at the positions ``fit_on``, and no labels."""

    sentence: str
    embed: Callable[[np.ndarray, int, np.ndarray], np.ndarray]


RAW, PCA, POOLING = "raw", "pca", "pooling"
BASELINES: dict[str, Baseline] = {
    RAW: Baseline(
        to_say("the backbone's features as they are"),
        lambda features, dim, fit_on: l2_normalize(features.astype(np.float32), features.shape[1]),
    ),
    PCA: Baseline(
        to_say("principal axes of this gallery's index items, not scaled"),
        lambda features, dim, fit_on: pca(features[fit_on], (dim,), whitening=0).embed(features, dim),
    ),
    POOLING: Baseline(
        to_say("the mean of neighbouring features, the training-free baseline of the paper"),
        lambda features, dim, fit_on: pooling(features.shape[1], dim).embed(features, dim),
    ),
}


@dataclass(frozen=True)
class Assessment:
    """``main``: the gallery's model at the dimension asked for, in context if asked for. ``others``: the same model at
    64-d and without context, then the baselines; all of the same split."""

    main: Evaluation
    others: list[Evaluation]

    @property
    def evaluations(self) -> list[Evaluation]:
        """Everything that was measured, main first."""
        return [self.main, *self.others]

    @property
    def without_context(self) -> Evaluation | None:
        """What context re-ranking is compared with; None when it was not asked for."""
        same = (e for e in self.others if e.model == self.main.model and e.dim == self.main.dim)
        return next(same, None) if self.main.context else None

    def _repr_html_(self) -> str:
        return render("notebook_evaluation.html", evaluations=self.evaluations)

    def as_json(self, labels: bool = False) -> dict[str, Any]:
        """The main evaluation, with the others in brief beside it."""
        return self.main.as_json(labels) | {"compared": [self._brief(other) for other in self.others]}

    def _brief(self, other: Evaluation) -> dict[str, Any]:
        gain = difference(other, self.main)
        return {
            "model": other.model,
            "dim": other.dim,
            "context": other.context,
            **{name: other.overall(name).value for name in ("mmp5", "recall1", "recall5", "map_r")},
            "ci95": [other.overall().low, other.overall().high],
            "macro_mmp5": other.macro().value,
            "difference": {"mmp5": gain.value, "ci95": [gain.low, gain.high]},
        }


def baselines(gallery: Gallery) -> list[str]:
    """Names that :func:`compare` can compare the gallery's model with: other models on its backbone, and baselines."""
    models = list_models(gallery.models)
    fitting = [m.name for m in models if m.backbone_hash == gallery.config.backbone_hash]
    return [name for name in fitting if name != gallery.config.model] + list(BASELINES)


def compare(
    gallery: Gallery,
    protocol: EvalProtocol = EvalProtocol(),
    dim: int | None = None,
    context: bool = False,
    compare: Sequence[str] = (),
) -> Work[Assessment]:
    """Measure a gallery.

    ``compare`` are names of :func:`baselines`. Nothing is decoded: baselines are made from the kept features. Raises
    :class:`GalleryError` without labels or for an unknown baseline, ``DimensionError`` for an unknown ``dim``.
    """
    known = baselines(gallery)
    if unknown := sorted(set(compare) - set(known)):
        raise GalleryError(
            say(
                "no model {unknown} for gallery '{name}'; there are: {known}",
                unknown=", ".join(unknown),
                name=gallery.name,
                known=", ".join(known),
            )
        )
    dim = gallery.dim_of(dim)
    split = split_of(gallery, protocol)
    own = gallery.config.model
    wanted = [(own, size, False) for size in dict.fromkeys((dim, CHALLENGE_DIM)) if size in gallery.embedder.neck.dims]
    wanted = [(own, dim, True), *wanted] if context else wanted
    wanted += [(name, size, False) for name in compare for size in dict.fromkeys((dim, CHALLENGE_DIM))]
    results: dict[tuple[str, int, bool], Evaluation] = {}
    for name, size, in_context in wanted:
        embeddings = embed_as(gallery, split.columns, name, size, split.items)
        if embeddings is None or (name, embeddings.shape[1], in_context) in results:
            continue
        near = None
        unchanged = np.array_equal(gallery.snapshot().columns.ids, split.columns.ids)
        if in_context and size == gallery.config.dim and len(split.items) == len(split.columns.ids) and unchanged:
            near = yield from gallery.find_neighbours()
        evaluation = yield from evaluate(split, embeddings, name, near, in_context)
        results[name, evaluation.dim, in_context] = evaluation
    main, *others = results.values()
    marks = marks_in(gallery.embedder.config.training)
    known = classes_of(marks, split.columns.hashes, split.columns.classes)
    return Assessment(replace(main, trained_on=known), others)


def embed_as(gallery: Gallery, columns: ItemTable, name: str, dim: int, fit_on: np.ndarray) -> np.ndarray | None:
    """Embeddings float32 [N, d] of all items by the gallery's model or a baseline, from the kept features.

    None when another model has no such dimension; the raw features have but one, whatever ``dim`` is. ``fit_on``: see
    :class:`Baseline`. Raises ``ItemsGone`` when one of the items went since.
    """
    if name == gallery.config.model:
        current, index = gallery.index(dim)
        return index.embeddings[_rows(gallery, current.columns, columns)]
    features = gallery.features(columns.sha256s())
    if baseline := BASELINES.get(name):
        return baseline.embed(features, dim, fit_on)
    neck = Embedder.load(name, models=gallery.models).neck
    return neck.embed(features, dim) if dim in neck.dims else None


def _rows(gallery: Gallery, current: ItemTable, wanted: ItemTable) -> np.ndarray | slice:
    """Where the wanted items stand by now: others may have come. Raises ``ItemsGone`` when one of them went."""
    if np.array_equal(current.ids, wanted.ids):
        return slice(None)
    positions = positions_of(current.ids, wanted.ids)
    if (positions < 0).any():
        raise ItemsGone(gallery.name)
    return positions
