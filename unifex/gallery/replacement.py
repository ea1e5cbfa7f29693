"""Whether a file is still the one that was opened: backups are put back while the program runs."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


class Replacement:
    """Tells of a database whether another one lies in its place by now, which counts its commits otherwise."""

    def __init__(self, path: Path):
        self._path, self._went_back = path, False
        self._opened = self._identity()
        self.version = 0  # the last commit that anybody saw

    def saw(self, version: int, before: int) -> int:
        """Note which commit was the last, and return it; ``before``: :attr:`version` when that was asked for. Commits
        grow, where nobody copies an earlier state into the file."""
        self._went_back |= version < before
        self.version = version
        return version

    def has_happened(self) -> bool:
        """Whether what is remembered of the items by their ids may be of others."""
        return self._went_back or self._opened != self._identity()

    def _identity(self) -> tuple[int, int] | None:
        with contextlib.suppress(OSError):
            status = os.stat(self._path)
            return status.st_dev, status.st_ino
        return None
