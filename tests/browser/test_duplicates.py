"""The Duplicates of a gallery: found, one of each kept, told to be different, undone; by mouse, keys and on a phone."""

from __future__ import annotations

import csv
import io
from base64 import b64decode

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.support.browsing import PHONE, choose, first_hit, go_to, press_for_job, settle
from tests.support.drawing import encoded, picture
from tests.support.galleries import run_index
from tests.support.serving import Server, serve
from unifex.gallery.gallery import Gallery

pytestmark = pytest.mark.browser
LABELS = ("signs/cross", "shapes/disc", "signs/stripes")


@pytest.fixture
def server(tmp_path, embedder) -> Server:
    """Three pictures, each with a smaller one beside it; the first also once more, byte by byte."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for label in LABELS:
        image, name = picture(label, 3), label.rpartition("/")[2]
        (folder / f"{name}.png").write_bytes(encoded(image))
        (folder / f"{name}-small.png").write_bytes(encoded(image.resize((120, 120))))
    (folder / "again.png").write_bytes((folder / "cross.png").read_bytes())
    run_index(Gallery.create(tmp_path / "indexes" / "copied", embedder), folder)
    with serve(tmp_path / "indexes") as running:
        yield running


def opened(page: Page, find: bool = True) -> Page:
    go_to(page, "Gallery")
    page.locator("#duplicates button").first.click()
    if find:
        press_for_job(page, "#find-duplicates")
    expect(page.locator("#duplicate-groups .group-head")).to_have_count(3)
    settle(page)
    return page


def test_one_of_each_is_kept_and_all_can_be_undone(server, open_page):
    page = opened(open_page(server.url, pictures_go=True))
    heads, told = page.locator("#duplicate-groups .group-head"), page.locator("#duplicates-notice")
    summary = page.locator("#duplicates-summary")
    expect(summary).to_contain_text("3 groups with 4 copies")
    rows = list(csv.DictReader(io.StringIO(b64decode(
        summary.locator("a").get_attribute("href").partition(",")[2]).decode("utf-8-sig"))))  # fmt: skip
    assert sorted(row["path"] for row in rows if row["keep"] == "yes")[-1] == "stripes.png"
    page.get_by_role("radio", name="Same bytes").check()
    expect(heads).to_have_count(1)
    expect(heads.locator("[data-act=distinct]")).to_have_count(0)
    page.get_by_role("radio", name="Same picture").check()
    expect(heads).to_have_count(3)
    small = page.locator("#duplicate-groups .card[title='disc-small.png']")
    small.hover()
    small.locator(".prefer").click()
    expect(small.locator(".badge")).to_have_text("kept")
    found = Axe().run(page).response["violations"]
    assert not [(one["id"], node["html"][:150]) for one in found for node in one["nodes"]]
    page.locator("#duplicates-all-ask").click()
    expect(page.locator("#duplicates")).to_contain_text(
        "Keep one of each of 3 groups and leave 4 copies out of 'copied'"
    )
    page.locator("#duplicates-all").click()
    expect(told).to_contain_text("4 copies left out of 'copied'")
    expect(summary).to_contain_text("No duplicates")
    left = Gallery.open(server.indexes / "copied")
    assert {record.path for record in left.records(left.snapshot().columns.ids)} == {
        "again.png", "disc-small.png", "stripes.png"}  # fmt: skip
    page.locator("#duplicates-undo").click()
    expect(told).to_contain_text("Taken back")
    expect(heads).to_have_count(3)
    dealt_with = page.locator("#duplicate-groups [data-act=keep]").first.get_attribute("data-item")
    for _ in range(2):  # a second press before the first is answered
        page.evaluate(f"unifex.copies(['keep', 'copied', {dealt_with}, 0])")
    expect(heads).to_have_count(2)
    settle(page)
    expect(told).to_contain_text("left out of 'copied'")
    page.evaluate("unifex.copies('all')")
    expect(told).to_contain_text("the page said what cannot be read")


def test_by_keyboard_and_on_a_phone(server, open_page):
    page = open_page(server.url, pictures_go=True)
    page.locator("#hits .grid[data-kind=samples] .card").first.click()
    expect(first_hit(page)).to_be_visible()
    page.get_by_text("Hits, copies, similarity").click()
    choose(page, "#search-fold", "Same picture folded")
    expect(page.locator("#hits .card")).to_have_count(3)  # one of each group
    opened(page, find=False)  # what was compared for that is what is listed
    for level in ("Same bytes (1)", "Same picture (3)", "Very alike (3)"):
        expect(page.get_by_role("radio", name=level)).to_be_visible()
    cards = page.locator("#duplicate-groups .card")
    small = page.locator("#duplicate-groups .card[title='stripes-small.png']")
    small.focus()
    page.keyboard.press("k")
    expect(small.locator(".badge")).to_have_text("kept")
    settle(page)
    cards.first.focus()
    page.keyboard.press("ArrowDown")
    assert page.locator(":focus").bounding_box()["y"] > cards.first.bounding_box()["y"]
    page.locator("#duplicate-groups [data-act=distinct]").last.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#duplicates-notice")).to_contain_text("are no copies of each other")
    expect(page.locator("#duplicate-groups .group-head")).to_have_count(2)
    expect(page.locator("#duplicate-groups .group-head button:focus")).to_have_count(1)  # the next in its place
    page.locator("#duplicates-undo").click()
    expect(page.locator("#duplicate-groups .group-head")).to_have_count(3)
    phone = opened(open_page(server.url, pictures_go=True, **PHONE), find=False)  # what was found is there
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    phone.locator("#duplicate-groups .card .prefer").first.tap()
    settle(phone)  # the groups are drawn anew
    phone.locator("#duplicate-groups [data-act=keep]").first.tap()
    expect(phone.locator("#duplicates-notice")).to_contain_text("left out of 'copied'")
    expect(phone.locator("#duplicate-groups .group-head")).to_have_count(2)
