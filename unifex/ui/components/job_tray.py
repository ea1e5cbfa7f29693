"""The server's jobs on the page: a line in the header that opens a list, and panels where jobs are asked for.

The page asks for them every second while something runs, so that a reload, a second tab and a phone all see the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import gradio as gr

from unifex.core.jobs import Job, JobError, State
from unifex.core.text import duration, reason
from unifex.ui.context import ERRORS, AppContext
from unifex.ui.scripts import scripts


class Kind(NamedTuple):
    """What is being done, and the tab where it is asked for and its outcome shown."""

    doing: str
    tab: str


KINDS = {
    "index": Kind("Indexing", "Gallery"),
    "pack": Kind("Packing", "Gallery"),
    "download": Kind("Downloading", "Gallery"),
    "change": Kind("Changing", "Gallery"),
    "pick": Kind("Making", "Gallery"),
    "duplicates": Kind("Comparing the pictures of", "Gallery"),
    "evaluate": Kind("Evaluating", "Evaluate"),
    "map": Kind("Mapping", "Map"),
    "train": Kind("Training", "Train"),
    "use": Kind("Changing the model of", "Train"),
    "export": Kind("Exporting", "Train"),
}
_TRAY = """<button type="button" class="jobs-now" popovertarget="jobs-list" hidden>
<span class="share" aria-hidden="true"></span><span class="what"></span><span class="how"></span></button>
<div popover id="jobs-list" role="region" aria-label="Jobs">
<div class="interrupted"></div><div class="ended-jobs"></div><div class="active-jobs"></div></div>"""
_ENDED = {State.DONE: "done", State.CANCELLED: "cancelled"}


@dataclass
class JobTray:
    """``resume``: by kind, what goes on with what was cut off; it is given the name and raises what is in the way."""

    context: AppContext
    resume: dict[str, Callable[[str], Job]] = field(default_factory=dict)

    def build(self) -> None:
        """Lay it out. ``news.input`` comes when what every page shows may have changed."""
        self.news = gr.HTML(
            "",
            html_template=_TRAY,
            js_on_load=scripts("jobs"),
            server_functions=self._server_functions(),
            elem_id="jobs",
        )

    def _server_functions(self) -> list[Callable]:
        """What the page asks; the names are those that assets/jobs.js calls."""

        def jobs(_: Any) -> dict[str, Any]:
            return {
                "ready": self.context.ready.is_set(),
                "news": str(hash((self.context.state, self.context.ready.is_set(), *self.context.library.names()))),
                "jobs": [_shown(job) for job in self.context.jobs.of(self.context.owner)],
            }

        def cancel(id: Any) -> str:
            try:
                self.context.jobs.cancel(self.context.owner, str(id))
            except JobError as error:
                return reason(error)
            return ""

        def interrupted(_: Any) -> list[dict[str, str]]:
            return [
                {"kind": cut.kind, "name": cut.name, "text": cut.text, "action": cut.action, "tab": KINDS[cut.kind].tab,
                 "key": f"{cut.kind} {cut.name}"}
                for cut in self.context.interrupted()
            ]  # fmt: skip

        def resume(asked: Any) -> str:
            try:
                kind, name = asked
                self.resume[kind](str(name))
            except ERRORS as error:
                return reason(error)
            return ""

        return [jobs, cancel, interrupted, resume]


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


def _shown(job: Job) -> dict[str, Any]:
    step = job.step
    return {
        "id": job.id,
        "kind": job.kind,
        "state": job.state.value,
        "stage": step.stage,
        "title": f"{KINDS[job.kind].doing} '{job.name}'",
        "detail": _detail(job),
        "brief": _brief(job),
        "note": step.note if job.state == State.RUNNING else "",
        "share": step.share if job.state in (State.RUNNING, State.STOPPING) else None,
        "tab": KINDS[job.kind].tab,
    }


def _brief(job: Job) -> str:
    """How far it is, for the header."""
    step = job.step
    if job.state != State.RUNNING:
        return "failed" if job.state == State.FAILED else _detail(job)
    share = f"{step.share:.0%}".replace("%", " %") if step.share is not None else step.stage
    left = f"{duration(step.seconds_left)} left" if step.seconds_left else ""
    return " · ".join(part for part in (share, left) if part)


def _detail(job: Job) -> str:
    if job.state == State.WAITING:
        return "waiting for its turn"
    if job.state == State.STOPPING:
        return "stopping, what is done is kept"
    if job.state == State.FAILED:
        return job.problem
    if job.state in _ENDED:
        return _ENDED[job.state]
    step = job.step
    count = f"{step.done:,}" if step.done or step.total else ""
    whole = f"{count} of {step.total:,} {step.unit}".strip() if step.total else count
    left = f"{duration(step.seconds_left)} left" if step.seconds_left else ""
    return " · ".join(part for part in (step.stage, whole, left) if part)
