"""The command ``search``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unifex.cli.filtering import add_filters, chosen_filters
from unifex.cli.options import OF_GALLERY, PAGE, Parser, UsageError, on_disk
from unifex.cli.shared import PAGE_MARKS, check_out, chosen_embedder, library, say
from unifex.core import ranges
from unifex.core.console import watched
from unifex.core.errors import UnifexError
from unifex.core.regions import Region
from unifex.core.text import command, plural
from unifex.data import sources

if TYPE_CHECKING:
    from unifex.gallery.gallery import Gallery
    from unifex.retrieval.filters import Filters
    from unifex.retrieval.hits import SearchResult
    from unifex.retrieval.query import Query


def add_commands(command: Callable[..., Parser]) -> None:
    """Add their parsers; ``command`` makes one."""
    search = command("search", _search, "find the items of a gallery that look like an image", model=OF_GALLERY)
    search.add_argument("images", nargs="*", type=on_disk, metavar="IMAGE")
    search.add_argument("--text", default="", help="search with words, where the backbone knows some; also with images")
    search.add_argument(
        "--text-weight", type=ranges.BALANCE, default=0.5, help="of images (0) and --text (1); default 0.5"
    )
    search.share("--gallery", "--dim", "--rerank")
    search.add_argument("-k", type=ranges.HITS, default=10, help="hits a query (default 10)")
    add_filters(search)
    search.add_argument("--min-score", type=ranges.SIMILARITY, help="only hits at least this similar (-1 to 1)")
    search.add_argument(
        "--false-accept-rate",
        type=ranges.FALSE_ACCEPT_RATE,
        metavar="N",
        help="only matches that at most N %% of queries find whose thing is not here",
    )
    search.add_argument("--fold", action="store_true", help="near-copies are one hit, which tells how many there are")
    search.share("--level")
    search.add_argument("--together", action="store_true", help="all images show one thing: search with their mean")
    search.add_argument(
        "--item", action="append", default=[], metavar="PATH", help="search with an item of the gallery"
    )
    search.add_argument(
        "--box", action="append", type=Region.parse, default=[], metavar="X,Y,W,H",
        help="search with this part of the images: left, top, width, height, each 0 to 1 (may be repeated)",
    )  # fmt: skip
    for option, what in (("--more", "more"), ("--less", "less")):
        search.add_argument(
            option, action="append", default=[], metavar="PATH",
            help=f"{what} like this item, by path as hits show it (may be repeated)",
        )  # fmt: skip
    search.add_argument(
        "--feedback",
        default="rocchio",
        metavar="HOW",
        help="--more and --less move the query (rocchio, the default), or the nearest of them counts (nearest)",
    )
    search.add_argument(
        "--auto-box", action="store_true",
        help="search with a part of the image that is found far better than the whole, if any (screenshots, collages)",
    )  # fmt: skip
    search.add_argument(
        "--save", metavar="NAME", help="keep this search with the gallery, as on the page (`saved` runs it again)"
    )
    search.add_argument("--out", type=PAGE, metavar="FILE.html", help="the hits as one page to mail")


def _query(text: str) -> Path:
    """An image file, as far as can be told before it is opened. Raises ``UnifexError`` for what people give instead."""
    text = sources.meant(text)
    if "://" in text:
        raise UnifexError(f"'{text}' is an address, and nothing is fetched: save the image and give its file")
    if not text or Path(text).is_dir():
        raise UnifexError(f"'{text}' is a folder: give images of it, or `index` it")
    return Path(text)


def _copies(copies: tuple[int, ...] | None) -> str:
    return f"  (+{plural(len(copies), 'copy')})" if copies else ""


def _search(options: argparse.Namespace) -> dict[str, Any]:
    from unifex.core.images import ImageError
    from unifex.retrieval.suggestions import search_with_part

    given = tuple(_query(image) for image in options.images)
    if not (given or options.text or options.item or options.more):
        raise UsageError("give an image, --item, --text or --more")
    gallery = library(options).get(options.gallery, chosen_embedder(options))
    rate = None if options.false_accept_rate is None else options.false_accept_rate / 100
    filters = chosen_filters(options, min_score=options.min_score, false_accept_rate=rate)
    filters.check_known(gallery)
    check_out(options, options.out, PAGE_MARKS)
    fold = options.level if options.fold else ""
    results, found = [], []
    queries = _queries(options, given, gallery)
    if options.save is not None:
        _check_savable(options, len(queries))
    for name, query in queries:
        try:
            shown = query.lone_image if options.auto_box else None
            how = options.k, filters, options.dim, options.rerank, fold
            result, searched, part = search_with_part(gallery, query, shown, *how)
        except ImageError as error:
            raise ImageError(f"{name}: {str(error).removeprefix(f'{Path(name).name}: ')}") from error
        results.append(_as_json(name, result) | ({"box": str(part)} if part else {}))
        if part:
            say(options, f"{name}: a part is found far better than the whole; searched with it, --box {part}")
        _tell(options, name, result)
        found.append((name, searched, result))
        if options.save is not None:
            _save(options, gallery, searched, filters)
    if options.out:
        _write_page(options, gallery, found)
    return {"results": results}


def _write_page(options: argparse.Namespace, gallery: Gallery, found: list[tuple[str, Query, SearchResult]]) -> None:
    from unifex.exports.static_page import hits_section, write_page

    sections = [hits_section(gallery, _without_folders(name, query), query, result) for name, query, result in found]
    model = found[0][2].model
    watched(write_page(options.out, gallery.name, f"{plural(len(found), 'search')}, {model}", sections))
    say(options, f"the hits are in {options.out}")


def _without_folders(name: str, query: Query) -> str:
    """What a query is called for others, who need not know where its files lie."""
    files = [image for image in query.images if isinstance(image, Path)]
    for file in sorted(files, key=lambda file: -len(str(file))):  # one may end as another is called
        name = name.replace(str(file), file.name)
    return name


def _check_savable(options: argparse.Namespace, queries: int) -> None:
    """Raises ``UnifexError``."""
    if queries > 1:
        raise UsageError("--save keeps one search: give one image, or --together where all show one thing")
    if options.dim:
        raise UsageError("a search is saved at the gallery's own --dim; leave it out")


def _save(options: argparse.Namespace, gallery: Gallery, query: Query, filters: Filters) -> None:
    from unifex.retrieval.saved_search import SavedSearch
    from unifex.retrieval.saved_searches import SavedSearches

    fold = options.level if options.fold else ""
    saved = SavedSearch.new(
        gallery, options.save, query, filters=filters, k=options.k, rerank=options.rerank, fold=fold
    )
    SavedSearches(library(options), gallery).add(saved)
    say(options, f"saved as '{saved.name}': `{command('saved', gallery.name, saved.name)}` runs it again")


def _queries(options: argparse.Namespace, given: tuple[Path, ...], gallery: Gallery) -> list[tuple[str, Query]]:
    """What was asked for, each with its name: one an image or item, or one of all."""
    from unifex.gallery.naming import ids_named
    from unifex.retrieval.query import Query

    items = tuple(gallery.item_at(path).id for path in options.item)
    shown = [(str(image), (image,), ()) for image in given]
    shown += [(path, (), (item,)) for path, item in zip(options.item, items)]
    if options.together or not shown:
        shown = [(", ".join(name for name, _, _ in shown), given, items)]
    saying: dict[str, Any] = {
        "text": options.text or "", "text_weight": options.text_weight, "regions": tuple(options.box),
        "more": tuple(ids_named(gallery.database, options.more, or_by_id=True)),
        "less": tuple(ids_named(gallery.database, options.less, or_by_id=True)),
        "feedback": options.feedback,
    }  # fmt: skip
    words = repr(options.text) if options.text else ""
    marked = f"more like {', '.join(options.more)}"
    return [
        (", ".join(filter(None, [name, words])) or marked, Query(images, ids, **saying)) for name, images, ids in shown
    ]


def _as_json(name: str, result: SearchResult) -> dict[str, Any]:
    return {
        "query": name,
        "model": result.model,
        "index": result.index,
        "searched": result.searched,
        "stranger": result.out_of_gallery,
        "hits": [hit.as_json() for hit in result.hits],
    }


def _tell(options: argparse.Namespace, name: str, result: SearchResult) -> None:
    found = f"{plural(len(result.hits), 'hit')} in {plural(result.searched, 'item')}"
    say(options, f"{name}: {found} ({result.model}, {result.index})")
    if result.out_of_gallery:
        say(options, "      probably not in this gallery: nothing is alike enough")
    for hit in result.hits:
        where = "/".join(part for part in (hit.domain, hit.label) if part)
        say(options, f"{hit.rank:4d}  {hit.score:.3f}  {hit.path}  {where}{_copies(hit.copies)}")
