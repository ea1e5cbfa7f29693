"""``/api/v1`` as an ASGI application, with its OpenAPI document; on one's own computer ``/docs`` shows it."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

import gradio as gr
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from gradio.context import LocalContext
from pydantic.json_schema import models_json_schema
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Match, Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from unifex import __version__
from unifex.core.address import root
from unifex.ui.context import AppContext
from unifex.ui.rest.docs_page import docs_page
from unifex.ui.rest.models import Problem, SearchRequest
from unifex.ui.rest.refusals import answers, tell_refusals
from unifex.ui.rest.resources import FORM, JSON, PICTURE, Resources
from unifex.ui.server.door import check_logged_in, refused
from unifex.ui.server.guard import REST
from unifex.ui.server.rates import Refusal

ABOUT = (
    "Search image galleries and look through them. Lists come in pages: go on with `offset` = the `next` of a page. "
    "What is refused is `application/problem+json` with a `code` that stays."
)
_SCHEMAS = "#/components/schemas/"


class _Below(Mount):
    """All addresses below a path, also of names with line breaks, and of a page below the beginning of that path, which
    its proxy takes away: of both Starlette's own knows nothing."""

    def __init__(self, path: str, app: ASGIApp):
        super().__init__(path, app)
        self.path_regex = re.compile(self.path_regex.pattern, re.DOTALL)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether an address is below the path, or below that of a proxy and this."""
        found = super().matches(scope)
        return super().matches({**scope, "root_path": ""}) if found[0] is Match.NONE else found


def rest_routes(context: AppContext) -> list[BaseRoute]:
    """``/api/v1``, and where no strangers are, ``/docs``."""
    api = rest_api(context)
    routes: list[BaseRoute] = [_Below(REST, RestFace(api))]
    if not context.settings.public:
        routes.append(APIRoute("/docs", partial(_docs, api), include_in_schema=False))
    return routes


class RestFace:
    """The application for who asks, who has to be logged in where that is asked for."""

    def __init__(self, api: FastAPI):
        self.api = api

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        request = Request(scope, receive)
        LocalContext.request.set(gr.Request(request))  # tells the context who asks
        try:
            check_logged_in(request)
        except Refusal as refusal:
            await refused(refusal)(scope, receive, send)
        else:
            asked = "GET" if scope["method"] == "HEAD" else scope["method"]  # of which the server leaves the body out
            # Below a path, of which the proxy says nothing, Starlette would look for routes by the whole address.
            outer = scope["root_path"].removesuffix(REST)
            path = scope["path"].removeprefix(outer).removeprefix(REST)
            await self.api({**scope, "method": asked, "path": path, "root_path": ""}, receive, send)


def rest_api(context: AppContext) -> FastAPI:
    """The application, without who may ask. A server of strangers, or one that changes nothing, indexes nothing."""
    servers = [{"url": root() + REST}]
    api = FastAPI(
        title="UniFEx", version=__version__, description=ABOUT, servers=servers, root_path_in_servers=False,
        docs_url=None, redoc_url=None, redirect_slashes=False, generate_unique_id_function=lambda route: route.name,
    )  # fmt: skip
    resources = Resources(context)
    _add_galleries(api, resources)
    api.get("/jobs", responses=answers(), tags=["jobs"])(resources.list_jobs)
    if not context.settings.public and not context.settings.read_only:
        api.post("/jobs", status_code=202, responses=answers(404, 409), tags=["jobs"])(resources.index_folder)
    api.delete("/jobs/{job}", responses=answers(404), tags=["jobs"])(resources.cancel_job)
    tell_refusals(api)
    api.openapi = partial(_described, api)
    return api


def _add_galleries(api: FastAPI, of: Resources) -> None:
    there: dict[str, Any] = {"responses": answers(404, 409), "tags": ["galleries"]}
    gallery, item = "/galleries/{gallery}", "/galleries/{gallery}/items/{item}"
    api.get("/galleries", responses=answers(), tags=["galleries"])(of.list_galleries)
    api.get(gallery, **there)(of.show_gallery)
    api.get(f"{gallery}/items", **there)(of.list_items)
    api.get(item, **there)(of.show_item)
    same = {304: {"description": "The picture that `If-None-Match` names."}}
    pictures = {200: {"description": "The picture.", "content": {"image/jpeg": {}, "image/webp": {}}}}
    there = {**there, "responses": {**pictures, **same, **answers(404, 409)}}
    api.get(f"{item}/thumb", response_class=Response, **there)(of.show_thumbnail)
    there = {**there, "responses": answers(404, 409, 413, 415)}
    api.post(f"{gallery}/search", openapi_extra={"requestBody": _search_body()}, **there)(of.search)


def _search_body() -> dict[str, Any]:
    """How OpenAPI describes it; the handler reads it, for a form holds the same JSON beside its files."""
    asked = {"$ref": f"{_SCHEMAS}SearchRequest"}
    form = {
        "query": {"type": "string", "contentMediaType": JSON, "contentSchema": asked},
        "image": {"type": "array", "items": {"type": "string", "format": "binary"}},
    }
    forms = {"schema": {"type": "object", "properties": form, "additionalProperties": False}}
    image = {"schema": {"type": "string", "format": "binary"}}
    return {"required": True, "content": {JSON: {"schema": asked}, FORM: forms, f"{PICTURE}*": image}}


def _described(api: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, with what no handler's signature names."""
    if not api.openapi_schema:
        about = {"title": api.title, "version": api.version, "description": api.description, "servers": api.servers}
        schema = get_openapi(routes=api.routes, **about)
        _, named = models_json_schema(
            [(SearchRequest, "validation"), (Problem, "serialization")], ref_template=f"{_SCHEMAS}{{model}}"
        )
        schema["components"]["schemas"].update(named["$defs"])
        api.openapi_schema = schema
    return api.openapi_schema


def _docs(api: FastAPI, request: Request) -> Response:
    try:
        check_logged_in(request)
    except Refusal as refusal:
        return refused(refusal)
    return HTMLResponse(docs_page(api.openapi()))
