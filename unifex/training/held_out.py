"""Whom a neck is trained on and whom it is measured on: classes of a gallery, and what is wrong with them.

Held-out classes are never trained on: they are those of the gallery's own queries where it has a train split beside
them, classes that were named, or a share of the classes drawn by seed, evenly over domains. Where its own queries are
of the classes of its train split, they are held out as images; neither they nor its index are learned from, whatever
else is held out. What is taught in one exact step is for the taught
classes, so there a share of every class's images is drawn and held out in their stead.

A draw hangs on the names of classes and the bytes of images alone: what comes or goes changes little for all others,
and who trains again measures on what was measured on before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from unifex.core import ranges
from unifex.core.arrays import sample
from unifex.core.language import say
from unifex.core.text import plural, printable
from unifex.core.values import of_kind
from unifex.evaluation import failures
from unifex.evaluation.failures import LabelError
from unifex.evaluation.protocols import EvalProtocol
from unifex.evaluation.splits import QueryIndexSplit, pairs_marked_same
from unifex.gallery.gallery import Gallery, GalleryError
from unifex.gallery.snapshot import ItemTable
from unifex.models.embedder import Embedder, list_models
from unifex.models.trained_on import classes_of, marks_in
from unifex.training.config import TrainConfig

HOLD_OUT_SHARE = 0.3
FEWEST_TO_HOLD_OUT = 4  # classes; of fewer, all are needed for training
MAX_QUERIES = 5000
OWN = ("split", "queries")  # held out by the gallery's own split: queries and index, or queries alone


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
        object.__setattr__(self, "share", ranges.HELD_OUT.check(self.share))
        object.__setattr__(self, "labels", of_kind("tuple[str, ...]", "labels", self.labels))
        object.__setattr__(self, "seed", ranges.SEED.check(self.seed))


@dataclass(frozen=True)
class SmallClass:
    """A class with too few images to be trained on."""

    name: str
    images: int


@dataclass(frozen=True)
class TrainingData:
    """``train``: positions in ``columns`` that are trained on. ``split``: queries of held-out classes; None when
    nothing is held out, for the reason in ``unmeasured``. ``copies``: images left out because a training image, or
    one of a held-out class, has the same bytes. ``known``: how many of the held-out classes were taught to what the
    training goes out from."""

    columns: ItemTable
    train: np.ndarray
    split: QueryIndexSplit | None
    unmeasured: str
    held_out_by: str
    small: list[SmallClass]
    copies: int
    known: int

    @cached_property
    def clashing(self) -> np.ndarray:
        """Positions of images whose bytes stand under more than one label, the same ones beside each other."""
        copies, classes = self.columns.copies, self.columns.classes
        labelled = np.flatnonzero(classes >= 0)
        pairs = np.unique(np.column_stack([copies[labelled], classes[labelled]]), axis=0)
        images, labels = np.unique(pairs[:, 0], return_counts=True)
        found = labelled[np.isin(copies[labelled], images[labels > 1])]
        return found[np.argsort(copies[found], kind="stable")]

    @property
    def clashes(self) -> int:
        """How many images stand under more than one label."""
        return len(np.unique(self.columns.copies[self.clashing]))

    @property
    def unlabelled(self) -> np.ndarray:
        """Positions of what has no label."""
        return np.flatnonzero(self.columns.classes < 0)

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
        return 0 if self.split is None or self.held_out_images else len(np.unique(self.measured_classes))

    @property
    def held_out_images(self) -> int:
        """How many images of trained classes are measured on and never trained on."""
        return (
            len(self.measured_classes) if np.isin(self.measured_classes, self.columns.classes[self.train]).any() else 0
        )

    @property
    def measured_on(self) -> str:
        """What the scores are of, for cards."""
        if self.held_out_images:
            return "of trained classes, images that were not trained on"
        before = f" ({self.known:,} of them before, in what this goes out from)" if self.known else ""
        return f"of {self.held_out_classes:,} classes that were not trained on{before}"

    @property
    def others(self) -> np.ndarray:
        """Positions of what is neither trained on nor of a class that is measured on, nor an own query's or index's
        image of a class that is taught."""
        columns = self.columns
        left = ~np.isin(columns.classes, self.measured_classes)
        left[self.train] = False
        if self.held_out_by != "none":
            left &= _is_learned_from(columns) | ~np.isin(columns.classes, columns.classes[self.train])
        return np.flatnonzero(left)

    @property
    def measured_classes(self) -> np.ndarray:
        """The class of every query."""
        return self.columns.classes[self.split.queries] if self.split else np.zeros(0, np.int64)


def divide(
    gallery: Gallery, config: TrainConfig, hold_out: HoldOut = HoldOut(), before: Sequence[str] | None = None
) -> TrainingData:
    """Divide a gallery's labelled items. ``before``: marks of what the training went out from, where that is another
    than the gallery's model is now. Raises :class:`GalleryError` that says what is missing."""
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
    before = marks_of_start(config, gallery.embedder) if before is None else before
    known = classes_of(before, columns.hashes, classes)
    queries, items, by = _held_out(gallery, columns, sizes, hold_out, config, known)
    train, copies = _without_copies(columns, _seen(columns, labelled, queries, by), queries)
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
    known = np.setdiff1d(np.intersect1d(classes[queries], known), classes[train])
    return TrainingData(columns, train, split, why, by, small, copies, len(known) if split else 0)


def marks_of_start(config: TrainConfig, embedder: Embedder) -> list[str]:
    """Marks of the classes that were taught to what a training goes out from: a neck, or late blocks."""
    is_of_neck = config.in_one_step or config.going_out_from(embedder.neck).init == "current"
    goes_on = is_of_neck or _is_adapted_here(embedder)
    return marks_in(embedder.config.training) if goes_on else []


def _is_adapted_here(embedder: Embedder) -> bool:
    """Whether its blocks have learned from a gallery, and are not those of a bundled model."""
    bundled = {model.backbone_hash for model in list_models()}
    return embedder.backbone.adaptation is not None and embedder.config.backbone_hash not in bundled


def suspicious_labels(gallery: Gallery, data: TrainingData) -> list[LabelError]:
    """Training images whose neighbours all agree on another label."""
    current, near = gallery.neighbours()
    if not np.array_equal(current.columns.ids, data.columns.ids):
        return []
    labelled = np.flatnonzero(data.columns.classes >= 0)
    split = QueryIndexSplit(
        EvalProtocol("leave-one-out"), data.columns, labelled, labelled, data.columns.copies,
        pairs_marked_same(gallery, data.columns), {},
    )  # fmt: skip
    found = failures.label_errors(split, near, current.embeddings, len(labelled))
    train = set(data.train.tolist())
    return [error for error in found if error.item in train]


def _held_out(
    gallery: Gallery, columns: ItemTable, sizes: np.ndarray, hold_out: HoldOut, config: TrainConfig, known: np.ndarray
) -> tuple[np.ndarray, np.ndarray, str]:
    """Queries, index and how they were found: ``split``, ``queries``, ``named``, ``images``, ``drawn`` or ``none``."""
    classes = columns.classes
    labelled = np.flatnonzero(classes >= 0)
    nobody = np.zeros(0, np.int64)
    if hold_out.labels:
        named = _named(gallery, columns, hold_out.labels)
        return labelled[np.isin(classes[labelled], named)], labelled, "named"
    if hold_out.share == 0:
        return nobody, nobody, "none"
    if own := _own_split(columns, labelled):
        return own
    if config.in_one_step:
        return _images_of_every_class(columns, hold_out, config.min_images), labelled, "images"
    eligible = np.flatnonzero(sizes >= 2)
    if len(eligible) < FEWEST_TO_HOLD_OUT:
        return nobody, nobody, "none"
    drawn = _drawn(columns, eligible, known, hold_out)
    return labelled[np.isin(classes[labelled], drawn)], labelled, "drawn"


def _own_split(columns: ItemTable, labelled: np.ndarray) -> tuple[np.ndarray, np.ndarray, str] | None:
    """The gallery's own queries where it has a train split beside them: those of other classes, if there are such.
    They are searched for in its index, or among all where it has none."""
    splits = columns.splits.texts[labelled]
    taught, queries, items = (labelled[splits == split] for split in ("train", "query", "index"))
    if not (len(taught) and len(queries)):
        return None
    unseen = queries[~np.isin(columns.classes[queries], columns.classes[taught])]
    queries = unseen if len(unseen) else queries
    return (queries, items, "split") if len(items) else (queries, labelled, "queries")


def _is_learned_from(columns: ItemTable) -> np.ndarray:
    """Whether a gallery's own split lets an item be trained on, or says nothing of it: bool [N]. Without a train split
    beside queries it lets all."""
    splits = columns.splits.texts.astype(str)
    has_own = {"train", "query"}.issubset(splits[columns.classes >= 0])
    return np.isin(splits, ("train", "")) if has_own else np.ones(len(splits), bool)


def _seen(columns: ItemTable, labelled: np.ndarray, queries: np.ndarray, by: str) -> np.ndarray:
    """What may be trained on beside these queries."""
    classes, held_out = columns.classes, columns.classes[queries]
    if by == "images":
        return np.setdiff1d(labelled, queries)
    if by != "none":  # which was asked for, and teaches everything
        labelled = labelled[_is_learned_from(columns)[labelled]]
    if by in OWN:
        held_out = np.setdiff1d(held_out, classes[columns.splits.texts == "train"])
    return labelled[~np.isin(classes[labelled], held_out)]


def _images_of_every_class(columns: ItemTable, hold_out: HoldOut, min_images: int) -> np.ndarray:
    """A share of every class's images, by seed, at least one where enough are left; copies of bytes count as one."""
    order = np.argsort(columns.classes, kind="stable")
    order = order[columns.classes[order] >= 0]
    drawn = []
    for items in np.split(order, np.flatnonzero(np.diff(columns.classes[order])) + 1):
        images, at = np.unique(columns.copies[items], return_index=True)
        images = images[_order_by_chance(columns.hashes[items[at]].astype(str), hold_out.seed)]
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


def _drawn(columns: ItemTable, eligible: np.ndarray, known: np.ndarray, hold_out: HoldOut) -> np.ndarray:
    """A share of the classes without those that are known. Others are drawn in their stead, as far as half of all that
    are new is left to be taught. Where no new one is drawn, known ones."""
    drawn, new = _spread(columns, eligible, hold_out.seed, hold_out.share), np.setdiff1d(eligible, known)
    found = np.setdiff1d(drawn, known)
    if len(new) > 2 and len(found) < len(drawn):
        others = _spread(columns, new, hold_out.seed, min(0.5, len(drawn) / len(new)))
        found = max(found, others, key=len)
    return found if len(found) else drawn


def _spread(columns: ItemTable, classes: np.ndarray, seed: int, share: float) -> np.ndarray:
    """A share of the classes: at random within domains, evenly over them, at least one, and two are left."""
    one = np.full(int(columns.classes.max()) + 1, -1)
    one[columns.classes[columns.classes >= 0]] = np.flatnonzero(columns.classes >= 0)
    at = one[classes]
    order = _order_by_chance((columns.domains.texts[at] + "/" + columns.labels.texts[at]).astype(str), seed)
    order = order[np.argsort(columns.domains.codes[at[order]], kind="stable")]
    domains, first = np.unique(columns.domains.codes[at[order]], return_index=True)
    count = min(max(1, round(share * len(order))), len(order) - 2)
    of_domain = np.searchsorted(first, ((np.arange(count) + 0.5) * len(order) / count).astype(int), "right") - 1
    shares = np.bincount(of_domain, minlength=len(domains))
    return classes[np.concatenate([order[start : start + size] for start, size in zip(first, shares)])]


def _order_by_chance(texts: np.ndarray, seed: int) -> np.ndarray:
    """An order of texts that looks random, in which each stands before and after the same others always."""
    return np.argsort([hashlib.sha256(f"{seed} {text}".encode("utf-8", "surrogatepass")).digest() for text in texts])


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
