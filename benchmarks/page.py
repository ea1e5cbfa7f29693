"""What the page weighs, how soon it answers, how little it jumps, how smoothly it scrolls.

    python -m benchmarks.page [--rounds N] [--items 1000000]

In a real Chromium, with a server of its own and the demo gallery. Bytes are those on the wire, pictures apart from all
else. What scrolls at the end is a gallery of ``--items``; with 0 it is left out.
"""

from __future__ import annotations

import argparse
import io
import statistics
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, CDPSession, expect, sync_playwright

from benchmarks import scrolling
from tests.support.browsing import ARGUMENTS, PHONE, chromium_path, drop, first_hit
from tests.support.serving import serve
from unifex.data.demo import render

SETTLE_MS = 1500
MOST_WAIT = 300  # milliseconds until hits follow a region
FOLLOWED_JS = """
  let began = 0;
  document.addEventListener('pointerup', () => { began = performance.now(); }, true);
  document.addEventListener('DOMContentLoaded', () => new MutationObserver((changes) => {
    const drawn = changes.some((change) => change.target.matches?.('#hits .grid') && change.addedNodes.length);
    if (drawn && window.waited === null) window.waited = performance.now() - began;
  }).observe(document.body, { childList: true, subtree: true }));
"""
MOST_SHIFT = 0.1  # what web.dev calls good; all of a page's shifts, not only those of its worst five seconds
SHIFTS_JS = """window.shifted = 0;
new PerformanceObserver((list) => list.getEntries().forEach((shift) => {
  if (!shift.hadRecentInput) window.shifted += shift.value;
})).observe({ type: 'layout-shift', buffered: true });"""


class Wire:
    """Counts the bytes that a page is sent, since the last :meth:`take`: answers that have come whole, and streams."""

    def __init__(self, session: CDPSession):
        self._kinds: dict[str, str] = {}
        self._bytes: Counter[bool] = Counter()  # of pictures, of all else
        session.send("Network.enable")
        session.on("Network.responseReceived", self._begin)
        session.on("Network.dataReceived", self._stream)
        session.on("Network.loadingFinished", self._end)

    def _begin(self, event: dict) -> None:
        stream = event["response"]["mimeType"] == "text/event-stream"
        self._kinds[event["requestId"]] = "Stream" if stream else event["type"]

    def _stream(self, event: dict) -> None:
        if self._kinds.get(event["requestId"]) == "Stream":  # which may not end; its parts are compressed one by one
            self._bytes[False] += event["encodedDataLength"]

    def _end(self, event: dict) -> None:
        kind = self._kinds.get(event["requestId"])
        if kind != "Stream":
            self._bytes[kind == "Image"] += event["encodedDataLength"]

    def take(self, what: str, bar: int) -> None:
        """Print a row: bytes of all but pictures beside what they may be, bytes of pictures. Counting begins anew."""
        kilobytes, pictures = self._bytes[False] / 1000, self._bytes[True] / 1000
        verdict = "met" if kilobytes <= bar else "MISSED"
        print(f"{what:28} {kilobytes:7.1f} kB  <= {bar:3} kB  {verdict:6}  and {pictures:6.1f} kB of pictures")
        self._bytes.clear()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--items", type=int, default=scrolling.ITEMS)
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as scratch,
        serve(Path(scratch) / "indexes") as server,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=ARGUMENTS)
        page = browser.new_page()
        page.goto(server.url)
        page.wait_for_selector("#header .ready", timeout=120_000)  # the demo is drawn once
        page.close()
        measure(browser, server.url, arguments.rounds)
        browser.close()
    if arguments.items:
        scrolling.measure(arguments.items)


def measure(browser: Browser, url: str, rounds: int) -> None:
    """All rows, for the server at ``url``."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    wire = Wire(page.context.new_cdp_session(page))
    page.goto(url)
    page.wait_for_selector("#hits .card")
    page.wait_for_timeout(SETTLE_MS)
    wire.take("first load", 400)
    waits = []
    for _ in range(rounds):
        page.locator("#hits .grid[data-kind=samples] .card").first.click()
        began = time.perf_counter()
        expect(first_hit(page)).to_be_visible()
        waits.append(1000 * (time.perf_counter() - began))
        page.wait_for_timeout(SETTLE_MS)
        if len(waits) == 1:
            wire.take("an answer of 20 hits", 15)
            first_hit(page).click()
            page.wait_for_selector("#detail[open]")
            page.wait_for_timeout(SETTLE_MS)
            wire.take("opening a hit", 15)
            page.keyboard.press("Escape")
        page.locator("#clear-button").click()
        expect(page.locator("#hits .grid[data-kind=samples]")).to_be_visible()
    for name, options in (("a desk", {"viewport": {"width": 1280, "height": 900}}), ("a phone", PHONE)):
        shift = shifted(browser, url, options)
        verdict = "met" if shift <= MOST_SHIFT else "MISSED"
        print(f"layout shift on {name:13} {shift:7.3f}     <= {MOST_SHIFT}     {verdict}")
    print(f"from a press on a sample to hits: {statistics.median(waits):.0f} ms, median of {rounds}")
    for name, picture in {"an image of the demo": render("toys", 1, 2), "a photo of 12 megapixels": photo()}.items():
        wait = moved_region(browser, url, picture, rounds)
        verdict = "met" if wait <= MOST_WAIT else "MISSED"
        print(f"from a moved region to hits: {wait:4.0f} ms <= {MOST_WAIT} ms {verdict}, of {name}, median of {rounds}")


def photo() -> bytes:
    """A JPEG as a phone makes them: 4000 x 3000 pixels, of a picture of the demo, with noise."""
    drawn = Image.open(io.BytesIO(render("toys", 1, 2))).convert("RGB").resize((4000, 3000))
    noise = np.random.default_rng(0).normal(0, 6, (3000, 4000, 1))
    out = io.BytesIO()
    Image.fromarray((np.asarray(drawn) + noise).clip(0, 255).astype(np.uint8)).save(out, "JPEG", quality=90)
    return out.getvalue()


def moved_region(browser: Browser, url: str, picture: bytes, rounds: int) -> float:
    """Milliseconds from letting a region of an uploaded picture go to the first new card; the median."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.add_init_script(FOLLOWED_JS)
    page.goto(url)
    page.wait_for_selector("#hits .card")
    page.wait_for_timeout(SETTLE_MS)
    drop(page, "#query-image button", {"query.jpg": picture}, "image/jpeg")
    page.locator("#query [data-do=add]").click()
    page.wait_for_timeout(2 * SETTLE_MS)
    waits = []
    for turn in range(rounds):
        box = page.locator("#query-image .boxes .box").bounding_box()
        assert box is not None
        middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        page.mouse.move(*middle)
        page.mouse.down()
        page.mouse.move(middle[0] + (12 if turn % 2 else -12), middle[1], steps=3)
        page.evaluate("window.waited = null")
        page.mouse.up()
        waits.append(page.wait_for_function("window.waited").json_value())
        page.wait_for_timeout(SETTLE_MS / 3)
    page.close()
    return statistics.median(waits)


def shifted(browser: Browser, url: str, options: dict) -> float:
    """How much of the page jumps until it is at rest: the sum of its layout shifts."""
    context = browser.new_context(**options)
    page = context.new_page()
    page.add_init_script(SHIFTS_JS)
    page.goto(url)
    page.wait_for_selector("#hits .card")
    page.wait_for_timeout(SETTLE_MS)
    shift = page.evaluate("window.shifted")
    context.close()
    return shift


if __name__ == "__main__":
    main()
