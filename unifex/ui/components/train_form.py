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
            self.advanced = {key: _component(key, setting) for key, setting in ADVANCED.items()}

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


def _component(key: str, setting: Field) -> Component:
    """What one setting is entered in, made from what the configuration says of it."""
    known, value = setting.metadata, getattr(PRESETS[FIRST_PRESET].config, setting.name)
    label, identity = key.replace("_", " ").capitalize(), f"train-{key.replace('_', '-')}"
    if known["choices"]:
        info = "; ".join(f"{name}: {text}" for name, text in known["choices"].items())
        return gr.Dropdown(list(known["choices"]), value=value, label=label, info=info, elem_id=identity)
    limits = ", ".join(part for part in (known["unit"], f"{known['low']:g} to {known['high']:g}") if part)
    info = f"{known['help'].capitalize()} ({limits})"
    if isinstance(value, tuple):
        return gr.Textbox(_shown(value), label=label, info=info, elem_id=identity)
    if isinstance(value, int):
        return gr.Number(value, label=label, info=info, elem_id=identity, precision=0, step=1)
    return gr.Number(value, label=label, info=info, elem_id=identity, step=0.001)


def _shown(value: Any) -> Any:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else value
