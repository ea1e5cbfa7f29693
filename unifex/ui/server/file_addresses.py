"""Where a visitor's files lie is told nobody: the page is given an address of each.

In what is asked, addresses of the asker's own files become paths, which is what Gradio takes; in what is answered,
paths become addresses.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import quote, unquote

from unifex.core.language import say, to_say
from unifex.ui.server.quotas import MAX_TEXTS
from unifex.ui.server.rates import Refusal
from unifex.ui.server.visitor_files import PREFIX, VisitorFiles

MAX_PATH = 4096  # characters
_LIKE_A_PATH = re.compile(r"""([^/\\<>"{}:;,\n]{0,255}[/\\])+[^/\\<>"{}:;,\n]{0,255}""")
_SHOWN_AT = "/gradio_api/file="
NOT_YOURS = to_say("that file is not yours")


@dataclass
class Naming:
    """Puts paths for addresses in a request's data."""

    files: VisitorFiles
    owner: str
    texts: int = 0

    def of(self, value: Any, depth: int = 0) -> Any:
        """JSON data with paths in it. Raises :class:`Refusal` for another's file, and what is too much or too deep."""
        if depth > 50:
            raise Refusal(400, say("nested too deeply"))
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, list):
            return [self.of(inner, depth + 1) for inner in value]
        if isinstance(value, dict):
            if isinstance(value.get("path"), str):
                value = self._file(value)
            return {self._text(name): self.of(inner, depth + 1) for name, inner in value.items()}
        return value

    def _file(self, value: dict[str, Any]) -> dict[str, Any]:
        """Gradio takes every object with a ``path`` for a file, and would fetch its ``url``."""
        if re.match(r"\s*\w[\w+.-]*:", value["path"]):
            raise Refusal(403, say("upload the file; this server fetches nothing"))
        if value["path"] and not value["path"].startswith(PREFIX):
            raise Refusal(403, say(NOT_YOURS))
        return {name: inner for name, inner in value.items() if name != "url"}

    def _text(self, text: str) -> str:
        self.texts += 1
        if self.texts > MAX_TEXTS:
            raise Refusal(413, say("more than {most:,} texts in one request", most=MAX_TEXTS))
        if PREFIX in text or str(self.files.folder) in text:
            path = self.files.path(address_in(text), self.owner)
            if path is None:
                raise Refusal(403, say(NOT_YOURS))
            return str(path)
        if len(text) > MAX_PATH and _LIKE_A_PATH.fullmatch(text):
            raise Refusal(403, say("a path has {most:,} characters at most", most=MAX_PATH))
        return text


def address_in(text: str) -> str:
    """The address of an upload in the URL that shows it, which is what agents are told of theirs; else the text."""
    return unquote(text.partition(_SHOWN_AT)[2]) or text


class Hiding:
    """Puts addresses for paths in an answer, however they are written there."""

    def __init__(self, folder: str):
        texts = {folder, json.dumps(folder)[1:-1], quote(folder)}
        self.needles = [text.encode() for text in texts]

    def __call__(self, body: bytes) -> bytes:
        for needle in self.needles:
            if needle in body:
                body = body.replace(needle, PREFIX.encode())
        return body


@lru_cache(1000)
def hiding(folder: str) -> Hiding:
    """What puts addresses for the paths below a folder, which ends with a slash."""
    return Hiding(folder)
