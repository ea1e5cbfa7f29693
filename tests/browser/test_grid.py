"""Pictures as cards: scrolled, chosen by mouse and by keys, labelled, left out, searched with, taken home."""

from __future__ import annotations

import re
import zipfile

import pytest
from playwright.sync_api import Page, expect

from tests.support.browsing import PHONE, come_back, first_hit, go_to, leave, place_of, reload, settle, stand_still
from tests.support.drawing import write_folder
from tests.support.galleries import run_index
from tests.support.serving import Server, serve
from unifex.gallery import corrections
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
    settle(page)
    return page


def pick(page: Page, at: int) -> None:
    """Once what was done before is shown: who acted on some of them has chosen none then."""
    settle(page)
    cards(page).nth(at).locator(".pick").click()


def test_a_gallery_opens_on_its_pictures_and_scrolls_to_the_last(server, open_page):
    page = opened(open_page(server.url))
    assert cards(page).count() < 80  # of 400: what is in view
    page.locator("#pictures .frame").evaluate("frame => { frame.scrollTop = frame.scrollHeight }")
    last = page.locator(f"#pictures .card[data-index='{ITEMS - 1}'][data-item]")
    expect(last).to_be_in_viewport()
    assert last.evaluate("card => card.querySelector('img').src").startswith(server.url)
    last.click()
    expect(page.locator("#detail-card")).to_contain_text(last.get_attribute("title"))


def test_an_item_without_a_picture_says_so_and_shows_it_when_it_is_there(server, open_page):
    page = open_page(server.url)
    first = page.locator("#hits .grid[data-kind=samples] .card img").first
    expect(first).not_to_have_class("no-picture")
    page.route(re.compile("/(thumb|picture)/"), lambda route: route.fulfill(content_type="image/png", body=b"none"))
    first.evaluate("image => { image.src += '&again' }")
    expect(first).to_have_class("no-picture")
    assert "svg" in first.evaluate("image => getComputedStyle(image).content")
    page.unroute_all()
    first.evaluate("image => { image.src += '&again' }")
    expect(first).not_to_have_class("no-picture")


WHOLE_JS = """(place) => {
  const { top, bottom } = document.querySelector(`${place} .tools .further > div`).getBoundingClientRect();
  return top >= 0 && bottom <= innerHeight;
}"""


def act(page: Page, name: str, place: str = "#pictures") -> None:
    """Press a button of the bar, which may be in its menu."""
    tools = page.locator(f"{place} .tools")
    button = tools.get_by_role("button", name=name, exact=True)
    for menu in (".further", ".formats"):  # one within the other
        if not button.is_visible():
            tools.locator(f"{menu} > summary").click()
            page.wait_for_function(WHOLE_JS, arg=place)
    button.click()


def answer(page: Page, press: str, text: str = "") -> None:
    """Of the question that is asked."""
    asked = page.locator("dialog.ask")
    if text:
        asked.get_by_role("textbox").fill(text)
    asked.get_by_role("button", name=press, exact=True).click()


def test_chosen_pictures_are_labelled_tagged_left_out_searched_with_and_taken_home(server, open_page):
    page = opened(open_page(server.url, pictures_go=True))
    names = [cards(page).nth(at).get_attribute("title") for at in range(4)]
    cards(page).nth(0).click(modifiers=["Control"])
    cards(page).nth(2).click(modifiers=["Shift"])
    tools, notice = page.locator("#pictures .tools"), page.locator("#chosen-notice")
    expect(tools).to_contain_text("3 chosen")
    with page.expect_download() as download:
        act(page, "Table (CSV)")
    lines = download.value.path().read_text("utf-8-sig").splitlines()
    assert [line.split(",")[0] for line in lines] == ["path", *names[:3]]
    expect(tools.locator(".further > summary")).to_be_focused()
    with page.expect_download() as download:
        act(page, "Image files (zip)")
    assert zipfile.ZipFile(download.value.path()).namelist() == names[:3]
    act(page, "Label")
    answer(page, "Save", "renamed")
    expect(notice).to_contain_text("'renamed' is the label of 3 images now")
    expect(tools).to_be_hidden()
    expect(cards(page).nth(0)).to_contain_text("renamed")
    expect(cards(page).nth(3)).not_to_contain_text("renamed")
    pick(page, 0)
    act(page, "Tag")
    answer(page, "Add", "to print, <b>best")
    expect(cards(page).nth(0)).to_contain_text("#<b>best · #to print")
    pick(page, 0)
    act(page, "Tag")
    page.locator(".suggested").get_by_role("button", name="<b>best").click()
    answer(page, "Take away")
    expect(cards(page).nth(0)).not_to_contain_text("best")
    pick(page, 3)
    act(page, "Leave out")
    expect(page.locator("dialog.ask button:focus")).to_have_text("Cancel")
    page.keyboard.press("Enter")
    expect(page.locator("dialog.ask")).to_have_count(0)
    expect(tools).to_contain_text("1 chosen")
    act(page, "Leave out")
    answer(page, "Leave out")
    expect(notice).to_contain_text("1 image left out")
    expect(page.locator("#gallery-facts")).to_contain_text(re.compile(rf"Items\s*{ITEMS - 1}"))
    expect(tools).to_be_hidden()
    settle(page)
    cards(page).nth(0).click(modifiers=["Control"])
    cards(page).nth(1).click(modifiers=["Control"])
    act(page, "Search with these")
    expect(page.locator("#search-status .queries img")).to_have_count(2)
    settle(page)
    name = first_hit(page).get_attribute("title")
    first_hit(page).locator(".pick").click()
    act(page, "Search without these", "#hits")
    expect(page.locator("#search-with-all")).to_have_text("Searching without 1 image. Search with all")
    expect(page.locator(f"#hits .card[title='{name}']")).to_have_count(0)
    page.locator("#search-with-all").click()
    expect(first_hit(page)).to_have_attribute("title", name)


def test_all_of_a_gallery_are_chosen_without_being_loaded_and_some_become_another(server, open_page):
    page = opened(open_page(server.url))
    tools, notice = page.locator("#pictures .tools"), page.locator("#chosen-notice")
    expect(page.locator("#gallery-facts")).to_contain_text("Items")
    there = int(re.search(r"Items\s*(\d+)", page.locator("#gallery-facts").inner_text())[1])
    start, end = (place_of(cards(page).nth(at).locator(".name")) for at in (0, 1))
    page.mouse.move(start["x"] + 2, start["y"] + 5)
    page.mouse.down()
    page.mouse.move(end["x"] + 20, end["y"] + 12, steps=4)
    expect(page.locator(".choosing-box")).to_be_visible()
    expect(tools).to_contain_text("2 chosen")
    page.mouse.up()
    expect(page.locator(".choosing-box")).to_have_count(0)
    expect(page.locator("#detail")).to_be_hidden()
    cards(page).nth(0).press("Control+a")
    expect(tools).to_contain_text(f"all {there} chosen")
    act(page, "Search with these")
    expect(page.locator("dialog.ask")).to_contain_text("All together are no query")
    page.keyboard.press("Escape")
    pick(page, 0)
    expect(tools).to_contain_text(f"{there - 1} chosen")
    act(page, "Tag")
    answer(page, "Add", "most")
    expect(notice).to_contain_text(f"'most' is on {there - 1} images now")
    pick(page, 1)
    pick(page, 2)
    act(page, "Train on them")
    answer(page, "Make it", "too few")
    expect(notice).to_contain_text("training needs two labels or more")
    expect(tools).to_contain_text("2 chosen")  # what was refused leaves the choice
    act(page, "Make a gallery of them")
    answer(page, "Make it", "drawn")
    expect(notice).to_contain_text("there is a gallery 'drawn' already")
    expect(tools).to_contain_text("2 chosen")
    cards(page).nth(0).press("Control+a")
    act(page, "Train on them")
    answer(page, "Make it", "taught")
    expect(page.locator("#train-gallery input")).to_have_value("taught")
    expect(page.locator("#train-button")).to_be_visible()
    expect(page.locator("#chosen-outcome")).to_contain_text(f"Gallery 'taught' has {there} images")
    go_to(page, "Gallery")
    expect(page.locator("#manage-gallery input")).to_have_value("taught")
    stand_still(page)  # its pictures take the place of those that were chosen
    expect(tools).to_be_hidden()
    pick(page, 0)
    act(page, "Remove from the gallery")
    answer(page, "Remove")
    expect(notice).to_contain_text("1 image removed")
    expect(page.locator("#gallery-facts")).to_contain_text(re.compile(rf"Items\s*{there - 1}"))
    wider_than = "document.querySelector('#pictures .card[data-item]')?.getBoundingClientRect().width > "
    page.wait_for_function(wider_than + "100")
    page.locator("#pictures .size input").press("End")
    page.wait_for_function(wider_than + "250")
    reload(page)
    opened(page)
    page.wait_for_function(wider_than + "250")


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
    first_hit(page).focus()
    page.keyboard.press("Space")
    for _ in range(2):  # a row each, with all that lies on the way
        page.keyboard.press("Shift+ArrowDown")
        below = int(page.evaluate("document.activeElement.dataset.index"))
        expect(page.locator("#hits .card.chosen")).to_have_count(below + 1)
        expect(page.locator("#hits .tools")).to_contain_text(f"{below + 1} chosen")
    page.keyboard.press("Escape")
    first_hit(page).focus()
    page.keyboard.press("ArrowDown")
    below = page.evaluate("document.activeElement.dataset.index")
    page.keyboard.press("Enter")
    expect(page.locator("#detail")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#detail")).to_be_hidden()
    expect(page.locator(":focus")).to_have_attribute("data-index", below)
    opened(page)
    cards(page).first.focus()
    for _ in range(12):
        page.keyboard.press("ArrowDown")
    assert int(page.evaluate("document.activeElement.dataset.index")) >= 12
    expect(page.locator(":focus")).to_be_in_viewport()


def test_a_phone_shows_two_beside_each_other_and_nothing_is_wider_than_it(server, open_page):
    page = opened(open_page(server.url, **PHONE))
    boxes = [place_of(cards(page).nth(at)) for at in range(2)]
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
    page.locator("#keep-marks").click()
    answer(page, "As tags", "liked")
    expect(page.locator("#chosen-notice")).to_contain_text("'liked' is on 1 image now, 'not liked' on 1 image")
    expect(page.locator("#hits .card", has_text="#liked")).to_have_count(1)
    page.locator("#forget-marks").click()
    expect(page.locator("#forget-marks")).to_be_hidden()
    expect(first_hit(page)).to_have_attribute("title", name)
    page.locator("#clear-button").click()
    expect(page.locator("#hits .grid[data-kind=samples] .card").first).to_be_visible()


def test_what_chooses_a_picture_is_seen_where_nothing_hovers(server, open_page):
    page = opened(open_page(server.url, **PHONE))
    expect(cards(page).first.locator(".pick")).to_have_css("opacity", "1")
    cards(page).first.locator(".pick").tap()
    expect(page.locator("#pictures .tools b")).to_have_text("1 chosen")


def tag_the_second(page: Page, tag: str) -> None:
    settle(page)
    cards(page).nth(1).click(modifiers=["Control"])
    page.locator("#pictures .tools").get_by_role("button", name="Tag").click()
    page.locator("dialog.ask input").fill(tag)
    page.locator("dialog.ask").get_by_role("button", name="Add").click()
    expect(cards(page).nth(1)).to_contain_text(f"#{tag}")


@pytest.mark.slow
def test_what_another_tab_tagged_is_there_when_one_comes_back(server, open_page):
    page, other = opened(open_page(server.url)), opened(open_page(server.url))
    leave(page)
    tag_the_second(other, "from afar")
    expect(cards(page).nth(1)).not_to_contain_text("#from afar")
    come_back(page)
    expect(cards(page).nth(1)).to_contain_text("#from afar")
    page.locator("#pictures .frame").evaluate("frame => frame.scrollTop = 3000")
    leave(page)
    tag_the_second(other, "once more")
    with page.expect_request("**/items/**"):  # it is drawn anew
        come_back(page)
    stand_still(page)
    assert page.locator("#pictures .frame").evaluate("frame => frame.scrollTop") == 3000


def test_the_keyboard_stays_with_a_picture_that_stands_elsewhere_on_coming_back(server, open_page):
    page, gallery = opened(open_page(server.url)), Gallery.open(server.indexes / "drawn")
    page.locator("#pictures .frame").evaluate("frame => { frame.scrollTop = frame.scrollHeight }")
    at = len(gallery) - 1
    last = page.locator(f"#pictures .card[data-index='{at}'][data-item]")
    last.focus()
    title = last.get_attribute("title")
    leave(page)
    with gallery.write() as writer:  # another program
        writer.correct([corrections.drop(record) for record in gallery.records(gallery.snapshot().columns.ids[:2])])
    come_back(page)
    moved = page.locator(f"#pictures .card[data-index='{at - 2}']")
    expect(moved).to_have_attribute("title", title)
    expect(moved).to_be_focused()
    with gallery.write() as writer:
        writer.undo(gallery.corrections())


def test_words_that_are_not_sent_wait_and_nobody_is_taken_elsewhere_on_coming_back(server, open_page):
    page = open_page(server.url)
    page.locator("#hits .grid[data-kind=samples] .card").first.click()
    expect(first_hit(page)).to_be_visible()
    page.get_by_role("button", name="Show more hits").dispatch_event("click")  # pointers scroll there, which asks, too
    expect(page.locator("#hits .card")).to_have_count(120)
    settle(page)
    words = page.get_by_label("Words, alone or with an image")
    words.fill("half a th")
    page.evaluate("scrollTo(0, 1500)")
    before, address = page.evaluate("scrollY"), page.url
    leave(page)
    id = page.locator("#hits .card").nth(110).get_attribute("data-item")
    with Gallery.open(server.indexes / "drawn").write() as writer:  # another program
        writer.tag([int(id)], ["meanwhile"])
    come_back(page)
    page.wait_for_timeout(1500)
    assert (page.url, page.evaluate("scrollY")) == (address, before)
    words.evaluate("node => { node.value = ''; node.dispatchEvent(new Event('input', { bubbles: true })); }")
    expect(page.locator("#hits .card", has_text="#meanwhile")).to_have_count(1)
    expect(page.locator("#hits .card").nth(119)).to_be_attached()
    assert page.evaluate("scrollY") == before
