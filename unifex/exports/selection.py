"""What is exported: items of a gallery with all that is known of them, read a few at a time."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from PIL import Image

from unifex.core.arrays import positions_of
from unifex.core.language import say, to_say
from unifex.core.metadata import PLACE
from unifex.core.progress import Stage, Step
from unifex.core.text import reason
from unifex.core.thumbnails import media_type
from unifex.data.column_names import Taken, beside
from unifex.exports.names import suffix_of
from unifex.gallery.errors import GalleryError, ItemsGone
from unifex.gallery.gallery import Gallery
from unifex.gallery.records import Record
from unifex.gallery.snapshot import CategoricalColumn, Snapshot

BATCH = 500  # items that are looked up at once
COLUMNS = ("path", "label", "domain", "split", "tags")
SOURCE_LABEL = "source_label"  # what a source says of an item whose label somebody corrected
IMAGES = {
    "originals": to_say("the image files, and the thumbnail of one that is gone or has changed"),
    "only-originals": to_say("the image files; items whose file is gone or has changed are left out"),
    "thumbnails": to_say("the thumbnails only: small, without metadata"),
}


@dataclass(frozen=True)
class Picture:
    """The image of an item: its bytes, how its file's name ends, its sides in pixels as it stands upright."""

    data: bytes
    suffix: str
    width: int
    height: int


@dataclass
class Tally:
    """How far an export is. ``items`` written, of them ``stand_ins`` with a thumbnail in place of the image file;
    ``missing``: what was left out, with the reason."""

    stage: Stage
    items: int = 0
    stand_ins: int = 0
    missing: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # what else is to be said of it

    def step(self) -> Step:
        """Where it is."""
        return self.stage.at(self.items + len(self.missing))


@dataclass(frozen=True)
class Selection:
    """The items of a ``snapshot`` of a gallery with these ``ids`` int64 [n], in this order.

    ``images`` is one of :data:`IMAGES`; ``dim``: the length of embeddings, the gallery's own when None;
    ``source_labels``: by id, of corrected items (none unless that was asked for). ``further``: further columns are
    told, which are the owner's to know; ``places``: those among them that tell where pictures were taken, too.
    """

    gallery: Gallery
    snapshot: Snapshot
    ids: np.ndarray
    images: str = "originals"
    dim: int | None = None
    source_labels: Mapping[int, str] = field(default_factory=dict)
    further: bool = True
    places: bool = False

    @classmethod
    def of(
        cls,
        gallery: Gallery,
        ids: Sequence[int] | np.ndarray | None = None,
        images: str = "originals",
        dim: int | None = None,
        corrected: bool = False,
        further: bool = True,
        places: bool = False,
    ) -> Selection:
        """What is there of ``ids`` (all items when None), each once; ``corrected``: only those whose label somebody
        corrected. Raises ``GalleryError`` where that is nothing, and for a ``dim`` that the model has not."""
        snapshot = gallery.snapshot()
        gallery.dim_of(dim)
        wanted = snapshot.columns.ids if ids is None else np.array(list(dict.fromkeys(map(int, ids))), np.int64)
        labels = gallery.database.source_labels() if corrected else {}
        there = positions_of(snapshot.columns.ids, wanted) >= 0
        if corrected:
            there &= np.isin(wanted, np.array(list(labels), np.int64))
        if not there.any():
            raise GalleryError(say("nothing to export: no item of '{name}' is chosen", name=gallery.name))
        return cls(gallery, snapshot, wanted[there], images, dim, labels, further, places)

    def __len__(self) -> int:
        return len(self.ids)

    def tally(self) -> Tally:
        """Of an export that begins."""
        return Tally(Stage(to_say("exporting"), len(self), to_say("items")))

    # --- what is in it -------------------------------------------------------------------------------------------

    @cached_property
    def positions(self) -> np.ndarray:
        """int64 [n]: where its items stand in the snapshot."""
        return positions_of(self.snapshot.columns.ids, self.ids)

    @cached_property
    def embeddings(self) -> np.ndarray:
        """float32 [N, dim] of all items of the snapshot, L2 norm 1."""
        return self.gallery.index_of(self.snapshot, self.dim).embeddings

    @cached_property
    def domains(self) -> list[str]:
        """Those of its items, sorted."""
        return self._names(self.snapshot.columns.domains)

    @cached_property
    def splits(self) -> list[str]:
        """Those of its items, sorted; empty where no item is in any."""
        names = self._names(self.snapshot.columns.splits)
        return names if any(names) else []

    def _names(self, column: CategoricalColumn) -> list[str]:
        return sorted({column.printed[code] for code in np.unique(column.codes[self.positions]).tolist()})

    @cached_property
    def classes(self) -> list[tuple[str, str]]:
        """(domain, label) of its items that have a label, sorted."""
        columns = self.snapshot.columns
        pairs = np.unique(np.column_stack([columns.domains.codes, columns.labels.codes])[self.positions], axis=0)
        domains, labels = columns.domains.printed, columns.labels.printed
        return sorted({(domains[domain], labels[label]) for domain, label in pairs.tolist() if labels[label]})

    @cached_property
    def class_names(self) -> dict[tuple[str, str], str]:
        """What each of :attr:`classes` is called where domains are not told: its label, or ``domain/label`` where
        another domain has the same one."""
        domains = Counter(label for _, label in self.classes)
        return {(domain, label): f"{domain}/{label}" if domains[label] > 1 else label for domain, label in self.classes}

    @cached_property
    def own_columns(self) -> tuple[str, ...]:
        """What :meth:`row` has of every item, first: path, label, domain, split, tags; of corrected ones also the label
        that their source says."""
        return (*COLUMNS, SOURCE_LABEL) if self.further and self.source_labels else COLUMNS

    def further_columns(self, taken: Taken = lambda _: False) -> dict[str, str]:
        """Further columns, and what each is called beside its own ones and what else is ``taken``; no two alike."""
        told = (
            [name for name in self.snapshot.further.extra if self.places or name not in PLACE] if self.further else []
        )
        return {name: beside(name, lambda name: name in self.own_columns or taken(name)) for name in told}

    # --- reading it ----------------------------------------------------------------------------------------------

    def batches(self) -> Iterator[list[Record]]:
        """Its items, some hundred at a time. Raises ``ItemsGone`` for what was removed meanwhile."""
        for start in range(0, len(self), BATCH):
            ids = self.ids[start : start + BATCH]
            records = self.gallery.records(ids)
            if len(records) < len(ids):
                raise ItemsGone(self.gallery.name)
            positions = self.positions[start : start + BATCH].tolist()
            yield [self._as_begun(record, position) for record, position in zip(records, positions)]

    def _as_begun(self, record: Record, position: int) -> Record:
        """With its labels as they were when the export began, which knows its classes and splits since."""
        columns = self.snapshot.columns
        label, domain, split = (
            column.printed[column.codes[position]] for column in (columns.labels, columns.domains, columns.splits)
        )
        if (label, domain, split) == (record.label, record.domain, record.split):
            return record
        return replace(record, labels=replace(record.labels, label=label, domain=domain, split=split))

    def row(self, record: Record, further: Mapping[str, str]) -> dict[str, Any]:
        """What is known of an item: texts, and the tags as a list. Nothing tells where it lies. ``further`` is of
        :meth:`further_columns`."""
        own = {"path": record.path, "label": record.label, "domain": record.domain, "split": record.split}
        said = {**own, "tags": list(record.tags), SOURCE_LABEL: self.source_labels.get(record.id, "")}
        extra = record.labels.extra
        return {name: said[name] for name in self.own_columns} | {
            name: extra.get(column, "") for column, name in further.items()
        }

    def with_pictures(self, tally: Tally) -> Iterator[tuple[Record, Picture]]:
        """Its items and their images, one in memory; ``tally`` is told of each, and of what has none."""
        for records in self.batches():
            for record in records:
                picture = self._picture(record, tally)
                if picture:
                    tally.items += 1
                    yield record, picture

    def _picture(self, record: Record, tally: Tally) -> Picture | None:
        why = say("the thumbnail is lost")
        if self.images != "thumbnails":
            try:
                data = self.gallery.original(record)
                return Picture(data, suffix_of(record), *_sides(data, record))
            except GalleryError as error:
                why = reason(error)
        if self.images != "only-originals" and (picture := self.thumbnail(record)):
            tally.stand_ins += self.images != "thumbnails"
            return picture
        tally.missing.append(f"{record.path}: {why}")
        return None

    def thumbnail(self, record: Record) -> Picture | None:
        """What is kept of an image; None where it is lost, and the image as well."""
        data = self.gallery.thumbnail(record.sha256)
        if not data:
            return None
        with Image.open(io.BytesIO(data)) as image:
            return Picture(data, ".webp" if media_type(data) == "image/webp" else ".jpg", *image.size)


def _sides(data: bytes, record: Record) -> tuple[int, int]:
    """Width and height in pixels; of what was indexed without a picture as its file says."""
    if record.width and record.height:
        return record.width, record.height
    try:
        with Image.open(io.BytesIO(data)) as image:
            return image.size
    except OSError:
        return 0, 0
