"""The table of stores: how each kind is reached, listed and read, through fsspec; another kind is a line of it.

Credentials are those that every program finds in their usual places; none is taken, kept or shown here. A folder that
could not be listed is an entry that says so, never a folder without files: that a file is gone is told by a whole list
alone, since what is gone may be removed from a gallery.
"""

from __future__ import annotations

import importlib.util
import netrc
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from unifex.core import images
from unifex.core.language import say, to_say
from unifex.data import web_folders
from unifex.data.addresses import scheme_of
from unifex.data.item import SourceError
from unifex.data.store_failures import StoreFailure, attempt
from unifex.data.tree import Node

REQUESTS = 32  # at once
FOLDERS = 4  # listed at once
TIMEOUT = 30.0  # seconds that a store may be silent
DEEPEST = 64  # folders in each other: more is a circle


@dataclass(frozen=True, slots=True)
class Entry:
    """Something in a store: ``name``: as its library calls it; ``stamp``: changes with the content, empty when unknown;
    ``size`` in bytes, None when unknown."""

    node: Node
    name: str
    stamp: str = ""
    size: int | None = None


Listing = Callable[["Connection", str], Iterator[Entry]]
Reading = Callable[[Any, str, int | None], bytes]  # (file system, name, how many of the first bytes) -> them


@dataclass(frozen=True)
class Store:
    """A kind of store.

    ``package``: what must be installed; ``credentials``: where they are looked for; ``connect``: ``scheme://host`` ->
    fsspec's file system; ``name``: an address -> what the library calls it, and ``address`` back, given the server;
    ``listing``: everything below a name; ``reading``: a file, or its beginning.
    """

    schemes: tuple[str, ...]
    package: str
    credentials: str
    connect: Callable[[str], Any]
    name: Callable[[str], str]
    address: Callable[[str, str], str]
    listing: Listing
    reading: Reading


@dataclass(frozen=True)
class Connection:
    """A store that was reached. ``server``: ``scheme://host`` of it."""

    store: Store
    files: Any
    server: str

    def list(self, address: str) -> Iterator[Entry]:
        """Everything at or below an address, in any order; what could not be listed is an unread entry.

        Raises :class:`StoreFailure` when nothing of it can be listed.
        """
        return self.store.listing(self, self.store.name(address))

    def read(self, name: str, size: int | None = None, first: int | None = None) -> bytes:
        """A file, or its first bytes; ``size``: how many it must have at least. Raises :class:`StoreFailure`."""
        return self.ask(partial(self._read_whole, name, size, first))

    def read_once(self, name: str) -> bytes:
        """As :meth:`read`, for somebody who waits: a store that fails is not asked again."""
        return attempt(partial(self._read_whole, name, None, None), say(self.store.credentials), pauses=())

    def ask(self, question: Callable[[], Any]) -> Any:
        """Its answer, with patience. Raises :class:`StoreFailure`."""
        return attempt(question, say(self.store.credentials))

    def _read_whole(self, name: str, size: int | None, first: int | None) -> bytes:
        data = self.store.reading(self.files, name, first)
        if first is None and size is not None and len(data) < size:
            raise StoreFailure(
                say("the store broke off after {count:,} of {size:,} bytes", count=len(data), size=size), passing=True
            )
        return data if first is None else data[:first]

    def address_of(self, name: str) -> str:
        """What names a file for good."""
        return self.store.address(self.server, name)


def store_of(address: str) -> Store | None:
    """The kind of store that an address is of; None for what is of none."""
    scheme = scheme_of(address)
    return next((store for store in STORES if scheme in store.schemes), None)


def reach(address: str) -> Connection:
    """The store of a remembered address. Raises :class:`SourceError` when its package is missing."""
    store = next(store for store in STORES if scheme_of(address) in store.schemes)
    return _reach(store, "/".join(address.split("/")[:3]))


@lru_cache(maxsize=16)
def _reach(store: Store, server: str) -> Connection:
    """One for all threads: a connection costs a handshake."""
    if importlib.util.find_spec(store.package.partition(".")[0]) is None:
        raise SourceError(
            say(
                '{scheme}:// needs {package}: `pip install "unifex[stores]"`',
                scheme=scheme_of(server),
                package=store.package,
            )
        )
    return Connection(store, attempt(partial(store.connect, server), say(store.credentials)), server)


# --- listing -----------------------------------------------------------------------------------------------------


def _flat_listing(connection: Connection, root: str) -> Iterator[Entry]:
    """Of stores that list everything below a name at once, whole or not at all."""

    def find() -> dict[str, dict[str, Any]]:
        connection.files.invalidate_cache()
        return connection.files.find(root, detail=True)

    for name, about in connection.ask(find).items():
        path = name[len(root) :].strip("/") if name != root else name.rpartition("/")[2]
        if about.get("type") != "directory" and path and not name.endswith("/"):
            yield Entry(Node(path), name, stamp_of(about), about.get("size"))


def _folder_listing(ls: Callable[[Connection, str], list[Entry]], connection: Connection, root: str) -> Iterator[Entry]:
    """Of stores that list a folder at a time, several at once. ``ls`` gives paths within the folder."""
    with ThreadPoolExecutor(FOLDERS, thread_name_prefix="unifex-list") as pool:
        waiting = deque([("", pool.submit(ls, connection, root))])
        while waiting:
            folder, future = waiting.popleft()
            try:
                found = future.result()
            except StoreFailure as failure:
                if not folder:
                    raise
                reason = say("folder that cannot be listed: {reason}", reason=failure)
                yield Entry(Node(folder, "folder", reason, unread=True), "")
                continue
            for entry in found:
                path = f"{folder}/{entry.node.path}" if folder else entry.node.path
                if entry.node.kind == "folder" and path.count("/") < DEEPEST:
                    waiting.append((path, pool.submit(ls, connection, entry.name)))
                else:
                    node = Node(path, entry.node.kind, entry.node.refusal, entry.node.unread)
                    yield Entry(node, entry.name, entry.stamp, entry.size)


def _webdav_listing(connection: Connection, root: str) -> Iterator[Entry]:
    if not root.lower().endswith(tuple(images.EXTENSIONS)):
        return _folder_listing(_ls_webdav, connection, root)
    beside = _ls_webdav(connection, root.rpartition("/")[0])
    return iter([entry for entry in beside if entry.name == root])


def _ls_webdav(connection: Connection, folder: str) -> list[Entry]:
    found = connection.ask(lambda: connection.files.ls(quote(folder) or "/", detail=True))
    entries = []
    for about in found:
        name = about["name"].strip("/")
        if name == folder.strip("/"):
            continue
        kind = "folder" if about["type"] == "directory" else "file"
        entries.append(Entry(Node(name.rpartition("/")[2], kind), name, stamp_of(about), about.get("size")))
    return entries


def _ls_web(connection: Connection, folder: str) -> list[Entry]:
    """A page, and a question about each of its files, since it tells of no changes."""
    names = connection.ask(partial(web_folders.names, connection.files, folder))
    base = folder.rstrip("/")
    folders = [Entry(Node(unquote(name[:-1]), "folder"), f"{base}/{name[:-1]}") for name in names if name[-1] == "/"]
    with ThreadPoolExecutor(REQUESTS, thread_name_prefix="unifex-head") as pool:
        look = partial(_look_at_web_file, connection, base)
        return folders + list(pool.map(look, [name for name in names if name[-1] != "/"]))


def _look_at_web_file(connection: Connection, base: str, name: str) -> Entry:
    address, path = f"{base}/{name}", unquote(name)
    try:
        return Entry(Node(path), address, *connection.ask(partial(web_folders.about, connection.files, address)))
    except StoreFailure as failure:
        return Entry(Node(path, "file", str(failure), unread=True), address)


def _web_listing(connection: Connection, root: str) -> Iterator[Entry]:
    last = root.rpartition("/")[2]
    if urlsplit(root).path and last.lower().endswith(tuple(images.EXTENSIONS)):
        return iter([_look_at_web_file(connection, root.removesuffix(f"/{last}"), last)])
    return _folder_listing(_ls_web, connection, root)


def stamp_of(about: dict[str, Any]) -> str:
    """What a list says of a file's content: its checksum, else its size and time."""
    checksums = ("ETag", "etag", "xet_hash", "blob_id", "md5Hash")
    if checksum := next((about[name] for name in checksums if about.get(name)), None):
        return str(checksum).strip('"')
    times = ("LastModified", "updated", "modified", "mtime")
    changed = next((about[name] for name in times if about.get(name)), None)
    return f"{about.get('size')}-{changed}" if changed else ""


# --- reaching and reading ------------------------------------------------------------------------------------------


def _s3(server: str) -> Any:
    """Without credentials anywhere nothing is signed: many buckets are public."""
    import botocore.session
    import s3fs

    anonymous = botocore.session.get_session().get_credentials() is None
    client = {"connect_timeout": TIMEOUT, "read_timeout": TIMEOUT, "max_pool_connections": REQUESTS}
    client["retries"] = {"total_max_attempts": 1}  # who asks is patient
    how = {"max_concurrency": 1, "use_listings_cache": False}  # a file in parts is asked for its size first
    files = s3fs.S3FileSystem(anon=anonymous, config_kwargs=client, skip_instance_cache=True, **how)
    files.retries = 1
    return files


def _gcs(server: str) -> Any:
    from gcsfs.core import GCSFileSystem  # pyright: ignore[reportMissingImports]  of the extra "stores"

    return GCSFileSystem(requests_timeout=TIMEOUT, use_listings_cache=False, skip_instance_cache=True)


def _hub(server: str) -> Any:
    from huggingface_hub import HfFileSystem

    return HfFileSystem(skip_instance_cache=True)


def _web(server: str) -> Any:
    import aiohttp
    from fsspec.implementations.http import HTTPFileSystem

    async def client(**options: Any) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=REQUESTS), **options)

    patience = aiohttp.ClientTimeout(total=None, sock_connect=TIMEOUT, sock_read=TIMEOUT)
    options = {"trust_env": True, "timeout": patience}  # the environment's proxies, and the passwords in .netrc
    return HTTPFileSystem(client_kwargs=options, get_client=client, encoded=True, skip_instance_cache=True)


def _webdav(server: str) -> Any:
    from webdav4.fsspec import WebdavFileSystem  # pyright: ignore[reportMissingImports]  of the extra "stores"

    base = server.replace("webdav", "http", 1)
    return WebdavFileSystem(base, auth=_password(urlsplit(base).hostname or ""), timeout=TIMEOUT, retry=False)


def _password(host: str) -> tuple[str, str] | None:
    """User and password of a server in ``.netrc``, or the file that NETRC names."""
    try:
        found = netrc.netrc(os.environ.get("NETRC")).authenticators(host)
    except (OSError, netrc.NetrcParseError):
        return None
    return (found[0], found[2] or "") if found else None


def _cat(files: Any, name: str, first: int | None) -> bytes:
    return files.cat_file(name) if first is None else files.cat_file(name, start=0, end=first)


def _cat_hub(files: Any, name: str, first: int | None) -> bytes:
    """By one request: a file that can be sought in asks for its size first."""
    with files.open(name, "rb", block_size=0) as file:
        return file.read(-1 if first is None else first)


def _cat_webdav(files: Any, name: str, first: int | None) -> bytes:
    headers = {} if first is None else {"Range": f"bytes=0-{first - 1}"}
    answer = files.client.request("GET", quote(name), headers=headers, follow_redirects=True)
    if answer.status_code not in (200, 206):
        raise StoreFailure(say("the store answers with an error ({status})", status=answer.status_code))
    return answer.content


def _after_scheme(address: str) -> str:
    return address.partition("://")[2]


def _with_scheme(server: str, name: str) -> str:
    return f"{scheme_of(server)}://{name}"


STORES: tuple[Store, ...] = (
    Store(
        ("s3",), "s3fs", to_say("AWS_PROFILE, AWS_ACCESS_KEY_ID or ~/.aws"), _s3,
        _after_scheme, _with_scheme, _flat_listing, _cat,
    ),
    Store(
        ("gs",), "gcsfs", to_say("GOOGLE_APPLICATION_CREDENTIALS or `gcloud auth`"), _gcs,
        _after_scheme, _with_scheme, _flat_listing, _cat,
    ),
    Store(
        ("hf",), "huggingface_hub", to_say("HF_TOKEN or `hf auth login`"), _hub,
        _after_scheme, _with_scheme, _flat_listing, _cat_hub,
    ),
    Store(
        ("webdav", "webdavs"), "webdav4", to_say("the file .netrc"), _webdav,
        lambda address: unquote(urlsplit(address).path.strip("/")), lambda server, name: f"{server}/{quote(name)}",
        _webdav_listing, _cat_webdav,
    ),
    Store(
        ("http", "https"), "aiohttp", to_say("the file .netrc"), _web,
        lambda address: address, lambda server, name: name, _web_listing, _cat,
    ),
)  # fmt: skip
PREFIXES = tuple(f"{scheme}://" for store in STORES for scheme in store.schemes)
