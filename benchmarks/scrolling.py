"""Whether a large gallery scrolls smoothly in the page, in a real Chromium.

    python -m benchmarks.scrolling [--items 1000000] [--seconds 10]

The Gallery tab scrolls from the first item to the last in so many seconds, by the same step each frame; told are the
frames' durations and how many cards were in the page at most. Features and pictures are drawn: 1,000 images, each of
which many items show. Without a graphics card Chromium paints by the processor, beside the server.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from playwright.sync_api import Page, sync_playwright

from benchmarks.table import Row, tell
from tests.support.browsing import ARGUMENTS, chromium_path
from tests.support.drawing import LABELS, picture
from tests.support.serving import serve
from unifex.core.thumbnails import thumbnail
from unifex.data.item import Item, Labels
from unifex.gallery.gallery import Gallery
from unifex.gallery.records import Embedded
from unifex.models.embedder import Embedder

ITEMS, SECONDS = 1_000_000, 10
BATCH, IMAGES = 8192, 1000
KINDS = tuple(LABELS)
FRAME_MS = 1000 / 60
SCROLL_JS = """async (seconds) => {
  const frame = document.querySelector('#pictures .frame'), steps = 60 * seconds, spent = [];
  const next = () => new Promise((done) => requestAnimationFrame(done));
  let before = await next(), most = 0;
  for (let step = 1; step <= steps; step += 1) {
    frame.scrollTop = (frame.scrollHeight - frame.clientHeight) * (step / steps);
    const now = await next();
    spent.push(now - before);
    before = now;
    most = Math.max(most, document.querySelectorAll('#pictures .card').length);
  }
  return [spent, most];
}"""


def fill(gallery: Gallery, count: int) -> None:
    """Commit items that show the drawn images in turn."""
    rng = np.random.default_rng(0)
    features = rng.standard_normal((IMAGES, gallery.embedder.backbone.feature_dim)).astype(np.float32)
    pictures = [thumbnail(picture(KINDS[number % len(KINDS)], number)) for number in range(IMAGES)]
    with gallery.write() as writer:
        source = writer.begin_source("benchmark", keep=False)
        for start in range(0, count, BATCH):
            batch = []
            for row in range(start, min(count, start + BATCH)):
                image = row % IMAGES
                new = {"features": features[image], "thumbnail": pictures[image]} if row < IMAGES else {}
                item = Item(f"item:{row}", f"{row}.jpg", bytes, Labels(f"label {image}", f"domain {image % 8}"))
                batch.append(Embedded(item, 4 * f"{image:016x}", 96, 96, 3000, **new))
            writer.commit(source, batch)
        writer.finish_source(source)


def scroll(page: Page, seconds: int) -> tuple[np.ndarray, int]:
    """Milliseconds of every frame float [F], and how many cards there were at most."""
    spent, most = page.evaluate(SCROLL_JS, seconds)
    return np.array(spent), most


def measure(items: int, seconds: int = SECONDS) -> None:
    """Fill a gallery, scroll it and print."""
    with tempfile.TemporaryDirectory() as scratch:
        gallery = Gallery.create(Path(scratch) / "indexes" / "large", Embedder.load(), dim=64)
        fill(gallery, items)
        with serve(Path(scratch) / "indexes") as server, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium_path(), args=ARGUMENTS)
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.goto(server.url)
            page.wait_for_selector("#header .ready", timeout=300_000)
            page.get_by_role("tab", name="Gallery").click()
            page.wait_for_selector("#pictures .card[data-item] img", timeout=120_000)
            page.wait_for_timeout(2000)
            spent, cards = scroll(page, seconds)
            began = time.perf_counter()
            page.locator(f"#pictures .card[title='{items - 1}.jpg'] img").wait_for()
            arrived = time.perf_counter() - began
            browser.close()
    late = float(np.percentile(spent, 95))
    print(f"{items:,} items in {seconds} s: {len(spent)} frames, {cards} cards in the page at most")
    print(f"frame median {np.median(spent):.1f} ms, p95 {late:.1f} ms; the last item's picture after {arrived:.1f} s")
    median = float(np.median(spent))
    ours = f"{median:.1f} ms a frame"
    tell(Row(f"scrolling {items:,} items", ours, "60 frames a second", median / FRAME_MS, 1.1, at_most=True))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=ITEMS)
    parser.add_argument("--seconds", type=int, default=SECONDS)
    arguments = parser.parse_args()
    measure(arguments.items, arguments.seconds)


if __name__ == "__main__":
    main()
