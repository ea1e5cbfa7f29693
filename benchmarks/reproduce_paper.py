"""The paper's experiment from end to end: M4D-35k -> features of the frozen backbone -> neck -> a file to submit.

    python -m benchmarks.reproduce_paper DATA --work DIR

DATA holds ``m4d-35k_train.csv`` and its four data sets (``python -m unifex datasets --data DATA``). The backbone is the
paper's, SigLIP SO400M at 384 pixels; ``python -m unifex download vit_so400m_patch14_siglip_384`` fetches it first. The
recipe is the paper's: resize, no augmentation, frozen backbone, sub-centre ArcFace (k = 3, s = 30, m = 0.5) on a 64-d
projection, 10 epochs. Every step goes on where it was stopped. What comes out is a TorchScript file as the Google
Universal Image Embedding Challenge takes it (late submissions are scored by Kaggle); the paper reports mMP@5 0.721.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from unifex.core.console import watched
from unifex.core.text import duration, size
from unifex.data.sources import open_source
from unifex.gallery.gallery import Gallery
from unifex.gallery.indexing import index
from unifex.gallery.library import Library
from unifex.models import throughput
from unifex.models.embedder import Embedder
from unifex.models.export import CHALLENGE_DIM, export
from unifex.training.config import PRESETS
from unifex.training.held_out import HoldOut
from unifex.training.run import train

PAPERS_BACKBONE = "vit_so400m_patch14_siglip_384"
MODEL = "paper-64"
THUMBNAIL_BYTES = 5_500  # measured: the mean of 5,229 small photographs


def forecast(embedder: Embedder, images: int) -> str:
    """Hours and disk that the features take; training them is minutes."""
    rate = throughput.images_per_second(embedder.backbone)
    disk = images * (2 * embedder.backbone.feature_dim + THUMBNAIL_BYTES)
    time = f"about {duration(images / rate)} on this CPU" if rate else "not known before it is tried"
    return f"{images:,} images: {time}, {size(disk)} of disk"


def features(embedder: Embedder, source: str, library: Library) -> Gallery:
    """The gallery of the data set; what is there already is not done again."""
    gallery = library.get_or_create("m4d-35k", lambda: embedder)
    report = watched(index(gallery, source))
    print(f"{report.items:,} items, {len(report.failed):,} could not be read")
    return gallery


def train_paper(gallery: Gallery, epochs: int) -> None:
    """The paper's neck on all classes: the challenge's own images are what it is measured on."""
    config = replace(PRESETS["paper"].config, dims=(CHALLENGE_DIM,), epochs=epochs)
    watched(train(gallery, MODEL, config, HoldOut(0)))


def main(arguments: list[str] | None = None) -> None:
    """Run what is not done yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--work", type=Path, default=Path("indexes"), help="folder of features and models")
    parser.add_argument("--backbone", default=PAPERS_BACKBONE)
    parser.add_argument("--epochs", type=int, default=PRESETS["paper"].config.epochs)
    parser.add_argument("--forecast", action="store_true", help="say what it would take, and stop")
    options = parser.parse_args(arguments)
    source, library = f"m4d:{options.data}", Library(options.work)
    images = open_source(source).count()
    assert images is not None  # it is a folder
    embedder = Embedder.raw(options.backbone)
    print(forecast(embedder, images))
    if options.forecast:
        return
    gallery = features(embedder, source, library)
    if not (library.models / MODEL).is_dir():
        train_paper(gallery, options.epochs)
    model = Embedder.load(MODEL, models=library.models)
    made = export(model, "torchscript", options.work / "submission.pt", CHALLENGE_DIM, replace=True)
    trained = model.neck.weight.size + model.neck.bias.size
    print(
        f"{made.path}: {size(made.bytes)}, {trained:,} trained and {embedder.backbone.parameters:,} frozen parameters"
    )


if __name__ == "__main__":
    main()
