"""What image files say of themselves: camera, place and rating as further columns, keywords as tags, and no harm."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image

from tests.support.drawing import picture
from tests.support.galleries import run_index
from unifex.cli.main import main
from unifex.core import images, metadata, xmp
from unifex.core.metadata import FileMetadata
from unifex.core.progress import finish
from unifex.gallery import bundle, clip_retrieval, tags
from unifex.gallery.gallery import Gallery
from unifex.gallery.library import Library
from unifex.retrieval.browsing import Listings
from unifex.retrieval.conditions import Condition
from unifex.retrieval.filters import Filters

KYIV = {
    ExifTags.GPS.GPSLatitudeRef: "N", ExifTags.GPS.GPSLatitude: (50.0, 27.0, 0.0),
    ExifTags.GPS.GPSLongitudeRef: "E", ExifTags.GPS.GPSLongitude: (30.0, 31.0, 12.0),
}  # fmt: skip
RIO = {
    ExifTags.GPS.GPSLatitudeRef: "S", ExifTags.GPS.GPSLatitude: (22.0, 54.0, 0.0),
    ExifTags.GPS.GPSLongitudeRef: "W", ExifTags.GPS.GPSLongitude: (43.0, 12.0, 0.0),
}  # fmt: skip
PACKET = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>{declared}<x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""
 xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/" xmp:Rating="{rating}">
<dc:creator><rdf:Seq><rdf:li>nobody</rdf:li></rdf:Seq></dc:creator>
<dc:subject><rdf:Bag>{words}</rdf:Bag></dc:subject></rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>"""


def packet(words: tuple[str, ...] = (), rating: str = "", declared: str = "") -> bytes:
    """An XMP packet as Adobe's programs write it."""
    listed = "".join(f"<rdf:li>{word}</rdf:li>" for word in words)
    return PACKET.format(words=listed, rating=rating, declared=declared).encode()


def iptc(*words: bytes) -> bytes:
    """Photoshop's resource of IPTC keywords, as it stands in a JPEG."""
    records = b"".join(b"\x1c\x02\x19" + struct.pack(">H", len(word)) + word for word in words)
    block = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(records)) + records + b"\0" * (len(records) % 2)
    payload = b"Photoshop 3.0\0" + block
    return b"\xff\xed" + struct.pack(">H", len(payload) + 2) + payload


def photo(
    number: int,
    kind: str = "JPEG",
    camera: tuple[object, object] = ("Canon", "Canon EOS 5D"),
    gps: dict[int, object] | None = None,
    words: tuple[str, ...] = (),
    rating: str = "",
    resources: bytes = b"",
) -> bytes:
    """A drawn picture with what a camera and a program for photographs write into it."""
    exif = Image.Exif()
    exif[ExifTags.Base.Make], exif[ExifTags.Base.Model] = camera
    exif.get_ifd(ExifTags.IFD.GPSInfo).update(gps or {})
    stream = io.BytesIO()
    xmp_too = {"xmp": packet(words, rating)} if words or rating else {}
    picture("shapes/disc", number).save(stream, kind, exif=exif.tobytes(), **xmp_too)
    data = stream.getvalue()
    return data[:2] + resources + data[2:] if resources else data


def said(data: bytes) -> FileMetadata:
    return images.decode(data, at_least=32).said


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "AVIF"])
def test_every_format_says_all_of_it_decoded_and_by_its_header(kind):
    data = photo(1, kind, gps=KYIV, words=("harbour", "Blue hour"), rating="4")
    columns = {"camera": "Canon EOS 5D", "latitude": "50.45", "longitude": "30.52", "rating": "4"}
    assert said(data) == metadata.read_header(data) == FileMetadata(columns, ("harbour", "Blue hour"))


def test_keywords_of_all_three_places_are_one_list():
    exif = Image.Exif()
    exif[0x9C9E], exif[0x4746] = "Harbour;night".encode("utf-16-le") + b"\0\0", 3
    stream = io.BytesIO()
    picture("shapes/disc", 2).save(stream, "JPEG", exif=exif.tobytes(), xmp=packet(("harbour", "ship, crane")))
    data = stream.getvalue()
    found = said(data[:2] + iptc(b"Z\xfcrich", "Lübeck".encode(), b"ship") + data[2:])
    assert found == FileMetadata({"rating": "3"}, ("harbour", "ship", "crane", "Zürich", "Lübeck", "night"))
    stream = io.BytesIO()
    tiff = {700: packet(("sail",)), 33723: b"".join(b"\x1c\x02\x19" + struct.pack(">H", 4) + b"mast" for _ in range(2))}
    picture("shapes/disc", 3).save(stream, "TIFF", tiffinfo=tiff)
    assert said(stream.getvalue()).keywords == ("sail", "mast")


@pytest.mark.parametrize(
    ("camera", "told"),
    [
        (("Canon", "Canon EOS 5D"), "Canon EOS 5D"), (("NIKON CORPORATION", "NIKON D90"), "NIKON D90"),
        (("Apple\0", " iPhone  12\0junk"), "Apple iPhone 12"), (("", "X100"), "X100"), (("Sony", ""), "Sony"),
        (("Sony", "A\x07"), "Sony A\ufffd"), (("x" * 5000, "y"), "x" * 100),
    ],
)  # fmt: skip
def test_cameras(camera, told):
    assert said(photo(4, camera=camera)).columns.get("camera") == told


@pytest.mark.parametrize(
    ("changed", "place"),
    [
        ({}, ("50.45", "30.52")), (RIO, ("-22.9", "-43.2")), ({ExifTags.GPS.GPSLatitude: (95.0, 0.0, 0.0)}, None),
        ({ExifTags.GPS.GPSLatitude: (0.0, 0.0, 0.0), ExifTags.GPS.GPSLongitude: (0.0, 0.0, 0.0)}, None),
        ({ExifTags.GPS.GPSLatitudeRef: "?"}, None), ({ExifTags.GPS.GPSLatitude: (50.0,)}, None),
        ({ExifTags.GPS.GPSLatitude: (50.0, 27.0)}, ("50.45", "30.52")),
        ({ExifTags.GPS.GPSLongitude: (180.0, 1.0, 0.0)}, None),
    ],
)  # fmt: skip
def test_places(changed, place):
    found = said(photo(5, gps={**KYIV, **changed})).columns
    assert (found.get("latitude"), found.get("longitude")) == (place or (None, None))
    without = {tag: value for tag, value in KYIV.items() if tag != ExifTags.GPS.GPSLatitudeRef}
    assert "latitude" not in said(photo(5, gps=without)).columns


def test_a_server_for_strangers_reads_no_place():
    data = photo(6, gps=KYIV)
    try:
        metadata.set_places(False)
        assert said(data).columns == metadata.read_header(data).columns == {"camera": "Canon EOS 5D"}
    finally:
        metadata.set_places(True)
    assert "latitude" in said(data).columns


@pytest.mark.parametrize("rating", ["-1", "6", "nan", "five", "", "1e999"])
def test_ratings_are_of_0_to_5(rating):
    assert "rating" not in said(photo(7, rating=rating, words=("x",))).columns


BOMB = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10 if n else "ha"}">' for n in range(12))


@pytest.mark.parametrize(
    ("data", "rating", "subjects"),
    [
        (packet(("a", "b"), "3"), "3", ["a", "b"]),
        (packet(("a", "&e11;"), "3", f"<!DOCTYPE x [{BOMB}]>"), "", []),
        (packet(("&e;",), "3", '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>'), "", []),
        (packet(("a", "b</rdf:nonsense>", "c"), "3"), "3", ["a"]),
        (packet(("a" * 20_000,), "3"), "3", []), (packet(("a",)) + b" " * 2**20, "", ["a"]),
        (packet(("a",), "3").replace(b"<x:", b" " * 2**20 + b"<x:", 1), "", []),
        (packet(tuple(map(str, range(999))), "3"), "3", [str(n) for n in range(200)]),
        (packet(("a",), "3").decode().encode("utf-16"), "3", ["a"]), (b"\xff\xfe\0", "", []), (b"", "", []),
        (b"<a>" * 100_000, "", []),
    ],
    ids=["sound", "bomb", "file", "broken", "long", "padded", "large", "many", "utf-16", "rubbish", "none", "deep"],
)  # fmt: skip
def test_xmp_is_read_as_far_as_it_goes_and_no_further_than_is_safe(data, rating, subjects):
    assert xmp.read_xmp(data) == xmp.Xmp(rating, subjects)


WHOLE = photo(8, gps=KYIV, words=("harbour",), rating="2", resources=iptc(b"ship", b"mast"))
HEADER = WHOLE.index(b"\xff\xdb")


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(20, HEADER - 1), st.binary(min_size=1, max_size=8)), min_size=1, max_size=6))
@pytest.mark.filterwarnings("ignore")
def test_whatever_stands_there_is_no_error(changes):
    data = bytearray(WHOLE)
    for at, new in changes:
        data[at : at + len(new)] = new
    found = metadata.read_header(bytes(data))
    assert set(found.columns) <= {column.name for column in metadata.COLUMNS}
    assert all(0 < len(text) <= metadata.MOST_TEXT for text in found.columns.values())
    assert found.keywords == metadata.keywords(found.keywords)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.binary(max_size=400))
@pytest.mark.filterwarnings("ignore")
def test_any_bytes_for_exif_xmp_and_iptc_leave_the_picture_as_it_is(rubbish):
    stream = io.BytesIO()
    picture("shapes/disc", 9).save(stream, "JPEG", exif=b"Exif\0\0" + rubbish, xmp=rubbish)
    block = b"Photoshop 3.0\0" + b"8BIM\x04\x04\0\0" + struct.pack(">I", len(rubbish)) + rubbish
    segment = b"\xff\xed" + struct.pack(">H", len(block) + 2) + block
    data = stream.getvalue()
    assert images.decode(data[:2] + segment + data[2:]).image.size == picture("shapes/disc", 9).size


def test_words_that_are_tags():
    given = ["a, b", "A", " c\n d ", "x" * 61, "", *map(str, range(99))]
    found = metadata.keywords(given)
    assert found[:3] == ("a", "b", "c d")
    assert len(found) == metadata.MOST_KEYWORDS < tags.MOST
    assert all(tags.parse(word) == (word,) for word in found)


@pytest.fixture(scope="module")
def album(tmp_path_factory, embedder) -> Gallery:
    folder = tmp_path_factory.mktemp("album")
    (folder / "photos").mkdir()
    for name, data in {
        "kyiv.jpg": photo(10, gps=KYIV, words=("harbour", "night"), rating="5"),
        "rio.jpg": photo(11, gps=RIO, camera=("Apple", "iPhone 12"), words=("harbour",), rating="2"),
        "plain.png": photo(12, "PNG", camera=("", "")),
    }.items():
        (folder / "photos" / name).write_bytes(data)
    gallery = Gallery.create(folder / "indexes" / "album", embedder)
    run_index(gallery, folder / "photos")
    return gallery


def told(gallery: Gallery) -> dict[str, dict[str, str]]:
    records = gallery.records(gallery.snapshot().columns.ids)
    return {record.path: dict(record.labels.extra) for record in records}


def tagged(gallery: Gallery) -> dict[str, tuple[str, ...]]:
    return {record.path: record.tags for record in gallery.records(gallery.snapshot().columns.ids)}


def left(gallery: Gallery, filters: Filters) -> set[str]:
    return {record.path for record in gallery.records(Listings().ids(gallery, filters, "path"))}


def test_columns_and_tags_filter_as_any_others(album):
    assert told(album)["rio.jpg"] == {
        "camera": "Apple iPhone 12", "latitude": "-22.9", "longitude": "-43.2", "rating": "2",
    }  # fmt: skip
    assert told(album)["plain.png"] == {}
    assert tagged(album) == {"kyiv.jpg": ("harbour", "night"), "rio.jpg": ("harbour",), "plain.png": ()}
    for condition, found in {
        "camera=Apple iPhone 12": {"rio.jpg"}, "rating>=3": {"kyiv.jpg"}, "latitude<0": {"rio.jpg"},
        "longitude>30.5": {"kyiv.jpg"},
    }.items():  # fmt: skip
        assert left(album, Filters(where=(Condition.parse(condition),))) == found, condition
    assert left(album, Filters(tags=("night",))) == {"kyiv.jpg"}


def test_where_it_was_stays_at_home_unless_asked_for(album, tmp_path):
    library = Library(tmp_path / "indexes")
    for places in (False, True):
        out = tmp_path / f"{places}.zip"
        finish(bundle.pack(album, out, places=places))
        unpacked = finish(bundle.unpack(out, f"places-{places}", library))
        columns = {"camera", "rating", *(metadata.PLACE if places else ())}
        assert set(told(unpacked)["rio.jpg"]) == columns
        assert tagged(unpacked) == tagged(album)
        assert (b"-22.9" in (unpacked.folder / "items.sqlite").read_bytes()) is places
        finish(clip_retrieval.write(album, tmp_path / f"clip-{places}", places=places))
        pq = pytest.importorskip("pyarrow.parquet")
        table = pq.read_table(tmp_path / f"clip-{places}/metadata/metadata_0.parquet")
        assert any("latitude" in text for text in table["extra"].to_pylist()) is places


def test_who_packs_the_files_is_told_what_they_say(album, capsys, tmp_path):
    library = str(album.folder.parent)
    for more, told in ((["--images"], True), ([], False)):
        assert main(["pack", "album", "--out", str(tmp_path / "a.zip"), "--library", library, *more]) == 0
        assert ("2 images of them tell where they were taken" in "".join(capsys.readouterr())) is told


@pytest.mark.parametrize("more", [[], ["--places"]])
def test_exports_leave_it_at_home_too(album, tmp_path, more):
    out = tmp_path / "album.csv"
    library = str(album.folder.parent)
    assert main(["export-gallery", "album", "--to", "csv", "--out", str(out), "--library", library, *more]) == 0
    assert ("latitude" in out.read_text(), "Apple iPhone 12" in out.read_text()) == (bool(more), True)
    assert ("-22.9" in out.read_text()) is bool(more)


def test_a_table_s_place_stays_at_home_too(album, embedder, tmp_path):
    (tmp_path / "manifest.csv").write_text("path,label,latitude\nrio.jpg,x,12.5\n")
    (tmp_path / "rio.jpg").write_bytes(photo(11, gps=RIO))
    gallery = Gallery.create(tmp_path / "indexes" / "own", embedder)
    run_index(gallery, tmp_path)
    assert told(gallery)["rio.jpg"]["latitude"] == "12.5"  # a table knows better
    finish(bundle.pack(gallery, tmp_path / "own.zip"))
    with zipfile.ZipFile(tmp_path / "own.zip") as archive:
        items = archive.read("items.sqlite")
    assert b"iPhone" in items or b"Canon" in items
    assert b"latitude" not in items


def test_a_tag_taken_away_stays_away_and_a_gallery_of_before_gets_all_without_being_embedded(
    tmp_path, embedder, monkeypatch
):
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(photo(13, gps=KYIV, words=("harbour", "night"), rating="5"))
    gallery = Gallery.create(tmp_path / "indexes" / "old", embedder)
    run_index(gallery, folder)
    with gallery.write() as writer:
        writer.untag(gallery.snapshot().columns.ids.tolist(), ["night"])
    run_index(gallery, folder, rehash=True)
    assert tagged(gallery) == {"a.jpg": ("harbour",)}
    whole = told(gallery)
    with gallery.write() as writer, gallery.database.connect() as database:
        writer.untag(gallery.snapshot().columns.ids.tolist(), ["harbour"])
        database.execute("UPDATE features SET metadata = NULL")  # as a version left it that did not look
    assert told(gallery) == {"a.jpg": {}}
    monkeypatch.setattr(images, "decode", lambda *_args, **_more: pytest.fail("a picture was decoded"))
    run_index(gallery, folder)
    assert (told(gallery), tagged(gallery)) == (whole, {"a.jpg": ("harbour", "night")})


def test_a_copy_and_a_damaged_row(tmp_path, embedder):
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(photo(14, words=("harbour",)))
    gallery = Gallery.create(tmp_path / "indexes" / "copies", embedder)
    run_index(gallery, folder)
    (folder / "b.jpg").write_bytes((folder / "a.jpg").read_bytes())
    run_index(gallery, folder)
    assert tagged(gallery) == {"a.jpg": ("harbour",), "b.jpg": ("harbour",)}
    for damage in ('{"camera": 7, "nonsense": "x"}', "[" * 100_000, "rubbish", b"\xff\x00"):
        with gallery.write(), gallery.database.connect() as database:
            database.execute("UPDATE features SET metadata = ?", (damage,))
        assert told(Gallery.open(gallery.folder, embedder)) == {"a.jpg": {}, "b.jpg": {}}
        assert gallery.snapshot().further.extra.keys() <= {"camera"}


def test_the_public_server_reads_no_place(tmp_path, monkeypatch):
    from unifex.cli.settings import Settings
    from unifex.ui import app

    stop = RuntimeError("as far as it matters here")
    monkeypatch.setattr(app.AppContext, "create", lambda *_args: (_ for _ in ()).throw(stop))
    try:
        with pytest.raises(RuntimeError, match="as far"):
            app.serve(Settings(public=True, library=Path(tmp_path)))
        assert "latitude" not in said(photo(15, gps=KYIV)).columns
    finally:
        metadata.set_places(True)
        images.set_limits(images.Limits())
