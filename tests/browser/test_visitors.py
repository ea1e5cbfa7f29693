"""Two strangers on a public server at the same time, each with a browser of their own."""

from __future__ import annotations

import base64
import re

import pytest
from playwright.sync_api import Page, expect

from tests.support.browsing import PHONE, choose, drop, first_hit, go_to, reload, settle, upload
from tests.support.drawing import LABELS, encoded, picture, write_folder
from tests.support.galleries import run_index
from tests.support.serving import Server, serve
from tests.support.visiting import Visitor
from unifex.gallery.gallery import Gallery
from unifex.ui.server.workspaces import VISITORS

pytestmark = pytest.mark.browser

# What a page must show as text: run, it would leave a mark on the window.
SCRIPT = "<img src=x onerror='window.hurt=1'>"
NAMES = (
    f"{SCRIPT.replace('/', '')}.png",
    "'\"><svg onload=window.hurt=1>.png",
    "line\nbreak.png",
    "\u202egnp.live.png",
    f"{'long' * 60}.png",
    "=cmd|' /C calc'!A0.png",
    "{{7*7}}${7*7}.png",
)


@pytest.fixture(scope="module")
def server(tmp_path_factory, embedder) -> Server:
    base = tmp_path_factory.mktemp("strangers")
    gallery = Gallery.create(base / "indexes" / "drawn", embedder)
    run_index(gallery, write_folder(base / "pictures"))
    with serve(base / "indexes", "--public") as running:
        yield running


def offers(page: Page, *galleries: str) -> None:
    """Until the gallery menu of the Search tab offers these."""
    go_to(page, "Search")
    settle(page)
    page.locator("#search-gallery input").click()
    expect(page.locator("#search-gallery [role=option]")).to_have_count(len(galleries))
    expect(page.locator("#search-gallery [role=option]")).to_contain_text(galleries)
    page.keyboard.press("Escape")


def test_each_has_a_workspace_that_the_other_never_sees_and_can_delete_it(server, open_page):
    anna, bert = open_page(server.url), open_page(server.url, **PHONE)
    go_to(anna, "Gallery")
    expect(anna.locator("#visit")).to_contain_text("yours alone")
    for hidden in ("#source-path", "#picked-model", "#public-sets"):
        expect(anna.locator(hidden)).to_be_hidden()
    upload(anna, "annas", {f"{view}.png": encoded(picture("signs/cross", view)) for view in range(3)})
    upload(bert, "berts", {f"{view}.png": encoded(picture("shapes/disc", view)) for view in range(2)})
    expect(anna.locator("#visit")).to_contain_text(re.compile(r"3 images of 5,000.*Deleted in 5 h 5\d min", re.S))
    assert bert.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    reload(anna)
    anna.wait_for_selector("#header .ready")
    offers(anna, "annas", "drawn")
    offers(bert, "berts", "drawn")
    drop(anna, "#query-image button", {"q.png": encoded(picture("signs/cross", 50))})
    expect(first_hit(anna)).to_be_visible()
    expect(anna.locator("#query-image img")).to_be_visible()
    anna.wait_for_function("document.querySelector('#query-image img').naturalWidth > 0")

    go_to(anna, "Gallery")
    anna.locator("#delete-my-data-ask").click()
    expect(anna.locator("#visit")).to_contain_text("Delete 3 images for good")
    with anna.expect_navigation():
        anna.locator("#delete-my-data").click()
    anna.wait_for_selector("#header .ready")
    offers(anna, "drawn")
    offers(bert, "berts", "drawn")


@pytest.mark.slow
def test_a_visitor_trains_and_takes_the_model_home(server, open_page):
    page = open_page(server.url)
    files = {
        f"figures/{label.replace('/', '-')}/{view}.png": encoded(picture(label, view))
        for label in LABELS
        for view in range(6)
    }
    upload(page, "figures", files)
    go_to(page, "Train")
    choose(page, "#train-gallery", "figures")
    expect(page.locator("#train-name input, #train-name textarea")).to_have_value("figures-neck")
    page.locator("#train-button").click()
    expect(page.locator("#before-after-table")).to_be_visible(timeout=120_000)
    with page.expect_download() as download:
        page.locator("#train-download").click()
    assert download.value.suggested_filename == "figures-neck.zip"
    assert download.value.path().read_bytes()[:2] == b"PK"
    assert Visitor(server.url).http.get(download.value.url).status_code == 403
    assert not list((server.indexes / VISITORS).glob("*/.uploads/*/*.zip"))
    page.locator("#train-use").click()
    expect(page.locator("#train-notice")).to_contain_text("Searching with 'figures-neck' now")


def test_names_are_shown_and_never_run(server, open_page):
    page = open_page(server.url)
    files = {name: encoded(picture("signs/cross", view)) for view, name in enumerate(NAMES)}
    files["<b onclick=window.hurt=1>.png"] = b"not an image"
    upload(page, "names", {f"drop/{name}": data for name, data in files.items()})
    expect(page.locator("#index-outcome .refused")).to_contain_text("<b onclick")
    go_to(page, "Search")
    expect(page.locator("#hits .card")).to_have_count(len(NAMES))
    settle(page)
    page.locator("#hits .card").first.click()
    expect(first_hit(page)).to_be_visible()
    settle(page)
    first_hit(page).click()
    expect(page.locator("#detail-card dl")).to_contain_text("Path")
    page.locator("#correct").get_by_text("Correct it").click()
    settle(page)  # fields that have just appeared take their first value once more
    page.locator("#correct-label input, #correct-label textarea").fill(SCRIPT)
    page.locator("#save-label").click()
    expect(page.locator("#detail-card dl")).to_contain_text(SCRIPT)
    page.locator("#close-detail").click()
    go_to(page, "Map")
    page.get_by_role("button", name="Make the map").click()
    expect(page.locator(".map[data-drawn]")).to_be_visible(timeout=60_000)
    go_to(page, "Gallery")
    settle(page)
    assert page.evaluate("window.hurt") is None
    hits = page.locator("#search-status a.download").get_attribute("href")
    lines = base64.b64decode(hits.partition(",")[2]).decode("utf-8-sig").splitlines()
    assert not [line for line in lines if re.search(r"(^|,)\"?[=+@-]", line)]
