"""What the page's filter bar says, and what is listed by it: against loops, and whatever may be sent."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.drawing import LABELS, encoded, picture
from tests.support.galleries import run_index
from unifex.core.errors import UnifexError
from unifex.gallery.gallery import Gallery
from unifex.retrieval.browsing import ORDERS, Listings
from unifex.retrieval.facets import facets
from unifex.retrieval.filters import FACETS, Filters
from unifex.ui.rendering.filter_list import facet_list
from unifex.ui.view import View

ARTISTS = ("Klee", "Monet", "")


@pytest.fixture(scope="module")
def gallery(tmp_path_factory, embedder) -> Gallery:
    root, rows = tmp_path_factory.mktemp("view"), ["path,label,domain,artist,year"]
    for number, label in enumerate(list(LABELS) * 3):
        name = f"{'bB'[number % 2]}{number}.png"
        (root / name).write_bytes(encoded(picture(label, number)))
        domain, _, name_of_label = label.partition("/")
        rows.append(f"{name},{name_of_label if number else ''},{domain},{ARTISTS[number % 3]},{1900 + number}")
    (root / "list.csv").write_text("\n".join(rows))
    made = Gallery.create(root / "indexes" / "drawn", embedder)
    run_index(made, root / "list.csv")
    return made


NAMES = st.lists(st.text(min_size=1, max_size=9), min_size=1, max_size=3, unique=True).map(tuple)
ENDS = st.tuples(*[st.none() | st.floats(-1e6, 1e6)] * 2)
COLUMNS = st.text(max_size=9).map("column {}".format)


@given(
    st.builds(
        View,
        st.text(max_size=9),
        st.dictionaries(st.sampled_from(list(FACETS)) | COLUMNS, NAMES, max_size=4),
        st.dictionaries(COLUMNS, ENDS, max_size=2),
        st.sampled_from([*ORDERS, "+year", "-a b"]),
        st.booleans(),
    )
)
def test_a_view_comes_back_as_it_went(view):
    assert View.parse(view.as_json()) == view
    as_the_page_says = json.dumps(json.loads(view.as_json()), separators=(",", ":"), sort_keys=True)
    assert view.told_as(as_the_page_says) == as_the_page_says
    assert View.parse(view.told_as(View("another", grouped=not view.grouped).as_json())) == view


@pytest.mark.parametrize(
    "told",
    ["[]", "nonsense", '{"chosen": []}', '{"chosen": {"size": ["a"]}}', '{"chosen": {"label": "a"}}', "[" * 9000,
     '{"chosen": {"label": [1]}}', '{"chosen": {"label": []}}', '{"between": {"label": [1, 2]}}', '{"order": 3}',
     '{"between": {"column a": [1]}}', '{"between": {"column a": [Infinity, null]}}', '{"gallery": ["a"]}',
     '{"between": {"column a": ["x", null]}}', json.dumps({"chosen": {"label": [str(n) for n in range(201)]}}),
     json.dumps({"gallery": "a" * 20_000})],
)  # fmt: skip
def test_what_is_no_view_is_told(told):
    with pytest.raises(UnifexError, match="cannot be read"):
        View.parse(told)


@pytest.mark.parametrize(
    "view", [View(chosen={"column a": ("b",)}), View(between={"column a": (1, 2)}), View(order="+a")]
)
def test_what_further_columns_say_is_not_for_strangers(view):
    assert view.for_anybody(public=False) is view
    with pytest.raises(UnifexError, match="the owner's to know"):
        view.for_anybody(public=True)


def test_what_is_listed_against_a_loop(gallery):
    records = gallery.records(gallery.snapshot().columns.ids)
    keys = {
        "": lambda record: record.id,
        "label": lambda record: (not record.label, record.label, record.id),
        "path": lambda record: (record.path.lower(), record.id),
        "newest": lambda record: -record.id,
    }
    views = [View(), View(chosen={"column artist": ("Klee", "Monet")}, between={"column year": (1903, 1908.5)})]
    listings = Listings()
    for view in views:
        left = [
            record for record in records
            if not view.chosen
            or (record.labels.extra.get("artist") and 1903 <= int(record.labels.extra["year"]) <= 1908)
        ]  # fmt: skip
        assert len(left) == (4 if view.chosen else 12)
        for order, key in keys.items():
            for _ in range(2):  # the second time it is known
                listed = listings.ids(gallery, view.filters, order)
                assert listed.tolist() == [record.id for record in sorted(left, key=key)]
    with pytest.raises(UnifexError, match="no order 'size'; there are: label, path, newest, \\+COLUMN or -COLUMN"):
        listings.ids(gallery, Filters(), "size")


def test_facets_come_in_their_order_and_columns_are_not_for_strangers(gallery):
    found = facet_list(facets(gallery))
    assert [facet["name"] for facet in found] == [*FACETS, "column artist", "column year"]
    assert found[-1] | {"counts": []} == {
        "name": "column year", "names": 12, "counts": [], "low": 1900.0, "high": 1911.0,
    }  # fmt: skip
    assert [facet["name"] for facet in facet_list(facets(gallery), public=True)] == list(FACETS)
    looked_up = {facet["name"]: facet for facet in facet_list(facets(gallery, part="KL"))}
    assert looked_up["column artist"] | {"name": ""} == {"name": "", "names": 1, "counts": [("Klee", 4)]}
    assert not any(facet["names"] for name, facet in looked_up.items() if name != "column artist")


def test_filters_of_the_map_keep_the_order_of_the_grid():
    said, grid = View("drawn", {"label": ("disc",)}, {"column year": (1900.0, None)}), View("drawn", order="label")
    assert grid.narrowed_as(said) == View("drawn", {"label": ("disc",)}, {"column year": (1900.0, None)}, "label")
    assert said.narrowed_as(grid) == View("drawn")
