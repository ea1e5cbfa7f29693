"""The form of a training: preset and loss with a line of advice each, and a field for every other setting."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import Field
from typing import Any

import gradio as gr
from gradio.components import Component

from unifex.core.language import say, say_many, to_say
from unifex.training.config import LOSSES, PRESETS, SETTINGS, TrainConfig, TrainConfigError, suited_preset
from unifex.ui.listening import Updates, listen

FIRST_PRESET = "best"
TITLES = [to_say("Few"), to_say("Quick"), to_say("Paper"), to_say("Best"), to_say("Deep")]  # of the presets in turn
ADVANCED = {key: setting for key, setting in SETTINGS.items() if key != "loss"}


# What the page calls each setting, and a sentence on it, by what it is about. What is in none of them comes last.
GROUPS: dict[str, dict[str, tuple[str, str]]] = {
    to_say("How long"): {
        "epochs": (to_say("Rounds over all images"), to_say("How many times every image is seen.")),
        "iterations": (to_say("Steps in all"), to_say("If not 0, so many steps instead of rounds.")),
        "batch_size": (to_say("Images a step"), to_say("More make a step steadier and slower.")),
    },
    to_say("Which images"): {
        "sampling": (to_say("Which come how often"), to_say("What is balanced while images are drawn.")),
        "min_images": (to_say("Smallest class"), to_say("Classes with fewer images are left out.")),
        "max_images": (
            to_say("Images of a class at most"),
            to_say("Of larger classes as many are drawn; 0 takes all."),
        ),
        "views": (
            to_say("Crops and mirror images"),
            to_say("So many of each image are learned from, too; each costs an embedding."),
        ),
        "seed": (to_say("Seed"), to_say("The same seed gives the same model.")),
    },
    to_say("How classes are pulled apart"): {
        "pull": (
            to_say("Pull to the middle"),
            to_say("Above 0, one exact step takes images that far to the middle of their class, without a loss."),
        ),
        "margin": (to_say("Margin"), to_say("How far apart classes are pushed (for CosFace as a cosine).")),
        "smallest_margin": (to_say("Smallest margin"), to_say("That of the largest class (dynamic-arcface alone).")),
        "scale": (to_say("Scale"), to_say("How sharply right and wrong are told apart.")),
        "sub_centres": (to_say("Centres a class"), to_say("More suit classes of several looks.")),
    },
    to_say("What is trained"): {
        "late_blocks": (
            to_say("Late blocks"),
            to_say("So many of the backbone's last blocks learn; 0: as many as suit it."),
        ),
        "interpolation": (
            to_say("Way gone"),
            to_say("1 keeps all that was learned, 0.5 goes half way back to the original backbone."),
        ),
        "neck_epochs": (
            to_say("Epochs of the neck anew"),
            to_say("So long the neck is trained once more when late blocks have learned; 0: not at all."),
        ),
        "neck_interpolation": (
            to_say("Way of the neck"),
            to_say("Of that way; half of it often serves what was never seen better."),
        ),
        "dims": (to_say("Sizes of embeddings"), to_say("Trained together, ascending, with commas between.")),
        "start": (to_say("Starts from"), to_say("What the model is before the first step.")),
        "whitening": (to_say("Whitening"), to_say("Of a start from principal axes: 0 is none, 0.5 is full.")),
        "dropout": (
            to_say("Dropout"),
            to_say("Share of the inputs that is hidden at random, against learning by heart."),
        ),
        "distillation": (to_say("Staying alike"), to_say("How strongly what looks alike before stays alike.")),
    },
    to_say("How fast it learns"): {
        "optimiser": (to_say("Optimiser"), to_say("How steps are made of gradients.")),
        "learning_rate": (to_say("Learning rate"), to_say("How large the steps of the model are.")),
        "centre_learning_rate": (
            to_say("Learning rate of centres"),
            to_say("How large the steps of the classes' centres are."),
        ),
        "backbone_rate": (
            to_say("Learning rate of the backbone"),
            to_say("Of its late blocks; 0 leaves them as they are."),
        ),
        "final_share": (to_say("Learning rate at the end"), to_say("Share of it that is left.")),
        "weight_decay": (to_say("Weight decay"), to_say("How strongly weights are pulled to zero.")),
        "warmup": (to_say("Start of the learning rate"), to_say("How it rises at first.")),
        "warmup_epochs": (to_say("Length of the start"), to_say("Rounds that it rises for.")),
        "schedule": (to_say("Course of the learning rate"), to_say("How it goes on after the start.")),
    },
}


class TrainForm:
    """Components and handlers. What ``fields`` hold, :func:`config_of` makes a configuration of."""

    def build(self) -> None:
        """Lay the form out."""
        gr.Markdown("## 2 · " + say("Recipe"))
        self.preset = gr.Dropdown(
            [(say(title), name) for title, name in zip(TITLES, PRESETS, strict=True)], value=FIRST_PRESET,
            label=say("Preset"), info=say(PRESETS[FIRST_PRESET].advice), elem_id="train-preset",
        )  # fmt: skip
        loss = PRESETS[FIRST_PRESET].config.loss
        self.loss = gr.Dropdown(
            list(LOSSES), value=loss, label=say("Loss"), info=say(LOSSES[loss].advice), elem_id="train-loss"
        )
        with gr.Accordion(say("Advanced"), open=False, elem_id="train-advanced"):
            fields = {}
            for title, keys in _groups().items():
                gr.Markdown(f"### {say(title)}")
                fields |= {key: _component(key, ADVANCED[key], *told) for key, told in keys.items()}
            self.advanced = {key: fields[key] for key in ADVANCED}

    @property
    def fields(self) -> list[Component]:
        """The inputs of a training."""
        return [self.loss, *self.advanced.values()]

    @property
    def edited(self) -> list[Callable]:
        """The events that come when somebody changes something; of a text what is pasted is no input."""
        advanced = [field.change if isinstance(field, gr.Textbox) else field.input for field in self.advanced.values()]
        return [self.preset.input, self.loss.input, *advanced]

    def wire(self) -> None:
        """A preset fills the form in; a loss brings its margin and its sub-centres; both bring their advice.

        The page does that by itself: who presses Train at once trains what was chosen, and of two choices the later
        one stands, whichever answer would have come last.
        """
        filled = {name: [_told(PRESETS[name].advice), *_filled(name)] for name in PRESETS}
        listen(self.preset.input, None, [self.preset], [self.preset, *self.fields], js=_looked_up(filled))
        brought = {name: [_told(loss.advice), loss.margin, loss.sub_centres] for name, loss in LOSSES.items()}
        changed = [self.loss, self.advanced["margin"], self.advanced["sub_centres"]]
        listen(self.loss.input, None, [self.loss], changed, js=_looked_up(brought))

    def suit(self, preset: str, images: int) -> tuple[str, Updates]:
        """The preset for so many labelled images and the form with it, where few of them make it another; where it was
        that of few before, its advice alone, which names their number."""
        wanted = suited_preset(images)
        if "few" not in (wanted, preset):
            return preset, {}
        advice = say(PRESETS[wanted].advice)
        if wanted == "few" and images:
            advice = say_many(
                images,
                "Chosen by itself, as {count} labelled image is little: {advice}",
                "Chosen by itself, as {count} labelled images are few: {advice}",
                advice=advice,
            )
        if wanted == preset:
            return preset, {self.preset: gr.update(info=advice)}
        return wanted, {self.preset: gr.update(value=wanted, info=advice), **self.fill(wanted)}

    def fill(self, preset: str) -> Updates:
        """(preset) -> its loss, every advanced field."""
        return dict(zip(self.fields, _filled(preset), strict=True))


def _filled(preset: str) -> list[Any]:
    """What a preset puts into the form's ``fields``."""
    config = PRESETS[preset].config
    loss = {**_told(LOSSES[config.loss].advice), "value": config.loss}
    return [loss, *(_shown(getattr(config, setting.name)) for setting in ADVANCED.values())]


def _told(advice: str) -> dict[str, Any]:
    return gr.update(info=say(advice))


def _looked_up(values: dict[str, list[Any]]) -> str:
    """Script: what is chosen -> the values that it brings."""
    return f"(chosen) => ({json.dumps(values)})[chosen]"


def config_of(values: Sequence[Any]) -> TrainConfig:
    """The configuration that the form's ``fields`` hold. Raises ``TrainConfigError``, which names the wrong field."""
    loss, *advanced = values
    with settings_as_shown():
        texts = {key: "" if value is None else str(value) for key, value in zip(ADVANCED, advanced)}
        return TrainConfig().updated({"loss": loss, **texts})


@contextlib.contextmanager
def settings_as_shown() -> Iterator[None]:
    """What is said of settings calls them as the form does."""
    try:
        yield
    except TrainConfigError as error:
        titles = {key: say(title) for keys in _groups().values() for key, (title, _) in keys.items()}
        raise TrainConfigError(error.calling({"loss": say("Loss"), **titles})) from error


def _groups() -> dict[str, dict[str, tuple[str, str]]]:
    """Those of :data:`GROUPS`, and what is in none of them, as the command line tells of it."""
    grouped = {key for keys in GROUPS.values() for key in keys}
    further = {
        key: (key.replace("_", " ").capitalize(), f"{setting.metadata['help'].capitalize()}.")
        for key, setting in ADVANCED.items()
        if key not in grouped
    }
    return GROUPS | ({to_say("Further"): further} if further else {})


def _component(key: str, setting: Field, label: str, sentence: str) -> gr.Dropdown | gr.Textbox | gr.Number:
    """What one setting is entered in: its plain name, what it does and from where to where it goes."""
    label, sentence = say(label), say(sentence)
    known, value = setting.metadata, getattr(PRESETS[FIRST_PRESET].config, setting.name)
    identity = f"train-{key.replace('_', '-')}"
    if known["choices"]:
        info = f"{sentence} {'; '.join(f'{name}: {say(text)}' for name, text in known['choices'].items())}"
        return gr.Dropdown(list(known["choices"]), value=value, label=label, info=info, elem_id=identity)
    limits = say("{low:,} to {high:,}", low=known["low"], high=known["high"])
    info = " ".join([sentence, limits, say(known["unit"])]).strip()
    if isinstance(value, tuple):
        return gr.Textbox(_shown(value), label=label, info=info, elem_id=identity)
    if isinstance(value, int):
        return gr.Number(value, label=label, info=info, elem_id=identity, precision=0, step=1)
    return gr.Number(value, label=label, info=info, elem_id=identity, step=0.001)


def _shown(value: Any) -> Any:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else value
