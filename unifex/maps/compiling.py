"""UMAP is compiled while nobody waits: numba takes ten to twenty seconds, once a machine, and keeps what it made."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np

from unifex.core.text import reason
from unifex.gallery.gallery import GalleryError
from unifex.gallery.neighbours import NEIGHBOURS, Neighbours
from unifex.maps.projection import UmapWorker, compiled_folder

POINTS = 64
log = logging.getLogger("unifex")


def compile_ahead(stopped: Callable[[], bool]) -> bool:
    """Have UMAP compiled, at the lowest priority, where it is not yet; False when ``stopped()`` ended it."""
    folder = compiled_folder()
    if folder is None or _mark(folder).exists():
        return True
    start = np.random.default_rng(0).standard_normal((POINTS, 2)).astype(np.float32)
    distance = np.linalg.norm(start[:, None] - start, axis=2) + np.diag(np.full(POINTS, np.inf))
    nearest = np.argsort(distance, axis=1)[:, :NEIGHBOURS]
    near = Neighbours(1 - np.take_along_axis(distance, nearest, 1).astype(np.float32), nearest)
    with UmapWorker(in_background=True) as worker, contextlib.closing(worker.fit(near, start)) as fitting:
        try:
            for _ in fitting:
                if stopped():
                    return False
            _mark(folder).touch()
        except (GalleryError, OSError) as error:  # the first map will say so, to somebody who wants one
            log.info("UMAP was not compiled ahead: %s", reason(error))
    return True


def _mark(folder: Path) -> Path:
    return folder / f"umap-{version('umap-learn')}-numba-{version('numba')}"
