"""What can be asked for at ``/api/v1``: galleries, their items, searches, jobs. A method is an operation, its docstring
what its users are told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Annotated, Any

from anyio import CapacityLimiter, to_thread
from fastapi import Header, Path
from fastapi import Query as InAddress
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import Response

from unifex.core import thumbnails
from unifex.core.images import MAX_BYTES
from unifex.core.jobs import JobError
from unifex.core.language import say
from unifex.core.text import reason, shortened
from unifex.gallery.errors import NoSuchGallery
from unifex.gallery.gallery import Facts, Gallery, GalleryError, Record
from unifex.gallery.library import Broken
from unifex.models.image_like import ImageLike
from unifex.retrieval.browsing import check_order
from unifex.retrieval.filters import Filters
from unifex.retrieval.query import Query
from unifex.retrieval.suggestions import search_with_part
from unifex.ui.components.index_jobs import IndexJobs
from unifex.ui.context import ERRORS, AppContext
from unifex.ui.endpoint_values import facts_of
from unifex.ui.item_routes import ItemId, thumbnail
from unifex.ui.rest.models import (
    BrokenGallery,
    GalleryFacts,
    GalleryPage,
    ImageOptions,
    IndexRequest,
    ItemFacts,
    ItemPage,
    JobFacts,
    JobPage,
    Listing,
    Paging,
    SearchAnswer,
    SearchRequest,
)
from unifex.ui.rest.refusals import INVALID, Refused
from unifex.ui.server.picture_addresses import version
from unifex.ui.view import View

SEARCHES = 4  # at work at once, of all who ask
MOST_IMAGES = 16  # of one search
MOST_FIELDS = 50  # of one form, so that the one that is not known can be named
MOST_TAGS = 8192  # characters of what a cache has already
FORM, JSON, PICTURE = "multipart/form-data", "application/json", "image/"
GalleryName = Annotated[str, Path(description="Name of a gallery.", examples=["holiday"])]


class Resources:
    """For who asks. Every method raises ``UnifexError`` and OSError, which :mod:`refusals` answers."""

    def __init__(self, context: AppContext):
        self.context = context
        self._searchers = CapacityLimiter(SEARCHES)

    # --- galleries and items -------------------------------------------------------------------------------------

    def list_galleries(self, paging: Annotated[Paging, InAddress()]) -> GalleryPage:
        """List the galleries, and what is in them."""
        names = self.context.library.names()
        told = [_told(facts_of(self.context, name)) for name in names[paging.part]]
        return GalleryPage(total=len(names), next=paging.next(len(names)), galleries=told)

    def show_gallery(self, gallery: GalleryName) -> GalleryFacts:
        """Tell what is in a gallery."""
        with self._gallery(gallery) as opened:
            return GalleryFacts.of(opened.facts())

    def list_items(self, gallery: GalleryName, listing: Annotated[Listing, InAddress()]) -> ItemPage:
        """List the items of a gallery, or those that filters leave."""
        with self._gallery(gallery) as opened:
            view = View.of(opened.name, self._checked(opened, listing.filters()), listing.order)
            check_order(opened, view.for_anybody(self.context.settings.public).order)
            ids = self.context.listed(opened, view)
            items = [self._item(record) for record in opened.records(ids[listing.part].tolist())]
            return ItemPage(total=len(ids), next=listing.next(len(ids)), items=items)

    def show_item(self, gallery: GalleryName, item: ItemId) -> ItemFacts:
        """Tell what is known of an item."""
        with self._gallery(gallery) as opened:
            return self._item(opened.record(item))

    def show_thumbnail(
        self, gallery: GalleryName, item: ItemId, if_none_match: Annotated[str, Header(max_length=MOST_TAGS)] = ""
    ) -> Response:
        """An item's picture, small: JPEG, or WebP of old galleries. Its ETag is of the item's `version`."""
        with self._gallery(gallery) as opened:
            record = opened.record(item)
            # kept, and asked for again each time: an item's next picture has the same address
            headers = {"ETag": f'"{version(record)}"', "Cache-Control": "private, no-cache"}
            known = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
            if known & {headers["ETag"], "*"}:
                return Response(status_code=304, headers=headers)
            try:
                picture = thumbnail(opened, record)
            except GalleryError as error:
                raise Refused(404, "picture_lost", str(error)) from error
            return Response(picture, media_type=thumbnails.media_type(picture), headers=headers)

    # --- searching -----------------------------------------------------------------------------------------------

    async def search(
        self, request: Request, gallery: GalleryName, options: Annotated[ImageOptions, InAddress()]
    ) -> SearchAnswer:
        """Find items: by an image, by items of the gallery, by words, or by what is more and less like it.

        JSON; an image as it is, with what else there is to say in the address; or a form with files `image`, and the
        rest in the address or as the same JSON in its field `query`. Nothing that is sent is kept.
        """
        said, images = await _sent(request)
        if said is not None and options.model_fields_set:
            raise Refused(422, INVALID, say("what is to be found is said in the address or as JSON, not in both"))
        asked = options.request() if said is None else SearchRequest.model_validate_json(said)
        return await to_thread.run_sync(partial(self._found, gallery, asked, images), limiter=self._searchers)

    def _found(self, name: str, asked: SearchRequest, images: list[bytes]) -> SearchAnswer:
        with self._gallery(name) as gallery:
            return self._answer(gallery, asked, asked.query(images))

    def _answer(self, gallery: Gallery, asked: SearchRequest, query: Query) -> SearchAnswer:
        filters = self._checked(gallery, asked.filters.filters(asked.min_similarity))
        query.check_known(gallery)
        if asked.fold:
            self.context.check_local(say("near-copies are not compared"))
        how: dict[str, Any] = {"k": asked.depth, "dim": asked.dim, "rerank": asked.rerank, "fold": asked.folded}
        shown = self._whole(gallery, query) if asked.auto_box else None
        result, _, part = search_with_part(gallery, query, shown, filters=filters, **how)
        return SearchAnswer.of(gallery.name, result, asked, part, self.context.settings.public)

    def _whole(self, gallery: Gallery, query: Query) -> ImageLike:
        """The one picture of which a part is to be found: the work of a hundred searches, nothing for strangers."""
        self.context.check_local(say("parts of images are not looked for"))
        if query.lone_item is not None:
            return gallery.original(query.records(gallery)[0])
        if query.lone_image is None:
            raise Refused(422, INVALID, say("a part is found of one picture, without boxes, words and marks"))
        return query.lone_image

    # --- jobs ----------------------------------------------------------------------------------------------------

    def list_jobs(self, paging: Annotated[Paging, InAddress()]) -> JobPage:
        """List your jobs that run, wait or have ended lately, oldest first."""
        jobs = self.context.jobs.of(self.context.owner)
        told = [JobFacts.of(job) for job in jobs[paging.part]]
        return JobPage(total=len(jobs), next=paging.next(len(jobs)), jobs=told)

    def index_folder(self, asked: IndexRequest) -> JobFacts:
        """Add a folder of this computer to a gallery, made where there is none yet, or bring it up to date with it.
        The answer is the job; ask for the list of jobs to see how far it is."""
        return JobFacts.of(IndexJobs(self.context).start(asked.folder, asked.gallery))

    def cancel_job(self, job: Annotated[str, Path(max_length=64)]) -> JobFacts:
        """End a job of yours; what it has done is kept."""
        try:
            return JobFacts.of(self.context.jobs.cancel(self.context.owner, job))
        except JobError as error:
            raise Refused(404, "no_such_job", str(error)) from error

    # --- what is there -------------------------------------------------------------------------------------------

    @contextmanager
    def _gallery(self, name: str) -> Iterator[Gallery]:
        """A gallery to be asked. Whatever fails with one that went meanwhile fails since it went."""
        opened = self._open(name)
        try:
            yield opened
        except ERRORS as error:
            if not opened.is_there():
                raise NoSuchGallery.any_more(name) from error
            raise

    def _open(self, name: str) -> Gallery:
        try:
            return self.context.gallery(name)
        except NoSuchGallery:
            raise
        except ERRORS as error:
            if self.context.library.named(name):
                raise Refused(409, "gallery_unusable", reason(error)) from error
            raise Refused(404, "no_such_gallery", reason(error)) from error

    def _item(self, record: Record) -> ItemFacts:
        return ItemFacts.of(record, self.context.settings.public)

    def _checked(self, gallery: Gallery, filters: Filters) -> Filters:
        """Themselves, where who asks may ask for that, and there is such a thing."""
        View.of(gallery.name, filters).for_anybody(self.context.settings.public)
        filters.check_known(gallery)
        return filters


def _told(found: Facts | Broken) -> GalleryFacts | BrokenGallery:
    if isinstance(found, Broken):
        return BrokenGallery(name=found.name, problem=found.problem)
    return GalleryFacts.of(found)


async def _sent(request: Request) -> tuple[str | bytes | None, list[bytes]]:
    """The JSON that says what to search for, None where there is none, and images. Raises :class:`Refused`."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == JSON:
        return await _body(request), []
    if kind.startswith(PICTURE):
        return None, [await _body(request)]
    if kind != FORM:
        told = say("send {json}, {form} or an image as {image}", json=JSON, form=FORM, image="image/jpeg")
        raise Refused(415, "unsupported_media_type", told)
    async with request.form(max_files=MOST_IMAGES, max_fields=MOST_FIELDS) as form:
        return _query(form), [await image.read() for image in _images(form)]


async def _body(request: Request) -> bytes:
    """All of it. Raises :class:`Refused` as soon as it is more than an image may have."""
    body = bytearray()
    async for part in request.stream():
        body.extend(part)
        if len(body) > MAX_BYTES:
            raise Refused(413, "too_large", say("a request may have {most} MiB", most=MAX_BYTES // 2**20))
    return bytes(body)


def _query(form: FormData) -> str | None:
    query = form.get("query")
    if isinstance(query, UploadFile):
        raise Refused(422, INVALID, say("query is a text, image a file"))
    return query


def _images(form: FormData) -> list[UploadFile]:
    sent = [value for name, value in form.multi_items() if name != "query"]
    if others := sorted({name for name, _ in form.multi_items()} - {"query", "image"}):
        told = say(
            "a form has no field '{name}': image is a file, and the rest is said in the address or as JSON in query",
            name=shortened(others[0]),
        )
        raise Refused(422, INVALID, told)
    if any(isinstance(one, str) for one in sent):
        raise Refused(422, INVALID, say("query is a text, image a file"))
    return [one for one in sent if isinstance(one, UploadFile)]
