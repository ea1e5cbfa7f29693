"""Seconds from ``python app.py`` to a page that can be used: first start ever, and every later one.

    python -m benchmarks.startup [--runs 3]

Usable means, in a real Chromium, that the samples of the first gallery can be clicked.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from tests.browser.conftest import ARGUMENTS, chromium_path
from tests.serving import serve


def seconds_to_usable(browser: Browser, indexes: Path) -> float:
    """Start the app, open the page, wait for the first card."""
    started = time.perf_counter()
    with serve(indexes) as server:
        page = browser.new_page()
        page.goto(server.url)
        page.wait_for_selector("#hits .card", timeout=120_000)
        seconds = time.perf_counter() - started
        page.close()
    return seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as scratch:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=ARGUMENTS)
        first, later = [], []
        for run in range(arguments.runs):
            os.environ["UNIFEX_CACHE"] = f"{scratch}/cache{run}"
            indexes = Path(scratch) / str(run) / "indexes"
            indexes.parent.mkdir()
            first.append(seconds_to_usable(browser, indexes))
            later.append(seconds_to_usable(browser, indexes))
    medians = f"first start {statistics.median(first):.1f} s, later {statistics.median(later):.1f} s"
    print(f"median of {arguments.runs}: {medians}")


if __name__ == "__main__":
    main()
