"""A press that takes much away asks first, in a sentence that names how much."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import gradio as gr
from gradio.events import Dependency

from unifex.core.language import say, to_say
from unifex.ui.components.pressing import or_say
from unifex.ui.listening import Part, Updates, follow, listen
from unifex.ui.rendering.html import message


@dataclass
class Confirmation:
    """A button that asks, and the button that acts, whose ``elem_id`` it is."""

    label: str
    elem_id: str

    def build(self, size: Literal["sm", "lg"] = "lg") -> None:
        """Lay it out; ``size`` is the asking button's."""
        self.about, self.sentence = gr.State(()), gr.State("")  # the inputs that the question stands for, and itself
        self.otherwise = gr.State(False)  # whether something else was meant when the answer was yes
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
        whatever: bool = False,
    ) -> Dependency:
        """``ask`` and ``act`` take the inputs; ask says what will happen and raises one of ``context.ERRORS`` where
        nothing can. What happens when the answer is yes, which is an answer to what was asked alone: where ask says
        something else by then, it is asked anew, unless ``whatever`` there is by then is meant."""
        asking = [self.question, self.button, self.answers]
        said = or_say(
            self.question, say("Nothing to do"), lambda *values: self._asked(message(ask(*values), kind="warning")),
            "warning",
        )  # fmt: skip

        def question(*values: Any) -> Updates:
            asked = said(*values)
            return {**asked, self.about: values, self.sentence: asked[self.question]}

        def confirmed(sentence: str, about: tuple[Any, ...], *values: Any) -> Updates:
            meant = values == about and (whatever or said(*values)[self.question] == sentence)
            return {**(act(*values) if meant else {outputs[0]: gr.skip()}), self.otherwise: not meant}

        known, ended = [self.about, *inputs], [*outputs, self.otherwise]
        asked = listen(self.button.click, question, inputs, [*asking, self.about, self.sentence], counts="first")
        follow(asked, self._withdraw_late, known, asking)
        answered = listen(self.yes.click, confirmed, [self.sentence, *known], ended, counts="first")
        follow(answered, self._end, [self.otherwise], asking, always=True)
        # Another gallery or selection than was asked of asks anew; what is typed is before everybody's eyes.
        others = [component.change for component in inputs if not isinstance(component, gr.Textbox)]
        listen([self.no.click, *others], lambda: self._asked(""), None, asking)
        return answered

    def _withdraw_late(self, about: tuple[Any, ...], *values: Any) -> Updates:
        """(what was asked about, what is chosen now) -> no question that came after another choice."""
        return {self.question: gr.skip()} if values == about else self._asked("")

    def _end(self, otherwise: bool) -> Updates:
        """(whether something else was meant) -> no question, and why nothing was done."""
        return self._asked("") | ({self.question: message(say(_ELSE), say(_ANEW))} if otherwise else {})

    def _asked(self, question: str) -> Updates:
        """While there is a question, its answers stand in the place of the button."""
        return {
            self.question: question,
            self.button: gr.update(visible=not question),
            self.answers: gr.update(visible=bool(question)),
        }


_ELSE, _ANEW = to_say("Something else is meant now"), to_say("Press it again to be asked about that.")
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
