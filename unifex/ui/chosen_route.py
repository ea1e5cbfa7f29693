"""What was chosen in a grid, to download: ``POST /chosen/GALLERY`` with ``what`` and ``items``.

It is sent while it is made.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import quote

from fastapi import Form
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from unifex.core.errors import UnifexError
from unifex.core.language import say
from unifex.gallery import handing_out
from unifex.gallery.gallery import Gallery, GalleryError
from unifex.ui.components.chosen import Chosen
from unifex.ui.context import AppContext
from unifex.ui.item_routes import answered
from unifex.ui.server.picture_addresses import CHOSEN


@dataclass(frozen=True)
class Kind:
    """A kind of download: how its file's name ends, what is in it, and whether image files are."""

    ending: str
    media_type: str
    content: Callable[[Gallery, list[int]], Iterator[bytes]]
    files: bool


def _folders(gallery: Gallery, ids: list[int]) -> Iterator[bytes]:
    """A folder a label; domains tell labels apart where there are several."""
    several = len(gallery.facts().domains) > 1
    return handing_out.as_zip(gallery, ids, handing_out.by_domain_and_label if several else handing_out.by_label)


def _originals(gallery: Gallery, ids: list[int]) -> Iterator[bytes]:
    return handing_out.as_zip(gallery, ids, handing_out.as_they_lie)


KINDS = {
    "csv": Kind("csv", "text/csv; charset=utf-8", handing_out.as_csv, False),
    "originals": Kind("zip", "application/zip", _originals, True),
    "folders": Kind("zip", "application/zip", _folders, True),
}


def chosen_route(context: AppContext) -> APIRoute:
    """The route, for whoever asks; image files are for who runs the server, and for whose the gallery is."""

    def answer(request: Request, gallery: str, what: Annotated[str, Form()], items: Annotated[str, Form()]) -> Response:
        def given() -> Response:
            opened, kind, chosen = context.gallery(gallery), KINDS.get(what), _chosen(items)
            if kind is None:
                raise UnifexError(say("there is no such download; reload the page"))
            if kind.files and not context.may_have_files(gallery):
                raise GalleryError(say("image files of this gallery are its owner's alone"))
            name = quote(f"{opened.name} chosen.{kind.ending}")
            headers = {
                "Content-Disposition": f"attachment; filename*=UTF-8''{name}",
                "Cache-Control": "no-store",
                "Content-Encoding": "identity",  # a zip is not compressed again
            }
            content = kind.content(opened, chosen.of(opened, context.listed))
            return StreamingResponse(content, media_type=kind.media_type, headers=headers)

        return answered(request, given)

    return APIRoute(f"/{CHOSEN}/{{gallery}}", answer, methods=["POST"], include_in_schema=False)


def _chosen(items: str) -> Chosen:
    try:
        return Chosen.told(json.loads(items))
    except (ValueError, RecursionError) as error:
        raise UnifexError(say("these are no items; reload the page")) from error
