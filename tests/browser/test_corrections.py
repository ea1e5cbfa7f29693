"""What was said of a gallery's items, on the page: it can be taken back without labels and before any evaluation, one
by one or all that was left out; what is pressed twice is done once."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

from tests.support.browsing import choose, go_to, place_of, press_for_job, reload, settle, start_indexing
from tests.support.drawing import encoded, picture, write_folder
from tests.support.galleries import run_index
from tests.support.serving import Server, serve
from unifex.gallery import corrections
from unifex.gallery.gallery import Gallery

pytestmark = pytest.mark.browser
TWICE_JS = "(button) => { button.click(); button.click(); }"


@pytest.fixture
def server(tmp_path, embedder) -> Server:
    """Of a gallery without labels in which every picture is there twice, and one with labels, one of them wrong."""
    (tmp_path / "flat").mkdir()
    for view in range(3):
        image = encoded(picture("shapes/disc", view))
        (tmp_path / "flat" / f"{view}.png").write_bytes(image)
        (tmp_path / "flat" / f"{view}-copy.png").write_bytes(image)
    run_index(Gallery.create(tmp_path / "indexes" / "flat", embedder), tmp_path / "flat")
    crosses = write_folder(tmp_path / "pictures", views=4) / "signs" / "cross"
    (crosses / "wrong.png").write_bytes(encoded(picture("shapes/disc", 9)))
    run_index(Gallery.create(tmp_path / "indexes" / "drawn", embedder), tmp_path / "pictures")
    with serve(tmp_path / "indexes") as running:
        yield running


def open_corrections(page: Page) -> None:
    page.locator("#corrections-said").get_by_text("Corrections", exact=True).click()
    expect(page.locator("#corrections")).to_be_visible()
    settle(page)


def test_what_is_left_out_of_a_gallery_without_labels_is_taken_back(server, open_page):
    page = open_page(server.url, pictures_go=True)
    choose(page, "#search-gallery", "flat")
    go_to(page, "Gallery")
    page.locator("#duplicates button").first.click()
    press_for_job(page, "#find-duplicates")
    page.locator("#duplicates-all-ask").click()
    page.locator("#duplicates-all").click()
    expect(page.locator("#duplicates-notice")).to_contain_text("the Evaluate tab under Corrections")
    reload(page)
    go_to(page, "Evaluate")
    settle(page)
    choose(page, "#evaluate-gallery", "drawn")
    expect(page.locator("#corrections-said")).to_be_hidden()
    choose(page, "#evaluate-gallery", "flat")
    open_corrections(page)
    rows, told = page.locator("#corrections li"), page.locator("#correction-notice")
    expect(rows).to_have_count(3)
    found = Axe().run(page).response["violations"]
    assert not [(one["id"], node["html"][:150]) for one in found for node in one["nodes"]]
    rows.last.get_by_role("button", name="Undo").evaluate(TWICE_JS)
    expect(rows).to_have_count(2)
    expect(told).to_contain_text("That was taken back already")
    page.locator("#undo-left-out-ask").click()
    expect(page.locator("#corrections-said")).to_contain_text("Take 2 items back into 'flat'?")
    page.locator("#undo-left-out").click()
    expect(told).to_contain_text("2 items are left out of 'flat' no more")
    expect(page.locator("#corrections-said")).to_be_hidden()
    assert len(Gallery.open(server.indexes / "flat")) == 6


def test_what_is_left_out_twice_is_left_out_and_its_row_is_done(server, open_page):
    page = open_page(server.url)
    choose(page, "#search-gallery", "drawn")
    go_to(page, "Evaluate")
    press_for_job(page, "#evaluate-button")
    page.get_by_role("tab", name="Near-copies").wait_for()
    gallery = Gallery.open(server.indexes / "drawn")
    item = int(gallery.snapshot().columns.ids[0])
    path, told = gallery.record(item).path, page.locator("#correction-notice")
    for _ in range(2):
        page.evaluate(f"unifex.mend(['drop', 'drawn', {item}, 0])")
        settle(page)
        expect(told).to_contain_text(f"{path} is left out")
    page.evaluate(f"unifex.mend(['relabel', 'drawn', {item}, {item + 1}])")
    expect(told).to_contain_text(f"leaves out '{path}', as a correction says")
    expect(told).not_to_contain_text("--undo")
    head = page.locator("#failed-queries .group-head").first
    head.locator("[data-act=drop]").evaluate(TWICE_JS)
    expect(head.locator("[data-act=drop]")).to_be_disabled()
    expect(told).to_contain_text("is left out")
    open_corrections(page)
    page.locator("#corrections [data-act=undo]").first.click()
    page.locator("#corrections [data-act=undo]").last.click()
    expect(head.locator("[data-act=drop]")).to_be_enabled()


def press_twice(page: Page, button: Locator, meanwhile: str) -> None:
    """As a double click whose second press comes once the page has changed, as ``meanwhile`` waits for."""
    place = place_of(button)
    page.mouse.move(place["x"] + place["width"] / 2, place["y"] + place["height"] / 2)
    page.evaluate("() => { const now = performance.now(); performance.now = () => now; }")  # no machine is too slow
    for count in (1, 2):
        page.mouse.down(click_count=count)
        page.mouse.up(click_count=count)
        page.wait_for_function(meanwhile)
    page.evaluate("() => { delete performance.now; }")
    settle(page)


def test_a_double_click_is_not_one_for_what_comes_in_that_place(server, open_page):
    gallery = Gallery.open(server.indexes / "flat")
    with gallery.write() as writer:
        writer.correct([corrections.relabel(gallery.item_at(f"{view}.png"), f"label {view}") for view in range(3)])
    page = open_page(server.url)
    choose(page, "#search-gallery", "flat")
    go_to(page, "Evaluate")
    open_corrections(page)
    rows, told = page.locator("#corrections li"), page.locator("#correction-notice")
    for left in (2, 1):  # the first notice moves the list, the second stands in its place
        press_twice(
            page, rows.first.get_by_role("button"), f"document.querySelectorAll('#corrections li').length <= {left}"
        )
        expect(rows).to_have_count(left)
        expect(page.locator("#corrections")).to_be_visible()
        expect(told).to_contain_text("Taken back")
    go_to(page, "Gallery")
    settle(page)
    page.locator("#duplicates button").first.click()
    press_for_job(page, "#find-duplicates")
    heads = page.locator("#duplicate-groups .group-head")
    heads.first.locator("[data-act=keep]").click()  # what came of it stands there from now on
    expect(heads).to_have_count(2)
    keep = heads.first.locator("[data-act=keep]")
    press_twice(page, keep, "document.querySelectorAll('#duplicate-groups .group-head').length < 2")
    expect(heads).to_have_count(1)


def test_a_report_counts_what_corrections_leave_out(server, open_page, tmp_path):
    gallery = Gallery.open(server.indexes / "flat")
    with gallery.write() as writer:
        writer.correct([corrections.drop(gallery.item_at(f"{view}-copy.png")) for view in range(3)])
    page = open_page(server.url)
    start_indexing(page, tmp_path / "flat", "flat")
    expect(page.locator("#index-report")).to_contain_text("The gallery has 3 items. Corrections leave out 3 items more")
