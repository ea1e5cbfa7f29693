"""A linear layer that others trained on a backbone's features, taken in as a neck.

Vision-language backbones gain most from such a layer (Kordopatis-Zilos et al. 2025, ILIAS, arXiv 2502.11748), and its
authors publish theirs as state dicts. Only tensors are read: a file that wants to run code is refused.
"""

from __future__ import annotations

import pickle
import struct
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from unifex.core.errors import UnifexError
from unifex.core.files import new_folder
from unifex.core.text import reason
from unifex.models import descriptions, torchscript, zoo
from unifex.models.embedder import FILES, RAW, Embedder, ModelConfig, ModelError, backbone_of, find_model
from unifex.models.neck import Neck

if TYPE_CHECKING:
    import torch

    from unifex.models.backbones import BackboneSpec

SAFETENSORS = ".safetensors"
NO_TENSORS = (  # what torch meets in a file of something else
    OSError, EOFError, RuntimeError, ValueError, LookupError, TypeError, AttributeError, AssertionError, struct.error,
    pickle.UnpicklingError, OverflowError, MemoryError,
)  # fmt: skip


class LayerError(UnifexError):
    """A file that holds no linear layer, or one for another backbone; the message says what it holds."""


def import_layer(file: Path, name: str, models: Path, backbone: str) -> Embedder:
    """Make the model ``models/name`` of the linear layer in ``file``: weight [d, D], bias [d] if it has one, for the D
    features of ``backbone``, or of a model's, which of a tower have L2 norm 1.

    Raises :class:`LayerError`, ``ModelError`` for a model that is damaged, and ``BackboneError`` for a backbone that is
    not known or not here.
    """
    spec = _backbone(zoo.absolute(backbone), models)
    weight, bias = read_layer(file)
    if weight.shape[1] != spec.feature_dim:
        raise LayerError(
            f"{file.name} holds a layer for {weight.shape[1]} features, backbone '{spec.called}' gives "
            f"{spec.feature_dim}: name the backbone that it was trained on"
        )
    dim = len(weight)
    try:
        neck = Neck("linear", weight, bias, (dim,))
    except ValueError as error:
        raise LayerError(f"{file.name}: {error}") from error
    about = descriptions.IMPORTED_LAYER.format(file=file.name)
    config = ModelConfig(name, spec.id, spec.weight_hash(), neck.kind, neck.dims, dim, description=about)
    with new_folder(models / name) as made:
        Embedder(config, neck, spec).save(made)
    return Embedder.load(name, models)


def _backbone(name: str, models: Path) -> BackboneSpec:
    """Of a model, as it is adapted there, or one by its own name."""
    try:
        folder = find_model(name, models)
    except ModelError:
        return zoo.get(name.removeprefix(RAW))
    return backbone_of(ModelConfig.read(folder / FILES[0]), folder)


def read_layer(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Weight float32 [d, D] and bias float32 [d], zeros where there is none, of the only linear layer in a file.

    Raises :class:`LayerError`.
    """
    tensors = {name: tensor.squeeze() for name, tensor in _tensors(file).items()}
    matrices = [name for name, tensor in tensors.items() if tensor.ndim == 2]
    if len(matrices) != 1:
        raise LayerError(f"{file.name} holds {len(matrices)} matrices ({_list(tensors)}), a linear layer has one")
    weight = tensors.pop(matrices[0]).float().numpy()
    biases = [name for name, tensor in tensors.items() if tuple(tensor.shape) == (len(weight),)]
    if len(biases) != len(tensors) or len(biases) > 1:
        raise LayerError(f"{file.name} holds more than a weight and its bias ({_list(tensors)}): no plain linear layer")
    bias = tensors[biases[0]].float().numpy() if biases else np.zeros(len(weight), np.float32)
    return np.ascontiguousarray(weight), np.ascontiguousarray(bias)


def _tensors(file: Path) -> dict[str, torch.Tensor]:
    """By name, of the first dictionary in the file that has a matrix, or of itself. Raises :class:`LayerError`."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if file.suffix == SAFETENSORS:
            return load_file(file)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # what kind of file it is, is told below
            found: Any = torch.load(file, map_location="cpu", weights_only=True)
    except (*NO_TENSORS, SafetensorError) as error:
        told = reason(error) if isinstance(error, OSError) else _kind(file)
        raise LayerError(f"{file.name} cannot be read as a file of tensors: {told}") from error
    whole = found if isinstance(found, dict) else {"weight": found}
    parts = [
        {str(name): tensor.detach() for name, tensor in part.items() if isinstance(tensor, torch.Tensor)}
        for part in (*whole.values(), whole)
        if isinstance(part, dict)
    ]
    return next((part for part in parts if any(tensor.ndim > 1 for tensor in part.values())), parts[-1])


def _kind(file: Path) -> str:
    """What is wrong with a file that is there."""
    if file.suffix == SAFETENSORS:
        return "it is damaged, or no safetensors file"
    if torchscript.is_torchscript(file):
        return "it is TorchScript; save the layer's state_dict, or import a whole model without --backbone"
    if torchscript.is_pickle(file):
        return "it holds more than tensors, as a whole pickled module does; save its state_dict"
    return "it is damaged, or of another kind; save the layer's state_dict by torch.save, or as safetensors"


def _list(tensors: dict[str, torch.Tensor]) -> str:
    some = [f"{name[:40]} {list(tensor.shape)}" for name, tensor in list(tensors.items())[:4]]
    return ", ".join(some) or "no tensors"
