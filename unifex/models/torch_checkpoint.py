"""What ``torch.save`` wrote until torch 1.5, read without torch, whose import a first start would wait for.

Five pickles: a number, the format's version, facts of the machine, the tensors by name, and the keys of their storages;
then each storage, as its length and its numbers. Nothing but tensors is made of it, whatever else it names.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np

_MAGIC = 0x1950A86A20F9469CFC6C
_STORAGES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}
_DAMAGED = (  # what a pickle may raise that is none, or another
    pickle.UnpicklingError, AttributeError, EOFError, LookupError, MemoryError, OverflowError, TypeError, ValueError,
)  # fmt: skip


def read_checkpoint(path: Path) -> dict[str, np.ndarray]:
    """Tensors by name, float32 or int64. Raises OSError, and ValueError for a file that is no such checkpoint."""
    try:
        with path.open("rb") as file:
            magic, _, _, tensors, keys = (_Unpickler(file).load() for _ in range(5))
            if magic != _MAGIC:
                raise ValueError("it begins otherwise")
            kinds = {key: kind for (_, kind, key, *_), *_ in tensors.values()}
            storages = {key: _numbers(file, kinds[key]) for key in keys}
        return {name: _tensor(storages[key], *place) for name, ((_, _, key, *_), *place) in tensors.items()}
    except _DAMAGED as error:
        raise ValueError(f"{path} is no checkpoint of torch's: {error}") from error


class _Unpickler(pickle.Unpickler):
    """Of names that a pickle has, those of tensors alone."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _described
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        raise pickle.UnpicklingError(f"it holds a {module}.{name}")

    def persistent_load(self, pid: Any) -> Any:
        return pid


def _described(storage: tuple, offset: int, shape: tuple, strides: tuple, *_: Any) -> tuple:
    """A tensor before its numbers are read; torch says besides whether it learned."""
    return storage, offset, shape, strides


def _numbers(file: Any, kind: np.dtype) -> np.ndarray:
    count = int.from_bytes(file.read(8), "little")
    return np.frombuffer(file.read(count * kind.itemsize), kind, count)


def _tensor(numbers: np.ndarray, offset: int, shape: tuple, strides: tuple) -> np.ndarray:
    """A copy in C order. Raises ValueError for one that reaches beyond its storage."""
    if 0 in shape:
        return np.empty(shape, numbers.dtype)
    last = offset + sum((length - 1) * step for length, step in zip(shape, strides, strict=True))
    if min(offset, *shape, *strides, last) < 0 or last >= len(numbers):
        raise ValueError("a tensor reaches beyond its storage")
    steps = [step * numbers.itemsize for step in strides]
    return np.lib.stride_tricks.as_strided(numbers[offset:], shape, steps).copy()
