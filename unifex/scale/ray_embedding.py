"""Embedding on many machines: a Ray Data pool of actors, each with the backbone, writes a source's parts as shards.

A shard is an array and a table in clip-retrieval's layout, ``img_emb/img_emb_00007.npy`` and
``metadata/metadata_00007.parquet``. The table is written last and appears whole, so it says that the part is done:
started again, what is there is left alone, and an actor that dies costs the parts it was at.
"""

from __future__ import annotations

import io
import json
import logging
import os
import pickle
import socket
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from unifex.core.assets import PACKAGE
from unifex.core.errors import UnifexError
from unifex.core.json_text import parse_json
from unifex.core.language import to_say
from unifex.core.progress import Stage, Work
from unifex.core.text import reason
from unifex.data.item import Labels, Options, Skipped, SourceError
from unifex.gallery.clip_retrieval import PLAN
from unifex.gallery.embedding import embed_items
from unifex.gallery.records import Embedded
from unifex.models import zoo
from unifex.models.backbones import BackboneSpec
from unifex.models.embedder import Embedder
from unifex.scale import partitions
from unifex.scale.partitions import Shard, file_system

if TYPE_CHECKING:
    from ray.data import Dataset

WINDOW = 256  # images in flight in an actor
CONNECT_SECONDS = 10


class ClusterError(UnifexError):
    """Ray is not installed or does not answer; the message names the remedy."""


@dataclass(frozen=True)
class ShardsWritten:
    """The outcome: ``images`` in ``shards`` below ``out``, of which ``kept`` shards were there before."""

    out: str
    shards: int
    kept: int
    images: int
    failed: list[Skipped]
    seconds: float


def embed(
    spec: str,
    out: str,
    embedder: Embedder,
    dim: int | None = None,
    address: str | None = None,
    options: Options | None = None,
    files_per_shard: int = partitions.FILES_PER_SHARD,
) -> Work[ShardsWritten]:
    """Write a source's features (or, given ``dim``, its embeddings).

    ``out``: a folder, local (then all machines must see it) or ``s3://``. ``address``: of a Ray cluster; without one,
    this machine. ``options``: how the source's files are read. ``files_per_shard``: of a source that is made of files;
    what was begun goes on with the same number only. Raises ``SourceError`` and :class:`ClusterError`.
    """
    started = time.monotonic()
    plan = partitions.plan(spec, options, files_per_shard)
    files, root = file_system(out)
    made_of = {
        "source": spec, "parts": len(plan.shards), "plan": plan.hash, "backbone": embedder.backbone.id,
        "backbone_hash": embedder.backbone.weight_hash(), "neck_hash": embedder.neck.hash if dim else "",
        "dim": dim or 0, "state": plan.state,
    }  # fmt: skip
    _agree(files, f"{root}/{PLAN}", made_of, embedder.backbone, out)
    there = _written(files, root)
    waiting = [shard for shard in plan.shards if shard.number not in there]
    failed, count, done = list(plan.refused), 0, len(there)
    stage = Stage(to_say("embedding"), len(plan.shards), to_say("parts"), done)
    yield stage.at(done)
    place = files.unstrip_protocol(root)  # workers may have another working directory
    for _ in _results(waiting, place, embedder, dim, address) if waiting else ():
        done += 1
        yield stage.at(done)
    for number in range(len(plan.shards)):
        summary = parse_json(files.cat_file(f"{root}/{_refusals(number)}"))
        count += summary["images"]
        failed += [Skipped(*refused) for refused in summary["refused"]]
    return ShardsWritten(out, len(plan.shards), len(there), count, failed, time.monotonic() - started)


def _agree(files: Any, path: str, made_of: dict[str, Any], backbone: BackboneSpec, out: str) -> None:
    """Note what the shards are of; where shards of something else lie, raise ``SourceError``."""
    if files.exists(path):
        found = parse_json(files.cat_file(path))
        before = [str(found.get(name)) for name in ("backbone", "backbone_hash")]
        if zoo.makes_the_same(backbone, *before):
            made_of = {**made_of, "backbone": before[0], "backbone_hash": before[1]}
        for name, value in made_of.items():
            if name == "state" and found.get(name, value) != value:  # earlier versions did not look at that
                raise SourceError(f"'{out}' holds shards of pictures that have changed since; give an empty folder")
            if name != "state" and found.get(name) != value:
                raise SourceError(
                    f"'{out}' holds shards of another {name} ({found.get(name)}, not {value}); give an empty folder"
                )
        return
    _put(files, path, json.dumps(made_of, indent=1).encode())


def _written(files: Any, root: str) -> set[int]:
    folder = f"{root}/metadata"
    names = files.find(folder) if files.exists(folder) else []
    return {int(name.rpartition("_")[2].removesuffix(".parquet")) for name in names if name.endswith(".parquet")}


def _refusals(number: int) -> str:
    return f"refused/refused_{number:05d}.json"


def _put(files: Any, path: str, data: bytes) -> None:
    """A whole file or none. Stores do that by themselves."""
    files.makedirs(path.rpartition("/")[0], exist_ok=True)
    if "file" in files.protocol or "local" in files.protocol:
        files.pipe_file(path + ".tmp", data)
        os.replace(path + ".tmp", path)
    else:
        files.pipe_file(path, data)


def _results(
    shards: list[Shard], out: str, embedder: Embedder, dim: int | None, address: str | None
) -> Iterator[dict[str, Any]]:
    """A row for every part that was done."""
    ray = _start(address)
    from ray.data import ActorPoolStrategy, DataContext
    from ray.exceptions import RayError

    DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    fresh = Embedder(embedder.config, embedder.neck, embedder.backbone)  # an engine cannot travel
    try:
        machines = [node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"]]
        cores = max(1, int(min(count for count in machines if count)))
        dataset: Dataset = ray.data.from_items(
            [{"part": pickle.dumps(shard)} for shard in shards], override_num_blocks=len(shards)
        )
        done = dataset.map_batches(
            Worker,
            fn_constructor_args=(out, fresh, dim),
            batch_size=1,
            num_cpus=cores,  # the backbone uses all cores of a machine
            compute=ActorPoolStrategy(min_size=1, max_size=sum(count >= cores for count in machines)),
        )
        yield from done.iter_rows()
    except RayError as error:
        why = str(error).strip().rpartition("\n")[2][:300]
        raise ClusterError(f"Ray: {why}; what is done is kept, and the same command goes on from there") from error
    finally:
        ray.shutdown()


def _start(address: str | None):
    """Connect to a cluster, or make one of this machine; the ray module."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # nothing is reported to anybody
    try:
        import ray
    except ImportError:
        raise ClusterError("Ray needs `pip install -r requirements-scale.txt`") from None
    options: dict[str, Any] = {"address": "local", "include_dashboard": False}
    if address:  # its machines need what requirements-scale.txt names, and get this package from here
        options = {"address": address, "runtime_env": {"py_modules": [str(PACKAGE)]}}
    try:
        if address and address != "auto":  # Ray itself waits for minutes
            host, _, port = address.removeprefix("ray://").rpartition(":")
            if not port.isdecimal():
                raise ClusterError(f"'{address}' is no address of a Ray cluster: give HOST:PORT, or auto")
            socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
        ray.init(log_to_driver=False, logging_level=logging.ERROR, **options)
    except (OSError, RuntimeError, ValueError) as error:
        raise ClusterError(f"no Ray cluster at {address} ({reason(error)}); `ray start --head` starts one") from error
    return ray


class Worker:
    """What one actor does: a part in, its shard on disk, a row about it out."""

    def __init__(self, out: str, embedder: Embedder, dim: int | None):
        self.files, self.root = file_system(out)
        self.embedder, self.dim = embedder, dim

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, list]:
        """For Ray Data."""
        return {"number": [self.write(pickle.loads(shard)) for shard in batch["part"]]}

    def write(self, shard: Shard) -> int:
        """Embed a part and write its shard; the part's number."""
        import pyarrow as pa
        from pyarrow import parquet

        found = list(self._outcomes(shard))
        embedded = [one for one in found if isinstance(one, Embedded)]
        refused = [one for one in found if isinstance(one, Skipped)]
        features = np.array([one.features for one in embedded], np.float16)
        if not embedded:
            features = np.zeros((0, self.embedder.backbone.feature_dim), np.float16)
        kept = self.embedder.neck.embed(features, self.dim) if self.dim else features
        array, table = io.BytesIO(), io.BytesIO()
        np.save(array, kept)
        columns: dict[str, Any] = {
            "image_path": [one.item.uri for one in embedded], "path": [one.item.path for one in embedded],
            "label": [one.item.label for one in embedded], "domain": [one.item.domain for one in embedded],
            "split": [one.item.split for one in embedded], "sha256": [one.sha256 for one in embedded],
            "width": [one.width for one in embedded], "height": [one.height for one in embedded],
            "bytes": [one.bytes for one in embedded], "thumbnail": [one.thumbnail for one in embedded],
        }  # fmt: skip
        texts: dict[str, Any] = dict.fromkeys(("image_path", "path", "label", "domain", "split", "sha256"), pa.string())
        further = [_with_said(entry) for entry in embedded]
        if any(labels.extra for labels in further):
            columns["extra"] = [labels.row[3] for labels in further]
            texts["extra"] = pa.string()
        types = texts | dict.fromkeys(("width", "height", "bytes"), pa.int64()) | {"thumbnail": pa.binary()}
        parquet.write_table(pa.table(columns, pa.schema(types)), table)
        summary = {"images": len(embedded), "refused": [[one.path, one.reason] for one in refused]}
        _put(self.files, f"{self.root}/{_refusals(shard.number)}", json.dumps(summary).encode())
        _put(self.files, f"{self.root}/img_emb/img_emb_{shard.number:05d}.npy", array.getvalue())
        _put(self.files, f"{self.root}/metadata/metadata_{shard.number:05d}.parquet", table.getvalue())
        return shard.number

    def _outcomes(self, shard: Shard) -> Iterator[Embedded | Skipped]:
        """As indexing does it: threads decode while others infer; in the part's order."""
        engine = self.embedder.engine
        pending: deque = deque()
        with ThreadPoolExecutor(engine.workers) as pool:
            for found in shard:
                if isinstance(found, Skipped):
                    pending.append([found])
                else:
                    pending.append(pool.submit(embed_items, self.embedder, [found], set()))
                while len(pending) > WINDOW:
                    yield from _outcome(pending.popleft())
            while pending:
                yield from _outcome(pending.popleft())


def _with_said(entry: Embedded) -> Labels:
    """What the source says of an image, and what its file says beside that."""
    labels = entry.item.labels
    for column, text in entry.said.columns.items() if entry.said else ():
        labels = labels.with_further(column, text)
    return labels


def _outcome(waited) -> list[Embedded | Skipped]:
    return waited if isinstance(waited, list) else waited.result()
