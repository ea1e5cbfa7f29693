"""The table of formats: one that is added here is known to the command line and the page."""

from __future__ import annotations

from unifex.core.language import say
from unifex.core.text import what_there_is
from unifex.exports import (
    coco,
    csv_table,
    embedding_atlas,
    fiftyone,
    hub_dataset,
    image_files,
    image_folder,
    projector,
    static_page,
)
from unifex.exports.format import Format
from unifex.gallery.errors import GalleryError

FORMATS = {
    module.FORMAT.name: module.FORMAT
    for module in (
        csv_table, image_files, image_folder, hub_dataset, coco, fiftyone, embedding_atlas, projector, static_page,
    )
}  # fmt: skip


def offered() -> list[Format]:
    """Those that the page offers for chosen items."""
    return [format for format in FORMATS.values() if format.offered]


def format_named(name: str) -> Format:
    """The format of this name. Raises ``GalleryError`` where there is none."""
    if name not in FORMATS:
        raise GalleryError(say("no format '{name}'; {there}", name=name, there=what_there_is(FORMATS, name)))
    return FORMATS[name]
