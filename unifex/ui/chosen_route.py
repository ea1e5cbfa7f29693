"""What was chosen in a grid, to download: ``POST /chosen/GALLERY`` with ``what`` (a format) and ``items``.

It is sent while it is made. Who may not have a gallery's image files gets thumbnails in their place.
"""

from __future__ import annotations

import mimetypes
from typing import Annotated
from urllib.parse import quote

from fastapi import Form
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from unifex.core.errors import UnifexError
from unifex.core.json_text import parse_json
from unifex.core.language import say
from unifex.exports.export import sent
from unifex.exports.formats import FORMATS
from unifex.exports.selection import Selection
from unifex.gallery.gallery import GalleryError
from unifex.ui.components.chosen import Chosen
from unifex.ui.context import AppContext
from unifex.ui.item_routes import answered
from unifex.ui.page_state import as_told
from unifex.ui.server.picture_addresses import CHOSEN


def chosen_route(context: AppContext) -> APIRoute:
    """The route, for whoever asks; what is guarded is for who runs the server, and for whose the gallery is."""

    def answer(request: Request, gallery: str, what: Annotated[str, Form()], items: Annotated[str, Form()]) -> Response:
        def given() -> Response:
            opened, format = context.gallery(gallery), FORMATS.get(what)
            with as_told():
                chosen = Chosen.told(parse_json(items))
            if format is None or not format.offered:
                raise UnifexError(say("there is no such download; reload the page"))
            own = context.may_have_files(gallery)
            if format.guarded and not own:
                raise GalleryError(say("image files of this gallery are its owner's alone"))
            images = "originals" if own else "thumbnails"
            selection = Selection.of(opened, chosen.of(opened, context.listed), images, further=own)
            name = quote(f"{opened.name} chosen{format.suffix or f' {format.name}.zip'}")
            headers = {
                "Content-Disposition": f"attachment; filename*=UTF-8''{name}",
                "Cache-Control": "no-store",
                "Content-Encoding": "identity",  # a zip is not compressed again
            }
            media_type = mimetypes.guess_type(name)[0]
            return StreamingResponse(sent(selection, format), media_type=media_type, headers=headers)

        return answered(request, given)

    return APIRoute(f"/{CHOSEN}/{{gallery}}", answer, methods=["POST"], include_in_schema=False)
