"""One change of many items of a gallery, in steps, as long work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from unifex.core.language import say, to_say
from unifex.core.progress import Stage, Work
from unifex.core.text import plural
from unifex.gallery import corrections, followed
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


@dataclass(frozen=True)
class Removed:
    """How many items were removed, and how many left out, since the gallery follows their folder."""

    removed: int
    left_out: int

    @property
    def sentence(self) -> str:
        """For people."""
        removed = say("{images} removed", images=plural(self.removed, "image", "images"))
        if not self.left_out:
            return removed
        images = plural(self.left_out, "image", "images")
        left_out = say(
            "{images} left out: the gallery follows its folder, which would bring back what is removed", images=images
        )
        return f"{removed}, {left_out}" if self.removed else left_out


def remove(gallery: Gallery, writer: Writer, ids: Sequence[int]) -> Removed:
    """Remove the items with these ids; their files stay. Those that would come back are left out, which does not."""
    staying = followed.coming_back(gallery, ids)
    if staying:
        leaving_out(gallery, writer, staying)
    removed = writer.remove(set(ids).difference(staying))
    gallery.derived.refresh()
    return Removed(removed, len(staying))


def removing(gallery: Gallery, ids: Sequence[int]) -> Work[str]:
    """:func:`remove`, as long work."""
    yield Stage(to_say("removing"), len(ids), to_say("items")).at(0)
    with gallery.write() as writer:
        return remove(gallery, writer, ids).sentence


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
