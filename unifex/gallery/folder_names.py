"""What a gallery or a model may be called: its folder is called so, on any system."""

from __future__ import annotations

import unicodedata

from unifex.core.language import say, to_say
from unifex.core.system import MAX_NAME, is_device, is_name
from unifex.gallery.errors import GalleryError
from unifex.models.embedder import MODELS

DEVICES = {"con", "prn", "aux", "nul"}  # of Windows, on any system: a library may go there
RESERVED = {MODELS, *DEVICES}


def check_name(name: str, what: str = to_say("gallery")) -> str:
    """``name`` as a folder may be called. Raises :class:`GalleryError` that says which names are allowed."""
    name = composed(name)
    if name.lower() == MODELS:
        raise GalleryError(say("'{name}' is what the folder of models is called; choose another name", name=name))
    if name.lower() in DEVICES or is_device(name):
        raise GalleryError(say("'{name}' is a name that Windows keeps for itself; choose another name", name=name))
    if not is_name(name):
        raise GalleryError(
            say(
                "'{name}' cannot name a {what}: use letters, digits, spaces and . _ - + ( ), start with a "
                "letter or digit, at most {most} bytes",
                name=name[:MAX_NAME],
                what=say(what),
                most=MAX_NAME,
            )
        )
    if name.endswith("."):
        raise GalleryError(say("a {what}'s name cannot end with a dot", what=say(what)))
    return name


def composed(name: str) -> str:
    """As it is spelt on most systems, without spaces around it."""
    return unicodedata.normalize("NFC", name.strip())
