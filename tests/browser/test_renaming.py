"""A gallery is called otherwise, or is gone: what its pages show, what they had asked it, and what led there before."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.support.browsing import choose, come_back, first_hit, go_to, press_for_job, settle
from tests.support.drawing import write_folder
from tests.support.galleries import run_index
from tests.support.serving import Server, serve
from unifex.gallery.gallery import Gallery

pytestmark = pytest.mark.browser


@pytest.fixture
def server(tmp_path, embedder) -> Iterator[Server]:
    for name, views in {"alpha": 6, "beta": 7}.items():
        run_index(Gallery.create(tmp_path / "indexes" / name, embedder), write_folder(tmp_path / name, views))
    with serve(tmp_path / "indexes") as running:
        yield running


def field(page: Page, box: str) -> Locator:
    return page.locator(f"#{box} textarea, #{box} input").first


def rename(page: Page, name: str, new: str) -> None:
    go_to(page, "Gallery")
    choose(page, "#manage-gallery", name)
    page.get_by_role("button", name="Rename").first.click()
    settle(page)  # fields that have just appeared take their first value once more
    field(page, "new-name").fill(new)
    page.locator("#rename-button").click()
    expect(page.locator("#manage-notice")).to_contain_text(f"'{name}' is now '{new}'")
    settle(page)


def delete(page: Page, name: str) -> None:
    go_to(page, "Gallery")
    choose(page, "#manage-gallery", name)
    page.get_by_role("button", name="Delete this gallery").click()
    settle(page)  # fields that have just appeared take their first value once more
    field(page, "delete-confirm").fill(name)
    page.locator("#delete-button").click()
    expect(page.locator("#manage-notice")).to_contain_text(f"'{name}' was deleted")
    settle(page)


def test_what_a_tab_shows_is_of_its_gallery_also_where_another_one_deleted_that(server, open_page):
    training, mapping, other = (open_page(server.url, link=f"{server.url}#gallery=beta") for _ in range(3))
    go_to(training, "Train")
    expect(field(training, "train-name")).to_have_value("beta-neck")
    expect(training.locator("#train-data")).to_contain_text("20images")
    go_to(mapping, "Map")
    press_for_job(mapping, "#map-button")
    expect(mapping.locator("#map-frame")).to_be_visible()
    delete(other, "beta")
    for page in (training, mapping):
        come_back(page)
        expect(page.locator("#address-notice")).to_contain_text("There is no gallery 'beta' any more")
        settle(page)
    expect(field(training, "train-gallery")).to_have_value("alpha")
    expect(field(training, "train-name")).to_have_value("alpha-neck")
    expect(training.locator("#train-data")).to_contain_text("16images")
    expect(field(mapping, "map-gallery")).to_have_value("alpha")
    expect(mapping.locator("#map-frame")).to_be_hidden()
    expect(mapping.locator("#map-status")).to_contain_text("No map of this gallery yet")


def test_what_others_are_renamed_to_is_followed_on_every_tab(server, open_page):
    training, searching, other = (open_page(server.url, link=f"{server.url}#gallery=beta") for _ in range(3))
    go_to(training, "Train")
    expect(field(training, "train-name")).to_have_value("beta-neck")
    field(searching, "search-words").fill("a cross")
    field(searching, "search-words").press("Enter")
    expect(first_hit(searching)).to_be_visible()
    rename(other, "beta", "gamma")
    for page in (training, searching):
        come_back(page)
        expect(field(page, f"{'train' if page is training else 'search'}-gallery")).to_have_value("gamma")
        settle(page)
        expect(page.locator("#address-notice")).to_be_empty()
    expect(field(training, "train-name")).to_have_value("gamma-neck")
    expect(searching).to_have_url(f"{server.url}#gallery=gamma&words=a+cross")
    expect(first_hit(searching)).to_be_visible()


def test_what_was_chosen_stays_so_under_the_new_name(server, open_page):
    page, other = (open_page(server.url, link=f"{server.url}#gallery=beta", pictures_go=True) for _ in range(2))
    go_to(page, "Gallery")
    settle(page)  # pictures that are drawn when the tab is opened are there
    for card in (0, 2):
        page.locator("#pictures .card[data-item] .pick").nth(card).click()
    chosen = page.locator("#pictures .tools b")
    expect(chosen).to_have_text("2 chosen")
    go_to(page, "Map")
    press_for_job(page, "#map-button")
    page.evaluate("unifex.lasso(['beta', [2, 3, 5]])")
    head = page.locator("#map-chosen .chosen-head")
    expect(head).to_contain_text("3 items chosen")
    rename(other, "beta", "gamma")
    come_back(page)
    expect(field(page, "map-gallery")).to_have_value("gamma")
    settle(page)
    expect(head).to_contain_text("3 items chosen")
    go_to(page, "Gallery")
    expect(page.locator("#pictures [data-gallery=gamma] .card.chosen")).to_have_count(2)
    expect(chosen).to_have_text("2 chosen")
    go_to(page, "Map")
    page.locator("#search-within").click()
    expect(page).to_have_url(re.compile(r"#gallery=gamma&within=2,3,5$"))


def test_a_search_its_marks_and_what_leads_back_to_it_go_with_the_new_name(server, open_page):
    page = open_page(server.url, link=f"{server.url}#gallery=beta&items=3", pictures_go=True)
    expect(first_hit(page)).to_be_visible()
    page.locator("#hits .card").nth(1).click()
    page.get_by_role("button", name="More like this").click()
    page.keyboard.press("Escape")
    expect(page).to_have_url(re.compile(r"#gallery=beta&items=3&more=\d+$"))
    settle(page)
    asked = page.url.partition("gallery=beta")[2]
    hits = page.locator("#hits .card").evaluate_all("cards => cards.map((card) => card.dataset.item)")
    rename(page, "beta", "gamma")
    expect(page).to_have_url(f"{server.url}#tab=gallery&gallery=gamma{asked}")
    go_to(page, "Search")
    expect(page.locator("#forget-marks")).to_contain_text("1 more like it")
    assert page.locator("#hits .card").evaluate_all("cards => cards.map((card) => card.dataset.item)") == hits
    page.locator("#clear-button").click()
    expect(page).to_have_url(f"{server.url}#gallery=gamma")
    settle(page)
    page.locator("#searches .recent .open").filter(has_text="in beta").last.click()
    expect(page).to_have_url(re.compile(r"#gallery=gamma&items=3"))
    expect(first_hit(page)).to_be_visible()
    expect(page.locator("#address-notice")).to_be_empty()
    for _ in range(4):  # the recent search, the empty one, the Search tab; then what was of before
        page.go_back()
        settle(page)
    expect(page).to_have_url(f"{server.url}#tab=gallery&gallery=gamma{asked}")
    expect(field(page, "manage-gallery")).to_have_value("gamma")
    page.goto(f"{server.url}#gallery=beta{asked}")  # a link of before
    expect(page).to_have_url(f"{server.url}#gallery=gamma{asked}")
    expect(page.locator("#forget-marks")).to_contain_text("1 more like it")
    expect(page.locator("#address-notice")).to_be_empty()


def test_a_recent_search_of_a_gallery_that_is_gone_empties_nothing(server, open_page):
    page = open_page(server.url, link=f"{server.url}#gallery=beta&words=a+cross", pictures_go=True)
    expect(page.locator("#searches .recent .name")).to_have_text(["“a cross” in beta"])
    delete(page, "beta")
    go_to(page, "Search")
    field(page, "search-words").fill("a sign")
    field(page, "search-words").press("Enter")
    expect(page).to_have_url(f"{server.url}#gallery=alpha&words=a+sign")
    expect(first_hit(page)).to_be_visible()
    settle(page)
    page.locator("#searches .recent .open").filter(has_text="in beta").click()
    expect(page.locator("#address-notice")).to_contain_text("There is no gallery 'beta' here")
    expect(page).to_have_url(f"{server.url}#gallery=alpha&words=a+sign")
    expect(field(page, "search-words")).to_have_value("a sign")
    expect(first_hit(page)).to_be_visible()
