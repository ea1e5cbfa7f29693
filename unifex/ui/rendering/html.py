"""What every tab shows: notices, facts, links to files, the header."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from markupsafe import Markup

from unifex.core.templates import render


def message(title: str, text: str = "", kind: str = "info") -> Markup:
    """A short notice; ``kind`` is info, good, warning or error."""
    return render("note.html", title=title, text=text, kind=kind)


def hint(text: str) -> Markup:
    """A line in the background."""
    return render("hint.html", text=text)


def facts(rows: dict[str, str]) -> Markup:
    """Facts under their names."""
    return render("facts.html", rows=rows)


def header(model: str, state: str, busy: bool, news: str = "") -> Markup:
    """Logo, name, and the model with its state; ``news``: that of the context which it tells."""
    return render("header.html", model=model, state=state, busy=busy, news=news)


def first_paint(tabs: Sequence[str], words: str = "") -> Markup:
    """What is shown before the page is: header, these names of tabs, and where pictures will be. ``words``: the address
    of the scripts' sentences, which are there before any script runs."""
    return render("first_paint.html", tabs=tabs, words=words)


def data_uri(text: str, media_type: str = "text/csv") -> str:
    """A file as the ``href`` of a download link; a CSV has the mark that spreadsheets know UTF-8 by."""
    encoding = "utf-8-sig" if media_type == "text/csv" else "utf-8"
    return f"data:{media_type};base64,{base64.b64encode(text.encode(encoding)).decode()}"
