"""The command ``search``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from unifex.cli.options import Parser
from unifex.cli.shared import chosen_embedder, library, say
from unifex.core import ranges
from unifex.core.errors import UnifexError


def add_commands(command: Callable[..., Parser]) -> None:
    """Add their parsers; ``command`` makes one."""
    search = command("search", _search, "find the items of a gallery that look like an image")
    search.add_argument("images", nargs="*", metavar="IMAGE")
    search.add_argument("--text", default="", help="search with words, where the backbone knows some; also with images")
    search.add_argument(
        "--text-weight", type=ranges.BALANCE, default=0.5, help="of images (0) and --text (1); default 0.5"
    )
    search.share("--gallery", "--domain", "--dim", "--rerank")
    search.add_argument("-k", type=ranges.HITS, default=10, help="hits a query (default 10)")
    search.add_argument("--split", action="append", default=[], help="only this split (may be repeated)")
    search.add_argument("--min-score", type=ranges.SIMILARITY, help="only hits at least this similar (-1 to 1)")
    search.add_argument(
        "--false-accept-rate",
        type=ranges.FALSE_ACCEPT_RATE,
        metavar="N",
        help="only matches that at most N %% of queries find whose thing is not here",
    )
    search.add_argument("--together", action="store_true", help="all images show one thing: search with their mean")


def _query(text: str) -> Path:
    """An image file, as far as can be told before it is opened. Raises ``UnifexError`` for what people give instead."""
    if "://" in text:
        raise UnifexError(f"'{text}' is an address, and nothing is fetched: save the image and give its file")
    if not text or Path(text).is_dir():
        raise UnifexError(f"'{text}' is a folder: give images of it, or `index` it")
    return Path(text)


def _search(options: argparse.Namespace) -> dict[str, Any]:
    from unifex.core.images import ImageError
    from unifex.retrieval.filters import Filters
    from unifex.retrieval.query import Query
    from unifex.retrieval.search import search

    if not options.images and not options.text:
        raise UnifexError("give an image, or --text")
    given = tuple(_query(image) for image in options.images)
    gallery = library(options).get(options.gallery, chosen_embedder(options))
    rate = None if options.false_accept_rate is None else options.false_accept_rate / 100
    filters = Filters(tuple(options.domain), tuple(options.split), options.min_score, false_accept_rate=rate)
    filters.check_known(gallery)
    together = options.together or not options.images
    results = []
    for images in [given] if together else [(image,) for image in given]:
        name = ", ".join([*map(str, images), *([repr(options.text)] if options.text else [])])
        try:
            query = Query(images, text=options.text or "", text_weight=options.text_weight)
            result = search(gallery, query, options.k, filters, options.dim, options.rerank)
        except ImageError as error:
            raise ImageError(f"{name}: {error}") from error
        results.append(
            {"query": name, "stranger": result.out_of_gallery, "hits": [hit.as_json() for hit in result.hits]}
        )
        say(options, f"{name}: {len(result.hits)} hits in {result.searched:,} items ({result.model}, {result.index})")
        if result.out_of_gallery:
            say(options, "      probably not in this gallery: nothing is alike enough")
        for hit in result.hits:
            where = "/".join(part for part in (hit.domain, hit.label) if part)
            say(options, f"{hit.rank:4d}  {hit.score:.3f}  {hit.path}  {where}")
    return {"results": results}
