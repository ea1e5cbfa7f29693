"""A real Chromium. Without one the tests are skipped, but on CI (``CI=true``), where they fail."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Route, expect, sync_playwright
from playwright.sync_api import Error as PlaywrightError

from tests.support.browsing import ARGUMENTS, chromium_path, settle, watch_calls
from tests.support.serving import what_servers_do


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    """Of a test that failed it is told what its pages wait for, and what the servers did meanwhile."""
    report = yield
    if report.when != "teardown" and report.failed:
        report.sections.append(("pages", "\n\n".join(watched.tell() for watched in _watched)))
        report.sections.append(("servers", what_servers_do()))
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """On CI a browser's test has a second try (`.ci/run` says how many may need one): a page, its server and the test
    go on side by side, and what a busy machine does to their order is seldom what the change is about."""
    if os.environ.get("CI"):
        for item in items:
            if item.get_closest_marker("browser"):
                item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Closed when a process goes on to other tests: beside Playwright's event loop none of theirs would run."""
    with sync_playwright() as playwright:
        try:
            started = playwright.chromium.launch(executable_path=chromium_path(), args=ARGUMENTS)
        except Exception as error:
            if os.environ.get("CI"):
                raise
            pytest.skip(f"no Chromium (install it, or `playwright install chromium`): {error}")
        yield started
        started.close()


# What Gradio says of its streams as a page goes: the first that is cut off takes away what the second waits for.
CUT_OFF = ("AbortError", "Unexpected error Connection errored out", "Unexpected error 404: Not Found")
expect.set_options(timeout=30_000)  # a busy machine is not a wrong page


TELL_JS = """() => JSON.stringify({
  url: location.href, calls: [...window.calls], asked: window.asked.slice(-60).map((each) => {
    const [when, handler] = each.split(' ');
    return `${when} ${window.gradio_config?.dependencies.find(({ id }) => id === +handler)?.api_name}`;
  }), header: document.querySelector('#header')?.innerText,
  scripts: performance.getEntriesByType('resource').filter(({ name }) => name.includes('/code/'))
    .map(({ name, responseStatus }) => `${name.split('/').at(-1)} ${responseStatus}`),
})"""
_watched: list[Watched] = []  # of the test that runs


class Watched:
    """Everything on a page that must not happen: console errors, and requests that leave the machine."""

    def __init__(self, page: Page, url: str, pictures_go: bool, elsewhere: str):
        self._page = page
        self._noted: list[str] = []
        self._documents = 0
        own = (url, "data:", "blob:", url.replace("http", "ws", 1), elsewhere or url)
        page.on("framenavigated", lambda frame: self._count(frame == page.main_frame))
        gone = tuple(f"{url}{kind}/" for kind in ("thumb", "picture", "alike", "items", "ids")) if pictures_go else ()
        gone += (elsewhere,) if elsewhere else ()
        page.on("console", lambda told: self._note(_told(told), _about(told, gone), told.type))
        page.on("pageerror", lambda error: self._noted.append(error.stack or str(error)))
        page.on("request", lambda asked: None if asked.url.startswith(own) else self._noted.append(asked.url))

    def _note(self, text: str, may_be: bool, kind: str) -> None:
        if kind == "error" and not may_be:
            self._noted.append(text)

    def _count(self, document: bool) -> None:
        self._documents += document

    @property
    def wrong(self) -> list[str]:
        """What was noted. A page that was loaded anew has cut its own stream off."""
        return [text for text in self._noted if self._documents < 2 or not text.startswith(CUT_OFF)]

    def tell(self) -> str:
        """Where the page is, which answers it waits for and what its header says; what was noted."""
        try:
            return "\n".join([self._page.evaluate(TELL_JS), *self._noted])
        except PlaywrightError as error:
            return "\n".join([str(error), *self._noted])


def _told(told: ConsoleMessage) -> str:
    return f"{told.text} ({told.location['url']})"


def _about(told: ConsoleMessage, places: tuple[str, ...]) -> bool:
    """What a page is told of one of these."""
    return told.location["url"].startswith(places) or any(place in told.text for place in places)


class Profiles:
    """Contexts that are used again: the page's scripts, which a browser keeps, are loaded and compiled once. Cookies,
    permissions and storage are as in a new one."""

    def __init__(self, browser: Browser):
        self._browser = browser
        self._free: dict[str, list[BrowserContext]] = defaultdict(list)
        self._kept: list[Page] = []  # an empty page of each: its process, and what that has compiled, stay
        self._taken: list[tuple[str, BrowserContext]] = []

    def open(self, url: str, **options) -> Page:
        """A page in a context that no other page of this test is in."""
        kind = repr(sorted(options.items()))
        context = self._free[kind].pop() if self._free[kind] else self._made(options)
        self._taken.append((kind, context))
        page = context.new_page()
        kept = {"origin": url.rstrip("/"), "storageTypes": "cookies,local_storage,indexeddb"}
        context.new_cdp_session(page).send("Storage.clearDataForOrigin", kept)
        return page

    def _made(self, options: dict) -> BrowserContext:
        context = self._browser.new_context(**options)
        context.set_default_timeout(60_000)
        self._kept.append(context.new_page())
        return context

    def give_back(self) -> None:
        """All that were taken; those that a test closed are gone."""
        for kind, context in self._taken:
            if context in self._browser.contexts:
                for page in set(context.pages).difference(self._kept):
                    page.close()
                context.clear_permissions()
                self._free[kind].append(context)
        self._taken.clear()


@pytest.fixture(scope="package")
def profiles(browser: Browser) -> Profiles:
    return Profiles(browser)


@pytest.fixture
def open_page(profiles: Profiles):
    """Opens the app as somebody who was never there, and waits until it rests; afterwards nothing wrong may have
    happened on any of the pages.

    ``pictures_go``: the gallery that is shown goes while its pictures are asked for; ``link``: an address below the
    server's ``url``; ``elsewhere``: the address of another site that the test itself makes the page ask.
    ``held``: what is asked of these addresses waits in this list; scripts that come by themselves when a page is quiet
    are held from its beginning, or not at all.
    """

    def open_it(
        url: str,
        pictures_go: bool = False,
        link: str = "",
        elsewhere: str = "",
        held: tuple[str, list[Route]] | None = None,
        **options,
    ) -> Page:
        page = profiles.open(url, **{"viewport": {"width": 1280, "height": 900}, **options})
        _watched.append(Watched(page, url, pictures_go, elsewhere))
        watch_calls(page)
        if held:
            address, waiting = held
            page.route(address, lambda route: waiting.append(route))
        page.goto(link or url)
        page.wait_for_selector("#header .ready", timeout=90_000)
        settle(page)
        return page

    yield open_it
    profiles.give_back()
    wrong = [told for page in _watched for told in page.wrong]
    _watched.clear()
    assert not wrong
