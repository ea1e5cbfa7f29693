"""Items in groups, as `assets/groups.js` draws them in the grid: a sentence above each, and what can be done."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from unifex.gallery.corrections import Correction
from unifex.gallery.gallery import Record
from unifex.ui.rendering.grid import GridItem, Rights


@dataclass(frozen=True)
class GroupItem:
    """An item in its group. ``mark``: what it is there, in a word or two; ``tone``: good, bad, late or nothing;
    ``line`` stands in the place of the domain."""

    record: Record
    mark: str = ""
    tone: str = ""
    line: str = ""

    def as_json(self) -> dict[str, Any]:
        """Only what is known."""
        told = {"mark": self.mark, "tone": self.tone, "line": self.line, "subject": subject(self.record)}
        return GridItem.of(self.record).as_json() | {name: value for name, value in told.items() if value}


@dataclass(frozen=True)
class Act:
    """A button of a group: does ``kind`` to ``item``, as or with ``other`` (0: none)."""

    kind: str
    item: int
    other: int
    text: str
    title: str


@dataclass(frozen=True)
class Group:
    """``title`` is a sentence; the first of ``items`` is the one that the group is about."""

    title: str
    items: Sequence[GroupItem]
    acts: Sequence[Act] = ()


def grouped_grid(
    gallery: str, groups: Sequence[Group], signal: str, rights: Rights, lead: str = "", prefer: bool = False
) -> str:
    """Groups of items of a gallery. What is pressed in a group is told by ``unifex.SIGNAL``; ``lead`` stands above.

    ``prefer``: the first of a group is the one that is kept, and another can be chosen instead.
    """
    items = [item.as_json() for group in groups for item in group.items]
    heads, at = [], 0
    for group in groups:
        heads.append(
            {"at": at, "title": group.title, "acts": [asdict(act) for act in group.acts] if rights.editable else []}
        )
        at += len(group.items)
    told = {"gallery": gallery, "kind": "groups", "lead": lead, "signal": signal, **asdict(rights)}
    return json.dumps(
        told | {"prefer": prefer and rights.editable, "items": items, "groups": heads}, ensure_ascii=False
    )


def subject(of: Record | Correction) -> str:
    """What a correction and the item that it belongs to have in common; tells nothing of where a file lies."""
    return hashlib.sha256(f"{of.uri}\n{of.sha256}".encode()).hexdigest()[:16]
