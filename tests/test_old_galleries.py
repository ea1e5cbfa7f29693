"""Galleries of every form that the program ever wrote open, are searched with the same hits, and can be changed.

``forms.tar.xz`` has a gallery of each form, made by the version that wrote it: ten drawn pictures from a CSV, two from
a zip, whose bytes it keeps, and from form 2 on three corrections; from 10 on a further column of the CSV, from 11 on
tags, from 12 on the date that one file tells, from 13 on its camera, rating and keyword; those since are what 13
has, in the tables of their time. A new form is added here with the version that writes it: the last of them is today's.
"""

from __future__ import annotations

import errno
import hashlib
import shutil
import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path

import pytest

from tests.support import drawing
from tests.support.galleries import assert_no_orphans, run_index
from tests.support.reindexing import items
from unifex.core import files
from unifex.core.files import verify, with_checksum
from unifex.core.progress import finish
from unifex.gallery import bundle, kept_embeddings, schema, writer
from unifex.gallery.corrections import relabel
from unifex.gallery.gallery import Gallery, GalleryError
from unifex.gallery.library import Broken, Library
from unifex.retrieval.query import Query
from unifex.retrieval.search import search

FORMS = range(1, 17)
LAST = FORMS[-1]
HITS = [  # of what is like shapes/disc/1.png, as the versions found them themselves
    ("shapes/disc/0.png", "ring", 0.849166), ("shapes/square/1.png", "square", 0.311081),
    ("shapes/square/0.png", "square", 0.284846), ("scenes/sun/1.png", "sun", 0.240790),
    ("signs/bars/0.png", "bars", 0.208727), ("scenes/house/1.png", "house", 0.206003),
    ("scenes/sun/0.png", "sun", 0.164327), ("scenes/house/0.png", "house", 0.162782),
    ("signs/cross/1.png", "cross", 0.093248), ("signs/cross/0.png", "cross", 0.048851),
]  # fmt: skip
REDRAWN = [  # the same for forms from 10 on
    ("shapes/disc/0.png", "ring", 0.850588), ("shapes/square/1.png", "square", 0.309185),
    ("shapes/square/0.png", "square", 0.284265), ("scenes/sun/1.png", "sun", 0.239519),
    ("scenes/house/1.png", "house", 0.213572), ("signs/bars/0.png", "bars", 0.202345),
    ("scenes/sun/0.png", "sun", 0.162478), ("scenes/house/0.png", "house", 0.148010),
    ("signs/cross/1.png", "cross", 0.094291), ("signs/cross/0.png", "cross", 0.044975),
]  # fmt: skip
DROPPED = "signs/bars/1.png"


@pytest.fixture(scope="module")
def forms(tmp_path_factory) -> Path:
    """All of them, as they were."""
    folder = tmp_path_factory.mktemp("forms")
    with tarfile.open(Path(__file__).parent / "support/old_galleries/forms.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture(params=FORMS)
def old(request, forms, tmp_path) -> Path:
    """A gallery of one form."""
    return Path(shutil.copytree(forms / f"form-{request.param}", tmp_path / "indexes" / f"form-{request.param}"))


def hits(gallery: Gallery) -> list[tuple[str, str, float]]:
    item = gallery.item_at("shapes/disc/1.png").id
    found = search(gallery, Query(items=(item,)), 12).hits
    return [(hit.path, hit.label, pytest.approx(hit.score, abs=1e-3)) for hit in found if hit.path != DROPPED]


def number(form: str) -> int:
    return int(form.removeprefix("form-"))


def expected(form: str) -> list[tuple[str, str, float]]:
    """Form 1 knew no corrections."""
    found = HITS if number(form) < 10 else REDRAWN
    return [(path, "disc" if label == "ring" and number(form) == 1 else label, score) for path, label, score in found]


def told(gallery: Gallery, path: str) -> tuple[dict[str, str], tuple[str, ...]]:
    """Further columns and tags of an item."""
    record = gallery.item_at(path)
    return dict(record.labels.extra), record.tags


def expected_to_be_told(form: int) -> list[tuple[dict[str, str], tuple[str, ...]]]:
    """Of a disc and a house."""
    date = {"taken": "2021-03-04 05:06:07"} if form >= 12 else {}
    others = {"camera": "Drawn Pen 1", "rating": "4"} if form >= 13 else {}
    return [
        ({"town": "Ulm"} if form >= 10 else {}, ("good",) if form >= 11 else ()),
        (date | others, ("harbour",) if form >= 13 else ()),
    ]


def digests(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.rglob("*") if p.is_file()}


def test_opens_where_nothing_can_be_written(old, frozen, monkeypatch):
    def full(*_args: object, **_options: object) -> None:
        raise OSError(errno.EROFS, "read-only file system", "x")

    monkeypatch.setattr(files, "whole_file", full)
    monkeypatch.setattr(kept_embeddings, "lock_in_folder", full)
    before = digests(old)
    for path in [*old.rglob("*"), old]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    gallery = Gallery.open(old, frozen)
    try:
        assert hits(gallery) == expected(old.name)
        corrected = old.name != "form-1"
        facts = gallery.facts()
        assert (facts.items, facts.images, facts.labels) == ((11, 11, 7) if corrected else (12, 12, 6))
        assert facts.domains == {"scenes": 4, "shapes": 4, "signs": 3 if corrected else 4}
        assert [kind.kind for kind in gallery.corrections()] == (["drop", "relabel", "same"] if corrected else [])
        assert list(gallery.database.listed_items().values()) == [10, 2]
        assert [told(gallery, f"{name}.png") for name in ("shapes/disc/0", "scenes/house/1")] == expected_to_be_told(
            number(old.name)
        )
        assert gallery.original(gallery.item_at("scenes/sun/0.png"))
        assert all(gallery.thumbnail(record.sha256) for record in gallery.records(gallery.snapshot().columns.ids))
        assert len(gallery.neighbours()[1].positions) == facts.items
        assert digests(old) == before
    finally:
        for path in [old, *old.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)


def test_can_be_added_to_corrected_and_packed(old, frozen, tmp_path):
    gallery = Gallery.open(old, frozen)
    items = len(gallery)
    report = run_index(gallery, drawing.write_folder(tmp_path / "pictures", 1))
    assert (report.added, report.items) == (len(drawing.LABELS), items + len(drawing.LABELS))
    with gallery.write() as writer:
        writer.remove([record for ids in gallery.find(_names(tmp_path / "pictures")).values() for record in ids])
        writer.correct([relabel(gallery.item_at("signs/bars/0.png"), "stripes")])
    changed = [(path, "stripes" if label == "bars" else label, score) for path, label, score in expected(old.name)]
    assert hits(gallery) == changed
    with closing(sqlite3.connect(old / "items.sqlite")) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (len(schema.MIGRATIONS),)
    finish(bundle.pack(gallery, tmp_path / "packed.zip"))
    assert hits(finish(bundle.unpack(tmp_path / "packed.zip", "unpacked", Library(tmp_path / "other")))) == changed


@pytest.mark.parametrize("only_read", [False, True])
def test_is_packed_as_it_is(old, tmp_path, only_read, monkeypatch):
    """Its model may have come anew since it was written; where it can only be read, no writer brings it up to date."""

    def refused(*_args: object, **_options: object) -> None:
        raise OSError(errno.EROFS, "read-only file system", ".lock")

    if only_read:
        monkeypatch.setattr(writer, "lock_in_folder", refused)
    finish(bundle.pack(Library(old.parent).get(old.name), tmp_path / "packed.zip"))
    monkeypatch.undo()
    other = finish(bundle.unpack(tmp_path / "packed.zip", "unpacked", Library(tmp_path / "other")))
    assert hits(other) == expected(old.name)
    assert marked(other) == marked(Gallery.open(old)) == expected_to_be_marked(old.name)


def test_what_was_said_in_it_is_taken_back(old):
    """By whoever read it before a writer brought it up to date."""
    gallery = Gallery.open(old)
    said = gallery.corrections()
    assert marked(gallery) == expected_to_be_marked(old.name)
    with gallery.write() as writer:
        assert gallery.corrections() == said
        assert marked(gallery) == expected_to_be_marked(old.name)
        writer.undo(said)
    assert gallery.corrections() == []
    assert len(gallery) == 12


def marked(gallery: Gallery) -> list[tuple[str, str]]:
    """The paths of what people said shows the same thing."""
    return [(one.path, other.path) for one, other in map(gallery.records, gallery.database.marked_pairs("same"))]


def expected_to_be_marked(form: str) -> list[tuple[str, str]]:
    return [] if form == "form-1" else [("shapes/square/0.png", "signs/cross/0.png")]


def _names(folder: Path) -> list[str]:
    return [path.as_posix() for path in folder.rglob("*.png")]


def test_every_form_becomes_the_same(forms, frozen, tmp_path):
    tables = set()
    for form in FORMS:
        gallery = Gallery.open(shutil.copytree(forms / f"form-{form}", tmp_path / f"form-{form}"), frozen)
        with gallery.write():
            pass
        with closing(sqlite3.connect(gallery.folder / "items.sqlite")) as database:
            names = [
                row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'")
            ]
            columns = ((name, {row[1] for row in database.execute(f"PRAGMA table_info({name})")}) for name in names)
            tables.add(repr(sorted((name, sorted(of)) for name, of in columns)))
    assert len(tables) == 1


def test_the_last_one_is_what_is_written_today(forms, tmp_path, frozen):
    """Who adds a migration adds a gallery of the form that it makes."""
    Gallery.create(tmp_path / "new", frozen)
    kept, new = ({*_parts(folder / "items.sqlite")} for folder in (forms / f"form-{LAST}", tmp_path / "new"))
    assert kept == new


def _parts(path: Path) -> list[tuple]:
    with closing(sqlite3.connect(path)) as database:
        parts = "SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'"
        return [*database.execute("PRAGMA user_version"), *database.execute(parts)]


@pytest.mark.parametrize("form", [1, LAST])
def test_a_later_one_is_refused_in_a_sentence(forms, frozen, tmp_path, form):
    folder = Path(shutil.copytree(forms / f"form-{form}", tmp_path / "later"))
    with closing(sqlite3.connect(folder / "items.sqlite")) as database, database:
        database.execute(f"PRAGMA user_version = {len(schema.MIGRATIONS) + 1}")
    (folder / "items.json").unlink(missing_ok=True)
    with pytest.raises(GalleryError, match="later version of UniFEx"):
        len(Gallery.open(folder, frozen))
    (survey,) = Library(tmp_path).survey(Gallery.facts)
    assert isinstance(survey, Broken)
    values = verify((folder / "gallery.json").read_bytes())
    (folder / "gallery.json").write_bytes(with_checksum(values | {"schema": 2}))
    with pytest.raises(GalleryError, match="format 2"):
        Gallery.open(folder, frozen)


# --- the first version, of a gallery that was just made ---------------------------------------------------------------

FIRST_TABLES = """
CREATE TABLE state (version INTEGER NOT NULL);
CREATE TABLE sources (
    id INTEGER PRIMARY KEY, spec TEXT UNIQUE NOT NULL, keep INTEGER NOT NULL, complete INTEGER NOT NULL);
CREATE TABLE shards (id INTEGER PRIMARY KEY AUTOINCREMENT, rows INTEGER NOT NULL);
CREATE TABLE features (
    sha256 TEXT PRIMARY KEY, shard INTEGER NOT NULL, row INTEGER NOT NULL,
    width INTEGER NOT NULL, height INTEGER NOT NULL, bytes INTEGER NOT NULL, original TEXT) WITHOUT ROWID;
CREATE TABLE items (
    id INTEGER PRIMARY KEY AUTOINCREMENT, uri TEXT UNIQUE NOT NULL, path TEXT NOT NULL, sha256 TEXT NOT NULL,
    label TEXT NOT NULL, domain TEXT NOT NULL, split TEXT NOT NULL, stamp TEXT NOT NULL, source INTEGER NOT NULL);
CREATE TABLE refused (
    source INTEGER NOT NULL, path TEXT NOT NULL, reason TEXT NOT NULL, PRIMARY KEY (source, path)) WITHOUT ROWID;
"""


def as_of_the_first_version(gallery: Gallery) -> bytes:
    """Its items.sqlite as the first version would have written it."""
    path = gallery.folder / "items.sqlite"
    old = path.with_name("old")
    with sqlite3.connect(old) as database:
        database.executescript(FIRST_TABLES)
        database.execute("ATTACH ? AS now", (str(path),))
        for table in ("state", "sources", "shards", "features", "items", "refused"):
            columns = ", ".join(row[1] for row in database.execute(f"PRAGMA main.table_info({table})"))
            database.execute(f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM now.{table}")
    database.close()
    old.replace(path)
    (gallery.folder / "items.json").unlink()
    return path.read_bytes()


def test_a_gallery_of_the_first_version_is_read_as_it_is_and_written_as_it_should_be(gallery, folder, embedder):
    before, facts = items(gallery), gallery.facts()
    old = as_of_the_first_version(gallery)
    opened = Gallery.open(gallery.folder)
    assert items(opened) == before
    assert opened.facts() == facts.__class__(**{**facts.__dict__, "bytes": opened.facts().bytes})
    assert opened.facts().bytes == sum(path.stat().st_size for path in gallery.folder.rglob("*") if path.is_file())
    assert list(opened.database.listed_items().values()) == [24]
    assert len(opened.snapshot()) == 24
    assert opened.corrections() == []
    assert (gallery.folder / "items.sqlite").read_bytes() == old
    (folder / "shapes").rename(folder / "forms")
    reader = Gallery.open(gallery.folder)
    report = run_index(opened, folder, prune=True)
    assert (report.moved, report.relabelled, report.skipped, report.added) == (12, 12, 12, 0)
    assert items(reader)["forms/disc/0.png"] == (before["shapes/disc/0.png"][0], "forms", "disc")
    assert opened.facts().bytes == sum(path.stat().st_size for path in gallery.folder.rglob("*") if path.is_file())
    assert_no_orphans(opened)


def test_places_that_the_first_version_named_by_a_detour_are_not_indexed_twice(tmp_path, folder, embedder):
    table = tmp_path / "sets" / "list.csv"
    table.parent.mkdir()
    table.write_text("path,label\n../pictures/shapes/disc/0.png,disc\n")
    gallery = Gallery.create(tmp_path / "indexes" / "g", embedder)
    run_index(gallery, table)
    as_of_the_first_version(gallery)
    with sqlite3.connect(gallery.folder / "items.sqlite") as database:
        database.execute("UPDATE items SET uri = ?", (f"{table.parent}/../pictures/shapes/disc/0.png",))
    database.close()
    report = run_index(Gallery.open(gallery.folder), table)
    assert (report.added, report.skipped, report.items) == (0, 1, 1)
