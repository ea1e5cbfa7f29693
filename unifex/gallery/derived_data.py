"""All that follows from a gallery's items, their features and its neck, made when somebody asks for it.

An item's id always means the same image, so embeddings are kept by id: whatever changed in the gallery, only ids that
have none yet are embedded. What lies on disk is for a quick start: files that carry the fingerprint of what they were
made from (:mod:`unifex.core.derived`), and are of the same items, or of no use.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from unifex.core import derived
from unifex.core.arrays import copy_rows, positions_of
from unifex.core.errors import UnifexError
from unifex.core.language import say, to_say
from unifex.core.memo import Memo
from unifex.core.progress import Stage, Work, finish
from unifex.core.vectors import l2_normalize
from unifex.gallery import duplicates, kept_columns, neighbours, pictures
from unifex.gallery.calibration import Calibration, CalibrationError, HitsCannotTell, Labelled, calibrate
from unifex.gallery.config import GalleryModel
from unifex.gallery.database import Database
from unifex.gallery.duplicates import Compared, Duplicates
from unifex.gallery.errors import ItemsGone
from unifex.gallery.features import StoredFeatures
from unifex.gallery.kept_embeddings import KeptEmbeddings
from unifex.gallery.neighbours import Kept, Neighbours, NeighboursAsked
from unifex.gallery.records import Counts
from unifex.gallery.snapshot import FurtherColumns, ItemTable, Snapshot
from unifex.gallery.unit_features import UnitFeatures
from unifex.models.trained_on import classes_of, marks_in
from unifex.vector_index import index_types
from unifex.vector_index.candidates import CandidateIndex, Place, Vectors
from unifex.vector_index.exact import VectorIndex

EMBED_ROWS = 8192
ATTEMPTS = 5
ITEM_TABLE, CALIBRATION = "item_table.npz", "calibration.json"


class _Known(NamedTuple):
    """What is there to start from: items [M] as a snapshot has them, their embeddings, and who proposes candidates.

    ``is_kept``: it lies on disk as it is.
    """

    items: np.ndarray
    embeddings: np.ndarray
    candidates: CandidateIndex | None
    is_kept: bool = True


class DerivedData:
    """What is derived from one gallery, and where it is kept: in memory, and in files beside the database."""

    def __init__(self, database: Database, model: GalleryModel, features: StoredFeatures):
        self._database, self._model, self._features = database, model, features
        self._memo = Memo()

    # --- embeddings and index --------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """The gallery as it is committed now. Cheap when nothing changed; only new images are embedded."""
        with self._memo.making("snapshot"):
            _ = self._model.embedder  # settles which neck
            for _attempt in range(ATTEMPTS):
                last: Snapshot | None = self._memo.last("snapshot")
                if last and last.fingerprint == (self._database.version(), self._model.config.neck_hash):
                    return last
                try:
                    current = self._load(last)
                except ItemsGone:  # between reading the items and reading their features
                    continue
                return self._memo.put("snapshot", current.fingerprint, current)
        raise UnifexError(
            say("gallery '{name}' changes faster than it can be read; try again", name=self._database.name)
        )

    def rebuild(self) -> Work[Snapshot]:
        """:meth:`snapshot` with every item embedded anew: for a gallery opened with another neck."""
        _ = self._model.embedder
        columns = self._database.item_table()
        embeddings = yield from self._embed(columns)
        current = self._snapshot(columns, self._index(columns, embeddings))
        return self._memo.put("snapshot", current.fingerprint, current)

    def _load(self, last: Snapshot | None) -> Snapshot:
        if last and last.neck_hash == self._model.config.neck_hash:
            columns = self._database.item_table(last.columns)
            known = _Known(last.columns.items, last.embeddings, last.index.candidates)
        else:
            columns, known = self._open()
        if known and np.array_equal(known.items, columns.items):  # labels alone changed, if anything
            embeddings = known.embeddings
        else:
            embeddings = self._grown(columns, known) if known else None
            embeddings = finish(self._embed(columns, known)) if embeddings is None else embeddings
        current = self._snapshot(columns, self._index(columns, embeddings, known))
        if not (known and known.is_kept) and len(current) and self._model.config == self._model.stored_config:
            self._keep(lambda: self._write(current))
        return current

    def _open(self) -> tuple[ItemTable, _Known | None]:
        """What lies on disk. The database is checked meanwhile, which takes as long, and before anything is made of it.

        Of many items the table is read from the file that is kept of them, or kept.
        """
        with ThreadPoolExecutor(1) as pool:
            check = pool.submit(self._database.check_items)
            try:
                kept = self._kept_item_table()
                columns = kept or self._database.item_table()
                known = self._read(columns)
            finally:
                check.result()  # a damaged database is what is to be told, whatever reading it said
        if kept is None:
            self._keep_item_table(columns)
        return columns, known

    def _kept_item_table(self) -> ItemTable | None:
        state = self._state(self._database.version())
        path = self._database.folder / ITEM_TABLE
        return kept_columns.read_items(path, self._model.origin("item table"), state) if state else None

    def _keep_item_table(self, columns: ItemTable) -> None:
        path, state = self._database.folder / ITEM_TABLE, self._state(columns.version)
        if state and len(columns.ids) >= kept_columns.LEAST and columns.version == self._database.version():
            origin = self._model.origin("item table")
            self._keep(lambda: kept_columns.write_items(path, columns, origin, state))

    def _state(self, version: int) -> str:
        """Which commit of which database: of copies of one, each may have its own. Empty while somebody writes."""
        checksum = self._database.checksum()
        return checksum and f"{version} {checksum}"

    def _snapshot(self, columns: ItemTable, index: VectorIndex) -> Snapshot:
        return Snapshot(columns, self._model.config.neck_hash, index, partial(self._further, columns))

    def _further(self, columns: ItemTable) -> FurtherColumns:
        """Of these items; of many from the file that is kept of them, which is made when it is of another commit."""
        path, is_kept = self._database.folder / "columns.npz", len(columns.ids) >= kept_columns.LEAST
        origin, state = self._model.origin("columns"), f"{columns.version} {derived.digest(columns.items)}"
        if is_kept and (kept := kept_columns.read(path, origin, state, self._database.tag_column(columns.ids))):
            return self._memo.put("further", columns.version, (columns.version, kept))[1]
        version, found = self._database.further_columns(columns.ids, self._memo.last("further"))
        if version == columns.version:
            self._memo.put("further", version, (version, found))
            if is_kept:
                self._keep(lambda: kept_columns.write(path, found, origin, state))
        return found

    def _grown(self, columns: ItemTable, known: _Known) -> np.ndarray | None:
        """:meth:`_embed` in the file where embeddings lie, of which no copy is made; None where they are in memory."""
        if self._model.is_visiting or known.candidates is None or known.candidates.exact:
            return None
        try:
            return self._kept.grow(columns.items, lambda start: finish(self._embed(columns, known, start)))
        except OSError as error:
            self.tell_not_kept(error)
            return None

    def _embed(self, columns: ItemTable, known: _Known | None = None, start: int = 0) -> Work[np.ndarray]:
        """Embeddings float32 [N, dim] of the items from ``start`` on: those already known by id, the rest computed."""
        ids, dim = columns.ids[start:], self._model.config.dim
        result = np.empty((len(ids), dim), np.float32)
        new = np.ones(len(ids), bool)
        if known:
            positions = positions_of(known.items["id"], ids)
            new = positions < 0
            copy_rows(known.embeddings, positions[~new], result, np.flatnonzero(~new))
        missing = np.flatnonzero(new)
        stage = Stage(to_say("embedding"), len(missing), to_say("items"))
        for at in range(0, len(missing), EMBED_ROWS):
            yield stage.at(at)
            block = missing[at : at + EMBED_ROWS]
            result[block] = self._model.embedder.neck.embed(self._features.read(columns.sha256s(start + block)), dim)
        return result

    @property
    def _kept(self) -> KeptEmbeddings:
        folder, key, dim = self._database.folder, self._model.key, self._model.config.dim
        return self._memo.get("kept", key, lambda: KeptEmbeddings(folder, self._model.origin("embeddings", key), dim))

    def _index(self, columns: ItemTable, embeddings: np.ndarray, known: _Known | None = None) -> VectorIndex:
        """Over the gallery's embeddings, in its store; from what is known where that is quicker."""
        config = self._model.config
        vectors = Vectors(embeddings, columns.ids, columns.domains.texts, columns.splits.texts, columns.version)
        place = Place(config.store, self._database.folder, config.collection_name)
        return index_types.of(vectors, index_types.of_store(config.store), place, known and known.candidates)

    def index(self, current: Snapshot, dim: int | None = None) -> VectorIndex:
        """An index over a snapshot's embeddings at ``dim``: their prefix, or made from the features when wider."""
        if dim in (None, self._model.config.dim):
            return current.index
        return self._memo.get(("index", dim), current.fingerprint, lambda: self._index_at(current, dim))

    def _index_at(self, current: Snapshot, dim: int) -> VectorIndex:
        if dim <= self._model.config.dim:
            return index_types.build(l2_normalize(current.embeddings, dim))
        features = self._features.read(current.columns.sha256s())
        return index_types.build(self._model.embedder.neck.embed(features, dim))

    def unit_features(self, current: Snapshot) -> UnitFeatures:
        """Features of a snapshot's items, L2 norm 1: what words are compared with."""
        return UnitFeatures(self._features, current.columns)

    def save(self, adopted: bool = False) -> None:
        """Keep embeddings and index on disk.

        What another model than the gallery's own makes of it stays in memory, unless it is ``adopted``.
        """
        current = self.snapshot()
        if self._model.is_visiting and not adopted:
            return
        self._write(current)
        self._keep_item_table(current.columns)
        if len(current) >= kept_columns.LEAST:
            _ = current.further  # which keeps them
        config = self._model.config
        if kind := index_types.of_store(config.store):
            kind.forget(config.store, self._database.folder, config.collection, but=config.collection_name)

    def refresh(self) -> None:
        """:meth:`save` after a change, which is kept already: where the disk is full, who searches makes it anew."""
        self._keep(self.save)

    def _write(self, current: Snapshot) -> None:
        """Every file says which items it is of, so that those of two processes that write at a time are not mixed."""
        folder, items = self._database.folder, current.columns.items
        self._kept.write(items, current.embeddings)
        candidates, path, content = current.index.candidates, folder / "index.faiss", derived.digest(items)
        origin = self._model.origin("index", self._model.key, content)
        values = candidates.save(path, partial(derived.write, origin=origin))
        if values is None:
            path.unlink(missing_ok=True)
        lists = {"items": len(items), "content": content, candidates.kind: values}
        derived.write_json(folder / "derived.json", lists, self._model.origin("lists", self._model.key))
        self._database.complaints.over()

    def _read(self, columns: ItemTable) -> _Known | None:
        """What :meth:`_write` wrote, or None when there are none of these items and this neck that can be used.

        What is damaged is made anew from the features. Beside a kept index or a store, embeddings stay on disk. The
        index may be of fewer items: who only searches adds to the embeddings, and not to it.
        """
        kept = self._kept.read()
        if kept is None or not derived.items_agree(kept.items, columns.items):
            return None
        folder, lists = self._database.folder, self._model.origin("lists", self._model.key)
        settings = derived.read_json(folder / "derived.json", lists) or {}
        indexed = kept.items[: settings.get("items", 0)]
        is_of_them = settings.get("content") == (content := derived.digest(indexed))
        keys = np.ascontiguousarray(indexed["id"])
        load = index_types.loader(settings, keys) if is_of_them else None
        embeddings = kept.embeddings(bool(load or self._model.config.store))
        if embeddings is None:
            return None
        origin = self._model.origin("index", self._model.key, content)
        index = load and derived.read(folder / "index.faiss", load, origin)
        return _Known(kept.items, embeddings, index, is_of_them and bool(index) == bool(load))

    def _keep(self, write: Callable[[], object]) -> None:
        """Write what can be made again: on a read-only disk it has to be, and where another model only looks."""
        if self._model.is_visiting:
            return
        try:
            write()
        except OSError as error:
            self.tell_not_kept(error)

    def tell_not_kept(self, error: OSError) -> None:
        """Something that can be made again has no place."""
        self._database.complaints.tell(self._database.name, ": what is derived from it is not kept", error)

    # --- what is made from them ------------------------------------------------------------------------------------

    def find_neighbours(self, current: Snapshot | None = None) -> Work[Neighbours]:
        """The neighbours of every item in the snapshot (``current``: in this one); at once when nothing changed since
        the last time."""
        current = self.snapshot() if current is None else current
        known = self._memo.last("neighbours", current.fingerprint)
        if known:
            return known
        path, ids = self._database.folder / "neighbours.npz", current.columns.ids
        origin = self._model.origin("neighbours", self._model.key)
        kept = Kept.read(path, origin, current.columns.items)
        found = yield from neighbours.update(current.index, ids, current.columns.pictures, kept)
        near = np.where(found.positions >= 0, ids[found.positions], -1) if len(ids) else found.positions
        if kept is None or not (np.array_equal(kept.ids, ids) and np.array_equal(kept.near, near)):
            self._keep(lambda: Kept(current.columns.items, near, found.scores).write(path, origin))
        return self._memo.put("neighbours", current.fingerprint, found)

    def neighbours(self) -> tuple[Snapshot, Neighbours]:
        """The snapshot and :meth:`find_neighbours` of it, waited for."""
        with self._memo.making("neighbours"):
            current = self.snapshot()
            return current, finish(self.find_neighbours(current))

    def neighbours_for_search(self, current: Snapshot, dim: int | None = None) -> Neighbours | NeighboursAsked:
        """Those of all items of a snapshot, where they are known already, or of those that are asked about; at ``dim``,
        by default the gallery's own."""
        index = self.index(current, dim)
        known = self._memo.last("neighbours", current.fingerprint) if index is current.index else None
        if known is not None:
            return known
        make = lambda: NeighboursAsked(index, current.columns.pictures)  # noqa: E731
        return self._memo.get(("neighbours asked", index.embeddings.shape[1]), current.fingerprint, make)

    def find_duplicates(self, current: Snapshot | None = None) -> Work[Duplicates]:
        """The near-copies in the snapshot (``current``: in this one); at once when nothing changed since the last time.

        Pictures that were compared once are not again, whatever else changed in the gallery, and though the comparison
        was closed before its end.
        """
        current = self.snapshot() if current is None else current
        if known := self._memo.last("duplicates", current.fingerprint):
            return known
        near = yield from self.find_neighbours(current)
        path, origin = self._database.folder / "duplicates.npz", self._model.origin("duplicates")
        kept = self._memo.last("compared") or self._memo.put("compared", None, Compared.read(path, origin))

        def keep(compared: Compared) -> None:
            if self._memo.last("compared") is not kept:  # somebody else has compared them meanwhile
                return
            if not np.array_equal(kept.pairs, compared.pairs):
                self._keep(lambda: compared.write(path, origin))
            self._memo.put("compared", None, compared)

        distinct = self._database.marked_pairs("distinct")
        compared = yield from duplicates.compare(
            current.columns, near, partial(pictures.thumbnail, self._database), kept, distinct, keep
        )
        found = duplicates.group(current.columns, near, compared, distinct)
        return self._memo.put("duplicates", current.fingerprint, found)

    def calibration(self, current: Snapshot | None = None) -> Calibration:
        """What similarity means here (in ``current``). Raises ``CalibrationError`` when the labels cannot tell.

        The last one serves while the gallery is being written, and while what came, went or was relabelled since it was
        fitted (in this process) is less than a twentieth of a large one, lest every commit costs the next search a new
        one. So its probabilities and quantiles may be of as many items less, and of the labels that they had.
        """
        current = current or self.snapshot()
        wanted = current.columns.labelling, current.neck_hash, self._model.config.dim
        with self._memo.making("calibration"):
            outcome: Any = self._memo.last("calibration") or self._read_calibration()
            if not self._serves(outcome, wanted, current):
                outcome = self._memo.get("calibration", wanted, lambda: self._calibrate(current, wanted))
                self._memo.get("labelled", wanted, lambda: Labelled.of(current.columns))
        if isinstance(outcome, CalibrationError):
            raise CalibrationError(str(outcome))
        return outcome

    def _serves(self, last: object, wanted: tuple[str, str, int], current: Snapshot) -> bool:
        """Whether the ``last`` outcome stands for another that is ``wanted``: also that hits cannot tell."""
        if not isinstance(last, Calibration | HitsCannotTell) or last.fingerprint[1:] != wanted[1:]:
            return False
        is_growing = isinstance(last, Calibration) and self._database.is_being_written()
        return last.fingerprint != wanted and (is_growing or self._is_nearly_of(last.fingerprint, current))

    def _is_nearly_of(self, last: tuple[str, str, int], current: Snapshot) -> bool:
        fitted: Labelled | None = self._memo.last("labelled", last)
        nearly = lambda: fitted is not None and fitted.is_nearly(Labelled.of(current.columns))  # noqa: E731
        return self._memo.get("nearly", (last, current.columns.labelling), nearly)

    def _read_calibration(self) -> Calibration | None:
        kept = Calibration.read(self._database.folder / CALIBRATION, self._model.origin("calibration", self._model.key))
        return kept and self._memo.put("calibration", kept.fingerprint, kept)

    def _calibrate(self, current: Snapshot, wanted: tuple[str, str, int]) -> Calibration | CalibrationError:
        """That labels cannot tell is remembered, too: to find it out takes as long."""
        columns, marks = current.columns, marks_in(self._model.embedder.config.training)
        try:
            calibration = calibrate(current, classes_of(marks, columns.hashes, columns.classes))
        except HitsCannotTell as error:
            return HitsCannotTell(str(error), wanted)  # without what hangs on the traceback
        except CalibrationError as error:
            return CalibrationError(str(error))
        origin = self._model.origin("calibration", self._model.key)
        self._keep(lambda: calibration.write(self._database.folder / CALIBRATION, origin))
        return calibration

    def counts(self) -> Counts:
        """Of all items, counted once a commit."""
        version = self._database.version()
        return self._memo.get("counts", version, lambda: self._counted(version))

    def _counted(self, version: int) -> Counts:
        """From the table of all items where it is at hand: counting ten million in the database takes half a minute."""
        last: Snapshot | None = self._memo.last("snapshot")
        table = last.columns if last and last.columns.version == version else self._kept_item_table()
        if table is None:
            return self._database.counts()
        labels = sum(1 for name, items in table.labels.counts().items() if name and items)
        return Counts(table.domains.counts(), table.splits.counts(), labels, *self._database.images())
