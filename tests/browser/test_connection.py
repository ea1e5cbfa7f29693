"""A connection that is gone for a while, as a phone's is in a lift."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from tests.support.browsing import first_hit
from tests.support.serving import Server, serve
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
    yield page
    page.context.set_offline(False)
    profiles.give_back()


def searched(page: Page, url: str) -> None:
    page.goto(f"{url}#gallery={quote(DEMO_GALLERY)}&items=1")
    page.wait_for_selector("#header .ready")
    expect(first_hit(page)).to_be_visible()


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


def test_what_may_be_pressed_comes_while_nobody_does_anything(server, page):
    searched(page, server.url)
    for name in NEEDED_LATER:
        page.wait_for_function(
            "name => performance.getEntriesByType('resource').some((one) => one.name.endsWith(`/${name}.js`))", arg=name
        )
    page.context.set_offline(True)
    first_hit(page).click()
    expect(page.locator("#detail")).to_be_visible()


def test_nothing_comes_before_where_data_is_saved(server, page):
    page.add_init_script("Object.defineProperty(navigator, 'connection', { value: { saveData: true } })")
    searched(page, server.url)
    page.wait_for_timeout(4000)
    assert not page.evaluate("performance.getEntriesByType('resource').some((one) => one.name.endsWith('/acting.js'))")
