"""What can be wrong with a gallery."""

from __future__ import annotations

from pathlib import Path

from unifex.core.errors import UnifexError
from unifex.core.language import say


class GalleryError(UnifexError):
    """A gallery that is missing, busy, damaged or of another model; the message names the remedy."""


class GalleryBusy(GalleryError):
    """Somebody else is writing the gallery."""


class NoSuchGallery(GalleryError):
    """There is no gallery of this name, or none any more."""

    @classmethod
    def any_more(cls, name: str) -> NoSuchGallery:
        """Of one that was there when it was opened."""
        return cls(
            say(
                "gallery '{name}' is not there any more: deleted or renamed meanwhile; choose it again",
                name=name,
            )
        )


def lost(name: str, file: str) -> GalleryError:
    """What to say of a gallery without one of its files. The same command under another name is what helps: what is
    left in its folder is nothing that could be added to."""
    return GalleryError(
        say(
            "gallery '{name}' has lost its {file}; index its images again under another name, or delete its folder and "
            "index them again",
            name=name,
            file=file,
        )
    )


class NotWritable(GalleryError):
    """The system lets nobody write here; what is there can be read."""

    @classmethod
    def at(cls, folder: Path, error: OSError) -> NotWritable:
        """What to say of a folder."""
        return cls(
            say(
                "nothing can be written in '{folder}' ({reason}): ask for the right to, or name a folder of galleries "
                "where you may write (--library, UNIFEX_LIBRARY)",
                folder="/".join(folder.absolute().parts[-2:]),
                reason=error.strerror,
            )
        )


def damaged(name: str, file: str) -> GalleryError:
    """What to say of a gallery with a file that is not what was written, whoever finds that out, and however."""
    return GalleryError(
        say("gallery '{name}': {file} is damaged; index its images again under another name", name=name, file=file)
    )


class NoSuchItem(GalleryError):
    """There is no item of this id, or none any more."""


class ItemsGone(UnifexError):
    """A writer has removed items while something was done with them."""

    def __init__(self, gallery: str):
        super().__init__(say("items of gallery '{gallery}' were removed meanwhile; do it again", gallery=gallery))
