"""A trained model as a file: its folder as a zip, or what needs nothing of this program."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import gradio as gr

from unifex.embedder import Embedder
from unifex.export import SUFFIXES, export
from unifex.outcome import Outcome
from unifex.text import reason, size
from unifex.ui import html
from unifex.ui.context import ERRORS, Context

ZIP = "The model (.zip)"
KINDS = {ZIP: "", "TorchScript, 64-d (the challenge)": "torchscript", "ONNX, 64-d": "onnx"}


@dataclass
class ModelDownload:
    """A dropdown of kinds and the button that has the file."""

    context: Context

    def build(self) -> None:
        """Lay it out."""
        self.kind = gr.Dropdown(
            [*KINDS], value=ZIP, label="As a file", elem_id="train-file",
            info="TorchScript and ONNX take images of 0-255 in any size and need nothing of this program",
        )  # fmt: skip
        self.button = gr.DownloadButton("Download the model", elem_id="train-download")

    def build_notice(self) -> None:
        """What is told of the file. Its own place: a stream's last message comes once more when the stream ends."""
        self.notice = gr.HTML(elem_id="train-file-notice")

    @property
    def shown(self) -> list:
        """What :meth:`of` updates."""
        return [self.kind, self.button, self.notice]

    def wire(self, found: gr.State) -> None:
        """Connect the handler: another kind makes another file."""
        asked = [found, self.kind], [self.notice, self.button]
        self.kind.input(self.make, *asked, concurrency_id="export", show_progress="hidden", api_visibility="private")

    def of(self, model: str) -> tuple[dict, dict, str]:
        """:attr:`shown` for a model that was just trained."""
        return gr.update(value=ZIP), gr.update(value=self._zipped(model)), ""

    def make(self, found: Outcome | None, kind: str) -> Iterator[tuple]:
        """(outcome, kind) -> notice, download."""
        if found is None:
            yield html.message("Nothing trained yet"), gr.skip()
            return
        if kind == ZIP:
            yield "", gr.update(value=self._zipped(found.model))
            return
        yield html.message("Making the file", "It is compared with the app on a few pictures."), gr.skip()
        format = KINDS[kind]
        try:
            model = Embedder.load(found.model, models=self.context.indexes.models)
            made = export(model, format, self.context.scratch() / f"{found.model}{SUFFIXES[format]}")
        except ERRORS as error:
            yield html.message("No file", reason(error), "error"), gr.skip()
            return
        text = f"{size(made.bytes)}, {made.dim}-d; cosine with the app's embeddings {made.cosine:.4f} or more."
        yield (
            html.message(f"{kind.partition(',')[0]} is ready to download", text, "good"),
            gr.update(value=self.context.hand_out(Path(made.path))),
        )

    def _zipped(self, model: str) -> str:
        path = self.context.scratch() / f"{model}.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in sorted((self.context.indexes.models / model).iterdir()):
                archive.write(file, f"{model}/{file.name}")
        return self.context.hand_out(path)
