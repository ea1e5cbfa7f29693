"""What of a folder is read, and how."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr
from gradio.components import Component

from unifex.core.language import say, to_say
from unifex.core.text import lines_of
from unifex.data.item import Options

_FRAMES = {
    "every 1": to_say("one a second"),
    "every 10": to_say("one every ten seconds"),
    "scenes": to_say("one a scene"),
}


@dataclass
class Reading:
    """Boxes whose values :func:`options` takes."""

    def build(self, local: bool) -> None:
        """Lay them out; ``local``: also what is asked of folders of the server."""
        with gr.Accordion(say("What is read"), open=False, elem_id="reading"):
            self.exclude = gr.Textbox(
                "", label=say("Leave out"), placeholder="*.tmp", lines=2, elem_id="reading-exclude",
                info=say("Names or paths with * and ?, one a line; what systems put beside images is left out"),
            )  # fmt: skip
            self.follow_links = gr.Checkbox(
                label=say("Follow symbolic links"), visible=local, elem_id="reading-follow-links"
            )
            self.frames = gr.Dropdown(
                [(say(text), frames) for frames, text in _FRAMES.items()], value=Options.frames, visible=local,
                label=say("Frames of videos"), allow_custom_value=True, elem_id="reading-frames",
                info=say("Of those in a folder that is named above; 'every SECONDS' can be typed"),
            )  # fmt: skip

    @property
    def values(self) -> list[Component]:
        """The boxes."""
        return [self.exclude, self.follow_links, self.frames]


def options(exclude: str, follow_links: bool, frames: str) -> Options:
    """How files are read, as the boxes say."""
    return Options(exclude=tuple(lines_of(exclude)), follow_links=follow_links, frames=frames or Options.frames)
