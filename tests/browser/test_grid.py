"""Pictures as cards: scrolled, chosen by mouse and by keys, labelled, left out, searched with, taken home."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.support.browsing import PHONE, first_hit, go_to
from tests.support.drawing import write_folder
from tests.support.galleries import run_index
from tests.support.serving import Server, serve
from unifex.gallery.gallery import Gallery

pytestmark = pytest.mark.browser
ITEMS = 400


@pytest.fixture(scope="module")
def server(tmp_path_factory, embedder) -> Server:
    base = tmp_path_factory.mktemp("grid")
    gallery = Gallery.create(base / "indexes" / "drawn", embedder)
    run_index(gallery, write_folder(base / "pictures", views=ITEMS // 4))
    with serve(base / "indexes") as running:
        yield running


def cards(page: Page):
    return page.locator("#pictures .card[data-item]")


def opened(page: Page) -> Page:
    go_to(page, "Gallery")
    expect(cards(page).first).to_be_visible()
    return page


def test_a_gallery_opens_on_its_pictures_and_scrolls_to_the_last(server, open_page):
    page = opened(open_page(server.url))
    assert cards(page).count() < 80  # of 400: what is in view
    page.locator("#pictures .frame").evaluate("frame => { frame.scrollTop = frame.scrollHeight }")
    last = page.locator(f"#pictures .card[data-index='{ITEMS - 1}'][data-item]")
    expect(last).to_be_in_viewport()
    assert last.evaluate("card => card.querySelector('img').src").startswith(server.url)
    last.click()
    expect(page.locator("#detail-card")).to_contain_text(last.get_attribute("title"))


def test_chosen_pictures_are_labelled_left_out_searched_with_and_taken_home(server, open_page):
    page = opened(open_page(server.url))
    names = [cards(page).nth(at).get_attribute("title") for at in range(4)]
    cards(page).nth(0).click(modifiers=["Control"])
    cards(page).nth(2).click(modifiers=["Shift"])
    tools = page.locator("#pictures .tools")
    expect(tools).to_contain_text("3 chosen")
    with page.expect_download() as download:
        tools.get_by_role("button", name="Download CSV").click()
    lines = download.value.path().read_text("utf-8-sig").splitlines()
    assert [line.split(",")[0].strip('"') for line in lines] == ["path", *names[:3]]
    page.once("dialog", lambda asked: asked.accept("renamed"))
    tools.get_by_role("button", name="Label").click()
    expect(page.locator("#chosen-notice")).to_contain_text("'renamed' is the label of 3 images now")
    expect(cards(page).nth(0)).to_contain_text("renamed")
    expect(cards(page).nth(3)).not_to_contain_text("renamed")
    cards(page).nth(3).locator(".pick").click()
    page.once("dialog", lambda asked: asked.dismiss())
    tools.get_by_role("button", name="Leave out").click()
    expect(tools).to_contain_text("1 chosen")  # thought better of it
    page.once("dialog", lambda asked: asked.accept())
    tools.get_by_role("button", name="Leave out").click()
    expect(page.locator("#chosen-notice")).to_contain_text("1 image left out")
    expect(page.locator("#gallery-facts")).to_contain_text(re.compile(rf"Items\s*{ITEMS - 1}"))
    expect(tools).to_be_hidden()
    cards(page).nth(0).click(modifiers=["Control"])
    cards(page).nth(1).click(modifiers=["Control"])
    tools.get_by_role("button", name="Search with these").click()
    expect(page.locator("#search-status .queries img")).to_have_count(2)
    expect(first_hit(page)).to_be_visible()


def test_the_keyboard_is_enough(server, open_page):
    page = open_page(server.url)
    page.locator("#hits .grid[data-kind=samples] .card").first.focus()
    page.keyboard.press("Space")  # nothing is chosen there: a button as any other
    expect(first_hit(page)).to_be_visible()
    first_hit(page).focus()
    page.keyboard.press("Space")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    expect(page.locator("#hits .tools")).to_contain_text("2 chosen")
    page.keyboard.press("Control+a")
    expect(page.locator("#hits .tools")).to_contain_text("20 chosen")
    page.keyboard.press("Escape")
    expect(page.locator("#hits .tools")).to_be_hidden()
    page.keyboard.press("ArrowDown")
    below = page.evaluate("document.activeElement.dataset.index")
    page.keyboard.press("Enter")
    expect(page.locator("#detail")).to_be_visible()
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.dataset.index") == below
    opened(page)
    cards(page).first.focus()
    for _ in range(12):
        page.keyboard.press("ArrowDown")
    assert int(page.evaluate("document.activeElement.dataset.index")) >= 12
    expect(page.locator(":focus")).to_be_in_viewport()


def test_a_phone_shows_two_beside_each_other_and_nothing_is_wider_than_it(server, open_page):
    page = opened(open_page(server.url, **PHONE))
    boxes = [cards(page).nth(at).bounding_box() for at in range(2)]
    assert boxes[0]["y"] == boxes[1]["y"]
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_what_is_marked_as_less_goes_and_comes_back_when_marks_are_forgotten(server, open_page):
    page = open_page(server.url)
    page.locator("#hits .grid[data-kind=samples] .card").first.click()
    expect(first_hit(page)).to_be_visible()
    name = first_hit(page).get_attribute("title")
    tools = page.locator("#hits .tools")
    first_hit(page).locator(".pick").click()
    tools.get_by_role("button", name="Less like these").click()
    expect(page.locator("#forget-marks")).to_have_text("Marked: 0 more like it, 1 less. Forget the marks")
    expect(page.locator(f"#hits .card[title='{name}']")).to_have_count(0)
    page.locator("#hits .card").nth(2).locator(".pick").click()
    tools.get_by_role("button", name="More like these").click()
    expect(page.locator("#forget-marks")).to_contain_text("1 more like it, 1 less")
    page.locator("#forget-marks").click()
    expect(page.locator("#forget-marks")).to_be_hidden()
    expect(first_hit(page)).to_have_attribute("title", name)
    page.locator("#clear-button").click()
    expect(page.locator("#hits .grid[data-kind=samples] .card").first).to_be_visible()
