"""What can be done with items that were chosen in a grid; what changes many of them, or makes something, is a job."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import gradio as gr
import numpy as np

from unifex.core.arrays import positions_of
from unifex.core.errors import UnifexError
from unifex.core.jobs import Job, State
from unifex.core.json_text import parse_json
from unifex.core.language import say, to_say
from unifex.core.progress import Work, finish
from unifex.core.text import plural, reason, shortened
from unifex.data.item import Labels
from unifex.gallery import changing, corrections, tags
from unifex.gallery.counted import counted
from unifex.gallery.folder_names import check_name
from unifex.gallery.gallery import Gallery, Record
from unifex.gallery.picking import Labelling, as_it_is, pick
from unifex.ui.components.basic import job_notice, notice, signal
from unifex.ui.components.chosen import Chosen, MeantOthers
from unifex.ui.components.job_tray import JobPanel
from unifex.ui.components.marks import Marks
from unifex.ui.components.pressing import ask_for_job
from unifex.ui.context import AppContext
from unifex.ui.listening import Part, Updates, listen
from unifex.ui.page_state import Wish, as_told
from unifex.ui.rendering.html import message

FEW = 1000  # items that are changed while one waits
CHANGE, PICK = "change", "pick"  # kinds of jobs
_UNDO = to_say("The Evaluate tab lists it and can undo it; your files are as they were.")
_NOT = "not "
_FILES_STAY = to_say("Your image files are as they were.")
_ACTED = "watch('value', () => props.value && unifex.acted?.());"
Awaited = tuple[str, str]  # a job's id, and for the sake of what


@dataclass
class Elsewhere:
    """What other parts of the page do with items of a gallery, which updates ``parts``.

    ``show``: a gallery that was made of them; ``train``: the same, on the Train tab; ``locate``: they stand out on the
    map.
    """

    show: Callable[[str], Updates]
    train: Callable[[str], Updates]
    locate: Callable[[str, Sequence[int]], Updates]
    parts: list[Part]


@dataclass
class ChosenItems:
    """The notice of what came of it, and the handlers."""

    context: AppContext

    def build(self) -> None:
        """Lay it out."""
        self.told, self.kept = signal("chosen"), signal("kept")
        self.acted = gr.HTML("", html_template="", js_on_load=_ACTED, visible="hidden")  # changes when one was done
        self.awaited = gr.State(())  # the jobs that this page asked for, and for the sake of what each
        self.seen = gr.State(frozenset())  # those of them that ended, and of which it was told
        self.panel = JobPanel((CHANGE, PICK), "chosen-progress")
        self.panel.build()
        self.notice, self.outcome = notice("chosen-notice"), job_notice("chosen-outcome")  # of a press; of the last job

    def wire(self, corrected: gr.State, marks: gr.State, elsewhere: Elsewhere) -> None:
        """Connect the handlers: ``corrected`` changes with what they change; ``marks`` of hits can be kept."""
        self.corrected, self.elsewhere = corrected, elsewhere
        also, failed = [self.awaited, self.acted, self.corrected, *elsewhere.parts], say("Nothing was done")
        ask_for_job(
            self.told.input, self.act, [self.told, self.awaited, self.seen], self.notice, failed, *also, counts="every"
        )
        ask_for_job(self.kept.input, self.keep, [self.kept, marks, self.awaited, self.seen], self.notice, failed, *also)
        ended = [self.outcome, self.seen, self.acted, self.corrected, *elsewhere.parts]
        listen(self.panel.further.input, self.show_jobs, [self.awaited, self.seen], ended)

    def act(self, told: str, awaited: tuple[Awaited, ...] = (), seen: frozenset[str] = frozenset()) -> Updates:
        """(action, gallery, chosen items, a text; jobs that are waited for, those told of) -> what came of it. Raises
        ``UnifexError``."""
        with as_told():
            action, gallery, chosen, text = parse_json(told)
            act = ACTIONS[str(action)]
        try:
            came = act(self, str(gallery), Chosen.told(chosen), str(text))
        except MeantOthers as error:  # the page shows what there is now
            return {self.notice: message(say("Nothing was done"), reason(error), "error"), self.corrected: Wish.new()}
        return self._awaiting(came, awaited, seen) if self.awaited in came else {**came, **self._has_acted()}

    def keep(
        self, told: str, marks: Marks, awaited: tuple[Awaited, ...] = (), seen: frozenset[str] = frozenset()
    ) -> Updates:
        """(as what, and a name; marked items; jobs that are waited for) -> what came of it. Raises ``UnifexError``."""
        with as_told():
            how, text = parse_json(told)
            keep = KEEPING[str(how)]
        if not marks:
            raise UnifexError(say("nothing is marked as more or less like what is searched for"))
        name = shortened(str(text), tags.LONGEST - len(_NOT)).strip()
        if not name:
            raise UnifexError(say("give it a name"))
        return self._awaiting(keep(self, self.context.writable(marks.gallery), marks, name), awaited, seen)

    def _awaiting(self, came: Updates, awaited: tuple[Awaited, ...], seen: frozenset[str]) -> Updates:
        """The job that was asked for, if one was, beside those that run still or of which nothing was told yet."""
        if self.awaited not in came:
            return came
        known = tuple((job.id, then) for job, then in self._jobs(awaited) if job.state.active or job.id not in seen)
        return {**came, self.awaited: (*known, came[self.awaited])}

    # --- showing -------------------------------------------------------------------------------------------------

    def show_on_map(self, name: str, chosen: Chosen, _: str) -> Updates:
        """They stand out on the map."""
        return self.elsewhere.locate(name, chosen.of(self.context.gallery(name), self.context.listed))

    # --- changing ------------------------------------------------------------------------------------------------

    def label(self, name: str, chosen: Chosen, text: str) -> Updates:
        """They have another label."""
        label = text.strip()
        if not label:
            raise UnifexError(say("give the label that they should have"))
        done = lambda images: say("'{label}' is the label of {images} now", label=label, images=images)  # noqa: E731
        return self._change(name, chosen, changing.labelling(label), done, _UNDO)

    def tag(self, name: str, chosen: Chosen, text: str) -> Updates:
        """They have these tags, too."""
        given = tags.parse(text)
        done = lambda images: say("'{tags}' is on {images} now", tags=tags.SEPARATOR.join(given), images=images)  # noqa: E731
        return self._change(name, chosen, changing.tagging(given), done, _FILES_STAY)

    def untag(self, name: str, chosen: Chosen, text: str) -> Updates:
        """They have these tags no more."""
        given = tags.parse(text)
        done = lambda images: say("'{tags}' was taken from {images}", tags=tags.SEPARATOR.join(given), images=images)  # noqa: E731
        return self._change(name, chosen, changing.untagging(given), done, _FILES_STAY)

    def leave_out(self, name: str, chosen: Chosen, _: str) -> Updates:
        """They are not found any more."""
        return self._change(
            name,
            chosen,
            changing.leaving_out,
            lambda images: say("{images} left out of the gallery", images=images),
            _UNDO,
        )

    def remove(self, name: str, chosen: Chosen, _: str) -> Updates:
        """They are not in the gallery any more."""
        gallery, ids = self._meant(name, chosen)
        return self._begin(gallery, changing.removing(gallery, ids), len(ids), _FILES_STAY)

    def _change(
        self, name: str, chosen: Chosen, change: changing.Change, done: Callable[[str], str], text: str
    ) -> Updates:
        gallery, ids = self._meant(name, chosen)
        return self._begin(gallery, changing.changing(gallery, ids, change, done), len(ids), text)

    def _meant(self, name: str, chosen: Chosen) -> tuple[Gallery, list[int]]:
        """What is to be changed. Raises :class:`MeantOthers` where all of it is gone by now, as by another tab."""
        gallery = self.context.writable(name)
        ids = chosen.of(gallery, self.context.listed)
        if not gallery.records(ids):
            raise MeantOthers(say("none of the chosen items is in '{name}' any more", name=name))
        return gallery, ids

    def _begin(self, gallery: Gallery, work: Work[str], count: int, text: str) -> Updates:
        """Few items are changed at once, many by a job."""
        if count <= FEW:
            return self._done(finish(work), text)
        job = self.context.start(CHANGE, gallery.name, work, str(Wish.new().number))
        return {self.awaited: (job.id, text)}

    # --- making --------------------------------------------------------------------------------------------------

    def make_gallery(self, name: str, chosen: Chosen, text: str) -> Updates:
        """A gallery of them."""
        return self._pick(name, chosen, text, "show")

    def train_on(self, name: str, chosen: Chosen, text: str) -> Updates:
        """A gallery of them to train on."""
        gallery = self.context.gallery(name)
        if _classes(gallery, chosen.of(gallery, self.context.listed)) < 2:
            raise UnifexError(
                say("training needs two labels or more, each with two images: give the chosen ones labels first")
            )
        return self._pick(name, chosen, text, "train")

    def _pick(self, name: str, chosen: Chosen, text: str, then: str) -> Updates:
        gallery = self.context.writable(name)
        return self._make(gallery, chosen.of(gallery, self.context.listed), text, then)

    def _make(
        self, gallery: Gallery, ids: Sequence[int], text: str, then: str, labels: Labelling = as_it_is
    ) -> Updates:
        new = check_name(text)
        if self.context.library.named(new):
            raise UnifexError(say("there is a gallery '{new}' already; choose another name", new=new))
        if workspace := self.context.workspace:
            workspace.check_fits(len(ids), gallery.facts().bytes * len(ids) // max(1, len(gallery)))
        work = counted(pick(gallery, ids, new, self.context.library, labels))
        job = self.context.start(PICK, new, work, gallery.name)
        return {self.awaited: (job.id, then)}

    # --- what was taught -----------------------------------------------------------------------------------------

    def keep_as_tags(self, gallery: Gallery, marks: Marks, name: str) -> Updates:
        """What is marked as more has the tag, what is marked as less the opposite."""
        (tag,), (opposite,) = tags.parse(name), tags.parse(_NOT + name)
        with gallery.write() as writer:
            right, wrong = _still_there(gallery, marks)
            writer.tag([record.id for record in right], [tag])
            writer.tag([record.id for record in wrong], [opposite])
        images = plural(len(wrong), "image", "images")
        less = say(", '{tag}' on {images}", tag=opposite, images=images) if wrong else ""
        return self._done(
            say(
                "'{tag}' is on {images} now{less}",
                tag=tag,
                images=plural(len(right), "image", "images"),
                less=less,
            ),
            _FILES_STAY,
        )

    def keep_as_labels(self, gallery: Gallery, marks: Marks, name: str) -> Updates:
        """Both have labels."""
        with gallery.write() as writer:
            right, wrong = _still_there(gallery, marks)
            for records, label in ((right, name), (wrong, _NOT + name)):
                writer.correct([corrections.relabel(record, label) for record in records])
        less = (
            say(", '{name}' that of {images}", name=_NOT + name, images=plural(len(wrong), "image", "images"))
            if wrong
            else ""
        )
        return self._done(
            say(
                "'{name}' is the label of {images} now{less}",
                name=name,
                images=plural(len(right), "image", "images"),
                less=less,
            ),
            _UNDO,
        )

    def keep_to_train(self, gallery: Gallery, marks: Marks, name: str) -> Updates:
        """Both become a gallery with these labels, which the Train tab opens."""
        if min(len(marks.more), len(marks.less)) < 2:
            raise UnifexError(
                say("a training set needs two images that are marked as more, and two as less: mark some more")
            )
        more = frozenset(marks.more)

        def labels(record: Record) -> Labels:
            return replace(record.labels, label=name if record.id in more else _NOT + name)

        return self._make(gallery, [*marks.more, *marks.less], name, "train", labels)

    def _done(self, title: str, text: str) -> Updates:
        return {self.notice: message(title, say(text), "good"), self.corrected: Wish.new()}

    # --- jobs ----------------------------------------------------------------------------------------------------

    def show_jobs(self, awaited: tuple[Awaited, ...], seen: frozenset[str]) -> Updates:
        """(jobs asked for, and for the sake of what each; those that were told of) -> what came of all that have
        ended: what came of one is not wiped by the next."""
        ended = [(job, then) for job, then in self._jobs(awaited) if not job.state.active]
        if all(job.id in seen for job, _ in ended):
            return {self.outcome: gr.skip()}
        came: Updates = {self.seen: seen | {job.id for job, _ in ended}, self.corrected: Wish.new()}
        told = ""
        for job, then in ended:
            outcome = self._came_of(job, then)
            told += outcome[self.outcome]
            if job.id not in seen:
                came |= outcome | (self._has_acted() if job.state == State.DONE else {})
        return {**came, self.outcome: told}

    def _jobs(self, awaited: tuple[Awaited, ...]) -> list[tuple[Job, str]]:
        """Those of them that are there, oldest first, each with that for the sake of which it was asked for."""
        then = dict(awaited)
        return [(job, then[job.id]) for job in self.context.jobs.of(self.context.owner) if job.id in then]

    def _has_acted(self) -> Updates:
        """The page empties the choice, which stays after a refusal."""
        return {self.acted: str(Wish.new().number)}

    def _came_of(self, job: Job, then: str) -> Updates:
        if job.state == State.FAILED:
            return {
                self.outcome: message(
                    say("Nothing was made") if job.kind == PICK else say("Not done"), job.problem, "error"
                )
            }
        if job.withdrawn:
            return {self.outcome: ""}
        if job.state == State.CANCELLED:
            kept = say("Nothing is left of it.") if job.kind == PICK else say("What was done is kept.")
            return {self.outcome: message(say("Stopped"), kept, "warning")}
        if job.kind == CHANGE:
            return {self.outcome: message(job.result, say(then), "good")}
        told = say("Its features were copied, nothing was embedded again; its image files are where they were.")
        go = {"show": self.elsewhere.show, "train": self.elsewhere.train}[then]
        title = say(
            "Gallery '{name}' has {images}", name=job.result.name, images=plural(job.result.count, "image", "images")
        )
        return {self.outcome: message(title, told, "good"), **go(job.result.name)}


def _still_there(gallery: Gallery, marks: Marks) -> tuple[list[Record], list[Record]]:
    """What is marked as more, and as less. Raises ``UnifexError`` where none of it is in the gallery any more."""
    right, wrong = gallery.records(marks.more), gallery.records(marks.less)
    if not right and not wrong:
        raise UnifexError(say("none of what is marked is in '{name}' any more", name=gallery.name))
    return right, wrong


def _classes(gallery: Gallery, ids: list[int]) -> int:
    """How many labels have two of these items, or more."""
    columns = gallery.snapshot().columns
    positions = positions_of(columns.ids, np.array(ids, np.int64))
    classes = columns.classes[positions[positions >= 0]]
    return int((np.unique(classes[classes >= 0], return_counts=True)[1] >= 2).sum())


ACTIONS: dict[str, Callable[[ChosenItems, str, Chosen, str], Updates]] = {
    "map": ChosenItems.show_on_map,
    "label": ChosenItems.label,
    "tag": ChosenItems.tag,
    "untag": ChosenItems.untag,
    "leave": ChosenItems.leave_out,
    "remove": ChosenItems.remove,
    "gallery": ChosenItems.make_gallery,
    "train": ChosenItems.train_on,
}
KEEPING: dict[str, Callable[[ChosenItems, Gallery, Marks, str], Updates]] = {
    "tags": ChosenItems.keep_as_tags,
    "labels": ChosenItems.keep_as_labels,
    "train": ChosenItems.keep_to_train,
}
