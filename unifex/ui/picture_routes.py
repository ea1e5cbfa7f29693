"""Pictures by address: ``/thumb/GALLERY/ITEM?v=HASH`` what is kept of an item, ``/picture/...`` its image, larger.

An address names the picture's content, so that a browser keeps what it was given; whoever may not see the gallery gets
the same answer as for one that is not there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Annotated

import gradio as gr
from fastapi import Path
from fastapi.routing import APIRoute
from gradio.context import LocalContext
from starlette.requests import Request
from starlette.responses import Response

from unifex.core import images, thumbnails
from unifex.core.errors import UnifexError
from unifex.core.text import reason
from unifex.gallery.gallery import Gallery, GalleryError, Record
from unifex.ui.context import AppContext
from unifex.ui.server.door import check_logged_in, refused
from unifex.ui.server.picture_addresses import PREVIEW, THUMBNAIL, version
from unifex.ui.server.rates import Refusal

KEPT = "private, max-age=31536000, immutable"
Picture = Callable[[Gallery, Record], bytes]
_DECODERS = threading.BoundedSemaphore(2)  # originals that are decoded at once


def thumbnail(gallery: Gallery, record: Record) -> bytes:
    """As it is kept. Raises ``GalleryError`` when it is lost, and the image as well."""
    data = gallery.thumbnail(record.sha256)
    if not data:
        raise GalleryError(f"the thumbnail is lost, and the image file is no longer there ({record.path})")
    return data


def preview(gallery: Gallery, record: Record) -> bytes:
    """JPEG bytes of the image without any metadata. Raises ``GalleryError`` and ``images.ImageError``."""
    with _DECODERS:
        large = images.decode(gallery.original(record), at_least=thumbnails.PREVIEW_SIZE).image
        return thumbnails.thumbnail(large, thumbnails.PREVIEW_SIZE, quality=85)


PICTURES: dict[str, Picture] = {THUMBNAIL: thumbnail, PREVIEW: preview}


def picture_routes(context: AppContext) -> list[APIRoute]:
    """The routes ``/KIND/GALLERY/ITEM``."""
    return [
        APIRoute(f"/{kind}/{{gallery}}/{{item}}", _handler(context, picture), include_in_schema=False)
        for kind, picture in PICTURES.items()
    ]


def _handler(context: AppContext, picture: Picture) -> Callable[..., Response]:
    def answer(request: Request, gallery: str, item: Annotated[int, Path(ge=0, lt=2**63)], v: str = "") -> Response:
        LocalContext.request.set(gr.Request(request))  # tells the context who asks
        try:
            check_logged_in(request)
            opened = context.gallery(gallery)
            records = opened.records([item])
            if not records or v != version(records[0]):
                raise GalleryError("that picture is not there any more")
            data = picture(opened, records[0])
        except Refusal as refusal:
            return refused(refusal)
        except (UnifexError, OSError) as error:
            return refused(Refusal(404, reason(error)))
        return Response(
            data,
            media_type=thumbnails.media_type(data),
            headers={"Cache-Control": KEPT, "X-Content-Type-Options": "nosniff"},
        )

    return answer
