"""A data set of the Hugging Face hub, or a local folder that is made as one, as a source that is streamed.

Its rows have their images' bytes (parquet, tar), or say which file of the data set each is (image files, alone or in a
zip). A row may say anything: only files of the data set itself are opened.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from unifex.core import images
from unifex.core.language import say
from unifex.core.text import reason
from unifex.core.typed import typed_path
from unifex.data.item import Item, Labels, Options, Skipped, SourceError, SourceKind, Unread
from unifex.data.listed import OddRow

PACKED = ("zip://", "gzip://", "bz2://", "xz://", "zstd://", "lz4://")  # how a file begins that lies in another
OF_THE_FILE = (  # what is wrong with one file alone; all else means that there is no reading on
    FileNotFoundError, IsADirectoryError, PermissionError, EOFError, zipfile.BadZipFile, zlib.error,
    NotImplementedError, RuntimeError,
)  # fmt: skip


class HubDataset:
    """``hf:owner/name[:config][@split]``, or ``hf:`` and a local folder of such files, streamed.

    ``@train[:300]`` takes the first 300 rows. The first image column is used, with the first ClassLabel (or a column
    called ``label``) as its label.
    """

    _PARTS = re.compile(r"(:(?P<config>[^@]+))?(@(?P<split>[\w.-]+)(\[:(?P<limit>\d+)\])?)?")

    def __init__(self, spec: str):
        text = spec[len("hf:") :]
        ends = [len(text), *(sign.start() for sign in reversed([*re.finditer("[:@]", text)]))]
        folder = next((text[:end] for end in ends if end and typed_path(text[:end]).is_dir()), "")
        self.name = text[: len(folder) or ends[-1]]
        parts = text[len(self.name) :]
        match = self._PARTS.fullmatch(parts)
        if not match or not self.name:
            told = say(
                "'{spec}' is not of the form hf:owner/name, hf:owner/name:config or hf:owner/name@split", spec=spec
            )
            raise SourceError(told)
        if folder:  # a name of its own may have these signs, and it is opened again from wherever
            self.name = str(typed_path(folder).absolute())
        self.spec, self.options = f"hf:{self.name}{parts}", Options()
        self.config, self.split = match["config"], match["split"] or "train"
        self.limit = int(match["limit"]) if match["limit"] else None

    def count(self) -> int | None:
        """How many rows are read at most; None: all there are, which nobody has counted."""
        return self.limit

    def __iter__(self) -> Iterator[Item | Skipped]:
        rows, picture, label, names = self._open()
        for number, row, data in self._read(rows, picture):
            name = _path(row[picture]).partition("::")[0]
            shown = f"{self.split}/{number:07d}{PurePosixPath(name).suffix}"
            if isinstance(data, OddRow):
                yield Unread(shown, str(data))
                continue
            yield Item(
                uri=f"hf:{self.name}:{self.config or ''}@{self.split}#{number}",
                path=shown,
                read=partial(bytes, data),
                labels=Labels(_label(row.get(label) if label else None, names), Path(self.name).name),
                stamp=images.content_hash(data),  # a number may be another row's by now
                keep=True,
            )

    def _read(
        self, rows: Iterable[dict[str, Any]], picture: str
    ) -> Iterator[tuple[int, dict[str, Any], bytes | OddRow]]:
        """The rows by their numbers, with the bytes of their images, or why there are none. Raises
        :class:`SourceError` where they end too early."""
        number = -1
        try:
            for number, row in enumerate(rows):
                try:
                    yield number, row, self._bytes(row[picture] or {})
                except OddRow as odd:
                    yield number, row, odd
        except Exception as error:  # a damaged file, or no network any more: each library raises its own
            raise SourceError(
                say(
                    "data set '{name}' cannot be read beyond row {number:,} ({reason}); what was done is kept, and "
                    "indexing it again goes on from there",
                    name=self.name,
                    number=number + 1,
                    reason=str(error)[:300] or type(error).__name__,
                )
            ) from error

    def _bytes(self, image: Mapping[str, Any]) -> bytes:
        """Of a row's image. Raises :class:`OddRow`, and what the libraries raise where nothing can be read any more."""
        if (data := image.get("bytes")) is not None:
            return data
        path = _path(image)
        if not path:
            raise OddRow(say("the row has no image bytes"))
        if not self._is_own(path):
            raise OddRow(say("the row names a file that is not of the data set"))
        from datasets.utils.file_utils import xopen

        try:
            with xopen(path, "rb") as file:
                data = file.read(images.MAX_BYTES + 1)
        except OF_THE_FILE as error:
            raise OddRow(say("cannot be read ({reason})", reason=reason(error))) from error
        if len(data) > images.MAX_BYTES:
            raise OddRow(say("larger than {most} MiB", most=images.MAX_BYTES // 2**20))
        return data

    def _is_own(self, path: str) -> bool:
        """Whether a path, as the library writes it (``zip://cat/1.png::hf://datasets/owner/name@main/train.zip``),
        leads into the data set and nowhere else: not to other files of this computer, nor to an address."""
        *inside, place = path.split("::")
        if not all(one.startswith(PACKED) for one in inside):
            return False
        if Path(self.name).is_dir():
            return "://" not in place and Path(place).resolve().is_relative_to(Path(self.name).resolve())
        own = place.startswith((f"hf://datasets/{self.name}@", f"hf://datasets/{self.name}/"))
        return own and ".." not in place.split("/")

    def _open(self):
        import datasets

        try:
            rows = datasets.load_dataset(self.name, self.config, split=self.split, streaming=True)
            features = rows.features or {}
        except Exception as error:  # the library raises its own, the hub's and fsspec's
            told = say("data set '{name}' cannot be opened: {reason}", name=self.name, reason=str(error)[:300])
            raise SourceError(told) from error
        pictures = [name for name, kind in features.items() if isinstance(kind, datasets.Image)]
        if not pictures:
            found = ", ".join(features) or say("unknown")
            told = say("data set '{name}' has no image column (columns: {columns})", name=self.name, columns=found)
            raise SourceError(told)
        classes = [name for name, kind in features.items() if isinstance(kind, datasets.ClassLabel)]
        label = classes[0] if classes else "label" if "label" in features else None
        rows = rows.decode(False)  # also of image files of the hub, which the library decodes ahead
        if self.limit:
            rows = rows.take(self.limit)
        return rows, pictures[0], label, features[classes[0]].names if classes else None


def _path(image: Mapping[str, Any] | None) -> str:
    return (image or {}).get("path") or ""


def _label(value: Any, names: list[str] | None) -> str:
    """What a row says in the column of labels, a number of a class where there are ``names``; -1 is that of none."""
    if names is None:
        return "" if value is None else str(value)
    return names[value] if value is not None and 0 <= value < len(names) else ""


HUB = SourceKind(
    "hf:owner/name",
    "hf:owner/name[:config][@split[[:N]]]",
    "A data set of the Hugging Face hub, streamed: its first image column, labelled by its first class column.",
    lambda spec, options: HubDataset(spec),
    prefix="hf:",
)
