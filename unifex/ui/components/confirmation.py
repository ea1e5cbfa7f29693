"""A press that takes much away asks first, in a sentence that names how much."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import gradio as gr
from gradio.events import Dependency

from unifex.core.language import say
from unifex.ui.components.pressing import or_say
from unifex.ui.listening import Part, Updates, listen
from unifex.ui.rendering.html import message


@dataclass
class Confirmation:
    """A button that asks, and the button that acts, whose ``elem_id`` it is."""

    label: str
    elem_id: str

    def build(self, size: Literal["sm", "lg"] = "lg") -> None:
        """Lay it out; ``size`` is the asking button's."""
        self.button = gr.Button(self.label, elem_id=f"{self.elem_id}-ask", variant="stop", size=size)
        self.question = gr.HTML(js_on_load=_COME_INTO_VIEW, id=self.elem_id)
        with gr.Row(visible=False) as self.answers:
            self.yes = gr.Button(self.label, elem_id=self.elem_id, variant="stop", min_width=120)
            self.no = gr.Button(say("Cancel"), elem_id=f"{self.elem_id}-no", min_width=120)

    def wire(
        self,
        ask: Callable[..., str],
        act: Callable[..., Updates],
        inputs: Sequence[gr.Dropdown | gr.Radio | gr.State | gr.Textbox],
        outputs: Sequence[Part],
    ) -> Dependency:
        """``ask`` and ``act`` take the inputs; ask says what will happen and raises one of ``context.ERRORS`` where
        nothing can. What happens when the answer is yes."""
        asking = [self.question, self.button, self.answers]

        def question(*values: object) -> Updates:
            return self._asked(message(ask(*values), kind="warning"))

        asked = or_say(self.question, say("Nothing to do"), question, "warning")
        listen(self.button.click, asked, inputs, asking, counts="first")
        answered = listen(self.yes.click, act, inputs, outputs, counts="first")
        # Another gallery or selection than was asked of asks anew; what is typed is before everybody's eyes.
        others = [component.change for component in inputs if not isinstance(component, gr.Textbox)]
        listen([self.yes.click, self.no.click, *others], lambda: self._asked(""), None, asking)
        return answered

    def _asked(self, question: str) -> Updates:
        """While there is a question, its answers stand in the place of the button."""
        return {
            self.question: question,
            self.button: gr.update(visible=not question),
            self.answers: gr.update(visible=bool(question)),
        }


# The harmless answer gets the focus, so that Enter pressed twice does nothing; an answer goes, and the button that asks
# has the keyboard again.
_COME_INTO_VIEW = """
watch('value', () => setTimeout(() => {
  const button = document.querySelector(`#${props.id}-${props.value ? 'no' : 'ask'}`);
  if (!button || (!props.value && document.activeElement !== document.body)) return;
  if (props.value) button.scrollIntoView({ block: 'nearest' });
  button.focus({ preventScroll: !props.value });
}, 100));
"""
