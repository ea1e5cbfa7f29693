"""From pixels to a trained neck, beside the loop of the public UniFEx code, which reads pixels in every epoch.

    python -m benchmarks.training MANIFEST.csv [--epochs 10] [--steps 5] [--runs 3]

Both train on the manifest's ``train`` rows with the paper's recipe. The rival is that loop written out: images decoded
and squashed by two DataLoader workers, the frozen backbone in training mode, in eager torch, in every step, batches of
128. It takes minutes an epoch, so ``--steps`` of its steps are timed (after one that is not) and multiplied.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.table import Row, tell
from tests.support.timm_lite import classifier
from unifex.core.progress import finish
from unifex.data.item import Item, Options
from unifex.data.sources import open_source
from unifex.gallery.gallery import Gallery
from unifex.gallery.indexing import index
from unifex.models import zoo
from unifex.models.embedder import Embedder
from unifex.models.lite_weights import NETWORKS
from unifex.training.config import PRESETS, TrainConfig
from unifex.training.loop import fit
from unifex.training.samples import Samples

BATCH = 128


class Rows:
    """Some items as a source."""

    def __init__(self, items: list[Item]):
        self.items, self.spec, self.keep, self.options = items, "benchmark", False, Options()

    def count(self) -> int:
        """How many there are."""
        return len(self.items)

    def __iter__(self):
        return iter(self.items)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    items = [item for item in open_source(arguments.manifest) if isinstance(item, Item) and item.split == "train"]
    embedder = Embedder.raw("lite0")
    embedder.embed([items[0].read()])  # the engine is made once a machine
    paper = replace(PRESETS["paper"].config, epochs=arguments.epochs)
    ours, trainings, theirs = [], {}, []
    for _ in range(arguments.runs):
        theirs.append(public_seconds(items, paper, arguments.steps) * arguments.epochs)
        features_seconds, samples = cached(items, embedder)
        for name, config in {"paper": paper, "best": replace(PRESETS["best"].config, init="pca")}.items():
            started = time.perf_counter()
            for _ in fit(samples, replace(config, epochs=arguments.epochs)):
                pass
            trainings.setdefault(name, []).append(time.perf_counter() - started)
        ours.append(features_seconds)
    print(f"{len(items)} images, {arguments.epochs} epochs, medians of {arguments.runs} runs, {embedder.engine.name}")
    slow, cache = statistics.median(theirs), statistics.median(ours)
    print(f"the public loop: {slow:8.1f} s ({len(items) * arguments.epochs / slow:.1f} images/s)")
    print(f"UniFEx, pixels to features in a gallery: {cache:.1f} s")
    for name, seconds in trainings.items():
        spent = statistics.median(seconds)
        print(
            f"UniFEx, preset {name}: {spent:.1f} s, from pixels {cache + spent:.1f} s, {slow / (cache + spent):.0f} x"
        )
        ratio = slow / (cache + spent)
        tell(
            Row(
                f"training from pixels, preset {name}", f"{cache + spent:.0f} s", f"public loop {slow:.0f} s", ratio, 60
            )
        )


def cached(items: list[Item], embedder: Embedder) -> tuple[float, Samples]:
    """Seconds to a gallery on disk, and what is trained on."""
    with tempfile.TemporaryDirectory() as scratch:
        started = time.perf_counter()
        gallery = Gallery.create(Path(scratch) / "g", embedder)
        finish(index(gallery, Rows(items)))
        columns = gallery.snapshot().columns
        features = gallery.features(columns.sha256s())
        seconds = time.perf_counter() - started
    labels = np.unique(columns.classes, return_inverse=True)[1]
    return seconds, Samples(features, labels, columns.domains.codes)


def public_seconds(items: list[Item], config: TrainConfig, steps: int) -> float:
    """Seconds an epoch of the public loop."""
    import torch
    from PIL import Image
    from torchvision import transforms

    from unifex.training.losses import NestedLoss, Settings

    spec = zoo.get("lite0")
    network = classifier(NETWORKS["lite0"])
    network.reset_classifier(0)
    network.requires_grad_(False).train()
    classes = {label: number for number, label in enumerate(sorted({(item.domain, item.label) for item in items}))}
    prepare = transforms.Compose(
        [
            transforms.Resize((224, 224), transforms.InterpolationMode.BICUBIC),
            transforms.ToTensor(),
            transforms.Normalize(spec.preprocessing.mean, spec.preprocessing.std),
        ]
    )

    class Images(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return len(items)

        def __getitem__(self, place: int):
            item = items[place]
            return prepare(Image.open(item.uri).convert("RGB")), classes[item.domain, item.label]

    neck = torch.nn.Sequential(torch.nn.Dropout(config.dropout), torch.nn.Linear(1280, 64))
    settings = Settings(config.margin, config.scale)
    loss = NestedLoss(config.loss, torch.ones(len(classes)), (64,), settings, config.sub_centres)
    optimiser = torch.optim.Adam([*neck.parameters(), *loss.parameters()], lr=config.learning_rate, weight_decay=1e-4)
    batches = iter(torch.utils.data.DataLoader(Images(), BATCH, shuffle=True, num_workers=2))
    for step in range(steps + 1):
        if step == 1:
            started = time.perf_counter()
        pictures, labels = next(batches)
        optimiser.zero_grad()
        loss(neck(network(pictures)), labels).backward()
        optimiser.step()
    return (time.perf_counter() - started) / steps * (len(items) / BATCH)


if __name__ == "__main__":
    main()
