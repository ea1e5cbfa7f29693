"""Deep training from pixels, beside a plain torch loop that runs the whole backbone in every step.

    python -m benchmarks.deep_training MANIFEST.csv [--epochs 10] [--steps 3]

Both train the same late blocks, neck and centres on the manifest's ``train`` rows, in batches of 128 of drawn views.
The rival is the loop that one writes first: images decoded and drawn by two DataLoader workers, the backbone in eager
torch in channels-last, slopes through the late blocks alone. ``--steps`` of its steps are timed, after one that is not,
and multiplied; UniFEx runs in whole, indexing included.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.table import Row, tell
from benchmarks.training import BATCH, Rows
from unifex.core.progress import finish
from unifex.data.item import Item
from unifex.data.sources import open_source
from unifex.gallery.gallery import Gallery
from unifex.gallery.indexing import index
from unifex.models import backbones
from unifex.models.efficientnet_lite import LITE0
from unifex.models.embedder import Embedder
from unifex.training.config import PRESETS, TrainConfig
from unifex.training.held_out import HoldOut
from unifex.training.run import train


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--steps", type=int, default=3)
    arguments = parser.parse_args()
    items = [item for item in open_source(arguments.manifest) if isinstance(item, Item) and item.split == "train"]
    config = replace(PRESETS["deep"].config, init="pca", epochs=arguments.epochs)
    embedder = Embedder.raw(LITE0.id)
    embedder.embed([items[0].read()])  # the engine is made once a machine
    rival = plain_seconds(items, config, arguments.steps) * arguments.epochs
    with tempfile.TemporaryDirectory() as scratch:
        started = time.perf_counter()
        gallery = Gallery.create(Path(scratch) / "galleries" / "g", embedder)
        finish(index(gallery, Rows(items)))
        finish(train(gallery, "deep", config, HoldOut(share=0)))
        ours = time.perf_counter() - started
    ratio = rival / ours
    print(f"{len(items)} images, {arguments.epochs} epochs: {ours:.0f} s; the whole backbone every step {rival:.0f} s")
    tell(Row("deep training from pixels", f"{ours:.0f} s", f"whole backbone {rival:.0f} s", ratio, 4))


def plain_seconds(items: list[Item], config: TrainConfig, steps: int) -> float:
    """Seconds an epoch of the plain loop."""
    import torch
    from PIL import Image
    from torchvision import transforms

    from unifex.training.losses import NestedLoss, Settings

    network = backbones.build(LITE0).to(memory_format=torch.channels_last)
    learning = list(network.learning(LITE0.late_blocks).values())
    for weight in learning:
        weight.requires_grad_(True)
    classes = {label: number for number, label in enumerate(sorted({(item.domain, item.label) for item in items}))}
    draw = transforms.Compose(
        [
            transforms.RandomResizedCrop(LITE0.preprocessing.size, (0.6, 1)),
            transforms.RandomHorizontalFlip(),
            transforms.ColorJitter(0.2, 0.2, 0.2),
        ]
    )

    class Images(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return len(items)

        def __getitem__(self, place: int):
            item = items[place]
            pixels = torch.from_numpy(np.array(draw(Image.open(item.uri).convert("RGB"))))
            return pixels, classes[item.domain, item.label]

    neck = torch.nn.Sequential(torch.nn.Dropout(config.dropout), torch.nn.Linear(LITE0.feature_dim, config.dims[-1]))
    settings = Settings(config.margin, config.scale)
    loss = NestedLoss(config.loss, torch.ones(len(classes)), config.dims, settings, config.sub_centres)
    optimiser = torch.optim.Adam([*learning, *neck.parameters(), *loss.parameters()], lr=config.learning_rate)
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
