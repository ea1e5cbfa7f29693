"""Which backbones there are: the bundled one, the rows of ``zoo.csv``, and any other of open_clip, timm or the hub.

An id is ``LIBRARY:NAME``: ``open_clip:ViT-B-16:laion2b_s34b_b88k``, ``timm:vit_small_patch14_dinov2.lvd142m``,
``hf-hub:owner/name`` or ``local-dir:FOLDER`` (in open_clip's layout). ``@224`` after it asks for another image size,
``+tower`` for the tower without its projection, as upstream's ``proj_layer: False``. What the rows state (size,
normalisation, parameters, width, work) is what the libraries say, which the tests check; stated, so that listing them
needs no torch.
"""

from __future__ import annotations

import difflib
import pickle
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from unifex.core.language import say
from unifex.core.preprocessing import Preprocessing
from unifex.core.progress import Work
from unifex.core.tables import rows
from unifex.core.text import command, reason
from unifex.core.text import size as bytes_text
from unifex.core.typed import typed_path
from unifex.models import hub, towers
from unifex.models.backbones import BackboneError, BackboneSpec, MapPool
from unifex.models.efficientnet_lite import LITE0, LITE0_LITE2
from unifex.models.hub import HubFile
from unifex.models.towers import TowerError

if TYPE_CHECKING:
    import torch

BUNDLED = (LITE0, LITE0_LITE2)
OPEN_CLIP_FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
TIMM_FILES = ("model.safetensors", "pytorch_model.bin")
LATE_BLOCKS = 2  # of a tower learn in a deep training, if nothing else is asked for
_TABLE = Path(__file__).with_name("zoo.csv")
_NORMS = {
    "clip": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "zero": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}


@dataclass(frozen=True)
class Name:
    """The parts of an id: see the module's head. ``size`` None is the library's own."""

    library: str
    name: str
    tag: str = ""
    size: int | None = None
    projection: bool = True

    _FORM = re.compile(
        r"(?P<library>open_clip|timm|hf-hub|local-dir):(?P<rest>.+?)(@(?P<size>\d+))?(?P<tower>\+tower)?"
    )

    @classmethod
    def parse(cls, text: str) -> Name | None:
        """None when it is no id of a library."""
        return cls.of(text) if cls._FORM.fullmatch(text) else None

    @classmethod
    def of(cls, text: str) -> Name:
        """The parts of an id. Raises :class:`BackboneError` when it is none of a library."""
        match = cls._FORM.fullmatch(text)
        if not match:
            raise BackboneError(say("'{text}' is no id of a library", text=text))
        library, rest = match["library"], match["rest"]
        if library == "local-dir" and (folder := text.removeprefix("local-dir:")) and typed_path(folder).is_dir():
            return cls(library, folder)  # which may be called as with a size
        name, _, tag = rest.partition(":") if library == "open_clip" else (rest, "", "")
        return cls(library, name, tag, int(match["size"]) if match["size"] else None, not match["tower"])


def absolute(name: str) -> str:
    """A model's or backbone's name, of a folder by its whole path: whoever opens a gallery of it may be elsewhere."""
    before, found, rest = name.partition("local-dir:")
    place = typed_path(rest)
    if not found or not rest or place.is_absolute():
        return name if not rest.startswith("~") else f"{before}{found}{place}"
    return f"{before}{found}{Path.cwd() / place}"


def makes_the_same(spec: BackboneSpec, id: str, weight_hash: str) -> bool:
    """Whether a backbone makes what one of this id and hash made: a folder can be named by another path, which is a
    part of its hash, as it was before names were made :func:`absolute`, or before it was moved."""
    own = spec.weight_hash()
    names = Name.parse(spec.id), Name.parse(id)
    if own == weight_hash or not all(name and name.library == "local-dir" for name in names):
        return own == weight_hash
    here, there = ((name.size, name.projection) for name in names if name)
    return here == there and replace(spec, architecture=id).weight_hash() == weight_hash


@cache
def table() -> dict[str, BackboneSpec]:
    """All named backbones by id, the bundled ones first."""
    with _TABLE.open(encoding="utf-8", newline="") as file:
        (_, header), *lines = rows(file)
    specs = [_row(dict(zip(header, cells))) for _, cells in lines]
    return {spec.id: spec for spec in (*BUNDLED, *specs)}


def _row(row: dict[str, str]) -> BackboneSpec:
    name = Name.of(row["id"])
    mean, std = _NORMS[row["norm"]]
    prep = Preprocessing(int(row["size"]), mean, std, row["fit"], row["interpolation"], fill=(0, 0, 0))
    return _spec(
        row["id"], name, HubFile(row["repo"], _FILES[name.library]), int(row["dim"]), prep,
        title=f"{row['family']} {name.name}", parameters=int(row["image_parameters"]),
        text_parameters=int(row["text_parameters"]), gigaflops=float(row["gigaflops"]), licence=row["licence"],
        tokenizer=row["tokenizer"], paper_name=row["paper_name"], late_blocks=LATE_BLOCKS,
    )  # fmt: skip


_FILES = {"open_clip": OPEN_CLIP_FILES, "timm": TIMM_FILES}


def _spec(
    id: str, name: Name, weights: HubFile | Path, dim: int, prep: Preprocessing, text_parameters: int = 0, **facts: Any
) -> BackboneSpec:
    """A row of the zoo. ``weights``: on the hub, or a file of this computer."""
    has_text = bool(text_parameters) and name.projection  # without the projection there is no joint space
    return BackboneSpec(
        id=id,
        architecture=id,
        weights=hub.page_of(weights.repo) if isinstance(weights, HubFile) else str(weights),
        weights_files=partial(_weights_here, id, weights),
        stages=partial(_stages, name, prep.size),
        pools=(MapPool("tower", dim),),
        preprocessing=prep,
        hub_file=weights if isinstance(weights, HubFile) else None,
        text=partial(towers.OpenClipText, name.name) if has_text else None,
        text_parameters=text_parameters,
        **facts,
    )


def _weights_here(id: str, file: HubFile | Path) -> tuple[Path]:
    if isinstance(file, Path):
        return (file,)
    found = hub.find(file)
    if found is None:
        spec = get(id)
        told = say(
            "backbone '{id}' is not on this computer: choose it under Model in the Gallery tab to download its weights "
            "({size}, {licence}) from {repo}; the bundled model works without",
            id=id, size=bytes_text(spec.download_bytes), licence=spec.licence, repo=file.repo,
        )  # fmt: skip
        raise BackboneError(told, command=command("download", id))
    return (found,)


_UNUSABLE = (  # what libraries raise of weights that are damaged, and of configurations that make no network
    SafetensorError, pickle.UnpicklingError, OSError, EOFError, RuntimeError, ValueError, TypeError, LookupError,
)  # fmt: skip


def build_tower(name: Name, weights: Path | None) -> torch.nn.Module:
    """The image tower of an id: normalised images [B, 3, H, W] -> [B, D]; random weights when None."""
    try:
        if name.library == "timm":
            return towers.timm_images(name.name, weights, name.size, name.projection)
        return towers.open_clip_images(name.name, weights, name.size, name.projection)
    except TowerError as error:
        raise BackboneError(str(error)) from error
    except _UNUSABLE as error:
        what = weights.name if weights else say("what is said of the network")
        text = str(error).strip().partition("\n")[0][:200]
        told = say("{what} of {name} cannot be used: {reason}", what=what, name=name.name, reason=text)
        raise BackboneError(told) from error


def _stages(name: Name, size: int, weights: Path) -> torch.nn.Module:
    from unifex.models.late_towers import LateTower

    return LateTower(build_tower(name, weights), size)


def get(name: str) -> BackboneSpec:
    """The backbone of this id (or of the name the paper's code has for it).

    Raises :class:`BackboneError` that lists the like-named, or says what is missing.
    """
    known = table()
    if name in known:
        return known[name]
    by_paper = {spec.paper_name: spec for spec in known.values() if spec.paper_name}
    if name in by_paper:
        return by_paper[name]
    parsed = Name.parse(name)
    if parsed is None:
        near = [id for id in known if name.lower() in id.lower()] or difflib.get_close_matches(name, known, 4, 0.3)
        told = say(
            "no backbone '{name}'; alike: {near}; Model in the Gallery tab lists all, and timm:NAME, "
            "open_clip:NAME:PRETRAINED, hf-hub:OWNER/NAME and local-dir:FOLDER are taken, too",
            name=name, near=", ".join(near[:6]) or "lite0",
        )  # fmt: skip
        raise BackboneError(told, command=command("backbones"))
    return _from_library(name)


@cache
def _from_library(id: str) -> BackboneSpec:
    """A backbone that is not in the table: the library is asked for everything the table would say."""
    try:
        name = Name.of(id)
        return _LIBRARIES[name.library](id, name)
    except (TowerError, RuntimeError, OSError, ValueError, KeyError) as error:
        raise BackboneError(say("backbone '{id}': {reason}", id=id, reason=reason(error))) from error


def _of_timm(id: str, name: Name) -> BackboneSpec:
    prep = towers.timm_preprocessing(name.name, name.size)
    import timm

    config = timm.get_pretrained_cfg(name.name)
    if config is None or not config.hf_hub_id:
        raise TowerError(say("its weights are not on the hub"))
    return _measured(id, name, HubFile(config.hf_hub_id, TIMM_FILES), prep, licence=config.license or "unknown")


def _of_open_clip(id: str, name: Name) -> BackboneSpec:
    from open_clip.pretrained import get_pretrained_cfg, list_pretrained_tags_by_model

    towers.open_clip_config(name.name)
    config = get_pretrained_cfg(name.name, name.tag)
    if not config or not config.get("hf_hub"):
        tags = ", ".join(list_pretrained_tags_by_model(name.name)) or say("none")
        lacking = say("open_clip has no weights '{tag}' of it on the hub; there are: {tags}", tag=name.tag, tags=tags)
        raise TowerError(lacking)
    if bool(config.get("quick_gelu")) != bool(towers.open_clip_config(name.name).get("quick_gelu")):
        other = f"open_clip:{name.name}-quickgelu:{name.tag}"
        raise TowerError(say("these weights want the other activation: {other}", other=other))
    repo, _, file = config["hf_hub"].rpartition("/")
    prep = towers.open_clip_preprocessing(name.name, config, name.size)
    return _measured(id, name, HubFile(repo, (file,) if file else OPEN_CLIP_FILES), prep, licence="see its page")


def _of_folder(id: str, name: Name) -> BackboneSpec:
    folder = typed_path(name.name).resolve()
    weights = next((folder / file for file in OPEN_CLIP_FILES if (folder / file).is_file()), None)
    if weights is None or not (folder / towers.OPEN_CLIP_CONFIG).is_file():
        either = say(" or ").join(OPEN_CLIP_FILES)
        config = towers.OPEN_CLIP_CONFIG
        raise TowerError(say("{folder} must hold {config} and {either}", folder=folder, config=config, either=either))
    return _in_folder(id, name, folder, weights)


def _of_hub(id: str, name: Name) -> BackboneSpec:
    file = HubFile(name.name, OPEN_CLIP_FILES)
    config = hub.find(HubFile(name.name, (towers.OPEN_CLIP_CONFIG,)))
    if config is None:
        told = say(
            "backbone '{id}' is not on this computer: choose it under Model in the Gallery tab to download it, if it "
            "is one in open_clip's layout; the bundled model works without",
            id=id,
        )
        raise BackboneError(told, command=command("download", id))
    return _in_folder(id, name, config.parent, file)


def _in_folder(id: str, name: Name, folder: Path, weights: HubFile | Path) -> BackboneSpec:
    """A folder as the hub holds it: open_clip reads its configuration."""
    place = Name("open_clip", f"local-dir:{folder}", "", name.size, name.projection)
    config = towers.folder_config(folder)
    prep = towers.open_clip_preprocessing(place.name, config.get("preprocess_cfg", {}), name.size)
    return _measured(id, place, weights, prep, licence="that of the model")


_LIBRARIES: dict[str, Callable[[str, Name], BackboneSpec]] = {
    "timm": _of_timm, "open_clip": _of_open_clip, "local-dir": _of_folder, "hf-hub": _of_hub,
}  # fmt: skip


def _measured(id: str, name: Name, weights: HubFile | Path, prep: Preprocessing, licence: str) -> BackboneSpec:
    """The facts of a network, told from one without memory."""
    import torch
    import torchvision  # noqa: F401  # torch 2.8 cannot import it under `meta`

    with torch.device("meta"):
        tower = build_tower(name, None)
        dim, gigaflops = towers.count_gigaflops(tower, prep.size)
        both = towers.open_clip_model(name.name, None, name.size) if name.library == "open_clip" else tower
        image = both.visual if name.library == "open_clip" else both
    count = lambda module: sum(weight.numel() for weight in module.parameters())  # noqa: E731
    return _spec(
        id, name, weights, dim, prep, title=id, parameters=count(tower),
        text_parameters=count(both) - count(image), gigaflops=gigaflops, licence=licence, late_blocks=LATE_BLOCKS,
    )  # fmt: skip


def download(id: str) -> Work[BackboneSpec]:
    """Fetch a backbone's weights, and its tokenizer's files, from the hub.

    Closing the generator stops. Raises ``HubError`` and :class:`BackboneError`.
    """
    name = Name.parse(id)
    if name and name.library == "hf-hub":
        yield from hub.fetch(HubFile(name.name, (towers.OPEN_CLIP_CONFIG,)))
    spec = get(id)
    if spec.hub_file:
        yield from hub.fetch(spec.hub_file)
    if spec.text:
        fetch_tokenizer(spec)
    return spec


def fetch_tokenizer(spec: BackboneSpec) -> None:
    """Get the tokenizer's files, a few megabytes, unless they are here. Raises ``HubError``."""
    if not isinstance(spec.text, partial):
        return  # a tower that is not open_clip's, and brings its own
    name = spec.text.args[0]
    try:
        towers.tokenizer(name, fetch=False)
    except TowerError:
        hub.check_reachable(say("the tokenizer of {id}", id=spec.id))
        towers.tokenizer(name, fetch=True)
