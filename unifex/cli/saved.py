"""The command ``saved``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from unifex.cli.options import Parser, UsageError
from unifex.cli.shared import library, refuse, say
from unifex.core.text import plural

if TYPE_CHECKING:
    from unifex.gallery.gallery import Gallery
    from unifex.retrieval.saved_search import SavedSearch


def add_commands(command: Callable[..., Parser]) -> None:
    """Add their parsers; ``command`` makes one."""
    saved = command("saved", _saved, "list the saved searches of a gallery, or run one (`search --save` makes one)")
    saved.add_argument("gallery")
    saved.add_argument("name", nargs="?", help="run this one; what it finds counts as seen then")
    saved.add_argument("--rename", metavar="NEW", help="give it another name, and run nothing")
    saved.add_argument("--delete", action="store_true", help="delete it, and run nothing")


def _saved(options: argparse.Namespace) -> dict[str, Any]:
    from unifex.retrieval.saved_search import last_id
    from unifex.retrieval.saved_searches import SavedSearches

    if options.rename is not None:
        refuse(options, "a saved search is renamed or deleted, not both", "delete")
    galleries = library(options)
    gallery = galleries.get(options.gallery)
    searches = SavedSearches(galleries, gallery)
    if options.name is None:
        if options.rename is not None or options.delete:
            raise UsageError("name the saved search that is to be renamed or deleted")
        return {"gallery": gallery.name, "saved": [_listed(options, gallery, one) for one in searches.all()]}
    saved = searches.get(options.name)
    if options.rename is not None:
        renamed = searches.rename(saved.id, options.rename)
        say(options, f"'{saved.name}' is called '{renamed}' now")
        return {"gallery": gallery.name, "name": renamed}
    if options.delete:
        searches.delete(saved.id)
        say(options, f"'{saved.name}' is deleted")
        return {"gallery": gallery.name, "deleted": saved.name}
    last = last_id(gallery)  # what comes from here on may be found, and is new the next time, too
    hits = saved.find(gallery).hits
    searches.see(saved.id, last)
    new = [saved.is_new(hit) for hit in hits]
    say(options, f"{saved.name}: {plural(len(hits), 'hit')}, {sum(new):,} new")
    for hit, is_new in zip(hits, new):
        say(options, f"{hit.rank:4d}  {hit.score:.3f}  {hit.path}{'  new' if is_new else ''}")
    found = [{**hit.as_json(), "new": is_new} for hit, is_new in zip(hits, new)]
    return {"gallery": gallery.name, "name": saved.name, "new": sum(new), "hits": found}


def _listed(options: argparse.Namespace, gallery: Gallery, saved: SavedSearch) -> dict[str, Any]:
    """One of the list; one that cannot be run here says why."""
    new, problem = saved.news(gallery)
    say(options, f"{saved.name}  {problem or f'{new} new'}")
    return {"name": saved.name, "new": new, "problem": problem}
