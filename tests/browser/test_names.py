"""Names that are longer than their cards keep how they begin and how they end, whatever room there is."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.support.browsing import PHONE, go_to, stand_still
from tests.support.drawing import encoded, picture
from tests.support.galleries import run_index
from tests.support.serving import Server, serve
from unifex.gallery.gallery import Gallery

pytestmark = pytest.mark.browser
LABELS = (
    "caltech101-of-the-first-half-accordion-{}",
    "Ünïcødé & further words of some length, view {}",
    "WWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWW{}",
    "short {}",
    "animals_of-the/hedgehogBristle{}",
)


@pytest.fixture(scope="module")
def server(tmp_path_factory, embedder) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("names")
    rows = ["path,label,domain"]
    for view in range(24):
        (root / f"{view}.png").write_bytes(encoded(picture("signs/cross", view)))
        rows.append(f'{view}.png,"{LABELS[view % len(LABELS)].format(view)}",signs')
    (root / "list.csv").write_text("\n".join(rows))
    run_index(Gallery.create(root / "indexes" / "drawn", embedder), root / "list.csv")
    with serve(root / "indexes") as running:
        yield running


WRONG_JS = """(place) => [...document.querySelectorAll(`${place} .card[data-item] .name`)].filter((name) => {
  const [begin, end] = name.textContent.split('…'), cut = end !== undefined;
  const holds = cut ? begin.length > 1 && end.length > 1 && name.title.startsWith(begin) && name.title.endsWith(end)
    : name.textContent === name.title;
  const whole = name.classList.contains('broken') || [...name.childNodes].every((part) => {  // lines end where words do
    const range = document.createRange();
    range.selectNodeContents(part);
    return range.getClientRects().length < 2;
  });
  return !holds || !whole || name.scrollWidth > name.clientWidth || name.scrollHeight > name.clientHeight + 1;
}).map((name) => `${name.title} -> ${name.textContent}`)"""


def wrong(page: Page, place: str) -> list[str]:
    expect(page.locator(f"{place} .card[data-item]").nth(3)).to_be_attached()
    stand_still(page)
    return page.evaluate(WRONG_JS, place)


def test_a_name_is_parted_where_its_words_are(server, open_page):
    page = open_page(server.url)
    go_to(page, "Gallery")
    assert not wrong(page, "#pictures")
    parted = page.locator("#pictures .name[title^=animals_of]").first
    expect(parted).not_to_have_class(re.compile("broken"))
    assert parted.evaluate("(name) => [...name.childNodes].map((part) => part.textContent || '|').join('')").startswith(
        "animals_|of-|the/|hedgehog|Bristle"
    )


@pytest.mark.parametrize("screen", [{}, PHONE], ids=["desk", "phone"])
def test_names_keep_their_ends(server, open_page, screen):
    page = open_page(server.url, **screen)
    assert not wrong(page, "#hits")
    page.locator("#hits .card").first.click()
    expect(page.locator("#hits .grid[data-kind=hits] .card").first).to_be_visible()
    assert not wrong(page, "#hits")
    page.locator("#hits .card").first.click()
    expect(page.locator("#detail .strip-of .card").first).to_be_visible()
    assert not wrong(page, "#detail .strip-of")
    page.locator("#close-detail").click()
    go_to(page, "Gallery")
    assert not wrong(page, "#pictures")
    page.locator("#pictures .size input").press("Home")
    assert not wrong(page, "#pictures")


def test_names_fit_when_the_page_is_made_larger(server, open_page):
    page = open_page(server.url)
    assert not wrong(page, "#hits")
    page.set_viewport_size({"width": 640, "height": 450})  # zoomed to twice its size
    assert not wrong(page, "#hits")
    go_to(page, "Gallery")
    assert not wrong(page, "#pictures")
    page.set_viewport_size({"width": 1280, "height": 900})
    assert not wrong(page, "#pictures")
