"""Starts the app as a user would, ``python app.py``, on a free port with a folder of galleries of its own."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.forked import TELL, Forked

ROOT = Path(__file__).resolve().parent.parent.parent
START_SECONDS = 120
_running: dict[Path, Forked] = {}  # by their logs
SECONDS_AN_IMAGE = 0.2  # of each of the pool's threads, where there is a brake
SEEN, PAUSES = 48, 10  # images that tests look at, and how many times as long the others take


@dataclass(frozen=True)
class Server:
    """A running app."""

    url: str
    indexes: Path


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def serve(
    indexes: Path,
    *arguments: str,
    expect_clean_log: bool = True,
    environment: dict[str, str | None] | None = None,
    log: Path | None = None,
    root: Path = ROOT,
    python: str = sys.executable,
    brake: Path | None = None,
    anew: bool = False,
) -> Iterator[Server]:
    """Run the app until the block ends; unless told otherwise, no exception may be in its log then.

    ``environment``: variables to set, or with None to take away; ``root``: where ``app.py`` is; ``brake``: a file
    in whose presence indexing can be watched; ``anew``: in an interpreter that has imported nothing yet.
    """
    places = {
        "UNIFEX_LIBRARY": str(indexes),
        "GRADIO_TEMP_DIR": str(indexes.parent / "gradio"),
        "PYTHONUNBUFFERED": "1",
    }
    special = anew or (root, python) != (ROOT, sys.executable)
    wanted = {**os.environ, **places, **(environment or {})}
    environment = {name: value for name, value in wanted.items() if value is not None}
    log = log or indexes.parent / "app.log"
    log.write_bytes(b"")
    asked = ["--port", str(free_port()), *arguments]
    if special:
        with log.open("wb") as output:
            process = subprocess.Popen(
                [python, "app.py", *asked], cwd=root, env=environment, stdout=output, stderr=subprocess.STDOUT
            )
    else:
        process = Forked(["app.py", *asked], environment, root, log, log, (slow_down, brake) if brake else None)
    try:
        url = _wait_for_url(process, log)
        if isinstance(process, Forked):
            _running[log] = process
        yield Server(url, indexes)
    finally:
        _running.pop(log, None)
        process.send_signal(signal.SIGINT)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
    assert not expect_clean_log or b"Traceback" not in log.read_bytes(), log.read_text()


def kill(server: Server) -> None:
    """As a machine that is turned off: it says nothing to its pages."""
    process = _running[server.indexes.parent / "app.log"]
    process.kill()
    process.wait(15)


def what_servers_do() -> str:
    """Of each that runs, the end of its log and where its threads are."""
    for process in _running.values():
        process.send_signal(TELL)
    time.sleep(0.5)
    return "\n\n".join(log.read_text()[-8000:] for log in _running)


def _wait_for_url(process: subprocess.Popen | Forked, log: Path) -> str:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if found := re.search(r"http://(127\.0\.0\.1|\[::1\]):\d+", log.read_text()):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(found[0], timeout=5).close()
                return f"{found[0]}/"
        time.sleep(0.1)
    raise RuntimeError(f"app.py did not start: {log.read_text()}")


def slow_down(brake: Path) -> None:
    """While there is a file ``brake``, indexing in this process takes its time, however quick the machine; after the
    first images so much that it is not over before a test's next step, however slow."""
    from unifex.gallery import indexing

    embed, held = indexing.embed_items, 0

    def slowly(embedder, items, known):
        nonlocal held
        for _ in items:
            held = held + 1 if brake.exists() else 0
            for _ in range(1 if held <= SEEN else PAUSES):
                time.sleep(SECONDS_AN_IMAGE * brake.exists())
        return embed(embedder, items, known)

    indexing.embed_items = slowly
