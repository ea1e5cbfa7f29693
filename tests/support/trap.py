"""A pickle that does something when it is opened, as a hostile one does: it makes a file."""

from __future__ import annotations

import pickle
from pathlib import Path


class _Trap:
    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def trap(sprung: Path) -> bytes:
    """The pickle; whoever opens it makes the file ``sprung``."""
    return pickle.dumps(_Trap(sprung))
