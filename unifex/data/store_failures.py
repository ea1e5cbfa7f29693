"""What a store says no with, in a sentence, and patience with what may pass.

The texts of the libraries' own errors are never shown: they hold addresses with signatures in them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from unifex.core import images
from unifex.core.language import say

PAUSES = (0.3, 1.5)  # seconds before a second and a third try
Answer = TypeVar("Answer")


class StoreFailure(images.ImageError):
    """Something of a store that could not be had now. ``passing``: another try may help; ``silent``: no answer came."""

    def __init__(self, reason: str, passing: bool = False, silent: bool = False):
        super().__init__(reason)
        self.passing, self.silent = passing, silent


def attempt(ask: Callable[[], Answer], credentials: str, pauses: tuple[float, ...] = PAUSES) -> Answer:
    """What ``ask`` gives, asked again after each pause when the failure may pass.

    ``credentials``: where the store's are looked for. Raises :class:`StoreFailure`.
    """
    for pause in (*pauses, None):
        try:
            return ask()
        except Exception as error:  # every store's library has classes of its own
            failure = error if isinstance(error, StoreFailure) else _failure(error, credentials)
            if pause is None or not failure.passing:
                raise failure from None  # its cause may tell a signature
        time.sleep(pause)
    raise AssertionError("the last try returns or raises")


def _failure(error: Exception, credentials: str) -> StoreFailure:
    status, kind = _status(error), type(error).__name__
    if "Payload" in kind or "Incomplete" in kind or "RemoteProtocol" in kind:
        return StoreFailure(say("the store broke off while it was read"), passing=True)
    if status in (404, 410) or isinstance(error, FileNotFoundError) or kind == "ResourceNotFound":
        return StoreFailure(say("not in the store, or not for these credentials (404)"))
    if status in (401, 403) or isinstance(error, PermissionError):
        return StoreFailure(
            say("the store refuses it ({status}); credentials: {place}", status=status or 403, place=credentials)
        )
    if "Credential" in kind or "Token" in kind:
        return StoreFailure(say("no credentials were found; they are looked for in {place}", place=credentials))
    if status:
        return StoreFailure(say("the store answers with an error ({status})", status=status), _may_pass(status))
    if isinstance(error, TimeoutError) or "Timeout" in kind:
        return StoreFailure(say("the store does not answer in time"), passing=True, silent=True)
    return StoreFailure(say("the store cannot be reached ({kind})", kind=kind), passing=True, silent=True)


def _may_pass(status: int) -> bool:
    return status >= 500 or status in (408, 425, 429)


def _status(error: BaseException) -> int:
    """The HTTP status that an error carries, itself or its cause; 0 without one."""
    for one in filter(None, (error, error.__cause__, error.__context__)):
        answer = getattr(one, "response", None)
        if isinstance(answer, dict):  # botocore's
            values = [answer.get("ResponseMetadata", {}).get("HTTPStatusCode")]
        else:
            values = [getattr(one, "status", None), getattr(one, "status_code", None), getattr(one, "code", None)]
            values.append(getattr(answer, "status_code", None))
        for value in values:
            if isinstance(value, int) and 100 <= value < 600:
                return value
    return 0
