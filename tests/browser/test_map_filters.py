"""The map of the app and its grids: what filters leave out fades, what is chosen in one is seen in the other."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.support.browsing import PHONE, before_any_answer, drop, first_hit, go_to, settle, stand_still
from tests.support.drawing import encoded, picture, write_folder
from tests.support.galleries import run_index
from tests.support.serving import Server, serve
from unifex.core.progress import finish
from unifex.gallery.gallery import Gallery
from unifex.maps.projection import project

pytestmark = pytest.mark.browser
VIEWS = 9  # of each of four labels


@pytest.fixture(scope="module")
def server(tmp_path_factory, embedder) -> Iterator[Server]:
    base = tmp_path_factory.mktemp("mapped")
    gallery = Gallery.create(base / "indexes" / "drawn", embedder)
    run_index(gallery, write_folder(base / "pictures", views=VIEWS))
    finish(project(gallery))
    run_index(Gallery.create(base / "indexes" / "other", embedder), base / "pictures" / "signs")  # without a map
    with serve(base / "indexes", "--gallery", "drawn") as running:
        yield running


def lasso_all(page: Page) -> None:
    stand_still(page)  # what is drawn meanwhile ends a lasso
    box = page.locator(".map-plot .nsewdrag").first.bounding_box()
    corners = [(0.01, 0.01), (0.99, 0.01), (0.99, 0.99), (0.01, 0.99), (0.01, 0.02)]
    path = [(box["x"] + box["width"] * x, box["y"] + box["height"] * y) for x, y in corners]
    page.mouse.move(*path[0])
    page.mouse.down()
    for x, y in path[1:]:
        page.mouse.move(x, y, steps=8)
    page.mouse.up()


def ringed(page: Page, count: int) -> None:
    """Until so many items are ringed on the map."""
    find = "document.querySelector('.map-plot')?.data?.find(({ name }) => name === 'chosen')"
    page.wait_for_function(f"(count) => {find}?.x.length === count", arg=count)


def ticked(page: Page, bar: str, label: str) -> None:
    page.locator(f"{bar} .toggle").click()
    page.locator(f"{bar} [data-facet=label] li", has_text=label).locator("input").check()
    page.locator(f"{bar} .toggle").click()


def faded(page: Page, count: int) -> None:
    """Until so many items of the map are left out by its filters."""
    find = "document.querySelector('.map-plot')?.data?.find(({ name }) => name === 'left out')"
    page.wait_for_function(f"(count) => ({find}?.x.length || 0) === count", arg=count)


def test_map_and_grids_share_filters_and_what_is_chosen(server, open_page):
    page = open_page(server.url)
    ticked(page, "#search-filters", "stripes")
    go_to(page, "Map")
    chip = page.locator("#map-filters .chips button").first
    expect(chip).to_have_text("Label: stripes")
    faded(page, 27)
    lasso_all(page)
    expect(page.locator("#map-chosen .chosen-head")).to_contain_text("9 items chosen")  # only what is left
    chip.press("Enter")
    faded(page, 0)
    expect(page.locator("#map-filters .toggle")).to_be_focused()
    page.wait_for_function("!location.hash.includes('stripes')")
    page.go_back()
    faded(page, 27)
    expect(chip).to_have_text("Label: stripes")
    chip.click()
    faded(page, 0)
    go_to(page, "Search")
    expect(page.locator("#search-filters .chips li")).to_have_count(0)
    go_to(page, "Gallery")
    ticked(page, "#gallery-filters", "disc")
    cards = page.locator("#pictures .card[data-item]")
    expect(cards).to_have_count(VIEWS)
    settle(page)
    for at in (0, 2):
        cards.nth(at).locator(".pick").click()
    page.locator("#pictures .further > summary").click()
    page.locator("#pictures [data-do=map]").click()
    expect(page.get_by_role("tab", name="Map")).to_have_attribute("aria-selected", "true")
    expect(page.locator("#map-chosen .chosen-head")).to_contain_text("2 items chosen")
    ringed(page, 2)
    expect(chip).to_have_text("Label: disc")
    page.locator("#map-items .card").first.press("Enter")
    page.locator("#detail").get_by_role("button", name="Only this label").press("Enter")
    expect(page.locator("#detail")).to_be_hidden()
    chip.click()
    faded(page, 0)
    go_to(page, "Gallery")
    expect(page.locator("#gallery-filters .chips li")).to_have_count(0)
    go_to(page, "Search")
    ticked(page, "#search-filters", "cross")
    go_to(page, "Map")
    expect(chip).to_have_text("Label: cross")  # what was set last
    go_to(page, "Search")
    page.locator("#hits .grid[data-kind=samples] .card").first.click()
    expect(first_hit(page)).to_be_visible()
    settle(page)
    first_hit(page).click()
    page.locator("#detail").get_by_role("button", name="Show on the map").click()
    expect(page.locator("#map-chosen .chosen-head")).to_contain_text("1 item chosen")
    ringed(page, 1)


def test_the_map_opens_with_filters_whose_pictures_are_not_there_yet(server, open_page):
    page = open_page(server.url)
    go_to(page, "Map")
    settle(page)
    go_to(page, "Gallery")
    settle(page)
    with before_any_answer(page):
        ticked(page, "#gallery-filters", "disc")
        go_to(page, "Map")
    expect(page.locator("#map-filters .chips li", has_text="Label: disc")).to_be_visible()
    faded(page, 27)


STAR_JS = """() => {
  const { data = [] } = document.querySelector('.map-plot') || {};
  const star = data.find(({ name }) => name === 'your query');
  return star && [star.x[0], star.y[0]];
}"""
PLACE_JS = """(id) => {
  for (const { customdata, x, y } of document.querySelector('.map-plot').data) {
    const at = [...(customdata || [])].indexOf(id);
    if (at >= 0) return [x[at], y[at]];
  }
}"""


def starred(page: Page) -> list[float]:
    """Where the query's star stands, once there is one and all is answered."""
    settle(page)
    return page.wait_for_function(STAR_JS).json_value()


@pytest.mark.slow
def test_the_star_of_an_item_stands_where_it_is_and_that_of_a_picture_stays_whatever_is_filtered(server, open_page):
    page = open_page(server.url)
    page.locator("#hits .grid[data-kind=samples] .card").first.click()
    expect(first_hit(page)).to_be_visible()
    settle(page)
    item = int(re.search(r"items=(\d+)", page.url)[1])
    go_to(page, "Map")
    place = starred(page)
    assert place == page.evaluate(PLACE_JS, item)
    chip = page.locator("#map-filters .chips button").first
    for label in ("stripes", "cross"):  # of one of them the item is not
        ticked(page, "#map-filters", label)
        faded(page, 27)
        page.wait_for_function("(label) => location.hash.includes(label)", arg=label)
        assert starred(page) == place
        chip.click()
        faded(page, 0)
    go_to(page, "Search")
    drop(page, "#query-image button", {"unseen.png": encoded(picture("shapes/disc", 70))})
    page.wait_for_function("!location.hash.includes('items=')")
    expect(first_hit(page)).to_be_visible()
    go_to(page, "Map")
    before = starred(page)
    ticked(page, "#map-filters", "stripes")
    faded(page, 27)
    settle(page)
    go_to(page, "Search")
    expect(page.locator("#search-filters .chips")).to_contain_text("Label: stripes")
    go_to(page, "Map")
    assert starred(page) == before


def test_the_open_map_follows_an_address_that_names_another_gallery(server, open_page):
    page = open_page(server.url)
    go_to(page, "Map")
    frame, picker = page.locator("#map-frame"), page.locator("#map-gallery input")
    expect(page.locator(".map[data-drawn]")).to_be_visible(timeout=60_000)
    settle(page)
    page.evaluate("location.hash = 'tab=map&gallery=other'")
    expect(picker).to_have_value("other")
    expect(page.locator("#map-status")).to_contain_text("No map of this gallery yet")
    expect(frame).to_be_hidden()
    settle(page)
    page.evaluate("location.hash = 'tab=map&gallery=drawn'")
    expect(picker).to_have_value("drawn")
    expect(frame).to_be_visible()


def test_a_hit_is_found_on_the_map_on_a_phone(server, open_page):
    page = open_page(server.url, **PHONE)
    page.locator("#hits .grid[data-kind=samples] .card").first.tap()
    first_hit(page).tap()
    page.locator("#detail").get_by_role("button", name="Show on the map").tap()
    expect(page.locator(".map[data-drawn]")).to_be_visible(timeout=60_000)  # Plotly comes with the first map
    ringed(page, 1)
    expect(page.locator("#map-chosen .chosen-head")).to_contain_text("1 item chosen")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.slow
def test_a_map_that_is_drawn_anew_is_looked_at_as_before(server, open_page):
    page = open_page(server.url)
    go_to(page, "Map")
    page.locator(".map[data-drawn]").wait_for()
    settle(page)
    page.locator(".map-colour").select_option(label="label")
    page.locator(".map .modebar-btn[data-val=in]").first.click()
    lasso_all(page)
    settle(page)
    page.locator("#map-drop-ask").press("Enter")
    expect(page.locator("#map-drop-no")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#map-drop-ask")).to_be_focused()
    look = "document.querySelector('.map-plot')._fullLayout.xaxis.range"  # the other fits the height of the plot
    near = page.evaluate(look)
    page.locator(".map").evaluate("map => map.classList.add('of-before')")
    page.locator("#map-label textarea, #map-label input").fill("renamed")
    page.locator("#map-relabel").click()
    page.locator(".map[data-drawn]:not(.of-before)").wait_for()
    settle(page)
    assert page.locator(".map-colour").evaluate("list => list.selectedOptions[0].text") == "label"
    assert page.evaluate(look) == pytest.approx(near)
    gallery = Gallery.open(server.indexes / "drawn")
    with gallery.write() as writer:
        writer.undo(gallery.corrections())
