"""The program's own boxes, and when a part is searched with rather than the whole."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageDraw

from tests.support.drawing import LABELS, encoded, picture
from unifex.core.regions import Region
from unifex.models.embedder import Crop
from unifex.retrieval.filters import Filters
from unifex.retrieval.proposals import MAX_PROPOSALS, propose
from unifex.retrieval.search import search
from unifex.retrieval.suggestions import suggest


def overlap(a: Region, b: Region) -> float:
    """Intersection over union, by counting the points of a fine grid."""
    points = (np.arange(1000) + 0.5) / 1000
    inside = [np.outer((r.y <= points) & (points < r.y + r.h), (r.x <= points) & (points < r.x + r.w)) for r in (a, b)]
    return float((inside[0] & inside[1]).sum() / (inside[0] | inside[1]).sum())


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


def test_a_part_is_suggested_where_the_whole_finds_nothing(gallery, tmp_path):
    screen = Image.new("RGB", (400, 700), "navy")
    screen.paste(picture("signs/cross", 3, 160).resize((320, 320)), (40, 180))
    data = encoded(screen)
    found = search(gallery, [data], 5)
    nothing = replace(found, hits=[], out_of_gallery=True)
    part = suggest(gallery, data, nothing, 5)
    assert part
    assert part.result.hits == search(gallery, [Crop(data, part.region)], 5).hits
    assert part.result.hits[0].path == "signs/cross/3.png"
    (tmp_path / "screen.png").write_bytes(data)
    for same in (screen, tmp_path / "screen.png"):
        assert suggest(gallery, same, nothing, 5).region == part.region
    assert suggest(gallery, data, replace(found, out_of_gallery=False), 5) is None
    assert suggest(gallery, Crop(data, part.region), nothing, 5) is None


def test_plain_queries_stay_whole(gallery):
    for label in LABELS:
        data = encoded(picture(label, 2))
        assert suggest(gallery, data, search(gallery, [data])) is None
        filters = Filters(domains=(label.split("/")[0],))  # what is to be trusted is not told of a part of a gallery
        assert suggest(gallery, data, search(gallery, [data], 10, filters), 10, filters) is None
