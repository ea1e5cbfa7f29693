"""The map of a gallery: every item a point, alike items close (UMAP: McInnes, Healy, Melville 2018).

The neighbours are the nearest of those that are kept with the gallery, the start is the first two principal axes, and
the seed is fixed: the same gallery gives the same map. Items added later, and queries, are placed at the weighted mean
of their neighbours' coordinates, without fitting again.
"""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unifex.core import derived, disk
from unifex.core.arrays import positions_of
from unifex.core.assets import PACKAGE
from unifex.core.language import say, to_say
from unifex.core.progress import Stage, Work
from unifex.core.text import plural
from unifex.evaluation.compare import BASELINES, embed_as
from unifex.gallery import neighbours
from unifex.gallery.gallery import Gallery, GalleryError
from unifex.gallery.neighbours import SEARCHED_AT_ONCE, Neighbours
from unifex.gallery.snapshot import ItemTable, Snapshot
from unifex.maps.umap_worker import DONE
from unifex.models.embedder import Embedder
from unifex.models.graphs import cache_directory
from unifex.vector_index import index_types
from unifex.vector_index.exact import VectorIndex
from unifex.vector_index.matches import Exclusion

SEED = 0
FEWEST = 4
MANY = 5_000
# (neighbours, epochs). Of many items fewer neighbours are enough: on m4d-mini's 5,229 images as trustworthy as 15 and
# 200 (0.963), nearer to the labels (0.592 of five neighbours share it, 0.574 then), and 1.7 times as fast.
EFFORT, EFFORT_OF_MANY = (neighbours.NEIGHBOURS, 400), (9, 150)
START_SPREAD = 10.0
PLACED_BY = 5  # neighbours that say where a point without a place goes
POLL_SECONDS = 0.3
LOWEST = 19  # priority of a process


@dataclass(frozen=True)
class Map:
    """``coords`` float32 [N, 2] of the items with these ids int64 [N]; ``placed``: how many came after the fit."""

    ids: np.ndarray
    coords: np.ndarray
    model: str
    placed: int = 0


def project(
    gallery: Gallery,
    model: str = "",
    refresh: bool = False,
    current: Snapshot | None = None,
    worker: UmapWorker | None = None,
) -> Work[Map]:
    """The map of a gallery by its own model or by the name of a baseline or another model.

    Fitted once and kept; ``refresh`` fits it again. ``current``: of the items in this snapshot; ``worker``: which has
    begun, and goes on. Another model's map starts from the gallery's own, so that both have one orientation. Equal
    images lie in one point. Closing the generator ends the work. Raises :class:`GalleryError` for fewer than four
    different images.
    """
    own = not model or model == gallery.config.model
    model = gallery.config.model if own else model
    current = gallery.snapshot() if current is None else current
    groups = neighbours.same_image(current.columns.pictures, current.embeddings)
    if len(groups.first) < FEWEST:
        copies = len(current) - len(groups.first)
        and_copies = say("{count}, and {copies}", count=len(groups.first), copies=plural(copies, "copy"))
        raise GalleryError(
            say(
                "a map needs {fewest} different images, gallery '{name}' has {has}; add others",
                fewest=FEWEST,
                name=gallery.name,
                has=and_copies if copies else len(groups.first),
            )
        )
    if own:
        index, fingerprint = current.index, gallery.model_key
    else:
        embeddings = embed_as(gallery, current.columns, model, gallery.config.dim, np.arange(len(current)))
        if embeddings is None:
            raise GalleryError(_no_embedding(gallery, model))
        index, fingerprint = index_types.build(embeddings), _key_of(gallery, model)
    kept = None if refresh else _read(gallery, fingerprint, current.columns, model)
    if kept and (found := _with_newcomers(kept, current.columns, index)):
        return found
    with contextlib.nullcontext(worker) if worker else UmapWorker() as worker:
        worker.start()
        near = (yield from gallery.find_neighbours(current)) if own else None
        if near is None:
            near = yield from neighbours.find(index, current.columns.pictures)
        near = yield from neighbours.between(near, groups, index.embeddings)
        start = principal_coords(index.embeddings[groups.first])
        if not own:
            first = yield from project(gallery, current=current, worker=worker)
            start = first.coords[groups.first] / max(np.abs(first.coords).max(), 1e-12) * START_SPREAD
        coords = (yield from worker.fit(near, start))[groups.of]
    if not own:
        coords = aligned(coords, first.coords)
    found = Map(current.columns.ids, coords, model)
    _keep(gallery, fingerprint, current.columns, found)
    return found


def kept_map(gallery: Gallery) -> Map | None:
    """The map of the gallery by its own model as it is kept, with what came since, where that is not too much."""
    current = gallery.snapshot()
    kept = _read(gallery, gallery.model_key, current.columns, gallery.config.model)
    return _with_newcomers(kept, current.columns, current.index) if kept else None


def _key_of(gallery: Gallery, model: str) -> str:
    """What another model's embeddings depend on, but for the images. A baseline that is fitted to these has one map
    none the less: items that come are placed on it, and do not arrange it anew."""
    neck = model if model in BASELINES else Embedder.load(model, models=gallery.models).neck.hash
    return derived.digest(f"{neck} {gallery.config.backbone_hash} {gallery.config.dim}".encode())[:16]


def _map_path(gallery: Gallery, fingerprint: str) -> Path:
    return gallery.folder / "maps" / f"{fingerprint}.npz"


def _read(gallery: Gallery, fingerprint: str, columns: ItemTable, model: str) -> Map | None:
    """The kept map of the gallery that has these items now."""
    stored = derived.read_arrays(_map_path(gallery, fingerprint), gallery.origin("map", fingerprint))
    if stored is None or not derived.items_agree(stored["items"], columns.items):
        return None
    return Map(stored["items"]["id"], stored["places"], model)


def _keep(gallery: Gallery, fingerprint: str, columns: ItemTable, found: Map) -> None:
    path = _map_path(gallery, fingerprint)
    try:
        disk.make_folder(path.parent, within=gallery.folder)
        derived.write_arrays(path, gallery.origin("map", fingerprint), items=columns.items, places=found.coords)
    except OSError as error:
        gallery.derived.tell_not_kept(error)


def _with_newcomers(kept: Map, columns: ItemTable, index: VectorIndex) -> Map | None:
    """The kept map for the items there are now: those it lacks are placed, each where its image lies already, else by
    the nearest of those that are on it. None when too few are."""
    at = positions_of(kept.ids, columns.ids)
    known = at >= 0
    missing = np.flatnonzero(~known)
    if not len(missing):
        return Map(columns.ids, kept.coords[at], kept.model)
    if not known.any() or known.sum() < len(missing):
        return None
    coords = np.where(known[:, None], kept.coords[at], np.nan).astype(np.float32)
    for start in range(0, len(missing), SEARCHED_AT_ONCE):
        rows = missing[start : start + SEARCHED_AT_ONCE]
        near = index.search(index.embeddings[rows], PLACED_BY, Exclusion(known))
        for row, positions, scores in zip(rows, near.positions, near.scores, strict=True):
            there = positions >= 0
            coords[row] = interpolated(coords[positions[there]], scores[there])
    groups = neighbours.same_image(columns.pictures, index.embeddings)
    return Map(columns.ids, coords[groups.first[groups.of]], kept.model, len(missing))


def _no_embedding(gallery: Gallery, model: str) -> str:
    dim = gallery.config.dim
    if model in BASELINES and dim <= gallery.embedder.backbone.feature_dim:
        return say(
            "'{model}' needs more than {dim} images for {dim}-d embeddings, gallery '{name}' has {has}; add others",
            model=model,
            dim=dim,
            name=gallery.name,
            has=len(gallery),
        )
    return say("model '{model}' has no {dim}-d embedding to map", model=model, dim=dim)


def interpolated(coords: np.ndarray, similarities: np.ndarray) -> np.ndarray:
    """Where a point goes whose nearest items are at ``coords`` [k, 2]: their mean, weighted by similarity ** 8.

    Takes microseconds, where umap's own ``transform`` compiles and optimises for seconds.
    """
    nearest = np.argsort(-similarities, kind="stable")[:PLACED_BY]
    weights = np.maximum(similarities[nearest], 1e-3) ** 8
    return (weights[:, None] * coords[nearest]).sum(0) / weights.sum()


def principal_coords(embeddings: np.ndarray) -> np.ndarray:
    """Embeddings [N, d] on their first two principal axes, within +-10: float32 [N, 2]."""
    centred = embeddings - embeddings.mean(axis=0)
    _, axes = np.linalg.eigh((centred.T @ centred).astype(np.float64))
    axes = axes[:, :-3:-1] if axes.shape[1] > 1 else np.repeat(axes, 2, axis=1)
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(2)])
    found = centred @ axes
    rng = np.random.default_rng(SEED)  # equal points would never part
    found = found / max(np.abs(found).max(), 1e-12) * START_SPREAD + rng.normal(scale=1e-4, size=found.shape)
    return found.astype(np.float32)


def aligned(coords: np.ndarray, to: np.ndarray) -> np.ndarray:
    """``coords`` moved, turned, mirrored and scaled to lie as well as can be on ``to``, both [N, 2] (Procrustes)."""
    centre, target = coords - coords.mean(axis=0), to - to.mean(axis=0)
    left, strength, right = np.linalg.svd(centre.T @ target)
    scale = strength.sum() / max(float((centre**2).sum()), 1e-12)
    return (scale * centre @ left @ right + to.mean(axis=0)).astype(np.float32)


def moved_most(before: Map, after: Map) -> np.ndarray:
    """Positions of the 24 items that lie farthest from their old coordinates, farthest first."""
    return np.argsort(-np.linalg.norm(after.coords - before.coords, axis=1), kind="stable")[:24]


class UmapWorker:
    """UMAP in a process of its own, which can be started before there is work: to import UMAP takes seconds.

    ``in_background``: whatever else this computer does comes first.
    """

    def __init__(self, in_background: bool = False) -> None:
        self.priority = LOWEST if in_background else 0
        self._exit = contextlib.ExitStack()
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> UmapWorker:
        return self

    def __exit__(self, *error: object) -> None:
        self._exit.close()

    def start(self) -> subprocess.Popen[str]:
        """Have it import UMAP, if it has not begun."""
        if self._process:
            return self._process
        scratch = self._exit.enter_context(tempfile.TemporaryDirectory(prefix="unifex-map-"))
        self._folder = Path(scratch)
        with (self._folder / "log").open("w") as log:
            self._process = process = subprocess.Popen(
                [sys.executable, "-m", "unifex.maps.umap_worker", str(self._folder / "out.npy"), str(self.priority)],
                cwd=PACKAGE.parent,
                env=_environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                encoding="utf-8",
            )
        self._exit.callback(_end, process)
        return process

    def fit(self, near: Neighbours, start: np.ndarray) -> Work[np.ndarray]:
        """Have it fit what has these neighbours, from ``start`` float32 [N, 2]: float32 [N, 2].

        Raises :class:`GalleryError` with what it said when it died.
        """
        process = self.start()
        count, epochs = EFFORT if len(start) <= MANY else EFFORT_OF_MANY
        own, distances = _with_self(near, count)
        work = self._folder / "work.npz"
        np.savez(work, near=own, distances=distances, start=start, epochs=epochs, seed=SEED)
        with contextlib.suppress(BrokenPipeError):  # it died; the log says why
            print(work, file=process.stdin, flush=True)
        if not (yield from _following(process, epochs)):
            process.wait()
            said = (self._folder / "log").read_text("utf-8", errors="replace").strip().splitlines()[-1:]
            raise GalleryError(say("the map could not be made: {part}", part=said[0] if said else "UMAP was ended"))
        return np.load(self._folder / "out.npy")


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    if process.stdin:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()


def _environment() -> dict[str, str]:
    """The worker's: with a folder for what numba compiles, if there can be one; it is told paths as UTF-8 anywhere."""
    folder = compiled_folder()
    return {**os.environ, "PYTHONUTF8": "1"} | ({"NUMBA_CACHE_DIR": str(folder)} if folder else {})


def compiled_folder() -> Path | None:
    """Where what numba compiles is kept; None where nothing can be."""
    folder = cache_directory() / "numba"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder


def _with_self(near: Neighbours, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows as umap wants them: the item itself first, cosine distances; rows that are short repeat their last."""
    positions = np.column_stack([np.arange(len(near.positions)), near.positions[:, :count]])
    distances = np.column_stack([np.zeros(len(positions)), 1 - near.scores[:, :count]])
    width = int((positions >= 0).sum(1).max())
    positions, distances = positions[:, :width], distances[:, :width]
    for column in range(1, width):
        empty = positions[:, column] < 0
        positions[empty, column], distances[empty, column] = positions[empty, column - 1], distances[empty, column - 1]
    return positions, np.maximum(distances, 0).astype(np.float32)


def _following(process: subprocess.Popen, epochs: int) -> Work[bool]:
    """The worker's steps, which is silent while it compiles; whether it was done before it ended."""
    lines: queue.Queue[str | None] = queue.Queue()

    def read() -> None:
        for line in process.stdout or ():
            lines.put(line)
            if line.strip() == DONE:  # what comes next is of its next work
                return
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    stage = Stage(to_say("starting UMAP"))
    epoch = 0
    while True:
        try:
            line = lines.get(timeout=POLL_SECONDS)
        except queue.Empty:
            line = ""
        if line is None or line.strip() == DONE:
            return line is not None
        if line.strip().isdecimal() and int(line) > 0:
            stage = stage if epoch else Stage(to_say("arranging the map"), epochs, to_say("epochs"))
            epoch = int(line)
        yield stage.at(epoch)
