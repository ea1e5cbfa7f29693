"""A connection that is gone for a while, as a phone's is in a lift."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, Route, expect

from tests.support.browsing import come_back, first_hit, go_to, settle, wait_until, watch_calls
from tests.support.serving import Server, free_port, kill, serve
from unifex.ui.context import DEMO_GALLERY

pytestmark = pytest.mark.browser
NEEDED_LATER = "acting", "asking", "large-view", "view-picture", "alike", "draw-boxes", "keys", "groups"


@pytest.fixture(scope="module")
def server(tmp_path_factory, demo) -> Iterator[Server]:
    with serve(shutil.copytree(demo, tmp_path_factory.mktemp("connection") / "indexes")) as running:
        yield running


@pytest.fixture
def page(profiles, server) -> Iterator[Page]:
    """Nobody watches its console: the browser itself tells there of every request that is lost."""
    page = profiles.open(server.url, viewport={"width": 1280, "height": 900})
    watch_calls(page)
    yield page
    page.context.set_offline(False)
    profiles.give_back()


def disconnect(page: Page) -> None:
    """When nothing is on its way: an answer that a lost connection cuts off makes Gradio load the page anew."""
    settle(page)
    page.context.set_offline(True)


def reconnect(page: Page) -> None:
    """And wait until something can be fetched, which is later than the browser says it."""
    page.context.set_offline(False)
    page.wait_for_function("() => fetch(location.pathname, { method: 'HEAD' }).then(() => true, () => false)")


def searched(page: Page, url: str) -> None:
    page.goto(f"{url}#gallery={quote(DEMO_GALLERY)}&items=1")
    page.wait_for_selector("#header .ready")
    expect(first_hit(page)).to_be_visible()
    settle(page)


def test_what_is_pressed_in_vain_works_when_the_connection_is_back(server, page):
    lost = "**/code/*/{large-view,acting}.js"
    page.route(lost, lambda route: route.abort())
    searched(page, server.url)
    first_hit(page).click()
    expect(page.locator(".toast")).to_have_text("The server does not answer; try it again.")
    page.locator(".toast").evaluate("toast => toast.classList.add('first')")
    first_hit(page).click(modifiers=["Control"])
    page.locator("#hits .tools").get_by_role("button", name="Tag").click()
    expect(page.locator(".toast:not(.first)")).to_have_text("The server does not answer; try it again.")
    expect(page.locator(".toast")).to_have_count(1)
    page.unroute(lost)
    page.locator("#hits .tools").get_by_role("button", name="Tag").click()
    expect(page.locator("dialog.ask")).to_be_visible()
    page.keyboard.press("Escape")
    first_hit(page).click()
    expect(page.locator("#detail")).to_be_visible()
    expect(page.get_by_text("The server does not answer; try it again.")).to_have_count(0)


QUIET_JS = """((real) => {
  window.setTimeout = (then, wait, ...given) => real(then, wait === 3000 ? 100 : wait, ...given);
})(setTimeout)"""  # pages are quiet sooner


def test_what_may_be_pressed_comes_while_nobody_does_anything(server, page):
    page.add_init_script(QUIET_JS)
    searched(page, server.url)
    for name in NEEDED_LATER:
        page.wait_for_function(
            "name => performance.getEntriesByType('resource').some((one) => one.name.endsWith(`/${name}.js`))", arg=name
        )
    disconnect(page)
    first_hit(page).click()
    expect(page.locator("#detail")).to_be_visible()


def test_nothing_comes_before_where_data_is_saved(server, page):
    page.add_init_script(QUIET_JS)
    page.add_init_script("Object.defineProperty(navigator, 'connection', { value: { saveData: true } })")
    searched(page, server.url)
    page.wait_for_timeout(500)
    assert not page.evaluate("performance.getEntriesByType('resource').some((one) => one.name.endsWith('/acting.js'))")


SERVER = re.compile("/component_server")
JOB = {"id": "1", "kind": "train", "state": "running", "title": "Making 'it'", "share": 0.5}
CUT = {"kind": "index", "name": "it", "text": "Indexing 'it' was interrupted", "action": "Resume", "tab": "gallery"}
SAVED = {"id": 1, "name": "crosses", "address": "", "new": 0, "keeps": True}


def answer(page: Page, **answers) -> None:
    """What the page asks of these functions of the server's: None is no answer, a dictionary what it says otherwise."""

    def handle(route: Route) -> None:
        name = json.loads(route.request.post_data)["fn_name"]
        if name not in answers:
            route.fallback()
        elif answers[name] is None:
            route.abort()
        elif isinstance(answers[name], dict):
            route.fulfill(json=route.fetch().json() | answers[name])
        else:
            route.fulfill(json=answers[name])

    page.route(SERVER, handle)


def test_what_the_server_was_asked_in_vain_is_not_taken_for_done(server, page):
    searched(page, server.url)
    news = page.locator("#header .model").get_attribute("data-news")
    jobs = {"jobs": [JOB], "news": news, "ready": True, "gallery": "", "written": ""}
    answer(page, jobs=jobs, interrupted=[CUT], saved=[SAVED], resume=None, cancel=None, change=None)
    page.on("dialog", lambda asked: asked.accept())
    page.evaluate("unifex.searches(true)")
    come_back(page)
    toast = page.locator(".toast")
    page.locator(".jobs-now").click()
    page.get_by_role("button", name="Resume").click()
    expect(page.locator("#jobs-list .cut")).to_contain_text("The server does not answer")
    expect(page.get_by_role("tab", name="Search")).to_have_attribute("aria-selected", "true")
    page.locator("#jobs-list .cancel").click()
    expect(toast).to_have_text("The server does not answer; try it again.")
    expect(page.locator("#jobs-list .cancel")).to_be_enabled()
    toast.evaluate("toast => toast.remove()")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Delete crosses").click()
    expect(toast).to_have_text("The server does not answer; try it again.")
    expect(page.locator("#searches .saved li")).to_have_count(1)
    answer(page, saved=None)
    page.evaluate("unifex.searches(true)")
    settle(page)
    expect(page.locator("#searches .saved li")).to_have_count(1)  # of this gallery still


def test_a_server_that_hangs_is_seen_to(server, page):
    searched(page, server.url)
    held = []
    page.route(SERVER, lambda route: held.append(route))
    page.evaluate("(real => { window.setTimeout = (then, wait) => real(then, wait / 20); })(setTimeout)")
    come_back(page)
    expect(page.locator("#top")).to_have_attribute("data-unanswered", "")
    page.unroute(SERVER)
    expect(page.locator("#top:not([data-unanswered])")).to_be_visible()


def test_what_did_not_come_comes_when_the_connection_is_back(server, page):
    lost = re.compile("/items/|/plotly.js")
    searched(page, server.url)
    page.route(lost, lambda route: route.abort())
    go_to(page, "Gallery")
    expect(page.locator("#pictures .card.coming").first).to_be_visible()
    page.unroute(lost)
    page.evaluate("dispatchEvent(new Event('online'))")
    expect(page.locator("#pictures .card.coming")).to_have_count(0)


@pytest.mark.slow
def test_hits_that_could_not_be_found_are_asked_for_once_more(server, page):
    searched(page, server.url)
    before, more = page.locator("#hits .card").count(), page.locator("#hits .more-hits")
    moved, looks = server.indexes.with_name("moved"), []
    page.route(SERVER, lambda route: looks.append(route))  # it would be told that the gallery is gone
    page.evaluate("unifexJobs.poll()")
    wait_until(page, lambda: bool(looks))  # what it asked before was answered
    server.indexes.rename(moved)
    more.dispatch_event("click")  # a pointer scrolls there first, which may ask for them, too
    expect(page.locator("#search-status")).to_contain_text("No further hits")
    expect(more).to_have_text("Show more hits")
    moved.rename(server.indexes)
    more.dispatch_event("click")
    expect(page.locator("#hits .card").nth(before)).to_be_attached()
    for look in looks:
        look.continue_()
    page.unroute(SERVER)


def test_a_label_that_could_not_be_saved_stays_in_its_field_until_it_is(server, page):
    searched(page, server.url)
    first_hit(page).click()
    page.locator("#correct summary").click()
    label = page.locator("#correct input[name=label]")
    label.fill("typed in a lift")
    page.evaluate("window.same = true")
    said, asked = page.locator("#detail .said"), "**/answering.js"
    page.route(asked, lambda route: route.fulfill(status=502))  # by what stands before the server
    page.get_by_role("button", name="Save label").click()
    expect(said).to_contain_text("Not saved: the server does not answer")
    page.unroute(asked)
    disconnect(page)
    page.get_by_role("button", name="Save label").click()
    expect(said).to_contain_text("Not saved: the server does not answer")
    page.get_by_role("button", name="More like this").click()
    expect(said).to_contain_text("Not marked: the server does not answer")
    page.locator("#detail").get_by_role("button", name="Leave it out").click()
    expect(said).to_contain_text("Not saved: the server does not answer")
    reconnect(page)
    expect(label).to_have_value("typed in a lift")
    page.get_by_role("button", name="Save label").click()
    expect(page.locator("#detail .note.good")).to_contain_text("Label saved")
    expect(page.locator("#detail-title")).to_have_text("typed in a lift")
    assert page.evaluate("window.same")  # it was not loaded anew


def test_who_goes_on_without_a_connection_keeps_the_view_and_is_told_of_the_item_when_it_is_back(server, page):
    searched(page, server.url)
    first_hit(page).click()
    expect(page.locator("#correct")).to_be_visible()
    expect(page.locator("#detail [data-part=facts]:not([aria-busy])")).to_be_visible()
    page.evaluate("window.same = true")
    disconnect(page)
    page.keyboard.press("ArrowRight")
    expect(page.locator("#detail .said")).to_contain_text("cannot be fetched: the server does not answer")
    page.route("**/*", lambda route: route.abort())  # nothing can be fetched yet when browsers say that they are online
    with page.expect_request("**/answering.js"):
        page.context.set_offline(False)
    expect(page.locator("#detail .said")).to_contain_text("cannot be fetched: the server does not answer")
    page.unroute("**/*")
    expect(page.locator("#detail [data-part=facts]:not([aria-busy])")).to_be_visible()
    expect(page.locator("#detail .said")).to_be_empty()

    disconnect(page)  # what is pressed meanwhile is answered, and asking again by itself says nothing over it
    page.keyboard.press("ArrowRight")
    expect(page.locator("#detail .said")).to_contain_text("cannot be fetched: the server does not answer")
    for button, told in (("More like this", "Not marked: the"), ("Search with this one", "The")):
        page.locator("#detail").get_by_role("button", name=button).click()
        expect(page.locator("#detail .said")).to_contain_text(f"{told} server does not answer")
        page.evaluate("() => { dispatchEvent(new Event('online')); return new Promise(requestAnimationFrame); }")
        expect(page.locator("#detail .said")).to_contain_text(f"{told} server does not answer")
    assert page.evaluate("window.same")


def test_what_could_not_be_done_with_chosen_hits_leaves_them_chosen(server, page):
    searched(page, server.url)
    first_hit(page).click(modifiers=["Control"])
    more = page.locator("#hits .tools").get_by_role("button", name="More like these")
    expect(more).to_be_visible()
    disconnect(page)
    more.click()
    toast = page.locator(".toast")
    expect(toast).to_have_text("The server does not answer; try it again.")
    expect(page.locator("#hits .card.chosen")).to_have_count(1)
    words = page.locator("#search-words :is(textarea, input)")
    words.fill("striped shirt")
    for ask in (page.locator("#search-button").click, lambda: words.press("Enter")):
        page.evaluate("document.querySelector('.toast')?.remove()")
        ask()
        expect(toast).to_have_text("The server does not answer; try it again.")
    words.fill("")
    reconnect(page)
    page.evaluate("Object.defineProperty(navigator, 'onLine', { value: false })")  # a laptop without any network
    more.click()
    expect(page.locator("#hits .card.chosen")).to_have_count(0)
    words.fill("striped shirt")
    words.press("Enter")
    expect(page).to_have_url(re.compile("words=striped"))


def test_what_is_filtered_in_vain_is_as_it_was(server, page):
    searched(page, server.url)
    page.locator("#search-filters .toggle").click()
    box = page.locator("#search-filters .facet[data-facet=label] input[type=checkbox]").first
    expect(box).to_be_visible()
    first_hit(page).click()
    only, toast = page.locator("#detail").get_by_role("button", name="Only this label"), page.locator(".toast")
    expect(only).to_be_visible()
    page.evaluate("window.same = true")
    disconnect(page)
    only.click()
    expect(page.locator("#detail")).to_contain_text("The server does not answer; try it again.")
    expect(only).to_be_visible()
    page.keyboard.press("Escape")
    box.click()
    expect(toast).to_have_text("The server does not answer; try it again.")
    expect(box).not_to_be_checked()
    expect(page.locator("#search-filters .chips li")).to_have_count(0)
    reconnect(page)
    box.check()
    expect(page.locator("#search-filters .chips li").first).to_be_visible()
    expect(page.get_by_text("Connection")).to_have_count(0)
    assert page.evaluate("window.same")


def test_a_page_goes_on_when_its_server_is_started_anew_and_keeps_words_that_are_typed(page, demo, tmp_path):
    indexes, port = shutil.copytree(demo, tmp_path / "indexes"), str(free_port())
    words = page.locator("#search-words :is(textarea, input)")
    with serve(indexes, "--port", port) as running:
        searched(page, running.url)
        page.evaluate("window.same = true")
        kill(running)  # at once, while its stream of answers is kept open
    with serve(indexes, "--port", port) as running:
        page.wait_for_function("!window.same")
        expect(first_hit(page)).to_be_visible()
        settle(page)
        page.evaluate("window.same = true")
        words.fill("striped shirt")
        kill(running)
    with serve(indexes, "--port", port):
        words.press("Enter")
        page.wait_for_function("!window.same")
        expect(words).to_have_value("striped shirt")
        expect(page.locator("#search-status")).to_contain_text("striped shirt")


@pytest.mark.slow
def test_whoever_comes_back_after_a_while_is_answered_however_many_pages_are_open(server, page, profiles):
    pages = [page, profiles.open(server.url), profiles.open(server.url)]
    for each in pages[1:]:
        watch_calls(each)
    for each in pages:
        searched(each, server.url)
    page.wait_for_timeout(25_000)  # their streams of answers have waited, and ended
    for each in pages:
        each.evaluate("window.same = true")
        each.get_by_role("button", name="Clear", exact=True).click()
        expect(each.locator("#hits .grid[data-kind=samples] .card").first).to_be_visible()
        assert each.evaluate("window.same")
