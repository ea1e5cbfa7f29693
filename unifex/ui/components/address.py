"""The address of what is on screen: what of a search stands in it, and what a browser brings back from it.

It is the part of the page's URL after ``#``, so that the words of a search are in no server's log.
``assets/address.js`` puts the tab before it and keeps the browser's history; here a search becomes text and text a
search. What a link says is a stranger's word: what is unknown, wrong or too long is left out, and said in one notice.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, urlencode

import gradio as gr

from unifex.core import ranges
from unifex.core.errors import UnifexError
from unifex.core.language import say, to_say
from unifex.core.regions import Region
from unifex.core.text import plural
from unifex.gallery.duplicates import LEVELS
from unifex.retrieval.query import FEEDBACK, MAX_MARKS, MAX_TEXT
from unifex.ui.components import packed_ids, query_regions
from unifex.ui.components.filter_bar import HIT_ORDERS
from unifex.ui.components.marks import Marks
from unifex.ui.components.search_form import FIRST, MAX_K, TRUSTED, Form
from unifex.ui.page_state import Selection, item_id
from unifex.ui.scripts import scripts
from unifex.ui.view import View

MOST = 8000  # characters of an address; every browser takes them
MOST_ITEMS = 200  # that stand in an address one by one
MOST_PACKED = 2500  # characters of more of them, chosen on the map; an address goes without others
MOST_VIEW = 4000  # characters of filters; an address goes without more
BY_IMAGE = "image"  # says that an uploaded image was searched with, which no address can hold
WITHOUT = "lacks"  # says what else it does not hold


@dataclass(frozen=True)
class Field:
    """How a part of a search stands in an address.

    ``write``: a form -> texts, none where it is as the page begins; ``read``: a form and these texts -> the form with
    them, raises ``UnifexError``, ValueError or LookupError for what they cannot be. ``minor``: a change of nothing else
    is no step for the browser's Back.
    """

    write: Callable[[Form], list[str]]
    read: Callable[[Form, list[str]], Form]
    minor: bool = False


def _single(name: str, parse: Callable[[str], Any], minor: bool = False) -> Field:
    """A value of the form whose text is the value's own."""

    def write(form: Form) -> list[str]:
        value = getattr(form, name)
        return [] if value == getattr(FIRST, name) else [f"{value:g}" if isinstance(value, float) else str(value)]

    return Field(write, lambda form, texts: replace(form, **{name: parse(texts[-1])}), minor)


def _items(of: Callable[[Form], tuple[int, ...]], put: Callable[[Form, tuple[int, ...]], Form], most: int) -> Field:
    """Ids of items of the gallery, with commas between; more than ``most`` are no address."""

    def write(form: Form) -> list[str]:
        ids = of(form)
        return [",".join(map(str, ids))] if 0 < len(ids) <= most else []

    def read(form: Form, texts: list[str]) -> Form:
        ids = tuple(dict.fromkeys(map(item_id, texts[-1].split(","))))
        if not form.gallery or len(ids) > most:
            raise ValueError("no items of a gallery")
        return put(form, ids)

    return Field(write, read)


def _many_items(name: str) -> Field:
    """A selection of the form; of more items than stand in an address one by one, as :mod:`packed_ids`."""

    def put(form: Form, ids: tuple[int, ...]) -> Form:
        return replace(form, **{name: Selection(form.gallery or "", ids)})

    def write(form: Form) -> list[str]:
        ids = getattr(form, name).of(form.gallery)
        if len(ids) <= MOST_ITEMS:
            return few.write(form)
        return [text] if len(text := packed_ids.packed(ids)) <= MOST_PACKED else []

    def read(form: Form, texts: list[str]) -> Form:
        if form.gallery and texts[-1].startswith(packed_ids.MARK):
            return put(form, packed_ids.unpacked(texts[-1]))
        return few.read(form, texts)

    few = _items(lambda form: getattr(form, name).of(form.gallery), put, MOST_ITEMS)
    return Field(write, read)


def _marks(kind: str) -> Field:
    """Marks count for the query that they were made about, which an address names before them."""

    def put(form: Form, ids: tuple[int, ...]) -> Form:
        return replace(form, marks=form.counting_marks.add(kind, ids))

    return _items(lambda form: getattr(form.counting_marks, kind), put, MAX_MARKS)


def _chosen(choices: dict[str, Any]) -> Callable[[str], Any]:
    return lambda text: choices[text]


def _parts(form: Form) -> tuple[Region, ...]:
    """The boxes that are searched with; none where no search could be made of what a page says."""
    try:
        return form.boxes
    except UnifexError:
        return ()


def _boxes(form: Form) -> list[str]:
    """Boxes on an item are about what the address names; those on an upload say which it is."""
    boxes = ";".join(map(str, _parts(form)))
    return [f"{boxes}@{form.about}" if form.image else boxes] if boxes else []


def _with_boxes(form: Form, texts: list[str]) -> Form:
    boxes, _, about = texts[-1].partition("@")
    told = ";".join(map(str, Region.parse_all(boxes)))
    if not told or not (about or form.about):
        raise ValueError("no boxes on a picture")
    return replace(form, regions=query_regions.told(about or form.about, told))


def _words(text: str) -> str:
    if not 0 < len(text.strip()) <= MAX_TEXT:
        raise ValueError("no words")
    return text


def _view(form: Form) -> str:
    """Filters as JSON, of the gallery that an address names before them."""
    return replace(form.shown, gallery="", order="", grouped=False).as_json()


def _arranged(form: Form, **changes: Any) -> Form:
    return replace(form, view=replace(form.shown, **changes).as_json())


def _order(text: str) -> str:
    if not (text in HIT_ORDERS or text[:1] in ("+", "-")) or len(text) > MAX_TEXT:
        raise ValueError("no order")
    return text


def _counted(form: Form, feedback: str) -> Marks:
    if form.words or not form.counting_marks:
        raise ValueError("no marks of images")
    return replace(form.counting_marks, feedback=FEEDBACK[FEEDBACK.index(feedback)])


def _id(text: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{12}", text):
        raise ValueError("no saved search")
    return text


# In the order in which they are read: items and marks are of the gallery, marks are about the query. What else decides
# what is found is a line here.
FIELDS: dict[str, Field] = {
    "gallery": _single("gallery", str),
    "items": _items(
        lambda form: form.item.ids,
        lambda form, ids: replace(form, picked=Selection(form.gallery or "", ids).as_json()),
        MOST_ITEMS,
    ),
    "box": Field(_boxes, _with_boxes, minor=True),
    "saved": Field(
        lambda form: [form.remembered] if form.remembered else [],
        lambda form, texts: replace(form, saved=_id(texts[-1])),
    ),
    "words": Field(
        lambda form: [form.words] if form.words else [],
        lambda form, texts: replace(form, text=_words(texts[-1])),
    ),
    "balance": _single("text_weight", ranges.BALANCE.check, minor=True),
    "more": _marks("more"),
    "less": _marks("less"),
    "feedback": Field(
        lambda form: [form.counting_marks.feedback] if form.counting_marks.feedback != FEEDBACK[0] else [],
        lambda form, texts: replace(form, marks=_counted(form, texts[-1])),
    ),
    "within": _many_items("within"),
    "without": _many_items("without"),
    "view": Field(
        lambda form: [said] if len(said := _view(form)) <= MOST_VIEW and said != View().as_json() else [],
        lambda form, texts: replace(form, view=View.parse(texts[-1]).within(form.gallery).as_json()),
    ),
    "fold": _single("fold", _chosen({level: level for level in LEVELS})),
    "hits": _single("k", ranges.Range("k", 1, MAX_K).check, minor=True),
    "similarity": _single("min_score", ranges.SIMILARITY.check, minor=True),
    "trust": _single("trust", _chosen({f"{rate:g}": rate for rate in TRUSTED})),
    "rerank": _single("rerank", _chosen({"True": True})),
    # The page changes these by itself, and writes them in this place (assets/address.js).
    "order": Field(
        lambda form: [form.shown.order] if form.shown.order else [],
        lambda form, texts: _arranged(form, order=_order(texts[-1])),
    ),
    "grouped": Field(
        lambda form: ["True"] if form.shown.grouped else [],
        lambda form, texts: _arranged(form, grouped=_chosen({"True": True})(texts[-1])),
    ),
}
_LACKING = {
    "within": to_say("it searches everywhere, and not among the chosen items, which are too many"),
    "without": to_say("it finds the items, too, that were left out, which are too many"),
    "view": to_say("it goes without the filters, which are too many"),
}


@dataclass(frozen=True)
class Asked:
    """What an address says: a form, the names of what it says wrongly, whether an uploaded image was searched with,
    and sentences about what else of the search it could not hold."""

    form: Form
    wrong: tuple[str, ...] = ()
    by_image: bool = False
    lacks: tuple[str, ...] = ()


def written(form: Form) -> str:
    """The address of a search."""
    return _encoded(*_said(form))


def _said(form: Form) -> tuple[list[tuple[str, str]], list[str]]:
    """What an address says of a search, and what of it is more than it holds: names of :data:`_LACKING`."""
    said = [(name, text) for name, field in FIELDS.items() for text in field.write(form)]
    said += [(BY_IMAGE, "1")] if form.paths else []
    wanted = {"view": _view(form) != View().as_json()}
    wanted |= {name: bool(getattr(form, name).of(form.gallery)) for name in ("within", "without")}
    lacking = [name for name, there in wanted.items() if there and name not in dict(said)]
    for name in wanted:
        if len(_encoded(said, lacking)) > MOST and name in dict(said):
            said, lacking = [pair for pair in said if pair[0] != name], [*lacking, name]
    return said, lacking


def _encoded(said: list[tuple[str, str]], lacking: list[str]) -> str:
    return urlencode([*said, *((WITHOUT, name) for name in lacking)], safe=",~")


def read(text: str) -> Asked:
    """What an address says, as far as it can be."""
    if len(text) > MOST:
        return Asked(FIRST, (say("its length"),))
    said: dict[str, list[str]] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        said.setdefault(name, []).append(value)
    by_image, lacks = said.pop(BY_IMAGE, None) is not None, said.pop(WITHOUT, ())
    form, wrong = FIRST, [name for name in said if name not in FIELDS]
    for name, field in FIELDS.items():
        if name in said:
            try:
                form = field.read(form, said[name])
            except (UnifexError, ValueError, LookupError):
                wrong.append(name)
    return Asked(form, tuple(wrong), by_image, tuple(say(_LACKING[name]) for name in _LACKING if name in lacks))


def missing(form: Form) -> str:
    """What a link to a search cannot hold, as a sentence; empty where it holds all."""
    if form.paths:
        return say("This search is by an image that only you have: the link opens the gallery without it.")
    lacking = [say(_LACKING[name]) for name in _said(form)[1]]
    return say("More than a link holds: {what}.", what="; ".join(lacking)) if lacking else ""


def in_words(form: Form) -> str:
    """What is searched for, in few words; empty where nothing is."""
    marks = form.counting_marks
    said = [
        say("\u201c{words}\u201d", words=form.words[:60]) if form.words else "",
        _images_in_words(form),
    ]
    said.append(_marks_in_words(len(marks.more), len(marks.less)))
    words, filters = say(" and ").join(filter(None, said)), form.shown.length
    return ", ".join([words, plural(filters, "filter", "filters")]) if words and filters else words


def _marks_in_words(more: int, less: int) -> str:
    if more and less:
        return say("{more} more, {less} less like it", more=more, less=less)
    if more:
        return say("{more} more like it", more=more)
    return say("{less} less like it", less=less) if less else ""


def _images_in_words(form: Form) -> str:
    shown, parts = len(form.paths) or len(form.item.ids) or int(bool(form.remembered)), len(_parts(form))
    if shown == 1 and parts:
        return say("a part of an image") if parts == 1 else say("{count} parts of an image", count=parts)
    return "" if not shown else say("an image") if shown == 1 else plural(shown, "image", "images")


def address_told(form: Form, opened: str | None = None, put_off: str = "") -> str:
    """What the page is told of a search: its address, its uploads, for this browser alone, and :func:`missing`.

    ``opened``: the address that it was just read from; ``put_off``: words that stand there and are not searched yet.
    """
    said: dict[str, Any] = {
        "text": written(form),
        "files": form.paths,
        "missing": missing(form),
        "said": in_words(form),
        "opened": opened,
        "put_off": put_off,
    }
    return json.dumps(said, ensure_ascii=False)


def address_bar() -> gr.HTML:
    """What keeps the page's address; its value is :func:`address_told`."""
    minor = [name for name, field in FIELDS.items() if field.minor]
    return gr.HTML(
        "", html_template="", js_on_load=scripts("address"), visible="hidden", elem_id="address", minor=minor, most=MOST
    )
