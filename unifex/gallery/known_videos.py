"""Which frames of which videos a gallery has: an unchanged video is not decoded again, a changed one loses its old
frames."""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property

from unifex.data import frame_names
from unifex.data.item import Item, Skipped
from unifex.data.video import Video
from unifex.gallery.known_items import KnownItems
from unifex.gallery.records import Stored


class KnownVideos:
    """``seen``: uris that the run has met, and ``unread``: paths of which it could not tell what lies there; both grow.

    ``rehash``: everything is read again.
    """

    def __init__(self, known: KnownItems, seen: set[str], unread: set[str], rehash: bool):
        self._known, self._seen, self._unread, self._rehash = known, seen, unread, rehash

    @cached_property
    def _frames(self) -> dict[str, list[Stored]]:
        """By the video's uri."""
        frames: dict[str, list[Stored]] = defaultdict(list)
        for stored in self._known.everything():
            if of := frame_names.video_of(stored.uri):
                frames[of].append(stored)
        return frames

    def known(self, one: Video) -> list[Item | Skipped] | None:
        """Its items, if all are there and it is unchanged. What cannot be decoded here is not gone."""
        there = ((stored.uri, stored.stamp) for stored in self._frames.get(one.uri, ()))
        items = None if self._rehash else one.known_items(there)
        if items is None and not frame_names.available():
            self._unread.add(one.path)
        return items

    def has(self, path: str) -> bool:
        """Whether the source gave frames of a video that it calls so."""
        return path in self._paths

    @cached_property
    def _paths(self) -> frozenset[str]:
        return frozenset(map(frame_names.video_of, self._known.by_path)) - {""}

    def left(self, one: Video) -> list[Stored]:
        """What was a frame of it and is none any more, once all of it has been met."""
        if one.path in self._unread:
            return []
        return [stored for stored in self._frames.get(one.uri, ()) if stored.uri not in self._seen]
