"""What a browser shows before the page's scripts have come: header, names of tabs, and where pictures will be.

Gradio's document is empty until then. This puts :func:`~unifex.ui.rendering.html.first_paint` into it, which goes when
the page itself is drawn, and sees to it that nobody who chose dark is shown light first. It says which language the
document is in, too, of which Gradio knows nothing.
"""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from unifex.core.language import ENGLISH, direction, spoken

_BEFORE, _ENGLISH = b"<gradio-app", b'lang="en"'


class FirstPaint:
    """ASGI middleware: ``markup`` stands before the app in the document at ``/``."""

    def __init__(self, app: ASGIApp, markup: str):
        self.app = app
        self.markup = markup.encode()
        self.language = f'lang="{spoken()}" dir="{direction()}"'.encode() if spoken() != ENGLISH else _ENGLISH

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let everything through; the document comes with the markup."""
        if scope["type"] != "http" or scope["method"] != "GET" or scope["path"] != "/":
            await self.app(scope, receive, send)
            return
        start: Message = {}
        body = bytearray()

        async def answering(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                if MutableHeaders(scope=message).get("content-type", "").startswith("text/html"):
                    start = message  # its length is known when the body is
                    return
            elif message["type"] == "http.response.body" and start:
                body.extend(message.get("body", b""))
                if message.get("more_body"):
                    return
                document = bytes(body).replace(_ENGLISH, self.language, 1).replace(_BEFORE, self.markup + _BEFORE, 1)
                MutableHeaders(scope=start)["content-length"] = str(len(document))
                await send(start)
                message = {**message, "body": document}
            await send(message)

        await self.app(scope, receive, answering)
