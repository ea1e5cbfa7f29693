"""What the program says no with, as an answer of ``/api/v1``: which status, and which code."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from unifex.core.errors import UnifexError
from unifex.core.images import ImageError
from unifex.core.jobs import JobError
from unifex.core.text import reason
from unifex.gallery.errors import GalleryBusy, NoSuchGallery, NoSuchItem
from unifex.models.backbones import BackboneError
from unifex.models.neck import DimensionError
from unifex.ui.server.problems import MEDIA_TYPE, problem

MOST_TOLD = 5  # of what is wrong with a request
INVALID = "invalid_request"
# The first that fits; of any other UnifexError it is the last. Codes are promised to programs: they do not change.
_KINDS: tuple[tuple[type[Exception], int, str], ...] = (
    (ImageError, 422, "not_an_image"),
    (DimensionError, 422, "no_such_dimension"),
    (BackboneError, 422, "model_cannot"),
    (NoSuchGallery, 404, "no_such_gallery"),
    (NoSuchItem, 404, "no_such_item"),
    (GalleryBusy, 409, "gallery_busy"),
    (JobError, 429, "too_many_jobs"),
    (UnifexError, 422, "cannot_be_done"),
    (OSError, 503, "storage_failed"),
)


class Refused(UnifexError):
    """A sentence with its status and code."""

    def __init__(self, status: int, code: str, sentence: str):
        self.status, self.code = status, code
        super().__init__(sentence)


def tell_refusals(app: FastAPI) -> None:
    """Every answer that says no is a problem, with a code."""
    app.add_exception_handler(Refused, _refused)
    for kind in (UnifexError, OSError):
        app.add_exception_handler(kind, _told)
    for kind in (RequestValidationError, ValidationError):
        app.add_exception_handler(kind, _invalid)
    app.add_exception_handler(HTTPException, _http)


def answers(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """How OpenAPI describes the answers of these statuses."""
    told = {"content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
    return {status: {"description": _DESCRIPTIONS[status], **told} for status in (*statuses, *_ALWAYS)}


_DESCRIPTIONS = {
    400: "The request cannot be read.",
    401: "Log in first.",
    403: "Not for this caller.",
    404: "There is none.",
    409: "Not at the moment: the gallery is busy, or cannot be used.",
    413: "Too much in one request.",
    415: "Send JSON, a form or an image.",
    422: "What was asked for cannot be done.",
    429: "Too much at once; wait a minute.",
    503: "The disk does not answer, or is full.",
}
_ALWAYS = (400, 401, 403, 422, 429, 503)


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return problem(error.status, str(error), error.code)


async def _told(_request: Request, error: Exception) -> Response:
    status, code = next((status, code) for kind, status, code in _KINDS if isinstance(error, kind))
    return problem(status, reason(error), code)


async def _invalid(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError | ValidationError)
    return problem(422, "; ".join(map(_told_wrong, error.errors()[:MOST_TOLD])), INVALID)


def _told_wrong(one: Any) -> str:
    """What is wrong with which part of a request; of the whole, as with what is no JSON, nothing is named."""
    where = ".".join(map(str, one["loc"]))[:200]
    return f"{where}: {one['msg']}" if where else one["msg"]


async def _http(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return problem(error.status_code, str(error.detail), headers=error.headers)
