"""No answer is lost between two streams of answers.

Gradio's page asks by one request and is answered by another: a stream that is open as long as the session waits for an
answer. With the last one the server says ``close_stream``. What the page asks while that word is on its way would be
answered on no stream: the page takes the old one for open still, and waits for ever. So whoever asks is not told that
the question was taken before the session's old stream is gone at the other end, too, which is seen by the connection
that was closed there.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Message, Receive, Scope, Send

SECONDS = 3.0  # how long an end is waited for: some programs leave a stream open that is over
_CLOSE = b'data: {"msg":"close_stream"'
_ANSWERS, _QUESTIONS = "/gradio_api/queue/data", "/gradio_api/queue/join"


class AnswerStreams:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, seconds: float = SECONDS):
        self.app = app
        self.seconds = seconds
        self._closing: dict[str, list[asyncio.Event]] = {}  # by session: set when the other end is gone

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let everything through; questions wait for the end of a stream."""
        path = scope["path"] if scope["type"] == "http" else ""
        if path.endswith(_ANSWERS):
            await self._stream(scope, receive, send)
        elif path.endswith(_QUESTIONS):
            await self._ask(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        session = parse_qs(scope["query_string"].decode("latin-1")).get("session_hash", [""])[0]
        gone = asyncio.Event()
        end: Message = {}

        async def sending(message: Message) -> None:
            nonlocal end
            if message.get("body", b"").startswith(_CLOSE):
                self._closing.setdefault(session, []).append(gone)
            if gone in self._closing.get(session, ()) and not message.get("more_body"):
                end = message
            else:
                await send(message)

        try:
            await self.app(scope, receive, sending)
            if end:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(_disconnected(receive), self.seconds)
                await send(end)
        finally:
            gone.set()
            if all(other.is_set() for other in self._closing.get(session, ())):
                self._closing.pop(session, None)

    async def _ask(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = bytearray()

        async def receiving() -> Message:
            message = await receive()
            body.extend(message.get("body", b""))
            return message

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start" and self._closing:
                for gone in self._closing.get(_session(body), ()):
                    await gone.wait()
            await send(message)

        await self.app(scope, receiving, sending)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _session(question: bytearray) -> str:
    with contextlib.suppress(ValueError):
        asked = json.loads(question)
        if isinstance(asked, dict):
            return str(asked.get("session_hash"))
    return ""
