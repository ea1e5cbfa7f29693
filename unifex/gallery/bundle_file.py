"""The zip that a gallery travels in, as it is read: by who does not trust who made it.

Only files that a gallery is made of come out, each once, none larger than it says, and each as ``bundle.json`` says.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import shutil
import sqlite3
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from unifex.core import images
from unifex.core.errors import UnifexError
from unifex.core.files import file_hash, leaves
from unifex.core.json_text import parse_json
from unifex.core.language import say, to_say
from unifex.core.text import is_of_disk, reason
from unifex.data.archive import BUNDLE_CONTENTS as CONTENTS
from unifex.data.archive import ENCRYPTED_FLAG, MAX_COMPRESSION, MAX_ENTRIES
from unifex.gallery.errors import GalleryError
from unifex.gallery.image_store import SHARD_ROWS
from unifex.gallery.library import MOST_SEARCHES_BYTES
from unifex.gallery.rebuild import SUFFIX

SCHEMA = 1
SEARCHES_FILE = "searches.json"
WIDEST = 1 << 16  # features an image
LINE_BYTES = 400  # what bundle.json says of a file
_SHA = r"([0-9a-f]{2})/(?=\1)[0-9a-f]{64}"
_KINDS = {  # what a gallery is made of, and bytes of one at most
    re.escape(CONTENTS): 1 << 30,
    r"gallery\.json": 1 << 16,
    r"items\.sqlite": 1 << 38,
    re.escape(SEARCHES_FILE): MOST_SEARCHES_BYTES,
    r"model/config\.json": 1 << 20,
    r"model/model\.safetensors": 1 << 31,
    r"features/\d{5,10}\.npy": 2 * SHARD_ROWS * WIDEST + 4096,
    rf"thumbs/{_SHA}\.(jpg|webp)": 1 << 18,
    rf"originals/{_SHA}{SUFFIX}": images.MAX_BYTES,
}
# Bundles of earlier versions hold what is derived, too: it stays where it is.
_IGNORED = r"embeddings\.npy|ids\.npy|derived\.json|index\.faiss|neighbours\.npz|calibration\.json|.*/"
_DAMAGE = (zipfile.BadZipFile, zlib.error, struct.error, NotImplementedError, EOFError, OverflowError, RecursionError)


@dataclass(frozen=True)
class Contents:
    """``bundle.json``: what the bundle is of; ``files``: sha256 by name."""

    name: str
    backbone: str
    backbone_hash: str
    model: str
    neck_hash: str
    items: int
    images: bool
    files: dict[str, str]
    schema: int = SCHEMA


def is_bundle(path: Path) -> bool:
    """Whether a file is what :func:`pack` writes."""
    if not path.is_file():  # a device, a pipe
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return CONTENTS in archive.namelist()
    except (OSError, zipfile.BadZipFile, ValueError):
        return False


class NoBundleError(GalleryError):
    """A zip that is no bundle, or of another version."""


@contextlib.contextmanager
def refusing(name: str) -> Iterator[None]:
    """Whatever is wrong with a bundle, in one sentence."""
    try:
        yield
    except NoBundleError:
        raise
    except (*_DAMAGE, sqlite3.Error, KeyError, OSError, ValueError, TypeError, RuntimeError, UnifexError) as error:
        if is_of_disk(error):
            raise
        told = say("{name} is not a gallery that can be used: {reason}", name=name, reason=reason(error))
        raise GalleryError(told, command=getattr(error, "command", "")) from error


@dataclass(frozen=True)
class BundleFile:
    """Another's bundle: only files that a gallery is made of, each once, and none larger than it says."""

    archive: zipfile.ZipFile
    infos: dict[str, zipfile.ZipInfo]
    hashes: dict[str, str]

    @classmethod
    def open(cls, archive: zipfile.ZipFile, path: Path) -> BundleFile:
        """Raises ValueError for an entry that no bundle has, and :class:`NoBundleError`."""
        entries = archive.infolist()
        if len(entries) > MAX_ENTRIES:
            raise ValueError(say("it has {count:,} entries, more than {most:,}", count=len(entries), most=MAX_ENTRIES))
        infos: dict[str, zipfile.ZipInfo] = {}
        for info in entries:
            if re.fullmatch(_IGNORED, info.filename) and not _leaves(info.filename):
                continue
            _check_entry(info)
            if infos.setdefault(info.filename, info) is not info:
                raise ValueError(say("it has '{name}' twice", name=info.filename))
        if sum(info.compress_size for info in infos.values()) > path.stat().st_size:
            raise ValueError(say("its entries lie in one another (zip bomb)"))
        if CONTENTS not in infos:
            raise NoBundleError(say("{name} is not a bundle: it has no {file}", name=path.name, file=CONTENTS))
        if infos[CONTENTS].file_size > LINE_BYTES * (len(infos) + 100):
            raise ValueError(say("its {file} is too large for what is in it", file=CONTENTS))
        return cls(archive, infos, read_contents(archive, path).files)

    @property
    def bytes(self) -> int:
        """Of all of it, unpacked."""
        return sum(info.file_size for info in self.infos.values())

    def read(self, name: str) -> bytes:
        """A file of it. Raises ValueError when it is not there, or not what it should be."""
        if name not in self.infos:
            raise ValueError(say("there is no item named '{name}' in it", name=name))
        data = self.archive.read(self.infos[name])
        if hashlib.sha256(data).hexdigest() != self.hashes.get(name):
            raise ValueError(say("{name} is damaged", name=name))
        return data

    def extract(self, name: str, path: Path) -> None:
        """Write a file of it to ``path``: :meth:`read` for what need not fit into memory."""
        if name not in self.infos:
            raise ValueError(say("there is no item named '{name}' in it", name=name))
        with self.archive.open(self.infos[name]) as source, path.open("wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
        if file_hash(path) != self.hashes.get(name):
            raise ValueError(say("{name} is damaged", name=name))


def _leaves(name: str) -> bool:
    """Whether a name, on some system, means a place outside the folder it is unpacked to."""
    return leaves(name) or bool(re.search(r"[\\:\0]", name))


def _check_entry(info: zipfile.ZipInfo) -> None:
    """Raises ValueError."""
    name, shown = info.filename, ascii(info.filename[:80])
    if _leaves(name):
        raise ValueError(say("{name} leaves the gallery", name=shown))
    most = next((most for kind, most in _KINDS.items() if re.fullmatch(kind, name)), None)
    reasons = (
        (most is None, to_say("{name} is no file of a gallery")),
        (stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG), to_say("{name} is no plain file")),
        (info.flag_bits & ENCRYPTED_FLAG, to_say("{name} is encrypted")),
        (
            info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED),
            to_say("{name} is compressed in another way"),
        ),
        (most is not None and info.file_size > most, to_say("{name} is too large")),
        (
            info.file_size > MAX_COMPRESSION * max(1, info.compress_size),
            to_say("{name} is compressed more than 200-fold (zip bomb)"),
        ),
    )
    for wrong, why in reasons:
        if wrong:
            raise ValueError(say(why, name=shown))


def read_contents(archive: zipfile.ZipFile, bundle: Path) -> Contents:
    """What a bundle says of itself. Raises :class:`NoBundleError` where that cannot be read."""
    try:
        values = parse_json(archive.read(CONTENTS))
        contents = Contents(**values)
        if not isinstance(contents.files, dict):
            raise TypeError("no files")
    except (KeyError, TypeError, ValueError) as error:
        told = say("{name} is not a bundle: it has no {file} that can be read", name=bundle.name, file=CONTENTS)
        raise NoBundleError(told) from error
    if contents.schema != SCHEMA:
        formats = {"format": contents.schema, "known": SCHEMA}
        told = say("{name} has format {format}, this program reads {known}; update UniFEx", name=bundle.name, **formats)
        raise NoBundleError(told)
    return contents
