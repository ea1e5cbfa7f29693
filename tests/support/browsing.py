"""What a person does in a browser: drop files, open a tab, choose, index."""

from __future__ import annotations

import base64
import os
import shutil
from pathlib import Path
from weakref import WeakKeyDictionary

from playwright.sync_api import Page, Request, expect

ARGUMENTS = (
    "--no-sandbox --disable-gpu --disable-quic --disable-background-networking --disable-component-update "
    "--disable-sync --no-first-run"
).split()

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")  # the first takes half the time

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


def chromium_path() -> str | None:
    """The machine's own Chromium; None where Playwright's is to be used."""
    return os.environ.get("UNIFEX_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


DROP_JS = """([selector, files]) => {
  const transfer = new DataTransfer();
  for (const [name, type, data] of files)
    transfer.items.add(new File([Uint8Array.from(atob(data), (c) => c.charCodeAt(0))], name, { type }));
  const target = document.querySelector(selector);
  for (const kind of ['dragenter', 'dragover', 'drop'])
    target.dispatchEvent(new DragEvent(kind, { dataTransfer: transfer, bubbles: true, cancelable: true }));
}"""


def drop(page: Page, selector: str, files: dict[str, bytes], kind: str = "image/png") -> None:
    """Drop files on an element as a file manager does."""
    encoded_files = [[name, kind, base64.b64encode(data).decode()] for name, data in files.items()]
    page.evaluate(DROP_JS, [selector, encoded_files])


def first_hit(page: Page):
    return page.locator("#hits .grid[data-kind=hits] .card").first


_unanswered: WeakKeyDictionary[Page, set[Request]] = WeakKeyDictionary()
_LOOKS, _LOOKS_AT_A_JOB = 4, 40


def watch_calls(page: Page) -> None:
    """From now on, :func:`settle` knows what the page has asked the server."""
    calls = _unanswered.setdefault(page, set())
    page.on("request", lambda asked: calls.add(asked) if "/queue/" in asked.url else None)
    for over in ("requestfinished", "requestfailed"):
        page.on(over, lambda asked: calls.discard(asked))


def unanswered() -> list[str]:
    """What the pages that are open have asked and have no answer to."""
    return [asked.url for page, calls in _unanswered.items() if not page.is_closed() for asked in calls]


def settle(page: Page) -> None:
    """Wait until the page has every answer, and what it asked upon them: only then do fields keep what is typed.

    A call that goes on as long as what it tells of is not waited for: then nothing else may have come for a while.
    """
    calls, before, alike = _unanswered[page], frozenset(), 0
    while alike < (_LOOKS_AT_A_JOB if calls else _LOOKS):  # the next question comes within a turn of the page, or two
        page.evaluate("() => new Promise((done) => setTimeout(() => requestAnimationFrame(done), 30))")
        alike = alike + 1 if before == calls else 0
        before = frozenset(calls)


STILL_JS = """() => new Promise((done) => {
  let last = NaN, same = 0;
  const look = () => {
    same = scrollY === last ? same + 1 : 0;
    last = scrollY;
    if (same > 15) done(); else requestAnimationFrame(look);
  };
  look();
})"""


def stand_still(page: Page) -> None:
    """Wait until the page has what it asked for, and scrolls no more."""
    settle(page)
    page.evaluate(STILL_JS)


def reload(page: Page) -> None:
    """Reload a page that is at rest: Gradio reports a call that a reload cuts off as an error on the console."""
    page.wait_for_selector("#hits .card", state="attached")
    settle(page)
    page.reload()


def go_to(page: Page, tab: str) -> None:
    page.get_by_role("tab", name=tab).click()


def start_indexing(page: Page, source: Path, name: str) -> None:
    """In the Gallery tab."""
    go_to(page, "Gallery")
    page.locator("#source-path textarea, #source-path input").fill(str(source))
    page.locator("#gallery-name textarea, #gallery-name input").fill(name)
    page.locator("#start-button").click()


def wait_for_share(page: Page, percent: int, place: str = "#index-progress") -> None:
    """Until a job has come so far."""
    bar = f"document.querySelector('{place} .progress')?.getAttribute('aria-valuenow')"
    page.wait_for_function(f"+{bar} >= {percent}")


def choose(page: Page, box: str, option: str) -> None:
    page.locator(f"{box} input").click()
    page.get_by_role("option", name=option, exact=True).click()


def upload(page: Page, name: str, files: dict[str, bytes]) -> None:
    go_to(page, "Gallery")
    page.locator("#gallery-name input, #gallery-name textarea").fill(name)
    drop(page, "#drop .drop", files)
    expect(page.locator("#index-outcome")).to_contain_text("About", timeout=30_000)
    page.locator("#start-button").click()
    expect(page.locator("#index-outcome")).to_contain_text("added to", timeout=30_000)
