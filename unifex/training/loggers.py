"""A training's curves in the tools that people watch trainings with, where these are installed."""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path

from unifex.core.errors import UnifexError
from unifex.training.result import EpochMetrics

Write = Callable[[dict[str, float], int], None]


@contextlib.contextmanager
def logger_of(tool: str | None, folder: Path, run: str) -> Iterator[Callable[[EpochMetrics], None]]:
    """A function that takes every metrics. ``tool`` is one of :data:`LOGGERS`, or None for nothing at all.

    Raises ``UnifexError`` that names the package to install.
    """
    if tool is None:
        yield lambda metrics: None
        return
    if importlib.util.find_spec(tool) is None:
        raise UnifexError(f"{tool} is not installed: `pip install {tool}`")
    with LOGGERS[tool](folder, run) as write:
        yield lambda metrics: write(_values(metrics), metrics.number)


def _values(metrics: EpochMetrics) -> dict[str, float]:
    scores = {f"held-out mMP@5/{dim}-d": value for dim, value in metrics.scores.items()}
    return {"loss": metrics.loss, "learning rate": metrics.learning_rate, **scores}


@contextlib.contextmanager
def _tensorboard(folder: Path, run: str) -> Iterator[Write]:
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder)) as writer:

        def write(values: dict[str, float], epoch: int) -> None:
            for name, value in values.items():
                writer.add_scalar(name, value, epoch)

        yield write


@contextlib.contextmanager
def _trackio(folder: Path, run: str) -> Iterator[Write]:
    import trackio  # pyright: ignore[reportMissingImports]  # installed by who wants it

    trackio.init(project="unifex", name=run)
    try:
        yield lambda values, epoch: trackio.log(values, step=epoch)
    finally:
        trackio.finish()


LOGGERS = {"tensorboard": _tensorboard, "trackio": _trackio}  # by the package to install
