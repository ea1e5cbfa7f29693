"""What a gallery is called that somebody makes of a source without naming it, or that had another name before."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Collection, Iterator
from pathlib import Path

from unifex.core.errors import UnifexError
from unifex.core.system import numbered
from unifex.data import locations
from unifex.data.sources import meant
from unifex.gallery import former_names
from unifex.gallery.config import GalleryConfig
from unifex.gallery.folder_names import check_name
from unifex.gallery.gallery import Gallery, GalleryError
from unifex.gallery.library import Broken, Library

_ENDING = re.compile(r"\.[A-Za-z]\w*")  # of a file; "2021.07" has none


def name_for(source: str) -> str:
    """The folder's or file's own name, as far as it is allowed."""
    source = meant(source)
    path = Path(source.rstrip("/"))
    is_file = not os.path.isdir(source) and _ENDING.fullmatch(path.suffix)
    own = (path.stem if is_file else path.name) or source
    cleaned = "".join(char if char.isalnum() or char in " ._-" else "-" for char in own).strip(" .-_")
    try:
        return check_name(next(numbered(cleaned)).strip(" .-_"))
    except GalleryError:
        return "gallery"


def free_name(library: Library, source: str) -> str:
    """:func:`name_for`, or that with a number behind it, whichever names no gallery yet."""
    *_, free = _with_numbers(name_for(source), library.names())
    return free


def gallery_of(library: Library, source: str) -> str:
    """The gallery that was made of a source, whatever it is called by now: under :func:`name_for`, with a number behind
    that, or, as earlier versions and people name them, otherwise. Else a name that is free: two folders of one name are
    two galleries, unless somebody says that they are one. One's own that cannot tell is not passed over in silence."""
    known = library.names()
    *taken, free = _with_numbers(name_for(source), known)

    def holds(gallery: Gallery) -> bool:
        sources = [one.spec for one in gallery.sources()]
        return locations.known_as(source, sources) in sources

    def is_empty(gallery: Gallery) -> bool:
        return not (gallery.sources() or gallery.database.has_items())

    others = sorted(set(known).difference(taken))
    if made := next((one for one in (*taken, *others) if library.ask(one, holds) is True), ""):
        return made
    told = ((one, library.ask(one, is_empty)) for one in taken)
    fits = (one for one, said in told if said is True or (isinstance(said, Broken) and library.may_change(one)))
    return next(fits, free)


def called_now(library: Library, name: str | None) -> str:
    """What the gallery is called that is, or was once, called so; empty where there is none."""
    if here := library.named(name):
        return here
    if name and (id := former_names.id_of(library.folder, name)):
        for own in sorted(library.own_names()):
            with contextlib.suppress(UnifexError, OSError):
                if GalleryConfig.read(library.folder / own).id == id:
                    return own
    return called_now(library.builtin, name) if library.builtin else ""


def _with_numbers(name: str, known: Collection[str]) -> Iterator[str]:
    """``name``, and with numbers behind it, up to the first that is free."""
    for one in numbered(name, " "):
        yield one
        if one not in known:
            return
