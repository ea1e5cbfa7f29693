"""What a gallery is called that somebody makes of a source without giving it a name."""

from __future__ import annotations

import itertools
import os
import re
from pathlib import Path

from unifex.core.system import MAX_NAME
from unifex.data import locations
from unifex.gallery.gallery import Gallery, GalleryError
from unifex.gallery.library import Library, check_name

_ENDING = re.compile(r"\.[A-Za-z]\w*")  # of a file; "2021.07" has none


def name_for(source: str) -> str:
    """The folder's or file's own name, as far as it is allowed."""
    path = Path(source.rstrip("/"))
    is_file = not os.path.isdir(source) and _ENDING.fullmatch(path.suffix)
    own = (path.stem if is_file else path.name) or source
    cleaned = "".join(char if char.isalnum() or char in " ._-" else "-" for char in own).strip(" .-_")
    try:
        return check_name(_cut(cleaned, MAX_NAME).strip(" .-_"))
    except GalleryError:
        return "gallery"


def gallery_of(library: Library, source: str) -> str:
    """The gallery that was made of a source, under :func:`name_for` or with a number behind that; else a name that is
    free: two folders of one name are two galleries, unless somebody says that they are one."""
    name, known = name_for(source), set(library.names())

    def suits(gallery: Gallery) -> bool:
        sources = [one.spec for one in gallery.sources()]
        return locations.known_as(source, sources) in sources or not (sources or gallery.database.has_items())

    numbered = (f"{_cut(name, MAX_NAME - len(ending))}{ending}" for ending in (f" {n}" for n in itertools.count(2)))
    candidates = itertools.chain((name,), numbered)
    return next(one for one in candidates if one not in known or library.ask(one, suits) is True)


def _cut(text: str, most: int) -> str:
    return text.encode()[:most].decode(errors="ignore")
