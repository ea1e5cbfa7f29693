"""The model that a gallery is searched with, in the bundle that it travels in: written, looked at, taken over."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

from unifex.core.files import with_checksum
from unifex.core.language import say, to_say
from unifex.core.system import is_name, numbered
from unifex.core.text import command
from unifex.gallery.bundle_file import BundleFile
from unifex.gallery.config import GalleryConfig
from unifex.gallery.errors import GalleryError
from unifex.gallery.folder_names import check_name
from unifex.gallery.gallery import Gallery
from unifex.gallery.library import Library
from unifex.models import torchscript, zoo
from unifex.models.backbones import BackboneError
from unifex.models.embedder import FILES, RAW, ModelConfig, ModelError, find_model, hashes_of, read_neck
from unifex.models.neck import DimensionError, Neck


def searched_with(gallery: Gallery, scratch: Path) -> dict[str, Path | Callable[[], bytes]]:
    """Name in the bundle -> what gives its bytes, of the configuration and the model that it names, which is saved to
    ``scratch``; a bare backbone has no neck.

    Raises :class:`GalleryError` where the two do not agree: nobody could open the bundle.
    """
    folder, names = scratch / "model", () if gallery.config.model.startswith(RAW) else FILES
    if names:
        check_name(gallery.config.model, to_say("model"))  # an earlier version kept models that nobody can unpack
        # Before the configuration is read, which follows it: it may have been trained anew under its name, or come
        # with a later version.
        gallery.embedder.save(folder)
    config = replace(gallery.config, previous="", dims={}, store="", collection="")
    try:
        if names:
            _check_neck(folder, config)
    except (ValueError, DimensionError) as error:
        raise GalleryError(
            say(
                "gallery '{name}' cannot be packed: {reason}; give it a model that it can be searched with",
                name=gallery.name,
                reason=error,
            )
        ) from error
    return {
        "gallery.json": lambda: with_checksum(config.as_json()),
        **{f"model/{name}": folder / name for name in names},
    }


def _check_neck(folder: Path, config: GalleryConfig) -> Neck:
    """The neck of the model in a folder, with which a gallery is searched. Raises ValueError for another one, and
    ``DimensionError`` where it has not the gallery's dimension."""
    model, neck = ModelConfig.read(folder / FILES[0]), read_neck(folder)
    if (model.backbone, model.backbone_hash, neck.hash) != (config.backbone, config.backbone_hash, config.neck_hash):
        raise ValueError(say("its neck is not the one that it was made with"))
    neck.check_dim(config.dim)
    return neck


def adopt_model(
    packed: BundleFile, config: GalleryConfig, new: Path, library: Library, widths: set[int]
) -> GalleryConfig:
    """The neck in the bundle becomes a model here, under a free name where its own means another neck.

    ``widths``: how many features an image has. Raises ValueError for a neck that is not the gallery's.
    """
    if config.model.startswith(RAW):
        with contextlib.suppress(BackboneError):  # it may not be here
            _check_width(widths, zoo.get(config.backbone).feature_dim)
        return config
    folder = new / "model"
    folder.mkdir()
    for name in FILES:
        packed.extract(f"model/{name}", folder / name)
    model = ModelConfig.read(folder / FILES[0])
    neck = _check_neck(folder, config)
    _check_width(widths, neck.input_dim)
    check_name(model.name, to_say("model"))
    _check_backbone(model, library.models)
    own = (model.backbone_hash, neck.hash)
    name = next(name for name in numbered(model.name) if _model_here(name, library.models) in (None, own))
    if _model_here(name, library.models) is None:
        (folder / FILES[0]).write_text(json.dumps({**asdict(model), "name": name}), encoding="utf-8")
        library.models.mkdir(parents=True, exist_ok=True)
        try:
            folder.rename(library.models / name)
        except OSError:
            if _model_here(name, library.models) != own:  # else another process has brought it meanwhile
                raise
    shutil.rmtree(folder, ignore_errors=True)
    return replace(config, model=name)


def _check_width(widths: set[int], expected: int) -> None:
    if widths - {expected}:
        counts = {"held": min(widths), "expected": expected}
        raise ValueError(say("it holds {held} features an image, its model takes {expected}", **counts))


def _check_backbone(model: ModelConfig, models: Path) -> None:
    """Raises ``GalleryError`` where it is an imported TorchScript file that is not here: no bundle holds one, and
    without it the gallery could neither be searched nor given another model."""
    if not model.backbone.startswith(torchscript.PREFIX):
        return
    name = model.backbone.removeprefix(torchscript.PREFIX)
    try:
        here = torchscript.backbone(models / name).weight_hash() if is_name(name) else ""
    except BackboneError:
        here = ""
    if here != model.backbone_hash:
        told = say(
            "it stands on a TorchScript file '{name}', which no bundle holds: import that here first, or pack a "
            "gallery of the same images with another model",
            name=name[:80],
        )
        raise GalleryError(told, command=command("import", "FILE", "--save", name[:80]))


def _model_here(name: str, models: Path) -> tuple[str, ...] | None:
    """Hashes of backbone and neck of a model of this name here, empty for one that is damaged; None when there is no
    such model."""
    try:
        return hashes_of(find_model(name, models))
    except ModelError:
        return () if (models / name).exists() else None
