"""Refusals as ``application/problem+json`` (RFC 9457): a sentence for people, and a code for programs that stays."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from starlette.responses import JSONResponse

MEDIA_TYPE = "application/problem+json"
# What a status means where nothing more is known.
CODES = {
    400: "bad_request",
    401: "login_required",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    415: "unsupported_media_type",
    429: "too_many_requests",
}
# What HTTP wants to be told along. Browsers open a password box of their own for the schemes that they know, also where
# a script of the page asks, and one who has entered a password there is not logged in: so it is the cookie by its name.
_ALONG = {401: {"WWW-Authenticate": 'Cookie realm="UniFEx"'}, 429: {"Retry-After": "60"}}


def problem(status: int, detail: str, code: str = "", headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The answer that says so. ``code``: default that of the status."""
    told = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code or CODES.get(status, "error"),
        "detail": detail,
    }
    return JSONResponse(told, status, {**_ALONG.get(status, {}), **(headers or {})}, media_type=MEDIA_TYPE)
