"""An address for what is on screen: Back, a reload, a link that is sent to somebody."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.support.browsing import (
    PHONE,
    before_any_answer,
    choose,
    come_back,
    drop,
    first_hit,
    go_to,
    leave,
    reload,
    settle,
    wait_until,
    watch_calls,
)
from tests.support.drawing import encoded, picture, write_folder
from tests.support.galleries import run_index
from tests.support.serving import Server, serve
from unifex.gallery.gallery import Gallery

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def server(tmp_path_factory, embedder) -> Iterator[Server]:
    base = tmp_path_factory.mktemp("addresses")
    run_index(Gallery.create(base / "indexes" / "drawn", embedder), write_folder(base / "pictures"))
    with serve(base / "indexes") as running:
        yield running


def samples(page: Page):
    return page.locator("#hits .grid[data-kind=samples] .card")


def test_back_forward_reload_and_a_link_show_what_was_on_screen(server, open_page):
    page = open_page(server.url)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    expect(samples(page).first).to_be_visible()
    assert page.url == server.url  # who has just come sees a bare address
    samples(page).first.click()
    expect(page).to_have_url(re.compile(r"#gallery=drawn&items=\d+$"))
    expect(first_hit(page)).to_be_visible()
    item = page.url
    drop(page, "#query-image button", {"cross.png": encoded(picture("signs/cross", 50))})
    expect(first_hit(page)).to_contain_text("cross")
    expect(page).to_have_url(re.compile("image=1"))
    page.get_by_role("button", name="Copy link").click()
    expect(page.locator(".status .told")).to_contain_text("an image that only you have")
    by_image = page.evaluate("navigator.clipboard.readText()")
    go_to(page, "Evaluate")
    expect(page).to_have_url(re.compile("#tab=evaluate&"))

    page.go_back()
    expect(page.get_by_role("tab", name="Search")).to_have_attribute("aria-selected", "true")
    page.go_back()
    expect(page.locator("#query-image img")).to_have_count(0)
    expect(first_hit(page)).not_to_contain_text("cross")
    expect(page).to_have_url(item)
    page.go_back()
    expect(samples(page).first).to_be_visible()
    held = []
    uploads = re.compile("/file=")
    page.route(uploads, lambda route: held.append(route) if route.request.method == "HEAD" else route.continue_())
    page.go_forward()
    page.go_forward()
    wait_until(page, lambda: bool(held))
    settle(page)  # the first answers before it is known whether the upload of the second is there
    for route in held:
        route.continue_()
    page.unroute(uploads)
    expect(page.locator("#query-image img")).to_be_visible()  # this browser's own upload
    expect(first_hit(page)).to_contain_text("cross")
    page.go_forward()
    expect(page.get_by_role("tab", name="Evaluate")).to_have_attribute("aria-selected", "true")
    settle(page)  # Gradio reports what a reload cuts off
    page.reload()
    expect(page.get_by_role("tab", name="Evaluate")).to_have_attribute("aria-selected", "true")
    go_to(page, "Search")
    expect(first_hit(page)).to_contain_text("cross")
    expect(page.locator("#query-image img")).to_be_visible()

    other = open_page(server.url, link=item)
    expect(first_hit(other)).to_be_visible()
    expect(other.locator(".status .queries img")).to_have_count(1)
    other = open_page(server.url, link=by_image)
    expect(other.locator("#address-notice")).to_contain_text("only whoever searched has")
    settle(other)
    samples(other).first.click()
    expect(first_hit(other)).to_be_visible()
    expect(other.locator("#address-notice")).to_be_hidden()


def test_a_link_to_what_is_not_there_opens_the_rest_and_says_so(server, open_page):
    page = open_page(server.url, link=f"{server.url}#tab=map&gallery=gone&items=1")
    expect(page.locator("#address-notice")).to_contain_text("There is no gallery 'gone' here")
    expect(page.get_by_role("tab", name="Map")).to_have_attribute("aria-selected", "true")
    page = open_page(server.url, link=f"{server.url}#gallery=drawn&hits=3&items=999999&words={'x' * 100_000}")
    expect(page.locator("#address-notice")).to_contain_text("means nothing here: its length")
    page = open_page(server.url, link=f"{server.url}#gallery=drawn&hits=3&<img src=x onerror=window.hurt=1>=1&items=1")
    expect(page.locator("#hits .grid[data-kind=hits] .card")).to_have_count(3)
    expect(page.locator("#address-notice")).to_contain_text("<img src")
    assert page.evaluate("window.hurt") is None


SHIFTS_JS = """window.shifted = 0;
new PerformanceObserver((list) => list.getEntries().forEach((shift) => { window.shifted += shift.value; }))
  .observe({ type: 'layout-shift', buffered: true });"""


def test_the_page_is_drawn_without_a_jump_and_the_first_hit_is_in_the_first_screen_of_a_phone(server, browser: Browser):
    context = browser.new_context(color_scheme="dark", **PHONE)
    page = context.new_page()
    page.add_init_script(SHIFTS_JS)
    watch_calls(page)
    page.route("**/assets/index-*.js", lambda route: late.append(route) if late is not None else route.continue_())
    late: list | None = []
    page.goto(server.url, wait_until="commit")
    expect(page.locator("#first-paint")).to_contain_text("Evaluate")  # before any script has come
    expect(page.locator("#first-paint")).to_have_css("background-color", "rgb(2, 6, 23)")
    waiting, late = late, None
    for route in waiting:
        route.continue_()
    expect(samples(page).first).to_be_visible()
    expect(page.locator("#first-paint")).to_have_count(0)
    assert page.evaluate("window.shifted") < 0.1
    page.wait_for_selector("#header .ready")
    settle(page)
    samples(page).first.click()
    expect(first_hit(page)).to_be_in_viewport(ratio=1)
    page.set_viewport_size({"width": 640, "height": 450})  # a desk at 200 %
    page.wait_for_function("document.documentElement.scrollWidth <= window.innerWidth")
    context.close()


def test_searches_are_saved_opened_and_tell_what_is_new_and_the_last_ones_are_offered(server, open_page):
    page = open_page(server.url)
    page.on("dialog", lambda asked: asked.accept("crosses"))
    drop(page, "#query-image button", {"cross.png": encoded(picture("signs/cross", 60))})
    expect(first_hit(page)).to_contain_text("cross")
    page.get_by_role("button", name="Save search").click()
    expect(page.locator("#saved-notice")).to_contain_text("Saved as 'crosses'")
    expect(page.locator("#searches .saved .name")).to_have_text("crosses")
    expect(page.locator("#searches .recent .open")).to_have_count(1)
    page.get_by_role("button", name="Clear", exact=True).click()
    expect(samples(page).first).to_be_visible()
    source = server.indexes.parent / "pictures"
    (source / "signs" / "cross" / "new.png").write_bytes(encoded(picture("signs/cross", 61)))
    run_index(Gallery.open(server.indexes / "drawn"), source)

    expect(page.locator("#searches .saved .new")).to_have_text("1 new")  # which nobody did anything on
    other = open_page(server.url)  # somebody else of the same server: the image is not there, its features are
    expect(other.locator("#searches .saved .new")).to_have_text("1 new")
    other.locator("#searches .saved .open").press("Enter")
    expect(first_hit(other)).to_contain_text("cross")
    expect(other.locator("#searches .saved .new")).to_have_count(0)
    expect(other.locator("#searches .saved .open")).to_be_focused()
    expect(other.locator("#searches .recent .open")).to_have_count(1)
    link = other.url
    page.locator("#searches .recent .open").click()
    expect(page.locator("#query-image img")).to_be_visible()
    page.get_by_role("button", name="Delete crosses").press("Enter")
    expect(page.locator("#searches .saved li")).to_have_count(0)
    expect(page.locator("#searches .recent .open")).to_be_focused()
    third = open_page(server.url, link=link)
    expect(third.locator("#address-notice")).to_contain_text("a saved search that is not here")


def test_what_was_saved_in_another_tab_is_there_when_one_comes_back(server, open_page):
    page, other = (open_page(server.url, link=f"{server.url}#gallery=drawn&words=a+cross") for _ in range(2))
    leave(page)
    other.evaluate("unifex.saveSearch('elsewhere')")
    expect(other.locator("#searches .saved .name", has_text="elsewhere")).to_be_visible()
    expect(page.locator("#searches .saved .name", has_text="elsewhere")).to_have_count(0)
    come_back(page)
    expect(page.locator("#searches .saved .name", has_text="elsewhere")).to_be_visible()
    other.once("dialog", lambda asked: asked.accept())
    other.locator("#searches .saved li", has_text="elsewhere").get_by_role("button", name="Delete").click()
    expect(other.locator("#searches .saved .name", has_text="elsewhere")).to_have_count(0)


def test_recent_searches_that_read_alike_are_one_and_filters_are_told(server, open_page):
    page = open_page(server.url, link=f"{server.url}#gallery=drawn&words=a+cross")
    recent = page.locator("#searches .recent .name")
    expect(recent).to_have_text(["\u201ca cross\u201d in drawn"])
    page.evaluate("unifex.go('gallery=drawn&words=a+cross&rerank=True')")
    expect(page.locator("#search-status")).to_contain_text("re-ranked")
    page.wait_for_function("localStorage.getItem('unifex-recent').includes('rerank')")
    view = quote(json.dumps({"chosen": {"domain": ["signs"]}}))
    page.evaluate(f"unifex.go('gallery=drawn&words=a+cross&view={view}')")
    expect(recent).to_have_text(["\u201ca cross\u201d, 1 filter in drawn", "\u201ca cross\u201d in drawn"])
    recent.nth(1).click()
    expect(page.locator("#search-status")).to_contain_text("re-ranked")  # as it was searched for last


@pytest.fixture(scope="module")
def two(tmp_path_factory, embedder) -> Iterator[Server]:
    """A gallery that a page begins with, and another of a part of it."""
    base = tmp_path_factory.mktemp("two")
    for name, labels in {"all": ("shapes", "signs"), "shapes": ("shapes",)}.items():
        folder = write_folder(base / name, 6)
        for other in set(folder.iterdir()) - {folder / label for label in labels}:
            shutil.rmtree(other)
        run_index(Gallery.create(base / "indexes" / name, embedder), folder)
    with serve(base / "indexes") as running:
        yield running


SHOWN_JS = """() => {
  const shown = (selector) => [...document.querySelectorAll(selector)].find((node) => node.checkVisibility());
  return JSON.stringify([shown('[id$=-gallery] input')?.value, shown('.filters')?.dataset.gallery ?? null]);
}"""


def shows(page: Page, gallery: str, filtered: bool) -> None:
    """The open tab's list of galleries and its filter bar, if it has one, are about it, and stay so."""
    told = json.dumps([gallery, gallery if filtered else None], separators=(",", ":"))
    page.wait_for_function(f"(told) => ({SHOWN_JS})() === told", arg=told)
    settle(page)
    assert page.evaluate(SHOWN_JS) == told


def test_an_address_opens_with_its_gallery_on_every_tab(two, open_page):
    """Also where a reload or Back brings the address."""
    page = open_page(two.url)
    for tab in ("search", "gallery", "evaluate", "map", "train"):
        filtered, on = tab in ("search", "gallery"), "" if tab == "search" else f"tab={tab}&"
        page.goto("about:blank")  # who follows a link has a new document
        page.goto(f"{two.url}#{on}gallery=shapes")
        page.wait_for_selector("#header .ready")
        expect(page.locator(f"[role=tab][data-tab-id={tab}]")).to_have_attribute("aria-selected", "true")
        shows(page, "shapes", filtered)
        if tab in ("gallery", "map"):  # with filters and without: a reload begins as a link does
            page.reload()
            page.wait_for_selector("#header .ready")
            shows(page, "shapes", filtered)
        page.evaluate(f"unifex.go('{on}gallery=all')")
        shows(page, "all", filtered)
        page.go_back()
        shows(page, "shapes", filtered)


def test_a_tab_that_is_pressed_while_an_address_is_opened_is_not_left_again(two, open_page):
    """Also where it is the one that is open, and before the page's scripts are all there."""
    page = open_page(two.url)
    selected = page.locator("#tabs > .tab-wrapper [role=tab][aria-selected=true]")
    with before_any_answer(page):
        page.evaluate("unifex.go('tab=gallery&gallery=shapes')")
        go_to(page, "Search")
    expect(page.locator("#search-gallery input")).to_have_value("shapes")
    settle(page)
    expect(selected).to_have_text("Search")
    expect(page).to_have_url(f"{two.url}#gallery=shapes")
    held: list[Route] = []
    page.route("**/code/*/address.js", lambda route: held.append(route))
    for pressed, address in (("Search", ""), ("Evaluate", "tab=evaluate&")):
        page.goto("about:blank")
        page.goto(f"{two.url}#tab=gallery&gallery=shapes")
        page.wait_for_selector("#first-paint", state="detached")
        wait_until(page, lambda: bool(held))
        go_to(page, pressed)
        expect(selected).to_have_text(pressed)
        held.pop().continue_()
        expect(page.locator("#search-gallery input")).to_have_value("shapes")
        settle(page)
        expect(selected).to_have_text(pressed)
        expect(page).to_have_url(f"{two.url}#{address}gallery=shapes")


def test_order_and_groups_of_hits_stand_in_the_address(server, open_page):
    page = open_page(server.url)
    samples(page).first.click()
    expect(first_hit(page)).to_be_visible()
    settle(page)
    page.locator("#search-filters .order select").select_option("label")
    page.locator("#search-filters .grouped input").check()
    expect(page).to_have_url(re.compile(r"#gallery=drawn&items=\d+&order=label&grouped=True$"))
    address = page.url
    page.locator("#search-words textarea, #search-words input").first.fill("a sign")
    page.locator("#search-words textarea, #search-words input").first.press("Enter")
    expect(page).to_have_url(re.compile(r"&words=a\+sign&order=label&grouped=True$"))
    page.go_back()
    expect(page).to_have_url(address)
    reload(page)
    expect(page.locator("#search-filters .order select")).to_have_value("label")
    expect(page.locator("#search-filters .grouped input")).to_be_checked()
    settle(page)
    page.locator("#search-filters .order select").select_option("")
    page.locator("#search-filters .grouped input").uncheck()
    expect(page).to_have_url(re.compile(r"#gallery=drawn&items=\d+$"))


@pytest.mark.slow
def test_who_searches_a_gallery_that_another_tab_deletes_is_told_and_searches_no_other_unbidden(two, open_page):
    page, other = open_page(two.url, link=f"{two.url}#gallery=shapes&words=a+sign"), open_page(two.url)
    words = page.locator("#search-words textarea, #search-words input").first
    first_hit(page).click()  # what was done before the news is no step that the news takes
    expect(page.locator("#detail")).to_be_visible()
    page.keyboard.press("Escape")
    go_to(other, "Gallery")
    choose(other, "#manage-gallery", "shapes")
    settle(other)
    other.get_by_role("button", name="Delete this gallery").click()
    settle(other)  # fields that have just appeared take their first value once more
    other.locator("#delete-confirm textarea, #delete-confirm input").fill("shapes")
    other.locator("#delete-button").click()
    expect(other.locator("#manage-notice")).to_contain_text("'shapes' was deleted")
    come_back(page)
    expect(page.locator("#address-notice")).to_contain_text("There is no gallery 'shapes' any more")
    expect(page.locator("#address-notice")).to_contain_text("It was renamed or deleted. This is 'all'.")
    shows(page, "all", filtered=True)
    expect(page.locator("#search-answer")).not_to_contain_text("being made")
    expect(samples(page).first).to_be_visible()  # nobody asked this gallery for it
    expect(words).to_have_value("a sign")
    expect(page).to_have_url(f"{two.url}#gallery=all")
    expect(page.locator("#address-notice")).to_be_visible()
    settle(page)
    leave(page)
    gallery = Gallery.open(two.indexes / "all")
    gone = {int(card.get_attribute("data-item")) for card in samples(page).all()}
    with gallery.write() as writer:  # another program
        writer.remove(gone)
    come_back(page)
    expect(page.locator(f"#hits .card[data-item='{min(gone)}']")).to_have_count(0)
    expect(words).to_have_value("a sign")
    expect(page).to_have_url(f"{two.url}#gallery=all")
    words.press("Enter")
    expect(first_hit(page)).to_be_visible()
    expect(page).to_have_url(f"{two.url}#gallery=all&words=a+sign")
    expect(other.locator("#address-notice")).to_be_empty()  # who did it knows


@pytest.mark.slow
def test_documents_begin_with_the_galleries_that_there_are_when_the_first_one_is_called_otherwise(
    open_page, embedder, tmp_path
):
    for name in ("alpha", "beta", "gamma"):
        run_index(Gallery.create(tmp_path / "indexes" / name, embedder), write_folder(tmp_path / name))
    with serve(tmp_path / "indexes") as running:
        page = open_page(running.url, pictures_go=True)
        expect(samples(page).first).to_be_visible()
        (tmp_path / "indexes" / "alpha").rename(tmp_path / "indexes" / "zeta")
        page.reload()
        expect(samples(page).first).to_be_visible()
        settle(page)
        expect(page.locator("#search-gallery input")).to_have_value("beta")
        expect(page.locator("#address-notice")).to_be_empty()
        for tab, box in (("map", "map"), ("gallery", "manage"), ("evaluate", "evaluate")):
            page.goto("about:blank")
            page.goto(f"{running.url}#tab={tab}&gallery=gamma")
            expect(page.locator(f"#{box}-gallery input")).to_have_value("gamma")
            settle(page)  # nothing is asked for over and over
            expect(page.locator(f"#{box}-gallery input")).to_have_value("gamma")
            expect(page.locator("#address-notice")).to_be_empty()
        page.context.close()


def test_where_nothing_is_found_nothing_stands_for_hits_to_come(server, open_page):
    page = open_page(server.url, link=f"{server.url}#gallery=drawn&items=1&similarity=1")
    expect(page.locator("#search-answer")).to_contain_text("Nothing is that similar")
    expect(page.locator("#hits .frame")).to_have_css("background-image", "none")


def test_an_address_that_the_browser_does_not_copy_can_be_read(server, open_page):
    within = ",".join(map(str, range(1, 25)))
    page = open_page(server.url, link=f"{server.url}#gallery=drawn&items=1&within={within}", **PHONE)
    expect(first_hit(page)).to_be_visible()
    settle(page)
    page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error()); }")
    page.locator("#search-status .copy-link").click()
    told = page.locator("#search-status .told")
    expect(told).to_contain_text("22,23,24")
    assert told.evaluate(
        "told => told.getBoundingClientRect().right <= innerWidth && told.scrollWidth <= told.clientWidth"
    )
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_galleries_that_are_looked_at_on_another_tab_are_no_recent_searches(server, open_page, embedder):
    run_index(Gallery.create(server.indexes / "other", embedder), server.indexes.parent / "pictures" / "signs")
    page = open_page(server.url)
    words = page.get_by_label("Words, alone or with an image")
    words.fill("a cross")
    words.press("Enter")
    recent = page.locator("#searches .recent .name")
    expect(recent).to_have_text(["\u201ca cross\u201d in drawn"])
    go_to(page, "Gallery")
    choose(page, "#manage-gallery", "other")
    page.wait_for_function("location.hash.includes('gallery=other')")
    settle(page)
    page.wait_for_timeout(600)  # what is searched is kept a moment after it was told
    go_to(page, "Search")
    expect(page.locator("#search-status")).to_contain_text("other")
    expect(recent).to_have_text(["\u201ca cross\u201d in drawn"])
