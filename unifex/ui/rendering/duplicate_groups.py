"""Groups of near-copies for the grid: what is kept, what would be left out, and what that frees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from unifex.core.language import say, thousands
from unifex.core.templates import render
from unifex.core.text import plural, size
from unifex.gallery.copy_groups import CopyGroup, as_csv
from unifex.gallery.duplicates import BYTES, LEVELS
from unifex.gallery.records import Record
from unifex.ui.rendering.grouped_grid import Act, Group, GroupItem
from unifex.ui.rendering.html import data_uri


def name_of(level: str) -> str:
    """A level in two words."""
    return say(LEVELS[level]).split(":")[0]


def level_choices(counts: Mapping[str, int]) -> list[tuple[str, str]]:
    """The levels to choose from: title, with how many groups there are where ``counts`` says so, and level."""
    said = {level: f" ({thousands(counts[level])})" if level in counts else "" for level in LEVELS}
    return [(_capitalized(name_of(level)) + said[level], level) for level in LEVELS]


def _capitalized(text: str) -> str:
    return text[:1].upper() + text[1:]


def copies_in(groups: Sequence[CopyGroup]) -> int:
    """How many images are no more than copies."""
    return sum(len(group.others) for group in groups)


def bytes_in(groups: Sequence[CopyGroup]) -> int:
    """What their files take."""
    return sum(copy.record.bytes for group in groups for copy in group.others)


def duplicate_group(group: CopyGroup) -> Group:
    """A group with what can be done: keep the first, or remember that they are different."""
    count = len(group.others)
    items = [GroupItem(group.kept, say("kept"), "good", _size(group.kept))]
    items += [GroupItem(copy.record, name_of(copy.level), "", _size(copy.record)) for copy in group.others]
    acts = [
        Act(
            "keep",
            group.kept.id,
            0,
            say("Leave out {copies}", copies=plural(count, "copy", "copies")),
            say("Keep the first one; the files stay"),
        )
    ]
    if any(copy.level != BYTES for copy in group.others):
        acts.append(
            Act("distinct", group.kept.id, 0, say("These are different"), say("Remembered: never listed again"))
        )
    return Group(say("{count:,} images · {size} in copies", count=count + 1, size=size(bytes_in([group]))), items, acts)


def _size(record: Record) -> str:
    return f"{record.width}×{record.height} · {size(record.bytes)}"


def summary(groups: int, copies: int, level: str, listed: Sequence[CopyGroup] | None, fresh: int) -> Markup:
    """How many there are. ``listed``: all of them, where they are few enough for a file; ``fresh``: images that came
    since."""
    frees = say("; without them the files would take {size} less", size=size(bytes_in(listed))) if listed else ""
    text = say(
        "{groups} with {copies} ({level}){frees}.",
        groups=plural(groups, "group", "groups"),
        copies=plural(copies, "copy", "copies"),
        level=say(LEVELS[level]),
        frees=frees,
    )
    return render(
        "duplicates.html", text=text if groups else say("No duplicates ({level}).", level=say(LEVELS[level])),
        csv=data_uri(as_csv(listed)) if listed else "", many=groups > 0 and listed is None,
        level=level, fresh=plural(fresh, "image", "images") if fresh else "",
    )  # fmt: skip
