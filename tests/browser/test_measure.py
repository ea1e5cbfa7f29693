"""Evaluate and Map in a real browser, on the served app."""

from __future__ import annotations

import base64
import csv
import io
import json
import re

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Page, Route, expect

from tests.support.browsing import (
    PHONE,
    choose,
    come_back,
    drop,
    first_hit,
    go_to,
    leave,
    open_all,
    press_for_job,
    settle,
    stand_still,
)
from tests.support.drawing import encoded, picture, write_folder
from tests.support.galleries import make_model, run_index
from tests.support.serving import Server, serve
from unifex.core.progress import finish
from unifex.gallery.gallery import Gallery
from unifex.gallery.library import Library

pytestmark = pytest.mark.browser

EVIL = '<img src=x onerror="window.hacked=1">'
POINT_JS = """(id) => {
  const plot = document.querySelector('.map-plot');
  const { xaxis, yaxis } = plot._fullLayout;
  const box = plot.getBoundingClientRect();
  for (const trace of plot.data) {
    const index = [...(trace.customdata || [])].indexOf(id);
    if (index < 0) continue;
    return [box.left + xaxis._offset + xaxis.d2p(trace.x[index]), box.top + yaxis._offset + yaxis.d2p(trace.y[index])];
  }
}"""

HEIGHTS_JS = """() => {
  const plot = document.querySelector('.map-plot');
  const { yaxis } = plot._fullLayout;
  const top = plot.getBoundingClientRect().top + yaxis._offset;
  return plot.data.flatMap(({ customdata, y }) => (
    [...(customdata || [])].map((id, index) => top + yaxis.d2p(y[index]))));
}"""

HIGHEST_JS = """() => {  // of all: on the screen however low the map reaches
  const points = document.querySelector('.map-plot').data.flatMap(({ customdata, y }) => (
    [...(customdata || [])].map((id, index) => ({ id, y: y[index] }))));
  return points.reduce((highest, point) => (point.y > highest.y ? point : highest)).id;
}"""


@pytest.fixture(scope="module")
def server(tmp_path_factory, embedder) -> Server:
    """A server with one gallery: 40 drawn pictures, one of them wrongly labelled, one label full of markup."""
    base = tmp_path_factory.mktemp("measure")
    write_folder(base / "pictures", views=9)
    lines = ["path,label,domain"]
    for path in sorted((base / "pictures").rglob("*.png")):
        domain, label, name = path.relative_to(base / "pictures").parts
        wrong = (label, name) == ("cross", "0.png")
        lines.append(f"{path.relative_to(base / 'pictures')},{'stripes' if wrong else label},{domain}")
    for view in range(4):
        (base / "pictures" / f"evil{view}.png").write_bytes(encoded(picture("shapes/disc", 50 + view)))
        lines.append(f'evil{view}.png,"{EVIL.replace(chr(34), chr(34) * 2)}",shapes')
    (base / "pictures" / "manifest.csv").write_text("\n".join(lines))
    gallery = Gallery.create(base / "indexes" / "drawn", embedder)
    run_index(gallery, base / "pictures")
    with serve(base / "indexes") as running:
        yield running


@pytest.fixture
def changing(tmp_path, embedder) -> Server:
    """A server of a gallery that a test may change: 17 drawn pictures, one of them wrongly labelled."""
    crosses = write_folder(tmp_path / "pictures", views=4) / "signs" / "cross"
    (crosses / "wrong.png").write_bytes(encoded(picture("shapes/disc", 9)))
    run_index(Gallery.create(tmp_path / "indexes" / "drawn", embedder), tmp_path / "pictures")
    with serve(tmp_path / "indexes") as running:
        yield running


def evaluate(page: Page) -> None:
    go_to(page, "Evaluate")
    press_for_job(page, "#evaluate-button")
    expect(page.locator("#domains-table")).to_be_visible()
    expect(page.locator("#failed-queries .group-head").first).to_be_visible()


def link_text(page: Page, selector: str) -> str:
    return base64.b64decode(page.locator(selector).get_attribute("href").partition(",")[2]).decode("utf-8-sig")


def test_read_the_table_sort_it_and_take_it_home(server, open_page):
    page = open_page(server.url)
    evaluate(page)
    expect(page.locator("#evaluation")).to_contain_text("every labelled item against all others")
    rows = page.locator("#domains-table tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text("shapes")
    page.locator("#domains-table th button", has_text="Domain").click()  # once: from z to a
    expect(rows.first).to_contain_text("signs")
    expect(page.locator("#models-table tbody tr")).to_have_count(2)  # 256-d, and 64-d beside it
    table = list(csv.DictReader(io.StringIO(link_text(page, "a[download='evaluation.csv']"))))
    data = json.loads(base64.b64decode(
        page.locator("a[download='evaluation.json']").get_attribute("href").partition(",")[2]))  # fmt: skip
    assert float(table[0]["mmp5"]) == pytest.approx(data["mmp5"])
    assert f"{data['mmp5']:.3f}" in page.locator("#evaluation .tiles").inner_text()
    page.locator("#labels").get_by_text("5 labels, worst first").click()
    settle(page)
    expect(page.locator("#labels-table")).to_contain_text(EVIL)
    assert page.evaluate("window.hacked") is None


def test_a_row_a_cell_and_a_label_open_their_pictures(server, open_page):
    page = open_page(server.url)
    evaluate(page)
    title, pictures = page.locator("#part-title"), page.locator("#failed-queries")
    expect(title).to_contain_text("All queries")
    page.locator("#domains-table tr", has_text="signs").locator("td").last.click()  # wherever the row is pressed
    expect(title).to_contain_text("Queries of signs")
    expect(page.locator("#failures")).to_be_in_viewport()
    expect(pictures.locator(".card .badge", has_text="query").first).to_be_visible()
    expect(pictures.locator(".card.bad .badge", has_text="wrong").first).to_be_visible()
    page.get_by_text("Which domain takes the first hit").click()
    page.locator(".confusion [data-part]").first.click()
    expect(title).to_contain_text("whose first hit is of")
    page.locator("#labels").get_by_text("5 labels, worst first").click()
    settle(page)  # fields that have just appeared take their first value once more
    page.locator("#label-search textarea, #label-search input").fill("STRIP")
    expect(page.locator("#labels-table tbody tr")).to_have_count(1)
    expect(page.locator("#label-rows")).to_contain_text("1 label of 5")
    page.locator("#labels-table .opens").focus()
    page.keyboard.press("Enter")
    expect(title.locator("h3")).to_have_text("Label stripes in signs")
    expect(title.locator("h3")).to_be_focused()  # the keyboard goes on from there
    expect(pictures).to_contain_text("All 10 images of this label")
    pictures.locator(".card").first.focus()
    page.keyboard.press("ArrowDown")
    rows = "cards => new Set(cards.map((card) => card.getBoundingClientRect().top)).size"
    assert pictures.locator(".card").evaluate_all(rows) > 1
    first, focused = pictures.locator(".card").first.bounding_box(), page.locator(":focus").bounding_box()
    assert focused["y"] > first["y"]
    page.keyboard.press("Space")
    expect(pictures.locator(".tools")).to_contain_text("1 chosen")
    page.keyboard.press("Escape")
    title.get_by_role("button", name="All failed queries").click()
    expect(title).to_contain_text("All queries")
    page.evaluate("unifex.part({ label: 3 })")  # what no press tells
    expect(page.locator("#correction-notice")).to_contain_text("the page said what cannot be read")
    page.evaluate("unifex.mend(['drop', 'drawn', 99999, 0])")
    expect(page.locator("#correction-notice")).to_contain_text("has no item 99999")


def test_context_is_scored_beside_plain_search(server, open_page):
    page = open_page(server.url)
    go_to(page, "Evaluate")
    settle(page)
    page.locator("#evaluate-context input").check()
    page.locator("#evaluate-compare input").click()
    page.get_by_role("option", name="raw").click()
    page.locator("#evaluate-button").click()
    expect(page.locator("#models-table tbody tr")).to_have_count(4, timeout=60_000)
    expect(page.locator("#models-table")).to_contain_text("unifex-lite-4 + context")
    expect(page.locator("#evaluation")).to_contain_text("Context re-ranking changes mMP@5 here by")


def test_open_a_failure_mend_it_and_score_again(server, open_page):
    page = open_page(server.url)
    evaluate(page)
    page.locator("#failed-queries .card.bad").first.click()
    expect(page.locator("#detail-card")).to_contain_text("160 x 160 pixels")
    page.keyboard.press("Escape")
    expect(page.locator("#detail-card")).to_be_hidden()
    page.get_by_role("tab", name="Label errors").click()
    wrong = page.locator('#label-errors .card.bad[title="signs/cross/0.png"]').first
    expect(wrong).to_be_visible()
    error = page.locator("#label-errors .group-head").nth(
        page.locator("#label-errors .card.bad").evaluate_all("(cards, one) => cards.findIndex((c) => c.title === one)",
                                                              "signs/cross/0.png"))  # fmt: skip
    expect(error).to_contain_text("cross")
    error.locator("[data-act=relabel]").click()
    expect(page.locator("#correction-notice")).to_contain_text("signs/cross/0.png is 'cross'")
    expect(page.locator("#evaluation-stale")).to_contain_text("Press Evaluate to score again.")
    expect(wrong).to_have_class(re.compile("done"))
    expect(error).to_have_class(re.compile("done"))
    page.locator("#corrections-said").get_by_text("Corrections", exact=True).click()
    expect(page.locator("#corrections li")).to_have_count(1)
    address = page.locator("#corrections a").get_attribute("href")
    assert "signs/cross/0.png" in page.request.get(server.url + address).text()
    before = page.locator("#evaluation .tiles b").first.inner_text()
    page.locator("#evaluate-button").click()
    expect(page.locator("#evaluation .tiles b").first).not_to_have_text(before)
    expect(page.locator("#evaluation-stale")).to_be_empty()
    page.locator("#corrections [data-act=undo]").click()
    expect(page.locator("#correction-notice")).to_contain_text("Taken back")
    expect(page.locator("#corrections li")).to_have_count(0)


def test_a_picture_is_dimmed_as_long_as_its_correction_stands(server, open_page):
    page = open_page(server.url)
    evaluate(page)
    head = page.locator("#failed-queries .group-head").first
    head.locator("[data-act=drop]").click()
    expect(head).to_have_class(re.compile("done"))
    expect(page.locator("#failed-queries .card").first).to_have_class(re.compile("done"))
    page.locator("#corrections-said").get_by_text("Corrections", exact=True).click()
    page.locator("#corrections [data-act=undo]").click()
    expect(page.locator("#corrections li")).to_have_count(0)
    expect(head).not_to_have_class(re.compile("done"))


@pytest.mark.slow
def test_figures_of_before_a_change_say_so_wherever_it_was_made(server, open_page):
    page, other = open_page(server.url), open_page(server.url)
    evaluate(page)
    stale = page.locator("#evaluation-stale")
    expect(stale).to_be_empty()
    leave(page)
    go_to(other, "Gallery")
    other.locator("#pictures .card[data-item]").first.click()
    other.locator("#detail").get_by_text("Correct it").click()
    other.locator("#detail input[name=label]").fill("something else")
    other.locator("#detail").get_by_role("button", name="Save label").click()
    expect(other.locator("#detail .told")).to_contain_text("Label saved")
    come_back(page)
    expect(stale).to_contain_text("The gallery has changed since")
    page.locator("#corrections-said").get_by_text("Corrections", exact=True).click()
    page.locator("#corrections [data-act=undo]").click()
    expect(page.locator("#corrections li")).to_have_count(0)
    expect(stale).to_be_empty()


def test_figures_of_before_a_change_say_so_when_their_tab_is_opened(changing, open_page):
    page = open_page(changing.url)
    evaluate(page)
    go_to(page, "Gallery")
    pictures = changing.indexes.parent / "pictures"
    (pictures / "signs" / "cross" / "more.png").write_bytes(encoded(picture("signs/cross", 9)))
    run_index(Gallery.open(changing.indexes / "drawn"), pictures)  # another program
    expect(page.locator("#evaluation-stale")).to_be_empty()
    go_to(page, "Evaluate")
    expect(page.locator("#evaluation-stale")).to_contain_text("The gallery has changed since")


def test_a_change_is_told_to_who_comes_back_while_the_page_is_asking(changing, open_page):
    page, asking = open_page(changing.url), []
    go_to(page, "Gallery")
    expect(page.locator("#gallery-facts")).to_contain_text("Items17")
    settle(page)

    def hold(route: Route) -> None:
        route.continue_() if asking else asking.append((route, route.fetch()))

    page.route("**/component_server/**", hold)
    leave(page)
    with page.expect_request("**/component_server/**"):
        page.evaluate("() => { unifexJobs.poll(); }")
    while not asking:
        page.wait_for_timeout(50)
    with Gallery.open(changing.indexes / "drawn").write() as writer:  # another program
        writer.remove([1])
    come_back(page)
    route, answer = asking[0]  # of before
    route.fulfill(response=answer)
    expect(page.locator("#gallery-facts")).to_contain_text("Items16")


def test_leaving_many_items_out_asks_first(server, open_page):
    page = open_page(server.url, pictures_go=True)
    make_map(page)
    count = lasso(page)
    page.locator("#map-drop-ask").click()
    expect(page.locator("#map-actions")).to_contain_text(f"Leave {count} items out of 'drawn'?")
    expect(page.locator("#map-drop-no")).to_be_focused()
    page.locator("#map-drop-no").click()
    expect(page.locator("#map-drop-ask")).to_be_visible()
    page.locator("#map-drop-ask").click()
    expect(page.locator("#map-drop")).to_be_visible()
    lasso(page, 0.3)  # what was asked of is no longer what is chosen
    expect(page.locator("#map-drop")).to_be_hidden()
    assert len(Gallery.open(server.indexes / "drawn")) == 40


def make_map(page: Page) -> None:
    go_to(page, "Map")
    settle(page)
    if page.locator("#map-frame").is_hidden():
        press_for_job(page, "#map-button")
    expect(page.locator(".map[data-drawn='40']")).to_be_visible()
    stand_still(page)


def test_a_second_map_stays_on_coming_back_to_the_page(changing, open_page):
    page = open_page(changing.url)
    go_to(page, "Map")
    choose(page, "#map-compare", "raw")
    press_for_job(page, "#map-button")
    slider = page.locator(".map-compare")
    expect(slider).to_be_visible()
    leave(page)
    with Gallery.open(changing.indexes / "drawn").write() as writer:  # another program
        writer.tag([1], ["meanwhile"])
    with page.expect_response("**/component_server/**"):
        come_back(page)
    settle(page)
    expect(slider).to_be_visible()
    expect(page.locator("#map-compare input")).to_have_value("raw")
    page.reload()
    expect(slider).to_be_visible()
    expect(page.locator("#map-compare input")).to_have_value("raw")


@pytest.mark.slow
def test_the_map_of_the_model_before_is_shown_no_more(changing, embedder, open_page):
    finish(Library(changing.indexes).use("drawn", make_model(embedder, "other")))
    page = open_page(changing.url)
    go_to(page, "Map")
    press_for_job(page, "#map-button")
    expect(page.locator(".map[data-drawn='17']")).to_be_visible()
    go_to(page, "Train")
    page.get_by_role("button", name="Go back to 'unifex-lite-4'").click()
    expect(page.locator("#train-notice")).to_contain_text("Searching with 'unifex-lite-4' now")
    go_to(page, "Map")
    expect(page.locator("#map-status")).to_contain_text("No map of this gallery yet")
    expect(page.locator("#map-frame")).to_be_hidden()
    page.reload()
    expect(page.locator("#map-status")).to_contain_text("No map of this gallery yet")
    settle(page)
    expect(page.locator("#map-frame")).to_be_hidden()


def test_a_map_that_is_open_follows_the_model_that_another_tab_or_program_switches(changing, embedder, open_page):
    library = Library(changing.indexes)
    finish(library.use("drawn", make_model(embedder, "other")))
    page, elsewhere, facts = (open_page(changing.url) for _ in range(3))
    go_to(facts, "Gallery")
    expect(facts.locator("#gallery-facts")).to_contain_text("other")
    go_to(page, "Map")
    press_for_job(page, "#map-button")
    expect(page.locator(".map[data-drawn='17']")).to_be_visible()
    go_to(elsewhere, "Train")
    elsewhere.get_by_role("button", name="Go back to 'unifex-lite-4'").click()
    expect(page.locator("#map-status")).to_contain_text("No map of this gallery yet")
    expect(page.locator("#map-frame")).to_be_hidden()
    expect(facts.locator("#gallery-facts")).to_contain_text("unifex-lite-4")  # where the Train tab was never opened
    elsewhere.get_by_role("button", name="Go back to 'other'").click()
    expect(page.locator(".map[data-drawn='17']")).to_be_visible()
    expect(page.locator("#map-status")).to_be_empty()
    settle(page)
    leave(page)
    finish(library.use("drawn", embedder))
    come_back(page)
    expect(page.locator("#map-status")).to_contain_text("No map of this gallery yet")


@pytest.mark.slow
def test_no_second_map_stays_chosen_as_any_other_does(changing, embedder, open_page):
    run_index(Gallery.create(changing.indexes / "other", embedder), changing.indexes.parent / "pictures" / "signs")
    page = open_page(changing.url)
    go_to(page, "Map")
    choose(page, "#map-compare", "raw")
    press_for_job(page, "#map-button")
    expect(page.locator(".map-compare")).to_be_visible()
    choose(page, "#map-compare", "none")
    for tab in ("Search", "Map"):
        go_to(page, tab)
        settle(page)
    expect(page.locator("#map-compare input")).to_have_value("none")
    choose(page, "#map-gallery", "other")
    choose(page, "#map-compare", "raw")
    for gallery, chosen in (("drawn", "none"), ("other", "raw"), ("drawn", "none")):
        choose(page, "#map-gallery", gallery)
        settle(page)
        expect(page.locator("#map-compare input")).to_have_value(chosen)


def lasso(page: Page, share: float = 0.5) -> int:
    """Choose about the uppermost ``share`` of the items; how many they are.

    Of the items, not of the plot: how high a map reaches in its plot differs between processors.
    """
    box = page.locator(".map-plot .nsewdrag").first.bounding_box()
    heights = sorted(page.evaluate(HEIGHTS_JS))
    count = int(share * len(heights))
    left, right, top = box["x"] + 1, box["x"] + box["width"] - 1, box["y"] + 1
    bottom = (heights[count - 1] + heights[count]) / 2
    path = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top + 1)]
    page.mouse.move(*path[0])
    page.mouse.down()
    for x, y in path[1:]:
        page.mouse.move(x, y, steps=8)
    page.mouse.up()
    expect(page.locator("#map-chosen .chosen-head")).to_contain_text("items chosen")
    return int(page.locator("#map-chosen .chosen-head strong").inner_text().split()[0])


STAR_JS = "document.querySelector('.map-plot')?.data?.find((trace) => trace.name === 'your query')?.x[0]"


def test_click_a_point_and_land_in_search_with_its_hits(server, open_page):
    page = open_page(server.url)
    make_map(page)
    item = page.evaluate(HIGHEST_JS)
    x, y = page.evaluate(POINT_JS, item)
    page.mouse.move(x, y)
    expect(page.locator(".map-tip img")).to_be_visible()
    expect(page.locator(".map-tip")).to_contain_text(".png")
    page.mouse.click(x, y)
    expect(page.locator("#detail-card")).to_contain_text("160 x 160 pixels")
    page.locator("#search-with-this").click()
    expect(page.locator("#hits .grid[data-kind=hits] .card").first).to_be_visible()
    expect(page.locator("#search-status")).to_contain_text("among 40 items")
    go_to(page, "Map")  # the query is a star there
    page.wait_for_function(f"({STAR_JS}) !== undefined")
    settle(page)
    star, address = page.evaluate(STAR_JS), page.evaluate("location.hash.slice(1)")
    page.evaluate("(address) => unifex.go(address)", re.sub("items=[0-9]+", f"items={40 if item < 20 else 1}", address))
    page.wait_for_function(f"({STAR_JS}) !== undefined && ({STAR_JS}) !== {star}")  # by a link, with the map in view
    page.locator(".map-colour").select_option(label="first hit")
    page.wait_for_function("document.querySelector('.map-plot')?.data?.some((trace) => /^right/.test(trace.name))")
    page.locator(".map-colour").select_option(label="label")
    expect(page.locator(".map-plot .legendtext", has_text="onerror")).to_be_visible()
    assert page.evaluate("window.hacked") is None


def test_lasso_list_export_and_search_within(server, open_page):
    page = open_page(server.url)
    make_map(page)
    count = lasso(page)
    assert 0 < count < 40
    rows = list(csv.DictReader(io.StringIO(link_text(page, "#map-chosen a"))))
    assert len(rows) == count
    page.locator("#search-within").click()
    expect(page.locator("#search-everywhere")).to_contain_text(f"Searching within {count} chosen items")
    settle(page)
    page.locator("#hits .grid[data-kind=samples] .card").first.click()
    expect(page.locator("#hits .grid[data-kind=hits] .card").first).to_be_visible()
    found = page.locator("#hits .grid[data-kind=hits] .card").evaluate_all("cards => cards.map(({ title }) => title)")
    assert set(found) <= {row["path"] for row in rows}
    page.locator("#search-everywhere").click()
    expect(page.locator("#search-everywhere")).to_be_hidden()


def test_a_query_that_is_not_in_the_gallery_says_so(server, open_page):
    page = open_page(server.url)
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8))
    drop(page, "#query-image button", {"noise.png": encoded(noise)})
    expect(page.locator("#search-status")).to_contain_text("Probably not in this gallery")
    page.get_by_text("Hits, copies, similarity").click()
    choose(page, "#search-trust", "Only matches I can trust at 5 % false accepts")
    expect(page.locator("#search-status")).to_contain_text("No match that can be trusted")


def test_the_phone_shows_both_tabs_without_sideways_scrolling(server, open_page):
    page = open_page(server.url, **PHONE)
    evaluate(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.evaluate("document.documentElement.scrollHeight") < 4000  # lists scroll by themselves
    page.locator("#domains-table .opens").first.tap()
    expect(page.locator("#part-title h3")).to_be_in_viewport()
    make_map(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


OF_COLOURS = {"runOnly": ["color-contrast", "link-in-text-block"]}
DARK_JS = "(dark) => document.body.classList.toggle('dark', dark)"
RUN_AXE_JS = "([within, options]) => axe.run(within ?? document, options).then(({ violations }) => violations)"
AT_REST_JS = """() => document.getAnimations().every(
  (one) => one.playState !== 'running' || one.effect.getComputedTiming().iterations === Infinity)"""


def test_every_tab_with_its_results_passes_axe(server, open_page):
    """All of axe-core's rules, Gradio's own markup included; those of colours in the dark, too. What opens on a page
    that was looked at is looked at alone."""
    page = open_page(server.url)
    page.evaluate(Axe().axe_script)

    def check(where: str, within: str | None = None) -> None:
        for dark, rules in ((True, OF_COLOURS), (False, {})):
            page.evaluate(DARK_JS, dark)
            page.wait_for_function(AT_REST_JS)  # what fades in has its colour then
            found = page.evaluate(RUN_AXE_JS, [within, {"resultTypes": ["violations"], **rules}])
            told = [(one["id"], node["html"][:150], node["failureSummary"]) for one in found for node in one["nodes"]]
            assert not told, (where, dark, told)

    page.locator("#search-button").click()
    expect(page.locator("#search-status .note.warning")).to_be_visible()
    page.locator("#hits .card").first.click()
    expect(first_hit(page)).to_be_visible()
    page.get_by_text("More images of the same thing").click()
    page.get_by_text("Hits, copies, similarity").click()
    page.once("dialog", lambda asked: asked.accept("discs"))
    page.get_by_role("button", name="Save search").click()
    expect(page.locator("#searches .saved li").first).to_be_visible()
    expect(page.locator("#searches .recent li").first).to_be_visible()
    check("Search")
    first_hit(page).click()
    page.locator("#correct").get_by_text("Correct it").click()
    check("large view", "#detail")
    page.keyboard.press("Escape")
    go_to(page, "Gallery")
    drop(page, "#drop .drop", {"no image.png": b"x"})
    expect(page.locator("#index-outcome .note")).to_contain_text("No images found")
    open_all(page)
    settle(page)  # fields that have just appeared take their first value once more
    page.locator("#remove-paths textarea").fill("signs/cross/0.png")
    page.locator("#remove-button-ask").click()
    expect(page.locator("#remove-button")).to_be_visible()
    check("Gallery")
    page.locator("#pictures .card .pick").first.click()
    page.locator("#pictures .tools .further > summary").click()
    page.locator("#pictures .tools .formats > summary").click()
    check("what can be done with chosen items", "#pictures")
    page.locator("#pictures [data-do=tag]").click()
    expect(page.locator("dialog.ask")).to_be_visible()
    check("a question", "dialog.ask")
    page.keyboard.press("Escape")
    evaluate(page)
    page.locator("#labels").get_by_text("labels, worst first").click()
    page.get_by_text("Which domain takes the first hit").click()
    page.locator("#failed-queries [data-act=drop]").first.click()
    expect(page.locator("#failed-queries .group-head.done")).to_have_count(1)
    page.locator("#corrections-said").get_by_text("Corrections", exact=True).click()
    check("Evaluate")
    for listed in ("Label errors", "Near-copies"):
        page.get_by_role("tab", name=listed).click()
        check(listed, "#failures")
    page.locator("#corrections [data-act=undo]").click()
    expect(page.locator("#corrections li")).to_have_count(0)
    make_map(page)
    lasso(page)
    page.locator("#map-drop-ask").click()
    expect(page.locator("#map-drop")).to_be_visible()
    check("Map")
    go_to(page, "Train")
    expect(page.locator("#train-data .tiles")).to_be_visible()
    open_all(page)
    check("Train")


def test_a_public_server_measures_but_corrects_nothing(server, open_page, tmp_path):
    import shutil

    shutil.copytree(server.indexes, tmp_path / "indexes")
    with serve(tmp_path / "indexes", "--public") as public:
        page = open_page(public.url)
        evaluate(page)
        expect(page.locator("#failed-queries [data-act]")).to_have_count(0)
        page.evaluate("unifex.mend(['drop', 'drawn', 1, 0])")  # a stranger who makes the button that is not there
        expect(page.locator("#correction-notice")).to_contain_text("is read-only")
        page.close()
    assert len(Gallery.open(tmp_path / "indexes" / "drawn")) == 40
