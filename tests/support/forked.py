"""Python programs in processes of their own that need not import Gradio and torch again: forked from one that has."""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["unifex.ui.app", "torch", "torchvision"])
SECONDS = 300
TELL = signal.SIGUSR1


class Forked:
    """As ``subprocess.Popen([python, *arguments])``; stdout and stderr go to files, which may be the same.

    ``arguments``: ``-m MODULE ...``, ``-c CODE`` or ``FILE.py ...``; ``before``: a function of a module, and what it
    is called with before the program runs.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        stdout: Path,
        stderr: Path,
        before: tuple[Callable[..., None], Any] | None = None,
    ):
        work = (list(map(str, arguments)), dict(environment), folder, stdout, stderr, before)
        self._process = _context.Process(target=_program, args=work)
        self._process.start()

    def poll(self) -> int | None:
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process.pid, number)

    def wait(self, seconds: float) -> int:
        """Raises ``subprocess.TimeoutExpired``."""
        self._process.join(seconds)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("python", seconds)
        return self._process.exitcode

    def kill(self) -> None:
        self._process.kill()
        self._process.join()


def run(
    *arguments: str, environment: Mapping[str, str] | None = None, folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """As ``subprocess.run([python, *arguments], capture_output=True, text=True)``, with these variables besides."""
    return run_together([arguments], [environment or {}], folder)[0]


def run_together(
    programs: Sequence[Sequence[str]], environments: Sequence[Mapping[str, str]], folder: Path | None = None
) -> list[subprocess.CompletedProcess[str]]:
    """Several at once, to the end of all."""
    with tempfile.TemporaryDirectory() as place, contextlib.ExitStack() as ended:
        outputs = [(Path(place) / f"{number}.out", Path(place) / f"{number}.err") for number in range(len(programs))]
        started = []
        for program, environment, output in zip(programs, environments, outputs):
            started.append(Forked(program, {**os.environ, **environment}, folder or Path.cwd(), *output))
            ended.callback(started[-1].kill)
        codes = [process.wait(SECONDS) for process in started]
        written = [[file.read_text() for file in output] for output in outputs]
    return [subprocess.CompletedProcess(*one, *texts) for one, texts in zip(zip(programs, codes), written)]


def _program(
    arguments: list[str],
    environment: dict[str, str],
    folder: Path,
    stdout: Path,
    stderr: Path,
    before: tuple[Callable[..., None], Any] | None,
) -> None:
    gc.freeze()  # what is imported here stays, and is not looked through again in each
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    for stream, number, file in ((sys.stdout, 1, stdout), (sys.stderr, 2, stderr)):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
        stream.reconfigure(line_buffering=True)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    faulthandler.register(TELL)  # what every thread does, into stderr
    for name in [name for name in sys.modules if name.partition(".")[0] == "huggingface_hub"]:
        del sys.modules[name]  # it reads its variables when it is imported
    sys.path[:0] = [str(folder), *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
    if before:
        before[0](*before[1:])
    kind, *rest = arguments
    if kind == "-c":
        sys.argv = [kind, *rest[1:]]
        exec(compile(rest[0], "<string>", "exec"), {"__name__": "__main__"})
    elif kind == "-m":
        sys.argv = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv = arguments
        runpy.run_path(kind, run_name="__main__")
