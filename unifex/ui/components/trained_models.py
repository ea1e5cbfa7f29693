"""The models that a gallery has trained, and what came of the one that is open: curves, before and after, *Use it*."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

import gradio as gr

from unifex.core.language import say
from unifex.core.text import reason
from unifex.gallery.gallery import Gallery, GalleryError
from unifex.training.report import TrainReport, read_report, trained_on
from unifex.ui.components.basic import Choice, job_notice
from unifex.ui.components.model_download import ModelDownload
from unifex.ui.components.model_switch import ModelSwitch
from unifex.ui.context import AppContext
from unifex.ui.listening import Part, Updates
from unifex.ui.rendering import training_report
from unifex.ui.rendering.cards import Card, of_gallery
from unifex.ui.rendering.html import message
from unifex.ui.scripts import scripts


@dataclass
class TrainedModels:
    """``opened``: the model that is looked at, which may be in training; ``model``: the same once there is one."""

    context: AppContext
    switch: ModelSwitch
    download: ModelDownload = field(init=False)

    def __post_init__(self) -> None:
        self.download = ModelDownload(self.context)

    def build(self) -> None:
        """Lay it out."""
        self.model = gr.State("")
        self.opened = Choice(
            [], value=None, label=say("Trainings on this gallery"), visible=False, elem_id="train-models"
        )
        label = say("Training curves")
        self.curves = gr.HTML(
            "", html_template=f'<div class="curves" role="img" aria-label="{label}" hidden></div>',
            js_on_load=scripts("curves"),
            elem_id="train-curves",
        )  # fmt: skip
        self.outcome = job_notice("train-outcome", "", "evaluate")
        with gr.Column(visible=False, elem_id="train-result") as self.result:
            self.switch.build()
            with gr.Row(equal_height=True):
                self.download.build()
            self.download.build_notice()
        self.switch.build_notices()
        self.changed = gr.HTML(elem_id="train-changed", js_on_load=scripts("evaluate"))

    @property
    def shown(self) -> list[Part]:
        """What :meth:`open` and :meth:`nothing` update."""
        parts = [self.model, self.opened, self.curves, self.outcome, self.result, self.changed]
        return [*parts, *self.switch.offered, *self.download.shown]

    def wire(self, gallery: gr.Dropdown) -> None:
        """Connect the handlers of what is done with the model that is open."""
        self.switch.wire(gallery, self.model)
        self.download.wire(self.model)

    def of(self, gallery: Gallery) -> list[str]:
        """The models that it has trained, the last one first."""
        return list(trained_on(self.context.library.models, gallery.config.id))

    def offer(self, names: Sequence[str], opened: str | None) -> Updates:
        """These models to choose from, of which one is open."""
        return {self.opened: gr.update(choices=list(names), value=opened, visible=bool(names))}

    def nothing(self) -> Updates:
        """Nothing of any training is shown."""
        empty = dict.fromkeys([self.curves, self.outcome, self.changed, self.model], "")
        return {**empty, self.result: gr.update(visible=False)}

    def open(self, gallery: Gallery, model: str) -> Updates:
        """What came of a training. Raises ``GalleryError`` where that is not kept."""
        found = read_report(self.context.library.models, model)
        if found is None:
            raise GalleryError(say("there is no model '{model}' any more, or nothing is kept of it", model=model))
        return {
            self.model: model,
            self.curves: training_report.curves(found.curve),
            self.outcome: training_report.outcome(found),
            self.result: gr.update(visible=True),
            **self.switch.offer(gallery, advised=found.worth.verdict == "better", anew=found.worth.adapted),
            **self.download.of(model),
            self.changed: _changed(gallery, found),
        }


def _changed(gallery: Gallery, found: TrainReport) -> str:
    """The queries that changed most, as long as all that is shown of them is in the gallery."""

    @cache
    def see(id: int) -> Card:
        return Card(gallery.record(id), gallery.name)

    try:
        rows = training_report.changed(found.changed, see, found.worth.before, found.model)
    except GalleryError as error:
        return message(say("Which queries changed most is not shown"), reason(error))
    return of_gallery(gallery.name, rows)
