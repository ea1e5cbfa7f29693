"""Teaching with few pictures, drawn many times over: what it is worth for the taught classes and for all others.

    python -m benchmarks.few_pictures MANIFEST.csv [--library FOLDER] [--draws 100] [--model unifex-lite-4] [--choose]

The gallery is the query and index rows, whose classes the model never saw. Every draw teaches 5 to 20 of its classes
with 5 to 20 pictures each (at least three of a class are left over); the gallery's other pictures have no label then.
Queries are the other pictures of the taught classes, and 500 of other classes; items are the whole gallery. A row is a
method: mMP@5 less that of the neck before, mean over the draws with its 95 % interval. ``--choose`` draws from train
rows instead, for choosing settings: from half of their classes, with a neck that was trained on the other half.
``--classes 40 60`` and ``--images 10 20`` draw otherwise.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from unifex.core.progress import finish
from unifex.evaluation.evaluate import mmp5
from unifex.evaluation.protocols import EvalProtocol
from unifex.evaluation.splits import QueryIndexSplit
from unifex.gallery.gallery import Gallery
from unifex.gallery.indexing import index
from unifex.gallery.snapshot import ItemTable
from unifex.models.embedder import DEFAULT_MODEL, Embedder
from unifex.models.neck import Neck
from unifex.training import one_step
from unifex.training.config import PRESETS, TrainConfig
from unifex.training.loop import fit
from unifex.training.samples import Samples

DIMS = (64, 256, 512)
LEFT_OVER = 3  # pictures of a taught class, to search with
OTHER_QUERIES = 500
FEW = PRESETS["few"].config
METHODS: dict[str, TrainConfig] = {
    "quick": PRESETS["quick"].config,
    "best": PRESETS["best"].config,
    "paper": PRESETS["paper"].config,
    "few": FEW,
    "few, pull 1": replace(FEW, pull=1.0),
    "few, pull 1.2": replace(FEW, pull=1.2),
    "few, staying 4": replace(FEW, distillation=4.0),
}
ALONE = "few, nothing else in the gallery yet"


@dataclass(frozen=True)
class Pool:
    """Where draws come from: positions of a gallery's items, and the neck that never saw their classes."""

    rows: np.ndarray
    neck: Neck


@dataclass(frozen=True)
class Draw:
    """Positions: what is taught, the other pictures of these classes, pictures of other classes, the whole gallery."""

    taught: np.ndarray
    same: np.ndarray
    other: np.ndarray
    gallery: np.ndarray


def main() -> None:
    """Read arguments, index once, draw, teach by every method, print a row each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--library", type=Path, help="keeps the gallery for another time")
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--choose", action="store_true")
    parser.add_argument("--classes", type=int, nargs=2, default=(5, 20), metavar=("LOW", "HIGH"))
    parser.add_argument("--images", type=int, nargs=2, default=(5, 20), metavar=("LOW", "HIGH"))
    parser.add_argument("--only", nargs="+", choices=[*METHODS, ALONE], default=[*METHODS, ALONE])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = (arguments.library or Path(scratch)) / arguments.model
        gallery = Gallery.open_or_create(folder, Embedder.load(arguments.model))
        if not len(gallery):
            finish(index(gallery, str(arguments.manifest)))
        columns = gallery.snapshot().columns
        features = gallery.features(columns.sha256s())
    pools = list(halves(columns, features)) if arguments.choose else [unseen(columns, gallery.embedder.neck)]
    scores: dict[str, list[np.ndarray]] = {name: [] for name in ("before", *arguments.only)}
    seconds, images = dict.fromkeys(scores, 0.0), []
    for seed in range(arguments.draws):
        pool = pools[seed % len(pools)]
        drawn = draw(columns, pool.rows, seed, arguments.classes, arguments.images)
        images.append(len(drawn.taught))
        scores["before"].append(score(pool.neck, columns, features, drawn))
        for name in arguments.only:
            began = time.perf_counter()
            neck = teach(name, columns, features, pool.neck, drawn)
            seconds[name] += (time.perf_counter() - began) / arguments.draws
            scores[name].append(score(neck, columns, features, drawn))
    print(f"{arguments.draws} draws of {min(images)} to {max(images)} pictures, {np.mean(images):.0f} on average")
    print_table(scores, seconds)


def unseen(columns: ItemTable, neck: Neck) -> Pool:
    """The query and index rows."""
    return Pool(np.flatnonzero(columns.splits.texts != "train"), neck)


def halves(columns: ItemTable, features: np.ndarray) -> Iterator[Pool]:
    """The train rows in two halves of their classes, each with a neck that was trained on the other."""
    rows = np.flatnonzero(columns.splits.texts == "train")
    half = np.random.default_rng(5).integers(2, size=int(columns.classes.max()) + 1)[columns.classes[rows]]
    for number in range(2):
        seen = rows[half != number]
        *_, last = fit(samples(columns, features, seen), replace(PRESETS["best"].config, init="pca"))
        yield Pool(rows[half == number], last.neck)


def draw(columns: ItemTable, rows: np.ndarray, seed: int, classes: tuple[int, int], images: tuple[int, int]) -> Draw:
    """Some classes of ``rows`` and some pictures of each, between these bounds."""
    rng, own = np.random.default_rng(seed), columns.classes[rows]
    names, sizes = np.unique(own, return_counts=True)
    large = names[sizes >= images[0] + LEFT_OVER]
    count, most = (int(rng.integers(low, high + 1)) for low, high in (classes, images))
    chosen = rng.choice(large, min(count, len(large)), replace=False)
    taught = np.concatenate([_some(rng, rows[own == name], most) for name in chosen])
    others = rows[np.isin(own, names[sizes >= 2]) & ~np.isin(own, chosen)]
    asked = np.sort(rng.permutation(others)[:OTHER_QUERIES])
    return Draw(taught, np.setdiff1d(rows[np.isin(own, chosen)], taught), asked, rows)


def _some(rng: np.random.Generator, rows: np.ndarray, most: int) -> np.ndarray:
    return rng.permutation(rows)[: min(most, len(rows) - LEFT_OVER)]


def samples(columns: ItemTable, features: np.ndarray, rows: np.ndarray) -> Samples:
    """What is learned from."""
    labels = np.unique(columns.classes[rows], return_inverse=True)[1]
    return Samples(features[rows], labels, columns.domains.codes[rows])


def teach(method: str, columns: ItemTable, features: np.ndarray, neck: Neck, drawn: Draw) -> Neck:
    """The neck that a method makes of ``neck``."""
    taught, config = samples(columns, features, drawn.taught), METHODS.get(method, FEW)
    others = drawn.taught[:0] if method == ALONE else np.setdiff1d(drawn.gallery, drawn.taught)
    steps = one_step.fit(taught, features[others], config, neck) if config.in_one_step else fit(taught, config, neck)
    *_, last = steps
    return last.neck


def score(neck: Neck, columns: ItemTable, features: np.ndarray, drawn: Draw) -> np.ndarray:
    """mMP@5 [2, len(DIMS)]: of the taught classes, of others; NaN where the neck lacks a dimension."""
    found = np.full((2, len(DIMS)), np.nan)
    for column, dim in enumerate(DIMS):
        if dim not in neck.dims:
            continue
        embeddings = np.zeros((len(features), dim), np.float32)
        embeddings[drawn.gallery] = neck.embed(features[drawn.gallery], dim)
        for row, queries in enumerate((drawn.same, drawn.other)):
            found[row, column] = mmp5(trial(columns, queries, drawn.gallery), embeddings)
    return found


def trial(columns: ItemTable, queries: np.ndarray, items: np.ndarray) -> QueryIndexSplit:
    """Every query among all items but itself."""
    none = np.zeros((0, 2), np.int64)
    return QueryIndexSplit(EvalProtocol("leave-one-out"), columns, queries, items, columns.copies, none, {})


def print_table(scores: dict[str, list[np.ndarray]], seconds: dict[str, float]) -> None:
    """A row a method: what changes at every dimension, for the taught classes and for others."""
    heads = [f"{whose} classes, {dim}-d" for whose in ("taught", "other") for dim in DIMS]
    print(f"| method | {' | '.join(heads)} | seconds |")
    print("| --- " * (2 + len(heads)) + "|")
    before = np.array(scores["before"])
    for name, values in scores.items():
        change = np.array(values) - (0 if name == "before" else before)
        means, errors = change.mean(axis=0).ravel(), 1.96 * change.std(axis=0).ravel() / np.sqrt(len(change))
        sign = "" if name == "before" else "+"
        cells = [f"{mean:{sign}.4f} ± {error:.4f}" for mean, error in zip(means, errors)]
        print(f"| {name} | {' | '.join(cells)} | {seconds[name]:.1f} |", flush=True)


if __name__ == "__main__":
    main()
