"""A gallery of some items of another: features and pictures are copied, and nothing is embedded again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

from unifex.core.language import say, to_say
from unifex.core.metadata import FileMetadata, columns_of_row
from unifex.core.progress import Stage, Work
from unifex.data.item import Item, Labels
from unifex.gallery import tags
from unifex.gallery.config import GalleryConfig
from unifex.gallery.errors import GalleryError
from unifex.gallery.gallery import Gallery, make_files, new_gallery
from unifex.gallery.library import Library
from unifex.gallery.records import Embedded, Record
from unifex.gallery.writer import Writer
from unifex.models.embedder import keep_model

BATCH = 500  # items that are copied at once
Labelling = Callable[[Record], Labels]  # of a picked item


def as_it_is(record: Record) -> Labels:
    """What it is in the gallery that it comes from, corrections included."""
    return record.labels


def pick(
    gallery: Gallery,
    ids: Sequence[int],
    name: str,
    library: Library,
    labels: Labelling = as_it_is,
) -> Work[Gallery]:
    """Make the gallery ``name`` of the items with these ids, with their tags, in their order.

    ``labels``: what each is to be in it. Its images are found where they were. Nothing is left of one that was stopped.
    Raises ``GalleryError`` for a name that is taken, and where none of the items is there any more.
    """
    folder = library.place(name)
    if folder.name in library.names() or folder.exists():
        raise GalleryError(say("there is a gallery '{name}' already; choose another name", name=folder.name))
    library.sweep()
    stage = Stage(to_say("copying"), len(ids), to_say("items"))
    config = GalleryConfig.new(gallery.embedder, gallery.config.dim)
    keep_model(gallery.embedder, library.models)
    with new_gallery(folder) as unfinished:
        make_files(unfinished, config)
        made = Gallery(unfinished, config, gallery.embedder)
        with made.write() as writer:
            source, known = writer.begin_source(f"picked:{gallery.name}", keep=False), set[str]()
            for start in range(0, len(ids), BATCH):
                yield stage.at(start)
                _copy(gallery, gallery.records(ids[start : start + BATCH]), made, writer, source, labels, known)
            writer.finish_source(source)
            writer.tidy()
        if not len(made):
            raise GalleryError(say("none of the chosen items is in '{name}' any more", name=gallery.name))
    return library.get(folder.name)


def _copy(
    gallery: Gallery,
    records: Sequence[Record],
    made: Gallery,
    writer: Writer,
    source: int,
    labels: Labelling,
    known: set[str],
) -> None:
    """``known``: hashes of the images that have been copied; these are added."""
    features = gallery.features([record.sha256 for record in records])
    found = _found_in(gallery, records)
    writer.commit(
        source,
        [
            Embedded(
                Item(record.uri, record.path, lambda: b"", labels(record), stamp=stamp, keep=bool(record.original)),
                record.sha256, record.width, record.height, record.bytes,
                None if record.sha256 in known else row, gallery.thumbnail(record.sha256),
                *_kept(gallery, record), said,
            )
            for record, row, (stamp, said) in zip(records, features, found)
        ],
    )  # fmt: skip
    known.update(record.sha256 for record in records)
    new = made.find([record.uri for record in records], by=["uri"])
    alike = defaultdict(list)  # a change for each item would be a wait for the disk each
    for record, (_, said) in zip(records, found):
        taken_away = frozenset(said.keywords if said else ()).difference(record.tags)
        alike[record.tags, taken_away] += new[record.uri]
    for (tagged, taken_away), ids in alike.items():
        if taken_away:
            writer.untag(ids, [*taken_away])
        if tagged:
            writer.copy_tags(ids, tagged)


def _found_in(gallery: Gallery, records: Sequence[Record]) -> list[tuple[str, FileMetadata | None]]:
    """The stamp of each file, and what it says where somebody looked, so that it is known as well as it was."""
    query = "SELECT stamp, taken, metadata, keywords FROM items JOIN features USING (sha256) WHERE id = ?"
    with gallery.database.connect() as database:
        rows = [database.execute(query, (record.id,)).fetchone() or ("", None, None, None) for record in records]
    return [
        (stamp, None if others is None else FileMetadata(columns_of_row(taken, others), tags.of_row(keywords or "")))
        for stamp, taken, others, keywords in rows
    ]


def _kept(gallery: Gallery, record: Record) -> tuple[bytes, str]:
    """The bytes that the gallery keeps of an image, and how their file's name ends; none of one that lies elsewhere."""
    if not record.original:
        return b"", ""
    return gallery.original(record), record.original.removeprefix(record.sha256)
