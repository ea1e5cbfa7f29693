"""Models of the public UniFEx code: TorchScript from images (0-255) to embeddings, taken in as a backbone.

Such a file normalises inside, and resizes to a square; what :mod:`unifex.models.export` wrote says how images are
fitted, and has a function for those that are (:func:`with_fitting`). It becomes a model folder of its own, so that
galleries, evaluation and training treat it like any other; its embeddings are what is cached.
"""

from __future__ import annotations

import json
import pickle
import shutil
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unifex.core import ranges
from unifex.core.errors import UnifexError
from unifex.core.files import new_folder, whole_file, write_atomically
from unifex.core.json_text import parse_json
from unifex.core.language import say
from unifex.core.preprocessing import AS_IT_IS, Preprocessing
from unifex.core.text import command, reason
from unifex.models.backbones import BackboneError, BackboneSpec, MapPool

if TYPE_CHECKING:
    import torch

PREFIX = "torchscript:"
DEFAULT_SIZE = 224
FILE, FACTS = "backbone.pt", "backbone.json"
EXTRA = "unifex-fitting.json"  # in an exported file: :meth:`Preprocessing.fitting` of what it was made of
FITTED = "of_fitted"  # its function from images [B, 3, size, size] that are fitted so to what it gives of any


@dataclass(frozen=True)
class _Facts:
    """What is noted of an imported file. ``says_fit``: its images are fitted as it says, and given to :data:`FITTED`;
    else they are squeezed to a square."""

    preprocessing: Preprocessing
    dim: int
    parameters: int
    says_fit: bool

    @classmethod
    def read(cls, file: Path) -> _Facts:
        """Raises OSError, ValueError, TypeError, KeyError and ``UnifexError``."""
        said = parse_json(file.read_text(encoding="utf-8"))
        says_fit = "fit" in said
        fit = Preprocessing.fitted(said) if says_fit else _squeezed(int(said["size"]))
        return cls(fit, int(said["dim"]), int(said["parameters"]), says_fit)

    def write(self, file: Path) -> None:
        """As :meth:`read` reads it."""
        fitting = self.preprocessing.fitting() if self.says_fit else {"size": self.preprocessing.size}
        write_atomically(file, json.dumps({**fitting, "dim": self.dim, "parameters": self.parameters}).encode())


def _squeezed(size: int) -> Preprocessing:
    return Preprocessing(size=size, mean=(0, 0, 0), std=AS_IT_IS, fit="squash")


def backbone(folder: Path) -> BackboneSpec:
    """The row of the zoo for a folder of :func:`import_model`. Raises :class:`BackboneError` when it is damaged."""
    try:
        facts = _Facts.read(folder / FACTS)
        if not (folder / FILE).is_file():
            raise OSError(f"{FILE} is missing")
    except (OSError, ValueError, TypeError, KeyError, UnifexError) as error:
        raise BackboneError(
            say(
                "the TorchScript model in {folder} cannot be read: {reason}; import it again",
                folder=folder,
                reason=reason(error),
            )
        ) from error
    return _spec(folder.name, folder / FILE, facts)


def says_fit(spec: BackboneSpec) -> bool:
    """Whether the imported file says how its images are fitted; else that they are squeezed is assumed."""
    return _Facts.read(spec.weights_files()[0].with_name(FACTS)).says_fit


def import_model(file: Path, folder: Path, size: int | None = None) -> BackboneSpec:
    """Try a TorchScript file out and copy it into a folder.

    ``size``: side in pixels of the images it is given; None takes what the file says (``img_size`` where it is none of
    :mod:`unifex.models.export`), else 224. Raises :class:`BackboneError` when it is not a function from images
    [B, 3, H, W] to vectors [B, D].
    """
    module, said = _load(file)
    fit = said or _squeezed(size or _own_size(module, file))
    fit = replace(fit, size=size or fit.size)
    dim = _try_out(getattr(module, FITTED) if said else module, file, fit.size)
    facts = _Facts(fit, dim, sum(parameter.numel() for parameter in module.parameters()), said is not None)
    with whole_file(folder / FILE) as place:
        shutil.copyfile(file, place)
    facts.write(folder / FACTS)
    return _spec(folder.name, folder / FILE, facts)


def with_fitting(fit: Preprocessing) -> dict[str, bytes]:
    """What ``torch.jit.save`` adds to a file with the function :data:`FITTED`, for :func:`import_model` to read."""
    return {EXTRA: json.dumps(fit.fitting()).encode()}


def _own_size(module: torch.jit.ScriptModule, file: Path) -> int:
    """The side that a file says; of (height, width) both must be alike."""
    said = getattr(module, "img_size", DEFAULT_SIZE)
    sides = {*said} if isinstance(said, (tuple, list)) else {said}
    try:
        (side,) = map(int, sides)
        return ranges.IMAGE_SIDE.check(side)
    except (ValueError, TypeError, RuntimeError, UnifexError) as error:
        raise BackboneError(
            say(
                "{file} says {said} for the size of its images, which are squares here: say it with --size",
                file=file,
                said=str(said)[:80],
            )
        ) from error


def keep(spec: BackboneSpec, models: Path) -> None:
    """Copy what :func:`import_model` made to ``models``, unless it is there. Raises :class:`BackboneError` where
    another of its name is."""
    source = spec.weights_files()[0].parent
    target = models / spec.id.removeprefix(PREFIX)
    if not target.exists():
        with new_folder(target) as new:
            shutil.copytree(source, new, dirs_exist_ok=True)
    elif backbone(target).weight_hash() != spec.weight_hash():
        raise BackboneError(
            say("another TorchScript model is in {target}; rename one of the two, and import it again", target=target)
        )


def _spec(name: str, file: Path, facts: _Facts) -> BackboneSpec:
    return BackboneSpec(
        id=f"{PREFIX}{name}",
        title=f"TorchScript {name}",
        architecture="torchscript",
        weights="an imported TorchScript file",
        weights_files=lambda: (file,),
        stages=partial(_stages, FITTED if facts.says_fit else "forward"),
        pools=(MapPool("embedding", facts.dim),),
        preprocessing=facts.preprocessing,
        parameters=facts.parameters,
        licence="that of the imported file",
        engine="torch",
    )


def _load(file: Path) -> tuple[torch.jit.ScriptModule, Preprocessing | None]:
    """A module, and how its images are fitted where it says that."""
    import torch

    if is_pickle(file):
        raise BackboneError(
            say(
                "{file} is a pickle, which may run anything when it is opened, and is not opened here: "
                "give a TorchScript file (torch.jit.save), or the weights as safetensors",
                file=file,
            )
        )
    said: dict[str, Any] = {EXTRA: b""}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # that torch will give TorchScript up is no user's business
            file.open("rb").close()  # torch has no word of its own for what is not there
            module = torch.jit.load(file, map_location="cpu", _extra_files=said).eval()
    except OSError as error:
        raise BackboneError(say("{file} cannot be read: {reason}", file=file, reason=reason(error))) from error
    except (RuntimeError, ValueError) as error:
        told = say("{file} is not a TorchScript file, as torch.jit.save writes it, or it is damaged", file=file)
        raise BackboneError(told) from error
    return module, _fit_said(said[EXTRA], file) if said[EXTRA] and hasattr(module, FITTED) else None


def _fit_said(text: bytes, file: Path) -> Preprocessing:
    try:
        return Preprocessing.fitted(parse_json(text))
    except (ValueError, TypeError, KeyError, UnifexError) as error:
        raise BackboneError(
            say("what {file} says of how its images are fitted cannot be read: {reason}; export it again",
                file=file, reason=reason(error))
        ) from error  # fmt: skip


def exporting(model: str) -> str:
    """The command that writes a model and the imported file that it stands on as one."""
    return command("export", "--model", model, "--format", "torchscript", "--out", "FILE.pt")


def is_pickle(file: Path) -> bool:
    """A checkpoint of ``torch.save``, old or new, or any other pickle. A TorchScript file has code beside its data."""
    try:
        if names := _names_in(file):
            return any(name.endswith("data.pkl") for name in names) and not _has_code(names)
        with file.open("rb") as opened:
            start = opened.read(2)
        return len(start) == 2 and start[0] == pickle.PROTO[0] and start[1] <= pickle.HIGHEST_PROTOCOL
    except OSError:
        return False


def is_torchscript(file: Path) -> bool:
    """What ``torch.jit.save`` writes."""
    return _has_code(_names_in(file))


def _has_code(names: list[str]) -> bool:
    return any("/code/" in name for name in names)


def _names_in(file: Path) -> list[str]:
    """Of a zip; none of what is no zip, or cannot be read."""
    try:
        with zipfile.ZipFile(file) as archive:
            return archive.namelist()
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError):
        return []


def _try_out(embed: Callable[[torch.Tensor], torch.Tensor], file: Path, size: int) -> int:
    import torch

    try:
        with torch.inference_mode():
            found = embed(torch.zeros(2, 3, size, size))
        if found.ndim != 2 or len(found) != 2:
            raise ValueError(f"it gives {tuple(found.shape)} for two images, not one vector each")
    except (RuntimeError, ValueError, AttributeError) as error:
        reason = str(error).strip().rpartition("\n")[2]
        raise BackboneError(
            say(
                "{file} does not turn images [B, 3, {size}, {size}] into vectors: {reason}",
                file=file,
                size=size,
                reason=reason,
            )
        ) from error
    return found.shape[1]


def _stages(function: str, file: Path) -> torch.nn.Module:
    import torch

    class Embedding(torch.nn.Module):
        def __init__(self, module: torch.nn.Module):
            super().__init__()
            self.module = module

        def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"embedding": getattr(self.module, function)(images)}

    return Embedding(_load(file)[0])
