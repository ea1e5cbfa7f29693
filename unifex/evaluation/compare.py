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
    fitted sees the items at the positions ``fit_on``, and no labels; None where they are too few for it."""

    sentence: str
    embed: Callable[[np.ndarray, int, np.ndarray], np.ndarray | None]


def _principal_axes(features: np.ndarray, dim: int, fit_on: np.ndarray) -> np.ndarray | None:
    if dim > min(len(fit_on) - 1, features.shape[1]):
        return None
    return pca(features[fit_on], (dim,), whitening=0).embed(features, dim)


RAW, PCA, POOLING = "raw", "pca", "pooling"
BASELINES: dict[str, Baseline] = {
    RAW: Baseline(
        to_say("the backbone's features as they are"),
        lambda features, dim, fit_on: l2_normalize(features.astype(np.float32), features.shape[1]),
    ),
    PCA: Baseline(
        to_say("principal axes of this gallery's index items, not scaled"),
        _principal_axes,
    ),
    POOLING: Baseline(
        to_say("the mean of neighbouring features, the training-free baseline of the paper"),
        lambda features, dim, fit_on: pooling(features.shape[1], dim).embed(features, dim),
    ),
}


@dataclass(frozen=True)
class Assessment:
    """``main``: the gallery's model at the dimension asked for, in context if asked for. ``others``: the same model at
    64-d and without context, then the baselines; all of the same split. ``left_out``: names of what was to be compared
    and could not be."""

    main: Evaluation
    others: list[Evaluation]
    left_out: Sequence[str] = ()

    @property
    def evaluations(self) -> list[Evaluation]:
        """Everything that was measured, main first."""
        return [self.main, *self.others]

    @property
    def remarks(self) -> list[str]:
        """What makes the figures say less than they seem to, a sentence each."""
        of_known = {other.model: other.of_known_classes for other in reversed(self.others)}  # at the first dimension
        known = [remark for name, said in of_known.items() if name != self.main.model for remark in said]
        sentence = to_say("'{model}' is left out: it has no such dimension, or there are too few images to find it by.")
        return [*self.main.remarks, *known, *(say(sentence, model=model) for model in self.left_out)]

    @property
    def without_context(self) -> Evaluation | None:
        """What context re-ranking is compared with; None when it was not asked for."""
        same = (e for e in self.others if e.model == self.main.model and e.dim == self.main.dim)
        return next(same, None) if self.main.context else None

    def _repr_html_(self) -> str:
        return render("notebook_evaluation.html", evaluations=self.evaluations)

    def as_json(self, labels: bool = False) -> dict[str, Any]:
        """The main evaluation, with the others in brief beside it."""
        compared = [self._brief(other) for other in self.others]
        return self.main.as_json(labels) | {"remarks": self.remarks, "compared": compared}

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
    known_by = {name: _trained_on(gallery, name, split.columns) for name, _, _ in results}
    main, *others = (replace(found, trained_on=known_by[found.model]) for found in results.values())
    return Assessment(main, others, [name for name in dict.fromkeys(compare) if name not in known_by])


def _trained_on(gallery: Gallery, name: str, columns: ItemTable) -> np.ndarray:
    """Which classes a model was trained on; none of what a baseline is."""
    own = name == gallery.config.model
    if name in BASELINES and not own:
        return np.zeros(0, np.int64)
    model = gallery.embedder if own else Embedder.load(name, models=gallery.models)
    return classes_of(marks_in(model.config.training), columns.hashes, columns.classes)


def embed_as(gallery: Gallery, columns: ItemTable, name: str, dim: int, fit_on: np.ndarray) -> np.ndarray | None:
    """Embeddings float32 [N, d] of all items by the gallery's model or a baseline, from the kept features.

    None when another model has no such dimension, or items are too few for a baseline's; the raw features have but one,
    whatever ``dim`` is. ``fit_on``: see :class:`Baseline`. Raises ``ItemsGone`` when one of the items went since.
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
