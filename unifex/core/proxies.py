"""Who is asked through the proxy that an office's computer is set to, and who is not."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from urllib.request import getproxies

LOOPBACK = ("localhost", "127.0.0.1", "::1")
log = logging.getLogger("unifex")


def problem() -> str:
    """Why nothing can be fetched with the proxies that are set; empty when it can, or when there are none.

    A client reads all of them when it is made, so one of a kind that it does not know ends every request.
    """
    import httpx

    try:
        httpx.Client().close()
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        return str(error).strip().partition("\n")[0]
    return ""


@contextlib.contextmanager
def asking_oneself(host: str) -> Iterator[None]:
    """Within and ever after, this process asks ``host``, which it serves at, and this computer without a proxy."""
    if found := getproxies():
        found["no"] = ",".join([*filter(None, found.get("no", "").split(",")), *LOOPBACK, host])
        for kind, value in found.items():  # all: Windows and macOS are asked only where the environment names none
            os.environ[f"{kind}_proxy"] = value  # spelled small it is what counts, everywhere
    unusable = problem()
    if unusable:
        log.warning("nothing can be fetched from the hub, since the proxy that is set cannot be used: %s", unusable)
    with ignored() if unusable else contextlib.nullcontext():
        yield


@contextlib.contextmanager
def ignored() -> Iterator[None]:
    """No client that is made within knows of a proxy."""
    before = os.environ.get("no_proxy")
    os.environ["no_proxy"] = "*"
    try:
        yield
    finally:
        if before is None:
            del os.environ["no_proxy"]
        else:
            os.environ["no_proxy"] = before
