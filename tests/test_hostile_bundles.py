"""Packed galleries made by hand to get at what is on the computer of who opens them: refused, or harmless."""

from __future__ import annotations

import hashlib
import io
import json
import sqlite3
import stat
import struct
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save

from tests.support import drawing
from tests.support.galleries import QUERY, packed, run_index, unpacked
from unifex.core.files import verify, with_checksum
from unifex.gallery.gallery import Gallery, GalleryError
from unifex.gallery.library import Library
from unifex.retrieval.search import search

SECRET = b"-----BEGIN OPENSSH PRIVATE KEY-----\nnot for you"
PICTURE = drawing.encoded(drawing.picture("signs/cross", 400))
Files = dict[str, bytes]


@pytest.fixture(scope="module")
def original(tmp_path_factory, embedder) -> Path:
    """A sound bundle with its images."""
    root = tmp_path_factory.mktemp("sender")
    gallery = Gallery.create(root / "indexes" / "drawn", embedder)
    run_index(gallery, drawing.write_folder(root / "pictures", 2))
    with gallery.write() as writer:
        from unifex.gallery.corrections import drop

        writer.correct([drop(gallery.item_at("shapes/disc/1.png"))])
    packed(gallery, root / "g.zip", images=True)
    return root / "g.zip"


@pytest.fixture
def secret(tmp_path) -> Path:
    """A file of whoever opens the bundle, and a picture."""
    (tmp_path / "id_rsa").write_bytes(SECRET)
    (tmp_path / "private.png").write_bytes(PICTURE)
    return tmp_path / "id_rsa"


def sql(*statements: str) -> Callable[[Files, Path], Files]:
    """items.sqlite changed; SECRET, PRIVATE and SHA stand for the file, the picture and the first image's hash."""

    def change(files: Files, secret: Path) -> Files:
        database = sqlite3.connect(":memory:")
        database.deserialize(files["items.sqlite"])
        with closing(database):
            sha = database.execute("SELECT MIN(sha256) FROM features").fetchone()[0]
            texts = {"SECRET": str(secret), "PRIVATE": str(secret.with_name("private.png")), "SHA": sha}
            texts["KEYHASH"] = hashlib.sha256(SECRET).hexdigest()
            for statement in statements:
                for name, text in texts.items():
                    statement = statement.replace(name, text)
                database.execute(statement)
            database.commit()
            return {**files, "items.sqlite": database.serialize()}

    return change


def config(**changes: object) -> Callable[[Files, Path], Files]:
    def change(files: Files, secret: Path) -> Files:
        values = {
            name: value.replace("SECRET", str(secret)) if isinstance(value, str) else value
            for name, value in changes.items()
        }
        return {**files, "gallery.json": with_checksum({**verify(files["gallery.json"]), **values})}

    return change


def added(**new: bytes) -> Callable[[Files, Path], Files]:
    return lambda files, secret: {**files, **{name.replace("__", "/"): data for name, data in new.items()}}


def replaced(start: str, data: bytes | Callable[[bytes], bytes]) -> Callable[[Files, Path], Files]:
    def change(files: Files, secret: Path) -> Files:
        name = next(name for name in sorted(files) if name.startswith(start))
        return {**files, name: data if isinstance(data, bytes) else data(files[name])}

    return change


def array(values: np.ndarray, **options: object) -> bytes:
    stream = io.BytesIO()
    np.save(stream, values, **options)
    return stream.getvalue()


def renamed(start: str, name: str) -> Callable[[Files, Path], Files]:
    def change(files: Files, secret: Path) -> Files:
        old = next(old for old in sorted(files) if old.startswith(start))
        return {**{n: d for n, d in files.items() if n != old}, name: files[old]}

    return change


NECK = save({"weight": np.eye(64, 1600, dtype=np.float32), "bias": np.zeros(64, np.float32)})
SHOWN = "CREATE VIEW shown AS SELECT id, 'SECRET' AS uri, path, sha256, label, domain, split FROM items"
ATTACKS: dict[str, Callable[[Files, Path], Files]] = {
    "a uri elsewhere": sql("UPDATE items SET uri = 'SECRET' WHERE id = 1", "UPDATE features SET original = ''"),
    "a uri and its hash": sql(
        "UPDATE items SET uri = 'SECRET', sha256 = 'KEYHASH' WHERE id = 1",
        "UPDATE features SET original = '', sha256 = 'KEYHASH' WHERE sha256 = 'SHA'",
    ),
    "a picture elsewhere": sql("UPDATE items SET uri = 'PRIVATE' WHERE id = 1", "UPDATE features SET original = NULL"),
    "a path that climbs": sql("UPDATE items SET path = '../../../../etc/passwd' WHERE id = 1"),
    "a path with controls": sql("UPDATE items SET path = 'a' || char(10) || char(27) || '[2J' WHERE id = 1"),
    "further columns that are a list": sql("UPDATE items SET extra = '[1]'"),
    "further columns without an end": sql("UPDATE items SET extra = '{\"a\": \"' || hex(zeroblob(25000)) || '\"}'"),
    "further columns that are no JSON": sql("UPDATE items SET extra = x'00ff'"),
    "none in an earlier version": sql("ALTER TABLE items DROP COLUMN extra"),
    "an original that climbs": sql("UPDATE features SET original = '../../../id_rsa'"),
    "an original of another": sql("UPDATE features SET original = (SELECT MIN(original) FROM features)"),
    "an original elsewhere": sql("UPDATE features SET original = 'SECRET'"),
    "a hash that climbs": sql("UPDATE features SET sha256 = '../../../../tmp/x' WHERE sha256 = 'SHA'"),
    "a hash in capitals": sql("UPDATE features SET sha256 = upper(sha256)", "UPDATE items SET sha256 = upper(sha256)"),
    "an item without features": sql("DELETE FROM features WHERE sha256 = 'SHA'"),
    "a view replaced": sql("DROP VIEW shown", SHOWN),
    "a view more": sql("CREATE VIEW more AS SELECT * FROM items"),
    "a view for a table": sql("ALTER TABLE items RENAME TO x", "CREATE VIEW items AS SELECT * FROM x"),
    "a trigger": sql("CREATE TRIGGER t AFTER INSERT ON items BEGIN UPDATE items SET uri = 'SECRET'; END"),
    "a table more": sql("CREATE TABLE more (x)"),
    "a virtual table": sql("CREATE VIRTUAL TABLE more USING fts5(x)"),
    "a generated column": sql("ALTER TABLE items ADD COLUMN place TEXT AS ('SECRET')"),
    "a column more": sql("ALTER TABLE items ADD COLUMN place TEXT DEFAULT 'SECRET'"),
    "an index of code": sql("CREATE INDEX evil ON items (abs(length(uri)))"),
    "an unfinished source": sql("INSERT INTO sources (spec, keep, complete) VALUES ('SECRET', 1, 0)"),
    "an unfinished own source": sql("UPDATE sources SET spec = 'SECRET', complete = 0"),
    "a refusal of a page": sql("INSERT INTO refused VALUES (1, 'x', printf('%.*c', 60000, 'x'))"),
    "a correction of another kind": sql("UPDATE corrections SET kind = 'run'"),
    "a correction of nothing": sql("UPDATE corrections SET uri = 'SECRET'"),
    "a label as long as a book": sql("UPDATE items SET label = printf('%.*c', 1000000, 'x')"),
    "a label of bytes": sql("UPDATE items SET label = x'00ff' WHERE id = 1"),
    "a label that is a number": sql("UPDATE items SET label = 7.5 WHERE id = 1"),
    "a row below nought": sql("UPDATE features SET row = -1 WHERE sha256 = 'SHA'"),
    "a row beyond the end": sql("UPDATE features SET row = 8000 WHERE sha256 = 'SHA'"),
    "a shard that is not there": sql("INSERT INTO shards (id, rows) VALUES (7, 3)"),
    "a shard of many rows": sql("UPDATE shards SET rows = 1 << 60"),
    "a shard that climbs": sql("UPDATE shards SET id = -id", "UPDATE features SET shard = -shard"),
    "no database": replaced("items.sqlite", SECRET * 90),
    "a database cut off": replaced("items.sqlite", lambda data: data[:5000]),
    "a store elsewhere": config(store="milvus:http://127.0.0.1:9", collection=""),
    "a store in a file": config(store="milvus:SECRET.db", collection="unifex_"),
    "a model elsewhere": config(model="../../../../tmp/evil"),
    "a model by its path": config(model="SECRET"),
    "a bare backbone of another": config(model="raw:lite1"),
    "a field more": config(run="SECRET"),
    "a dimension of nothing": config(dim=-1),
    "a dimension of text": config(dim="SECRET"),
    "an id of a path": config(id="../../x"),
    "a model before": config(previous="SECRET"),
    "a dimension before": config(dims={"SECRET": 64}),
    "dimensions that are none": config(dims=["SECRET"]),
    "not json": replaced("gallery.json", b"["),
    "deep json": replaced("gallery.json", b"[" * 60_000),
    "features as a pickle": replaced("features/", array(np.array([{}], object), allow_pickle=True)),
    "features of float64": replaced("features/", array(np.zeros((8, 1600)))),
    "features of other widths": replaced("features/", array(np.zeros((8, 16), np.float16))),
    "features without end": replaced("features/", array(np.full((8, 1600), np.inf, np.float16))),
    "features that are too few": replaced("features/", array(np.zeros((3, 1600), np.float16))),
    "features with more behind": replaced("features/", lambda data: data + SECRET),
    "features of a huge header": replaced("features/", b"\x93NUMPY\x02\x00" + struct.pack("<I", 1 << 30)),
    "a thumbnail of text": replaced("thumbs/", SECRET),
    "a thumbnail of a page": replaced("thumbs/", b"<script>alert(1)</script>"),
    "an original of text": replaced("originals/", SECRET),
    "an original of another picture": replaced("originals/", PICTURE),
    "a name that climbs": added(**{"..__..__evil": b"x"}),
    "an absolute name": added(**{"__etc__evil": b"x"}),
    "a drive": added(**{"C:__evil": b"x"}),
    "a backslash": added(**{"features\\..\\..\\evil": b"x"}),
    "a name of no gallery": added(**{"run.py": b"x"}),
    "a pickle beside": added(**{"model__backbone.pt": b"x"}),
    "a lock": added(**{".lock": b"x"}),
    "another case": renamed("features/", "FEATURES/00001.npy"),
    "no features": renamed("features/", "features/00009.npy"),
    "another neck": replaced("model/model.s", NECK),
    "a neck that is a pickle": replaced("model/model.s", b"\x80\x04}."),
    "a model with a path": replaced("model/config", lambda d: json.dumps({**json.loads(d), "name": "../x"}).encode()),
    "a model of a script": replaced(
        "model/config", lambda d: json.dumps({**json.loads(d), "backbone": "torchscript:../../x"}).encode()
    ),
    "an index of FAISS": added(**{"index.faiss": b"IwFl" + b"\xff" * 90}),
}


def attack(original: Path, out: Path, change: Callable[[Files, Path], Files], secret: Path) -> Path:
    """The bundle with its files changed, and hashes that fit."""
    with zipfile.ZipFile(original) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    contents = json.loads(files.pop("bundle.json"))
    files = change(files, secret)
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
        archive.writestr("bundle.json", json.dumps({**contents, "files": hashes}))
    return out


def assert_harmless(gallery: Gallery, tmp_path: Path) -> None:
    """It searches, nothing in it is of this computer, and what it is packed to has nothing of it either."""
    assert search(gallery, [QUERY], 8).hits
    records = gallery.records(gallery.snapshot().columns.ids)
    assert {record.uri.partition("/")[0] for record in records} == {f"bundle:{gallery.config.id}"}
    assert gallery.unfinished() == []
    assert gallery.config.store == gallery.config.previous == ""
    assert not gallery.config.dims
    for record in records:
        assert Image.open(io.BytesIO(gallery.thumbnail(record.sha256))).size <= (192, 192)
        try:
            assert hashlib.sha256(gallery.original(record)).hexdigest() == record.sha256
        except GalleryError as error:
            assert str(tmp_path) not in str(error)  # noqa: PT017
    for images in (False, True):
        try:
            packed(gallery, tmp_path / "again.zip", images)
        except GalleryError:
            continue
        assert SECRET not in (tmp_path / "again.zip").read_bytes()
    everything = b"".join(path.read_bytes() for path in gallery.folder.rglob("*") if path.is_file())
    assert str(tmp_path).encode() not in everything
    assert SECRET not in everything
    with gallery.database.connect() as database:
        parts = database.execute("SELECT type, name FROM sqlite_master WHERE type IN ('view', 'trigger')").fetchall()
    assert parts == [("view", "shown")]


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_refused_or_harmless(original, secret, tmp_path, name):
    there = Library(tmp_path / "there")
    bundle = attack(original, tmp_path / "g.zip", ATTACKS[name], secret)
    outside = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    try:
        gallery = unpacked(bundle, "theirs", there)
    except GalleryError as error:
        assert len(str(error)) < 400  # noqa: PT017
        assert there.names() == []
        assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == outside
        return
    assert_harmless(gallery, tmp_path)


def entries(original: Path, out: Path, change: Callable[[zipfile.ZipFile, zipfile.ZipFile], None]) -> Path:
    """The bundle written again entry by entry, and what ``change`` adds."""
    with zipfile.ZipFile(original) as archive, zipfile.ZipFile(out, "w") as made:
        for info in archive.infolist():
            made.writestr(info, archive.read(info))
        change(archive, made)
    return out


def _linked(_: zipfile.ZipFile, made: zipfile.ZipFile) -> None:
    info = zipfile.ZipInfo(f"originals/aa/{'a' * 64}.jpg")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    made.writestr(info, "/etc/passwd")


def _twice(archive: zipfile.ZipFile, made: zipfile.ZipFile) -> None:
    with pytest.warns(UserWarning, match="Duplicate"):
        made.writestr("gallery.json", archive.read("gallery.json"))


def _bomb(_: zipfile.ZipFile, made: zipfile.ZipFile) -> None:
    made.writestr("features/00002.npy", bytes(50 << 20), zipfile.ZIP_DEFLATED)


@pytest.mark.parametrize(
    ("change", "sentence"), [(_linked, "no plain file"), (_twice, "twice"), (_bomb, "200-fold|zip bomb")]
)
def test_entries_that_no_bundle_has(original, tmp_path, change, sentence):
    there = Library(tmp_path / "there")
    with pytest.raises(GalleryError, match=sentence):
        unpacked(entries(original, tmp_path / "g.zip", change), "theirs", there)
    assert there.names() == []


def test_declared_sizes_are_not_believed(original, tmp_path):
    data = original.read_bytes()
    at = data.index(b"PK\x01\x02")
    start = data.index(b"items.sqlite", at) - 46
    lying = data[: start + 24] + struct.pack("<I", 10) + data[start + 28 :]  # its true size is larger
    (tmp_path / "g.zip").write_bytes(lying)
    with pytest.raises(GalleryError, match="can be used: Bad CRC"):
        unpacked(tmp_path / "g.zip", "theirs", Library(tmp_path / "there"))


def test_a_thumbnail_with_more_than_its_picture_is_made_again(original, secret, tmp_path):
    def change(data: bytes) -> bytes:
        stream = io.BytesIO()
        exif = Image.Exif()
        exif[0x010F] = "camera 7"
        Image.open(io.BytesIO(data)).save(stream, "JPEG", exif=exif)
        return stream.getvalue() + b"<html>"

    bundle = attack(original, tmp_path / "g.zip", replaced("thumbs/", change), secret)
    gallery = unpacked(bundle, "theirs", Library(tmp_path / "there"))
    made = [path.read_bytes() for path in gallery.folder.glob("thumbs/*/*")]
    assert made
    assert not [data for data in made if b"camera 7" in data or b"<html>" in data]


def test_another_persons_folder_with_code_in_its_database_is_refused(gallery, tmp_path):
    with closing(sqlite3.connect(gallery.folder / "items.sqlite")) as database, database:
        database.execute("CREATE TRIGGER t AFTER INSERT ON items BEGIN DELETE FROM items; END")
    (gallery.folder / "items.json").unlink()
    with pytest.raises(GalleryError, match="holds a trigger 't' that this program did not make"):
        len(Gallery.open(gallery.folder))


def test_another_persons_folder_shows_and_packs_nothing_of_ours(gallery, secret, tmp_path):
    with closing(sqlite3.connect(gallery.folder / "items.sqlite")) as database, database:
        sha = hashlib.sha256(SECRET).hexdigest()
        database.execute(
            "UPDATE features SET sha256 = ? WHERE sha256 = (SELECT sha256 FROM items WHERE id = 1)", (sha,)
        )
        database.execute("UPDATE items SET uri = ?, sha256 = ? WHERE id = 1", (str(secret), sha))
        database.execute("UPDATE items SET uri = ? WHERE id = 2", (str(secret.with_name("private.png")),))
    (gallery.folder / "items.json").unlink()
    opened = Gallery.open(gallery.folder)
    with pytest.raises(GalleryError, match="changed since"):
        opened.original(opened.records([2])[0])
    with pytest.raises(GalleryError, match="pack without images"):
        packed(opened, tmp_path / "g.zip", images=True)
    packed(opened, tmp_path / "g.zip")
    assert SECRET not in (tmp_path / "g.zip").read_bytes()
