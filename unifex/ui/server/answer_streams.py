"""No answer is lost between two streams of answers.

Gradio's page asks by one request and is answered by another: a stream that is open as long as the session waits for an
answer. With the last one the server says ``close_stream``. What the page asks while that word is on its way would be
answered on no stream: the page takes the old one for open still, and waits for ever. Most questions come right upon an
answer. So that word is kept back for a while, and what is asked meanwhile is answered on the same stream.

A stream that breaks in that time, as of a phone that changes networks or a server that is started anew, is taken for
open as well, and the page hears nothing any more. It asks for its jobs in another way (``assets/jobs.js``), and is told
with them.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from enum import StrEnum
from http.client import NOT_FOUND
from urllib.parse import parse_qs

from cachetools import FIFOCache
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from unifex.core.json_text import parse_json

SECONDS, BEAT_SECONDS = 20.0, 4.0  # for how long, and how often it is heard: proxies cut off what is still
MOST = 2  # that wait, of one address: a browser has six connections to a server, and each of its tabs needs one
# Upon the word that its question was taken a page opens a stream, on a slow network after a while.
UNHEARD_SECONDS = 10.0
REMEMBERED = 10_000  # sessions of which something is known: those that went are forgotten
_CLOSE = b'data: {"msg":"close_stream"'
_BEAT = b'data: {"msg":"heartbeat"}\n\n'
_ANSWERS, _QUESTIONS = "/gradio_api/queue/data", "/gradio_api/queue/join"
_CALLS, _HEARING = "/gradio_api/component_server", "unifex.hearing"


class Hearing(StrEnum):
    """Whether the page that asks hears answers: its stream broke; it has asked something since, and waits in vain."""

    WELL = ""
    BROKEN = "broken"
    UNHEARD = "unheard"


def hearing_of(scope: Scope) -> Hearing:
    """Of the page that sent a request, which called a function of the server's."""
    return scope.get(_HEARING, [Hearing.WELL])[0]


class AnswerStreams:
    """ASGI middleware. Programs, which ask in turn, are told at once."""

    def __init__(
        self,
        app: ASGIApp,
        seconds: float = SECONDS,
        unheard_seconds: float = UNHEARD_SECONDS,
        beat_seconds: float = BEAT_SECONDS,
    ):
        self.app = app
        self.seconds, self.unheard_seconds, self.beat_seconds = seconds, unheard_seconds, beat_seconds
        self._streams: dict[str, list[asyncio.Event]] = {}  # by session: set when something new was asked
        self._waiting: dict[str, list[asyncio.Event]] = {}  # by address, the oldest first: set when it is to end
        self._broken: FIFOCache[str, bool] = FIFOCache(REMEMBERED)  # sessions whose stream broke
        self._unheard: FIFOCache[str, float] = FIFOCache(REMEMBERED)  # by session: since when it asks without a stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let everything through; the end of a browser's stream waits for questions."""
        path = scope["path"] if scope["type"] == "http" else ""
        if path.endswith(_ANSWERS):
            session = parse_qs(scope["query_string"].decode("latin-1")).get("session_hash", [""])[0]
            browser = Headers(scope=scope).get("user-agent", "").startswith("Mozilla/")
            await (self._stream if browser else self._answer)(session, scope, receive, send)
        elif path.endswith(_QUESTIONS):  # also when nothing is open yet: a stream may open and end before it is taken
            await self._ask(scope, receive, send)
        elif path.rstrip("/").endswith(_CALLS):
            await self._call(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _stream(self, session: str, scope: Scope, receive: Receive, send: Send) -> None:
        asked = asyncio.Event()
        address = (scope.get("client") or ("",))[0]
        started = False
        kept: list[Message] = []  # what ends the stream

        async def sending(message: Message) -> None:
            nonlocal started
            if message.get("body", b"").startswith(_CLOSE):
                asked.clear()  # all that was asked before is answered
                kept.append(message)
            elif kept:
                kept.append(message)
            elif message["type"] != "http.response.start" or not started:
                started = True
                await send(message)

        self._streams.setdefault(session, []).append(asked)
        self._broken.pop(session, None)
        self._unheard.pop(session, None)
        try:
            await self._answer(session, scope, receive, sending)
            while kept and await self._asked_again(asked, address, session, receive, send):
                kept.clear()
                await self._answer(session, scope, receive, sending)
            for message in kept:
                await send(message)
        finally:
            self._streams[session].remove(asked)
            if not self._streams[session]:
                del self._streams[session]

    async def _answer(self, session: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Let Gradio answer. A stream whose page has gone takes the session's queue away (``routes.sse_stream``): the
        second stream of a page that asked while it went finds none, and nobody hears either of them. What has asked
        nothing is told so in the stream, whose end is an error there (404, when it has begun)."""
        try:
            await self.app(scope, receive, send)
        except KeyError as missing:
            if missing.args != (session,):
                raise
        except RuntimeError as begun:
            if getattr(begun.__cause__, "status_code", 0) != NOT_FOUND:
                raise
            await send({"type": "http.response.body"})

    async def _asked_again(
        self, asked: asyncio.Event, address: str, session: str, receive: Receive, send: Send
    ) -> bool:
        """Whether something is asked before the page is gone, the time over, or others wait in its place."""
        ended = asyncio.Event()
        waiting = self._waiting.setdefault(address, [])
        waiting.append(ended)
        for oldest in waiting[:-MOST]:
            oldest.set()
        tasks = [asyncio.ensure_future(one) for one in (asked.wait(), _disconnected(receive), ended.wait())]
        try:
            left, done = self.seconds, set()
            while left > 0 and not done:
                done, _ = await asyncio.wait(
                    tasks, timeout=min(left, self.beat_seconds), return_when=asyncio.FIRST_COMPLETED
                )
                left -= self.beat_seconds
                if left > 0 and not done:
                    await send({"type": "http.response.body", "body": _BEAT, "more_body": True})
            if tasks[1].done():
                self._broken[session] = True
            return asked.is_set() and not tasks[1].done()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            waiting.remove(ended)
            if not waiting:
                self._waiting.pop(address, None)

    async def _ask(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = bytearray()

        async def receiving() -> Message:
            message = await receive()
            body.extend(message.get("body", b""))
            return message

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 200:
                session = _session(body)
                for asked in self._streams.get(session, ()):
                    asked.set()
                if session not in self._streams and session not in self._unheard:
                    self._unheard[session] = time.monotonic()
            await send(message)

        await self.app(scope, receiving, sending)

    async def _call(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Beside the request stands what :func:`hearing_of` reads, once it has come whole."""
        body, hearing = bytearray(), [Hearing.WELL]

        async def receiving() -> Message:
            message = await receive()
            body.extend(message.get("body", b""))
            if not message.get("more_body"):
                hearing[0] = self._hearing(_session(body))
            return message

        await self.app({**scope, _HEARING: hearing}, receiving, send)

    def _hearing(self, session: str) -> Hearing:
        since = self._unheard.get(session)
        if since is not None and time.monotonic() - since > self.unheard_seconds:
            return Hearing.UNHEARD
        return Hearing.BROKEN if session in self._broken else Hearing.WELL


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _session(question: bytearray) -> str:
    with contextlib.suppress(ValueError):
        asked = parse_json(question)
        if isinstance(asked, dict):
            return str(asked.get("session_hash"))
    return ""
