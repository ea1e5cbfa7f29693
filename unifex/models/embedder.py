"""Embedder = preprocessing + frozen backbone + neck: what a model on disk becomes when it is loaded.

A model is a folder of ``config.json`` and ``model.safetensors``: the neck, and what a deep training changed in the
backbone, whose own weights are named, not copied. Models shipped with the code live in ``assets/models``, a user's own
in ``indexes/models``.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import re
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from unifex.core import disk
from unifex.core.assets import ASSETS
from unifex.core.files import AlreadyThere, new_folder, write_atomically
from unifex.core.language import say, to_say
from unifex.core.progress import finish
from unifex.core.system import is_name
from unifex.core.text import reason, what_there_is
from unifex.core.vectors import are_finite_halves
from unifex.models import backbones, descriptions, engines, hub, neck, torchscript, zoo
from unifex.models.adaptation import Adaptation
from unifex.models.hub import HubFile
from unifex.models.image_like import ImageLike, opened, several
from unifex.models.model_config import ModelConfig, ModelError

DEFAULT_MODEL = "unifex-lite-4"
DEFAULT_DIM = 256
RAW = "raw:"  # before a backbone's id: the model that is nothing but this backbone
MODELS = "models"  # the folder of trained models, in assets and in a library
BUNDLED_MODELS = ASSETS / MODELS
log = logging.getLogger("unifex")
FILES = ("config.json", "model.safetensors")
CHECKSUM = "checksum"  # in the metadata of the second
NOT_FINITE = to_say(
    "what the model makes of this picture are no finite numbers, with which nothing can be found; take another model, "
    "or leave the picture out"
)


class Embedder:
    """Images -> embeddings. Thread-safe; the engine is prepared at the first image."""

    def __init__(
        self,
        config: ModelConfig,
        projection: neck.Neck,
        backbone: backbones.BackboneSpec,
        engine: str | None = None,
    ):
        self.config = config
        self.name = config.name
        self.neck = projection
        self.backbone = backbone
        self.default_dim = config.default_dim
        self._engine_name = engine

    def __repr__(self) -> str:
        return f"Embedder({self.name!r}, backbone {self.backbone.called!r}, dims {self.neck.dims})"

    @classmethod
    def load(
        cls, name: str | os.PathLike[str] = DEFAULT_MODEL, models: str | Path | None = None, engine: str | None = None
    ) -> Embedder:
        """Load a model by name (bundled, or a folder below ``models``) or by the path of its folder.

        ``raw:BACKBONE``, or a backbone's id, is :meth:`raw`. Raises :class:`ModelError` when there is none,
        when its files are damaged, or when the installed backbone is not the one that the neck was trained on.
        """
        name = os.fspath(name) if isinstance(name, os.PathLike) else name
        models = None if models is None else Path(models)
        if not isinstance(name, str):
            raise ModelError(say("{given} names no model: give its name, or the path of its folder", given=repr(name)))
        if _is_backbone(name, models):
            return cls.raw(name.removeprefix(RAW), engine)
        folder = find_model(name, models)
        config = ModelConfig.read(folder / FILES[0])
        if folder.parent in (BUNDLED_MODELS, models):  # a copy of another's folder is called as its folder
            config = replace(config, name=folder.name)
        spec = backbone_of(config, folder)
        if config.backbone_hash != spec.weight_hash():
            told = say(
                "model '{name}' was trained on other weights of backbone '{backbone}' than the installed ones "
                "({own}, here {installed}); train it again or install the release it is from",
                name=config.name, backbone=spec.called, own=config.backbone_hash, installed=spec.weight_hash(),
            )  # fmt: skip
            raise ModelError(told)
        projection = read_neck(folder)
        if projection.input_dim != spec.feature_dim:
            raise ModelError(say(
                "model '{model}': its neck takes {takes} features, backbone '{backbone}' gives {gives}",
                model=config.name, takes=projection.input_dim, backbone=spec.called, gives=spec.feature_dim,
            ))  # fmt: skip
        return cls(config, projection, spec, engine)

    @classmethod
    def import_model(cls, file: Path, name: str, models: Path, size: int | None = None) -> Embedder:
        """Make a model of a public UniFEx TorchScript file, saved as ``models/name``, by :mod:`torchscript`."""
        with new_folder(models / name) as made:
            spec = torchscript.import_model(file, made, size)
            dim = spec.feature_dim
            identity = neck.Neck("identity", np.eye(dim, dtype=np.float32), np.zeros(dim, np.float32), (dim,))
            about = descriptions.IMPORTED.format(file=file.name)
            config = ModelConfig(name, spec.id, spec.weight_hash(), "identity", (dim,), dim, description=about)
            cls(config, identity, spec).save(made)
        return cls.load(name, models)

    @classmethod
    def raw(cls, backbone: str, engine: str | None = None) -> Embedder:
        """The backbone's own features, L2-normalised, as the embedding: the baseline of every neck."""
        spec = zoo.get(backbone)
        size = spec.feature_dim
        identity = neck.Neck("identity", np.eye(size, dtype=np.float32), np.zeros(size, np.float32), (size,))
        config = ModelConfig(RAW + spec.id, spec.id, spec.weight_hash(), "identity", (size,), size)
        return cls(config, identity, spec, engine)

    @classmethod
    def from_pretrained(cls, repo: str) -> Embedder:
        """A model from the hub (``owner/name``), with the weights of its backbone where these come from the hub, too.

        What is here as the hub has it now is not fetched again. Raises ``HubError`` and :class:`ModelError`.
        """
        for name in FILES:
            finish(hub.fetch(HubFile(repo, (name,)), newest=True))
        config = hub.find(HubFile(repo, (FILES[0],)))
        if config is None:
            raise ModelError(
                say("{config} of {repo} is gone from the hub's cache again; try again", config=FILES[0], repo=repo)
            )
        finish(zoo.download(ModelConfig.read(config).backbone))
        return cls.load(str(config.parent))

    def push_to_hub(self, repo: str, card: str = "", private: bool = False) -> str:
        """Put the model into a repository of the hub, with its card (:mod:`unifex.training.model_card`); its address.

        Raises ``HubError``, and :class:`ModelError` for one that would be of no use there.
        """
        self.check_travels()
        with tempfile.TemporaryDirectory(prefix="unifex-push-") as scratch:
            self.save(Path(scratch))
            (Path(scratch) / "README.md").write_text(card, encoding="utf-8")
            return hub.push(Path(scratch), repo, private=private)

    def check_travels(self) -> None:
        """Raises :class:`ModelError` where a folder of this model's files would not open elsewhere."""
        if self.backbone.id.startswith(torchscript.PREFIX):
            told = say(
                "model '{name}' stands on an imported TorchScript file, which does not go with it; take both as one "
                "TorchScript file, which can be imported elsewhere",
                name=self.name,
            )
            raise ModelError(told, command=torchscript.exporting(self.name))

    def save_as(self, name: str, models: str | Path) -> Embedder:
        """The same model under another name, saved as ``models/name``."""
        named = Embedder(replace(self.config, name=name), self.neck, self.backbone, self._engine_name)
        with new_folder(Path(models) / name) as made:
            named.save(made)
        return named

    def save(self, folder: str | Path) -> None:
        """Write ``config.json`` and ``model.safetensors`` into a new or existing folder."""
        from safetensors import numpy as safetensors

        folder = Path(folder)
        disk.make_folder(folder)
        # safetensors writes memory as it lies: an array that is not in C order would come back scrambled.
        tensors = {"weight": np.ascontiguousarray(self.neck.weight), "bias": np.ascontiguousarray(self.neck.bias)}
        if adaptation := self.backbone.adaptation:
            tensors |= adaptation.tensors()
        checked = safetensors.save(tensors, {CHECKSUM: _checksum(self.config, self.neck)})
        write_atomically(folder / FILES[1], checked)
        values = {**self.config.__dict__, "dims": list(self.config.dims)}
        write_atomically(folder / FILES[0], (json.dumps(values, indent=2) + "\n").encode())

    @cached_property
    def engine(self) -> engines.Engine:
        """The backbone made ready for this machine."""
        return engines.load_engine(self.backbone, self._engine_name)

    @property
    def is_ready(self) -> bool:
        """Whether :attr:`engine` is there, and need not be made first."""
        return "engine" in self.__dict__

    def pixels(self, pictures: Iterable[ImageLike]) -> np.ndarray:
        """Decode and fit: uint8 [N, size, size, 3]. Raises ``images.ImageError`` with the reason."""
        fit = self.backbone.preprocessing
        return np.stack([fit.to_input(opened(picture, fit.size)) for picture in pictures])

    def features(self, pictures: ImageLike | Iterable[ImageLike]) -> np.ndarray:
        """Backbone features float32 [N, D] of one picture or several; many are decoded and inferred side by side.

        Raises ``images.ImageError`` with the reason, and :class:`ModelError` where they are not finite numbers.
        """
        pictures = several(pictures)
        if not pictures:
            return np.zeros((0, self.backbone.feature_dim), np.float32)
        made = self._features(pictures)
        if not are_finite_halves(made).all():
            raise ModelError(say(NOT_FINITE))
        return made

    def _features(self, pictures: list[Any]) -> np.ndarray:
        engine, size = self.engine, self.engine.batch_size
        if len(pictures) <= engine.workers:
            return np.concatenate([engine.features(self.pixels([picture])) for picture in pictures])
        chunks = [pictures[start : start + size] for start in range(0, len(pictures), size)]
        with ThreadPoolExecutor(engine.workers) as pool:
            return np.concatenate(list(pool.map(lambda chunk: engine.bulk(self.pixels(chunk)), chunks)))

    @property
    def supports_text(self) -> bool:
        """Whether the backbone has a text tower, so that text can be searched with."""
        return self.backbone.text is not None

    def embed_text(self, texts: str | list[str]) -> np.ndarray:
        """One text or several in the space of the *features*: float32 [n, D], L2 norm 1. Raises ``BackboneError``."""
        texts = [texts] if isinstance(texts, str) else texts
        if not texts:
            return np.zeros((0, self.backbone.feature_dim), np.float32)
        return engines.load_text_tower(self.backbone).embed(texts)

    def usual_texts(self) -> np.ndarray:
        """The same of texts as people write them, [m, D]: none where the tower knows none. Raises ``BackboneError``."""
        return engines.load_text_tower(self.backbone).usual()

    def embed(self, pictures: ImageLike | Iterable[ImageLike], dim: int | None = None) -> np.ndarray:
        """Embeddings float32 [N, dim] of one picture or several, L2 norm 1; ``dim`` is one of ``neck.dims`` (default
        ``default_dim``). Raises as :meth:`features`, and ``DimensionError``."""
        dim = self.neck.check_dim(self.default_dim if dim is None else dim)
        return self.neck.embed(self.features(pictures), dim)


def backbone_of(config: ModelConfig, folder: Path) -> backbones.BackboneSpec:
    """The backbone of the model in ``folder``, as it is adapted there.

    Raises :class:`ModelError` for one that is damaged, and ``BackboneError`` for one that is not known.
    """
    spec, adaptation = _plain_backbone(config, folder.parent), read_adaptation(folder)
    return spec.adapted(adaptation) if adaptation else spec


def _plain_backbone(config: ModelConfig, models: Path) -> backbones.BackboneSpec:
    """A row of the zoo, or a TorchScript file imported into ``models``."""
    if config.backbone.startswith(torchscript.PREFIX):
        name = config.backbone.removeprefix(torchscript.PREFIX)
        if not _is_one_folder(name):  # it was imported here, or is another's idea
            raise ModelError(say(
                "model '{model}' names a TorchScript file '{file}' that is none of its folder",
                model=config.name, file=name[:80],
            ))  # fmt: skip
        return torchscript.backbone(models / name)
    return zoo.get(config.backbone)


def _is_one_folder(name: str) -> bool:
    """Whether what a file calls itself is a folder's name, and no way to another place."""
    return name not in ("", ".", "..") and not re.search(r"[/\\:\0]", name)


def _is_backbone(name: str, models: Path | None) -> bool:
    """Whether a model's name is that of a bare backbone; one of ``models`` may be called as one of the table."""
    if name.startswith(RAW) or zoo.Name.parse(name):
        return True
    return name in zoo.table() and _folder_of(name, models, Path()) is None


def find_model(name: str, models: Path | None = None) -> Path:
    """The folder of a model. Raises :class:`ModelError` that lists the models there are."""
    if folder := _folder_of(name, models, Path()):
        return folder
    known = sorted(config.name for config in list_models(models))
    raise ModelError(say("no model '{name}'; {there}", name=name, there=what_there_is(known, name)))


def _folder_of(name: str, *places: Path | None) -> Path | None:
    """Of a bundled model, or of one in these places."""
    folders = (place / name for place in (BUNDLED_MODELS, *places) if place is not None)
    return next((folder for folder in folders if (folder / FILES[0]).is_file()), None)


def keep_model(embedder: Embedder, models: Path) -> None:
    """Save a model that came from elsewhere (a path, the hub) to ``models``: whoever needs it looks there by its name.

    With it goes the imported TorchScript file that it stands on. Raises :class:`ModelError` where another model has
    its name.
    """
    if embedder.name.startswith(RAW):
        return
    if embedder.backbone.id.startswith(torchscript.PREFIX):
        torchscript.keep(embedder.backbone, models)
    if not _is_one_folder(embedder.name):
        told = to_say("model '{model}' cannot be kept under that name: change it in its config.json")
        raise ModelError(say(told, model=embedder.name[:80]))
    if (folder := _folder_of(embedder.name, models)) is None:
        if not is_name(embedder.name):  # who unpacks a gallery with it could not keep it
            raise ModelError(say(
                "model '{model}' cannot be kept under that name: change it in its config.json to "
                "letters, digits, spaces and . _ - + ( )",
                model=embedder.name[:80],
            ))  # fmt: skip
        with contextlib.suppress(AlreadyThere), new_folder(models / embedder.name) as new:
            embedder.save(new)
        folder = models / embedder.name
    if hashes_of(folder) != (embedder.config.backbone_hash, embedder.neck.hash):
        raise ModelError(say(
            "another model '{model}' is in {folder}, with which its galleries would be searched: "
            "rename one of the two, its folder and the name in its config.json",
            model=embedder.name, folder=folder,
        ))  # fmt: skip


def hashes_of(folder: Path) -> tuple[str, str]:
    """Of a model's backbone and its neck. Raises :class:`ModelError` where it is damaged."""
    return ModelConfig.read(folder / FILES[0]).backbone_hash, read_neck(folder).hash


def check_model(name: str, models: Path | None = None) -> None:
    """Raises :class:`ModelError` or ``BackboneError`` when there is nothing of this name; loads nothing."""
    backbone = name.removeprefix(RAW)
    if zoo.Name.parse(backbone):
        return  # only its library knows
    if _is_backbone(name, models):
        zoo.get(backbone)
    else:
        find_model(name, models)


def list_models(models: Path | None = None) -> list[ModelConfig]:
    """Configurations of the bundled models and of those below ``models``, bundled first, by name.

    One that cannot be read is logged and left out, so that it does not hide the others.
    """
    found, places = [], (sorted(root.glob("*/config.json")) for root in (BUNDLED_MODELS, models) if root)
    for path in (path for paths in places for path in paths if path.parent.name[0] != "."):  # of trainings
        try:
            found.append(replace(ModelConfig.read(path), name=path.parent.name))
        except ModelError as error:
            log.warning("a model is left out: %s", error)
    return found


def read_neck(folder: Path) -> neck.Neck:
    """The neck of a model's folder, without its backbone. Raises :class:`ModelError` when it is damaged."""
    from safetensors import SafetensorError, safe_open

    config = ModelConfig.read(folder / FILES[0])
    try:
        with safe_open(folder / FILES[1], "numpy") as file:
            found = neck.Neck(config.neck, file.get_tensor("weight"), file.get_tensor("bias"), config.dims)
            checksum = (file.metadata() or {}).get(CHECKSUM)
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise _unusable(config.name, error) from error
    if checksum not in (None, _checksum(config, found)):  # models of earlier versions have none
        raise ModelError(say(
            "model '{model}': {config} or {weights} is damaged (their checksum is wrong); train it "
            "again, or get it from where it came",
            model=config.name, config=FILES[0], weights=FILES[1],
        ))  # fmt: skip
    return found


def read_adaptation(folder: Path) -> Adaptation | None:
    """What a deep training changed in the backbone of a model's folder; None when it is as it came.

    Raises :class:`ModelError` when it is damaged.
    """
    from safetensors import SafetensorError

    try:
        return Adaptation.read(folder / FILES[1])
    except (OSError, SafetensorError, ValueError) as error:
        raise _unusable(folder.name, error) from error


def _unusable(model: str, error: Exception) -> ModelError:
    told = to_say("model '{model}': {weights} cannot be used: {reason}")
    return ModelError(say(told, model=model, weights=FILES[1], reason=reason(error)))


def _checksum(config: ModelConfig, projection: neck.Neck) -> str:
    """Of all that a model's embeddings depend on."""
    values = [projection.hash, config.neck, list(config.dims), config.backbone, config.backbone_hash]
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:32]
