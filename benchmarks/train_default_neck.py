"""Train the shipped neck on the ``train`` rows of a manifest, and score it on its query and index rows.

    python -m benchmarks.train_default_neck MANIFEST.csv --out assets/models/unifex-lite

The recipe is the preset "best" from principal axes; it was chosen by ``benchmarks.recipes`` on left-out train classes.
The query and index rows are scored at the end, for five seeds; the model of the first seed is what is written.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from unifex.core.progress import finish
from unifex.evaluation.evaluation import Evaluation
from unifex.gallery.gallery import Gallery
from unifex.gallery.indexing import index
from unifex.models.embedder import Embedder
from unifex.training.config import PRESETS
from unifex.training.result import TrainResult
from unifex.training.run import save, train

SEEDS = range(5)
ABOUT = (
    "Sources, as labelled by their authors: GroceryStoreDataset (MIT), clothing-dataset-small (CC0), an IKEA catalogue "
    "(IvonaTau/ikea, non-commercial), Caltech-101 (CC BY 4.0), PACS, ffml cut-outs (MIT), Noto emoji (Apache-2.0), "
    "brand logos of public icon sets (CC0, MIT), Vietnamese landmarks."
)


def main() -> None:
    """Read arguments, index, train five times, print and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--backbone", default="lite0")
    parser.add_argument("--out", type=Path, default=Path("assets/models/unifex-lite"))
    arguments = parser.parse_args()
    config = replace(PRESETS["best"].config, init="pca")
    with tempfile.TemporaryDirectory() as scratch:
        gallery = Gallery.create(Path(scratch) / "all", Embedder.raw(arguments.backbone))
        report = finish(index(gallery, str(arguments.manifest)))
        print(f"{report.items} images, {len(report.failed)} refused")
        outcomes = []
        for seed in SEEDS:
            outcome = finish(train(gallery, f"seed-{seed}", replace(config, seed=seed)))
            outcomes.append(outcome)
            print(f"seed {seed}: " + ", ".join(f"{dim}-d {figure(outcome, dim):.3f}" for dim in outcome.neck.dims))
        for dim in config.dims:
            values = [figure(outcome, dim) for outcome in outcomes]
            macro = [measured(outcome, dim).macro().value for outcome in outcomes]
            print(
                f"{dim:4d}-d  mMP@5 {np.mean(values):.3f} (deviation {np.std(values):.3f})  macro {np.mean(macro):.3f}"
            )
        write(outcomes, gallery.embedder, arguments.out)


def figure(outcome: TrainResult, dim: int) -> float:
    """mMP@5 of the new neck."""
    return measured(outcome, dim).overall().value


def measured(outcome: TrainResult, dim: int) -> Evaluation:
    """What the new neck was found to be worth."""
    found = outcome.of(outcome.model, dim)
    assert found
    return found


def write(outcomes: list[TrainResult], embedder: Embedder, out: Path) -> None:
    """Save the first under the name of its folder, with the means of all in its card."""
    name, first = out.name, outcomes[0]
    renamed = [replace(e, model=name) if e.model == first.model else e for e in first.evaluations]
    means = ", ".join(f"{np.mean([figure(o, dim) for o in outcomes]):.3f} at {dim}-d" for dim in first.neck.dims)
    note = f"{ABOUT} Means of {len(outcomes)} seeds: {means}; this is the first seed."
    shutil.rmtree(out, ignore_errors=True)
    save(replace(first, model=name, evaluations=renamed), embedder, out, note)


if __name__ == "__main__":
    main()
