"""Videos as sources: each is one entry of its source, which unfolds into an item for each of its wanted frames."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from unifex.core.images import ImageError
from unifex.core.language import say, to_say
from unifex.data.frame_names import Choice, Frame, available, file_stamp, seconds_of, written
from unifex.data.item import Item, Labels, Skipped, Source, Unread

ELSEWHERE = to_say("a video; frames are taken of videos in a folder of this computer, which is named by its path")
NOT_HERE = to_say("a video; `index` takes frames of it, this does not")
SECONDS, VIDEO = "seconds", "video"  # what further columns of a frame are called
MAX_FRAMES = 10_000  # of one video
_WHOLE = "|whole"  # ends the stamp of a video's last frame: all of it has been read


@dataclass(frozen=True)
class Video:
    """A video file in a folder, of which some frames are wanted. ``stamp`` changes with both."""

    file: Path
    path: str
    labels: Labels
    choice: Choice
    stamp: str

    @classmethod
    def of(cls, file: Path, path: str, labels: Labels, frames: str) -> Video | Skipped:
        """``frames``: see :meth:`Choice.parse`. Raises OSError when it is not there."""
        try:
            file.as_posix().encode()
        except UnicodeEncodeError:
            return Skipped(path, say("a video whose name is not UTF-8, so that nothing can name its frames; rename it"))
        choice = Choice.parse(frames)
        stamp = f"{file_stamp(file.stat())}|{choice.step:g}-{choice.difference:g}"
        return cls(file, path, labels, choice, stamp)

    @property
    def uri(self) -> str:
        """What the uris of its frames begin with."""
        return self.file.as_posix()

    def items(self) -> Generator[Item | Skipped, None, None]:
        """Its frames, decoded as they are asked for, and what is to be said of it. Needs PyAV."""
        from unifex.data import video_frames

        before: Frame | None = None  # the last one tells that all were read, and so is known as the last
        count = 0
        try:
            for frame in video_frames.read(self.file, self.choice):
                if before:
                    yield self.item(before.seconds, self.stamp, lambda data=before.data: data)
                before, count = frame, count + 1
                if count == MAX_FRAMES:
                    break
        except ImageError as error:
            if before:
                yield self.item(before.seconds, self.stamp, lambda data=before.data: data)
            yield Unread(self.path, str(error))
            return
        except OSError as error:
            yield Unread(self.path, say("cannot be read ({reason})", reason=error.strerror or error))
            return
        if before:
            yield self.item(before.seconds, self.whole_stamp, lambda data=before.data: data)
        yield from self.said_of_so_many(count)

    def first(self) -> list[Item | Skipped]:
        """Its first frame, or why there is none."""
        with closing(self.items()) as items:
            return list(islice(items, 1))

    def known_items(self, there: Iterable[tuple[str, str]]) -> list[Item | Skipped] | None:
        """As :meth:`items`, of an unchanged video all of whose frames are ``there`` (uri and stamp); None otherwise."""
        at = sorted((seconds_of(uri), stamp) for uri, stamp in there if stamp in (self.stamp, self.whole_stamp))
        if not at or at[-1][1] != self.whole_stamp:
            return None
        items = [self.item(seconds, stamp, self._not_read) for seconds, stamp in at]
        return [*items, *self.said_of_so_many(len(items))]

    @property
    def whole_stamp(self) -> str:
        """The stamp of its last frame."""
        return self.stamp + _WHOLE

    def item(self, seconds: float, stamp: str, read: Callable[[], bytes]) -> Item:
        """The item of a frame, whose bytes the gallery keeps: nobody has to decode the video to show it."""
        time = written(seconds)
        labels = self.labels.with_further(VIDEO, self.path).with_further(SECONDS, time)
        fragment = f"#t={time}"
        return Item(self.uri + fragment, self.path + fragment, read, labels, stamp, keep=True)

    def said_of_so_many(self, count: int) -> Iterator[Skipped]:
        """That the rest was not taken, where there is one."""
        if count >= MAX_FRAMES:
            text = to_say("no more than {most:,} frames are taken of a video; take one every so many seconds")
            yield Skipped(self.path, say(text, most=MAX_FRAMES))

    def _not_read(self) -> bytes:
        raise ImageError(say("a frame of a video that was read already"))


Entry = Item | Skipped | Video
Known = Callable[[Video], "list[Item | Skipped] | None"]


def entries(source: Source) -> Iterable[Entry]:
    """What a source yields, its videos as they are."""
    return getattr(source, "entries", source.__iter__)()


def refused(found: Iterable[Entry]) -> Iterator[Item | Skipped]:
    """With each video refused, for those who take no frames."""
    return (Skipped(one.path, say(NOT_HERE)) if isinstance(one, Video) else one for one in found)


def unfolded(
    found: Iterable[Entry], known: Known = lambda video: None, met: Callable[[Video], None] = lambda video: None
) -> Iterator[Item | Skipped]:
    """With the frames of each video in its place. ``known``: its items, where it need not be read again; ``met`` is
    called with each video all of whose items were yielded.

    Without PyAV, videos that are not known are counted, and the remedy is named once.
    """
    missed: list[str] = []
    for entry in found:
        if not isinstance(entry, Video):
            yield entry
        elif (items := known(entry)) is not None:
            yield from items
            met(entry)
        elif available():
            yield from entry.items()
            met(entry)
        else:
            missed.append(entry.path)
    if missed:
        one = to_say('1 video was left out: videos need PyAV; pip install "unifex[video]"')
        many = to_say('{count:,} videos were left out: videos need PyAV; pip install "unifex[video]"')
        yield Unread(missed[0], say(many, count=len(missed)) if len(missed) > 1 else say(one))


def expected(file: Path, frames: str) -> int:
    """About how many frames are wanted of a video, by its length; 1 where that cannot be told."""
    if not available():
        return 1
    from unifex.data import video_frames

    return min(MAX_FRAMES, max(1, round(video_frames.length(file) / Choice.parse(frames).step)))


def beginnings(source: Source) -> Iterator[Item | Skipped]:
    """What a source yields, of each video the first frame alone: to see what is there."""
    firsts = (entry.first() if isinstance(entry, Video) and available() else [entry] for entry in entries(source))
    return unfolded(entry for few in firsts for entry in few)
