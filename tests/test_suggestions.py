"""The program's own boxes, and when a part is searched with rather than the whole."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from tests.support.drawing import LABELS, encoded, picture
from tests.support.galleries import run_index
from unifex.core.regions import Region
from unifex.gallery.gallery import Gallery
from unifex.models.image_like import Crop
from unifex.retrieval.filters import Filters
from unifex.retrieval.proposals import MAX_PROPOSALS, WINDOW, propose, windows
from unifex.retrieval.search import search
from unifex.retrieval.suggestions import may_be_better, suggest


def overlap(a: Region, b: Region) -> float:
    """Intersection over union."""
    across, down = (min(a.x + a.w, b.x + b.w) - max(a.x, b.x)), (min(a.y + a.h, b.y + b.h) - max(a.y, b.y))
    shared = max(0, across) * max(0, down)
    return shared / (a.w * a.h + b.w * b.h - shared)


def screenshot(photograph: Image.Image) -> tuple[Image.Image, Region]:
    screen = Image.new("RGB", (540, 1170), "white")
    shown = photograph.resize((500, 360))
    screen.paste(shown, (20, 300))
    draw = ImageDraw.Draw(screen)
    for y in (20, 120, 160, 760, 800, 840):
        draw.text((20, y), "some words that stand around a picture", "black", font_size=24)
    return screen, Region.of_pixels((20, 300, 520, 660), screen.size)


def test_the_picture_of_a_screenshot(photographs):
    for photograph in photographs:
        screen, region = screenshot(photograph)
        assert max(overlap(found.region, region) for found in propose(screen)) > 0.9
        assert propose(encoded(screen)) == propose(screen)


@pytest.mark.parametrize("gap", [8, 16])
def test_the_panels_of_a_collage(photographs, gap):
    sheet, regions = Image.new("RGB", (800 + gap, 600 + gap), "white"), []
    for place, photograph in enumerate(photographs[:4]):
        left, upper = (place % 2) * (400 + gap), (place // 2) * (300 + gap)
        sheet.paste(photograph.resize((400, 300)), (left, upper))
        regions.append(Region.of_pixels((left, upper, left + 400, upper + 300), sheet.size))
    found = propose(sheet)
    assert all(max(overlap(part.region, region) for part in found) > 0.85 for region in regions)


def test_letterboxes(photographs):
    wide = Image.new("RGB", (640, 640), "black")
    wide.paste(photographs[3].resize((640, 400)), (0, 120))
    assert overlap(propose(wide)[0].region, Region(0, 0.1875, 1, 0.625)) > 0.9


def test_they_are_few_and_always_the_same(photographs):
    for image in (*photographs, Image.new("RGB", (1, 1)), Image.new("RGB", (3000, 30)), Image.new("RGB", (300, 300))):
        found = propose(image)
        assert len(found) <= MAX_PROPOSALS
        assert found == propose(image)
    assert propose(Image.new("RGB", (300, 300), "grey")) == []


@settings(deadline=None)
@given(st.integers(400, 3000), st.integers(400, 3000), st.floats(0.35, 0.6), st.floats(0, 1), st.floats(0, 1))
def test_windows_cover_what_may_be_anywhere(width, height, share, across, down):
    side = min(width, height, share * (width * height) ** 0.5)  # what is longer than 8 to 1 has fewer, wider apart
    thing = Region(across * (1 - side / width), down * (1 - side / height), side / width, side / height)
    parts = windows((width, height))
    assert len(parts) <= 48
    assert max(overlap(part.region, thing) for part in parts) > 0.3


def test_a_round_thing_among_others(tmp_path, embedder, photographs):
    (tmp_path / "photographs").mkdir()
    for number, photograph in enumerate(photographs):
        photograph.save(tmp_path / "photographs" / f"{number}.png")
    gallery = Gallery.create(tmp_path / "g", embedder)
    run_index(gallery, tmp_path / "photographs")
    shelf, thing = Image.new("RGB", (800, 600), "wheat"), photographs[3].resize((280, 240))
    for place, label in enumerate([*LABELS] * 3):
        shelf.paste(picture(label, place, 120), (place % 4 * 190 + 20, place // 4 * 190 + place % 3 * 20))
    shape = Image.new("L", thing.size)
    ImageDraw.Draw(shape).ellipse((0, 0, 280, 240), 255)
    shelf.paste(thing, (330, 210), shape)
    part = suggest(gallery, encoded(shelf), search(gallery, [encoded(shelf)]))
    assert part
    assert part.result.hits[0].path == "3.png"
    assert part.reason == WINDOW
    assert overlap(part.region, Region.of_pixels((330, 210, 610, 450), shelf.size)) > 0.5


def test_a_part_is_suggested_where_the_whole_finds_nothing(gallery, tmp_path):
    screen = Image.new("RGB", (400, 700), "navy")
    screen.paste(picture("signs/cross", 3, 160).resize((320, 320)), (40, 180))
    data = encoded(screen)
    found = search(gallery, [data], 5)
    nothing = replace(found, hits=[], best=-1.0, out_of_gallery=True)
    part = suggest(gallery, data, nothing, 5)
    assert part
    assert part.result.hits == search(gallery, [Crop(data, part.region)], 5).hits
    assert part.result.hits[0].path == "signs/cross/3.png"
    (tmp_path / "screen.png").write_bytes(data)
    for same in (screen, tmp_path / "screen.png"):
        assert suggest(gallery, same, nothing, 5).region == part.region
    assert suggest(gallery, data, replace(nothing, out_of_gallery=False), 5).region == part.region
    assert suggest(gallery, Crop(data, part.region), nothing, 5) is None


def test_plain_queries_stay_whole(gallery):
    for label in LABELS:
        data = encoded(picture(label, 2))
        assert suggest(gallery, data, search(gallery, [data])) is None
        filters = Filters(domains=(label.split("/")[0],))  # what is to be trusted is not told of a part of a gallery
        assert suggest(gallery, data, search(gallery, [data], 10, filters), 10, filters) is None


def test_parts_are_ahead_of_what_the_whole_finds_whatever_hits_have_to_be(gallery):
    """A least similarity, or trust, leaves nothing of what the whole finds: that is no reason to look for parts."""
    data = encoded(picture("signs/cross", 77))
    best = search(gallery, [data], 1).hits[0].score
    assert best < 1
    filters = Filters(min_score=best + 1e-4)
    whole = search(gallery, [data], 10, filters)
    assert whole.hits == []
    assert whole.best == best
    assert not may_be_better(whole)
    assert suggest(gallery, data, whole, 10, filters) is None


def test_nothing_is_suggested_where_there_is_nothing_to_find(gallery, tmp_path, embedder):
    data = encoded(picture("signs/cross", 2))
    ids = frozenset(gallery.snapshot().columns.ids.tolist())
    empty = Gallery.create(tmp_path / "empty", embedder)
    for among, filters in (
        (empty, Filters()),
        (gallery, Filters(exclude=ids)),
        (gallery, Filters(exclude=ids, min_score=0.5)),
    ):
        whole = search(among, [data], 10, filters)
        assert whole.hits or suggest(among, data, whole, 10, filters) is None
