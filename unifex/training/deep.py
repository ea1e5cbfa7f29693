"""Deep training of a gallery: what it costs, told before it starts, and the maps that its late blocks learn from."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from unifex.core.language import say, to_say
from unifex.core.progress import Step, Work
from unifex.core.text import duration
from unifex.gallery.gallery import Gallery, GalleryError
from unifex.models import backbones, engines
from unifex.models.adaptation import Adaptation
from unifex.models.backbones import BackboneSpec
from unifex.models.neck import Neck
from unifex.training.config import TrainConfig
from unifex.training.held_out import TrainingData
from unifex.training.late_maps import FrozenPart, Views, check_room, keep_maps

if TYPE_CHECKING:
    from unifex.training.late_blocks import LateSamples
    from unifex.training.loop import Learned
    from unifex.training.samples import Samples


@dataclass(frozen=True)
class Forecast:
    """What a deep training costs here: ``bytes`` of the disk while it runs, and ``seconds``."""

    bytes: int
    seconds: float


def blocks_that_learn(backbone: BackboneSpec, config: TrainConfig) -> int:
    """How many late blocks. Raises :class:`GalleryError` for a backbone that cannot be taught."""
    if not backbone.late_blocks:
        raise GalleryError(
            say(
                "the blocks of backbone '{id}' cannot learn here; train its neck (presets quick, paper, best)",
                id=backbone.id,
            )
        )
    return config.late_blocks or backbone.late_blocks


def late_samples(gallery: Gallery, data: TrainingData, config: TrainConfig, path: Path) -> Work[LateSamples]:
    """The maps that late blocks learn from, and those they are measured on, kept at ``path``; what it costs first.

    Raises :class:`GalleryError` when an image is gone, the disk has no room, or the backbone cannot be taught.
    """
    from unifex.training.late_blocks import LateSamples, frozen_part

    backbone = gallery.embedder.backbone
    blocks = blocks_that_learn(backbone, config)
    yield Step(to_say("what it costs"))
    network = backbones.build(backbone).to(engines.torch_device())
    measured = np.union1d(data.split.queries, data.split.items) if data.split else data.train[:0]
    views = Views(data.train, measured, config.augmentations, config.seed)
    frozen = frozen_part(network, backbone, blocks)
    cost = forecast(network, frozen, backbone.preprocessing.size, views, config, path)
    records = gallery.records(data.columns.ids[views.positions])
    note = say("about {time} in all", time=duration(cost.seconds))
    maps = yield from keep_maps(gallery, records, views, frozen, path, note)
    return LateSamples(backbone, blocks, maps, data.train)


def forecast(network: Any, frozen: FrozenPart, side: int, views: Views, config: TrainConfig, path: Path) -> Forecast:
    """Told from a few images of ``side`` pixels. Raises :class:`GalleryError` when the disk has no room."""
    from unifex.training.late_blocks import measure_pace

    needed = check_room(path, len(views), 2 * math.prod(frozen.shape))
    pace, images = measure_pace(network, frozen, side), len(views.train)
    steps = config.steps(images) * min(config.batch_size, images)
    looked_at = len(views.measured) + (images if config.neck_epochs else 0)
    return Forecast(needed, len(views) * pace.early + steps * pace.step + looked_at * pace.late)


def train_neck_anew(learned: Learned, samples: Samples, config: TrainConfig, current: Neck) -> Work[Learned]:
    """A neck from its start on what the late blocks see now that they have learned, where ``config`` wants it: the one
    that learned beside them followed features that are no more."""
    from unifex.training import loop
    from unifex.training.late_blocks import adapted_features
    from unifex.training.samples import Samples

    if not (samples.late and learned.adaptation and config.neck_epochs):
        return learned
    yield Step(to_say("the neck anew"))
    features = adapted_features(samples.late, learned.adaptation, samples.late.positions)
    seen = Samples(features, samples.labels, samples.domains)
    for epoch in loop.fit(seen, config.of_the_neck_anew, current):
        learned = replace(learned, neck=epoch.neck)
        yield Step(to_say("the neck anew"), epoch.number, epoch.total, to_say("epochs"), epoch.seconds_left)
    return learned


def adapted_table(samples: LateSamples, adaptation: Adaptation, positions: np.ndarray, length: int) -> np.ndarray:
    """Features float16 [length, D] as the adapted backbone sees ``positions``; zeros elsewhere."""
    from unifex.training.late_blocks import adapted_features

    table = np.zeros((length, samples.backbone.feature_dim), np.float16)
    table[positions] = adapted_features(samples, adaptation, positions)
    return table
