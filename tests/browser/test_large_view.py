"""The large view: by mouse, by keyboard, on a phone, and where what it shows is gone."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, Route, expect

from tests.support.browsing import PHONE, first_hit, go_to, place_of, reload, settle, stand_still, wait_until
from tests.support.drawing import encoded, picture, write_folder
from tests.support.galleries import run_index
from tests.support.serving import Server, serve
from unifex.gallery import corrections
from unifex.gallery.gallery import Gallery

pytestmark = pytest.mark.browser
ITEMS = 321  # of which the last is large


@pytest.fixture(scope="module")
def server(tmp_path_factory, embedder) -> Iterator[Server]:
    base = tmp_path_factory.mktemp("large")
    folder = write_folder(base / "pictures", views=(ITEMS - 1) // 4)
    (folder / "zebra").mkdir()
    large = picture("signs/stripes", 999, side=640).resize((3200, 2400))
    (folder / "zebra" / "large.jpg").write_bytes(encoded(large, "JPEG"))
    run_index(Gallery.create(base / "indexes" / "drawn", embedder), folder)
    with serve(base / "indexes") as running:
        yield running


def part(page: Page, name: str):
    return page.locator(f"#detail [data-part={name}]")


def opened_hit(page: Page, at: int) -> None:
    page.locator("#hits .grid[data-kind=samples] .card").first.click()
    expect(first_hit(page)).to_be_visible()
    settle(page)
    page.locator("#hits .card").nth(at).click()
    expect(part(page, "facts")).to_contain_text("pixels")


def pictures(page: Page):
    go_to(page, "Gallery")
    cards = page.locator("#pictures .card[data-item]")
    expect(cards.first).to_be_visible()
    settle(page)
    return cards


def test_by_mouse(server, open_page):
    page = open_page(server.url)
    opened_hit(page, 2)
    expect(part(page, "position")).to_have_text("3 of 20")
    expect(part(page, "match")).to_contain_text(re.compile(r"Hit 3: similarity 0\.\d\d"))
    expect(part(page, "beside").locator("img")).to_have_count(1)
    stage = place_of(page.locator("#detail .stage"))
    part(page, "after").click()
    expect(part(page, "position")).to_have_text("4 of 20")
    path = page.locator("#hits .card").nth(3).get_attribute("title")
    expect(part(page, "facts")).to_contain_text(path)
    part(page, "compare").click()
    expect(part(page, "beside")).to_be_hidden()
    part(page, "compare").click()
    expect(part(page, "strip").locator(".card")).to_have_count(16)
    assert place_of(page.locator("#detail .stage")) == stage  # nothing jumped
    part(page, "strip").locator(".card").nth(1).click()
    expect(part(page, "position")).to_have_text("2 of 16 that look like it")
    expect(part(page, "match")).to_contain_text("Like the one before: similarity")
    part(page, "back").click()
    expect(part(page, "position")).to_have_text("4 of 20")
    page.locator("#detail [data-do=more]").click()
    expect(part(page, "said")).to_contain_text("Marked as more like this")
    expect(part(page, "strip").locator(".card")).to_have_count(16)
    page.route("**/alike/**", lambda route: None)  # never answered
    part(page, "strip").locator(".card").first.focus()
    page.keyboard.press("ArrowRight")
    expect(part(page, "position")).to_have_text("5 of 20")
    expect(part(page, "strip").locator(".card")).to_have_count(0)  # none of the item before
    page.unroute("**/alike/**")
    page.keyboard.press("ArrowLeft")  # though what had the focus is gone
    expect(part(page, "position")).to_have_text("4 of 20")
    page.mouse.click(5, 5)  # beside it
    expect(page.locator("#detail")).to_be_hidden()
    expect(page.locator(f"#hits .card[title='{path}']")).to_be_focused()
    expect(page.locator("#forget-marks")).to_contain_text("1 more like it")
    first_hit(page).click()
    page.locator("#search-with-this").click()
    expect(page.locator("#detail")).to_be_hidden()
    expect(page.locator("#forget-marks")).to_be_hidden()  # another query


def drawn(page: Page):
    return page.locator("#detail .boxes .box")


def drag(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Across the open picture, in parts of it."""
    area = place_of(page.locator("#detail .boxes"))
    places = [(area["x"] + x * area["width"], area["y"] + y * area["height"]) for x, y in (start, end)]
    page.mouse.move(*places[0])
    page.mouse.down()
    page.mouse.move(*places[1], steps=4)
    page.mouse.up()


@pytest.mark.parametrize("by_button", [False, True])  # which is hidden while regions are drawn
def test_keys_are_for_a_region_that_was_begun_before_the_picture_came(server, open_page, by_button):
    page = open_page(server.url)
    with pictures_held(page):
        begin_a_region(page, by_button)
    expect(drawn(page)).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(drawn(page)).to_have_attribute("aria-label", re.compile("left 26 %"))


def test_who_types_elsewhere_meanwhile_goes_on_there(server, open_page):
    page = open_page(server.url)
    with pictures_held(page):
        begin_a_region(page)
        page.locator("#correct summary").click()
        label = page.locator("#correct-label input")
        label.fill("a")
    expect(drawn(page)).to_be_visible()
    expect(label).to_be_focused()
    page.keyboard.type("b")
    expect(label).to_have_value("ab")


@contextlib.contextmanager
def pictures_held(page: Page) -> Iterator[None]:
    """The page is loaded anew, and none of its pictures comes before the block is left."""
    held, stored = [], re.compile("/(thumb|picture)/")
    page.route(stored, lambda route: held.append(route))
    reload(page, until="commit")  # a document is loaded when its pictures are
    yield
    for route in held:
        route.continue_()
    page.unroute(stored)


def begin_a_region(page: Page, by_button: bool = False) -> None:
    """By keys, on the first item."""
    pictures(page).first.focus()
    page.keyboard.press("Enter")
    expect(part(page, "facts")).to_contain_text("pixels")
    if by_button:
        part(page, "region").focus()
    page.keyboard.press("Enter" if by_button else "r")
    expect(drawn(page)).to_have_count(1)
    expect(drawn(page)).to_be_hidden()


def test_facts_of_the_item_before_do_nothing(server, open_page):
    page, held = open_page(server.url), []
    pictures(page).first.click()
    facts = part(page, "facts")
    expect(facts.get_by_role("button", name="Only this label")).to_be_visible()
    before = page.locator("#detail h2").inner_text()
    page.route("**/queue/join*", lambda route: held.append(route))  # what the server tells comes late
    page.keyboard.press("End")
    expect(part(page, "position")).to_have_text(f"{ITEMS} of {ITEMS}")
    expect(page.locator("#detail h2")).to_have_text("zebra")
    facts.get_by_role("button", name="Only this label").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#detail")).to_be_visible()
    for route in held:
        route.continue_()
    page.unroute("**/queue/join*")
    expect(facts).to_contain_text("large.jpg")
    facts.get_by_role("button", name="Only this label").click()
    expect(page.locator("#detail")).to_be_hidden()
    expect(page.get_by_role("button", name="Remove the filter Label: zebra")).to_be_visible()
    assert before != "zebra"
    expect(page.get_by_role("button", name=f"Remove the filter Label: {before}")).to_have_count(0)


def test_regions_are_drawn_and_searched_with_and_a_label_alone_is_left(server, open_page):
    page = open_page(server.url)
    cards = pictures(page)
    cards.nth(1).click()
    select, search = part(page, "region"), part(page, "with")
    select.click()
    expect(search).to_be_disabled()
    drag(page, (-0.1, 0.2), (0.5, 0.8))  # begun beside the picture
    one = page.get_by_role("application", name=re.compile("Region 1 of 1, left 0 %, top 20 %, width 50 %, height 60 %"))
    expect(one).to_be_focused()
    page.mouse.wheel(0, -300)  # closer: the region goes with what it is of
    expect(part(page, "pane")).to_have_class(re.compile("zoomed"))
    area, image = place_of(page.locator("#detail .boxes")), place_of(part(page, "image"))
    assert abs(area["height"] - image["height"]) < 2
    assert abs(area["y"] - image["y"]) < 2
    page.keyboard.press("0")
    drag(page, (0.6, 0.1), (0.9, 0.4))
    expect(search).to_have_text("Search with these 2 regions")
    page.keyboard.press("Escape")
    expect(drawn(page)).to_have_count(0)
    expect(select).to_be_focused()
    expect(part(page, "position")).to_have_text(f"2 of {ITEMS}")  # still there, and nothing turned
    select.click()
    expect(drawn(page)).to_have_count(2)  # as they were
    drawn(page).nth(1).locator(".remove").click()
    search.click()
    expect(page.locator("#detail")).to_be_hidden()
    expect(first_hit(page)).to_be_visible()
    expect(page.locator("#search-query .boxes .box")).to_have_count(1)
    expect(page.locator("#search-query .boxes .box")).to_have_attribute(
        "aria-label", "Region 1 of 1, left 0 %, top 20 %, width 50 %, height 60 %"
    )
    first_hit(page).focus()  # from here on by keys
    page.keyboard.press("Enter")
    expect(part(page, "facts")).to_contain_text("pixels")
    page.keyboard.press("r")
    expect(drawn(page)).to_be_focused()
    page.keyboard.press("ArrowRight")  # moves the region, and does not turn to the next item
    page.keyboard.press("Shift+ArrowDown")
    expect(drawn(page)).to_have_attribute("aria-label", re.compile("left 26 %, top 25 %, width 50 %, height 51 %"))
    page.keyboard.press("Enter")
    expect(page.locator("#search-query .boxes .box")).to_have_attribute("aria-label", re.compile("left 26 %"))
    settle(page)
    page.locator("#hits .card").nth(19).scroll_into_view_if_needed()
    settle(page)  # more come as one scrolls
    page.locator("#hits .card").nth(19).click()
    label = page.locator("#detail h2").inner_text()
    part(page, "facts").get_by_role("button", name="Only this label").click()
    expect(page.locator("#detail")).to_be_hidden()
    chip = page.get_by_role("button", name=f"Remove the filter Label: {label}")
    expect(chip).to_be_visible()
    expect(page.locator(f"#hits .card .name:not([title='{label}'])")).to_have_count(0)
    expect(page.locator("#hits .card").nth(19)).to_be_attached()


def test_a_label_is_chosen_and_an_item_left_out_and_back(server, open_page):
    page = open_page(server.url, pictures_go=True)
    cards = pictures(page)
    paths = [cards.nth(at).get_attribute("title") for at in range(3)]
    cards.nth(1).click()
    expect(part(page, "facts")).to_contain_text(paths[1])
    page.locator("#correct").get_by_text("Correct it").click()
    label = page.locator("#correct-label input")
    settle(page)  # fields that have just appeared take their first value once more
    label.fill("st")
    expect(page.locator("#labels-there option").first).to_have_attribute("value", "stripes")
    label.fill("stripes")
    held, domain = [], page.locator("#correct-domain input")
    page.route("**/queue/join**", lambda route: route.continue_() if held else held.append(route))
    with page.expect_request("**/queue/join**"):
        page.keyboard.press("Enter")
    domain.fill("not sent yet")
    held[0].continue_()
    expect(part(page, "facts")).to_contain_text("Label saved")
    expect(page.locator("#detail h2")).to_have_text("stripes")
    expect(domain).to_have_value("not sent yet")
    label.fill("x" * 999 + " " * 20)
    expect(label).to_be_visible()  # and stays open
    page.locator("#leave-out").click()
    expect(part(page, "said")).to_contain_text("Left out of the gallery")
    expect(part(page, "position")).to_have_text(f"2 of {ITEMS - 1}")
    expect(part(page, "facts")).to_contain_text(paths[2])
    part(page, "said").get_by_role("button", name="Undo").click()
    expect(part(page, "said")).to_contain_text("Taken back")
    expect(part(page, "position")).to_have_text(f"2 of {ITEMS}")
    expect(part(page, "facts")).to_contain_text(paths[1])
    page.keyboard.press("Escape")
    expect(page.locator("#gallery-facts")).to_contain_text(re.compile(rf"Items\s*{ITEMS}"))


def leave_out_slowly(page: Page, held: list[Route]) -> None:
    """The server is told of it once what is held is let go."""

    def is_told(text: str | None) -> bool:
        return "leave" in (text or "")

    page.locator("#correct summary").click()
    hold = lambda route: held.append(route) if is_told(route.request.post_data) else route.continue_()  # noqa: E731
    page.route("**/queue/join**", hold)
    with page.expect_request(lambda asked: is_told(asked.post_data)):
        page.locator("#leave-out").click()


def test_what_is_left_out_while_one_goes_on_is_gone_and_can_be_taken_back(server, open_page):
    page, held = open_page(server.url, pictures_go=True), []
    cards = pictures(page)
    paths = [cards.nth(at).get_attribute("title") for at in range(4)]
    cards.nth(1).click()
    expect(part(page, "facts")).to_contain_text(paths[1])
    leave_out_slowly(page, held)
    part(page, "after").click()
    part(page, "after").click()
    expect(part(page, "position")).to_have_text(f"4 of {ITEMS}")
    expect(part(page, "facts")).to_contain_text(paths[3])
    held[0].continue_()
    expect(part(page, "said")).to_contain_text("Left out of the gallery")
    expect(part(page, "position")).to_have_text(f"3 of {ITEMS - 1}")
    expect(part(page, "facts")).to_contain_text(paths[3])
    part(page, "before").click()
    expect(part(page, "facts")).to_contain_text(paths[2])
    part(page, "before").click()
    expect(part(page, "facts")).to_contain_text(paths[0])
    with Gallery.open(server.indexes / "drawn").write() as writer:
        writer.undo(Gallery.open(server.indexes / "drawn").corrections())


def test_what_is_left_out_while_one_goes_on_comes_back_where_it_was(server, open_page):
    page, held = open_page(server.url, pictures_go=True), []
    cards = pictures(page)
    second = cards.nth(1).get_attribute("title")
    cards.nth(1).click()
    expect(part(page, "facts")).to_contain_text(second)
    leave_out_slowly(page, held)
    part(page, "after").click()
    expect(part(page, "position")).to_have_text(f"3 of {ITEMS}")
    held[0].continue_()
    part(page, "said").get_by_role("button", name="Undo").click()
    expect(part(page, "said")).to_contain_text("Taken back")
    expect(part(page, "position")).to_have_text(f"2 of {ITEMS}")
    expect(part(page, "facts")).to_contain_text(second)


def test_what_is_pressed_before_its_script_is_there_is_of_the_item_that_was_open(server, open_page):
    held: list[Route] = []
    page = open_page(server.url, pictures_go=True, held=("**/correcting.js", held))
    cards = pictures(page)
    paths = [cards.nth(at).get_attribute("title") for at in range(4)]
    cards.nth(1).click()
    expect(part(page, "facts")).to_contain_text(paths[1])
    page.locator("#correct summary").click()
    page.locator("#correct-label input").fill("of the second")
    page.locator("#save-label").click()
    part(page, "after").click()
    expect(part(page, "facts")).to_contain_text(paths[2])
    page.locator("#leave-out").click()
    part(page, "after").click()
    expect(part(page, "facts")).to_contain_text(paths[3])
    for route in held:
        route.continue_()
    expect(part(page, "said")).to_contain_text(f"Left out of the gallery: {paths[2]}")
    gallery = Gallery.open(server.indexes / "drawn")
    said = (paths[1], "of the second")
    wait_until(page, lambda: said in [(correction.path, correction.label) for correction in gallery.corrections()])
    settle(page)
    with gallery.write() as writer:
        writer.undo(gallery.corrections())


def test_what_is_pressed_is_opened_though_its_card_shows_another_by_then(server, open_page):
    held: list[Route] = []
    page = open_page(server.url, held=("**/large-view.js", held))
    card = pictures(page).first
    path = card.get_attribute("title")
    card.click()
    page.locator("#pictures .frame").evaluate("frame => { frame.scrollTop = 3000; }")
    expect(card).not_to_have_attribute("title", path)
    for route in held:
        route.continue_()
    expect(part(page, "position")).to_have_text(f"1 of {ITEMS}")
    expect(part(page, "facts")).to_contain_text(path)


def test_by_keyboard(server, open_page):
    page = open_page(server.url)
    cards = pictures(page)
    cards.nth(0).focus()
    page.keyboard.press("Enter")
    expect(part(page, "position")).to_have_text(f"1 of {ITEMS}")
    expect(part(page, "before")).to_be_disabled()
    expect(part(page, "compare")).to_be_hidden()  # nothing was searched for
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    expect(part(page, "position")).to_have_text(f"4 of {ITEMS}")
    asked = []
    page.on("request", lambda request: asked.append(request.url) if "/pixels/" in request.url else None)
    page.keyboard.press("End")  # which no card shows
    expect(part(page, "position")).to_have_text(f"{ITEMS} of {ITEMS}")
    expect(part(page, "facts")).to_contain_text("3200 x 2400 pixels")
    expect(part(page, "image")).to_have_js_property("naturalWidth", 1280)
    assert not asked
    for _ in range(4):
        page.keyboard.press("+")
    expect(part(page, "image")).to_have_js_property("naturalWidth", 3200)
    page.keyboard.press("+")
    page.keyboard.press("Shift+ArrowRight")
    settle(page)
    assert len(asked) == 1
    assert "scale" in part(page, "image").get_attribute("style")
    page.keyboard.press("0")
    assert "scale" not in part(page, "image").get_attribute("style")
    page.keyboard.press("Escape")
    expect(page.locator(":focus")).to_have_attribute("data-index", str(ITEMS - 1))
    expect(page.locator(":focus")).to_be_in_viewport()


def finger(page: Page, *steps: list[tuple[float, float]]) -> None:
    """Touch, move and let go: of each step where the fingers are. They rest before they let go: nothing rolls on, which
    the next tap would only stop."""
    session, now = page.context.new_cdp_session(page), time.time()
    for number, places in enumerate([*steps, []]):
        kind = "touchStart" if not number else "touchMove" if places else "touchEnd"
        points = [{"x": x, "y": y, "id": finger} for finger, (x, y) in enumerate(places)]
        when = now + 0.05 * number + (0 if places else 1)
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points, "timestamp": when})


def test_on_a_phone(server, open_page):
    page = open_page(server.url, **PHONE)
    page.locator("#hits .grid[data-kind=samples] .card").first.tap()
    expect(first_hit(page)).to_be_visible()
    stand_still(page)  # a phone goes to the hits when they come
    first_hit(page).tap()
    expect(part(page, "position")).to_have_text("1 of 20")
    for width in (360, 390):
        page.set_viewport_size({"width": width, "height": 844})
        assert place_of(part(page, "position"))["height"] < 30  # one line
        assert len({place_of(part(page, name))["y"] for name in ("compare", "percent", "close")}) == 1
    expect(page.locator("#search-with-this")).to_be_in_viewport()
    expect(part(page, "beside")).to_be_hidden()
    finger(page, [(300, 300)], [(200, 302)], [(90, 304)])
    expect(part(page, "position")).to_have_text("2 of 20")
    finger(page, [(90, 300)], [(200, 302)], [(300, 304)])
    expect(part(page, "position")).to_have_text("1 of 20")
    finger(page, [(180, 300), (210, 300)], [(140, 300), (250, 300)], [(80, 300), (310, 300)])
    expect(part(page, "pane")).to_have_class(re.compile("zoomed"))
    finger(page, [(300, 300)], [(200, 302)], [(90, 304)])  # moves the picture now
    expect(part(page, "position")).to_have_text("1 of 20")
    part(page, "compare").click()  # a tap may end what the last swipe has set in motion
    expect(part(page, "beside")).to_be_visible()
    query, item = place_of(part(page, "beside")), place_of(part(page, "pane"))
    assert query["y"] + query["height"] <= item["y"]
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    part(page, "strip").locator(".card").first.tap()
    expect(part(page, "position")).to_contain_text("1 of 16")
    part(page, "region").tap()
    place = place_of(page.locator("#detail .boxes"))
    x, y = place["x"] + place["width"] / 2, place["y"] + place["height"] / 2
    finger(page, [(x - 40, y - 40)], [(x, y + 10)], [(x + 60, y + 60)])  # neither scrolled nor swiped
    expect(part(page, "with")).to_be_enabled()
    expect(part(page, "with")).to_be_in_viewport()
    expect(part(page, "position")).to_contain_text("1 of 16")
    part(page, "with").tap()
    expect(page.locator("#detail")).to_be_hidden()
    expect(page.locator("#search-query .boxes .box")).to_have_count(1)


def test_an_item_or_its_file_that_is_gone(tmp_path, embedder, open_page):
    folder = write_folder(tmp_path / "pictures", views=2)
    gallery = Gallery.create(tmp_path / "indexes" / "drawn", embedder)
    run_index(gallery, folder)
    with serve(tmp_path / "indexes") as running:
        page = open_page(running.url, pictures_go=True)
        cards = pictures(page)
        paths = [cards.nth(at).get_attribute("title") for at in range(3)]
        (folder / paths[0]).unlink()
        with page.expect_response("**/ids/**"):  # what it goes on to is known from now on
            cards.nth(0).click()
        expect(part(page, "facts")).to_contain_text("Only the thumbnail is left")
        expect(part(page, "facts")).to_contain_text(paths[0])
        with gallery.write() as writer:
            writer.correct([corrections.drop(gallery.item_at(paths[1]))])
        page.keyboard.press("ArrowRight")
        expect(part(page, "facts")).to_contain_text("This item is no longer here")
        expect(page.locator("#search-with-this")).to_be_hidden()
        page.keyboard.press("ArrowRight")
        expect(part(page, "facts")).to_contain_text(paths[2])
        expect(page.locator("#search-with-this")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.locator("#detail")).to_be_hidden()
        page.context.close()


LISTED_JS = """async () => {
  const { view } = document.querySelector('#pictures .frame').grid.data;
  const answer = await fetch(`items/drawn?count=200&view=${encodeURIComponent(view)}`);
  return (await answer.json()).items.map(({ path }) => path);
}"""


@pytest.mark.parametrize(("order", "field"), [pytest.param("", "domain", marks=pytest.mark.slow), ("label", "label")])
def test_who_corrects_one_after_the_other_sees_each_once(server, open_page, order, field):
    """What is corrected leaves what the filter shows, or goes to its end; and another program leaves some out."""
    page, gallery = open_page(server.url, pictures_go=True), Gallery.open(server.indexes / "drawn")
    cards = pictures(page)
    page.locator("#gallery-filters .toggle").click()
    page.locator("#gallery-filters [data-facet=domain] li", has_text="shapes").locator("input").check()
    page.locator("#gallery-filters .toggle").click()
    page.locator("#gallery-filters .order select").select_option(order)
    settle(page)
    expected = page.evaluate(LISTED_JS)
    expect(cards.first).to_have_attribute("title", expected[0])
    settle(page)
    cards.first.click()
    expect(part(page, "facts")).to_contain_text(expected[0])
    page.locator("#correct summary").click()
    for at in range(3):
        page.locator(f"#correct-{field} input").fill("zz")
        page.get_by_role("button", name="Save label").click()
        expect(part(page, "facts")).to_contain_text("Label saved")
        part(page, "after").click()
        expect(part(page, "facts")).to_contain_text(expected[at + 1])
    with gallery.write() as writer:  # another program
        writer.correct([corrections.drop(gallery.item_at(path)) for path in expected[20:22]])
    page.locator("#detail").focus()
    for _ in range(3, 62):
        page.keyboard.press("ArrowRight")
    for at in range(62, 58, -1):
        expect(part(page, "position")).to_have_text(f"{at + 1} of {len(expected)}")
        expect(part(page, "facts")).to_contain_text(expected[at])
        page.keyboard.press("ArrowLeft")
    page.keyboard.press("Home")
    expect(part(page, "facts")).to_contain_text(expected[0])
    page.locator("#close-detail").click()
    beside = expected[0] if field == "label" else expected[3]  # where it is, or what came after it
    expect(page.locator(f"#pictures .card[title='{beside}']")).to_be_focused()
    with gallery.write() as writer:
        writer.undo(gallery.corrections())
