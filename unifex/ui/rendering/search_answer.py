"""What the Search tab answers: a line of figures, the hits as a CSV, and why there are none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from markupsafe import Markup

from unifex.core.language import say
from unifex.core.tables import to_csv
from unifex.core.templates import render
from unifex.gallery.tags import SEPARATOR
from unifex.retrieval.filters import Filters
from unifex.retrieval.hits import Hit, SearchResult
from unifex.ui.rendering.html import data_uri, message

TAGS = "tags"  # a column where there are some
# The CSV of the hits. A column is a line here; where the image files lie is left out for strangers.
HIT_COLUMNS: dict[str, Callable[[Hit], str]] = {
    "rank": lambda hit: str(hit.rank),
    "path": lambda hit: hit.path,
    "label": lambda hit: hit.label,
    "domain": lambda hit: hit.domain,
    "score": lambda hit: f"{hit.score:.6f}",
    "chance": lambda hit: "" if hit.probability is None else f"{hit.probability:.4f}",
    "uri": lambda hit: hit.record.uri,
}


def search_status(
    result: SearchResult, gallery: str, query: Sequence[str], text: str = "", places: bool = True, keeps: bool = True
) -> Markup:
    """What was searched and how long it took, with the query's thumbnails and words, and the hits as a CSV link.

    ``places``: the CSV tells where the image files lie. ``keeps``: the search can be saved.
    """
    return render(
        "search_status.html", result=result, gallery=gallery, text=text,
        query=query, keeps=keeps,
        csv=data_uri(hits_csv(result.hits, strangers=not places)),
    )  # fmt: skip


def hits_csv(hits: Iterable[Hit], strangers: bool = False) -> str:
    """The hits as CSV, with tags and the further columns that any of them has; ``strangers`` are told neither the
    latter, which may say anything of anybody, nor where images lie."""
    rows = [
        {name: "" if strangers and name == "uri" else value(hit) for name, value in HIT_COLUMNS.items()}
        | ({TAGS: SEPARATOR.join(hit.record.tags)} if hit.record.tags else {})
        | ({} if strangers else hit.record.labels.beside({*HIT_COLUMNS, TAGS}))
        for hit in hits
    ]
    columns = dict.fromkeys([*HIT_COLUMNS, *(name for row in rows for name in row)])
    return to_csv(columns, ([row.get(name, "") for name in columns] for row in rows))


def empty() -> Markup:
    """There is nothing that could be found."""
    return message(say("This gallery is empty"), say("Add images in the Gallery tab: a folder, a .zip or a .csv."))


def no_query() -> Markup:
    """Search was pressed without anything to search with."""
    text = say("Drop, paste or choose an image on the box, or press one of the images below.")
    return message(say("Nothing to search with yet"), text, "warning")


def nothing_left() -> Markup:
    """Filters leave nothing."""
    return message(say("Nothing is left to search"), say("Remove a filter, or search everywhere."), "warning")


def out_of_gallery() -> Markup:
    """What is searched for is not here, as far as can be told."""
    text = say(
        "Even the best hit is only as alike as what queries find whose thing is not here, as this gallery tells. "
        "What follows is the nearest there is."
    )
    return message(say("Probably not in this gallery"), text, "warning")


def why_nothing(result: SearchResult, filters: Filters) -> str:
    """What is said where nothing is found among what ``filters`` leave."""
    if not result.items:
        return message(say("This gallery is empty"), say("Add images in the Gallery tab."), "warning")
    if filters.false_accept_rate:
        return message(
            say("No match that can be trusted"),
            say(
                "Nothing here is more alike than what {share:.0f} % of queries find whose thing "
                "is not in the gallery. Choose another setting under Trust to see the nearest.",
                share=100 * filters.false_accept_rate,
            ),
            "warning",
        )
    if filters.min_score is not None:
        return message(
            say("Nothing is that similar"), say("Lower the least similarity, or remove a filter."), "warning"
        )
    return nothing_left()
