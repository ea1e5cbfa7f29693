"""Another backbone, from its download to words that search, in a real browser; the hub is on loopback."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.support import stub_hub, tiny_clip
from tests.support.browsing import PHONE, drop, first_hit, go_to, settle
from tests.support.drawing import write_folder
from tests.support.galleries import run_index
from tests.support.public_trees import write as write_public
from tests.support.serving import serve
from unifex.gallery.gallery import Gallery

pytestmark = pytest.mark.browser
NAME = "raw:hf-hub:someone/tiny"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("pictures") / "drawn")


@pytest.fixture(scope="module")
def server(tmp_path_factory, embedder):
    root = tmp_path_factory.mktemp("models")
    Gallery.create(root / "indexes" / "empty", embedder)  # so that no demo is drawn
    tiny_clip.write(root / "hub" / "someone" / "tiny")
    with stub_hub.running(root / "hub") as hub:
        online = {"HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0", "HF_HOME": str(root / "hf")}
        with serve(root / "indexes", environment=online) as running:
            yield running


def pick(page, name: str) -> None:
    settle(page)  # fields that have just appeared take their first value once more
    field = page.locator("#picked-model input")
    field.fill(name)
    field.press("Enter")


def test_fetch_a_backbone_index_with_it_and_search_with_words(server, open_page, pictures):
    page = open_page(server.url)
    go_to(page, "Gallery")
    page.locator("#model-picker button").first.click()
    pick(page, NAME)
    expect(page.locator("#model-facts")).to_contain_text("is not on this computer")
    page.locator("#model-download").click()
    expect(page.locator("#model-facts")).to_contain_text("116,736 and 1,597,825 for words", timeout=60_000)
    expect(page.locator("#model-facts")).to_contain_text("on this computer")
    expect(page.locator("#model-download")).to_be_hidden()
    page.locator("#source-path textarea, #source-path input").fill(str(pictures))
    page.locator("#gallery-name textarea, #gallery-name input").fill("worded")
    page.locator("#start-button").click()
    expect(page.locator("#index-outcome")).to_contain_text("24 items", timeout=60_000)
    go_to(page, "Search")
    words = page.locator("#search-words textarea, #search-words input")
    expect(words).to_be_visible()
    settle(page)
    words.fill("a red disc <b>now</b>")
    words.press("Enter")
    status = page.locator("#search-status")
    expect(status).to_contain_text("20 hits for a red disc <b>now</b> among 24 items of worded", timeout=60_000)
    first_hit(page).click()
    page.get_by_role("button", name="Search with this one").click()
    settle(page)
    expect(page.locator("#search-status")).to_contain_text("20 hits for a red disc")
    page.locator("#clear-button").click()
    expect(words).to_have_value("")
    expect(page.locator("#hits .grid[data-kind=samples]")).to_be_visible()


def test_what_cannot_be_fetched_says_why_and_words_go_with_the_gallery(server, open_page):
    page = open_page(server.url, **PHONE)
    go_to(page, "Gallery")
    page.locator("#model-picker button").first.click()
    pick(page, "raw:hf-hub:nobody/nothing")
    page.locator("#model-download").click()
    expect(page.locator("#model-facts")).to_contain_text("nobody/nothing: there is no such repository")
    pick(page, "raw:open_clip:ViT-SO400M-14-SigLIP-384:webli")
    expect(page.locator("#model-facts")).to_contain_text("3.5 GB from timm/ViT-SO400M-14-SigLIP-384")
    expect(page.locator("#model-facts")).to_contain_text("428,225,600")
    expect(page.locator("#model-download")).to_contain_text("Download 3.5 GB")


def test_a_gallery_is_packed_and_opened_again(server, open_page, pictures, tmp_path):
    page = open_page(server.url)
    go_to(page, "Gallery")
    page.locator("#source-path textarea, #source-path input").fill(str(pictures))
    page.locator("#gallery-name textarea, #gallery-name input").fill("travelling")
    page.locator("#start-button").click()
    expect(page.locator("#index-outcome")).to_contain_text("24 items", timeout=60_000)
    expect(page.locator("#gallery-facts")).to_contain_text("travelling")
    page.locator("#gallery-pack button").first.click()
    page.locator("#pack-button").click()
    expect(page.locator("#pack-notice")).to_contain_text("24 items")
    with page.expect_download() as download:
        page.locator("#pack-download").click()
    assert download.value.suggested_filename == "travelling.zip"
    drop(page, "#drop .drop", {"travelling.zip": download.value.path().read_bytes()}, "application/zip")
    expect(page.locator("#index-outcome")).to_contain_text("A packed gallery", timeout=30_000)
    name = page.locator("#gallery-name textarea, #gallery-name input")
    expect(name).to_have_value("travelling 2")
    name.fill("travelling")
    page.locator("#start-button").click()
    expect(page.locator("#index-message")).to_contain_text("'travelling' already; choose another name")
    name.fill("arrived")
    page.locator("#start-button").click()
    expect(page.locator("#index-outcome")).to_contain_text("Gallery 'arrived' is open24 items")
    expect(page.locator("#gallery-facts")).to_contain_text("arrived")
    go_to(page, "Search")
    expect(page.locator("#hits .grid[data-kind=samples] .card")).to_have_count(18)


@pytest.fixture(scope="module")
def server_with_data(tmp_path_factory, embedder, pictures):
    root = tmp_path_factory.mktemp("public")
    run_index(Gallery.create(root / "indexes" / "drawn", embedder), pictures)
    data = write_public(root / "data", "food101", "rp2k")
    with serve(root / "indexes", "--data", str(data)) as running:
        yield running


def test_public_data_sets_that_are_there_are_one_click(server_with_data, open_page):
    page = open_page(server_with_data.url)
    go_to(page, "Gallery")
    page.locator("#public-sets button").first.click()
    page.get_by_role("button", name="Food-101", exact=True).click()
    expect(page.locator("#gallery-name textarea, #gallery-name input")).to_have_value("food101")
    page.locator("#start-button").click()
    expect(page.locator("#index-outcome")).to_contain_text("2 items", timeout=60_000)
    expect(page.locator("#gallery-facts")).to_contain_text("dishes")


@pytest.mark.slow
def test_without_its_backbone_the_app_goes_on_with_the_bundled_one(tmp_path_factory, open_page, embedder, pictures):
    root = tmp_path_factory.mktemp("offline")
    run_index(Gallery.create(root / "indexes" / "drawn", embedder), pictures)
    asked = "raw:vit_so400m_patch14_siglip_384"
    with serve(root / "indexes", "--model", asked, environment={"HF_HOME": str(root / "hf")}) as running:
        page = open_page(running.url)
        expect(page.locator("#header")).to_contain_text("unifex-lite-4")
        expect(page.locator("#header")).to_contain_text("is not on this computer")
        expect(page.locator("#hits .card").first).to_be_visible()
        page.close()
