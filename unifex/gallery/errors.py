"""What can be wrong with a gallery."""

from __future__ import annotations

from unifex.core.errors import UnifexError


class GalleryError(UnifexError):
    """A gallery that is missing, busy, damaged or of another model; the message names the remedy."""


class GalleryBusy(GalleryError):
    """Somebody else is writing the gallery."""


class ItemsGone(UnifexError):
    """A writer has removed items while something was done with them."""

    def __init__(self, gallery: str):
        super().__init__(f"items of gallery '{gallery}' were removed meanwhile; do it again")
