"""Fit the shipped neck: whitened PCA of the bundled backbone's features on the ``train`` rows of a manifest.

    python -m benchmarks.fit_default_neck MANIFEST.csv --out assets/models/unifex-lite

The amount of whitening is chosen by mMP@5 on a third of the *train* classes that the axes were not fitted on; the
manifest's query and index rows are scored once, at the end, and their figures go into the model's config.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from unifex import neck
from unifex.embedder import DEFAULT_DIM, Embedder, ModelConfig
from unifex.evaluation import Evaluation, Protocol, Trial, evaluate
from unifex.gallery import Gallery
from unifex.indexing import index
from unifex.snapshot import Columns

WHITENINGS = (0.0, 0.125, 0.25, 0.375, 0.5)


def main() -> None:
    """Read arguments, fit, score, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--backbone", default="lite0")
    parser.add_argument("--out", type=Path, default=Path("assets/models/unifex-lite"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        gallery = Gallery.create(Path(scratch) / "all", Embedder.raw(arguments.backbone))
        for event in index(gallery, str(arguments.manifest)):
            last = event
        print(f"{last.items} images, {len(last.failed)} refused")
        columns = gallery.snapshot().columns
        features = gallery.features([sha256.decode() for sha256 in columns.hashes]).astype(np.float32)
    splits = columns.splits.texts
    train = splits == "train"
    whitening = choose_whitening(features, columns, train)
    fitted = neck.pca(features[train], whitening=whitening)
    spec = Embedder.raw(arguments.backbone).backbone
    config = ModelConfig(
        name=arguments.out.name,
        backbone=spec.id,
        backbone_hash=spec.weight_hash(),
        neck=fitted.kind,
        dims=fitted.dims,
        default_dim=DEFAULT_DIM,
        description=f"Principal axes divided by variance^{whitening}, from {int(train.sum())} images of "
        f"{len(np.unique(columns.classes[train]))} classes; mMP@5 on classes that were not among them.",
    )
    Embedder(config, fitted).save(arguments.out)
    saved = Embedder.load(str(arguments.out.resolve())).neck  # what is scored is what will be loaded
    at = np.flatnonzero
    official = trial(columns, at(splits == "query"), at(splits == "index"))
    scores = {}
    for dim in saved.dims:
        result = score(saved, dim, features, official)
        mmp5, macro = result.overall().value, result.macro().value
        scores[str(dim)] = {"mmp5": round(mmp5, 4), "macro_mmp5": round(macro, 4)}
        print(f"{dim:4d}-d  mMP@5 {mmp5:.3f}  macro {macro:.3f}  ({result.queries} queries)")
    Embedder(replace(config, scores=scores), saved).save(arguments.out)


def choose_whitening(features: np.ndarray, columns: Columns, train: np.ndarray) -> float:
    """The whitening that serves unseen classes best: fitted on two thirds of the classes, scored on the others."""
    classes = np.random.default_rng(0).permutation(np.unique(columns.classes[train]))
    unseen = train & np.isin(columns.classes, classes[: len(classes) // 3])
    first = np.zeros(len(train), bool)
    first[np.unique(np.where(unseen, columns.classes, -1), return_index=True)[1]] = True  # one query a class
    held_out = trial(columns, np.flatnonzero(unseen & first), np.flatnonzero(unseen & ~first))
    means = {}
    for whitening in WHITENINGS:
        fitted = neck.pca(features[train & ~unseen], whitening=whitening)
        values = [score(fitted, dim, features, held_out).overall().value for dim in fitted.dims]
        means[whitening] = float(np.mean(values))
        print(f"whitening {whitening}: mMP@5 {means[whitening]:.3f} on unseen train classes, mean over dimensions")
    return max(means, key=means.get)


def trial(columns: Columns, queries: np.ndarray, items: np.ndarray) -> Trial:
    """Queries against an index, both positions in the gallery."""
    return Trial(Protocol("split"), columns, queries, items, None, np.zeros((0, 2), np.int64), {})


def score(fitted: neck.Neck, dim: int, features: np.ndarray, chosen: Trial) -> Evaluation:
    """A neck at one dimension on a trial."""
    *_, result = evaluate(chosen, fitted.embed(features, dim))
    return result


if __name__ == "__main__":
    main()
