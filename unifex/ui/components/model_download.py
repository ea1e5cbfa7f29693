"""A trained model as a file: its folder as a zip, or what needs nothing of this program."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import gradio as gr

from unifex.core.jobs import State
from unifex.core.language import say, to_say
from unifex.core.progress import Step, Work
from unifex.core.text import size
from unifex.models.embedder import Embedder
from unifex.models.export import SUFFIXES, Exported, export
from unifex.ui.components.job_tray import JobPanel
from unifex.ui.components.pressing import ask_for_job, or_say
from unifex.ui.context import GONE, AppContext
from unifex.ui.listening import Updates, listen
from unifex.ui.rendering.html import message

ZIP = to_say("The model (.zip)")
KINDS = {ZIP: "", to_say("TorchScript, 64-d (the challenge)"): "torchscript", "ONNX, 64-d": "onnx"}


@dataclass
class ModelDownload:
    """A dropdown of kinds and the button that has the file."""

    context: AppContext

    def build(self) -> None:
        """Lay it out."""
        self.kind = gr.Dropdown(
            [(say(kind), kind) for kind in KINDS], value=ZIP, label=say("As a file"), elem_id="train-file",
            info=say("TorchScript and ONNX take images of 0-255 in any size and need nothing of this program"),
        )  # fmt: skip
        self.button = gr.DownloadButton(say("Download the model"), elem_id="train-download")

    def build_notice(self) -> None:
        """What is told of the file. Its own place: a stream's last message comes once more when the stream ends."""
        self.panel = JobPanel(("export",), "export-progress")
        self.panel.build()
        self.problem = gr.HTML(elem_id="train-file-problem")
        self.notice = gr.HTML(elem_id="train-file-notice")

    @property
    def shown(self) -> list:
        """What :meth:`of` updates."""
        return [self.kind, self.button, self.notice]

    def wire(self, model: gr.State) -> None:
        """Connect the handlers: another kind makes another file of the ``model`` that was trained."""
        asked = [model, self.kind]
        ask_for_job(self.kind.input, self.begin, asked, self.problem, say("No file"), self.button, counts="last")
        listen(self.panel.further.input, self.show_job, asked, [self.notice, self.button])

    def of(self, model: str) -> Updates:
        """:attr:`shown` for a model that was just trained."""
        chosen: Updates = {self.kind: ZIP, self.button: gr.update(value=None)}
        return chosen | or_say(self.notice, say("No file"), self.begin)(model, ZIP)

    def begin(self, model: str, kind: str) -> Updates:
        """(model, kind) -> the file, or a job that makes it. Raises ``ModelError``, ``JobError``, OSError."""
        if kind == ZIP:
            return {self.button: gr.update(value=self._zipped(model))}
        self.context.start("export", model, self._exporting(model, kind), kind)
        return {self.button: gr.skip()}  # which its job may have written by now

    def _exporting(self, name: str, kind: str) -> Work[tuple[Exported, str]]:
        yield Step(say("{kind}, compared with the app on a few pictures", kind=say(kind)))
        model, format = Embedder.load(name, models=self.context.library.models), KINDS[kind]
        made = export(model, format, self.context.scratch() / f"{name}{SUFFIXES[format]}")
        return made, self.context.hand_out(Path(made.path))

    def show_job(self, model: str, kind: str) -> Updates:
        """(model, kind) -> what came of its export, download."""
        job = self.context.outcome("export", model)
        if kind == ZIP:
            return {self.notice: ""}
        again = say("Choose a kind again to make the file.")
        if job is None or job.source != kind:
            told = "" if self.context.is_busy("export", model) else message(say("No file"), again)
            return {self.notice: told, self.button: gr.update(value=None)}
        if job.state == State.CANCELLED:
            return {self.notice: message(say("Cancelled"), again)}
        if job.state == State.FAILED:
            return {self.notice: message(say("No file"), job.problem, "error")}
        made, address = job.result
        if not Path(address).is_file():
            return {self.notice: message(say("The file is gone"), say(GONE))}
        text = say(
            "{size}, {dim}-d; cosine with the app's embeddings {cosine:.4f} or more.",
            size=size(made.bytes),
            dim=made.dim,
            cosine=made.cosine,
        )
        ready = message(say("{file} is ready to download", file=say(kind).partition(",")[0]), text, "good")
        return {self.notice: ready, self.button: gr.update(value=address)}

    def _zipped(self, model: str) -> str:
        Embedder.load(model, models=self.context.library.models).check_travels()
        path = self.context.scratch() / f"{model}.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as archive:
            for file in sorted((self.context.library.models / model).iterdir()):
                archive.write(file, f"{model}/{file.name}")
        return self.context.hand_out(path)
