"""The form of a training: preset and loss with a line of advice each, and a field for every other setting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import Field
from typing import Any

import gradio as gr
from gradio.components import Component

from unifex.training.config import LOSSES, PRESETS, SETTINGS, TrainConfig
from unifex.ui.listening import Updates, listen

FIRST_PRESET = "best"
ADVANCED = {key: setting for key, setting in SETTINGS.items() if key != "loss"}


# What the page calls each setting, and a sentence on it, by what it is about. What is in none of them comes last.
GROUPS: dict[str, dict[str, tuple[str, str]]] = {
    "How long": {
        "epochs": ("Rounds over all images", "How many times every image is seen."),
        "iterations": ("Steps in all", "If not 0, so many steps instead of rounds."),
        "batch_size": ("Images a step", "More make a step steadier and slower."),
    },
    "Which images": {
        "sampling": ("Which come how often", "What is balanced while images are drawn."),
        "min_images": ("Smallest class", "Classes with fewer images are left out."),
        "max_images": ("Images of a class at most", "Of larger classes as many are drawn; 0 takes all."),
        "views": ("Crops and mirror images", "So many of each image are learned from, too; each costs an embedding."),
        "seed": ("Seed", "The same seed gives the same model."),
    },
    "How classes are pulled apart": {
        "margin": ("Margin", "How far apart classes are pushed (for CosFace as a cosine)."),
        "smallest_margin": ("Smallest margin", "That of the largest class (dynamic-arcface alone)."),
        "scale": ("Scale", "How sharply right and wrong are told apart."),
        "sub_centres": ("Centres a class", "More suit classes of several looks."),
    },
    "What is trained": {
        "late_blocks": ("Late blocks", "So many of the backbone's last blocks learn; 0: as many as suit it."),
        "interpolation": ("Way gone", "1 keeps all that was learned, 0.5 goes half way back to the original backbone."),
        "dims": ("Sizes of embeddings", "Trained together, ascending, with commas between."),
        "start": ("Starts from", "What the model is before the first step."),
        "whitening": ("Whitening", "Of a start from principal axes: 0 is none, 0.5 is full."),
        "dropout": ("Dropout", "Share of the inputs that is hidden at random, against learning by heart."),
        "distillation": ("Staying alike", "How strongly what looks alike before stays alike."),
    },
    "How fast it learns": {
        "optimiser": ("Optimiser", "How steps are made of gradients."),
        "learning_rate": ("Learning rate", "How large the steps of the model are."),
        "centre_learning_rate": ("Learning rate of centres", "How large the steps of the classes' centres are."),
        "backbone_rate": ("Learning rate of the backbone", "Of its late blocks; 0 leaves them as they are."),
        "final_share": ("Learning rate at the end", "Share of it that is left."),
        "weight_decay": ("Weight decay", "How strongly weights are pulled to zero."),
        "warmup": ("Start of the learning rate", "How it rises at first."),
        "warmup_epochs": ("Length of the start", "Rounds that it rises for."),
        "schedule": ("Course of the learning rate", "How it goes on after the start."),
    },
}


class TrainForm:
    """Components and handlers. What ``fields`` hold, :func:`config_of` makes a configuration of."""

    def build(self) -> None:
        """Lay the form out."""
        gr.Markdown("## 2 · Recipe")
        self.preset = gr.Dropdown(
            [(name.capitalize(), name) for name in PRESETS], value=FIRST_PRESET, label="Preset",
            info=PRESETS[FIRST_PRESET].advice, elem_id="train-preset",
        )  # fmt: skip
        loss = PRESETS[FIRST_PRESET].config.loss
        self.loss = gr.Dropdown(list(LOSSES), value=loss, label="Loss", info=LOSSES[loss].advice, elem_id="train-loss")
        with gr.Accordion("Advanced", open=False, elem_id="train-advanced"):
            fields = {}
            for title, keys in _groups().items():
                gr.Markdown(f"### {title}")
                fields |= {key: _component(key, ADVANCED[key], *told) for key, told in keys.items()}
            self.advanced = {key: fields[key] for key in ADVANCED}

    @property
    def fields(self) -> list[Component]:
        """The inputs of a training."""
        return [self.loss, *self.advanced.values()]

    def wire(self) -> None:
        """A preset fills the form in; a loss brings its margin and its sub-centres."""
        listen(self.preset.input, self.choose_preset, [self.preset], [self.preset, *self.fields])
        changed = [self.loss, self.advanced["margin"], self.advanced["sub_centres"]]
        listen(self.loss.input, self.choose_loss, [self.loss], changed)

    def choose_preset(self, preset: str) -> Updates:
        """(preset) -> its advice, its loss, every advanced field."""
        config = PRESETS[preset].config
        return {
            self.preset: gr.update(info=PRESETS[preset].advice),
            self.loss: gr.update(value=config.loss, info=LOSSES[config.loss].advice),
            **{field: _shown(getattr(config, ADVANCED[key].name)) for key, field in self.advanced.items()},
        }

    def choose_loss(self, loss: str) -> Updates:
        """(loss) -> its advice, its margin, its sub-centres."""
        chosen = LOSSES[loss]
        return {
            self.loss: gr.update(info=chosen.advice),
            self.advanced["margin"]: chosen.margin,
            self.advanced["sub_centres"]: chosen.sub_centres,
        }


def config_of(values: Sequence[Any]) -> TrainConfig:
    """The configuration that the form's ``fields`` hold. Raises ``TrainConfigError``, which names the wrong field."""
    loss, *advanced = values
    return TrainConfig().updated({"loss": loss, **{key: str(value) for key, value in zip(ADVANCED, advanced)}})


def _groups() -> dict[str, dict[str, tuple[str, str]]]:
    """Those of :data:`GROUPS`, and what is in none of them, as the command line tells of it."""
    grouped = {key for keys in GROUPS.values() for key in keys}
    further = {
        key: (key.replace("_", " ").capitalize(), f"{setting.metadata['help'].capitalize()}.")
        for key, setting in ADVANCED.items()
        if key not in grouped
    }
    return GROUPS | ({"Further": further} if further else {})


def _component(key: str, setting: Field, label: str, sentence: str) -> Component:
    """What one setting is entered in: its plain name, what it does and from where to where it goes."""
    known, value = setting.metadata, getattr(PRESETS[FIRST_PRESET].config, setting.name)
    identity = f"train-{key.replace('_', '-')}"
    if known["choices"]:
        info = f"{sentence} {'; '.join(f'{name}: {text}' for name, text in known['choices'].items())}"
        return gr.Dropdown(list(known["choices"]), value=value, label=label, info=info, elem_id=identity)
    low, high = (f"{limit:,}".removesuffix(".0") for limit in (known["low"], known["high"]))
    info = f"{sentence} {low} to {high} {known['unit']}".strip()
    if isinstance(value, tuple):
        return gr.Textbox(_shown(value), label=label, info=info, elem_id=identity)
    if isinstance(value, int):
        return gr.Number(value, label=label, info=info, elem_id=identity, precision=0, step=1)
    return gr.Number(value, label=label, info=info, elem_id=identity, step=0.001)


def _shown(value: Any) -> Any:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else value
