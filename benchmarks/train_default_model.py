"""Make an adapted model that is shipped: late blocks of a bundled backbone and their neck, by sources that allow it.

    python -m benchmarks.train_default_model MANIFEST.csv MORE.csv --library FOLDER --out assets/models/unifex-lite-3
    python -m benchmarks.train_default_model MANIFEST.csv MORE.csv --library OTHER --out assets/models/unifex-base-2 \\
        --backbone lite0-lite2

Only ``train`` rows are learned from, of the second manifest at most ``--a-label`` a label; ``EXCLUDED`` sources are not
(a label begins with its source's name). The first one's query and index rows are scored at the end. ``FOLDER`` keeps
the gallery and a training that was stopped: called again alike, it goes on. ``--set`` changes a setting. ``--backbone``
may be a model, whose adapted blocks learn further.
``--choose`` writes no model: it leaves a third of the ``train`` rows' classes out, and scores these alone.
"""

from __future__ import annotations

import argparse
import csv
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from unifex.core.progress import Step, finish
from unifex.core.tables import to_csv
from unifex.gallery.gallery import Gallery
from unifex.gallery.indexing import index
from unifex.models.embedder import Embedder
from unifex.training.config import PRESETS, TrainConfig
from unifex.training.result import TrainResult
from unifex.training.run import save, train

EXCLUDED = ("ikea", "pacs-", "cards", "vietnam_landmarks")  # not for commercial use, unclear, unverified, none stated
A_LABEL = 4  # of the second manifest: a third of what is learned from is the first's
RECIPE: TrainConfig = replace(PRESETS["deep"].config, init="pca", backbone_learning_rate=3e-4, neck_interpolation=0.3)
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
    parser.add_argument("--out", type=Path)
    parser.add_argument("--a-label", type=int, default=A_LABEL, metavar="COUNT")
    parser.add_argument("--choose", action="store_true")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    arguments = parser.parse_args()
    if not (arguments.out or arguments.choose):
        parser.error("--out FOLDER, or --choose")
    config = RECIPE.updated(dict(pair.split("=", 1) for pair in arguments.set))
    name = "choosing" if arguments.choose else "mixture"
    gallery = Gallery.open_or_create(arguments.library / name, beginning(arguments.backbone))
    if not len(gallery):
        mixed = arguments.library / f"{name}.csv"
        listed = mixture(arguments.manifest, arguments.more, not arguments.choose, arguments.a_label)
        mixed.write_text(listed, encoding="utf-8")
        print(f"{finish(index(gallery, str(mixed))).items} images", flush=True)
    shutil.rmtree(gallery.models / name, ignore_errors=True)  # of an earlier run
    result = finish(train(gallery, name, config), tell_step)
    if arguments.choose:
        tell(result)
    else:
        write(result, gallery.embedder, arguments.out)


def beginning(name: str) -> Embedder:
    """Raw features of a backbone, or of a model's, whose late blocks stand where that left them."""
    model = Embedder.load(name)
    raw = Embedder.raw(model.config.backbone)
    return Embedder(raw.config, raw.neck, model.backbone)


def mixture(manifest: Path, more: Path, measured: bool, a_label: int) -> str:
    """A manifest of what is learned from, ``a_label`` a label of ``more`` at most, and of what is ``measured``."""
    first = (
        row
        for row in _rows(manifest)
        if (row["split"] == "train" and _is_free(row)) or (row["split"] != "train" and measured)
    )
    rows = [*first, *_at_most(a_label, filter(_is_free, _rows(more)))]
    header = ["path", "domain", "label", *(["split"] if measured else [])]
    return to_csv(header, [[row[name] for name in header] for row in rows])


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


def tell_step(step: Step) -> None:
    """Print what is long, and what is reached."""
    if step.stage.startswith("epoch") or step.done % 2048 == 0:
        print(f"{step.stage} {step.done}/{step.total} {step.note}", flush=True)


def tell(result: TrainResult) -> None:
    """Print a row a model and dimension."""
    for measured in result.evaluations:
        figures = f"{measured.overall().value:.3f}  macro {measured.macro().value:.3f}"
        print(f"{measured.model:24} {measured.dim:5}  mMP@5 {figures}", flush=True)


def write(result: TrainResult, embedder: Embedder, out: Path, note: str = SOURCES) -> None:
    """Save it under the name of its folder, with a ``note`` on its data in its card."""
    name = out.name
    renamed = [replace(e, model=e.model.replace(result.model, name)) for e in result.evaluations]
    shutil.rmtree(out, ignore_errors=True)
    named = replace(result, model=name, evaluations=renamed)
    tell(named)
    save(named, embedder, out, note)


if __name__ == "__main__":
    main()
