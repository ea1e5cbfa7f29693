"""A small Hugging Face hub on loopback: repositories are folders, spoken to through ``HF_ENDPOINT``."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CHUNK = 1 << 20


@cache
def _sha256(file: Path, changed: int) -> str:
    """Of a file as it was at that time: gigabytes are not read for every question."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


class StubHub:
    """``requests`` are the (method, path) that came; ``chunk_seconds`` slows a download's MiB down."""

    def __init__(self, root: Path):
        self.root = root
        self.requests: list[tuple[str, str]] = []
        self.chunk_seconds = 0.0
        self.gated: set[str] = set()
        self.closed = False  # nobody may write
        self.commit = COMMIT  # of every repository, another one after each change
        self.private: set[str] = set()
        self.makes_private = False  # whatever is asked, as an organisation can want it
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *arguments) -> None:
                pass

            def do_HEAD(self) -> None:
                hub.requests.append(("HEAD", self.path))
                hub.resolve(self, body=False)

            def do_GET(self) -> None:
                hub.requests.append(("GET", self.path))
                if "/resolve/" in self.path:
                    hub.resolve(self, body=True)
                else:
                    hub.describe(self)

            def do_POST(self) -> None:
                hub.requests.append(("POST", self.path))
                hub.receive(self, self.rfile.read(int(self.headers.get("Content-Length", 0))))

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def resolve(self, request: BaseHTTPRequestHandler, body: bool) -> None:
        """One file of a repository."""
        path = unquote(urlsplit(request.path).path).strip("/")
        repo, _, rest = path.partition("/resolve/")
        file = self.root / repo / (rest if repo.startswith("buckets/") else rest.partition("/")[2])
        if repo in self.gated:
            self.answer(request, 403, {}, {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted"})
        elif not (self.root / repo).is_dir():
            self.answer(request, 404, {}, {"X-Error-Code": "RepoNotFound"})
        elif not file.is_file():
            self.answer(request, 404, {}, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": self.commit})
        else:
            about = file.stat()
            whole = (0, about.st_size - 1)
            first, last = self.part(request.headers.get("Range", ""), about.st_size) or whole
            request.send_response(200 if (first, last) == whole else 206)
            headers = {"ETag": f'"{_sha256(file, about.st_mtime_ns)}"', "X-Repo-Commit": self.commit}
            headers |= {"Content-Length": str(last + 1 - first)}
            for name, value in headers.items():
                request.send_header(name, value)
            request.end_headers()
            if body:
                self.send(request, file, first, last)

    @staticmethod
    def part(asked: str, size: int) -> tuple[int, int] | None:
        """The first and last byte of ``bytes=FIRST-LAST``."""
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", asked)
        return (int(found[1]), min(int(found[2] or size), size - 1)) if found else None

    def send(self, request: BaseHTTPRequestHandler, file: Path, first: int, last: int) -> None:
        """A file's bytes, as slowly as was asked."""
        with file.open("rb") as opened, contextlib.suppress(ConnectionError):  # a client that stops hangs up
            opened.seek(first)
            while data := opened.read(min(CHUNK, last + 1 - opened.tell())):
                request.wfile.write(data)
                time.sleep(self.chunk_seconds)

    @staticmethod
    def repo_of(parts: list[str]) -> str:
        """``api/models/OWNER/NAME/...`` -> OWNER/NAME; ``api/datasets/...`` -> datasets/OWNER/NAME, as buckets."""
        return "/".join([*([parts[1]] if parts[1:2] in (["datasets"], ["buckets"]) else []), *parts[2:4]])

    def describe(self, request: BaseHTTPRequestHandler) -> None:
        """What ``/api/models/OWNER/NAME[/revision/main]`` tells: the files of a repository."""
        parts = urlsplit(request.path).path.strip("/").split("/")
        repo = self.repo_of(parts)
        folder = self.root / repo
        if parts[:1] != ["api"] or not folder.is_dir():
            self.answer(request, 404, {}, {"X-Error-Code": "RepoNotFound"})
            return
        files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        if "tree" in parts:
            facts = {"type": "file", "oid": self.commit, "xetHash": self.commit}
            below = "/".join(parts[parts.index("tree") + (1 if parts[1] == "buckets" else 2) :])
            start = f"{below}/" if below else ""
            files = [file for file in files if file.startswith(start)]
            told = [{"path": f, "size": (folder / f).stat().st_size, **facts} for f in files]
            if "recursive=false" in request.path:
                inside = {file.removeprefix(start).partition("/")[0] for file in files if "/" in file[len(start) :]}
                told = [one for one in told if "/" not in one["path"][len(start) :]]
                told += [{"path": start + name, **facts, "type": "directory"} for name in sorted(inside)]
            self.answer(request, 200, told)
            return
        if parts[1] == "buckets":
            told = {"private": False, "createdAt": "2026-01-01T00:00:00.000Z", "size": 1, "totalFiles": len(files)}
            self.answer(request, 200, {"id": "/".join(parts[2:4]), **told})
            return
        told = {"id": repo, "sha": self.commit, "private": repo in self.private}
        self.answer(request, 200, {**told, "siblings": [{"rfilename": file} for file in files]})

    def receive(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        """Making a repository, and commits whose files come in the request."""
        parts = urlsplit(request.path).path.strip("/").split("/")
        if self.closed:
            self.answer(request, 401, {"error": "Invalid username or password."})
        elif parts[-2:] == ["repos", "create"]:
            asked = json.loads(body)
            repo = f"{asked.get('organization') or 'me'}/{asked['name']}"
            kind = "datasets/" if asked.get("type") == "dataset" else ""
            if (self.root / f"{kind}{repo}").is_dir():
                self.answer(request, 409, {"error": "You already created this", "url": f"{self.url}/{repo}"})
                return
            (self.root / f"{kind}{repo}").mkdir(parents=True)
            if self.makes_private or asked.get("private") or asked.get("visibility") == "private":
                self.private.add(f"{kind}{repo}")
            self.answer(request, 200, {"url": f"{self.url}/{repo}", "name": repo, "id": repo})
        elif parts[-1] == "validate-yaml":
            self.answer(request, 200, {"errors": [], "warnings": []})
        elif "preupload" in parts:
            files = [{**file, "uploadMode": "regular", "shouldIgnore": False} for file in json.loads(body)["files"]]
            self.answer(request, 200, {"files": files})
        elif "commit" in parts:
            repo = self.repo_of(parts)
            for line in body.decode().splitlines():
                entry = json.loads(line)
                if entry["key"] == "file":
                    file = self.root / repo / entry["value"]["path"]
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_bytes(base64.b64decode(entry["value"]["content"]))
                elif entry["key"] == "deletedFile":
                    (self.root / repo / entry["value"]["path"]).unlink()
            self.commit = hashlib.sha1(self.commit.encode()).hexdigest()
            commit = {
                "commitUrl": f"{self.url}/{repo}/commit/{self.commit}",
                "commitOid": self.commit,
                "pullRequestUrl": None,
            }
            self.answer(request, 200, {"success": True, "hookOutput": "", **commit})
        else:
            self.answer(request, 404, {})

    @staticmethod
    def answer(
        request: BaseHTTPRequestHandler, status: int, value: object, headers: dict[str, str] | None = None
    ) -> None:
        """One JSON answer."""
        body = json.dumps(value).encode()
        request.send_response(status)
        for name, text in {
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            **(headers or {}),
        }.items():
            request.send_header(name, text)
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(body)


@contextmanager
def running(root: Path) -> Iterator[StubHub]:
    """A hub whose repositories are the folders ``root/OWNER/NAME``."""
    hub = StubHub(root)
    thread = threading.Thread(target=hub.server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.server.shutdown()
        hub.server.server_close()
        thread.join()
