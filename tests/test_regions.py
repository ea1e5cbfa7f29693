"""A part of a picture: the box itself, decoding it, and searching with it."""

import itertools
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.support.drawing import encoded, picture
from unifex.core import images
from unifex.core.errors import UnifexError
from unifex.core.regions import MAX_REGIONS, WHOLE, Region, RegionError
from unifex.gallery.gallery import GalleryError
from unifex.models.image_like import Crop
from unifex.retrieval.query import Query
from unifex.retrieval.search import search

SHARES = st.integers(0, 999_999)


@st.composite
def regions(draw):
    x, y = draw(SHARES), draw(SHARES)
    w, h = draw(st.integers(1, 10**6 - x)), draw(st.integers(1, 10**6 - y))
    return Region(x / 1e6, y / 1e6, w / 1e6, h / 1e6)


@given(regions())
def test_what_is_written_is_read_again(region):
    assert Region.parse(str(region)) == region


@given(st.lists(regions(), max_size=5), st.sampled_from([" ", ";", "; ", "\n"]))
def test_several_are_read_again(several, between):
    assert Region.parse_all(between.join(map(str, several))) == tuple(several)


@given(regions(), st.tuples(st.integers(1, 5000), st.integers(1, 5000)))
def test_pixels_are_within_the_picture_and_never_none(region, size):
    left, upper, right, lower = region.pixels(size)
    assert 0 <= left < right <= size[0]
    assert 0 <= upper < lower <= size[1]
    for edge, share, side in ((left, region.x, size[0]), (lower, region.y + region.h, size[1])):
        assert abs(edge - share * side) <= 1.5  # rounded, and at least one pixel


@given(st.data())
def test_whole_pixels_stay_what_they_are(data):
    width, height = data.draw(st.integers(1, 5000)), data.draw(st.integers(1, 5000))
    left, upper = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    box = (left, upper, data.draw(st.integers(left + 1, width)), data.draw(st.integers(upper + 1, height)))
    assert Region.of_pixels(box, (width, height)).pixels((width, height)) == box


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "must be 0.0 to 1.0 of the picture, not ''"),
        ("0.1,0.2,0.3", "a box is x,y,width,height"),
        ("0,0,1,1,1", "a box is x,y,width,height"),
        ("0,0,a,1", "each of a box's x, y, width and height must be 0.0 to 1.0"),
        ("nan,0,1,1", "must be 0.0 to 1.0"),
        ("0,inf,1,1", "must be 0.0 to 1.0"),
        ("-0.1,0,1,1", "must be 0.0 to 1.0"),
        ("10,20,300,400", "must be 0.0 to 1.0 of the picture, not '10'"),
        ("0,0,0,1", "width and height must be more than 0"),
        ("0.5,0,0.6,1", "reaches over the picture"),
        ("0,0.5,1,0.6", "reaches over the picture"),
    ],
)
def test_what_is_no_box(text, sentence):
    with pytest.raises(UnifexError, match=re.escape(sentence)):
        Region.parse(text)


def test_sums_that_floats_do_not_give_exactly():
    assert Region(0.7, 0.1, 0.3, 0.9).pixels((10, 10)) == (7, 1, 10, 10)


def test_the_region_of_a_file_has_the_pixels_of_the_file():
    rng = np.random.default_rng(0)
    whole = rng.integers(0, 256, (90, 140, 3), np.uint8)
    part = images.decode(encoded(Image.fromarray(whole)), region=Region.of_pixels((20, 10, 77, 60), (140, 90)))
    assert (part.width, part.height) == (57, 50)
    assert (np.asarray(part.image) == whole[10:60, 20:77]).all()


def test_coordinates_are_of_the_upright_picture():
    turned = Image.new("RGB", (40, 20), "blue")
    turned.paste("red", (0, 0, 10, 20))  # the left quarter: turned by a quarter to the right, it is the upper one
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(turned, exif=exif)
    upper, lower = (images.decode(data, region=Region(0, y, 1, 0.25)) for y in (0, 0.75))
    assert (upper.width, upper.height) == (20, 10)
    assert [part.image.getpixel((5, 5)) for part in (upper, lower)] == [(255, 0, 0), (0, 0, 255)]


def test_a_small_region_of_a_large_jpeg_keeps_its_pixels():
    data = encoded(picture("signs/stripes", 1, 1600), "JPEG", quality=95)
    small = images.decode(data, 100, Region(0.5, 0.5, 0.125, 0.25))
    assert small.image.size == (100, 200)
    assert max(images.decode(data, 100).image.size) <= 200
    large = images.decode(data, 100, Region(0.25, 0.25, 0.5, 0.5))
    assert (large.width, large.height) == (800, 800)
    assert 100 <= min(large.image.size) <= 400


def test_a_region_that_is_too_thin():
    with pytest.raises(images.ImageError, match="too thin"):
        images.decode(encoded(Image.new("RGB", (400, 400))), region=Region(0, 0, 1, 0.001))


BOXES = [(0, 0, 80, 80), (40, 30, 160, 160), (80, 10, 120, 150)]


@pytest.mark.parametrize("box", BOXES)
def test_searching_with_a_region_is_searching_with_the_crop(gallery, tmp_path, box):
    whole = picture("signs/cross", 50)
    (tmp_path / "whole.png").write_bytes(encoded(whole))
    crop, region = encoded(whole.crop(box)), Region.of_pixels(box, whole.size)
    expected = search(gallery, [crop], 24)
    for shown in (tmp_path / "whole.png", encoded(whole), whole):
        for query in (Query((shown,), regions=(region,)), [Crop(shown, region)]):
            assert search(gallery, query, 24).hits == expected.hits


def test_several_regions_are_several_images(gallery):
    whole = picture("shapes/disc", 50)
    crops = [encoded(whole.crop(box)) for box in BOXES]
    parts = tuple(Region.of_pixels(box, whole.size) for box in BOXES)
    assert search(gallery, Query((encoded(whole),), regions=parts), 24).hits == search(gallery, crops, 24).hits
    other = encoded(picture("signs/cross", 51))
    both = Query((encoded(whole), other), regions=parts[:1])
    cut = [crops[0], encoded(picture("signs/cross", 51).crop(BOXES[0]))]
    assert search(gallery, both, 24).hits == search(gallery, cut, 24).hits


def test_the_whole_box_is_the_image(gallery):
    data = encoded(picture("shapes/disc", 50))
    assert search(gallery, Query((data,), regions=(WHOLE,)), 24).hits == search(gallery, [data], 24).hits


def test_a_region_of_an_item_is_one_of_its_image(gallery, folder):
    item, box = gallery.item_at("signs/cross/3.png"), BOXES[1]
    found = search(gallery, Query(items=(item.id,), regions=(Region.of_pixels(box, (160, 160)),)), 24)
    crop = encoded(picture("signs/cross", 3).crop(box))
    expected = [hit for hit in search(gallery, [crop], 24).hits if hit.record.id != item.id]
    assert [(hit.path, hit.score) for hit in found.hits] == [(hit.path, hit.score) for hit in expected]
    (folder / item.path).unlink()
    assert search(gallery, Query(items=(item.id,)), 5).hits
    with pytest.raises(GalleryError, match="no longer there"):
        search(gallery, Query(items=(item.id,), regions=(WHOLE,)))


def test_too_many_regions_and_nothing_to_cut():
    many = tuple(itertools.repeat(WHOLE, MAX_REGIONS + 1))
    with pytest.raises(RegionError, match="at most 16 boxes, not 17"):
        Query((b"x",), regions=many)
    with pytest.raises(RegionError, match="give the image, too"):
        Query(text="a dog", regions=(WHOLE,))
