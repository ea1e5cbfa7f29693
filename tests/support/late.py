"""The page without a browser, whose answers arrive when a test says: what comes late must not undo what was done."""

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import gradio as gr
from gradio.block_function import BlockFunction
from gradio.blocks import Block

from unifex.ui.components.shared_gallery import OPENED, SHOWN
from unifex.ui.listening import SAME
from unifex.ui.page import Page

Arrive = Callable[[], None]


class LatePage:
    """Values of the components as the browser has them. Of what scripts do alone, only what one says as another, and
    that a tab shows its gallery."""

    def __init__(self, page: Page | gr.Blocks):
        self.page = page
        self.open, self._moments = "search", itertools.count(1)  # the tab; no two openings are of one moment
        self.visible: dict[int, Any] = {}  # as answers said it
        self.values: dict[int, Any] = {id: getattr(block, "value", None) for id, block in page.blocks.items()}

    def part(self, elem_id: str) -> Block:
        """The component, or tab, of this id."""
        return next(
            block for block in self.page.blocks.values() if elem_id in (block.elem_id, getattr(block, "id", None))
        )

    def __getitem__(self, part: Block | str) -> Any:
        return self.values[(self.part(part) if isinstance(part, str) else part)._id]

    def __setitem__(self, part: Block | str, value: Any) -> None:
        self.values[(self.part(part) if isinstance(part, str) else part)._id] = value

    def send(self, part: Block | str, event: str, value: Any = None) -> Arrive:
        """What the server answers to what the page says now; it is shown when it is called."""
        block = self.part(part) if isinstance(part, str) else part
        events = [event]
        if value is not None:
            events += ["change"] if event == "input" and isinstance(block, gr.Dropdown) and self[block] != value else []
            self[block] = value
        if isinstance(block, gr.Tab):
            self.open = str(block.id)
        told = [(block._id, each) for each in events]
        return _all([self._asked(fn) for fn in self.page.fns.values() if set(told).intersection(fn.targets)])

    def do(self, part: Block | str, event: str, value: Any = None) -> None:
        """The same, answered at once."""
        self.send(part, event, value)()

    def _asked(self, fn: BlockFunction) -> Arrive:
        if fn.js == SAME:
            return self._arrived(fn, {fn.outputs[0]: self.values[fn.inputs[0]._id]})
        if fn.js == OPENED:
            (name,) = (self.values[part._id] for part in fn.inputs)
            return self._arrived(fn, dict(zip(fn.outputs, (name, f"{next(self._moments)} {name}"))))
        if fn.js == SHOWN % self.open:
            name, shown = (self.values[part._id] for part in fn.inputs)
            now = shown if shown.partition(" ")[2] == name else f"{next(self._moments)} {name}"
            return self._arrived(fn, {fn.outputs[0]: now})
        if not fn.fn:
            return _all([])
        answer = fn.fn(*(self.values[part._id] for part in fn.inputs))
        if not isinstance(answer, dict) or "__type__" in answer:
            (output,) = fn.outputs
            answer = {output: answer}
        assert set(answer) <= set(fn.outputs)
        return lambda: self._arrived(fn, answer)()

    def _arrived(self, fn: BlockFunction, answer: Mapping[Any, Any]) -> Arrive:
        """Written at once; what follows it is asked for."""
        changed = [part for part, value in answer.items() if self._written(part, value)]
        following = [self._asked(after) for after in self.page.fns.values() if after.trigger_after == fn._id]
        return _all([*(self.send(part, "change") for part in changed), *following])

    def _written(self, part: Block, value: Any) -> bool:
        """Whether an answer changes the value."""
        if isinstance(value, dict) and value.get("__type__") == "update":
            self.visible |= {part._id: value["visible"]} if "visible" in value else {}
            if "value" not in value:
                return False
            value = value["value"]
        before, self.values[part._id] = self.values[part._id], value
        return before != value


def _all(answers: list[Arrive]) -> Arrive:
    def arrive() -> None:
        for answer in answers:
            answer()

    return arrive
