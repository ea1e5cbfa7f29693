"""One change of many items of a gallery, in steps, as long work."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from unifex.core.language import say, to_say
from unifex.core.progress import Stage, Work
from unifex.core.text import plural
from unifex.gallery import corrections
from unifex.gallery.gallery import Gallery
from unifex.gallery.writer import Writer

BATCH = 1000  # items of one transaction
Change = Callable[[Gallery, Writer, Sequence[int]], int]  # of items with these ids; how many there were


def changing(gallery: Gallery, ids: Sequence[int], change: Change, done: Callable[[str], str]) -> Work[str]:
    """Change the items with these ids; what is ``done``, told of so many images. Stopped, it keeps what it did."""
    stage, changed = Stage(to_say("changing"), len(ids), to_say("items")), 0
    with gallery.write() as writer:
        for start in range(0, len(ids), BATCH):
            yield stage.at(start)
            changed += change(gallery, writer, ids[start : start + BATCH])
    return done(plural(changed, "image", "images"))


def removing(gallery: Gallery, ids: Sequence[int]) -> Work[str]:
    """Remove the items with these ids; their files stay."""
    yield Stage(to_say("removing"), len(ids), to_say("items")).at(0)
    with gallery.write() as writer:
        removed = writer.remove(ids)
        gallery.derived.refresh()
    return say("{images} removed", images=plural(removed, "image", "images"))


def labelling(label: str) -> Change:
    """They have this label."""

    def change(gallery: Gallery, writer: Writer, ids: Sequence[int]) -> int:
        records = gallery.records(ids)
        writer.correct([corrections.relabel(record, label) for record in records])
        return len(records)

    return change


def leaving_out(gallery: Gallery, writer: Writer, ids: Sequence[int]) -> int:
    """They are not found any more."""
    records = gallery.records(ids)
    writer.correct(map(corrections.drop, records))
    return len(records)


def tagging(tags: Sequence[str]) -> Change:
    """They have these tags, too."""

    def change(gallery: Gallery, writer: Writer, ids: Sequence[int]) -> int:
        writer.tag(ids, tags)
        return len(gallery.records(ids))

    return change


def untagging(tags: Sequence[str]) -> Change:
    """They have these tags no more."""

    def change(gallery: Gallery, writer: Writer, ids: Sequence[int]) -> int:
        writer.untag(ids, tags)
        return len(gallery.records(ids))

    return change
