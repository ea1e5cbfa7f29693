"""The table of sources: what images can come from, how each is written, and what opens it.

A source is an iterable that can be walked several times, always in the same order (:class:`unifex.data.item.Source`).
Another kind is a file of its own with its :class:`SourceKind`, and its line in :data:`SOURCES`.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.request import url2pathname

from unifex.core.language import say
from unifex.core.text import either, printable
from unifex.core.typed import typed_path
from unifex.data import archive, demo, folder, hub_dataset, public_sets, store_tree
from unifex.data.item import Item, Options, Skipped, Source, SourceError, SourceKind
from unifex.data.video import beginnings

SOURCES: tuple[SourceKind, ...] = (  # the first that takes a spec opens it
    folder.FOLDER,
    folder.TABLE,
    folder.LABELS,
    folder.IMAGE,
    archive.ARCHIVE,
    store_tree.STORE,
    hub_dataset.HUB,
    public_sets.PUBLIC_SETS,
    demo.DEMO,
)
_FILE = re.compile(r"file://(localhost)?(?=/)", re.IGNORECASE)
MAX_REASONS = 3
MOST_LOOKED_AT = 20_000  # for the first image: who asks is waiting


def forms() -> str:
    """How each source is written, in one line."""
    return either([kind.form for kind in SOURCES if kind.form])


def names() -> str:
    """What can be given, for a sentence: ``a folder, a .csv, ... or m4d:DIR``."""
    return either([say(kind.name) for kind in SOURCES if kind.form])


def meant(typed: str) -> str:
    """A source as it is to be opened, which people paste as file managers copy it: in quotation marks, or as
    ``file://``. What is there as it was typed is meant as it is."""
    text = typed.strip()
    if not text or os.path.lexists(os.path.expanduser(typed)):
        return typed if text else ""
    if text[0] in "\"'" and text[0] == text[-1] and len(text) > 2:
        text = text[1:-1]
    if local := _FILE.match(text):
        text = url2pathname(text[local.end() :])
    return text


def open_source(spec: str, options: Options = Options()) -> Source:
    """Open what one of :data:`SOURCES` takes. Raises :class:`SourceError`."""
    spec = meant(spec)
    if not spec:
        raise SourceError(say("nothing is named: give {names}", names=names()))
    for kind in SOURCES:
        if kind.prefix and spec.lower().startswith(kind.prefix):
            if options.exclude and not kind.has_files:
                raise SourceError(
                    say("'{spec}' has no files to exclude; exclude is for folders, archives and CSV files", spec=spec)
                )
            return kind.open(spec, options)
    return _open_path(typed_path(spec), options)


def is_called_a_file(path: Path) -> bool:
    """Whether a path, at which nothing may be now, has the name of a file that is a source."""
    return any(not kind.prefix and kind.takes(path) for kind in SOURCES)


def _open_path(path: Path, options: Options) -> Source:
    name = printable(path.name or str(path))
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise SourceError(
            say("the path of '{name}' is not UTF-8, so no gallery can remember it; rename it", name=name)
        ) from error
    if not path.exists():
        raise SourceError(say("'{path}' does not exist; give {names}", path=path, names=names()))
    if not (path.is_dir() or path.is_file()):  # a pipe or a device may never come to its end
        raise SourceError(say("'{name}' is neither a folder nor a file; give {names}", name=name, names=names()))
    kind = next((kind for kind in SOURCES if not kind.prefix and kind.takes(path)), None)
    if kind is None:
        raise SourceError(say("'{name}' is no source of images; give {names}", name=name, names=names()))
    return kind.open(str(path), options)


def require_items(source: Source) -> None:
    """Raises :class:`SourceError` that says what is there instead, when a source has not one image to offer.

    To be asked before a gallery is made for it. Where very much comes before the first image, that is found out while
    it is indexed.
    """
    skipped: list[Skipped] = []
    count = 0
    for entry in beginnings(source):
        if isinstance(entry, Item):
            return
        count += 1
        if count > MOST_LOOKED_AT:
            return
        if len(skipped) < MAX_REASONS:
            skipped.append(entry)
    name = say("the upload") if source.options.keep else f"'{printable(source.spec)}'"
    if not count:
        raise SourceError(say("{name} is empty; give a folder, a .zip or a .csv with images in it", name=name))
    what = "; ".join(f"{entry.path}: {entry.reason}" for entry in skipped)
    more = say("; and {count:,} more", count=count - len(skipped)) if count > len(skipped) else ""
    raise SourceError(
        say(
            "{name} has no image that could be indexed ({what}{more}); give one with images in it",
            name=name,
            what=what,
            more=more,
        )
    )
