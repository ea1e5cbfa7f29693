"""Galleries that travel: packed here, unpacked there, the same hits; and what must not travel."""

import errno
import hashlib
import json
import os
import re
import shutil
import sqlite3
import zipfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support import drawing, tiny_clip
from tests.support.galleries import QUERY, make_model, packed, run_index, unpacked
from unifex.core.files import verify, with_checksum
from unifex.core.progress import finish
from unifex.gallery import bundle, database, writer
from unifex.gallery.bundle import pack
from unifex.gallery.corrections import drop, relabel, same
from unifex.gallery.gallery import Gallery, GalleryError
from unifex.gallery.library import Library
from unifex.gallery.relocating import relocate
from unifex.models import neck
from unifex.models.embedder import Embedder
from unifex.retrieval.search import search
from unifex.training.config import PRESETS
from unifex.training.held_out import HoldOut
from unifex.training.run import train
from unifex.training.samples import TrainingError


def hits(gallery: Gallery, query) -> list[tuple[str, str, float]]:
    return [(hit.path, hit.label, round(hit.score, 6)) for hit in search(gallery, [query], 24).hits]


@pytest.fixture
def there(tmp_path) -> Library:
    """The galleries of somebody else."""
    return Library(tmp_path / "there")


def test_the_same_hits_there_as_here(gallery, there, tmp_path):
    made = packed(gallery, tmp_path / "g.zip")
    assert (made.items, made.images, made.bytes) == (24, False, (tmp_path / "g.zip").stat().st_size)
    other = unpacked(tmp_path / "g.zip", "theirs", there)
    assert hits(other, QUERY) == hits(gallery, QUERY)
    assert other.facts().domains == gallery.facts().domains
    record = other.records(other.snapshot().columns.ids[:1])[0]
    assert other.thumbnail(record.sha256) == gallery.thumbnail(record.sha256)
    report = run_index(other, drawing.write_folder(tmp_path / "more", 7))  # it is a gallery like any other
    assert (report.added, report.moved) == (4, 24)
    assert there.names() == ["theirs"]


def test_of_equal_files_one_may_be_gone_and_its_image_is_shown_and_packed(gallery, folder, there, tmp_path):
    record, equal = gallery.item_at("shapes/disc/0.png"), folder / "shapes/disc/equal.png"
    shutil.copy(folder / record.path, equal)
    run_index(gallery, folder)
    for gone, there_still in ((equal, folder / record.path), (folder / record.path, equal)):
        shutil.copy(gone, tmp_path / "aside.png")
        gone.unlink()
        assert gallery.original(gallery.item_at(gone.relative_to(folder).as_posix())) == there_still.read_bytes()
        assert packed(gallery, tmp_path / "g.zip", images=True).items == 25
        shutil.move(tmp_path / "aside.png", gone)
    for path in (equal, folder / record.path):
        path.unlink()
    with pytest.raises(GalleryError, match="no longer there"):
        gallery.original(record)


def test_a_pack_takes_no_name_of_the_servers_galleries(gallery, tmp_path):
    packed(gallery, tmp_path / "g.zip")
    own = Library(tmp_path / "own", builtin=Library(gallery.folder.parent))
    with pytest.raises(GalleryError, match="there is a gallery 'drawn' already"):
        unpacked(tmp_path / "g.zip", "drawn", own)


def test_nothing_in_it_tells_where_the_images_lay(gallery, tmp_path):
    with gallery.write() as writer:
        first, second = (record.path for record in gallery.records(gallery.snapshot().columns.ids[:2]))
        writer.correct([same(gallery.item_at(first), gallery.item_at(second))])
    packed(gallery, tmp_path / "g.zip")
    assert str(tmp_path).encode() not in (tmp_path / "g.zip").read_bytes()  # stored, not compressed


def test_corrections_travel(gallery, there, tmp_path):
    paths = [record.path for record in gallery.records(gallery.snapshot().columns.ids[:4])]
    with gallery.write() as writer:
        items = [gallery.item_at(path) for path in paths]
        writer.correct([relabel(items[0], "circle"), drop(items[1]), same(items[2], items[3])])
    packed(gallery, tmp_path / "g.zip")
    other = unpacked(tmp_path / "g.zip", "theirs", there)
    assert other.item_at(paths[0]).label == "circle"
    assert len(other) == 23
    assert [c.sentence for c in other.corrections()] == [c.sentence for c in gallery.corrections()]


def test_images_travel_when_asked(gallery, there, tmp_path):
    packed(gallery, tmp_path / "g.zip", images=True)
    other = unpacked(tmp_path / "g.zip", "theirs", there)
    for record in other.records(other.snapshot().columns.ids):
        assert other.original(record) == Path(gallery.item_at(record.path).uri).read_bytes()


def test_an_image_that_is_gone_cannot_travel(gallery, tmp_path):
    Path(gallery.records(gallery.snapshot().columns.ids[:1])[0].uri).unlink()
    with pytest.raises(GalleryError, match="no longer where it was"):
        packed(gallery, tmp_path / "g.zip", images=True)
    assert not [path for path in tmp_path.iterdir() if "g.zip" in path.name]
    assert packed(gallery, tmp_path / "g.zip").items == 24


def own_model(embedder, folder: Path, name: str, seed: int, dims: tuple[int, ...] = (64,)) -> Embedder:
    """A neck of its own, saved below a folder of models."""
    fitted = neck.pca(np.random.default_rng(seed).standard_normal((200, embedder.backbone.feature_dim)), dims)
    config = replace(embedder.config, name=name, neck="pca", dims=dims, default_dim=dims[-1])
    Embedder(config, fitted, embedder.backbone).save(folder / name)
    return Embedder.load(name, models=folder)


def test_the_neck_travels_and_takes_no_name_from_another(embedder, there, tmp_path):
    here = Library(tmp_path / "here")
    model = own_model(embedder, here.models, "mine", seed=1)
    gallery = here.get_or_create("drawn", lambda: model)
    run_index(gallery, drawing.write_folder(tmp_path / "pictures"))
    own_model(embedder, there.models, "mine", seed=2)  # theirs is another
    packed(gallery, tmp_path / "g.zip")
    first = unpacked(tmp_path / "g.zip", "one", there)
    second = unpacked(tmp_path / "g.zip", "two", there)
    assert first.config.model == second.config.model == "mine-2"
    assert hits(first, QUERY) == hits(gallery, QUERY)
    assert sorted(path.name for path in there.models.iterdir()) == ["mine", "mine-2"]
    switched = finish(there.use("two", embedder))  # another neck: it embeds again
    assert (switched.config.model, switched.config.dim) == ("unifex-lite-4", 64)


def test_a_neck_that_was_trained_anew_travels(embedder, there, tmp_path):
    """Under the name of the one that the gallery was made with, and of fewer dimensions."""
    here = Library(tmp_path / "here")
    gallery = here.get_or_create("drawn", lambda: own_model(embedder, here.models, "mine", seed=1, dims=(64, 128)))
    run_index(gallery, drawing.write_folder(tmp_path / "pictures"))
    own_model(embedder, here.models, "mine", seed=2)
    gallery = Library(tmp_path / "here").get("drawn")
    packed(gallery, tmp_path / "g.zip")
    other = unpacked(tmp_path / "g.zip", "theirs", there)
    assert hits(other, QUERY) == hits(gallery, QUERY)
    assert other.config.dim == 64


def test_a_model_that_is_damaged_here_is_in_nobodys_way(gallery, embedder, there, tmp_path):
    name = "m" * 79
    make_model(embedder, name).save(gallery.folder.parent / "models" / name)
    finish(Library(gallery.folder.parent).use(gallery.name, Embedder.load(name, gallery.folder.parent / "models")))
    os.utime(next(gallery.folder.glob("features/*.npy")), (0, 0))  # of a camera or a disk without a clock
    packed(Gallery.open(gallery.folder), tmp_path / "g.zip")
    (there.models / name).mkdir(parents=True)
    (there.models / name / "config.json").write_text("damaged")
    again = unpacked(tmp_path / "g.zip", "again", there)
    assert again.config.model == f"{name[:78]}-2"
    assert len(again) == len(gallery)


def test_features_that_are_not_finite_are_not_packed(gallery, there, tmp_path):
    """As earlier versions kept them: unpacking would refuse them."""
    records = gallery.records(gallery.snapshot().columns.ids)
    with gallery.database.connect() as database:
        place = database.execute("SELECT shard, row FROM features WHERE sha256 = ?", (records[0].sha256,)).fetchone()
    shard = gallery.database.shard_path(place[0])
    features = np.load(shard)
    features[place[1]] = np.nan
    np.save(shard, features)
    with gallery.database.connect() as database, database:
        database.execute("UPDATE shards SET checksum = ''")
    with pytest.raises(GalleryError, match=re.escape(records[0].path)):
        packed(gallery, tmp_path / "g.zip")
    assert not (tmp_path / "g.zip").exists()
    for preset in ("quick", "few"):
        with pytest.raises(TrainingError, match=f"{re.escape(records[0].path)}.*remove such pictures"):
            finish(train(gallery, "never", PRESETS[preset].config, HoldOut(share=0)))
    with gallery.write() as writer:
        writer.remove([record.id for record in records if record.sha256 == records[0].sha256])
    packed(gallery, tmp_path / "g.zip")
    assert len(unpacked(tmp_path / "g.zip", "again", there)) == len(gallery)


def test_what_nobody_could_open_is_not_packed(gallery, tmp_path):
    """Its configuration is another's."""
    values = verify((gallery.folder / "gallery.json").read_bytes())
    (gallery.folder / "gallery.json").write_bytes(with_checksum(values | {"backbone": "lite2"}))
    with pytest.raises(GalleryError, match=r"'drawn' cannot be packed: its neck .* give it a model"):
        packed(Gallery.open(gallery.folder), tmp_path / "g.zip")
    assert not [path for path in tmp_path.iterdir() if "g.zip" in path.name]


def test_another_backbone_is_refused(embedder, there, tmp_path):
    tiny = Embedder.load(f"raw:local-dir:{tiny_clip.write(tmp_path / 'tiny')}")
    gallery = Gallery.create(tmp_path / "here" / "tiny", tiny)
    run_index(gallery, drawing.write_folder(tmp_path / "pictures"))
    packed(gallery, tmp_path / "g.zip")
    other = unpacked(tmp_path / "g.zip", "theirs", there)
    assert len(hits(other, QUERY)) == 24  # the backbone is on this computer
    with pytest.raises(GalleryError, match=r"holds features of backbone 'local-dir:.*make another gallery of it"):
        there.get("theirs", embedder)


def rewrite(file: Path, change) -> Path:
    """The bundle with its files changed: {name: bytes} -> {name: bytes}."""
    with zipfile.ZipFile(file) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in change(files).items():
            archive.writestr(name, data)
    return file


def with_contents(bundled: dict[str, bytes], **changes) -> dict[str, bytes]:
    return {**bundled, "bundle.json": json.dumps(json.loads(bundled["bundle.json"]) | changes).encode()}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda f: {**f, "items.sqlite": f["items.sqlite"][:-1] + b"?"}, "items.sqlite is damaged"),
        (lambda f: {name: data for name, data in f.items() if name != "gallery.json"}, "no item named 'gallery.json'"),
        (lambda f: {name: data for name, data in f.items() if name != "bundle.json"}, "not a bundle"),
        (lambda f: {**f, "bundle.json": b"{"}, "not a bundle"),
        (lambda f: with_contents(f, schema=9), "format 9"),
        (lambda f: with_contents(f, files={"../evil": "0"}) | {"../evil": b"x"}, "leaves the gallery"),
        (lambda f: with_contents(f, files={"/etc/evil": "0"}) | {"/etc/evil": b"x"}, "leaves the gallery"),
        (lambda f: with_contents(f, files={"items.sqlite": "0"}), "damaged"),
    ],
)
def test_a_bundle_that_is_wrong_says_so_and_leaves_nothing(gallery, there, tmp_path, change, sentence):
    packed(gallery, tmp_path / "g.zip")
    with pytest.raises(GalleryError, match=sentence):
        unpacked(rewrite(tmp_path / "g.zip", change), "theirs", there)
    assert there.names() == []
    assert not [path for path in there.folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    "evil",
    [
        "UPDATE features SET sha256 = '../../../../tmp/x' WHERE rowid_is_first",
        "UPDATE features SET original = '../../../../etc/passwd' WHERE rowid_is_first",
        "CREATE TRIGGER t AFTER DELETE ON items BEGIN DELETE FROM features; END",
    ],
)
def test_a_bundle_whose_rows_reach_outside_is_refused(gallery, there, tmp_path, evil):
    packed(gallery, tmp_path / "g.zip")

    def change(files: dict[str, bytes]) -> dict[str, bytes]:
        path = tmp_path / "items.sqlite"
        path.write_bytes(files["items.sqlite"])
        with closing(sqlite3.connect(path)) as database, database:
            database.execute(evil.replace("rowid_is_first", "sha256 = (SELECT MIN(sha256) FROM features)"))
        items = path.read_bytes()
        hashes = json.loads(files["bundle.json"])["files"] | {"items.sqlite": hashlib.sha256(items).hexdigest()}
        return with_contents({**files, "items.sqlite": items}, files=hashes)

    with pytest.raises(GalleryError, match="not one that UniFEx wrote"):
        unpacked(rewrite(tmp_path / "g.zip", change), "theirs", there)
    assert there.names() == []


def test_no_zip_and_a_name_that_is_taken(gallery, there, tmp_path):
    (tmp_path / "g.zip").write_bytes(b"nonsense")
    with pytest.raises(GalleryError, match=r"g\.zip is not a gallery that can be used"):
        unpacked(tmp_path / "g.zip", "theirs", there)
    with pytest.raises(GalleryError, match="is no packed gallery, so it stays"):
        packed(gallery, tmp_path / "g.zip")
    (tmp_path / "g.zip").unlink()
    packed(gallery, tmp_path / "g.zip")
    unpacked(tmp_path / "g.zip", "theirs", there)
    with pytest.raises(GalleryError, match="there is a gallery 'theirs' already"):
        unpacked(tmp_path / "g.zip", "theirs", there)


def only_read(monkeypatch) -> None:
    def refused(*_args: object, **_options: object) -> None:
        raise OSError(errno.EROFS, "read-only file system", ".lock")

    monkeypatch.setattr(writer, "lock_in_folder", refused)
    monkeypatch.setattr(database, "lock_in_folder", refused)


def test_what_can_only_be_read_is_packed(gallery, there, tmp_path, monkeypatch):
    before = {path: path.read_bytes() for path in gallery.folder.rglob("*") if path.is_file()}
    only_read(monkeypatch)
    assert not gallery.is_being_written()
    packed(gallery, tmp_path / "g.zip", images=True)
    assert {path: path.read_bytes() for path in gallery.folder.rglob("*") if path.is_file()} == before
    monkeypatch.undo()
    assert hits(unpacked(tmp_path / "g.zip", "theirs", there), QUERY) == hits(gallery, QUERY)


def test_what_changes_while_it_is_packed_is_not(gallery, folder, tmp_path, monkeypatch):
    """Here it can only be read, by another it is written."""
    with monkeypatch.context() as here:
        only_read(here)
        going = pack(gallery, tmp_path / "g.zip")
        next(going)
    drawing.write_folder(tmp_path / "more", 1)
    run_index(Gallery.open(gallery.folder), tmp_path / "more")
    with pytest.raises(GalleryError, match="changed while it was packed"):
        finish(going)
    assert not [path for path in tmp_path.iterdir() if "g.zip" in path.name]


def test_packing_waits_for_no_writer(gallery, tmp_path):
    with gallery.write(), pytest.raises(GalleryError, match="is being written"):
        packed(gallery, tmp_path / "g.zip")


def test_stopping_leaves_nothing_half(gallery, there, tmp_path):
    going = pack(gallery, tmp_path / "g.zip")
    next(going)
    going.close()
    assert not [path for path in tmp_path.iterdir() if "g.zip" in path.name]
    packed(gallery, tmp_path / "g.zip")
    going = bundle.unpack(tmp_path / "g.zip", "theirs", there)
    next(going)
    going.close()
    assert there.names() == []


def test_a_packed_gallery_is_joined_with_a_copy_of_its_folder(gallery, there, tmp_path):
    """By name and content, wherever in its folder that begins: nothing twice, and all that was said stays."""
    paths = [record.path for record in gallery.records(gallery.snapshot().columns.ids)]
    with gallery.write() as writer:
        items = [gallery.item_at(path) for path in paths]
        writer.correct([relabel(items[0], "circle"), drop(items[1]), same(items[2], items[3])])
        writer.tag([items[4].id], ["best"])
    packed(gallery, tmp_path / "g.zip")
    other = unpacked(tmp_path / "g.zip", "theirs", there)
    with pytest.raises(GalleryError, match=r"when its folder is indexed: `.* index /own --gallery theirs`"):
        relocate(other, other.sources()[0].spec, "/own")
    before = {record.id: (record.path, record.label, record.tags) for record in other.records(_ids(other))}
    own = tmp_path / "own"
    shutil.copytree(tmp_path / "pictures", own / "pictures")
    (own / "pictures" / "signs" / "new.png").write_bytes((own / "pictures" / paths[0]).read_bytes())
    part = run_index(other, own / "pictures" / "signs")
    assert (part.added, part.moved) == (1, sum(path.startswith("signs/") for path in paths))
    whole = run_index(other, own)
    assert (whole.added, whole.moved) == (0, len(paths) - part.moved)
    assert len(other) == len(before) + 1
    after = {record.id: (record.label, record.tags) for record in other.records(list(before))}
    assert after == {id: (label, tags) for id, (_, label, tags) in before.items()}
    assert [c.kind for c in other.corrections()] == [c.kind for c in gallery.corrections()]
    assert not other.idle_corrections()
    for record in other.records(list(before)):
        assert other.original(record) == (own / "pictures" / before[record.id][0]).read_bytes()
    again = run_index(other, own)
    assert (again.added, again.moved, again.skipped) == (0, 0, len(paths) + 1)
    (own / "pictures" / paths[5]).unlink()
    assert run_index(other, own, prune=True).removed == 1


def test_an_upload_or_another_picture_leaves_a_packed_gallery_as_it_is(gallery, there, tmp_path):
    packed(gallery, tmp_path / "g.zip")
    other = unpacked(tmp_path / "g.zip", "theirs", there)
    renamed = tmp_path / "renamed"
    renamed.mkdir()
    for number, file in enumerate(sorted((tmp_path / "pictures").rglob("*.png"))[:3]):
        shutil.copy(file, renamed / f"scan{number}.png")
    report = run_index(other, renamed)
    assert (report.added, report.moved) == (3, 0)


def _ids(gallery: Gallery) -> list[int]:
    return gallery.snapshot().columns.ids.tolist()
