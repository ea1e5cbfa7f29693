"""What a gallery has already, to tell what a source brings anew: the same item, one that moved, or another image."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

from unifex.data import locations
from unifex.data.frame_names import video_of
from unifex.data.item import Item
from unifex.data.locations import Place, Places
from unifex.gallery import tags
from unifex.gallery.item_rows import PACKED
from unifex.gallery.records import Stored
from unifex.gallery.writer import Writer


class KnownItems:
    """What is there already: which item at which place, of which content, and what the source said of it before."""

    def __init__(self, writer: Writer, source: int, specs: list[str]):
        self._at = writer.stored()
        self.places = Places(specs, self._at)
        self._said = writer.listed(source)
        self._of_source = [stored for stored in self._at.values() if stored.id in self._said]
        self.by_path = {self._said[stored.id][0]: stored for stored in self._of_source}  # names may print alike
        self.listed = frozenset(stored.id for stored in self._of_source)
        self._of_content: dict[str, list[Stored]] = defaultdict(list)
        for stored in self._at.values():
            self._of_content[stored.sha256].append(stored)
        self._by_uri: dict[str, ByEnd] = {}  # sha256 -> items that are not where they were
        self._by_path: dict[str, ByEnd] = {}
        self._found: set[int] = set()  # ids of items that the source still has
        self._left: set[int] = set()  # ... whose place has been taken by something else
        self._linked: dict[str, Stored] = {}  # items that are where they were, by where their place leads to
        self._away: dict[str, dict[int, Stored]] = defaultdict(dict)  # by a source that is away: what was met elsewhere
        self._images: dict[str, int] = {}  # how many such a source had

    def at(self, uri: str) -> Stored | None:
        """The item at a place."""
        return self._at.get(uri)

    def everything(self) -> list[Stored]:
        """All items, whichever source has them."""
        return list(self._at.values())

    def is_news(self, stored: Stored, item: Item) -> bool:
        """Whether a source that has the item says something new of it."""
        self._found.add(stored.id)
        said = (item.path, *item.labels.row, tags.as_row(item.tags))
        return self._said.get(stored.id) != said or (stored.uri == item.uri and stored.stamp != item.stamp)

    def make_room(self, uri: str) -> None:
        """Something else is at this place now."""
        if stored := self._at.pop(uri, None):
            self._left.add(stored.id)

    def moved_to(self, item: Item, sha256: str) -> Stored | None:
        """The item of this content that left its place, and must be this one; of several that of the likest path."""
        if sha256 not in self._by_uri:
            homeless = [stored for stored in self._of_content.get(sha256, ()) if not self._is_at_home(stored)]
            under_any_name = [stored for stored in homeless if not self._keeps_its_name(stored)]
            self._by_uri[sha256] = ByEnd(homeless, lambda stored: stored.uri, under_any_name)
        likest = self._by_uri[sha256].likest_first(item.uri, self._found)
        moved = next((stored for stored in likest if self._is_left_for(stored, item)), self._linked.get(item.uri))
        if moved is None or moved.id in self._found:
            return None
        self._found.add(moved.id)
        if self._at.get(moved.uri) is moved:
            del self._at[moved.uri]
        self.make_room(item.uri)
        return moved

    def _is_at_home(self, stored: Stored) -> bool:
        """Whether an item is where it was, so that it cannot be what is found elsewhere."""
        if stored.uri.startswith(PACKED) or stored.id in self._left:
            return False
        if not self.places.is_left(*stored.place):
            self._linked[os.path.realpath(stored.uri)] = stored  # it moved, and a link was left in its place
            return True
        if source := self.places.away(stored.uri):
            self._away[source][stored.id] = stored
        return False

    def _keeps_its_name(self, stored: Stored) -> bool:
        """Whether an item that is not where it was is taken for moved by its name alone."""
        if stored.id in self._left:
            return False
        return stored.uri.startswith(PACKED) or bool(self.places.away(stored.uri))

    def _is_left_for(self, stored: Stored, item: Item) -> bool:
        """Whether an item that is not where it was may be this one."""
        if stored.uri.startswith(PACKED):  # another's folder, of which one may have a copy; an upload is soon gone
            return (not item.keep or bool(video_of(item.uri))) and _called_alike(stored, item)
        return stored.id in self._left or self.places.may_have_moved(stored.uri, item.uri)

    def called_the_same(self, item: Item, sha256: str) -> Stored | None:
        """The item of this content and name: an upload, or an archive of what is there, brings nothing new. A frame is
        of a file that lies at its place."""
        if video_of(item.uri):
            return None
        if sha256 not in self._by_path:
            self._by_path[sha256] = ByEnd(self._of_content.get(sha256, []), lambda stored: stored.path)
        likest = self._by_path[sha256].likest_first(item.path, self._found)
        return next((stored for stored in likest if _called_alike(stored, item)), None)

    def not_found(self) -> Iterator[tuple[str, Stored]]:
        """(path, item) of what the source had before, and has not now."""
        here = self._found | self._left
        return ((self._said[stored.id][0], stored) for stored in self._of_source if stored.id not in here)

    def moved_after_all(self) -> list[int]:
        """Items that were taken for copied until most images of their source were found, by whatever names."""
        moved = []
        for source, found in self._away.items():
            copied = [id for id in found if id not in self._found]
            if copied and 2 * len({stored.sha256 for stored in found.values()}) > self._images_of(source):
                moved += copied
        return moved

    def _images_of(self, source: str) -> int:
        if source not in self._images:
            contents = self._of_content.values()
            self._images[source] = sum(any(stored.uri.startswith(source) for stored in items) for items in contents)
        return self._images[source]

    def found(self, items: Iterable[int]) -> None:
        """The source still has these, by id."""
        self._found.update(items)


class ByEnd:
    """Items of one content by the last names of their places: thousands may be one and the same blank picture."""

    def __init__(self, items: list[Stored], place: Callable[[Stored], str], under_any_name: Sequence[Stored] = ()):
        self._items: dict[str, list[Stored]] = {"": [*under_any_name]}
        if len(items) == 1:  # as nearly all contents have: their places need not be taken apart
            self._items[""] = items
        else:
            for stored in items:
                for end in _ends(place(stored)):
                    self._items.setdefault(end, []).append(stored)

    def likest_first(self, place: str, found: Collection[int]) -> Iterator[Stored]:
        """Those that are not ``found`` yet, by id, with the most names in common first; some come more than once."""
        for end in (*_ends(place), ""):
            if end in self._items:
                self._items[end] = [stored for stored in self._items[end] if stored.id not in found]
                yield from self._items[end]


def _ends(place: str) -> Iterator[str]:
    """``a/b/c``, ``b/c``, ``c``, and what follows an archive."""
    yield place
    for part in re.finditer("[/!]", place):
        yield place[part.end() :]


def cannot_be_looked_at(stored: Stored) -> bool:
    """Whether nobody can tell if its file is there: to a list, which only names it, it is not found."""
    return os.path.isabs(stored.uri) and locations.look_at_file(*stored.place) is Place.UNKNOWN


def _called_alike(stored: Stored, item: Item) -> bool:
    """Whether both have one path, in folders of which one may lie in the other."""
    return _is_tail(stored.path, item.path) or _is_tail(item.path, stored.path)


def _is_tail(part: str, path: str) -> bool:
    """Whether ``path`` is ``part`` seen from further up: the same, or with folders before it."""
    return path == part or path.endswith(f"/{part}")
