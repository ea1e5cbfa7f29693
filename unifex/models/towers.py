"""Image and text towers from open_clip and timm, built as the library builds them.

``weights`` None gives random ones; under ``torch.device("meta")`` not even these take memory. An open_clip or timm
``local-dir:`` name is a folder as the hub holds one.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from unifex.core.errors import UnifexError
from unifex.core.json_text import parse_json
from unifex.core.language import say
from unifex.core.preprocessing import Preprocessing
from unifex.core.text import reason

if TYPE_CHECKING:
    import torch

LOCAL = "local-dir:"  # before a folder as the hub holds one
OPEN_CLIP_CONFIG = "open_clip_config.json"
VOCABULARIES = (  # any of which a tokenizer of the hub is made from
    ("tokenizer.json",), ("vocab.txt",), ("vocab.json", "merges.txt"), ("spiece.model",), ("tokenizer.model",),
    ("sentencepiece.bpe.model",),
)  # fmt: skip
_FIT_OF_RESIZE = {"squash": "squash", "shortest": "crop", "longest": "pad"}  # open_clip's names
_FIT_OF_CROP = {"squash": "squash", "center": "crop", "border": "pad"}  # timm's


class TowerError(UnifexError):
    """A network that its library does not have, or that cannot be used here; the message says which and why."""


class TextTower(Protocol):
    """Words into the space of the image features."""

    def embed(self, texts: list[str]) -> np.ndarray:
        """float32 [n, D], L2 norm 1; D is the image tower's, and a cosine between the two is a similarity."""
        ...

    def usual(self) -> np.ndarray:
        """The same of texts as people write them, [m, D], which it knows beforehand: none where it knows none."""
        ...


def open_clip_model(name: str, weights: Path | None, size: int | None = None) -> torch.nn.Module:
    """Both towers, in evaluation mode.

    Raises :class:`TowerError` for an unknown name, RuntimeError for weights of another model.
    """
    import open_clip
    import torch

    by_timm = "timm_model_name" in open_clip_config(name)["vision_cfg"]  # timm resizes after loading, open_clip while
    with warnings.catch_warnings(), _quiet():
        warnings.simplefilter("ignore")
        model: Any = open_clip.create_model(
            name, load_weights=False, pretrained_text=False, force_image_size=None if by_timm else size,
            device=torch.get_default_device(),
        )  # fmt: skip
    if weights:
        open_clip.load_checkpoint(model, str(weights))
    if size and by_timm:
        model.visual.set_input_size(size)
    return model.eval()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without open_clip's warnings, on the root logger, that a model has no weights yet."""
    not_its = lambda record: "open_clip" not in record.pathname  # noqa: E731
    logging.getLogger().addFilter(not_its)
    try:
        yield
    finally:
        logging.getLogger().removeFilter(not_its)


def open_clip_images(name: str, weights: Path | None, size: int | None, projection: bool) -> torch.nn.Module:
    """The image tower: normalised images [B, 3, size, size] -> [B, D], with or without its projection.

    With it, D is the joint space with the text tower's; without, the width of the network.
    """
    import torch

    tower: Any = open_clip_model(name, weights, size).visual
    if projection:
        return tower
    if getattr(tower, "proj", None) is not None:
        tower.proj = None
    elif hasattr(tower, "trunk"):
        if len(tower.head):
            tower.head = torch.nn.Identity()
        else:  # the projection is the trunk's own classifier
            tower.trunk.reset_classifier(0)
    else:
        raise TowerError(say("{name} has no projection that can be taken off", name=name))
    return tower


class OpenClipText:
    """The text tower with its tokenizer, on the CPU. Raises :class:`TowerError` when the tokenizer's files miss."""

    def __init__(self, name: str, weights: Path | None):
        model: Any = open_clip_model(name, weights)
        model.visual = None  # the image tower runs elsewhere, on a faster engine
        self._model = model
        self._tokenize = tokenizer(name, fetch=False)

    def embed(self, texts: list[str]) -> np.ndarray:
        import torch

        with torch.inference_mode():
            return self._model.encode_text(self._tokenize(texts), normalize=True).float().numpy()

    def usual(self) -> np.ndarray:
        return np.zeros((0, 1), np.float32)


def tokenizer(name: str, fetch: bool) -> Any:
    """open_clip's tokenizer of a model; ``fetch`` allows to get its files from the hub.

    A folder's lies in it; where it does not, and for what comes from the hub, it is that of the repository that the
    configuration names. Raises :class:`TowerError` when its files are not on this computer and may not, or cannot, be
    fetched.
    """
    import open_clip
    from open_clip.tokenizer import HFTokenizer

    config = open_clip_config(name)["text_cfg"]
    wanted = config.get("hf_tokenizer_name")
    if not wanted:
        return open_clip.get_tokenizer(name)
    options = {key: config[key] for key in ("context_length", "tokenizer_mode") if key in config}
    options |= config.get("tokenizer_kwargs", {}) | ({} if fetch else {"local_files_only": True})
    try:
        return HFTokenizer(_tokenizer_folder(name) or (wanted if fetch else _fetched_tokenizer(wanted)), **options)
    except (OSError, ValueError) as error:
        told = say("the tokenizer {name} is not on this computer", name=wanted)
        if fetch:
            told = say("the tokenizer {name} cannot be had: {reason}", name=wanted, reason=reason(error))
        raise TowerError(told.partition("\n")[0]) from error


def _tokenizer_folder(name: str) -> str | None:
    """The folder that holds a model's tokenizer; None in the hub's cache, where not all of it may have come yet."""
    from huggingface_hub.constants import HF_HUB_CACHE

    folder = Path(name.removeprefix(LOCAL))
    found = name.startswith(LOCAL) and _holds_tokenizer(folder)
    return str(folder) if found and Path(HF_HUB_CACHE) not in folder.parents else None


def _fetched_tokenizer(repository: str) -> str:
    """The folder that was fetched. By a repository's name, transformers before 5.18 asks for a config.json besides."""
    from huggingface_hub import snapshot_download

    folder = snapshot_download(repository, local_files_only=True)
    if not _holds_tokenizer(Path(folder)):
        raise FileNotFoundError(f"no tokenizer in {folder}")
    return folder


def _holds_tokenizer(folder: Path) -> bool:
    """Of a folder without a vocabulary transformers makes a tokenizer that knows no word."""
    vocabulary = any(all((folder / name).is_file() for name in names) for names in VOCABULARIES)
    return vocabulary and (folder / "tokenizer_config.json").is_file()


def open_clip_config(name: str) -> dict[str, Any]:
    """The configuration of a model. Raises :class:`TowerError` that lists the like-named."""
    import difflib

    import open_clip

    if name.startswith(LOCAL):
        return folder_config(Path(name.removeprefix(LOCAL)))["model_cfg"]
    config = open_clip.get_model_config(name)
    if config is None:
        near = difflib.get_close_matches(name, open_clip.list_models(), 5, 0.4)
        alike = ", ".join(near) or say("none")
        raise TowerError(say("open_clip has no model '{name}'; alike: {alike}", name=name, alike=alike))
    return config


def folder_config(folder: Path) -> dict[str, Any]:
    """What a folder as the hub holds it says of its model. Raises :class:`TowerError` for none of open_clip's."""
    file = folder / OPEN_CLIP_CONFIG
    try:
        config = parse_json(file.read_text(encoding="utf-8"))
        parts = *(config["model_cfg"][part] for part in ("vision_cfg", "text_cfg")), config.get("preprocess_cfg", {})
        if not all(isinstance(part, dict) for part in parts):
            raise TypeError("no JSON object")
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        told = say(
            "{file} is none of open_clip's, which has a model_cfg with vision_cfg and text_cfg; download it again",
            file=file,
        )
        raise TowerError(told) from error
    return config


def open_clip_preprocessing(name: str, pretrained: dict[str, Any], size: int | None) -> Preprocessing:
    """As the library's configuration says; ``pretrained`` is that of the weights."""
    from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD

    side = size or open_clip_config(name)["vision_cfg"]["image_size"]
    if isinstance(side, list | tuple):
        if len(set(side)) > 1:
            own = f"open_clip:{name}"
            raise TowerError(say("{name} takes images of {side}, UniFEx squares only", name=own, side=side))
        side = side[0]
    return Preprocessing(
        size=side,
        mean=_triple(pretrained.get("mean") or OPENAI_DATASET_MEAN),
        std=_triple(pretrained.get("std") or OPENAI_DATASET_STD),
        fit=_FIT_OF_RESIZE[pretrained.get("resize_mode") or "shortest"],
        interpolation=pretrained.get("interpolation") or "bicubic",
        crop_fraction=1.0,
        fill=(0, 0, 0),
    )


def _triple(values: Sequence[float]) -> tuple[float, float, float]:
    red, green, blue = values
    return red, green, blue


def timm_images(name: str, weights: Path | None, size: int | None, whole: bool) -> torch.nn.Module:
    """A timm network without classifier: normalised images [B, 3, size, size] -> [B, D].

    ``whole`` False leaves out what SAM puts behind its transformer (as the paper does). Raises :class:`TowerError`
    for a network that has no such thing, RuntimeError for weights of another network.
    """
    import timm
    import torch

    options: dict[str, Any] = {"pretrained": bool(weights), "num_classes": 0}
    if weights:
        options["pretrained_cfg_overlay"] = {"file": str(weights), "custom_load": False}  # not as the original .npz
    told = size and not name.startswith("samvit")  # SAM resamples its positions itself, but not when weights are loaded
    sized: dict[str, Any] = {"img_size": size} if told else {}
    try:
        network = timm.create_model(name, **options, **sized)
    except TypeError:  # a convolutional network, which takes any size, does not want to be told
        network = timm.create_model(name, **options)
    if not whole:
        if not hasattr(network, "neck"):
            raise TowerError(say("timm:{name} has nothing behind its tower that could be left out", name=name))
        network.neck = torch.nn.Identity()
    return network.eval()


def timm_preprocessing(name: str, size: int | None) -> Preprocessing:
    """As the library's configuration says. Raises :class:`TowerError` that lists the like-named."""
    import difflib

    import timm
    from timm.data.config import resolve_data_config

    known = timm.get_pretrained_cfg(name) if timm.is_model(name.partition(".")[0]) else None
    if known is None:
        near = difflib.get_close_matches(name, timm.list_models(pretrained=True), 5, 0.4)
        alike = ", ".join(near) or say("none")
        raise TowerError(say("timm has no model '{name}' with weights; alike: {alike}", name=name, alike=alike))
    config = resolve_data_config(pretrained_cfg=known.to_dict())
    _, height, width = config["input_size"]
    if height != width:
        own, side = f"timm:{name}", f"{height} x {width}"
        raise TowerError(say("{name} takes images of {side}, UniFEx squares only", name=own, side=side))
    return Preprocessing(
        size=size or height,
        mean=_triple(config["mean"]),
        std=_triple(config["std"]),
        fit=_FIT_OF_CROP[config["crop_mode"]],
        interpolation=config["interpolation"],
        crop_fraction=config["crop_pct"],
        fill=(0, 0, 0),
    )


def count_gigaflops(tower: torch.nn.Module, size: int) -> tuple[int, float]:
    """Width of the features and 10^9 floating point operations an image (a multiply-add is two); works on meta."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    device = next(tower.requires_grad_(False).parameters()).device  # the counter's hooks fail on half a graph
    with FlopCounterMode(display=False) as counter:
        found = tower(torch.zeros(1, 3, size, size, device=device))
    return found.shape[1], counter.get_total_flops() / 1e9
