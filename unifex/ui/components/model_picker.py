"""Which model a new gallery is made with: what it is, what it costs, and fetching it when it is not here."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from unifex.core.jobs import State
from unifex.core.language import say, thousands, to_say
from unifex.core.text import reason, size
from unifex.models import descriptions, throughput, zoo
from unifex.models.backbones import BackboneSpec
from unifex.models.embedder import RAW, Embedder, ModelConfig, backbone_of, find_model, list_models
from unifex.ui.components.job_tray import JobPanel
from unifex.ui.components.pressing import ask_for_job
from unifex.ui.context import ERRORS, AppContext
from unifex.ui.listening import Updates, listen
from unifex.ui.rendering import html

_EARLIER = ("unifex-lite", "unifex-lite-2", "unifex-lite-3", "unifex-base", "unifex-base-2")
# What the models in the box are to each other; each one's figures and speed stand below it when it is chosen.
_BUNDLED = {
    "unifex-lite-4": to_say("{model}: fast"),
    "unifex-base-3": to_say("{model}: finds a little more, takes three times as long"),
    **dict.fromkeys(_EARLIER, to_say("{model}: of earlier versions")),
}


@dataclass
class ModelPicker:
    """A dropdown, what is known of the model chosen, and a button that fetches it."""

    context: AppContext

    def build(self) -> None:
        """Lay it out."""
        chosen = self.context.embedder.name
        with gr.Accordion(say("Model"), open=False, elem_id="model-picker"):
            self.model = gr.Dropdown(
                self.choices(), value=chosen, label=say("Model of a new gallery"), elem_id="picked-model",
                allow_custom_value=True,
                info=say(
"A gallery keeps its model. raw: is a backbone without a neck; any timm:NAME, "
"open_clip:NAME:PRETRAINED or hf-hub:OWNER/NAME can be typed"),
            )  # fmt: skip
            self.facts = gr.HTML(elem_id="model-facts")
            self.fetch = gr.Button(say("Download"), visible=False, elem_id="model-download")
            self.panel = JobPanel(("download",), "model-progress")
            self.panel.build()
            self.problem = gr.HTML(elem_id="model-problem")

    def wire(self) -> None:
        """Connect the handlers."""
        shown = [self.facts, self.fetch]
        listen(self.model.focus, self.listed, None, [self.model])  # one may be new
        listen([self.model.change, self.panel.further.input], self.show, [self.model], shown)
        ask_for_job(self.fetch.click, self.download, [self.model], self.problem, say("Not fetched"))
        listen(self.model.change, lambda: "", None, [self.problem])

    def listed(self) -> Updates:
        """-> what can be chosen by now."""
        return {self.model: gr.update(choices=self.choices())}

    def choices(self) -> list[tuple[str, str]]:
        """(as shown, name) of every model and backbone that is known."""
        own = [
            (say(_BUNDLED.get(config.name, "{model}"), model=config.name), config.name)
            for config in list_models(self.context.library.models)
        ]
        backbones = [
            (say("{model}, words", model=spec.title) if spec.text else spec.title, RAW + spec.id)
            for spec in zoo.table().values()
        ]
        return own + backbones

    def embedder(self, name: str | None) -> Embedder:
        """The model chosen, loaded. Raises what ``Embedder.load`` raises."""
        if not name or name == self.context.embedder.name:
            return self.context.embedder
        self.context.check_local(say("other models are not loaded"))
        return Embedder.load(zoo.absolute(name), models=self.context.library.models)

    # --- handlers ------------------------------------------------------------------------------------------------

    def show(self, name: str | None) -> Updates:
        """(model) -> its facts or why it could not be fetched, the download button if it is not here."""
        fetching = self.context.outcome("download", _hub_name(name))
        if fetching and fetching.state == State.FAILED:
            return self._showing(html.message(say("Not fetched"), fetching.problem, "error"), say("Try again"))
        try:
            self.context.check_local(say("other models are not loaded"))
            backbone, config = self._parts(name)
        except ERRORS as error:
            wanted = _hub_name(name).startswith("hf-hub:")  # what it is, is in the repository
            return self._showing(html.message(say("This model"), reason(error), "warning"), say("Download"), wanted)
        fetchable = not backbone.here and not self.context.is_busy("download", _hub_name(name))
        return self._showing(
            _facts(backbone, config), say("Download {size}", size=size(backbone.download_bytes)), fetchable
        )

    def _showing(self, facts: str, button: str, fetchable: bool = True) -> Updates:
        return {self.facts: facts, self.fetch: gr.update(value=button, visible=fetchable)}

    def _parts(self, name: str | None) -> tuple[BackboneSpec, ModelConfig | None]:
        """Backbone, and what a model says of itself; None for a bare backbone."""
        name = (name or "").strip()
        if name.startswith(RAW):
            return zoo.get(name.removeprefix(RAW)), None
        models = self.context.library.models
        known = {config.name: config for config in list_models(models)}
        if name not in known:
            return zoo.get(name), None
        config = known[name]
        return backbone_of(config, find_model(name, models)), config

    def download(self, name: str | None) -> None:
        """(model) -> a job. Raises ``GalleryError``, ``BackboneError`` and ``JobError``."""
        self.context.check_local(say("other models are not loaded"))
        self.context.check_writable()
        self.context.start("download", _hub_name(name), zoo.download(_hub_name(name)))


def _hub_name(model: str | None) -> str:
    """A backbone's own name, without the mark of a model that is nothing but it."""
    return (model or "").strip().removeprefix(RAW)


def _facts(spec: BackboneSpec, config: ModelConfig | None) -> str:
    """What a model is and costs. Deployed is what runs for an image; trained is a neck of 512 values."""
    rate = throughput.images_per_second(spec)
    dims = config.dims if config else ()
    rows = (_said_of(config) if config else {}) | {
        say("Backbone"): spec.said,
        say("Parameters"): thousands(spec.parameters)
        + (say(" and {count:,} for words", count=spec.text_parameters) if spec.text else ""),
        say("Trained with a neck"): thousands(512 * (spec.feature_dim + 1)),
        say("Image, features"): say("{size} px, {dim:,} values", size=spec.preprocessing.size, dim=spec.feature_dim),
        say("Neck"): ", ".join(f"{dim}-d" for dim in dims) or say("none: the features themselves"),
        say("Work an image"): say("{work:,.1f} GFLOPs", work=spec.gigaflops) if spec.gigaflops else say("unknown"),
        say("Speed here, about"): _speed(rate) if rate else say("not known before it is tried"),
        say("Words"): say("can be searched with") if spec.text else say("no"),
        say("Licence"): spec.licence,
        say("Weights"): _weights(spec),
    }
    return html.facts(rows)


def _said_of(config: ModelConfig) -> dict[str, str]:
    """What it was trained on, and its score for the dimension that a gallery begins with."""
    score = config.score(config.default_dim)
    measured = {say("mMP@5"): say("{score:.3f} at {dim}-d", score=score, dim=config.default_dim)} if score else {}
    return ({say("About"): descriptions.said(config.description)} if config.description else {}) | measured


def _weights(spec: BackboneSpec) -> str:
    if spec.here or spec.hub_file is None:
        return say("on this computer")
    return say("{size} from {repo}", size=size(spec.download_bytes), repo=spec.hub_file.repo)


def _speed(images_per_second: float) -> str:
    """Images a second, or seconds an image when that is the larger number."""
    if images_per_second < 1:
        return say("{seconds:,.9g} s an image", seconds=_of_two_digits(1 / images_per_second))
    return say("{rate:,.9g} images/s", rate=_of_two_digits(images_per_second))


def _of_two_digits(value: float) -> float:
    return float(f"{value:.2g}")
