"""Seconds from ``python app.py`` to a page that can be used: first start ever, and every later one.

    python -m benchmarks.startup [--runs 3]

Usable means, in a real Chromium, that the samples of the first gallery can be clicked. The rival is a Gradio page with
one text field, to where that can be seen.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser, Error, sync_playwright

from benchmarks.table import Row, tell
from tests.support.browsing import ARGUMENTS, chromium_path
from tests.support.serving import serve


def seconds_to_usable(browser: Browser, indexes: Path) -> float:
    """Start the app, open the page, wait for the first card."""
    started = time.perf_counter()
    with serve(indexes, environment={}) as server:  # an interpreter of its own, as a user's
        page = browser.new_page()
        page.goto(server.url)
        page.wait_for_selector("#hits .card", timeout=120_000)
        seconds = time.perf_counter() - started
        page.close()
    return seconds


EMPTY = """
import gradio as gr
with gr.Blocks() as page:
    gr.Textbox(label="empty")
page.launch(server_name="127.0.0.1", server_port={port})
"""


def seconds_to_empty(browser: Browser) -> float:
    """The same for a page of one field."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = time.perf_counter()
    server = subprocess.Popen([sys.executable, "-c", EMPTY.format(port=port)], stdout=subprocess.DEVNULL)
    page = browser.new_page()
    try:
        while True:
            try:
                page.goto(f"http://127.0.0.1:{port}")
                break
            except Error:  # it does not listen yet
                time.sleep(0.05)
        page.wait_for_selector("textarea, input[type=text]", timeout=60_000)
        return time.perf_counter() - started
    finally:
        page.close()
        server.terminate()
        server.wait()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as scratch:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=ARGUMENTS)
        first, later, empty = [], [], []
        for run in range(arguments.runs):
            os.environ["UNIFEX_CACHE"] = f"{scratch}/cache{run}"
            indexes = Path(scratch) / str(run) / "indexes"
            indexes.parent.mkdir()
            first.append(seconds_to_usable(browser, indexes))
            later.append(seconds_to_usable(browser, indexes))
            empty.append(seconds_to_empty(browser))
    ever, ours, theirs = map(statistics.median, (first, later, empty))
    rival = f"empty Gradio page {theirs:.1f} s"
    tell(Row("start to a usable page", f"{ours:.1f} s", rival, ours / theirs, 1.8, at_most=True))
    tell(Row("the very first start", f"{ever:.1f} s", f"a later one {ours:.1f} s", ever / ours, 2, at_most=True))


if __name__ == "__main__":
    main()
