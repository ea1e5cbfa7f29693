"""When a camera took a picture is a further column, read while it is indexed, or of what is there by its header."""

from __future__ import annotations

import io
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest
from PIL import ExifTags, Image

from tests.support.drawing import picture
from tests.support.galleries import run_index
from unifex.core import images, metadata
from unifex.core.progress import finish
from unifex.gallery import bundle, picking
from unifex.gallery.gallery import Gallery
from unifex.gallery.library import Library
from unifex.retrieval.browsing import Listings
from unifex.retrieval.conditions import Condition
from unifex.retrieval.facets import facets
from unifex.retrieval.filters import Filters

FORMATS = [
    kind.plugins[0] for kind in images.FORMATS if kind.plugins[0] in ("JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF")
]


def photo(number: int, kind: str = "JPEG", original: object = None, changed: object = None) -> bytes:
    """A drawn picture whose EXIF says these dates, and that it was taken in Kyiv."""
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] = (50.0, 27.0, 0.0)
    if original is not None:
        exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = original
    if changed is not None:
        exif[ExifTags.Base.DateTime] = changed
    stream = io.BytesIO()
    picture("shapes/disc", number).save(stream, kind, exif=exif.tobytes())
    return stream.getvalue()


def laid(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def dates_of(gallery: Gallery) -> dict[str, str | None]:
    return {r.path: r.labels.extra.get("taken") for r in gallery.records(gallery.snapshot().columns.ids)}


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_tells_it_decoded_and_by_its_header(kind):
    data = photo(1, kind, "2021:03:04 10:20:30", "2024:01:01 00:00:00")
    assert images.decode(data, at_least=32).said.columns["taken"] == "2021-03-04 10:20:30"
    assert metadata.read_header(data).columns["taken"] == "2021-03-04 10:20:30"


@pytest.mark.parametrize(
    ("original", "changed", "taken"),
    [
        ("2021:03:04 10:20:30", None, "2021-03-04 10:20:30"), (None, "2019:12:31 23:59:59", "2019-12-31 23:59:59"),
        ("2021-03-04T10:20:30+02:00", None, "2021-03-04 10:20:30"), ("2021:03:04", None, "2021-03-04"),
        ("2021:03:04 10:20:30\0\0 ", None, "2021-03-04 10:20:30"), ("2021", None, ""),
        ("0000:00:00 00:00:00", None, ""), ("    :  :     :  :  ", None, ""), ("2021:02:31 10:00:00", None, ""),
        ("2021:03:04 25:61:00", None, ""), ("1970:01:01 00:00:00", None, ""), ("1601:01:01 00:00:00", None, ""),
        ("0000:00:00 00:00:00", "2019:12:31 23:59:59", "2019-12-31 23:59:59"),
        ("2021:02:31 10:00:00", "2019:12:31 23:59:59", "2019-12-31 23:59:59"),
        ("2999:01:01 00:00:00", None, ""), ("yesterday", None, ""), (7, None, ""), (b"\xff\xfe\x00", None, ""),
    ],
)  # fmt: skip
def test_absurd_and_broken_dates_are_none(original, changed, taken):
    data = photo(2, "JPEG", original, changed)
    told = (images.decode(data).said.columns, metadata.read_header(data).columns)
    assert [columns.get("taken", "") for columns in told] == [taken, taken]


def test_broken_exif_is_no_error():
    whole = photo(3, "JPEG", "2021:03:04 10:20:30")
    at = whole.index(b"Exif\0\0") + 6
    for place in range(at, at + 60):
        broken = whole[:place] + b"\xff" + whole[place + 1 :]
        assert images.decode(broken).image.size == images.decode(whole).image.size
        metadata.read_header(broken)
    metadata.read_header(whole[: at + 30])


@pytest.fixture(scope="module")
def dated(tmp_path_factory, embedder) -> Gallery:
    """Four pictures of a CSV with a column of its own for one of them; two have a date, one has none that can be."""
    folder = laid(
        tmp_path_factory.mktemp("dated") / "photos",
        {
            "a.jpg": photo(10, original="2019:05:06 07:08:09"), "b.jpg": photo(11, original="2023:01:02 03:04:05"),
            "c.jpg": photo(12, original="0000:00:00 00:00:00"), "d.jpg": photo(13, original="2024:01:01 01:01:01"),
        },
    )  # fmt: skip
    (folder / "manifest.csv").write_text("path,label,taken\na.jpg,x,\nb.jpg,x,\nc.jpg,y,\nd.jpg,y,2001-02-03\n")
    gallery = Gallery.create(folder.parent / "indexes" / "dated", embedder)
    run_index(gallery, str(folder / "manifest.csv"))
    return gallery


def test_it_filters_counts_and_orders_as_any_other_column_and_leaves_ones_own(dated):
    said = {"a.jpg": "2019-05-06 07:08:09", "b.jpg": "2023-01-02 03:04:05", "c.jpg": None, "d.jpg": "2001-02-03"}
    assert dates_of(dated) == said
    facet = next(facet for facet in facets(dated) if facet.name == "column taken")
    assert (facet.low, facet.high, facet.names) == ("2001-02-03", "2023-01-02", 3)
    named = dated.database.ids_by_path().tolist()
    listings = Listings()

    def left(filters: Filters, order: str = "path") -> str:
        return "".join("abcd"[named.index(id)] for id in listings.ids(dated, filters, order))

    assert left(Filters(where=(Condition.parse("taken>=2019"),))) == "ab"
    assert left(Filters(where=(Condition.parse("taken<2023"),))) == "ad"
    assert (left(Filters(), "-taken"), left(Filters(), "+taken")) == ("badc", "dabc")
    assert left(Filters(), "-nothing") == "abcd"
    assert not any("gps" in name.lower() for name in dated.snapshot().further.extra)


def test_it_goes_where_the_pictures_go(dated, embedder, tmp_path):
    said = dates_of(dated)
    library = Library(tmp_path / "indexes")
    bundled = tmp_path / "dated.unifex"
    finish(bundle.pack(dated, bundled))
    assert dates_of(finish(bundle.unpack(bundled, "sent", library))) == said
    picked = finish(picking.pick(dated, dated.snapshot().columns.ids.tolist(), "picked", library))
    assert dates_of(picked) == said


def undate(gallery: Gallery) -> None:
    """As a version left it that did not look."""
    with closing(sqlite3.connect(gallery.database.path)) as database, database:
        database.execute("UPDATE features SET taken = NULL, metadata = NULL")
    (gallery.folder / "items.json").unlink()


def test_what_was_indexed_before_gets_it_when_it_is_indexed_again_without_being_embedded(
    tmp_path, embedder, monkeypatch
):
    folder = laid(tmp_path / "photos", {f"{n}.jpg": photo(n, original=f"2020:01:0{n} 00:00:01") for n in range(1, 4)})
    gallery = Gallery.create(tmp_path / "indexes" / "old", embedder)
    run_index(gallery, str(folder))
    whole = dates_of(gallery)
    assert whole == {f"{n}.jpg": f"2020-01-0{n} 00:00:01" for n in range(1, 4)}
    undate(gallery)
    assert set(dates_of(gallery).values()) == {None}
    monkeypatch.setattr(images, "decode", lambda *_args, **_more: pytest.fail("a picture was decoded"))
    report = run_index(gallery, str(folder))
    assert (report.added, report.skipped, report.relabelled) == (0, 3, 0)
    assert dates_of(gallery) == whole
    monkeypatch.setattr(metadata.Image, "open", lambda *_args: pytest.fail("a header was read once more"))
    run_index(gallery, str(folder))


def test_a_date_that_somebody_damaged_is_none(tmp_path, embedder):
    folder = laid(tmp_path / "photos", {"1.jpg": photo(1, original=f"{datetime.now().year}:01:01 00:00:01")})
    gallery = Gallery.create(tmp_path / "indexes" / "odd", embedder)
    run_index(gallery, str(folder))
    with closing(sqlite3.connect(gallery.database.path)) as database, database:
        database.execute("UPDATE features SET taken = x'00ff'")
    (gallery.folder / "items.json").unlink()
    assert dates_of(gallery) == {"1.jpg": None}
    assert list(gallery.snapshot().further.extra) == []
