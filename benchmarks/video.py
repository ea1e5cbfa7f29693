"""Videos, indexed by a frame a second, beside a plain loop: decode every frame, write one a second, index these.

    python -m benchmarks.video [--seconds 60] [--height 720] [--runs 3]

Two videos are drawn, 30 frames a second in H.264 with a scene every 5 seconds, which moves all the time and has a
camera's noise: one with a keyframe a second, as phones and cameras write them, one as x264 does unasked (one in 250
frames). Both ways decode on all cores; they take turns, each into a new gallery, and medians are printed.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from unifex.core.progress import finish
from unifex.data import video_frames
from unifex.data.frame_names import Choice
from unifex.gallery.gallery import Gallery
from unifex.gallery.indexing import index
from unifex.models.embedder import Embedder

RATE, SCENE_SECONDS = 30, 5
PHONE, WEB = "a keyframe a second", "a keyframe in 250 frames"
KEYFRAMES = {PHONE: RATE, WEB: 250}


def draw(path: Path, seconds: int, height: int, keyframes: int) -> None:
    """Pictures of smooth colours, each a scene, over which the camera moves; ``keyframes``: one in so many frames."""
    width = height * 16 // 9 // 2 * 2
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 4, (height, 2 * width, 3)).astype(np.int16)
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream("libx264", rate=RATE, options={"preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.gop_size = keyframes
        for number in range(seconds * RATE):
            at = number % (SCENE_SECONDS * RATE)
            if at == 0:
                coarse = Image.fromarray(rng.integers(0, 255, (18, 32, 3), np.uint8))
                scene = np.asarray(coarse.resize((width + 2 * SCENE_SECONDS * RATE, height), Image.Resampling.BICUBIC))
            somewhere = rng.integers(width)
            pixels = scene[:, 2 * at : 2 * at + width] + noise[:, somewhere : somewhere + width]
            pixels = np.clip(pixels, 0, 255).astype(np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        out.mux(stream.encode())


def plain(path: Path, folder: Path) -> int:
    """The loop that everybody writes; how many frames were kept."""
    kept = 0
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "AUTO"
        for frame in container.decode(video=0):
            if frame.time >= kept:
                frame.to_image().save(folder / f"{kept:05d}.jpg", quality=88)
                kept += 1
    return kept


def indexed(embedder: Embedder, spec: Path) -> int:
    """How many items a new gallery of it has."""
    with tempfile.TemporaryDirectory() as scratch:
        return finish(index(Gallery.create(Path(scratch) / "gallery", embedder), str(spec))).items


def timed(work: Any) -> tuple[float, int]:
    started = time.perf_counter()
    count = work()
    return time.perf_counter() - started, count


def by_loop(embedder: Embedder, path: Path) -> tuple[float, float, int]:
    """Seconds of decoding, and of everything; frames."""
    with tempfile.TemporaryDirectory() as folder:
        decoding, _ = timed(lambda: plain(path, Path(folder)))
        rest, count = timed(lambda: indexed(embedder, Path(folder)))
        return decoding, decoding + rest, count


def by_us(embedder: Embedder, path: Path) -> tuple[float, float, int]:
    """The same."""
    decoding, _ = timed(lambda: sum(1 for _ in video_frames.read(path, Choice.parse("every 1"))))
    everything, count = timed(lambda: indexed(embedder, path))
    return decoding, everything, count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--height", type=int, default=720)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    embedder = Embedder.load()
    with tempfile.TemporaryDirectory() as scratch:
        for number, (name, keyframes) in enumerate(KEYFRAMES.items()):
            path = Path(scratch) / f"{number}.mp4"
            draw(path, options.seconds, options.height, keyframes)
            by_us(embedder, path)
            runs = [(by_us(embedder, path), by_loop(embedder, path)) for _ in range(options.runs)]
            ours, loop = ([statistics.median(column) for column in zip(*taken)] for taken in zip(*runs))
            print(f"{options.seconds} s of {options.height}p, {name}: {ours[2]} frames, the loop's {loop[2]}")
            for what, own, other in (("to frames", ours[0], loop[0]), ("to a gallery", ours[1], loop[1])):
                speeds = f"{options.seconds / own:.0f} and {options.seconds / other:.0f} s of video a second"
                print(f"  {what}: {speeds}, {other / own:.1f} x")


if __name__ == "__main__":
    main()
