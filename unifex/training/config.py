"""How a neck is trained: losses, every setting with its unit, range and meaning, and presets.

Nothing here imports torch: the command line and the Train tab are built from these tables.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import Field, dataclass, field, fields, replace
from typing import Any

from unifex.core.errors import UnifexError
from unifex.core.language import say, to_say
from unifex.core.values import KindError, from_text, of_kind
from unifex.models.neck import NESTED_DIMS, Neck
from unifex.training.loss_table import LOSSES, Loss

OPTIMISERS = {
    "adam": to_say("Adam with L2 weight decay, the paper's choice"),
    "adamw": to_say("Adam with decoupled weight decay"),
    "sgd": to_say("stochastic gradient descent with momentum 0.9"),
    "sam": to_say("sharpness-aware minimisation around AdamW; twice the work a step"),
}
SAMPLING = {
    "images": to_say("every image once an epoch"),
    "classes": to_say("small classes as often as large ones"),
    "domains": to_say("small domains as often as large ones"),
}
INITS = {
    "current": to_say(
        "the gallery's neck, so that training only has to improve on it; principal axes where there is none"
    ),
    "pca": to_say("principal axes of the training features, so that training only has to improve on them"),
    "random": to_say("random weights, as in the paper"),
}
WARMUPS = {
    "linear": to_say("in equal steps"),
    "exponential": to_say("fast at first"),
    "none": to_say("full speed at once"),
}
STEP_DISTILLATION = 2.0  # of one exact step, which without any is no step but noise
NECK_DISTILLATION = 40.0  # of a neck that is trained anew: the blocks' features have learned already
IN_ONE_STEP = frozenset({"pull", "distillation", "min_images", "max_images", "seed"})  # all settings that it has
OF_LATE_BLOCKS = frozenset({"late_blocks", "interpolation", "neck_epochs"})
SCHEDULES = {"cosine": to_say("falls along a cosine"), "constant": to_say("stays")}


class TrainConfigError(UnifexError):
    """A setting that is unknown or out of its range; the message names it and what is allowed. ``settings``: by field
    of the ``sentence`` the keys of those that it names, as options call them; :meth:`calling` has other names."""

    def __init__(self, sentence: str, settings: Mapping[str, Sequence[str]] | None = None, **values: object):
        self._said = sentence, settings, values
        super().__init__(self.calling({key: setting.name for key, setting in SETTINGS.items()}))

    def calling(self, names: Mapping[str, str]) -> str:
        """The message with settings under these names, by their keys."""
        sentence, settings, values = self._said
        if settings is None:
            return sentence
        return say(
            sentence, **{what: ", ".join(names[key] for key in keys) for what, keys in settings.items()}, **values
        )


def _setting(
    default: Any,
    help: str,
    low: float | None = None,
    high: float | None = None,
    unit: str = "",
    choices: dict[str, str] | None = None,
    key: str = "",
) -> Any:
    """``key``: what options, forms and files call it, where that is another word than the field's."""
    return field(default=default, metadata=dict(help=help, low=low, high=high, unit=unit, choices=choices, key=key))


@dataclass(frozen=True)
class TrainConfig:
    """The defaults are the paper's recipe (arXiv 2409.13513 and its public configuration); margin and sub-centres are
    the loss's own. ``dataclasses.replace`` keeps them when it changes the loss, :meth:`updated` does not."""

    loss: str = _setting(
        "subcentre-arcface", "what pulls classes apart", choices={name: loss.advice for name, loss in LOSSES.items()}
    )
    margin: float = _setting(None, "how far apart", 0, 2, to_say("radians (cosine for cosface)"))
    margin_min: float = _setting(
        0.2, "of the largest class (dynamic-arcface)", 0, 2, to_say("radians"), key="smallest_margin"
    )
    scale: float = _setting(30.0, "of the cosines before the softmax", 1, 256)
    sub_centres: int = _setting(None, "centres a class", 1, 16)
    dims: tuple[int, ...] = _setting((64,), "embedding sizes trained together, ascending", 2, 4096)
    epochs: int = _setting(10, "times every image is seen", 1, 1000)
    iterations: int = _setting(0, "steps in all, instead of epochs; 0: by epochs", 0, 10_000_000, to_say("steps"))
    batch_size: int = _setting(128, "images a step", 2, 65536)
    optimiser: str = _setting("adam", "the optimiser", choices=OPTIMISERS)
    learning_rate: float = _setting(2e-2, "of the neck", 0, 10)
    centre_learning_rate: float = _setting(2e-2, "of the class centres", 0, 10)
    backbone_learning_rate: float = _setting(
        0.0, "of the backbone's last blocks; 0: they stay as they are", 0, 1, key="backbone_rate"
    )
    late_blocks: int = _setting(
        0, "of the backbone learn, from the last one back; 0: as many as suit it", 0, 100, to_say("blocks")
    )
    interpolation: float = _setting(
        1.0, "of the way from the original backbone and neck to the learned ones that is gone (WiSE-FT)", 0, 1
    )
    neck_epochs: int = _setting(
        0, "that the neck is trained anew for, on what late blocks see once they have learned; 0: it is not", 0, 1000
    )
    neck_interpolation: float = _setting(
        1.0, "of that way that the neck goes, whose start often serves unseen things better", 0, 1
    )
    final_lr_scale: float = _setting(0.05, "of the learning rate that is left at the end", 0, 1, key="final_share")
    weight_decay: float = _setting(1e-4, "pulls weights to zero", 0, 1)
    warmup: str = _setting("linear", "how the learning rate rises at the start", choices=WARMUPS)
    warmup_epochs: float = _setting(1.0, "how long it rises", 0, 100, to_say("epochs"))
    schedule: str = _setting("cosine", "how it goes on", choices=SCHEDULES)
    dropout: float = _setting(0.2, "share of the neck's inputs that is hidden at random", 0, 0.95)
    init: str = _setting("random", "what the neck starts from", choices=INITS, key="start")
    whitening: float = _setting(0.375, "of the PCA start: 0 none, 0.5 full", 0, 0.5)
    distillation: float = _setting(
        0.0, "weight of staying alike where the features are alike; 0 for one exact step: 2", 0, 1000
    )
    pull: float = _setting(0.0, "of images to their class's middle in one exact step; 0: a loss does it in many", 0, 3)
    augmentations: int = _setting(
        0, "crops and mirror images of every image beside the image itself", 0, 8, key="views"
    )
    sampling: str = _setting("images", "which images come how often", choices=SAMPLING)
    min_images: int = _setting(2, "smaller classes are left out", 1, 1000, to_say("images a class"))
    max_images: int = _setting(0, "of larger classes as many are drawn; 0: all", 0, 1_000_000, to_say("images a class"))
    seed: int = _setting(0, "of all that is drawn; the same seed gives the same neck", 0, 2**31 - 1)

    def __post_init__(self) -> None:
        self._complete()
        for key, setting in SETTINGS.items():
            value, known = getattr(self, setting.name), setting.metadata
            if known["choices"] and value not in known["choices"]:
                sentence = to_say("{key} '{value}' is not known; there are: {known}")
                raise TrainConfigError(sentence, {"key": [key]}, value=value, known=", ".join(known["choices"]))
            for number in value if isinstance(value, tuple) else (value,):
                if known["low"] is not None and not known["low"] <= number <= known["high"]:
                    sentence = to_say("{key} {number} is not between {known} and {known2}")
                    limits = {"known": known["low"], "known2": known["high"]}
                    raise TrainConfigError(sentence, {"key": [key]}, number=number, **limits)
        if not self.dims or list(self.dims) != sorted(set(self.dims)):
            told = ", ".join(map(str, self.dims))
            raise TrainConfigError(to_say("{key} '{dims}' must ascend"), {"key": ["dims"]}, dims=told)
        if self.in_one_step and self.deep:
            sentence = to_say("one exact step teaches no backbone: set '{pull}' or '{rate}' to 0")
            raise TrainConfigError(sentence, {"pull": ["pull"], "rate": ["backbone_rate"]})

    def _complete(self) -> None:
        """Fill in what follows from the others, and take values of their kind alone."""
        for setting in fields(self):
            value = getattr(self, setting.name)
            value = self._own_of_loss.get(setting.name) if value is None else value
            try:
                object.__setattr__(self, setting.name, of_kind(str(setting.type), setting.name, value))
            except KindError as error:
                raise TrainConfigError(str(error)) from None
        if self.in_one_step and not self.distillation:
            object.__setattr__(self, "distillation", STEP_DISTILLATION)

    @property
    def _own_of_loss(self) -> dict[str, Any]:
        """By field, what the loss brings; of one that is not known anything, as it is refused."""
        loss = LOSSES.get(str(self.loss), Loss("", ""))
        return {"margin": loss.margin, "sub_centres": loss.sub_centres}

    def as_json(self) -> dict[str, Any]:
        """Every setting by its key, as files keep it."""
        return {key: getattr(self, setting.name) for key, setting in SETTINGS.items()}

    @property
    def used(self) -> dict[str, Any]:
        """:meth:`as_json` of the settings that change something."""
        return {key: value for key, value in self.as_json().items() if key not in self.idle}

    @property
    def deep(self) -> bool:
        """Whether blocks of the backbone learn, too."""
        return self.backbone_learning_rate > 0

    @property
    def has_neck_anew(self) -> bool:
        """Whether the neck is trained anew once the blocks have learned, on what is there then."""
        return self.deep and bool(self.neck_epochs)

    @property
    def of_the_neck_anew(self) -> TrainConfig:
        """What follows deep training: the neck alone, from its start, close to how alike the features are."""
        return replace(
            self,
            backbone_learning_rate=0.0,
            late_blocks=0,
            interpolation=1.0,
            neck_epochs=0,
            epochs=self.neck_epochs,
            iterations=0,
            augmentations=0,
            distillation=self.distillation or NECK_DISTILLATION,
        )

    @property
    def in_one_step(self) -> bool:
        """Whether the gallery's neck is changed by one exact step (:mod:`unifex.training.one_step`), without a loss."""
        return self.pull > 0

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> TrainConfig:
        """What :meth:`as_json` gave. Raises ``KeyError`` for an unknown setting, and :class:`TrainConfigError`."""
        by_field = {SETTINGS[key].name: value for key, value in values.items()}
        return cls(**{**by_field, "dims": tuple(by_field["dims"])})

    def updated(self, texts: dict[str, str]) -> TrainConfig:
        """With other settings, by key and as people write them; ``dims`` as ``64,128``. Another loss brings its margin
        and its sub-centres.

        Raises :class:`TrainConfigError`.
        """
        brought = {} if texts.get("loss", self.loss) == self.loss else dict.fromkeys(self._own_of_loss)
        said = {SETTINGS[key].name: _from_text(key, text) for key, text in texts.items()}
        return replace(self, **{**brought, **said})

    @property
    def idle(self) -> frozenset[str]:
        """Keys of settings that change nothing beside the others."""
        if self.in_one_step:
            return frozenset(SETTINGS) - IN_ONE_STEP
        loss = LOSSES[self.loss]
        without_effect = {
            "smallest_margin": self.loss != "dynamic-arcface", "margin": not loss.margin,
            "scale": "AdaCos" in loss.implementation, "epochs": self.iterations > 0,
            "warmup_epochs": self.warmup == "none", "final_share": self.schedule == "constant",
            **dict.fromkeys(("whitening", "neck_interpolation"), self.init == "random"),
            **dict.fromkeys(OF_LATE_BLOCKS, not self.deep),
        }  # fmt: skip
        return frozenset(key for key, idle in without_effect.items() if idle)

    def check_used(self, keys: Iterable[str] | None = None) -> None:
        """Raises :class:`TrainConfigError` where one of these settings changes nothing; without ``keys``, where another
        way of training is asked for than is taken: by a value that no preset has."""
        if keys is None:
            others = self.idle if self.in_one_step else self.idle & OF_LATE_BLOCKS
            keys = [key for key in others if getattr(self, SETTINGS[key].name) not in self._unasked(key)]
        if idle := [key for key in SETTINGS if key in self.idle.intersection(keys)]:
            sentence = to_say("{settings}: this changes nothing beside the other settings; leave it out")
            if self.in_one_step:
                sentence = to_say("{settings}: one exact step does not use this; set '{pull}' to 0, or leave it out")
            elif not OF_LATE_BLOCKS.isdisjoint(idle):
                sentence = to_say(
                    "{settings}: this is of late blocks, which learn where the backbone has a learning rate"
                )
            raise TrainConfigError(sentence, {"settings": idle, "pull": ["pull"]})

    def _unasked(self, key: str) -> list[Any]:
        """Values that a setting has without anybody's having asked for them."""
        name = SETTINGS[key].name
        return [getattr(preset.config, name) for preset in PRESETS.values()] + [self._own_of_loss.get(name)]

    def fitting(self, width: int) -> TrainConfig:
        """With no embedding longer than the features of ``width`` values whose axes it starts from."""
        if self.init == "random":
            return self
        return replace(self, dims=tuple(sorted({min(dim, width) for dim in self.dims})))

    def going_out_from(self, neck: Neck) -> TrainConfig:
        """With the start that is taken: a neck that is none, or shorter than what is trained, gives way to axes."""
        there = len(neck.bias) >= self.dims[-1] and neck.kind != "identity"
        return self if there or self.in_one_step or self.init != "current" else replace(self, init="pca")

    def steps(self, images: int) -> int:
        """Optimiser steps in all, for so many training images."""
        return self.iterations or self.epochs * self.steps_an_epoch(images)

    def steps_an_epoch(self, images: int) -> int:
        """Optimiser steps until as many images were seen as there are."""
        return math.ceil(images / self.batch_size)


SETTINGS: dict[str, Field] = {setting.metadata["key"] or setting.name: setting for setting in fields(TrainConfig)}


def _from_text(key: str, text: str) -> Any:
    try:
        return from_text(str(SETTINGS[key].type), text)
    except ValueError:
        raise TrainConfigError(to_say("{value} '{text}' is not a number"), {"value": [key]}, text=text) from None


@dataclass(frozen=True)
class Preset:
    """A configuration to begin with, and when to take it."""

    config: TrainConfig
    advice: str


_FROM_WHAT_THERE_IS = TrainConfig(
    loss="arcface",
    sub_centres=1,
    dims=NESTED_DIMS,
    learning_rate=1e-3,
    centre_learning_rate=1e-2,
    final_lr_scale=0.0,
    weight_decay=0.0,
    warmup="none",
    dropout=0.3,
    init="current",
    whitening=0.25,
)
FEW_IMAGES = 400
PRESETS: dict[str, Preset] = {
    "few": Preset(
        replace(_FROM_WHAT_THERE_IS, epochs=1, distillation=STEP_DISTILLATION, pull=1.1),
        to_say("seconds; for few images: one step takes them to the middle of their class and holds all others still"),
    ),
    "quick": Preset(
        replace(_FROM_WHAT_THERE_IS, epochs=3),
        to_say("seconds; a short training of all dimensions at once: to see whether it is worth while"),
    ),
    "paper": Preset(TrainConfig(), to_say("the recipe of arXiv 2409.13513: 64 dimensions from random weights")),
    "best": Preset(
        _FROM_WHAT_THERE_IS,
        to_say("what did best on classes never seen: a slow neck and fast centres, all dimensions at once"),
    ),
    "deep": Preset(
        replace(_FROM_WHAT_THERE_IS, epochs=8, backbone_learning_rate=1e-4, augmentations=3, neck_epochs=10),
        to_say("minutes to hours: the backbone's last blocks learn as well; galleries are indexed anew to use it"),
    ),
}


def suited_preset(images: int, asked: Iterable[str] = ()) -> str:
    """The preset that did best for so many labelled images, of those that heed the settings that are ``asked`` for."""
    return "few" if images < FEW_IMAGES and IN_ONE_STEP.issuperset(asked) else "best"
