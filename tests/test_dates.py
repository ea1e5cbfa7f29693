"""Columns of dates are ranges: what is one, what a condition on one holds and what is counted, by plain Python."""

import calendar
from collections import Counter
from datetime import datetime, timedelta
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.drawing import encoded, picture
from tests.support.galleries import run_index
from unifex.core import dates
from unifex.core.errors import UnifexError
from unifex.gallery.gallery import Gallery
from unifex.gallery.snapshot import CategoricalColumn
from unifex.retrieval.conditions import Condition
from unifex.retrieval.facets import facets
from unifex.retrieval.filters import Filters
from unifex.ui.view import View

OFFSETS = st.sampled_from(["", "Z", "+01:00", " -0800"])
DAYS = st.sampled_from(["%Y-%m-%d", "%Y:%m:%d", "%Y/%m/%d"])
TICK = timedelta(microseconds=1)
COMPARED = {
    ">=": lambda value, first, last: value >= first,
    "<=": lambda value, first, last: value <= last,
    ">": lambda value, first, last: value > last,
    "<": lambda value, first, last: value < first,
    "=": lambda value, first, last: first <= value <= last,
}


@st.composite
def told(draw) -> tuple[str, datetime, datetime]:
    """A date as a text, its first and its last moment."""
    moment = draw(st.datetimes(datetime(1000, 1, 1), datetime(2999, 12, 31)))
    day = datetime(moment.year, moment.month, moment.day)
    form = draw(st.sampled_from(["year", "month", "day", "minute", "second", "fraction"]))
    if form == "year":
        return f"{moment:%Y}", datetime(moment.year, 1, 1), datetime(moment.year + 1, 1, 1) - TICK
    if form == "month":
        days = calendar.monthrange(moment.year, moment.month)[1]
        return f"{moment:%Y-%m}", day.replace(day=1), day.replace(day=1) + timedelta(days=days) - TICK
    written = moment.strftime(draw(DAYS))
    if form == "day":
        return written, day, day + timedelta(days=1) - TICK
    written += draw(st.sampled_from(" T"))
    if form == "minute":
        minute = moment.replace(second=0, microsecond=0)
        return f"{written}{moment:%H:%M}{draw(OFFSETS)}", minute, minute + timedelta(minutes=1) - TICK
    second = moment.replace(microsecond=0)
    if form == "second":
        return f"{written}{moment:%H:%M:%S}{draw(OFFSETS)}", second, second + timedelta(seconds=1) - TICK
    return f"{written}{moment:%H:%M:%S.%f}{draw(OFFSETS)}", moment, moment


@given(st.lists(told(), min_size=1, max_size=12), told(), st.sampled_from(list(COMPARED)), st.data())
def test_conditions_hold_as_in_plain_python(values, bound, comparison, data):
    if data.draw(st.booleans()):
        bound = data.draw(st.sampled_from(values))
    text, first, last = bound
    assert dates.period(text) == dates.Period(first, last)
    column = CategoricalColumn.of([value for value, _, _ in values])
    odd = ["2021-02-30"] if data.draw(st.booleans()) else []
    texts = [*column.names, "no date", "", "0000", "2021:03:04 10:20:30,25", "2021-03-04T10:00+25:00", *odd]
    one_by_one = np.array(list(map(dates.beginning, texts)), "datetime64[us]")
    np.testing.assert_array_equal(dates.beginnings(texts), one_by_one)
    held = Condition.parse(f"taken{comparison}{text}").holds(column)[column.codes]
    assert held.tolist() == [COMPARED[comparison](begins, first, last) for _, begins, _ in values]


@given(st.lists(told(), min_size=1, max_size=12), st.lists(told(), min_size=1, max_size=3), st.data())
def test_the_page_opens_a_range_of_dates_as_it_was_saved(values, bounds, data):
    compared, years = st.sampled_from([">=", "<=", ">", "<"]), data.draw(st.booleans())  # numbers all, or dates
    values = [value for value in values if (len(value[0]) == 4) == years]
    texts = [f"taken{data.draw(compared)}{text}" for text, _, _ in bounds if not years or len(text) == 4]
    conditions = tuple(map(Condition.parse, texts))
    opened = View.parse(View.of("", Filters(where=conditions)).as_json()).filters.where
    column = CategoricalColumn.of([value for value, _, _ in values])
    held = [np.all([one.holds(column) for one in some], axis=0) for some in (conditions, opened) if some]
    np.testing.assert_array_equal(held[0] if held else 0, held[-1] if held else 0)
    assert len(opened) <= 2


@pytest.mark.parametrize(
    "text",
    [
        "taken>9999-12-31", "taken<0001-01-01", "taken>1000", "taken<9999", "year>1900", "year<2021", "year<=2021",
        "year>=1e9",
    ],
)  # fmt: skip
def test_the_page_opens_ranges_at_their_ends(text):
    opened = View.parse(View.of("", Filters(where=(Condition.parse(text),))).as_json()).filters.where
    of = ["1900", "1901", "2021", "2022", "1e10"] if text.startswith("year") else ["1000-01-01", "9999-12-31 23:59:59"]
    column = CategoricalColumn.of(of)
    assert opened[0].holds(column).tolist() == Condition.parse(text).holds(column).tolist()


@pytest.mark.parametrize(
    "text",
    ["", "21", "20210304", "2021-3-4", "2021-13", "2021-02-30", "2021-03:04", "2021-03-04 24:01", "2021-03-04 10",
     "04.03.2021", "0000:00:00 00:00:00", "2021-03-04 10:20:30+1", " 2021", "2021-W05", "２０２１", "2021-03-04\n"],
)  # fmt: skip
def test_what_is_no_date(text):
    assert dates.beginning(text) is None
    assert dates.period(text) is None
    assert np.isnat(CategoricalColumn.of([text]).moments).all()


TAKEN = ("2021:03:04 10:20:30", "2021-03-04", "2020-12-31T23:59:59Z", "2021-03-05 00:00", "1999", "")
YEARS = ("1999", "2004", "")


@pytest.fixture(scope="module")
def gallery(tmp_path_factory, embedder) -> Gallery:
    root, rows = tmp_path_factory.mktemp("dates"), ["path,label,taken,year,mixed"]
    for number in range(12):
        (root / f"{number}.png").write_bytes(encoded(picture("shapes/disc", number)))
        taken = TAKEN[number % len(TAKEN)]
        rows.append(f"{number}.png,disc,{taken},{YEARS[number % 3]},{taken if number % 2 else 'unknown'}")
    (root / "list.csv").write_text("\n".join(rows))
    made = Gallery.create(root / "indexes" / "dated", embedder)
    run_index(made, root / "list.csv")
    return made


def left(gallery: Gallery, filters: Filters) -> list[str]:
    mask = filters.mask(gallery.snapshot())
    records = gallery.records(gallery.snapshot().columns.ids[mask])
    return [record.labels.extra.get("taken", "") for record in records]


def test_facets_of_dates_are_ranges_and_counted_as_they_are_filtered(gallery):
    found = {facet.name: facet for facet in facets(gallery)}
    ends = lambda facet: (facet.low, facet.high)  # noqa: E731
    assert ends(found["column taken"]) == ("1999-01-01", "2021-03-05")
    assert found["column taken"].counts == Counter({text: 2 for text in TAKEN if text})
    assert ends(found["column year"]) == (1999.0, 2004.0)  # years alone are numbers
    assert ends(found["column mixed"]) == (None, None)
    for view, texts in {
        ("2021-03-04", "2021-03-04"): TAKEN[:2],
        ("2020-12-31", None): TAKEN[:4],
        (None, "2020"): (TAKEN[2], TAKEN[4]),
        ("1999-01-02", "2021-03-04T10:20"): TAKEN[:3],
    }.items():
        chosen = View.parse(View(between={"column taken": view}).as_json())
        assert Counter(left(gallery, chosen.filters)) == Counter(2 * texts)
        counted = {facet.name: facet for facet in facets(gallery, chosen.filters)}
        assert counted["label"].counts == {"disc": 2 * len(texts)}
        assert counted["column taken"] == found["column taken"]  # its own filter can be changed
    chosen = View(between={"column year": (2000, None)}).filters
    counted = {facet.name: facet for facet in facets(gallery, chosen)}
    assert ends(counted["column taken"]) == ("1999-01-01", "2021-03-04")


def test_a_condition_on_the_command_line_means_the_same(gallery):
    where = lambda *texts: left(gallery, Filters(where=tuple(map(Condition.parse, texts))))  # noqa: E731
    assert set(where("taken=2021-03")) == {TAKEN[0], TAKEN[1], TAKEN[3]}
    assert set(where("taken=2021-03-04", "taken>2021-03-04 08:00")) == {TAKEN[0]}
    assert set(where("taken<2000")) == {"1999"}
    assert where("taken>5") == ["1999", "1999"]  # a number is compared with what is one
    with pytest.raises(UnifexError, match="no '2022' in column 'taken'"):
        Filters(where=(Condition.parse("taken=2022"),)).check_known(gallery)


def test_hits_are_sorted_by_a_column_of_dates_in_the_order_of_time():
    from unifex.ui.rendering.grid import GridItem

    def by(text: str) -> str | float | None:
        record = SimpleNamespace(
            id=1, sha256="0" * 64, label="", domain="", path="a", tags=(), labels=SimpleNamespace(extra={"taken": text})
        )
        hit = SimpleNamespace(record=record, score=0.5, probability=None, copies=None)
        return GridItem.of_hit(hit, "-taken").by

    assert by("2021:03:04 10:20:30") == "2021-03-04T10:20:30"
    assert [by("2021-03-04"), by("1999"), by("soon")] == ["2021-03-04T00:00:00", 1999.0, "soon"]
