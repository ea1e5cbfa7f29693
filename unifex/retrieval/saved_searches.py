"""The saved searches of a gallery, in a library: kept, seen, renamed, deleted.

They lie in the library of whoever saved them, named by the gallery's id: so they stay when the gallery is renamed, and
a visitor's never lie in a gallery of the server's. A packed gallery takes them along (:mod:`unifex.gallery.bundle`).
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from filelock import FileLock, Timeout

from unifex.core import disk
from unifex.core.errors import UnifexError
from unifex.core.files import verify, with_checksum, write_atomically
from unifex.core.language import say
from unifex.core.text import reason, what_there_is
from unifex.gallery.gallery import Gallery
from unifex.gallery.library import MOST_SEARCHES_BYTES as MOST_BYTES
from unifex.gallery.library import Library
from unifex.retrieval.saved_search import SavedSearch, checked_name, last_id

MOST = 100
_DAMAGED = (ValueError, KeyError, TypeError)
log = logging.getLogger("unifex")


class SavedSearches:
    """Those of a gallery, in a library."""

    def __init__(self, library: Library, gallery: Gallery):
        self.library = library
        self.path = library.searches_path(gallery.config.id)
        self.gallery = gallery

    def all(self) -> list[SavedSearch]:
        """By name; what cannot be read is logged and left out."""
        try:
            stored = self._stored()
        except (OSError, *_DAMAGED) as error:
            log.warning("saved searches of '%s' cannot be read: %s", self.gallery.name, error)
            return []
        return sorted(self._read(stored)[0], key=lambda one: one.name.casefold())

    def _stored(self) -> list:
        """As they are written; none where nothing was saved. Raises OSError, and those of :data:`_DAMAGED`."""
        try:
            if self.path.stat().st_size > MOST_BYTES:
                raise ValueError("too large")
            return list(verify(self.path.read_bytes(), required=True)["searches"])
        except FileNotFoundError:
            return []

    def _read(self, stored: list) -> tuple[list[SavedSearch], list]:
        """Those that can be read, and what is left, of which is logged why."""
        found, left = [], []
        for one in stored:
            try:
                if len(found) == MOST:
                    raise ValueError("there are too many")
                found.append(SavedSearch.of_stored(one))
            except (UnifexError, ValueError, TypeError, LookupError, OverflowError) as error:
                left.append(one)
                log.warning("a saved search of '%s' is left out: %s", self.gallery.name, error)
        return found, left

    def get(self, name: str) -> SavedSearch:
        """By name or id. Raises ``UnifexError``."""
        found = {key: one for one in self.all() for key in (one.name, one.id)}
        if name not in found:
            names = [one.name for one in self.all()]
            raise UnifexError(
                say(
                    "no saved search '{name}' of '{gallery}'; {there}",
                    name=name[:80],
                    gallery=self.gallery.name,
                    there=what_there_is(names, name),
                )
            )
        return found[name]

    def add(self, saved: SavedSearch) -> None:
        """Keep one; what is kept by that name already is seen anew. Raises ``UnifexError`` for too many, or where
        another search has the name."""
        with self._changing() as kept:
            same = next((one for one in kept if one.name == saved.name and one.asks_the_same(saved)), None)
            if same:
                saved = replace(saved, id=same.id)
                kept.remove(same)
            _check_free(saved.name, kept)
            kept.append(saved)
            if len(kept) > MOST:
                raise UnifexError(say("at most {most} searches of a gallery can be saved; delete some", most=MOST))

    def rename(self, id: str, name: str) -> str:
        """What it is called then. Raises ``UnifexError`` for a name that is taken or none, or where it is gone."""
        name = checked_name(name)
        _check_free(name, [one for one in self.all() if one.id != id])
        self._change(id, lambda one: replace(one, name=name))
        return name

    def see(self, id: str, last: int | None = None) -> None:
        """Somebody looks at what it finds: nothing of that is new any more, unless it can only be read here.
        ``last``: the last id that there was when it was searched for; by default, that there is now."""
        try:
            self._change(id, lambda one: replace(one, seen=last_id(self.gallery) if last is None else last))
        except OSError as error:
            if not disk.is_read_only(error):
                raise
            log.warning("what was seen of '%s' is not noted: %s", self.gallery.name, reason(error))

    def delete(self, id: str) -> None:
        """It is not kept any more."""
        with self._changing() as kept:
            kept[:] = [one for one in kept if one.id != id]

    def _change(self, id: str, change: Callable[[SavedSearch], SavedSearch]) -> None:
        with self._changing() as kept:
            if all(one.id != id for one in kept):
                raise UnifexError(say("that saved search is not there any more"))
            kept[:] = [change(one) if one.id == id else one for one in kept]

    def _stored_or_set_aside(self) -> list:
        """:meth:`_stored`; a damaged file makes way, and is kept. Raises OSError: what cannot be read now may be
        later."""
        try:
            return self._stored()
        except _DAMAGED as error:
            aside = next(
                place for number in itertools.count(1)
                if not (place := self.path.with_suffix(f".damaged-{number}")).exists()
            )  # fmt: skip
            self.path.rename(aside)
            log.warning("saved searches of '%s' are damaged (%s): kept as %s", self.gallery.name, error, aside)
            return []

    @contextmanager
    def _changing(self) -> Iterator[list[SavedSearch]]:
        """All of them, to be changed; written when the block ends. What cannot be read stays as it is: an entry in its
        place, as of a later version, and a damaged file beside the new one."""
        try:
            with disk.writing_in(self.library.folder):
                disk.make_folder(self.path.parent)
                lock = FileLock(self.path.with_suffix(".lock"), timeout=10).acquire()
            with lock:
                kept, left = self._read(self._stored_or_set_aside())
                yield kept
                data = with_checksum({"searches": [*(one.as_stored() for one in kept), *left]})
                if len(data) > MOST_BYTES:
                    raise UnifexError(say("the saved searches are too large; delete some"))
                with disk.writing_in(self.library.folder):
                    write_atomically(self.path, data)
        except Timeout:
            raise UnifexError(say("the saved searches are being written; try again")) from None


def _check_free(name: str, others: Iterable[SavedSearch]) -> None:
    if any(one.name == name for one in others):
        raise UnifexError(say("there is a saved search '{name}' already; give another name", name=name))
