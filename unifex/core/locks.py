"""Locks that processes hold: of whoever has one, no other has it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from filelock import FileLock


def lock_in_folder(path: Path, timeout: float = -1) -> FileLock:
    """A lock at ``path``, to be waited for ``timeout`` seconds; as long as it takes when -1.

    Raises FileNotFoundError when its folder is not there: FileLock would make it, and what was deleted would be back.
    """
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    return FileLock(path, timeout=timeout)
