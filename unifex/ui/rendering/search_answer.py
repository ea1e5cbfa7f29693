"""What the Search tab answers: a line of figures, the hits as cards and as a CSV."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from markupsafe import Markup

from unifex.core.tables import to_csv
from unifex.core.templates import render
from unifex.gallery.tags import SEPARATOR
from unifex.retrieval.hits import Hit, SearchResult
from unifex.ui.rendering.html import data_uri

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
    result: SearchResult, gallery: str, query: Sequence[str], text: str = "", places: bool = True
) -> Markup:
    """What was searched and how long it took, with the query's thumbnails and words, and the hits as a CSV link.

    ``places``: the CSV tells where the image files lie.
    """
    return render(
        "search_status.html", result=result, gallery=gallery, text=text,
        query=query,
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
