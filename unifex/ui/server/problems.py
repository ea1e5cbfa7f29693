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


def problem(status: int, detail: str, code: str = "", headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The answer that says so. ``code``: default that of the status."""
    told = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code or CODES.get(status, "error"),
        "detail": detail,
    }
    waiting = {"Retry-After": "60"} if status == 429 else {}
    return JSONResponse(told, status, {**waiting, **(headers or {})}, media_type=MEDIA_TYPE)
