"""What stands before a public server: who asks, for what, how often, how much, and whether it is theirs.

Gradio hands out files, sessions and answers to whoever names them. Here every such name belongs to whoever made it, and
is not there for anybody else; only the routes that the page needs are open. What cannot be checked is refused.

Uploads are received here, byte by byte, into a folder of whoever sends them; the page is told an address of each, and
where it gives that address back, Gradio is given the path.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from anyio import to_thread
from gradio.context import LocalContext
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from unifex.core import images, thumbnails
from unifex.core.json_text import parse_json
from unifex.core.language import say
from unifex.core.text import reason
from unifex.ui.server import picture_addresses
from unifex.ui.server.door import check_logged_in, refused
from unifex.ui.server.file_addresses import NOT_YOURS, Hiding, Naming, hiding
from unifex.ui.server.problems import MEDIA_TYPE
from unifex.ui.server.quotas import MAX_CHOSEN_BYTES, MAX_LOGIN_BYTES, Caller, Quotas
from unifex.ui.server.rates import Ownership, Refusal, network_of
from unifex.ui.server.uploading import UploadReceiver
from unifex.ui.server.visitor_files import MADE, VisitorFiles, nobody_at
from unifex.ui.server.workspaces import Workspaces

COOKIE = "unifex_visitor"
COOKIE_SECONDS = 30 * 24 * 3600
MUCH_JSON = 64 * 2**10  # bytes; with more the event loop would stand still while it is looked at
MAX_NAME = 64  # characters of a session, an event, an upload
API = "/gradio_api"
REST = "/api/v1"  # plain HTTP
_OPEN = {
    "GET": r"/|/config/?|/theme\.css|/favicon\.ico|/robots\.txt|/manifest\.json|/pwa_icon.*|/health|/plotly\.js|"
    r"/code/[^/]+/[^/]+|/(thumb|picture|pixels|alike)/[^/]+/\d+|/(items|ids|tags|facets|labels)/[^/]+|"
    r"/(svelte|static|assets)/.*|/login_check/?|"
    r"/gradio_api/(info/?|app_id/?|theme\.css|startup-events|"
    r"upload_progress|queue/data|heartbeat/[\w-]+|call/(v2/)?\w+/\w+|file=.*|login_check/?|user/?|token/?|mcp/?)|"
    r"/logout|/api/v1/(openapi\.json|jobs|galleries(/[^/]+(/items(/\d+(/thumb)?)?)?)?)",
    "POST": r"/login/?|/chosen/[^/]+|/api/v1/galleries/[^/]+/search|"
    r"/gradio_api/(upload|queue/join|cancel|reset/?|component_server/?|call/(v2/)?\w+/?|mcp/?)",
    "DELETE": r"/api/v1/jobs/[\w-]+",
}
_OPEN["HEAD"] = _OPEN["GET"]
_STREAMS = re.compile(rf"{API}/(upload_progress|queue/data|heartbeat/.*|call/.*)")
_EVENT = re.compile(rf"{API}/call/(?:v2/)?\w+/(\w+)")
_HEARTBEAT = re.compile(rf"{API}/heartbeat/([\w-]+)")
_HEADERS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin"}


def visitor_of(request: Any, workspaces: Workspaces) -> str:
    """Who asks; empty when nobody can tell. Of what is also served under this name, at another path, a browser may
    bring a cookie that is called so, too: one that this server did not make is none."""
    pairs = (pair.partition("=") for line in request.headers.getlist("cookie") for pair in line.split(";"))
    tokens = (value.strip() for name, _, value in pairs if name.strip() == COOKIE)
    return next((visitor for token in tokens if (visitor := workspaces.visitor(token))), "")


def visitor_now(workspaces: Workspaces) -> str:
    """Who sent the request whose handler is running; empty when nobody can tell."""
    request = LocalContext.request.get(None)
    return visitor_of(request, workspaces) if request is not None else ""


def owner_now(workspaces: Workspaces) -> str:
    """Whose files the request may use whose handler is running."""
    client = getattr(LocalContext.request.get(None), "client", None)
    return visitor_now(workspaces) or nobody_at(network_of(client.host if client else ""))


def _check_open(path: str, method: str) -> None:
    """Raises :class:`Refusal` for what the page does not need. Programs are told what an address takes; of others'
    addresses nobody is told that there are any."""
    taken = [one for one, paths in _OPEN.items() if re.fullmatch(paths, path, re.DOTALL)]
    if method in taken:
        return
    if taken and path.startswith(f"{REST}/"):
        sentence = say("{method} is not for this address; it takes {taken}", method=method[:20], taken=", ".join(taken))
        raise Refusal(405, sentence, {"Allow": ", ".join(taken)})
    raise Refusal(404, say("there is nothing here"))


class Guard:
    """ASGI middleware of a public server."""

    def __init__(self, app: ASGIApp, workspaces: Workspaces, rate: int):
        self.app = app
        self.workspaces = workspaces
        self.files: VisitorFiles = workspaces.files
        self.names = Ownership()  # sessions, events and uploads, by kind and name
        self.quotas = Quotas(workspaces.limits, rate)
        self.receiver = UploadReceiver(self.files, workspaces.limits.bytes, self.quotas)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what is refused; let the rest through."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            await self._pass(Request(scope, receive), send)
        except Refusal as refusal:
            await refused(refusal)(scope, receive, send)

    async def _pass(self, request: Request, send: Send) -> None:
        path, method = request.scope["path"], request.method
        _check_open(path, method)
        caller = self._caller(request)
        send = self._answer(send, request, caller)
        if method == "POST" and path == f"{API}/upload":  # a folder comes as a request a file: bytes count
            await self._take_upload(request, caller, send)
        elif method == "POST":
            self.quotas.asked.check(caller)
            await self._ask(request, caller, send)
        elif method == "DELETE" or path.startswith(picture_addresses.COSTLY_PATHS):
            self.quotas.asked.check(caller)
            await self._show(request, path, caller, send)
        elif path.startswith(picture_addresses.PATHS):
            self.quotas.pictures.check(caller)
            await self._show(request, path, caller, send)
        else:
            self.quotas.looked.check(caller)
            if path.startswith(f"{API}/file="):
                await self._give_file(request, path.partition("=")[2], caller, send)
            else:
                await self._look(request, path, caller, send)

    def _caller(self, request: Request) -> Caller:
        address = network_of(request.client.host if request.client else "")
        return Caller(visitor_of(request, self.workspaces), address)

    # --- names ---------------------------------------------------------------------------------------------------

    def _check_session(self, session: object, caller: Caller) -> None:
        """It is this caller's, from the first time that it is seen."""
        self._check_name("session", session)
        if f"session {session}" not in self.names.owners:
            self.quotas.sessions.check(caller)
        if not self.names.claim(f"session {session}", caller.owner):
            raise Refusal(403, say("that session is not yours; reload the page"))

    def _check_event(self, event: object, caller: Caller) -> None:
        """The answer to it is this caller's, who was told of it."""
        self._check_name("event", event)
        if not self.names.has(f"event {event}", caller.owner):
            raise Refusal(403, say("that answer is not yours"))

    def _check_upload_name(self, upload: object, caller: Caller) -> None:
        self._check_name("upload", upload)
        if f"upload {upload}" not in self.names.owners:
            self.quotas.followed.check(caller)
        if not self.names.claim(f"upload {upload}", caller.owner):
            raise Refusal(403, say("that upload is not yours"))

    @staticmethod
    def _check_name(kind: str, name: object) -> None:
        if not isinstance(name, str) or not re.fullmatch(rf"[\w-]{{1,{MAX_NAME}}}", name, re.ASCII):
            raise Refusal(403, say("that is no {kind}", kind=kind))

    # --- looking -------------------------------------------------------------------------------------------------

    async def _show(self, request: Request, path: str, caller: Caller, send: Send) -> None:
        waits = path.startswith(picture_addresses.WAITING_PATHS)
        with self.quotas.made.one(caller.owner) if waits else contextlib.nullcontext():
            await self.app(request.scope, request.receive, send)

    async def _look(self, request: Request, path: str, caller: Caller, send: Send) -> None:
        for session in request.query_params.getlist("session_hash"):
            self._check_session(session, caller)
        for upload in request.query_params.getlist("upload_id"):
            self._check_upload_name(upload, caller)
        if heartbeat := _HEARTBEAT.fullmatch(path):
            self._check_session(heartbeat[1], caller)
        if event := _EVENT.fullmatch(path):
            self._check_event(event[1], caller)
        if not _STREAMS.fullmatch(path):
            await self.app(request.scope, request.receive, send)
            return
        with self.quotas.streams.one(caller.owner):
            await self.app(request.scope, request.receive, send)

    async def _give_file(self, request: Request, address: str, caller: Caller, send: Send) -> None:
        """An upload as a picture without metadata, or what was made to download."""
        check_logged_in(request)
        path = await to_thread.run_sync(self.files.path, address, caller.owner)
        if path is None:
            raise Refusal(403, say(NOT_YOURS))
        if path.parent.parent.name == MADE:
            if request.method == "GET":
                self.quotas.downloaded.check(caller, path.stat().st_size)
            answer: Response = FileResponse(path, filename=path.name, media_type="application/octet-stream")
        else:
            try:
                picture = await to_thread.run_sync(_without_metadata, path, limiter=self.quotas.decoders)
            except (OSError, images.ImageError) as error:
                raise Refusal(415, say("not shown: {reason}", reason=reason(error))) from error
            answer = Response(picture, media_type=thumbnails.media_type(picture))
        await answer(request.scope, request.receive, send)

    # --- asking --------------------------------------------------------------------------------------------------

    async def _ask(self, request: Request, caller: Caller, send: Send) -> None:
        if not request.scope["path"].startswith((f"{API}/", f"{REST}/")):
            most = MAX_LOGIN_BYTES
            if request.scope["path"].startswith(f"/{picture_addresses.CHOSEN}/"):
                send, most = self._counting_download(send, caller), MAX_CHOSEN_BYTES
            await self.app(request.scope, _at_most(request.receive, most), send)
            return
        with self.quotas.turns.one(caller.owner, _queue(request)) as asked:
            body = bytearray()
            async for part in request.stream():
                body.extend(part)
                asked.take(len(part))
            if request.scope["path"].startswith(f"{REST}/"):  # names no file, and may be a form
                await self.app(request.scope, _again(bytes(body), request.receive), send)
                return
            naming = partial(self._named, bytes(body), caller.owner)
            values, body = await to_thread.run_sync(naming) if len(body) > MUCH_JSON else naming()
            if (session := values.get("session_hash")) is not None:
                self._check_session(session, caller)
            if (event := values.get("event_id")) is not None:
                self._check_event(event, caller)
            scope = {**request.scope, "headers": _with_length(request.scope["headers"], len(body))}

            def note(event: str) -> None:
                self.names.add(f"event {event}", caller.owner)
                asked.becomes(event)

            await self.app(scope, _again(body, request.receive), self._noting(send, note))

    def _named(self, body: bytes, owner: str) -> tuple[dict[str, Any], bytes]:
        """The request's data, with paths for the addresses of the caller's own files. Raises :class:`Refusal`.

        Whatever the request says it is: what reads it next takes it for JSON, and gets what was looked at here.
        """
        values = _json(body) if body else {}
        if not isinstance(values, dict):
            raise Refusal(400, say("a request is an object"))
        named = Naming(self.files, owner).of(values)
        return named, json.dumps(named).encode()

    @staticmethod
    def _noting(send: Send, note: Callable[[str], object]) -> Send:
        """Note the event that an answer names, before the answer is out."""

        async def noting(message: Message) -> None:
            body = message.get("body", b"")
            if message["type"] == "http.response.body" and body.startswith(b'{"event_id"'):
                note(_json(body)["event_id"])
            await send(message)

        return noting

    def _counting_download(self, send: Send, caller: Caller) -> Send:
        """What is made while it is sent counts as it goes; where it becomes too much, it breaks off."""
        begun = False

        async def counting(message: Message) -> None:
            nonlocal begun
            try:
                self.quotas.downloaded.check(caller, len(message.get("body", b"")))
            except Refusal:
                if begun:
                    raise ClientDisconnect from None
                raise
            begun = True
            await send(message)

        return counting

    # --- uploads -------------------------------------------------------------------------------------------------

    async def _take_upload(self, request: Request, caller: Caller, send: Send) -> None:
        check_logged_in(request)
        upload = request.query_params.get("upload_id")
        if upload is not None:
            self._check_upload_name(upload, caller)
        addresses = await self.receiver.receive(request, caller, upload)
        await JSONResponse(addresses)(request.scope, request.receive, send)

    # --- answers -------------------------------------------------------------------------------------------------

    def _answer(self, send: Send, request: Request, caller: Caller) -> Send:
        """A first visitor gets a token with the page. Where a file lies is told nobody: its address is."""
        hide: Hiding | None = None
        start: Message = {}
        body = bytearray()

        async def answering(message: Message) -> None:
            nonlocal start, hide
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(_HEADERS)
                if request.url.path == "/" and not caller.visitor:
                    headers.append("Set-Cookie", _cookie(self.workspaces.new_token(), request))
                kind = headers.get("content-type", "")
                if kind.startswith(("application/json", MEDIA_TYPE, "text/event-stream")):
                    hide = hiding(str(self.files.of(caller.owner)) + "/")
                if hide and "content-length" in headers:
                    start = message  # its length is known when the body is
                    return
            elif message["type"] == "http.response.body" and hide:
                if start:
                    body.extend(message.get("body", b""))
                    if message.get("more_body"):
                        return
                    message = {**message, "body": hide(bytes(body))}
                    MutableHeaders(scope=start)["content-length"] = str(len(message["body"]))
                    await send(start)
                else:
                    message = {**message, "body": hide(message.get("body", b""))}
            await send(message)

        return answering


def _json(body: bytes) -> Any:
    try:
        return parse_json(body)
    except ValueError as error:
        raise Refusal(400, say("the request is not JSON that can be read")) from error


def _queue(request: Request) -> dict[str, Any]:
    """Ids of what waits or runs in Gradio's queue."""
    return request.scope["app"].get_blocks()._queue.event_ids_to_events


def _with_length(headers: list[tuple[bytes, bytes]], length: int) -> list[tuple[bytes, bytes]]:
    dropped = (b"content-length", b"transfer-encoding", b"content-type")
    kept = [(name, value) for name, value in headers if name not in dropped]
    return [*kept, (b"content-length", str(length).encode()), (b"content-type", b"application/json")]


def _again(body: bytes, receive: Receive) -> Receive:
    """Gives a body that was read already."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()  # a client that goes away
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _at_most(receive: Receive, most: int) -> Receive:
    """Raises :class:`Refusal` when more comes."""
    come = 0

    async def counting() -> Message:
        nonlocal come
        message = await receive()
        come += len(message.get("body", b""))
        if come > most:
            raise Refusal(413, say("this request may have {most} KiB", most=most // 2**10))
        return message

    return counting


def _cookie(token: str, request: Request) -> str:
    """Over HTTPS it also works where the page stands in a frame of another site, as on Hugging Face."""
    scope = "SameSite=None; Secure; Partitioned" if request.url.scheme == "https" else "SameSite=Lax"
    return f"{COOKIE}={token}; Max-Age={COOKIE_SECONDS}; Path=/; HttpOnly; {scope}"


def _without_metadata(path: Path) -> bytes:
    return thumbnails.preview(path.read_bytes())
