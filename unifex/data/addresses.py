"""Addresses of folders in stores, in the one spelling that a gallery remembers, and never with a secret in them."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

from unifex.core.language import say
from unifex.core.text import has_control
from unifex.data.item import SourceError

_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_SERVER = re.compile(r"([\w.-]+|\[[0-9a-f:.]+\])(:\d{1,5})?", re.IGNORECASE)
_BUCKET = re.compile(r"[\w.-]+|arn:[\w:-]+")
_OF_SERVERS = ("http", "https", "webdav", "webdavs")
_READY = "/%:@!$&'()*+,;=~"  # what stands in a path of the web as it is


def scheme_of(address: str) -> str:
    """What stands before ``://``, in small letters; empty for what is no address."""
    match = _ADDRESS.match(address)
    return match[1].lower() if match else ""


def remembered(address: str) -> str:
    """An address as galleries keep and compare it: no slash at its end, the server's name in small letters.

    Raises :class:`SourceError` for one with a user, a password or a query, whose text shows nothing of it, since both
    may be secrets; and for one that names no folder.
    """
    scheme = scheme_of(address)
    rest = address[len(scheme) + 3 :]
    if "?" in rest or (scheme in _OF_SERVERS and "#" in rest):
        raise SourceError(
            say(
                "an address of {scheme}:// with ? or # in it is not taken: what follows is often a signature, which no "
                "gallery must keep; give the folder alone",
                scheme=scheme,
            )
        )
    host, _, path = rest.partition("/")
    hosts = _SERVER if scheme in _OF_SERVERS else _BUCKET
    if "@" in host or (":" in host and ("@" in path or not hosts.fullmatch(host))):  # a / in a password
        raise SourceError(
            say(
                "an address of {scheme}:// with a user or a password in it is not taken, since galleries keep and show "
                "addresses; give it without, and the password where programs look for it (docs/stores.md)",
                scheme=scheme,
            )
        )
    if not hosts.fullmatch(host):
        raise SourceError(say("an address of {scheme}:// that names no server or bucket", scheme=scheme))
    if has_control(path) or "\\" in path or {".", ".."} & set(path.split("/")):
        raise SourceError(
            say("an address of {scheme}:// with . or .. or a control character in its path", scheme=scheme)
        )
    if scheme in _OF_SERVERS:
        host, path = host.lower(), quote(path, safe=_READY)
    return f"{scheme}://{host}/{path}".rstrip("/")


def plain(address: str) -> str:
    """An address as it is read, to be compared: servers quote the same name in several ways."""
    return unquote(address) if scheme_of(address) in _OF_SERVERS else address


def requoted(path: str, old: str, new: str) -> str:
    """A path below the address or folder ``old``, as it is written below ``new``."""
    before, after = (scheme_of(place) in _OF_SERVERS for place in (old, new))
    if before == after:
        return path
    return quote(path, safe=_READY.replace("%", "")) if after else unquote(path)
