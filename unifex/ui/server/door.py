"""What every request passes first, also on one's own computer: is it for this server, and from its own page?

A page of another site can make a browser send requests here, and by letting its own name point here (DNS rebinding)
read the answers. It cannot change what the browser says then: ``Host``, ``Origin`` and ``Sec-Fetch-Site``.
"""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import re
import socket
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import urlsplit

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from unifex.core.language import say
from unifex.ui.server.problems import problem
from unifex.ui.server.rates import Rate, Refusal, network_of

log = logging.getLogger(__name__)
GUESSES, ALL_GUESSES = 5, 60  # wrong passwords a minute: of one address, of all that were never right
_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^][:/@\s]+)(?::(\d{1,5}))?")
_PORTS = {"http": "80", "https": "443"}


class Hosts:
    """The names by which this server is called: this computer's, every address (which no page can take for its own
    name), and those that are given; ``.name`` stands for all below it.

    ``proxied``: names at which a proxy answers, which may ask here by another name or port.
    """

    def __init__(self, names: Iterable[str] = (), proxied: Iterable[str] = ()):
        self.proxied = {cleaned for name in proxied if (cleaned := _clean(name))}
        self.names = {"localhost", ".localhost", socket.gethostname().lower(), *self.proxied}
        self.names.update(cleaned for name in names if (cleaned := _clean(name)))

    def add(self, name: str) -> None:
        """It is called by this name, too."""
        self.names.add(_clean(name))

    def known(self, host: str) -> tuple[str, str] | None:
        """``host`` as (name, port); None when it is not one of this server's."""
        if not (parts := _HOST.fullmatch(host)):
            return None
        name = parts[1].lower().strip("[]").removesuffix(".")
        parents = {name[at:] for at, letter in enumerate(name) if letter == "."}
        here = _is_address(name) or name in self.names or not parents.isdisjoint(self.names)
        return (name, parts[2] or "") if here else None


def _clean(name: str) -> str:
    return name.strip().lower().rstrip(".").strip("[]")


@lru_cache(1000)
def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class Door:
    """ASGI middleware of every server."""

    def __init__(self, app: ASGIApp, hosts: Hosts):
        self.app = app
        self.hosts = hosts
        self.wrong, self.all_wrong = Rate(GUESSES, 60), Rate(ALL_GUESSES, 60)
        self.right: set[str] = set()  # addresses from which somebody has logged in

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what is refused; let the rest through."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":  # the page uses none
            await send({"type": "websocket.close", "code": 1008})
        else:
            request = Request(scope, receive)
            try:
                self._check_host(request)
                self._check_origin(request)
                if scope["method"] == "POST" and _route(scope) == "/login":
                    send = self._counting_guesses(request, send)
            except Refusal as refusal:
                await refused(refusal)(scope, receive, send)
            else:
                with contextlib.suppress(ClientDisconnect):  # who leaves in the midst of an upload is no fault of ours
                    await self.app(scope, receive, send)

    def _check_host(self, request: Request) -> None:
        given = request.headers.getlist("host")
        if len(given) != 1:
            raise Refusal(400, say("a request names one host"))
        forwarded = ",".join(request.headers.getlist("x-forwarded-host"))  # each proxy on the way may add its own
        for host in (*given, *(name for part in forwarded.split(",") if (name := part.strip()))):
            if self.hosts.known(host) is None:
                raise Refusal(
                    403,
                    say(
                        "this server does not answer for '{host}'; name it with --allowed-hosts if it is yours",
                        host=host[:100],
                    ),
                )

    def _check_origin(self, request: Request) -> None:
        """Another site's page must not act here, nor read what is here; a program says nothing of where it is from."""
        headers = request.headers
        if (origins := headers.getlist("origin")) and not all(self._is_own(origin, request) for origin in origins):
            raise Refusal(403, say("this request comes from another site"))
        if headers.get("sec-fetch-site") == "cross-site" and headers.get("sec-fetch-mode") != "navigate":
            raise Refusal(403, say("this request comes from another site"))

    def _is_own(self, origin: str, request: Request) -> bool:
        """Same name and port as the host that is asked; or a proxy's, which asked by another name or without a port."""
        try:
            scheme, netloc, *_ = urlsplit(origin)
        except ValueError:
            return False
        if scheme not in _PORTS or (known := self.hosts.known(netloc)) is None:
            return False
        name, port = known
        host, host_port = self.hosts.known(request.headers["host"]) or ("", "")  # which was looked at before
        if name in self.hosts.proxied and (name != host or not host_port):
            return True
        return (name, port or _PORTS[scheme]) == (host, host_port or _PORTS[scheme])

    def _counting_guesses(self, request: Request, send: Send) -> Send:
        """Raises :class:`Refusal` after some wrong passwords, from this address or from everywhere. An address from
        which somebody has logged in before does not wait for what others do."""
        address = network_of(request.client.host if request.client else "")
        too_many = self.all_wrong.count("") >= ALL_GUESSES and address not in self.right
        if too_many or self.wrong.count(address) >= GUESSES:
            raise Refusal(429, say("too many wrong passwords; wait a minute"))
        self.wrong.add(address)  # before the answer: guesses that come at once count, too
        self.all_wrong.add("")

        async def counting(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] < 400:
                self.right.add(address)
                self.wrong.seen.pop(address, None)
            elif message["type"] == "http.response.start" and message["status"] in (400, 401):
                log.warning("a wrong password from %s", address or "an unknown address")
            await send(message)

        return counting


def _route(scope: Scope) -> str:
    """What Gradio's routes are found by: a page below a path has them with that path before them, too."""
    path, root = scope["path"], scope.get("root_path", "")
    return (path.removeprefix(root) if root and path.startswith(f"{root}/") else path).rstrip("/")


def check_logged_in(request: Request) -> None:
    """As Gradio's own routes ask where ``--auth`` is set. Raises :class:`Refusal`."""
    app, cookies = request.scope["app"], request.cookies
    if app.auth is None:
        return
    tokens = (cookies.get(f"access-token-{app.cookie_id}"), cookies.get(f"access-token-unsecure-{app.cookie_id}"))
    if not any(token in app.tokens for token in tokens if token):
        raise Refusal(401, say("log in first"))


def refused(refusal: Refusal) -> JSONResponse:
    """The answer that says so."""
    return problem(refusal.status, refusal.sentence, headers=refusal.headers)
