"""Sources of a gallery on the page: what is read, looking there again, another place, forgetting."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.support.browsing import choose, go_to, settle, stand_still, start_indexing
from tests.support.drawing import picture, write_folder
from tests.support.filming import film
from tests.support.galleries import run_index
from tests.support.serving import Server, serve
from unifex.gallery.gallery import Gallery

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def server(tmp_path_factory, embedder) -> Server:
    base = tmp_path_factory.mktemp("sources")
    Gallery.create(base / "indexes" / "drawn", embedder)
    with serve(base / "indexes") as running:
        yield running


def press(page: Page, elem_id: str) -> None:
    page.locator(f"#{elem_id}").click()


def test_what_is_read_looked_at_again_moved_and_forgotten(server, open_page, tmp_path):
    folder = write_folder(tmp_path / "pictures")
    film(folder / "clips/dog.mp4", [(0, 0), (1, 1), (2, 2), (3, 3)], 4)
    page = open_page(server.url, pictures_go=True)
    go_to(page, "Gallery")
    page.locator("#source-path textarea, #source-path input").fill(str(folder))
    page.locator("#gallery-name textarea, #gallery-name input").fill("sourced")
    page.locator("#reading button").first.click()
    settle(page)  # fields that have just appeared take their first value once more
    page.locator("#reading-exclude textarea").fill("disc")
    frames, outcome = page.locator("#reading-frames input"), page.locator("#index-outcome")
    frames.fill("often")
    frames.press("Enter")
    press(page, "start-button")
    expect(outcome).to_contain_text("frames 'often' is neither 'every SECONDS'")
    frames.fill("every 2")
    frames.press("Enter")
    press(page, "start-button")
    expect(outcome).to_contain_text("20 images added to 'sourced'", timeout=60_000)
    expect(page.locator("#gallery-facts h3")).to_have_text("sourced")
    page.locator("#gallery-sources button").first.click()
    settle(page)
    chosen = page.locator("#gallery-source input")
    expect(chosen).to_have_value(f"{folder} · 20 items")

    moved = folder.rename(tmp_path / "elsewhere")
    press(page, "source-again")
    expect(page.locator("#source-notice")).to_contain_text("does not exist")
    page.locator("#source-place textarea, #source-place input").fill(str(moved))
    press(page, "source-move")
    expect(page.locator("#source-notice")).to_contain_text("20 items of it are known at the new place now")
    expect(chosen).to_have_value(f"{moved} · 20 items")

    (moved / "signs/cross/0.png").unlink()
    press(page, "source-again")  # disc is still left out
    expect(outcome).to_contain_text("19 were there already, 1 is gone from the source and was kept")
    choose(page, "#source-gone", "Remove them, but not if most are gone")
    press(page, "source-again")
    expect(outcome).to_contain_text("1 was removed")
    expect(chosen).to_have_value(f"{moved} · 19 items")

    press(page, "forget-source-ask")
    expect(page.locator("#gallery-sources")).to_contain_text("Image files and corrections stay")
    press(page, "forget-source")
    expect(page.locator("#source-notice")).to_contain_text("Forgotten, with 19 items")
    expect(chosen).to_have_value("")
    assert len(Gallery.open(server.indexes / "sourced")) == 0
    assert (moved / "shapes/disc/0.png").exists()
    press(page, "forget-source-ask")
    expect(page.locator("#gallery-sources")).to_contain_text("choose one of the gallery's sources first")


def test_a_gallery_follows_its_folder(server, open_page, tmp_path, embedder):
    folder = write_folder(tmp_path / "pictures")
    run_index(Gallery.create(server.indexes / "followed", embedder), folder)
    page = open_page(server.url, pictures_go=True)
    go_to(page, "Gallery")
    choose(page, "#manage-gallery", "followed")
    switch, said = page.locator("#follow-switch input"), page.locator("#follow-said")
    settle(page)  # what is pressed just as the facts of the gallery come is told by them how it was
    switch.check()
    expect(said).to_contain_text("nothing has changed")
    picture("signs/cross", 7).save(folder / "signs/cross/new.png")
    expect(said).to_contain_text("1 added, ", timeout=30_000)
    expect(page.locator("#gallery-facts")).to_contain_text("Items25")
    page.get_by_role("button", name="Add images").click()
    settle(page)
    page.locator("#pictures .card .pick").first.click()
    stand_still(page)
    stood = page.evaluate("scrollY")
    picture("signs/cross", 8).save(folder / "signs/cross/newer.png")
    expect(page.locator("#gallery-facts")).to_contain_text("Items26", timeout=30_000)
    expect(page.locator("#index-report")).to_contain_text("1 image added")
    stand_still(page)
    assert page.evaluate("scrollY") == stood  # whoever looks at pictures goes on with that
    settle(page)  # Gradio reports what a reload cuts off
    page.reload()
    go_to(page, "Gallery")
    choose(page, "#manage-gallery", "followed")
    expect(switch).to_be_checked()
    settle(page)
    switch.uncheck()
    expect(said).to_be_empty()


def test_a_folder_of_which_nothing_can_be_read_is_no_success(server, open_page, tmp_path):
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "1.jpg").write_bytes(b"no image")
    page = open_page(server.url)
    go_to(page, "Gallery")
    start_indexing(page, broken, "unread")
    outcome = page.locator("#index-outcome .note")
    expect(outcome).to_contain_text("No image there could be read", timeout=60_000)
    expect(outcome).to_have_class(re.compile("warning"))
    expect(page.locator("#pictures .lead")).to_have_text("Nothing is here yet: add images.")
