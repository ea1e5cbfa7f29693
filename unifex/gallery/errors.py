"""What can be wrong with a gallery."""

from __future__ import annotations

from unifex.core.errors import UnifexError
from unifex.core.language import say, to_say


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


class GalleryThere(GalleryError):
    """A gallery that was to be made is there, although it may not have been when that was looked at."""

    def __init__(self, name: str):
        super().__init__(
            say(
                "there is a gallery '{name}' already, or another process has made it meanwhile; choose another name",
                name=name,
            )
        )


def damaged(name: str, file: str, why: str = "") -> GalleryError:
    """What to say of a gallery with a file that is not what was written, whoever finds that out, and however."""
    if why:
        told = to_say("gallery '{name}': {file} is damaged ({reason}); index its images again under another name")
        return GalleryError(say(told, name=name, file=file, reason=why))
    return GalleryError(
        say("gallery '{name}': {file} is damaged; index its images again under another name", name=name, file=file)
    )


def unusable(name: str, file: str, why: str) -> GalleryError:
    """What to say of a file that may not be damaged, but cannot be used."""
    return GalleryError(say("gallery '{name}': {file}: {why}", name=name, file=file, why=why))


def strange(name: str, file: str, part: str) -> GalleryError:
    """What to say of a database with a part that no gallery's has."""
    told = say(
        "gallery '{name}': {file} holds a {part} that this program did not make: it is damaged, of a newer version "
        "(update UniFEx), or not to be trusted",
        name=name,
        file=file,
        part=part,
    )
    return GalleryError(told)


class NoSuchItem(GalleryError):
    """There is no item of this id, or none any more."""


class ItemsGone(UnifexError):
    """A writer has removed items while something was done with them."""

    def __init__(self, gallery: str):
        super().__init__(say("items of gallery '{gallery}' were removed meanwhile; do it again", gallery=gallery))
