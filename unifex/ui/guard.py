"""What stands before a public server: who asks, for what, how often, and whether it is theirs.

Gradio hands out files and sessions to whoever names them. Here every file and every session belongs to the visitor
who made it, and is not there for anybody else; only the routes that the page needs are open.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import re
import shutil
import time
from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gradio.context import LocalContext
from gradio.utils import get_upload_folder
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from unifex import images
from unifex.workspaces import Workspaces

COOKIE = "unifex_visitor"
COOKIE_SECONDS = 30 * 24 * 3600
MAX_BODY_BYTES = 8 * 2**20
MAX_SESSIONS = 100_000
MAX_NAMES = 100_000
BLOCK_BYTES = 4096  # a file takes so much of a disk at least
MIN_FREE_BYTES = 10**9  # of the disk, which uploads leave alone
STEPS = 60  # so many steps of a window are told apart
PREFIX = "/gradio_api"
SHARED_ADDRESS = 8  # so many visitors may sit behind one address
_OPEN = {
    "GET": r"/|/config/?|/theme\.css|/favicon\.ico|/robots\.txt|/manifest\.json|/pwa_icon.*|/health|"
    r"/(svelte|static|assets)/.*|/login_check/?|/gradio_api/(info/?|app_id/?|theme\.css|startup-events|"
    r"upload_progress|queue/data|heartbeat/[\w-]+|call/(v2/)?\w+/\w+|file=.*|login_check/?|user/?|token/?)|/logout",
    "POST": r"/login/?|/gradio_api/(upload|queue/join|cancel|reset/?|component_server/?|call/(v2/)?\w+/?)",
}
_OPEN["HEAD"] = _OPEN["GET"]


class Refusal(Exception):
    """An HTTP answer that says no: status and sentence."""

    def __init__(self, status: int, sentence: str):
        self.status, self.sentence = status, sentence
        super().__init__(sentence)


def token_now() -> str | None:
    """The visitor's token of the request whose handler is running."""
    request = LocalContext.request.get(None)
    return request.cookies.get(COOKIE) if request is not None else None


@dataclass
class Ownership:
    """Who made what, and when. The oldest are forgotten first: whoever comes back to them has to begin anew."""

    most: int = MAX_SESSIONS
    owners: OrderedDict[str, dict[str, float]] = field(default_factory=OrderedDict)

    def add(self, thing: str, visitor: str) -> None:
        """``visitor`` has made it, too (equal uploads are one file)."""
        self.owners.setdefault(thing, {})[visitor] = time.time()
        self.owners.move_to_end(thing)
        while len(self.owners) > self.most:
            self.owners.popitem(last=False)

    def has(self, thing: str, visitor: str) -> bool:
        """Whether it is this visitor's."""
        return visitor in self.owners.get(thing, ())

    def claim(self, thing: str, visitor: str) -> bool:
        """Whether it is this visitor's, who becomes the owner of what nobody has."""
        if thing not in self.owners:
            self.add(thing, visitor)
        return self.has(thing, visitor)

    def leave(self, thing: str, visitor: str) -> float | None:
        """It is this visitor's no more; since when it was (in seconds of Unix time), if it is nobody's now."""
        owners = self.owners.get(thing, {})
        since = owners.pop(visitor, time.time())
        if owners:
            return None
        self.owners.pop(thing, None)
        return since

    def take_away(self, visitor: str) -> list[tuple[str, float]]:
        """Everything that was this visitor's alone, and since when."""
        own = [thing for thing, owners in self.owners.items() if visitor in owners]
        left = [(thing, self.leave(thing, visitor)) for thing in own]
        return [(thing, since) for thing, since in left if since is not None]


@dataclass
class Rate:
    """At most so much of one name in any so many seconds."""

    most: int
    seconds: float
    seen: OrderedDict[str, deque[list[int]]] = field(default_factory=OrderedDict)  # [step, amount] by name

    def check(self, name: str, amount: int, sentence: str) -> None:
        """Count it. Raises :class:`Refusal` with the sentence when it is too much, and then does not count it."""
        now, counted = int(time.monotonic() / self.seconds * STEPS), self.seen.setdefault(name, deque())
        self.seen.move_to_end(name)
        while len(self.seen) > MAX_NAMES:
            self.seen.popitem(last=False)
        while counted and now - counted[0][0] > STEPS:
            counted.popleft()
        if sum(count for _, count in counted) + amount > self.most:
            raise Refusal(429, sentence)
        if not counted or counted[-1][0] != now:
            counted.append([now, 0])
        counted[-1][1] += amount


class Files:
    """Files that Gradio serves: uploads, which are shown as pictures without metadata, and what the app hands out."""

    def __init__(self) -> None:
        self.uploads, self.made = Ownership(), Ownership()

    @staticmethod
    def place(name: str) -> str | None:
        """Where a path lies, links and dots resolved, if it is in Gradio's folder; None for any other."""
        try:
            path = Path(name).resolve()
            inside = path.is_relative_to(Path(get_upload_folder()).resolve())
        except (OSError, ValueError, RuntimeError):
            return None
        return str(path) if inside else None

    def check_named(self, value: Any, visitor: str) -> None:
        """Raises :class:`Refusal` when a request's data names a file or an address that is not the visitor's."""
        for key, text in _texts(value):
            if key == "path" and re.match(r"\w+://", text):
                raise Refusal(403, "upload the file; this server fetches nothing")
            if "/" not in text and "\\" not in text:
                continue
            place = self.place(text) if len(text) < 4096 and "\0" not in text else None
            if place and not (self.uploads.has(place, visitor) or self.made.has(place, visitor)):
                raise Refusal(403, "that file is not yours")

    def release(self, place: Path, visitor: str) -> None:
        """An upload has been taken in; it goes, unless another visitor has uploaded the same."""
        since = self.uploads.leave(str(place), visitor)
        if since is not None:
            _delete(place, since)

    def forget(self, visitor: str) -> None:
        """Delete what this visitor uploaded and was handed."""
        for place, since in [*self.uploads.take_away(visitor), *self.made.take_away(visitor)]:
            _delete(Path(place), since)


def _delete(place: Path, since: float) -> None:
    """A file that was noted as somebody's then. One that is newer came from another visitor, who is not noted yet."""
    with contextlib.suppress(FileNotFoundError):
        if place.stat().st_mtime <= since:
            place.unlink()


def _texts(value: Any, key: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    """Every text in JSON data, with the key it stands under."""
    if depth > 50:
        raise Refusal(400, "nested too deeply")
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _texts(inner, str(name), depth + 1)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner, key, depth + 1)


class Guard:
    """ASGI middleware of a public server."""

    def __init__(self, app: ASGIApp, workspaces: Workspaces, files: Files, rate: int):
        self.app = app
        self.workspaces = workspaces
        self.files = files
        self.sessions = Ownership()
        self.rates, self.addresses = Rate(rate, 60), Rate(rate * SHARED_ADDRESS, 60)
        self.uploaded = Rate(2 * workspaces.limits.bytes, 3600)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what is refused; let the rest through."""
        if scope["type"] == "websocket":
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            await self._pass(request, scope, receive, send)
        except Refusal as refusal:
            headers = {"Retry-After": "60"} if refusal.status == 429 else {}
            answer = JSONResponse({"detail": refusal.sentence}, refusal.status, headers)
            await answer(scope, receive, send)

    async def _pass(self, request: Request, scope: Scope, receive: Receive, send: Send) -> None:
        path, method = scope["path"], scope["method"]
        if not re.fullmatch(_OPEN.get(method, ""), path):
            raise Refusal(404, "there is nothing here")
        visitor = self.workspaces.visitor(request.cookies.get(COOKIE))
        if method == "POST":
            self._check_origin(request)
        if path.startswith(f"{PREFIX}/file="):
            if picture := await self._picture(path.partition("=")[2], visitor):
                await Response(picture, media_type=images.media_type(picture), headers=_HEADERS)(scope, receive, send)
                return
        elif path.startswith(f"{PREFIX}/upload") and method == "POST":
            self._check_room(request, visitor)  # a folder comes as a request a file: bytes count, not requests
            send = self._noting_uploads(send, visitor)
        elif method == "POST":
            for rate, name in ((self.addresses, _address(request)), (self.rates, visitor or _address(request))):
                rate.check(name, 1, f"more than {rate.most} requests a minute; wait a moment")
            receive = await self._checked_body(request, visitor)
        else:
            self._check_session(_session_of(request), visitor)
        await self.app(scope, receive, self._with_headers(send, request, visitor))

    @staticmethod
    def _check_origin(request: Request) -> None:
        """Another site's page must not act for a visitor."""
        origin = request.headers.get("origin")
        hosts = {request.headers.get("host"), request.headers.get("x-forwarded-host")}
        if origin is not None and urlsplit(origin).netloc not in hosts:
            raise Refusal(403, "this request comes from another site")

    def _check_session(self, session: object, visitor: str) -> None:
        if session is not None and not self.sessions.claim(str(session)[:200], visitor):
            raise Refusal(403, "that session is not yours; reload the page")

    async def _picture(self, name: str, visitor: str) -> bytes | None:
        """An upload as its owner sees it, without metadata; None where Gradio may answer."""
        place = self.files.place(name)
        if place is None or self.files.made.has(place, visitor):
            return None  # what is outside Gradio's folder, Gradio refuses unless it is part of the page
        if not visitor or not self.files.uploads.has(place, visitor):
            raise Refusal(403, "that file is not yours")
        try:
            return await run_in_threadpool(_without_metadata, place)
        except (OSError, images.ImageError) as error:
            raise Refusal(415, f"not shown: {error}") from error

    def _check_room(self, request: Request, visitor: str) -> None:
        limits, length = self.workspaces.limits, request.headers.get("content-length", "")
        if not length.isdecimal():
            raise Refusal(411, "say how long the upload is")
        if int(length) > limits.bytes:
            raise Refusal(413, f"an upload may have {limits.bytes // 10**6:,} MB here")
        bytes = max(int(length), BLOCK_BYTES)
        self.uploaded.check(visitor or _address(request), bytes, "that is much for an hour; go on in the next one")
        if shutil.disk_usage(self.workspaces.folder).free < bytes + MIN_FREE_BYTES:
            raise Refusal(507, "this server's disk is full; try again later")

    def _noting_uploads(self, send: Send, visitor: str) -> Send:
        """Remember whose the files are that an upload's answer names, before the answer is out."""
        body = bytearray()

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.body":
                body.extend(message.get("body", b""))
                if not message.get("more_body"):
                    for name in _json(bytes(body)) if body.startswith(b"[") else ():
                        if place := self.files.place(str(name)):
                            self.files.uploads.add(place, visitor)
            await send(message)

        return noting

    async def _checked_body(self, request: Request, visitor: str) -> Receive:
        """The body, read and looked at; a receive that gives it again."""
        body = bytearray()
        async for part in request.stream():
            body.extend(part)
            if len(body) > MAX_BODY_BYTES:
                raise Refusal(413, f"a request may have {MAX_BODY_BYTES // 2**20} MiB")
        if body and request.url.path.startswith(PREFIX):  # whatever it says it is: what reads it next takes it for JSON
            values = _json(bytes(body))
            if isinstance(values, dict):
                self._check_session(values.get("session_hash"), visitor)
            self.files.check_named(values, visitor)
        given = False

        async def again() -> Message:
            nonlocal given
            if given:
                return await request.receive()  # a client that goes away
            given = True
            return {"type": "http.request", "body": bytes(body), "more_body": False}

        return again

    def _with_headers(self, send: Send, request: Request, visitor: str) -> Send:
        """A first visitor gets a token with the page."""

        async def adding(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(_HEADERS)
                if request.url.path == "/" and not visitor:
                    headers.append("Set-Cookie", _cookie(self.workspaces.new_token(), request))
            await send(message)

        return adding


_HEADERS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin"}


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refusal(400, "the request is not JSON that can be read") from error


def _address(request: Request) -> str:
    """The nearest address that the client cannot choose: the connection's, or what a proxy on our side of it saw."""
    host = request.client.host if request.client else ""
    forwarded = request.headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
    with contextlib.suppress(ValueError):
        if forwarded and ipaddress.ip_address(host).is_private:
            return forwarded
    return host


def _cookie(token: str, request: Request) -> str:
    """Over HTTPS it also works where the page stands in a frame of another site, as on Hugging Face."""
    secure = "https" in (request.url.scheme, request.headers.get("x-forwarded-proto", "").partition(",")[0])
    scope = "SameSite=None; Secure; Partitioned" if secure else "SameSite=Lax"
    return f"{COOKIE}={token}; Max-Age={COOKIE_SECONDS}; Path=/; HttpOnly; {scope}"


def _session_of(request: Request) -> str | None:
    """The session that a GET is about."""
    if request.url.path.startswith(f"{PREFIX}/heartbeat/"):
        return request.url.path.rpartition("/")[2]
    return request.query_params.get("session_hash")


def _without_metadata(place: str) -> bytes:
    picture = images.decode(Path(place).read_bytes(), at_least=images.PREVIEW_SIZE).image
    return images.thumbnail(picture, images.PREVIEW_SIZE, quality=85)
