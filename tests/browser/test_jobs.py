"""Jobs belong to the server: what a reload, a second tab and a restart see of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.support.browsing import choose, drop, go_to, settle, start_indexing, wait_for_share, wait_until_it_listens
from tests.support.drawing import encoded, picture, write_folder
from tests.support.serving import Server, serve
from unifex.gallery.gallery import Gallery

pytestmark = pytest.mark.browser
IMAGES = 160


@pytest.fixture(scope="module")
def server(tmp_path_factory, embedder) -> Server:
    base = tmp_path_factory.mktemp("jobs")
    for name in ("drawn", "elsewhere"):
        Gallery.create(base / "indexes" / name, embedder)
    with serve(base / "indexes", brake=base / "brake") as running:
        yield running


@pytest.fixture
def brake(server) -> Iterator[Path]:
    """While it is there, indexing takes its time."""
    (place := server.indexes.parent / "brake").touch()
    yield place
    place.unlink(missing_ok=True)


@pytest.fixture(scope="module")
def many(tmp_path_factory) -> Path:
    return write_folder(tmp_path_factory.mktemp("many") / "figures", views=IMAGES // 4)


def name_box(page: Page):
    return page.locator("#gallery-name textarea, #gallery-name input")


def test_indexing_goes_on_through_reloads_and_any_tab_sees_and_ends_it(server, open_page, many, brake):
    page, other = open_page(server.url), open_page(server.url, color_scheme="dark")
    start_indexing(page, many, "watched")
    wait_for_share(page, 5)
    expect(other.locator("#jobs")).to_contain_text("Indexing 'watched'")
    wait_for_share(other, 10, "#jobs")
    other.locator(".jobs-now").click()
    expect(other.locator("#jobs .cancel")).to_be_in_viewport()
    page.reload()
    go_to(page, "Gallery")
    wait_for_share(page, 15)
    expect(page.locator("#jobs .job")).to_have_count(0)  # it is told of once
    expect(page.locator("#resume-button")).to_be_hidden()
    other.locator("#jobs .cancel").click()
    for each in (page, other):
        expect(each.locator("#jobs")).to_contain_text(re.compile("Indexing 'watched' was interrupted; [1-9]"))
    expect(page.locator("#index-outcome")).to_contain_text("'watched' was cancelled")
    expect(other.locator("#jobs-list")).to_be_visible()
    found = Axe().run(other).response["violations"]
    assert not [(one["id"], node["html"][:150]) for one in found for node in one["nodes"]]
    brake.unlink()
    other.get_by_role("button", name="Resume").first.click()
    for each in (page, other):
        expect(each.locator("#index-outcome")).to_contain_text(f"The gallery has {IMAGES} items", timeout=90_000)
        expect(each.locator("#jobs .interrupted p")).to_have_count(0)
    third = open_page(server.url)  # what came of it is there for who comes later
    go_to(third, "Gallery")
    expect(third.locator("#index-outcome")).to_contain_text("added to 'watched'")


def test_news_of_a_job_leave_the_gallery_that_was_chosen(server, open_page, tmp_path):
    page, other = open_page(server.url), open_page(server.url)
    chosen = page.locator("#search-gallery input")
    choose(page, "#search-gallery", "elsewhere")
    go_to(page, "Gallery")
    start_indexing(other, write_folder(tmp_path / "signs", views=2), "arrived")
    for each in (other, page):
        expect(each.locator("#index-outcome")).to_contain_text("added to 'arrived'", timeout=60_000)
    go_to(page, "Search")
    expect(chosen).to_have_value("elsewhere")
    settle(page)
    chosen.click()
    expect(page.get_by_role("option", name="arrived")).to_be_visible()


def test_two_at_once_take_turns_and_neither_takes_the_others_gallery(server, open_page, many, brake):
    page = open_page(server.url)
    start_indexing(page, many, "first")
    wait_for_share(page, 2)
    drop(
        page, "#drop .drop", {"a.png": encoded(picture("signs/cross", 1)), "b.png": encoded(picture("signs/cross", 2))}
    )
    expect(page.locator("#index-outcome")).to_contain_text("About 2 images", timeout=30_000)
    expect(name_box(page)).to_have_value("a")  # the next upload is not for the last one's gallery
    expect(page.locator("#index-outcome")).to_contain_text("a new gallery 'a'")
    name_box(page).fill("second")
    page.locator("#start-button").click()
    expect(page.locator("#index-progress .job")).to_have_count(2)
    expect(page.locator("#index-progress .job").nth(1)).to_contain_text("waiting for its turn")
    page.locator("#start-button").click()
    expect(page.locator("#index-progress .job")).to_have_count(2)
    page.locator("#index-progress .job").first.locator(".cancel").click()
    brake.unlink()
    expect(page.locator("#index-outcome")).to_contain_text("2 images added to 'second'", timeout=30_000)
    assert len(Gallery.open(server.indexes / "second")) == 2


def test_what_is_cancelled_before_its_turn_is_as_if_nobody_had_asked_for_it(server, open_page, many, brake, tmp_path):
    brake.unlink()
    page = open_page(server.url)
    start_indexing(page, write_folder(tmp_path / "signs", views=2), "looked at")
    expect(page.locator("#index-outcome")).to_contain_text("added to 'looked at'", timeout=60_000)
    brake.touch()
    start_indexing(page, many, "in the way")
    wait_for_share(page, 2)
    choose(page, "#manage-gallery", "looked at")
    page.get_by_role("button", name="Sources").click()
    settle(page)
    page.locator("#source-again").click()
    waiting = page.locator("#index-progress .job", has_text="waiting for its turn")
    expect(page.locator("#gallery-source input")).to_have_value(re.compile("8 items · not finished$"))
    waiting.locator(".cancel").click()
    expect(page.locator("#gallery-source input")).to_have_value(re.compile("8 items$"))
    start_indexing(page, tmp_path / "signs", "never made")
    waiting.locator(".cancel").click()
    expect(waiting).to_have_count(0)
    settle(page)
    expect(page.locator("#jobs-list")).not_to_contain_text("never made")
    expect(page.locator("#manage-gallery input")).to_have_value("looked at")
    page.locator("#index-progress .job .cancel").click()
    brake.unlink()
    expect(page.locator("#index-outcome")).to_contain_text("'in the way' was cancelled")
    assert not (server.indexes / "never made").exists()


def test_a_restarted_server_says_what_was_interrupted_and_goes_on(tmp_path, open_page, many, embedder):
    Gallery.create(tmp_path / "indexes" / "drawn", embedder)
    (brake := tmp_path / "brake").touch()
    with serve(tmp_path / "indexes", brake=brake) as running:
        page = open_page(running.url)
        start_indexing(page, many, "cut off")
        expect(page.locator("#index-progress .job")).to_have_count(1)
        start_indexing(page, many, "never begun")
        expect(page.locator("#index-progress .job")).to_have_count(2)
        wait_for_share(page, 5)
        page.context.close()
    assert 0 < len(Gallery.open(tmp_path / "indexes" / "cut off")) < IMAGES
    with serve(tmp_path / "indexes") as running:
        page = open_page(running.url)
        expect(page.locator("#jobs .interrupted")).to_contain_text("Indexing 'cut off' was interrupted")
        expect(page.locator("#jobs .interrupted")).to_contain_text("Indexing 'never begun' was interrupted; 0 items")
        page.locator(".jobs-now").click()
        expect(page.get_by_role("button", name="Not now")).to_have_count(1)  # what is there is kept
        page.get_by_role("button", name="Remove it").click()
        expect(page.locator("#jobs .interrupted")).not_to_contain_text("never begun")
        assert not (tmp_path / "indexes" / "never begun").exists()
        page.get_by_role("button", name="Resume").first.click()
        expect(page.locator("#index-outcome")).to_contain_text(f"The gallery has {IMAGES} items", timeout=90_000)
        go_to(page, "Search")
        page.locator("#search-gallery input").click()
        expect(page.get_by_role("option", name="cut off")).to_be_visible()
        expect(page.get_by_role("option", name="never begun")).to_have_count(0)
        page.context.close()


TWO_ALIKE_JS = """(input) => {
  const transfer = new DataTransfer();
  for (const text of ['one', 'two']) transfer.items.add(new File([text], 'same.png', { type: 'image/png' }));
  input.files = transfer.files;
  input.dispatchEvent(new Event('change', { bubbles: true }));
}"""


def test_an_error_stays_until_something_else_is_done(server, open_page):
    page = open_page(server.url)
    for tab, zone, told in (("Gallery", "drop", "index-outcome"), ("Train", "train-drop", "train-unreceived")):
        go_to(page, tab)
        if tab == "Train":
            page.get_by_text("or upload labelled folders").click()
        wait_until_it_listens(page, f"#{zone} .drop")
        page.locator(f"#{zone} input.files").evaluate(TWO_ALIKE_JS)
        expect(page.locator(f"#{told}")).to_contain_text("two of the files are called 'same.png'")
        settle(page)
        expect(page.locator(f"#{told}")).to_contain_text("two of the files are called 'same.png'")


@pytest.mark.slow
def test_renamed_and_deleted_galleries_leave_no_name_behind(server, open_page, tmp_path):
    page = open_page(server.url, pictures_go=True)
    start_indexing(page, write_folder(tmp_path / "small"), "small")
    expect(page.locator("#index-outcome")).to_contain_text("24 images added to 'small'")
    choose(page, "#manage-gallery", "small")
    expect(name_box(page)).to_have_value("small")  # chosen to add to
    page.get_by_role("button", name="Rename").first.click()
    settle(page)  # fields that have just appeared take their first value once more
    page.locator("#new-name input, #new-name textarea").fill("tiny")
    page.locator("#rename-button").click()
    expect(name_box(page)).to_have_value("tiny")
    page.get_by_role("button", name="Delete this gallery").click()
    settle(page)  # fields that have just appeared take their first value once more
    page.locator("#delete-confirm input, #delete-confirm textarea").fill("tiny")
    page.locator("#delete-button").click()
    expect(page.locator("#manage-notice")).to_contain_text("'tiny' was deleted")
    expect(name_box(page)).to_have_value("")
    settle(page)
    expect(page.locator("#gallery-facts")).to_contain_text("Items")  # of the one that is shown now
    expect(page.locator("#gallery-facts")).not_to_contain_text("No gallery yet")


def test_without_a_gallery_every_button_says_what_to_do(tmp_path, open_page):
    (tmp_path / "empty").mkdir()
    with serve(tmp_path / "indexes", "--gallery", str(tmp_path / "empty")) as running:
        page = open_page(running.url)
        expect(page.locator("#header")).to_contain_text("is empty")
        for tab, button, told in (
            ("Search", "search-button", "search-status"),
            ("Evaluate", "evaluate-button", "evaluate-problem"),
            ("Map", "map-button", "map-problem"),
            ("Train", "train-button", "train-problem"),
        ):
            go_to(page, tab)
            page.locator(f"#{button}").click()
            expect(page.locator(f"#{told}")).to_contain_text(re.compile("no gallery yet", re.IGNORECASE))
        go_to(page, "Gallery")
        for needless in ("Rename", "Take it elsewhere"):  # what needs a gallery that is one's own
            expect(page.get_by_role("button", name=needless)).to_have_count(0)
        start_indexing(page, tmp_path / "empty", "nothing")
        expect(page.locator("#index-outcome")).to_contain_text("is empty; give a folder")
        page.context.close()
    assert [path.name for path in (tmp_path / "indexes").iterdir() if path.name[0] != "."] == []
