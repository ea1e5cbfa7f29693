"""An upload that the browser stops leaves nothing of the file that was just on its way.

Gradio deletes what has come of an upload that is damaged, and keeps half a file where nothing more comes, for good. So
to Gradio an upload that ends too soon is a damaged one. What a server that was killed meanwhile leaves goes at a later
start (:func:`sweep`).
"""

from __future__ import annotations

import contextlib
import re
import tempfile
import time
from email.message import Message as Headed
from pathlib import Path

from gradio.route_utils import GradioMultiPartParser
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from unifex.core.files import LEFT_SECONDS

UPLOAD = "/gradio_api/upload"
_COMING = re.compile(r"tmp[a-z0-9_]{8}")  # what Gradio calls a file until all of it has come


class StoppedUploads:
    """ASGI middleware, of one's own server: a public one receives uploads itself (:mod:`uploading`)."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let everything through; what ends too soon ends as no upload does."""
        if scope["type"] != "http" or scope["method"] != "POST" or not scope["path"].endswith(UPLOAD):
            await self.app(scope, receive, send)
            return
        told = Headed()
        told["content-type"] = Headers(scope=scope).get("content-type", "")
        boundary = str(told.get_param("boundary", "")).encode()
        is_whole = is_stopped = False

        async def received() -> Message:
            nonlocal is_whole, is_stopped
            message = await receive()
            if message["type"] == "http.request":
                is_whole = not message.get("more_body", False)
            elif not (is_whole or is_stopped):
                is_stopped = True  # the next that asks is told that nobody is there
                return {"type": "http.request", "body": _damage(boundary), "more_body": False}
            return message

        async def answered(message: Message) -> None:
            if not is_stopped:
                await send(message)

        await self.app(scope, received, answered)


def _damage(boundary: bytes) -> bytes:
    """The end of a file, and a head behind it that is longer than any."""
    return b"\r\n--" + boundary + b"\r\n" + b"x" * (GradioMultiPartParser.max_header_size + 1)


def sweep(folder: Path) -> None:
    """Delete what servers that were killed left of uploads on their way: called as Gradio calls these, and nothing came
    for so long that nobody sends it any more. Whole files lie in folders of their own; in the folder where all programs
    have their scratch files such a name may be another's."""
    if folder.resolve() == Path(tempfile.gettempdir()).resolve():
        return
    for left in folder.glob("tmp*"):
        with contextlib.suppress(OSError):
            is_half = _COMING.fullmatch(left.name) and left.is_file() and not left.is_symlink()
            if is_half and left.stat().st_mtime < time.time() - LEFT_SECONDS:
                left.unlink()
