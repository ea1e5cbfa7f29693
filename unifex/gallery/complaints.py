"""What a disk refuses of a gallery that can be made again or done later: a line of the log, and nothing fails."""

from __future__ import annotations

import logging

from unifex.core.text import reason

log = logging.getLogger("unifex")


class Complaints:
    """Of one gallery. A full disk is told once, whatever else has no room on it, until it has some again."""

    def __init__(self) -> None:
        self._told = ""

    def tell(self, gallery: str, what: str, error: Exception) -> None:
        """``what`` is so of the gallery, for this reason."""
        if self._told != (why := reason(error)):
            log.warning("gallery '%s'%s: %s", gallery, what, why)
        self._told = why

    def over(self) -> None:
        """There was room."""
        self._told = ""
