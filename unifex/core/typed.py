"""Places as people type them."""

from __future__ import annotations

import os
from pathlib import Path


def typed_path(text: str) -> Path:
    """A path as it was typed, with ``~`` for one's home; a folder that is called ``~x`` where it is there is that."""
    return Path(text if os.path.lexists(text) else os.path.expanduser(text))
