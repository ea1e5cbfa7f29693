"""What a finger can hit, what a phone has room for, and where one is told what came of a press."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.support.browsing import PHONE, drop, first_hit, go_to, settle, stand_still
from tests.support.drawing import encoded, picture
from tests.support.serving import Server, serve
from unifex.ui.context import DEMO_GALLERY

pytestmark = pytest.mark.browser
LEAST = 24  # CSS pixels: WCAG 2.2, 2.5.8

# How far one can go from the middle of a target, along both axes, and still hit it.
REACH_JS = """(node) => {
  node.scrollIntoView({ block: 'center' });
  const { left, top, width, height } = node.getBoundingClientRect(), x = left + width / 2, y = top + height / 2;
  const reach = (across, down) => {
    let far = 0;
    const at = () => document.elementFromPoint(x + across * (far + 0.5), y + down * (far + 0.5));
    while (far < 40 && node.contains(at())) far += 1;
    return far;
  };
  return [reach(-1, 0) + reach(1, 0), reach(0, -1) + reach(0, 1)];
}"""
# Whether the option that is chosen is as wide as it wants to be.
WHOLE_JS = """(select) => {
  const alone = select.cloneNode();
  alone.append(select.selectedOptions[0].cloneNode(true));
  alone.style.maxWidth = 'none';
  select.after(alone);
  const whole = select.offsetWidth >= alone.offsetWidth;
  alone.remove();
  return whole;
}"""


@pytest.fixture(scope="module")
def server(tmp_path_factory, demo) -> Iterator[Server]:
    with serve(shutil.copytree(demo, tmp_path_factory.mktemp("touch") / "indexes")) as running:
        yield running


def check_large(targets: Locator) -> None:
    expect(targets.first).to_be_visible()
    for target in targets.all():
        if target.is_visible():
            assert min(target.evaluate(REACH_JS)) >= LEAST, target.evaluate("node => node.outerHTML.slice(0, 200)")


def test_what_is_small_takes_more_of_a_finger_than_it_shows(server, open_page):
    page = open_page(server.url, **PHONE)
    check_large(page.locator("#search-page .label-wrap"))
    check_large(page.locator("#query-image .source-selection button"))
    drop(page, "#query-image button", {"disc.jpg": encoded(picture("shapes/disc", 0), "JPEG")}, "image/jpeg")
    check_large(page.get_by_role("button", name="Remove Image"))
    page.locator("#search-options .label-wrap").tap()
    check_large(page.locator("#search-options .reset-button"))
    check_large(page.locator("#search-options input[type=range]"))
    page.locator("#search-filters .grouped").tap()
    check_large(page.locator("#hits .group .only"))
    first_hit(page).tap()
    check_large(page.locator("#correct summary"))
    page.keyboard.press("Escape")
    go_to(page, "Evaluate")
    page.locator("#evaluate-button").tap()
    check_large(page.locator("#evaluation .figures th button"))


def test_a_mouse_needs_no_more_than_it_sees(server, open_page):
    page = open_page(server.url)
    across, down = page.locator("#search-options .label-wrap").evaluate(REACH_JS)
    assert down < LEAST < across


def test_the_order_of_a_gallery_is_read_whole_on_a_phone(server, open_page):
    page = open_page(server.url, **PHONE)
    go_to(page, "Gallery")
    order = page.locator("#gallery-filters .order select")
    expect(order).to_be_visible()
    for chosen in ("", "newest", "label", "path"):
        order.select_option(chosen)
        assert order.evaluate(WHOLE_JS), chosen
    go_to(page, "Search")
    page.locator("#hits .grid[data-kind=samples] .card").first.tap()
    expect(first_hit(page)).to_be_visible()
    order = page.locator("#search-filters .order select")
    order.evaluate("select => { select.selectedOptions[0].textContent = 'Beste Treffer zuerst'; }")
    assert order.evaluate(WHOLE_JS)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def tag(page: Page, at: int, text: str) -> float:
    """Tag a hit; how far the page was scrolled then."""
    card = page.locator("#hits .card").nth(at)
    card.evaluate("card => card.scrollIntoView({ block: 'center' })")
    stand_still(page)
    card.click(modifiers=["Control"])
    page.locator("#hits .tools").get_by_role("button", name="Tag").click()
    scrolled = page.evaluate("scrollY")
    page.locator("dialog.ask").get_by_role("textbox").fill(text)
    page.locator("dialog.ask").get_by_role("button", name="Add", exact=True).click()
    return scrolled


@pytest.mark.parametrize("size", [pytest.param({}, marks=pytest.mark.slow), PHONE], ids=["desktop", "phone"])
def test_what_came_of_chosen_pictures_is_told_where_one_is(server, open_page, size):
    page = open_page(server.url, link=f"{server.url}#gallery={quote(DEMO_GALLERY)}&items=1", **size)
    expect(first_hit(page)).to_be_visible()
    settle(page)
    page.evaluate("document.querySelector('#hits').style.paddingBottom = '3000px'")  # hits without end
    scrolled = tag(page, 12, "kept")
    assert scrolled > 300
    toast = page.locator(".toast")
    expect(toast).to_have_text("'kept' is on 1 image now\nYour image files are as they were.")
    expect(toast).to_be_in_viewport(ratio=1)
    stand_still(page)
    assert abs(page.evaluate("scrollY") - scrolled) < 150
    expect(page.locator("#chosen-notice")).to_contain_text("'kept' is on 1 image now")
    tag(page, 12, ",")
    expect(toast).to_contain_text("Nothing was done")
    assert toast.get_attribute("role") is None  # the notice itself was heard
    page.evaluate("scrollTo(0, 0)")
    page.locator("#hits .tools").get_by_role("button", name="None").click()
    settle(page)
    expect(toast).to_be_hidden()


def test_where_the_outcome_is_seen_it_is_told_once(server, open_page):
    page = open_page(server.url)
    go_to(page, "Gallery")
    page.locator("#pictures .card[data-item]").first.click(modifiers=["Control"])
    page.evaluate("scrollTo(0, 0)")
    tools = page.locator("#pictures .tools")
    tools.get_by_role("button", name="Tag").click()
    page.locator("dialog.ask").get_by_role("textbox").fill("seen")
    page.locator("dialog.ask").get_by_role("button", name="Add", exact=True).click()
    expect(page.locator("#chosen-notice")).to_be_in_viewport()
    expect(page.locator("#chosen-notice")).to_contain_text("'seen' is on 1 image now")
    settle(page)
    expect(page.locator(".toast")).to_have_count(0)
