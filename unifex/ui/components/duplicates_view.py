"""The duplicates of a gallery in groups: one of each is kept, or they are told to be different; both can be undone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import gradio as gr
import numpy as np

from unifex.core.errors import UnifexError
from unifex.core.jobs import State
from unifex.core.json_text import parse_json
from unifex.core.language import say, to_say
from unifex.core.text import plural
from unifex.gallery import copy_groups
from unifex.gallery.copy_groups import CopyGroup
from unifex.gallery.corrections import Correction
from unifex.gallery.duplicates import LEVELS, PICTURE, Duplicates
from unifex.gallery.gallery import Gallery, GalleryError
from unifex.gallery.snapshot import Snapshot
from unifex.ui.components.basic import item_grid, job_notice, notice, signal
from unifex.ui.components.confirmation import Confirmation
from unifex.ui.components.job_tray import JobPanel
from unifex.ui.components.pressing import ask_for_job, or_say
from unifex.ui.context import ERRORS, AppContext
from unifex.ui.listening import Part, Updates, listen
from unifex.ui.page_state import Wish, as_told, item_id
from unifex.ui.rendering import duplicate_groups as drawn
from unifex.ui.rendering.grouped_grid import grouped_grid
from unifex.ui.rendering.html import message

PAGE = 24  # groups
LISTED = 5000  # images whose sizes are added up, and that a file is made of while one looks
TOLD = "copies"


@dataclass(frozen=True)
class _Left:
    """Groups that are left of what was found, as ids, in the gallery as it is now."""

    gallery: Gallery
    snapshot: Snapshot
    found: Duplicates
    groups: Sequence[np.ndarray]
    preferred: frozenset[int]

    def described(self, groups: Sequence[np.ndarray]) -> list[CopyGroup]:
        """Some of them."""
        return copy_groups.described(self.gallery, self.snapshot, self.found, groups, self.preferred)

    @property
    def counts(self) -> dict[str, int]:
        """How many groups are left, by level."""
        return {level: len(copy_groups.left(self.gallery, self.snapshot, self.found, level)) for level in LEVELS}

    def with_item(self, item: int) -> CopyGroup | None:
        """The group of an item; None when it is in none any more."""
        there = [ids for ids in self.groups if item in ids]
        return self.described(there)[0] if there else None


@dataclass
class DuplicatesView:
    """Components and handlers, for who may change the gallery. ``preferred``: what is kept rather than the largest."""

    context: AppContext

    def build(self) -> None:
        """Lay it out; :meth:`wire` connects it."""
        self.panel, self.told = JobPanel(("duplicates",), "duplicates-progress"), signal(TOLD)
        self.preferred, self.start, self.last = gr.State(frozenset()), gr.State(0), gr.State(())
        self.every = Confirmation(say("Leave out the copies of all groups"), "duplicates-all")
        self.find = gr.Button(say("Find duplicates"), elem_id="find-duplicates")
        self.panel.build()
        self.problem, self.failed = notice("duplicates-problem"), job_notice("duplicates-failed")
        with gr.Column(visible=False) as self.outcome:
            self.level = gr.Radio(
                drawn.level_choices({}), value=PICTURE, label=say("How alike"), elem_id="duplicates-level",
                info=say("And how many groups there are; each level holds what the one before it holds"),
            )  # fmt: skip
            self.summary = gr.HTML(elem_id="duplicates-summary")
            self.notice = notice("duplicates-notice")
            self.undo = gr.Button(say("Undo"), size="sm", visible=False, elem_id="duplicates-undo")
            self.groups = item_grid("duplicate-groups")
            with gr.Row():
                self.back = gr.Button(say("Previous groups"), size="sm", visible=False, elem_id="duplicates-back")
                self.on = gr.Button(say("Next groups"), size="sm", visible=False, elem_id="duplicates-next")
            self.every.build("sm")

    def wire(self, gallery: gr.Dropdown, corrected: gr.State) -> None:
        """Connect the handlers; ``corrected`` changes with what is decided here, and elsewhere."""
        self.corrected = corrected
        ask_for_job(self.find.click, self.begin, [gallery], self.problem, say("Nothing can be found"))
        known = [gallery, self.level, self.start, self.preferred]
        changes = [self.panel.further.input, self.level.change, self.start.change, self.preferred.change]
        listen([*changes, corrected.change], self.show, known, self.shown)
        forgotten = [self.start, self.preferred, self.last, self.notice, self.problem, self.undo]
        listen(gallery.change, self.forget, None, forgotten)
        listen(gallery.change, self.show, known, self.shown)
        listen(self.level.change, lambda: {self.start: 0}, None, [self.start])
        listen(self.back.click, lambda at: {self.start: max(0, at - PAGE)}, [self.start], [self.start])
        listen(self.on.click, lambda at: {self.start: at + PAGE}, [self.start], [self.start])
        done = [self.notice, self.undo, self.last, self.preferred, corrected]
        act = or_say(self.notice, say("Nothing was done"), self.act)
        pressed = [self.told, self.level, self.preferred]
        listen(self.told.input, act, pressed, done, counts="every", concurrency_id="duplicates")
        undo = or_say(self.notice, say("Not undone"), self.take_back)
        listen(self.undo.click, undo, [gallery, self.last], done, counts="first")
        keep = or_say(self.notice, say("Nothing was done"), self.keep_one_of_each)
        self.every.wire(self.ask, keep, [gallery, self.level, self.preferred], done)

    @property
    def shown(self) -> list[Part]:
        """What :meth:`show` updates."""
        told = [self.outcome, self.failed, self.level, self.summary, self.groups]
        return [*told, self.back, self.on, self.every.button, self.find]

    def begin(self, name: str) -> None:
        """(gallery) -> a job. Raises ``UnifexError``."""
        gallery = self.context.writable(name)
        self.context.start("duplicates", gallery.name, gallery.find_duplicates())

    def forget(self) -> Updates:
        """-> nothing of another gallery."""
        nothing = {self.start: 0, self.preferred: frozenset(), self.last: (), self.notice: "", self.problem: ""}
        return {**nothing, self.undo: gr.update(visible=False)}

    def show(self, name: str | None, level: str, start: int, preferred: frozenset[int]) -> Updates:
        """(gallery, level, first group, what is preferred) -> the groups that are left of what was found last."""
        may = gr.update(visible=self.context.can_change(name))
        nothing = {self.outcome: gr.update(visible=False), self.failed: "", self.find: may}
        job = self.context.outcome("duplicates", name or "")
        if job is None or job.state == State.CANCELLED:
            return nothing
        if job.state == State.FAILED:
            return {**nothing, self.failed: message(say("Not compared"), job.problem, "error")}
        try:
            return {**nothing, **self._show(self._left(name, level, preferred), level, start)}
        except ERRORS:
            return nothing

    def _show(self, left: _Left, level: str, start: int) -> Updates:
        copies = sum(len(ids) - 1 for ids in left.groups)
        few = copies + len(left.groups) <= LISTED
        start = start if start < len(left.groups) else 0
        listed = left.described(left.groups) if few else None
        page = listed[start : start + PAGE] if listed else left.described(left.groups[start : start + PAGE])
        fresh = int(np.isin(left.snapshot.columns.ids, left.found.ids, invert=True).sum())
        to = min(start + PAGE, len(left.groups))
        lead = say(_HOW)
        if len(left.groups) > PAGE:
            shown = {"start": start + 1, "to": to, "count": len(left.groups)}
            lead = " ".join([say("Groups {start:,} to {to:,} of {count:,}.", **shown), lead])
        groups, rights = [drawn.duplicate_group(group) for group in page], self.context.rights(left.gallery.name)
        grid = grouped_grid(left.gallery.name, groups, TOLD, rights, lead, prefer=True)
        return {
            self.outcome: gr.update(visible=True),
            self.level: gr.update(choices=drawn.level_choices(left.counts)),
            self.summary: drawn.summary(len(left.groups), copies, level, listed, fresh),
            self.groups: grid if page else "",
            self.back: gr.update(visible=start > 0),
            self.on: gr.update(visible=start + PAGE < len(left.groups)),
            self.every.button: gr.update(visible=len(left.groups) > 1),
        }

    def _left(self, name: str | None, level: str, preferred: frozenset[int]) -> _Left:
        """What is left of what was found. Raises ``UnifexError``."""
        gallery = self.context.writable(name)
        job = self.context.outcome("duplicates", gallery.name)
        if job is None or job.result is None or level not in LEVELS:
            raise GalleryError(say("find the duplicates first"))
        snapshot = gallery.snapshot()
        groups = copy_groups.left(gallery, snapshot, job.result, level)
        return _Left(gallery, snapshot, job.result, groups, preferred)

    def act(self, told: str, level: str, preferred: frozenset[int]) -> Updates:
        """(action, gallery, item; level; what is preferred) -> what came of it; of a group that was dealt with already,
        here a moment ago or on another page, that it is not there. Raises ``UnifexError``."""
        with as_told():
            act, name, item, _ = parse_json(told)
            item = item_id(item)
        left = self._left(str(name), level, preferred)
        group = left.with_item(item)
        if group is None:
            return {self.notice: gr.skip(), self.corrected: Wish.new()}
        ids = {group.kept.id, *(copy.record.id for copy in group.others)}
        if act == "prefer":
            return {self.preferred: (preferred - ids) | {item}, self.undo: gr.skip(), self.notice: gr.skip()}
        if act == "keep":
            return self._left_out(left.gallery, [group])
        if act == "distinct":
            said = copy_groups.tell_apart(left.gallery, group)
            return self._done(
                say("{images} are no copies of each other", images=plural(len(ids), "image", "images")), said
            )
        raise UnifexError(say("no action '{act}'", act=act))

    def ask(self, name: str, level: str, preferred: frozenset[int]) -> str:
        """(gallery, level, what is preferred) -> what leaving out all copies does. Raises ``UnifexError``."""
        left = self._left(name, level, preferred)
        copies = sum(len(ids) - 1 for ids in left.groups)
        if not copies:
            raise GalleryError(say("there are no copies left"))
        groups = plural(len(left.groups), "group", "groups")
        return say(
            "Keep one of each of {groups} and leave {copies} out of '{name}' ({level})? The files stay, "
            "and it can be undone.",
            groups=groups,
            copies=plural(copies, "copy", "copies"),
            name=name,
            level=say(LEVELS[level]),
        )

    def keep_one_of_each(self, name: str, level: str, preferred: frozenset[int]) -> Updates:
        """(gallery, level, what is preferred) -> what came of it. Raises ``UnifexError``."""
        left = self._left(name, level, preferred)
        return self._left_out(left.gallery, left.described(left.groups))

    def take_back(self, name: str, last: tuple[Correction, ...]) -> Updates:
        """(gallery, what was said last) -> it is taken back. Raises ``UnifexError``."""
        gallery = self.context.writable(name)
        with gallery.write() as writer:
            writer.undo(list(last))
        done = {self.notice: message(say("Taken back"), kind="good"), self.corrected: Wish.new()}
        return {**done, self.last: (), self.undo: gr.update(visible=False)}

    def _left_out(self, gallery: Gallery, groups: list[CopyGroup]) -> Updates:
        said = copy_groups.leave_out(gallery, groups)
        return self._done(
            say("{copies} left out of '{name}'", copies=plural(len(said), "copy", "copies"), name=gallery.name), said
        )

    def _done(self, sentence: str, said: list[Correction]) -> Updates:
        text = say(
            "Your files are as they were. Undo takes it back here, at any time the Evaluate tab under Corrections."
        )
        done = {self.notice: message(sentence, text, "good"), self.corrected: Wish.new()}
        return {**done, self.last: tuple(said), self.undo: gr.update(visible=True)}


_HOW = to_say("The first of each group is kept: the largest, or the one that you choose (Keep this, or the key K).")
