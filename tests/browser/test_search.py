"""The Search tab's main loop in a real browser: whatever counts last is what is shown, and nothing runs twice."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.support.browsing import PHONE, drop, first_hit, go_to, settle, slow_line, stand_still
from tests.support.serving import Server, serve
from unifex.data.demo import render

pytestmark = pytest.mark.browser

DUCK, BUS = ("toys", 1, 2), ("cars", 1, 2)
PASTE_JS = """([data, type]) => {
  const transfer = new DataTransfer();
  transfer.items.add(new File([Uint8Array.from(atob(data), (c) => c.charCodeAt(0))], 'pasted', { type }));
  document.body.dispatchEvent(
    new ClipboardEvent('paste', { clipboardData: transfer, bubbles: true, cancelable: true }));
}"""
WORDS_JS = """(selector) => {
  const transfer = new DataTransfer();
  transfer.setData('text/plain', 'words');
  document.querySelector(selector).dispatchEvent(
    new DragEvent('drop', { dataTransfer: transfer, bubbles: true, cancelable: true }));
}"""
STOPPED_JS = "() => document.querySelector('#drop .state').textContent.startsWith('Stopped')"


@pytest.fixture(scope="module")
def server(tmp_path_factory, demo) -> Iterator[Server]:
    with serve(shutil.copytree(demo, tmp_path_factory.mktemp("search") / "indexes")) as running:
        yield running


@pytest.fixture
def page(server, open_page) -> Page:
    page = open_page(server.url, pictures_go=True)  # what is left out may just be asked what looks like it
    expect(page.locator("#hits .card").first).to_be_visible()
    settle(page)
    return page


class Calls:
    """What the page asks the server to run, by the handlers' names."""

    def __init__(self, page: Page):
        config = page.evaluate("window.gradio_config.dependencies")
        self.names = {listener["id"]: listener["api_name"] for listener in config}
        self.made: list[str] = []
        page.on("request", self._note)

    def _note(self, request) -> None:
        if request.url.endswith("/queue/join?") or "/queue/join" in request.url:
            self.made.append(self.names[json.loads(request.post_data)["fn_index"]])

    def take(self) -> list[str]:
        """Those since the last time."""
        made, self.made = self.made, []
        return made


def put(page: Page, name: str, data: bytes, kind: str = "image/jpeg") -> None:
    """Drop a file on the query's box, whatever is in it."""
    shown = page.locator("#query-image .image-frame")
    drop(page, "#query-image .image-frame" if shown.count() else "#query-image button", {name: data}, kind)


def test_a_search_an_opened_hit_and_another_search_again_and_again(page):
    good = render(*DUCK)
    bad = (b"no image at all", b"", good[: len(good) // 2], b"<svg xmlns='http://www.w3.org/2000/svg'/>")
    for turn in range(6):
        wanted = ("rubber duck", DUCK) if turn % 2 else ("yellow bus", BUS)
        put(page, f"{turn}.jpg", render(*wanted[1]))
        expect(first_hit(page)).to_contain_text(wanted[0])
        first_hit(page).click()
        expect(page.locator("#detail-card h2")).to_have_text(wanted[0])
        page.locator("#close-detail").click()
        expect(page.locator("#detail-card")).to_be_hidden()
        put(page, f"bad{turn}.jpg", bad[turn % len(bad)], ("image/jpeg", "", "text/plain")[turn % 3])
        note = page.locator("#search-status .note.error")
        expect(note).to_contain_text("This query cannot be read")
        assert "/" not in note.inner_text()


def test_each_way_to_give_an_image_searches_once(page):
    calls = Calls(page)
    put(page, "duck.jpg", render(*DUCK))
    expect(first_hit(page)).to_contain_text("rubber duck")
    assert calls.take() == ["show"]
    first_hit(page).click()
    expect(page.locator("#detail-card")).to_be_visible()
    page.keyboard.press("Escape")
    settle(page)
    assert calls.take() == ["open"]
    page.locator("#query-image [aria-label='Remove Image']").click()
    expect(page.locator("#hits [data-kind=samples]")).to_be_visible()
    settle(page)
    calls.take()
    page.evaluate(PASTE_JS, [base64.b64encode(render(*BUS)).decode(), "image/jpeg"])
    expect(first_hit(page)).to_contain_text("yellow bus")
    assert calls.take() == ["show"]
    page.evaluate(WORDS_JS, "#query-image .image-frame")
    settle(page)
    assert calls.take() == []
    expect(first_hit(page)).to_contain_text("yellow bus")


def test_a_picture_pasted_with_the_boxs_own_button_is_searched(page):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.evaluate("""async () => {
      const canvas = Object.assign(document.createElement('canvas'), { width: 60, height: 60 });
      canvas.getContext('2d').fillRect(9, 9, 30, 30);
      const blob = await new Promise((done) => canvas.toBlob(done));
      await navigator.clipboard.write([new ClipboardItem({ 'image/png': blob })]);
    }""")
    page.locator("#query-image [aria-label='Paste from clipboard']").first.click()
    expect(page.locator("#hits [data-kind=hits]")).to_be_visible()


def test_the_last_of_several_quick_choices_counts(page):
    put(page, "duck.jpg", render(*DUCK))
    expect(first_hit(page)).to_contain_text("rubber duck")
    page.locator("#search-filters .toggle").click()
    for domain in ("toys", "cars", "memes"):
        page.locator("#search-filters [data-facet=domain] li", has_text=domain).click()
    expect(page.locator("#search-status")).to_contain_text("among 72 of 264 items")
    page.keyboard.press("Escape")
    page.get_by_text("Hits, copies, similarity").click()
    slider = page.locator("#search-k input[type=range]")
    slider.scroll_into_view_if_needed()
    stand_still(page)
    calls = Calls(page)
    box = slider.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] / 2, steps=6)
    page.mouse.up()
    expect(page.locator("#hits .card")).to_have_count(int(slider.input_value()))
    assert calls.take() == ["show"]
    slider.focus()
    with page.expect_request("**/queue/join**"):
        page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")  # while the first is searched with
    expect(page.locator("#hits .card")).to_have_count(int(slider.input_value()))
    page.locator("#clear-button").click()
    expect(page.locator("#hits [data-kind=samples] .card")).to_have_count(18)
    assert {text.rpartition("\n")[2] for text in page.locator("#hits .card").all_inner_texts()} - {"toys", "cars"}
    expect(page.locator("#search-k input[type=number]")).to_have_value("20")


def test_words_alone_with_an_image_and_taken_back(page):
    words, balance = page.locator("#search-words textarea, #search-words input"), page.locator("#search-balance")
    words.fill("rubber duck")
    words.press("Enter")
    expect(page.locator("#search-status")).to_contain_text("20 hits for rubber duck")
    expect(first_hit(page)).to_contain_text("rubber duck")
    expect(balance).to_be_hidden()
    put(page, "bus.jpg", render(*BUS))
    expect(balance).to_be_visible()
    page.locator("#clear-button").click()
    expect(words).to_have_value("")
    expect(balance).to_be_hidden()
    expect(page.locator("#hits [data-kind=samples] .card")).to_have_count(18)


def test_search_without_a_query_says_what_to_do(page):
    page.locator("#search-button").click()
    expect(page.locator("#search-status")).to_contain_text("Nothing to search with yet")
    expect(page.locator("#hits [data-kind=samples]")).to_be_visible()


def test_the_large_view_is_a_dialog_for_the_keyboard(page):
    put(page, "duck.jpg", render(*DUCK))
    expect(first_hit(page)).to_contain_text("rubber duck")
    cards = page.locator("#hits .card")
    cards.nth(1).focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="rubber duck")
    expect(dialog).to_be_visible()
    assert dialog.get_attribute("aria-modal") == "true"
    expect(page.locator("#close-detail")).to_be_focused()
    for _ in range(6):  # the focus stays in it, but for the browser's own bar
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement === document.body || !!document.activeElement.closest('dialog')")
    page.mouse.wheel(0, 500)
    stand_still(page)
    assert page.evaluate("window.scrollY") == 0
    page.locator("#close-detail").focus()
    path = page.locator("#detail-card dd").nth(3)
    shown = path.inner_text()
    page.keyboard.press("ArrowRight")
    expect(path).not_to_have_text(shown)
    page.keyboard.press("Escape")
    expect(page.locator("#detail-card")).to_be_hidden()
    expect(cards.nth(2)).to_be_focused()
    cards.nth(0).click()
    expect(page.locator("#detail-card")).to_be_visible()
    page.mouse.click(5, 5)
    expect(page.locator("#detail-card")).to_be_hidden()
    expect(cards.nth(0)).to_be_focused()


def test_what_is_left_out_is_gone_from_the_hits_and_comes_back(page):
    put(page, "duck.jpg", render(*DUCK))
    expect(first_hit(page)).to_contain_text("rubber duck")
    path = first_hit(page).get_attribute("title")
    first_hit(page).click()
    page.locator("#correct").get_by_text("Correct it").click()
    page.locator("#leave-out").click()
    expect(page.locator("#detail-card .said")).to_contain_text("Left out of the gallery")
    expect(page.locator("#detail-card .position")).to_have_text("1 of 19")  # what came next
    expect(page.locator("#search-status")).to_contain_text("among 263 items")
    page.locator("#close-detail").click()
    expect(page.locator(f'#hits [title="{path}"]')).to_have_count(0)
    go_to(page, "Evaluate")
    page.locator("#evaluate-button").click()
    expect(page.locator("#failures")).to_be_visible(timeout=60_000)
    page.get_by_role("button", name="Corrections").click()
    page.locator("#corrections [data-act=undo]").click()
    expect(page.locator("#corrections li")).to_have_count(0)
    go_to(page, "Search")
    expect(page.locator(f'#hits [title="{path}"]')).to_have_count(1)


def test_the_drop_zone_says_what_came_of_a_drop(page):
    go_to(page, "Gallery")
    state = page.locator("#drop .state")
    page.wait_for_selector("#drop .drop:not([aria-busy=true])", state="attached")
    page.evaluate(WORDS_JS, "#drop .drop")
    expect(state).to_contain_text("Nothing to upload there")
    files = {f"{number}.png": b"no image" for number in range(400)}
    slow_line(page, 200)  # so that it is not over before it is stopped
    drop(page, "#drop .drop", files)
    expect(state).to_contain_text("Uploading")
    drop(page, "#drop .drop", {"late.png": b"x"})
    expect(state).to_contain_text("What you added meanwhile was not taken")
    page.get_by_role("button", name="Stop uploading").click()
    page.wait_for_function(STOPPED_JS)
    slow_line(page)
    expect(page.locator("#index-message")).to_be_empty()
    page.evaluate("() => { XMLHttpRequest.prototype.send = function () { this.dispatchEvent(new Event('error')); }; }")
    drop(page, "#drop .drop", {"a.png": b"x"})
    expect(state).to_contain_text("the server does not answer")


def test_the_phone_shows_hits_where_one_looks(server, open_page):
    page = open_page(server.url, **PHONE)
    put(page, "duck.jpg", render(*DUCK))
    expect(first_hit(page)).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.locator("#clear-button").click()
    settle(page)
    words = page.locator("#search-words textarea, #search-words input")
    words.press_sequentially("school bus")
    words.press("Enter")
    expect(page.locator("#search-status")).to_contain_text("hits for")
    expect(first_hit(page)).to_be_in_viewport()
