"""Galleries as tests make them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.support import drawing
from unifex.core.progress import finish
from unifex.gallery.bundle import Packed, pack, unpack
from unifex.gallery.gallery import Gallery
from unifex.gallery.index_report import IndexReport
from unifex.gallery.indexing import index
from unifex.gallery.library import Library
from unifex.models import neck
from unifex.models.embedder import Embedder, ModelConfig

BUNDLED = [  # models in the box
    "unifex-base", "unifex-base-2", "unifex-base-3", "unifex-lite", "unifex-lite-2", "unifex-lite-3", "unifex-lite-4",
]  # fmt: skip
QUERY = drawing.picture("signs/cross", 3)


def run_index(gallery: Gallery, source, **options) -> IndexReport:
    """Index to the end; the report."""
    return finish(index(gallery, source if not isinstance(source, Path) else str(source), **options))


def packed(gallery: Gallery, out: Path, images: bool = False, searches: Path | None = None) -> Packed:
    return finish(pack(gallery, out, images, searches))


def unpacked(file: Path, name: str, library: Library) -> Gallery:
    return finish(unpack(file, name, library))


def files(gallery: Gallery) -> set[str]:
    return {path.relative_to(gallery.folder).as_posix() for path in gallery.folder.rglob("*") if path.is_file()}


def assert_no_orphans(gallery: Gallery) -> None:
    """Every file belongs to a row, and every row has its file."""
    with gallery.database.connect() as database:
        shards = {f"features/{row[0]:05d}.npy" for row in database.execute("SELECT id FROM shards")}
        images = database.execute("SELECT sha256, COALESCE(original, '') FROM features").fetchall()
        used = {row[0] for row in database.execute("SELECT DISTINCT shard FROM features")}
    expected = shards | {f"thumbs/{sha[:2]}/{sha}.jpg" for sha, _ in images}
    expected |= {f"originals/{sha[:2]}/{name}" for sha, name in images if name}
    expected |= {"gallery.json", "items.sqlite", "items.json", "derived.json", ".lock"}
    expected |= {"embeddings.json", "embeddings.rows", "ids.rows", ".embeddings.lock"}
    assert files(gallery) == expected
    assert {f"features/{shard:05d}.npy" for shard in used} == shards


def make_model(embedder: Embedder, name: str, dims=(16, 64)) -> Embedder:
    rng = np.random.default_rng(1)
    weight = rng.standard_normal((dims[-1], embedder.backbone.feature_dim)).astype(np.float32)
    config = ModelConfig(name, "lite0", embedder.config.backbone_hash, "linear", dims, dims[-1])
    return Embedder(config, neck.Neck("linear", weight, np.zeros(dims[-1], np.float32), dims), embedder.backbone)
