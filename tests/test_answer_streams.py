"""What is asked while a stream of answers comes to its end waits for that end, and nothing else waits."""

from __future__ import annotations

import asyncio
import json

import pytest
from starlette.types import Message

from unifex.ui.server.answer_streams import AnswerStreams

LAST = b'data: {"msg":"process_completed"}\n\n', b'data: {"msg":"close_stream"}\n\n'


async def gradio(scope, receive, send):
    """As Gradio's routes answer: a question by a word, a stream by its messages."""
    streamed = scope["path"].endswith("/queue/data")
    while not streamed and (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for chunk in LAST if streamed else (b'{"event_id": "1"}',):
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


class Asked:
    """A request to ``app`` that goes on, and what it was told so far."""

    def __init__(self, app: AnswerStreams, path: str, query: str = "", body: bytes = b""):
        self.told: list[Message] = []
        self.body = [body[:5], body[5:]]
        self.left = asyncio.Event()
        scope = {"type": "http", "path": f"/gradio_api/queue/{path}", "query_string": query.encode()}
        self.task = asyncio.create_task(app(scope, self._receive, self._send))

    async def _receive(self) -> Message:
        if self.body:
            return {"type": "http.request", "body": self.body.pop(0), "more_body": bool(self.body)}
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        self.told.append(message)

    @property
    def heard(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.told)


async def turns() -> None:
    """Whatever can happen has happened."""
    for _ in range(20):
        await asyncio.sleep(0)


def question(session: object) -> bytes:
    return json.dumps({"data": ["session_hash"], "session_hash": session}).encode()


def test_a_question_is_answered_when_the_end_of_the_stream_was_read():
    async def journey() -> None:
        app = AnswerStreams(gradio)
        streams = [Asked(app, "data", "session_hash=mine") for _ in range(2)]
        await turns()
        assert all(stream.heard == b"".join(LAST) and not stream.task.done() for stream in streams)
        asked = Asked(app, "join", body=question("mine"))
        others = [Asked(app, "join", body=body) for body in (question("yours"), question([]), b"[]", b"not JSON \xff")]
        await turns()
        assert all(other.task.done() and b"event_id" in other.heard for other in others)
        for stream in streams:
            assert not asked.told
            stream.left.set()
            await turns()
        assert asked.task.done()
        assert b"event_id" in asked.heard
        assert all(stream.task.done() for stream in streams)
        again = Asked(app, "join", body=question("mine"))
        await turns()
        assert again.task.done()

    asyncio.run(journey())


def test_a_program_that_leaves_its_stream_open_is_waited_for_a_while():
    async def journey() -> None:
        app = AnswerStreams(gradio, seconds=0.01)
        stream = Asked(app, "data", "session_hash=mine")
        await turns()
        asked = Asked(app, "join", body=question("mine"))
        await asyncio.wait([stream.task, asked.task])
        assert stream.told[-1] == {"type": "http.response.body", "body": b""}
        assert b"event_id" in asked.heard

    asyncio.run(journey())


def test_a_stream_that_breaks_holds_nobody_up():
    async def breaking(scope, receive, send):
        await gradio(scope, receive, send)
        if scope["path"].endswith("data"):
            raise OSError("the connection is gone")

    async def journey() -> None:
        app = AnswerStreams(breaking)
        with pytest.raises(OSError, match="gone"):
            await Asked(app, "data", "session_hash=mine").task
        await Asked(app, "join", body=question("mine")).task

    asyncio.run(journey())
