"""What is asked upon the last answer of a stream is answered on the same stream; then it ends, and nothing is kept."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest
from starlette.types import Message, Receive, Scope, Send

from unifex.ui.server.answer_streams import MOST, AnswerStreams, hearing_of

ANSWER, CLOSE = b'data: {"msg":"process_completed"}\n\n', b'data: {"msg":"close_stream","event_id":null}\n\n'
BROWSER = [(b"user-agent", b"Mozilla/5.0")]


SEEN: list[str] = []  # how pages that called a function hear answers


async def gradio(scope: Scope, receive: Receive, send: Send) -> None:
    """As Gradio's routes answer: a question by a word, a stream by its messages."""
    streamed = scope["path"].endswith("/queue/data")
    while not streamed and (await receive()).get("more_body"):
        pass
    if scope["path"].endswith("/component_server"):
        SEEN.append(hearing_of(scope))
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for chunk in (ANSWER, CLOSE) if streamed else (b'{"event_id": "1"}',):
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


class Asked:
    """A request to ``app`` that goes on, and what it was told so far."""

    def __init__(self, app: AnswerStreams, path: str, session: object, body: bytes = b"", headers=BROWSER):
        body = body or json.dumps({"data": ["session_hash"], "session_hash": session}).encode()
        self.told: list[Message] = []
        self.body = [] if path == "data" else [body[:5], body[5:]]
        self.left, self.sent = asyncio.Event(), asyncio.Event()
        self.sent.set()
        query = f"session_hash={session}".encode()
        place = path if path == "component_server" else f"queue/{path}"
        scope = {"type": "http", "path": f"/gradio_api/{place}", "query_string": query,
                 "headers": headers, "client": ("127.0.0.1", 1)}  # fmt: skip
        self.task = asyncio.create_task(app(scope, self._receive, self._send))

    async def _receive(self) -> Message:
        await self.sent.wait()
        if self.body:
            return {"type": "http.request", "body": self.body.pop(0), "more_body": bool(self.body)}
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        self.told.append(dict(message))
        message["body"] = b"compressed"  # what stands around it changes the messages themselves

    @property
    def heard(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.told)


async def turns() -> None:
    """Whatever can happen has happened."""
    for _ in range(30):
        await asyncio.sleep(0)


def journey(steps: Callable[[AnswerStreams], Awaitable[None]], seconds: float = 60) -> None:
    async def walked() -> None:
        app = AnswerStreams(gradio, seconds, unheard_seconds=60)
        await steps(app)
        await turns()
        assert not app._streams
        assert not app._waiting

    asyncio.run(walked())


def test_what_is_asked_upon_the_last_answer_comes_on_the_same_stream():
    async def steps(app: AnswerStreams) -> None:
        stream = Asked(app, "data", "mine")
        await turns()
        assert stream.heard == ANSWER
        for other in (
            Asked(app, "join", "yours"),
            Asked(app, "join", [], b"[]"),
            Asked(app, "join", 1, b"no JSON \xff"),
        ):
            await other.task
            await turns()
        assert stream.heard == ANSWER
        for times in (2, 3):
            await Asked(app, "join", "mine").task
            await turns()
            assert stream.heard == ANSWER * times
        stream.left.set()
        await stream.task
        assert [message["type"] for message in stream.told].count("http.response.start") == 1

    journey(steps)


def test_what_was_asked_before_the_stream_and_is_taken_after_its_last_answer_comes_on_it():
    async def steps(app: AnswerStreams) -> None:
        late = Asked(app, "join", "mine")
        late.sent.clear()
        await turns()
        stream = Asked(app, "data", "mine")
        await turns()
        assert stream.heard == ANSWER
        late.sent.set()
        await late.task
        await turns()
        assert stream.heard == ANSWER * 2
        stream.left.set()
        await stream.task

    journey(steps)


def test_a_stream_ends_after_a_while_and_a_programs_at_once():
    async def steps(app: AnswerStreams) -> None:
        for headers in (BROWSER, [(b"user-agent", b"python-httpx/1")]):
            stream = Asked(app, "data", "mine", headers=headers)
            await stream.task
            assert stream.heard == ANSWER + CLOSE
            assert stream.told[-1] == {"type": "http.response.body", "body": b""}

    journey(steps, seconds=0.01)


def test_a_stream_that_waits_is_heard_so_that_nothing_on_the_way_cuts_it_off():
    async def steps() -> None:
        app = AnswerStreams(gradio, 60, beat_seconds=0.01)
        stream = Asked(app, "data", "mine")
        while stream.heard.count(b'data: {"msg":"heartbeat"}\n\n') < 2:
            await asyncio.sleep(0.01)
        assert b"compressed" not in stream.heard
        assert CLOSE not in stream.heard
        await Asked(app, "join", "mine").task
        await turns()
        assert stream.heard.count(ANSWER) == 2
        stream.left.set()
        await stream.task

    asyncio.run(steps())


def test_of_many_tabs_the_last_ones_keep_their_streams():
    async def steps(app: AnswerStreams) -> None:
        streams = [Asked(app, "data", f"tab {number}") for number in range(MOST + 2)]
        await turns()
        assert [CLOSE in stream.heard for stream in streams] == [True, True] + [False] * MOST
        for stream in streams:
            stream.left.set()
            await stream.task

    journey(steps)


async def hearing(app: AnswerStreams, session: str) -> str:
    await Asked(app, "component_server", session).task
    return SEEN[-1]


def test_a_page_whose_stream_broke_is_told_until_it_opens_another():
    async def steps(app: AnswerStreams) -> None:
        stream = Asked(app, "data", "mine")
        await turns()
        assert await hearing(app, "mine") == ""
        stream.left.set()
        await stream.task
        assert (await hearing(app, "mine"), await hearing(app, "yours")) == ("broken", "")
        again = Asked(app, "data", "mine")
        await turns()
        assert await hearing(app, "mine") == ""
        again.left.set()
        await again.task

    journey(steps)


def test_a_page_that_asks_and_opens_no_stream_is_told_after_a_while():
    async def steps(app: AnswerStreams) -> None:
        await Asked(app, "join", "mine").task
        assert await hearing(app, "mine") == ""
        app.unheard_seconds = -1
        assert (await hearing(app, "mine"), await hearing(app, "yours")) == ("unheard", "")
        stream = Asked(app, "data", "mine")
        await stream.task
        assert await hearing(app, "mine") == ""

    journey(steps, seconds=0.01)


def test_an_error_of_another_kind_is_not_hidden():
    async def fails(scope: Scope, receive: Receive, send: Send) -> None:
        raise KeyError("other")

    async def walked() -> None:
        with pytest.raises(KeyError, match="other"):
            await Asked(AnswerStreams(fails), "data", "mine").task

    asyncio.run(walked())
