"""A gallery as searches see it: the table of its items, and an index over their embeddings."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from unifex.core import dates, derived
from unifex.core.arrays import positions_of
from unifex.core.json_text import parse_json
from unifex.core.text import number, printable
from unifex.data.curation import lookalikes
from unifex.gallery.tags import TagColumn
from unifex.vector_index.exact import VectorIndex


@dataclass(frozen=True)
class CategoricalColumn:
    """A text column: item i has the text ``names[codes[i]]``; ``names`` is sorted, ``codes`` int64 [N]."""

    names: np.ndarray
    codes: np.ndarray

    @classmethod
    def of(cls, texts: Sequence[str]) -> CategoricalColumn:
        """From one text an item."""
        places: dict[str, int] = {}  # of a million texts in a third of the time that sorting all of them takes
        codes = np.fromiter((places.setdefault(text, len(places)) for text in texts), np.int64, len(texts))
        names = sorted(places)
        ranks = np.empty(len(names), np.int64)
        ranks[[places[name] for name in names]] = np.arange(len(names))
        return cls(np.array(names, object), ranks[codes])

    @classmethod
    def empty(cls, items: int) -> CategoricalColumn:
        """Of items that have no text."""
        return cls(np.array([""][:items], object), np.zeros(items, np.int64))

    def followed_by(self, others: CategoricalColumn) -> CategoricalColumn:
        """With the texts of others behind its own."""
        names = sorted({*self.names.tolist(), *others.names.tolist()})
        places = {name: place for place, name in enumerate(names)}
        renamed = [np.array([places[name] for name in of.names], np.int64)[of.codes] for of in (self, others)]
        return CategoricalColumn(np.array(names, object), np.concatenate(renamed))

    @property
    def texts(self) -> np.ndarray:
        """One text an item, object [N]."""
        return self.names[self.codes]

    def counts(self) -> dict[str, int]:
        """How many items have each text, in alphabetical order."""
        return dict(zip(self.names.tolist(), np.bincount(self.codes, minlength=len(self.names)).tolist()))

    @cached_property
    def printed(self) -> list[str]:
        """Its names in one Unicode form, in whichever they were indexed long ago."""
        return list(map(printable, self.names))

    @cached_property
    def numbers(self) -> np.ndarray:
        """float64 [len(names)], NaN where a name is no finite number."""
        return np.array(list(map(number, self.names)), np.float64)

    @cached_property
    def moments(self) -> np.ndarray:
        """datetime64[us] [len(names)], when the date that a name is begins, NaT where it is none."""
        return dates.beginnings(self.names.tolist())

    @property
    def is_of_dates(self) -> bool:
        """Whether all its texts are dates, but the empty one."""
        return not np.isnat(self.moments[self.names != ""]).any()

    def among(self, texts: Sequence[str]) -> np.ndarray:
        """bool [N]: which items have one of these texts, in whichever Unicode form they were typed."""
        wanted = set(map(printable, texts))
        return np.array([name in wanted for name in self.printed], bool)[self.codes]


ITEM = np.dtype([("id", "<i8"), ("content", "S16")])  # the first 64 bits of an image's hash tell it from others


@dataclass(frozen=True)
class ItemTable:
    """The items as committed at ``version``, by ascending id: ids int64 [N], hashes bytes S64 [N], texts.

    ``still``: :data:`ITEM` of those whose file changed but their picture did not, as they were at first.
    """

    version: int
    ids: np.ndarray
    hashes: np.ndarray
    domains: CategoricalColumn
    splits: CategoricalColumn
    labels: CategoricalColumn
    still: np.ndarray = field(default_factory=lambda: np.empty(0, ITEM))

    def followed_by(self, others: ItemTable) -> ItemTable:
        """As committed when ``others``, whose ids are larger, had come."""
        return ItemTable(
            others.version,
            np.concatenate([self.ids, others.ids]),
            np.concatenate([self.hashes, others.hashes]),
            self.domains.followed_by(others.domains),
            self.splits.followed_by(others.splits),
            self.labels.followed_by(others.labels),
            np.concatenate([self.still, others.still]),
        )

    @cached_property
    def items(self) -> np.ndarray:
        """:data:`ITEM` [N]: which pictures derived files are of."""
        items = np.empty(len(self.ids), ITEM)
        items["id"], items["content"] = self.ids, self.hashes.astype("S16")
        at = positions_of(self.ids, self.still["id"])
        items["content"][at[at >= 0]] = self.still["content"][at >= 0]
        return items

    def sha256s(self, positions: np.ndarray | slice = slice(None)) -> list[str]:
        """The hashes at these positions as texts; of all items unless told otherwise."""
        return [sha256.decode() for sha256 in self.hashes[positions]]

    @cached_property
    def labelling(self) -> str:
        """A fingerprint of the images and their labels, domains included."""
        names = json.dumps([self.domains.names.tolist(), self.labels.names.tolist()]).encode()
        return derived.digest(self.hashes, self.domains.codes, self.labels.codes, names)

    @cached_property
    def copies(self) -> np.ndarray:
        """int64 [N]: equal for items that show byte-identical images."""
        return np.unique(self.hashes, return_inverse=True)[1]

    @cached_property
    def pictures(self) -> np.ndarray:
        """int64 [N]: equal for items of one picture: copies, also where one was written to (:attr:`still`) since then.
        Of an item it never changes, so that what is kept of items holds."""
        return np.unique(self.items["content"], return_inverse=True)[1]

    @cached_property
    def classes(self) -> np.ndarray:
        """int64 [N]: equal for items of one label in one domain; -1 without a label."""
        codes = self.domains.codes * max(1, len(self.labels.names)) + self.labels.codes
        return np.where(self.labels.texts == "", -1, codes)

    @property
    def labelled(self) -> int:
        """How many items have a label."""
        return int(np.count_nonzero(self.classes >= 0))

    @cached_property
    def lookalikes(self) -> list[list[str]]:
        """Groups of classes, as ``domain/label``, whose names differ only in case, Unicode form or spaces."""
        _, first = np.unique(self.classes, return_index=True)
        domains, labels = self.domains.texts[first], self.labels.texts[first]
        return lookalikes(f"{domain}/{label}" if domain else label for domain, label in zip(domains, labels) if label)


@dataclass(frozen=True)
class FolderTree:
    """Folders and all that are above them, ``names`` object [F], sorted: what lies directly in the folder of code
    ``inner[i]`` lies in, or below, ``outer[i]``; both int64 [pairs]."""

    names: np.ndarray
    outer: np.ndarray
    inner: np.ndarray

    @classmethod
    def of(cls, folders: CategoricalColumn) -> FolderTree:
        """Of a column of paths; what lies in no folder is nowhere in it."""
        inner, above = [], []
        for code, folder in enumerate(folders.names.tolist()):
            while folder:
                inner.append(code)
                above.append(folder)
                folder = folder.rpartition("/")[0]
        outer = CategoricalColumn.of(above)
        return cls(outer.names, outer.codes, np.array(inner, np.int64))

    def counts(self, direct: np.ndarray) -> np.ndarray:
        """Items in and below every folder, int64 [F], of those that lie directly in each of the column's."""
        return np.bincount(self.outer, direct[self.inner], len(self.names)).astype(np.int64)


@dataclass(frozen=True)
class FurtherColumns:
    """What a table of items leaves out, in its order: ``folders`` of their paths, further columns of a CSV, tags.

    All are empty where there is nothing.
    """

    folders: CategoricalColumn
    extra: Mapping[str, CategoricalColumn]
    tags: TagColumn

    def __len__(self) -> int:
        return len(self.folders.codes)

    def followed_by(self, others: FurtherColumns) -> FurtherColumns:
        """With those of further items behind its own; without tags."""
        names = sorted({*self.extra, *others.extra})
        extra = {name: self._column(name).followed_by(others._column(name)) for name in names}
        return FurtherColumns(self.folders.followed_by(others.folders), extra, TagColumn.empty(len(self) + len(others)))

    def with_tags(self, tags: TagColumn) -> FurtherColumns:
        """With these in place of its own."""
        return replace(self, tags=tags)

    def _column(self, name: str) -> CategoricalColumn:
        return self.extra.get(name) or CategoricalColumn.empty(len(self))

    @cached_property
    def tree(self) -> FolderTree:
        """Of the folders."""
        return FolderTree.of(self.folders)

    @classmethod
    def of(cls, ids: np.ndarray, rows: Iterable[tuple[int, str, str]]) -> FurtherColumns:
        """For ascending ``ids`` int64 [N], from (id, path, further columns as JSON) of these items, or of other ones;
        without tags.

        Raises ValueError for what is no JSON object.
        """
        found, lie, said = [], [], list[tuple[int, str]]()
        for id, path, columns in rows:  # one by one: a million rows at once would cost half the time more
            if columns:
                said.append((len(found), columns))
            found.append(id)
            lie.append(path.rpartition("/")[0])
        positions = positions_of(ids, np.array(found, np.int64))
        there = positions >= 0
        folders, extra = np.full(len(ids), "", object), dict[str, np.ndarray]()
        folders[positions[there]] = np.array(lie, object)[there]
        said = [(int(positions[at]), columns) for at, columns in said if there[at]]
        for start in range(0, len(said), _AT_ONCE):
            places, texts = zip(*said[start : start + _AT_ONCE])
            values = _objects(texts)
            for column in set().union(*values):
                if column not in extra:
                    extra[column] = np.full(len(ids), "", object)
                extra[column][list(places)] = [str(value.get(column, "")) for value in values]
        columns = {name: CategoricalColumn.of(texts.tolist()) for name, texts in sorted(extra.items())}
        return cls(CategoricalColumn.of(folders.tolist()), columns, TagColumn.empty(len(ids)))

    def with_one(self, column: str, ids: np.ndarray, said: Iterable[tuple[int, str]]) -> FurtherColumns:
        """With one more column of the items with these ``ids``, from (id, text); a text that is there already stays."""
        new = dict(said)
        if not new:
            return self
        there = self.extra[column].texts.tolist() if column in self.extra else [""] * len(ids)
        texts = [text or new.get(id, "") for id, text in zip(ids.tolist(), there)]
        return replace(self, extra=dict(sorted({**self.extra, column: CategoricalColumn.of(texts)}.items())))


_AT_ONCE = 4096  # rows; their JSON is read as one list, which takes a third of the time


def _objects(texts: Sequence[str]) -> list[dict[str, object]]:
    found = parse_json(f"[{','.join(texts)}]")
    if len(found) != len(texts) or not all(isinstance(values, dict) for values in found):
        raise ValueError("no JSON object")
    return found


@dataclass(frozen=True)
class Snapshot:
    """Position i of every column and of ``index`` is one item. ``read_further`` reads what few ask for."""

    columns: ItemTable
    neck_hash: str
    index: VectorIndex
    read_further: Callable[[], FurtherColumns]

    @cached_property
    def further(self) -> FurtherColumns:
        """Folders and further columns, read once. Raises ``GalleryError`` where they are damaged."""
        return self.read_further()

    def __len__(self) -> int:
        return len(self.columns.ids)

    @property
    def fingerprint(self) -> tuple[int, str]:
        """Equal for equal snapshots of a gallery: the commit, and the neck."""
        return self.columns.version, self.neck_hash

    @property
    def embeddings(self) -> np.ndarray:
        """float32 [N, dim], L2 norm 1."""
        return self.index.embeddings
