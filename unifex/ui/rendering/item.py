"""The large view of one item."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass

from markupsafe import Markup

from unifex.core.language import say, to_say
from unifex.core.metadata import TAKEN, read_header
from unifex.core.templates import render
from unifex.core.text import size
from unifex.data.frame_names import clock, seconds_of, video_of, written
from unifex.gallery import tags
from unifex.gallery.corrections import Correction
from unifex.gallery.gallery import Record
from unifex.ui.server.picture_addresses import VIDEO, address, version


@dataclass(frozen=True)
class Shown:
    """An item of the gallery of this name, its image file (empty where it is not there: ``problem`` says why), whether
    ``strangers`` look, who are not told what the file or further columns say of anybody, and whether who looks may
    change it; ``video``: that of which it is a frame can be played."""

    record: Record
    gallery: str
    original: bytes = b""
    problem: str = ""
    strangers: bool = False
    editable: bool = False
    video: bool = False


@dataclass(frozen=True)
class Told:
    """What `assets/large-view.js` is told of an item, or of what became of a correction.

    ``state``: "there", "left" (out of the gallery), "back" (what was left out is), "refused" (a correction). ``v``
    names its picture; empty where there is no item. ``width`` and ``height`` are those of the image in pixels, 0 where
    its file is not there.
    """

    gallery: str
    item: int
    html: str
    state: str = "there"
    name: str = ""
    v: str = ""
    width: int = 0
    height: int = 0

    @classmethod
    def of(cls, shown: Shown, html: str) -> Told:
        """An item as it is now."""
        record = shown.record
        width, height = (0, 0) if shown.problem else (record.width, record.height)
        return cls(shown.gallery, record.id, html, "there", record.name, version(record), width, height)

    def as_json(self, number: int) -> str:
        """``number`` makes it another than the one before: the page listens to changes."""
        return json.dumps({**asdict(self), "number": number}, ensure_ascii=False)


def _taken(shown: Shown) -> str:
    """By the further column, or in a gallery of an earlier version by the file."""
    if shown.strangers:
        return ""
    return shown.record.labels.extra.get(TAKEN) or read_header(shown.original).columns.get(TAKEN, "")


def _size(shown: Shown) -> str:
    """Nothing of an image of which embeddings alone were taken in."""
    record = shown.record
    pixels = {"width": record.width, "height": record.height}
    return say("{width} x {height} pixels, {size}", **pixels, size=size(record.bytes)) if record.width else ""


# What is told of an item, where there is something to tell. Another fact is a line here.
FACTS: dict[str, Callable[[Shown], str]] = {
    to_say("Label"): lambda shown: shown.record.label or say("none"),
    to_say("Domain"): lambda shown: shown.record.domain or say("none"),
    to_say("Tags"): lambda shown: tags.SEPARATOR.join(shown.record.tags),
    to_say("Split"): lambda shown: shown.record.split or say("none"),
    to_say("Path"): lambda shown: shown.record.path,
    to_say("Time"): lambda shown: clock(seconds_of(shown.record.path)) if video_of(shown.record.path) else "",
    to_say("Size"): _size,
    to_say("Taken"): _taken,
}  # fmt: skip


def detail(shown: Shown) -> Markup:
    """Everything known of an item, and what can be done with it."""
    rows = {name: value for name, fact in FACTS.items() if (value := fact(shown))}
    further = {} if shown.strangers else shown.record.labels.beside(FACTS)
    rows |= {name: text for name, text in further.items() if name != TAKEN}
    place = shown.record.path if shown.strangers else shown.record.uri
    only = {
        "Label": {"value": shown.record.label, "title": say("Only this label")},
        "Domain": {"value": shown.record.domain, "title": say("Only this domain")},
    }
    titles = {name: say(name) for name in FACTS}
    return render("item.html", shown=shown, rows=rows, titles=titles, place=place, only=only, video=_video(shown))


def _video(shown: Shown) -> str:
    """Where the video is played from the moment of the frame; empty where it is not given."""
    if not shown.video:
        return ""
    time = written(seconds_of(shown.record.uri))
    return f"{address(VIDEO, shown.gallery, shown.record)}#t={time}"


def left_out(said: Correction, number: int) -> Markup:
    """That an item was left out, with a button that takes it back; ``number`` names the correction."""
    return render("item_left.html", said=said, number=number)
