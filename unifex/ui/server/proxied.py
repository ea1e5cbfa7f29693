"""What a proxy in front of this server needs of its answers.

One that collects answers before it passes them on, as nginx does unless it is told otherwise, would keep events from
the page that waits for them. And the cookies of a page below a path are that path's alone: what else the proxy serves
under its name is not sent them.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_OF_ALL_PATHS = re.compile(r"(?i); *path=/(?=;|$)")


class Proxied:
    """ASGI middleware. ``root``: where a proxy has the page, as :func:`unifex.core.address.root`."""

    def __init__(self, app: ASGIApp, root: str):
        self.app = app
        self.path = urlsplit(root).path or "/"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let everything through; what is answered says so."""

        async def answering(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if headers.get("content-type", "").startswith("text/event-stream"):
                    headers["X-Accel-Buffering"] = "no"
                if not _is_direct(scope):
                    self._keep_cookies_below(headers)
            await send(message)

        await self.app(scope, receive, answering if scope["type"] == "http" else send)

    def _keep_cookies_below(self, headers: MutableHeaders) -> None:
        cookies = headers.getlist("set-cookie")
        del headers["set-cookie"]
        for cookie in cookies:
            headers.append("set-cookie", _OF_ALL_PATHS.sub(f"; Path={self.path}", cookie))


def _is_direct(scope: Scope) -> bool:
    """Whether this computer is asked by its own name, past the proxy: the page is at no path there."""
    name = Headers(scope=scope).get("host", "").rpartition(":")[0]
    return name == "localhost" or name.startswith("127.") or name == "[::1]"
