"""Tags: put on items, taken away, searched by; they stay with an image wherever it goes."""

import shutil
import sqlite3
from contextlib import closing

import pytest

from tests.support.galleries import run_index
from unifex.core import metadata
from unifex.core.errors import UnifexError
from unifex.core.progress import finish
from unifex.gallery import bundle, tags
from unifex.gallery.library import Library
from unifex.retrieval.facets import facets
from unifex.retrieval.filters import Filters
from unifex.retrieval.query import Query
from unifex.retrieval.search import search


def tag(gallery, text, *paths):
    with gallery.write() as writer:
        writer.tag([gallery.item_at(path).id for path in paths], tags.parse(text))


def tagged(gallery) -> dict[str, tuple[str, ...]]:
    records = gallery.records(gallery.snapshot().columns.ids)
    return {record.path: record.tags for record in records if record.tags}


def test_put_on_searched_by_counted_and_taken_away(gallery):
    tag(gallery, "to  print, best", "shapes/disc/0.png", "signs/cross/1.png")
    tag(gallery, "best", "shapes/disc/1.png", "shapes/disc/0.png")
    assert gallery.tags() == {"best": 3, "to print": 2}
    assert gallery.item_at("shapes/disc/0.png").tags == ("best", "to print")
    query = Query(items=(gallery.item_at("shapes/disc/1.png").id,))
    hits = search(gallery, query, 10, Filters(tags=("to print",))).hits
    assert {hit.path: hit.as_json()["tags"] for hit in hits} == {
        path: ["best", "to print"] for path in ("shapes/disc/0.png", "signs/cross/1.png")
    }
    (facet,) = [facet for facet in facets(gallery, Filters(domains=("shapes",), tags=("best",))) if facet.name == "tag"]
    assert dict(facet.counts) == {"best": 2, "to print": 1}
    with gallery.write() as writer:
        writer.untag([gallery.item_at("shapes/disc/0.png").id], ["best", "unknown"])
    assert tagged(gallery)["shapes/disc/0.png"] == ("to print",)
    with pytest.raises(UnifexError, match=r"no tag 'bset' in gallery .* there are: best, to print"):
        Filters(tags=("bset",)).check_known(gallery)


def test_they_stay_with_an_image_and_end_with_it(gallery, folder):
    tag(gallery, "seen", "shapes/disc/0.png", "shapes/disc/1.png")
    run_index(gallery, folder)
    (folder / "elsewhere").mkdir()
    (folder / "shapes/disc/0.png").rename(folder / "elsewhere/moved.png")
    changed = (folder / "shapes/disc/1.png").read_bytes()
    (folder / "shapes/disc/1.png").write_bytes((folder / "signs/cross/0.png").read_bytes())
    run_index(gallery, folder, prune=True)
    assert tagged(gallery) == {"elsewhere/moved.png": ("seen",)}
    (folder / "shapes/disc/1.png").write_bytes(changed)  # as it was
    run_index(gallery, folder)
    assert tagged(gallery) == {"elsewhere/moved.png": ("seen",), "shapes/disc/1.png": ("seen",)}
    with gallery.write() as writer:
        writer.remove([gallery.item_at("shapes/disc/1.png").id])
    assert gallery.tags() == {"seen": 1}
    run_index(gallery, folder)
    assert tagged(gallery)["shapes/disc/1.png"] == ("seen",)


def test_one_of_two_equal_files_can_be_tagged_alone(gallery, folder):
    shutil.copy(folder / "shapes/disc/0.png", folder / "shapes/disc/copy.png")
    run_index(gallery, folder)
    tag(gallery, "spare", "shapes/disc/copy.png")
    assert tagged(gallery) == {"shapes/disc/copy.png": ("spare",)}


def test_they_travel_with_the_gallery(gallery, tmp_path):
    tag(gallery, "seen, best", "shapes/disc/0.png")
    finish(bundle.pack(gallery, tmp_path / "packed.zip"))
    unpacked = finish(bundle.unpack(tmp_path / "packed.zip", "unpacked", Library(tmp_path / "other")))
    assert tagged(unpacked) == {"shapes/disc/0.png": ("best", "seen")}


def test_a_foreign_bundle_with_a_tag_that_is_none_is_refused(gallery, tmp_path):
    tag(gallery, "seen", "shapes/disc/0.png")
    with closing(sqlite3.connect(gallery.folder / "items.sqlite")) as database, database:
        database.execute("UPDATE tags SET tag = ?", ("a\nb, c",))
    with pytest.raises(UnifexError, match="tags: the tag"):
        finish(bundle.pack(gallery, tmp_path / "packed.zip"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (" , ", "name the tag"),
        ("x" * 61, "longer than 60"),
        (",".join(map(str, range(11))), "at most 10 tags at once"),
    ],
)
def test_what_is_no_tag_is_refused(text, said):
    with pytest.raises(UnifexError, match=said):
        tags.parse(text)


def test_an_item_has_so_many_and_no_more(gallery):
    for start in range(0, tags.MOST, 10):
        tag(gallery, ",".join(map(str, range(start, start + 10))), "shapes/disc/0.png")
    with pytest.raises(UnifexError, match="at most 50 tags"):
        tag(gallery, "one more", "shapes/disc/0.png")
    assert len(gallery.tags()) == tags.MOST


@pytest.mark.parametrize("text", ["north sea", "north\nsea", " north \r\n\tsea\u2028", "north\x0bsea"])
def test_where_one_breaks_its_line_it_has_a_space(text):
    assert tags.parse(text) == metadata.keywords([text]) == ("north sea",)
