"""Whom a neck is trained on and whom it is measured on: classes of a gallery, and what is wrong with them.

Held-out classes are never trained on: they are the gallery's own query and index split where it has a train split
beside it, classes that were named, or a share of the classes drawn by seed, evenly over domains. What is taught in one
exact step is for the taught classes, so there a share of every class's images is drawn and held out in their stead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from unifex.core import ranges
from unifex.core.arrays import sample
from unifex.core.language import say
from unifex.core.text import plural, printable
from unifex.evaluation import failures
from unifex.evaluation.failures import LabelError
from unifex.evaluation.protocols import EvalProtocol
from unifex.evaluation.splits import QueryIndexSplit, pairs_marked_same
from unifex.gallery.gallery import Gallery, GalleryError
from unifex.gallery.snapshot import ItemTable
from unifex.training.config import TrainConfig

HOLD_OUT_SHARE = 0.3
FEWEST_TO_HOLD_OUT = 4  # classes; of fewer, all are needed for training
MAX_QUERIES = 5000


@dataclass(frozen=True)
class HoldOut:
    """``share`` of the classes, or of every class's images for one exact step, 0 for none; or the ``labels`` that are
    named (``label`` or ``domain/label``).

    ``seed`` draws them. It is not the recipe's: a neck that is trained on from another must not be measured on classes
    that the other saw.
    """

    share: float = HOLD_OUT_SHARE
    labels: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        ranges.HELD_OUT.check(self.share)
        ranges.SEED.check(self.seed)


@dataclass(frozen=True)
class SmallClass:
    """A class with too few images to be trained on."""

    name: str
    images: int


@dataclass(frozen=True)
class TrainingData:
    """``train``: positions in ``columns`` that are trained on. ``split``: queries of held-out classes; None when
    nothing is held out, for the reason in ``unmeasured``. ``copies``: images left out because a training image, or
    one of a held-out class, has the same bytes; ``clashes``: bytes that stand under more than one label."""

    columns: ItemTable
    train: np.ndarray
    split: QueryIndexSplit | None
    unmeasured: str
    held_out_by: str
    small: list[SmallClass]
    copies: int
    clashes: int
    unlabelled: int

    @property
    def classes(self) -> int:
        """How many are trained on."""
        return len(np.unique(self.columns.classes[self.train]))

    @property
    def domains(self) -> int:
        """How many domains the training images are of."""
        return len(np.unique(self.columns.domains.codes[self.train]))

    @property
    def held_out_classes(self) -> int:
        """How many are measured on and never trained on."""
        if self.split is None or self.held_out_by == "images":
            return 0
        return len(np.unique(self.columns.classes[self.split.queries]))

    @property
    def held_out_images(self) -> int:
        """How many images of trained classes are measured on and never trained on."""
        return len(self.split.queries) if self.split and self.held_out_by == "images" else 0

    @property
    def measured_on(self) -> str:
        """What the scores are of, for cards."""
        if self.held_out_images:
            return "of trained classes, images that were not trained on"
        return f"of {self.held_out_classes:,} classes that were not trained on"

    @property
    def others(self) -> np.ndarray:
        """Positions of what is neither trained on nor of a class that is measured on."""
        left = np.ones(len(self.columns.classes), bool)
        left[self.train] = False
        if self.split:
            left &= ~np.isin(self.columns.classes, self.columns.classes[self.split.queries])
        return np.flatnonzero(left)


def divide(gallery: Gallery, config: TrainConfig, hold_out: HoldOut = HoldOut()) -> TrainingData:
    """Divide a gallery's labelled items. Raises :class:`GalleryError` that says what is missing."""
    columns = gallery.snapshot().columns
    classes = columns.classes
    labelled = np.flatnonzero(classes >= 0)
    sizes = np.bincount(classes[labelled], minlength=1)
    if np.count_nonzero(sizes) < 2:
        raise GalleryError(
            say(
                "gallery '{name}' has {labels}; training needs at least 2, so index a folder that is "
                "laid out as label/image or domain/label/image, or a CSV with a label column",
                name=gallery.name,
                labels=plural(int(np.count_nonzero(sizes)), "label", "labels"),
            )
        )
    queries, items, by = _held_out(gallery, columns, sizes, hold_out, config)
    seen = np.setdiff1d(labelled, np.union1d(queries, items)) if by == "split" else labelled
    seen = np.setdiff1d(seen, queries) if by == "images" else seen[~np.isin(classes[seen], classes[queries])]
    train, copies = _without_copies(columns, seen, queries)
    train, small = _of_size(columns, train, config)
    if len(np.unique(classes[train])) < 2:
        raise GalleryError(
            say(
                "gallery '{name}' has not enough to train on: {count} classes of at least {min_images} "
                "different images are left beside {held_out} held-out; add images, or hold out less",
                name=gallery.name,
                count=len(np.unique(classes[train])),
                min_images=config.min_images,
                held_out=len(np.unique(classes[queries])),
            )
        )
    split, why = _split(gallery, columns, queries, items, by, hold_out)
    return TrainingData(
        columns, train, split, why, by, small, copies, _clashes(columns, labelled), len(classes) - len(labelled)
    )


def suspicious_labels(gallery: Gallery, data: TrainingData) -> list[LabelError]:
    """Training images whose neighbours all agree on another label."""
    current, near = gallery.neighbours()
    if current.columns is not data.columns:
        return []
    labelled = np.flatnonzero(data.columns.classes >= 0)
    split = QueryIndexSplit(
        EvalProtocol("leave-one-out"), data.columns, labelled, labelled, data.columns.copies,
        pairs_marked_same(gallery, data.columns), {},
    )  # fmt: skip
    found = failures.label_errors(split, near, len(labelled))
    train = set(data.train.tolist())
    return [error for error in found if error.item in train]


def _held_out(
    gallery: Gallery, columns: ItemTable, sizes: np.ndarray, hold_out: HoldOut, config: TrainConfig
) -> tuple[np.ndarray, np.ndarray, str]:
    """Queries, index and how they were found: ``split``, ``named``, ``images``, ``drawn`` or ``none``."""
    classes, splits = columns.classes, columns.splits.texts
    labelled = np.flatnonzero(classes >= 0)
    nobody = np.zeros(0, np.int64)
    if hold_out.labels:
        named = _named(gallery, columns, hold_out.labels)
        return labelled[np.isin(classes[labelled], named)], labelled, "named"
    if hold_out.share == 0:
        return nobody, nobody, "none"
    if {"train", "query", "index"} <= set(columns.splits.names.tolist()):
        seen = np.unique(classes[labelled[splits[labelled] == "train"]])
        unseen = labelled[~np.isin(classes[labelled], seen)]
        queries = unseen[splits[unseen] == "query"]
        if len(queries):
            return queries, labelled[splits[labelled] == "index"], "split"
    if config.in_one_step:
        return _images_of_every_class(columns, hold_out, config.min_images), labelled, "images"
    eligible = np.flatnonzero(sizes >= 2)
    if len(eligible) < FEWEST_TO_HOLD_OUT:
        return nobody, nobody, "none"
    drawn = _spread(columns, eligible, hold_out.seed, hold_out.share)
    return labelled[np.isin(classes[labelled], drawn)], labelled, "drawn"


def _images_of_every_class(columns: ItemTable, hold_out: HoldOut, min_images: int) -> np.ndarray:
    """A share of every class's images, by seed, at least one where enough are left; copies of bytes count as one."""
    rng, drawn = np.random.default_rng(hold_out.seed), []
    for own in range(int(columns.classes.max()) + 1):
        items = np.flatnonzero(columns.classes == own)
        images = rng.permutation(np.unique(columns.copies[items]))
        count = min(max(1, round(hold_out.share * len(images))), len(images) - max(min_images, 2))
        drawn.append(items[np.isin(columns.copies[items], images[: max(count, 0)])])
    return np.sort(np.concatenate(drawn))


def _named(gallery: Gallery, columns: ItemTable, labels: Sequence[str]) -> np.ndarray:
    """Classes by ``label`` or ``domain/label``. Raises :class:`GalleryError` for one that is not there."""
    names = columns.labels.texts
    whole = columns.domains.texts + "/" + names
    found = []
    for label in labels:
        own = np.any([(names == form) | (whole == form) for form in (label, printable(label))], axis=0)
        if not own.any():
            raise GalleryError(
                say("gallery '{name}' has no label '{label}' to hold out", name=gallery.name, label=label)
            )
        found.append(np.unique(columns.classes[own]))
    return np.concatenate(found)


def _spread(columns: ItemTable, classes: np.ndarray, seed: int, share: float) -> np.ndarray:
    """A share of the classes: at random within domains, evenly over them, at least one, and two are left."""
    first = np.full(int(columns.classes.max()) + 1, -1)
    first[columns.classes[columns.classes >= 0]] = np.flatnonzero(columns.classes >= 0)
    order = np.random.default_rng(seed).permutation(classes)
    order = order[np.argsort(columns.domains.codes[first[order]], kind="stable")]
    count = min(max(1, round(share * len(order))), len(order) - 2)
    return order[((np.arange(count) + 0.5) * len(order) / count).astype(int)]


def _without_copies(columns: ItemTable, seen: np.ndarray, held_out: np.ndarray) -> tuple[np.ndarray, int]:
    """One item for every image of a class, and none that a held-out class shows, too; how many went."""
    copies, classes = columns.copies[seen], columns.classes[seen]
    keys = classes * (int(columns.copies.max()) + 1) + copies
    once = np.zeros(len(seen), bool)
    once[np.unique(keys, return_index=True)[1]] = True
    once &= ~np.isin(copies, columns.copies[held_out])
    return seen[once], int((~once).sum())


def _of_size(columns: ItemTable, train: np.ndarray, config: TrainConfig) -> tuple[np.ndarray, list[SmallClass]]:
    """Without classes that are too small; of those that are too large, as many as are wanted, drawn by seed."""
    shuffled = np.random.default_rng(config.seed).permutation(train)
    classes = columns.classes[shuffled]
    order = np.argsort(classes, kind="stable")
    _, starts, sizes = np.unique(classes[order], return_index=True, return_counts=True)
    rank = np.arange(len(order)) - np.repeat(starts, sizes)
    kept = np.repeat(sizes >= config.min_images, sizes)
    if config.max_images:
        kept &= rank < config.max_images
    at = shuffled[order[starts[sizes < config.min_images]]]
    texts = ["/".join(filter(None, map(str, (columns.domains.texts[i], columns.labels.texts[i])))) for i in at]
    small = [SmallClass(text, int(size)) for text, size in zip(texts, sizes[sizes < config.min_images])]
    return np.sort(shuffled[order[kept]]), sorted(small, key=lambda size: size.name)


def _split(
    gallery: Gallery, columns: ItemTable, queries: np.ndarray, items: np.ndarray, by: str, hold_out: HoldOut
) -> tuple[QueryIndexSplit | None, str]:
    """Held-out queries among all labelled items but their own copies, or among the gallery's index."""
    if not len(queries):
        if by == "images":
            return None, say("no class has an image to spare, so all are trained on")
        if hold_out.share == 0:
            return None, say("nothing was to be held out, so all classes are trained on")
        return None, say("fewer than {count} classes have two images, so all are trained on", count=FEWEST_TO_HOLD_OUT)
    omitted = {}
    if len(queries) > MAX_QUERIES:
        omitted["queries not drawn"] = len(queries) - MAX_QUERIES
        queries = queries[sample(len(queries), MAX_QUERIES, hold_out.seed)]
    kind, groups = ("split", None) if by == "split" else ("leave-one-out", columns.copies)
    split = QueryIndexSplit(
        EvalProtocol(kind, hold_out.seed), columns, queries, items, groups, pairs_marked_same(gallery, columns), omitted
    )
    if not split.relevant().any():
        return None, say("no held-out class has a second image to be found: nothing can be measured on them")
    return split, ""


def _clashes(columns: ItemTable, labelled: np.ndarray) -> int:
    """How many images stand under more than one label."""
    pairs = np.unique(np.column_stack([columns.copies[labelled], columns.classes[labelled]]), axis=0)
    return int((np.unique(pairs[:, 0], return_counts=True)[1] > 1).sum())
