"""UniFEx: drop a folder of images and get a universal visual search engine.

The public names, imported on first use so that ``import unifex`` costs nothing::

    from unifex import Embedder, Gallery, index, search
"""

import importlib

__version__ = "0.1.0"

_HOMES = {
    "Embedder": "unifex.embedder",
    "Gallery": "unifex.gallery",
    "index": "unifex.indexing",
    "search": "unifex.search",
}

__all__ = ["Embedder", "Gallery", "index", "search"]


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module 'unifex' has no attribute '{name}'; it has {', '.join(__all__)}")
    return getattr(importlib.import_module(_HOMES[name]), name)
