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
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from anyio import CapacityLimiter, to_thread
from gradio.context import LocalContext
from gradio.route_utils import FileUploadProgress, GradioMultiPartParser, MultiPartException
from gradio.routes import file_upload_statuses
from gradio_client.utils import strip_invalid_filename_characters
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from unifex.core import images
from unifex.core.disk import BLOCK_BYTES
from unifex.core.text import reason
from unifex.ui.server.door import refused
from unifex.ui.server.rates import Open, Ownership, Rate, Refusal, Turns, network_of
from unifex.ui.server.visitor_files import MADE, PREFIX, SENT, RoomError, VisitorFiles, nobody_at
from unifex.ui.server.workspaces import DELETED, Workspaces

COOKIE = "unifex_visitor"
COOKIE_SECONDS = 30 * 24 * 3600
MAX_BODY_BYTES = 4 * 2**20  # of all requests of one visitor that wait together
MAX_LOGIN_BYTES = 64 * 2**10
MUCH_JSON = 64 * 2**10  # bytes; with more the event loop would stand still while it is looked at
MAX_TEXTS = 100_000  # in one request
MAX_FILES = 1000  # in one upload
MAX_PATH = 4096  # characters
MAX_NAME = 64  # characters of a session, an event, an upload
MAX_WAITING = 24  # events of one visitor that are queued or run
MAX_STREAMS = 64  # answers that one visitor has open
MAX_UPLOADS = 12  # uploads of one visitor at once
NEW_SESSIONS = 120  # pages that one visitor opens in an hour
FOLLOWED = 3000  # uploads whose progress one visitor's page follows in an hour
LOOKS = 4  # a page asks to be shown something so many times as often as it asks for something to be done
DOWNLOADS = 4  # what may be kept can be downloaded so many times in an hour
DECODERS = 2  # pictures that are shown at once, of all visitors
SHARED_ADDRESS = 8  # so many visitors may sit behind one address
API = "/gradio_api"
_OPEN = {
    "GET": r"/|/config/?|/theme\.css|/favicon\.ico|/robots\.txt|/manifest\.json|/pwa_icon.*|/health|/plotly\.js|"
    r"/(svelte|static|assets)/.*|/login_check/?|/gradio_api/(info/?|app_id/?|theme\.css|startup-events|"
    r"upload_progress|queue/data|heartbeat/[\w-]+|call/(v2/)?\w+/\w+|file=.*|login_check/?|user/?|token/?)|/logout",
    "POST": r"/login/?|/gradio_api/(upload|queue/join|cancel|reset/?|component_server/?|call/(v2/)?\w+/?)",
}
_OPEN["HEAD"] = _OPEN["GET"]
_STREAMS = re.compile(rf"{API}/(upload_progress|queue/data|heartbeat/.*|call/.*)")
_EVENT = re.compile(rf"{API}/call/(?:v2/)?\w+/(\w+)")
_HEARTBEAT = re.compile(rf"{API}/heartbeat/([\w-]+)")
_LIKE_A_PATH = re.compile(r"""([^/\\<>"{}:;,\n]{0,255}[/\\])+[^/\\<>"{}:;,\n]{0,255}""")
_HEADERS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin"}
NOT_YOURS = "that file is not yours"


def token_now() -> str | None:
    """The visitor's token of the request whose handler is running."""
    request = LocalContext.request.get(None)
    return request.cookies.get(COOKIE) if request is not None else None


def owner_now(workspaces: Workspaces) -> str:
    """Whose files the request may use whose handler is running."""
    request = LocalContext.request.get(None)
    client = getattr(request, "client", None)
    return workspaces.visitor(token_now()) or nobody_at(network_of(client.host if client else ""))


@dataclass(frozen=True)
class Caller:
    """Who asks: a visitor, or nobody known (empty) at an address."""

    visitor: str
    address: str

    @property
    def owner(self) -> str:
        """Whose everything is that is sent or made."""
        return self.visitor or nobody_at(self.address)


class Guard:
    """ASGI middleware of a public server."""

    def __init__(self, app: ASGIApp, workspaces: Workspaces, rate: int):
        self.app = app
        self.workspaces = workspaces
        self.files: VisitorFiles = workspaces.files
        self.names = Ownership()  # sessions, events and uploads, by kind and name
        bytes = workspaces.limits.bytes
        self.asked, self.looked = Limit(rate, 60), Limit(LOOKS * rate, 60)
        self.sessions, self.followed = Limit(NEW_SESSIONS, 3600), Limit(FOLLOWED, 3600)
        self.uploaded, self.downloaded = Limit(2 * bytes, 3600), Limit(DOWNLOADS * bytes, 3600)
        self.streams, self.uploads = Open(MAX_STREAMS), Open(MAX_UPLOADS)
        self.turns = Turns(MAX_WAITING, MAX_BODY_BYTES)
        self.decoders = CapacityLimiter(DECODERS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what is refused; let the rest through."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            await self._pass(Request(scope, receive), send)
        except Refusal as refusal:
            await refused(refusal)(scope, receive, send)
        except ClientDisconnect:
            pass

    async def _pass(self, request: Request, send: Send) -> None:
        path, method = request.scope["path"], request.method
        if not re.fullmatch(_OPEN.get(method, ""), path, re.DOTALL):
            raise Refusal(404, "there is nothing here")
        caller = self._caller(request)
        send = self._answer(send, request, caller)
        if method == "POST" and path == f"{API}/upload":  # a folder comes as a request a file: bytes count
            await self._take_upload(request, caller, send)
        elif method == "POST":
            self.asked.check(caller, "more than {most} requests a minute; wait a moment")
            await self._ask(request, caller, send)
        else:
            self.looked.check(caller, "more than {most} requests a minute; wait a moment")
            if path.startswith(f"{API}/file="):
                await self._give_file(request, path.partition("=")[2], caller, send)
            else:
                await self._look(request, path, caller, send)

    def _caller(self, request: Request) -> Caller:
        address = network_of(request.client.host if request.client else "")
        return Caller(self.workspaces.visitor(request.cookies.get(COOKIE)), address)

    # --- names ---------------------------------------------------------------------------------------------------

    def _check_session(self, session: object, caller: Caller) -> None:
        """It is this caller's, from the first time that it is seen."""
        self._check_name("session", session)
        if f"session {session}" not in self.names.owners:
            self.sessions.check(caller, "more than {most} pages an hour; reload fewer")
        if not self.names.claim(f"session {session}", caller.owner):
            raise Refusal(403, "that session is not yours; reload the page")

    def _check_event(self, event: object, caller: Caller) -> None:
        """The answer to it is this caller's, who was told of it."""
        self._check_name("event", event)
        if not self.names.has(f"event {event}", caller.owner):
            raise Refusal(403, "that answer is not yours")

    def _check_upload_name(self, upload: object, caller: Caller) -> None:
        self._check_name("upload", upload)
        if f"upload {upload}" not in self.names.owners:
            self.followed.check(caller, "more than {most} uploads an hour")
        if not self.names.claim(f"upload {upload}", caller.owner):
            raise Refusal(403, "that upload is not yours")

    @staticmethod
    def _check_name(kind: str, name: object) -> None:
        if not isinstance(name, str) or not re.fullmatch(rf"[\w-]{{1,{MAX_NAME}}}", name, re.ASCII):
            raise Refusal(403, f"that is no {kind}")

    # --- looking -------------------------------------------------------------------------------------------------

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
        with self.streams.one(caller.owner, "too many pages of yours are open"):
            await self.app(request.scope, request.receive, send)

    async def _give_file(self, request: Request, address: str, caller: Caller, send: Send) -> None:
        """An upload as a picture without metadata, or what was made to download."""
        _check_logged_in(request)
        path = await to_thread.run_sync(self.files.path, address, caller.owner)
        if path is None:
            raise Refusal(403, NOT_YOURS)
        if path.parent.parent.name == MADE:
            if request.method == "GET":
                self.downloaded.check(caller, _MUCH, path.stat().st_size)
            answer: Response = FileResponse(path, filename=path.name, media_type="application/octet-stream")
        else:
            try:
                picture = await to_thread.run_sync(_without_metadata, path, limiter=self.decoders)
            except (OSError, images.ImageError) as error:
                raise Refusal(415, f"not shown: {reason(error)}") from error
            answer = Response(picture, media_type=images.media_type(picture))
        await answer(request.scope, request.receive, send)

    # --- asking --------------------------------------------------------------------------------------------------

    async def _ask(self, request: Request, caller: Caller, send: Send) -> None:
        if not request.scope["path"].startswith(API):
            await self.app(request.scope, _at_most(request.receive, MAX_LOGIN_BYTES), send)
            return
        with self.turns.one(caller.owner, _queue(request)) as asked:
            body = bytearray()
            async for part in request.stream():
                body.extend(part)
                asked.take(len(part))
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
            raise Refusal(400, "a request is an object")
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

    # --- uploads -------------------------------------------------------------------------------------------------

    async def _take_upload(self, request: Request, caller: Caller, send: Send) -> None:
        """Receive files, counting bytes as they arrive, and tell their addresses. At a limit nothing of it is kept."""
        _check_logged_in(request)
        upload = request.query_params.get("upload_id")
        if upload is not None:
            self._check_upload_name(upload, caller)
        self._check_announced(request)
        await to_thread.run_sync(self.files.account, caller.owner)  # measured once
        try:
            with self.uploads.one(caller.owner, "too many uploads at once"):
                kept = await self._receive(request, caller, upload)
        except RoomError as error:
            raise Refusal(413, str(error)) from error
        except FileNotFoundError as error:
            raise Refusal(410, DELETED) from error
        except OSError as error:
            raise Refusal(507, "this server's disk is full; try again later") from error
        await JSONResponse([self.files.address(path) for path in kept])(request.scope, request.receive, send)

    def _check_announced(self, request: Request) -> None:
        """What says that it is too much need not come at all. What does not say so is counted as it comes."""
        if "multipart/form-data" not in request.headers.get("content-type", ""):
            raise Refusal(400, "an upload is a form with files")
        length, most = request.headers.get("content-length", ""), self.workspaces.limits.bytes
        if length.isdecimal() and int(length[:20]) > most + BLOCK_BYTES:
            raise Refusal(413, f"an upload may have {most // 10**6:,} MB here")

    async def _receive(self, request: Request, caller: Caller, upload: str | None) -> list[Path]:
        """The files of an upload, kept. ``upload``: the name under which the page follows its progress."""
        owner, kept = caller.owner, []
        with self.files.arriving(owner) as arrival, _followed(upload) as progress:

            async def counted() -> AsyncGenerator[bytes, None]:
                async for part in request.stream():
                    self.uploaded.check(caller, _MUCH, len(part))
                    arrival.take(len(part))
                    yield part

            parser = GradioMultiPartParser(
                request.headers, counted(), max_files=MAX_FILES, max_fields=0, upload_dir=arrival.folder,
                upload_id=upload, upload_progress=progress, max_file_size=self.workspaces.limits.bytes,
            )  # fmt: skip
            try:
                form = await parser.parse()
                arrival.settle()
                for file in form.getlist("files"):
                    file.file.close()
                    self.uploaded.check(caller, _MUCH, 2 * BLOCK_BYTES)  # a file takes that, however little is in it
                    place = Path(file.file.name), _name(file.filename), owner, SENT
                    kept.append(await to_thread.run_sync(self.files.keep, *place))
            except BaseException as error:
                for path in kept:
                    self.files.release(path, owner)
                if isinstance(error, MultiPartException):
                    status = 413 if "maximum allowed size" in error.message else 400
                    raise Refusal(status, error.message) from error
                raise
        return kept

    # --- answers -------------------------------------------------------------------------------------------------

    def _answer(self, send: Send, request: Request, caller: Caller) -> Send:
        """A first visitor gets a token with the page. Where a file lies is told nobody: its address is."""
        hide: _Hiding | None = None
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
                if kind.startswith(("application/json", "text/event-stream")):
                    hide = _hiding(str(self.files.of(caller.owner)) + "/")
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


@dataclass
class Limit:
    """A rate of every visitor, and of every address with all visitors behind it."""

    most: int
    seconds: float

    def __post_init__(self) -> None:
        self.owners, self.addresses = Rate(self.most, self.seconds), Rate(self.most * SHARED_ADDRESS, self.seconds)

    def check(self, caller: Caller, sentence: str, amount: int = 1) -> None:
        """Count it. Raises :class:`Refusal`; ``{most}`` in the sentence is how much there may be."""
        for rate, name in ((self.owners, caller.owner), (self.addresses, caller.address)):
            rate.check(name, amount, sentence.format(most=rate.most))


@dataclass
class Naming:
    """Puts paths for addresses in a request's data."""

    files: VisitorFiles
    owner: str
    texts: int = 0

    def of(self, value: Any, depth: int = 0) -> Any:
        """JSON data with paths in it. Raises :class:`Refusal` for another's file, and what is too much or too deep."""
        if depth > 50:
            raise Refusal(400, "nested too deeply")
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, list):
            return [self.of(inner, depth + 1) for inner in value]
        if isinstance(value, dict):
            if isinstance(value.get("path"), str):
                value = self._file(value)
            return {self._text(name): self.of(inner, depth + 1) for name, inner in value.items()}
        return value

    def _file(self, value: dict[str, Any]) -> dict[str, Any]:
        """Gradio takes every object with a ``path`` for a file, and would fetch its ``url``."""
        if re.match(r"\s*\w[\w+.-]*:", value["path"]):
            raise Refusal(403, "upload the file; this server fetches nothing")
        if value["path"] and not value["path"].startswith(PREFIX):
            raise Refusal(403, NOT_YOURS)
        return {name: inner for name, inner in value.items() if name != "url"}

    def _text(self, text: str) -> str:
        self.texts += 1
        if self.texts > MAX_TEXTS:
            raise Refusal(413, f"more than {MAX_TEXTS:,} texts in one request")
        if PREFIX in text or str(self.files.folder) in text:
            path = self.files.path(text, self.owner)
            if path is None:
                raise Refusal(403, NOT_YOURS)
            return str(path)
        if len(text) > MAX_PATH and _LIKE_A_PATH.fullmatch(text):
            raise Refusal(403, f"a path has {MAX_PATH:,} characters at most")
        return text


class _Hiding:
    """Puts addresses for paths in an answer, however they are written there."""

    def __init__(self, folder: str):
        texts = {folder, json.dumps(folder)[1:-1], quote(folder)}
        self.needles = [text.encode() for text in texts]

    def __call__(self, body: bytes) -> bytes:
        for needle in self.needles:
            if needle in body:
                body = body.replace(needle, PREFIX.encode())
        return body


_hiding = lru_cache(1000)(_Hiding)
_MUCH = "that is much for an hour; go on in the next one"


@contextlib.contextmanager
def _followed(upload: str | None) -> Iterator[FileUploadProgress | None]:
    """Where the page looks how far an upload is, if it asked to be told."""
    if upload is None:
        yield None
        return
    file_upload_statuses.track(upload)
    try:
        yield file_upload_statuses
    finally:
        file_upload_statuses.set_done(upload)


def _name(name: str | None) -> str:
    """A file name that every disk takes, and that is not hidden."""
    return strip_invalid_filename_characters(Path(name or "").name).lstrip(".") or "file"


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refusal(400, "the request is not JSON that can be read") from error


def _queue(request: Request) -> dict[str, Any]:
    """Ids of what waits or runs in Gradio's queue."""
    return request.scope["app"].get_blocks()._queue.event_ids_to_events


def _check_logged_in(request: Request) -> None:
    """As Gradio's own routes ask where ``--auth`` is set."""
    app, cookies = request.scope["app"], request.cookies
    if app.auth is None:
        return
    tokens = (cookies.get(f"access-token-{app.cookie_id}"), cookies.get(f"access-token-unsecure-{app.cookie_id}"))
    if not any(token in app.tokens for token in tokens if token):
        raise Refusal(401, "log in first")


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
            raise Refusal(413, f"this request may have {most // 2**10} KiB")
        return message

    return counting


def _cookie(token: str, request: Request) -> str:
    """Over HTTPS it also works where the page stands in a frame of another site, as on Hugging Face."""
    scope = "SameSite=None; Secure; Partitioned" if request.url.scheme == "https" else "SameSite=Lax"
    return f"{COOKIE}={token}; Max-Age={COOKIE_SECONDS}; Path=/; HttpOnly; {scope}"


def _without_metadata(path: Path) -> bytes:
    picture = images.decode(path.read_bytes(), at_least=images.PREVIEW_SIZE).image
    return images.thumbnail(picture, images.PREVIEW_SIZE, quality=85)
