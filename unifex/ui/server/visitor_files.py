"""What visitors of a public server have sent, and what was made for them to download: for each a folder of its own.

A page knows such a file by an address, ``/unifex-files/KIND/ID/NAME``, which says nothing of where it lies: it names
one only together with whoever asks, so that another's can neither be guessed nor used.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import re
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from unifex.core import disk
from unifex.core.disk import BLOCK_BYTES, blocks
from unifex.core.errors import UnifexError
from unifex.core.language import say
from unifex.core.text import size

SENT, MADE = "sent", "made"
PREFIX = "/unifex-files/"
_COMING = "coming"
_ADDRESS = re.compile(rf"{PREFIX}({SENT}|{MADE})/([0-9a-f]{{32}})/([^/\\\0]{{1,255}})")

_RUN = secrets.token_bytes(32)  # else who sees a folder's name could find its address by trying all that there are


def nobody_at(address: str) -> str:
    """Who asks from an address without a cookie, for this run: what nobody sent goes when a server starts."""
    return f"nobody-{hmac.new(_RUN, address.encode(), hashlib.sha256).hexdigest()}"


class RoomError(UnifexError):
    """A visitor would have more here than there may be."""


@dataclass
class Account:
    """Bytes of the disk and files that are one visitor's now, counted as they come and go, however many at once."""

    max_bytes: int
    max_files: int
    bytes: int = 0
    files: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def take(self, bytes: int, files: int = 0) -> None:
        """So much more. Raises :class:`RoomError`, and then it is not counted."""
        with self._lock:
            if self.bytes + bytes > self.max_bytes or self.files + files > self.max_files:
                raise RoomError(
                    say(
                        "a visitor may have {size} and {max_files:,} files on their way here: index what you have "
                        "uploaded, or delete your data",
                        size=size(self.max_bytes),
                        max_files=self.max_files,
                    )
                )
            self.bytes += bytes
            self.files += files

    def give_back(self, bytes: int, files: int = 0) -> None:
        """So much less."""
        with self._lock:
            self.bytes = max(0, self.bytes - bytes)
            self.files = max(0, self.files - files)


@dataclass
class Arrival:
    """An upload that is on its way: ``folder`` is where its parts are written until all is there."""

    folder: Path
    account: Account
    bytes: int = 0

    def take(self, bytes: int) -> None:
        """So many bytes have come. Raises :class:`RoomError`, OSError when the disk is nearly full."""
        self.account.take(bytes)
        self.bytes += bytes
        disk.check(self.folder)

    def settle(self) -> None:
        """All is there, and is counted as it is kept."""
        self.account.give_back(self.bytes)
        self.bytes = 0


class VisitorFiles:
    """The files of all owners below one folder. ``owner``: a visitor, or whom :func:`nobody_at` names.

    ``max_made_bytes``: bytes of what was made for one owner that are kept; the oldest goes first.
    """

    def __init__(self, folder: Path, max_bytes: int, max_files: int, max_made_bytes: int):
        self.folder = folder.absolute()
        self.max_bytes, self.max_files, self.max_made_bytes = max_bytes, max_files, max_made_bytes
        self._accounts: dict[str, Account] = {}
        self._lock = threading.Lock()

    def of(self, owner: str) -> Path:
        """Where an owner's files lie."""
        return self.folder / owner

    def account(self, owner: str) -> Account:
        """What an owner has, measured once and counted since."""
        with self._lock:
            if owner not in self._accounts:
                bytes, files = disk.taken_by(self.of(owner))
                self._accounts[owner] = Account(self.max_bytes, self.max_files, bytes, files // 2)
            return self._accounts[owner]

    # --- by address ----------------------------------------------------------------------------------------------

    def path(self, address: str, owner: str) -> Path | None:
        """The file of this owner at an address; None when it is no address, or not there for this owner."""
        if not (parts := _ADDRESS.fullmatch(address)) or parts[3] in (".", ".."):
            return None
        path = self.of(owner).joinpath(*parts.groups())
        return path if path.is_file() else None

    def address(self, path: Path) -> str:
        """The address of one of these files."""
        return PREFIX + "/".join(path.parts[-3:])

    def is_sent_by(self, path: Path, owner: str) -> bool:
        """Whether this owner has uploaded that file. By the path as it is written: links and dots are nobody's."""
        return path.parent.parent == self.of(owner) / SENT and ".." not in path.parts and path.is_file()

    # --- coming and going ----------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def arriving(self, owner: str) -> Iterator[Arrival]:
        """Take an upload in. What is not kept by the end of the block goes, also when it fails."""
        folder = self.of(owner) / _COMING / secrets.token_hex(16)
        disk.make_folder(folder)  # first: whose folder is there is not forgotten
        arrival = Arrival(folder, self.account(owner))
        try:
            yield arrival
        finally:
            shutil.rmtree(arrival.folder, ignore_errors=True)
            arrival.settle()

    def keep(self, file: Path, name: str, owner: str, kind: str) -> Path:
        """Move a file of the same disk to where it has an address. Raises :class:`RoomError`."""
        if kind == MADE:
            self._make_room(owner, file.stat().st_size)
        cost = _cost(file)
        self.account(owner).take(cost, 1)
        place = self.of(owner) / kind / secrets.token_hex(16)
        try:
            disk.make_folder(place)
            return file.rename(place / name)
        except BaseException:
            self.account(owner).give_back(cost, 1)
            shutil.rmtree(place, ignore_errors=True)
            raise

    def _make_room(self, owner: str, bytes: int) -> None:
        """The oldest of what was made goes, until so much more may be kept."""
        made = sorted((self.of(owner) / MADE).glob("*/*"), key=lambda file: -file.stat().st_mtime)
        for file in made:
            bytes += file.stat().st_size
            if bytes > self.max_made_bytes:
                self.release(file, owner)

    def release(self, path: Path, owner: str) -> None:
        """A file of this owner is not needed any more."""
        with contextlib.suppress(FileNotFoundError):
            cost = _cost(path)
            shutil.rmtree(path.parent)
            self.account(owner).give_back(cost, 1)

    def forget(self, owner: str) -> None:
        """Delete everything of an owner's."""
        folder = self.of(owner)
        doomed = folder.with_name(f".deleted-{folder.name}-{secrets.token_hex(4)}")
        with contextlib.suppress(FileNotFoundError):
            folder.rename(doomed)  # at once for whoever is just uploading
        with self._lock:
            self._accounts.pop(owner, None)
        shutil.rmtree(doomed, ignore_errors=True)

    def sweep(self, seconds: float, is_left: Callable[[str], bool] = lambda name: False) -> None:
        """Delete what is older, and all in folders of which ``is_left`` says that nobody has them any more."""
        for folder in self.folder.glob("*/"):
            if folder.name.startswith(".") or is_left(folder.name):
                shutil.rmtree(folder, ignore_errors=True)
                continue
            places = folder / SENT, folder / MADE, folder / _COMING, folder
            idle = [place for place in places if _age(place) > seconds]  # where nobody is just about to write
            for file in [*folder.glob(f"{SENT}/*/*"), *folder.glob(f"{MADE}/*/*")]:
                if _age(file) > seconds:
                    self.release(file, folder.name)
            for arriving in folder.glob(f"{_COMING}/*"):
                _discard(arriving, seconds)
            for empty in idle:
                with contextlib.suppress(OSError):
                    empty.rmdir()
        for left in self.folder.glob("*"):
            if left.is_file():
                _discard(left, seconds)
        with self._lock:  # who keeps nothing is not remembered
            keeping = [owner for owner, of in self._accounts.items() if of.bytes or of.files or self.of(owner).exists()]
            self._accounts = {owner: self._accounts[owner] for owner in keeping}


def _discard(left: Path, seconds: float) -> None:
    """What an upload that was killed, or Gradio, left; not what is just being written."""
    if _age(left) > seconds:
        shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)


def _cost(file: Path) -> int:
    """Of the disk: the file and the folder that it lies in."""
    return blocks(file.stat().st_size) + BLOCK_BYTES


def _age(path: Path) -> float:
    try:
        return time.time() - path.lstat().st_ctime
    except FileNotFoundError:
        return 0.0
