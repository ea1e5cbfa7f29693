"""Make an adapted model that is shipped: late blocks of a bundled backbone and their neck, by sources that allow it.

    python -m benchmarks.train_default_model MANIFEST.csv MORE.csv --library FOLDER --out assets/models/unifex-lite-2
    python -m benchmarks.train_default_model MANIFEST.csv MORE.csv --library OTHER --out assets/models/unifex-base \\
        --backbone lite0-lite2

Only ``train`` rows are learned from, of the second manifest at most a few a label; ``EXCLUDED`` sources are not (a
label begins with its source's name). The first one's query and index rows are scored at the end. ``FOLDER`` keeps the
gallery, what the frozen part gave and a training that was stopped: called again alike, it goes on. ``--set`` changes a
setting. Of several ``--seeds`` the weights are averaged (Wortsman et al. 2022, model soups, arXiv 2203.05482): all
trainings begin with the same ones.
"""

from __future__ import annotations

import argparse
import csv
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from unifex.core.progress import finish
from unifex.core.tables import to_csv
from unifex.evaluation.evaluate import evaluate
from unifex.gallery.gallery import Gallery
from unifex.gallery.indexing import index
from unifex.models.adaptation import Adaptation
from unifex.models.embedder import Embedder
from unifex.models.neck import Neck
from unifex.training.config import PRESETS, TrainConfig
from unifex.training.result import TrainResult
from unifex.training.resume import maps_path
from unifex.training.run import save, train

EXCLUDED = ("ikea", "pacs-", "cards", "vietnam_landmarks")  # not for commercial use, unclear, unverified, none stated
MORE_A_LABEL = 4  # of the second manifest: a third of what is learned from is the first's
RECIPE: TrainConfig = replace(
    PRESETS["deep"].config,
    init="pca",
    epochs=4,
    augmentations=2,
    backbone_learning_rate=2e-4,
    neck_interpolation=0.5,
)
SOURCES = (
    "Sources, as labelled by their authors: GroceryStoreDataset (MIT), clothing-dataset-small (CC0), Caltech-101 "
    "(CC BY 4.0), ffml cut-outs (MIT), Noto emoji (Apache-2.0), brand logos of public icon sets (CC0, MIT); "
    "DreamBooth subjects (CC BY 4.0, Unsplash), euro coins (MIT), Omniglot (MIT), emoji of "
    "Twemoji, EmojiOne 2 and Streamline (CC BY 4.0), Fluent (MIT) and FxEmoji (Apache-2.0), "
    "interface icons and flags of public sets (MIT, ISC, Apache-2.0, CC BY, CC0), renders of AWS RoboMaker worlds "
    "(MIT-0), of JSK's shop goods (BSD-3-Clause), LIBERO (MIT, CC BY 4.0), Gazebo models (CC BY 3.0), KayKit and "
    "Kenney (CC0) and YCB objects (CC BY 4.0), views of paintings in the public domain, pictures under changing "
    "captions (public domain, MIT), fruit and vegetables (MIT)."
)


def main() -> None:
    """Index, train, print a row a model and dimension, and write the model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("more", type=Path)
    parser.add_argument("--library", type=Path, required=True)
    parser.add_argument("--backbone", default="lite0")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--until", type=int, default=3, help="of the recipe's epochs so many are run (3)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    arguments = parser.parse_args()
    config = RECIPE.updated(dict(pair.split("=", 1) for pair in arguments.set))
    gallery = Gallery.open_or_create(arguments.library / "mixture", Embedder.raw(arguments.backbone))
    if not len(gallery):
        mixed = arguments.library / "mixture.csv"
        mixed.write_text(_mixture(arguments.manifest, arguments.more), encoding="utf-8")
        print(f"{finish(index(gallery, str(mixed))).items} images", flush=True)
    results = []
    for seed in arguments.seeds:
        kept = arguments.library / f"kept-{seed}.maps"
        results.append(_trained(gallery, replace(config, seed=seed), arguments.until, kept))
        tell(results[-1])
    note = f"{SOURCES} Of the recipe's epochs {arguments.until} were run."
    if len(results) > 1:
        note += f" The weights are the mean of {len(results)} trainings with seeds of their own."
    write(averaged(results, gallery) if len(results) > 1 else results[0], gallery.embedder, arguments.out, note)


def _mixture(manifest: Path, more: Path) -> str:
    """A manifest of what is learned from, and of what is measured."""
    first = (row for row in _rows(manifest) if row["split"] != "train" or _is_free(row))
    rows = [*first, *_at_most(MORE_A_LABEL, filter(_is_free, _rows(more)))]
    header = ["path", "domain", "label", "split"]
    return to_csv(header, [[row[name] for name in header] for row in rows], guard=False)


def _rows(manifest: Path) -> Iterator[dict[str, str]]:
    """Rows with absolute paths."""
    with manifest.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield row | {"path": str(manifest.parent.resolve() / row["path"])}


def _is_free(row: dict[str, str]) -> bool:
    return not row["label"].startswith(EXCLUDED)


def _at_most(count: int, rows: Iterable[dict[str, str]]) -> Iterator[dict[str, str]]:
    """The first rows of every label."""
    seen: Counter[tuple[str, str]] = Counter()
    for row in rows:
        seen[row["domain"], row["label"]] += 1
        if seen[row["domain"], row["label"]] <= count:
            yield row


def _trained(gallery: Gallery, config: TrainConfig, until: int, kept: Path) -> TrainResult:
    """Measured after epoch ``until``. What the frozen part gave serves later trainings of the same seed, too: one more
    name for the file keeps it."""
    name = f"seed-{config.seed}"
    shutil.rmtree(gallery.models / name, ignore_errors=True)
    maps = maps_path(gallery.models, name)
    if kept.exists() and not maps.exists():
        maps.parent.mkdir(parents=True, exist_ok=True)
        for suffix in ("", ".json"):
            os.link(f"{kept}{suffix}", f"{maps}{suffix}")

    work = train(gallery, name, config)
    for step in work:
        if step.stage.startswith("epoch") and not kept.exists():
            for suffix in ("", ".json"):
                os.link(f"{maps}{suffix}", f"{kept}{suffix}")
        if step.stage.startswith("epoch") or step.done % 2048 == 0:
            print(f"{step.stage} {step.done}/{step.total} {step.note}", flush=True)
        if step.stage.startswith("epoch") and step.done >= until:
            work.close()
    return finish(train(gallery, name, config, finish=True))


def averaged(results: list[TrainResult], gallery: Gallery) -> TrainResult:
    """The mean of the trainings' weights, measured as each was."""
    first = results[0]
    assert first.data.split
    assert first.adaptation
    differences = [result.adaptation.differences for result in results if result.adaptation]
    mean = {name: np.mean([one[name].astype(np.float32) for one in differences], axis=0) for name in differences[0]}
    adaptation = Adaptation({name: value.astype(np.float16) for name, value in mean.items()})
    weight, bias = (np.mean([getattr(result.neck, part) for result in results], axis=0) for part in ("weight", "bias"))
    neck = Neck(first.neck.kind, weight, bias, first.neck.dims)
    backbone = gallery.embedder.backbone.adapted(adaptation)
    positions = np.union1d(first.data.split.queries, first.data.split.items)
    records = gallery.records(first.data.columns.ids[positions])
    seeing = Embedder(gallery.embedder.config, gallery.embedder.neck, backbone)
    features = seeing.features([Path(record.uri) for record in records])
    evaluations = [e for e in first.evaluations if e.model != first.model]
    for dim in neck.dims:
        embeddings = np.zeros((len(first.data.columns.ids), dim), np.float32)
        embeddings[positions] = neck.embed(features, dim)
        evaluations.append(finish(evaluate(first.data.split, embeddings, first.model)))
    return replace(first, neck=neck, adaptation=adaptation, evaluations=evaluations)


def tell(result: TrainResult) -> None:
    """Print a row a model and dimension."""
    for measured in result.evaluations:
        figures = f"{measured.overall().value:.3f}  macro {measured.macro().value:.3f}"
        print(f"{measured.model:24} {measured.dim:5}  mMP@5 {figures}", flush=True)


def write(result: TrainResult, embedder: Embedder, out: Path, note: str) -> None:
    """Save it under the name of its folder, with a ``note`` in its card."""
    name = out.name
    renamed = [replace(e, model=name) if e.model == result.model else e for e in result.evaluations]
    shutil.rmtree(out, ignore_errors=True)
    named = replace(result, model=name, evaluations=renamed)
    tell(named)
    save(named, embedder, out, note)


if __name__ == "__main__":
    main()
