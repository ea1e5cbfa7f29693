"""The ``indexes/`` folder: the galleries in it, by name, and the models a user made."""

from __future__ import annotations

import logging
import re
import shutil
import threading
import unicodedata
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from filelock import FileLock, Timeout

from unifex import milvus, snapshot
from unifex.embedder import Embedder
from unifex.gallery import Gallery, GalleryConfig, GalleryError
from unifex.snapshot import Embedding
from unifex.text import what_there_is

MODELS = "models"
FAISS = "faiss"
MAX_NAME = 80
log = logging.getLogger("unifex")
_RESERVED = {MODELS, "con", "prn", "aux", "nul"}


def check_name(name: str, what: str = "gallery") -> str:
    """``name`` as a folder may be called. Raises :class:`GalleryError` that says which names are allowed."""
    name = unicodedata.normalize("NFC", name.strip())
    if not re.fullmatch(r"\w[\w .()+-]*", name) or len(name.encode()) > MAX_NAME or name.lower() in _RESERVED:
        raise GalleryError(
            f"'{name[:MAX_NAME]}' cannot name a {what}: use letters, digits, spaces and . _ - + ( ), "
            f"start with a letter or digit, at most {MAX_NAME} bytes"
        )
    if name.endswith("."):
        raise GalleryError(f"a {what}'s name cannot end with a dot")
    return name


class Indexes:
    """All galleries below one folder. Opened galleries are shared, so that their embeddings are in memory once.

    ``builtin``: further galleries that are there to read only. ``refusal``: why nothing may be changed; empty when it
    may be.
    """

    def __init__(self, folder: str | Path, builtin: Indexes | None = None, refusal: str = ""):
        self.folder = Path(folder)
        self.builtin = builtin
        self.refusal = refusal
        self._open: dict[str, Gallery] = {}
        self._lock = threading.Lock()

    @property
    def models(self) -> Path:
        """Where a user's own models lie."""
        return self.folder / MODELS

    def names(self) -> list[str]:
        """Names of the galleries, sorted without regard to case."""
        own = {path.parent.name for path in self.folder.glob("[!.]*/gallery.json")}
        return sorted(own.union(self.builtin.names() if self.builtin else ()), key=str.casefold)

    def check_writable(self) -> None:
        """Raises :class:`GalleryError` when nothing may be changed here."""
        if self.refusal:
            raise GalleryError(self.refusal)

    def writable(self, name: str | None) -> Gallery:
        """Open a gallery that may be changed. Raises :class:`GalleryError` where it may not."""
        self.check_writable()
        gallery = self.get(name)
        if gallery.folder.parent != self.folder:
            raise GalleryError(f"'{name}' belongs to this server and is read-only; make a gallery of your own")
        return gallery

    def get(self, name: str | None, embedder: Embedder | None = None) -> Gallery:
        """Open a gallery by name. Raises :class:`GalleryError` that lists the names there are."""
        if not name:
            raise GalleryError("no gallery yet; make one in the Gallery tab: drop a folder of images there")
        folder = self.folder / check_name(name)
        if not (folder / "gallery.json").is_file():
            if self.builtin and name in self.builtin.names():
                return self.builtin.get(name, embedder)
            raise GalleryError(f"no gallery '{name}' here ({what_there_is(self.names(), name, 'none yet')})")
        fresh = Gallery.open(folder, embedder)
        with self._lock:
            opened = self._open.get(name)
            if not opened or opened.stored_config != fresh.stored_config or not opened.is_of(embedder):
                self._open[name] = opened = fresh
            return opened

    def get_or_create(self, name: str, embedder: Callable[[], Embedder]) -> Gallery:
        """Open a gallery to add to it, with its own model, or make it with the one given."""
        self.check_writable()
        folder = self.folder / check_name(name)
        if folder.name not in self.names():
            folder.parent.mkdir(parents=True, exist_ok=True)
            Gallery.create(folder, embedder())
        return self.writable(folder.name)

    def use(self, name: str, embedder: Embedder) -> Iterator[Embedding | Gallery]:
        """Search a gallery with another neck from now on; yields the gallery last. Its ``previous`` goes back.

        Nothing changes before all is embedded. Raises :class:`GalleryError` for another backbone or a busy gallery.
        """
        gallery = Gallery.open(self.writable(name).folder, embedder)
        for event in gallery.embed_afresh():
            if isinstance(event, Embedding):
                yield event
        with gallery.write():
            snapshot.save(gallery, adopted=True)  # first, since on a full disk nothing must have changed
            gallery.keep_config()
        with self._lock:
            self._open[name] = gallery
        yield gallery

    def move_to(self, name: str, store: str) -> Gallery:
        """Search a gallery in another store from now on: ``faiss``, ``milvus`` or ``milvus:URI``.

        Nothing changes before all its vectors are there. Raises ``StoreError`` for another kind of store,
        ``milvus.StoreError`` when it does not answer, :class:`GalleryError` for a gallery that is busy.
        """
        gallery, store = self.writable(name), milvus.settled(store)
        before = gallery.config
        if store == FAISS:
            after = replace(before, store="", collection="")
        else:
            milvus.location(store, gallery.folder)
            after = replace(before, store=store, collection=f"unifex_{uuid.uuid4().hex}")
        if (before.store or FAISS) == store:
            return gallery
        with gallery.write():
            moved = Gallery(gallery.folder, after, gallery.embedder)
            snapshot.save(moved)
            moved.keep_config()
            with self._lock:
                self._open[name] = moved
        self._leave_store(gallery.folder, before)
        return moved

    def rename(self, name: str, new: str) -> Gallery:
        """Give a gallery another name. Raises :class:`GalleryError` if that is taken or the gallery is in use."""
        source, target = self.writable(name).folder, self.folder / check_name(new)
        if target.exists() or target.name in self.names():
            raise GalleryError(f"there is a gallery '{target.name}' already; choose another name")
        if (config := self.get(name).config).store:
            milvus.release(config.store, source)
        self._when_idle(source, lambda: source.rename(target))
        self._open.pop(name, None)
        return self.get(target.name)

    def delete(self, name: str) -> None:
        """Delete a gallery with all it holds. The images it was made from stay where they are."""
        folder = self.writable(name).folder
        doomed = folder.with_name(f".deleted-{folder.name}")
        shutil.rmtree(doomed, ignore_errors=True)
        self._leave_store(folder, self.get(name).config)
        self._when_idle(folder, lambda: folder.rename(doomed))  # at once, so that a kill leaves no half gallery
        self._open.pop(name, None)
        shutil.rmtree(doomed)

    @staticmethod
    def _leave_store(folder: Path, config: GalleryConfig) -> None:
        """Drop what a gallery has in Milvus. Where that does not answer, the gallery need not wait for it."""
        if not config.store:
            return
        try:
            milvus.forget(config.store, folder, config.collection)
        except milvus.StoreError as error:
            log.warning("gallery '%s': its collections %s* stay in Milvus: %s", folder.name, config.collection, error)
        milvus.release(config.store, folder)

    @staticmethod
    def _when_idle(folder: Path, action) -> None:
        try:
            with FileLock(folder / ".lock", timeout=0):
                action()
        except Timeout:
            raise GalleryError(f"gallery '{folder.name}' is being written; wait for it, or cancel it") from None
