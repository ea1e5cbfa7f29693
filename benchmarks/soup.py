"""Make an adapted model of several trainings: the mean of what their late blocks learned, and a neck anew on that.

    python -m benchmarks.soup MANIFEST.csv MORE.csv --library FOLDER --out assets/models/unifex-lite-4 MODEL MODEL ...

Each ``MODEL`` is one of ``python -m benchmarks.train_default_model`` (of other seeds, of more late blocks), by name or
folder, all on the same backbone; ``MODEL=5`` counts five times. Trainings that began at the same weights end in one
basin, and the mean of their weights serves pictures unlike those that were learned from better than each of them
(Wortsman et al. 2022, model soups, arXiv 2203.05482). It is one network, no slower than each. What is learned from and
measured on is as there.
"""

from __future__ import annotations

import argparse
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.train_default_model import A_LABEL, RECIPE, SOURCES, mixture, tell_step, write
from unifex.core.progress import finish
from unifex.gallery.gallery import Gallery
from unifex.gallery.indexing import index
from unifex.models.adaptation import Adaptation
from unifex.models.embedder import Embedder
from unifex.training.run import train

NAME = "mixture"


def main() -> None:
    """Average, index, train the neck, print a row a model and dimension, and write the model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("more", type=Path)
    parser.add_argument("models", nargs="+", metavar="MODEL[=SHARE]")
    parser.add_argument("--a-label", type=int, default=A_LABEL, metavar="COUNT")
    parser.add_argument("--library", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    embedder = averaged(arguments.models)
    gallery = Gallery.open_or_create(arguments.library / NAME, embedder)
    if not len(gallery):
        listed = arguments.library / f"{NAME}.csv"
        rows = mixture(arguments.manifest, arguments.more, measured=True, a_label=arguments.a_label)
        listed.write_text(rows, encoding="utf-8")
        print(f"{finish(index(gallery, str(listed))).items} images", flush=True)
    shutil.rmtree(gallery.models / NAME, ignore_errors=True)  # of an earlier run
    result = finish(train(gallery, NAME, RECIPE.of_the_neck_anew), tell_step)
    note = f"{SOURCES} The backbone's late blocks are the mean of {len(arguments.models)} trainings on these."
    beside = replace(result, before="pca", before_dim=result.dim)  # raw features are six times as long
    write(beside, embedder, arguments.out, note)


def averaged(models: list[str]) -> Embedder:
    """Raw features of their backbone, its late blocks at the mean of where theirs are."""
    named = [model.partition("=") for model in models]
    shares = np.array([float(share or 1) for _, _, share in named])
    embedders = [Embedder.load(name) for name, _, _ in named]
    differences: dict[str, np.ndarray] = {}
    for embedder, share in zip(embedders, shares / shares.sum(), strict=True):
        if adaptation := embedder.backbone.adaptation:
            for weight, difference in adaptation.differences.items():
                differences[weight] = differences.get(weight, 0) + share * difference.astype(np.float32)
    mean = Adaptation({weight: difference.astype(np.float16) for weight, difference in differences.items()})
    raw = Embedder.raw(embedders[0].config.backbone)
    return Embedder(raw.config, raw.neck, raw.backbone.adapted(mean))


if __name__ == "__main__":
    main()
