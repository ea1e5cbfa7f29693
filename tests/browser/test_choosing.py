"""What a choice is of: all that is shown, some that are shown no more, and what lies between two that are far apart."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, Route, expect

from tests.support.browsing import PHONE, come_back, go_to, leave, place_of, settle, stand_still
from tests.support.drawing import LABELS, write_folder
from tests.support.galleries import run_index
from tests.support.serving import Server, serve
from unifex.gallery import corrections
from unifex.gallery.gallery import Gallery

pytestmark = pytest.mark.browser
VIEWS = 190  # of each label: the page asks for 240 items at once, and what lies between two such parts is not in it
ITEMS = len(LABELS) * VIEWS
FIRST, SECOND = "cross", "disc"


@pytest.fixture(scope="module")
def server(tmp_path_factory, embedder) -> Iterator[Server]:
    base = tmp_path_factory.mktemp("choosing")
    gallery = Gallery.create(base / "indexes" / "drawn", embedder)
    run_index(gallery, write_folder(base / "pictures", views=VIEWS, side=64))
    with serve(base / "indexes") as running:
        yield running


def opened(page: Page) -> Page:
    go_to(page, "Gallery")
    expect(cards(page).first).to_be_visible()
    stand_still(page)
    return page


def cards(page: Page, place: str = "#pictures"):
    return page.locator(f"{place} .card[data-item]")


def told(page: Page, place: str = "#pictures"):
    return page.locator(f"{place} .tools b")


def pick(page: Page, *places: int) -> None:
    for at in places:
        cards(page).nth(at).locator(".pick").click()


def only(page: Page, label: str | None) -> None:
    """Filter the gallery by a label alone, or by none."""
    bar = page.locator("#gallery-filters")
    if bar.locator(".clear").count():
        bar.locator(".clear").click()
    if label:
        bar.locator(".toggle").click()
        bar.locator("[data-facet=label] li", has_text=label).locator("input").check()
        bar.locator(".toggle").click()
    settle(page)


def test_all_is_meant_of_what_is_shown(server, open_page):
    page = opened(open_page(server.url))
    only(page, FIRST)
    cards(page).first.press("Control+a")
    expect(told(page)).to_have_text(f"all {VIEWS} chosen")
    page.locator("#gallery-filters .order select").select_option("path")
    settle(page)
    expect(told(page)).to_have_text(f"all {VIEWS} chosen")
    only(page, None)
    expect(page.locator("#pictures .tools")).to_be_hidden()
    expect(page.locator(".toast")).to_contain_text("nothing is chosen now")
    expect(page.locator("#pictures .card.chosen")).to_have_count(0)
    cards(page).first.press("Control+a")
    pick(page, 0, 1)
    expect(told(page)).to_have_text(f"{ITEMS - 2} chosen")
    only(page, SECOND)  # of which the two are none
    expect(page.locator("#pictures .tools")).to_be_hidden()


def test_what_is_shown_no_more_stays_chosen_and_the_bar_says_so(server, open_page):
    page = opened(open_page(server.url))
    tools = page.locator("#pictures .tools")
    only(page, FIRST)
    pick(page, 0, 1)
    expect(told(page)).to_have_text("2 chosen")
    expect(tools.get_by_role("button", name="Show them")).to_be_hidden()
    only(page, SECOND)
    expect(told(page)).to_have_text("2 chosen, none of them shown here")
    pick(page, 0)
    expect(told(page)).to_have_text("3 chosen, 2 of them not shown here")
    tools.get_by_role("button", name="Show them").click()
    shown = tools.locator(".collected button")
    expect(shown).to_have_count(3)
    shown.first.click()
    expect(told(page)).to_have_text("2 chosen, 1 of them not shown here")
    expect(shown.first).to_have_attribute("aria-pressed", "false")
    shown.first.click()
    expect(told(page)).to_have_text("3 chosen, 2 of them not shown here")
    shown.first.press("Escape")
    expect(shown.first).to_be_hidden()
    tools.locator(".further > summary").click()
    tools.get_by_role("button", name="Leave out").click()
    expect(page.locator("dialog.ask p")).to_contain_text("Not shown here: 2 images.")
    page.keyboard.press("Escape")
    only(page, None)
    expect(told(page)).to_have_text("3 chosen")


def test_all_are_those_that_were_asked_about_and_no_others(tmp_path, embedder, open_page):
    gallery = Gallery.create(tmp_path / "indexes" / "drawn", embedder)
    run_index(gallery, write_folder(tmp_path / "pictures", views=2, side=64))
    with serve(tmp_path / "indexes") as running:
        page = opened(open_page(running.url))
        cards(page).first.press("Control+a")
        page.locator("#pictures .further > summary").click()
        page.locator("#pictures [data-do=remove]").click()
        expect(page.locator("dialog.ask h2")).to_have_text("Remove 8 images from 'drawn'?")
        run_index(Gallery.open(tmp_path / "indexes" / "drawn"), write_folder(tmp_path / "others", views=3, side=64))
        page.locator("dialog.ask").get_by_role("button", name="Remove").click()
        expect(page.locator("#chosen-notice")).to_contain_text("8 were chosen, 20 would be now")
        expect(told(page)).to_have_text("all 20 chosen")
        settle(page)
        page.close()
    assert len(Gallery.open(tmp_path / "indexes" / "drawn")) == 20


def test_an_action_is_of_what_was_chosen_as_it_was_pressed(server, open_page):
    held: list[Route] = []
    page = opened(open_page(server.url, held=("**/acting.js", held)))
    pick(page, 0)
    expect(cards(page).first).to_have_attribute("aria-description", "chosen")
    page.locator("#pictures [data-do=tag]").click()
    page.locator("#pictures .tools [data-do=none]").click()
    pick(page, 1, 2)
    for route in held:
        route.continue_()
    expect(page.locator("dialog.ask h2")).to_have_text("Tag 1 image")
    page.keyboard.press("Escape")
    expect(page.locator("#pictures .tools")).to_be_hidden()


def test_who_chose_by_a_box_stays_there(server, open_page):
    page = opened(open_page(server.url))
    page.locator("#pictures .frame").evaluate("frame => { frame.scrollTop = 1e6; }")
    last = page.locator(f"#pictures .card[data-index='{ITEMS - 1}'][data-item]")
    box = place_of(last)
    page.keyboard.down("Shift")
    page.mouse.move(box["x"] + 20, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + 60, box["y"] + 60, steps=4)
    expect(told(page)).to_have_text("1 chosen")
    page.mouse.up()
    page.keyboard.up("Shift")
    page.locator("#pictures .tools [data-do=none]").click()
    expect(last).to_be_focused()


def test_all_in_place_of_what_is_not_shown_is_told(server, open_page):
    page = opened(open_page(server.url))
    only(page, FIRST)
    pick(page, 0, 1)
    only(page, SECOND)
    cards(page).first.press("Control+a")
    expect(told(page)).to_have_text(f"all {VIEWS} chosen")
    expect(page.locator(".toast")).to_contain_text("what was not shown is not any more")


def test_shift_goes_from_a_picture_and_not_from_its_place(server, open_page):
    page = opened(open_page(server.url))
    pick(page, 0)
    page.locator("#gallery-filters .order select").select_option("newest")
    settle(page)
    cards(page).nth(4).click(modifiers=["Shift"])
    expect(told(page)).to_have_text("2 chosen")
    cards(page).nth(7).click(modifiers=["Shift"])
    expect(told(page)).to_have_text("5 chosen")
    cards(page).nth(7).press("Escape")
    cards(page).nth(2).press("Shift+ArrowRight")
    expect(told(page)).to_have_text("2 chosen")


def test_what_is_not_in_the_gallery_any_more_is_not_chosen(server, open_page):
    page = opened(open_page(server.url))
    only(page, FIRST)
    pick(page, 3, 4)
    gone = int(cards(page).nth(3).get_attribute("data-item"))
    only(page, SECOND)
    expect(told(page)).to_have_text("2 chosen, none of them shown here")
    leave(page)
    gallery = Gallery.open(server.indexes / "drawn")
    said = corrections.drop(gallery.records([gone])[0])
    with gallery.write() as writer:  # another program
        writer.correct([said])
    come_back(page)
    expect(told(page)).to_have_text("1 chosen, not shown here")
    with gallery.write() as writer:
        writer.undo([said])


def test_hits_that_were_chosen_are_told_of_when_others_are_found(server, open_page):
    page = open_page(server.url)
    page.locator("#hits .grid[data-kind=samples] .card").first.click()
    expect(page.locator("#hits .grid[data-kind=hits] .card").first).to_be_visible()
    settle(page)
    label = cards(page, "#hits").first.locator(".name").inner_text()
    cards(page, "#hits").first.locator(".pick").click()
    expect(told(page, "#hits")).to_have_text("1 chosen")
    page.locator("#search-filters .toggle").click()
    others = page.locator("#search-filters [data-facet=label] li").filter(has_not_text=label)
    name = others.first.locator("input").get_attribute("data-name")  # with other counts another one may come first
    other = page.locator(f"#search-filters [data-facet=label] input[data-name='{name}']")
    other.check()
    expect(told(page, "#hits")).to_have_text("1 chosen, not shown here")
    other.uncheck()
    expect(told(page, "#hits")).to_have_text("1 chosen")


def test_the_bar_keeps_within_a_phone(server, open_page):
    page = opened(open_page(server.url, **PHONE))
    only(page, FIRST)
    pick(page, 0, 1, 2)
    only(page, SECOND)
    page.locator("#pictures .tools").get_by_role("button", name="Show them").click()
    expect(page.locator("#pictures .collected button")).to_have_count(3)
    box = place_of(page.locator("#pictures .tools"))
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_what_lies_between_two_is_chosen_though_it_was_never_in_the_page(server, open_page):
    page = opened(open_page(server.url))
    pick(page, 0)
    page.locator("#pictures .frame").evaluate("frame => { frame.scrollTop = frame.scrollHeight }")
    last = page.locator(f"#pictures .card[data-index='{ITEMS - 1}'][data-item]")
    held = []
    page.route("**/ids/**", lambda route: held.append(route))
    last.click(modifiers=["Shift"])
    expect(told(page)).to_have_text("Choosing…")
    for route in held:
        route.continue_()
    expect(told(page)).to_have_text(f"{ITEMS} chosen")
    page.locator("#pictures .frame").evaluate("frame => { frame.scrollTop = frame.scrollHeight / 2 }")
    expect(page.locator("#pictures .card.chosen[data-item]").nth(9)).to_be_visible()
    expect(page.locator("#pictures .card[data-item]:not(.chosen)")).to_have_count(0)


def test_a_far_choice_that_fails_chooses_nothing_and_says_so(server, open_page):
    page = opened(open_page(server.url))
    pick(page, 0)
    page.locator("#pictures .frame").evaluate("frame => { frame.scrollTop = frame.scrollHeight }")
    last = page.locator(f"#pictures .card[data-index='{ITEMS - 1}'][data-item]")
    page.route("**/ids/**", lambda route: route.fulfill(body="no list"))
    last.click(modifiers=["Shift"])
    expect(page.locator(".toast")).to_have_text("The server does not answer; try it again.")
    expect(told(page)).to_have_text("1 chosen")
    page.unroute("**/ids/**")
    last.click(modifiers=["Shift"])
    expect(told(page)).to_have_text(f"{ITEMS} chosen")  # from the one that was clicked before


APART_JS = """() => {
  const [said, bar] = ['.toast', '#pictures .tools'].map((one) => document.querySelector(one).getBoundingClientRect());
  return said.bottom <= bar.top || bar.bottom <= said.top;
}"""


@pytest.mark.parametrize("screen", [{}, PHONE], ids=["desk", "phone"])
def test_what_is_said_stands_above_the_bar(server, open_page, screen):
    page = opened(open_page(server.url, **screen))
    page.locator("#pictures .frame").scroll_into_view_if_needed()
    pick(page, 0)
    only(page, FIRST)
    cards(page).first.press("Control+a")
    page.locator("#gallery-filters .clear").click()  # all was meant of something else
    expect(page.locator(".toast")).to_be_visible()
    settle(page)  # cards are drawn anew
    pick(page, 0)
    expect(told(page)).to_have_text("1 chosen")
    page.wait_for_function(APART_JS)


def test_what_can_be_done_is_in_the_window_where_the_bar_has_two_lines(server, open_page):
    page = opened(open_page(server.url, viewport={"width": 700, "height": 900}))
    only(page, FIRST)
    pick(page, 0, 1)
    only(page, SECOND)
    pick(page, 0)
    actions = page.locator("#pictures .tools .further")
    for width in range(660, 1400, 60):
        page.set_viewport_size({"width": width, "height": 900})
        actions.locator("> summary").click()
        expect(actions).to_have_attribute("open", "")
        box = place_of(actions.locator("> div"))
        assert 0 <= box["x"] <= width - box["width"], width
        actions.locator("> summary").click()
