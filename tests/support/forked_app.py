"""``app.py`` in a process of its own that need not import Gradio again: it is forked from one that has."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path

SECONDS_AN_IMAGE = 0.2  # of each of the pool's threads

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["unifex.ui.app"])


class ForkedApp:
    """As ``subprocess.Popen([python, "app.py", *arguments])`` with this environment; its output goes to ``log``.

    While there is a file ``brake``, indexing takes its time, however quick the machine: it can be watched and stopped.
    """

    def __init__(self, arguments: list[str], environment: dict[str, str], log: Path, root: Path, brake: Path | None):
        self._process = _context.Process(target=_run, args=(arguments, environment, log, root, brake))
        self._process.start()

    def poll(self) -> int | None:
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process.pid, number)

    def wait(self, seconds: float) -> None:
        """Raises ``subprocess.TimeoutExpired``."""
        self._process.join(seconds)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("app.py", seconds)

    def kill(self) -> None:
        self._process.kill()
        self._process.join()


def _run(arguments: list[str], environment: dict[str, str], log: Path, root: Path, brake: Path | None) -> None:
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(root)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream, number in ((sys.stdout, 1), (sys.stderr, 2)):
        os.dup2(output, number)
        stream.reconfigure(line_buffering=True)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if brake:
        _slow_down(brake)
    sys.argv = ["app.py", *arguments]
    runpy.run_path("app.py", run_name="__main__")


def _slow_down(brake: Path) -> None:
    from unifex.gallery import indexing

    embed = indexing.embed_items

    def slowly(embedder, items, known):
        for _ in items:
            time.sleep(SECONDS_AN_IMAGE * brake.exists())
        return embed(embedder, items, known)

    indexing.embed_items = slowly
