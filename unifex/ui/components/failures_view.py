"""What failed in an evaluation, as pictures in the grid: of all queries, of a domain, of a label, of a cell."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import gradio as gr
import numpy as np

from unifex.core.json_text import parse_json
from unifex.core.language import say, to_say
from unifex.core.text import plural
from unifex.evaluation import failures
from unifex.evaluation.evaluation import Evaluation
from unifex.evaluation.failures import WorstQuery
from unifex.evaluation.parts import Part, missed
from unifex.gallery.gallery import Gallery, Record
from unifex.gallery.neighbours import Neighbours
from unifex.gallery.snapshot import Snapshot
from unifex.ui.components.basic import item_grid, signal
from unifex.ui.context import AppContext
from unifex.ui.listening import Part as Component
from unifex.ui.listening import Updates
from unifex.ui.page_state import as_told
from unifex.ui.rendering import failure_lists
from unifex.ui.rendering.grid import Rights
from unifex.ui.rendering.grouped_grid import Group, GroupItem, grouped_grid
from unifex.ui.rendering.html import message
from unifex.ui.scripts import scripts

ROWS = 24
ITEMS = 240  # of a label
MEND = "mend"
_CHANGED = to_say("The gallery has changed: evaluate again to see these.")


@dataclass
class FailuresView:
    """Components and handlers. ``opened`` is the part that the page asks for; ``mended`` what is pressed in a group."""

    context: AppContext

    def build(self) -> None:
        """Lay it out."""
        self.opened, self.mended = signal("part"), signal(MEND)
        with gr.Tabs() as self.lists:
            with gr.Tab(say("Failed queries"), id="failed"):
                self.title = gr.HTML(elem_id="part-title", js_on_load=scripts("evaluate"))
                self.queries = item_grid("failed-queries")
            with gr.Tab(say("Label errors"), id="errors"):
                self.errors = item_grid("label-errors")
            with gr.Tab(say("Near-copies"), id="near"):
                self.duplicates = item_grid("near-duplicates")

    @property
    def shown(self) -> list[Component]:
        """What :meth:`show` updates."""
        return [self.opened, self.title, self.queries, self.errors, self.duplicates]

    @property
    def of_part(self) -> list[Component]:
        """What :meth:`show_part` updates."""
        return [self.lists, self.title, self.queries]

    def show(self, gallery: Gallery, found: Evaluation) -> Updates:
        """Everything that failed."""
        rights = self.context.rights(gallery.name)
        current, near = gallery.neighbours()
        errors = duplicates = None  # where the gallery is not any more what was measured
        if _are_of(current, found, gallery):
            errors = _label_errors(gallery, found, current, near)
            duplicates = _near_duplicates(gallery, found, current, near)
        return {
            self.opened: "",
            **self._queries(gallery, found, Part()),
            self.errors: _grid(gallery, errors, rights, _ERRORS if errors else _NO_ERRORS),
            self.duplicates: _grid(gallery, duplicates, rights, _NO_DUPLICATES),
        }

    def show_part(self, name: str | None, told: str) -> Updates:
        """(gallery, part) -> its failed queries, in view. Raises ``UnifexError`` for what is no part."""
        part = part_told(told)
        job = self.context.outcome("evaluate", name or "")
        if job is None or job.result is None:
            return {
                self.title: message(say("Nothing to look at any more"), say("Evaluate again."), "warning"),
                self.queries: "",
            }
        shown = self._queries(self.context.gallery(name), job.result.main, part)
        return {self.lists: gr.update(selected="failed"), **shown}

    def _queries(self, gallery: Gallery, found: Evaluation, part: Part) -> Updates:
        meant = part.queries(found)
        failed = int((meant & (found.metrics.mmp5 < 1)).sum())
        groups = list(_failed_queries(gallery, found, failures.worst_queries(found, ROWS, meant)))
        title = failure_lists.part_title(part, found, failed, len(groups))
        groups += _items_of_label(gallery, found, part)
        grid = _grid(gallery, groups, self.context.rights(gallery.name), _HOW if groups else _NOTHING)
        return {self.title: title, self.queries: grid}


def part_told(told: str) -> Part:
    """What a signal tells of. Raises ``UnifexError`` for what is no part of an evaluation."""
    with as_told():
        part = Part(**parse_json(told or "{}"))
        if not all(isinstance(name, str | None) for name in (part.domain, part.label, part.taken_by)):
            raise TypeError("no names")
        return part


def _grid(gallery: Gallery, groups: Sequence[Group] | None, rights: Rights, lead: str) -> str:
    return grouped_grid(gallery.name, groups or (), MEND, rights, say(_CHANGED if groups is None else lead))


def _failed_queries(gallery: Gallery, found: Evaluation, worst: Iterable[WorstQuery]) -> Iterable[Group]:
    """What went since, because it was left out, is not shown."""
    split, current = found.split, gallery.snapshot()
    for failure in worst:
        should = missed(split, failure, current.columns.ids, current.embeddings, failure_lists.MISSED)
        query, *items = _records(gallery, split.columns.ids[[failure.query, *failure.hits, *should]])
        if query is None:
            continue
        hits = items[: len(failure.hits)]
        yield failure_lists.failed_query(failure, query, hits, [item for item in items[len(hits) :] if item])


def _items_of_label(gallery: Gallery, found: Evaluation, part: Part) -> list[Group]:
    ids = found.split.columns.ids[part.items(found.split)]
    items = gallery.records(ids[:ITEMS])
    if not items:
        return []
    title = (
        say("All {images} of this label", images=plural(len(ids), "image", "images"))
        if len(ids) > 1
        else say("The only image of this label")
    )
    more = say(", the first {shown:,} of them", shown=ITEMS) if len(ids) > ITEMS else ""
    return [Group(title + more, [GroupItem(item) for item in items])]


def _label_errors(gallery: Gallery, found: Evaluation, current: Snapshot, near: Neighbours) -> list[Group]:
    groups = []
    for error in failures.label_errors(found.split, near, current.embeddings, ROWS):
        item, *others = _records(gallery, current.columns.ids[[error.item, *error.neighbours]])
        around = [other for other in others if other]
        if item and around:
            groups.append(failure_lists.label_error(error, item, around))
    return groups


def _are_of(current: Snapshot, found: Evaluation, gallery: Gallery) -> bool:
    """Whether positions are the same in both. What has no place in an evaluation, as tags, may have changed."""
    return np.array_equal(current.columns.ids, found.split.columns.ids) and found.split.is_of(gallery)


def _near_duplicates(gallery: Gallery, found: Evaluation, current: Snapshot, near: Neighbours) -> list[Group]:
    groups = []
    for pair in failures.duplicates(found.split, near, ROWS):
        query, item = _records(gallery, current.columns.ids[[pair.query, pair.item]])
        if query and item:
            groups.append(failure_lists.duplicate(pair, query, item))
    return groups


def _records(gallery: Gallery, ids: np.ndarray) -> list[Record | None]:
    """The items with these ids, in this order; None for one that went meanwhile."""
    known = {record.id: record for record in gallery.records(ids)}
    return [known.get(item) for item in ids.tolist()]


_HOW = to_say("Each row: the query, what it found wrongly, and what it should have found.")
_NOTHING = to_say("Every query found all it could.")
_ERRORS = to_say("Items whose neighbours all agree on another label, which may be the right one.")
_NO_ERRORS = to_say("No item's neighbours all agree on another label.")
_NO_DUPLICATES = to_say(
    "Images that stand in query and index, or nearly so, and flatter the figures. The Gallery tab lists all duplicates."
)
