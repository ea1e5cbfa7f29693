"""UniFEx: drop a folder of images and get a universal visual search engine.

    gallery = unifex.Gallery.open_or_create("indexes/holiday", unifex.Embedder.load())
    report = unifex.index(gallery, "photos/")
    result = unifex.search(gallery, "query.jpg", k=5)

The public names are below, and are imported when they are first used. docs/design.md shows the packages.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unifex.api import evaluate, index, search, train
    from unifex.gallery.gallery import Gallery
    from unifex.gallery.library import Library
    from unifex.models.embedder import Embedder

__version__ = "0.1.0"
__all__ = ["Embedder", "Gallery", "Library", "evaluate", "index", "search", "train"]

_HOMES = {
    "Embedder": "unifex.models.embedder",
    "Gallery": "unifex.gallery.gallery",
    "Library": "unifex.gallery.library",
    "evaluate": "unifex.api",
    "index": "unifex.api",
    "search": "unifex.api",
    "train": "unifex.api",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'unifex' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
