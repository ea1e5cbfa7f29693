"""The named endpoints that programs call (``gradio_client``), with the command line's JSON.

But for one name: ``gradio_client`` takes every object with a ``path`` for a file to download, so hits call it ``file``.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from gradio.data_classes import FileData
from gradio.events import api
from gradio.exceptions import Error

from unifex.core import ranges
from unifex.core.errors import UnifexError
from unifex.core.language import say
from unifex.core.progress import finish
from unifex.core.regions import AUTO, Region
from unifex.data.item import SourceError
from unifex.evaluation.compare import compare
from unifex.evaluation.protocols import EvalProtocol
from unifex.gallery import copy_groups
from unifex.gallery.copy_groups import CopyGroup
from unifex.gallery.duplicates import PICTURE
from unifex.gallery.gallery import Gallery
from unifex.gallery.naming import BY, ids_named
from unifex.retrieval.query import FEEDBACK, Query
from unifex.retrieval.search import search
from unifex.retrieval.suggestions import search_with_part
from unifex.ui.context import AppContext
from unifex.ui.endpoint_values import as_file, filters_of, gallery_named, items_marked, surveyed, text_of, told_hit
from unifex.ui.saved_endpoint import add_saved, keep

WAITING = 16  # calls that wait for a job of theirs; more of one caller's are refused by the jobs themselves


def add_endpoints(app: AppContext) -> None:
    """Register ``/search``, ``/search_words``, ``/saved``, ``/galleries``, ``/duplicates`` and ``/evaluate``."""
    _add_search(app)
    add_saved(app)
    _add_others(app)


def _add_search(app: AppContext) -> None:
    def search_endpoint(
        image: FileData | None = None,
        gallery: str = "",
        k: int = 10,
        domain: str = "",
        min_score: float = -1.0,
        dim: int = 0,
        context: bool = False,
        trust: float = 0.0,
        box: str = "",
        item: str = "",
        more: str = "",
        less: str = "",
        feedback: str = FEEDBACK[0],
        fold: str = "",
        label: str = "",
        folder: str = "",
        where: str = "",
        tag: str = "",
        save: str = "",
        words: str = "",
        text_weight: float = Query.text_weight,
    ) -> dict[str, Any]:
        """Find the items of a gallery that look like an image, or like parts of it: ``box`` is x,y,w,h, each 0 to 1.

        Several boxes stand with ``;`` between; ``auto`` is the part that the program finds by itself, where one is
        found far better than the whole of an image: its ``box`` is in the answer then.
        ``item``: one of the gallery, as hits name it, in place of the image.
        ``more`` and ``less`` like these of the gallery, one a line; ``more`` alone is enough.
        ``words``: what hits are to show, too; they count by ``text_weight`` beside the image, 0 to 1.
        ``label``, ``folder``, ``tag``, ``where``: only these, one a line; ``where`` is of further columns, as
        ``taken<=2021-03``. ``save``: keep this search by that name, as on the page; ``/saved`` lists and runs it.
        """
        opened = gallery_named(app, gallery)
        besides = _besides(app, opened, more, less, feedback, words, text_weight)
        auto = _is_auto(app, box)
        name, query = _asked(app, opened, besides, image, item, () if auto else Region.parse_all(box))
        if where and app.settings.public:
            raise UnifexError(say("where: what further columns say is the owner's to know"))
        filters = filters_of(opened, domain, min_score, label, folder, where, tag)
        if trust:
            filters = replace(filters, false_accept_rate=ranges.FALSE_ACCEPT_RATE.check(trust) / 100)
        how: dict[str, Any] = {"dim": _dim(dim), "rerank": context, "fold": _level(app, fold)}
        shown = query.lone_image if auto else None
        result, query, part = search_with_part(opened, query, shown, k, filters, **how)
        if save:
            how = {"k": k, "rerank": context, "fold": fold, "filters": filters}
            keep(app, opened, text_of("save", save), query, dim, **how)
        hits = [told_hit(hit, app.settings.public) for hit in result.hits]
        answer = {"query": name, "stranger": result.out_of_gallery, "hits": hits}
        return {"results": [answer | ({"box": str(part)} if part else {})]}

    api(search_endpoint, api_name="search")


def _add_others(app: AppContext) -> None:
    def words_endpoint(
        words: str, gallery: str = "", k: int = 10, domain: str = "", min_score: float = -1.0, fold: str = ""
    ) -> dict[str, Any]:
        """Find the items of a gallery that show what words say, where its backbone knows words."""
        opened = gallery_named(app, gallery)
        filters = filters_of(opened, domain, min_score)
        result = search(opened, Query(text=text_of("words", words)), k, filters, fold=_level(app, fold))
        return {"results": [{"query": words, "hits": [told_hit(hit, app.settings.public) for hit in result.hits]}]}

    def galleries_endpoint() -> dict[str, Any]:
        """List the galleries and what is in them."""
        return {"galleries": [asdict(found) for found in surveyed(app)]}

    async def evaluate_endpoint(
        gallery: str = "", protocol: str = "auto", dim: int = 0, context: bool = False, labels: bool = False
    ) -> dict[str, Any]:
        """Measure how well a gallery finds what belongs together."""
        opened = gallery_named(app, gallery)
        asked = EvalProtocol(text_of("protocol", protocol)), _dim(dim), context
        job = app.start("evaluate", opened.name, compare(opened, *asked), str(asked))
        return (await job.outcome()).as_json(labels)

    async def duplicates_endpoint(gallery: str = "", level: str = PICTURE) -> dict[str, Any]:
        """List the near-copies in a gallery, in groups: level bytes, picture or alike. Not on a public server."""
        app.check_local("near-copies are not compared")
        opened = gallery_named(app, gallery)
        copy_groups.check_level(text_of("level", level))
        await app.start("duplicates", opened.name, opened.find_duplicates()).outcome()
        groups = await asyncio.to_thread(lambda: finish(copy_groups.copy_groups(opened, level)))
        return {"gallery": opened.name, "level": level, "groups": [_group(group) for group in groups], "left_out": []}

    api(words_endpoint, api_name="search_words")
    api(galleries_endpoint, api_name="galleries")
    api(duplicates_endpoint, api_name="duplicates", concurrency_limit=WAITING)
    api(evaluate_endpoint, api_name="evaluate", concurrency_limit=WAITING)


def _group(group: CopyGroup) -> dict[str, Any]:
    told = group.as_json()
    return {"keep": as_file(told["keep"]), "copies": [as_file(copy) for copy in told["copies"]]}


def _is_auto(app: AppContext, box: Any) -> bool:
    """Whether a part is to be found, which is the work of a hundred searches: nothing that a stranger may start."""
    auto = text_of("box", box).strip() == AUTO
    if auto:
        app.check_local("parts of images are not looked for")
    return auto


def _besides(
    app: AppContext, gallery: Gallery, more: Any, less: Any, feedback: Any, words: Any, text_weight: Any
) -> Query:
    """Marks and words."""
    return Query(
        text=text_of("words", words),
        text_weight=ranges.BALANCE.check(text_weight),
        more=items_marked(app, gallery, "more", more),
        less=items_marked(app, gallery, "less", less),
        feedback=feedback,
    )


def _asked(
    app: AppContext,
    gallery: Gallery,
    besides: Query,
    image: FileData | dict[str, Any] | None,
    item: Any,
    regions: tuple[Region, ...],
) -> tuple[str, Query]:
    """What is searched with ``besides`` marks and words, and its name."""
    if item:
        return item, replace(besides, items=_items(app, gallery, item), regions=regions)
    if image is None and besides:
        return besides.text or "more like what is marked", replace(besides, regions=regions)
    if image is None:
        raise UnifexError(say("nothing is given to search with: give image, item, words or more"))
    path = _sent(app, image)
    return path.name, replace(besides, images=(path,), regions=regions)


def _sent(app: AppContext, image: FileData | dict[str, Any]) -> Path:
    """The file that was uploaded for the call."""
    try:
        return app.uploaded(image.get("path") if isinstance(image, dict) else getattr(image, "path", ""))
    except SourceError:
        sentence = say("image: upload the file (gradio_client.handle_file), do not name a path")
        raise Error(sentence, print_exception=False) from None


def _items(app: AppContext, gallery: Gallery, item: Any) -> tuple[int, ...]:
    """The item of this path, id or, where that may be known, address. Raises ``UnifexError`` when there is none, or
    more than one."""
    by = ("path",) if app.settings.public else BY
    return tuple(ids_named(gallery.database, [text_of("item", item)], by, or_by_id=True))


def _level(app: AppContext, fold: Any) -> str:
    """What hits are folded by. Comparing a whole gallery for it is nothing that a stranger may start."""
    if fold:
        app.check_local("near-copies are not compared")
    return text_of("fold", fold)


def _dim(dim: int) -> int | None:
    """0 is the gallery's own."""
    return ranges.DIMENSION.check(dim) if dim else None
