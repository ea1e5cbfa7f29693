"""What a gallery or a model may be called: its folder is called so, on any system."""

from __future__ import annotations

import unicodedata

from unifex.core.language import say, to_say
from unifex.core.system import MAX_NAME, is_device, is_name
from unifex.gallery.errors import GalleryError
from unifex.models.embedder import MODELS

RESERVED = {MODELS, "con", "prn", "aux", "nul"}


def check_name(name: str, what: str = to_say("gallery")) -> str:
    """``name`` as a folder may be called. Raises :class:`GalleryError` that says which names are allowed."""
    name = composed(name)
    if not is_name(name) or name.lower() in RESERVED:
        raise GalleryError(
            say(
                "'{name}' cannot name a {what}: use letters, digits, spaces and . _ - + ( ), start with a "
                "letter or digit, at most {most} bytes",
                name=name[:MAX_NAME],
                what=say(what),
                most=MAX_NAME,
            )
        )
    if is_device(name):
        raise GalleryError(say("'{name}' is a name that Windows keeps for itself; choose another name", name=name))
    if name.endswith("."):
        raise GalleryError(say("a {what}'s name cannot end with a dot", what=say(what)))
    return name


def composed(name: str) -> str:
    """As it is spelt on most systems, without spaces around it."""
    return unicodedata.normalize("NFC", name.strip())
