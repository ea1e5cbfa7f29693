"""The page as Gradio serves it, which tells people of every error."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import gradio as gr
from gradio.block_function import BlockFunction
from gradio.data_classes import BlocksConfigDict

from unifex.core.errors import UnifexError
from unifex.core.language import say
from unifex.core.text import explain

REST = 0.004
REST_OF_PROGRESS = 0.1  # the same for the progress of handlers; the page's own tells of it otherwise


class Page(gr.Blocks):
    """Blocks, for handlers that may raise anything.

    A handler that has a place for its errors catches those that a user can mend (``context.ERRORS``) and shows them
    there. Whatever else comes out of one, here or over HTTP, is a sentence with a title, and never Python's own words.

    The page does not know that it is on a Space: else it would send every visitor to the hub and to Google's fonts.
    """

    begins_with: Callable[[], dict[int, dict[str, Any]]] = dict

    def __init__(self, *arguments: Any, **options: Any):
        super().__init__(*arguments, **options)
        self.space_id = None

    @property
    def config(self) -> BlocksConfigDict:
        """What a document is drawn from. Gradio makes it once; of some parts it hangs on when a document is asked for:
        ``begins_with`` tells their properties, by id."""
        fresh = self.begins_with()
        components = [
            {**one, "props": {**one["props"], **fresh[one["id"]]}} if one["id"] in fresh else one
            for one in self._config["components"]
        ]
        return {**self._config, "components": components}

    @config.setter
    def config(self, made: BlocksConfigDict) -> None:
        """As Gradio makes it."""
        self._config = made

    def queue(self, *arguments: Any, **options: Any) -> Page:
        """As Gradio's, but where nobody does anything the machine rests, too."""
        super().queue(*arguments, **options)
        self._queue.sleep_when_free = max(self._queue.sleep_when_free, REST)
        self._queue.progress_update_sleep_when_free = REST_OF_PROGRESS
        return self

    async def process_api(self, *arguments: Any, **options: Any) -> dict[str, Any]:
        """Raises ``gr.Error`` alone."""
        try:
            return await super().process_api(*arguments, **options)
        except gr.Error:
            raise
        except Exception as error:
            told = explain(error)
            raise gr.Error(told.sentence, title=told.title, print_exception=False) from error

    async def preprocess_data(
        self, block_fn: BlockFunction, inputs: list[Any], *others: Any, **named: Any
    ) -> list[Any]:
        """What was sent, as handlers take it. Raises ``UnifexError`` for what is no text, or too little."""
        if len(inputs) < len(block_fn.inputs):
            sentence = say(
                "{asked} values are asked for, and {given} came", asked=len(block_fn.inputs), given=len(inputs)
            )
            raise UnifexError(sentence)
        try:
            json.dumps(inputs, ensure_ascii=False, default=str).encode()
        except UnicodeEncodeError as error:
            raise UnifexError(say("half a character (a lone surrogate) is no text")) from error
        texts = [isinstance(component, gr.Textbox) for component in block_fn.inputs]
        said = ["" if value is None and text else value for value, text in zip(inputs, texts)]
        return await super().preprocess_data(block_fn, said, *others, **named)

    def block_thread(self) -> None:
        """Until Ctrl+C. Pages that are open are let go first: Gradio's own waits five seconds for them."""
        try:
            while self.is_running:
                time.sleep(0.1)
        except KeyboardInterrupt:
            self.close(verbose=False)
