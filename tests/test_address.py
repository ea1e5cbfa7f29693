"""The address of what is on screen: a search as text, a stranger's text as a search."""

import base64
import zlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unifex.cli.settings import Settings
from unifex.core.errors import UnifexError
from unifex.gallery.duplicates import LEVELS
from unifex.gallery.gallery import Gallery
from unifex.gallery.library import Library
from unifex.ui.app import build
from unifex.ui.components import address
from unifex.ui.components.address import FIELDS, MOST, MOST_ITEMS, in_words, read, written
from unifex.ui.components.link_opener import LinkOpener
from unifex.ui.components.packed_ids import MARK, packed, unpacked
from unifex.ui.components.query_regions import told
from unifex.ui.components.search_form import FIRST, MAX_K, TRUSTED, Form
from unifex.ui.context import AppContext
from unifex.ui.page_state import Selection
from unifex.ui.view import View

IDS = st.lists(st.integers(0, 2**63 - 1), max_size=5, unique=True).map(tuple)
NAMES = st.lists(st.text(min_size=1, max_size=10), min_size=1, max_size=3, unique=True).map(tuple)
TEXT = st.text(max_size=40).map(str.strip)
HUNDREDTHS = st.integers(-100, 100).map(lambda number: number / 100)


@st.composite
def forms(draw) -> Form:
    gallery = draw(st.text(min_size=1, max_size=20))
    form = Form(
        gallery=gallery,
        picked=Selection(gallery, draw(IDS)).as_json(),
        within=Selection(gallery, draw(IDS)),
        without=Selection(gallery, draw(IDS)),
        text=draw(TEXT),
        text_weight=abs(draw(HUNDREDTHS)),
        k=draw(st.integers(1, MAX_K)),
        view=View(chosen={"label": draw(NAMES)}, order=draw(st.sampled_from(("", "label", "+a")))).as_json(),
        fold=draw(st.sampled_from(("", *LEVELS))),
        min_score=draw(HUNDREDTHS),
        trust=draw(st.sampled_from((FIRST.trust, *TRUSTED))),
        rerank=draw(st.booleans()),
    )
    return replace(form, marks=form.counting_marks.add("more", draw(IDS)).add("less", draw(IDS)))


@given(forms())
def test_what_is_written_is_read(form):
    asked = read(written(form))
    assert not asked.wrong
    assert asked.form.query == form.query
    assert (asked.form.filters, asked.form.shown) == (form.filters, form.shown)
    assert (asked.form.gallery, asked.form.k, asked.form.fold) == (form.gallery, form.k, form.fold)
    assert written(asked.form) == written(form)


def test_every_part_of_a_search_stands_in_an_address_or_cannot():
    """Whoever adds a field to the form says here how a link holds it."""
    chosen = {"picked": Selection("g", (1,)).as_json(), "within": Selection("g", (2,)), "fold": "bytes"}
    chosen["without"] = Selection("g", (3,))
    other = Form("g", True, "a.png", ["b.png"], **chosen, text="words", text_weight=0.3, k=7, min_score=0.5, trust=0.1)
    other = replace(other, rerank=True, saved="0" * 12, view=View("g", {"domain": ("d",)}).as_json())
    parts = told("g/1", "0.1,0.2,0.3,0.4;0,0,1,0.5"), told("4fe2", "0,0,0.5,1")
    boxed = (
        Form("g", picked=Selection("g", (1,)).as_json(), regions=parts[0]),
        Form("g", image="/4fe2/a.png", regions=parts[1]),
    )
    assert [read(written(one)).form.regions for one in boxed] == list(parts)
    kept = {"gallery", "text", "picked", "within", "without", "text_weight", "k", "view", "min_score", "trust"}
    kept |= {"rerank", "fold", "saved"}
    for name in kept:
        alone = replace(FIRST, gallery="g", **({name: getattr(other, name)} if name != "gallery" else {}))
        assert getattr(read(written(alone)).form, name) == getattr(alone, name)
    uploaded, passing = {"image", "more"}, {"pressed"}  # what a link cannot hold, what belongs to the moment
    assert set(vars(FIRST)) == kept | {"marks", "regions"} | uploaded | passing
    assert read(written(other)).by_image


@pytest.mark.parametrize(
    ("told_of", "said"),
    [
        ({}, "an image"),
        ({"regions": told("g/1", "0.1,0.2,0.3,0.4")}, "a part of an image"),
        ({"regions": told("g/1", "0.1,0.2,0.3,0.4;0,0,1,0.5")}, "2 parts of an image"),
        ({"regions": told("g/2", "0.1,0.2,0.3,0.4")}, "an image"),  # of what is the query no more
        ({"regions": told("g/1", "0.5,0.5,0.9,0.1")}, "an image"),  # of which no search is made
        ({"text": "red", "regions": told("g/1", "0,0,0.5,1")}, "\u201cred\u201d and a part of an image"),
    ],
)
def test_parts_of_an_image_are_told_apart_from_it(told_of, said):
    """In the list of recent searches, where what reads alike is one."""
    assert in_words(Form("g", picked=Selection("g", (1,)).as_json(), **told_of)) == said


@given(
    st.text(max_size=200)
    | st.sampled_from(list(FIELDS)).flatmap(lambda n: st.text(max_size=40).map(f"{n}={{}}".format))
)
def test_any_text_is_read(text):
    asked = read(text)
    assert not set(asked.wrong) & {name for name, field in FIELDS.items() if field.write(asked.form)}


@pytest.mark.parametrize(
    "said",
    ["items=1", "gallery=g&items=-1", "gallery=g&items=1,x", f"gallery=g&items={2**63}", "hits=0", "hits=1e9",
     "hits=nan", "similarity=inf", "trust=0.02", "rerank=1", "balance=-1", "words=", f"words={'x' * 1001}", "more=1",
     "unknown=1", "box=0,0,1,1", "gallery=g&box=@a", "box=0,0,2,1@a",
     f"gallery=g&within={','.join(map(str, range(MOST_ITEMS + 1)))}", "view=x", "fold=some"],
)  # fmt: skip
def test_what_cannot_be_is_left_out_and_named(said):
    asked = read(said)
    assert len(asked.wrong) == 1
    assert replace(asked.form, gallery=None) == FIRST


def test_megabytes_are_not_looked_at():
    assert read("x" * (MOST + 1)) == address.Asked(FIRST, ("its length",))


def test_what_a_link_cannot_hold_is_said():
    many = Selection("g", tuple(np.random.default_rng(0).choice(2**40, 5000, replace=False).tolist()))
    labels = tuple(f"{'ä' * 40}{number}" for number in range(60))
    assert "only you have" in address.missing(Form(gallery="g", image="a.png"))
    for form, what in (
        (Form(gallery="g", within=many), "searches everywhere"),
        (Form(gallery="g", without=many), "that were left out"),
        (Form(gallery="g", view=View("g", {"label": labels}).as_json()), "filters"),
    ):
        assert what in address.missing(form)
        asked = read(written(form))
        assert not asked.wrong
        assert (asked.form, len(asked.lacks)) == (Form(gallery="g"), 1)
        assert what in asked.lacks[0]
    assert not address.missing(Form(gallery="g", picked=Selection("g", (1,)).as_json()))


@given(st.sets(st.integers(0, 2**63 - 1), min_size=1, max_size=300))
def test_ids_are_packed(ids):
    assert unpacked(packed(ids)) == tuple(sorted(ids))


def deflated(data: bytes) -> str:
    return base64.urlsafe_b64encode(zlib.compress(data)).decode()


@given(st.text(max_size=50) | st.binary(max_size=50).map(deflated))
def test_what_was_never_packed_is_refused(text):
    try:
        ids = unpacked(MARK + text)
    except ValueError:
        return
    assert list(ids) == sorted(set(ids))
    assert 0 <= ids[0] <= ids[-1] < 2**63


def test_many_items_of_a_lasso_stand_in_an_address():
    chosen = np.flatnonzero(np.random.default_rng(0).random(10_000) < 0.15)
    form = Form(gallery="g", within=Selection("g", tuple(chosen.tolist())))
    assert len(chosen) > 1400
    assert read(written(form)).form == form
    assert not address.missing(form)
    zeros = MARK + deflated(b"1," * 2**22 + b"1")
    assert read(f"gallery=g&within={zeros[: MOST - 100]}").wrong == ("within",)


class Opened(LinkOpener):
    """What the page is told, without a page."""

    @classmethod
    def of(cls, gallery: Gallery) -> "Opened":
        context = AppContext(Settings(), Library(gallery.folder.parent), gallery.embedder)
        context.ready.set()
        build(context)  # components are of a page
        opener = cls(context)
        opener.notice, opener.address, opener.fill = "notice", "address", lambda form: {"form": form}  # type: ignore
        return opener

    def said(self, *asked) -> tuple[Form, str]:
        answer = self.open(list(asked))
        return answer["form"], str(answer["notice"])  # type: ignore


def test_what_is_not_here_is_said_and_the_rest_is_opened(gallery):
    opener, ids = Opened.of(gallery), gallery.snapshot().columns.ids.tolist()
    form, notice = opener.said(f"gallery=drawn&items={ids[0]}&more={ids[1]}&hits=5")
    assert (form.item.ids, form.counting_marks.more, form.k, notice) == ((ids[0],), (ids[1],), 5, "")
    form, notice = opener.said(f"gallery=drawn&items={ids[0]},999999&more={ids[1]}&hits=5")
    assert (form.item.ids, form.counting_marks.more, form.k) == ((ids[0],), (ids[1],), 5)
    assert "No longer in the gallery: 1 image of it" in notice
    form, notice = opener.said("gallery=%3Cb%3E&items=1")
    assert form is None  # what stands there stays
    assert "There is no gallery" in notice
    assert "<b>" not in notice
    form, notice = opener.said("gallery=drawn&image=1&hits=5", "/etc/passwd")
    assert (form.image, form.k) == (None, 5)
    assert "only whoever searched has" in notice
    form, notice = opener.said("")
    assert (written(form), form.query, notice) == ("gallery=drawn", FIRST.query, "")
    for evil in ([], "x", None, [1], [["x"]]):
        with pytest.raises(UnifexError, match="no address"):
            opener.open(evil)
