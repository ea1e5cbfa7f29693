"""Sources that need no files of one's own: public data sets on this computer, and examples from the hub."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import gradio as gr

from unifex.core.language import say, to_say
from unifex.data.public_datasets import DATASETS
from unifex.ui.context import AppContext
from unifex.ui.listening import listen

HUB_EXAMPLES = (
    (to_say("Objects: Caltech-101 (CC BY 4.0)"), "hf:flwrlabs/caltech101@train[:300]"),
    (to_say("Dishes: Food-101 (licence unknown, for research)"), "hf:ethz/food101@train[:300]"),
    (to_say("Bean leaves (MIT)"), "hf:AI-Lab-Makerere/beans@train[:300]"),
)
_NO_SETS = to_say(
    "Put the data sets into one folder as the public UniFEx code documents it, and start with "
    "`python app.py --data DIR`. `python -m unifex datasets` lists them, where to get each, and what is missing."
)


@dataclass
class ReadySources:
    """Buttons, each of which names a source and a gallery; Forecast and Start are the user's."""

    context: AppContext
    buttons: list[tuple[gr.Button, str, str]] = field(default_factory=list)  # with source and name

    def build(self) -> None:
        """Lay them out."""
        local = not self.context.settings.public
        with gr.Accordion(say("M4D-35k and other public data sets"), open=False, visible=local, elem_id="public-sets"):
            self._build_sets()
        with gr.Accordion(say("Real photographs from the Hugging Face hub"), open=False, visible=local):
            gr.Markdown(say("Needs a network. The first 300 images are streamed; mind each data set's licence."))
            for title, spec in HUB_EXAMPLES:
                self._add(say(title), spec, title.partition(":")[0].partition("(")[0].strip().lower())

    def _build_sets(self) -> None:
        """A button for each set that is in the data folder."""
        data = self.context.settings.data
        here = [dataset for dataset in DATASETS.values() if data and not dataset.missing(data)]
        if data is None or not here:
            none = say("Nothing of them is in {data}.", data=data) if data else say("No data folder was given.")
            gr.Markdown(f"{none} {say(_NO_SETS)}")
            return
        gr.Markdown(
            say("A sample takes 5 images of 100 classes in each domain; change the numbers in the path as you like.")
        )
        for dataset in here:
            for title, key, query in (
                ("", "", ""),
                (say(", a sample"), " sample", "&classes=100&min_images=5&max_images=5"),
            ):
                spec = f"m4d:{data.resolve()}?sets={dataset.key}{query}"
                self._add(dataset.title + title, spec, dataset.key.replace("_", "-") + key)

    def _add(self, title: str, spec: str, name: str) -> None:
        self.buttons.append((gr.Button(title, size="sm"), spec, name))

    def wire(self, source: gr.Textbox, gallery: gr.Textbox) -> None:
        """A press fills these two in, at once: an answer would take what is typed since."""
        for button, spec, name in self.buttons:
            listen(button.click, None, None, [source, gallery], js=f"() => {json.dumps([spec, name])}")
