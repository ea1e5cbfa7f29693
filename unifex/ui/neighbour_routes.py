"""What the large view asks for beside an item.

``/alike/GALLERY/ITEM`` are the items that look most like one, ``/labels/GALLERY?like=TEXT`` labels that exist, those
that begin so first. Whoever may not see a gallery gets the same answer as for one that is not there.
"""

from __future__ import annotations

from typing import Annotated

from anyio import CapacityLimiter
from fastapi import Query as Asked
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from unifex.retrieval.query import Query
from unifex.retrieval.search import search
from unifex.ui.context import AppContext
from unifex.ui.item_routes import FRESH, Handler, ItemId, answered, at_most
from unifex.ui.rendering.grid import GridItem
from unifex.ui.server.picture_addresses import ALIKE, LABELS

NEAREST = 16  # items that look most like one
SUGGESTED = 12  # labels
SEARCHES = 2  # at once: pages go through items quicker than they look at them


def neighbour_routes(context: AppContext) -> list[APIRoute]:
    """The routes, for whoever asks."""
    alike = at_most(CapacityLimiter(SEARCHES), _alike(context))
    routes = {f"/{ALIKE}/{{gallery}}/{{item}}": alike, f"/{LABELS}/{{gallery}}": _labels(context)}
    return [APIRoute(path, handler, include_in_schema=False) for path, handler in routes.items()]


def _alike(context: AppContext) -> Handler:
    def answer(request: Request, gallery: str, item: ItemId) -> Response:
        def given() -> Response:
            hits = search(context.gallery(gallery), Query(items=(item,)), NEAREST).hits
            return _json("items", [GridItem.of_hit(hit).as_json() for hit in hits])

        return answered(request, given)

    return answer


def _labels(context: AppContext) -> Handler:
    def answer(request: Request, gallery: str, like: Annotated[str, Asked(max_length=1000)] = "") -> Response:
        def given() -> Response:
            names = [str(name) for name in context.gallery(gallery).snapshot().columns.labels.names if name]
            wanted = like.strip().casefold()
            found = sorted((name.casefold().find(wanted), name) for name in names)
            return _json("labels", [name for at, name in found if at >= 0][:SUGGESTED])

        return answered(request, given)

    return answer


def _json(name: str, values: list) -> Response:
    return JSONResponse({name: values}, headers=FRESH)
