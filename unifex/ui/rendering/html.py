"""Everything the page shows that is not a Gradio component, as HTML text. Every text from outside is escaped.

Pictures are embedded as data URIs: no file of a gallery has an address that a stranger could guess, and nothing of an
image's metadata is served.
"""

from __future__ import annotations

import base64
import csv
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape

from unifex.core import images
from unifex.core.text import duration, harmless, plural, size
from unifex.data.item import Skipped
from unifex.gallery.gallery import Facts, Record
from unifex.gallery.indexing import Forecast, IndexReport
from unifex.retrieval.search import Hit, SearchResult
from unifex.ui.theme import asset

REPORT_LINES = 200


def message(title: str, text: str = "", kind: str = "info") -> str:
    """A short notice; ``kind`` is info, good, warning or error."""
    body = f"<p>{escape(text)}</p>" if text else ""
    role = "alert" if kind == "error" else "status"
    return f'<div class="note {kind}" role="{role}"><strong>{escape(title)}</strong>{body}</div>'


def hint(text: str) -> str:
    """A line in the background."""
    return f'<p class="hint">{escape(text)}</p>'


def card(record: Record, thumbnail: bytes, action: str, badge: str = "", described: str = "", kind: str = "") -> str:
    """A thumbnail that is a button; ``badge`` stands in its corner, ``kind`` is a class of its own."""
    name = record.label or record.path.rpartition("/")[2]
    number = f'<span class="score">{escape(badge)}</span>' if badge else ""
    spoken = ", ".join(part for part in (name, record.domain or "no domain", described) if part)
    return (
        f'<button type="button" class="card {kind}" data-item="{record.id}" title="{escape(record.path)}" '
        f'aria-label="{action} {escape(spoken)}"><img src="{images.data_uri(thumbnail)}" alt="" loading="lazy">{number}'
        f'<span class="name">{escape(name)}</span><span class="domain">{escape(record.domain) or "&nbsp;"}</span></button>'
    )


def _hit_card(hit: Hit, thumbnail: bytes) -> str:
    if hit.chance is None:
        return card(hit.record, thumbnail, "Open", f"{hit.score:.3f}", f"similarity {hit.score:.3f}")
    described = f"similarity {hit.score:.3f}, {100 * hit.chance:.0f} % chance to be right"
    return card(hit.record, thumbnail, "Open", f"{hit.score:.3f} · {100 * hit.chance:.0f} %", described)


def hit_grid(hits: Sequence[tuple[Hit, bytes]]) -> str:
    """The hits, best first, each with its thumbnail."""
    cards = "".join(_hit_card(hit, thumbnail) for hit, thumbnail in hits)
    return f'<div class="grid" data-kind="hits">{cards}</div>'


def of_gallery(name: str, markup: str) -> str:
    """Markup whose cards are items of this gallery."""
    return f'<div data-gallery="{escape(name)}">{markup}</div>'


def sample_grid(samples: Sequence[tuple[Record, bytes]]) -> str:
    """Items to begin with, for who has no query yet."""
    cards = "".join(card(record, thumbnail, "Search with") for record, thumbnail in samples)
    return f'<p class="hint">Drop an image into the box, or start with one of these:</p><div class="grid" data-kind="samples">{cards}</div>'


def search_status(
    result: SearchResult, gallery: str, query: Sequence[bytes], words: str = "", places: bool = True
) -> str:
    """What was searched and how long it took, with the query's thumbnails and words, and the hits as a CSV link.

    ``places``: the CSV tells where the image files lie.
    """
    said = f"for <q>{escape(words)}</q> " if words else ""
    thumbnails = "".join(f'<img src="{images.data_uri(thumbnail)}" alt="query">' for thumbnail in query)
    milliseconds = 1000 * (result.embed_seconds + result.search_seconds)
    link = (
        f'<a class="download" download="hits.csv" href="{hits_csv_uri(result.hits, places)}">Download CSV</a>'
        if result.hits
        else ""
    )
    return (
        f'<div class="status"><span class="queries">{thumbnails}</span><span><strong>{plural(len(result.hits), "hit")}</strong> {said}'
        f"among {_searched(result)} of <em>{escape(gallery)}</em> in {milliseconds:.0f} ms"
        f"<small>{escape(result.model)} · {escape(result.index)}{' · re-ranked in context' if result.context else ''} · embedding {1000 * result.embed_seconds:.1f} ms, "
        f"search {1000 * result.search_seconds:.1f} ms</small></span>{link}</div>"
    )


def _searched(result: SearchResult) -> str:
    if result.searched == result.items:
        return plural(result.items, "item")
    return f"{result.searched:,} of {plural(result.items, 'item')}"


def hits_csv_uri(hits: Iterable[Hit], places: bool = True) -> str:
    """The hits as a CSV file in a data URI; cells that a spreadsheet would run are made harmless."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["rank", "path", "label", "domain", "score", "chance", "uri"])
    for hit in hits:
        chance = "" if hit.chance is None else f"{hit.chance:.4f}"
        cells = [hit.path, hit.label, hit.domain, f"{hit.score:.6f}", chance, hit.record.uri if places else ""]
        writer.writerow([hit.rank, *map(harmless, cells)])
    return csv_uri(text.getvalue())


def csv_uri(text: str) -> str:
    """CSV text as the ``href`` of a download link, with the mark that spreadsheets know UTF-8 by."""
    return f"data:text/csv;base64,{base64.b64encode(text.encode('utf-8-sig')).decode()}"


def detail(record: Record, picture: bytes, problem: str = "") -> str:
    """One item, large, with everything known of it. ``problem`` says why only the thumbnail can be shown."""
    rows = {
        "Label": record.label or "none",
        "Domain": record.domain or "none",
        "Split": record.split or "none",
        "Path": record.path,
        "Size": f"{record.width} x {record.height} pixels, {size(record.bytes)}",
    }
    facts = "".join(f"<dt>{name}</dt><dd>{escape(value)}</dd>" for name, value in rows.items())
    warning = message("Only the thumbnail is left", problem, "warning") if problem else ""
    shown = escape(record.label or record.path)
    return (
        f'<h2 id="detail-title">{shown}</h2><div class="detail"><img src="{images.data_uri(picture)}" alt="{shown}">'
        f"{warning}<dl>{facts}</dl></div>"
    )


def no_item(title: str, text: str, kind: str) -> str:
    """What the large view says where there is no item to show."""
    return f'<h2 id="detail-title" class="unseen">{escape(title)}</h2>{message(title, text, kind)}'


def definition_list(rows: dict[str, str]) -> str:
    """Facts under their names."""
    return f'<div class="facts"><dl>{"".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in rows.items())}</dl></div>'


def report(outcome: IndexReport) -> str:
    """What came of indexing, with a line for everything that was refused."""
    title = f"{plural(outcome.added, 'image')} added to '{outcome.gallery}' in {duration(outcome.seconds)}"
    counts = (
        (outcome.skipped, "were there already"),
        (outcome.moved, "lie at another place now"),
        (outcome.relabelled, "have another label now"),
        (outcome.removed, "were removed"),
        (outcome.missing, "are gone from the source and were kept"),
    )
    told = ", ".join(f"{count:,} {what}" for count, what in counts if count or what == counts[0][1])
    text = f"{told}. The gallery has {plural(outcome.items, 'item')}."
    said = "".join(f"<li>{remark.count:,} x {escape(remark.text)}</li>" for remark in outcome.remarks)
    remarks = f'<ul class="hint">{said}</ul>' if said else ""
    return message(title, text, "good") + remarks + refusals(outcome.failed)


def refusals(refused: Sequence[Skipped]) -> str:
    """Why files were left out: counts by reason, then every file."""
    if not refused:
        return ""
    reasons = "".join(
        f"<li>{count:,} x {escape(reason)}</li>" for reason, count in Counter(r.reason for r in refused).most_common(12)
    )
    lines = "".join(f"<tr><td>{escape(r.path)}</td><td>{escape(r.reason)}</td></tr>" for r in refused[:REPORT_LINES])
    more = f"<p>and {len(refused) - REPORT_LINES:,} more</p>" if len(refused) > REPORT_LINES else ""
    return (
        f'<details class="refused"><summary>{plural(len(refused), "file")} left out, and why</summary>'
        f"<ul>{reasons}</ul><table><thead><tr><th>File</th><th>Reason</th></tr></thead><tbody>{lines}</tbody></table>{more}</details>"
    )


def forecast(outcome: Forecast, name: str, there: int | None) -> str:
    """What indexing would take, and where it goes: gallery ``name``, which has so many items, or is new (None)."""
    if not outcome.images:
        return message(
            "No images found", "None of the files tried is an image that can be read. Choose another folder.", "warning"
        )
    left_out = f"; {outcome.refused} of {outcome.tried} files tried cannot be used" if outcome.refused else ""
    into = f"a new gallery '{name}'" if there is None else f"'{name}', which has {plural(there, 'item')} already"
    return message(
        f"About {plural(outcome.images, 'image')}: {duration(outcome.seconds)}, {size(outcome.bytes)} on disk",
        f"Forecast from a trial with {outcome.tried} files{left_out}. Press Start to add them to {into}.",
    )


def facts(known: Facts, index: str) -> str:
    """A gallery at a glance."""
    rows = {
        "Items": f"{known.items:,}" + (f" ({known.images:,} different images)" if known.images != known.items else ""),
        "Labels": f"{known.labels:,}",
        "Splits": ", ".join(f"{name or 'none'}: {count:,}" for name, count in known.splits.items()) or "none",
        "Model": f"{known.model}, {known.dim}-d, on {known.backbone}",
        "Index": index,
        "Refused files": f"{known.refused:,}",
        "Corrections": f"{known.corrections:,}",
        "On disk": size(known.bytes),
    }
    table = "".join(f"<dt>{name}</dt><dd>{escape(value)}</dd>" for name, value in rows.items())
    largest = max(known.domains.values(), default=1)
    bars = "".join(
        f'<li><span>{escape(name) or "no domain"}</span><b style="--share:{count / largest:.3f}"></b><span>{count:,}</span></li>'
        for name, count in known.domains.items()
    )
    return f'<div class="facts"><h3>{escape(known.name)}</h3><dl>{table}</dl><h4>Domains</h4><ul class="bars">{bars}</ul></div>'


def header(model: str, state: str, busy: bool) -> str:
    """Logo, name, and the model with its state."""
    return (
        f'<div class="head">{asset("logo.svg")}<div><h1>UniFEx</h1><p>Search, measure and teach your images</p></div>'
        f'<div class="model {"busy" if busy else "ready"}"><span class="dot"></span><span><b>{escape(model)}</b>'
        f"<small>{escape(state)}</small></span></div>"
        '<button type="button" class="theme" title="Light or dark" aria-label="Switch between light and dark">◐</button></div>'
    )
