"""Derived files: what can be made again carries its checksum and says what it was made from.

Both are one fingerprint, which lies behind a file's content, where readers of npy, npz, JPEG and FAISS do not look, or
among the values of a JSON file. A file that is damaged, of another origin (another neck, copied from another gallery)
or of an earlier version of the program, which wrote none, answers nothing: it is made anew by whoever wanted it.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

import numpy as np

from unifex.core.arrays import positions_of
from unifex.core.files import verify, with_checksum, write_atomically, write_atomically_with

_END = b"\nUniFEx derived 1"
_FINGERPRINT_BYTES = hashlib.sha256().digest_size + len(_END)
_BLOCK = 1 << 20
T = TypeVar("T")
log = logging.getLogger("unifex")


@dataclass(frozen=True)
class Origin:
    """What a derived file is (``kind``) and was made from; what does not matter to a kind is left empty.

    ``gallery``: its id. ``model``: the neck and dimension, or the backbone. ``content``: of what it was made.
    """

    kind: str
    gallery: str = ""
    model: str = ""
    content: str = ""
    format: int = 1

    def hash(self) -> hashlib._Hash:
        """What a file's checksum starts from, so that it is of this origin alone."""
        return hashlib.sha256(json.dumps(asdict(self)).encode())


class _NoFingerprintError(ValueError):
    """A file that ends as none does that this version of the program writes."""


class _OutdatedError(ValueError):
    """A file of the same gallery with another model, or of another state of it: what there is after every `use`."""


class _Hashing(io.RawIOBase):
    """A file that is being written, and its checksum so far."""

    def __init__(self, file: BinaryIO, origin: Origin):
        self._file, self.checksum = file, origin.hash()

    def writable(self) -> bool:
        return True

    def write(self, data: bytes | memoryview) -> int:
        self.checksum.update(data)
        return self._file.write(data)


def write(path: Path, save: Callable[[BinaryIO], object], origin: Origin, durable: bool = True) -> None:
    """Write what ``save`` puts into the file it is given, with its fingerprint, at once or not at all."""

    def with_fingerprint(file: BinaryIO) -> None:
        hashing = _Hashing(file, origin)
        save(cast(BinaryIO, hashing))  # as far as those who save need one
        file.write(hashing.checksum.digest() + _END)

    write_atomically_with(path, with_fingerprint, durable)


def read(path: Path, load: Callable[[BinaryIO], T], origin: Origin) -> T | None:
    """What ``load`` makes of the file, from its start; None when there is none of this origin that is whole."""
    with made_anew_if_useless(path), path.open("rb") as file:
        _check(file, origin)
        file.seek(0)
        return load(file)
    return None


def write_bytes(path: Path, data: bytes, origin: Origin, durable: bool = True) -> None:
    """:func:`write` for bytes."""
    write(path, lambda file: file.write(data), origin, durable)


def read_bytes(path: Path, origin: Origin) -> bytes | None:
    """What :func:`write_bytes` wrote; None when there is none of this origin that is whole."""
    return read(path, lambda file: file.read()[:-_FINGERPRINT_BYTES], origin)


def has_fingerprint(data: bytes) -> bool:
    """Whether a file with these bytes is of this version of the program, sound or not."""
    return data.endswith(_END)


def without_fingerprint(data: bytes) -> bytes:
    """A file's content, whatever its fingerprint says."""
    return data[:-_FINGERPRINT_BYTES] if has_fingerprint(data) else data


def write_arrays(path: Path, origin: Origin, **arrays: np.ndarray) -> None:
    """:func:`write` for named arrays, as ``.npz``."""
    write(path, lambda file: np.savez(file, **arrays), origin)  # pyright: ignore[reportArgumentType]  # names are ours


def read_arrays(path: Path, origin: Origin) -> dict[str, np.ndarray] | None:
    """What :func:`write_arrays` wrote; None when there is none of this origin that is whole."""

    def load(file: BinaryIO) -> dict[str, np.ndarray]:
        with np.load(file, allow_pickle=False) as stored:
            return dict(stored)

    return read(path, load, origin)


def write_array(path: Path, array: np.ndarray, origin: Origin) -> None:
    """:func:`write` for one array, as ``.npy``."""
    array = np.ascontiguousarray(array)  # the header says how it lies

    def save(file: BinaryIO) -> None:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
        file.write(array.reshape(-1).view(np.uint8).data)

    write(path, save, origin)


def read_array(path: Path, origin: Origin) -> np.ndarray | None:
    """What :func:`write_array` wrote; None when there is none of this origin that is whole."""
    return read(path, lambda file: np.lib.format.read_array(file, allow_pickle=False), origin)


def write_json(path: Path, values: dict[str, Any], origin: Origin) -> None:
    """Write values as JSON, with their fingerprint."""
    write_atomically(path, with_checksum({"origin": asdict(origin), **values}))


def read_json(path: Path, origin: Origin) -> dict[str, Any] | None:
    """What :func:`write_json` wrote; None when there is none of this origin that is whole."""
    with made_anew_if_useless(path):
        values = verify(path.read_bytes(), required=True)
        said, wanted = values.pop("origin", None), asdict(origin)
        if said == wanted:
            return values
        if isinstance(said, dict) and {**said, "model": origin.model, "content": origin.content} == wanted:
            raise _OutdatedError
        raise ValueError("it is of another gallery")
    return None


def items_agree(items: np.ndarray, others: np.ndarray) -> bool:
    """Whether two arrays of (``id``, ``content``), by ascending id, have the same content where they have the same id.

    Of one gallery they always do, so two that do not are of galleries that parted, by a copy of the folder.
    """
    if np.array_equal(items, others):
        return True
    places = positions_of(others["id"], items["id"])
    shared = places >= 0
    return bool((others["content"][places[shared]] == items["content"][shared]).all())


def digest(*parts: np.ndarray | bytes) -> str:
    """A fingerprint of what arrays and texts hold."""
    hashed = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else np.ascontiguousarray(part).reshape(-1).view(np.uint8).data
        hashed.update(len(data).to_bytes(8, "big"))
        hashed.update(data)
    return hashed.hexdigest()[:32]


@contextlib.contextmanager
def made_anew_if_useless(path: Path) -> Iterator[None]:
    """Whatever is wrong with a file is logged and swallowed: who wanted it makes it anew."""
    try:
        yield
    except FileNotFoundError:
        pass
    except _OutdatedError:
        log.debug("%s/%s is of another model or state, and is made anew", path.parent.name, path.name)
    except _NoFingerprintError:
        log.info("%s/%s is damaged, or of an earlier version, and is made anew", path.parent.name, path.name)
    except (OSError, ValueError, TypeError, KeyError, EOFError, RuntimeError) as error:
        log.warning("%s/%s is made anew: %s", path.parent.name, path.name, error)


def _check(file: BinaryIO, origin: Origin) -> None:
    """Raises ValueError unless the file is of this origin and as it was written."""
    left = file.seek(0, os.SEEK_END) - _FINGERPRINT_BYTES
    file.seek(max(0, left))
    end = file.read()
    if left < 0 or not end.endswith(_END):
        raise _NoFingerprintError
    file.seek(0)
    checksum = origin.hash()
    while left and (block := file.read(min(_BLOCK, left))):
        checksum.update(block)
        left -= len(block)
    if end.removesuffix(_END) != checksum.digest():
        raise ValueError("it is damaged, or of another gallery, model or state of the gallery")
