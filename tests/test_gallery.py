import contextlib
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from tests.support.drawing import encoded, picture
from tests.support.galleries import assert_no_orphans, make_model, run_index
from unifex.cli.main import main
from unifex.core import progress, thumbnails
from unifex.core.files import verify, with_checksum
from unifex.core.locks import lock_in_folder
from unifex.data.item import Item, Skipped
from unifex.gallery import image_store, indexing, kept_columns
from unifex.gallery.corrections import Correction
from unifex.gallery.database import Database
from unifex.gallery.derived_data import ITEM_TABLE
from unifex.gallery.embedding import embed_items, forecast
from unifex.gallery.folder_names import check_name
from unifex.gallery.gallery import Gallery, GalleryError, ItemsGone
from unifex.gallery.image_store import SHARD_ROWS
from unifex.gallery.indexing import Pace, index
from unifex.gallery.kept_embeddings import KeptEmbeddings
from unifex.gallery.library import Library
from unifex.gallery.records import Embedded
from unifex.models.embedder import Embedder


def everything(gallery: Gallery) -> dict[str, tuple]:
    """path -> (label, domain, sha256, embedding bytes): all that a search depends on."""
    view = gallery.snapshot()
    records = gallery.records(view.columns.ids)
    said = view.columns.labels.texts, view.columns.domains.texts
    assert [(r.label, r.domain) for r in records] == list(zip(*said))
    return {r.path: (r.label, r.domain, r.sha256, e.tobytes()) for r, e in zip(records, view.embeddings)}


def test_index_once_and_again(gallery, folder, embedder):
    before = everything(gallery)
    assert len(gallery) == len(before) == 24
    assert list(before) == sorted(before)
    picked = before["signs/cross/2.png"]
    assert picked[:2] == ("cross", "signs")
    expected = embedder.embed([folder / "signs/cross/2.png"])[0]
    assert np.abs(np.frombuffer(picked[3], np.float32) - expected).max() < 2e-3  # features are kept as float16
    report = run_index(gallery, folder)
    assert (report.added, report.skipped, report.items, report.failed) == (0, 24, 24, [])
    assert everything(Gallery.open(gallery.folder)) == before
    assert_no_orphans(gallery)


def test_facts(gallery):
    facts = gallery.facts()
    assert (facts.items, facts.images, facts.labels, facts.refused, facts.dim) == (24, 24, 4, 0, 256)
    assert facts.domains == {"shapes": 12, "signs": 12}
    assert facts.bytes == sum(path.stat().st_size for path in gallery.folder.rglob("*") if path.is_file())
    assert facts.unfinished == []


def test_same_bytes_under_two_paths_share_one_feature(gallery, folder):
    shutil.copy(folder / "shapes/disc/0.png", folder / "signs" / "stray.png")
    run_index(gallery, folder)
    facts = gallery.facts()
    assert (facts.items, facts.images) == (25, 24)
    stored = everything(gallery)
    assert stored["signs/stray.png"][2:] == stored["shapes/disc/0.png"][2:]
    assert stored["signs/stray.png"][0] == "signs"


def test_changed_touched_and_relabelled_files(gallery, folder):
    (folder / "shapes/disc/0.png").write_bytes(encoded(picture("signs/cross", 99)))
    os.utime(folder / "shapes/disc/1.png", (1, 1))
    report = run_index(gallery, folder)
    assert (report.added, report.skipped) == (1, 23)
    assert len(gallery) == 24
    assert gallery.facts().images == 24  # the old image of disc/0 is gone
    assert run_index(gallery, folder).added == 0
    assert_no_orphans(gallery)
    (folder / "list.csv").write_text("path,label,domain,split\nshapes/disc/1.png,ball,toys,query\n")
    report = run_index(gallery, folder / "list.csv")
    assert (report.added, report.skipped) == (0, 1)
    record = next(r for r in gallery.records(gallery.snapshot().columns.ids) if r.label == "ball")
    assert (record.domain, record.split) == ("toys", "query")


def test_add_remove_and_prune(gallery, folder):
    before = everything(gallery)
    (folder / "signs/cross/9.png").write_bytes(encoded(picture("signs/cross", 9)))
    assert run_index(gallery, folder).added == 1
    with gallery.write() as writer:
        found = gallery.find(["shapes/disc/0.png", "no/such.png"])
        assert found["no/such.png"] == []
        assert writer.remove(found["shapes/disc/0.png"]) == 1
        gallery.derived.save()
    after = everything(gallery)
    assert "shapes/disc/0.png" not in after
    assert {path: after[path] for path in before if path in after} == {p: v for p, v in before.items() if p in after}
    assert_no_orphans(gallery)
    shutil.rmtree(folder / "signs")
    assert run_index(gallery, folder).removed == 0  # nothing is lost unless asked
    report = run_index(gallery, folder, prune_all=True)  # more than half
    assert (report.removed, report.items) == (13, 12)
    assert_no_orphans(gallery)


def test_thumbnails_of_an_earlier_version_are_shown_and_go_with_their_image(gallery):
    record = gallery.records([1])[0]
    new, old = gallery.database.thumbnail_paths(record.sha256)
    with Image.open(new) as opened:
        opened.save(old)
    new.unlink()
    assert gallery.thumbnail(record.sha256) == old.read_bytes()
    assert thumbnails.data_uri(old.read_bytes()).startswith("data:image/webp;base64,")
    with gallery.write() as writer:
        writer.remove([record.id])
        gallery.derived.save()
    assert_no_orphans(gallery)
    assert gallery.thumbnail(record.sha256) == b""


def test_two_items_of_one_image_outlive_each_other(gallery, folder):
    shutil.copy(folder / "shapes/disc/0.png", folder / "copy.png")
    run_index(gallery, folder)
    with gallery.write() as writer:
        writer.remove(gallery.find(["shapes/disc/0.png"])["shapes/disc/0.png"])
        gallery.derived.save()
    assert "copy.png" in everything(gallery)
    assert gallery.facts().images == 24


def test_many_small_additions_are_merged(tmp_path, embedder):
    gallery = Gallery.create(tmp_path / "g", embedder)
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for view in range(14):
        (pictures / f"{view:02d}.png").write_bytes(encoded(picture("shapes/disc", view)))
        run_index(gallery, pictures)
    assert len(list(gallery.folder.glob("features/*.npy"))) < 14
    assert_no_orphans(gallery)
    again = Gallery.create(tmp_path / "h", embedder)
    run_index(again, pictures)
    assert everything(again) == everything(gallery)


def test_cancel_keeps_what_was_done_and_resume_adds_the_rest(tmp_path, folder, embedder):
    gallery = Gallery.create(tmp_path / "g", embedder)
    work = index(gallery, str(folder), pace=Pace(commit_images=4, report_seconds=0.0, window_images=2))
    next(step for step in work if int(step.note.split()[0]) >= 5)  # are added
    work.close()
    done = len(gallery)
    assert 5 <= done < 24
    assert gallery.unfinished() == [str(folder)]
    assert_no_orphans(gallery)
    report = run_index(gallery, folder)
    assert (report.skipped, report.added, report.items) == (done, 24 - done, 24)
    assert gallery.unfinished() == []


def test_time_left_after_a_resume_is_that_of_what_is_left_to_be_embedded(tmp_path, folder, embedder, monkeypatch):
    gallery = Gallery.create(tmp_path / "g", embedder)
    work = index(gallery, str(folder), pace=Pace(commit_images=4, report_seconds=0.0, window_images=2))
    next(step for step in work if int(step.note.split()[0]) >= 5)
    work.close()
    there, seconds = len(gallery), [0.0]

    def a_second_each(embedder: Embedder, items: list[Item], known: set[str]) -> list[Embedded | Skipped]:
        seconds[0] += len(items)
        return embed_items(embedder, items, known)

    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: seconds[0]))
    monkeypatch.setattr(indexing, "embed_items", a_second_each)
    steps = list(index(gallery, str(folder), pace=Pace(report_seconds=0.0, window_images=1)))
    later = [step for step in steps if there < step.done < 24]
    assert later
    assert [step.seconds_left for step in later] == [24 - step.done for step in later]


KILLED = """
import sys
from unifex.gallery.indexing import Pace, index
from unifex.models.embedder import Embedder
from unifex.gallery.gallery import Gallery
gallery = Gallery.open_or_create(sys.argv[1], Embedder.load())
print("start", flush=True)
for step in index(gallery, sys.argv[2], pace=Pace(commit_images=4, window_images=4)):
    pass
"""


def test_kill_and_index_again_ends_with_the_same(tmp_path, embedder):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for view in range(120):
        (pictures / f"{view:03d}.png").write_bytes(encoded(picture("shapes/disc", view)))
    whole = Gallery.create(tmp_path / "whole", embedder)
    run_index(whole, pictures)
    target = tmp_path / "killed"
    counts = []
    for delay in (0.05, 0.2, 0.35, 0.3):
        process = subprocess.Popen([sys.executable, "-c", KILLED, str(target), str(pictures)], stdout=subprocess.PIPE)
        process.stdout.readline()
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
        counts.append(len(Gallery.open(target, embedder)))
        assert len(Gallery.open(target, embedder).snapshot()) == counts[-1]
    assert counts == sorted(counts)
    killed = Gallery.open(target, embedder)
    run_index(killed, pictures)
    assert everything(killed) == everything(whole)
    assert_no_orphans(killed)


def test_one_writer_many_readers(gallery, folder):
    with gallery.write() as writer:
        other = Gallery.open(gallery.folder)
        with pytest.raises(GalleryError, match="written by another"), other.write():
            pass
        assert len(other.snapshot()) == 24
        writer.close()
    with Gallery.open(gallery.folder).write() as writer:
        writer.close()


def test_another_neck_re_embeds_from_features(gallery, embedder, folder):
    shutil.rmtree(folder)  # pixels are not needed again
    other = make_model(embedder, "random")
    reopened = Gallery.open(gallery.folder, other)
    view = reopened.snapshot()
    assert view.embeddings.shape == (24, 64)
    features = reopened.features(view.columns.sha256s())
    assert np.allclose(view.embeddings, other.neck.embed(features, 64), atol=1e-6)
    assert Gallery.open(gallery.folder).config.model == "unifex-lite-4"  # looking is not changing


@pytest.mark.parametrize("dim", [None, 128])
def test_who_goes_back_to_a_model_has_its_dimension_again(tmp_path, folder, embedder, dim, capsys):
    gallery = Gallery.create(tmp_path / "indexes" / "drawn", embedder, dim)
    run_index(gallery, folder)
    before = gallery.snapshot().embeddings.copy()
    for name in ("narrow", "narrower"):
        make_model(embedder, name, dims=(64,)).save(tmp_path / "indexes" / "models" / name)

    def use(*model: str) -> tuple[str, int]:
        assert main(["use", "drawn", *model, "--library", str(tmp_path / "indexes"), "--json"]) == 0
        answer = json.loads(capsys.readouterr().out)
        return answer["model"], answer["dim"]

    own = embedder.name, dim or 256
    assert "dims" not in json.loads((gallery.folder / "gallery.json").read_text())  # which versions before cannot read
    assert [use("narrow"), use(), use(), use("narrower"), use(own[0])] == [
        ("narrow", 64), own, ("narrow", 64), ("narrower", 64), own,
    ]  # fmt: skip
    np.testing.assert_array_equal(Gallery.open(gallery.folder).snapshot().embeddings, before)


def test_another_backbone_is_refused(gallery, embedder, monkeypatch):
    other = make_model(embedder, "random")
    monkeypatch.setattr(type(other.backbone), "weight_hash", lambda self: "f" * 16)
    with pytest.raises(GalleryError, match=r"use drawn .* --as NEW"):
        Gallery.open(gallery.folder, other)


@pytest.mark.parametrize("damage", ["missing", "truncated", "other-neck", "rubbish"])
def test_derived_files_are_rebuilt(gallery, damage):
    before = everything(gallery)
    path = gallery.folder / "embeddings.rows"
    whole = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage == "truncated":
        path.write_bytes(path.read_bytes()[:5000])
    elif damage == "rubbish":
        (gallery.folder / "ids.rows").write_bytes(b"rubbish")
    else:
        stamp = json.loads((gallery.folder / "derived.json").read_text())
        (gallery.folder / "derived.json").write_text(json.dumps(stamp | {"lists": {}}))
    assert everything(Gallery.open(gallery.folder)) == before
    assert path.read_bytes() == whole  # for whoever opens it next


def with_a_flipped_bit(gallery: Gallery, copy: Path, name: str, seed: int) -> Path:
    rng = random.Random(f"{name}-{seed}")
    shutil.copytree(gallery.folder, copy)
    data = bytearray((copy / name).read_bytes())
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    (copy / name).write_bytes(data)
    return copy


@pytest.mark.parametrize("name", ["derived.json", "embeddings.json", "embeddings.rows", "ids.rows"])
def test_one_flipped_bit_in_what_is_derived_changes_no_answer(gallery, tmp_path, name):
    before = everything(gallery)
    for seed in range(8):
        assert everything(Gallery.open(with_a_flipped_bit(gallery, tmp_path / str(seed), name, seed))) == before


@pytest.mark.parametrize("name", ["gallery.json", "items.sqlite", "features/00001.npy"])
def test_one_flipped_bit_in_what_is_kept_is_told(gallery, tmp_path, name):
    for seed in range(8):
        copy = with_a_flipped_bit(gallery, tmp_path / str(seed), name, seed)
        (copy / "embeddings.json").unlink()  # so that the features are needed
        with pytest.raises(GalleryError, match=r"index its images again under another name|items\.sqlite"):
            everything(Gallery.open(copy))


def test_a_gallery_from_before_there_were_checksums(gallery):
    before = everything(gallery)
    with gallery.database.connect() as database:
        database.execute("ALTER TABLE shards DROP COLUMN checksum")
    (gallery.folder / "items.json").unlink()
    for name in ("gallery.json", "derived.json", "embeddings.json"):
        values = verify((gallery.folder / name).read_bytes())
        values.pop("files", None)
        (gallery.folder / name).write_text(json.dumps(values))
    assert everything(Gallery.open(gallery.folder)) == before


@pytest.fixture
def large(gallery, monkeypatch) -> Gallery:
    """As if it had so many items that their table is kept beside the database."""
    monkeypatch.setattr(kept_columns, "LEAST", 1)
    gallery.derived.save()
    assert (gallery.folder / ITEM_TABLE).exists()
    return gallery


def is_read_from_the_database(gallery: Gallery, monkeypatch) -> bool:
    """Whether its items are, when it is opened."""
    read = []
    with monkeypatch.context() as patch:
        patch.setattr(
            Database, "item_table", lambda self, *known, was=Database.item_table: read.append(self) or was(self, *known)
        )
        Gallery.open(gallery.folder).snapshot()
    return bool(read)


def relabel(gallery: Gallery, path: str, label: str) -> None:
    item = gallery.item_at(path)
    with gallery.write() as writer:
        writer.correct([Correction("relabel", item.uri, item.path, item.sha256, label)])


def test_the_items_of_a_large_gallery_are_read_from_a_file(large, monkeypatch):
    before = everything(large)
    assert not is_read_from_the_database(large, monkeypatch)
    assert everything(Gallery.open(large.folder)) == before


def test_the_items_of_a_large_gallery_are_counted_in_its_table(large, monkeypatch):
    relabel(large, "shapes/disc/1.png", "hoop")
    relabel(large, "shapes/disc/2.png", "")
    counted = large.database.counts()  # one by one
    assert counted.labels == 5
    opened = Gallery.open(large.folder)
    opened.snapshot()
    monkeypatch.setattr(Database, "counts", None)
    assert opened.derived.counts() == Gallery.open(large.folder).derived.counts() == counted


@pytest.mark.parametrize(
    "change", [lambda kept: kept[:-60] + b"x" + kept[-59:], lambda kept: kept[:100], lambda kept: b""]
)
def test_a_damaged_file_of_items_is_made_anew(large, monkeypatch, change):
    before, path = everything(large), large.folder / ITEM_TABLE
    path.write_bytes(change(path.read_bytes()))
    assert everything(Gallery.open(large.folder)) == before
    assert not is_read_from_the_database(large, monkeypatch)


def test_the_file_of_items_is_of_no_use_once_anything_changed(large, monkeypatch, caplog):
    with large.write() as writer:
        writer.remove([large.item_at("shapes/disc/1.png").id])
    assert set(everything(Gallery.open(large.folder))) == set(everything(large))
    assert "shapes/disc/1.png" not in everything(large)
    assert not is_read_from_the_database(large, monkeypatch)  # made anew by who opened it
    relabel(large, "shapes/disc/2.png", "hoop")
    assert everything(Gallery.open(large.folder))["shapes/disc/2.png"][0] == "hoop"
    assert not caplog.messages  # it is no damage


def test_the_file_of_items_does_not_outlive_a_database_that_was_put_back(large, tmp_path):
    """As many commits later it is of the same version, and says something else."""
    backup = Path(shutil.copytree(large.folder, tmp_path / "backup"))
    relabel(large, "shapes/disc/1.png", "hoop")
    assert everything(Gallery.open(large.folder))["shapes/disc/1.png"][0] == "hoop"  # and this is kept
    for name in ("items.sqlite", "items.json"):
        shutil.copy(backup / name, large.folder / name)
    relabel(Gallery.open(large.folder), "shapes/disc/2.png", "hoop")
    found = everything(Gallery.open(large.folder))
    assert [found[f"shapes/disc/{number}.png"][0] for number in (1, 2)] == ["disc", "hoop"]


@pytest.mark.parametrize("is_kept", [True, False])
def test_the_file_of_items_neither_hides_damage_of_the_database_nor_keeps_it(large, is_kept):
    whole, path = (large.folder / "items.sqlite").read_bytes(), large.folder / "items.sqlite"
    if not is_kept:
        (large.folder / ITEM_TABLE).unlink()
    path.write_bytes(whole.replace(b"cross", b"crass"))
    with pytest.raises(GalleryError, match="damaged"):
        Gallery.open(large.folder).snapshot()
    path.write_bytes(whole)
    assert "cross" in Gallery.open(large.folder).snapshot().columns.labels.names


def test_damaged_galleries_say_what_is_wrong(gallery, tmp_path):
    def copy(name: str) -> Path:
        return Path(shutil.copytree(gallery.folder, tmp_path / name))

    (copy("a") / "gallery.json").write_text("{")
    with pytest.raises(GalleryError, match=r"gallery\.json is damaged"):
        Gallery.open(tmp_path / "a")
    values = verify((copy("b") / "gallery.json").read_bytes())
    (tmp_path / "b" / "gallery.json").write_bytes(with_checksum(values | {"schema": 7}))
    with pytest.raises(GalleryError, match="format 7"):
        Gallery.open(tmp_path / "b")
    (copy("c") / "items.sqlite").unlink()
    with pytest.raises(GalleryError, match=r"lost its items\.sqlite"):
        len(Gallery.open(tmp_path / "c"))
    (copy("d") / "items.sqlite").write_bytes(b"not a database at all, just text" * 100)
    with pytest.raises(GalleryError, match=r"items\.sqlite is damaged"):
        len(Gallery.open(tmp_path / "d"))
    shard = next((copy("e") / "features").glob("*.npy"))
    shard.write_bytes(shard.read_bytes()[:200])
    (tmp_path / "e" / "embeddings.json").unlink()
    with pytest.raises(GalleryError, match="damaged"):
        Gallery.open(tmp_path / "e").snapshot()


def test_a_gallery_that_was_deleted_is_not_made_again_by_who_has_it_open(gallery):
    snapshot = gallery.snapshot()
    shutil.rmtree(gallery.folder)
    assert not gallery.is_being_written()
    with pytest.raises(GalleryError, match="deleted or renamed"), gallery.write():
        pass
    kept = KeptEmbeddings(gallery.folder, gallery.origin("embeddings"), gallery.config.dim)
    with pytest.raises(FileNotFoundError):
        kept.write(snapshot.columns.items, snapshot.embeddings)
    assert not gallery.folder.exists()


@pytest.mark.parametrize("change", [lambda all: all.delete("drawn"), lambda all: all.rename("drawn", "other")])
def test_who_is_late_with_a_change_makes_no_gallery_again(gallery, change, monkeypatch):
    """Somebody else deletes it after a look at it, and before it is locked."""
    library = Library(gallery.folder.parent)

    def locked_late(path: Path, timeout: float) -> None:
        shutil.rmtree(gallery.folder)
        return lock_in_folder(path, timeout)

    monkeypatch.setattr("unifex.gallery.library.lock_in_folder", locked_late)
    with pytest.raises(GalleryError, match="deleted or renamed"):
        change(library)
    assert library.names() == []


def test_forecast_is_about_right(folder, embedder, gallery):
    expected = forecast(embedder, str(folder))
    assert (expected.images, expected.refused) == (24, 0)
    assert 0.2 < expected.bytes / gallery.facts().bytes < 5
    (folder / "a.txt").write_text("x")
    assert forecast(embedder, str(folder), trial=30).refused == 1
    (folder / "empty").mkdir()
    assert forecast(embedder, str(folder / "empty")).images == 0


def test_progress_counts_up_to_the_total_and_can_be_stopped_at_every_image(tmp_path, folder, embedder):
    """Also while all that is left has been read ahead: with a large backbone that takes minutes."""
    gallery = Gallery.create(tmp_path / "g", embedder)
    steps = list(index(gallery, str(folder), pace=Pace(report_seconds=0.0)))
    assert sorted({*range(25)} - {step.done for step in steps}) == []
    assert [step.done for step in steps] == sorted(step.done for step in steps)
    assert (steps[-1].done, steps[-1].total, steps[-1].seconds_left) == (24, 24, 0)


# --- the folder of galleries -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["", "..", "a/b", "a\\b", ".hidden", "models", "x" * 81, "a\0b", "nul", "-x", "a\nb", "end."]
)
def test_names_that_are_refused(name):
    with pytest.raises(GalleryError):
        check_name(name)


@pytest.mark.parametrize(
    ("name", "why"), [("CON", "Windows keeps for itself"), ("Models", "the folder of models is called")]
)
def test_a_name_that_is_taken_by_something_else_is_told_so(name, why):
    with pytest.raises(GalleryError, match=f"'{name}' is .*{why}; choose another name"):
        check_name(name)


@pytest.mark.parametrize("name", ["holiday", "Ferien 2026", "日本", "demo (synthetic)", "a.b-c_d+e"])
def test_names_that_are_taken(name, tmp_path, embedder):
    library = Library(tmp_path)
    library.get_or_create(name, lambda: embedder)
    assert library.names() == [name]


def test_rename_and_delete(gallery):
    library = Library(gallery.folder.parent)
    assert library.get("drawn") is library.get("drawn")
    renamed = library.rename("drawn", "figures")
    assert library.names() == ["figures"]
    assert len(renamed.snapshot()) == 24
    with pytest.raises(GalleryError, match="figures"):
        library.get("drawn")
    with renamed.write() as writer:
        with pytest.raises(GalleryError, match="being written"):
            library.delete("figures")
        writer.close()
    library.delete("figures")
    assert library.names() == []
    assert not gallery.folder.parent.joinpath("figures").exists()


def test_a_gallery_made_anew_under_an_old_name_is_not_the_old_one(gallery, embedder):
    library = Library(gallery.folder.parent)
    assert len(library.get("drawn").snapshot()) == 24
    shutil.rmtree(gallery.folder)
    Gallery.create(gallery.folder, embedder)
    assert len(library.get("drawn").snapshot()) == 0


def test_shards_stay_small(tmp_path, embedder):
    assert SHARD_ROWS * embedder.backbone.feature_dim * 2 < 64 * 2**20


def test_shards_are_rewritten_without_a_second_connection(gallery, embedder, monkeypatch):
    """A transaction that outgrows SQLite's cache locks others out, its own process's, too."""
    opened, connect, open_now = Gallery.open(gallery.folder, embedder), Database.connect, []

    @contextlib.contextmanager
    def connect_alone(self: Database, **options: bool):
        assert not open_now
        with connect(self, **options) as database:
            open_now.append(database)
            yield database
            open_now.pop()

    monkeypatch.setattr(Database, "connect", connect_alone)
    monkeypatch.setattr(image_store, "FEW_SHARDS", 0)
    before = everything(gallery)
    with opened.write() as writer:
        writer.tidy()
    assert everything(Gallery.open(gallery.folder, embedder)) == before


def test_sqlite_is_readable_by_itself(gallery):
    with sqlite3.connect(gallery.folder / "items.sqlite") as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_items_that_went_meanwhile_are_told_of(gallery):
    with pytest.raises(ItemsGone, match="were removed meanwhile; do it again"):
        gallery.features(["0" * 64])
