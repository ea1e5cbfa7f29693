"""A web server of a folder on loopback that lists it, and that is slow, refuses, breaks off and falls silent."""

from __future__ import annotations

import contextlib
import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit


class WebStore:
    """``faults``: what happens at a path, by its beginning: a status, ``cut``, ``silent``, ``page`` or ``moved``, each
    with `` once`` or for files alone when it begins with ``GET ``. ``latency``: seconds of each answer; ``most``:
    requests for files that were there at once; ``asked``: all of them; ``link``: (folder, quoted name) -> what its page
    links to."""

    def __init__(self, root: Path, latency: float = 0.0):
        self.root, self.latency = root, latency
        self.faults: dict[str, str] = {}
        self.link: Callable[[str, str], str] = lambda folder, name: name
        self.most, self._now = 0, 0
        self.asked: list[tuple[str, str]] = []
        self.passwords: list[str | None] = []
        self.closing = threading.Event()
        self._lock = threading.Lock()
        store = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *arguments) -> None:
                pass

            def do_HEAD(self) -> None:
                time.sleep(store.latency)
                store.answer(self)

            def do_GET(self) -> None:
                with store.counted(self):
                    time.sleep(store.latency)
                    store.answer(self)

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    @contextmanager
    def counted(self, request: BaseHTTPRequestHandler) -> Iterator[None]:
        """It is there."""
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        try:
            with contextlib.suppress(ConnectionError):
                yield
        finally:
            with self._lock:
                self._now -= 1

    def fault(self, command: str, path: str) -> str:
        """What is wrong with a path now."""
        for start, fault in list(self.faults.items()):
            begin = start.removeprefix(f"{command} ")
            if path.startswith(begin):
                if fault.endswith(" once"):
                    del self.faults[start]
                return fault.removesuffix(" once")
        return ""

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """A file, or the page of a folder."""
        path = unquote(urlsplit(request.path).path)
        self.asked.append((request.command, path))
        self.passwords.append(request.headers.get("Authorization"))
        fault, place = self.fault(request.command, path), self.root / path.strip("/")
        if fault == "silent":
            self.closing.wait(20)
            return
        if fault == "moved":
            self.send(request, 302, b"", {"Location": "/"})
        elif fault.isdecimal():
            self.send(request, int(fault), b"no")
        elif fault == "page":
            self.send(request, 200, b"<html>Please log in</html>", {"Content-Type": "text/html"})
        elif place.is_dir():
            names = sorted(self.link(path, quote(entry.name)) + "/" * entry.is_dir() for entry in place.iterdir())
            links = ["../", "?C=N;O=D", "https://elsewhere.example/x.png", "/icons/back.png", *names]
            page = "".join(f'<a href="{link}">x</a>' for link in links)
            self.send(request, 200, page.encode(), {"Content-Type": "text/html"})
        elif place.is_file():
            data = place.read_bytes()
            etag = {"ETag": f'"{hashlib.md5(data).hexdigest()}"', "Content-Type": "application/octet-stream"}
            self.send(request, 200, data, etag, cut=fault == "cut")
        else:
            self.send(request, 404, b"no")

    @staticmethod
    def send(
        request: BaseHTTPRequestHandler,
        status: int,
        data: bytes,
        headers: dict[str, str] | None = None,
        cut: bool = False,
    ) -> None:
        """One answer; a ``cut`` one ends half-way."""
        request.send_response(status)
        for name, text in {"Content-Length": str(len(data)), **(headers or {})}.items():
            request.send_header(name, text)
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(data[: len(data) // 2] if cut else data)
        if cut:
            request.close_connection = True


@contextmanager
def running(root: Path, latency: float = 0.0) -> Iterator[WebStore]:
    """A store of what is below a folder."""
    store = WebStore(root, latency)
    thread = threading.Thread(target=store.server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield store
    finally:
        store.closing.set()
        store.server.shutdown()
        store.server.server_close()
        thread.join()
