"""A login that ends while its page is open."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.support.browsing import go_to, settle, watch_calls
from tests.support.serving import Server, serve

pytestmark = pytest.mark.browser
BAD = "getComputedStyle(document.querySelector('#header .dot')).backgroundColor"


@pytest.fixture(scope="module")
def server(tmp_path_factory, demo) -> Iterator[Server]:
    with serve(shutil.copytree(demo, tmp_path_factory.mktemp("login") / "indexes"), "--auth", "anna:secret") as running:
        yield running


@pytest.fixture
def page(profiles, server) -> Iterator[Page]:
    """Of somebody who has logged in. Nobody watches its console: the browser tells there of every 401."""
    page = profiles.open(server.url, viewport={"width": 1280, "height": 900})
    watch_calls(page)
    page.goto(server.url)
    log_in(page)
    yield page
    profiles.give_back()


def log_in(page: Page) -> None:
    secret = page.locator("input[type=password]")
    expect(secret).to_be_visible()  # the page before has fields, too
    page.locator("input").first.fill("anna")
    secret.fill("secret")
    secret.press("Enter")
    page.wait_for_selector("#header .ready")
    page.wait_for_selector("#hits .card", state="attached")
    settle(page)


def question(page: Page):
    return page.get_by_role("dialog", name="You are no longer logged in")


def test_who_is_no_longer_logged_in_is_told_so_and_logs_in_again(page):
    page.evaluate("location.hash = 'tab=gallery'")
    settle(page)
    fine = page.evaluate(BAD)
    page.context.clear_cookies()
    expect(question(page)).to_be_visible()  # though nothing was pressed
    page.wait_for_function(f"was => {BAD} !== was", arg=fine)
    question(page).get_by_role("button", name="Log in again").click()
    log_in(page)
    expect(page.get_by_role("tab", name="Gallery")).to_have_attribute("aria-selected", "true")
    expect(page.locator("#pictures .card img").first).to_be_visible()
    page.wait_for_function(f"was => {BAD} === was", arg=fine)


def test_every_press_says_so_again_and_nothing_else_does(page):
    go_to(page, "Search")
    page.evaluate("(real => { window.setTimeout = (then, wait) => real(then, wait / 10); })(setTimeout)")
    page.context.clear_cookies()
    expect(question(page)).to_be_visible()
    page.keyboard.press("Escape")  # to copy what was written
    words = page.locator("#search-words textarea, #search-words input")
    words.fill("a boat")
    page.wait_for_timeout(700)  # longer than the page waits before it asks the server again
    expect(question(page)).to_be_hidden()
    page.locator("#search-button").click()
    expect(question(page)).to_be_visible()
    question(page).get_by_role("button", name="Cancel").click()
    page.wait_for_timeout(1000)
    expect(question(page)).to_be_hidden()
    page.locator("#hits .card img").first.click()
    expect(question(page)).to_be_visible()
