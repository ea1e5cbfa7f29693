"""The server's jobs on the page: a line in the header that opens a list, and panels where jobs are asked for.

The page asks for them every second while something runs, so that a reload, a second tab and a phone all see the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import uuid4

import gradio as gr
from gradio.context import LocalContext

from unifex.core.jobs import Job, JobError, State
from unifex.core.language import say, thousands, to_say
from unifex.core.text import duration, reason
from unifex.ui.components.basic import signal
from unifex.ui.context import ERRORS, AppContext
from unifex.ui.job_galleries import galleries_of
from unifex.ui.scripts import scripts
from unifex.ui.server.answer_streams import hearing_of


class Kind(NamedTuple):
    """What is being done to ``{name}``, and the id of the tab where it is asked for and its outcome shown;
    ``of_gallery``: while the gallery that it is about is chosen."""

    doing: str
    tab: str
    of_gallery: bool = False


KINDS = {
    "index": Kind(to_say("Indexing '{name}'"), "gallery"),
    "pack": Kind(to_say("Packing '{name}'"), "gallery"),
    "download": Kind(to_say("Downloading '{name}'"), "gallery"),
    "change": Kind(to_say("Changing '{name}'"), "gallery"),
    "pick": Kind(to_say("Making '{name}'"), "gallery"),
    "duplicates": Kind(to_say("Comparing the pictures of '{name}'"), "gallery", True),
    "evaluate": Kind(to_say("Evaluating '{name}'"), "evaluate", True),
    "map": Kind(to_say("Mapping '{name}'"), "map", True),
    "train": Kind(to_say("Training '{name}'"), "train", True),
    "use": Kind(to_say("Changing the model of '{name}'"), "train"),
    "export": Kind(to_say("Exporting '{name}'"), "train"),
}
_TRAY = """<button type="button" class="jobs-now" popovertarget="jobs-list" hidden>
<span class="share" aria-hidden="true"></span><span class="what"></span><span class="how"></span></button>
<div popover id="jobs-list" role="region" aria-label="{label}">
<div class="interrupted"></div><div class="ended-jobs"></div><div class="active-jobs"></div></div>"""
_ENDED = {State.DONE: to_say("done"), State.CANCELLED: to_say("cancelled")}


@dataclass
class JobTray:
    """``resume``: by kind, what goes on with what was cut off; it is given the name and raises what is in the way.
    Where a gallery that was to be made ``holds_nothing``, one can ``give_up`` with it; both are given its name.
    ``server``: which one this is: one that was started anew knows nothing of what pages kept in the one before."""

    context: AppContext
    resume: dict[str, Callable[[str], Job]] = field(default_factory=dict)
    holds_nothing: Callable[[str], bool] = lambda name: False
    give_up: Callable[[str], None] = lambda name: None
    server: str = field(default_factory=lambda: uuid4().hex)

    def build(self) -> None:
        """Lay it out. ``news.input`` comes when what every page shows may have changed, ``changed.input`` when
        galleries have while somebody was elsewhere."""
        self.changed = signal("changed")
        self.news = gr.HTML(
            "",
            html_template=_TRAY.format(label=say("Jobs")),
            js_on_load=scripts("jobs"),
            server_functions=self._server_functions(),
            elem_id="jobs",
        )

    def _server_functions(self) -> list[Callable]:
        """What the page asks; the names are those that assets/jobs.js calls."""

        def jobs(gallery: Any) -> dict[str, Any]:
            request = LocalContext.request.get(None)
            return {
                "server": self.server,
                "hearing": hearing_of(request.scope) if request is not None else "",
                "gallery": str(gallery),
                "ready": self.context.ready.is_set(),
                "news": self.context.news,
                "written": str(self.context.library.written(str(gallery))),
                "jobs": [_shown(job) for job in self.context.jobs.of(self.context.owner)],
            }

        def cancel(id: Any) -> str:
            try:
                self.context.jobs.cancel(self.context.owner, str(id))
            except JobError as error:
                return reason(error)
            return ""

        def interrupted(_: Any) -> list[dict[str, Any]]:
            return [
                {"kind": cut.kind, "name": cut.name, "text": cut.text, "action": cut.action, "tab": KINDS[cut.kind].tab,
                 "key": f"{cut.kind} {cut.name}", "empty": cut.kind == "index" and self.holds_nothing(cut.name)}
                for cut in self.context.interrupted()
            ]  # fmt: skip

        def resume(asked: Any) -> str:
            try:
                kind, name = asked
                self.resume[kind](str(name))
            except ERRORS as error:
                return reason(error)
            return ""

        def give_up(name: Any) -> str:
            try:
                self.give_up(str(name))
            except ERRORS as error:
                return reason(error)
            return ""

        return [jobs, cancel, interrupted, resume, give_up]


@dataclass
class JobPanel:
    """Where jobs of some kinds are watched, beside the button that asks for them."""

    kinds: tuple[str, ...]
    elem_id: str

    def build(self) -> None:
        """Lay it out. ``further.input`` comes when something was asked for, ended or came to another stage."""
        self.further = gr.HTML(
            "",
            html_template='<div class="jobs" data-job-kinds="${kinds}"></div>',
            js_on_load=scripts("job-panel"),
            kinds=" ".join(self.kinds),
            elem_id=self.elem_id,
        )


def check_idle(context: AppContext, gallery: str) -> None:
    """Raises ``JobError`` while a job about a gallery runs, which finds it where it lies; one that waits is cancelled
    when the gallery goes."""
    if any(job.at_work and gallery in galleries_of(job) for job in context.jobs.of(context.owner)):
        raise JobError(say("something runs for '{name}'; wait for it, or cancel it", name=gallery))


def _shown(job: Job) -> dict[str, Any]:
    step = job.step
    return {
        "id": job.id,
        "kind": job.kind,
        "state": job.state.value,
        "stage": step.stage,
        "title": say(KINDS[job.kind].doing, name=job.name),
        "detail": _detail(job),
        "brief": _brief(job),
        "note": step.note if job.state == State.RUNNING else "",
        "share": step.share if job.state in (State.RUNNING, State.STOPPING) else None,
        "tab": KINDS[job.kind].tab,
        "gallery": galleries_of(job)[0] if KINDS[job.kind].of_gallery else "",
        "made": job.name if job.kind == "index" and job.state == State.DONE else "",
    }


def _brief(job: Job) -> str:
    """How far it is, for the header."""
    step = job.step
    if job.state != State.RUNNING:
        return say("failed") if job.state == State.FAILED else _detail(job)
    share = f"{step.share:.0%}".replace("%", " %") if step.share is not None else say(step.stage)
    left = say("{time} left", time=duration(step.seconds_left)) if step.seconds_left else ""
    return " · ".join(part for part in (share, left) if part)


def _detail(job: Job) -> str:
    if job.state == State.WAITING:
        return say("waiting for its turn")
    if job.state == State.STOPPING:
        return say("stopping, what is done is kept")
    if job.state == State.FAILED:
        return job.problem
    if job.state in _ENDED:
        return say(_ENDED[job.state])
    step = job.step
    count = thousands(step.done) if step.done or step.total else ""
    if step.total and step.unit:  # one sentence: where the unit stands after "of", languages inflect it
        count = say("{count} of {total:,} {unit}", count=count, total=step.total, unit=say(step.unit))
    elif step.total:
        count = say("{count} of {total:,}", count=count, total=step.total)
    left = say("{time} left", time=duration(step.seconds_left)) if step.seconds_left else ""
    return " · ".join(part for part in (say(step.stage), count, left) if part)
