"""Items and their pictures by address, for the page's grid.

``/thumb/GALLERY/ITEM?v=HASH`` is what is kept of an item, ``/picture/...`` its image, larger, ``/pixels/...`` all of
its pixels: the address names the picture's content, so that a browser keeps what it was given. ``/video/...`` is the
video that it is a frame of, in the parts that are asked for; not on a public server.
``/items/GALLERY?start=N&count=M&view=VIEW`` are items as JSON, those of a :class:`unifex.ui.view.View` in its order;
``?ids=1,2`` are these. ``/ids/GALLERY?view=VIEW`` are the ids of all of them, by which a page that goes on through them
knows where it was, whatever changes meanwhile. ``/facets/GALLERY?view=VIEW`` is what there is to filter by, counted
(``&part=TEXT``: of names that contain it), ``/tags/GALLERY`` its tags. ``/corrections/GALLERY`` is what people said of
its items, as a CSV; not on a public server, since it tells where images lie.
Whoever may not see a gallery gets the same answer as for one that is not there.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Awaitable, Callable
from functools import partial, wraps
from typing import Annotated, Any

import gradio as gr
from anyio import CapacityLimiter, to_thread
from fastapi import Path, Query
from fastapi.routing import APIRoute
from gradio.context import LocalContext
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response

from unifex.core import images, thumbnails
from unifex.core.errors import UnifexError
from unifex.core.language import say
from unifex.core.text import reason
from unifex.gallery.corrections import as_csv
from unifex.gallery.gallery import Gallery, GalleryError, Record
from unifex.retrieval.facets import facets
from unifex.ui.context import AppContext
from unifex.ui.page_state import item_id
from unifex.ui.rendering.filter_list import facet_list
from unifex.ui.rendering.grid import GridItem
from unifex.ui.server.door import check_logged_in, refused
from unifex.ui.server.picture_addresses import (
    CORRECTIONS,
    FACETS,
    IDS,
    ITEMS,
    PIXELS,
    PREVIEW,
    TAGS,
    THUMBNAIL,
    VIDEO,
    version,
)
from unifex.ui.server.rates import Refusal
from unifex.ui.view import MOST_CHARACTERS, View

KEPT = "private, max-age=31536000, immutable"
MOST_ITEMS = 1000  # of one answer
MOST_NAME = 200  # characters of a name that is looked for
MOST_PIXELS = 40 * 10**6  # of a picture that is shown in full; of a larger one so many
FRESH = {"Cache-Control": "no-store"}
Picture = Callable[[Gallery, Record], bytes]
Handler = Callable[..., Response]
Waiting = Callable[..., Awaitable[Response]]
ItemId = Annotated[int, Path(ge=0, lt=2**63)]
DECODERS = 2  # originals that are decoded at once
_decoding = threading.BoundedSemaphore(DECODERS)  # for whoever asks in a thread of its own: agents


def thumbnail(gallery: Gallery, record: Record) -> bytes:
    """As it is kept. Raises ``GalleryError`` when it is lost, and the image as well."""
    data = gallery.thumbnail(record.sha256)
    if not data:
        raise GalleryError(
            say("the thumbnail is lost, and the image file is no longer there ({path})", path=record.path)
        )
    return data


def preview(gallery: Gallery, record: Record) -> bytes:
    """JPEG bytes of the image without any metadata. Raises ``GalleryError`` and ``images.ImageError``."""
    with _decoding:
        return thumbnails.preview(gallery.original(record))


def pixels(gallery: Gallery, record: Record, most: int = MOST_PIXELS) -> bytes:
    """JPEG bytes of the image at its own size, or of ``most`` pixels, without any metadata. Raises as
    :func:`preview`."""
    sides = record.width, record.height
    scale = min(1.0, math.sqrt(most / max(1, math.prod(sides))))
    with _decoding:
        at_least = math.ceil(scale * min(sides)) if scale < 1 else None
        large = images.decode(gallery.original(record), at_least=at_least).image
        return thumbnails.thumbnail(large, max(1, round(scale * max(sides))), quality=92)


DECODED: dict[str, Picture] = {PREVIEW: preview, PIXELS: pixels}


def item_routes(context: AppContext) -> list[APIRoute]:
    """The routes, for whoever asks."""
    routes: dict[str, Handler | Waiting] = {f"/{THUMBNAIL}/{{gallery}}/{{item}}": _pictures(context, thumbnail)}
    few = CapacityLimiter(DECODERS)
    for kind, picture in DECODED.items():
        routes[f"/{kind}/{{gallery}}/{{item}}"] = at_most(few, _pictures(context, picture))
    routes[f"/{ITEMS}/{{gallery}}"] = _items(context)
    routes[f"/{IDS}/{{gallery}}"] = _all_ids(context)
    routes[f"/{TAGS}/{{gallery}}"] = _tags(context)
    routes[f"/{FACETS}/{{gallery}}"] = _facets(context)
    if not context.settings.public:
        routes[f"/{VIDEO}/{{gallery}}/{{item}}"] = _videos(context)
        routes[f"/{CORRECTIONS}/{{gallery}}"] = _corrections(context)
    return [APIRoute(path, handler, include_in_schema=False) for path, handler in routes.items()]


def _pictures(context: AppContext, picture: Picture) -> Handler:
    def answer(request: Request, gallery: str, item: ItemId, v: str = "") -> Response:
        def given() -> Response:
            opened = context.gallery(gallery)
            data = picture(opened, _record(opened, item, v))
            return Response(data, media_type=thumbnails.media_type(data), headers={"Cache-Control": KEPT})

        return answered(request, given)

    return answer


def _record(gallery: Gallery, item: int, v: str) -> Record:
    records = gallery.records([item])
    if not records or v != version(records[0]):
        raise GalleryError(say("that picture is not there any more"))
    return records[0]


def _videos(context: AppContext) -> Handler:
    def answer(request: Request, gallery: str, item: ItemId, v: str = "") -> Response:
        def given() -> Response:
            opened = context.gallery(gallery)
            return FileResponse(opened.video_file(_record(opened, item, v)), headers=FRESH)

        return answered(request, given)

    return answer


def _items(context: AppContext) -> Handler:
    def answer(
        request: Request,
        gallery: str,
        start: Annotated[int, Query(ge=0, lt=2**31)] = 0,
        count: Annotated[int, Query(ge=1, le=MOST_ITEMS)] = 100,
        view: Annotated[str, Query(max_length=MOST_CHARACTERS)] = "",
        ids: Annotated[str, Query(max_length=20 * MOST_ITEMS)] = "",
    ) -> Response:
        def given() -> Response:
            opened = context.gallery(gallery)
            listed = _ids(ids) if ids else context.listed(opened, View.parse(view))
            items = [GridItem.of(record).as_json() for record in opened.records(listed[start : start + count])]
            return JSONResponse({"total": len(listed), "items": items}, headers=FRESH)

        return answered(request, given)

    return answer


def _all_ids(context: AppContext) -> Handler:
    def answer(
        request: Request, gallery: str, view: Annotated[str, Query(max_length=MOST_CHARACTERS)] = ""
    ) -> Response:
        def given() -> Response:
            listed = context.listed(context.gallery(gallery), View.parse(view))
            return JSONResponse({"ids": listed.tolist()}, headers=FRESH)

        return answered(request, given)

    return answer


def _ids(text: str) -> list[int]:
    try:
        return [item_id(id) for id in text.split(",")]
    except ValueError as error:
        raise GalleryError(say("these are no items")) from error


def _facets(context: AppContext) -> Handler:
    def answer(
        request: Request,
        gallery: str,
        view: Annotated[str, Query(max_length=MOST_CHARACTERS)] = "",
        part: Annotated[str, Query(max_length=MOST_NAME)] = "",
    ) -> Response:
        def given() -> Response:
            opened, public = context.gallery(gallery), context.settings.public
            found = facets(opened, View.parse(view).for_anybody(public).filters, part)
            return JSONResponse({"items": len(opened), "facets": facet_list(found, public)}, headers=FRESH)

        return answered(request, given)

    return answer


def _tags(context: AppContext) -> Handler:
    def answer(request: Request, gallery: str) -> Response:
        def given() -> Response:
            return JSONResponse({"tags": context.gallery(gallery).tags()}, headers=FRESH)

        return answered(request, given)

    return answer


def _corrections(context: AppContext) -> Handler:
    def answer(request: Request, gallery: str) -> Response:
        def given() -> Response:
            table = as_csv(context.gallery(gallery).corrections())
            return Response(table.encode("utf-8-sig"), media_type="text/csv", headers=FRESH)

        return answered(request, given)

    return answer


def at_most(few: CapacityLimiter, answer: Handler) -> Waiting:
    """So many answers are made at once. Who waits for that has none of the threads in which all others are made."""

    @wraps(answer)
    async def waiting(**asked: Any) -> Response:
        return await to_thread.run_sync(partial(answer, **asked), limiter=few)

    return waiting


def answered(request: Request, given: Callable[[], Response]) -> Response:
    """What is given to who asks, or why not."""
    LocalContext.request.set(gr.Request(request))  # tells the context who asks
    try:
        check_logged_in(request)
        answer = given()
        answer.headers["X-Content-Type-Options"] = "nosniff"
        return answer
    except Refusal as refusal:
        return refused(refusal)
    except (UnifexError, OSError) as error:
        return refused(Refusal(404, reason(error)))
