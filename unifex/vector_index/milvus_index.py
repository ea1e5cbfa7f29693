"""Candidates from Milvus: an index that need not fit into this machine. Its collection follows the gallery.

A store is ``milvus`` (Milvus Lite, a file in the gallery's folder, one program at a time) or ``milvus:URI`` (a file, or
a server or cluster such as ``milvus:http://localhost:19530``; its token is taken from ``MILVUS_TOKEN``). Rows are
written by item id, and what was written is noted in the gallery's folder, so that only what changed is sent again.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from unifex.core import derived
from unifex.core.arrays import positions_of
from unifex.core.derived import Origin
from unifex.core.language import say
from unifex.core.locks import lock_in_folder
from unifex.core.text import command
from unifex.vector_index.candidates import EVERYTHING, CandidateIndex, Place, StoreError, Vectors
from unifex.vector_index.matches import Matches
from unifex.vector_index.metric import MILVUS_METRIC, brute_force

LITE_FILE, LITE_LOGGER = "milvus.db", "milvus_lite.server_manager"
ROWS_AT_ONCE = 2000
MAX_NAMED = 10_000  # single items that a filter names
MAX_HITS = 16_384  # a query, that Milvus gives
INDEX = {"index_type": "HNSW", "metric_type": MILVUS_METRIC, "params": {"M": 16, "efConstruction": 128}}
MIN_EF, MAX_EF = 128, 32_768  # how many nodes HNSW looks at
SEARCH_CONSISTENCY = "Session"  # "Strong" has a server wait at every search, 0.3 s, for writes that there are not
TEXT_LENGTH = 256


@dataclass(frozen=True)
class MilvusIndex(CandidateIndex):
    """A collection that holds ``vectors``. ``subsets`` int64 [N]: :func:`subset_numbers`.

    A filter that would name more than ``max_named`` single items is scanned here, as are ``max_hits`` and more a query.
    """

    kind: ClassVar[str] = "milvus"
    store_help: ClassVar[str] = "milvus (a file in the gallery) and milvus:URI"
    client: Any
    name: str
    vectors: Vectors
    subsets: np.ndarray
    recall: float | None = None
    gallery: str = ""
    max_named: int = MAX_NAMED
    max_hits: int = MAX_HITS

    @property
    def title(self) -> str:
        """What it is, for people."""
        return say(
            "Milvus, {kind}, rescored at {dim}-d", kind=INDEX["index_type"], dim=self.vectors.embeddings.shape[1]
        )

    @classmethod
    def build(cls, vectors: Vectors, place: Place | None = None) -> MilvusIndex:
        """The collection of a place, made to hold just these vectors; the folder remembers what it holds.

        One that another process has taken further stays as it is. Raises :class:`StoreError`.
        """
        if place is None:
            raise StoreError(say("Milvus has to be told where it is"))
        subsets, name, gallery = subset_numbers(vectors), place.collection, place.folder.name
        note = place.folder / f"{name}.npz"
        with _errors_named(name, gallery):
            client = _client(location(place.store, place.folder))
            with lock_in_folder(place.folder / ".store-lock"):
                sent = _sent(client, name, note)
                if sent is None:
                    _create(client, name, vectors.embeddings.shape[1])
                    sent = _Sent(-1, np.zeros(0, np.int64), np.zeros(0, np.int64))
                if sent.version <= vectors.version:
                    _send(client, name, vectors, subsets, sent, note)
                client.load_collection(name)
        return cls(client, name, vectors, subsets, gallery=gallery)

    def n_candidates(self, k: int) -> int:
        """Its similarities are of the whole embeddings, so those asked for and some."""
        return 2 * k

    def search(self, queries: np.ndarray, n_candidates: int, mask: np.ndarray | None, budget: float) -> Matches:
        """See :meth:`CandidateIndex.search`. What Milvus cannot be asked is scanned here."""
        expression = "" if mask is None else self.expression(mask)
        if n_candidates > self.max_hits or expression is None or budget == EVERYTHING:
            return self._scanned(queries, n_candidates, mask)
        with _errors_named(self.name, self.gallery):
            found = self.client.search(
                self.name,
                data=list(np.asarray(queries, np.float32)),
                limit=n_candidates,
                filter=expression,
                output_fields=["id"],
                consistency_level=SEARCH_CONSISTENCY,
                search_params={"params": {"ef": int(min(max(MIN_EF, 2 * n_candidates * budget), MAX_EF))}},
            )
        matches = Matches.none(len(queries), n_candidates)
        for row, hits in enumerate(found):
            # another process may be further than this snapshot: what it has added is not found
            matches.positions[row, : len(hits)] = positions_of(self.vectors.keys, np.array([hit["id"] for hit in hits]))
            matches.scores[row, : len(hits)] = [hit["distance"] for hit in hits]
        return matches

    def _scanned(self, queries: np.ndarray, n_candidates: int, mask: np.ndarray | None) -> Matches:
        embeddings = self.vectors.embeddings
        if mask is None:
            return Matches(*brute_force(queries, embeddings, n_candidates))
        chosen = np.flatnonzero(mask)
        return Matches(*brute_force(queries, embeddings[chosen], n_candidates)).within(chosen)

    @cached_property
    def _numbered(self) -> tuple[np.ndarray, np.ndarray]:
        """The subsets there are, and which of them every row is of: sorted once, not at every search."""
        numbers = np.unique(self.subsets)
        return numbers, np.searchsorted(numbers, self.subsets)  # in a third of the time that its own inverse takes

    def expression(self, mask: np.ndarray) -> str | None:
        """The filter, in Milvus's words, that leaves bool [N] ``mask``; None when it would name too many items.

        A subset (all of one domain and split) is taken or left as a whole, and exceptions are named.
        """
        numbers, subset = self._numbered
        taken = 2 * np.bincount(subset[mask], minlength=len(numbers)) > np.bincount(subset, minlength=len(numbers))
        without, besides = self.vectors.keys[taken[subset] & ~mask], self.vectors.keys[~taken[subset] & mask]
        if len(without) + len(besides) > self.max_named:
            return None
        whole = f"part in {numbers[taken].tolist()}" if taken.any() else ""
        if whole and len(without):
            whole = f"{whole} and id not in {without.tolist()}"
        named = f"id in {besides.tolist()}" if len(besides) else ""
        return " or ".join(f"({words})" for words in (whole, named) if words) or "id < 0"

    @classmethod
    def absolute(cls, store: str, folder: Path) -> str:
        """A file's path whole. Raises :class:`StoreError` for a file whose name Milvus Lite does not take."""
        location(store, folder)
        kind, _, uri = store.partition(":")
        return store if not uri or "://" in uri else f"{kind}:{Path(uri).resolve()}"

    @classmethod
    def is_elsewhere(cls, store: str) -> bool:
        """Unless it is the file in the gallery's folder."""
        return store != cls.kind

    @classmethod
    def forget(cls, store: str, folder: Path, prefix: str, but: str = "") -> None:
        """Drop a gallery's collections, those whose name begins with ``prefix``, except one."""
        with _errors_named(prefix):
            client = _client(location(store, folder))
            for name in client.list_collections():
                if name.startswith(prefix) and name != but:
                    client.drop_collection(name)
        for note in folder.glob(f"{prefix}*.npz"):
            if note.stem != but:
                note.unlink()

    @classmethod
    def release(cls, store: str, folder: Path) -> None:
        """Let go of a store, so that its file can be moved, deleted or used by another program."""
        uri = location(store, folder)
        with _lock:
            client = _clients.pop(uri, None)
        if client:
            client.close()
            if "://" not in uri:  # Milvus Lite serves a file from threads of this process, and goes on to
                from milvus_lite.server_manager import server_manager_instance

                server_manager_instance.release_server(uri)


def subset_numbers(vectors: Vectors) -> np.ndarray:
    """int64 [N]: a number for every row's domain and split, the same in every process."""
    numbers = {pair: _number(*pair) for pair in set(zip(vectors.domains, vectors.splits))}
    pairs = zip(vectors.domains, vectors.splits)
    return np.fromiter((numbers[pair] for pair in pairs), np.int64, len(vectors.keys))


def location(store: str, folder: Path) -> str:
    """Where a store is: a URL, or an absolute path. Raises :class:`StoreError` for a file of another kind."""
    uri = store.partition(":")[2]
    if "://" in uri:
        return uri
    path = (folder / LITE_FILE) if not uri else Path(uri)
    if path.suffix != ".db":
        raise StoreError(say("'{uri}' is neither a URL nor a file that ends in .db", uri=uri))
    return str(path.resolve())


_clients: dict[str, Any] = {}
_lock = threading.Lock()


def _client(uri: str) -> Any:
    """One connection a process: Milvus Lite lets only one have the file."""
    try:
        from pymilvus import MilvusClient
    except ImportError:
        raise StoreError(say("Milvus needs `pip install -r requirements-scale.txt`")) from None
    with _lock:
        if uri not in _clients:
            with _refusal_heard():
                _clients[uri] = MilvusClient(uri, token=os.environ.get("MILVUS_TOKEN", ""))
        return _clients[uri]


@contextlib.contextmanager
def _refusal_heard() -> Iterator[None]:
    """Why Milvus Lite does not open a file, it only logs, with a traceback: raised here as ConnectionError."""
    heard: list[BaseException] = []

    def is_none(record: logging.LogRecord) -> bool:
        heard.extend(error for error in (record.exc_info or ())[1:2] if isinstance(error, BaseException))
        return not record.exc_info

    spoken = logging.getLogger(LITE_LOGGER)
    spoken.addFilter(is_none)
    try:
        yield
    except Exception as error:
        if heard:
            raise ConnectionError(str(heard[-1])) from error
        raise
    finally:
        spoken.removeFilter(is_none)


@contextlib.contextmanager
def _errors_named(name: str, gallery: str = "") -> Iterator[None]:
    """Whatever pymilvus raises, in a sentence with the remedy; ``gallery``: what is searched there."""
    try:
        yield
    except StoreError:
        raise
    except Exception as error:  # pymilvus and gRPC have no common class, and Milvus Lite raises its own
        if not type(error).__module__.startswith(("pymilvus", "grpc", "milvus_lite")) and not isinstance(
            error, OSError
        ):
            raise
        text = " ".join(str(getattr(error, "message", "") or error).split())[:200]
        told = say(
            "Milvus ({name}): {text}; see that it runs, and that no other program, as the app, has its file open",
            name=name, text=text,
        )  # fmt: skip
        if gallery:
            told = say("{told}, or search in FAISS: `{command}`", told=told, command=command("store", gallery, "faiss"))
        raise StoreError(told) from error


class _Sent(NamedTuple):
    """What a collection holds: keys and subsets, as of a gallery's version."""

    version: int
    keys: np.ndarray
    subsets: np.ndarray


def _sent(client: Any, name: str, note: Path) -> _Sent | None:
    """None, and there is no such collection, when what it holds cannot be told."""
    if not client.has_collection(name):
        return None
    kept = derived.read_arrays(note, _origin(name))
    if kept:
        sent = _Sent(int(kept["version"]), kept["keys"], kept["parts"])
        client.load_collection(name)
        if _count(client, name) == len(sent.keys) == len(sent.subsets):
            return sent
    client.drop_collection(name)
    return None


def _count(client: Any, name: str) -> int:
    """How many rows a collection has, when all that was written so far can be found in it."""
    return client.query(name, filter="", output_fields=["count(*)"], consistency_level="Strong")[0]["count(*)"]


def _send(client: Any, name: str, vectors: Vectors, subsets: np.ndarray, sent: _Sent, note: Path) -> None:
    """Delete what is gone, write what is new or has another subset now, and note that."""
    positions = positions_of(vectors.keys, sent.keys)
    here = positions >= 0
    gone = sent.keys[~here]
    same = positions[here][subsets[positions[here]] == sent.subsets[here]]
    is_new = np.ones(len(vectors.keys), bool)
    is_new[same] = False
    new = np.flatnonzero(is_new)
    for start in range(0, len(gone), ROWS_AT_ONCE):
        client.delete(name, ids=gone[start : start + ROWS_AT_ONCE].tolist())
    write = client.upsert if len(sent.keys) else client.insert  # an empty collection has nothing to look for first
    for start in range(0, len(new), ROWS_AT_ONCE):
        write(name, _payload(vectors, subsets, new[start : start + ROWS_AT_ONCE]))
    if len(new) >= ROWS_AT_ONCE:
        client.flush(name)
    if len(gone) or len(new) or sent.version < 0:
        _count(client, name)  # waits, so that no search has to
        version = np.array(vectors.version)
        derived.write_arrays(note, _origin(name), version=version, keys=vectors.keys, parts=subsets)


def _origin(collection: str) -> Origin:
    return Origin("sent", content=collection)


def _create(client: Any, name: str, dim: int) -> None:
    from pymilvus import DataType

    schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("embedding", DataType.FLOAT_VECTOR, dim=dim)
    schema.add_field("domain", DataType.VARCHAR, max_length=4 * TEXT_LENGTH)
    schema.add_field("split", DataType.VARCHAR, max_length=4 * TEXT_LENGTH)
    schema.add_field("part", DataType.INT64)
    index = client.prepare_index_params()
    index.add_index("embedding", **INDEX)
    client.create_collection(name, schema=schema, index_params=index, consistency_level="Strong")


def _payload(vectors: Vectors, subsets: np.ndarray, rows: np.ndarray) -> list[dict]:
    """Domain and split are for other readers of the collection; filters name their number, which needs no quoting."""
    texts = ([text[:TEXT_LENGTH] for text in column[rows]] for column in (vectors.domains, vectors.splits))
    columns = (vectors.keys[rows].tolist(), vectors.embeddings[rows], *texts, subsets[rows].tolist())
    return [dict(zip(("id", "embedding", "domain", "split", "part"), row)) for row in zip(*columns)]


def _number(domain: str, split: str) -> int:
    digest = hashlib.blake2b(f"{domain}\0{split}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
