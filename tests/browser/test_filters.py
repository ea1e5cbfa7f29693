"""Filters in sight, near-copies folded, sorted and grouped hits, and those that come as one scrolls."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from PIL import Image
from playwright.sync_api import Page, Route, expect

from tests.support.browsing import PHONE, choose, first_hit, go_to, settle, stand_still
from tests.support.drawing import LABELS, encoded, picture
from tests.support.galleries import run_index
from tests.support.serving import Server, serve
from unifex.gallery.gallery import Gallery

pytestmark = pytest.mark.browser
VIEWS, COPIED = 40, 8  # pictures of each of the four labels, and how many of the first have two near-copies


@pytest.fixture(scope="module")
def server(tmp_path_factory, embedder) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("filters")
    rows = ["path,label,domain,artist,year,taken"]
    for place in LABELS:
        domain, _, label = place.partition("/")
        (root / place).mkdir(parents=True)
        for view in range(VIEWS):
            name = f"{place}/{view}.png"
            (root / name).write_bytes(encoded(picture(place, view)))
            told = f"{1900 + view},{datetime(2021, 3, 1, 12) + view * timedelta(days=1):%Y:%m:%d %H:%M:%S}"
            rows.append(f"{name},{label},{domain},{'Klee' if view % 2 else '<b>Monet</b>'},{told}")
            for quality in (50, 80) if place == "signs/cross" and view < COPIED else ():
                copy = Image.open(io.BytesIO((root / name).read_bytes())).resize((120, 120))
                (root / f"{place}/{view}-{quality}.jpg").write_bytes(encoded(copy, "JPEG", quality=quality))
                rows.append(f"{place}/{view}-{quality}.jpg,{label},{domain},Klee,{told}")
    (root / "list.csv").write_text("\n".join(rows))
    for name in ("drawn", "other"):
        run_index(Gallery.create(root / "indexes" / name, embedder), root / "list.csv")
    with serve(root / "indexes", "--gallery", "drawn") as running:
        yield running


ITEMS = 4 * VIEWS + 2 * COPIED


def hits(page: Page):
    return page.locator("#hits .grid[data-kind=hits] .card")


def told(page: Page, name: str) -> list[str]:
    """What the hits' cards say of themselves there."""
    return hits(page).evaluate_all("(cards, name) => cards.map((card) => card.getAttribute(name))", name)


def searched(page: Page) -> Page:
    settle(page)  # what was filtered before draws the samples anew
    page.locator("#hits .grid[data-kind=samples] .card").first.click()
    expect(first_hit(page)).to_be_visible()
    return page


def show_more(page: Page) -> None:
    """A pointer scrolls there first, which may ask for them, too, and then the press for still more."""
    page.get_by_role("button", name="Show more hits").dispatch_event("click")


def name_of(page: Page, bar: str, facet: str, name: str):
    return page.locator(f"{bar} [data-facet='{facet}'] li", has_text=name).locator("input")


def test_filters_are_chosen_counted_seen_and_taken_away(server, open_page):
    page = searched(open_page(server.url))
    status, chips = page.locator("#search-status"), page.locator("#search-filters .chips li")
    toggle = page.locator("#search-filters .toggle")
    toggle.click()
    name_of(page, "#search-filters", "label", "cross").check()
    expect(status).to_contain_text(f"among {VIEWS + 2 * COPIED} of {ITEMS} items")
    expect(page.locator("#search-filters [data-facet=domain] li")).to_have_text([f"signs{VIEWS + 2 * COPIED}"])
    name_of(page, "#search-filters", "column artist", "<b>Monet</b>").check()  # text, and no markup
    expect(status).to_contain_text(f"among {VIEWS // 2} of")
    year = page.get_by_role("spinbutton", name="year: from")
    year.fill("1930")
    year.press("Enter")
    expect(status).to_contain_text("among 5 of")
    toggle.click()
    expect(toggle).to_have_accessible_name("Filters, 3 in use")
    expect(chips).to_have_text(["Label: cross", "artist: <b>Monet</b>", "year: 1930 and more", "Clear all"])
    chips.nth(1).locator("button").focus()
    page.keyboard.press("Enter")
    expect(status).to_contain_text("among 10 of")
    expect(chips.nth(1).locator("button")).to_be_focused()
    choose(page, "#search-gallery", "other")  # what it knows, too, stays
    expect(status).not_to_contain_text("drawn")
    expect(chips).to_have_text(["Label: cross", "Clear all"])
    chips.last.locator("button").click()
    expect(toggle).to_have_accessible_name("Filters")
    toggle.click()
    name_of(page, "#search-filters", "label", "cross").check()
    page.locator("#clear-button").click()
    expect(chips).to_have_count(0)
    expect(name_of(page, "#search-filters", "label", "cross")).not_to_be_checked()


def test_a_name_is_ticked_though_counts_come_while_it_is_pressed(server, open_page):
    page = searched(open_page(server.url))
    page.locator("#search-filters .toggle").click()
    another = name_of(page, "#search-filters", "label", "disc")
    another.scroll_into_view_if_needed()
    stand_still(page)
    with page.expect_response("**/facets/**"):
        name_of(page, "#search-filters", "label", "cross").check()
        another.hover()
        page.mouse.down()
    page.wait_for_timeout(200)
    page.mouse.up()
    expect(another).to_be_checked()
    expect(page.locator("#search-filters .chips li")).to_have_text(["Label: cross", "Label: disc", "Clear all"])


def test_a_name_is_ticked_though_a_facet_goes_while_it_is_pressed(server, open_page):
    page, held = searched(open_page(server.url)), []
    page.locator("#search-filters .toggle").click()
    artist = page.locator("#search-filters [data-facet='column artist']")
    expect(artist).to_be_visible()
    page.route("**/facets/**", lambda route: held.append(route))
    with page.expect_request("**/facets/**"):
        name_of(page, "#search-filters", "label", "cross").check()
    another = name_of(page, "#search-filters", "label", "disc")
    another.hover()
    page.mouse.down()
    answer = held[0].fetch().json()
    held[0].fulfill(json={"facets": [facet for facet in answer["facets"] if facet["name"] != "column artist"]})
    page.unroute("**/facets/**")
    expect(artist).to_have_count(0)
    page.mouse.up()
    expect(another).to_be_checked()


def test_a_hit_is_opened_though_further_ones_come_while_it_is_pressed(server, open_page):
    page, held = searched(open_page(server.url)), []
    settle(page)
    page.route("**/queue/join**", lambda route: held.append(route))
    with page.expect_request("**/queue/join**"):
        show_more(page)
    first_hit(page).hover()
    page.mouse.down()
    held[0].continue_()
    page.unroute("**/queue/join**")
    expect(hits(page)).to_have_count(120)
    page.mouse.up()
    expect(page.locator("#detail-card")).to_be_visible()


def test_hits_that_are_on_their_way_come_as_the_page_says_meanwhile(server, open_page):
    page, held = open_page(server.url), []

    def hold(route: Route) -> None:
        route.continue_() if held else held.append(route)

    page.route("**/queue/join**", hold)
    with page.expect_request("**/queue/join**"):
        page.locator("#hits .grid[data-kind=samples] .card").first.click()
    page.locator("#search-filters select").select_option("label")
    page.locator("#search-filters .grouped input").check()
    held[0].continue_()
    expect(hits(page)).to_have_count(20)
    expect(page.locator("#hits .group").first).to_be_visible()
    labels = [text.split("\n")[0] for text in page.locator("#hits .group").all_inner_texts()]
    assert labels == sorted(labels)


def test_hits_are_sorted_grouped_and_followed_by_more(server, open_page):
    page = searched(open_page(server.url))
    expect(hits(page)).to_have_count(20)
    expect(page.locator("#hits .heard")).to_have_text("20 hits, more come as you scroll")
    sort, group = page.locator("#search-filters select"), page.locator("#search-filters .grouped input")
    settle(page)
    found = told(page, "title")
    sort.select_option("path")
    expect(first_hit(page)).not_to_have_attribute("title", found[0])
    group.check()
    counts = page.locator("#hits .group small")
    expect(counts.first).to_be_visible()
    assert sum(map(int, counts.all_inner_texts())) == 20
    page.get_by_role("button", name="Only the label disc").click()
    expect(page.locator("#search-filters .chips li").first).to_have_text("Label: disc")
    expect(page.locator("#search-status")).to_contain_text(f"among {VIEWS} of {ITEMS} items")
    expect(page.get_by_role("button", name="Only the label disc")).to_be_focused()
    page.locator("#search-filters .chips .clear").click()
    expect(page.locator("#search-status")).to_contain_text(f"among {ITEMS} items")
    show_more(page)
    expect(hits(page)).to_have_count(120)
    sort.focus()
    sort.select_option("-year")
    expect(hits(page)).to_have_count(20)  # asked for anew, with what the column says
    group.uncheck()
    sort.select_option("")
    expect(first_hit(page)).to_have_attribute("title", found[0])
    assert told(page, "title")[:20] == found
    first_hit(page).click(modifiers=["Control"])
    bar = page.locator("#hits .tools")
    expect(bar).to_be_in_viewport(ratio=1)
    page.mouse.wheel(0, 4000)
    expect(hits(page)).to_have_count(120)
    expect(bar).to_be_in_viewport(ratio=1)
    assert page.evaluate("scrollY") > 300  # what has the focus is far from what is looked at
    page.mouse.wheel(0, 40_000)
    expect(hits(page)).to_have_count(ITEMS - 1)
    expect(page.locator("#hits .heard")).to_have_text(f"{ITEMS - 1} hits")
    assert len(set(told(page, "data-item"))) == ITEMS - 1


def test_who_tags_a_late_hit_stays_there(server, open_page):
    page = searched(open_page(server.url))
    show_more(page)
    expect(hits(page)).to_have_count(120)
    late = hits(page).nth(110)
    title = late.get_attribute("title")
    late.scroll_into_view_if_needed()
    stand_still(page)  # further ones may have come
    late.click(modifiers=["Control"])
    before = page.evaluate("scrollY")
    page.locator("#hits .tools").get_by_role("button", name="Tag").click()
    page.locator("dialog.ask input").fill("late")
    page.locator("dialog.ask").get_by_role("button", name="Add").click()
    expect(late).to_contain_text("#late")
    settle(page)
    assert hits(page).count() >= 120
    expect(late).to_have_attribute("title", title)
    assert page.evaluate("scrollY") == pytest.approx(before, abs=100)
    page.get_by_label("Words, alone or with an image").fill("cross")
    page.keyboard.press("Enter")
    expect(hits(page)).to_have_count(20)  # of another question nothing stays


def test_near_copies_are_one_card_that_opens(server, open_page):
    page = open_page(server.url)
    page.locator("#search-filters .toggle").click()
    name_of(page, "#search-filters", "label", "cross").check()
    page.locator("#search-filters .toggle").click()
    searched(page)
    page.get_by_text("Hits, copies, similarity").click()
    choose(page, "#search-fold", "Same picture folded")
    copies = page.locator("#hits .copies")
    expect(copies.filter(has_text="+2 copies").first).to_be_visible()
    opener = copies.filter(has_text="+2 copies").first
    id = opener.get_attribute("data-of")
    opener.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#hits .near-copy")).to_have_count(2)
    expect(page.locator(f".copies[data-of='{id}']")).to_be_focused()
    after = page.locator(f"#hits .folded:has([data-of='{id}']) + .near-copy + .near-copy")
    expect(after).to_have_count(1)  # where it was opened
    page.keyboard.press("Enter")
    expect(page.locator("#hits .near-copy")).to_have_count(0)
    expect(page.locator(f".copies[data-of='{id}']")).to_be_focused()
    page.locator("#search-button").dispatch_event("click")
    settle(page)
    expect(page.locator(f".copies[data-of='{id}']")).to_be_focused()  # as they come anew
    held = []
    page.route("**/items/*ids=*", lambda route: held.append(route))
    with page.expect_request("**/items/*ids=*"):
        page.locator(f".copies[data-of='{id}']").press("Enter")
    page.locator("#search-button").click()  # the same hits are told anew before the copies come
    settle(page)
    held.pop().continue_()
    expect(page.locator("#hits .near-copy")).to_have_count(2)
    page.locator("#search-button").click()
    settle(page)
    expect(page.locator("#hits .near-copy")).to_have_count(2)
    page.locator("#search-k input[type=number]").fill("10")
    page.locator("#search-k input[type=number]").press("Enter")
    expect(hits(page)).to_have_count(10 + 2)  # fewer hits, this one among them
    expect(page.locator("#hits .near-copy")).to_have_count(2)


def test_a_gallerys_pictures_are_filtered_and_ordered(server, open_page):
    page = open_page(server.url)
    go_to(page, "Gallery")
    cards = page.locator("#pictures .card[data-item]")
    page.locator("#gallery-filters .toggle").click()
    name_of(page, "#gallery-filters", "label", "stripes").check()
    page.get_by_role("spinbutton", name="year: to").fill("1904")
    page.get_by_role("spinbutton", name="year: to").press("Enter")
    expect(cards).to_have_count(5)
    page.locator("#gallery-filters select").select_option("newest")
    expect(cards.first).to_have_attribute("title", "signs/stripes/4.png")
    page.locator("#gallery-filters select").select_option("By date taken, oldest first")
    expect(cards.first).to_have_attribute("title", "signs/stripes/0.png")
    page.locator("#gallery-filters select").select_option("By date taken, newest first")
    expect(cards.first).to_have_attribute("title", "signs/stripes/4.png")
    page.locator("#gallery-filters select").select_option("newest")
    page.locator("#gallery-filters .chips .clear").click()
    expect(cards.first).to_have_attribute("title", "signs/stripes/39.png")
    dates = page.locator("#gallery-filters [data-facet='column taken']")
    expect(dates.locator(".span")).to_have_text("2021-03-01 to 2021-04-09")
    page.get_by_label("taken: from").fill("2021-04-08")
    page.get_by_label("taken: from").press("Enter")
    chips = page.locator("#gallery-filters .chips li")
    expect(chips.first).to_have_text("taken: since 2021-04-08")
    expect(cards).to_have_count(8)
    page.get_by_label("taken: to").fill("2021-04-08")
    expect(chips.first).to_have_text("taken: 2021-04-08")  # a rest after what is typed is enough
    expect(cards).to_have_count(4)
    page.locator("#gallery-filters .chips .clear").click()
    expect(page.get_by_label("taken: to")).to_have_value("")
    expect(cards.first).to_have_attribute("title", "signs/stripes/39.png")  # all are there again
    page.locator("#pictures .frame").evaluate("frame => { frame.scrollTop = frame.scrollHeight }")
    last = page.locator(f"#pictures .card[data-index='{ITEMS - 1}'][data-item]")
    expect(last).to_have_attribute("title", "shapes/disc/0.png")
    said = {"between": {"column year": [">1903", None], "column taken": [None, "<2022"]}}
    page.evaluate("view => { location.hash = `gallery=drawn&view=${encodeURIComponent(view)}`; }", json.dumps(said))
    expect(page.locator("#search-filters .chips li")).to_have_text(
        ["year: after 1903", "taken: before 2022", "Clear all"]
    )
    page.locator("#search-filters .toggle").click()
    searched_by = page.locator("#search-filters")
    expect(searched_by.get_by_label("taken: to")).to_have_value("2021-12-31")
    expect(searched_by.get_by_label("year: from")).to_have_value("1903")
    searched_by.get_by_label("year: to").fill("1904")
    searched_by.get_by_label("year: to").press("Enter")
    expect(page.locator("#search-filters .chips li").first).to_have_text("year: after 1903, up to 1904")


def test_a_phone_says_how_many_filters_there_are(server, open_page):
    page = searched(open_page(server.url, **PHONE))
    page.locator("#search-filters .toggle").click()
    for label in ("cross", "stripes", "disc"):
        name_of(page, "#search-filters", "label", label).check()
    page.keyboard.press("Escape")
    expect(page.locator("#search-filters .panel")).to_be_hidden()
    expect(page.locator("#search-filters .number")).to_have_text("3")
    expect(page.locator("#search-filters .number")).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
