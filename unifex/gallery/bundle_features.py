"""The features of a gallery in the bundle that it travels in."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from unifex.core.language import say
from unifex.core.vectors import are_finite_halves
from unifex.gallery.errors import GalleryError
from unifex.gallery.gallery import Gallery


def shard_to_pack(gallery: Gallery, shard: int, scratch: Path) -> Path:
    """A shard's file, checked, as ``unpack`` takes it: what is not finite and no item's any more is zero in a copy.

    Raises :class:`GalleryError` where an item's features are not, as earlier versions kept them.
    """
    features = gallery.database.load_shard(shard)
    bad = np.flatnonzero(~are_finite_halves(features))
    if not len(bad):
        return gallery.database.shard_path(shard)
    with gallery.database.connect() as database:
        rows = database.execute("SELECT row, path FROM features JOIN items USING (sha256) WHERE shard = ?", (shard,))
        if of := [path for row, path in rows if row in set(bad.tolist())]:
            raise GalleryError(
                say(
                    "gallery '{name}' cannot be packed: its model made no finite numbers of '{path}' (and of {others} "
                    "others); remove such pictures, or index with another model",
                    name=gallery.name,
                    path=of[0],
                    others=len(of) - 1,
                )
            )
    copy = np.array(features)
    copy[bad] = 0
    np.save(scratch / f"{shard:05d}.npy", copy)
    return scratch / f"{shard:05d}.npy"
