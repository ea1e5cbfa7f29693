"""The ``indexes/`` folder: the galleries in it, by name, and the models a user made."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import threading
import time
import unicodedata
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from filelock import Timeout

from unifex.core import disk
from unifex.core.errors import UnifexError
from unifex.core.files import HALF, LEFT_SECONDS, drop_unfinished, is_half, mark_half, remove_folder
from unifex.core.language import say
from unifex.core.locks import lock_in_folder
from unifex.core.progress import Work
from unifex.core.system import ON_WINDOWS
from unifex.core.text import reason, what_there_is
from unifex.gallery import former_names
from unifex.gallery.config import FILE, GalleryConfig
from unifex.gallery.errors import GalleryBusy, GalleryError, GalleryThere, NoSuchGallery
from unifex.gallery.folder_names import RESERVED, check_name, composed
from unifex.gallery.gallery import Gallery
from unifex.models.embedder import MODELS, Embedder, keep_model
from unifex.vector_index import index_types

SEARCHES = ".searches"  # the folder of saved ones
MOST_SEARCHES_BYTES = 8 << 20  # of a gallery's
T = TypeVar("T")
log = logging.getLogger("unifex")
_DELETED = ".deleted-"
_OF_BEFORE = re.compile(r"\.deleted-[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}")  # as no person calls a folder
_PICKING = ".picking-"  # began what an earlier version was making of chosen items
_OWN_FILES = ("gallery.json", "items.sqlite")


@dataclass(frozen=True)
class Broken:
    """A gallery that cannot be used; ``problem`` says why, and what to do."""

    name: str
    problem: str


class Library:
    """All galleries below one folder. Opened galleries are shared, so that their embeddings are in memory once.

    ``builtin``: further galleries that are there to read only. ``refusal``: why nothing may be changed; empty when it
    may be.
    """

    def __init__(self, folder: str | Path, builtin: Library | None = None, refusal: str = ""):
        self.folder = Path(folder)
        self.builtin = builtin
        self.refusal = refusal
        self._open: dict[str, Gallery] = {}
        self._lock = threading.Lock()
        self.awaiting: set[str] = set()  # galleries that this process has made for what has not come yet

    def __repr__(self) -> str:
        return f"Library({str(self.folder)!r}, galleries {self.names()})"

    @property
    def models(self) -> Path:
        """Where a user's own models lie."""
        return self.folder / MODELS

    def searches_path(self, gallery: str) -> Path:
        """Where the saved searches of the gallery with this id lie, if there are some."""
        return self.folder / SEARCHES / f"{gallery}.json"

    def names(self) -> list[str]:
        """Names of the galleries, those that cannot be opened included, sorted without regard to case."""
        own = self.own_names()
        return sorted(own.union(self.builtin.names() if self.builtin else ()), key=str.casefold)

    def own_names(self) -> set[str]:
        """Names of the galleries that lie here."""
        try:
            with os.scandir(self.folder) as entries:
                return {entry.name for entry in entries if entry.name[0] != "." and _is_gallery(Path(entry.path))}
        except (FileNotFoundError, NotADirectoryError):
            return set()

    def survey(self, ask: Callable[[Gallery], T], own: bool = False) -> Iterator[T | Broken]:
        """What ``ask`` tells of every gallery, or only of one's ``own``, by name.

        Of one that cannot tell comes a :class:`Broken`, so that it hides no other.
        """
        for name in sorted(self.own_names(), key=str.casefold) if own else self.names():
            yield self.ask(name, ask)

    def ask(self, name: str, question: Callable[[Gallery], T]) -> T | Broken:
        """What ``question`` tells of one gallery, or what is wrong with that."""
        try:
            return question(self.get(name))
        except (UnifexError, OSError) as error:
            return Broken(name, reason(error))

    def place(self, name: str) -> Path:
        """Where a gallery lies, or would. Raises :class:`GalleryError` for what can name none."""
        own = check_name(name)
        if own.isascii():
            return self.folder / own
        if name in self._open and _is_gallery(self.folder / name):  # as each thumbnail asks: nothing is listed for it
            return self.folder / name
        return self.folder / (self._own_name(name) or own)

    def named(self, name: str | None) -> str:
        """What the gallery is called that is asked for; empty where there is none."""
        own = self._own_name(name)
        return own if own or not self.builtin else self.builtin.named(name)

    def _own_name(self, name: str | None) -> str:
        """A gallery is called as its folder was made: a Mac spells some letters otherwise."""
        own, wanted = self.own_names(), composed(name or "")
        alike = (one for one in own if unicodedata.normalize("NFC", one) == wanted)
        return name if name and name in own else min(alike, default="")

    def unfinished(self) -> Iterator[str]:
        """Sources of one's own galleries whose indexing was cut off. What cannot be opened waits for nothing."""
        for found in self.survey(Gallery.unfinished, own=True):
            if not isinstance(found, Broken):
                yield from found

    def may_change(self, name: str | None) -> bool:
        """Whether a gallery is one's own to change or delete, be it sound or not."""
        return bool(name) and not self.refusal and bool(self._own_name(name))

    def check_writable(self) -> None:
        """Raises :class:`GalleryError` when nothing may be changed here."""
        if self.refusal:
            raise GalleryError(self.refusal)

    def writable(self, name: str | None) -> Gallery:
        """Open a gallery that may be changed. Raises :class:`GalleryError` where it may not."""
        self.check_writable()
        gallery = self.get(name)
        if gallery.folder.parent != self.folder:
            raise GalleryError(
                say("'{name}' belongs to this server and is read-only; make a gallery of your own", name=name)
            )
        return gallery

    def get(self, name: str | None, embedder: Embedder | None = None) -> Gallery:
        """Open a gallery by name. Raises :class:`GalleryError` that lists the names there are."""
        if not name:
            if names := self.names():
                raise GalleryError(say("give the name of a gallery ({there})", there=what_there_is(names)))
            raise GalleryError(say("no gallery yet; make one in the Gallery tab: drop a folder of images there"))
        folder = self.place(name)
        if not _is_gallery(folder):
            if self.builtin and _is_gallery(self.builtin.place(name)):
                return self.builtin.get(name, embedder)
            raise NoSuchGallery(
                say(
                    "no gallery '{name}' here ({there})", name=name, there=what_there_is(self.names(), name, "none yet")
                )
            )
        fresh = Gallery.open(folder, embedder)
        with self._lock:
            opened = self._open.get(folder.name)
            if opened and opened.is_still(fresh, embedder):
                return opened
            self._open[folder.name] = fresh
            return fresh

    def get_or_create(self, name: str, embedder: Callable[[], Embedder]) -> Gallery:
        """Open a gallery to add to it, with its own model, or make it with the one given."""
        self._make(name, embedder)
        return self.writable(name)

    def _make(self, name: str, embedder: Callable[[], Embedder]) -> bool:
        """Whether it was made: it may be there, or made by another process in this moment."""
        self.check_writable()
        folder = self.place(name)
        if folder.name in self.names():
            return False
        self.sweep()
        with contextlib.suppress(GalleryThere):
            Gallery.create(folder, embedder())
            return True
        return False

    @contextlib.contextmanager
    def adding_to(self, name: str, embedder: Callable[[], Embedder]) -> Iterator[Gallery]:
        """:meth:`get_or_create` for a ``with`` in which something is added. A gallery that was made for that goes again
        when that fails and has left nothing in it."""
        made = self._make(name, embedder)
        gallery = self.writable(name)
        if made:
            self.awaiting.add(gallery.name)
        try:
            yield gallery
        except Exception:
            if made:
                with contextlib.suppress(UnifexError, OSError):  # what failed is what is to be told
                    self.drop_empty(gallery.name)
            raise

    def drop_empty(self, name: str) -> None:
        """Delete a gallery that was made for something that did not come, unless there is anything in it."""
        if name in self.awaiting:
            self.awaiting.discard(name)
            if not self.get(name).database.has_items():
                self.delete(name)

    def use(self, name: str, embedder: Embedder) -> Work[Gallery]:
        """Search a gallery with another neck from now on; its ``previous`` goes back.

        Nothing changes before all is embedded. Raises :class:`GalleryError` for another backbone or a busy gallery,
        ``ModelError`` if another model has its name, ``NotWritable`` at once for what can only be read.
        """
        gallery = Gallery.open(self.writable(name).folder, embedder)
        with contextlib.suppress(GalleryBusy), gallery.write():
            pass  # where nothing can be written that is told now, not after all the embedding
        keep_model(embedder, self.models)
        yield from gallery.derived.rebuild()
        with gallery.write():
            gallery.derived.save(adopted=True)  # first, since on a full disk nothing must have changed
            gallery.model.keep()
        with self._lock:
            self._open[gallery.folder.name] = gallery
        return gallery

    def move_to(self, name: str, store: str) -> Gallery:
        """Search a gallery in another store from now on: ``faiss``, ``milvus`` or ``milvus:URI``.

        Nothing changes before all its vectors are there. Raises ``StoreError`` for another kind of store,
        or when it does not answer, :class:`GalleryError` for a gallery that is busy.
        """
        gallery, kind = self.writable(name), index_types.of_store(store)
        before = gallery.config
        if kind is None:
            store, after = "", replace(before, store="", collection="")
        else:
            store = kind.absolute(store, gallery.folder)
            after = replace(before, store=store, collection=f"unifex_{uuid.uuid4().hex}")
        if before.store == store:
            return gallery
        with gallery.write():
            moved = Gallery(gallery.folder, after, gallery.embedder)
            moved.derived.save()
            moved.model.keep()
            with self._lock:
                self._open[gallery.folder.name] = moved
        self._leave_store(gallery.folder, before)
        return moved

    def written(self, name: str) -> int:
        """When something was last written in a gallery, in nanoseconds; 0 of one that there is not."""
        own = self._own_name(name)
        files = ("items.sqlite", "items.sqlite-wal", FILE) if own else ()
        return max((disk.changed(self.folder / own / file) for file in files), default=0)

    def rename(self, name: str, new: str) -> Gallery:
        """Give a gallery another name. Raises :class:`GalleryError` if that is taken or the gallery is in use."""
        source, target = self.writable(name).folder, self.place(new)
        if target.name in self.names():
            raise GalleryError(say("there is a gallery '{name}' already; choose another name", name=target.name))
        if target.exists() and not target.samefile(source):  # on some disks that is it, in other letters
            raise GalleryError(
                say("a folder '{name}' that is no gallery is in its place; choose another name", name=target.name)
            )
        self._release(source, config := self.get(name).config)
        self._when_idle(source, lambda: source.rename(target))
        self._left(source.name, config.id)
        return self.get(target.name)

    def delete(self, name: str) -> Path | None:
        """Delete a gallery with all it holds, sound or not. The images it was made from stay where they are.

        Of one that is a link only that goes, since the folder elsewhere is somebody's own; where that is.
        """
        self.check_writable()
        own = self._own_name(name)
        folder = self.folder / own if own else self.writable(name).folder  # which says why not
        self.sweep()
        if folder.is_symlink():
            elsewhere = folder.resolve()
            self._when_idle(folder, folder.unlink)
            self._left(folder.name)
            return elsewhere
        trash = folder.with_name(f"{_DELETED}{uuid.uuid4().hex}")
        try:
            config = GalleryConfig.read(folder)
        except (UnifexError, OSError):
            config = None  # nobody can tell whether it was in a store
        if config and config.store:
            self._release(folder, config)

        def remove() -> None:
            mark_half(folder, trash.name)
            folder.rename(trash)  # at once, so that a kill leaves no half gallery
            self._left(folder.name)
            remove_folder(trash, last=(HALF,))

        self._when_idle(folder, remove)
        if config:
            if all(other.id != config.id for other in self._configs()):
                self.searches_path(config.id).unlink(missing_ok=True)
            self._leave_store(trash, config, elsewhere=True)
        return None

    def _left(self, name: str, id: str = "") -> None:  # no gallery is called so any more; the one of this id was
        self._open.pop(name, None)
        former_names.note(self.folder, name, id)

    def sweep(self, seconds: float = LEFT_SECONDS) -> None:
        """Delete what processes left that were killed so long ago while they wrote a file or deleted a gallery."""
        for folder in [self.folder / name for name in ("", SEARCHES, *self.own_names())] + [*self.models.glob("*/")]:
            drop_unfinished(folder, seconds)
        for folder in [*self.folder.glob(f"{_DELETED}*"), *self.folder.glob(f"{_PICKING}*")]:
            with contextlib.suppress(UnifexError, OSError):
                is_old = folder.stat().st_mtime < time.time() - seconds
                is_deleted = folder.name.startswith(_DELETED)
                by_name = _OF_BEFORE.fullmatch(folder.name) and _has_own_files(folder)  # earlier versions left no mark
                if (is_half(folder) and (is_old or is_deleted)) or (by_name and is_old):
                    self._when_idle(folder, partial(remove_folder, folder, last=(HALF,)))

    def _configs(self) -> Iterator[GalleryConfig]:
        """Of the galleries here that can tell. A folder that was copied has the id and the collection of the other:
        what lies by these outside of it is of both."""
        for name in self.own_names():
            with contextlib.suppress(UnifexError, OSError):
                yield GalleryConfig.read(self.folder / name)
        if self.builtin:
            yield from self.builtin._configs()

    def _leave_store(self, folder: Path, config: GalleryConfig, elsewhere: bool = False) -> None:
        """Drop what a gallery has in a store (only where that lies ``elsewhere``), unless another has the same there.
        Where it does not answer, or nobody here knows it, the gallery need not wait for it."""
        try:
            kind = index_types.of_store(config.store)
            lies_elsewhere = kind is not None and kind.is_elsewhere(config.store)
            if kind is None or (elsewhere and not lies_elsewhere):
                return
            if lies_elsewhere and any(other.collection == config.collection for other in self._configs()):
                return
            kind.forget(config.store, folder, config.collection)
        except (UnifexError, OSError, ValueError) as error:
            log.warning(
                "gallery '%s': its collections %s* stay in %s: %s",
                folder.name, config.collection, config.store, error,
            )  # fmt: skip
        self._release(folder, config)

    def _release(self, folder: Path, config: GalleryConfig) -> None:
        """Let go of a gallery's store, unless it lies elsewhere and a gallery here is searched in it."""
        try:
            kind = index_types.of_store(config.store)
            in_use = kind and kind.is_elsewhere(config.store) and any(c.store == config.store for c in self._configs())
            if kind and not in_use:
                kind.release(config.store, folder)
        except (UnifexError, OSError, ValueError) as error:
            log.warning("gallery '%s': its store is not let go of: %s", folder.name, error)

    @staticmethod
    def _when_idle(folder: Path, action: Callable[[], object]) -> None:
        try:
            lock = lock_in_folder(folder / ".lock", timeout=0)
            lock.acquire()
        except Timeout:
            raise GalleryError(
                say("gallery '{name}' is being written; wait for it, or cancel it", name=folder.name)
            ) from None
        except FileNotFoundError:
            raise NoSuchGallery.any_more(folder.name) from None
        except OSError:  # nobody can write in it who cannot lock it
            action()
            return
        try:
            if ON_WINDOWS:  # where no folder is moved in which a file is open
                lock.release()
            action()
        finally:
            lock.release()


def _has_own_files(folder: Path) -> bool:
    return any((folder / name).exists() for name in _OWN_FILES)


def _is_gallery(folder: Path) -> bool:
    """Whether a folder is a gallery, or what is left of one, or cannot be looked into."""
    try:
        return _has_own_files(folder) and folder.name.lower() not in RESERVED
    except PermissionError:
        return True
