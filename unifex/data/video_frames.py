"""Decoding: the frames of a video that are wanted, with as little decoded as they need. Needs PyAV.

A video is read once, a group of pictures at a time (a keyframe and what is derived from it). Where the keyframe is near
enough to a wanted moment, it alone is decoded; where no moment lies in a group, nothing of it is; else what comes up to
the moment, without the frames that no other needs. Long steps seek. Nothing but one group is held.
"""

from __future__ import annotations

import io
import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from unifex.core.images import ImageError
from unifex.core.language import say
from unifex.data.frame_names import Choice, Frame, clock

av = import_module("av")  # of an extra: a checker of types may have none
FFmpegError = av.error.FFmpegError

LONGEST_SIDE = 1280  # pixels of the picture that is kept
MOST_PIXELS = 8192 * 4320  # of a frame, several of which are held by a decoder
MOST_PACKETS = 400  # that are held: of a longer group all are decoded
_QUALITY = 88
_SMALL = 32  # pixels a side of what is compared
_SEEK_GROUPS = 4  # a wanted moment so many groups away is sought
_SLACK = 1e-3  # seconds, of rounded times
_MISSING = 2.0  # seconds that may lack at the end: streams do not end at once
_UNSAID, _HD = 2, 720  # a colour space that nothing is said of is that of HD in pictures so high
_TURNS = {90: Image.Transpose.ROTATE_90, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_270}
_FORMATS = "mov,matroska,avi,mpegts"  # libav's names
_ATTACHED = 0x400  # a cover in a sound file


def read(file: Path, choice: Choice) -> Iterator[Frame]:
    """The frames that are wanted, in order, without those that are nearly as the one before.

    Raises OSError where the file cannot be opened, and :class:`ImageError` with the reason where it is no video, or
    damaged: after the frames that could be had.
    """
    with file.open("rb"):
        pass  # what keeps it from being opened is told by the system's own error
    with _opened(file) as container:
        reader = _Reader(container, choice)
        aspect = float(reader.stream.sample_aspect_ratio or 1)
        before: np.ndarray | None = None
        for seconds, picture in reader.pictures():
            try:
                small = _small(picture)
                if before is not None and float(np.abs(small - before).mean()) <= choice.difference:
                    continue
                data = _jpeg(picture, aspect)
            except (FFmpegError, ValueError, OSError):  # a picture of another form than the video says
                reader.damage()
                continue
            before = small
            yield Frame(seconds, data)
        reader.check()


def length(file: Path) -> float:
    """How many seconds a video says it lasts; 0 where it does not, or cannot be read."""
    try:
        with _opened(file) as container:
            return (container.duration or 0) / av.time_base
    except (ImageError, OSError):
        return 0.0


def _opened(file: Path) -> Any:
    """A playlist that calls itself a video would name other files: only what holds pictures itself is opened."""
    av.logging.set_level(None)  # torchvision 0.23 raises it: a decoder that logs waits for who waits for it
    options = {"format_whitelist": _FORMATS, "protocol_whitelist": "file"}
    try:
        return av.open(str(file), "r", options=options, metadata_errors="replace")  # old titles are seldom UTF-8
    except FFmpegError as error:
        raise ImageError(say("a video that cannot be read ({reason})", reason=_why(error))) from error


def _why(error: FFmpegError) -> str:
    return error.strerror or type(error).__name__


@dataclass
class _Group:
    """Packets with their times up to ``end`` (seconds). ``opens``: it begins with a keyframe; ``follows``: the next
    begins with one; ``closes``: what follows needs nothing of it, so that not all of it need be decoded."""

    packets: list[Any] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    end: float = 0.0
    opens: bool = False
    follows: bool = False
    closes: bool = False


class _Reader:
    """One pass over a video."""

    def __init__(self, container: Any, choice: Choice):
        streams = [one for one in container.streams.video if not int(one.disposition) & _ATTACHED]
        if not streams:
            sound = container.streams.audio
            raise ImageError(say("a video without pictures: only sound") if sound else say("no video in it"))
        self.container, self.stream, self.step = container, streams[0], choice.step
        if self.stream.codec_context is None:
            raise ImageError(say("a video in a format that cannot be decoded"))
        if self.stream.width * self.stream.height > MOST_PIXELS:
            width, height = self.stream.width, self.stream.height
            raise ImageError(say("{width} x {height} pixels: more than frames may have", width=width, height=height))
        self.stream.thread_type = "AUTO"
        self.stream.codec_context.skip_frame = "NONREF"
        self._begin = float((self.stream.start_time or 0) * self.stream.time_base)
        self._next = 0.0  # the moment that is wanted next
        self._sought = 0.0  # ... that was sought last
        self._wanted: deque[float] = deque()  # moments whose packets were given to the decoder
        self._last, self._end = -1.0, 0.0  # seconds of the last picture that was wanted, and of the last packet
        self._damaged: float | None = None

    def pictures(self) -> Iterator[tuple[float, Any]]:
        """(seconds, decoded frame) of each wanted moment."""
        group = _Group()
        packets = self._packets()
        while True:
            packet = next(packets, None)
            keyframe = packet is not None and packet.is_keyframe
            if group.packets and (packet is None or keyframe or len(group.packets) >= MOST_PACKETS):
                group.end = max(self._time(packet) if keyframe else max(group.times) + _SLACK, group.times[0])
                group.follows, group.closes = keyframe, keyframe or packet is None
                yield from self._of_group(group)
                far = self._next - group.end > _SEEK_GROUPS * (group.end - group.times[0])
                group = _Group()
                if keyframe and far and self._next > self._sought:
                    yield from self._decoded(None)
                    packets = self._seek()
                    continue
            if packet is None:
                break
            group.opens = group.opens or (keyframe and not group.packets)
            group.packets.append(packet)
            group.times.append(self._time(packet))
        yield from self._decoded(None)

    def _seek(self) -> Iterator[Any]:
        """The packets from the keyframe before the next moment; from here where nothing can be sought."""
        self._sought = self._next
        try:
            self.container.seek(int((self._next + self._begin) / self.stream.time_base), stream=self.stream)
        except FFmpegError:
            self.stream.codec_context.flush_buffers()
        return self._packets()

    def _packets(self) -> Iterator[Any]:
        try:
            for packet in self.container.demux(self.stream):
                if packet.size and not packet.is_corrupt:
                    self._end = max(self._end, self._time(packet))
                    yield packet
        except FFmpegError:
            self.damage()

    def _time(self, stamped: Any) -> float:
        """Seconds from the beginning, of a packet or a frame; of one that does not say, those of the last."""
        at = stamped.dts if stamped.pts is None else stamped.pts
        return self._end if at is None else float(at * self.stream.time_base) - self._begin

    def _of_group(self, group: _Group) -> Iterator[tuple[float, Any]]:
        """Decode what is needed of a group; which moments are wanted is settled by times of packets alone."""
        start, need = group.times[0], 0  # packets
        if group.opens and self._is_near(group):
            self._wanted.append(start)
            self._next = max(self._next + self.step, (math.floor(start / self.step + _SLACK) + 1) * self.step)
            need = 1
        until = group.end - self.step / 2 if group.follows else group.end
        while self._next < until:
            self._wanted.append(self._next)
            last = self._next
            self._next += self.step
            need = 1 + next((i for i, time in enumerate(group.times) if time >= last), len(group.times) - 1)
        for packet in group.packets[: need if group.closes and group.opens else None]:
            yield from self._decoded(packet)

    def _is_near(self, group: _Group) -> bool:
        """Whether its keyframe is near enough to the next moment, and the keyframe that follows is not nearer."""
        before = self._next - group.times[0]  # seconds
        after = group.end - self._next
        return before <= 0 or (before <= self.step / 2 and after > 0 and (before <= after or not group.follows))

    def _decoded(self, packet: Any) -> Iterator[tuple[float, Any]]:
        """What comes out of the decoder that is wanted; None: what is still in it."""
        try:
            frames = self.stream.codec_context.decode(packet)
        except FFmpegError:
            self.damage()
            return
        for frame in frames:
            seconds = max(0.0, self._time(frame))
            if frame.is_corrupt or not self._wanted or seconds < self._wanted[0] - _SLACK or seconds <= self._last:
                continue  # times go back in what is damaged
            while self._wanted and self._wanted[0] <= seconds + _SLACK:
                self._wanted.popleft()
            self._last = seconds
            yield seconds, frame

    def damage(self) -> None:
        """Something could not be decoded; where that was first is told by :meth:`check`."""
        if self._damaged is None:
            self._damaged = self._end

    def check(self) -> None:
        """Raises :class:`ImageError` where frames are missing."""
        if self._last < 0:
            raise ImageError(say("a video without a frame that could be decoded"))
        said = self.stream.duration
        lasts = float(said * self.stream.time_base) if said else 0.0
        if not said and len(self.container.streams) == 1:
            lasts = (self.container.duration or 0) / av.time_base
        if lasts - self._end > _MISSING:
            raise ImageError(
                say(
                    "a video that breaks off at {end} of {length}; what is there was taken",
                    end=clock(self._end),
                    length=clock(lasts),
                )
            )
        if self._damaged is not None:
            at = clock(self._damaged)
            raise ImageError(say("a video that is damaged at {at}; what could be decoded was taken", at=at))


def _small(frame: Any) -> np.ndarray:
    """What is compared: int16 [32, 32] of 0 to 255."""
    return frame.reformat(_SMALL, _SMALL, "gray", interpolation="AREA", threads=1).to_ndarray().astype(np.int16)


def _jpeg(frame: Any, aspect: float) -> bytes:
    """The picture as it is shown: upright, of square pixels (one is ``aspect`` as wide as high), not larger than need
    be."""
    width, height = frame.width * aspect, frame.height
    scale = min(1.0, LONGEST_SIDE / max(width, height))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    colours = "ITU709" if frame.colorspace == _UNSAID and frame.height >= _HD else None
    pixels = frame.reformat(*size, "rgb24", src_colorspace=colours, interpolation="AREA", threads=1).to_ndarray()
    image = Image.fromarray(pixels)
    turn = _TURNS.get(round(frame.rotation / 90) * 90 % 360)
    stream = io.BytesIO()
    (image if turn is None else image.transpose(turn)).save(stream, "JPEG", quality=_QUALITY)
    return stream.getvalue()
