"""A data set of the Hugging Face hub, or a local folder of parquet files, as a source that is streamed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import PurePosixPath
from typing import Any

from unifex.core import images
from unifex.core.language import say
from unifex.data.item import Item, Labels, Options, Skipped, SourceError, SourceKind, Unread


class HubDataset:
    """``hf:owner/name[:config][@split]``, or ``hf:`` and a local folder of parquet files, streamed.

    ``@train[:300]`` takes the first 300 rows. The first image column is used, with the first ClassLabel (or a column
    called ``label``) as its label.
    """

    _SPEC = re.compile(r"hf:(?P<name>[^:@]+)(:(?P<config>[^@]+))?(@(?P<split>[\w.-]+)(\[:(?P<limit>\d+)\])?)?")

    def __init__(self, spec: str):
        match = self._SPEC.fullmatch(spec)
        if not match:
            told = say(
                "'{spec}' is not of the form hf:owner/name, hf:owner/name:config or hf:owner/name@split", spec=spec
            )
            raise SourceError(told)
        self.spec, self.options = spec, Options()
        self.name, self.config = match["name"], match["config"]
        self.split = match["split"] or "train"
        self.limit = int(match["limit"]) if match["limit"] else None

    def count(self) -> int | None:
        """How many rows are read at most; None: all there are, which nobody has counted."""
        return self.limit

    def __iter__(self) -> Iterator[Item | Skipped]:
        rows, picture, label, names = self._open()
        for number, row in self._read(rows):
            path = (row[picture] or {}).get("path") or ""
            shown = f"{self.split}/{number:07d}{PurePosixPath(path).suffix}"
            data = (row[picture] or {}).get("bytes")
            if data is None:
                yield Unread(shown, say("the row has no image bytes"))
                continue
            yield Item(
                uri=f"hf:{self.name}:{self.config or ''}@{self.split}#{number}",
                path=shown,
                read=partial(bytes, data),
                labels=Labels(_label(row.get(label) if label else None, names), self.name.rpartition("/")[2]),
                stamp=images.content_hash(data),  # a number may be another row's by now
                keep=True,
            )

    def _read(self, rows: Iterable[dict[str, Any]]) -> Iterator[tuple[int, dict[str, Any]]]:
        """The rows by their numbers. Raises :class:`SourceError` where they end too early."""
        number = -1
        try:
            for number, row in enumerate(rows):
                yield number, row
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
        rows = rows.cast_column(pictures[0], datasets.Image(decode=False))
        if self.limit:
            rows = rows.take(self.limit)
        return rows, pictures[0], label, features[classes[0]].names if classes else None


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
