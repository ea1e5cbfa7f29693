"""What videos and their frames are called, and which frames are wanted.

A video is many items, one a kept frame: ``clips/dog.mp4#t=12.0``, as W3C media fragments name a moment.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec

from unifex.core.language import say
from unifex.data.item import SourceError

EXTENSIONS = frozenset((".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v"))
_ENDINGS, _LONGEST = tuple(EXTENSIONS), max(map(len, EXTENSIONS))  # asked of every file: splitext takes thrice as long
EVERY, SCENES = "every", "scenes"
LEAST_STEP = 0.04  # seconds
_FRAME = re.compile(rf"(.+(?:{'|'.join(map(re.escape, sorted(EXTENSIONS)))}))#t=(\d+\.\d+)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class Choice:
    """Which frames are wanted: one every ``step`` seconds, if it differs by more than ``difference`` from the one that
    was kept before (mean of absolute differences of small grey pictures, 0 to 255)."""

    step: float
    difference: float

    @classmethod
    def parse(cls, text: str) -> Choice:
        """``every SECONDS`` or ``scenes``. Raises :class:`SourceError` for anything else."""
        word, _, number = text.strip().partition(" ")
        try:
            if word == EVERY and LEAST_STEP <= (step := float(number)) < 1e6:
                return cls(step, 3.0)
        except ValueError:
            pass
        if text.strip() == SCENES:
            return cls(0.25, 24.0)
        raise SourceError(
            say(
                "frames '{text}' is neither 'every SECONDS' (at least {least}) nor 'scenes'",
                text=text, least=LEAST_STEP,
            )
        )  # fmt: skip


@dataclass(frozen=True)
class Frame:
    """One kept frame: when it is shown, in ``seconds`` from the beginning, and its picture as JPEG ``data``."""

    seconds: float
    data: bytes


@cache
def available() -> bool:
    """Whether PyAV is there."""
    return find_spec("av") is not None


def is_video(path: str) -> bool:
    """Whether a file is one by its name."""
    return path[-_LONGEST:].lower().endswith(_ENDINGS)


def video_of(path: str) -> str:
    """The path or uri of the video that a frame is of; empty for anything else."""
    match = _match(path)
    return match[1] if match else ""


def seconds_of(path: str) -> float:
    """When a frame is shown, by its path or uri; 0 for anything else."""
    match = _match(path)
    return float(match[2]) if match else 0.0


def _match(path: str) -> re.Match[str] | None:
    return _FRAME.fullmatch(path) if "#t=" in path else None  # what is asked of a million paths is seldom one


def file_name(path: str) -> str:
    """What an item's image is called as a file of its own: a frame is a JPEG."""
    return f"{path}.jpg" if video_of(path) else path


def written(seconds: float) -> str:
    """As addresses have it: ``12.0``, ``3.367``."""
    text = f"{seconds:.3f}".rstrip("0")
    return f"{text}0" if text.endswith(".") else text


def clock(seconds: float) -> str:
    """As people read it: ``0:12``, ``1:02:03``."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def file_stamp(status: os.stat_result) -> str:
    """The stamp that a file has; the stamp of a frame begins with that of its video."""
    return f"{status.st_size}-{status.st_mtime_ns}"
