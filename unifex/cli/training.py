"""The commands that train: ``train``, ``use``, ``import``."""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unifex.cli.options import OF_GALLERY, Parser, UsageError
from unifex.cli.shared import chosen_embedder, library, refuse, say
from unifex.core import ranges
from unifex.core.console import watched
from unifex.core.errors import UnifexError
from unifex.core.text import command, duration, plural

if TYPE_CHECKING:
    from unifex.models.embedder import Embedder
    from unifex.training.config import TrainConfig


def add_commands(command: Callable[..., Parser]) -> None:
    """Add their parsers; ``command`` makes one."""
    from unifex.training.config import FEW_IMAGES, PRESETS, SETTINGS

    train = command(
        "train",
        _train,
        "teach a neck what a gallery's labels say, and measure it on classes it never saw",
        model=OF_GALLERY,
    )
    train.share("--gallery", "--save")
    train.add_argument(
        "--preset", choices=PRESETS,
        help="; ".join(f"{name}: {preset.advice}" for name, preset in PRESETS.items())
        + f" (default best; few for less than {FEW_IMAGES} labelled images)",
    )  # fmt: skip
    train.add_argument("--config", type=Path, metavar="FILE.yaml", help="a configuration of the public UniFEx instead")
    train.add_argument("--hold-out", type=ranges.HELD_OUT, default=0.3, help="share of classes to measure on (0.3)")
    train.add_argument("--hold-out-label", action="append", default=[], metavar="LABEL", help="this class instead")
    train.share("--dim", help="length of before and after (default: 64 if the neck has it)")
    train.add_argument("--use", action="store_true", help="search the gallery with it from now on, unless it is worse")
    train.add_argument("--finish", action="store_true", help="measure and save what a stopped training had reached")
    train.add_argument(
        "--from-disk", action="store_true", default=None,
        help="read features from disk in every epoch (default: where they would take more than half the memory)",
    )  # fmt: skip
    train.add_argument("--log", choices=("tensorboard", "trackio"), help="write the curves there, too")
    recipe = train.add_argument_group("the recipe (defaults: the preset's)")
    for key, setting in SETTINGS.items():
        known = setting.metadata
        limits = "" if known["low"] is None else f", {known['low']:g} to {known['high']:g}"
        recipe.add_argument(
            f"--{setting.name.replace('_', '-')}",
            dest=key,
            choices=known["choices"] and tuple(known["choices"]),
            help=f"{known['help']} ({known['unit'] or 'no unit'}{limits})",
        )

    taken = command(
        "import", _import,
        "take a model in: from the hub, a TorchScript file of the public UniFEx code, or a linear layer as a neck",
    )  # fmt: skip
    taken.add_argument("file", metavar="hf:OWNER/NAME|FILE")
    taken.share("--save")
    taken.add_argument(
        "--size", type=ranges.IMAGE_SIDE, help="side of its images (default: what the file says, else 224)"
    )
    taken.add_argument(
        "--backbone",
        metavar="ID|MODEL",
        help="FILE (.safetensors, .pth) is a linear layer for the features of this backbone, or of this model's",
    )

    use = command("use", _use, "search a gallery with another model")
    use.add_argument("gallery")
    use.add_argument("wanted", nargs="?", metavar="MODEL", help="without it: back to the model before")
    use.add_argument(
        "--as", dest="new", metavar="NEW",
        help="for a model on another backbone, as one that was trained deeply: index the images anew, as this gallery",
    )  # fmt: skip


def _train(options: argparse.Namespace) -> dict[str, Any] | None:
    from unifex.training import distributed
    from unifex.training.held_out import HoldOut
    from unifex.training.loggers import logger_of
    from unifex.training.run import assist, check_model_name, train

    gallery = library(options).get(options.gallery, chosen_embedder(options))
    config = _config_of(options, gallery.snapshot().columns.labelled)
    _check_dim(options.dim, config, gallery.embedder)
    hold_out = HoldOut(options.hold_out, tuple(options.hold_out_label))
    with distributed.init() as processes, contextlib.ExitStack() as logging:
        finish, from_disk = options.finish, options.from_disk
        if not processes.is_first:  # who is tells what became of it
            assist(gallery, options.save, config, hold_out, processes, finish=finish, from_disk=from_disk)
            return None
        options.save = check_model_name(options.library / "models", options.save)
        curves = options.library / "models" / ".curves" / options.save
        log = logging.enter_context(logger_of(options.log, curves, options.save))
        result = watched(
            train(
                gallery, options.save, config, hold_out,
                finish=finish, from_disk=from_disk, processes=processes, on_epoch=log,
            ),
            goes_on=True,
        )  # fmt: skip
    data = result.data
    learned = f"{plural(len(data.train), 'image')} of {plural(data.classes, 'class')}"
    say(options, f"{result.model}: {learned}, {duration(result.seconds)}")
    if not options.finish and result.config.init != config.init:
        say(options, "  it began with principal axes: the gallery's neck is none, or shorter than what was trained")
    for group in data.columns.lookalikes:
        say(options, f"  labels that look alike: {' and '.join(repr(name[:60]) for name in group)}")
    for measured in result.evaluations:
        score = measured.overall()
        figures = f"{score.value:8.3f}   {score.low:.3f} {score.high:.3f} {measured.macro().value:9.3f}"
        say(options, f"  {measured.model[:29]:30}{measured.dim:5}{figures}")
    say(options, result.advice)
    answer = result.as_json(options.dim)
    if options.use and result.adaptation:
        say(options, f"its features are its own: `{command('use', gallery.name, result.model, '--as', 'NEW')}`")
    elif options.use and result.verdict != "worse":
        answer["used"] = _switch(options, gallery.name, result.model)
    return answer


def _config_of(options: argparse.Namespace, images: int) -> TrainConfig:
    from unifex.training.config import PRESETS, SETTINGS, TrainConfigError, suited_preset
    from unifex.training.public_config import read_public_yaml

    asked = {key: text for key in SETTINGS if (text := getattr(options, key)) is not None}
    if options.config:
        refuse(options, "--config says the recipe", "preset")
    elif not options.preset:
        options.preset = suited_preset(images, asked)
        if options.preset == "few" and images:  # without any it is refused, which says enough
            say(options, f"preset 'few', as {plural(images, 'labelled image')} are few: {PRESETS['few'].advice}")
    config = read_public_yaml(options.config) if options.config else PRESETS[options.preset].config
    try:
        config = config.updated(asked)
        config.check_used(asked)
    except TrainConfigError as error:
        raise UsageError(str(error)) from error
    return config


def _check_dim(dim: int | None, config: TrainConfig, embedder: Embedder) -> None:
    """Raises ``UnifexError`` for one that the new model will not have."""
    dims = embedder.neck.dims if config.in_one_step else config.fitting(embedder.backbone.feature_dim).dims
    if dim not in (None, *dims):
        raise UnifexError(f"no {dim}-d in the model that is to be trained: --dim is one of {', '.join(map(str, dims))}")


def _import(options: argparse.Namespace) -> dict[str, Any]:
    from unifex.models import torchscript
    from unifex.models.embedder import Embedder
    from unifex.training.run import check_model_name

    models = options.library / "models"
    options.save = check_model_name(models, options.save)
    if Path(options.file).is_dir():
        raise UsageError(f"'{options.file}' is a folder: a model's is used as it lies there, --model {options.file}")
    if options.backbone:
        return _import_layer(options, models)
    if options.file.startswith("hf:"):
        model = Embedder.from_pretrained(options.file.removeprefix("hf:")).save_as(options.save, models)
    else:
        model = Embedder.import_model(Path(options.file), options.save, models, options.size)
    fit, dim = model.backbone.preprocessing, model.default_dim
    weights = f"on {model.backbone.parameters:,} weights"
    say(options, f"model '{model.name}': images of {fit.size} pixels to {dim} values, {weights}")
    if not (options.file.startswith("hf:") or torchscript.says_fit(model.backbone)):
        say(
            options, f"the file does not say how images are fitted; they are squeezed to {fit.size} x {fit.size} pixels"
        )
    facts = {"size": fit.size, "fit": fit.fit, "dim": dim, "parameters": model.backbone.parameters}
    return {"model": model.name, **facts}


def _import_layer(options: argparse.Namespace, models: Path) -> dict[str, Any]:
    from unifex.models.linear_layer import import_layer

    model = import_layer(Path(options.file), options.save, models, options.backbone)
    backbone, dim = model.backbone, model.default_dim
    bias = "with" if model.neck.bias.any() else "without"
    say(
        options,
        f"model '{model.name}': {backbone.feature_dim} features of {backbone.called} to {dim} values, {bias} bias",
    )
    how = command("use", "GALLERY", model.name)
    say(options, f"search with it: {how}, if that was indexed with this backbone")
    return {"model": model.name, "backbone": backbone.id, "features": backbone.feature_dim, "dim": dim}


def _use(options: argparse.Namespace) -> dict[str, Any]:
    from unifex.models.zoo import absolute

    gallery = library(options).get(options.gallery)
    wanted = absolute(options.wanted) if options.wanted is not None else gallery.config.previous
    if not wanted:
        raise UnifexError(f"gallery '{gallery.name}' has had no other model; name one (python -m unifex models)")
    if options.new is not None:
        return _index_anew(options, gallery.name, wanted)
    return _switch(options, gallery.name, wanted)


def _index_anew(options: argparse.Namespace, name: str, model: str) -> dict[str, Any]:
    from unifex.gallery.other_backbone import index_anew
    from unifex.models.embedder import Embedder

    galleries, began = library(options), time.perf_counter()
    embedder = Embedder.load(model, models=galleries.models)
    gallery = watched(index_anew(galleries, name, options.new, embedder))
    seconds, config = time.perf_counter() - began, gallery.config
    say(options, f"gallery '{gallery.name}' is '{name}' with '{model}', {config.dim}-d, after {duration(seconds)}")
    return {"gallery": gallery.name, "model": model, "dim": config.dim, "of": name, "seconds": seconds}


def _switch(options: argparse.Namespace, name: str, model: str) -> dict[str, Any]:
    from unifex.models.embedder import Embedder

    galleries, began = library(options), time.perf_counter()
    gallery = watched(galleries.use(name, Embedder.load(model, models=galleries.models)))
    seconds, config = time.perf_counter() - began, gallery.config
    back = f"; `{command('use', name)}` goes back to '{config.previous}'" if config.previous else ""
    say(options, f"gallery '{name}' is searched with '{model}', {config.dim}-d, after {duration(seconds)}{back}")
    return {"gallery": name, "model": model, "dim": config.dim, "previous": config.previous, "seconds": seconds}
