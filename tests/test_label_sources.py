"""Who has a say in labels: the folder, its parts, archives and lists, whichever is indexed last."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from tests.support.drawing import encoded, picture
from tests.support.galleries import run_index
from tests.support.reindexing import counts, items, labels, zipped
from unifex.gallery import bundle
from unifex.gallery.gallery import Gallery
from unifex.gallery.known_sources import forget
from unifex.gallery.library import Library

PARTS = ["shapes", "shapes/disc", "shapes/disc/0.png", "deep", "deep/cars", "deep/cars/audi", "deep/cars/audi/a4"]


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("how", ["path", "zip"])
def test_a_part_takes_no_label_from_the_whole(tmp_path, folder, embedder, part, how):
    deep = folder / "deep/cars/audi/a4"
    deep.mkdir(parents=True)
    (deep / "1.png").write_bytes(encoded(picture("shapes/disc", 70)))
    whole = Gallery.create(tmp_path / "whole", embedder)
    run_index(whole, folder)
    before = labels(whole)
    source = folder / part
    if how == "zip":
        source = zipped(source, tmp_path / "part.zip") if source.is_dir() else source
    report = run_index(whole, source)
    assert counts(report)[::2] == (0, 0, 0)
    assert report.relabelled == 0
    assert labels(whole) == before
    reverse = Gallery.create(tmp_path / "reverse", embedder)
    run_index(reverse, source)
    report = run_index(reverse, folder)
    if how == "path":  # a zip and the folder of it are two places
        assert labels(reverse) == before
        assert report.relabelled == report.skipped
        run_index(reverse, source)
        assert labels(reverse) == before


def test_a_zip_of_a_part_first_and_of_the_whole_later(tmp_path, folder, embedder):
    gallery = Gallery.create(tmp_path / "g", embedder)
    run_index(gallery, zipped(folder / "shapes", tmp_path / "part.zip"))
    report = run_index(gallery, zipped(folder, tmp_path / "whole.zip"))
    assert (report.added, report.skipped, report.relabelled) == (12, 12, 12)
    assert labels(gallery)["shapes/disc/0.png"] == ("shapes", "disc")


def test_a_list_and_a_folder_each_say_what_they_know(gallery, folder):
    table = folder / "list.csv"
    table.write_text("path,label\nshapes/disc/0.png,ball\nshapes/disc/1.png,\n")
    assert run_index(gallery, table).relabelled == 1
    for _ in range(2):  # indexing the folder again does not take it back
        found = labels(gallery)
        assert (found["shapes/disc/0.png"], found["shapes/disc/1.png"]) == (("shapes", "ball"), ("shapes", "disc"))
        assert run_index(gallery, folder).relabelled == 0
    table.write_text("path,label\nshapes/disc/0.png,\nshapes/disc/1.png,moon\n")
    assert run_index(gallery, table).relabelled == 2
    assert labels(gallery)["shapes/disc/0.png"] == ("shapes", "disc")
    assert forget(gallery, str(table)) == 0
    assert labels(gallery)["shapes/disc/1.png"] == ("shapes", "disc")


def further(gallery: Gallery) -> dict[str, dict[str, str]]:
    """Further columns by path, of the items that have some."""
    records = gallery.records(gallery.snapshot().columns.ids)
    return {record.path: dict(record.labels.extra) for record in records if record.labels.extra}


def test_further_columns_come_from_every_list_and_stay_with_the_item(gallery, folder, tmp_path):
    ours, theirs = folder / "list.csv", folder / "prices.csv"
    ours.write_text("path,taken by,year\nshapes/disc/0.png,Ann,1999\nshapes/disc/1.png,,\n")
    theirs.write_text("path,price,year\nshapes/disc/0.png,7,\n")
    reports = [run_index(gallery, place) for place in (ours, theirs, folder)]
    assert [report.relabelled for report in reports] == [0, 0, 0]  # labels are the same
    both = {"shapes/disc/0.png": {"taken by": "Ann", "year": "1999", "price": "7"}}
    assert further(gallery) == both
    (folder / "shapes").rename(folder / "forms")
    run_index(gallery, folder)
    assert further(gallery) == {"forms/disc/0.png": both["shapes/disc/0.png"]}
    forget(gallery, str(ours))
    assert further(gallery) == {"forms/disc/0.png": {"price": "7"}}
    list(bundle.pack(gallery, tmp_path / "packed.zip"))
    list(bundle.unpack(tmp_path / "packed.zip", "unpacked", Library(tmp_path / "other")))
    assert further(Gallery.open(tmp_path / "other" / "unpacked")) == {"forms/disc/0.png": {"price": "7"}}


def test_a_changed_file_keeps_what_a_list_said_of_it(gallery, folder):
    (folder / "list.csv").write_text("path,label\nshapes/disc/0.png,ball\n")
    run_index(gallery, folder / "list.csv")
    (folder / "shapes/disc/0.png").write_bytes(encoded(picture("shapes/disc", 90)))
    assert run_index(gallery, folder).added == 1
    assert labels(gallery)["shapes/disc/0.png"] == ("shapes", "ball")


def test_a_list_that_moved_is_one_source(gallery, folder, tmp_path):
    (folder / "list.csv").write_text("path,label\nshapes/disc/0.png,ball\n")
    run_index(gallery, folder / "list.csv")
    folder.rename(tmp_path / "moved")
    assert run_index(gallery, tmp_path / "moved").moved == 24
    assert labels(gallery)["shapes/disc/0.png"] == ("shapes", "ball")  # until its list is found, what it said holds
    (tmp_path / "moved/list.csv").write_text("path,label\nshapes/disc/0.png,\n")
    assert run_index(gallery, tmp_path / "moved/list.csv").relabelled == 1
    assert labels(gallery)["shapes/disc/0.png"] == ("shapes", "disc")
    assert [Path(known.spec).name for known in gallery.sources()] == ["moved", "list.csv"]


def test_a_zip_of_what_is_there_changes_no_name(gallery, folder, tmp_path):
    before = items(gallery)
    with zipfile.ZipFile(tmp_path / "whole.zip", "w") as archive:
        for path in sorted(folder.rglob("*.png")):
            archive.write(path, path.relative_to(folder.parent).as_posix())
    assert counts(run_index(gallery, tmp_path / "whole.zip")) == (0, 24, 0, 0, 0)
    assert items(gallery) == before
