"""Recipes compared on classes and domains that were not trained on, all of them ``train`` rows of a manifest.

    python -m benchmarks.recipes MANIFEST.csv [--only NAME ...]

The manifest's query and index rows are not looked at. Three folds leave a third of every domain's classes out; four
leave whole domains out, which tells what a recipe is worth for things of another kind. Left-out items search for each
other as in the manifest's own protocol: up to 4 queries and 12 index items a class. Every recipe's row is mMP@5 at 64-d
and 256-d: over queries and as mean over domains for left-out classes, as mean over domains for left-out domains.
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
from unifex.evaluation.evaluate import evaluate
from unifex.evaluation.evaluation import Evaluation
from unifex.evaluation.protocols import EvalProtocol
from unifex.evaluation.splits import QueryIndexSplit
from unifex.gallery.gallery import Gallery
from unifex.gallery.indexing import index
from unifex.gallery.snapshot import ItemTable
from unifex.models.embedder import Embedder
from unifex.models.neck import Neck, pca
from unifex.training.augment import augmented_features
from unifex.training.config import PRESETS, TrainConfig
from unifex.training.loop import fit
from unifex.training.samples import Samples

DIMS = (64, 256)
VIEWS = 5
DOMAIN_GROUPS = 4
BEST = replace(PRESETS["best"].config, init="pca")
RECIPES: dict[str, TrainConfig] = {
    "best": BEST,
    "paper": PRESETS["paper"].config,
    "paper, nested": replace(PRESETS["paper"].config, dims=BEST.dims),
    "distillation 40": replace(BEST, distillation=40),
    "neck rate 2e-3": replace(BEST, learning_rate=2e-3),
    "neck rate 5e-4": replace(BEST, learning_rate=5e-4),
    "random start": replace(BEST, init="random"),
    "no dropout": replace(BEST, dropout=0),
    "3 epochs": replace(BEST, epochs=3),
    "sub-centres 3": replace(BEST, sub_centres=3),
    "class-balanced": replace(BEST, sampling="classes"),
    "domain-balanced": replace(BEST, sampling="domains"),
    "AdamW": replace(BEST, optimiser="adamw", weight_decay=1e-2),
    "cosface": replace(BEST, loss="cosface", margin=0.35),
    "dynamic-arcface": replace(BEST, loss="dynamic-arcface"),
    "adacos": replace(BEST, loss="adacos"),
    "li-arcface": replace(BEST, loss="li-arcface", margin=0.45),
    "curricularface": replace(BEST, loss="curricularface"),
    "adaface": replace(BEST, loss="adaface", margin=0.4),
    "softmax": replace(BEST, loss="softmax"),
    "SAM": replace(BEST, optimiser="sam"),
    "mirror images": replace(BEST, augmentations=1),
    "mirror images and crops": replace(BEST, augmentations=VIEWS),
}


@dataclass(frozen=True)
class Fold:
    """``train``: positions trained on; ``unseen``: what the left-out classes are searched with and among."""

    domains_left_out: bool
    train: np.ndarray
    unseen: QueryIndexSplit


def main() -> None:
    """Read arguments, embed once, train every recipe on every fold, print a row each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--only", nargs="+", choices=RECIPES, default=list(RECIPES))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        gallery = Gallery.create(Path(scratch) / "all", Embedder.raw("lite0"))
        finish(index(gallery, str(arguments.manifest)))
        columns = gallery.snapshot().columns
        features = gallery.features(columns.sha256s())
        views = None
        if any(RECIPES[name].augmentations for name in arguments.only):
            views = finish(augmented_features(gallery, gallery.records(columns.ids), VIEWS))
    folds = list(make_folds(columns, np.flatnonzero(columns.splits.texts == "train")))
    print("| recipe | classes, 64-d | 256-d | classes, macro 64-d | 256-d | domains, 64-d | 256-d | mean | seconds |")
    print("| --- " * 9 + "|")
    print_row("principal axes", folds, features, lambda train: pca(features[train], whitening=BEST.whitening))
    for name in arguments.only:
        print_row(
            name, folds, features, lambda train, name=name: trained(RECIPES[name], train, columns, features, views)
        )


def make_folds(columns: ItemTable, rows: np.ndarray) -> Iterator[Fold]:
    """Three folds of classes, then as many of domains as there are groups."""
    rng = np.random.default_rng(7)
    classes, domains = columns.classes[rows], columns.domains.codes[rows]
    part = np.zeros(int(columns.classes.max()) + 1, np.int64)
    for domain in np.unique(domains):
        own = rng.permutation(np.unique(classes[domains == domain]))
        part[own] = (np.arange(len(own)) + rng.integers(3)) % 3
    for number in range(3):
        left_out = part[classes] == number
        yield Fold(False, rows[~left_out], trial(columns, rows[left_out], rng))
    for group in np.array_split(rng.permutation(np.unique(domains)), DOMAIN_GROUPS):
        left_out = np.isin(domains, group)
        yield Fold(True, rows[~left_out], trial(columns, rows[left_out], rng))


def trial(columns: ItemTable, rows: np.ndarray, rng: np.random.Generator) -> QueryIndexSplit:
    """A quarter of every class, at most 4, as queries; at most 12 of the rest as index."""
    queries, items = [], []
    for label in np.unique(columns.classes[rows]):
        own = rng.permutation(rows[columns.classes[rows] == label])
        asked = min(4, max(1, len(own) // 4)) if len(own) > 1 else 0
        queries += own[:asked].tolist()
        items += own[asked : asked + 12].tolist()
    return QueryIndexSplit(
        EvalProtocol("split"), columns, np.array(queries), np.array(items), None, np.zeros((0, 2), np.int64), {}
    )  # fmt: skip


def trained(
    config: TrainConfig, train: np.ndarray, columns: ItemTable, features: np.ndarray, views: np.ndarray | None
) -> Neck:
    """The neck that a recipe makes of these rows."""
    labels = np.unique(columns.classes[train], return_inverse=True)[1]
    seen = None
    if config.augmentations:
        assert views is not None
        seen = views[train, : config.augmentations]
    *_, last = fit(Samples(features[train], labels, columns.domains.codes[train], seen), config)
    return last.neck


def print_row(name: str, folds: list[Fold], features: np.ndarray, make) -> None:
    """Make a neck on every fold, score it, print the means."""
    began, figures = time.perf_counter(), {(kind, dim): [] for kind in range(3) for dim in DIMS}
    for fold in folds:
        neck = make(fold.train)
        for dim in DIMS:
            if dim not in neck.dims:
                continue
            result = score(neck, dim, features, fold.unseen)
            if fold.domains_left_out:
                figures[2, dim].append(result.macro().value)
            else:
                figures[0, dim].append(result.overall().value)
                figures[1, dim].append(result.macro().value)
    means = [float(np.mean(values)) if values else float("nan") for values in figures.values()]
    cells = " | ".join(f"{value:.3f}" for value in [*means, float(np.nanmean(means))])
    print(f"| {name} | {cells} | {time.perf_counter() - began:.0f} |", flush=True)


def score(neck: Neck, dim: int, features: np.ndarray, chosen: QueryIndexSplit) -> Evaluation:
    """A neck at one dimension on a trial."""
    return finish(evaluate(chosen, neck.embed(features, dim)))


if __name__ == "__main__":
    main()
