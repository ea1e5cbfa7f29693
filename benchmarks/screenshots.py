"""Pictures of every tab, desktop and phone, light and dark; four of them are the README's.

python -m benchmarks.screenshots [--out FOLDER]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from urllib.parse import quote

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from tests.support.browsing import ARGUMENTS, chromium_path
from tests.support.serving import ROOT, serve
from unifex.data.demo import render
from unifex.ui.context import DEMO_GALLERY

SIZES = {"desktop": (1280, 860), "phone": (390, 844)}
README_PICTURES = {
    "search_hits": "screenshot.webp",
    "evaluate": "evaluate.webp",
    "map_": "map.webp",
    "train": "train.webp",
}
TALL = {"map_": 1130, "train": 1420}  # pixels; the others are as high as a screen


def search_empty(page: Page) -> None:
    """The Search tab before a query."""
    page.wait_for_selector("#hits .card")


def search_hits(page: Page) -> None:
    """The Search tab with hits for an uploaded image."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "duck.jpg"
        path.write_bytes(render("toys", 1, 3))
        page.locator("#query-image input[type=file]").set_input_files(path)
        page.wait_for_selector("#hits .grid[data-kind=hits] .card")


def detail(page: Page) -> None:
    """A hit, large."""
    search_hits(page)
    page.locator("#hits .card").first.click()
    page.wait_for_selector("#detail-card img")


def gallery(page: Page) -> None:
    """The Gallery tab."""
    page.get_by_role("tab", name="Gallery").click()
    page.wait_for_selector("#gallery-facts h3")


def gallery_report(page: Page) -> None:
    """The Gallery tab after indexing a folder with a file that is no image."""
    gallery(page)
    page.locator("#source-path input, #source-path textarea").fill(str(ROOT / "assets"))
    page.locator("#gallery-name input, #gallery-name textarea").fill("assets")
    page.locator("#start-button").click()
    page.wait_for_selector("#index-outcome .note.good")
    page.locator("#index-outcome summary").click()


def evaluate(page: Page) -> None:
    """The Evaluate tab with its figures."""
    page.get_by_role("tab", name="Evaluate").click()
    page.wait_for_timeout(1000)
    page.locator("#evaluate-context input").check()
    page.locator("#evaluate-button").click()
    page.wait_for_selector("#domains-table")


def map_(page: Page) -> None:
    """The Map tab with a query as a star."""
    search_hits(page)
    page.get_by_role("tab", name="Map").click()
    page.wait_for_timeout(1000)
    page.locator("#map-button").click()
    page.wait_for_selector(".map[data-drawn]", timeout=120_000)


def train(page: Page) -> None:
    """The Train tab after a quick training."""
    page.get_by_role("tab", name="Train").click()
    page.wait_for_timeout(1500)
    page.locator("#train-preset input").click()
    page.get_by_role("option", name="Quick", exact=True).click()
    page.wait_for_timeout(500)
    page.locator("#train-button").click()
    page.wait_for_selector("#train-changed .failure", timeout=120_000)


SCENES = {
    scene.__name__: scene
    for scene in (search_hits, search_empty, detail, gallery, gallery_report, evaluate, map_, train)
}


def take(browser: Browser, url: str, out: Path) -> None:
    """All scenes in all sizes and both colour schemes."""
    for size, (width, height) in SIZES.items():
        for scheme in ("light", "dark"):
            for name, scene in SCENES.items():
                context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
                page = context.new_page()
                page.goto(f"{url}#gallery={quote(DEMO_GALLERY)}")  # one of the scenes makes another
                page.wait_for_selector("#header .ready", timeout=120_000)
                page.wait_for_selector("#jobs .ended", state="detached", timeout=30_000)  # that the demo was drawn
                scene(page)
                page.wait_for_timeout(700)
                page.screenshot(path=out / f"{name}-{size}-{scheme}.png", full_page=name != "detail")
                context.close()


def main() -> None:
    """Serve, take, and renew the README's picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("screenshots"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=ARGUMENTS)
        with serve(Path(scratch) / "indexes") as server:
            take(browser, server.url, arguments.out)
    for scene, name in README_PICTURES.items():
        picture = Image.open(arguments.out / f"{scene}-desktop-light.png").convert("RGB")
        picture.crop((0, 0, 1280, min(picture.height, TALL.get(scene, 940)))).save(
            ROOT / "assets" / name, quality=80, method=6
        )
    print(f"{len(SIZES) * 2 * len(SCENES)} pictures in {arguments.out}/, README pictures renewed")


if __name__ == "__main__":
    main()
