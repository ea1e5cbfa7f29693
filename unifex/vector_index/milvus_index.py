"""Candidates from Milvus: an index that need not fit into this machine. Its collection follows the gallery.

A store is ``milvus`` (Milvus Lite, a file in the gallery's folder, one program at a time) or ``milvus:URI`` (a file, or
a server or cluster such as ``milvus:http://localhost:19530``; its token is taken from ``MILVUS_TOKEN``). Rows are
written by item id, and what was written is noted in the gallery's folder, so that only what changed is sent again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import faiss
import numpy as np
from filelock import FileLock

from unifex.core import derived
from unifex.core.derived import Origin
from unifex.core.errors import UnifexError

if TYPE_CHECKING:
    from pymilvus import MilvusClient

STORE = "milvus"
LITE_FILE = "milvus.db"
ROWS_AT_ONCE = 2000
NAMED_AT_MOST = 10_000  # single items that a filter names
DEEPEST = 16_384  # hits a query that Milvus gives
INDEX = {"index_type": "HNSW", "metric_type": "IP", "params": {"M": 16, "efConstruction": 128}}
LEAST_EFFORT, MOST_EFFORT = 128, 32_768  # HNSW's ef
TEXT_LENGTH = 256


class StoreError(UnifexError):
    """Milvus is not installed, does not answer or refuses; the message names the remedy."""


@dataclass(frozen=True)
class Rows:
    """What a collection holds: ascending keys int64 [N], domains and splits object [N], embeddings float32 [N, d].

    ``version`` of the gallery, which grows.
    """

    version: int
    keys: np.ndarray
    domains: np.ndarray
    splits: np.ndarray
    embeddings: np.ndarray

    def parts(self) -> np.ndarray:
        """int64 [N]: a number for every row's domain and split, the same in every process."""
        pairs = list(zip(self.domains.tolist(), self.splits.tolist()))
        numbers = {pair: _number(*pair) for pair in set(pairs)}
        return np.array([numbers[pair] for pair in pairs], np.int64)


@dataclass(frozen=True)
class Collection:
    """A :class:`~unifex.vector_index.candidates.Shortlist`. ``parts`` int64 [N]: :meth:`Rows.parts`."""

    client: MilvusClient
    name: str
    rows: Rows
    parts: np.ndarray
    exact: bool = False
    recall: float | None = None

    @property
    def kind(self) -> str:
        """What it is, for people."""
        return f"Milvus, {INDEX['index_type']}, rescored at {self.rows.embeddings.shape[1]}-d"

    def depth(self, k: int) -> int:
        """Its similarities are of the whole embeddings, so those asked for and some."""
        return 2 * k

    def nearest(
        self, queries: np.ndarray, depth: int, allowed: np.ndarray | None, effort: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """See :class:`~unifex.vector_index.candidates.Shortlist`. What Milvus cannot be asked is scanned here."""
        expression = "" if allowed is None else self.expression(allowed)
        if depth > DEEPEST or expression is None:
            return self._scanned(queries, depth, allowed)
        with _told(self.name):
            found = self.client.search(
                self.name,
                data=list(np.asarray(queries, np.float32)),
                limit=depth,
                filter=expression,
                output_fields=["id"],
                search_params={"params": {"ef": int(min(max(LEAST_EFFORT, 2 * depth * effort), MOST_EFFORT))}},
            )
        scores = np.full((len(queries), depth), -np.inf, np.float32)
        positions = np.full((len(queries), depth), -1, np.int64)
        for row, hits in enumerate(found):
            keys = np.array([hit["id"] for hit in hits], np.int64)
            places = np.minimum(np.searchsorted(self.rows.keys, keys), len(self.rows.keys) - 1)
            known = self.rows.keys[places] == keys  # another process may be further than this snapshot
            positions[row, : len(hits)] = np.where(known, places, -1)
            scores[row, : len(hits)] = [hit["distance"] for hit in hits]
        return scores, positions

    def _scanned(self, queries: np.ndarray, depth: int, allowed: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        chosen = np.arange(len(self.rows.keys)) if allowed is None else np.flatnonzero(allowed)
        embeddings = self.rows.embeddings if allowed is None else self.rows.embeddings[chosen]
        scores, places = faiss.knn(
            np.ascontiguousarray(queries, np.float32), embeddings, depth, metric=faiss.METRIC_INNER_PRODUCT
        )
        return scores, np.where(places < 0, -1, chosen[places])

    @cached_property
    def _numbered(self) -> tuple[np.ndarray, np.ndarray]:
        """The parts there are, and which of them every row has: sorted once, not at every search."""
        return np.unique(self.parts, return_inverse=True)

    def expression(self, allowed: np.ndarray) -> str | None:
        """The filter, in Milvus's words, that leaves bool [N] ``allowed``; None when it would name too many items.

        A part (all of one domain and split) is taken or left as a whole, and exceptions are named.
        """
        numbers, part = self._numbered
        taken = 2 * np.bincount(part[allowed], minlength=len(numbers)) > np.bincount(part, minlength=len(numbers))
        without, besides = self.rows.keys[taken[part] & ~allowed], self.rows.keys[~taken[part] & allowed]
        if len(without) + len(besides) > NAMED_AT_MOST:
            return None
        whole = f"part in {numbers[taken].tolist()}" if taken.any() else ""
        if whole and len(without):
            whole = f"{whole} and id not in {without.tolist()}"
        named = f"id in {besides.tolist()}" if len(besides) else ""
        return " or ".join(f"({words})" for words in (whole, named) if words) or "id < 0"


def location(store: str, folder: Path) -> str:
    """Where a store is: a URL, or an absolute path. Raises :class:`StoreError` for another kind of store."""
    kind, _, uri = store.partition(":")
    if kind != STORE:
        raise StoreError(f"no store '{store}'; there are: faiss, {STORE} (a file in the gallery) and {STORE}:URI")
    if "://" in uri:
        return uri
    path = (folder / LITE_FILE) if not uri else Path(uri)
    if path.suffix != ".db":
        raise StoreError(f"'{uri}' is neither a URL nor a file that ends in .db")
    return str(path.resolve())


def settled(store: str) -> str:
    """A store as it is kept: a file's path whole, so that it is the same from every working directory."""
    kind, _, uri = store.partition(":")
    return store if not uri or "://" in uri else f"{kind}:{Path(uri).resolve()}"


def follow(store: str, folder: Path, name: str, rows: Rows) -> Collection:
    """The collection ``name`` in a store, made to hold just these rows; ``folder`` remembers what it holds.

    A collection that another process has taken further stays as it is. Raises :class:`StoreError`.
    """
    parts = rows.parts()
    note = folder / f"{name}.npz"
    with _told(name):
        client = _client(location(store, folder))
        with FileLock(folder / ".store-lock"):
            noted = _noted(client, name, note)
            if noted is None:
                _create(client, name, rows.embeddings.shape[1])
                noted = _Noted(-1, np.zeros(0, np.int64), np.zeros(0, np.int64))
            if noted.version <= rows.version:
                _send(client, name, rows, parts, noted, note)
            client.load_collection(name)
    return Collection(client, name, rows, parts)


def forget(store: str, folder: Path, prefix: str, but: str = "") -> None:
    """Drop a gallery's collections, those whose name begins with ``prefix``, except one. Raises :class:`StoreError`."""
    with _told(prefix):
        client = _client(location(store, folder))
        for name in client.list_collections():
            if name.startswith(prefix) and name != but:
                client.drop_collection(name)
    for note in folder.glob(f"{prefix}*.npz"):
        if note.stem != but:
            note.unlink()


def release(store: str, folder: Path) -> None:
    """Let go of a store, so that its file can be moved, deleted or used by another program."""
    uri = location(store, folder)
    with _lock:
        client = _clients.pop(uri, None)
    if client:
        client.close()
        if "://" not in uri:  # Milvus Lite serves a file from threads of this process, and goes on to
            from milvus_lite.server_manager import server_manager_instance

            server_manager_instance.release_server(uri)


_clients: dict[str, MilvusClient] = {}
_lock = threading.Lock()


def _client(uri: str) -> MilvusClient:
    """One connection a process: Milvus Lite lets only one have the file."""
    try:
        from pymilvus import MilvusClient
    except ImportError:
        raise StoreError("Milvus needs `pip install -r requirements-scale.txt`") from None
    with _lock:
        if uri not in _clients:
            _clients[uri] = MilvusClient(uri, token=os.environ.get("MILVUS_TOKEN", ""))
        return _clients[uri]


@contextlib.contextmanager
def _told(name: str) -> Iterator[None]:
    """Whatever pymilvus raises, in a sentence with the remedy."""
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
        raise StoreError(
            f"Milvus ({name}): {text}; see that it runs, and that no other program has its file open, or search in "
            "FAISS: `python -m unifex store GALLERY faiss`"
        ) from error


class _Noted(NamedTuple):
    """What a collection holds: keys and parts, as of a gallery's version."""

    version: int
    keys: np.ndarray
    parts: np.ndarray


def _noted(client: MilvusClient, name: str, note: Path) -> _Noted | None:
    """None, and there is no such collection, when what it holds cannot be told."""
    if not client.has_collection(name):
        return None
    kept = derived.read_arrays(note, _origin(name))
    if kept:
        noted = _Noted(int(kept["version"]), kept["keys"], kept["parts"])
        client.load_collection(name)
        held = client.query(name, filter="", output_fields=["count(*)"], consistency_level="Strong")[0]["count(*)"]
        if held == len(noted.keys) == len(noted.parts):
            return noted
    client.drop_collection(name)
    return None


def _send(client: MilvusClient, name: str, rows: Rows, parts: np.ndarray, noted: _Noted, note: Path) -> None:
    """Delete what is gone, write what is new or has another part now, and note that."""
    places = np.minimum(np.searchsorted(rows.keys, noted.keys), max(0, len(rows.keys) - 1))
    here = rows.keys[places] == noted.keys if len(rows.keys) else np.zeros(len(noted.keys), bool)
    gone = noted.keys[~here]
    same = places[here][parts[places[here]] == noted.parts[here]]
    new = np.setdiff1d(np.arange(len(rows.keys)), same)
    for start in range(0, len(gone), ROWS_AT_ONCE):
        client.delete(name, ids=gone[start : start + ROWS_AT_ONCE].tolist())
    for start in range(0, len(new), ROWS_AT_ONCE):
        client.upsert(name, _payload(rows, parts, new[start : start + ROWS_AT_ONCE]))
    if len(new) >= ROWS_AT_ONCE:
        client.flush(name)
    if len(gone) or len(new) or noted.version < 0:
        version = np.array(rows.version)
        derived.write_arrays(note, _origin(name), version=version, keys=rows.keys, parts=parts)


def _origin(collection: str) -> Origin:
    return Origin("sent", content=collection)


def _create(client: MilvusClient, name: str, dim: int) -> None:
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


def _payload(rows: Rows, parts: np.ndarray, places: np.ndarray) -> list[dict]:
    """Domain and split are for other readers of the collection; filters name their number, which needs no quoting."""
    texts = ([text[:TEXT_LENGTH] for text in column[places]] for column in (rows.domains, rows.splits))
    columns = (rows.keys[places].tolist(), rows.embeddings[places], *texts, parts[places].tolist())
    return [dict(zip(("id", "embedding", "domain", "split", "part"), row)) for row in zip(*columns)]


def _number(domain: str, split: str) -> int:
    digest = hashlib.blake2b(f"{domain}\0{split}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
