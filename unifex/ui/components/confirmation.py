"""A press that takes much away asks first, in a sentence that names how much."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import gradio as gr
from gradio.events import Dependency

from unifex.core.text import reason
from unifex.ui.context import ERRORS
from unifex.ui.listening import listen
from unifex.ui.rendering import html


@dataclass
class Confirmation:
    """A button that asks, and the button that acts, whose ``elem_id`` it is."""

    label: str
    elem_id: str

    def build(self, **options: object) -> None:
        """Lay it out; ``options`` are the asking button's."""
        self.button = gr.Button(self.label, elem_id=f"{self.elem_id}-ask", variant="stop", **options)
        self.question = gr.HTML(js_on_load=_COME_INTO_VIEW, place=f"#{self.elem_id}-no")
        with gr.Row(visible=False) as self.answers:
            self.yes = gr.Button(self.label, elem_id=self.elem_id, variant="stop", min_width=120)
            self.no = gr.Button("Cancel", elem_id=f"{self.elem_id}-no", min_width=120)

    def wire(self, ask: Callable[..., str], act: Callable, inputs: Sequence | None, outputs: Sequence) -> Dependency:
        """``ask`` and ``act`` take the inputs; ask says what will happen and raises one of :data:`ERRORS` where nothing
        can. What happens when the answer is yes."""
        asking = [self.question, self.button, self.answers]

        def question(*values: object) -> tuple[str, dict, dict]:
            try:
                asked = html.message(ask(*values), kind="warning")
            except ERRORS as error:
                return html.message("Nothing to do", reason(error), "warning"), gr.skip(), gr.skip()
            return asked, gr.update(visible=False), gr.update(visible=True)

        listen(self.button.click, question, inputs, asking, counts="first")
        answered = listen(self.yes.click, act, inputs, outputs, counts="first")
        done = "", gr.update(visible=True), gr.update(visible=False)
        # Another gallery or selection than was asked of asks anew; what is typed is before everybody's eyes.
        others = [one.change for one in inputs or () if not isinstance(one, gr.Textbox)]
        listen([self.yes.click, self.no.click, *others], lambda: done, None, asking)
        return answered


# The harmless answer gets the focus, so that Enter pressed twice does nothing.
_COME_INTO_VIEW = """
watch('value', () => props.value && setTimeout(() => {
  const no = document.querySelector(props.place);
  if (!no) return;
  no.scrollIntoView({ block: 'nearest' });
  no.focus();
}, 100));
"""
