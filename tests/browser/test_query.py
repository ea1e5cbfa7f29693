"""What is searched with: regions of it, parts that the program proposes, what is dragged and pasted, and the keys."""

from __future__ import annotations

import io
import re
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager

import pytest
from PIL import ExifTags, Image
from playwright.sync_api import Page, Request, Route, expect

from tests.support.browsing import (
    PHONE,
    answer_late,
    before_any_answer,
    drop,
    first_hit,
    go_to,
    place_of,
    reload,
    settle,
    stand_still,
    wait_until,
)
from tests.support.serving import Server, serve
from unifex.data.demo import render

pytestmark = pytest.mark.browser

DUCK, BUS = ("toys", 1, 2), ("cars", 1, 2)
ELSEWHERE = "https://pictures.example/"
TRANSFER_JS = """([selector, kind, given]) => {
  const transfer = new DataTransfer(), target = document.querySelector(selector);
  for (const [type, text] of Object.entries(given)) transfer.setData(type, text);
  const data = { [kind === 'paste' ? 'clipboardData' : 'dataTransfer']: transfer, bubbles: true, cancelable: true };
  target.dispatchEvent(kind === 'paste' ? new ClipboardEvent(kind, data) : new DragEvent(kind, data));
}"""


@pytest.fixture(scope="module")
def server(tmp_path_factory, demo) -> Iterator[Server]:
    with serve(shutil.copytree(demo, tmp_path_factory.mktemp("query") / "indexes")) as running:
        yield running


def beside(turned: bool = False) -> bytes:
    """A duck on the left, a bus on the right; ``turned``: stored lying, with an EXIF note that says so."""
    halves = [Image.open(io.BytesIO(render(*one))).convert("RGB").resize((300, 300)) for one in (DUCK, BUS)]
    both = Image.new("RGB", (600, 300))
    for place, half in enumerate(halves):
        both.paste(half, (300 * place, 0))
    exif = Image.Exif()
    if turned:
        both = both.transpose(Image.Transpose.ROTATE_90)
        exif[ExifTags.Base.Orientation] = 6
    out = io.BytesIO()
    both.save(out, "JPEG", quality=95, exif=exif)
    return out.getvalue()


def screenshot() -> bytes:
    """A duck within a phone's screen, small."""
    screen = Image.new("RGB", (720, 1280), (18, 24, 33))
    screen.paste(Image.open(io.BytesIO(render(*DUCK))).convert("RGB").resize((420, 420)), (150, 260))
    screen.paste((200, 200, 210), (0, 0, 720, 40))
    for line in range(6):
        screen.paste((90, 90, 90), (60, 760 + 60 * line, 600 - 40 * line, 775 + 60 * line))
    out = io.BytesIO()
    screen.save(out, "PNG")
    return out.getvalue()


def put(page: Page, data: bytes, name: str = "query.jpg") -> None:
    drop(page, "#query-image .image-frame, #query-image:not(:has(.image-frame)) button", {name: data}, "image/jpeg")


def boxes(page: Page):
    return page.locator("#search-query .boxes .box")


def drag(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Across the query, in parts of its picture."""
    area = place_of(page.locator("#search-query .boxes"))  # there with the picture, which may come after its hits
    places = [(area["x"] + x * area["width"], area["y"] + y * area["height"]) for x, y in (start, end)]
    page.mouse.move(*places[0])
    page.mouse.down()
    page.mouse.move(*places[1], steps=4)
    page.mouse.up()


def select_a_region(page: Page) -> None:
    """By keys, once that does something."""
    expect(page.locator("#query .region-tools:not([inert])")).to_be_visible()
    page.get_by_role("button", name="Select a region").press("Enter")


def test_a_part_is_offered_where_the_whole_is_not_found(server, open_page):
    """The first test: a server tries the parts of one picture at a time, and what is asked meanwhile goes without."""
    page = open_page(server.url)
    put(page, screenshot(), "screen.png")
    note = page.locator("#search-advice")
    expect(note).to_contain_text("is found here rather than the whole", timeout=60_000)  # dozens of parts are tried
    expect(page.locator("#query .part").first).to_be_visible()
    note.get_by_role("button", name="Search with that part").click()
    expect(first_hit(page)).to_contain_text("rubber duck")
    expect(note).to_be_hidden()
    chip = page.locator("#query .part").first
    expect(chip).to_have_attribute("aria-pressed", "true")
    chip.click()
    expect(boxes(page)).to_have_count(0)
    put(page, render(*BUS), "plain.jpg")
    expect(first_hit(page)).to_contain_text("yellow bus")
    expect(page.locator("#query .part")).to_have_count(0)
    page.get_by_role("button", name="Suggest regions").click()
    expect(page.locator("#query .part, #query .said:not([hidden])").first).to_be_visible()


def test_a_region_is_drawn_moved_resized_and_removed_by_mouse(server, open_page):
    page = open_page(server.url)
    put(page, beside())
    expect(first_hit(page)).to_be_visible()
    drag(page, (0.03, 0.05), (0.47, 0.95))
    expect(boxes(page)).to_have_attribute("aria-label", re.compile("Region 1 of 1, left 3 %, top 5 %, width 4[34] %"))
    expect(first_hit(page)).to_contain_text("rubber duck")
    drag(page, (0.25, 0.5), (0.75, 0.5))
    expect(first_hit(page)).to_contain_text("yellow bus")
    drag(page, (0.53, 0.5), (0.6, 0.5))  # its left side
    expect(boxes(page)).to_have_attribute("aria-label", re.compile("left 60 %"))
    drag(page, (0.1, 0.1), (0.4, 0.9))
    expect(page.locator("#search-status .queries img")).to_have_count(2)
    boxes(page).nth(0).locator(".remove").click()
    expect(first_hit(page)).to_contain_text("rubber duck")
    page.get_by_role("button", name="Whole picture").click()
    expect(boxes(page)).to_have_count(0)
    drag(page, (0.03, 0.05), (0.47, 0.95))
    expect(first_hit(page)).to_contain_text("rubber duck")
    put(page, render(*BUS), "other.jpg")  # another query has no regions
    expect(first_hit(page)).to_contain_text("yellow bus")
    expect(boxes(page)).to_have_count(0)
    page.locator("#clear-button").click()
    expect(page.get_by_role("button", name="Select a region")).to_be_hidden()
    put(page, beside(turned=True), "lying.jpg")
    expect(first_hit(page)).to_be_visible()
    drag(page, (0.03, 0.05), (0.47, 0.95))
    expect(first_hit(page)).to_contain_text("rubber duck")
    drag(page, (0.25, 0.5), (0.75, 0.5))
    expect(first_hit(page)).to_contain_text("yellow bus")


def test_regions_lie_on_a_picture_that_is_smaller_than_its_place(server, open_page):
    page, out = open_page(server.url), io.BytesIO()
    Image.open(io.BytesIO(beside())).resize((224, 112)).save(out, "PNG")
    put(page, out.getvalue(), "small.png")
    expect(first_hit(page)).to_be_visible()
    drag(page, (0.5, 0), (1, 1))
    expect(boxes(page)).to_have_attribute("aria-label", re.compile("left 50 %, top 0 %, width 50 %, height 100 %"))
    frame, region = page.locator("#query-image .image-frame img").bounding_box(), boxes(page).bounding_box()
    assert (region["width"], region["height"]) == pytest.approx((112, 112), abs=1)  # pixels, which are not enlarged
    assert region["x"] == pytest.approx(frame["x"] + frame["width"] / 2, abs=1)
    expect(first_hit(page)).to_contain_text("yellow bus")


def test_who_draws_on_a_phone_keeps_looking_at_the_picture(server, open_page):
    page = open_page(server.url, **PHONE)
    put(page, beside())
    expect(first_hit(page)).to_be_visible()
    stand_still(page)  # a phone goes to the hits when they come
    page.evaluate("scrollTo(0, 0)")
    page.get_by_role("button", name="Select a region").tap()
    expect(boxes(page)).to_be_visible()
    stand_still(page)
    assert page.evaluate("scrollY") == 0
    expect(boxes(page)).to_be_in_viewport()


def test_a_region_of_an_item_by_keys_alone(server, open_page):
    page, held = open_page(server.url), []
    page.route("**/picture/**", lambda route: held.append(route))
    page.locator("#hits .grid[data-kind=samples] .card").first.click()
    expect(first_hit(page)).to_be_visible()
    before = place_of(page.locator("#clear-button"))
    for route in held:
        route.continue_()
    page.unroute("**/picture/**")
    expect(page.locator("#query .pictures img")).to_have_attribute("src", re.compile("/picture/"))
    assert place_of(page.locator("#clear-button")) == before  # the picture moved nothing that is pressed
    select_a_region(page)
    box = page.get_by_role("application", name="Region 1 of 1, left 25 %, top 25 %, width 50 %, height 50 %")
    expect(box).to_be_focused()
    with page.expect_request("**/queue/join**"):  # searched with once the keys rest
        for key in ("ArrowLeft", "ArrowUp", "Shift+ArrowRight", "Shift+ArrowDown"):
            page.keyboard.press(key)
    expect(boxes(page)).to_have_attribute("aria-label", "Region 1 of 1, left 24 %, top 24 %, width 51 %, height 51 %")
    page.get_by_role("button", name="Another region").press("Enter")
    expect(boxes(page)).to_have_count(2)
    page.keyboard.press("Delete")
    expect(boxes(page)).to_be_focused()
    page.keyboard.press("Delete")
    expect(boxes(page)).to_have_count(0)
    page.get_by_role("button", name="Search with something else").click()
    expect(page.locator("#hits .grid[data-kind=samples] .card").first).to_be_visible()
    expect(page.locator("#query-image")).to_be_visible()


def test_a_region_drawn_on_the_thumbnail_stays_where_it_is_as_the_picture_comes(server, open_page):
    """The picture comes after the hits, and waits for none of them."""
    page, held = open_page(server.url), []
    page.route("**/picture/**", lambda route: held.append(route))
    page.locator("#hits .grid[data-kind=samples] .card").first.click()
    expect(first_hit(page)).to_be_visible()
    shown = page.locator("#query .pictures img")
    expect(shown).to_have_attribute("src", re.compile("^thumb/"))
    select_a_region(page)
    place = place_of(boxes(page))
    wait_until(page, lambda: bool(held))
    for route in held:
        route.continue_()
    page.unroute("**/picture/**")
    expect(shown).to_have_attribute("src", re.compile("/picture/"))
    settle(page)
    assert len(held) == 1
    assert place_of(boxes(page)) == pytest.approx(place, abs=1.5)  # pixels; a thumbnail's sides are rounded


def test_a_finger_moves_a_region(server, open_page):
    page = open_page(server.url, **PHONE)
    put(page, beside())
    expect(first_hit(page)).to_be_visible()
    page.get_by_role("button", name="Select a region").tap()
    expect(boxes(page)).to_have_attribute("aria-label", re.compile("left 25 %"))
    stand_still(page)  # a phone goes to the hits when they come
    boxes(page).scroll_into_view_if_needed()
    area, touch = boxes(page).bounding_box(), page.context.new_cdp_session(page)
    x, y = area["x"] + area["width"] / 2, area["y"] + area["height"] / 2
    for kind, points in (
        ("touchStart", [{"x": x, "y": y}]),
        ("touchMove", [{"x": x + area["width"], "y": y}]),
        ("touchEnd", []),
    ):
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    expect(boxes(page)).to_have_attribute("aria-label", re.compile("left 50 %"))
    expect(first_hit(page)).to_contain_text("yellow bus")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.slow
def test_regions_and_pastes_are_heard_though_the_picture_of_the_query_came_last(server, open_page):
    page, held = open_page(server.url, elsewhere=ELSEWHERE), []
    opened = {"Access-Control-Allow-Origin": "*"}
    page.route(
        f"{ELSEWHERE}both.jpg", lambda route: route.fulfill(body=beside(), content_type="image/jpeg", headers=opened)
    )
    page.route("**/assets/Image*.js", lambda route: held.append(route))
    with page.expect_request("**/query-drop.js"):
        reload(page)
    expect(page.locator("#hits .card").first).to_be_visible()
    expect(page.locator("#query-image")).to_have_count(0)
    page.unroute("**/assets/Image*.js")
    for route in held:
        route.continue_()
    expect(page.locator("#query-image button").first).to_be_visible()
    page.evaluate(TRANSFER_JS, ["body", "paste", {"text/plain": f"{ELSEWHERE}both.jpg"}])
    expect(first_hit(page)).to_be_visible()
    drag(page, (0.03, 0.05), (0.47, 0.95))
    expect(first_hit(page)).to_contain_text("rubber duck")
    expect(boxes(page)).to_have_count(1)


def test_hits_and_pictures_of_other_pages_are_dragged_onto_the_query_or_pasted(server, open_page):
    page = open_page(server.url, elsewhere=ELSEWHERE)
    opened = {"Access-Control-Allow-Origin": "*"}
    page.route(
        f"{ELSEWHERE}bus.jpg", lambda route: route.fulfill(body=render(*BUS), content_type="image/jpeg", headers=opened)
    )
    page.route(f"{ELSEWHERE}page", lambda route: route.fulfill(body="words", content_type="text/html", headers=opened))
    page.route(f"{ELSEWHERE}closed.jpg", lambda route: route.abort())
    put(page, render(*DUCK))
    expect(first_hit(page)).to_contain_text("rubber duck")
    stand_still(page)
    hit = page.locator("#hits .card").nth(3)
    path = hit.get_attribute("title")
    hit.drag_to(page.locator("#query-image"))
    expect(page.locator("#query .asked img")).to_have_attribute("alt", path)
    go_to(page, "Gallery")
    stand_still(page)  # cards that are drawn anew under a pressed button are not dragged
    card = page.locator("#pictures .card[data-item]").nth(1)
    path = card.get_attribute("title")
    card.hover()
    page.mouse.down()
    page.mouse.move(400, 300, steps=4)
    page.locator("#drop-to-search").hover()
    page.mouse.up()
    expect(page.locator("#query .asked img")).to_have_attribute("alt", path)
    given = {"text/uri-list": f"{ELSEWHERE}page", "text/html": f"<a href='x'><img src='{ELSEWHERE}bus.jpg'></a>"}
    page.evaluate(TRANSFER_JS, ["#query .asked", "drop", given])
    expect(first_hit(page)).to_contain_text("yellow bus")
    said = page.locator("#query .said")
    page.evaluate(TRANSFER_JS, ["body", "paste", {"text/plain": f"{ELSEWHERE}closed.jpg"}])
    expect(said).to_contain_text("does not let others read its picture")
    page.evaluate(TRANSFER_JS, ["body", "paste", {"text/plain": f"{ELSEWHERE}page"}])
    expect(said).to_contain_text("That address is no picture")
    expect(first_hit(page)).to_contain_text("yellow bus")
    page.locator("#clear-button").click()
    page.evaluate(TRANSFER_JS, ["body", "paste", {"text/plain": f"{ELSEWHERE}bus.jpg"}])
    expect(page.locator("#query-image img")).to_be_visible()
    expect(first_hit(page)).to_contain_text("yellow bus")
    expect(said).to_be_hidden()


def test_of_several_pictures_the_first_is_searched_with_and_where_others_go_is_told(server, open_page):
    page = open_page(server.url)
    drop(page, "#query-image button", {"bus.jpg": render(*BUS), "duck.jpg": render(*DUCK)})
    expect(first_hit(page)).to_contain_text("yellow bus")
    expect(page.locator(".toast")).to_contain_text("Only the first of 2 files is searched with")


def test_a_picture_of_a_format_that_the_browser_cannot_show_is_shown_and_has_regions(server, open_page):
    page, out = open_page(server.url), io.BytesIO()
    Image.open(io.BytesIO(beside(turned=True))).save(out, "TIFF", exif=Image.open(io.BytesIO(beside(True))).getexif())
    drop(page, "#query-image button", {"both.tif": out.getvalue()}, "image/tiff")
    expect(first_hit(page)).to_be_visible()
    expect(page.get_by_role("button", name="Select a region")).to_be_visible()
    shown = page.locator("#query-image .image-frame img")
    expect(shown).to_have_js_property("naturalWidth", 600)  # which the server is asked for when the browser has failed
    expect(shown).to_have_js_property("naturalHeight", 300)
    drag(page, (0.53, 0.05), (0.97, 0.95))
    expect(first_hit(page)).to_contain_text("yellow bus")
    page.locator("#query [data-do=suggest]").dispatch_event("click")  # gone if parts came of themselves meanwhile
    expect(page.locator("#query .part canvas, #query .said:not([hidden])").first).to_be_visible()


def test_what_was_given_last_is_the_query_whatever_was_on_its_way(server, open_page):
    page, held = open_page(server.url, elsewhere=ELSEWHERE), []
    link = "#gallery=demo+(synthetic)&items=1"

    def hold(route: Route) -> None:
        late = "items=1" in (route.request.post_data or "")
        held.append(route) if late else route.continue_()

    def give_while_it_opens() -> None:
        page.wait_for_function(OVER_JS)
        put(page, render(*BUS))
        expect(page.locator("#query .said")).to_contain_text("Once the link is open")
        held.pop().continue_()
        expect(first_hit(page)).to_contain_text("yellow bus")
        expect(page.locator("#query-image img")).to_be_visible()
        expect(page).to_have_url(re.compile("image=1"))

    page.route("**/queue/join**", hold)
    with page.expect_request(lambda asked: "items=1" in (asked.post_data or "")):
        page.evaluate("(link) => unifex.go(link)", link[1:])
    give_while_it_opens()
    page.goto("about:blank")
    with page.expect_request(lambda asked: "items=1" in (asked.post_data or "")):
        page.goto(f"{server.url}{link}")
    give_while_it_opens()

    page.unroute("**/queue/join**")
    page.goto("about:blank")
    page.route("**/address.js", lambda route: held.append(route))  # who follows the link has not come yet
    with page.expect_request("**/address.js"):
        page.goto(f"{server.url}{link}")
    give_while_it_opens()

    page.route(f"{ELSEWHERE}slow.jpg", lambda route: held.append(route))
    sent: list[Request] = []
    page.on("request", lambda asked: sent.append(asked) if "/upload?" in asked.url else None)
    with page.expect_request(f"{ELSEWHERE}slow.jpg"):
        page.evaluate(TRANSFER_JS, ["body", "paste", {"text/plain": f"{ELSEWHERE}slow.jpg"}])
    put(page, render(*DUCK))
    expect(first_hit(page)).to_contain_text("rubber duck")
    opened = {"Access-Control-Allow-Origin": "*"}
    with page.expect_event("requestfinished", lambda asked: "slow.jpg" in asked.url):
        held.pop().fulfill(body=render(*BUS), content_type="image/jpeg", headers=opened)
    drag(page, (0.1, 0.1), (0.9, 0.9))
    expect(page).to_have_url(re.compile("box="))
    expect(first_hit(page)).to_contain_text("rubber duck")
    assert len(sent) == 1


OVER_JS = """() => {
  const column = document.querySelector('#search-query');
  column?.dispatchEvent(new DragEvent('dragover', { dataTransfer: new DataTransfer(), bubbles: true }));
  return column?.classList.contains('over');
}"""  # pictures are taken from now on


def test_every_press_is_answered_though_answers_come_late(server, open_page):
    page = open_page(server.url)
    answer_late(page, 200)
    for _ in range(4):  # each is asked as the last answers come
        page.locator("#hits .grid[data-kind=samples] .card").first.click()
        expect(first_hit(page)).to_be_visible()
        page.get_by_role("button", name="Clear", exact=True).click()
    page.get_by_role("button", name="Clear", exact=True).click()
    words = page.locator("#search-words input, #search-words textarea")
    words.press_sequentially("yellow bus")  # while the answer to Clear is on its way
    words.press("Enter")
    expect(page.locator("#search-status")).to_contain_text("hits for yellow bus")
    settle(page)
    expect(words).to_have_value("yellow bus")


def test_the_last_of_an_item_an_image_and_clear_is_the_query_though_answers_come_late(server, open_page):
    page = open_page(server.url)
    sample, clear = page.locator("#hits .grid[data-kind=samples] .card").first, page.locator("#clear-button")
    item, image = page.locator("#query .pictures img"), page.locator("#query-image img")

    def asked(said: str) -> AbstractContextManager:
        return page.expect_request(lambda one: "/queue/join" in one.url and said in (one.post_data or ""))

    with before_any_answer(page):
        with asked("[1]"):
            sample.click()
        clear.click()
    settle(page)
    expect(sample).to_be_visible()
    expect(item).to_have_count(0)
    sample.click()
    first_hit(page).click()
    with before_any_answer(page):  # to the other item
        page.locator("#search-with-this").click()
        clear.click()
    settle(page)
    expect(sample).to_be_visible()
    expect(item).to_have_count(0)
    with before_any_answer(page):  # to the image
        with asked("query.jpg"):
            put(page, render(*BUS))
        sample.click()
    expect(first_hit(page)).to_be_visible()
    settle(page)
    expect(item).to_have_count(1)
    expect(image).to_have_count(0)
    expect(page).to_have_url(re.compile("items="))
    with before_any_answer(page):
        with asked("[],"):
            page.locator("#query .none").click()
        put(page, render(*DUCK))
    expect(first_hit(page)).to_contain_text("rubber duck")
    settle(page)
    expect(image).to_have_count(1)
    expect(item).to_have_count(0)


def test_what_the_browser_cannot_show_says_so_below_the_name_of_the_box(server, open_page):
    page = open_page(server.url)
    put(page, b"words", "words.jpg")
    frame = page.locator("#query-image .image-frame:has(.no-preview)")
    expect(frame).to_be_visible()
    name, looks = place_of(page.locator("#query-image label").first), "getComputedStyle(frame, '::after')"
    assert frame.evaluate(f"frame => {looks}.display") == "block"  # else its distance from above counts for nothing
    above = frame.evaluate(f"frame => parseFloat({looks}.paddingTop)")
    assert frame.bounding_box()["y"] + above >= name["y"] + name["height"]


def test_keys_lead_to_the_query_and_are_listed(server, open_page):
    page = open_page(server.url)
    page.wait_for_function(OVER_JS)  # keys are heard from then on, too
    go_to(page, "Train")
    page.keyboard.press("/")
    expect(page.locator("#search-words input, #search-words textarea")).to_be_focused()
    go_to(page, "Train")
    stand_still(page)  # tabs that are drawn anew have lost the focus
    page.keyboard.press("?")
    listed = page.get_by_role("dialog", name="Keys")
    expect(listed).to_contain_text("Among pictures")
    page.keyboard.press("/")  # behind a dialog nothing is reached
    page.keyboard.press("Tab")
    expect(listed.get_by_role("button", name="Close")).to_be_focused()
    page.keyboard.press("Escape")
    expect(listed).to_be_hidden()
    expect(page.get_by_role("tab", name="Train")).to_be_focused()
    page.set_viewport_size({"width": 1280, "height": 400})
    for _ in range(2):
        page.keyboard.press("?")
        expect(listed.get_by_role("heading", name="Keys", exact=True)).to_be_in_viewport()
        assert listed.evaluate("list => list.scrollTop") == 0  # it begins with its beginning
        page.keyboard.press("Escape")
        expect(listed).to_be_hidden()
    go_to(page, "Gallery")
    settle(page)
    page.locator("#pictures .card").first.click()
    expect(page.locator("#detail")).to_be_visible()
    page.keyboard.press("/")
    page.keyboard.press("?")  # there, too
    expect(listed).to_contain_text("side by side with what it was found with")
    page.keyboard.press("Escape")
    expect(listed).to_be_hidden()
    expect(page.locator("#detail")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#detail")).to_be_hidden()
    field = page.locator("#gallery-name input, #gallery-name textarea").first
    field.fill("")
    field.press_sequentially("a?/")
    expect(field).to_have_value("a?/")
    expect(listed).to_be_hidden()


def test_what_a_page_makes_up_of_regions_is_refused_in_words(server, open_page):
    page = open_page(server.url)
    put(page, render(*DUCK))
    expect(first_hit(page)).to_contain_text("rubber duck")
    about = page.evaluate("document.querySelector('#query-image img').src.split('/').at(-2)")
    for boxes_told, said in (("0.5,0.5,0.9,0.1", "reaches over the picture"), ("x", "The search failed")):
        page.evaluate("(told) => unifex.regions(told)", [about, boxes_told])
        expect(page.locator("#search-status")).to_contain_text(said)
    page.evaluate("(told) => unifex.regions(told)", ["another picture", "0,0,0.1,0.1"])  # counts for nothing
    expect(first_hit(page)).to_contain_text("rubber duck")
