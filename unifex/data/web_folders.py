"""Folders of web servers, as their pages list them: no protocol says what lies in one, so nothing is taken for granted.

A page that leads elsewhere, or that lists nothing, may be a password form or a notice: it is no empty folder.
"""

from __future__ import annotations

from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urljoin

from unifex.core.language import say
from unifex.data.store_failures import StoreFailure

if TYPE_CHECKING:
    from fsspec.implementations.http import HTTPFileSystem


def names(files: HTTPFileSystem, url: str) -> list[str]:
    """What a folder's page lists, as it is written in an address; folders end with ``/``. Raises StoreFailure.

    Errors of the library pass through.
    """
    url = url.rstrip("/") + "/"
    came_from, text = _wait(files, _page(files, url))
    if came_from != url:
        raise StoreFailure(say("the page leads to another address; give that one"))
    found = _Links()
    found.feed(text)
    below = (_below(url, urljoin(url, link)) for link in found.links)
    listed = list(dict.fromkeys(name for name in below if _is_name(name)))
    if not listed:
        raise StoreFailure(say("its page lists nothing"))
    return listed


def about(files: HTTPFileSystem, url: str) -> tuple[str, int | None]:
    """(what changes when a file changes, or empty; its bytes, where the server tells). Errors pass through."""
    headers = _wait(files, _head(files, url))
    if headers.get("content-type", "").startswith("text/html"):
        raise StoreFailure(say("a page comes in place of the file"))
    length = headers.get("content-length", "")
    size = int(length) if length.isdecimal() and not headers.get("content-encoding") else None
    changed = headers.get("last-modified") and f"{size}-{headers['last-modified']}"
    return headers.get("etag") or changed or "", size


def _below(url: str, link: str) -> str:
    """What a link adds to the address of a folder, whichever letters of it either quotes; empty for any other."""
    folder, parts = url.rstrip("/").split("/"), link.split("/")
    is_below = [*map(unquote, parts[: len(folder)])] == [*map(unquote, folder)]
    return "/".join(parts[len(folder) :]).replace(" ", "%20") if is_below else ""


def _is_name(name: str) -> bool:
    """Of something in the folder itself: no order of its list, nothing further below."""
    plain = unquote(name.removesuffix("/"))
    return not ("?" in name or "#" in name or "/" in plain or plain in ("", ".", ".."))


class _Links(HTMLParser):
    """Where the links of a page lead."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A link is noted."""
        if tag == "a" and (link := dict(attrs).get("href")):
            self.links.append(link)


def _wait(files: HTTPFileSystem, answer: Any) -> Any:
    from fsspec.asyn import sync

    return sync(files.loop, lambda: answer)


async def _page(files: HTTPFileSystem, url: str) -> tuple[str, str]:
    session = await files.set_session()
    async with session.get(files.encode_url(url)) as answer:
        answer.raise_for_status()
        return str(answer.url), await answer.text(errors="replace")


async def _head(files: HTTPFileSystem, url: str) -> dict[str, str]:
    session = await files.set_session()
    whole = {"Accept-Encoding": "identity"}
    async with session.head(files.encode_url(url), allow_redirects=True, headers=whole) as answer:
        if answer.status in (405, 501):  # a server that only gives whole files
            return {}
        answer.raise_for_status()
        return {name.lower(): answer.headers[name] for name in answer.headers}
