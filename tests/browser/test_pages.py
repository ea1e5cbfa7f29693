"""What a person does, in a real browser, on the served app."""

from __future__ import annotations

import base64
import json
import re
import shutil
import zipfile

import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.support.browsing import (
    PHONE,
    before_any_answer,
    choose,
    drop,
    first_hit,
    go_to,
    reload,
    settle,
    stand_still,
    start_indexing,
    wait_for_share,
    wait_until,
    wait_until_it_listens,
)
from tests.support.drawing import encoded, picture, write_folder
from tests.support.serving import Server, serve
from unifex.gallery.gallery import Gallery

pytestmark = pytest.mark.browser
HEARD_JS = """() => {
  window.heard = [];
  const places = () => [...document.querySelectorAll('.sr-only[role=status]')];
  const listen = () => heard.push(...places().map(({ textContent }) => textContent));
  new MutationObserver(listen).observe(document, { childList: true, subtree: true, characterData: true });
}"""


@pytest.fixture(scope="module")
def server(tmp_path_factory, demo) -> Server:
    base = tmp_path_factory.mktemp("browser")
    shutil.copytree(demo, base / "indexes")
    with serve(base / "indexes", brake=base / "brake") as running:
        yield running


def test_what_a_page_shows_first_it_asks_for_once(server, open_page):
    page = open_page(server.url)
    reload(page)  # the server is ready now
    expect(page.locator("#hits .card").first).to_be_visible()
    settle(page)
    handlers = [said.split()[1] for said in page.evaluate("window.asked")]
    assert len(handlers) == len(set(handlers)) > 0


def test_drop_an_image_and_see_the_right_item_first(server, open_page):
    from unifex.data.demo import render

    page = open_page(server.url)
    expect(page.locator("#hits .card").first).to_be_visible()  # samples to begin with
    drop(page, "#query-image button", {"duck.jpg": render("toys", 1, 2)}, "image/jpeg")
    expect(first_hit(page)).to_contain_text("rubber duck")
    expect(page.locator("#search-status")).to_contain_text("20 hits among 264 items of demo (synthetic)")
    expect(page.locator("#search-status")).to_contain_text("unifex-lite-4 · exact, 256-d")
    first_hit(page).click()
    expect(page.locator("#detail-card")).to_contain_text("toys/rubber duck/2.jpg")
    expect(page.locator("#detail-card")).to_contain_text("320 x 320 pixels")
    page.keyboard.press("Escape")
    expect(page.locator("#detail-card")).to_be_hidden()
    csv = page.locator("#search-status a.download").get_attribute("href")
    lines = base64.b64decode(csv.partition(",")[2]).decode("utf-8-sig").splitlines()
    assert lines[0] == "rank,path,label,domain,score,chance,uri"
    assert lines[1].startswith("1,toys/rubber duck/2.jpg,rubber duck,toys,")
    assert len(lines) == 21


def test_sample_hit_and_search_with_this_one(server, open_page):
    page = open_page(server.url)
    page.locator("#hits .grid[data-kind=samples] .card").first.click()
    expect(first_hit(page)).to_be_visible()
    label = page.locator("#hits .card .name").nth(1).inner_text()
    page.locator("#hits .card").nth(1).focus()
    page.keyboard.press("Enter")  # the keyboard is enough
    expect(page.locator("#detail-card")).to_contain_text(label)
    page.locator("#search-with-this").click()
    expect(page.locator("#detail-card")).to_be_hidden()
    expect(page.locator("#search-status .queries img")).to_have_count(1)
    page.locator("#clear-button").click()
    expect(page.locator("#hits .grid[data-kind=samples]")).to_be_visible()


def test_domain_filter_number_of_hits_and_several_queries(server, open_page, tmp_path):
    from unifex.data.demo import render

    page = open_page(server.url)
    page.get_by_text("More images of the same thing").click()
    for view in (0, 3):
        (tmp_path / f"{view}.jpg").write_bytes(render("cars", 1, view))
    page.locator("#more-images input[type=file]").set_input_files([tmp_path / "0.jpg", tmp_path / "3.jpg"])
    expect(first_hit(page)).to_contain_text("yellow bus")
    expect(page.locator("#search-status .queries img")).to_have_count(2)
    page.locator("#search-filters .toggle").click()
    page.locator("#search-filters [data-facet=domain] li", has_text="toys").click()
    expect(first_hit(page)).to_contain_text("toys")
    expect(page.locator("#hits .domain", has_not_text="toys")).to_have_count(0)
    page.get_by_text("Hits, copies, similarity").click()
    settle(page)  # fields that have just appeared take their first value once more
    page.locator("#search-k input[type=number]").fill("5")
    page.locator("#search-k input[type=number]").press("Enter")
    page.locator("#search-button").click()
    expect(page.locator("#hits .card")).to_have_count(5)


def test_a_query_that_is_no_image_says_so(server, open_page):
    page = open_page(server.url)
    drop(page, "#query-image button", {"broken.png": b"\x89PNG\r\n\x1a\nrubbish"})
    note = page.locator("#search-status .note.error")
    expect(note).to_contain_text("This query cannot be read")
    expect(note).to_contain_text("give another copy of it")
    drop(page, "#query-image .image-frame", {"thin.jpg": encoded(Image.new("RGB", (3000, 5)), "JPEG")}, "image/jpeg")
    expect(note).to_contain_text("Give a part of it that is at most 100 times as long as it is wide.")
    expect(note).not_to_contain_text("Give a JPEG")


def test_a_screen_reader_is_told_words_when_something_is_done(server, open_page):
    page = open_page(server.url)
    page.evaluate(HEARD_JS)
    for tab in ("Gallery", "Evaluate", "Map"):
        go_to(page, tab)
        settle(page)
    page.wait_for_function("heard.includes('done')")
    assert not [text for text in page.evaluate("heard") if "common." in text]


def test_upload_a_folder_watch_cancel_resume_and_search(server, open_page, tmp_path):
    many = write_folder(tmp_path / "figures", views=30)
    (many / "notes.txt").write_text("not an image")
    (brake := server.indexes.parent / "brake").touch()
    page = open_page(server.url)
    go_to(page, "Gallery")
    wait_until_it_listens(page, "#drop .drop")
    page.locator("#drop input.folder").set_input_files(many)
    expect(page.locator("#index-outcome")).to_contain_text("About", timeout=90_000)
    expect(page.locator("#index-outcome")).to_contain_text("Press Start to add them to a new gallery 'figures'")
    page.locator("#gallery-name textarea, #gallery-name input").fill("figures")
    page.locator("#start-button").click()
    bar = page.locator("#index-progress .progress")
    expect(bar).to_contain_text("images/s")
    expect(bar).to_contain_text("left")
    wait_for_share(page, 15)
    page.locator("#index-progress .cancel").click()
    expect(page.locator("#index-outcome")).to_contain_text("'figures' was cancelled")
    expect(page.locator("#gallery-facts")).to_contain_text("figures")
    brake.unlink()
    page.locator("#resume-button").click()
    expect(page.locator("#index-outcome .note.good")).to_be_visible(timeout=90_000)
    expect(page.locator("#index-outcome")).to_contain_text("The gallery has 120 items")
    expect(page.locator("#index-outcome")).not_to_contain_text(re.compile(r"(?<!\d)0 were there already"))
    page.locator("#index-outcome summary").click()
    expect(page.locator("#index-outcome")).to_contain_text("notes.txt")
    expect(page.locator("#gallery-facts")).to_contain_text("120")
    expect(page.locator("#gallery-facts .bars")).to_contain_text("shapes")
    go_to(page, "Search")
    expect(page.locator("#search-gallery input")).to_have_value("figures")
    drop(page, "#query-image button", {"q.png": (many / "signs/cross/17.png").read_bytes()})
    expect(page.locator("#search-status")).to_contain_text("among 120 items of figures")
    expect(first_hit(page)).to_contain_text("cross")
    first_hit(page).click()
    expect(page.locator("#detail-card")).to_contain_text("signs/cross/17.png")
    assert not list(server.indexes.glob(".uploads/*"))
    stored = json.loads((server.indexes / "figures" / "gallery.json").read_text())
    assert stored["model"] == "unifex-lite-4"


def test_server_path_remove_rename_and_delete(server, open_page, tmp_path):
    folder = write_folder(tmp_path / "small")
    page = open_page(server.url, pictures_go=True)
    start_indexing(page, folder, "small")
    expect(page.locator("#index-outcome")).to_contain_text("24 images added")
    expect(page.locator("#gallery-facts h3")).to_have_text("small")
    reload(page)
    page.wait_for_selector("#header .ready")
    go_to(page, "Search")
    choose(page, "#search-gallery", "small")
    go_to(page, "Gallery")
    choose(page, "#manage-gallery", "small")
    expect(page.locator("#gallery-facts h3")).to_have_text("small")
    page.get_by_role("button", name="Remove items").click()
    settle(page)
    page.locator("#remove-paths textarea").fill("shapes/disc/0.png\nno such.png")
    page.locator("#remove-button-ask").click()
    expect(page.get_by_text("Remove 1 item from 'small'?")).to_be_visible()
    page.locator("#remove-button").click()
    expect(page.locator("#manage-notice")).to_contain_text("1 removed")
    expect(page.locator("#manage-notice")).to_contain_text("no such.png")
    expect(page.locator("#gallery-facts")).to_contain_text("23")
    page.get_by_role("button", name="Rename").first.click()
    settle(page)  # fields that have just appeared take their first value once more
    page.locator("#new-name input, #new-name textarea").fill("tiny")
    page.locator("#rename-button").click()
    expect(page.locator("#gallery-facts h3")).to_have_text("tiny")
    page.get_by_role("button", name="Delete this gallery").click()
    page.locator("#delete-button").click()
    expect(page.locator("#manage-notice")).to_contain_text("exactly")
    settle(page)  # fields that have just appeared take their first value once more
    page.locator("#delete-confirm input, #delete-confirm textarea").fill("tiny")
    page.locator("#delete-button").click()
    expect(page.locator("#manage-notice")).to_contain_text("'tiny' was deleted")
    assert (folder / "shapes/disc/1.png").exists()
    assert not (server.indexes / "tiny").exists()


def test_names_with_markup_are_text(server, open_page, tmp_path):
    folder = tmp_path / "evil"
    label = "<img src=x onerror=document.title='owned'>"
    (folder / label).mkdir(parents=True)
    for view in range(3):
        (folder / label / f"{view}.png").write_bytes(encoded(picture("shapes/disc", view)))
    (folder / "<img src=x onerror=document.title='owned'>.txt").write_text("x")
    page = open_page(server.url)
    start_indexing(page, folder, "evil")
    expect(page.locator("#gallery-facts")).to_contain_text("evil")  # what came of an earlier one may stand there still
    expect(page.locator("#index-outcome")).to_contain_text("3 images added")
    go_to(page, "Search")
    expect(page.locator("#hits .grid[data-kind=samples] .card")).to_have_count(3)  # of this gallery, not of the last
    settle(page)
    page.locator("#hits .grid[data-kind=samples] .card").first.click()
    expect(first_hit(page).locator(".name")).to_have_attribute("title", label)
    first_hit(page).click()
    expect(page.locator("#detail-card")).to_contain_text(label)
    assert page.title() == "UniFEx"


SHOW_JOBS = r'"data":\["(true|false)"'  # what the page asks when it is to show what came of a job


def requests_of(page, pattern):
    """What the page asks from now on with a body like this."""
    found = []
    page.on("request", lambda asked: re.search(pattern, asked.post_data or "") and found.append(asked.post_data))
    return found


LOOKS_JS = """async () => {
  for (let look = 0; look < 3; look++) {
    await unifexJobs.poll();
    await new Promise((done) => setTimeout(done, 200));
  }
}"""
# The Search tab is pressed in the moment in which this stands there.
SEARCH_ONCE_JS = """(text) => new Promise((done) => {
  const search = [...document.querySelectorAll('[role=tab]')].find((tab) => tab.textContent.trim() === 'Search');
  const look = () => {
    if (!document.querySelector('#index-outcome')?.textContent.includes(text)) return requestAnimationFrame(look);
    search.click();
    done();
  };
  look();
})"""


def test_a_gallery_that_was_made_before_its_press_was_answered_is_searched(server, open_page, tmp_path):
    """The page looks at jobs by itself, too. Who sees what came of it may go to another tab at once."""
    page = open_page(server.url)
    made = server.indexes / "was made"  # not the first of them, which may be chosen by itself
    go_to(page, "Gallery")
    settle(page)
    page.locator("#source-path input, #source-path textarea").fill(str(write_folder(tmp_path / "pictures", views=1)))
    page.locator("#gallery-name input, #gallery-name textarea").fill(made.name)
    outcome = page.locator("#index-outcome")
    with before_any_answer(page):
        page.locator("#start-button").click()
        wait_until(page, lambda: made.is_dir() and len(Gallery.open(made)) == 4)
        told = requests_of(page, SHOW_JOBS)  # before its page knows which job it waits for
        page.evaluate(LOOKS_JS)
        assert told == []
    page.evaluate(SEARCH_ONCE_JS, "4 images added")
    expect(outcome).to_contain_text("4 images added")
    expect(page.locator("#search-button")).to_be_visible()
    expect(page.locator("#search-gallery input")).to_have_value(made.name)


def test_a_source_that_cannot_be_used(server, open_page):
    page = open_page(server.url)
    go_to(page, "Gallery")
    settle(page)  # fields that have just appeared take their first value once more
    for path, said in (("/nowhere/at/all", "does not exist"), ("", "nothing to add yet")):
        page.locator("#source-path input, #source-path textarea").fill(path)
        page.locator("#start-button").click()
        expect(page.locator("#index-outcome .note.error")).to_contain_text(said)


def test_phone(server, open_page):
    page = open_page(server.url, **PHONE, color_scheme="dark")
    assert page.evaluate("document.body.classList.contains('dark')")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.locator("#hits .card").first.tap()
    expect(first_hit(page)).to_be_visible()
    stand_still(page)  # a phone goes to the hits when they come
    first_hit(page).tap()
    expect(page.locator("#search-with-this")).to_be_in_viewport()
    page.locator("#close-detail").tap()
    go_to(page, "Gallery")
    expect(page.locator("#start-button")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_theme_can_be_switched_and_is_remembered(server, open_page):
    page = open_page(server.url, color_scheme="light")
    assert not page.evaluate("document.body.classList.contains('dark')")
    page.locator(".theme").click()
    assert page.evaluate("document.body.classList.contains('dark')")
    reload(page)
    assert page.evaluate("document.body.classList.contains('dark')")


DENY_JS = """for (const name of ['localStorage', 'sessionStorage']) Object.defineProperty(window, name, {
  configurable: true, get() { throw new DOMException('Access is denied for this document.', 'SecurityError'); } })"""


def test_a_browser_that_denies_its_storage_shows_a_page_that_works(server, open_page):
    page = open_page(server.url, color_scheme="light")
    page.add_init_script(DENY_JS)
    reload(page)
    page.locator("#hits .grid[data-kind=samples] .card").first.click()
    expect(first_hit(page)).to_be_visible()
    page.locator(".theme").click()
    assert page.evaluate("document.body.classList.contains('dark')")
    expect(page.locator("#searches .recent li")).to_have_count(1)


def test_a_read_only_server_offers_nothing_to_change(open_page, gallery, tmp_path):
    with serve(tmp_path / "indexes", "--read-only") as running:
        page = open_page(running.url)
        page.locator("#hits .grid[data-kind=samples] .card").first.click()
        expect(first_hit(page)).to_be_visible()
        go_to(page, "Gallery")
        expect(page.locator("#gallery-facts")).to_contain_text("24")
        for button in ("start", "delete", "rename", "remove"):
            expect(page.locator(f"#{button}-button")).to_be_hidden()
        expect(page.locator("#visit")).to_be_hidden()
        go_to(page, "Search")
        settle(page)
        first_hit(page).locator(".pick").click()
        page.locator("#hits .tools .further > summary").click()
        page.locator("#hits .tools .formats > summary").click()
        expect(page.get_by_role("button", name="Remove from the gallery")).to_be_hidden()
        with page.expect_download() as download:  # reading is no change
            page.get_by_role("button", name="Image files (zip)").click()
        assert len(zipfile.ZipFile(download.value.path()).namelist()) == 1
        page.context.close()


def test_read_only_handlers_refuse_what_the_page_does_not_offer(tmp_path, embedder):
    import gradio as gr

    from unifex.cli.settings import Settings
    from unifex.gallery.gallery import GalleryError
    from unifex.gallery.library import Library
    from unifex.ui.context import AppContext
    from unifex.ui.tabs.gallery_tab import GalleryTab

    library = Library(tmp_path)
    library.get_or_create("mine", lambda: embedder)
    tab = GalleryTab(AppContext(Settings(library=tmp_path, read_only=True), library, embedder))
    with gr.Blocks():
        tab.build()
    for refused in (
        lambda: tab.begin("", "", str(write_folder(tmp_path / "pictures")), "", "mine", "", "", False, ""),
        lambda: tab.rename_gallery(name="mine", new="yours", adding_to=""),
        lambda: tab.delete_gallery(name="mine", typed="mine", adding_to=""),
        lambda: tab.removal.remove_items("mine", "a.png"),
    ):
        with pytest.raises(GalleryError, match="read-only"):
            refused()
    assert library.names() == ["mine"]
    assert len(library.get("mine")) == 0


def test_the_page_speaks_one_language_whatever_the_browser_does(server, open_page):
    page = open_page(server.url, locale="ar")
    settle(page)
    assert page.evaluate("[document.documentElement.lang, document.documentElement.dir]") == ["en", ""]
    expect(page.locator("#query-image")).to_contain_text("Drop Image Here")
