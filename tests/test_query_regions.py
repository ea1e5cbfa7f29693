"""Regions of a query: what the page tells of them, and what is offered to it."""

from __future__ import annotations

import json

import pytest

from unifex.core.errors import UnifexError
from unifex.core.regions import Region
from unifex.models.image_like import Crop
from unifex.retrieval.proposals import BORDER, FRAME, PANEL, Proposal
from unifex.ui.components.query_regions import about_item, about_upload, drawn, told
from unifex.ui.components.query_view import named
from unifex.ui.components.search_form import Form
from unifex.ui.page_state import Selection

LEFT, RIGHT = Region(0, 0, 0.5, 1), Region(0.5, 0, 0.5, 1)
UPLOAD = "/somewhere/4fe2/a b%20c.jpg"


def test_regions_count_for_the_picture_that_they_were_drawn_on():
    form = Form("g", image=UPLOAD, regions=told(about_upload(UPLOAD), f"{LEFT};{RIGHT}"), more=["/else/1/b.jpg"])
    assert form.query.images == (Crop(UPLOAD, LEFT), Crop(UPLOAD, RIGHT), "/else/1/b.jpg")
    assert not form.query.regions
    other = Form("g", image="/somewhere/77aa/d.jpg", regions=form.regions)
    assert other.query.images == ("/somewhere/77aa/d.jpg",)


def test_regions_of_an_item_and_of_several():
    regions = told(about_item("g", 5), str(LEFT))
    one = Form("g", picked=Selection("g", (5,)).as_json(), regions=regions)
    assert (one.query.items, one.query.regions) == ((5,), (LEFT,))
    several = Form("g", picked=Selection("g", (5, 6)).as_json(), regions=regions)
    assert (several.query.items, several.query.regions) == ((5, 6), ())
    assert Form("h", picked=Selection("g", (5,)).as_json(), regions=regions).boxes == ()


@pytest.mark.parametrize(
    "rubbish", ["", "{", "[]", "7", "null", '["4fe2"]', '["4fe2", "", 1]', '{"4fe2": 1}', '[["4fe2"], "0,0,1,1"]']
)
def test_what_no_page_says_is_no_region(rubbish):
    assert drawn(rubbish, "4fe2") == ()


@pytest.mark.parametrize("boxes", ["0,0,2,1", "0.5,0,0.6,1", "0,0,0,1", "nan,0,1,1", "0,0,1", "a"])
def test_what_is_no_box_is_refused(boxes):
    with pytest.raises(UnifexError):
        drawn(told("4fe2", boxes), "4fe2")


def test_parts_are_offered_by_names_that_tell_them_apart():
    parts = [
        Proposal(Region(0, 0, 0.3, n / 10), kind) for n, kind in enumerate((FRAME, PANEL, PANEL, BORDER, PANEL), 1)
    ]
    offered = named(parts)
    assert [part["name"] for part in offered] == ["Picture inside 1", "Panel 1", "Panel 2", "Picture inside 2"]
    assert offered[0] == {"name": "Picture inside 1", "reason": FRAME, "box": [0, 0, 0.3, 0.1]}
    assert named(parts[:2])[0]["name"] == "The picture inside"
    assert json.dumps(offered)
