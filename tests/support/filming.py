"""Small videos, drawn by code."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.support.drawing import LABELS, picture

SIZE = (160, 120)
KINDS = [*LABELS]


def scene(number: int) -> Image.Image:
    """A picture unlike that of any other number below 24."""
    return picture(KINDS[number % len(KINDS)], number // len(KINDS)).resize(SIZE)


def film(
    path: Path,
    shown: Sequence[tuple[float, int]],
    seconds: float,
    rate: int = 10,
    keyframes: int = 10,
    times: Sequence[float] | None = None,
    rotation: int = 0,
    aspect: int = 1,
) -> Path:
    """A video whose :func:`scene` is that of the last (second, number) of ``shown``, ``rate`` frames a second or one at
    each of ``times``; a keyframe every so many frames. ``aspect``: a pixel is so much wider than high."""
    import av

    times = times or [at / rate for at in range(round(seconds * rate))]
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream("libx264", rate=rate, options={"preset": "ultrafast"})
        stream.width, stream.height = SIZE
        stream.pix_fmt, stream.time_base = "yuv420p", Fraction(1, 1000)
        stream.codec_context.time_base = Fraction(1, 1000)
        stream.codec_context.gop_size = keyframes
        stream.codec_context.sample_aspect_ratio = Fraction(aspect)
        if rotation:
            stream.set_display_rotation(rotation)
        for time in times:
            number = [number for begins, number in shown if begins <= time + 1e-6][-1]
            frame = av.VideoFrame.from_image(scene(number))
            frame.pts, frame.time_base = round(time * 1000), Fraction(1, 1000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path


def sound(path: Path) -> Path:
    """A video file without pictures."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream("aac", rate=44100, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.rate, frame.pts = 44100, 0
        out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path
