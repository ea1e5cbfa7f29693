"""Deep training on the ``train`` rows of a manifest, scored on its query and index rows beside the frozen backbone.

    python -m benchmarks.deep MANIFEST.csv --library FOLDER

``FOLDER`` keeps the gallery, a training that was stopped, and the model. ``--choose`` looks at train rows alone and
scores a left-out third of their classes, for choosing settings; ``--set KEY=VALUE`` changes one, as ``epochs=4``.
"""

from __future__ import annotations

import argparse
import csv
from dataclasses import replace
from pathlib import Path

from unifex.core.progress import Step, finish
from unifex.core.tables import to_csv
from unifex.gallery.gallery import Gallery
from unifex.gallery.indexing import index
from unifex.models.embedder import Embedder
from unifex.training.config import PRESETS
from unifex.training.run import train


def main() -> None:
    """Index, or go on from what is there; train; print a row a model and dimension."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--library", type=Path, required=True)
    parser.add_argument("--name", default="deep")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--choose", action="store_true")
    arguments = parser.parse_args()
    config = replace(PRESETS["deep"].config, init="pca").updated(dict(pair.split("=", 1) for pair in arguments.set))
    embedder = Embedder.load("unifex-lite")  # frozen
    gallery = Gallery.open_or_create(arguments.library / ("train" if arguments.choose else "all"), embedder)
    if not len(gallery):
        rows = _train_rows(arguments.manifest, arguments.library) if arguments.choose else arguments.manifest
        finish(index(gallery, str(rows)))
    result = finish(train(gallery, arguments.name, config), _tell)
    print(f"{len(result.data.train)} images of {result.data.classes} classes, {result.seconds:.0f} s of epochs")
    for measured in result.evaluations:
        figures = f"{measured.overall().value:.3f}  macro {measured.macro().value:.3f}"
        print(f"{measured.model:24} {measured.dim:5}  mMP@5 {figures}")


def _train_rows(manifest: Path, folder: Path) -> Path:
    """A manifest of the train rows alone, as if there were no others."""
    with manifest.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "train"]
    out = folder / "train.csv"
    lines = [[str(manifest.parent.resolve() / row["path"]), row["domain"], row["label"]] for row in rows]
    out.write_text(to_csv(["path", "domain", "label"], lines), encoding="utf-8")
    return out


def _tell(step: Step) -> None:
    if step.stage.startswith("epoch") or step.done % 1024 == 0:
        print(f"{step.stage} {step.done}/{step.total} {step.note}", flush=True)


if __name__ == "__main__":
    main()
