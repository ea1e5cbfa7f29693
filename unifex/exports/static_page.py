"""Pictures as one HTML file that can be mailed: items, hits, near-copies. Nothing in it is loaded or run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from unifex.core import images
from unifex.core.files import ready, whole_file
from unifex.core.language import say, to_say
from unifex.core.progress import Stage, Work
from unifex.core.templates import stream
from unifex.core.text import plural
from unifex.core.thumbnails import THUMBNAIL_SIZE, data_uri, thumbnail
from unifex.exports.format import Format
from unifex.exports.selection import Selection, Tally
from unifex.exports.targets import Target
from unifex.gallery.copy_groups import CopyGroup
from unifex.gallery.duplicates import LEVELS
from unifex.gallery.gallery import Gallery
from unifex.gallery.records import Record
from unifex.retrieval.hits import SearchResult
from unifex.retrieval.query import Query


@dataclass(frozen=True)
class Card:
    """A picture (as an ``src``; empty where it is lost) with a name, a line below it, and a ``badge`` in its corner."""

    picture: str
    name: str
    line: str
    badge: str = ""


@dataclass(frozen=True)
class Section:
    """Pictures under a title. ``cards`` makes them when their turn comes, so that few are in memory at once."""

    title: str
    note: str
    cards: Callable[[], Iterable[Card]]


def card_of(gallery: Gallery, record: Record, badge: str = "", line: str = "") -> Card:
    """An item of a gallery; ``line`` in place of its path."""
    data = gallery.thumbnail(record.sha256)
    return Card(data_uri(data) if data else "", record.name, line or record.path, badge)


def write(selection: Selection, target: Target, tally: Tally) -> Work[None]:
    """The items of a selection; some hundred in memory."""

    def cards() -> Iterator[Card]:
        for records in selection.batches():
            for record in records:
                tally.items += 1
                yield card_of(selection.gallery, record)

    note = plural(len(selection), "image", "images")
    with target.open("items.html") as file:
        for piece in _pieces(selection.gallery.name, note, [Section("", "", cards)]):
            file.write(piece.encode())
            yield tally.step()


def write_page(out: Path, title: str, note: str, sections: Sequence[Section]) -> Work[None]:
    """A page with these sections, which is whole or as it was before. Raises OSError."""
    stage, done = Stage(to_say("writing the page"), len(sections), to_say("sections")), 0

    def counted() -> Iterator[Section]:
        nonlocal done
        for section in sections:
            yield section
            done += 1

    ready(out)
    with whole_file(out) as unfinished, unfinished.open("wb") as file:
        for piece in _pieces(title, note, counted()):
            file.write(piece.encode())
            yield stage.at(done)


def _pieces(title: str, note: str, sections: Iterable[Section]) -> Iterator[str]:
    return stream("static_page.html", title=title, note=note, sections=sections)


def hits_section(gallery: Gallery, name: str, query: Query, result: SearchResult) -> Section:
    """What a search found, best first, behind what was searched with."""

    def cards() -> Iterator[Card]:
        for image in query.images:
            if isinstance(image, Path):
                small = thumbnail(images.decode(image.read_bytes(), at_least=THUMBNAIL_SIZE).image)
                yield Card(data_uri(small), image.name, "", say("query"))
        for record in gallery.records(query.items):
            yield card_of(gallery, record, say("query"))
        for hit in result.hits:
            yield card_of(gallery, hit.record, f"{hit.score:.3f}")

    hits = plural(len(result.hits), "hit", "hits")
    note = say("{hits} in {count:,} items", hits=hits, count=result.searched)
    parts = "; ".join(map(str, query.regions))
    note += say(", with the part {parts}", parts=parts) if parts else ""
    stranger = say("probably not in this gallery: nothing is alike enough") if result.out_of_gallery else ""
    return Section(name, " · ".join(filter(None, [note, stranger])), cards)


def copies_section(gallery: Gallery, number: int, group: CopyGroup) -> Section:
    """A group of near-copies, the one worth keeping first."""

    def cards() -> Iterator[Card]:
        yield card_of(gallery, group.kept, say("keep"), _told(group.kept))
        for copy in group.others:
            yield card_of(gallery, copy.record, say(LEVELS[copy.level]).split(":")[0], _told(copy.record))

    return Section(f"{number}", plural(1 + len(group.others), "image", "images"), cards)


def _told(record: Record) -> str:
    return f"{record.path} · {record.width} x {record.height}"


FORMAT = Format(
    "html",
    to_say("Page (HTML)"),
    to_say("one page with thumbnails that opens in any browser and can be mailed"),
    write,
    ".html",
    offered=True,
)
